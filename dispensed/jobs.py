"""The scheduled jobs: one row each in `JOBS`, run once per slot of their cron expression.

A slot is the instant at which a run is due, named by its UTC time. Its row in the ledger is
inserted before the work begins, so a slot is worked on once however often the daemon asks. After a
stop the last slot that was missed runs once; a slot that the stop broke off runs once more.

Nothing that keeps a core busy runs in the daemon: the verification is a process of its own.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

from dispensed.errors import DispensedError, NotFound
from dispensed.ledger import jobs as job_rows
from dispensed.services import (
    count_planning,
    expiring,
    opening,
    recall_cases,
    recall_feed,
    reconciling,
    reordering,
)
from dispensed.services.site import Site

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

ACTOR = "jobs"
JOB_TIMEOUT_S = 3600.0
"""Longest time that one run may take."""
RESULT_MAX = 2000
"""Most characters of a result that are kept."""
SHIFT_MAX = timedelta(hours=3)
"""More than any zone's clock is ever set back or forward at a change."""
MANUAL = "manual:"
AGAIN = "again:"
BROKEN_OFF = "broken off: the daemon stopped"


class JobUnknown(NotFound):
    """There is no job of that name."""

    code = "job_unknown"


class JobFailed(DispensedError):
    """A job came to its end and found that something is wrong."""

    code = "job_failed"


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a job gets; `program` is the command line of dispensed with this configuration."""

    site: Site
    program: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobResult:
    """One finished run; `result` is a sentence for people, the reason when it failed."""

    job: str
    slot: str
    failed: bool
    result: str
    started_at: datetime
    finished_at: datetime


# ---------------------------------------------------------------- the jobs


async def _reorder(context: JobContext) -> str:
    rows = await reordering.propose(context.site)
    return f"{len(rows)} proposals open"


async def _expiry(context: JobContext) -> str:
    report = await expiring.expiry_scan(context.site)
    return (
        f"{len(report.flagged)} lots flagged, {len(report.expired)} expired lots in stock,"
        f" {len(report.tasks)} new pull tasks"
    )


async def _containers(context: JobContext) -> str:
    rows = await opening.scan(context.site)
    return f"{len(rows)} opened containers flagged, their date has passed"


async def _reconcile(context: JobContext) -> str:
    reports = await reconciling.reconcile(context.site, None)
    compared = sum(each.compared for each in reports)
    differing = sum(each.differing for each in reports)
    return f"{len(reports)} devices, {compared} lots compared, {differing} differ"


async def _cycle_count(context: JobContext) -> str:
    opened = await count_planning.open_due(context.site)
    return (
        f"{opened.cycle} counts opened by plan, {opened.discrepancy} for discrepancies,"
        f" {opened.late} where a record came late"
    )


async def _recalls(context: JobContext) -> str:
    """Take in what the feed has; ask the places that hold a recalled lot and were not asked."""
    asked = await recall_cases.ask_places(context.site, recall_feed.ACTOR)
    try:
        report = await recall_feed.poll(context.site)
    except recall_feed.FeedProblem as error:
        raise JobFailed(str(error)) from error
    return (
        f"{report.stored} new notices, {len(report.opened)} cases hold lots,"
        f" {report.parts} parts wait for a person, {asked} places were still to answer"
    )


async def _verify(context: JobContext) -> str:
    """Recompute chain and balances in a process of its own; raises JobFailed with its report."""
    process = await asyncio.create_subprocess_exec(
        *context.program,
        "verify",
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    text = (out or err).decode("utf-8", "replace").strip()
    if process.returncode != 0:
        raise JobFailed(text or f"verify ended with status {process.returncode}")
    return json.dumps(json.loads(text), sort_keys=True)


Job = Callable[[JobContext], Awaitable[str]]

JOBS: dict[str, Job] = {
    "reorder": _reorder,
    "expiry": _expiry,
    "containers": _containers,
    "reconcile": _reconcile,
    "cycle-count": _cycle_count,
    "recalls": _recalls,
    "verify": _verify,
}
"""Every job by name; `dispensed.settings.DEFAULT_CRONS` says when each runs."""


# ---------------------------------------------------------------- slots


def next_slot(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first slot after an instant, in UTC; None when there is none within 50 years.

    A fixed time of day that the clocks skip or repeat has exactly one slot on that day: the first
    instant after the gap, or the first of the two.
    """
    begin = (after - SHIFT_MAX).astimezone(zone)
    ways = (_real_slots(cron, begin), _wall_slots(cron, zone, begin))
    found = [next((slot for slot in way if slot > after), None) for way in ways]
    return min((slot for slot in found if slot is not None), default=None)


