"""Controlled substances over a real socket and by command: who may do what, and what is told."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from dispensed.ledger import catalog, discrepancies, post, tokens
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move
from dispensed.model.catalog import Location, LocationKind, LotState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity, Unit
from tests.ledger.truth import check_ledger_at
from tests.system.test_cli_commands import done, failed, runner, write_config
from tests.system.test_counts_api import Desk
from tests.system.test_web_api import refused
from tests.system.web_bench import LISINOPRIL, NOW, OXYCODONE, STAMP, Bench, bench

SHELF = "shelf/B-01"
TAKEN: dict[str, object] = {
    "lot": "OX7",
    "location": SHELF,
    "quantity": "10",
    "patient_key": "p-17",
    "order_ref": "rx-1",
}
CELLS = (("OX7", SHELF, "100"), ("OX8", SHELF, "20.5"))


@dataclass
class Ward(Desk):
    """A desk with a schedule II drug of its own: OX7 100 on the shelf, OX8 20.5 on hold."""

    drug: str

    def ask(
        self, who: str, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> httpx.Response:
        """Ask with a request id that no other test uses."""
        if body is not None and "request_id" in body:
            body = {**body, "request_id": f"{self.drug}:{body['request_id']}"}
        return super().ask(who, method, path, body)


def _furnish(tx: Tx, drug: str) -> None:
    for place in (
        Location("in-hand", LocationKind.IN_HAND, "site"),
        Location("vault", LocationKind.BIN, "site"),
        Location("ward", LocationKind.BIN, "site"),
    ):
        catalog.put_location(tx, place, STAMP)
    if drug != OXYCODONE:
        catalog.put_item(tx, replace(catalog.get_item(tx, OXYCODONE), item_id=drug), STAMP)
        for lot, shelf, quantity in CELLS:
            known = catalog.get_lot(tx, OXYCODONE, lot)
            catalog.put_lot(tx, replace(known, item_id=drug, state=LotState.RELEASED), STAMP)
            move = Move(
                kind=MovementKind.OPENING,
                item_id=drug,
                lot=lot,
                source="ext:opening",
                target=shelf,
                milli=Quantity.parse(quantity, Unit.EA).milli,
                request_id=f"opening:{drug}:{lot}",
                occurred_at=NOW,
            )
            post.post(tx, move, STAMP, on_date=date(2026, 11, 22))
            catalog.set_lot_state(tx, drug, lot, known.state, STAMP)


def _staff(site: Bench, folder: Path) -> Desk:
    people = {
        name: site.store.write_sync(
            partial(tokens.create, name=name, role="technician", stamp=STAMP)
        )
        for name in ("ann", "bob", "cy")
    }
    port = int(site.base_url.rpartition(":")[2])
    return Desk(site, people, runner(write_config(folder, port)), [])


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One hospital for all tests that ask about a drug of their own."""
    folder = tmp_path_factory.mktemp("hall")
    with bench(folder) as site:
        yield _staff(site, folder)
    check_ledger_at(f"sqlite:///{folder / 'dispensed.db'}")


@pytest.fixture
def ward(hall: Desk) -> Ward:
    """A drug that no other test knows, on the morning of 22 November."""
    drug = f"drug{len(hall.said):05}"
    hall.said.append(drug)
    hall.site.clock.at = NOW
    hall.site.store.write_sync(partial(_furnish, drug=drug))
    return Ward(hall.site, hall.people, hall.run, hall.said, drug)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Ward]:
    """A hospital with one drug."""
    with bench(tmp_path) as site:
        desk = _staff(site, tmp_path)
        site.store.write_sync(partial(_furnish, drug=OXYCODONE))
        yield Ward(site, desk.people, desk.run, [], OXYCODONE)


def take(ward: Ward, who: str, name: str, **changed: object) -> httpx.Response:
    body = {**TAKEN, "item_id": ward.drug, "request_id": name, **changed}
    return ward.ask(who, "POST", "/controlled/removals", body)


def open_list(ward: Ward) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = ward.ask(
        "bob", "GET", "/controlled/removals?limit=1000"
    ).json()["rows"]
    return rows


