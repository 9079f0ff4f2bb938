"""Count tasks, their results, and who owns a discrepancy."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.clock import SystemClock
from dispensed.ledger.migrations.append_only import append_only
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = ("count_round", "count_result", "count_posting", "discrepancy_resolution")
CODES = (
    ("agrees_again", "found and book agree again", False),
    ("posted_by_count", "a count posted the variance", False),
    ("earlier_release", "closed before reason codes were kept", False),
    ("miscounted", "an earlier count or delivery was counted wrongly", True),
    ("misplaced", "found at another place, or put there", True),
    ("not_recorded", "a movement was made and not recorded, or recorded twice", True),
    ("wrong_lot", "the other lot of the item was taken or recorded", True),
    ("damaged", "broken, spilled or lost in handling", True),
    ("device_error", "the device reported what did not happen", True),
    ("theft_or_loss", "theft or significant loss; report it as the law asks", True),
    ("unexplained", "looked for and not explained", True),
    ("other", "another reason, which is written down", True),
)


def upgrade() -> None:
    _reason_code()
    _item_cost()
    _snapshot_run()
    _count_task()
    _count_round()
    _count_result()
    _count_posting()
    _discrepancy_case()
    _discrepancy_cause()
    _discrepancy_resolution()
    append_only(APPEND_ONLY)
    _first_codes()
    _cases_of_known_discrepancies()


def _first_codes() -> None:
    now = SystemClock().now()
    codes = sa.table(
        "reason_code",
        sa.column("code", sa.Text),
        sa.column("text", sa.Text),
        sa.column("by_person", sa.Boolean),
        sa.column("recorded_at", UtcDateTime()),
    )
    rows = [
        {"code": code, "text": text, "by_person": by_person, "recorded_at": now}
        for code, text, by_person in CODES
    ]
    op.bulk_insert(codes, rows)


def _cases_of_known_discrepancies() -> None:
    """Give the open discrepancies of one place one record, and each closed one its own."""
    open_case = (
        "INSERT INTO discrepancy_case (item_id, lot, location_id, state, owner, due_at, opened_at,"
        " reason, updated_at, recorded_at) SELECT item_id, lot, location_id, 'open', '',"
        " min(opened_at), min(opened_at), '', max(updated_at), min(recorded_at) FROM discrepancy"
        " WHERE state = 'open' GROUP BY item_id, lot, location_id"
    )
    open_causes = (
        "INSERT INTO discrepancy_cause (discrepancy_id, case_id, recorded_at)"
        " SELECT d.id, c.id, d.recorded_at FROM discrepancy d JOIN discrepancy_case c"
        " ON c.item_id = d.item_id AND c.lot = d.lot AND c.location_id = d.location_id"
        " AND c.state = 'open' WHERE d.state = 'open'"
    )
    op.execute(open_case)
    op.execute(open_causes)
    found = op.get_bind().execute(sa.text(_CLOSED)).mappings().all()
    for row in found:
        values = {**row, "code": "earlier_release"}
        case_id = op.get_bind().execute(sa.text(_CLOSED_CASE), values).scalar_one()
        cause = {"id": row["id"], "case_id": case_id, "recorded_at": row["recorded_at"]}
        op.get_bind().execute(sa.text(_CLOSED_CAUSE), cause)


_CLOSED = (
    "SELECT id, item_id, lot, location_id, opened_at, closed_at, closed_by, reason, updated_at,"
    " recorded_at FROM discrepancy WHERE state = 'closed' ORDER BY id"
)
_CLOSED_CASE = (
    "INSERT INTO discrepancy_case (item_id, lot, location_id, state, owner, due_at, opened_at,"
    " closed_at, closed_by, reason_code, reason, updated_at, recorded_at) VALUES (:item_id, :lot,"
    " :location_id, 'closed', '', :opened_at, :opened_at, :closed_at, :closed_by, :code, :reason,"
    " :updated_at, :recorded_at) RETURNING id"
)
_CLOSED_CAUSE = (
    "INSERT INTO discrepancy_cause (discrepancy_id, case_id, recorded_at)"
    " VALUES (:id, :case_id, :recorded_at)"
)


def _reason_code() -> None:
    op.create_table(
        "reason_code",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by_person", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_reason_code")),
    )


def _item_cost() -> None:
    op.create_table(
        "item_cost",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("pack_minor", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("pack_minor > 0", name=op.f("ck_item_cost_pack_minor_positive")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_item_cost_item_id_item")
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_item_cost")),
    )


def _snapshot_run() -> None:
    op.create_table(
        "snapshot_run",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("compared", sa.Integer(), nullable=False),
        sa.Column("differing", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_snapshot_run_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot_run")),
    )
    op.create_index(
        op.f("ix_snapshot_run_location_id_at"), "snapshot_run", ["location_id", "at"], unique=False
    )


def _count_task() -> None:
    op.create_table(
        "count_task",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("lot", sa.Text(), nullable=True),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state IN ('closed', 'cancelled')) = (closed_at IS NOT NULL)",
            name=op.f("ck_count_task_closed_has_time"),
        ),
        sa.CheckConstraint(
            "kind IN ('cycle', 'blind', 'full', 'discrepancy', 'access')",
            name=op.f("ck_count_task_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'submitted', 'recount', 'closed', 'cancelled')",
            name=op.f("ck_count_task_state"),
        ),
        sa.CheckConstraint(
            "lot IS NULL OR item_id IS NOT NULL", name=op.f("ck_count_task_lot_of_an_item")
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_count_task_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_count_task_location_id_location"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_task")),
        sa.UniqueConstraint("request_id", name=op.f("uq_count_task_request_id")),
    )
    op.create_index(
        op.f("ix_count_task_location_id_item_id"),
        "count_task",
        ["location_id", "item_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_count_task_state_due_at"), "count_task", ["state", "due_at"], unique=False
    )


def _count_round() -> None:
    op.create_table(
        "count_round",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("counted_at", UtcDateTime(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "source IN ('hand', 'counter', 'scale', 'snapshot')", name=op.f("ck_count_round_source")
        ),
        sa.CheckConstraint("number > 0", name=op.f("ck_count_round_number_positive")),
        sa.ForeignKeyConstraint(
            ["task_id"], ["count_task.id"], name=op.f("fk_count_round_task_id_count_task")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_round")),
        sa.UniqueConstraint("request_id", name=op.f("uq_count_round_request_id")),
        sa.UniqueConstraint("task_id", "number", name=op.f("uq_count_round_task_id_number")),
    )


def _count_result() -> None:
    op.create_table(
        "count_result",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("round_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("counted_milli", sa.BigInteger(), nullable=False),
        sa.Column("uncertainty_milli", sa.BigInteger(), nullable=False),
        sa.Column("book_milli", sa.BigInteger(), nullable=False),
        sa.Column("variance_milli", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "counted_milli >= 0 AND uncertainty_milli >= 0",
            name=op.f("ck_count_result_not_negative"),
        ),
        sa.CheckConstraint(
            "variance_milli = counted_milli - book_milli",
            name=op.f("ck_count_result_variance_is_difference"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_count_result_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_count_result_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["round_id"], ["count_round.id"], name=op.f("fk_count_result_round_id_count_round")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_result")),
        sa.UniqueConstraint(
            "round_id", "item_id", "lot", name=op.f("uq_count_result_round_id_item_id_lot")
        ),
    )
    op.create_index(
        op.f("ix_count_result_item_id_lot_location_id"),
        "count_result",
        ["item_id", "lot", "location_id"],
        unique=False,
    )


def _count_posting() -> None:
    op.create_table(
        "count_posting",
        sa.Column("result_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("variance_milli", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("variance_milli <> 0", name=op.f("ck_count_posting_posts_something")),
        sa.ForeignKeyConstraint(
            ["result_id"], ["count_result.id"], name=op.f("fk_count_posting_result_id_count_result")
        ),
        sa.PrimaryKeyConstraint("result_id", name=op.f("pk_count_posting")),
        sa.UniqueConstraint("request_id", name=op.f("uq_count_posting_request_id")),
    )


def _discrepancy_case() -> None:
    op.create_table(
        "discrepancy_case",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)",
            name=op.f("ck_discrepancy_case_closed_has_time"),
        ),
        sa.CheckConstraint(
            "(state = 'open') = (reason_code IS NULL)",
            name=op.f("ck_discrepancy_case_closed_has_code"),
        ),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("ck_discrepancy_case_state")),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_discrepancy_case_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["reason_code"],
            ["reason_code.code"],
            name=op.f("fk_discrepancy_case_reason_code_reason_code"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discrepancy_case")),
    )
    op.create_index(
        "uq_discrepancy_case_open",
        "discrepancy_case",
        ["item_id", "lot", "location_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _discrepancy_cause() -> None:
    op.create_table(
        "discrepancy_cause",
        sa.Column("discrepancy_id", sa.BigInteger(), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["discrepancy_case.id"],
            name=op.f("fk_discrepancy_cause_case_id_discrepancy_case"),
        ),
        sa.ForeignKeyConstraint(
            ["discrepancy_id"],
            ["discrepancy.id"],
            name=op.f("fk_discrepancy_cause_discrepancy_id_discrepancy"),
        ),
        sa.PrimaryKeyConstraint("discrepancy_id", name=op.f("pk_discrepancy_cause")),
    )
    op.create_index(
        op.f("ix_discrepancy_cause_case_id"), "discrepancy_cause", ["case_id"], unique=False
    )


def _discrepancy_resolution() -> None:
    op.create_table(
        "discrepancy_resolution",
        sa.Column("movement_id", sa.BigInteger(), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["discrepancy_case.id"],
            name=op.f("fk_discrepancy_resolution_case_id_discrepancy_case"),
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"],
            ["movement.id"],
            name=op.f("fk_discrepancy_resolution_movement_id_movement"),
        ),
        sa.PrimaryKeyConstraint("movement_id", name=op.f("pk_discrepancy_resolution")),
    )
    op.create_index(
        op.f("ix_discrepancy_resolution_case_id"),
        "discrepancy_resolution",
        ["case_id"],
        unique=False,
    )
