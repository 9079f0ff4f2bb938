"""Recall cases as use cases: held at once, answered place by place, signed, closed, added up."""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import pytest
from sqlalchemy import Delete, Update, delete, update
from sqlalchemy.exc import DBAPIError

from dispensed.errors import Invalid
from dispensed.ledger import catalog, dispenses, lot_origins, post, read, recall_cases
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.lot_origins import LotKey as Child
from dispensed.ledger.lot_origins import Origin, OriginKind
from dispensed.ledger.post import Move, RequestReused
from dispensed.ledger.recall_blocks import LotKey
from dispensed.model.catalog import Item, LotState
from dispensed.model.dispensing import DispenseState as S
from dispensed.model.quantity import Unit
from dispensed.services import custody, places, recall_detail, recall_feed, recalls
from dispensed.services import recall_cases as services
from dispensed.services.changes import Changes
from dispensed.services.custody import Take
from dispensed.services.recall_cases import (
    Answer,
    CaseAsked,
    LineAsked,
    NotReady,
    StillInUse,
    Unsigned,
)
from dispensed.services.site import Site
from tests.ledger.book import (
    DISPENSED,
    FILL,
    FOUND,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    RECEIVING,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    WASTE,
    K,
    move,
    order,
    put_lot,
    stocked,
)
from tests.system.web_bench import ZONE, NoMachines, SetClock


def pharmacy(store: Store) -> Site:
    """A pharmacy with 100 pieces of a lot on the shelf and no machine that answers."""
    store.write_sync(stocked)
    return Site(store, SetClock(NOW), ZONE, NoMachines(), Changes())


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Site]:
    with Store.open(sqlite_url) as store:
        yield pharmacy(store)


@pytest.fixture
def each_site(store: Store) -> Site:
    """The same on each kind of database in turn."""
    return pharmacy(store)


def asked(*lines: LineAsked, reference: str = "R-7") -> CaseAsked:
    return CaseAsked(
        reference=reference,
        recall_class="I",
        reason="failed dissolution",
        lines=lines or (LineAsked(LOT, item_id=ITEM),),
        product="Atorvastatin 20 mg",
        labeler="Viatris",
    )


def found(place: str, quantity: str, *, lot: str = LOT, number: str = "") -> Answer:
    return Answer(ITEM, lot, place, quantity, f"a:{place}:{lot}:{number}")


def posting(site: Site, wanted: Move) -> int:
    return site.store.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY).movement_id)


def settle(tx: Tx, dispense_id: int) -> None:
    """Lead a dispense of 10 pieces, which lie in its tray, to its end."""
    for state in (S.RESERVED, S.COMMANDED):
        dispenses.set_state(tx, dispense_id, state, STAMP)
    dispenses.set_state(tx, dispense_id, S.COUNTED, STAMP, counted_milli=10_000)
    dispenses.set_state(tx, dispense_id, S.VERIFIED, STAMP, verified_by="paul")
    dispenses.set_state(tx, dispense_id, S.SETTLED, STAMP)


async def test_14_opening_a_case_holds_its_lots_and_asks_every_place_that_has_them(
    each_site: Site,
) -> None:
    site = each_site
    posting(site, move(K.TRANSFER, SHELF, RECEIVING, 10, "t1"))
    posting(site, move(K.LOAD, SHELF, ROBOT, 20, "t2"))
    posting(site, move(K.PICK, SHELF, FILL, 5, "t3"))
    case = await services.open_case(site, asked(), "ina")
    assert (case.state, case.due_at) == ("open", NOW + timedelta(hours=24))
    detail = await recall_detail.case(site, case.id)
    assert [(task.location_id, task.state) for task in detail.tasks] == [
        (FILL, "open"),
        (RECEIVING, "open"),
        (ROBOT, "open"),
        (SHELF, "open"),
    ]
    lot = await site.store.read(lambda tx: catalog.get_lot(tx, ITEM, LOT))
    assert lot.state is LotState.RECALLED
    for kind, source, target in ((K.OUTPUT, ROBOT, FILL), (K.DISPENSE, FILL, DISPENSED)):
        with pytest.raises(post.BlockedLot, match=r"lot A12 .* is recalled"):
            posting(site, move(kind, source, target, 1, "x"))


