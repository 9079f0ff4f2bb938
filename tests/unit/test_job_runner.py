"""Running the jobs: once per slot, after a stop, on demand, and when they fail."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dispensed import jobs
from dispensed.clock import Clock, SystemClock
from dispensed.devices.fleet import Fleet
from dispensed.jobs import JobContext, JobFailed, JobRunner, JobUnknown
from dispensed.ledger import jobs as job_rows
from dispensed.ledger.engine import Store, StoreReadOnly, upgrade
from dispensed.services.changes import Changes
from dispensed.services.places import ensure_places
from dispensed.services.site import Site
from drivers.base import RawMessage

LIMIT_S = 10.0
NEW_YORK = ZoneInfo("America/New_York")
MORNING = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)  # 08:00 in New York, on the day of the change
SILENT = (sys.executable, "-c", "print('{}')")


class SetClock:
    """Stands still until it is set."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


async def nowhere(message: RawMessage) -> None:
    del message


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    upgrade(url)
    with Store.open(url, readers=2) as opened:
        yield opened


def site_of(store: Store, clock: Clock) -> Site:
    fleet = Fleet({}, clock=clock, sink_for=lambda _name: nowhere, on_link=lambda _link: None)
    return Site(store=store, clock=clock, zone=NEW_YORK, machines=fleet, changes=Changes())


