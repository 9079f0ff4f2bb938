"""Reports by name: what each is asked for, and how it is made and written.

A report is read in one consistent snapshot in a reader thread. PDF pages are drawn by a program of
their own, because drawing keeps a core busy.
"""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import ClassVar

from dispensed.errors import DispensedError, Invalid, InvariantBroken, NotFound
from dispensed.exchange import report_csv, report_json
from dispensed.ledger import report_records, report_service, report_stock
from dispensed.ledger.engine import Tx
from dispensed.model.report import (
    ROWS_MAX,
    ROWS_USUAL,
    Asked,
    Column,
    Gathering,
    Period,
    Report,
    columns,
)
from dispensed.services.site import Site

AT_ONCE_MAX = 2
"""Reports that are made at the same time; one more is refused, not queued."""
DAYS_USUAL = 30
"""The period that is looked at when none is given."""
DAYS_MAX = 36_500
PDF_TIMEOUT_S = 300.0
PDF_ROWS_MAX = 20_000
"""Most rows that are drawn as pages: some 500 of them."""
_PLACES = threading.BoundedSemaphore(AT_ONCE_MAX)


class UnknownReport(NotFound):
    """There is no report of that name."""

    code: ClassVar[str] = "report_not_found"


class ReportsBusy(DispensedError):
    """As many reports are being made as are allowed to at once."""

    code: ClassVar[str] = "reports_busy"


class Format(StrEnum):
    """How a report is written."""

    CSV = "csv"
    JSON = "json"
    PDF = "pdf"


