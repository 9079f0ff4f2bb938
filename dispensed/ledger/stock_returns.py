"""Returns to stock: what came back of fills that nobody picked up, and under which lot it lies."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import ColumnElement, func, insert, select

from dispensed.errors import NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Details, Stamp, audit

LABEL_SENT = "return.label_sent"


class UnknownReturn(NotFound):
    """There is no return to stock of that number."""

    code: ClassVar[str] = "return_not_found"


@dataclass(frozen=True, slots=True)
class NewReturn:
    """A return that is booked: `to_lot` is `lot` itself, or its child with a shorter date."""

    request_id: str
    dispense_id: int
    item_id: str
    lot: str
    to_lot: str
    use_by: date | None
    rule: str
    milli: int
    target: str
    movement_id: int


@dataclass(frozen=True, slots=True)
class ReturnRow:
    """One return to stock."""

    id: int
    request_id: str
    dispense_id: int
    item_id: str
    name: str
    unit: str
    lot: str
    to_lot: str
    use_by: date | None
    rule: str
    milli: int
    target: str
    movement_id: int
    actor: str
    reason: str
    recorded_at: datetime


def record(tx: Tx, new: NewReturn, stamp: Stamp) -> ReturnRow:
    """Record a return whose movements are posted."""
    values = {
        "request_id": new.request_id,
        "dispense_id": new.dispense_id,
        "item_id": new.item_id,
        "lot": new.lot,
        "to_lot": new.to_lot,
        "use_by": new.use_by,
        "rule": new.rule,
        "milli": new.milli,
        "target": new.target,
        "movement_id": new.movement_id,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "recorded_at": stamp.at,
    }
    made = insert(t.stock_return).returning(t.stock_return.c.id)
    return_id = int(tx.execute(made, values).scalar_one())
    details: Details = {
        "milli": new.milli,
        "lot": new.lot,
        "to_lot": new.to_lot,
        "target": new.target,
    }
    audit(tx, stamp, "dispense.returned", f"dispense {new.dispense_id}", details)
    return get(tx, return_id)


def find(tx: Tx, request_id: str) -> ReturnRow | None:
    """Return the return that a request made, None when there is none."""
    rows = _rows(tx, t.stock_return.c.request_id == request_id, limit=1)
    return rows[0] if rows else None


def get(tx: Tx, return_id: int) -> ReturnRow:
    """Return one; raises UnknownReturn."""
    rows = _rows(tx, t.stock_return.c.id == return_id, limit=1)
    if not rows:
        raise UnknownReturn(f"there is no return to stock {return_id}")
    return rows[0]


def page(tx: Tx, *, after: int = 0, limit: int = 100) -> tuple[ReturnRow, ...]:
    """Return returns by ascending id, after an id, at most `limit`."""
    return _rows(tx, t.stock_return.c.id > after, limit=limit)


def filled_at(tx: Tx, dispense_id: int, lot: str) -> datetime | None:
    """Return when the first of a lot was taken for a dispense, None when none ever was."""
    move = t.movement.c
    row = tx.execute(
        select(move.occurred_at)
        .where(move.dispense_id == dispense_id, move.lot == lot)
        .order_by(move.id)
        .limit(1)
    ).first()
    return None if row is None else row.occurred_at


def count_of(tx: Tx, dispense_id: int) -> int:
    """Return how many returns a dispense has."""
    back = t.stock_return.c
    query = select(func.count()).where(back.dispense_id == dispense_id)
    return int(tx.execute(query).scalar_one())


def count_label(tx: Tx, *, row: ReturnRow, stamp: Stamp) -> int:
    """Record that a label of a return is about to be printed; returns the how manieth it is."""
    subject = f"return {row.id}"
    event = t.audit_event.c
    query = select(func.count()).where(event.subject == subject, event.verb == LABEL_SENT)
    number = int(tx.execute(query).scalar_one()) + 1
    audit(tx, stamp, LABEL_SENT, subject, {"number": number, "lot": row.to_lot})
    return number


def _rows(tx: Tx, condition: ColumnElement[bool], *, limit: int) -> tuple[ReturnRow, ...]:
    back = t.stock_return
    query = (
        select(back, t.item.c.name, t.item.c.unit)
        .join(t.item, t.item.c.item_id == back.c.item_id)
        .where(condition)
        .order_by(back.c.id)
        .limit(limit)
    )
    return tuple(
        ReturnRow(
            id=row.id,
            request_id=row.request_id,
            dispense_id=row.dispense_id,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            lot=row.lot,
            to_lot=row.to_lot,
            use_by=row.use_by,
            rule=row.rule,
            milli=row.milli,
            target=row.target,
            movement_id=row.movement_id,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )
        for row in tx.execute(query)
    )
