"""Special stock: trials and their places, rules of places, temperature excursions."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import UtcDateTime

protocol = Table(
    "protocol",
    METADATA,
    Column("protocol_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("sponsor", Text, nullable=False),
    Column("investigator", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
)

place_rule = Table(
    "place_rule",
    METADATA,
    Column("location_id", Text, ForeignKey("location.location_id"), primary_key=True),
    Column("protocol_id", Text, ForeignKey("protocol.protocol_id"), index=True),
    Column("storage", Text),
    Column("hazardous", Boolean),
    Column("high_alert", Boolean),
    Column("capacity_milli", BigInteger),
    Column("items", Text),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    recorded(),
    CheckConstraint("capacity_milli > 0", name="capacity_positive"),
)
"""`items` is a JSON array of item ids."""

dispense_protocol = Table(
    "dispense_protocol",
    METADATA,
    Column(
        "dispense_id",
        BigInteger,
        ForeignKey("dispense.id"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("protocol_id", Text, ForeignKey("protocol.protocol_id"), nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
)

protocol_entry = Table(
    "protocol_entry",
    METADATA,
    auto_id(),
    Column("protocol_id", Text, ForeignKey("protocol.protocol_id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False),
    Column("entry", Text, nullable=False),
    Column("milli", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
    recorded(),
    lot_key(),
    UniqueConstraint("movement_id", "protocol_id", "entry"),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("change IN (milli, -milli, 0)", name="change_of_milli"),
    Index(None, "protocol_id", "id"),
    Index(None, "item_id", "lot"),
    sqlite_autoincrement=True,
)
"""Append-only. `change` is what the line adds to the balance of the protocol's places."""

excursion = Table(
    "excursion",
    METADATA,
    auto_id(),
    location_column("location_id"),
    Column("began_at", UtcDateTime(), nullable=False),
    Column("ended_at", UtcDateTime()),
    Column("observed_min", Text, nullable=False),
    Column("observed_max", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ended_by", Text),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("ended_at IS NULL OR ended_at >= began_at", name="ends_after_it_began"),
    CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended_by_someone"),
    Index(None, "ended_at"),
)

excursion_lot = Table(
    "excursion_lot",
    METADATA,
    Column("excursion_id", BigInteger, ForeignKey("excursion.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("state_before", Text, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("released_by", Text),
    Column("released_at", UtcDateTime()),
    Column("reason", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("excursion_id", "item_id", "lot"),
    lot_key(),
    CheckConstraint("(released_at IS NULL) = (released_by IS NULL)", name="released_by_someone"),
    Index(None, "item_id", "lot"),
)
"""`held` says that the lot is on hold because of excursions, not of a person's own decision."""