async def test_14_the_case_closes_only_when_every_place_has_answered_and_quantities_add_up(
    each_site: Site,
) -> None:
    site = each_site
    posting(site, move(K.TRANSFER, SHELF, SHELF2, 40, "t1"))
    case = await services.open_case(site, asked(), "ina")
    await services.answer(site, case.id, found(SHELF, "60"), "tess")
    with pytest.raises(NotReady, match=r"shelf/A-02 has not answered for lot A12"):
        await services.sign(site, case.id, "all pulled", "ina")
    await services.answer(site, case.id, found(SHELF2, "37"), "tess")
    with pytest.raises(NotReady) as refused:
        await services.close(site, case.id, "done", "ina")
    assert "discrepancy 1 of lot A12 is open" in str(refused.value)
    assert (
        "lot A12 of item 00071015523 does not add up: 100 received, 97 pulled = 97 accounted for;"
        " still at shelf/A-02 3" in str(refused.value)
    )


async def test_a_case_closes_with_the_signatures_of_two_persons(site: Site) -> None:
    case = await services.open_case(site, asked(), "ina")
    task = await services.answer(site, case.id, found(SHELF, "100"), "tess")
    assert (task.book, task.found, task.moved, task.target) == (
        100_000,
        100_000,
        100_000,
        "outdate",
    )
    await services.sign(site, case.id, "counted", "ina")
    await services.sign(site, case.id, "counted", "ina")
    with pytest.raises(Unsigned, match="needs 2 signatures, ina signed"):
        await services.close(site, case.id, "done", "ina")
    await services.sign(site, case.id, "checked", "paul")
    closed = await services.close(site, case.id, "returned to the maker", "paul")
    assert (closed.state, closed.closed_by) == ("closed", "paul")
    lot = await site.store.read(lambda tx: catalog.get_lot(tx, ITEM, LOT))
    assert lot.state is LotState.RECALLED
    with pytest.raises(recall_cases.CaseClosed):
        await services.sign(site, case.id, "late", "zoe")


async def test_a_change_after_a_signature_asks_for_new_signatures(each_site: Site) -> None:
    site = each_site
    case = await services.open_case(site, asked(), "ina")
    await services.answer(site, case.id, found(SHELF, "100"), "tess")
    for person in ("ina", "paul"):
        await services.sign(site, case.id, "counted", person)
    await services.open_case(site, asked(LineAsked(LATE_LOT, item_id=ITEM)), "ina")
    with pytest.raises(Unsigned, match="nobody signed"):
        await services.close(site, case.id, "done", "ina")


async def test_nothing_found_is_an_answer_and_a_repeat_is_answered_once(site: Site) -> None:
    posting(site, move(K.TRANSFER, SHELF, SHELF2, 100, "t1"))
    case = await services.open_case(site, asked(), "ina")
    nil = await services.answer(site, case.id, found(SHELF, "0"), "tess")
    assert (nil.state, nil.found, nil.movement_id) == ("answered", 0, None)
    first = await services.answer(site, case.id, found(SHELF2, "100"), "tess")
    assert await services.answer(site, case.id, found(SHELF2, "100"), "tess") == first
    other = Answer(ITEM, LOT, SHELF, "1", "a:shelf/A-02:A12:")
    with pytest.raises(RequestReused):
        await services.answer(site, case.id, other, "tess")


async def test_a_place_that_gets_stock_after_its_answer_is_asked_again(site: Site) -> None:
    case = await services.open_case(site, asked(), "ina")
    await services.answer(site, case.id, found(SHELF, "100"), "tess")
    posting(site, move(K.FOUND, FOUND, SHELF, 2, "f1"))
    assert await services.ask_places(site, "recalls") == 1
    await services.answer(site, case.id, found(SHELF, "2", number="2"), "tess")
    assert (await recall_detail.case(site, case.id)).blockers == ()


