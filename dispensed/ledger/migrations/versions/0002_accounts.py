"""Accounts for repacking and retention samples, and the types of movement that use them."""

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
