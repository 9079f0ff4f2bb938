"""Batches of stock that leave to a supplier, a reverse distributor or destruction.

Each batch has a place of its own, into which packing moves the stock: so its lines, its movements
and the book of its place can be compared. `faults` does that; a batch with faults is never sealed.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Row, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import read
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import item, lot, movement, return_batch, return_line
from dispensed.model.outdating import BatchKind, BatchState, batch_step

Field = str | int | datetime | None
PLACE_PREFIX = "batch/"
TARGETS = {
    BatchKind.RETURN: "ext:supplier",
    BatchKind.REVERSE_DISTRIBUTOR: "ext:reverse-distributor",
    BatchKind.DESTRUCTION: "ext:destruction",
}
"""The account to which each kind of batch leaves."""


class BatchDiffers(Conflict):
    """The lines of a batch are not what its movements put there."""

    code: ClassVar[str] = "batch_differs"


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch; `location_id` is the place of its own where it is packed."""

    id: int
    kind: BatchKind
    partner: str
    reference: str
    state: BatchState
    location_id: str
    dea_form: str
    dea_reference: str
    method: str
    sealed_by: str | None
    sealed_at: datetime | None
    first_person: str | None
    first_at: datetime | None
    left_by: str | None
    left_at: datetime | None
    credit_cents: int | None
    credit_reference: str
    actor: str
    reason: str
    opened_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One lot in a batch, as packed by one movement from `source`."""

    id: int
    item_id: str
    ndc: str | None
    name: str
    strength: str
    form: str
    labeler: str
    unit: str
    pack_milli: int
    schedule: str
    lot: str
    expiry: date | None
    source: str
    milli: int
    movement_id: int
    left_movement_id: int | None
    removed_movement_id: int | None
    actor: str
    reason: str


def create(tx: Tx, kind: BatchKind, partner: str, reference: str, stamp: Stamp) -> int:
    """Open a batch that has no place yet; returns its number."""
    values = {
        "kind": kind.value,
        "partner": partner,
        "reference": reference,
        "state": BatchState.OPEN.value,
        "dea_form": "",
        "dea_reference": "",
        "method": "",
        "credit_reference": "",
        "actor": stamp.actor,
        "reason": stamp.reason,
        "opened_at": stamp.at,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    query = insert(return_batch).returning(return_batch.c.id)
    batch_id = int(tx.execute(query, values).scalar_one())
    details = {"kind": kind.value, "partner": partner, "reference": reference}
    audit(tx, stamp, "batch.opened", f"batch {batch_id}", details)
    return batch_id


def set_place(tx: Tx, batch_id: int, location_id: str) -> None:
    """Give a new batch its place."""
    this = return_batch.c.id == batch_id
    tx.execute(update(return_batch).where(this).values(location_id=location_id))


def step(tx: Tx, batch_id: int, to: BatchState, stamp: Stamp, **fields: Field) -> BatchRow:
    """Move a batch to a state and set other columns with it; raises IllegalBatchStep."""
    row = get(tx, batch_id)
    batch_step(row.kind, row.state, to)
    change(tx, batch_id, stamp, state=to.value, **fields)
    details = {"from": row.state.value}
    audit(tx, stamp, f"batch.{to}", f"batch {batch_id}", details)
    return get(tx, batch_id)


def change(tx: Tx, batch_id: int, stamp: Stamp, **fields: Field) -> None:
    """Set columns of a batch."""
    values = {**fields, "updated_at": stamp.at}
    tx.execute(update(return_batch).where(return_batch.c.id == batch_id).values(values))


def add_line(tx: Tx, batch_id: int, movement_id: int, stamp: Stamp) -> int:
    """Note that a movement packed stock into a batch; returns the line's number."""
    known = tx.execute(
        select(return_line.c.id).where(return_line.c.movement_id == movement_id)
    ).scalar()
    if known is not None:
        return int(known)
    row = tx.execute(select(movement).where(movement.c.id == movement_id)).one()
    values = {
        "batch_id": batch_id,
        "item_id": row.item_id,
        "lot": row.lot,
        "source": row.source,
        "milli": row.milli,
        "movement_id": movement_id,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "recorded_at": stamp.at,
    }
    query = insert(return_line).returning(return_line.c.id)
    line_id = int(tx.execute(query, values).scalar_one())
    details = {"item": row.item_id, "lot": row.lot, "milli": row.milli}
    audit(tx, stamp, "batch.packed", f"batch {batch_id}", details)
    return line_id


