"""Controlled substances: removals, wastes, inventories, losses, order forms."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.migrations.append_only import append_only
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = (
    "removal_step",
    "waste",
    "waste_witness",
    "inventory",
    "inventory_line",
    "inventory_signature",
    "inventory_book",
    "order_form",
    "order_form_line",
    "order_form_receipt",
    "loss_line",
)


def upgrade() -> None:
    _inventory()
    _order_form()
    _inventory_signature()
    _order_form_line()
    _inventory_line()
    _loss_case()
    _inventory_book()
    _loss_line()
    _order_form_receipt()
    _removal()
    _removal_step()
    _waste()
    _waste_witness()
    append_only(APPEND_ONLY)


def _inventory() -> None:
    op.create_table(
        "inventory",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("moment", sa.Text(), nullable=False),
        sa.Column("as_of", UtcDateTime(), nullable=False),
        sa.Column("signatures", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('initial', 'biennial', 'newly_scheduled')", name=op.f("ck_inventory_kind")
        ),
        sa.CheckConstraint("moment IN ('opening', 'closing')", name=op.f("ck_inventory_moment")),
        sa.CheckConstraint("signatures IN (1, 2)", name=op.f("ck_inventory_signatures")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory")),
        sqlite_autoincrement=True,
    )


def _order_form() -> None:
    op.create_table(
        "order_form",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("supplier", sa.Text(), nullable=False),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('form_222', 'csos')", name=op.f("ck_order_form_kind")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_order_form")),
    )


def _inventory_signature() -> None:
    op.create_table(
        "inventory_signature",
        sa.Column("inventory_id", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["inventory_id"],
            ["inventory.id"],
            name=op.f("fk_inventory_signature_inventory_id_inventory"),
        ),
        sa.PrimaryKeyConstraint("inventory_id", "person", name=op.f("pk_inventory_signature")),
    )


def _order_form_line() -> None:
    op.create_table(
        "order_form_line",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("packages", sa.Integer(), nullable=False),
        sa.Column("package_milli", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "line > 0 AND packages > 0 AND package_milli > 0",
            name=op.f("ck_order_form_line_positive"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_order_form_line_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["number"], ["order_form.number"], name=op.f("fk_order_form_line_number_order_form")
        ),
        sa.PrimaryKeyConstraint("number", "line", name=op.f("pk_order_form_line")),
    )


def _inventory_line() -> None:
    op.create_table(
        "inventory_line",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("inventory_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("container_milli", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "method IN ('exact', 'estimated')", name=op.f("ck_inventory_line_method")
        ),
        sa.CheckConstraint("milli >= 0", name=op.f("ck_inventory_line_milli_not_negative")),
        sa.ForeignKeyConstraint(
            ["inventory_id"],
            ["inventory.id"],
            name=op.f("fk_inventory_line_inventory_id_inventory"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_inventory_line_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_inventory_line_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory_line")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_inventory_line_inventory_id_item_id_lot_location_id"),
        "inventory_line",
        ["inventory_id", "item_id", "lot", "location_id"],
        unique=False,
    )


def _loss_case() -> None:
    op.create_table(
        "loss_case",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("discrepancy_id", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("discovered_at", UtcDateTime(), nullable=False),
        sa.Column("notice_due", sa.Date(), nullable=False),
        sa.Column("form_due", sa.Date(), nullable=False),
        sa.Column("notified_at", UtcDateTime(), nullable=True),
        sa.Column("notice_ref", sa.Text(), nullable=False),
        sa.Column("reported_at", UtcDateTime(), nullable=True),
        sa.Column("report_ref", sa.Text(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (outcome = '')", name=op.f("ck_loss_case_closed_has_outcome")
        ),
        sa.CheckConstraint(
            "outcome <> 'reported' OR (notified_at IS NOT NULL AND reported_at IS NOT NULL)",
            name=op.f("ck_loss_case_reported_was_told"),
        ),
        sa.CheckConstraint(
            "outcome IN ('', 'reported', 'not_a_loss')", name=op.f("ck_loss_case_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["discrepancy_id"],
            ["discrepancy.id"],
            name=op.f("fk_loss_case_discrepancy_id_discrepancy"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_loss_case")),
        sa.UniqueConstraint("discrepancy_id", name=op.f("uq_loss_case_discrepancy_id")),
        sqlite_autoincrement=True,
    )


def _inventory_book() -> None:
    op.create_table(
        "inventory_book",
        sa.Column("line_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["line_id"],
            ["inventory_line.id"],
            name=op.f("fk_inventory_book_line_id_inventory_line"),
        ),
        sa.PrimaryKeyConstraint("line_id", name=op.f("pk_inventory_book")),
    )


def _loss_line() -> None:
    op.create_table(
        "loss_line",
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("milli > 0", name=op.f("ck_loss_line_milli_positive")),
        sa.ForeignKeyConstraint(
            ["case_id"], ["loss_case.id"], name=op.f("fk_loss_line_case_id_loss_case")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_loss_line_item_id_lot_lot"),
        ),
        sa.PrimaryKeyConstraint("case_id", "item_id", "lot", name=op.f("pk_loss_line")),
    )


def _order_form_receipt() -> None:
    op.create_table(
        "order_form_receipt",
        sa.Column("movement_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("milli > 0", name=op.f("ck_order_form_receipt_milli_positive")),
        sa.ForeignKeyConstraint(
            ["movement_id"],
            ["movement.id"],
            name=op.f("fk_order_form_receipt_movement_id_movement"),
        ),
        sa.ForeignKeyConstraint(
            ["number", "line"],
            ["order_form_line.number", "order_form_line.line"],
            name=op.f("fk_order_form_receipt_number_line_order_form_line"),
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_order_form_receipt")),
    )
    op.create_index(
        op.f("ix_order_form_receipt_number_line"),
        "order_form_receipt",
        ["number", "line"],
        unique=False,
    )


def _removal() -> None:
    op.create_table(
        "removal",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.Column("wasted", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("order_ref", sa.Text(), nullable=True),
        sa.Column("override_reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("removed_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "order_ref IS NOT NULL OR override_reason <> ''",
            name=op.f("ck_removal_override_reason"),
        ),
        sa.CheckConstraint(
            "(remaining = 0) = (closed_at IS NOT NULL)", name=op.f("ck_removal_closed_when_equal")
        ),
        sa.CheckConstraint(
            "given + returned + wasted + remaining = milli", name=op.f("ck_removal_adds_up")
        ),
        sa.CheckConstraint(
            "given >= 0 AND returned >= 0 AND wasted >= 0 AND remaining >= 0",
            name=op.f("ck_removal_not_negative"),
        ),
        sa.CheckConstraint("milli > 0", name=op.f("ck_removal_milli_positive")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"], ["lot.item_id", "lot.lot"], name=op.f("fk_removal_item_id_lot_lot")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["location.location_id"], name=op.f("fk_removal_location_id_location")
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_removal_movement_id_movement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_removal_movement_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_removal_item_id_lot_location_id_removed_at"),
        "removal",
        ["item_id", "lot", "location_id", "removed_at"],
        unique=False,
    )
    op.create_index(
        "ix_removal_open",
        "removal",
        ["id"],
        unique=False,
        sqlite_where=sa.text("remaining > 0"),
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_index(op.f("ix_removal_removed_at"), "removal", ["removed_at"], unique=False)


def _removal_step() -> None:
    op.create_table(
        "removal_step",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("removal_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('given', 'returned', 'wasted')", name=op.f("ck_removal_step_kind")
        ),
        sa.CheckConstraint("milli > 0", name=op.f("ck_removal_step_milli_positive")),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_removal_step_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["removal_id"], ["removal.id"], name=op.f("fk_removal_step_removal_id_removal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removal_step")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_removal_step_movement_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_removal_step_removal_id"), "removal_step", ["removal_id"], unique=False
    )


def _waste() -> None:
    op.create_table(
        "waste",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removal_id", sa.BigInteger(), nullable=True),
        sa.Column("controlled", sa.Boolean(), nullable=False),
        sa.Column("stated_by", sa.Text(), nullable=False),
        sa.Column("stated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_waste_has_reason")),
        sa.CheckConstraint("milli > 0", name=op.f("ck_waste_milli_positive")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"], ["lot.item_id", "lot.lot"], name=op.f("fk_waste_item_id_lot_lot")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["location.location_id"], name=op.f("fk_waste_location_id_location")
        ),
        sa.ForeignKeyConstraint(
            ["removal_id"], ["removal.id"], name=op.f("fk_waste_removal_id_removal")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waste")),
        sa.UniqueConstraint(
            "id", "controlled", "stated_by", name=op.f("uq_waste_id_controlled_stated_by")
        ),
        sa.UniqueConstraint("request_id", name=op.f("uq_waste_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_waste_removal_id"), "waste", ["removal_id"], unique=False)
    op.create_index(op.f("ix_waste_stated_at"), "waste", ["stated_at"], unique=False)


def _waste_witness() -> None:
    op.create_table(
        "waste_witness",
        sa.Column("waste_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("controlled", sa.Boolean(), nullable=False),
        sa.Column("stated_by", sa.Text(), nullable=False),
        sa.Column("witness", sa.Text(), nullable=True),
        sa.Column("witnessed_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "NOT controlled OR (witness IS NOT NULL AND witness <> stated_by)",
            name=op.f("ck_waste_witness_another_person"),
        ),
        sa.ForeignKeyConstraint(
            ["waste_id", "controlled", "stated_by"],
            ["waste.id", "waste.controlled", "waste.stated_by"],
            name=op.f("fk_waste_witness_waste_id_controlled_stated_by_waste"),
        ),
        sa.PrimaryKeyConstraint("waste_id", name=op.f("pk_waste_witness")),
    )