class Counted:
    """A job that counts its runs and fails when told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.started = asyncio.Event()

    async def __call__(self, context: JobContext) -> str:
        del context
        self.runs += 1
        self.started.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return f"run {self.runs}"


@pytest.fixture
def reorder(monkeypatch: pytest.MonkeyPatch) -> Counted:
    job = Counted()
    monkeypatch.setitem(jobs.JOBS, "reorder", job)
    return job


def runs_of(store: Store) -> list[tuple[str, str, str, str]]:
    rows = store.read_sync(job_rows.last_runs)
    return [(row.job, row.slot, row.state, row.result) for row in rows]


@asynccontextmanager
async def running(runner: JobRunner) -> AsyncIterator[None]:
    async def go() -> None:
        await runner.run()

    task = asyncio.create_task(go())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(site: Site, wanted: Callable[[], bool]) -> None:
    with site.changes.subscribe() as listener:
        async with asyncio.timeout(LIMIT_S):
            while not wanted():
                await listener.next()


async def test_the_slot_missed_last_runs_once_and_never_again(
    store: Store, reorder: Counted
) -> None:
    site = site_of(store, SetClock(MORNING))
    for _ in range(3):
        runner = JobRunner(site, {"reorder": "30 2 * * *"}, program=SILENT)
        async with running(runner):
            await until(site, lambda: len(runs_of(store)) == 1)
            await runner._set_due("reorder")
            await asyncio.sleep(0)
    assert reorder.runs == 1
    assert runs_of(store) == [("reorder", "2026-03-08T07:00:00Z", "done", "run 1")]


async def test_each_slot_runs_when_it_comes(store: Store, reorder: Counted) -> None:
    clock = SetClock(MORNING)
    site = site_of(store, clock)
    runner = JobRunner(site, {"reorder": "30 2 * * *"}, program=SILENT)
    async with running(runner):
        await until(site, lambda: reorder.runs == 1)
        clock.at = MORNING + timedelta(days=3)  # two slots were slept through: only the last is due
        await runner._set_due("reorder")
        await until(site, lambda: runs_of(store)[0][1:3] == ("2026-03-11T06:30:00Z", "done"))
    assert reorder.runs == 2


async def test_the_scheduler_wakes_the_runner_by_itself(store: Store, reorder: Counted) -> None:
    site = site_of(store, SystemClock())
    runner = JobRunner(site, {"reorder": "* * * * * *"}, program=SILENT)
    async with running(runner):
        await until(site, lambda: reorder.runs >= 2)


async def test_a_slot_that_a_stop_broke_off_runs_once_more(store: Store, reorder: Counted) -> None:
    reorder.gate = asyncio.Event()
    site = site_of(store, SetClock(MORNING))
    for _ in range(2):
        reorder.started.clear()
        async with running(JobRunner(site, {"reorder": "30 2 * * *"}, program=SILENT)):
            async with asyncio.timeout(LIMIT_S):
                await reorder.started.wait()
    assert reorder.runs == 2
    last = JobRunner(site, {"reorder": "30 2 * * *"}, program=SILENT)
    async with running(last):
        await until(site, lambda: bool(last.failing))
    assert reorder.runs == 2
    assert last.failing == {"reorder": "broken off: the daemon stopped"}


async def test_a_job_that_fails_is_recorded_and_told_until_it_works_again(
    store: Store, reorder: Counted
) -> None:
    site = site_of(store, SetClock(MORNING))
    runner = JobRunner(site, {}, program=SILENT)
    reorder.error = KeyError("lot")
    result = await runner.run_now("reorder")
    assert (result.failed, result.result) == (True, "KeyError: 'lot'")
    assert runner.failing == {"reorder": "KeyError: 'lot'"}
    assert runs_of(store)[0][2:] == ("failed", "KeyError: 'lot'")
    reorder.error = JobFailed("movement 7 was altered")
    assert (await runner.run_now("reorder")).result == "movement 7 was altered"
    reorder.error = None
    assert not (await runner.run_now("reorder")).failed
    assert runner.failing == {}


async def test_a_failure_is_remembered_over_a_restart(store: Store, reorder: Counted) -> None:
    reorder.error = JobFailed("movement 7 was altered")
    site = site_of(store, SetClock(MORNING))
    await JobRunner(site, {}, program=SILENT).run_now("reorder")
    after = JobRunner(site, {}, program=SILENT)
    async with running(after):
        await until(site, lambda: bool(after.failing))
    assert after.failing == {"reorder": "movement 7 was altered"}


async def test_a_job_that_hangs_is_cut_off(
    store: Store, reorder: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "JOB_TIMEOUT_S", 0.01)
    reorder.gate = asyncio.Event()
    result = await JobRunner(site_of(store, SetClock(MORNING)), {}, program=SILENT).run_now(
        "reorder"
    )
    assert (result.failed, result.result) == (True, "not finished within 0.01 s")


async def test_two_runs_of_one_job_never_overlap(store: Store, reorder: Counted) -> None:
    reorder.gate = asyncio.Event()
    runner = JobRunner(site_of(store, SetClock(MORNING)), {}, program=SILENT)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(runner.run_now("reorder"))
        second = group.create_task(runner.run_now("reorder"))
        await reorder.started.wait()
        await asyncio.sleep(0)
        assert reorder.runs == 1
        reorder.gate.set()
    assert {first.result().result, second.result().result} == {"run 1", "run 2"}
    assert first.result().slot != second.result().slot


async def test_a_ledger_that_takes_no_writes_is_told_and_ends_nothing(
    store: Store, reorder: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(fn: object) -> Awaitable[object]:
        del fn
        raise StoreReadOnly("the storage failed: disk full")

    site = site_of(store, SetClock(MORNING))
    runner = JobRunner(site, {"reorder": "30 2 * * *"}, program=SILENT)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", refuse)
        async with running(runner):
            await until(site, lambda: bool(runner.failing))
        with pytest.raises(StoreReadOnly):
            await runner.run_now("reorder")
    assert runner.failing == {"reorder": "the storage failed: disk full"}
    assert reorder.runs == 0


async def test_an_unknown_job_is_refused_with_those_that_exist(store: Store) -> None:
    runner = JobRunner(site_of(store, SetClock(MORNING)), {}, program=SILENT)
    with pytest.raises(JobUnknown, match="no job 'tidy'; there are reorder, expiry, "):
        await runner.run_now("tidy")
    with pytest.raises(JobUnknown):
        runner.next_due("tidy")


async def test_a_job_is_due_at_its_next_slot_and_never_when_it_is_switched_off(
    store: Store,
) -> None:
    runner = JobRunner(
        site_of(store, SetClock(MORNING)), {"reorder": "30 2 * * *", "expiry": ""}, program=SILENT
    )
    assert runner.next_due("reorder") == datetime(2026, 3, 9, 6, 30, tzinfo=UTC)
    assert runner.next_due("expiry") is None
    assert runner.next_due("verify") is None


async def test_the_jobs_of_an_empty_pharmacy_find_nothing_to_do(store: Store) -> None:
    site = site_of(store, SetClock(MORNING))
    await ensure_places(site)
    runner = JobRunner(site, {}, program=SILENT)
    assert {name: (await runner.run_now(name)).result for name in jobs.JOBS} == {
        "reorder": "0 proposals open",
        "expiry": "0 lots flagged, 0 expired lots in stock, 0 new pull tasks",
        "containers": "0 opened containers flagged, their date has passed",
        "reconcile": "0 devices, 0 lots compared, 0 differ",
        "cycle-count": "0 counts opened by plan, 0 for discrepancies, 0 where a record came late",
        "recalls": "0 new notices, 0 cases hold lots, 0 parts wait for a person,"
        " 0 places were still to answer",
        "verify": "{}",
    }


# ---------------------------------------------------------------- verification


def program(source: str) -> tuple[str, ...]:
    return (sys.executable, "-c", source)


async def verified(store: Store, source: str) -> jobs.JobResult:
    runner = JobRunner(site_of(store, SetClock(MORNING)), {}, program=program(source))
    return await runner.run_now("verify")


async def test_verification_runs_as_a_process_of_its_own(store: Store) -> None:
    result = await verified(store, "import sys, json; print(json.dumps({'args': sys.argv[1:]}))")
    assert json.loads(result.result) == {"args": ["verify", "--json"]}
    assert not result.failed


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("import sys; print('movement 7 was altered'); sys.exit(1)", "movement 7 was altered"),
        ("import sys; print('no such file', file=sys.stderr); sys.exit(2)", "no such file"),
        ("import sys; sys.exit(3)", "verify ended with status 3"),
        ("print('all is well')", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
    ],
)
async def test_a_verification_that_finds_something_fails_the_job_with_its_words(
    store: Store, source: str, text: str
) -> None:
    result = await verified(store, source)
    assert (result.failed, result.result) == (True, text)


async def test_a_verification_that_is_cut_off_leaves_no_process_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jobs, "JOB_TIMEOUT_S", 0.3)
    note = tmp_path / "pid"
    source = (
        f"import os, select; open({str(note)!r}, 'w').write(str(os.getpid()));"
        " select.select([], [], [])"
    )
    result = await verified(store, source)
    assert result.result == "not finished within 0.3 s"
    left = await asyncio.to_thread(processes_with, str(note))
    assert left == []


def processes_with(text: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().decode("utf-8", "replace")
        except OSError:  # it ended meanwhile
            continue
        if text in line:
            found.append(line)
    return found
