"""The journal, its cache and what stands beside them since the first release.

Quantities are integers in thousandths of the item's unit (`milli`), times are aware UTC, expiry is
a date. Triggers that keep `movement` and `audit_event` append-only are made by the migrations.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)

from dispensed.ledger.tables.columns import METADATA, auto_id, location_column, lot_key, recorded
from dispensed.ledger.types import BIG_ID, UtcDateTime

item = Table(
    "item",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("strength", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("labeler", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("pack_milli", BigInteger, nullable=False),
    Column("gtin", Text, unique=True),
    Column("ndc", Text, unique=True),
    Column("schedule", Text, nullable=False),
    Column("storage", Text, nullable=False),
    Column("piece_weight_ug", BigInteger),
    Column("piece_weight_sd_ug", BigInteger),
    Column("hazardous", Boolean, nullable=False),
    Column("high_alert", Boolean, nullable=False),
    recorded(),
    CheckConstraint("pack_milli > 0", name="pack_positive"),
)

lot = Table(
    "lot",
    METADATA,
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    Column("lot", Text, nullable=False),
    Column("expiry", Date),
    Column("expiry_source", Text, nullable=False),
    Column("state", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("item_id", "lot"),
    Index(None, "expiry"),
)

location = Table(
    "location",
    METADATA,
    Column("location_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("parent", Text, ForeignKey("location.location_id")),
    Column("device", Text),
    recorded(),
)

dispense = Table(
    "dispense",
    METADATA,
    auto_id(),
    Column("order_ref", Text, nullable=False, unique=True),
    Column("request_id", Text, nullable=False, unique=True),
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    Column("milli", BigInteger, nullable=False),
    Column("patient_key", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("device_id", Text),
    Column("counted_milli", BigInteger),
    Column("weigh_result", Text),
    Column("verified_by", Text),
    Column("label_proof", Text),
    Column("note", Text, nullable=False),
    Column("requested_at", UtcDateTime(), nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("counted_milli >= 0", name="counted_not_negative"),
    CheckConstraint(
        "state NOT IN ('verified', 'settled') OR (counted_milli IS NOT NULL AND"
        " counted_milli = milli AND verified_by IS NOT NULL)",
        name="verified_as_ordered",
    ),
    Index(None, "state"),
    sqlite_autoincrement=True,
)

inbox = Table(
    "inbox",
    METADATA,
    auto_id(),
    Column("device_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    recorded(),
    UniqueConstraint("device_id", "key"),
    CheckConstraint("state IN ('new', 'applied', 'ignored', 'unreadable')", name="state"),
    sqlite_autoincrement=True,
)
Index(
    "ix_inbox_new",
    inbox.c.id,
    sqlite_where=inbox.c.state == "new",
    postgresql_where=inbox.c.state == "new",
)

effect = Table(
    "effect",
    METADATA,
    Column("device_id", Text, nullable=False),
    Column("effect_key", Text, nullable=False),
    Column("inbox_id", BigInteger, ForeignKey("inbox.id"), nullable=False),
    recorded(),
    PrimaryKeyConstraint("device_id", "effect_key"),
)

unbooked = Table(
    "unbooked",
    METADATA,
    auto_id(),
    Column("request_id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    location_column("target"),
    Column("milli", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("waived", BigInteger, nullable=False),
    Column("occurred_at", UtcDateTime(), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("dispense_id", BigInteger, ForeignKey("dispense.id")),
    Column("inbox_id", BigInteger, ForeignKey("inbox.id")),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("remaining >= 0 AND waived >= 0", name="not_negative"),
    CheckConstraint("remaining + waived <= milli", name="within_claim"),
)
Index(
    "ix_unbooked_open",
    unbooked.c.item_id,
    unbooked.c.lot,
    unbooked.c.location_id,
    unbooked.c.id,
    sqlite_where=unbooked.c.remaining > 0,
    postgresql_where=unbooked.c.remaining > 0,
)

movement = Table(
    "movement",
    METADATA,
    Column("id", BIG_ID, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("source"),
    location_column("target"),
    Column("milli", BigInteger, nullable=False),
    Column("occurred_at", UtcDateTime(), nullable=False),
    recorded(),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", Text, nullable=False, unique=True),
    Column("dispense_id", BigInteger, ForeignKey("dispense.id"), index=True),
    Column("inbox_id", BigInteger, ForeignKey("inbox.id")),
    Column("claim_id", BigInteger, ForeignKey("unbooked.id"), index=True),
    Column("reverses", BigInteger, ForeignKey("movement.id"), unique=True),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("source <> target", name="two_ends"),
    Index(None, "item_id", "lot", "id"),
    Index(None, "source", "id"),
    Index(None, "target", "id"),
    Index(
        "ix_movement_as_of",
        "item_id",
        "lot",
        "source",
        "target",
        "occurred_at",
        "recorded_at",
        "milli",
    ),
)

balance = Table(
    "balance",
    METADATA,
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("on_hand", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("external", Boolean, nullable=False),
    recorded(),
    PrimaryKeyConstraint("item_id", "lot", "location_id"),
    lot_key(),
    CheckConstraint("external OR on_hand >= 0", name="on_hand_not_negative"),
    CheckConstraint("held >= 0", name="held_not_negative"),
    CheckConstraint("held = 0 OR held <= on_hand", name="held_within_on_hand"),
    Index(None, "location_id"),
)

reservation = Table(
    "reservation",
    METADATA,
    auto_id(),
    Column("request_id", Text, nullable=False, unique=True),
    Column("dispense_id", BigInteger, ForeignKey("dispense.id"), nullable=False, index=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("remaining >= 0 AND remaining <= milli", name="remaining_within"),
    CheckConstraint(
        "state IN ('open', 'commanded', 'in_doubt') AND remaining > 0"
        " OR state IN ('settled', 'voided', 'broken') AND remaining = 0",
        name="closed_holds_nothing",
    ),
)
Index(
    "ix_reservation_active",
    reservation.c.item_id,
    reservation.c.lot,
    reservation.c.location_id,
    reservation.c.id,
    sqlite_where=reservation.c.remaining > 0,
    postgresql_where=reservation.c.remaining > 0,
)

discrepancy = Table(
    "discrepancy",
    METADATA,
    auto_id(),
    Column("kind", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("difference", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("closed_by", Text),
    Column("detail", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_has_time"),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
)
Index(
    "uq_discrepancy_open",
    discrepancy.c.kind,
    discrepancy.c.item_id,
    discrepancy.c.lot,
    discrepancy.c.location_id,
    unique=True,
    sqlite_where=discrepancy.c.state == "open",
    postgresql_where=discrepancy.c.state == "open",
)

recall_case = Table(
    "recall_case",
    METADATA,
    auto_id(),
    Column("reference", Text, nullable=False),
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    Column("lot", Text),
    Column("recall_class", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    recorded(),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed_has_time"),
    Index(None, "item_id", "state"),
)

reorder_policy = Table(
    "reorder_policy",
    METADATA,
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    location_column("location_id"),
    Column("kind", Text, nullable=False),
    Column("min_milli", BigInteger, nullable=False),
    Column("max_milli", BigInteger, nullable=False),
    Column("pack_milli", BigInteger, nullable=False),
    Column("minimum_packs", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("item_id", "location_id"),
    CheckConstraint("min_milli >= 0 AND max_milli >= min_milli", name="min_within_max"),
    CheckConstraint("pack_milli > 0", name="pack_positive"),
)

proposal = Table(
    "proposal",
    METADATA,
    auto_id(),
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("received_milli", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("updated_at", UtcDateTime(), nullable=False),
    recorded(),
    CheckConstraint("milli > 0 AND received_milli >= 0", name="quantities"),
    CheckConstraint("state IN ('open', 'approved', 'received', 'cancelled')", name="state"),
    Index(None, "item_id", "location_id", "state"),
)
Index(
    "uq_proposal_open",
    proposal.c.item_id,
    proposal.c.location_id,
    unique=True,
    sqlite_where=proposal.c.state == "open",
    postgresql_where=proposal.c.state == "open",
)

receipt = Table(
    "receipt",
    METADATA,
    auto_id(),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False, unique=True),
    Column("order_ref", Text, nullable=False),
    Column("scan", Text, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
)

expiry_flag = Table(
    "expiry_flag",
    METADATA,
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("tier_days", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("item_id", "lot", "location_id", "tier_days"),
    lot_key(),
)

job_run = Table(
    "job_run",
    METADATA,
    Column("job", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("finished_at", UtcDateTime()),
    Column("result", Text, nullable=False),
    recorded(),
    PrimaryKeyConstraint("job", "slot"),
    CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
    Index(None, "started_at"),
)

audit_event = Table(
    "audit_event",
    METADATA,
    auto_id(),
    Column("actor", Text, nullable=False),
    Column("at", UtcDateTime(), nullable=False),
    Column("verb", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("details", Text, nullable=False),
    recorded(),
    sqlite_autoincrement=True,
)

api_token = Table(
    "api_token",
    METADATA,
    auto_id(),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at", UtcDateTime(), nullable=False),
    Column("revoked_at", UtcDateTime()),
    recorded(),
)

chain_head = Table(
    "chain_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    recorded(),
    CheckConstraint("id = 1", name="one_row"),
)

ZERO: ColumnElement[int] = literal_column("0", Integer)
"""Zero as SQL text: with a bound 0 in `remaining > 0` SQLite does not use a partial index."""
IS_NEW = inbox.c.state == literal_column("'new'")
"""A message that nobody has dealt with, written so that SQLite uses its partial index."""

GENESIS_HASH = "0" * 64
"""`prev_hash` of the first movement."""


def is_external(location_id: str) -> bool:
    """Say whether an account is outside the site (supplier, patient, waste ...)."""
    return location_id.startswith("ext:")
