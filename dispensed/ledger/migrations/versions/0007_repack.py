"""Repack runs, the origin of lots, opened containers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.types import UtcDateTime

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = ("lot_origin",)


def upgrade() -> None:
    _lot_origin()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgresql_triggers()


def _sqlite_triggers() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
                f" SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _postgresql_triggers() -> None:
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION dispensed_append_only()"
        )


def _lot_origin() -> None:
    op.create_table(
        "lot_origin",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("parent_item_id", sa.Text(), nullable=False),
        sa.Column("parent_lot", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "item_id <> parent_item_id OR lot <> parent_lot",
            name=op.f("ck_lot_origin_not_itself"),
        ),
        sa.CheckConstraint(
            "kind IN ('repack', 'return_to_stock')", name=op.f("ck_lot_origin_kind")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_lot_origin_item_id_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["parent_item_id", "parent_lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_lot_origin_parent_item_id_lot"),
        ),
        sa.PrimaryKeyConstraint(
            "item_id",
            "lot",
            "parent_item_id",
            "parent_lot",
            "kind",
            "ref",
            name=op.f("pk_lot_origin"),
        ),
    )
    op.create_index(
        op.f("ix_lot_origin_parent_item_id_parent_lot"),
        "lot_origin",
        ["parent_item_id", "parent_lot"],
        unique=False,
    )
