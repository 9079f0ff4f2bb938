"""Carries requested dispenses through the machines and asks about those in doubt.

With few workers.
"""

import asyncio

import structlog

from dispensed.errors import DispensedError
from dispensed.ledger import dispenses
from dispensed.model.dispensing import DispenseState
from dispensed.services import carrying
from dispensed.services.changes import Topic
from dispensed.services.site import Site
from drivers.errors import DriverError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

BATCH = 64
RETRY_S = 5.0
_WAKING: frozenset[Topic] = frozenset({"dispenses", "stock", "devices"})


class DispenseRunner:
    """Works on requested and doubtful dispenses, highest priority first, `workers` at a time.

    It wakes on changes and at least every `retry_s` seconds. A dispense is never worked on twice at
    once.
    """

    def __init__(self, site: Site, *, workers: int, retry_s: float = RETRY_S) -> None:
        self._site = site
        self._workers = workers
        self._retry_s = retry_s
        self._busy: set[int] = set()
        self._tried: dict[int, float] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        queue: asyncio.Queue[tuple[int, DispenseState]] = asyncio.Queue(maxsize=BATCH)
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(queue), name=f"dispense worker {number}")
            with self._site.changes.subscribe() as listener:
                while True:
                    listener.forget()
                    await self._fill(queue)
                    try:
                        async with asyncio.timeout(self._retry_s):
                            while await listener.next() not in _WAKING:
                                pass
                    except TimeoutError:
                        continue

    async def _fill(self, queue: asyncio.Queue[tuple[int, DispenseState]]) -> None:
        """Queue what can be worked on; an unsuccessful one rests until the next retry time."""
        now = asyncio.get_running_loop().time()
        self._tried = {
            each: since for each, since in self._tried.items() if since + self._retry_s > now
        }
        skip = self._busy | set(self._tried)
        rows = await self._site.store.read(lambda tx: dispenses.waiting(tx, BATCH, skip))
        for row in rows:
            if queue.full():
                return
            self._busy.add(row.id)
            queue.put_nowait((row.id, row.state))

    async def _work(self, queue: asyncio.Queue[tuple[int, DispenseState]]) -> None:
        while True:
            dispense_id, state = await queue.get()
            try:
                await self._one(dispense_id, state)
            finally:
                self._busy.discard(dispense_id)
                self._tried[dispense_id] = asyncio.get_running_loop().time()
                self._site.changes.notify("dispenses")

    async def _one(self, dispense_id: int, state: DispenseState) -> None:
        try:
            if state is DispenseState.IN_DOUBT:
                await carrying.ask_again(self._site, dispense_id)
            else:
                await carrying.carry(self._site, dispense_id)
        except (DriverError, DispensedError) as error:
            log.warning("dispense.waited", dispense_id=dispense_id, reason=str(error))
