"""The invariants of stock, each as the sentence that it is."""

from datetime import date, timedelta

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispensed.ledger import audit, catalog, picking, post, read
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import BadMove, BlockedLot, InsufficientStock
from dispensed.model.catalog import LotState
from dispensed.model.planning import Candidate, fefo
from tests.ledger.book import (
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
    blocking,
    move,
    order,
    posted,
    put_lot,
    stocked,
)


def test_1_a_movement_has_two_ends_and_a_quantity_and_all_accounts_sum_to_zero(
    store: Store,
) -> None:
    store.write_sync(stocked)
    posted(store, move(K.PICK, SHELF, FILL, 30, "p"))
    posted(store, move(K.DISPENSE, FILL, DISPENSED, 30, "d"))
    sums = select(func.sum(t.balance.c.on_hand)).group_by(t.balance.c.item_id, t.balance.c.lot)
    assert store.read_sync(lambda tx: tx.scalars(sums).all()) == [0]
    with pytest.raises(BadMove, match="to itself"):
        posted(store, move(K.TRANSFER, SHELF, SHELF, 1, "same"))
    with pytest.raises(BadMove, match="not a quantity"):
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 0, "none"))


@pytest.mark.parametrize("column", ["milli", "source"])
def test_1_the_database_itself_refuses_a_movement_of_nothing_or_to_itself(
    store: Store, column: str
) -> None:
    store.write_sync(stocked)
    with pytest.raises(IntegrityError):
        store.write_sync(
            lambda tx: _copy_first(tx, {column: {"milli": 0, "source": SHELF}[column]})
        )


def _copy_first(tx: Tx, changed: dict[str, object]) -> None:
    row = tx.execute(select(t.movement).where(t.movement.c.id == 1)).mappings().one()
    values = {**row, "id": 2, "request_id": "copy", **changed}
    tx.execute(insert(t.movement), [{str(key): value for key, value in values.items()}])


def test_2_on_hand_is_what_came_less_what_went_and_never_below_zero(store: Store) -> None:
    store.write_sync(stocked)
    posted(store, move(K.TRANSFER, SHELF, SHELF2, 60, "t1"))
    with pytest.raises(InsufficientStock, match=r"40 EA available .*41 EA asked"):
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 41, "t2"))
    posted(store, move(K.TRANSFER, SHELF2, SHELF, 10, "t3"))
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF)) == {(ITEM, LOT): 50_000}
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF2)) == {(ITEM, LOT): 50_000}


def test_2_the_database_itself_refuses_stock_below_zero(store: Store) -> None:
    store.write_sync(stocked)
    with pytest.raises(IntegrityError):
        store.write_sync(
            lambda tx: tx.execute(
                update(t.balance).where(t.balance.c.location_id == SHELF).values(on_hand=-1)
            )
        )


@pytest.mark.parametrize("statement", [update(t.movement).values(milli=1), delete(t.movement)])
def test_3_the_database_refuses_to_change_or_delete_a_movement(
    store: Store, statement: object
) -> None:
    store.write_sync(stocked)
    with pytest.raises(DBAPIError, match="movement is append-only"):
        store.write_sync(lambda tx: tx.execute(statement))  # type: ignore[call-overload] # both
    assert store.read_sync(audit.verify).ok


@pytest.mark.parametrize(
    "statement", [update(t.audit_event).values(actor="x"), delete(t.audit_event)]
)
def test_3_the_database_refuses_to_change_or_delete_an_audit_event(
    store: Store, statement: object
) -> None:
    store.write_sync(stocked)
    with pytest.raises(DBAPIError, match="audit_event is append-only"):
        store.write_sync(lambda tx: tx.execute(statement))  # type: ignore[call-overload] # both


def test_3_postgresql_refuses_to_truncate_the_journal(store: Store) -> None:
    if store.dialect == "sqlite":
        return  # SQLite has no TRUNCATE
    store.write_sync(stocked)
    with pytest.raises(DBAPIError, match="append-only"):
        store.write_sync(lambda tx: tx.execute(text("TRUNCATE movement CASCADE")))


