"""Controlled substances: removals, wastes, inventories, order forms, thefts and losses.

Statements of law are append-only (triggers of migration 0004): steps of removals, wastes and their
witnesses, inventories with lines, signatures and the book beside them, order forms and what came on
them. A removal and a loss case change as they go on; the database checks their sums and states.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

removal = Table(
    "removal",
    METADATA,
    auto_id(),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False, unique=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("given", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("wasted", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("patient_key", Text, nullable=False),
    Column("order_ref", Text),
    Column("override_reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("removed_at", UtcDateTime(), nullable=False),
    Column("closed_at", UtcDateTime()),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint(
        "given >= 0 AND returned >= 0 AND wasted >= 0 AND remaining >= 0", name="not_negative"
    ),
    CheckConstraint("given + returned + wasted + remaining = milli", name="adds_up"),
    CheckConstraint("(remaining = 0) = (closed_at IS NOT NULL)", name="closed_when_equal"),
    CheckConstraint("order_ref IS NOT NULL OR override_reason <> ''", name="override_reason"),
    Index(None, "removed_at"),
    Index(None, "item_id", "lot", "location_id", "removed_at"),
    sqlite_autoincrement=True,
)
Index(
    "ix_removal_open",
    removal.c.id,
    sqlite_where=removal.c.remaining > 0,
    postgresql_where=removal.c.remaining > 0,
)

removal_step = Table(
    "removal_step",
    METADATA,
    auto_id(),
    Column("removal_id", BigInteger, ForeignKey("removal.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("milli", BigInteger, nullable=False),
    Column("movement_id", BigInteger, ForeignKey("movement.id"), nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("kind IN ('given', 'returned', 'wasted')", name="kind"),
    CheckConstraint("milli > 0", name="milli_positive"),
    sqlite_autoincrement=True,
)

waste = Table(
    "waste",
    METADATA,
    auto_id(),
    Column("request_id", Text, nullable=False, unique=True),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("removal_id", BigInteger, ForeignKey("removal.id"), index=True),
    Column("controlled", Boolean, nullable=False),
    Column("stated_by", Text, nullable=False),
    Column("stated_at", UtcDateTime(), nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
    CheckConstraint("reason <> ''", name="has_reason"),
    UniqueConstraint("id", "controlled", "stated_by"),
    Index(None, "stated_at"),
    sqlite_autoincrement=True,
)

waste_witness = Table(
    "waste_witness",
    METADATA,
    Column("waste_id", BigInteger, primary_key=True, autoincrement=False),
    Column("controlled", Boolean, nullable=False),
    Column("stated_by", Text, nullable=False),
    Column("witness", Text),
    Column("witnessed_at", UtcDateTime(), nullable=False),
    recorded(),
    ForeignKeyConstraint(
        ["waste_id", "controlled", "stated_by"], ["waste.id", "waste.controlled", "waste.stated_by"]
    ),
    CheckConstraint(
        "NOT controlled OR (witness IS NOT NULL AND witness <> stated_by)", name="another_person"
    ),
)

inventory = Table(
    "inventory",
    METADATA,
    auto_id(),
    Column("kind", Text, nullable=False),
    Column("on_date", Date, nullable=False),
    Column("moment", Text, nullable=False),
    Column("as_of", UtcDateTime(), nullable=False),
    Column("signatures", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("kind IN ('initial', 'biennial', 'newly_scheduled')", name="kind"),
    CheckConstraint("moment IN ('opening', 'closing')", name="moment"),
    CheckConstraint("signatures IN (1, 2)", name="signatures"),
    sqlite_autoincrement=True,
)

inventory_line = Table(
    "inventory_line",
    METADATA,
    auto_id(),
    Column("inventory_id", BigInteger, ForeignKey("inventory.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    location_column("location_id"),
    Column("milli", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("container_milli", BigInteger),
    Column("actor", Text, nullable=False),
    recorded(),
    lot_key(),
    CheckConstraint("milli >= 0", name="milli_not_negative"),
    CheckConstraint("method IN ('exact', 'estimated')", name="method"),
    Index(None, "inventory_id", "item_id", "lot", "location_id"),
    sqlite_autoincrement=True,
)

inventory_signature = Table(
    "inventory_signature",
    METADATA,
    Column("inventory_id", BigInteger, ForeignKey("inventory.id"), nullable=False),
    Column("person", Text, nullable=False),
    Column("signed_at", UtcDateTime(), nullable=False),
    recorded(),
    PrimaryKeyConstraint("inventory_id", "person"),
)

inventory_book = Table(
    "inventory_book",
    METADATA,
    Column("line_id", BigInteger, primary_key=True, autoincrement=False),
    Column("milli", BigInteger, nullable=False),
    recorded(),
    ForeignKeyConstraint(["line_id"], ["inventory_line.id"]),
)

order_form = Table(
    "order_form",
    METADATA,
    Column("number", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("supplier", Text, nullable=False),
    Column("ordered_on", Date, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("kind IN ('form_222', 'csos')", name="kind"),
)

order_form_line = Table(
    "order_form_line",
    METADATA,
    Column("number", Text, ForeignKey("order_form.number"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("item_id", Text, ForeignKey("item.item_id"), nullable=False),
    Column("packages", Integer, nullable=False),
    Column("package_milli", BigInteger, nullable=False),
    recorded(),
    PrimaryKeyConstraint("number", "line"),
    CheckConstraint("line > 0 AND packages > 0 AND package_milli > 0", name="positive"),
)

order_form_receipt = Table(
    "order_form_receipt",
    METADATA,
    Column("movement_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("milli", BigInteger, nullable=False),
    Column("received_on", Date, nullable=False),
    recorded(),
    ForeignKeyConstraint(["movement_id"], ["movement.id"]),
    ForeignKeyConstraint(["number", "line"], ["order_form_line.number", "order_form_line.line"]),
    CheckConstraint("milli > 0", name="milli_positive"),
    Index(None, "number", "line"),
)

loss_case = Table(
    "loss_case",
    METADATA,
    auto_id(),
    Column("discrepancy_id", BigInteger, ForeignKey("discrepancy.id"), unique=True),
    Column("cause", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("discovered_at", UtcDateTime(), nullable=False),
    Column("notice_due", Date, nullable=False),
    Column("form_due", Date, nullable=False),
    Column("notified_at", UtcDateTime()),
    Column("notice_ref", Text, nullable=False),
    Column("reported_at", UtcDateTime()),
    Column("report_ref", Text, nullable=False),
    Column("closed_at", UtcDateTime()),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    recorded(),
    CheckConstraint("outcome IN ('', 'reported', 'not_a_loss')", name="outcome"),
    CheckConstraint("(closed_at IS NULL) = (outcome = '')", name="closed_has_outcome"),
    CheckConstraint(
        "outcome <> 'reported' OR (notified_at IS NOT NULL AND reported_at IS NOT NULL)",
        name="reported_was_told",
    ),
    sqlite_autoincrement=True,
)

loss_line = Table(
    "loss_line",
    METADATA,
    Column("case_id", BigInteger, ForeignKey("loss_case.id"), nullable=False),
    Column("item_id", Text, nullable=False),
    Column("lot", Text, nullable=False),
    Column("milli", BigInteger, nullable=False),
    recorded(),
    PrimaryKeyConstraint("case_id", "item_id", "lot"),
    lot_key(),
    CheckConstraint("milli > 0", name="milli_positive"),
)

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
"""Tables of this area that the database refuses to change."""