def on_hand(ward: Ward, lot: str) -> dict[str, str]:
    rows = ward.ask("ann", "GET", f"/stock?item={ward.drug}&lot={lot}").json()["rows"]
    return {row["location_id"]: row["on_hand"]["quantity"] for row in rows}


# ---------------------------------------------------------------- custody


def test_a_removal_is_open_until_it_adds_up_and_its_waste_waits_for_another_person(
    ward: Ward,
) -> None:
    first = take(ward, "ann", "r1")
    assert (first.status_code, first.json()["remaining"]["quantity"]) == (201, "10")
    assert take(ward, "ann", "r1").json()["id"] == first.json()["id"]
    number = first.json()["id"]
    path = f"/controlled/removals/{number}"
    ward.ask("ann", "POST", f"{path}/given", {"quantity": "7", "request_id": "g"})
    body = {"quantity": "2", "location": SHELF, "request_id": "b"}
    ward.ask("ann", "POST", f"{path}/returned", body)
    stated = ward.ask(
        "ann",
        "POST",
        "/controlled/wastes",
        {"removal_id": number, "quantity": "1", "reason": "dropped", "request_id": "w"},
    ).json()
    assert (stated["state"], stated["movement_id"]) == ("pending", None)
    ward.site.clock.at = NOW + timedelta(minutes=2)
    confirm = f"/controlled/wastes/{stated['id']}/witness"
    refused(ward.ask("ann", "POST", confirm), 409, "witness_is_author")
    opened = {row["id"]: row["age_minutes"] for row in open_list(ward)}
    assert opened[number] == 2
    posted = ward.ask("bob", "POST", confirm).json()
    assert (posted["state"], posted["witness"]) == ("posted", "bob")
    refused(ward.ask("cy", "POST", confirm), 409, "already_witnessed")
    assert number not in {row["id"] for row in open_list(ward)}
    detail = ward.ask("bob", "GET", path).json()
    assert [step["kind"] for step in detail["steps"]] == ["given", "returned", "wasted"]
    assert detail["removal"]["closed_at"] is not None
    assert detail["removal"]["null_transaction"] is False
    assert detail["wastes"][0]["id"] == stated["id"]


def test_13_a_waste_that_nobody_confirms_in_two_minutes_expires_and_moves_nothing(
    ward: Ward,
) -> None:
    waste: dict[str, object] = {
        "item_id": ward.drug,
        "lot": "OX7",
        "location": SHELF,
        "quantity": "1",
        "reason": "broken",
    }
    first = ward.ask("ann", "POST", "/controlled/wastes", {**waste, "request_id": "w1"}).json()
    ward.site.clock.at = NOW + timedelta(seconds=121)
    late = ward.ask("bob", "POST", f"/controlled/wastes/{first['id']}/witness")
    assert "state it again" in refused(late, 409, "witness_too_late")
    assert on_hand(ward, "OX7") == {SHELF: "100"}
    again = ward.ask("ann", "POST", "/controlled/wastes", {**waste, "request_id": "w2"}).json()
    ward.ask("bob", "POST", f"/controlled/wastes/{again['id']}/witness")
    assert on_hand(ward, "OX7") == {SHELF: "99"}
    rows = ward.ask("ann", "GET", f"/controlled/wastes?after={first['id'] - 1}&limit=2").json()
    assert [row["state"] for row in rows["rows"]] == ["expired", "posted"]


def test_13_no_address_moves_a_controlled_item_to_waste_without_a_witness(ward: Ward) -> None:
    transfer = {"item_id": ward.drug, "lot": "OX7", "source": SHELF, "target": "ext:waste"}
    body = {**transfer, "quantity": "1", "reason": "x", "request_id": "t"}
    refused(ward.ask("ann", "POST", "/transfers", body), 422, "illegal_movement")
    assert on_hand(ward, "OX7") == {SHELF: "100"}