def test_3_a_correction_names_its_original_and_is_applied_once(store: Store) -> None:
    store.write_sync(stocked)
    wrong = posted(store, move(K.TRANSFER, SHELF, SHELF2, 10, "wrong"))

    def undo(request_id: str) -> post.Posted:
        return store.write_sync(
            lambda tx: post.reverse(tx, wrong, request_id=request_id, occurred_at=NOW, stamp=STAMP)
        )

    first = undo("undo")
    assert undo("undo") == post.Posted(first.movement_id, repeated=True)
    with pytest.raises(post.AlreadyReversed, match=f"movement {wrong} was reversed by movement 3"):
        undo("again")
    row = store.read_sync(lambda tx: read.movements(tx, after=2))[0]
    assert (row.reverses, row.source, row.target, row.milli) == (wrong, SHELF2, SHELF, 10_000)
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF)) == {(ITEM, LOT): 100_000}


def test_4_balances_dropped_and_rebuilt_from_the_journal_are_identical(store: Store) -> None:
    store.write_sync(stocked)
    posted(store, move(K.PICK, SHELF, FILL, 30, "p"))
    posted(store, move(K.PUTBACK, FILL, SHELF2, 10, "b"))
    rebuilt: dict[tuple[str, str, str], int] = {}
    for row in store.read_sync(read.movements):
        for place, change in ((row.source, -row.milli), (row.target, row.milli)):
            key = (row.item_id, row.lot, place)
            rebuilt[key] = rebuilt.get(key, 0) + change
    kept = store.read_sync(lambda tx: tx.execute(select(t.balance)).all())
    assert {(r.item_id, r.lot, r.location_id): r.on_hand for r in kept} == rebuilt
    assert rebuilt[ITEM, LOT, SHELF] == 70_000


def test_5_available_is_on_hand_less_held_less_blocked(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx)
        post.reserve(
            tx,
            dispense_id=order(tx),
            item_id=ITEM,
            lot=LOT,
            location=SHELF,
            milli=30_000,
            request_id="r",
            stamp=STAMP,
            on_date=TODAY,
        )

    store.write_sync(setting)
    assert _numbers(store, TODAY) == (100_000, 30_000, 0, 70_000)
    last_day = date(2027, 3, 31)
    assert _numbers(store, last_day) == (100_000, 30_000, 0, 70_000)
    assert _numbers(store, last_day + timedelta(days=1)) == (100_000, 30_000, 70_000, 0)
    for state in (LotState.HOLD, LotState.QUARANTINE, LotState.RECALLED, LotState.DAMAGED):
        store.write_sync(blocking(LOT, state))
        assert _numbers(store, TODAY) == (100_000, 30_000, 70_000, 0)


def test_5_stock_of_unknown_expiry_is_blocked(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx)
        put_lot(tx, "U1", None)
        opening = move(K.OPENING, OPENING, SHELF, 5, "open:u", lot="U1")
        post.post(tx, opening, STAMP, on_date=TODAY)

    store.write_sync(setting)
    (row,) = store.read_sync(lambda tx: read.stock(tx, on_date=TODAY, lot_number="U1"))
    assert (row.on_hand, row.blocked, row.available) == (5000, 5000, 0)


def _numbers(store: Store, on_date: date) -> tuple[int, int, int, int]:
    (row,) = store.read_sync(lambda tx: read.stock(tx, on_date=on_date, location_id=SHELF))
    return row.on_hand, row.held, row.blocked, row.available


