"""Expired stock on its way out: what is to be pulled, and batches that leave the pharmacy."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Table,
    Text,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import UtcDateTime

outdate_task = Table(
    "outdate_task",
    METADATA,
    auto_id(),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("counted_milli", BigInteger),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), unique=True),
    Column("actor", Text, nullable=False),
    Column("done_by", Text),
    Column("done_at", UtcDateTime()),
    Column("reason", Text, nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("counted_milli >= 0", name="counted_not_negative"),
    CheckConstraint("state IN ('open', 'done', 'cancelled')", name="state"),
    CheckConstraint("(state = 'open') = (done_at IS NULL)", name="done_has_time"),
    CheckConstraint("(state = 'done') = (counted_milli IS NOT NULL)", name="done_has_count"),
)
Index(
    "uq_outdate_task_open",
    outdate_task.c.item_id,
    outdate_task.c.lot,
    outdate_task.c.location_id,
    unique=True,
    sqlite_where=outdate_task.c.state == "open",
    postgresql_where=outdate_task.c.state == "open",
)

return_batch = Table(
    "return_batch",
    METADATA,
    auto_id(),
    Column("kind", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("location_id", Text, ForeignKey("location.location_id"), unique=True),
    Column("dea_form", Text, nullable=False),
    Column("dea_reference", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("sealed_by", Text),
    Column("sealed_at", UtcDateTime()),
    Column("first_person", Text),
    Column("first_at", UtcDateTime()),
    Column("left_by", Text),
    Column("left_at", UtcDateTime()),
    Column("credit_cents", BigInteger),
    Column("credit_reference", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("kind IN ('return', 'reverse_distributor', 'destruction')", name="kind"),
    CheckConstraint(
        "state IN ('open', 'sealed', 'shipped', 'destroyed', 'credited', 'closed', 'cancelled')",
        name="state",
    ),
    CheckConstraint("credit_cents >= 0", name="credit_not_negative"),
    CheckConstraint(
        "first_person IS NULL OR left_by IS NULL OR first_person <> left_by", name="two_persons"
    ),
    Index(None, "state"),
    sqlite_autoincrement=True,
)

return_line = Table(
    "return_line",
    METADATA,
    auto_id(),
    Column("batch_id", BigInteger, ForeignKey("return_batch.id"), nullable=False, index=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("source"),
    Column("milli", BigInteger, nullable=False),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False, unique=True),
    Column("left_movement_id", BigInteger, ForeignKey("movement.id"), unique=True),
    Column("removed_movement_id", BigInteger, ForeignKey("movement.id"), unique=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint(
        "left_movement_id IS NULL OR removed_movement_id IS NULL", name="left_or_removed"
    ),
)
"""What is in a batch: `movement_id` put it in, one of the other two took it out again."""