MEDIA_TYPES: Mapping[Format, str] = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.JSON: "application/json",
    Format.PDF: "application/pdf",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks of a report; None is what was not said.

    `since` and `until` are days of the site, both inside the period. `number` names a case.
    """

    item: str | None = None
    lot: str | None = None
    location: str | None = None
    since: date | None = None
    until: date | None = None
    period: Period | None = None
    days: int | None = None
    number: int | None = None
    limit: int | None = None


Fill = Callable[[Tx, Asked, Gathering], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One report of the table: what it is called, what it takes and must have, how it is filled."""

    title: str
    help: str
    columns: tuple[Column, ...]
    fill: Fill
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Everything it takes, what it must have first."""
        return (*self.needs, *self.takes, "limit")


_PERIOD = ("since", "until")

REPORTS: Mapping[str, Kind] = {
    "stock-card": Kind(
        "Stock card",
        "Movements of an item with the running balance, of the site or of one place.",
        columns(report_stock.CARD),
        report_stock.stock_card,
        takes=("lot", "location", *_PERIOD),
        needs=("item",),
    ),
    "usage": Kind(
        "Usage",
        "What was handed out, by item and by day, month or year.",
        columns(report_stock.USAGE),
        report_stock.usage,
        takes=("item", "period", *_PERIOD),
    ),
    "expiry": Kind(
        "Expiry",
        "Stock that is expired or will be within so many days.",
        columns(report_stock.EXPIRY),
        report_stock.expiry,
        takes=("item", "location", "days"),
    ),
    "stock-out": Kind(
        "Stock-outs",
        "When a place held nothing of an item that was ordered meanwhile.",
        columns(report_service.STOCK_OUT),
        report_service.stock_out,
        takes=("item", "location", *_PERIOD),
    ),
    "cabinets": Kind(
        "Cabinet indicators",
        "Vends, fills, stock-outs and items not vended within so many days, by cabinet.",
        columns(report_service.CABINETS),
        report_service.cabinets,
        takes=("location", "days", *_PERIOD),
    ),
    "dispensing-log": Kind(
        "Dispensing log",
        "Everything that was handed out, line by line.",
        columns(report_stock.LOG),
        report_stock.dispensing_log,
        takes=("item", *_PERIOD),
    ),
    "controlled-record": Kind(
        "Perpetual record",
        "Every movement of a controlled item with the running balance and its documents.",
        columns(report_records.RECORD),
        report_records.controlled,
        takes=_PERIOD,
        needs=("item",),
    ),
    "inventory": Kind(
        "Inventory of controlled substances",
        "An initial or biennial inventory as it was counted and signed.",
        columns(report_records.INVENTORY),
        report_records.inventory,
        needs=("number",),
    ),
    "open-removals": Kind(
        "Open removals",
        "Removals of which something is not given, returned or wasted yet.",
        columns(report_records.REMOVALS),
        report_records.open_removals,
        takes=("item",),
    ),
    "discrepancy-ageing": Kind(
        "Open discrepancies by age",
        "Differences between book and stock that are not resolved, the oldest first.",
        columns(report_records.DISCREPANCIES),
        report_records.discrepancy_ageing,
        takes=("item", "location"),
    ),
    "recall-case": Kind(
        "Recall case",
        "What each place answered, and where everything of the recalled lots is.",
        columns(report_records.RECALL),
        report_records.recall_case,
        needs=("number",),
    ),
}
"""Every report by name."""


async def make(site: Site, name: str, wanted: Wanted) -> Report:
    """Make a report; raises UnknownReport, Invalid for a parameter, ReportsBusy, or NotFound."""
    kind = REPORTS.get(name)
    if kind is None:
        raise UnknownReport(f"there is no report {name!r}; there are {', '.join(REPORTS)}")
    given = _given(name, kind, wanted)
    asked, limit = _asked(site, wanted), wanted.limit or ROWS_USUAL

    def read(tx: Tx) -> Gathering:
        gathered = Gathering(limit)
        kind.fill(tx, asked, gathered)
        return gathered

    with _place():
        found = await site.store.read(read)
    return Report(
        name=name,
        title=kind.title,
        made_at=asked.now,
        zone=site.zone.key,
        parameters=tuple(_shown(kind, asked, given)),
        columns=kind.columns,
        rows=tuple(found.rows),
        rows_total=found.rows_total,
        totals=found.totals(),
        notes=found.notes,
    )


async def write(report: Report, form: Format) -> bytes:
    """Write a report; raises Invalid when it has too many rows to be drawn as pages."""
    match form:
        case Format.CSV:
            return await asyncio.to_thread(report_csv.write, report)
        case Format.JSON:
            return await asyncio.to_thread(report_json.write, report)
        case Format.PDF:
            return await _draw(report)


@contextmanager
def _place() -> Iterator[None]:
    if not _PLACES.acquire(blocking=False):
        raise ReportsBusy(f"{AT_ONCE_MAX} reports are being made at this moment")
    try:
        yield
    finally:
        _PLACES.release()


async def _draw(report: Report) -> bytes:
    """Let a program of its own draw the pages."""
    if len(report.rows) > PDF_ROWS_MAX:
        raise Invalid(f"{len(report.rows)} rows are too many for pages; at most {PDF_ROWS_MAX}")
    document = await asyncio.to_thread(report_json.write, report)
    with _place():
        program = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dispensed.exchange.report_pdf",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PDF_TIMEOUT_S):
                pages, said = await program.communicate(document)
        except TimeoutError as error:
            raise ReportsBusy(f"the pages were not drawn within {PDF_TIMEOUT_S:.0f} s") from error
        finally:
            if program.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    program.kill()
                await program.wait()
    if program.returncode != 0:
        raise InvariantBroken(f"the pages were not drawn: {said.decode('utf-8', 'replace')[-500:]}")
    return pages


def _given(name: str, kind: Kind, wanted: Wanted) -> dict[str, str]:
    """Return what was said; raises Invalid for what the report does not take, lacks or refuses."""
    given = {key: str(value) for key, value in asdict(wanted).items() if value is not None}
    unknown = sorted(given.keys() - set(kind.parameters))
    if unknown:
        taken = ", ".join(kind.parameters)
        raise Invalid(f"report {name} does not take {', '.join(unknown)}; it takes {taken}")
    missing = [each for each in kind.needs if each not in given]
    if missing:
        raise Invalid(f"report {name} needs {', '.join(missing)}")
    if wanted.limit is not None and not 1 <= wanted.limit <= ROWS_MAX:
        raise Invalid(f"a limit is 1 to {ROWS_MAX} rows, not {wanted.limit}")
    if wanted.days is not None and not 0 <= wanted.days <= DAYS_MAX:
        raise Invalid(f"days are 0 to {DAYS_MAX}, not {wanted.days}")
    return given


def _asked(site: Site, wanted: Wanted) -> Asked:
    """Complete what was said; a period is whole days of the site, the last 30 unless told."""
    today = site.today()
    until = wanted.until or today
    since = wanted.since or until - timedelta(days=DAYS_USUAL - 1)
    if since > until:
        raise Invalid(f"the period ends on {until}, before it begins on {since}")
    if until == date.max:
        raise Invalid(f"the period ends on {until}, the last day of the calendar")
    asked = Asked(
        now=site.now(),
        today=today,
        zone=site.zone,
        begin=datetime.combine(since, time(), site.zone).astimezone(UTC),
        end=datetime.combine(until + timedelta(days=1), time(), site.zone).astimezone(UTC),
        item=wanted.item,
        lot=wanted.lot,
        location=wanted.location,
        number=wanted.number,
    )
    asked = asked if wanted.period is None else replace(asked, period=wanted.period)
    return asked if wanted.days is None else replace(asked, days=wanted.days)


def _shown(kind: Kind, asked: Asked, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Tell every parameter that had an effect, said or not."""
    usual = {
        "since": asked.begin.astimezone(asked.zone).date().isoformat(),
        "until": (asked.end.astimezone(asked.zone).date() - timedelta(days=1)).isoformat(),
        "period": asked.period.value,
        "days": str(asked.days),
        "limit": str(ROWS_USUAL),
    }
    for name in kind.parameters:
        value = given.get(name) or usual.get(name)
        if value is not None:
            yield name, value
