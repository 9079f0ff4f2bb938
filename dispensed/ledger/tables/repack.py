"""Repacking: where a lot comes from, the runs that make lots, and opened containers."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from dispensed.ledger.tables.columns import METADATA, lot_key, recorded

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
