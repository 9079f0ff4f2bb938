"""Drivers of drawers on their simulators: what the suite needs to know of each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from drivers.base import DeviceSpec, Drawers, DrawerState
from drivers.drawers import interpret
from drivers.facts import DrawerReported, Interpreter
from drivers.lockboard.driver import LockboardDriver
from simulators.base import FaultPlan
from simulators.lockboard import LockboardModel
from simulators.serve import serve_pty, serve_tcp
from simulators.wire import Wire
from tests.contract.transports import CLEAN, Inbox, Line

Value = str | int | float | bool
NO_OPTIONS: Mapping[str, Value] = {}
PATIENCE_S = 5.0


class Truth(Protocol):
    """What the suite knows of a cabinet apart from the wire."""

    @property
    def faults(self) -> FaultPlan: ...

    def set(self, name: str, value: str) -> None: ...

    def is_open(self, name: str) -> bool: ...

    def pulses(self, name: str) -> int: ...


@dataclass(slots=True)
class Bench:
    """A driver, the cabinet behind it, and four drawers `a` to `d` of it; `d` may be elsewhere."""

    drawers: Drawers
    truth: Truth
    wire: Wire
    inbox: Inbox
    names: tuple[str, str, str, str]
    interpret: Interpreter

    @property
    def a(self) -> str:
        return self.names[0]

    @property
    def b(self) -> str:
        return self.names[1]

    @property
    def d(self) -> str:
        """Another part of the cabinet than the first three."""
        return self.names[3]

    async def open(self, name: str, request_id: str, timeout_s: float = PATIENCE_S) -> DrawerState:
        return await self.drawers.open_drawer(name, request_id=request_id, timeout_s=timeout_s)

    async def state(self, name: str) -> DrawerState:
        return next(each for each in await self.drawers.drawers() if each.drawer == name)

    def facts(self) -> list[DrawerReported]:
        """What the stored messages mean, each message alone."""
        facts = [fact for each in self.inbox.messages for fact in self.interpret(each.raw)]
        assert len({each.key for each in self.inbox.messages}) == len(self.inbox.messages)
        return [fact for fact in facts if isinstance(fact, DrawerReported)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, but not for ever, until the other side has done something."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.002)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator["asyncio.Task[None]"]:
        """Watch in the background, as the supervisor does."""
        task = asyncio.create_task(self.drawers.watch())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


LOCKBOARD: dict[str, Value] = {
    "drawers": "0.1-3, 1.7",
    "gap_s": 0.002,
    "reply_timeout_s": 0.3,
    "poll_interval_s": 0.01,
    "drawer_rest_s": 0.001,
    "bus_rest_s": 0.001,
    "left_open_s": 60.0,
}
"""Times that fit SPEED: a hook lets go within some milliseconds."""
IMPATIENT: dict[str, Value] = {"reply_timeout_s": 0.03}
"""For lines on which much is not answered."""


@contextlib.asynccontextmanager
async def lockboard_bench(
    dialect: str = "kr-cu16",
    line: Line = CLEAN,
    *,
    pty: bool = False,
    options: Mapping[str, Value] = NO_OPTIONS,
) -> AsyncIterator[Bench]:
    """A driver that is not connected yet, in front of two lock boards."""
    model = LockboardModel(1, dialect=dialect)
    inbox = Inbox()
    serve = serve_pty if pty else serve_tcp
    async with serve(model, wire=line.wire(seed=3)) as served:
        given = {**LOCKBOARD, "dialect": dialect, **options}
        driver = LockboardDriver(DeviceSpec("drawers1", served.address, given), inbox.put)
        names = ("0.1", "0.2", "0.3", "1.7")
        try:
            yield Bench(driver, model, served.wire, inbox, names, interpret)
        finally:
            await driver.close()
            served.check()


@contextlib.asynccontextmanager
async def connected(
    kind: str = "kr-cu16",
    line: Line = CLEAN,
    *,
    pty: bool = False,
    options: Mapping[str, Value] = NO_OPTIONS,
) -> AsyncIterator[Bench]:
    """The same, connected while the line was still clean."""
    async with lockboard_bench(kind, pty=pty, options=options) as bench:
        await bench.drawers.connect()
        line.switch(bench.wire, on=True)
        yield bench
