"""Repack runs, the origin of lots, opened containers."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.migrations.append_only import append_only
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = ("lot_origin", "repack_movement", "repack_step", "stock_return")


def upgrade() -> None:
    _lot_origin()
    _repack_run()
    _repack_step()
    _repack_movement()
    _repack_label()
    _stock_return()
    _container()
    append_only(APPEND_ONLY)


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


def _repack_run() -> None:
    op.create_table(
        "repack_run",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("child_item_id", sa.Text(), nullable=False),
        sa.Column("child_lot", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("unit_milli", sa.BigInteger(), nullable=False),
        sa.Column("planned_units", sa.Integer(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_source", sa.Text(), nullable=False),
        sa.Column("latest", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("packed_on", sa.Date(), nullable=True),
        sa.Column("use_by", sa.Date(), nullable=True),
        sa.Column("bulk_milli", sa.BigInteger(), nullable=True),
        sa.Column("units", sa.Integer(), nullable=True),
        sa.Column("waste_milli", sa.BigInteger(), nullable=True),
        sa.Column("sample_milli", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('planned', 'started', 'cancelled') OR bulk_milli IS NOT NULL AND"
            " units IS NOT NULL AND waste_milli IS NOT NULL AND sample_milli IS NOT NULL"
            " AND packed_on IS NOT NULL AND use_by IS NOT NULL",
            name=op.f("ck_repack_run_packed_has_yield"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'started', 'packed', 'checked', 'released', 'cancelled')",
            name=op.f("ck_repack_run_state"),
        ),
        sa.CheckConstraint(
            "bulk_milli IS NULL OR units > 0 AND waste_milli >= 0 AND sample_milli >= 0 AND"
            " bulk_milli = units * unit_milli + waste_milli + sample_milli",
            name=op.f("ck_repack_run_conserved"),
        ),
        sa.CheckConstraint(
            "unit_milli > 0 AND planned_units > 0", name=op.f("ck_repack_run_planned")
        ),
        sa.ForeignKeyConstraint(
            ["child_item_id"], ["item.item_id"], name=op.f("fk_repack_run_child_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_repack_run_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_repack_run_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["location.location_id"], name=op.f("fk_repack_run_target_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repack_run")),
        sa.UniqueConstraint(
            "child_item_id", "child_lot", name=op.f("uq_repack_run_child_item_id_child_lot")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_repack_run_item_id_lot"), "repack_run", ["item_id", "lot"], unique=False
    )
    op.create_index(op.f("ix_repack_run_state"), "repack_run", ["state"], unique=False)


def _repack_step() -> None:
    op.create_table(
        "repack_step",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["repack_run.id"], name=op.f("fk_repack_step_run_id_repack_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repack_step")),
        sa.UniqueConstraint("request_id", name=op.f("uq_repack_step_request_id")),
        sa.UniqueConstraint("run_id", "step", name=op.f("uq_repack_step_run_id_step")),
        sqlite_autoincrement=True,
    )


def _repack_movement() -> None:
    op.create_table(
        "repack_movement",
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_repack_movement_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["repack_run.id"], name=op.f("fk_repack_movement_run_id_repack_run")
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_repack_movement")),
    )
    op.create_index(op.f("ix_repack_movement_run_id"), "repack_movement", ["run_id"], unique=False)


def _repack_label() -> None:
    op.create_table(
        "repack_label",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.Column("printed", sa.Integer(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "copies > 0 AND printed >= 0 AND printed <= copies", name=op.f("ck_repack_label_copies")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["repack_run.id"], name=op.f("fk_repack_label_run_id_repack_run")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repack_label")),
        sa.UniqueConstraint("request_id", name=op.f("uq_repack_label_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_repack_label_run_id"), "repack_label", ["run_id"], unique=False)


def _stock_return() -> None:
    op.create_table(
        "stock_return",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("dispense_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("to_lot", sa.Text(), nullable=False),
        sa.Column("use_by", sa.Date(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("milli > 0", name=op.f("ck_stock_return_milli_positive")),
        sa.ForeignKeyConstraint(
            ["dispense_id"], ["dispense.id"], name=op.f("fk_stock_return_dispense_id_dispense")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_stock_return_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "to_lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_stock_return_item_id_to_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_stock_return_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["location.location_id"], name=op.f("fk_stock_return_target_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_return")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_stock_return_movement_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_stock_return_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_stock_return_dispense_id"), "stock_return", ["dispense_id"], unique=False
    )


def _container() -> None:
    op.create_table(
        "container",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("opened_on", sa.Date(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_source", sa.Text(), nullable=False),
        sa.Column("use_by", sa.Date(), nullable=False),
        sa.Column("content_milli", sa.BigInteger(), nullable=False),
        sa.Column("left_milli", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("movement_id", sa.BigInteger(), nullable=True),
        sa.Column("flagged_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_container_closed_has_time")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'empty', 'discarded')", name=op.f("ck_container_state")
        ),
        sa.CheckConstraint("content_milli > 0", name=op.f("ck_container_content_positive")),
        sa.CheckConstraint(
            "left_milli >= 0 AND left_milli <= content_milli", name=op.f("ck_container_left_within")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_container_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_container_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_container_movement_id_movement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_container")),
        sa.UniqueConstraint("request_id", name=op.f("uq_container_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_container_item_id_lot_location_id"),
        "container",
        ["item_id", "lot", "location_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_container_state_use_by"), "container", ["state", "use_by"], unique=False
    )
