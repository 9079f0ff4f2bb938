"""Accounts for repacking and retention samples, and an index for balances as of an instant."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dispensed.clock import SystemClock
from dispensed.ledger.types import UtcDateTime

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

EXTERNAL = ("repack", "sample")
AS_OF = ("item_id", "lot", "source", "target", "occurred_at", "recorded_at", "milli")
"""All that `as_of` reads, in the order in which it adds up: nothing is looked up or sorted."""


def upgrade() -> None:
    location = sa.table(
        "location",
        sa.column("location_id", sa.Text()),
        sa.column("kind", sa.Text()),
        sa.column("recorded_at", UtcDateTime()),
    )
    now = SystemClock().now()
    op.bulk_insert(
        location,
        [{"location_id": f"ext:{kind}", "kind": kind, "recorded_at": now} for kind in EXTERNAL],
    )
    op.create_index("ix_movement_as_of", "movement", AS_OF)