async def test_16_received_is_pulled_dispensed_wasted_lost_returned_destroyed_and_repacked(
    each_site: Site,
) -> None:
    """Against sums over the journal that are written by themselves."""
    site = each_site
    child = Child(ITEM, "UD1")

    def life(tx: Tx) -> int:
        dispense_id = order(tx, units=10)
        put_lot(tx, child.lot, date(2027, 3, 31))
        lot_origins.record(tx, Origin(child, Child(ITEM, LOT), OriginKind.REPACK, "r:1"), STAMP)
        for number, wanted in enumerate(
            (
                move(K.PICK, SHELF, FILL, 10, "p", dispense_id=dispense_id),
                move(K.DISPENSE, FILL, DISPENSED, 10, "d", dispense_id=dispense_id),
                move(K.WASTE, SHELF, WASTE, 3, "w"),
                move(K.LOSS, SHELF, "ext:loss", 2, "l"),
                move(K.RETURN, SHELF, "ext:supplier", 4, "rs"),
                move(K.RETURN, SHELF, "ext:reverse-distributor", 5, "rd"),
                move(K.DESTROY, SHELF, "ext:destruction", 1, "de"),
                move(K.CONSUME, SHELF, "ext:repack", 30, "c"),
                move(K.PRODUCE, "ext:repack", SHELF2, 28, "pr", lot=child.lot),
                move(K.SAMPLE, SHELF, "ext:sample", 1, "s"),
                move(K.IN_TRANSIT, SHELF, "ext:in-transit", 6, "it"),
            )
        ):
            if wanted.kind is K.DISPENSE:
                settle(tx, dispense_id)
            assert post.post(tx, wanted, STAMP, on_date=TODAY).movement_id == number + 2
        return dispense_id

    dispense_id = site.store.write_sync(life)
    case = await services.open_case(site, asked(), "ina")
    detail = await recall_detail.case(site, case.id)
    total = detail.sums[LotKey(ITEM, LOT)]
    assert (total.received, total.dispensed, total.wasted) == (100_000, 10_000, 3_000)
    assert (total.lost, total.returned, total.destroyed) == (2_000, 9_000, 1_000)
    assert (total.repacked, total.sampled) == (30_000, 1_000)
    assert (total.in_transit, total.elsewhere, total.quarantined) == (6_000, 38_000, 0)
    assert detail.sums[LotKey(*child)].received == 28_000
    assert [(row.dispense_id, row.patient_key, row.milli) for row in detail.issues] == [
        (dispense_id, "p-1", 10_000)
    ]
    for place, quantity, lot in (
        (SHELF, "38", LOT),
        (SHELF2, "28", child.lot),
        ("ext:in-transit", "6", LOT),
    ):
        await services.answer(site, case.id, found(place, quantity, lot=lot), "tess")
    done = await recall_detail.case(site, case.id)
    assert done.blockers == ()
    assert done.sums[LotKey(ITEM, LOT)].quarantined == 44_000
    book = await site.store.read(lambda tx: read.book_of(tx, "outdate"))
    assert book == {(ITEM, LOT): 44_000, (ITEM, child.lot): 28_000}


async def test_stock_in_a_tray_is_answered_after_its_fill_is_void(site: Site) -> None:
    dispense_id = site.store.write_sync(partial(order, units=10))
    posting(site, move(K.PICK, SHELF, FILL, 10, "p", dispense_id=dispense_id))
    case = await services.open_case(site, asked(), "ina")
    with pytest.raises(StillInUse, match=f"in the tray of dispense {dispense_id}; void it"):
        await services.answer(site, case.id, found(FILL, "10"), "tess")
    posting(site, move(K.PUTBACK, FILL, SHELF, 10, "b", dispense_id=dispense_id))
    await services.answer(site, case.id, found(FILL, "0"), "tess")
    await services.answer(site, case.id, found(SHELF, "100"), "tess")
    assert (await recall_detail.case(site, case.id)).blockers == ()


async def test_what_lies_loose_in_a_tray_is_pulled_from_there(site: Site) -> None:
    posting(site, move(K.PICK, SHELF, FILL, 10, "p"))
    case = await services.open_case(site, asked(), "ina")
    task = await services.answer(site, case.id, found(FILL, "10"), "tess")
    (row,) = await site.store.read(lambda tx: read.movements(tx, after=(task.movement_id or 1) - 1))
    assert (row.kind, row.source, row.target, row.milli) == ("putback", FILL, "outdate", 10_000)


async def test_recalled_stock_goes_to_quarantine_only(site: Site) -> None:
    case = await services.open_case(site, asked(), "ina")
    wrong = Answer(ITEM, LOT, SHELF, "100", "a1", target=SHELF2)
    with pytest.raises(Invalid, match="recalled stock goes to outdate or rejects"):
        await services.answer(site, case.id, wrong, "tess")
    with pytest.raises(Invalid, match=r"lot B34 .* is not in recall"):
        await services.answer(site, case.id, found(SHELF, "1", lot=LATE_LOT), "tess")


async def test_14_a_line_of_a_case_is_not_closed_by_itself(site: Site) -> None:
    case = await services.open_case(site, asked(), "ina")
    (block,) = await site.store.read(lambda tx: recall_cases.block_ids(tx, case.id))
    with pytest.raises(recalls.LineOfCase, match=f"belongs to recall case {case.id}"):
        await recalls.close_recall(site, block, "quick", "ina")


