"""Stock that may be picked, and what has been picked for a dispense."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Row, and_, bindparam, case, func, or_, select

from dispensed.ledger import containers, special
from dispensed.ledger.engine import Tx
from dispensed.ledger.tables import (
    balance,
    discrepancy,
    location,
    lot,
    movement,
    reservation,
    unbooked,
)
from dispensed.model.catalog import LocationKind, LotState
from dispensed.model.counting import MEASURED
from dispensed.model.planning import usable_on

FILL_LOCATION = "fill"


@dataclass(frozen=True, slots=True)
class PickRow:
    """Usable stock of one lot at one place; `received` orders lots by their first movement."""

    location_id: str
    kind: LocationKind
    lot: str
    expiry: date
    received: int
    available: int


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One reservation of a dispense.

    `order_id` is the number under which a machine was commanded.
    """

    reservation_id: int
    order_id: str
    item_id: str
    lot: str
    location_id: str
    milli: int
    remaining: int
    state: str


@dataclass(frozen=True, slots=True)
class PickedRow:
    """What lies in the fill tray for a dispense, by lot and by the place it came from."""

    lot: str
    source: str
    milli: int


_ORDER_PREFIX = "order:"


def reservation_request(order_id: str) -> str:
    """Return the request id of the reservation for a machine order.

    HeldRow.order_id reads it back.
    """
    return _ORDER_PREFIX + order_id


def candidates(
    tx: Tx, item_id: str, on_date: date, *, protocol: str | None = None
) -> tuple[PickRow, ...]:
    """Return usable free stock of an item in bins and devices on a date of the site.

    Only that of a trial for a dispense of that `protocol`, and none of any trial for others.
    What an open discrepancy says is missing at a place is not counted on there, nor what is in
    opened containers whose date has passed.
    """
    first = (
        select(func.min(movement.c.id))
        .where(movement.c.item_id == balance.c.item_id, movement.c.lot == balance.c.lot)
        .correlate(balance)
        .scalar_subquery()
    )
    missing = (
        select(func.coalesce(func.max(-discrepancy.c.difference), 0))
        .where(
            discrepancy.c.item_id == balance.c.item_id,
            discrepancy.c.lot == balance.c.lot,
            discrepancy.c.location_id == balance.c.location_id,
            discrepancy.c.state == "open",
            discrepancy.c.kind.in_(MEASURED),
            discrepancy.c.difference < 0,
        )
        .correlate(balance)
        .scalar_subquery()
    )
    stale = containers.expired_milli(on_date)
    available = balance.c.on_hand - balance.c.held - missing - stale
    rows = tx.execute(
        select(
            balance.c.location_id,
            location.c.kind,
            balance.c.lot,
            lot.c.expiry,
            first.label("received"),
            available.label("available"),
        )
        .join(location, location.c.location_id == balance.c.location_id)
        .join(lot, and_(lot.c.item_id == balance.c.item_id, lot.c.lot == balance.c.lot))
        .where(
            balance.c.item_id == item_id,
            location.c.kind.in_([LocationKind.BIN.value, LocationKind.DEVICE.value]),
            lot.c.state == LotState.RELEASED.value,
            available > 0,
        )
        .order_by(balance.c.location_id, balance.c.lot)
    )
    trials = special.trial_places(tx)
    return tuple(
        _pick_row(row)
        for row in rows
        if usable_on(row.expiry, on_date) and trials.get(row.location_id) == protocol
    )


def _pick_row(row: Row[str, str, str, date, int, int]) -> PickRow:
    return PickRow(
        location_id=row.location_id,
        kind=LocationKind(row.kind),
        lot=row.lot,
        expiry=row.expiry,
        received=row.received,
        available=int(row.available),
    )


_HOLDS = (
    select(reservation)
    .where(reservation.c.dispense_id == bindparam("wanted"))
    .order_by(reservation.c.id)
)
_ACTIVE_HOLDS = _HOLDS.where(reservation.c.remaining > 0)


def holds(tx: Tx, dispense_id: int, *, active: bool = False) -> tuple[HeldRow, ...]:
    """Return the reservations of a dispense in the order they were made.

    Only those that still hold.
    """
    query = _ACTIVE_HOLDS if active else _HOLDS
    return tuple(
        HeldRow(
            reservation_id=row.id,
            order_id=row.request_id.removeprefix(_ORDER_PREFIX),
            item_id=row.item_id,
            lot=row.lot,
            location_id=row.location_id,
            milli=row.milli,
            remaining=row.remaining,
            state=row.state,
        )
        for row in tx.execute(query, {"wanted": dispense_id})
    )


_INTO = movement.c.target == FILL_LOCATION
_ORIGIN = case((_INTO, movement.c.source), else_=movement.c.target)
_NET = func.sum(case((_INTO, movement.c.milli), else_=-movement.c.milli))
_BOOKED = (
    select(movement.c.lot, _ORIGIN.label("origin"), _NET.label("net"))
    .where(
        movement.c.dispense_id == bindparam("wanted"),
        or_(_INTO, movement.c.source == FILL_LOCATION),
    )
    .group_by(movement.c.lot, _ORIGIN)
)
_CLAIMED = select(unbooked.c.lot, unbooked.c.location_id, unbooked.c.remaining).where(
    unbooked.c.dispense_id == bindparam("wanted"), unbooked.c.target == FILL_LOCATION
)


def picked(tx: Tx, dispense_id: int) -> tuple[PickedRow, ...]:
    """Return what lies in the fill tray for a dispense: in less out, by lot and place of origin.

    Includes what a machine says it put there and the book could not move yet: a fill must never be
    topped up for it. It cannot be settled before the book holds that stock.
    """
    wanted = {"wanted": dispense_id}
    parts: dict[tuple[str, str], int] = {}
    for lot_number, place, milli in (*tx.execute(_BOOKED, wanted), *tx.execute(_CLAIMED, wanted)):
        parts[lot_number, place] = parts.get((lot_number, place), 0) + int(milli)
    return tuple(PickedRow(*key, milli) for key, milli in sorted(parts.items()) if milli)


def pick_movements(tx: Tx, dispense_id: int) -> tuple[tuple[int, str, str, int], ...]:
    """Return (id, lot, source, milli) of the picks of a dispense that were not reversed.

    Newest first.
    """
    undo = movement.alias("undo")
    rows = tx.execute(
        select(movement.c.id, movement.c.lot, movement.c.source, movement.c.milli)
        .outerjoin(undo, undo.c.reverses == movement.c.id)
        .where(
            movement.c.dispense_id == dispense_id,
            movement.c.target == FILL_LOCATION,
            movement.c.reverses.is_(None),
            undo.c.id.is_(None),
        )
        .order_by(movement.c.id.desc())
    )
    return tuple((row.id, row.lot, row.source, row.milli) for row in rows)


def trays_with(tx: Tx, item_id: str, lot_number: str) -> tuple[int, ...]:
    """Return the dispenses in whose tray a lot lies."""
    into = case((movement.c.target == FILL_LOCATION, movement.c.milli), else_=-movement.c.milli)
    rows = tx.execute(
        select(movement.c.dispense_id)
        .where(
            movement.c.item_id == item_id,
            movement.c.lot == lot_number,
            movement.c.dispense_id.is_not(None),
            or_(movement.c.target == FILL_LOCATION, movement.c.source == FILL_LOCATION),
        )
        .group_by(movement.c.dispense_id)
        .having(func.sum(into) > 0)
        .order_by(movement.c.dispense_id)
    )
    return tuple(int(row.dispense_id) for row in rows)
