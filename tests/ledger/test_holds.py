"""Reservations: what is promised, marked, let go and closed."""

from datetime import date
from functools import partial
from typing import cast

import pytest
from sqlalchemy import select, update

from dispensed.errors import InvariantBroken
from dispensed.ledger import audit, catalog, picking, post, read
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.holds import ActiveState, BlockedPlace, UnknownReservation
from dispensed.ledger.post import BadMove, BlockedLot, InsufficientStock, ReservationClosed
from dispensed.model.catalog import LotState
from tests.ledger.book import (
    FILL,
    ITEM,
    LOT,
    RECEIVING,
    REJECTS,
    ROBOT,
    SHELF,
    STAMP,
    TODAY,
    K,
    move,
    order,
    stocked,
)


@pytest.fixture
def shop(store: Store) -> Store:
    """A store with 100 pieces on the shelf and one order, dispense 1."""

    def setting(tx: Tx) -> None:
        stocked(tx)
        order(tx)

    store.write_sync(setting)
    return store


def _reserve(store: Store, milli: int = 30_000, name: str = "r", place: str = SHELF) -> int:
    return store.write_sync(
        lambda tx: post.reserve(
            tx,
            dispense_id=1,
            item_id=ITEM,
            lot=LOT,
            location=place,
            milli=milli,
            request_id=name,
            stamp=STAMP,
            on_date=TODAY,
        )
    )


def _row(store: Store, reservation: int) -> tuple[str, int]:
    query = select(t.reservation).where(t.reservation.c.id == reservation)
    row = store.read_sync(lambda tx: tx.execute(query).one())
    return row.state, row.remaining


def test_a_repeated_request_is_the_same_reservation(shop: Store) -> None:
    assert _reserve(shop) == _reserve(shop) == 1
    assert shop.read_sync(lambda tx: read.free_milli(tx, ITEM, LOT, SHELF)) == 70_000
    with pytest.raises(post.RequestReused, match="request r was used before"):
        _reserve(shop, 29_000)


def test_nothing_is_promised_twice(shop: Store) -> None:
    _reserve(shop, 70_000)
    with pytest.raises(InsufficientStock, match=r"30 EA available, 30\.001 EA to reserve"):
        _reserve(shop, 30_001, "r2")


def test_a_blocked_lot_is_not_promised(shop: Store) -> None:
    shop.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, LOT, LotState.HOLD, STAMP))
    with pytest.raises(BlockedLot, match="is hold"):
        _reserve(shop)


@pytest.mark.parametrize("place", [FILL, REJECTS, "outdate", "ext:found"])
def test_stock_that_lies_in_the_tray_or_among_rejects_is_not_promised(
    shop: Store, place: str
) -> None:
    with pytest.raises(BlockedPlace, match=f"stock at {place} .* is not reserved"):
        _reserve(shop, place=place)


def test_stock_in_the_tray_or_among_rejects_is_not_available(shop: Store) -> None:
    def setting(tx: Tx) -> None:
        post.post(tx, move(K.PICK, SHELF, FILL, 5, "p"), STAMP, on_date=TODAY)
        post.post(tx, move(K.REJECT, SHELF, REJECTS, 5, "j"), STAMP, on_date=TODAY)
        post.post(tx, move(K.TRANSFER, SHELF, RECEIVING, 5, "t"), STAMP, on_date=TODAY)

    shop.write_sync(setting)
    rows = shop.read_sync(lambda tx: read.stock(tx, on_date=TODAY))
    assert {row.location_id: (row.blocked, row.available) for row in rows} == {
        FILL: (5000, 0),
        REJECTS: (5000, 0),
        RECEIVING: (0, 5000),
        SHELF: (0, 85_000),
    }


def test_a_hold_is_marked_let_go_and_then_closed_for_ever(shop: Store) -> None:
    hold = _reserve(shop)
    for state in ("commanded", "in_doubt", "in_doubt", "open", "commanded"):
        shop.write_sync(partial(post.mark, reservation_id=hold, state=state, stamp=STAMP))
        assert _row(shop, hold) == (state, 30_000)
    assert shop.write_sync(lambda tx: post.release(tx, hold, STAMP)) == 30_000
    assert shop.write_sync(lambda tx: post.release(tx, hold, STAMP)) == 0
    assert _row(shop, hold) == ("voided", 0)
    with pytest.raises(ReservationClosed, match="is voided, not to be open"):
        shop.write_sync(lambda tx: post.mark(tx, hold, "open", STAMP))
    assert shop.read_sync(audit.verify).ok


