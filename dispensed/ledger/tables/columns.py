"""What every table is made of: the one MetaData, and columns that occur again and again."""

from datetime import datetime

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, MetaData, Text

from dispensed.ledger.types import BIG_ID, UtcDateTime

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def recorded() -> Column[datetime]:
    """When the row was written; every table has it."""
    return Column("recorded_at", UtcDateTime(), nullable=False)


def auto_id() -> Column[int]:
    """Return a number that the database gives."""
    return Column("id", BIG_ID, primary_key=True, autoincrement=True)


def lot_key() -> ForeignKeyConstraint:
    """Tie the columns `item_id` and `lot` to a known lot."""
    return ForeignKeyConstraint(["item_id", "lot"], ["lot.item_id", "lot.lot"])


def location_column(name: str) -> Column[str]:
    """Return the column of a place or account."""
    return Column(name, Text, ForeignKey("location.location_id"), nullable=False)
