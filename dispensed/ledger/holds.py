"""Reservations: stock at a place that is promised to one dispense.

`balance.held` is the sum of what the reservations in states open, commanded and in_doubt have not
consumed. Closed reservations (settled, voided, broken) hold nothing and never open again.
"""

from datetime import date
from enum import StrEnum
from typing import Any, ClassVar, Literal

from sqlalchemy import Connection, Row, insert, select, update

from dispensed.errors import Conflict, InvariantBroken, NotFound
from dispensed.ledger import journal, special
from dispensed.ledger import tables as t
from dispensed.ledger.journal import Cell, Move
from dispensed.ledger.rules import (
    BadMove,
    MovedLot,
    RequestReused,
    check_dispense,
    check_milli,
    check_request_id,
    find_moved_lot,
    location_kinds,
    show,
)
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import LocationKind, LotState
from dispensed.model.planning import usable_on

PROMISABLE = frozenset({LocationKind.BIN, LocationKind.DEVICE, LocationKind.RECEIVING})
"""Kinds of place whose stock may be promised: not the tray of a fill, rejects or outdates."""

ActiveState = Literal["open", "commanded", "in_doubt"]


class ReservationState(StrEnum):
    """State of a reservation; the first three hold stock."""

    OPEN = "open"
    COMMANDED = "commanded"
    IN_DOUBT = "in_doubt"
    SETTLED = "settled"
    VOIDED = "voided"
    BROKEN = "broken"


ACTIVE = (ReservationState.OPEN, ReservationState.COMMANDED, ReservationState.IN_DOUBT)


class InsufficientStock(Conflict):
    """Less is available (on hand minus held) than is asked."""

    code: ClassVar[str] = "insufficient_stock"


class BlockedLot(Conflict):
    """The lot is not released, has expired, or its expiry is unknown."""

    code: ClassVar[str] = "blocked_lot"


class BlockedPlace(Conflict):
    """Stock at this place is not promised to anyone."""

    code: ClassVar[str] = "blocked_place"


class ReservationClosed(Conflict):
    """The reservation holds nothing (any more), or less than is asked."""

    code: ClassVar[str] = "reservation_closed"


class UnknownReservation(NotFound):
    """There is no reservation of that number."""

    code: ClassVar[str] = "reservation_not_found"


def check_usable(lot: MovedLot, on_date: date) -> None:
    """Raise BlockedLot unless the lot may go to a patient or into a device on that day."""
    if lot.state is not LotState.RELEASED:
        raise BlockedLot(f"lot {lot.lot} of item {lot.item_id} is {lot.state}")
    if not usable_on(lot.expiry, on_date):
        known = "an unknown expiry" if lot.expiry is None else f"expiry {lot.expiry}"
        raise BlockedLot(f"lot {lot.lot} of item {lot.item_id} has {known}, on {on_date}")


