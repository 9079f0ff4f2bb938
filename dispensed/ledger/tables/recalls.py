"""Recalls: notices as they came, cases, what they name, what people decide and answer.

`recall_case` (of the journal's module) is the blocking line: it stops one lot, or all lots of one
item. Here stands the case around such lines.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import UtcDateTime

recall = Table(
    "recall",
    METADATA,
    auto_id(),
    Column("reference", Text, nullable=False),
    Column("recall_number", Text, unique=True),
    Column("event_id", Text, nullable=False, index=True),
    Column("product", Text, nullable=False),
    Column("labeler", Text, nullable=False),
    Column("recall_class", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("due_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("closed_by", Text),
    recorded(),
    CheckConstraint("state IN ('review', 'not_stocked', 'open', 'closed')", name="state"),
    CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_time"),
    CheckConstraint("recall_class IN ('', 'I', 'II', 'III')", name="recall_class"),
)
"""One recall of one product, however many notices tell of it."""

recall_notice = Table(
    "recall_notice",
    METADATA,
    auto_id(),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content_hash", Text, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("kind IN ('record', 'document')", name="kind"),
)
"""Append-only: a notice byte by byte as it came; `document` is one that could not be divided."""

recall_reading = Table(
    "recall_reading",
    METADATA,
    auto_id(),
    Column("notice_id", BigInteger, ForeignKey("recall_notice.id"), nullable=False, index=True),
    Column("outcome", Text, nullable=False),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), index=True),
    Column("note", Text, nullable=False),
    recorded(),
    CheckConstraint("outcome IN ('read', 'unreadable')", name="outcome"),
    CheckConstraint("(outcome = 'read') = (recall_id IS NOT NULL)", name="read_has_case"),
)
"""Append-only: what became of a notice."""

recall_unresolved = Table(
    "recall_unresolved",
    METADATA,
    auto_id(),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), nullable=False),
    Column("notice_id", BigInteger, ForeignKey("recall_notice.id"), nullable=False),
    Column("field", Text, nullable=False),
    Column("text_start", Integer, nullable=False),
    Column("text_end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime()),
    Column("decision", Text, nullable=False),
    recorded(),
    CheckConstraint("state IN ('open', 'match', 'no_match')", name="state"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided_has_time"),
    CheckConstraint("(decided_at IS NULL) = (decided_by IS NULL)", name="decided_has_person"),
    Index(None, "state", "id"),
    Index(None, "recall_id"),
)
"""Part of a notice that a person must read; it is decided, never dropped."""

recall_line = Table(
    "recall_line",
    METADATA,
    auto_id(),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), nullable=False, index=True),
    Column("notice_id", BigInteger, ForeignKey("recall_notice.id")),
    Column("unresolved_id", BigInteger, ForeignKey("recall_unresolved.id")),
    Column("ndc", Text, nullable=False),
    Column("digits", Text, nullable=False, index=True),
    Column("item_id", Text, ForeignKey("item.item_id")),
    Column("lot", Text),
    Column("expiry", Text),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("(digits = '') = (item_id IS NOT NULL)", name="code_or_item"),
)
"""What a recall names: a package or product code (`digits`) or an item, and a lot or all lots."""

recall_block = Table(
    "recall_block",
    METADATA,
    Column("line_id", BigInteger, ForeignKey("recall_line.id"), nullable=False),
    Column("block_id", BigInteger, ForeignKey("recall_case.id"), nullable=False, index=True),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), nullable=False, index=True),
    recorded(),
    PrimaryKeyConstraint("line_id", "block_id"),
)
"""Which blocking lines (`recall_case`) a line of a recall has made or taken over."""

recall_task = Table(
    "recall_task",
    METADATA,
    auto_id(),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), nullable=False, index=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("state", Text, nullable=False),
    Column("due_at", UtcDateTime(), nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("state IN ('open', 'answered')", name="state"),
)
"""Pull one lot from one place and tell how much was found there."""
Index(
    "uq_recall_task_open",
    recall_task.c.recall_id,
    recall_task.c.item_id,
    recall_task.c.lot,
    recall_task.c.location_id,
    unique=True,
    sqlite_where=recall_task.c.state == "open",
    postgresql_where=recall_task.c.state == "open",
)

recall_answer = Table(
    "recall_answer",
    METADATA,
    auto_id(),
    Column("task_id", BigInteger, ForeignKey("recall_task.id"), nullable=False, unique=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("book", BigInteger, nullable=False),
    Column("found", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False),
    Column("target", Text, ForeignKey("location.location_id")),
    Column("movement_id", BigInteger, ForeignKey("movement.id")),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False),
    recorded(),
    CheckConstraint("book >= 0 AND found >= 0 AND moved >= 0", name="not_negative"),
    CheckConstraint("moved <= found AND moved <= book", name="moved_was_there"),
    CheckConstraint("(moved > 0) = (movement_id IS NOT NULL)", name="moved_by_movement"),
)
"""Append-only: what a person found at a place; nothing found is an answer."""

recall_signature = Table(
    "recall_signature",
    METADATA,
    auto_id(),
    Column("recall_id", BigInteger, ForeignKey("recall.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("statement", Text, nullable=False),
    recorded(),
    UniqueConstraint("recall_id", "round", "actor"),
)
"""Append-only: a person vouches for the case as it stands in its round."""
