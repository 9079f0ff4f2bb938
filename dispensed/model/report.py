"""A report as a plain value: numbers, dates and words in columns, with totals; no formatting.

Quantities are integer thousandths, times aware UTC. How it looks is decided where it is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

ROWS_MAX = 100_000
"""Most rows that a report ever shows."""
ROWS_USUAL = 10_000
"""Rows that are shown when nothing else is asked."""

Cell = str | int | date | datetime | None


class Period(StrEnum):
    """By what days are put together, in the site's zone."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"

    def of(self, at: datetime, zone: ZoneInfo) -> str:
        """Name the period of an instant: `2026-11-22`, `2026-11` or `2026`."""
        day = at.astimezone(zone).date().isoformat()
        return day[: {Period.DAY: 10, Period.MONTH: 7, Period.YEAR: 4}[self]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for; `begin` belongs to the time looked at, `end` does not."""

    now: datetime
    today: date
    zone: ZoneInfo
    begin: datetime
    end: datetime
    item: str | None = None
    lot: str | None = None
    location: str | None = None
    period: Period = Period.MONTH
    days: int = 90
    number: int | None = None


class ColumnKind(StrEnum):
    """What the cells of a column are.

    AMOUNT: integer thousandths of the row's unit, or of what the head says (%, hours). COUNT:
    whole things. TIME: an aware instant, shown in the site's zone. DATE: a day.
    """

    TEXT = "text"
    COUNT = "count"
    AMOUNT = "amount"
    DATE = "date"
    TIME = "time"

    @property
    def is_number(self) -> bool:
        """Whether its cells are aligned to the right."""
        return self in (ColumnKind.COUNT, ColumnKind.AMOUNT)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` for programs, `head` for people; a fixed unit is part of the head."""

    key: str
    head: str
    kind: ColumnKind = ColumnKind.TEXT


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over all rows, also over those that are not shown; `unit` "" for counts."""

    label: str
    value: int
    unit: str
    kind: ColumnKind = ColumnKind.AMOUNT


@dataclass(frozen=True, slots=True)
class Report:
    """One report; `rows` are the first of `rows_total`."""

    name: str
    title: str
    made_at: datetime
    zone: str
    parameters: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    rows_total: int
    totals: tuple[Total, ...]
    notes: tuple[str, ...] = ()

    @property
    def extent(self) -> str:
        """How many rows there are, and that not all are shown, if so."""
        if self.rows_total == len(self.rows):
            return f"{self.rows_total} rows"
        return (
            f"the first {len(self.rows)} of {self.rows_total} rows; the totals are over all of them"
        )


@dataclass(slots=True)
class Gathering:
    """Takes all rows one by one, keeps the first `limit` and adds up over all of them."""

    limit: int
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    rows_total: int = 0
    notes: tuple[str, ...] = ()
    _sums: dict[tuple[str, str, ColumnKind], int] = field(default_factory=dict)

    def add(self, *cells: Cell) -> None:
        """Take the next row."""
        self.rows_total += 1
        if len(self.rows) < self.limit:
            self.rows.append(cells)

    def total(self, label: str, milli: int, unit: str) -> None:
        """Add to a total in one unit."""
        self._sum((label, unit, ColumnKind.AMOUNT), milli)

    def count(self, label: str, number: int = 1) -> None:
        """Add to a number of things."""
        self._sum((label, "", ColumnKind.COUNT), number)

    def _sum(self, key: tuple[str, str, ColumnKind], more: int) -> None:
        self._sums[key] = self._sums.get(key, 0) + more

    def totals(self) -> tuple[Total, ...]:
        """Return the totals by label in the order of their first mention, then by unit."""
        labels = list(dict.fromkeys(label for label, _, _ in self._sums))
        found = sorted(self._sums.items(), key=lambda each: (labels.index(each[0][0]), each[0][1]))
        return tuple(Total(label, value, unit, kind) for (label, unit, kind), value in found)


def columns(described: Iterable[str]) -> tuple[Column, ...]:
    """Read columns from short descriptions: `key`, `key:kind` or `key:kind:head`."""
    found = []
    for each in described:
        key, _, rest = each.partition(":")
        kind, _, head = rest.partition(":")
        found.append(Column(key, head or key.replace("_", " "), ColumnKind(kind or "text")))
    return tuple(found)
