"""Wall time: the only module that reads the machine's clock."""

from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Where wall time comes from; tests and the demo inject their own."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)


def site_date(clock: Clock, zone: ZoneInfo) -> date:
    """Return the calendar date at the site; expiry is judged by it."""
    return clock.now().astimezone(zone).date()
