"""Recall notices as they came: kept byte by byte before they are read, once each."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, insert, select

from dispensed.ledger import tables as t
from dispensed.ledger.stamp import Stamp, audit

RECORD, DOCUMENT = "record", "document"
"""One record of a feed; a whole document that could not be divided into records."""


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """One notice; `outcome` None means that it was not read yet."""

    id: int
    source: str
    kind: str
    content_hash: str
    raw: bytes
    received_at: datetime
    outcome: str | None
    recall_id: int | None
    note: str


def store(tx: Connection, source: str, kind: str, raw: bytes, stamp: Stamp) -> tuple[int, bool]:
    """Keep a notice unless its very content is kept; returns its number and whether it is new."""
    content_hash = hashlib.sha256(raw).hexdigest()
    known = select(t.recall_notice.c.id).where(t.recall_notice.c.content_hash == content_hash)
    found = tx.execute(known).scalar()
    if found is not None:
        return int(found), False
    values = {
        "source": source,
        "kind": kind,
        "content_hash": content_hash,
        "raw": raw,
        "received_at": stamp.at,
        "recorded_at": stamp.at,
    }
    made = insert(t.recall_notice).returning(t.recall_notice.c.id)
    return int(tx.execute(made, values).scalar_one()), True


def note_reading(
    tx: Connection, notice_id: int, *, recall_id: int | None, note: str, stamp: Stamp
) -> None:
    """Say what became of a notice: read into a case, or not readable (`recall_id` None)."""
    outcome = "unreadable" if recall_id is None else "read"
    values = {"notice_id": notice_id, "outcome": outcome, "recall_id": recall_id, "note": note}
    tx.execute(insert(t.recall_reading), {**values, "recorded_at": stamp.at})
    details = {"outcome": outcome, "case": recall_id}
    audit(tx, stamp, "recall.notice_read", f"recall notice {notice_id}", details)


def unread(tx: Connection, limit: int) -> tuple[NoticeRow, ...]:
    """Return notices that nobody has read, oldest first."""
    return _rows(tx, t.recall_reading.c.id.is_(None), limit)


def unreadable(tx: Connection, limit: int = 1000) -> tuple[NoticeRow, ...]:
    """Return the notices that no reading could make sense of, oldest first."""
    reading = t.recall_reading.alias("reading")
    was_read = exists().where(
        reading.c.notice_id == t.recall_notice.c.id, reading.c.outcome == "read"
    )
    return _rows(tx, (t.recall_reading.c.outcome == "unreadable") & ~was_read, limit)


def of_case(tx: Connection, case_id: int, limit: int = 1000) -> tuple[NoticeRow, ...]:
    """Return the notices that tell of a case, oldest first."""
    return _rows(tx, t.recall_reading.c.recall_id == case_id, limit)


def _rows(tx: Connection, condition: ColumnElement[bool], limit: int) -> tuple[NoticeRow, ...]:
    reading = t.recall_reading.c
    query = (
        select(t.recall_notice, reading.outcome, reading.recall_id, reading.note)
        .outerjoin(t.recall_reading, reading.notice_id == t.recall_notice.c.id)
        .where(condition)
        .order_by(t.recall_notice.c.id, reading.id)
        .limit(limit)
    )
    rows = {row.id: row for row in tx.execute(query)}
    return tuple(
        NoticeRow(
            id=row.id,
            source=row.source,
            kind=row.kind,
            content_hash=row.content_hash,
            raw=row.raw,
            received_at=row.received_at,
            outcome=row.outcome,
            recall_id=row.recall_id,
            note=row.note or "",
        )
        for row in rows.values()
    )