def test_an_uncontrolled_waste_is_posted_at_once(ward: Ward) -> None:
    waste = {"item_id": LISINOPRIL, "lot": "L24A", "location": "shelf/A-03", "quantity": "1"}
    body = {**waste, "reason": "crushed", "request_id": "w"}
    row = ward.ask("ann", "POST", "/controlled/wastes", body).json()
    assert (row["state"], row["witness"]) == ("posted", None)


def test_what_is_wrong_with_a_removal_or_waste_is_told(ward: Ward) -> None:
    refused(take(ward, "ann", "x", order_ref=None), 422, "override_needs_reason")
    refused(take(ward, "ann", "x", lot="OX8"), 409, "blocked_lot")
    refused(take(ward, "ann", "x", patient_key=" x"), 422, "invalid")
    refused(ward.ask("ann", "GET", "/controlled/removals/999999"), 404, "removal_not_found")
    refused(ward.ask("ann", "POST", "/controlled/wastes/999999/witness"), 404, "waste_not_found")
    path = f"/controlled/removals/{take(ward, 'ann', 'r1').json()['id']}/given"
    answer = ward.ask("ann", "POST", path, {"quantity": "11", "request_id": "g"})
    assert "10 EA of 10 EA are open, 11 EA stated" in refused(answer, 409, "more_than_open")
    for wrong in ({}, {"removal_id": 1, "item_id": ward.drug}):
        body: dict[str, object] = {**wrong, "quantity": "1", "reason": "x", "request_id": "w"}
        refused(ward.ask("ann", "POST", "/controlled/wastes", body), 422, "invalid")


# ---------------------------------------------------------------- order forms


def test_schedule_ii_is_received_on_a_line_of_a_form_and_never_more_than_ordered(
    ward: Ward,
) -> None:
    receipt: dict[str, object] = {
        "quantity": "150",
        "item_id": ward.drug,
        "lot": "OX9",
        "expiry": "2028-01-31",
    }

    def receive(name: str, **more: object) -> httpx.Response:
        return ward.ask("ann", "POST", "/receipts", {**receipt, "request_id": name, **more})

    on_line = {"order_form": "26X00A1B2", "order_line": 1}
    refused(receive("r"), 409, "order_form_needed")
    refused(receive("r", order_form="26X00A1B2"), 422, "invalid")
    refused(receive("r", **on_line), 404, "order_form_not_found")
    form = {
        "number": "26X00A1B2",
        "supplier": "Wholesale",
        "ordered_on": "2026-11-20",
        "lines": [{"line": 1, "item_id": ward.drug, "packages": 2, "package": "100"}],
    }
    refused(
        ward.ask("ann", "POST", "/controlled/order-forms", {**form, "number": "12"}),
        422,
        "bad_order_form",
    )
    for wrong in ({"ordered_on": "2026-11-23"}, {"supplier": " "}):
        refused(
            ward.ask("ann", "POST", "/controlled/order-forms", {**form, **wrong}), 422, "invalid"
        )
    kept = ward.ask("ann", "POST", "/controlled/order-forms", form).json()
    assert (kept["kind"], kept["valid_until"]) == ("csos", "2027-01-19")
    assert receive("r1", **on_line).status_code == 201
    assert receive("r1", **on_line).json()["repeated"] is True
    refused(receive("r2", **on_line), 409, "over_receipt")
    assert receive("r3", **on_line, quantity="50").status_code == 201
    (line,) = ward.ask("ann", "GET", "/controlled/order-forms/26X00A1B2").json()["lines"]
    assert line["received"]["quantity"] == line["ordered"]["quantity"] == "200"
    assert line["last_received_on"] == "2026-11-22"
    assert receive("r4", opening=True, quantity="5").status_code == 201
    assert len(ward.ask("ann", "GET", "/controlled/order-forms").json()["rows"]) == 1


# ---------------------------------------------------------------- inventories and the record


