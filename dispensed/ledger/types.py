"""Column types that keep time exact on every database, and numbers that databases give."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970 UTC; refuses a naive datetime with ValueError."""
    if at.utcoffset() is None:
        raise ValueError(f"{at.isoformat()} has no time zone; the ledger takes aware times only")
    return (at - EPOCH) // MICROSECOND


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant: UTC in and out on every database.

    PostgreSQL stores `timestamptz`. SQLite stores integer microseconds since 1970, because its
    DateTime drops the offset. A naive value is refused with ValueError.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = DateTime(timezone=True)
    cache_ok: bool | None = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the storage type."""
        chosen: TypeEngine[Any] = DateTime(timezone=True)
        if dialect.name == "sqlite":
            chosen = BigInteger()
        return dialect.type_descriptor(chosen)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """Turn an aware time into what the database stores."""
        if value is None:
            return None
        micros = to_microseconds(value)
        return micros if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Turn what the database stores into an aware UTC time."""
        del dialect
        if isinstance(value, int):
            return EPOCH + value * MICROSECOND
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return None


BIG_ID = BigInteger().with_variant(Integer(), "sqlite")
"""A number that SQLite can give by itself: only INTEGER PRIMARY KEY is its rowid."""
