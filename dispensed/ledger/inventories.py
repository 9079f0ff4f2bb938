"""Inventories of controlled substances: what persons counted, signed, and then held to the book.

Lines, signatures and headers are append-only; a later line for the same lot and place replaces the
earlier one until the first signature. The book is not shown before the last signature.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Row, func, insert, select, union_all

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import catalog
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import PLACE_KINDS, Schedule
from dispensed.model.controlled import (
    CountMethod,
    InventoryKind,
    Moment,
    check_method,
    next_inventory_due,
)
from dispensed.model.quantity import QUANTITY_MAX_MILLI

COUNTING, SIGNED, COMPLETE = "counting", "signed", "complete"
UNCOUNTED_SHOWN = 10
CONTROLLED = tuple(each.value for each in Schedule if each.is_controlled)


class UnknownInventory(NotFound):
    """There is no inventory of that number."""

    code: ClassVar[str] = "inventory_not_found"


class InventorySigned(Conflict):
    """The inventory is signed; it takes no more counts."""

    code: ClassVar[str] = "inventory_signed"


class InventoryIncomplete(Conflict):
    """Not everything that is on hand has been counted."""

    code: ClassVar[str] = "inventory_incomplete"


class InitialTaken(Conflict):
    """There is an initial inventory already; the next one is a biennial one."""

    code: ClassVar[str] = "initial_taken"


@dataclass(frozen=True, slots=True)
class NewInventory:
    """An inventory as of the opening or close of business on a date, which is instant `as_of`."""

    kind: InventoryKind
    on_date: date
    moment: Moment
    as_of: datetime
    signatures: int


@dataclass(frozen=True, slots=True)
class NewLine:
    """What a person found of one lot at one place, and how."""

    item_id: str
    lot: str
    location_id: str
    milli: int
    method: CountMethod = CountMethod.EXACT
    container_milli: int | None = None


@dataclass(frozen=True, slots=True)
class LineRow:
    """One lot at one place; `book_milli` None until the inventory is complete."""

    id: int
    item_id: str
    name: str
    strength: str
    form: str
    unit: str
    schedule: str
    lot: str
    location_id: str
    milli: int
    method: str
    container_milli: int | None
    actor: str
    counted_at: datetime
    book_milli: int | None

    @property
    def variance_milli(self) -> int | None:
        """Counted less book; None until the inventory is complete."""
        return None if self.book_milli is None else self.milli - self.book_milli


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed, and when."""

    person: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class InventoryRow:
    """One inventory; lines are the latest of each lot and place."""

    id: int
    kind: str
    on_date: date
    moment: str
    as_of: datetime
    signatures_needed: int
    actor: str
    recorded_at: datetime
    signatures: tuple[Signature, ...]
    lines: tuple[LineRow, ...]

    @property
    def state(self) -> str:
        """How far it is: counting, signed (not by all), or complete."""
        if not self.signatures:
            return COUNTING
        return COMPLETE if len(self.signatures) >= self.signatures_needed else SIGNED

    @property
    def next_due(self) -> date:
        """The last day for the next one."""
        return next_inventory_due(self.on_date)


_SIGNED = (
    select(func.count())
    .where(t.inventory_signature.c.inventory_id == t.inventory.c.id)
    .correlate(t.inventory)
    .scalar_subquery()
)
_COMPLETE = select(t.inventory.c.id, t.inventory.c.on_date).where(
    t.inventory.c.signatures <= _SIGNED
)