def test_an_inventory_is_counted_signed_by_two_and_then_compared_with_the_book(
    alone: Ward,
) -> None:
    ward = alone
    due = "/controlled/inventories/due"
    assert ward.ask("ann", "GET", due).json() == {"next_due": None}
    head = {"kind": "initial", "on_date": "2026-11-22", "moment": "closing"}
    refused(
        ward.ask("ann", "POST", "/controlled/inventories", {**head, "on_date": "2026-11-23"}),
        422,
        "invalid",
    )
    ward.ask("ann", "POST", "/controlled/inventories", head)
    path = "/controlled/inventories/1"
    line = {"item_id": ward.drug, "lot": "OX7", "location": SHELF, "quantity": "99"}
    estimate = {**line, "method": "estimated", "container": "100"}
    refused(ward.ask("ann", "POST", f"{path}/lines", estimate), 422, "estimate_refused")
    ward.ask("ann", "POST", f"{path}/lines", line)
    said = refused(ward.ask("ann", "POST", f"{path}/sign"), 409, "inventory_incomplete")
    assert "lot OX8" in said
    assert "20.5" not in said
    ward.ask("bob", "POST", f"{path}/lines", {**line, "lot": "OX8", "quantity": "20.5"})
    assert '"book":null,"variance":null' in ward.ask("bob", "GET", path).text
    ward.ask("ann", "POST", f"{path}/sign")
    row = ward.ask("bob", "POST", f"{path}/sign").json()
    assert row["state"] == "complete"
    assert [each["variance"]["quantity"] for each in row["lines"]] == ["-1", "0"]
    assert ward.ask("ann", "GET", due).json() == {"next_due": "2028-11-22"}
    assert len(ward.ask("ann", "GET", "/controlled/inventories").json()["rows"]) == 1


def test_the_record_of_an_item_runs_over_pages_with_patient_key_and_witness(ward: Ward) -> None:
    number = take(ward, "ann", "r1").json()["id"]
    given = {"quantity": "10", "request_id": "g"}
    ward.ask("ann", "POST", f"/controlled/removals/{number}/given", given)
    first = ward.ask("bob", "GET", f"/controlled/record?item={ward.drug}&limit=3").json()
    assert [row["balance"]["quantity"] for row in first["rows"]] == ["100", "120.5", "120.5"]
    assert first["rows"][2]["reference"] == f"order rx-1, removal {number}, patient p-17"
    more = f"/controlled/record?item={ward.drug}&after={first['next_after']}"
    rest = ward.ask("bob", "GET", more).json()
    assert (rest["opening"]["quantity"], rest["closing"]["quantity"]) == ("120.5", "110.5")
    refused(ward.ask("bob", "GET", f"/controlled/record?item={LISINOPRIL}"), 422, "invalid")


# ---------------------------------------------------------------- losses


def test_a_loss_has_its_clocks_and_form_106_its_data(ward: Ward) -> None:
    def short(tx: Tx) -> None:
        discrepancies.add(
            tx,
            kind="count",
            item_id=ward.drug,
            lot="OX7",
            location_id=SHELF,
            change=-2000,
            detail="counted 98",
            stamp=STAMP,
        )

    ward.site.store.write_sync(short)
    rows = ward.ask("ann", "GET", "/discrepancies").json()["rows"]
    number = next(each["id"] for each in rows if each["item_id"] == ward.drug)
    told: dict[str, object] = {"cause": "other", "detail": "two tablets short"}
    lost = [{"item_id": ward.drug, "lot": "OX7", "quantity": "2"}]
    for wrong in (
        {},
        {"lost": lost, "discrepancy_id": number},
        {"lost": lost, "discovered_at": "2027-01-01T00:00:00Z"},
        {"lost": lost, "detail": " "},
    ):
        refused(ward.ask("ann", "POST", "/controlled/losses", {**told, **wrong}), 422, "invalid")
    short_of = {**told, "discrepancy_id": number}
    row = ward.ask("ann", "POST", "/controlled/losses", short_of).json()
    # 22 November 2026 is a Sunday; the next business day is Monday, 45 days later 6 January.
    assert (row["state"], row["notice_due"], row["form_due"]) == (
        "open",
        "2026-11-23",
        "2027-01-06",
    )
    path = f"/controlled/losses/{row['id']}"
    form = ward.ask("ann", "GET", f"{path}/form-106").json()
    assert form["9_thefts_or_losses_in_past_24_months"] == 0
    assert (form["10_type"], form["17_explanation"]) == ("other", "two tablets short")
    assert form["4_date_of_theft_or_loss"] == "2026-11-22"
    assert form["controlled_substances"] == [
        {
            "trade_name": "Oxycodone hydrochloride",
            "ndc": None,
            "strength": "5 mg",
            "dosage_form": "tablet",
            "schedule": "CII",
            "lot": "OX7",
            "package_size": "100 EA",
            "quantity": "2 EA",
        }
    ]
    refused(ward.ask("ann", "POST", f"{path}/reported", {"reference": "x"}), 409, "loss_untold")
    ward.ask("ann", "POST", f"{path}/notified", {"reference": "letter of 22 November"})
    ward.ask("ann", "POST", f"{path}/reported", {"reference": "106-77"})
    closing = {"outcome": "reported", "reason": "sent"}
    assert ward.ask("ann", "POST", f"{path}/close", closing).json()["state"] == "closed"
    refused(ward.ask("ann", "POST", f"{path}/close", closing), 409, "loss_closed")
    refused(ward.ask("ann", "POST", f"{path}/close", {**closing, "reason": " "}), 422, "invalid")
    assert ward.ask("ann", "GET", "/controlled/losses").json()["rows"] == []
    everything = ward.ask("ann", "GET", "/controlled/losses?everything=true").json()["rows"]
    assert everything[0] == ward.ask("ann", "GET", path).json()


