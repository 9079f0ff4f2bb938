"""Queries over stock, lots and movements: numbers in thousandths, formatting is for the edges."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select

from dispensed.errors import NotFound
from dispensed.ledger.engine import Tx
from dispensed.ledger.holds import PROMISABLE
from dispensed.ledger.tables import (
    balance,
    item,
    location,
    lot,
    movement,
    reservation,
    unbooked,
)
from dispensed.model.catalog import LocationKind, LotState
from dispensed.model.planning import usable_on


@dataclass(frozen=True, slots=True)
class StockRow:
    """One lot at one place. `available` = on hand - held - blocked, never negative.

    Blocked is what is not held of a lot that is not released, has expired or has no known expiry,
    and of any lot in the tray of a fill, among rejects or outdates.
    """

    item_id: str
    name: str
    strength: str
    unit: str
    schedule: str
    lot: str
    expiry: date | None
    lot_state: str
    location_id: str
    on_hand: int
    held: int
    blocked: int
    available: int


@dataclass(frozen=True, slots=True)
class LotRow:
    """One lot with what is on hand of it at the site; `usable` False means that it is blocked."""

    item_id: str
    name: str
    unit: str
    lot: str
    expiry: date | None
    expiry_source: str
    state: str
    on_hand: int
    expired: bool
    usable: bool


@dataclass(frozen=True, slots=True)
class MovementRow:
    """One line of the journal."""

    id: int
    kind: str
    item_id: str
    name: str
    unit: str
    lot: str
    source: str
    target: str
    milli: int
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reason: str
    request_id: str
    dispense_id: int | None
    inbox_id: int | None
    reverses: int | None
    hash: str


_OF_LOT = and_(lot.c.item_id == balance.c.item_id, lot.c.lot == balance.c.lot)


def stock(
    tx: Tx,
    *,
    on_date: date,
    item_id: str | None = None,
    lot_number: str | None = None,
    location_id: str | None = None,
) -> tuple[StockRow, ...]:
    """Return every lot that lies somewhere at the site, by item name, expiry, lot and place."""
    query = (
        select(
            balance,
            item.c.name,
            item.c.strength,
            item.c.unit,
            item.c.schedule,
            lot.c.expiry,
            lot.c.state,
            location.c.kind,
        )
        .join(item, item.c.item_id == balance.c.item_id)
        .join(lot, _OF_LOT)
        .join(location, location.c.location_id == balance.c.location_id)
        .where(balance.c.external.is_(False), balance.c.on_hand > 0)
        .order_by(
            item.c.name, balance.c.item_id, lot.c.expiry, balance.c.lot, balance.c.location_id
        )
    )
    for column, wanted in (
        (balance.c.item_id, item_id),
        (balance.c.lot, lot_number),
        (balance.c.location_id, location_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    rows: list[StockRow] = []
    for row in tx.execute(query):
        free = row.on_hand - row.held
        usable = row.state == LotState.RELEASED.value and usable_on(row.expiry, on_date)
        usable = usable and LocationKind(row.kind) in PROMISABLE
        rows.append(
            StockRow(
                item_id=row.item_id,
                name=row.name,
                strength=row.strength,
                unit=row.unit,
                schedule=row.schedule,
                lot=row.lot,
                expiry=row.expiry,
                lot_state=row.state,
                location_id=row.location_id,
                on_hand=row.on_hand,
                held=row.held,
                blocked=0 if usable else free,
                available=free if usable else 0,
            )
        )
    return tuple(rows)


def lots(
    tx: Tx, *, on_date: date, item_id: str | None = None, expiring_before: date | None = None
) -> tuple[LotRow, ...]:
    """Return the lots that lie at the site, the earliest expiry first, unknown ones at the head.

    `expiring_before` keeps those whose last day is on or before that date, or unknown.
    """
    query = _lots_query().having(func.sum(balance.c.on_hand) > 0)
    if item_id is not None:
        query = query.where(lot.c.item_id == item_id)
    if expiring_before is not None:
        query = query.where(or_(lot.c.expiry.is_(None), lot.c.expiry <= expiring_before))
    return _lot_rows(tx, query, on_date)


def one_lot(tx: Tx, item_id: str, lot_number: str, *, on_date: date) -> LotRow:
    """Return one lot, also when nothing is left of it; raises NotFound."""
    query = _lots_query().where(lot.c.item_id == item_id, lot.c.lot == lot_number)
    rows = _lot_rows(tx, query, on_date)
    if not rows:
        raise NotFound(f"item {item_id} has no lot {lot_number}")
    return rows[0]


def _lots_query() -> Select[*tuple[object, ...]]:
    return (
        select(
            lot,
            item.c.name,
            item.c.unit,
            func.coalesce(func.sum(balance.c.on_hand), 0).label("on_hand"),
        )
        .join(item, item.c.item_id == lot.c.item_id)
        .outerjoin(balance, and_(_OF_LOT, balance.c.external.is_(False)))
        .group_by(*lot.c, item.c.name, item.c.unit)
    )


def _lot_rows(tx: Tx, query: Select[*tuple[object, ...]], on_date: date) -> tuple[LotRow, ...]:
    rows = [
        LotRow(
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            lot=row.lot,
            expiry=row.expiry,
            expiry_source=row.expiry_source,
            state=row.state,
            on_hand=int(row.on_hand),
            expired=row.expiry is not None and not usable_on(row.expiry, on_date),
            usable=row.state == LotState.RELEASED.value and usable_on(row.expiry, on_date),
        )
        for row in tx.execute(query)
    ]
    return tuple(sorted(rows, key=lambda r: (r.expiry or date.min, r.name, r.item_id, r.lot)))


def movements(  # noqa: PLR0913 - the filters of one query
    tx: Tx,
    *,
    after: int = 0,
    limit: int = 100,
    item_id: str | None = None,
    lot_number: str | None = None,
    location_id: str | None = None,
    dispense_id: int | None = None,
) -> tuple[MovementRow, ...]:
    """Return movements by ascending id, after an id, at most `limit`."""
    conditions: list[ColumnElement[bool]] = [movement.c.id > after]
    if item_id is not None:
        conditions.append(movement.c.item_id == item_id)
    if lot_number is not None:
        conditions.append(movement.c.lot == lot_number)
    if location_id is not None:
        ends = (movement.c.source == location_id, movement.c.target == location_id)
        conditions.append(or_(*ends))
    if dispense_id is not None:
        conditions.append(movement.c.dispense_id == dispense_id)
    query = (
        select(movement, item.c.name, item.c.unit)
        .join(item, item.c.item_id == movement.c.item_id)
        .where(*conditions)
        .order_by(movement.c.id)
        .limit(limit)
    )
    return tuple(
        MovementRow(
            id=row.id,
            kind=row.kind,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            lot=row.lot,
            source=row.source,
            target=row.target,
            milli=row.milli,
            occurred_at=row.occurred_at,
            recorded_at=row.recorded_at,
            actor=row.actor,
            reason=row.reason,
            request_id=row.request_id,
            dispense_id=row.dispense_id,
            inbox_id=row.inbox_id,
            reverses=row.reverses,
            hash=row.hash,
        )
        for row in tx.execute(query)
    )


# Built once: these are asked with every message of a device.
_FREE = select(balance.c.on_hand, balance.c.held).where(
    balance.c.item_id == bindparam("b_item"),
    balance.c.lot == bindparam("b_lot"),
    balance.c.location_id == bindparam("b_location"),
)
_UNBOOKED = select(func.coalesce(func.sum(unbooked.c.remaining), 0)).where(
    unbooked.c.item_id == bindparam("b_item"),
    unbooked.c.lot == bindparam("b_lot"),
    unbooked.c.location_id == bindparam("b_location"),
)


def free_milli(tx: Tx, item_id: str, lot_number: str, location_id: str) -> int:
    """Return what lies at a place and is not held, blocked or not."""
    key = {"b_item": item_id, "b_lot": lot_number, "b_location": location_id}
    row = tx.execute(_FREE, key).one_or_none()
    return 0 if row is None else int(row.on_hand - row.held)


def unbooked_milli(tx: Tx, item_id: str, lot_number: str, location_id: str) -> int:
    """Return what machines say left a place beyond what the book held there."""
    key = {"b_item": item_id, "b_lot": lot_number, "b_location": location_id}
    return int(tx.execute(_UNBOOKED, key).scalar_one())


def book_of(tx: Tx, location_id: str) -> dict[tuple[str, str], int]:
    """Return what the book says lies at a place: (item, lot) -> thousandths, zeros left out."""
    rows = tx.execute(
        select(balance.c.item_id, balance.c.lot, balance.c.on_hand).where(
            balance.c.location_id == location_id, balance.c.on_hand != 0
        )
    )
    return {(row.item_id, row.lot): int(row.on_hand) for row in rows}


def lots_commanded(tx: Tx, location_id: str) -> set[tuple[str, str]]:
    """Return the (item, lot) pairs at a place that a command is moving at this moment."""
    rows = tx.execute(
        select(reservation.c.item_id, reservation.c.lot).where(
            reservation.c.location_id == location_id, reservation.c.state == "commanded"
        )
    )
    return {(row.item_id, row.lot) for row in rows}