def test_6_nothing_of_a_blocked_lot_goes_to_a_patient_or_into_a_device(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx)
        for kind, target in ((K.PICK, FILL), (K.LOAD, ROBOT)):
            post.post(tx, move(kind, SHELF, target, 10, f"m{target}"), STAMP, on_date=TODAY)

    store.write_sync(setting)
    blocked = [state for state in LotState if state is not LotState.RELEASED]
    assert blocked == ["quarantine", "hold", "recalled", "damaged"]
    for state in blocked:
        store.write_sync(blocking(LOT, state))
        for towards in (
            move(K.LOAD, SHELF, ROBOT, 1, "x"),
            move(K.OUTPUT, ROBOT, FILL, 1, "x"),
            move(K.PICK, SHELF, FILL, 1, "x"),
            move(K.DISPENSE, FILL, DISPENSED, 1, "x"),
        ):
            with pytest.raises(BlockedLot, match=f"lot A12 of item 00071015523 is {state}"):
                posted(store, towards)


def test_6_an_expired_lot_is_blocked_from_the_day_after_and_not_before(store: Store) -> None:
    store.write_sync(stocked)
    last_day = date(2027, 3, 31)
    pick = move(K.PICK, SHELF, FILL, 1, "p")
    with pytest.raises(BlockedLot, match="has expiry 2027-03-31, on 2027-04-01"):
        store.write_sync(lambda tx: post.post(tx, pick, STAMP, on_date=date(2027, 4, 1)))
    assert not store.write_sync(lambda tx: post.post(tx, pick, STAMP, on_date=last_day)).repeated


def test_6_a_lot_of_unknown_expiry_is_blocked(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx)
        put_lot(tx, "U1", None)
        opening = move(K.OPENING, OPENING, SHELF, 5, "open:u", lot="U1")
        post.post(tx, opening, STAMP, on_date=TODAY)

    store.write_sync(setting)
    with pytest.raises(BlockedLot, match="an unknown expiry"):
        posted(store, move(K.PICK, SHELF, FILL, 1, "p", lot="U1"))


def test_6_a_blocked_lot_can_always_be_moved_out(store: Store) -> None:
    store.write_sync(stocked)
    for state in LotState:
        store.write_sync(blocking(LOT, state))
        posted(store, move(K.TRANSFER, SHELF, OUTDATE, 12, f"out {state}"))
        posted(store, move(K.RETURN, OUTDATE, "ext:reverse-distributor", 4, f"return {state}"))
        posted(store, move(K.DESTROY, OUTDATE, "ext:destruction", 4, f"destroy {state}"))
        posted(store, move(K.WASTE, SHELF, "ext:waste", 2, f"waste {state}"))
    assert store.read_sync(audit.verify).ok


def test_7_the_pick_is_the_earliest_expiring_lot_then_the_first_received(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx, lot=LATE_LOT)
        put_lot(tx, "A00", date(2027, 3, 31))
        for number, lot in enumerate((LOT, "A00")):
            opening = move(K.OPENING, OPENING, SHELF2, 20, f"o{number}", lot=lot)
            post.post(tx, opening, STAMP, on_date=TODAY)

    store.write_sync(setting)
    rows = store.read_sync(lambda tx: picking.candidates(tx, ITEM, TODAY))
    picks = fefo(
        [Candidate(r.location_id, r.lot, r.expiry, r.received, r.available) for r in rows], 50_000
    )
    assert [(pick.lot, pick.milli) for pick in picks] == [
        (LOT, 20_000),
        ("A00", 20_000),
        (LATE_LOT, 10_000),
    ]


def test_7_blocked_or_held_stock_and_stock_in_receiving_is_no_candidate(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx, 30)
        post.reserve(
            tx,
            dispense_id=order(tx),
            item_id=ITEM,
            lot=LOT,
            location=SHELF,
            milli=30_000,
            request_id="r",
            stamp=STAMP,
            on_date=TODAY,
        )
        opening = move(K.OPENING, OPENING, RECEIVING, 5, "o2")
        post.post(tx, opening, STAMP, on_date=TODAY)
        late = move(K.OPENING, OPENING, SHELF, 5, "o3", lot=LATE_LOT)
        post.post(tx, late, STAMP, on_date=TODAY)
        catalog.set_lot_state(tx, ITEM, LATE_LOT, LotState.HOLD, STAMP)

    store.write_sync(setting)
    assert store.read_sync(lambda tx: picking.candidates(tx, ITEM, TODAY)) == ()