# ---------------------------------------------------------------- vault and persons


def test_what_left_the_vault_and_did_not_arrive_within_a_day_is_listed(ward: Ward) -> None:
    moves: dict[str, object] = {"item_id": ward.drug, "lot": "OX7", "quantity": "30"}
    for source, target in ((SHELF, "vault"), ("vault", "ward")):
        body = {**moves, "source": source, "target": target, "request_id": target}
        assert ward.ask("ann", "POST", "/transfers", body).status_code == 201

    def missing() -> list[dict[str, object]]:
        found = ward.ask("bob", "GET", "/controlled/compare").json()
        assert found["loads_without_issue"] == []
        return [row for row in found["issues_without_load"] if row["item_id"] == ward.drug]

    assert missing() == []
    ward.site.clock.at = NOW + timedelta(days=1, seconds=1)
    (issue,) = missing()
    assert (issue["location_id"], issue["unmatched_milli"], issue["actor"]) == (
        "ward",
        30_000,
        "ann",
    )
    refused(ward.ask("bob", "GET", "/controlled/compare?vault=none"), 404, "location_not_found")
    same = "since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z"
    refused(ward.ask("bob", "GET", f"/controlled/compare?{same}"), 422, "invalid")


def test_indicators_name_everybody_who_removed(ward: Ward) -> None:
    take(ward, "ann", "r1")
    ward.site.clock.at = NOW + timedelta(minutes=1)
    rows = ward.ask("bob", "GET", "/controlled/indicators").json()["rows"]
    (ann,) = [row for row in rows if row["person"] == "ann"]
    assert (ann["rank"], ann["look"]) == (0, False)
    assert ann["removals"] >= 1


# ---------------------------------------------------------------- by command