def line_left(tx: Tx, line_id: int, movement_id: int) -> None:
    """Note which movement took a line out of the pharmacy."""
    this = return_line.c.id == line_id
    tx.execute(update(return_line).where(this).values(left_movement_id=movement_id))


def line_removed(tx: Tx, batch_id: int, line_id: int, movement_id: int, stamp: Stamp) -> None:
    """Note which reversal put a line back where it came from."""
    this = return_line.c.id == line_id
    tx.execute(update(return_line).where(this).values(removed_movement_id=movement_id))
    audit(tx, stamp, "batch.unpacked", f"batch {batch_id}", {"line": line_id})


def get(tx: Tx, batch_id: int) -> BatchRow:
    """Return one batch; raises NotFound."""
    query = select(return_batch).where(return_batch.c.id == batch_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"no batch {batch_id}")
    return _batch(row)


def page(
    tx: Tx, *, state: str | None = None, after: int = 0, limit: int = 1000
) -> tuple[BatchRow, ...]:
    """Return batches by ascending number, of one state or all."""
    query = select(return_batch).where(return_batch.c.id > after)
    if state is not None:
        query = query.where(return_batch.c.state == state)
    return tuple(_batch(row) for row in tx.execute(query.order_by(return_batch.c.id).limit(limit)))


def _batch(row: Row[*tuple[object, ...]]) -> BatchRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    fields = {name: data[name] for name in BatchRow.__dataclass_fields__}
    fields |= {"kind": BatchKind(fields["kind"]), "state": BatchState(fields["state"])}
    return BatchRow(**fields)


def lines(tx: Tx, batch_id: int, *, removed: bool = False) -> tuple[BatchLine, ...]:
    """Return the lines of a batch in the order of packing; those taken out again when asked."""
    query = (
        select(
            return_line,
            *(item.c.ndc, item.c.name, item.c.strength, item.c.form, item.c.labeler),
            *(item.c.unit, item.c.pack_milli, item.c.schedule, lot.c.expiry),
        )
        .join(item, item.c.item_id == return_line.c.item_id)
        .join(lot, (lot.c.item_id == return_line.c.item_id) & (lot.c.lot == return_line.c.lot))
        .where(return_line.c.batch_id == batch_id)
        .order_by(return_line.c.id)
    )
    if not removed:
        query = query.where(return_line.c.removed_movement_id.is_(None))
    return tuple(_line(row) for row in tx.execute(query))


def _line(row: Row[*tuple[object, ...]]) -> BatchLine:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return BatchLine(**{name: data[name] for name in BatchLine.__dataclass_fields__})


# ---------------------------------------------------------------- lines against movements


def faults(tx: Tx, batch_id: int) -> tuple[str, ...]:
    """Return what in a batch does not equal its movements; nothing when all does.

    Each line equals the movement that packed it and, once it left, the one that took it out; the
    place of the batch holds exactly the lines that have not left.
    """
    batch = get(tx, batch_id)
    packed = lines(tx, batch_id)
    found: list[str] = []
    inside: Counter[tuple[str, str]] = Counter()
    for line in packed:
        ways = [(line.movement_id, line.source, batch.location_id)]
        if line.left_movement_id is None:
            inside[line.item_id, line.lot] += line.milli
        else:
            ways.append((line.left_movement_id, batch.location_id, TARGETS[batch.kind]))
        found += [_differs(tx, line, *way) for way in ways]
    book = read.book_of(tx, batch.location_id)
    found += [
        f"lot {key[1]} of item {key[0]}: {inside[key]} thousandths in the lines,"
        f" {book.get(key, 0)} in the book of {batch.location_id}"
        for key in sorted(book.keys() | inside.keys())
        if inside[key] != book.get(key, 0)
    ]
    return tuple(fault for fault in found if fault)


def check(tx: Tx, batch_id: int) -> None:
    """Raise BatchDiffers, naming the first differences, unless lines and movements are equal."""
    found = faults(tx, batch_id)
    if found:
        raise BatchDiffers(f"batch {batch_id}: {'; '.join(found[:5])}")


def _differs(tx: Tx, line: BatchLine, movement_id: int, source: str, target: str) -> str:
    row = tx.execute(select(movement).where(movement.c.id == movement_id)).one()
    moved = (row.item_id, row.lot, row.milli, row.source, row.target)
    undone = tx.execute(select(movement.c.id).where(movement.c.reverses == movement_id)).scalar()
    if moved != (line.item_id, line.lot, line.milli, source, target):
        return f"line {line.id} is not what movement {movement_id} moved"
    return "" if undone is None else f"movement {movement_id} of line {line.id} was reversed"
