"""What may be kept where, and stock of trials: decisions are refused, facts booked and shown."""

import csv
import io
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from dispensed.errors import Invalid, NotFound
from dispensed.ledger import audit, catalog, discrepancies, picking, post, read, reorder, special
from dispensed.ledger import tables as t
from dispensed.ledger import trials as rows
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.special import PlaceRuleBroken, ProtocolMixed
from dispensed.ledger.trials import (
    OrderOfOtherProtocol,
    PlaceInItself,
    PlaceInUse,
    ProtocolClosed,
    ProtocolExists,
)
from dispensed.model.catalog import Location, LocationKind, Storage
from dispensed.services import batching, carrying, dispensing, expiring, inputs, places, trials
from dispensed.services.batching import NewBatch, Pack
from dispensed.services.dispensing import Order
from dispensed.services.site import Site
from dispensed.services.trials import NewProtocol, NewRule
from drivers.base import InputAsked
from tests.ledger.book import (
    CONTROLLED,
    DISPENSED,
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    OPENING,
    OUTDATE,
    RECEIVING,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    furnish,
)
from tests.ledger.desk import Journal, desk

TRIAL, A1, A2, B1 = "trials", "trials/A/1", "trials/A/2", "trials/B/1"


@pytest.fixture
def journal(store: Store) -> Journal:
    store.write_sync(furnish)
    return Journal(store)


@pytest.fixture
async def site(store: Store, journal: Journal) -> Site:
    del journal
    made, _ = desk(store)
    await places.ensure_places(made)
    for place, kind, parent in (
        (TRIAL, "area", None),
        ("trials/A", "area", TRIAL),
        ("trials/B", "area", TRIAL),
        (A1, "bin", "trials/A"),
        (A2, "bin", "trials/A"),
        (B1, "bin", "trials/B"),
    ):
        await trials.add_place(made, place, kind, parent, "ida")
    for name in ("A", "B"):
        papers = NewProtocol(f"NCI-{name}", f"Trial {name}", "NCI", "Dr Who")
        await trials.open_protocol(made, papers, "ida")
        await rule(made, f"trials/{name}", protocol=f"NCI-{name}")
    return made


async def rule(site: Site, place: str, **said: object) -> trials.PlaceRules:
    return await trials.set_rule(site, replace(NewRule(place, "by design"), **said), "ida")  # type: ignore[arg-type] # fields of NewRule


# ---------------------------------------------------------------- rules of places


async def test_a_decision_that_breaks_the_rule_of_a_place_is_refused_naming_all(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.OPENING, OPENING, SHELF, 50)
    await rule(site, "site", storage="refrigerated")
    await trials.add_place(site, SHELF2, "bin", None, "ida")
    with pytest.raises(PlaceRuleBroken, match=r"item 00071015523 at shelf/A-02: it is stored room"):
        journal(K.TRANSFER, SHELF, SHELF2, 1)
    await rule(site, SHELF2, storage="room", capacity=10, items=(ITEM,))
    journal(K.TRANSFER, SHELF, SHELF2, 4)
    journal(K.TRANSFER, SHELF, SHELF2, 6)
    with pytest.raises(PlaceRuleBroken, match="it would hold 11 EA, at most 10 fit"):
        journal(K.TRANSFER, SHELF, SHELF2, 1)
    with pytest.raises(PlaceRuleBroken, match="the place is for other items"):
        journal(K.RECEIVE, "ext:supplier", SHELF2, 1, item_id=CONTROLLED)
    journal(K.FOUND, "ext:found", SHELF2, 1)
    held = await trials.rules_at(site, SHELF2)
    assert held.holds.storage is Storage.ROOM
    assert (await rule(site, SHELF2)).own is None
    assert (await trials.rules_at(site, SHELF2)).holds.storage is Storage.REFRIGERATED
    assert [row.location_id for row in await trials.rules(site)] == ["site", "trials/A", "trials/B"]
    assert store.read_sync(audit.verify).ok


