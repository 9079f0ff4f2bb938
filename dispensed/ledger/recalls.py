"""Recall cases: an open one blocks its lot, or every lot of its item, whenever it turns up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import recall_blocks
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import recall_case


class RecallExists(Conflict):
    """An open case with this reference names the same item and lot."""

    code = "recall_exists"


class RecallClosed(Conflict):
    """The case is closed already."""

    code = "recall_closed"


@dataclass(frozen=True, slots=True)
class RecallRow:
    """One case; `lot` None recalls every lot of the item."""

    id: int
    reference: str
    item_id: str
    lot: str | None
    recall_class: str
    reason: str
    state: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None


def open_case(
    tx: Tx,
    *,
    item_id: str,
    lot: str | None,
    recall_class: str,
    reference: str,
    stamp: Stamp,
) -> RecallRow:
    """Open a blocking line: the lots it names, and all made from them, become recalled.

    Raises RecallExists for a second one of the same kind.
    """
    if find_open(tx, item_id=item_id, lot=lot, reference=reference) is not None:
        raise RecallExists(f"recall {reference} of item {item_id} lot {lot or 'all'} is open")
    case_id = tx.execute(
        insert(recall_case).returning(recall_case.c.id),
        {
            "reference": reference,
            "item_id": item_id,
            "lot": lot,
            "recall_class": recall_class,
            "reason": stamp.reason,
            "state": "open",
            "actor": stamp.actor,
            "opened_at": stamp.at,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    recall_blocks.hold(tx, item_id, lot, stamp)
    audit(tx, stamp, "opened", f"recall {case_id}", {"item": item_id, "lot": lot or "all"})
    return get(tx, case_id)


def close_case(tx: Tx, recall_id: int, stamp: Stamp) -> RecallRow:
    """Close a case; its lots keep their state. Raises NotFound or RecallClosed."""
    if get(tx, recall_id).state != "open":
        raise RecallClosed(f"recall {recall_id} is closed")
    tx.execute(
        update(recall_case)
        .where(recall_case.c.id == recall_id)
        .values(state="closed", closed_at=stamp.at)
    )
    audit(tx, stamp, "closed", f"recall {recall_id}", {})
    return get(tx, recall_id)


def find_open(tx: Tx, *, item_id: str, lot: str | None, reference: str) -> RecallRow | None:
    """Return the open line of a reference for an item and lot, None when there is none."""
    of_lot = recall_case.c.lot.is_(None) if lot is None else recall_case.c.lot == lot
    condition = of_lot & (recall_case.c.item_id == item_id) & (recall_case.c.state == "open")
    rows = _rows(tx, condition & (recall_case.c.reference == reference))
    return rows[0] if rows else None


def get(tx: Tx, recall_id: int) -> RecallRow:
    """Return one case; raises NotFound."""
    rows = _rows(tx, recall_case.c.id == recall_id)
    if not rows:
        raise NotFound(f"no recall {recall_id}")
    return rows[0]


def page(tx: Tx, *, state: str | None = None) -> tuple[RecallRow, ...]:
    """Return the cases of a state or all, newest first."""
    return _rows(tx, recall_case.c.state == state if state is not None else recall_case.c.id > 0)


def _rows(tx: Tx, condition: ColumnElement[bool]) -> tuple[RecallRow, ...]:
    query = select(recall_case).where(condition).order_by(recall_case.c.id.desc())
    return tuple(
        RecallRow(
            id=row.id,
            reference=row.reference,
            item_id=row.item_id,
            lot=row.lot,
            recall_class=row.recall_class,
            reason=row.reason,
            state=row.state,
            actor=row.actor,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
        )
        for row in tx.execute(query)
    )
