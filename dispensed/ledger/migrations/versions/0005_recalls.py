"""Recall cases: notices, lines, places, answers, signatures."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.ledger.migrations.append_only import append_only
from dispensed.ledger.types import BIG_ID, UtcDateTime

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPEND_ONLY = ("recall_notice", "recall_reading", "recall_answer", "recall_signature")


def upgrade() -> None:
    _recall()
    _recall_notice()
    _recall_reading()
    _recall_unresolved()
    _recall_line()
    _recall_block()
    _recall_task()
    _recall_answer()
    _recall_signature()
    append_only(APPEND_ONLY)


def _recall() -> None:
    op.create_table(
        "recall",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("recall_number", sa.Text(), nullable=True),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("recall_class", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_recall_closed_has_time")
        ),
        sa.CheckConstraint(
            "recall_class IN ('', 'I', 'II', 'III')", name=op.f("ck_recall_recall_class")
        ),
        sa.CheckConstraint(
            "state IN ('review', 'not_stocked', 'open', 'closed')", name=op.f("ck_recall_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall")),
        sa.UniqueConstraint("recall_number", name=op.f("uq_recall_recall_number")),
    )
    op.create_index(op.f("ix_recall_event_id"), "recall", ["event_id"], unique=False)
    op.create_index(op.f("ix_recall_state"), "recall", ["state"], unique=False)


def _recall_notice() -> None:
    op.create_table(
        "recall_notice",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('record', 'document')", name=op.f("ck_recall_notice_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_notice")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_recall_notice_content_hash")),
    )


def _recall_reading() -> None:
    op.create_table(
        "recall_reading",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(outcome = 'read') = (recall_id IS NOT NULL)",
            name=op.f("ck_recall_reading_read_has_case"),
        ),
        sa.CheckConstraint(
            "outcome IN ('read', 'unreadable')", name=op.f("ck_recall_reading_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"],
            ["recall_notice.id"],
            name=op.f("fk_recall_reading_notice_id_recall_notice"),
        ),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_reading_recall_id_recall")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_reading")),
    )
    op.create_index(
        op.f("ix_recall_reading_notice_id"), "recall_reading", ["notice_id"], unique=False
    )
    op.create_index(
        op.f("ix_recall_reading_recall_id"), "recall_reading", ["recall_id"], unique=False
    )


def _recall_unresolved() -> None:
    op.create_table(
        "recall_unresolved",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("text_start", sa.Integer(), nullable=False),
        sa.Column("text_end", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)",
            name=op.f("ck_recall_unresolved_decided_has_time"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'match', 'no_match')", name=op.f("ck_recall_unresolved_state")
        ),
        sa.CheckConstraint(
            "(decided_at IS NULL) = (decided_by IS NULL)",
            name=op.f("ck_recall_unresolved_decided_has_person"),
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"],
            ["recall_notice.id"],
            name=op.f("fk_recall_unresolved_notice_id_recall_notice"),
        ),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_unresolved_recall_id_recall")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_unresolved")),
    )
    op.create_index(
        op.f("ix_recall_unresolved_recall_id"), "recall_unresolved", ["recall_id"], unique=False
    )
    op.create_index(
        op.f("ix_recall_unresolved_state_id"), "recall_unresolved", ["state", "id"], unique=False
    )


def _recall_line() -> None:
    op.create_table(
        "recall_line",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=True),
        sa.Column("unresolved_id", sa.BigInteger(), nullable=True),
        sa.Column("ndc", sa.Text(), nullable=False),
        sa.Column("digits", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("lot", sa.Text(), nullable=True),
        sa.Column("expiry", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(digits = '') = (item_id IS NOT NULL)", name=op.f("ck_recall_line_code_or_item")
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["item.item_id"], name=op.f("fk_recall_line_item_id_item")
        ),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["recall_notice.id"], name=op.f("fk_recall_line_notice_id_recall_notice")
        ),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_line_recall_id_recall")
        ),
        sa.ForeignKeyConstraint(
            ["unresolved_id"],
            ["recall_unresolved.id"],
            name=op.f("fk_recall_line_unresolved_id_recall_unresolved"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_line")),
    )
    op.create_index(op.f("ix_recall_line_digits"), "recall_line", ["digits"], unique=False)
    op.create_index(op.f("ix_recall_line_recall_id"), "recall_line", ["recall_id"], unique=False)


def _recall_block() -> None:
    op.create_table(
        "recall_block",
        sa.Column("line_id", sa.BigInteger(), nullable=False),
        sa.Column("block_id", sa.BigInteger(), nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["block_id"], ["recall_case.id"], name=op.f("fk_recall_block_block_id_recall_case")
        ),
        sa.ForeignKeyConstraint(
            ["line_id"], ["recall_line.id"], name=op.f("fk_recall_block_line_id_recall_line")
        ),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_block_recall_id_recall")
        ),
        sa.PrimaryKeyConstraint("line_id", "block_id", name=op.f("pk_recall_block")),
    )
    op.create_index(op.f("ix_recall_block_block_id"), "recall_block", ["block_id"], unique=False)
    op.create_index(op.f("ix_recall_block_recall_id"), "recall_block", ["recall_id"], unique=False)


def _recall_task() -> None:
    op.create_table(
        "recall_task",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("lot", sa.Text(), nullable=False),
        sa.Column("location_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'answered')", name=op.f("ck_recall_task_state")),
        sa.ForeignKeyConstraint(
            ["item_id", "lot"],
            ["lot.item_id", "lot.lot"],
            name=op.f("fk_recall_task_item_id_lot_lot"),
        ),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.location_id"],
            name=op.f("fk_recall_task_location_id_location"),
        ),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_task_recall_id_recall")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_task")),
    )
    op.create_index(op.f("ix_recall_task_recall_id"), "recall_task", ["recall_id"], unique=False)
    op.create_index(
        "uq_recall_task_open",
        "recall_task",
        ["recall_id", "item_id", "lot", "location_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _recall_answer() -> None:
    op.create_table(
        "recall_answer",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("book", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("movement_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(moved > 0) = (movement_id IS NOT NULL)",
            name=op.f("ck_recall_answer_moved_by_movement"),
        ),
        sa.CheckConstraint(
            "book >= 0 AND found >= 0 AND moved >= 0", name=op.f("ck_recall_answer_not_negative")
        ),
        sa.CheckConstraint(
            "moved <= found AND moved <= book", name=op.f("ck_recall_answer_moved_was_there")
        ),
        sa.ForeignKeyConstraint(
            ["movement_id"], ["movement.id"], name=op.f("fk_recall_answer_movement_id_movement")
        ),
        sa.ForeignKeyConstraint(
            ["target"], ["location.location_id"], name=op.f("fk_recall_answer_target_location")
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["recall_task.id"], name=op.f("fk_recall_answer_task_id_recall_task")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_answer")),
        sa.UniqueConstraint("request_id", name=op.f("uq_recall_answer_request_id")),
        sa.UniqueConstraint("task_id", name=op.f("uq_recall_answer_task_id")),
    )


def _recall_signature() -> None:
    op.create_table(
        "recall_signature",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("recall_id", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["recall_id"], ["recall.id"], name=op.f("fk_recall_signature_recall_id_recall")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recall_signature")),
        sa.UniqueConstraint(
            "recall_id", "round", "actor", name=op.f("uq_recall_signature_recall_id_round_actor")
        ),
    )