async def test_hazardous_and_high_alert_drugs_stay_out_where_the_rule_says_so(
    store: Store, site: Site, journal: Journal
) -> None:
    def flag(tx: Tx) -> None:
        item = catalog.get_item(tx, ITEM)
        catalog.put_item(tx, replace(item, hazardous=True, high_alert=True), STAMP)

    store.write_sync(flag)
    journal(K.OPENING, OPENING, RECEIVING, 50)
    await rule(site, SHELF, hazardous=False)
    await rule(site, SHELF2, high_alert=False)
    await rule(site, ROBOT, hazardous=True, high_alert=True)
    with pytest.raises(PlaceRuleBroken, match="no hazardous drugs"):
        journal(K.TRANSFER, RECEIVING, SHELF, 1)
    with pytest.raises(PlaceRuleBroken, match="no high-alert drugs"):
        journal(K.TRANSFER, RECEIVING, SHELF2, 1)
    journal(K.LOAD, RECEIVING, ROBOT, 1)


async def test_a_fact_that_breaks_a_rule_is_booked_and_shown_as_misplaced(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.OPENING, OPENING, SHELF, 50)
    await rule(site, ROBOT, storage="frozen")
    journal(K.LOAD, SHELF, ROBOT, 2, fact=True)
    assert store.read_sync(lambda tx: read.book_of(tx, ROBOT)) == {(ITEM, LOT): 2000}
    (found,) = store.read_sync(discrepancies.page)
    assert (found.kind, found.location_id, found.difference) == ("misplaced", ROBOT, 2000)
    assert found.detail == "item 00071015523 at robot1: it is stored room, the place is frozen"


async def test_a_cabinet_is_told_what_to_cool_and_refuses_what_its_rule_forbids(
    store: Store, site: Site
) -> None:
    decide = inputs.input_handler(site, ROBOT)
    asked = InputAsked("", article=ITEM, lot=LOT, expiry=None, units=30)
    answer = await decide(asked)
    assert (answer.allowed, answer.refrigerated) == (True, False)

    def cool(tx: Tx) -> None:
        item = catalog.get_item(tx, ITEM)
        catalog.put_item(tx, replace(item, storage=Storage.REFRIGERATED), STAMP)

    store.write_sync(cool)
    answer = await decide(asked)
    assert (answer.allowed, answer.refrigerated) == (True, True)
    await rule(site, ROBOT, storage="room")
    answer = await decide(asked)
    assert (answer.allowed, answer.reason) == (
        False,
        "item 00071015523 at robot1: it is stored refrigerated, the place is room",
    )


async def test_a_rule_that_cannot_be_is_refused(site: Site) -> None:
    with pytest.raises(Invalid, match="say why"):
        await trials.set_rule(site, NewRule(SHELF, " "), "ida")
    with pytest.raises(Invalid, match="storage 'warm'"):
        await rule(site, SHELF, storage="warm")
    with pytest.raises(Invalid, match="a capacity of 0"):
        await rule(site, SHELF, capacity=0)
    with pytest.raises(NotFound, match="location cellar"):
        await rule(site, "cellar", capacity=1)
    with pytest.raises(NotFound, match="item NONE"):
        await rule(site, SHELF, items=("NONE",))
    with pytest.raises(NotFound, match="no protocol NCI-C"):
        await rule(site, SHELF, protocol="NCI-C")
    with pytest.raises(NotFound, match="cellar"):
        await trials.rules_at(site, "cellar")
    with pytest.raises(Invalid, match="place kind 'device'"):
        await trials.add_place(site, "x", "device", None, "ida")
    with pytest.raises(PlaceInItself, match="trials/A lies in trials"):
        await trials.add_place(site, TRIAL, "area", "trials/A", "ida")


# ---------------------------------------------------------------- trials