def last_slot(cron: str, zone: ZoneInfo, until: datetime) -> datetime | None:
    """Return the last slot at or before an instant, in UTC; None when there is none in 50 years."""
    begin = (until + SHIFT_MAX).astimezone(zone)
    ways = (
        _real_slots(cron, begin, reverse=True),
        _wall_slots(cron, zone, begin, reverse=True),
    )
    found = [next((slot for slot in way if slot <= until), None) for way in ways]
    return max((slot for slot in found if slot is not None), default=None)


def _real_slots(cron: str, begin: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """Yield the slots that cronsim finds, which knows of skipped and repeated hours."""
    for local in CronSim(cron, begin, reverse=reverse):
        yield local.astimezone(UTC)


def _wall_slots(
    cron: str, zone: ZoneInfo, begin: datetime, *, reverse: bool = False
) -> Iterator[datetime]:
    """Yield the slots as a clock on the wall shows them, the first of two, none that is skipped.

    After a shift by less than an hour (Lord Howe: 30 minutes) cronsim 2.8 walks on in whole hours
    from a half one and misses `0 6 * * *` of an expression such as `0 */6 * * *`.
    """
    for wall in CronSim(cron, begin.replace(tzinfo=None), reverse=reverse):
        slot = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if slot.astimezone(zone).replace(tzinfo=None) == wall:
            yield slot


def slot_name(slot: datetime) -> str:
    """Return the name of a slot, such as `2026-03-08T07:00:00Z`."""
    return slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class SlotTrigger(BaseTrigger):  # type: ignore[misc] # apscheduler has no types
    """Lets the scheduler fire at the slots of a cron expression in a zone."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the next slot after now; slots that were missed are not made up for here."""
        del previous_fire_time
        return next_slot(self._cron, self._zone, now)


# ---------------------------------------------------------------- running


class JobRunner:
    """Runs the jobs when they are due, or now. Runs of one job never overlap."""

    def __init__(self, site: Site, crons: Mapping[str, str], *, program: tuple[str, ...]) -> None:
        self._site = site
        self._crons = {name: crons.get(name, "") for name in JOBS}
        self._context = JobContext(site, program)
        self._due = {name: asyncio.Event() for name in JOBS}
        self._locks = {name: asyncio.Lock() for name in JOBS}
        self._failing: dict[str, str] = {}

    @property
    def failing(self) -> Mapping[str, str]:
        """The jobs whose last run failed, each with the reason."""
        return dict(self._failing)

    def next_due(self, name: str) -> datetime | None:
        """Return when a job is due next; None when it is switched off. Raises JobUnknown."""
        if name not in JOBS:
            raise _unknown(name)
        cron = self._crons[name]
        return next_slot(cron, self._site.zone, self._site.now()) if cron else None

    async def run_now(self, name: str) -> JobResult:
        """Run a job at once, after a run that is under way; raises JobUnknown."""
        if name not in JOBS:
            raise _unknown(name)
        result = None
        while result is None:
            result = await self._once(name, f"{MANUAL}{uuid4()}")
        return result

    async def run(self) -> None:
        """Run every job at its slots until cancelled."""
        scheduler = AsyncIOScheduler(timezone=UTC)
        for name, cron in self._crons.items():
            if cron:
                scheduler.add_job(
                    self._set_due,
                    SlotTrigger(cron, self._site.zone),
                    args=[name],
                    id=name,
                    coalesce=True,
                    misfire_grace_time=None,
                )
        broken_off = await self._broken_off()
        scheduler.start()
        try:
            async with asyncio.TaskGroup() as group:
                for name, cron in self._crons.items():
                    group.create_task(
                        self._keep(name, cron, broken_off.get(name)), name=f"job {name}"
                    )
        finally:
            scheduler.shutdown(wait=False)
            await asyncio.sleep(0)  # the scheduler stops its timer in the next turn of the loop

    async def _broken_off(self) -> dict[str, str]:
        """Take note of how each job went last; return the slots that a stop broke off, by job."""
        broken_off = {}
        for row in await self._site.store.read(job_rows.last_runs):
            if row.state == "failed":
                self._failing[row.job] = row.result
            elif row.state == "running":
                await self._finish(row.job, row.slot, failed=True, text=BROKEN_OFF)
                self._failing[row.job] = BROKEN_OFF
                broken_off[row.job] = row.slot
        self._site.changes.notify("jobs")
        return broken_off

    async def _finish(self, name: str, slot: str, *, failed: bool, text: str) -> datetime:
        at = self._site.now()
        await self._site.store.write(
            lambda tx: job_rows.finish(tx, name, slot, ok=not failed, result=text, at=at)
        )
        return at

    async def _set_due(self, name: str) -> None:
        self._due[name].set()

    async def _keep(self, name: str, cron: str, broken_off: str | None) -> None:
        """Run one job: the slot that a stop broke off, the last missed, then each as it comes."""
        if broken_off is not None and not broken_off.startswith((MANUAL, AGAIN)):
            await self._try(name, f"{AGAIN}{broken_off}")
        self._due[name].set()
        while cron:
            await self._due[name].wait()
            self._due[name].clear()
            slot_at = last_slot(cron, self._site.zone, self._site.now())
            if slot_at is not None:
                await self._try(name, slot_name(slot_at))

    async def _try(self, name: str, slot: str) -> None:
        """Run a slot; a ledger that takes no writes is told and does not end the daemon."""
        try:
            await self._once(name, slot)
        except DispensedError as error:
            self._failing[name] = str(error)
            log.exception("job.not_recorded", job=name, slot=slot, reason=str(error))
            self._site.changes.notify("jobs")

    async def _once(self, name: str, slot: str) -> JobResult | None:
        """Run a slot and record it; None when the slot was taken before."""
        async with self._locks[name]:
            started_at = self._site.now()
            taken = await self._site.store.write(
                lambda tx: job_rows.begin(tx, name, slot, started_at)
            )
            if not taken:
                return None
            failed, text = await self._work(name)
            finished_at = await self._finish(name, slot, failed=failed, text=text)
        result = JobResult(name, slot, failed, text, started_at, finished_at)
        elapsed_ms = (finished_at - started_at) // timedelta(milliseconds=1)
        if failed:
            self._failing[name] = text
            log.error("job.failed", job=name, slot=slot, reason=text, elapsed_ms=elapsed_ms)
        else:
            self._failing.pop(name, None)
            log.info("job.finished", job=name, slot=slot, result=text, elapsed_ms=elapsed_ms)
        self._site.changes.notify("jobs")
        return result

    async def _work(self, name: str) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(JOB_TIMEOUT_S):
                text = await JOBS[name](self._context)
        except JobFailed as error:
            return True, str(error)[:RESULT_MAX]
        except TimeoutError:
            return True, f"not finished within {JOB_TIMEOUT_S:g} s"
        except Exception as error:
            log.exception("job.raised", job=name)
            return True, f"{type(error).__name__}: {error}"[:RESULT_MAX]
        return False, text[:RESULT_MAX]


def _unknown(name: str) -> JobUnknown:
    return JobUnknown(f"no job {name!r}; there are {', '.join(JOBS)}")
