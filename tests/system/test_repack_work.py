"""Repacks, traces, returns and opened containers over HTTP and on the command line."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httpx
import pytest
from sqlalchemy import update

from dispensed.ledger import dispenses, post, tokens
from dispensed.ledger import tables as t
from dispensed.ledger.dispenses import NewDispense
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move
from dispensed.model.movement import MovementKind
from tests.system.test_cli_commands import Run, done, failed, runner, write_config
from tests.system.test_web_api import refused
from tests.system.web_bench import LISINOPRIL, NOW, OXYCODONE, SALINE, STAMP, Bench, bench

Json = dict[str, object]
BULK, UNITS = "L24A", "PP261122-1"
PLAN: Json = {
    "item_id": LISINOPRIL,
    "lot": BULK,
    "location": "shelf/A-03",
    "target": "shelf/B-01",
    "units": 4,
    "unit_quantity": "10",
    "container": "unit-dose blister, class A",
    "request_id": "plan",
}
PACKED: Json = {"bulk": "43", "units": 4, "waste": "2", "samples": "1", "request_id": "pack"}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture
def tech(fresh: Bench) -> Iterator[httpx.Client]:
    with fresh.client() as client:
        yield client


@pytest.fixture
def pharmacist(fresh: Bench) -> Iterator[httpx.Client]:
    token = fresh.store.write_sync(lambda tx: tokens.create(tx, "pam", "pharmacist", STAMP))
    with fresh.client(token) as client:
        yield client


def _ask(client: httpx.Client, path: str, body: Json | None = None) -> Json:
    answer = client.post(f"/api/v1{path}", json=body)
    assert answer.is_success, answer.text
    return cast("Json", answer.json())


def _see(client: httpx.Client, path: str, **params: str) -> Json:
    answer = client.get(f"/api/v1{path}", params=params)
    assert answer.is_success, answer.text
    return cast("Json", answer.json())


def _released(tech: httpx.Client, pharmacist: httpx.Client) -> None:
    _ask(tech, "/repacks", PLAN)
    _ask(tech, "/repacks/1/start", {"request_id": "start"})
    _ask(tech, "/repacks/1/pack", PACKED)
    _ask(pharmacist, "/repacks/1/check", {"request_id": "check"})
    _ask(pharmacist, "/repacks/1/release", {"request_id": "release"})


def _hand_out(tx: Tx, lot: str, place: str) -> int:
    """Settle a fill of 10 of a lot."""
    number = dispenses.create(
        tx, NewDispense("rx1", "ask:rx1", LISINOPRIL, 10_000, "p-1", 5, "auto"), STAMP
    ).id
    for kind, source, target in (
        (MovementKind.PICK, place, "fill"),
        (MovementKind.DISPENSE, "fill", "ext:dispensed"),
    ):
        move = Move(
            kind=kind,
            item_id=LISINOPRIL,
            lot=lot,
            source=source,
            target=target,
            milli=10_000,
            request_id=f"rx1:{kind}",
            occurred_at=NOW,
            dispense_id=number,
        )
        post.post(tx, move, STAMP, on_date=NOW.date())
    settled = {"state": "settled", "counted_milli": 10_000, "verified_by": "pam"}
    tx.execute(update(t.dispense).where(t.dispense.c.id == number).values(settled))
    return number


# ---------------------------------------------------------------- over HTTP


def test_a_run_goes_from_plan_to_release_by_two_persons(
    tech: httpx.Client, pharmacist: httpx.Client
) -> None:
    planned = _ask(tech, "/repacks", PLAN)
    assert (planned["state"], planned["child_lot"], planned["use_by"]) == ("planned", UNITS, None)
    assert _ask(tech, "/repacks", PLAN) == planned
    _ask(tech, "/repacks/1/start", {"request_id": "start"})
    short = {**PACKED, "bulk": "44", "request_id": "short"}
    said = refused(tech.post("/api/v1/repacks/1/pack", json=short), 409, "not_conserved")
    assert said.startswith("44 EA taken from the bulk, but 4 units of 10 are 40")
    packed = _ask(tech, "/repacks/1/pack", PACKED)
    # the bulk expires on 10 December: 25 % of the 18 days are 4
    assert (packed["state"], packed["use_by"], packed["units"]) == ("packed", "2026-11-26", 4)
    assert packed["waste"] == {"quantity": "2", "unit": "EA", "milli": 2000}
    refused(
        tech.post("/api/v1/repacks/1/check", json={"request_id": "x"}), 409, "checked_by_packer"
    )
    _ask(pharmacist, "/repacks/1/check", {"request_id": "check"})
    done = _ask(pharmacist, "/repacks/1/release", {"request_id": "release"})
    assert done["state"] == "released"
    detail = _see(tech, "/repacks/1")
    steps = cast("list[Json]", detail["steps"])
    assert [(step["step"], step["actor"]) for step in steps] == [
        ("planned", "bench"),
        ("started", "bench"),
        ("packed", "bench"),
        ("checked", "pam"),
        ("released", "pam"),
    ]
    assert len(cast("list[Json]", _see(tech, "/repacks", state="released")["rows"])) == 1
    cancel = {"reason": "late", "request_id": "c"}
    refused(tech.post("/api/v1/repacks/1/cancel", json=cancel), 409, "repack_transition")
    refused(tech.get("/api/v1/repacks/9"), 404, "repack_not_found")
    body = {"request_id": "labels"}
    refused(tech.post("/api/v1/repacks/1/labels", json=body), 502, "device_problem")


def test_the_log_is_served_as_json_and_as_csv(tech: httpx.Client, pharmacist: httpx.Client) -> None:
    _released(tech, pharmacist)
    one = _see(tech, "/repacks/1/log")
    assert (one["manufacturer_lots"], one["internal_lot"]) == (BULK, UNITS)
    assert (one["packed_by"], one["checked_by"]) == ("bench", "pam")
    assert one["label_gs1"] == f"(01)00368180513018(17)261126(10){UNITS}"
    assert _see(tech, "/repacks/log") == {"rows": [one], "next_after": None}
    answer = tech.get("/api/v1/repacks/log", params={"form": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["bulk"], row["waste"], row["samples"], row["units"]) == ("43", "2", "1", "4")


def test_a_dispense_is_traced_and_returned_to_stock(
    fresh: Bench, tech: httpx.Client, pharmacist: httpx.Client
) -> None:
    _released(tech, pharmacist)
    number = fresh.store.write_sync(lambda tx: _hand_out(tx, UNITS, "shelf/B-01"))
    rows = cast("list[Json]", _see(tech, f"/trace/lots/{LISINOPRIL}/{BULK}")["rows"])
    assert [row["lot"] for row in rows] == [BULK, UNITS]
    assert rows[1]["given"] == [
        {
            "dispense_id": number,
            "removal_id": None,
            "order_ref": "rx1",
            "patient_key": "p-1",
            "amount": {"quantity": "10", "unit": "EA", "milli": 10_000},
        }
    ]
    back = _see(tech, f"/trace/lots/{LISINOPRIL}/{UNITS}", direction="backward")
    assert [row["lot"] for row in cast("list[Json]", back["rows"])] == [UNITS, BULK]
    refused(tech.get(f"/api/v1/trace/lots/{LISINOPRIL}/none"), 404, "lot_not_found")
    body = {
        "dispense_id": number,
        "target": "shelf/B-01",
        "reason": "not picked up",
        "use_by": "2026-11-25",
        "request_id": "back",
    }
    more = {**body, "quantity": "11", "request_id": "more"}
    refused(tech.post("/api/v1/returns-to-stock", json=more), 409, "more_than_dispensed")
    returned = _ask(tech, "/returns-to-stock", body)
    assert (returned["lot"], returned["use_by"]) == (UNITS, "2026-11-25")
    assert returned["to_lot"] != UNITS
    assert _see(tech, "/returns-to-stock") == {"rows": [returned], "next_after": None}
    trace = _see(tech, f"/trace/dispenses/{number}")
    (part,) = cast("list[Json]", trace["parts"])
    assert part["amount"] == {"quantity": "0", "unit": "EA", "milli": 0}
    label = {"reason": "first"}
    refused(tech.post("/api/v1/returns-to-stock/1/label", json=label), 502, "device_problem")


def test_a_container_is_opened_seen_and_discarded(fresh: Bench, tech: httpx.Client) -> None:
    del fresh
    body = {
        "item_id": LISINOPRIL,
        "lot": BULK,
        "location": "shelf/A-03",
        "days": 5,
        "request_id": "open",
    }
    opened = _ask(tech, "/containers", body)
    assert (opened["use_by"], opened["left"]) == ("2026-11-27", None)
    seen = _ask(tech, "/containers/1/left", {"left": "12"})
    assert cast("Json", seen["left"])["quantity"] == "12"
    rows = cast("list[Json]", _see(tech, "/containers", state="open")["rows"])
    assert [row["id"] for row in rows] == [1]
    assert _see(tech, "/containers", expired="true")["rows"] == []
    done = _ask(tech, "/containers/1/discard", {"wasted": "12", "reason": "dropped"})
    assert done["state"] == "discarded"
    refused(tech.post("/api/v1/containers/1/empty"), 409, "container_closed")
    expired = {**body, "item_id": SALINE, "lot": "NA/1", "location": "shelf/B-01"}
    refused(
        tech.post("/api/v1/containers", json={**expired, "request_id": "x"}), 409, "blocked_lot"
    )


# ---------------------------------------------------------------- on the command line


@pytest.fixture
def run(fresh: Bench, tmp_path: Path) -> Run:
    port = int(fresh.base_url.rpartition(":")[2])
    return runner(write_config(tmp_path, port), {"DISPENSED_TOKEN": fresh.token})


def _arguments(name: str) -> list[str]:
    options = {
        "plan": f"repack plan {LISINOPRIL} {BULK} shelf/A-03 --units 4 --unit-quantity 10"
        " --container blister --target shelf/B-01",
        "pack": "repack pack 1 --bulk 43 --units 4 --waste 2 --samples 1",
    }
    return options[name].split()


def test_a_run_is_made_shown_and_logged_on_the_command_line(fresh: Bench, run: Run) -> None:
    assert "1, planned" in done(run(*_arguments("plan")))
    done(run("repack", "start", "1"))
    assert "2026-11-26" in done(run(*_arguments("pack")))
    assert "bench packed run 1; another person checks it" in failed(run("repack", "check", "1"), 1)
    token = fresh.store.write_sync(lambda tx: tokens.create(tx, "pam", "pharmacist", STAMP))
    done(run("repack", "check", "1", "--reason", "four blisters seen", "--token", token))
    released = json.loads(done(run("repack", "release", "1", "--token", token, "--json")))
    assert released["state"] == "released"
    assert UNITS in done(run("repack", "list"))
    assert json.loads(done(run("repack", "list", "--state", "planned", "--json")))["rows"] == []
    assert "checked by pam" in done(run("repack", "show", "1"))
    assert json.loads(done(run("repack", "show", "1", "--json")))["run"]["units"] == 4
    assert json.loads(done(run("repack", "log", "--json")))["rows"][0]["checked_by"] == "pam"
    assert "labels_printed       0" in done(run("repack", "log", "--run", "1"))
    (row,) = csv.DictReader(io.StringIO(done(run("repack", "log", "--csv"))))
    assert row["internal_lot"] == UNITS
    assert "printer" in failed(run("repack", "labels", "1"), 1)
    assert "2, planned" in done(run(*_arguments("plan"), "--units", "2"))
    gone = json.loads(done(run("repack", "cancel", "2", "--reason", "not needed", "--json")))
    assert gone["state"] == "cancelled"


def test_traces_returns_and_containers_work_on_the_command_line(fresh: Bench, run: Run) -> None:
    number = fresh.store.write_sync(lambda tx: _hand_out(tx, BULK, "shelf/A-03"))
    assert "patient p-1: 10 EA" in done(run("trace", "lot", LISINOPRIL, BULK))
    assert json.loads(done(run("trace", "lot", LISINOPRIL, BULK, "--backward", "--json")))["rows"]
    assert "came by opening: 45 EA" in done(run("trace", "dispense", str(number)))
    assert json.loads(done(run("trace", "dispense", str(number), "--json")))["order_ref"] == "rx1"
    back = ("return-to-stock", str(number), "shelf/A-03", "--reason", "not picked up")
    assert "10 EA of lot L24A" in done(run(*back))
    assert "nothing outside" in failed(run(*back, "--json"), 1)
    opened = ("containers", "open", OXYCODONE, "OX7", "shelf/B-01", "--rule", "manufacturer")
    assert "2027-06-30 (manufacturer)" in done(run(*opened))
    assert json.loads(done(run("containers", "left", "1", "40", "--json")))["id"] == 1
    assert "40 EA" in done(run("containers", "list"))
    assert json.loads(done(run("containers", "list", "--expired", "--json")))["rows"] == []
    refusal = failed(run("containers", "discard", "1", "--wasted", "40", "--reason", "x"), 1)
    assert "is CII" in refusal
    assert "empty" in done(run("containers", "empty", "1"))