async def test_a_quick_block_becomes_part_of_the_case_of_its_reference(site: Site) -> None:
    quick = recalls.Recall("R-7", "I", "glass", LOT, item_id=ITEM)
    line = await recalls.open_recall(site, quick, "ina")
    case = await services.open_case(site, asked(), "ina")
    assert await site.store.read(lambda tx: recall_cases.block_ids(tx, case.id)) == (line.id,)


async def test_a_product_code_recalls_all_its_packages_and_those_that_come_later(
    each_site: Site,
) -> None:
    site = each_site
    case = await services.open_case(site, asked(LineAsked(None, ndc="0071-0155")), "ina")
    other = Item("00071015540", "Atorvastatin", "20 mg", "tablet", "Viatris", Unit.EA, 500_000)

    def arrive(tx: Tx) -> LotState:
        catalog.put_item(tx, other, STAMP)
        put_lot(tx, "N9", date(2028, 1, 31), item_id=other.item_id)
        return catalog.get_lot(tx, other.item_id, "N9").state

    assert await site.store.write(arrive) is LotState.RECALLED
    lines = await site.store.read(lambda tx: recall_cases.lines(tx, case.id))
    assert [line.items for line in lines] == [("00071015523", "00071015540")]


async def test_a_package_that_is_not_stocked_is_held_when_it_is_added(site: Site) -> None:
    case = await services.open_case(site, asked(LineAsked("Z1", ndc="60505-2578-09")), "ina")
    assert case.state == "not_stocked"
    item = Item(
        "60505257809",
        "Atorvastatin",
        "10 mg",
        "tablet",
        "Apotex",
        Unit.EA,
        90_000,
        ndc="60505-2578-9",
    )

    def arrive(tx: Tx) -> list[LotState]:
        catalog.put_item(tx, item, STAMP)
        for lot in ("Z1", "Z2"):
            put_lot(tx, lot, date(2028, 1, 31), item_id=item.item_id)
        return [catalog.get_lot(tx, item.item_id, lot).state for lot in ("Z1", "Z2")]

    assert await site.store.write(arrive) == [LotState.RECALLED, LotState.RELEASED]
    assert (await recall_detail.case(site, case.id)).row.state == "open"


@pytest.mark.parametrize("code", ["3321676225", "071-0155", "abc"])
async def test_a_code_that_is_not_clear_is_refused_in_manual_entry(site: Site, code: str) -> None:
    with pytest.raises(Invalid, match="write its dashes"):
        await services.open_case(site, asked(LineAsked(LOT, ndc=code)), "ina")


async def test_14_stock_in_a_hand_is_not_given_and_what_was_given_is_listed(
    each_site: Site,
) -> None:
    site = each_site
    await places.ensure_places(site)
    asked_for = Take("t1", ITEM, LOT, SHELF, "10", "p-77", order_ref="RX-9")
    removal = await custody.take(site, asked_for, "nurse")
    await custody.give(site, removal.id, "4", "g1", "nurse")
    case = await services.open_case(site, asked(), "ina")
    with pytest.raises(post.BlockedLot, match="is recalled"):
        await custody.give(site, removal.id, "1", "g2", "nurse")
    with pytest.raises(StillInUse, match="6 are in somebody's hand"):
        await services.answer(site, case.id, found("in-hand", "6"), "nurse")
    await custody.bring_back(site, removal.id, "6", "outdate", "b1", "nurse")
    for place, quantity in (("in-hand", "0"), ("outdate", "6"), (SHELF, "90")):
        await services.answer(site, case.id, found(place, quantity), "tess")
    detail = await recall_detail.case(site, case.id)
    assert detail.blockers == ()
    assert [(row.kind, row.patient_key, row.order_ref, row.milli) for row in detail.issues] == [
        ("give", "p-77", "RX-9", 4_000)
    ]


async def test_3_the_database_refuses_to_change_or_delete_what_recalls_must_prove(
    each_site: Site,
) -> None:
    site = each_site
    case = await services.open_case(site, asked(), "ina")
    await services.answer(site, case.id, found(SHELF, "100"), "tess")
    await services.sign(site, case.id, "counted", "ina")
    await recall_feed.import_notices(site, b"no notice", "fax", "ina")
    for table in (t.recall_notice, t.recall_reading, t.recall_answer, t.recall_signature):
        for statement in (update(table).values(recorded_at=NOW), delete(table)):
            with pytest.raises(DBAPIError, match=f"{table.name} is append-only"):
                await site.store.write(partial(_execute, statement=statement))


def _execute(tx: Tx, statement: Update | Delete) -> None:
    tx.execute(statement)
