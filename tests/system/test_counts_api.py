"""Counts and discrepancies over a real socket and by command, and what a blind count hides."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from sqlalchemy import select

from dispensed.ledger import catalog, post, tokens
from dispensed.ledger import tables as t
from dispensed.ledger.post import Move
from dispensed.model.catalog import ExpirySource, Lot, LotState
from dispensed.model.movement import MovementKind
from tests.system.test_cli_commands import Run, done, failed, runner, write_config
from tests.system.test_web_api import refused
from tests.system.web_bench import LISINOPRIL, OXYCODONE, STAMP, Bench, bench, trouble

SECRET = 73_331
"""Thousandths of a lot that nothing may tell while it is counted blindly."""
HIDDEN = ("73.331", "73331", "73,331")


@dataclass
class Desk:
    """A pharmacy with three people, each with a token; `said` is all that it answered."""

    site: Bench
    people: dict[str, str]
    run: Run
    said: list[str]

    def ask(
        self, who: str, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> httpx.Response:
        with self.site.client(self.people[who]) as client:
            answer = client.request(method, f"/api/v1{path}", json=body)
        self.said.append(answer.text)
        return answer

    def command(self, who: str, *arguments: str) -> Result:
        token = () if who == "" else ("--token", self.people[who])
        result = self.run(*arguments, *token)
        self.said += [result.stdout, result.stderr]
        return result


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with bench(tmp_path) as site:
        people = {
            name: site.store.write_sync(
                lambda tx, name=name: tokens.create(tx, name, "technician", STAMP)  # type: ignore[misc] # a default binds it
            )
            for name in ("ann", "bob", "cy")
        }
        port = int(site.base_url.rpartition(":")[2])
        yield Desk(site, people, runner(write_config(tmp_path, port)), [])


def put_secret(site: Bench) -> None:
    lot = Lot(LISINOPRIL, "S1", date(2028, 1, 31), ExpirySource.TYPED, LotState.RELEASED)
    move = Move(
        kind=MovementKind.OPENING,
        item_id=LISINOPRIL,
        lot="S1",
        source="ext:opening",
        target="shelf/B-01",
        milli=SECRET,
        request_id="opening:secret",
        occurred_at=STAMP.at,
    )
    site.store.write_sync(lambda tx: catalog.put_lot(tx, lot, STAMP))
    site.store.write_sync(lambda tx: post.post(tx, move, STAMP, on_date=date(2026, 11, 22)))


def test_11_a_blind_count_discloses_no_expected_quantity_before_it_is_submitted(
    desk: Desk,
) -> None:
    put_secret(desk.site)
    body: dict[str, object] = {
        "kind": "blind",
        "location_id": "shelf/B-01",
        "item_id": LISINOPRIL,
        "request_id": "q1",
    }
    task = desk.ask("cy", "POST", "/counts", body).json()["task"]["id"]
    path = f"/counts/{task}"
    shown = desk.ask("ann", "GET", path).json()
    assert (shown["expected"], shown["rounds"]) == (None, [])
    desk.ask("cy", "POST", "/counts", {**body, "kind": "full"})
    desk.ask("cy", "POST", f"{path}/assign", {"owner": "ann"})
    for wrong in (
        {"lines": [{"quantity": "73.3312", "lot": "S1"}]},
        {"lines": [{"quantity": "1"}]},
        {"lines": [{"quantity": "1", "lot": "none"}]},
        {"lines": [{"quantity": "1", "lot": "S1", "item_id": OXYCODONE}]},
        {"lines": [], "position": 1},
        {"lines": [], "counted_at": "2027-01-01T00:00:00Z"},
        {"lines": [], "counted_at": "2026-01-01T00:00:00Z", "position": 99},
    ):
        answer = desk.ask("ann", "POST", f"{path}/results", {**wrong, "request_id": "x"})
        assert answer.status_code in {404, 422}
    desk.ask("ann", "POST", f"{path}/weigh", {"lot": "S1", "request_id": "x"})
    desk.ask("ann", "POST", f"{path}/snapshot", {"request_id": "x"})
    for listed in ("/counts", "/counts/plan", "/discrepancies?state=all", "/jobs", "/devices"):
        desk.ask("ann", "GET", listed)
    for arguments in (
        ("counts", "list"),
        ("counts", "list", "--json"),
        ("counts", "plan"),
        ("counts", "show", str(task)),
        ("counts", "show", str(task), "--json"),
        ("discrepancies", "list"),
    ):
        done(desk.command("", *arguments))
    desk.command("ann", "counts", "submit", str(task), "none=1")
    desk.command("ann", "counts", "submit", str(task), "S1=1.2345")
    # The first count differs; the second person learns neither it nor the book.
    first = {"lines": [{"quantity": "50", "lot": "S1"}], "request_id": "a1"}
    told = desk.ask("ann", "POST", f"{path}/results", first).json()
    assert (told["task"]["state"], told["expected"]) == ("recount", None)
    assert told["rounds"][0]["results"] == []
    again = {**first, "request_id": "a2"}
    refused(desk.ask("ann", "POST", f"{path}/results", again), 409, "same_person")
    desk.ask("bob", "GET", path)
    done(desk.command("", "counts", "show", str(task)))
    logged = json.dumps(desk.site.logs, default=str)
    trail = desk.site.store.read_sync(
        lambda tx: [
            f"{row.subject} {row.reason} {row.details}"
            for row in tx.execute(select(t.audit_event).where(t.audit_event.c.id > 0))
        ]
    )
    for text in (*desk.said, logged, *trail):
        assert not [number for number in HIDDEN if number in text.replace("73.3312", "")], text
    assert not [text for text in (*desk.said, *trail) if '"50"' in text]
    second = {"lines": [{"quantity": "73.331", "lot": "S1"}], "request_id": "b1"}
    shown = desk.ask("bob", "POST", f"{path}/results", second).json()
    assert shown["task"]["outcome"] == "agrees"
    assert [r["results"][0]["variance"]["milli"] for r in shown["rounds"]] == [-23_331, 0]


def test_a_count_and_its_recount_by_command_with_two_tokens(desk: Desk) -> None:
    opened = ("counts", "open", "shelf/A-03", "--item", LISINOPRIL, "--lot", "L24A")
    told = done(desk.command("cy", *opened, "--request-id", "o1"))
    assert "book       45 of lot L24A" in told
    number = json.loads(done(desk.command("cy", *opened, "--request-id", "o1", "--json")))
    task = str(number["task"]["id"])
    assert "recount" in done(desk.command("ann", "counts", "submit", task, "40"))
    assert "another person" in failed(desk.command("ann", "counts", "recount", task, "40"), 1)
    told = done(desk.command("bob", "counts", "recount", task, f"{LISINOPRIL}/L24A=41"))
    assert "outcome  posted" in told
    assert "lot L24A 68180051301: 41 EA, book 45 EA, variance -4 EA" in told
    assert "cycle" in done(desk.command("", "counts", "list", "--state", "closed"))
    rows = json.loads(done(desk.command("", "counts", "list", "--json")))["rows"]
    assert [row["outcome"] for row in rows] == ["posted"]
    rows = json.loads(done(desk.command("", "counts", "plan", "--json")))["rows"]
    assert (rows[0]["item_id"], rows[0]["abc"], rows[0]["controlled"]) == (OXYCODONE, "C", True)
    assert "never" in done(desk.command("", "counts", "plan"))
    stock = desk.ask("ann", "GET", "/stock?lot=L24A").json()["rows"]
    assert [row["on_hand"]["quantity"] for row in stock] == ["41"]
    whole = ("counts", "open", "shelf/A-03", "--kind", "full")
    task = str(json.loads(done(desk.command("cy", *whole, "--json")))["task"]["id"])
    assert "several lots" in failed(desk.command("ann", "counts", "weigh", task), 1)
    assert "no device holds" in failed(desk.command("ann", "counts", "snapshot", task), 1)
    cancelled = done(desk.command("cy", "counts", "cancel", task, "--reason", "wrong shelf"))
    assert "cancelled" in cancelled
    failed(desk.command("ann", "counts", "submit", task, "L24A=41"), 1)
    refused(desk.ask("ann", "GET", "/counts/99"), 404, "count_not_found")
    refused(desk.ask("ann", "GET", "/counts?state=lost"), 422, "bad_count")


def test_a_movement_told_after_a_count_is_shown_with_it(desk: Desk) -> None:
    task = desk.ask(
        "cy",
        "POST",
        "/counts",
        {"kind": "full", "location_id": "shelf/A-03", "request_id": "q"},
    ).json()["task"]["id"]
    desk.site.clock.at += timedelta(minutes=10)
    lines: dict[str, object] = {
        "lines": [{"quantity": "44", "lot": "L24A", "item_id": LISINOPRIL}],
        "request_id": "a",
    }
    assert desk.ask("ann", "POST", f"/counts/{task}/results", lines).status_code == 200
    late = Move(
        kind=MovementKind.WASTE,
        item_id=LISINOPRIL,
        lot="L24A",
        source="shelf/A-03",
        target="ext:waste",
        milli=1_000,
        request_id="late",
        occurred_at=desk.site.clock.at - timedelta(minutes=5),
    )
    number = desk.site.store.write_sync(
        lambda tx: post.post(tx, late, STAMP, on_date=date(2026, 11, 22))
    ).movement_id
    assert desk.ask("ann", "GET", f"/counts/{task}").json()["late_movements"] == [number]
    assert f"late       movements {number}" in done(desk.command("", "counts", "show", str(task)))


def test_a_discrepancy_of_a_controlled_drug_is_resolved_by_another_person_with_a_code(
    desk: Desk,
) -> None:
    seen = {"kind": "full", "location_id": "shelf/B-01", "request_id": "q", "item_id": OXYCODONE}
    task = desk.ask("cy", "POST", "/counts", {**seen, "lot": "OX7"}).json()["task"]["id"]
    counted = {"lines": [{"quantity": "100"}], "request_id": "a", "reason": "before the shift"}
    assert desk.ask("bob", "POST", f"/counts/{task}/results", counted).is_success
    desk.site.store.write_sync(trouble)
    (row,) = desk.ask("ann", "GET", "/discrepancies").json()["rows"]
    assert (row["kind"], row["difference"]["quantity"], row["owner"]) == ("snapshot", "-2", "")
    path = f"/discrepancies/{row['id']}"
    assert "OX7" in done(desk.command("", "discrepancies", "list"))
    assert "miscounted" in done(desk.command("", "discrepancies", "reasons"))
    told = done(desk.command("cy", "discrepancies", "assign", str(row["id"]), "bob"))
    assert "owner        bob" in told
    detail = desk.ask("ann", "GET", path).json()
    assert [(each["kind"], each["actor"]) for each in detail["accesses"]] == [
        ("count", "bob"),
        ("movement", "bench"),
    ]
    own = {"reason": "mine", "reason_code": "miscounted", "correct": True}
    with desk.site.client() as bench_client:  # its token is called bench: it had the last access
        answer = bench_client.post(f"/api/v1{path}/resolve", json=own)
    assert "bench had the last access" in refused(answer, 409, "own_access")
    for wrong, status, code in (
        ({"reason": "r"}, 422, "unknown_reason"),
        ({"reason": "r", "reason_code": "agrees_again"}, 422, "unknown_reason"),
        ({"reason": "r", "reason_code": "other"}, 409, "still_differs"),
        ({"reason": "r", "reason_code": "other", "correct": True, "reverses": 1}, 422, "invalid"),
        ({"reason": "r", "reason_code": "other", "reverses": 1}, 422, "invalid"),
        ({"reason": "r", "reason_code": "other", "movement_id": 99}, 404, "movement_not_found"),
        ({"reason": " ", "reason_code": "other"}, 422, "invalid"),
    ):
        refused(desk.ask("bob", "POST", f"{path}/resolve", wrong), status, code)
    resolved = ("discrepancies", "resolve", str(row["id"]), "--code", "miscounted", "--correct")
    told = done(desk.command("bob", *resolved, "--reason", "two short in the bottle"))
    assert "resolved by  movement 6, 2 EA" in told
    assert "closed" in told
    detail = json.loads(done(desk.command("", "discrepancies", "show", str(row["id"]), "--json")))
    assert detail["discrepancy"]["reason_code"] == "miscounted"
    assert detail["movements"][0]["kind"] == "loss"
    shown = done(desk.command("", "discrepancies", "show", str(row["id"])))
    assert "miscounted two short in the bottle" in shown
    assert "agreed       2026-11-22" in shown
    again = {"reason": "r", "reason_code": "other"}
    refused(desk.ask("bob", "POST", f"{path}/close", again), 409, "discrepancy_closed")
    assert desk.ask("ann", "GET", "/discrepancies").json()["rows"] == []
    rows = json.loads(done(desk.command("", "discrepancies", "list", "--state", "all", "--json")))
    assert [each["state"] for each in rows["rows"]] == ["closed"]
    codes = json.loads(done(desk.command("", "discrepancies", "reasons", "--json")))["rows"]
    assert "theft_or_loss" in [each["code"] for each in codes]
    assert desk.ask("ann", "GET", "/discrepancies/reasons").json()["rows"] == codes


def test_the_cost_of_a_pack_is_set_for_the_plan(desk: Desk) -> None:
    answer = desk.ask("cy", "PUT", f"/items/{LISINOPRIL}/cost", {"pack_minor": 1250})
    assert answer.json() == {"item_id": LISINOPRIL, "pack_minor": 1250}
    refused(desk.ask("cy", "PUT", "/items/none/cost", {"pack_minor": 1}), 404, "item_not_found")
