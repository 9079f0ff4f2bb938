"""Counts and the records of discrepancies: tasks, what was counted, what came of it.

A task asks for a count of an item (of one lot, or of all) at a place, or of everything there. Each
round of counting is one person's answer, with one result per lot; rounds and results are never
changed. A discrepancy record is about one lot of an item at one place; the rows of `discrepancy`
are its causes.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import UtcDateTime

count_task = Table(
    "count_task",
    METADATA,
    auto_id(),
    Column("kind", Text, nullable=False),
    Column("blind", Boolean, nullable=False),
    Column("item_id", Text, ForeignKey("item.item_id")),
    Column("lot", Text),
    location_column("location_id"),
    Column("head", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("due_at", UtcDateTime(), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("kind IN ('cycle', 'blind', 'full', 'discrepancy', 'access')", name="kind"),
    CheckConstraint(
        "state IN ('open', 'submitted', 'recount', 'closed', 'cancelled')", name="state"
    ),
    CheckConstraint(
        "(state IN ('closed', 'cancelled')) = (closed_at IS NOT NULL)", name="closed_has_time"
    ),
    CheckConstraint("lot IS NULL OR item_id IS NOT NULL", name="lot_of_an_item"),
    Index(None, "state", "due_at"),
    Index(None, "location_id", "item_id"),
)

count_round = Table(
    "count_round",
    METADATA,
    auto_id(),
    Column("task_id", BigInteger, ForeignKey("count_task.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("counted_at", UtcDateTime(), nullable=False),
    Column("position", BigInteger),
    Column("head", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False, unique=True),
    recorded(),
    UniqueConstraint("task_id", "number"),
    CheckConstraint("source IN ('hand', 'counter', 'scale', 'snapshot')", name="source"),
    CheckConstraint("number > 0", name="number_positive"),
)

count_result = Table(
    "count_result",
    METADATA,
    auto_id(),
    Column("round_id", BigInteger, ForeignKey("count_round.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("counted_milli", BigInteger, nullable=False),
    Column("uncertainty_milli", BigInteger, nullable=False),
    Column("book_milli", BigInteger, nullable=False),
    Column("variance_milli", BigInteger, nullable=False),
    recorded(),
    lot_key(),
    UniqueConstraint("round_id", "item_id", "lot"),
    CheckConstraint("counted_milli >= 0 AND uncertainty_milli >= 0", name="not_negative"),
    CheckConstraint("variance_milli = counted_milli - book_milli", name="variance_is_difference"),
    Index(None, "item_id", "lot", "location_id"),
)

count_posting = Table(
    "count_posting",
    METADATA,
    Column("result_id", BigInteger, ForeignKey("count_result.id"), primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("variance_milli", BigInteger, nullable=False),
    recorded(),
    CheckConstraint("variance_milli <> 0", name="posts_something"),
)

item_cost = Table(
    "item_cost",
    METADATA,
    Column("item_id", Text, ForeignKey("item.item_id"), primary_key=True),
    Column("pack_minor", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("pack_minor > 0", name="pack_minor_positive"),
)

reason_code = Table(
    "reason_code",
    METADATA,
    Column("code", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("by_person", Boolean, nullable=False),
    recorded(),
)

discrepancy_case = Table(
    "discrepancy_case",
    METADATA,
    auto_id(),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("due_at", UtcDateTime(), nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("closed_by", Text),
    Column("reason_code", Text, ForeignKey("reason_code.code")),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_has_time"),
    CheckConstraint("(state = 'open') = (reason_code IS NULL)", name="closed_has_code"),
)
Index(
    "uq_discrepancy_case_open",
    discrepancy_case.c.item_id,
    discrepancy_case.c.lot,
    discrepancy_case.c.location_id,
    unique=True,
    sqlite_where=discrepancy_case.c.state == "open",
    postgresql_where=discrepancy_case.c.state == "open",
)

discrepancy_cause = Table(
    "discrepancy_cause",
    METADATA,
    Column("discrepancy_id", BigInteger, ForeignKey("discrepancy.id"), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("discrepancy_case.id"), nullable=False, index=True),
    recorded(),
)

discrepancy_resolution = Table(
    "discrepancy_resolution",
    METADATA,
    Column("movement_id", BigInteger, ForeignKey("movement.id"), primary_key=True),
    Column("case_id", BigInteger, ForeignKey("discrepancy_case.id"), nullable=False, index=True),
    recorded(),
)

snapshot_run = Table(
    "snapshot_run",
    METADATA,
    auto_id(),
    Column("device", Text, nullable=False),
    location_column("location_id"),
    Column("compared", Integer, nullable=False),
    Column("differing", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("at", UtcDateTime(), nullable=False),
    recorded(),
    Index(None, "location_id", "at"),
)
