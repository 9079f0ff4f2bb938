"""Repacking: where a lot comes from, the runs that make lots, returns and opened containers."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import UtcDateTime

lot_origin = Table(
    "lot_origin",
    METADATA,
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("parent_item_id", Text, nullable=False),
    Column("parent_lot", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("item_id", "lot", "parent_item_id", "parent_lot", "kind", "ref"),
    lot_key(),
    ForeignKeyConstraint(["parent_item_id", "parent_lot"], ["lot.item_id", "lot.lot"]),
    CheckConstraint("kind IN ('repack', 'return_to_stock')", name="kind"),
    CheckConstraint("item_id <> parent_item_id OR lot <> parent_lot", name="not_itself"),
    Index(None, "parent_item_id", "parent_lot"),
)
"""Append-only: each row says that a lot was made from another one."""

repack_run = Table(
    "repack_run",
    METADATA,
    auto_id(),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("child_item_id", Text, ForeignKey("item.item_id"), nullable=False),
    Column("child_lot", Text, nullable=False),
    location_column("target"),
    Column("unit_milli", BigInteger, nullable=False),
    Column("planned_units", Integer, nullable=False),
    Column("container", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("rule_source", Text, nullable=False),
    Column("latest", Date),
    Column("state", Text, nullable=False),
    Column("packed_on", Date),
    Column("use_by", Date),
    Column("bulk_milli", BigInteger),
    Column("units", Integer),
    Column("waste_milli", BigInteger),
    Column("sample_milli", BigInteger),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    lot_key(),
    UniqueConstraint("child_item_id", "child_lot"),
    CheckConstraint("unit_milli > 0 AND planned_units > 0", name="planned"),
    CheckConstraint(
        "bulk_milli IS NULL OR units > 0 AND waste_milli >= 0 AND sample_milli >= 0"
        " AND bulk_milli = units * unit_milli + waste_milli + sample_milli",
        name="conserved",
    ),
    CheckConstraint(
        "state IN ('planned', 'started', 'cancelled') OR bulk_milli IS NOT NULL"
        " AND units IS NOT NULL AND waste_milli IS NOT NULL AND sample_milli IS NOT NULL"
        " AND packed_on IS NOT NULL AND use_by IS NOT NULL",
        name="packed_has_yield",
    ),
    CheckConstraint(
        "state IN ('planned', 'started', 'packed', 'checked', 'released', 'cancelled')",
        name="state",
    ),
    Index(None, "item_id", "lot"),
    Index(None, "state"),
    sqlite_autoincrement=True,
)
"""One run from a bulk lot to a child lot. `latest` is a date that a pharmacist set, if earlier."""

repack_step = Table(
    "repack_step",
    METADATA,
    auto_id(),
    Column("run_id", BigInteger, ForeignKey("repack_run.id"), nullable=False),
    Column("step", Text, nullable=False),
    Column("request_id", Text, nullable=False, unique=True),
    Column("content", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime(), nullable=False),
    Column("reason", Text, nullable=False),
    recorded(),
    UniqueConstraint("run_id", "step"),
    sqlite_autoincrement=True,
)
"""Append-only: who brought a run into a state, when, and what was said."""

repack_movement = Table(
    "repack_movement",
    METADATA,
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False),
    Column("run_id", BigInteger, ForeignKey("repack_run.id"), nullable=False),
    recorded(),
    PrimaryKeyConstraint("movement_id"),
    Index(None, "run_id"),
)
"""Append-only: the movements of a run."""

repack_label = Table(
    "repack_label",
    METADATA,
    auto_id(),
    Column("run_id", BigInteger, ForeignKey("repack_run.id"), nullable=False),
    Column("request_id", Text, nullable=False, unique=True),
    Column("copies", Integer, nullable=False),
    Column("printed", Integer, nullable=False),
    Column("proof", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("copies > 0 AND printed >= 0 AND printed <= copies", name="copies"),
    Index(None, "run_id"),
    sqlite_autoincrement=True,
)
"""Print jobs of a run: how many labels were asked and are known to have come out."""

stock_return = Table(
    "stock_return",
    METADATA,
    auto_id(),
    Column("request_id", Text, nullable=False, unique=True),
    Column("dispense_id", BigInteger, ForeignKey("dispense.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("to_lot", Text, nullable=False),
    Column("use_by", Date),
    Column("rule", Text, nullable=False),
    Column("milli", BigInteger, nullable=False),
    location_column("target"),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    recorded(),
    lot_key(),
    ForeignKeyConstraint(["item_id", "to_lot"], ["lot.item_id", "lot.lot"]),
    CheckConstraint("milli > 0", name="milli_positive"),
    Index(None, "dispense_id"),
    sqlite_autoincrement=True,
)
"""Append-only: what came back of a fill that nobody picked up, and under which lot it lies."""

container = Table(
    "container",
    METADATA,
    auto_id(),
    Column("request_id", Text, nullable=False, unique=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("rule", Text, nullable=False),
    Column("rule_source", Text, nullable=False),
    Column("use_by", Date, nullable=False),
    Column("content_milli", BigInteger, nullable=False),
    Column("left_milli", BigInteger),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("closed_by", Text),
    Column("movement_id", BigInteger, ForeignKey("movement.id")),
    Column("flagged_at", UtcDateTime()),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("state IN ('open', 'empty', 'discarded')", name="state"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_has_time"),
    CheckConstraint("content_milli > 0", name="content_positive"),
    CheckConstraint("left_milli >= 0 AND left_milli <= content_milli", name="left_within"),
    Index(None, "item_id", "lot", "location_id"),
    Index(None, "state", "use_by"),
    sqlite_autoincrement=True,
)
"""One opened container. `left_milli` is null while nobody said how much is left in it."""