def begin(tx: Tx, new: NewInventory, stamp: Stamp) -> InventoryRow:
    """Begin an inventory; raises InitialTaken for a second initial one."""
    if new.kind is InventoryKind.INITIAL:
        taken = tx.execute(_COMPLETE.where(t.inventory.c.kind == new.kind.value)).first()
        if taken is not None:
            raise InitialTaken(f"inventory {taken.id} of {taken.on_date} is the initial one")
    number = tx.execute(
        insert(t.inventory).returning(t.inventory.c.id),
        {
            "kind": new.kind.value,
            "on_date": new.on_date,
            "moment": new.moment.value,
            "as_of": new.as_of,
            "signatures": new.signatures,
            "actor": stamp.actor,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    audit(tx, stamp, "inventory.begun", f"inventory {number}", {"kind": new.kind.value})
    return get(tx, number)


def count(tx: Tx, inventory_id: int, line: NewLine, stamp: Stamp) -> InventoryRow:
    """Record what a person found.

    Raises UnknownInventory, InventorySigned, EstimateRefused where an exact count is asked for,
    Invalid for an item that is not controlled or a place that holds no stock, and for what is not
    in the catalogue.
    """
    if get(tx, inventory_id).signatures:
        raise InventorySigned(f"inventory {inventory_id} is signed")
    item = catalog.get_item(tx, line.item_id)
    catalog.get_lot(tx, line.item_id, line.lot)
    if not item.schedule.is_controlled:
        raise Invalid(f"item {item.item_id} is not a controlled substance")
    if not catalog.get_location(tx, line.location_id).kind.holds_stock:
        raise Invalid(f"location {line.location_id} holds no stock")
    if not 0 <= line.milli <= QUANTITY_MAX_MILLI:
        raise Invalid(f"item {item.item_id}: {line.milli} thousandths cannot be counted")
    check_method(item.schedule, line.method, container_milli=line.container_milli, unit=item.unit)
    tx.execute(
        insert(t.inventory_line),
        {
            "inventory_id": inventory_id,
            "item_id": line.item_id,
            "lot": line.lot,
            "location_id": line.location_id,
            "milli": line.milli,
            "method": line.method.value,
            "container_milli": line.container_milli,
            "actor": stamp.actor,
            "recorded_at": stamp.at,
        },
    )
    return get(tx, inventory_id)


def sign(tx: Tx, inventory_id: int, stamp: Stamp) -> InventoryRow:
    """Let the stamp's actor sign; a second signature of the same person changes nothing.

    Raises InventoryIncomplete naming what is on hand and was not counted, without any quantity, and
    InventorySigned when it has all its signatures.
    """
    row = get(tx, inventory_id)
    if stamp.actor in {each.person for each in row.signatures}:
        return row
    if row.state == COMPLETE:
        raise InventorySigned(f"inventory {inventory_id} is complete")
    if not row.signatures:
        _check_complete(tx, row, stamp)
    tx.execute(
        insert(t.inventory_signature),
        {
            "inventory_id": inventory_id,
            "person": stamp.actor,
            "signed_at": stamp.at,
            "recorded_at": stamp.at,
        },
    )
    audit(tx, stamp, "inventory.signed", f"inventory {inventory_id}", {"lines": len(row.lines)})
    signed = get(tx, inventory_id)
    if signed.state == COMPLETE:
        _write_book(tx, signed, stamp)
    return get(tx, inventory_id)


def get(tx: Tx, inventory_id: int) -> InventoryRow:
    """Return one; raises UnknownInventory."""
    row = tx.execute(select(t.inventory).where(t.inventory.c.id == inventory_id)).one_or_none()
    if row is None:
        raise UnknownInventory(f"there is no inventory {inventory_id}")
    return _row(tx, row)


def page(tx: Tx, *, after: int = 0, limit: int = 100) -> tuple[InventoryRow, ...]:
    """Return inventories by ascending id, after an id, at most `limit`."""
    query = select(t.inventory).where(t.inventory.c.id > after).order_by(t.inventory.c.id)
    return tuple(_row(tx, row) for row in tx.execute(query.limit(limit)).all())


def due(tx: Tx) -> date | None:
    """Return the last day for the next inventory of everything; None when none was ever taken."""
    all_of_it = t.inventory.c.kind != InventoryKind.NEWLY_SCHEDULED.value
    last = tx.execute(select(func.max(_COMPLETE.where(all_of_it).subquery().c.on_date))).scalar()
    return None if last is None else next_inventory_due(last)


def book_as_of(tx: Tx, as_of: datetime, known_at: datetime) -> dict[tuple[str, str, str], int]:
    """Return what the book held of controlled items by (item, lot, place), zeros left out.

    Movements count that happened before `as_of` and were recorded by `known_at`; what is recorded
    later does not change an inventory that was signed.
    """
    move = t.movement.c
    happened = (move.occurred_at < as_of) & (move.recorded_at <= known_at)
    both = union_all(
        select(move.item_id, move.lot, move.target.label("place"), move.milli).where(happened),
        select(move.item_id, move.lot, move.source, -move.milli).where(happened),
    ).subquery()
    query = (
        select(both.c.item_id, both.c.lot, both.c.place, func.sum(both.c.milli).label("milli"))
        .join(t.item, t.item.c.item_id == both.c.item_id)
        .join(t.location, t.location.c.location_id == both.c.place)
        .where(
            t.item.c.schedule.in_(CONTROLLED),
            t.location.c.kind.in_([kind.value for kind in PLACE_KINDS]),
        )
        .group_by(both.c.item_id, both.c.lot, both.c.place)
        .having(func.sum(both.c.milli) != 0)
    )
    return {(row.item_id, row.lot, row.place): int(row.milli) for row in tx.execute(query)}


def _check_complete(tx: Tx, row: InventoryRow, stamp: Stamp) -> None:
    if not row.lines:
        raise InventoryIncomplete(f"inventory {row.id}: nothing is counted")
    if row.kind == InventoryKind.NEWLY_SCHEDULED:
        return
    counted = {(line.item_id, line.lot, line.location_id) for line in row.lines}
    missing = sorted(set(book_as_of(tx, row.as_of, stamp.at)) - counted)
    if missing:
        shown = "; ".join(
            f"lot {lot} of {item} at {place}" for item, lot, place in missing[:UNCOUNTED_SHOWN]
        )
        raise InventoryIncomplete(
            f"inventory {row.id}: {len(missing)} not counted (count 0 where nothing is): {shown}"
        )


def _row(tx: Tx, row: Row[*tuple[object, ...]]) -> InventoryRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    signed = t.inventory_signature
    rows = tx.execute(
        select(signed.c.person, signed.c.signed_at)
        .where(signed.c.inventory_id == data["id"])
        .order_by(signed.c.signed_at, signed.c.person)
    )
    signatures = tuple(Signature(each.person, each.signed_at) for each in rows)
    return InventoryRow(
        id=data["id"],
        kind=data["kind"],
        on_date=data["on_date"],
        moment=data["moment"],
        as_of=data["as_of"],
        signatures_needed=data["signatures"],
        actor=data["actor"],
        recorded_at=data["recorded_at"],
        signatures=signatures,
        lines=_lines(tx, data["id"]),
    )


def _write_book(tx: Tx, row: InventoryRow, stamp: Stamp) -> None:
    """Keep what the book held beside each line, as it was known at the first signature."""
    book = book_as_of(tx, row.as_of, row.signatures[0].signed_at)
    for line in row.lines:
        milli = book.get((line.item_id, line.lot, line.location_id), 0)
        tx.execute(
            insert(t.inventory_book),
            {"line_id": line.id, "milli": milli, "recorded_at": stamp.at},
        )


def _lines(tx: Tx, inventory_id: int) -> tuple[LineRow, ...]:
    line = t.inventory_line.c
    latest = (
        select(func.max(line.id))
        .where(line.inventory_id == inventory_id)
        .group_by(line.item_id, line.lot, line.location_id)
    )
    query = (
        select(
            t.inventory_line,
            t.item.c.name,
            t.item.c.strength,
            t.item.c.form,
            t.item.c.unit,
            t.item.c.schedule,
            t.inventory_book.c.milli.label("book_milli"),
        )
        .join(t.item, t.item.c.item_id == line.item_id)
        .outerjoin(t.inventory_book, t.inventory_book.c.line_id == line.id)
        .where(line.id.in_(latest))
        .order_by(t.item.c.schedule, line.item_id, line.lot, line.location_id)
    )
    return tuple(_line(row) for row in tx.execute(query))


def _line(row: Row[*tuple[object, ...]]) -> LineRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return LineRow(
        id=data["id"],
        item_id=data["item_id"],
        name=data["name"],
        strength=data["strength"],
        form=data["form"],
        unit=data["unit"],
        schedule=data["schedule"],
        lot=data["lot"],
        location_id=data["location_id"],
        milli=data["milli"],
        method=data["method"],
        container_milli=data["container_milli"],
        actor=data["actor"],
        counted_at=data["recorded_at"],
        book_milli=data["book_milli"],
    )
