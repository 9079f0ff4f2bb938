"""Receipts: which movement a delivery became."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import insert, select

from dispensed.ledger import reorder
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Posted
from dispensed.ledger.stamp import Stamp
from dispensed.ledger.tables import item, lot, movement, receipt
from dispensed.model.movement import MovementKind


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """One receipt with its lot; `repeated` says that this answer was given before."""

    id: int
    item_id: str
    name: str
    unit: str
    lot: str
    expiry: date | None
    milli: int
    location_id: str
    movement_id: int
    order_ref: str
    actor: str
    recorded_at: datetime
    repeated: bool = False


def record(tx: Tx, posted: Posted, *, order_ref: str, scan: str, stamp: Stamp) -> ReceiptRow:
    """Record the receipt of a posted movement; a repeated movement has its receipt already.

    A delivery (not opening stock) counts towards the approved proposals of its item, oldest first.
    """
    if not posted.repeated:
        moved = tx.execute(select(movement).where(movement.c.id == posted.movement_id)).one()
        if moved.kind == MovementKind.RECEIVE.value:
            reorder.receive(tx, moved.item_id, moved.milli, stamp)
        tx.execute(
            insert(receipt),
            {
                "movement_id": posted.movement_id,
                "order_ref": order_ref,
                "scan": scan,
                "actor": stamp.actor,
                "recorded_at": stamp.at,
            },
        )
    rows = page(tx, movement_id=posted.movement_id, repeated=posted.repeated)
    return rows[0]


def page(
    tx: Tx,
    *,
    after: int = 0,
    limit: int = 100,
    movement_id: int | None = None,
    repeated: bool = False,
) -> tuple[ReceiptRow, ...]:
    """Return receipts by ascending id, after an id, at most `limit`."""
    query = (
        select(
            receipt,
            movement.c.item_id,
            movement.c.lot,
            movement.c.milli,
            movement.c.target,
            item.c.name,
            item.c.unit,
            lot.c.expiry,
        )
        .join(movement, movement.c.id == receipt.c.movement_id)
        .join(item, item.c.item_id == movement.c.item_id)
        .join(lot, (lot.c.item_id == movement.c.item_id) & (lot.c.lot == movement.c.lot))
        .where(receipt.c.id > after)
        .order_by(receipt.c.id)
        .limit(limit)
    )
    if movement_id is not None:
        query = query.where(receipt.c.movement_id == movement_id)
    return tuple(
        ReceiptRow(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            lot=row.lot,
            expiry=row.expiry,
            milli=row.milli,
            location_id=row.target,
            movement_id=row.movement_id,
            order_ref=row.order_ref,
            actor=row.actor,
            recorded_at=row.recorded_at,
            repeated=repeated,
        )
        for row in tx.execute(query)
    )
