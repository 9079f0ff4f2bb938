"""Repack runs: what moves when, who may do what, and what is refused."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispensed.errors import Invalid
from dispensed.ledger import (
    audit,
    catalog,
    lot_origins,
    post,
    read,
    recalls,
    repacks,
    wastes,
)
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.holds import BlockedLot, InsufficientStock
from dispensed.ledger.lot_origins import LotKey
from dispensed.ledger.post import RequestReused, Stamp
from dispensed.ledger.repacks import ChildLotTaken, NotReleased, UnknownRun, WasteNotOfRun
from dispensed.model.catalog import LotState
from dispensed.model.quantity import Unit
from dispensed.model.repacking import (
    NotConserved,
    PackedTooLate,
    RepackInvalid,
    RepackState,
    RepackTransition,
)
from dispensed.services import repacking, stock
from dispensed.services.repacking import CheckedByPacker, Packed, Step, WasteNotWitnessed
from tests.ledger.book import (
    CONTROLLED,
    FILL,
    ITEM,
    LOT,
    NOW,
    OPENING,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    WASTE,
    K,
    blocking,
    move,
    posted,
    put_lot,
    stocked,
)
from tests.ledger.desk import Journal, desk
from tests.ledger.packing import (
    ON_SQLITE,
    PHARMACIST,
    TECH,
    packed,
    plan_of,
    released,
    started,
    state_of,
)

CHILD = "PP261122-1"
MADE = Packed("made", bulk="96", units=3, waste="4", samples="2")
NINETY = Packed("made", bulk="90", units=3)


def _book(store: Store, place: str) -> dict[tuple[str, str], int]:
    return store.read_sync(lambda tx: read.book_of(tx, place))


async def test_15_bulk_out_is_units_waste_and_samples_and_the_units_lie_in_quarantine(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, MADE)
    # 25 % of the 129 days to 31 March 2027 are 32.25: 32 days after 22 November
    assert (row.state, row.child_lot, row.use_by) == ("packed", CHILD, date(2026, 12, 24))
    assert _book(store, SHELF) == {(ITEM, LOT): 4_000}
    assert _book(store, SHELF2) == {(ITEM, CHILD): 90_000}
    assert _book(store, "ext:repack") == {(ITEM, LOT): 90_000, (ITEM, CHILD): -90_000}
    assert _book(store, WASTE) == {(ITEM, LOT): 4_000}
    assert _book(store, "ext:sample") == {(ITEM, LOT): 2_000}
    assert state_of(site, ITEM, CHILD) is LotState.QUARANTINE
    with pytest.raises(BlockedLot, match="PP261122-1 of item 00071015523 is quarantine"):
        posted(store, move(K.PICK, SHELF2, FILL, 30, "early", lot=CHILD))
    sums = select(func.sum(t.balance.c.on_hand)).group_by(t.balance.c.item_id, t.balance.c.lot)
    assert store.read_sync(lambda tx: tx.scalars(sums).all()) == [0, 0]
    assert store.read_sync(audit.verify).ok


async def test_another_person_checks_and_only_then_the_units_are_released(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, NINETY)
    with pytest.raises(NotReleased, match="of repack run 1, packed"):
        await stock.set_lot_state(site, ITEM, CHILD, "released", "I know better", PHARMACIST)
    with pytest.raises(RepackTransition, match="that is packed cannot become released"):
        await repacking.release(site, row.id, Step("r"), PHARMACIST)
    with pytest.raises(CheckedByPacker, match="tess packed run 1"):
        await repacking.check(site, row.id, Step("c"), TECH)
    await repacking.check(site, row.id, Step("c"), PHARMACIST)
    done = await repacking.release(site, row.id, Step("r", "looks right"), PHARMACIST)
    assert done.state is RepackState.RELEASED
    posted(store, move(K.PICK, SHELF2, FILL, 30, "pick", lot=CHILD))
    detail = await repacking.run(site, row.id)
    assert [(step.step, step.actor) for step in detail.steps] == [
        ("planned", TECH),
        ("started", TECH),
        ("packed", TECH),
        ("checked", PHARMACIST),
        ("released", PHARMACIST),
    ]
    assert [(m.kind, m.milli) for m in detail.movements] == [
        ("consume", 90_000),
        ("produce", 90_000),
    ]
    assert [r.id for r in await repacking.runs(site, state="released")] == [row.id]
    assert await repacking.runs(site, state="packed") == ()
    with pytest.raises(Invalid, match="not one of planned, started"):
        await repacking.runs(site, state="done")


async def test_a_repeated_request_does_nothing_and_another_content_is_refused(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    first = await released(site, MADE)
    before = store.read_sync(read.movements)
    assert await released(site, MADE) == first
    assert store.read_sync(read.movements) == before
    with pytest.raises(RequestReused, match="repack run 1, step packed"):
        await repacking.pack(site, 1, Packed("made", bulk="90", units=3), TECH)
    with pytest.raises(RequestReused, match="step planned"):
        await repacking.plan(site, plan_of(units=4), TECH)
    other = await repacking.plan(site, plan_of("two"), TECH)
    assert other.child_lot == "PP261122-2"
    with pytest.raises(RequestReused, match="repack run 1, step started"):
        await repacking.start(site, other.id, Step("plan:start"), TECH)


async def test_numbers_that_do_not_add_up_are_refused_and_nothing_moves(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await started(site)
    with pytest.raises(NotConserved, match=r"3 units of 30 are 90, .* 6 EA missing"):
        await repacking.pack(site, row.id, Packed("p", bulk="96", units=3), TECH)
    store.write_sync(lambda tx: _take(tx, 70))
    with pytest.raises(InsufficientStock, match="30 EA available"):
        await repacking.pack(site, row.id, NINETY, TECH)
    assert len(store.read_sync(read.movements)) == 2
    assert store.read_sync(lambda tx: catalog.find_lot(tx, ITEM, CHILD)) is None
    wrong = {"bulk_milli": 96_000, "units": 3, "waste_milli": 0, "sample_milli": 0}
    with pytest.raises(IntegrityError):
        store.write_sync(lambda tx: tx.execute(update(t.repack_run).values(wrong)))


def _take(tx: Tx, units: int) -> None:
    post.post(tx, move(K.TRANSFER, SHELF, SHELF2, units, "t"), STAMP, on_date=TODAY)


@ON_SQLITE
@pytest.mark.parametrize("state", [LotState.RECALLED, LotState.HOLD])
async def test_a_blocked_bulk_lot_is_refused_at_every_step(store: Store, state: LotState) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await repacking.plan(site, plan_of("one"), TECH)
    ready = await started(site, "two")
    store.write_sync(blocking(LOT, state))
    with pytest.raises(BlockedLot, match=f"A12 of item 00071015523 is {state}"):
        await repacking.plan(site, plan_of("three"), TECH)
    with pytest.raises(BlockedLot, match=f"is {state}"):
        await repacking.start(site, row.id, Step("s"), TECH)
    with pytest.raises(BlockedLot, match=f"is {state}"):
        await repacking.pack(site, ready.id, NINETY, TECH)
    assert store.read_sync(lambda tx: catalog.find_lot(tx, ITEM, ready.child_lot)) is None


@ON_SQLITE
async def test_an_expired_bulk_lot_is_refused(store: Store) -> None:
    site, clock = desk(store)
    store.write_sync(stocked)
    row = await started(site)
    clock.at = NOW + timedelta(days=130)  # the lot may be used through 31 March 2027
    with pytest.raises(BlockedLot, match="expiry 2027-03-31"):
        await repacking.plan(site, plan_of("late"), TECH)
    with pytest.raises(PackedTooLate, match="2027-03-31 is before 2027-04-01"):
        await repacking.pack(site, row.id, NINETY, TECH)


@ON_SQLITE
async def test_a_repeated_plan_gets_its_answer_although_the_lot_is_blocked_since(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await repacking.plan(site, plan_of(), TECH)
    store.write_sync(blocking(LOT, LotState.HOLD))
    assert await repacking.plan(site, plan_of(), TECH) == row
    released_lot = await stock.set_lot_state(site, ITEM, LOT, "released", "seen", PHARMACIST)
    assert released_lot.usable


@ON_SQLITE
async def test_units_of_a_lot_recalled_meanwhile_are_not_released(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, NINETY)
    await repacking.check(site, row.id, Step("c"), PHARMACIST)

    def recall(tx: Tx) -> None:
        recalls.open_case(tx, item_id=ITEM, lot=LOT, recall_class="I", reference="D-1", stamp=STAMP)

    store.write_sync(recall)
    assert state_of(site, ITEM, CHILD) is LotState.RECALLED
    with pytest.raises(BlockedLot, match="A12 of item 00071015523, its origin, is recalled"):
        await repacking.release(site, row.id, Step("r"), PHARMACIST)
    assert (await repacking.run(site, row.id)).row.state is RepackState.CHECKED


@ON_SQLITE
async def test_units_that_a_person_put_on_hold_are_not_released(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, NINETY)
    await repacking.check(site, row.id, Step("c"), PHARMACIST)
    store.write_sync(blocking(CHILD, LotState.HOLD))
    with pytest.raises(BlockedLot, match="PP261122-1 of item 00071015523 is hold"):
        await repacking.release(site, row.id, Step("r"), PHARMACIST)


@ON_SQLITE
async def test_a_run_is_cancelled_with_a_reason_and_its_units_stay_blocked(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    planned = await repacking.plan(site, plan_of("one"), TECH)
    with pytest.raises(Invalid, match="say why"):
        await repacking.cancel(site, planned.id, Step("x"), TECH)
    gone = await repacking.cancel(site, planned.id, Step("x", "not needed"), TECH)
    assert gone.state is RepackState.CANCELLED
    assert await repacking.cancel(site, planned.id, Step("x", "again"), TECH) == gone
    row = await packed(site, MADE, "two")
    await repacking.cancel(site, row.id, Step("y", "wrong tablet in unit 2"), PHARMACIST)
    assert state_of(site, ITEM, row.child_lot) is LotState.DAMAGED
    assert _book(store, SHELF2) == {(ITEM, row.child_lot): 90_000}


async def test_a_run_that_was_only_booked_is_undone(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, MADE)
    await repacking.cancel(site, row.id, Step("x", "typed into the wrong run"), TECH, undo=True)
    assert _book(store, SHELF) == {(ITEM, LOT): 100_000}
    assert _book(store, SHELF2) == {}
    assert _book(store, "ext:repack") == {}
    assert [m.kind for m in (await repacking.run(site, row.id)).movements] == [
        "consume",
        "waste",
        "sample",
        "produce",
        "reversal",
        "reversal",
        "reversal",
        "reversal",
    ]


@ON_SQLITE
async def test_recalled_units_of_a_cancelled_run_stay_recalled(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await packed(site, NINETY)
    store.write_sync(blocking(CHILD, LotState.RECALLED))
    await repacking.cancel(site, row.id, Step("x", "recalled"), TECH)
    assert state_of(site, ITEM, CHILD) is LotState.RECALLED


async def test_waste_of_a_controlled_bulk_is_taken_over_from_its_own_flow(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    journal = Journal(store)
    journal(K.OPENING, OPENING, SHELF, 100, item_id=CONTROLLED)
    row = await started(site, item_id=CONTROLLED)
    made = Packed("made", bulk="91", units=3, waste="1")
    with pytest.raises(WasteNotWitnessed, match="00406055201 is CII: waste 1 EA of lot A12"):
        await repacking.pack(site, row.id, made, TECH)
    with pytest.raises(WasteNotOfRun, match="movement 2 is not a waste of 1 EA"):
        await repacking.pack(
            site, row.id, Packed("made", "91", 3, waste="1", waste_movement_id=2), TECH
        )
    new = wastes.NewWaste("w", CONTROLLED, LOT, SHELF, 1_000, "broken in the machine")
    stated = store.write_sync(lambda tx: wastes.state(tx, new, STAMP, on_date=TODAY))
    witness = Stamp("pam", NOW)
    seen = store.write_sync(
        lambda tx: wastes.confirm(tx, stated.id, witness, limit_s=120, on_date=TODAY)
    )
    done = await repacking.pack(
        site, row.id, Packed("made", "91", 3, waste="1", waste_movement_id=seen.movement_id), TECH
    )
    assert done.waste_milli == 1_000
    assert _book(store, WASTE) == {(CONTROLLED, LOT): 1_000}
    assert _book(store, SHELF)[CONTROLLED, LOT] == 9_000


@ON_SQLITE
async def test_a_waste_booked_since_the_start_is_the_waste_of_the_run(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await started(site)
    number = Journal(store)(K.WASTE, SHELF, WASTE, 4)
    made = Packed("made", bulk="94", units=3, waste="4", waste_movement_id=number)
    await repacking.pack(site, row.id, made, TECH)
    assert _book(store, WASTE) == {(ITEM, LOT): 4_000}
    assert store.read_sync(lambda tx: repacks.own_movement_ids(tx, row.id)) == (3, 4)
    other = await started(site, "two", units=1, unit_quantity="1")
    again = Packed("more", bulk="5", units=1, waste="4", waste_movement_id=number)
    with pytest.raises(WasteNotOfRun):
        await repacking.pack(site, other.id, again, TECH)


@ON_SQLITE
async def test_units_may_become_another_item_with_a_number_and_a_date_of_the_pharmacist(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await released(
        site,
        Packed("made", bulk="90", units=3),
        child_item_id=CONTROLLED,
        child_lot="UD-7",
        rule="twelve-months",
        latest=date(2027, 1, 31),
    )
    assert (row.use_by, row.rule) == (date(2027, 1, 31), "twelve-months")
    child = store.read_sync(lambda tx: catalog.get_lot(tx, CONTROLLED, "UD-7"))
    assert (child.expiry, child.expiry_source, child.state) == (
        date(2027, 1, 31),
        "computed",
        "released",
    )
    assert store.read_sync(lambda tx: lot_origins.children(tx, ITEM, LOT)) == (
        LotKey(CONTROLLED, "UD-7"),
    )


@ON_SQLITE
async def test_a_number_in_use_is_refused_when_planned_and_when_packed(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await started(site, child_lot="UD-7")
    with pytest.raises(ChildLotTaken, match="has a lot UD-7 already"):
        await repacking.plan(site, plan_of("two", child_lot="UD-7"), TECH)
    with pytest.raises(ChildLotTaken, match="has a lot B34 already"):
        await repacking.plan(site, plan_of("three", child_lot="B34"), TECH)
    store.write_sync(lambda tx: put_lot(tx, "UD-7", date(2027, 1, 31)))
    with pytest.raises(ChildLotTaken, match="cancel the run"):
        await repacking.pack(site, row.id, NINETY, TECH)


@ON_SQLITE
async def test_a_latest_date_that_has_passed_is_refused(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await started(site, latest=date(2026, 11, 21))
    with pytest.raises(RepackInvalid, match="2026-11-21 has passed"):
        await repacking.pack(site, row.id, NINETY, TECH)


@ON_SQLITE
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": FILL}, "location fill is a fill"),
        ({"container": " "}, "name the container"),
        ({"units": 0}, "0 units planned"),
        ({"unit_quantity": "0"}, "0 EA holds nothing"),
        ({"rule": "for ever"}, "no rule 'for ever'"),
        ({"child_item_id": "SYRUP"}, "kept in ML, the bulk 00071015523 in EA"),
        ({"child_lot": "no good"}, "GS1 set 82"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(
    store: Store, changes: dict[str, object], said: str
) -> None:
    if store.dialect == "postgresql":
        return  # nothing of this is in the database
    site, _ = desk(store)

    def furnish(tx: Tx) -> None:
        stocked(tx)
        item = catalog.get_item(tx, ITEM)
        syrup = type(item)("SYRUP", "Syrup", "1 %", "liquid", "Maker", Unit.ML, 100_000)
        catalog.put_item(tx, syrup, STAMP)

    store.write_sync(furnish)
    with pytest.raises(RepackInvalid, match=said):
        await repacking.plan(site, plan_of("plan", **changes), TECH)


@ON_SQLITE
async def test_a_run_that_is_not_there_is_not_found(store: Store) -> None:
    site, _ = desk(store)
    with pytest.raises(UnknownRun, match="no repack run 7"):
        await repacking.start(site, 7, Step("s"), TECH)


@pytest.mark.parametrize("name", ["repack_step", "repack_movement"])
async def test_the_database_refuses_to_change_or_delete_what_a_run_did(
    store: Store, name: str
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    await packed(site, NINETY)
    table = t.METADATA.tables[name]
    for statement in (update(table).values(run_id=2), delete(table)):
        with pytest.raises(DBAPIError, match=f"{name} is append-only"):
            store.write_sync(lambda tx, what=statement: tx.execute(what))  # type: ignore[misc] # both
