"""Measures postings and dispenses per second on both databases; prints a line each.

PostgreSQL runs with fsync, as it would in a pharmacy.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from dispensed.clock import SystemClock
from dispensed.devices.fleet import Fleet
from dispensed.ledger import audit, post
from dispensed.ledger.engine import Store, upgrade
from dispensed.services import carrying, dispensing, releasing
from dispensed.services.changes import Changes
from dispensed.services.dispensing import Order
from dispensed.services.site import DispenseOptions, Site
from drivers.base import RawMessage
from tests.ledger.book import ITEM, SHELF, SHELF2, STAMP, TODAY, K, move, stocked
from tests.pg import running_server

OPENING_UNITS = 1_000_000
Work = Callable[[Site, str], Awaitable[None]]


async def one_posting(site: Site, name: str) -> None:
    """Move one unit to the other shelf."""
    wanted = move(K.TRANSFER, SHELF, SHELF2, 1, name)
    await site.store.write(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY))


async def one_dispense(site: Site, name: str) -> None:
    """Order, reserve, count by hand, verify and settle 30 tablets."""
    order = Order(name, ITEM, "30", "p-1", name, route="hand")
    row = await dispensing.request(site, order, "bench")
    await carrying.carry(site, row.id)
    await dispensing.count_by_hand(site, row.id, "30", "bench", "counted by hand")
    await dispensing.verify(site, row.id, "bench-pharmacist")
    await releasing.release(site, row.id, "bench")


MEASURED: tuple[tuple[str, Work, int], ...] = (
    ("postings, 1 caller", one_posting, 1),
    ("postings, 32 callers", one_posting, 32),
    ("dispenses by hand, 1 caller", one_dispense, 1),
    ("dispenses by hand, 32 callers", one_dispense, 32),
)


async def per_second(site: Site, work: Work, callers: int, seconds: float, label: str) -> float:
    """Return how often `work` was done in a second by so many callers at once."""
    done = 0
    end = time.monotonic() + seconds

    async def call(number: int) -> None:
        nonlocal done
        turn = 0
        while time.monotonic() < end:
            await work(site, f"{label}-{number}-{turn}")
            turn += 1
            done += 1

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(call(number))
    return done / (time.monotonic() - began)


@asynccontextmanager
async def open_site(url: str) -> AsyncIterator[Site]:
    """A pharmacy with stock on a shelf and no machines."""
    upgrade(url)
    with Store.open(url) as store:
        await store.write(lambda tx: stocked(tx, OPENING_UNITS))
        clock = SystemClock()
        fleet = Fleet({}, clock=clock, sink_for=lambda _name: _nowhere, on_link=lambda _link: None)
        yield Site(
            store=store,
            clock=clock,
            zone=ZoneInfo("UTC"),
            machines=fleet,
            changes=Changes(),
            options=DispenseOptions(weigh_check=False, label_required=False),
        )


async def _nowhere(message: RawMessage) -> None:
    del message


async def measure(url: str, seconds: float) -> None:
    """Measure everything on one database and verify it afterwards."""
    async with open_site(url) as site:
        for number, (name, work, callers) in enumerate(MEASURED):
            rate = await per_second(site, work, callers, seconds, f"m{number}")
            print(f"{site.store.dialect:10}  {name:30}  {rate:8.0f} /s", flush=True)
        began = time.monotonic()
        report = await site.store.read(audit.verify)
        took = time.monotonic() - began
        rate = report.movements / took
        words = "clean" if report.ok else f"NOT CLEAN: {report}"
        print(
            f"{site.store.dialect:10}  {'verify, ' + words:30}  {rate:8.0f} movements/s", flush=True
        )


def both(seconds: float) -> None:
    """Measure on SQLite, then on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(f"sqlite:///{Path(folder) / 'bench.db'}", seconds))
    with running_server(fsync=True) as server:
        asyncio.run(measure(server.create(), seconds))