def test_custody_goes_by_command_with_everybodys_own_token(alone: Ward) -> None:
    ward = alone
    who = ("--item", ward.drug, "--lot", "OX7", "--location", SHELF, "--patient-key", "p-9")
    take_it = ("controlled", "removals", "take", "3", *who, "--order-ref", "rx-2")
    assert "open      3 EA" in done(ward.command("ann", *take_it))
    failed(ward.command("ann", "controlled", "removals", "take", "3", *who), 1)
    done(ward.command("ann", "controlled", "removals", "given", "1", "1"))
    back = ("controlled", "removals", "returned", "1", "1", "--location", SHELF)
    assert json.loads(done(ward.command("ann", *back, "--json")))["returned"]["quantity"] == "1"
    waste = ("controlled", "waste", "1", "--removal", "1", "--reason", "spat out")
    assert "(pending)" in done(ward.command("ann", *waste))
    failed(ward.command("ann", "controlled", "witness", "1"), 1)
    assert "rx-2" in done(ward.command("", "controlled", "removals", "list"))
    assert "(posted)" in done(ward.command("bob", "controlled", "witness", "1"))
    assert done(ward.command("", "controlled", "removals", "list")) == "none\n"
    listed = done(ward.command("", "controlled", "removals", "list", "--all", "--json"))
    assert json.loads(listed)["rows"][0]["remaining"]["milli"] == 0
    assert "wasted 1 EA by ann" in done(ward.command("", "controlled", "removals", "show", "1"))
    shown = done(ward.command("", "controlled", "removals", "show", "1", "--json"))
    assert len(json.loads(shown)["steps"]) == 3
    record = ("controlled", "record", ward.drug, "--since", "2026-11-22")
    assert "ann, bob" in done(ward.command("", *record))
    assert json.loads(done(ward.command("", *record, "--json")))["closing"]["quantity"] == "118.5"
    period = ("--since", "2026-11-01", "--until", "2026-12-01")
    for name in ("compare", "indicators"):
        done(ward.command("", "controlled", name, *period, "--json"))
    assert "ann" in done(ward.command("", "controlled", "indicators", *period))
    assert done(ward.command("", "controlled", "compare", *period)) == "none\n"


def test_inventories_losses_and_forms_go_by_command(alone: Ward) -> None:
    ward = alone
    begin = ("controlled", "inventory", "begin", "biennial", "--on", "2026-11-22")
    done(ward.command("ann", *begin, "--moment", "closing"))
    for lot, place, quantity in CELLS:
        cell = ("--item", ward.drug, "--lot", lot, "--location", place)
        done(ward.command("ann", "controlled", "inventory", "count", "1", quantity, *cell))
    done(ward.command("ann", "controlled", "inventory", "sign", "1", "--json"))
    assert "(biennial)" in done(ward.command("bob", "controlled", "inventory", "sign", "1"))
    assert "next due: 2028-11-22" in done(ward.command("", "controlled", "inventory", "list"))
    listed = done(ward.command("", "controlled", "inventory", "list", "--json"))
    assert json.loads(listed)["rows"][0]["state"] == "complete"
    assert "20.5 EA" in done(ward.command("", "controlled", "inventory", "show", "1"))

    lost = ("--cause", "other", "--lost", f"{ward.drug},OX7,2")
    opened = done(ward.command("ann", "controlled", "losses", "open", "two missing", *lost))
    assert "notice due    2026-11-23" in opened
    failed(ward.command("ann", "controlled", "losses", "open", "x", *lost, "--lost", "a,b"), 2)
    assert "two missing" in done(ward.command("", "controlled", "losses", "list"))
    form = json.loads(done(ward.command("", "controlled", "losses", "form-106", "1")))
    assert form["form"] == "DEA-106"
    done(ward.command("ann", "controlled", "losses", "notified", "1", "letter"))
    done(ward.command("ann", "controlled", "losses", "reported", "1", "106-1", "--json"))
    end = ("controlled", "losses", "close", "1", "reported", "--reason", "sent")
    assert "(closed)" in done(ward.command("ann", *end))
    assert (
        json.loads(done(ward.command("", "controlled", "losses", "list", "--json")))["rows"] == []
    )

    line = ("--on", "2026-11-20", "--line", f"1,{ward.drug},2,100")
    add = ("controlled", "forms", "add", "123456789", "--supplier", "Wholesale", *line)
    assert "(form_222)" in done(ward.command("ann", *add))
    done(ward.command("ann", *add, "--json"))
    typed = ("--item", ward.drug, "--lot", "OX9", "--expiry", str(date(2028, 1, 31)))
    on_line = ("--order-form", "123456789", "--order-line", "1")
    done(ward.command("ann", "receive", "100", *typed, *on_line))
    assert "Wholesale" in done(ward.command("", "controlled", "forms", "list"))
    forms = json.loads(done(ward.command("", "controlled", "forms", "list", "--json")))
    assert forms["rows"][0]["lines"][0]["received"]["quantity"] == "100"
