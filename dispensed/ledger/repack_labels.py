"""Print jobs of repack runs: how many labels were asked, and how many came out for sure."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select, update

from dispensed.ledger import repacks
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.rules import RequestReused, check_request_id
from dispensed.ledger.stamp import Details, Stamp, audit


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One print job of a run; `proof` is `sent` while nobody knows what came out."""

    id: int
    run_id: int
    copies: int
    printed: int
    proof: str
    actor: str
    reason: str
    recorded_at: datetime


def claim(tx: Tx, run_id: int, copies: int, *, request_id: str, stamp: Stamp) -> LabelRow:
    """Record a print job before its first label is sent; raises RequestReused for a known id."""
    check_request_id(request_id)
    label = t.repack_label
    if tx.execute(select(label.c.id).where(label.c.request_id == request_id)).first() is not None:
        raise RequestReused(f"request {request_id} was used before for a print job")
    values = {
        "run_id": run_id,
        "request_id": request_id,
        "copies": copies,
        "printed": 0,
        "proof": "sent",
        "actor": stamp.actor,
        "reason": stamp.reason,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    label_id = int(tx.execute(insert(label).returning(label.c.id), values).scalar_one())
    audit(tx, stamp, "repack.labels_sent", f"repack {run_id}", {"copies": copies})
    return _rows(tx, label.c.id == label_id)[0]


def note(tx: Tx, *, run_id: int, label_id: int, printed: int, proof: str, stamp: Stamp) -> LabelRow:
    """Record how many labels of a job are known to have come out, and by what proof."""
    label = t.repack_label
    tx.execute(
        update(label)
        .where(label.c.id == label_id)
        .values(printed=printed, proof=proof, updated_at=stamp.at)
    )
    details: Details = {"printed": printed, "proof": proof}
    audit(tx, stamp, "repack.labels_printed", f"repack {run_id}", details)
    return _rows(tx, label.c.id == label_id)[0]


def find(tx: Tx, run_id: int, request_id: str) -> LabelRow | None:
    """Return the print job of a request, None when there is none.

    Raises UnknownRun, and RequestReused when the request printed labels of another run.
    """
    repacks.get(tx, run_id)
    label = t.repack_label.c
    rows = _rows(tx, label.request_id == request_id)
    if rows and rows[0].run_id != run_id:
        raise RequestReused(f"request {request_id} printed labels of repack run {rows[0].run_id}")
    return rows[0] if rows else None


def page(tx: Tx, run_id: int) -> tuple[LabelRow, ...]:
    """Return the print jobs of a run, oldest first."""
    return _rows(tx, t.repack_label.c.run_id == run_id)


def _rows(tx: Tx, condition: ColumnElement[bool]) -> tuple[LabelRow, ...]:
    query = select(t.repack_label).where(condition).order_by(t.repack_label.c.id)
    return tuple(
        LabelRow(
            id=row.id,
            run_id=row.run_id,
            copies=row.copies,
            printed=row.printed,
            proof=row.proof,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )
        for row in tx.execute(query)
    )