async def test_stock_of_protocol_a_never_fills_protocol_b_nor_anything_else(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    journal(K.RECEIVE, "ext:supplier", B1, 40, lot=LATE_LOT)
    journal(K.OPENING, OPENING, SHELF, 30, lot=LATE_LOT)

    def seen(protocol: str | None) -> set[str]:
        found = store.read_sync(lambda tx: picking.candidates(tx, ITEM, TODAY, protocol=protocol))
        return {row.location_id for row in found}

    assert (seen(None), seen("NCI-A"), seen("NCI-B")) == ({SHELF}, {A1}, {B1})
    fill = await _ordered(site, "NCI-A", "30")
    plain = await _ordered(site, None, "30")
    for wrong, place, lot in (
        (fill, B1, LATE_LOT),
        (fill, SHELF, LATE_LOT),
        (plain, A1, LOT),
        (None, A1, LOT),
    ):
        with pytest.raises(ProtocolMixed, match=f"{place} to fill: the stock is of"):
            journal(K.PICK, place, FILL, 1, lot=lot, dispense_id=wrong)
        if wrong is not None:
            with pytest.raises(ProtocolMixed, match=f"at {place}: the stock is of"):
                store.write_sync(partial(_reserve, dispense_id=wrong, place=place, lot=lot))
    carried = await carrying.carry(site, fill)
    assert carried.state == "commanded"
    done = await dispensing.count_by_hand(site, fill, "30", "ida", "counted")
    assert done.state == "counted"
    assert store.read_sync(lambda tx: read.book_of(tx, A1)) == {(ITEM, LOT): 30_000}


async def _ordered(site: Site, protocol: str | None, quantity: str) -> int:
    name = f"rx-{protocol}"
    asked = Order(name, ITEM, quantity, f"subject-{protocol}", f"ask:{name}", protocol=protocol)
    row = await dispensing.request(site, asked, "ida")
    assert (await dispensing.request(site, asked, "ida")).id == row.id
    return row.id


def _reserve(tx: Tx, dispense_id: int, place: str, lot: str) -> int:
    return post.reserve(
        tx,
        dispense_id=dispense_id,
        item_id=ITEM,
        lot=lot,
        location=place,
        milli=1000,
        request_id=f"r:{dispense_id}:{place}",
        stamp=STAMP,
        on_date=TODAY,
    )


@pytest.mark.usefixtures("site")
async def test_stock_of_a_trial_moves_only_within_it_or_apart(
    store: Store, journal: Journal
) -> None:
    journal(K.OPENING, OPENING, RECEIVING, 30)
    journal(K.OPENING, OPENING, SHELF, 30)
    journal(K.TRANSFER, RECEIVING, A1, 30)
    journal(K.TRANSFER, A1, A2, 10)
    for source, target in ((A1, B1), (A1, SHELF), (A1, RECEIVING), (SHELF, A1)):
        with pytest.raises(ProtocolMixed):
            journal(K.TRANSFER, source, target, 1)
    with pytest.raises(ProtocolMixed, match="neither repacked nor sent"):
        journal(K.CONSUME, A1, "ext:repack", 1)
    journal(K.TRANSFER, A1, OUTDATE, 5)
    for target in (SHELF, B1):
        with pytest.raises(ProtocolMixed):
            journal(K.TRANSFER, OUTDATE, target, 1)
    journal(K.TRANSFER, OUTDATE, A2, 2)
    journal(K.DESTROY, OUTDATE, "ext:destruction", 3)
    assert [(e, c) for e, c in _entries(store)] == [
        ("received", 30_000),
        ("segregated", -5000),
        ("brought_back", 2000),
        ("destroyed", 0),
    ]
    journal(K.TRANSFER, SHELF, OUTDATE, 3)
    journal(K.TRANSFER, OUTDATE, SHELF, 3)


def _entries(store: Store) -> list[tuple[str, int]]:
    query = select(t.protocol_entry.c.entry, t.protocol_entry.c.change).order_by(
        t.protocol_entry.c.id
    )
    return [(row.entry, row.change) for row in store.read_sync(lambda tx: tx.execute(query).all())]


@pytest.mark.usefixtures("site")
async def test_what_two_trials_set_apart_of_one_lot_leaves_in_the_order_of_their_numbers(
    store: Store, journal: Journal
) -> None:
    for place in (A1, B1):
        journal(K.RECEIVE, "ext:supplier", place, 9)
        journal(K.TRANSFER, place, OUTDATE, 5)
    journal(K.DESTROY, OUTDATE, "ext:destruction", 3)
    journal(K.DESTROY, OUTDATE, "ext:destruction", 4)
    query = select(t.protocol_entry).where(t.protocol_entry.c.entry == "destroyed")
    rows_ = store.read_sync(lambda tx: tx.execute(query.order_by(t.protocol_entry.c.id)).all())
    assert [(row.protocol_id, row.milli) for row in rows_] == [
        ("NCI-A", 3000),
        ("NCI-A", 2000),
        ("NCI-B", 2000),
    ]


async def test_a_void_puts_stock_of_a_trial_back_to_its_own_place(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    fill = await _ordered(site, "NCI-A", "30")
    journal(K.PICK, A1, FILL, 30, dispense_id=fill)
    for target in (SHELF, B1):
        with pytest.raises(ProtocolMixed, match="the stock is of protocol NCI-A"):
            journal(K.PUTBACK, FILL, target, 30, dispense_id=fill)
    await dispensing.void(site, fill, "withdrawn", "ida")
    assert store.read_sync(lambda tx: read.book_of(tx, A1)) == {(ITEM, LOT): 60_000}
    assert _entries(store)[1:] == [("dispensed", -30_000), ("put_back", 30_000)]


async def test_what_a_subject_left_is_set_apart_and_returned_in_a_batch(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    fill = await _ordered(site, "NCI-A", "30")
    journal(K.PICK, A1, FILL, 30, dispense_id=fill)
    journal(K.DISPENSE, FILL, DISPENSED, 30, dispense_id=fill)
    journal(K.RETURN_TO_STOCK, DISPENSED, OUTDATE, 4, dispense_id=fill)
    made = await batching.open_batch(site, NewBatch("return", "NCI"), "ida")
    for number, (source, quantity) in enumerate(((OUTDATE, "4"), (A1, "20"))):
        asked = Pack(made.row.id, ITEM, LOT, quantity, f"p{number}", source)
        await batching.pack(site, asked, "ida")
    await batching.seal(site, made.row.id, "", "ida")
    await batching.leave(site, made.row.id, "ida")
    lines = await trials.record(site, "NCI-A")
    assert [(x.entry, x.milli, x.change, x.balance, x.subject) for x in lines] == [
        ("received", 60_000, 60_000, 60_000, ""),
        ("dispensed", 30_000, -30_000, 30_000, "subject-NCI-A"),
        ("segregated", 4000, 0, 30_000, "subject-NCI-A"),
        ("segregated", 20_000, -20_000, 10_000, ""),
        ("returned", 4000, 0, 10_000, ""),
        ("returned", 20_000, 0, 10_000, ""),
    ]
    assert lines[-1].balance == store.read_sync(lambda tx: read.book_of(tx, A1))[ITEM, LOT]
    assert await trials.record(site, "NCI-A", after=lines[2].id) == lines[3:]
    table = list(csv.DictReader(io.StringIO(trials.as_csv(site, lines))))
    assert table[1] == {
        "date": "2026-11-22",
        "item_id": ITEM,
        "name": "Atorvastatin",
        "strength": "20 mg",
        "form": "tablet",
        "manufacturer": "Viatris",
        "lot": LOT,
        "expiry": "2027-03-31",
        "entry": "dispensed",
        "subject": "subject-NCI-A",
        "quantity": "30",
        "unit": "EA",
        "change": "-30",
        "balance": "30",
        "recorder": "tess",
        "place": A1,
        "movement_id": "2",
    }


@pytest.mark.usefixtures("site")
async def test_a_fact_that_mixes_trials_is_booked_shown_and_in_both_records(
    store: Store, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    journal(K.TRANSFER, A1, B1, 5, fact=True)
    (found,) = store.read_sync(discrepancies.page)
    assert (found.kind, found.location_id) == ("misplaced", B1)
    assert "the stock is of protocol NCI-A, not protocol NCI-B" in found.detail
    assert _entries(store)[1:] == [("moved", -5000), ("received", 5000)]
    undo = store.write_sync(
        lambda tx: post.reverse(tx, 2, request_id="undo", occurred_at=NOW, stamp=STAMP)
    )
    assert undo.movement_id == 3
    assert _entries(store)[3:] == [("corrected", -5000), ("corrected", 5000)]


async def test_stock_of_a_trial_counts_neither_for_orders_nor_for_the_risk_of_expiry(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    journal(K.OPENING, OPENING, SHELF, 7)
    await _ordered(site, "NCI-A", "30")
    where = store.read_sync(lambda tx: reorder.position(tx, ITEM, RECEIVING, TODAY))
    assert where == reorder.Position(usable=7000, on_order=0, owed=0)
    assert [row.milli for row in await expiring.risk(site)] == [7000]


async def test_a_place_with_stock_does_not_change_its_protocol(
    store: Store, site: Site, journal: Journal
) -> None:
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    with pytest.raises(PlaceInUse, match="trials/A/1 holds stock"):
        await rule(site, "trials/A", protocol="NCI-B")
    with pytest.raises(PlaceInUse):
        await trials.add_place(site, A1, "bin", "trials/B", "ida")
    await trials.add_place(site, A2, "bin", "trials/B", "ida")
    assert store.read_sync(special.trial_places) == {A1: "NCI-A", A2: "NCI-B", B1: "NCI-B"}


async def test_a_closed_protocol_gets_no_more_dispenses(site: Site) -> None:
    with pytest.raises(Invalid, match="say why"):
        await trials.close_protocol(site, "NCI-A", "", "ida")
    fill = await _ordered(site, "NCI-A", "1")
    assert (await trials.close_protocol(site, "NCI-A", "accrual done", "ida")).state == "closed"
    with pytest.raises(ProtocolClosed):
        await trials.close_protocol(site, "NCI-A", "again", "ida")
    with pytest.raises(ProtocolClosed):
        await dispensing.request(
            site, Order("rx9", ITEM, "1", "s-1", "ask:9", protocol="NCI-A"), "ida"
        )
    with pytest.raises(ProtocolClosed):
        await rule(site, SHELF, protocol="NCI-A")
    repeated = Order("rx-NCI-A", ITEM, "1", "subject-NCI-A", "ask:rx-NCI-A", protocol="NCI-B")
    with pytest.raises(OrderOfOtherProtocol, match=f"dispense {fill} was ordered for NCI-A"):
        await dispensing.request(site, repeated, "ida")
    with pytest.raises(OrderOfOtherProtocol, match="not for no protocol"):
        await dispensing.request(site, replace(repeated, protocol=None), "ida")
    assert [row.state for row in await trials.protocols(site)] == ["closed", "open"]


async def test_a_protocol_is_known_by_its_papers(store: Store, site: Site) -> None:
    papers = NewProtocol("NCI-A", "Trial A", "NCI", "Dr Who")
    assert (await trials.open_protocol(site, papers, "bob")).actor == "ida"
    with pytest.raises(ProtocolExists):
        await trials.open_protocol(site, replace(papers, title="Trial X"), "bob")
    with pytest.raises(Invalid, match="sponsor is 1 to 256 characters"):
        await trials.open_protocol(site, replace(papers, sponsor=" "), "bob")
    with pytest.raises(NotFound, match="no protocol X"):
        await trials.record(site, "X")
    with pytest.raises(Invalid):
        await trials.open_protocol(site, replace(papers, protocol_id=""), "bob")
    assert store.read_sync(lambda tx: rows.find_protocol(tx, "X")) is None


async def test_3_the_database_refuses_to_change_an_accountability_record(
    store: Store, site: Site, journal: Journal
) -> None:
    del site
    journal(K.RECEIVE, "ext:supplier", A1, 60)
    with pytest.raises(DBAPIError, match="protocol_entry is append-only"):
        store.write_sync(lambda tx: tx.execute(delete(t.protocol_entry)))


async def test_a_receiving_place_may_be_that_of_a_trial(site: Site, journal: Journal) -> None:
    place = Location("trials/A/in", LocationKind.RECEIVING, "trials/A")
    await trials.add_place(site, place.location_id, "receiving", "trials/A", "ida")
    journal(K.RECEIVE, "ext:supplier", place.location_id, 5)
    journal(K.TRANSFER, place.location_id, A1, 5)
    with pytest.raises(ProtocolMixed):
        journal(K.TRANSFER, A1, RECEIVING, 5)
