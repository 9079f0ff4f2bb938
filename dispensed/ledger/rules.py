"""What every movement must satisfy before it is booked, decision or fact alike."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from sqlalchemy import Connection, bindparam, or_, select

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.journal import Move
from dispensed.model.catalog import LocationKind, LotState, Schedule
from dispensed.model.movement import MovementKind, check_route
from dispensed.model.quantity import QUANTITY_MAX_MILLI, format_milli

REQUEST_ID_MAX = 200
"""Longest request id."""
WASTE_PREFIX = "waste:"
"""Request ids of the movements of stated wastes begin so, followed by the number of the waste."""
_DIGITS_MAX = 19
OWN_PREFIX = "claim:"
"""Request ids of the ledger's own movements begin so; callers may not use it."""


class BadMove(Invalid):
    """The movement contradicts itself: no quantity, one end only, no zone in its time, a bad id."""

    code: ClassVar[str] = "bad_movement"


class WitnessMissing(Conflict):
    """A controlled substance is wasted only after another person has confirmed the amount."""

    code: ClassVar[str] = "witness_missing"


class RequestReused(Conflict):
    """The request id was used before for something else."""

    code: ClassVar[str] = "request_reused"


class UnknownItem(NotFound):
    """The catalogue has no such item."""

    code: ClassVar[str] = "item_not_found"


class UnknownLot(NotFound):
    """The item has no such lot."""

    code: ClassVar[str] = "lot_not_found"


class UnknownLocation(NotFound):
    """There is no such place or account."""

    code: ClassVar[str] = "location_not_found"


class UnknownDispense(NotFound):
    """There is no such dispense."""

    code: ClassVar[str] = "dispense_not_found"


class UnknownMessage(NotFound):
    """The inbox has no such message."""

    code: ClassVar[str] = "message_not_found"


_MOVED_LOT = (
    select(t.item.c.unit, t.lot.c.state, t.lot.c.expiry)
    .join(t.lot, t.item.c.item_id == t.lot.c.item_id)
    .where(t.item.c.item_id == bindparam("b_item"), t.lot.c.lot == bindparam("b_lot"))
)
_LOCATION_KINDS = select(t.location.c.location_id, t.location.c.kind).where(
    or_(
        t.location.c.location_id == bindparam("b_source"),
        t.location.c.location_id == bindparam("b_target"),
    )
)


@dataclass(frozen=True, slots=True)
class MovedLot:
    """What the rules ask of a lot, with its item's unit for the texts of errors."""

    item_id: str
    lot: str
    unit: str
    state: LotState
    expiry: date | None


def show(milli: int, lot: MovedLot) -> str:
    """Write a quantity for people: `12.5 EA`."""
    return f"{format_milli(milli)} {lot.unit}"


def check_request_id(request_id: str) -> None:
    """Raise BadMove unless `request_id` is 1 to REQUEST_ID_MAX printable characters."""
    if not request_id or len(request_id) > REQUEST_ID_MAX or not request_id.isprintable():
        raise BadMove(f"not a request id: {request_id[:80]!r}")
    if request_id.startswith(OWN_PREFIX):
        raise BadMove(f"request ids beginning with {OWN_PREFIX} are the ledger's own")


def check_milli(milli: int) -> None:
    """Raise BadMove unless `milli` is an int from 1 to QUANTITY_MAX_MILLI."""
    if type(milli) is not int or not 0 < milli <= QUANTITY_MAX_MILLI:
        raise BadMove(f"not a quantity to move: {milli!r} thousandths")


def check_move(tx: Connection, move: Move) -> MovedLot:
    """Check all that does not depend on stock; returns the lot.

    Raises BadMove, IllegalMovement, UnknownItem, UnknownLot, UnknownLocation, UnknownDispense or
    UnknownMessage.
    """
    check_request_id(move.request_id)
    check_milli(move.milli)
    if move.source == move.target:
        raise BadMove(f"a movement from {move.source} to itself")
    if move.occurred_at.utcoffset() is None:
        raise BadMove(f"the time {move.occurred_at.isoformat()} has no zone")
    lot = find_moved_lot(tx, move.item_id, move.lot)
    source, target = location_kinds(tx, move.source, move.target)
    check_route(move.kind, source, target)
    if move.dispense_id is not None:
        check_dispense(tx, move.dispense_id)
    if move.inbox_id is not None:
        found = tx.execute(select(t.inbox.c.id).where(t.inbox.c.id == move.inbox_id)).scalar()
        if found is None:
            raise UnknownMessage(f"the inbox has no message {move.inbox_id}")
    if move.kind is MovementKind.WASTE:
        check_witnessed(tx, move)
    return lot


def check_witnessed(tx: Connection, move: Move) -> None:
    """Raise WitnessMissing when a controlled item is wasted otherwise than as stated and witnessed.

    Its movement bears the number of the waste in its request id, and moves what was stated there.
    """
    schedule = tx.execute(
        select(t.item.c.schedule).where(t.item.c.item_id == move.item_id)
    ).scalar_one()
    if not Schedule(schedule).is_controlled:
        return
    stated = t.waste.c
    number = tx.execute(
        select(stated.id)
        .join(t.waste_witness, t.waste_witness.c.waste_id == stated.id)
        .where(
            stated.id == _waste_number(move.request_id),
            stated.item_id == move.item_id,
            stated.lot == move.lot,
            stated.location_id == move.source,
            stated.milli == move.milli,
        )
    ).scalar()
    if number is None:
        raise WitnessMissing(
            f"item {move.item_id} is {schedule}: state the waste, then let another person confirm"
            " it"
        )


def _waste_number(request_id: str) -> int:
    """Return the number of the waste that a request id names, 0 for none."""
    number = request_id.removeprefix(WASTE_PREFIX)
    named = number != request_id and number.isdecimal() and len(number) < _DIGITS_MAX
    return int(number) if named else 0


def check_dispense(tx: Connection, dispense_id: int) -> None:
    """Raise UnknownDispense unless there is such a dispense."""
    found = tx.execute(select(t.dispense.c.id).where(t.dispense.c.id == dispense_id)).scalar()
    if found is None:
        raise UnknownDispense(f"there is no dispense {dispense_id}")


def find_moved_lot(tx: Connection, item_id: str, lot: str) -> MovedLot:
    """Return a lot with its item's unit; raises UnknownItem or UnknownLot."""
    row = tx.execute(_MOVED_LOT, {"b_item": item_id, "b_lot": lot}).one_or_none()
    if row is None:
        known = tx.execute(select(t.item.c.item_id).where(t.item.c.item_id == item_id)).scalar()
        if known is None:
            raise UnknownItem(f"item {item_id} is not in the catalogue")
        raise UnknownLot(f"item {item_id} has no lot {lot}")
    return MovedLot(item_id, lot, row.unit, LotState(row.state), row.expiry)


def location_kinds(tx: Connection, source: str, target: str) -> tuple[LocationKind, LocationKind]:
    """Return the kinds of two locations; raises UnknownLocation naming the one that is missing."""
    rows = tx.execute(_LOCATION_KINDS, {"b_source": source, "b_target": target})
    kinds = {row.location_id: LocationKind(row.kind) for row in rows}
    for location_id in (source, target):
        if location_id not in kinds:
            raise UnknownLocation(f"there is no location {location_id}")
    return kinds[source], kinds[target]