def reserve(  # noqa: PLR0913 - a reservation is these facts
    tx: Connection,
    *,
    dispense_id: int,
    item_id: str,
    lot: str,
    location: str,
    milli: int,
    request_id: str,
    stamp: Stamp,
    on_date: date,
) -> int:
    """Hold `milli` of a lot at a place for a dispense; returns the reservation's id.

    Raises InsufficientStock, BlockedLot, BlockedPlace, BadMove, NotFound; RequestReused when the
    request id was used for another reservation. A repeat of the same request returns the first id.
    """
    check_request_id(request_id)
    check_milli(milli)
    asked = (dispense_id, item_id, lot, location, milli)
    query = select(t.reservation).where(t.reservation.c.request_id == request_id)
    row = tx.execute(query).one_or_none()
    if row is not None:
        if (row.dispense_id, row.item_id, row.lot, row.location_id, row.milli) != asked:
            raise RequestReused(f"request {request_id} was used before for another reservation")
        return int(row.id)
    check_dispense(tx, dispense_id)
    found = find_moved_lot(tx, item_id, lot)
    kind, _ = location_kinds(tx, location, location)
    if kind not in PROMISABLE:
        raise BlockedPlace(f"stock at {location} ({kind}) is not reserved")
    check_usable(found, on_date)
    special.check_promise(tx, dispense_id, item_id, location)
    cell = Cell(item_id, lot, location)
    there = journal.held_at(tx, cell)
    available = there.on_hand - there.held
    if available < milli:
        raise InsufficientStock(
            f"lot {lot} of item {item_id} at {location}: {show(available, found)} available,"
            f" {show(milli, found)} to reserve"
        )
    journal.change(tx, cell, stamp, held=milli)
    values = {
        "request_id": request_id,
        "dispense_id": dispense_id,
        "item_id": item_id,
        "lot": lot,
        "location_id": location,
        "milli": milli,
        "remaining": milli,
        "state": ReservationState.OPEN.value,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    made = tx.execute(insert(t.reservation).returning(t.reservation.c.id), values).scalar_one()
    return int(made)


def release(tx: Connection, reservation_id: int, stamp: Stamp) -> int:
    """Let go what a reservation still holds; returns how much, 0 when it is closed already.

    It ends settled when part of it was consumed, else voided. Raises UnknownReservation.
    """
    row = _get(tx, reservation_id)
    if row.state not in ACTIVE:
        return 0
    consumed = row.remaining < row.milli
    end = ReservationState.SETTLED if consumed else ReservationState.VOIDED
    _close(tx, row, end, stamp)
    return int(row.remaining)


def mark(tx: Connection, reservation_id: int, state: ActiveState, stamp: Stamp) -> None:
    """Say that a hold is open, commanded (a machine works on it) or in doubt.

    Raises UnknownReservation, and ReservationClosed when it holds nothing any more.
    """
    row = _get(tx, reservation_id)
    if row.state not in ACTIVE:
        raise ReservationClosed(f"reservation {reservation_id} is {row.state}, not to be {state}")
    if row.state != state:
        wanted = ReservationState(state)
        if wanted not in ACTIVE:
            raise BadMove(f"a reservation is released, taken or broken, not marked {state}")
        _update(tx, row, wanted, row.remaining, stamp)


def consume(tx: Connection, reservation_id: int, move: Move, stamp: Stamp) -> None:
    """Reduce a hold by `move.milli`; for `post.take` only, which books the movement."""
    check_milli(move.milli)
    row = _get(tx, reservation_id)
    if (row.item_id, row.lot, row.location_id) != (move.item_id, move.lot, move.source):
        raise BadMove(
            f"reservation {reservation_id} holds lot {row.lot} of item {row.item_id} at"
            f" {row.location_id}, not lot {move.lot} of item {move.item_id} at {move.source}"
        )
    if row.remaining < move.milli:
        raise ReservationClosed(
            f"reservation {reservation_id} is {row.state} and holds {row.remaining} thousandths,"
            f" {move.milli} asked"
        )
    left = row.remaining - move.milli
    state = ReservationState(row.state) if left else ReservationState.SETTLED
    journal.change(tx, _cell(row), stamp, held=-move.milli)
    _update(tx, row, state, left, stamp)


def break_holds(tx: Connection, move: Move, on_hand: int, stamp: Stamp) -> None:
    """Break the youngest reservations at a fact's source until at most `on_hand` is held."""
    held = journal.held_at(tx, Cell(move.item_id, move.lot, move.source)).held
    if held <= on_hand:
        return
    rows = tx.execute(
        select(t.reservation)
        .where(
            t.reservation.c.item_id == move.item_id,
            t.reservation.c.lot == move.lot,
            t.reservation.c.location_id == move.source,
            t.reservation.c.remaining > t.ZERO,
        )
        .order_by(t.reservation.c.id.desc())
    ).all()
    for row in rows:
        if held <= on_hand:
            return
        _close(tx, row, ReservationState.BROKEN, stamp)
        held -= row.remaining
    if held > on_hand:
        raise InvariantBroken(f"lot {move.lot} at {move.source}: held without reservations")


def _get(tx: Connection, reservation_id: int) -> Row[Any]:
    query = select(t.reservation).where(t.reservation.c.id == reservation_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise UnknownReservation(f"there is no reservation {reservation_id}")
    return row


def _cell(row: Row[Any]) -> Cell:
    return Cell(row.item_id, row.lot, row.location_id)


def _close(tx: Connection, row: Row[Any], state: ReservationState, stamp: Stamp) -> None:
    journal.change(tx, _cell(row), stamp, held=-row.remaining)
    _update(tx, row, state, 0, stamp)


def _update(
    tx: Connection, row: Row[Any], state: ReservationState, remaining: int, stamp: Stamp
) -> None:
    tx.execute(
        update(t.reservation)
        .where(t.reservation.c.id == row.id)
        .values(state=state.value, remaining=remaining, updated_at=stamp.at)
    )
    details = {"from": row.state, "milli": row.remaining, "remaining": remaining}
    audit(tx, stamp, f"reservation.{state}", f"reservation {row.id}", details)
