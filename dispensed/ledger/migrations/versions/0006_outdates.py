"""What is to be pulled because it expires, and batches that leave the pharmacy."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    _return_batch()
    _outdate_task()
    _return_line()


def _return_batch() -> None:
    op.create_table(
        "return_batch",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=True),
        sa.Column("dea_form", sa.Text(), nullable=False),
        sa.Column("dea_reference", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("sealed_by", sa.Text(), nullable=True),
        sa.Column("sealed_at", UtcDateTime(), nullable=True),
        sa.Column("first_person", sa.Text(), nullable=True),
        sa.Column("first_at", UtcDateTime(), nullable=True),
        sa.Column("left_by", sa.Text(), nullable=True),
        sa.Column("left_at", UtcDateTime(), nullable=True),
        sa.Column("credit_cents", sa.BigInteger(), nullable=True),
        sa.Column("credit_reference", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('return', 'reverse_distributor', 'destruction')",
            name=op.f("ck_return_batch_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'sealed', 'shipped', 'destroyed', 'credited', 'closed',"
            " 'cancelled')",
            name=op.f("ck_return_batch_state"),
        ),
        sa.CheckConstraint("credit_cents >= 0", name=op.f("ck_return_batch_credit_not_negative")),
        sa.CheckConstraint(
            "first_person IS NULL OR left_by IS NULL OR first_person <> left_by",
            name=op.f("ck_return_batch_two_persons"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_return_batch_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_batch")),
        sa.UniqueConstraint("location_id", name=op.f("uq_return_batch_location_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_return_batch_state"), "return_batch", ["state"], unique=False)


def _outdate_task() -> None:
    op.create_table(
        "outdate_task",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("counted_milli", sa.BigInteger(), nullable=True),
        sa.Column("movement_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("done_by", sa.Text(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'done') = (counted_milli IS NOT NULL)",
            name=op.f("ck_outdate_task_done_has_count"),
        ),
        sa.CheckConstraint(
            "(state = 'open') = (done_at IS NULL)", name=op.f("ck_outdate_task_done_has_time")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'cancelled')", name=op.f("ck_outdate_task_state")
        ),
        sa.CheckConstraint("counted_milli >= 0", name=op.f("ck_outdate_task_counted_not_negative")),
        sa.CheckConstraint("milli > 0", name=op.f("ck_outdate_task_milli_positive")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_outdate_task_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_outdate_task_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_outdate_task_movement_id_movement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outdate_task")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_outdate_task_movement_id")),
    )
    op.create_index(
        "uq_outdate_task_open",
        "outdate_task",
        ["item_id", "lot", "location_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _return_line() -> None:
    op.create_table(
        "return_line",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("left_movement_id", sa.BigInteger(), nullable=True),
        sa.Column("removed_movement_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "left_movement_id IS NULL OR removed_movement_id IS NULL",
            name=op.f("ck_return_line_left_or_removed"),
        ),
        sa.CheckConstraint("milli > 0", name=op.f("ck_return_line_milli_positive")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["return_batch.id"], name=op.f("fk_return_line_batch_id_return_batch")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_return_line_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["left_movement_id"],
            ["movement.id"],
            name=op.f("fk_return_line_left_movement_id_movement"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_return_line_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["removed_movement_id"],
            ["movement.id"],
            name=op.f("fk_return_line_removed_movement_id_movement"),
        ),
        sa.ForeignKeyConstraint(
            ["source"], ["location.location_id"], name=op.f("fk_return_line_source_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_line")),
        sa.UniqueConstraint("left_movement_id", name=op.f("uq_return_line_left_movement_id")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_return_line_movement_id")),
        sa.UniqueConstraint("removed_movement_id", name=op.f("uq_return_line_removed_movement_id")),
    )
    op.create_index(op.f("ix_return_line_batch_id"), "return_line", ["batch_id"], unique=False)