def test_a_hold_that_was_taken_from_ends_settled(shop: Store) -> None:
    hold = _reserve(shop)
    taken = move(K.PICK, SHELF, FILL, 10, "t", dispense_id=1)
    shop.write_sync(lambda tx: post.take(tx, hold, taken, STAMP))
    assert shop.write_sync(lambda tx: post.release(tx, hold, STAMP)) == 20_000
    assert _row(shop, hold) == ("settled", 0)


def test_a_closed_state_is_not_marked_and_an_unknown_hold_is_told(shop: Store) -> None:
    hold = _reserve(shop)
    with pytest.raises(BadMove, match="not marked voided"):
        shop.write_sync(lambda tx: post.mark(tx, hold, cast("ActiveState", "voided"), STAMP))
    with pytest.raises(UnknownReservation, match="no reservation 99"):
        shop.write_sync(lambda tx: post.release(tx, 99, STAMP))


def test_what_is_held_without_a_reservation_stops_the_operation(shop: Store) -> None:
    shop.write_sync(
        lambda tx: tx.execute(
            update(t.balance).where(t.balance.c.location_id == SHELF).values(held=50_000)
        )
    )
    with pytest.raises(InvariantBroken, match="held without reservations"):
        shop.write_sync(lambda tx: post.post_fact(tx, move(K.PICK, SHELF, FILL, 60, "f"), STAMP))


def test_the_holds_of_a_dispense_carry_the_machines_order(shop: Store) -> None:
    first = _reserve(shop, 10_000, picking.reservation_request("1-100"))
    _reserve(shop, 20_000, picking.reservation_request("1-101"))
    shop.write_sync(lambda tx: post.release(tx, first, STAMP))
    every = shop.read_sync(lambda tx: picking.holds(tx, 1))
    active = shop.read_sync(lambda tx: picking.holds(tx, 1, active=True))
    assert [(hold.order_id, hold.remaining, hold.state) for hold in every] == [
        ("1-100", 0, "voided"),
        ("1-101", 20_000, "open"),
    ]
    assert active == every[1:]


def test_lots_that_a_machine_works_on_are_told(shop: Store) -> None:
    hold = _reserve(shop)
    assert shop.read_sync(lambda tx: read.lots_commanded(tx, SHELF)) == set()
    shop.write_sync(lambda tx: post.mark(tx, hold, "commanded", STAMP))
    assert shop.read_sync(lambda tx: read.lots_commanded(tx, SHELF)) == {(ITEM, LOT)}
    assert shop.read_sync(lambda tx: read.lots_commanded(tx, ROBOT)) == set()


# ---------------------------------------------------------------- what was picked


def test_what_was_picked_is_what_came_into_the_tray_less_what_left_it(shop: Store) -> None:
    def setting(tx: Tx) -> None:
        for name, units in (("p1", 10), ("p2", 5)):
            wanted = move(K.PICK, SHELF, FILL, units, name, dispense_id=1)
            post.post(tx, wanted, STAMP, on_date=TODAY)
        post.reverse(tx, 3, request_id="u", occurred_at=STAMP.at, stamp=STAMP)
        back = move(K.PUTBACK, FILL, SHELF, 2, "b", dispense_id=1)
        post.post(tx, back, STAMP, on_date=TODAY)

    shop.write_sync(setting)
    picked = shop.read_sync(lambda tx: picking.picked(tx, 1))
    assert [(part.lot, part.source, part.milli) for part in picked] == [(LOT, SHELF, 8000)]
    assert shop.read_sync(lambda tx: picking.pick_movements(tx, 1)) == ((2, LOT, SHELF, 10_000),)


def test_what_a_machine_gave_beyond_the_book_counts_as_picked(shop: Store) -> None:
    fact = move(K.OUTPUT, ROBOT, FILL, 30, "f", dispense_id=1)
    shop.write_sync(lambda tx: post.post_fact(tx, fact, STAMP))
    picked = shop.read_sync(lambda tx: picking.picked(tx, 1))
    assert [(part.source, part.milli) for part in picked] == [(ROBOT, 30_000)]
    assert shop.read_sync(lambda tx: read.book_of(tx, FILL)) == {}


def test_only_usable_lots_are_candidates(shop: Store) -> None:
    (row,) = shop.read_sync(lambda tx: picking.candidates(tx, ITEM, TODAY))
    assert (row.location_id, row.lot, row.expiry, row.received, row.available) == (
        SHELF,
        LOT,
        date(2027, 3, 31),
        1,
        100_000,
    )
    assert shop.read_sync(lambda tx: picking.candidates(tx, ITEM, date(2027, 4, 1))) == ()
