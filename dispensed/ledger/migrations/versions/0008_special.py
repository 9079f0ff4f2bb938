"""Investigational protocols, rules of places, temperature excursions."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.migrations.append_only import append_only
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    _protocol()
    _excursion()
    _place_rule()
    _dispense_protocol()
    _excursion_lot()
    _protocol_entry()
    append_only(("protocol_entry",))


def _protocol() -> None:
    op.create_table(
        "protocol",
        sa.Column("protocol_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sponsor", sa.Text(), nullable=False),
        sa.Column("investigator", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_protocol_state")),
        sa.PrimaryKeyConstraint("protocol_id", name=op.f("pk_protocol")),
    )


def _excursion() -> None:
    op.create_table(
        "excursion",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("began_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("observed_min", sa.Text(), nullable=False),
        sa.Column("observed_max", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_excursion_ended_by_someone")
        ),
        sa.CheckConstraint(
            "ended_at IS NULL OR ended_at >= began_at",
            name=op.f("ck_excursion_ends_after_it_began"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_excursion_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_excursion")),
    )
    op.create_index(op.f("ix_excursion_ended_at"), "excursion", ["ended_at"], unique=False)


def _place_rule() -> None:
    op.create_table(
        "place_rule",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("protocol_id", sa.Text(), nullable=True),
        sa.Column("storage", sa.Text(), nullable=True),
        sa.Column("hazardous", sa.Boolean(), nullable=True),
        sa.Column("high_alert", sa.Boolean(), nullable=True),
        sa.Column("capacity_milli", sa.BigInteger(), nullable=True),
        sa.Column("items", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("capacity_milli > 0", name=op.f("ck_place_rule_capacity_positive")),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_place_rule_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["protocol_id"],
            ["protocol.protocol_id"],
            name=op.f("fk_place_rule_protocol_id_protocol"),
        ),
        sa.PrimaryKeyConstraint("location_id", name=op.f("pk_place_rule")),
    )
    op.create_index(op.f("ix_place_rule_protocol_id"), "place_rule", ["protocol_id"], unique=False)


def _dispense_protocol() -> None:
    op.create_table(
        "dispense_protocol",
        sa.Column("dispense_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("protocol_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dispense_id"], ["dispense.id"], name=op.f("fk_dispense_protocol_dispense_id_dispense")
        ),
        sa.ForeignKeyConstraint(
            ["protocol_id"],
            ["protocol.protocol_id"],
            name=op.f("fk_dispense_protocol_protocol_id_protocol"),
        ),
        sa.PrimaryKeyConstraint("dispense_id", name=op.f("pk_dispense_protocol")),
    )


def _excursion_lot() -> None:
    op.create_table(
        "excursion_lot",
        sa.Column("excursion_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("state_before", sa.Text(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(released_at IS NULL) = (released_by IS NULL)",
            name=op.f("ck_excursion_lot_released_by_someone"),
        ),
        sa.ForeignKeyConstraint(
            ["excursion_id"], ["excursion.id"], name=op.f("fk_excursion_lot_excursion_id_excursion")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_excursion_lot_item_id_lot_lot"),
        ),
        sa.PrimaryKeyConstraint("excursion_id", "item_id", "lot", name=op.f("pk_excursion_lot")),
    )
    op.create_index(
        op.f("ix_excursion_lot_item_id_lot"), "excursion_lot", ["item_id", "lot"], unique=False
    )


def _protocol_entry() -> None:
    op.create_table(
        "protocol_entry",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("protocol_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "change IN (milli, -milli, 0)", name=op.f("ck_protocol_entry_change_of_milli")
        ),
        sa.CheckConstraint("milli > 0", name=op.f("ck_protocol_entry_milli_positive")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_protocol_entry_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_protocol_entry_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_protocol_entry_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["protocol_id"],
            ["protocol.protocol_id"],
            name=op.f("fk_protocol_entry_protocol_id_protocol"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protocol_entry")),
        sa.UniqueConstraint(
            "movement_id",
            "protocol_id",
            "entry",
            name=op.f("uq_protocol_entry_movement_id_protocol_id_entry"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_protocol_entry_item_id_lot"), "protocol_entry", ["item_id", "lot"], unique=False
    )
    op.create_index(
        op.f("ix_protocol_entry_protocol_id_id"),
        "protocol_entry",
        ["protocol_id", "id"],
        unique=False,
    )
