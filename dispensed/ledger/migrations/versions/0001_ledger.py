"""Everything the ledger needs: tables, triggers that keep journals append-only, first rows."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.clock import SystemClock
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = ("movement", "audit_event")
EXTERNAL = (
    "supplier",
    "dispensed",
    "waste",
    "loss",
    "found",
    "destruction",
    "reverse-distributor",
    "in-transit",
    "opening",
)


def upgrade() -> None:
    _api_token()
    _audit_event()
    _chain_head()
    _inbox()
    _item()
    _job_run()
    _location()
    _discrepancy()
    _dispense()
    _effect()
    _lot()
    _proposal()
    _recall_case()
    _reorder_policy()
    _balance()
    _expiry_flag()
    _reservation()
    _unbooked()
    _movement()
    _receipt()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_triggers()
    else:
        _postgresql_triggers()
    _first_rows()


def _sqlite_triggers() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
                f" SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION dispensed_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END$$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION dispensed_append_only()"
        )


def _first_rows() -> None:
    now = SystemClock().now()
    location = sa.table(
        "location",
        sa.column("location_id", sa.Text),
        sa.column("kind", sa.Text),
        sa.column("recorded_at", UtcDateTime()),
    )
    op.bulk_insert(
        location,
        [{"location_id": f"ext:{kind}", "kind": kind, "recorded_at": now} for kind in EXTERNAL],
    )
    chain_head = sa.table(
        "chain_head",
        sa.column("id", sa.Integer),
        sa.column("last_id", sa.BigInteger),
        sa.column("hash", sa.Text),
        sa.column("recorded_at", UtcDateTime()),
    )
    op.bulk_insert(chain_head, [{"id": 1, "last_id": 0, "hash": "0" * 64, "recorded_at": now}])


def _api_token() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_token_sha256")),
    )


def _audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_event_subject"), "audit_event", ["subject"], unique=False)


def _chain_head() -> None:
    op.create_table(
        "chain_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_chain_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain_head")),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'applied', 'ignored', 'unreadable')", name=op.f("ck_inbox_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("device_id", "key", name=op.f("uq_inbox_device_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_inbox_new",
        "inbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'new'"),
        postgresql_where=sa.text("state = 'new'"),
    )


def _item() -> None:
    op.create_table(
        "item",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("strength", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("pack_milli", sa.BigInteger(), nullable=False),
        sa.Column("gtin", sa.Text(), nullable=True),
        sa.Column("ndc", sa.Text(), nullable=True),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("piece_weight_ug", sa.BigInteger(), nullable=True),
        sa.Column("piece_weight_sd_ug", sa.BigInteger(), nullable=True),
        sa.Column("hazardous", sa.Boolean(), nullable=False),
        sa.Column("high_alert", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("pack_milli > 0", name=op.f("ck_item_pack_positive")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_item")),
        sa.UniqueConstraint("gtin", name=op.f("uq_item_gtin")),
        sa.UniqueConstraint("ndc", name=op.f("uq_item_ndc")),
    )


def _job_run() -> None:
    op.create_table(
        "job_run",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("slot", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'done', 'failed')", name=op.f("ck_job_run_state")),
        sa.PrimaryKeyConstraint("job", "slot", name=op.f("pk_job_run")),
    )
    op.create_index(op.f("ix_job_run_started_at"), "job_run", ["started_at"], unique=False)


def _location() -> None:
    op.create_table(
        "location",
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"], ["location.location_id"], name=op.f("fk_location_parent_location")
        ),
        sa.PrimaryKeyConstraint("location_id", name=op.f("pk_location")),
    )


def _discrepancy() -> None:
    op.create_table(
        "discrepancy",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("difference", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_discrepancy_closed_has_time")
        ),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_discrepancy_state")),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_discrepancy_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy")),
    )
    op.create_index(
        "uq_discrepancy_open",
        "discrepancy",
        ["kind", "item_id", "lot", "location_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _dispense() -> None:
    op.create_table(
        "dispense",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("order_ref", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("patient_key", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("counted_milli", sa.BigInteger(), nullable=True),
        sa.Column("weigh_result", sa.Text(), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("label_proof", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state NOT IN ('verified', 'settled') OR (counted_milli IS NOT NULL"
            " AND counted_milli = milli AND verified_by IS NOT NULL)",
            name=op.f("ck_dispense_verified_as_ordered"),
        ),
        sa.CheckConstraint("counted_milli >= 0", name=op.f("ck_dispense_counted_not_negative")),
        sa.CheckConstraint("milli > 0", name=op.f("ck_dispense_milli_positive")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_dispense_item_id_item")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispense")),
        sa.UniqueConstraint("order_ref", name=op.f("uq_dispense_order_ref")),
        sa.UniqueConstraint("request_id", name=op.f("uq_dispense_request_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_dispense_state"), "dispense", ["state"], unique=False)


def _effect() -> None:
    op.create_table(
        "effect",
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("effect_key", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_effect_inbox_id_inbox")),
        sa.PrimaryKeyConstraint("device_id", "effect_key", name=op.f("pk_effect")),
    )


def _lot() -> None:
    op.create_table(
        "lot",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("expiry", sa.Date(), nullable=True),
        sa.Column("expiry_source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.item_id"], name=op.f("fk_lot_item_id_item")),
        sa.PrimaryKeyConstraint("item_id", "lot", name=op.f("pk_lot")),
    )
    op.create_index(op.f("ix_lot_expiry"), "lot", ["expiry"], unique=False)


def _proposal() -> None:
    op.create_table(
        "proposal",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("received_milli", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'approved', 'received', 'cancelled')", name=op.f("ck_proposal_state")
        ),
        sa.CheckConstraint(
            "milli > 0 AND received_milli >= 0", name=op.f("ck_proposal_quantities")
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_proposal_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["location.location_id"], name=op.f("fk_proposal_location_id_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposal")),
    )
    op.create_index(
        op.f("ix_proposal_item_id_location_id_state"),
        "proposal",
        ["item_id", "location_id", "state"],
        unique=False,
    )
    op.create_index(
        "uq_proposal_open",
        "proposal",
        ["item_id", "location_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _recall_case() -> None:
    op.create_table(
        "recall_case",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=True),
        sa.Column("recall_class", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_recall_case_closed_has_time")
        ),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_recall_case_state")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_recall_case_item_id_item")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_case")),
    )
    op.create_index(
        op.f("ix_recall_case_item_id_state"), "recall_case", ["item_id", "state"], unique=False
    )


def _reorder_policy() -> None:
    op.create_table(
        "reorder_policy",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("min_milli", sa.BigInteger(), nullable=False),
        sa.Column("max_milli", sa.BigInteger(), nullable=False),
        sa.Column("pack_milli", sa.BigInteger(), nullable=False),
        sa.Column("minimum_packs", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "min_milli >= 0 AND max_milli >= min_milli",
            name=op.f("ck_reorder_policy_min_within_max"),
        ),
        sa.CheckConstraint("pack_milli > 0", name=op.f("ck_reorder_policy_pack_positive")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_reorder_policy_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_reorder_policy_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("item_id", "location_id", name=op.f("pk_reorder_policy")),
    )


def _balance() -> None:
    op.create_table(
        "balance",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("on_hand", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "external OR on_hand >= 0", name=op.f("ck_balance_on_hand_not_negative")
        ),
        sa.CheckConstraint(
            "held = 0 OR held <= on_hand", name=op.f("ck_balance_held_within_on_hand")
        ),
        sa.CheckConstraint("held >= 0", name=op.f("ck_balance_held_not_negative")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"], ["lot.item_id", "lot.lot"], name=op.f("fk_balance_item_id_lot_lot")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["location.location_id"], name=op.f("fk_balance_location_id_location")
        ),
        sa.PrimaryKeyConstraint("item_id", "lot", "location_id", name=op.f("pk_balance")),
    )
    op.create_index(op.f("ix_balance_location_id"), "balance", ["location_id"], unique=False)


def _expiry_flag() -> None:
    op.create_table(
        "expiry_flag",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("tier_days", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_expiry_flag_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_expiry_flag_location_id_location"),
        ),
        sa.PrimaryKeyConstraint(
            "item_id", "lot", "location_id", "tier_days", name=op.f("pk_expiry_flag")
        ),
    )


def _reservation() -> None:
    op.create_table(
        "reservation",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("dispense_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'commanded', 'in_doubt') AND remaining > 0"
            " OR state IN ('settled', 'voided', 'broken') AND remaining = 0",
            name=op.f("ck_reservation_closed_holds_nothing"),
        ),
        sa.CheckConstraint("milli > 0", name=op.f("ck_reservation_milli_positive")),
        sa.CheckConstraint(
            "remaining >= 0 AND remaining <= milli", name=op.f("ck_reservation_remaining_within")
        ),
        sa.ForeignKeyConstraint(
            ["dispense_id"], ["dispense.id"], name=op.f("fk_reservation_dispense_id_dispense")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_reservation_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_reservation_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservation")),
        sa.UniqueConstraint("request_id", name=op.f("uq_reservation_request_id")),
    )
    op.create_index(
        "ix_reservation_active",
        "reservation",
        ["item_id", "lot", "location_id", "id"],
        unique=False,
        sqlite_where=sa.text("remaining > 0"),
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_index(
        op.f("ix_reservation_dispense_id"), "reservation", ["dispense_id"], unique=False
    )


def _unbooked() -> None:
    op.create_table(
        "unbooked",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("waived", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dispense_id", sa.BigInteger(), nullable=True),
        sa.Column("inbox_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("milli > 0", name=op.f("ck_unbooked_milli_positive")),
        sa.CheckConstraint("remaining + waived <= milli", name=op.f("ck_unbooked_within_claim")),
        sa.CheckConstraint("remaining >= 0 AND waived >= 0", name=op.f("ck_unbooked_not_negative")),
        sa.ForeignKeyConstraint(
            ["dispense_id"], ["dispense.id"], name=op.f("fk_unbooked_dispense_id_dispense")
        ),
        sa.ForeignKeyConstraint(
            ["inbox_id"], ["inbox.id"], name=op.f("fk_unbooked_inbox_id_inbox")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"], ["lot.item_id", "lot.lot"], name=op.f("fk_unbooked_item_id_lot_lot")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"], ["location.location_id"], name=op.f("fk_unbooked_location_id_location")
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["location.location_id"], name=op.f("fk_unbooked_target_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unbooked")),
        sa.UniqueConstraint("request_id", name=op.f("uq_unbooked_request_id")),
    )
    op.create_index(
        "ix_unbooked_open",
        "unbooked",
        ["item_id", "lot", "location_id", "id"],
        unique=False,
        sqlite_where=sa.text("remaining > 0"),
        postgresql_where=sa.text("remaining > 0"),
    )


def _movement() -> None:
    op.create_table(
        "movement",
        sa.Column("id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("milli", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("dispense_id", sa.BigInteger(), nullable=True),
        sa.Column("inbox_id", sa.BigInteger(), nullable=True),
        sa.Column("claim_id", sa.BigInteger(), nullable=True),
        sa.Column("reverses", sa.BigInteger(), nullable=True),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("milli > 0", name=op.f("ck_movement_milli_positive")),
        sa.CheckConstraint("source <> target", name=op.f("ck_movement_two_ends")),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["unbooked.id"], name=op.f("fk_movement_claim_id_unbooked")
        ),
        sa.ForeignKeyConstraint(
            ["dispense_id"], ["dispense.id"], name=op.f("fk_movement_dispense_id_dispense")
        ),
        sa.ForeignKeyConstraint(
            ["inbox_id"], ["inbox.id"], name=op.f("fk_movement_inbox_id_inbox")
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"], ["lot.item_id", "lot.lot"], name=op.f("fk_movement_item_id_lot_lot")
        ),
        sa.ForeignKeyConstraint(
            ["reverses"], ["movement.id"], name=op.f("fk_movement_reverses_movement")
        ),
        sa.ForeignKeyConstraint(
            ["source"], ["location.location_id"], name=op.f("fk_movement_source_location")
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["location.location_id"], name=op.f("fk_movement_target_location")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_movement")),
        sa.UniqueConstraint("request_id", name=op.f("uq_movement_request_id")),
        sa.UniqueConstraint("reverses", name=op.f("uq_movement_reverses")),
    )
    op.create_index(op.f("ix_movement_claim_id"), "movement", ["claim_id"], unique=False)
    op.create_index(op.f("ix_movement_dispense_id"), "movement", ["dispense_id"], unique=False)
    op.create_index(
        op.f("ix_movement_item_id_lot_id"), "movement", ["item_id", "lot", "id"], unique=False
    )
    op.create_index(op.f("ix_movement_source_id"), "movement", ["source", "id"], unique=False)
    op.create_index(op.f("ix_movement_target_id"), "movement", ["target", "id"], unique=False)


def _receipt() -> None:
    op.create_table(
        "receipt",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("order_ref", sa.Text(), nullable=False),
        sa.Column("scan", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_receipt_movement_id_movement")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("movement_id", name=op.f("uq_receipt_movement_id")),
    )
