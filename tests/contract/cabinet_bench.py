"""A cabinet driver against its simulator: a small supervisor, an inbox and the truth."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from drivers.base import (
    DeviceSpec,
    PickLine,
    PickOrder,
    RawMessage,
    TaskReport,
    TaskState,
)
from drivers.errors import DriverError, ProtocolError
from drivers.facts import (
    Fact,
    InputReported,
    OutputReported,
    Pack,
)
from drivers.transport import Transport
from drivers.wwks2.codec import interpret
from drivers.wwks2.driver import Wwks2Driver
from simulators.serve import Served, serve_tcp
from simulators.wire import Wire
from simulators.wwks2 import RobotModel

PATIENCE_S = 10.0
OPTIONS: dict[str, str | int | float | bool] = {
    "request_timeout_s": 2.0,
    "keepalive_interval_s": 0.5,
    "input_timeout_s": 0.5,
}
ALL_PACKS = 34
"""How many packs STOCK puts in."""
STOCK = [
    {"article": "00071015523", "batch": "EARLY", "expiry": "2027-01-31", "packs": 4},
    {"article": "00071015523", "batch": "LATE", "expiry": "2028-06-30", "packs": 20},
    {"article": "00093505698", "batch": "B7", "expiry": "2027-09-30", "packs": 10, "units": 12},
]


class Chunked:
    """A transport whose reads return at most `size` bytes."""

    parity = False

    def __init__(self, inner: Transport, size: int) -> None:
        self._inner = inner
        self._size = size
        self._rest = b""

    async def open(self) -> None:
        self._rest = b""
        await self._inner.open()

    async def read(self) -> bytes:
        data = self._rest or await self._inner.read()
        self._rest = data[self._size :]
        return data[: self._size]

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), self._size * 8):
            await self._inner.write(data[at : at + self._size * 8])

    def discard(self) -> bytes:
        return self._inner.discard()

    async def close(self) -> None:
        await self._inner.close()


class Joined(Chunked):
    """A transport whose reads wait a little, so that several messages arrive at once."""

    async def read(self) -> bytes:
        data = await self._inner.read()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                while True:
                    data += await self._inner.read()
        return data


class Inbox:
    """Stores a message once, whatever happens to the driver."""

    def __init__(self) -> None:
        self.messages: dict[str, RawMessage] = {}
        self.deliveries = 0

    async def store(self, message: RawMessage) -> None:
        self.deliveries += 1
        self.messages.setdefault(message.key, message)


@dataclass
class Bench:
    """The robot, the driver that a supervisor keeps running, and what was reported."""

    model: RobotModel
    wire: Wire
    served: Served
    driver: Wwks2Driver
    inbox: Inbox
    lost: list[DriverError] = field(default_factory=list)
    connections: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def supervise(self) -> None:
        while True:
            try:
                await self.driver.connect()
                self.connections += 1
                self.up.set()
                await self.driver.watch()
            except DriverError as error:
                self.lost.append(error)
            self.up.clear()
            await asyncio.sleep(0.01)

    # what the robot says

    def facts(self) -> list[Fact]:
        """Interpret the inbox; unreadable messages are left out."""
        facts: list[Fact] = []
        for message in self.inbox.messages.values():
            with contextlib.suppress(ProtocolError):
                facts += interpret(message.raw)
        return facts

    def reported(self) -> dict[str, tuple[str, Pack]]:
        """Pack id -> (order, pack) of everything reported as output, each pack once."""
        return {
            pack.pack_id: (fact.order_id, pack)
            for fact in self.facts()
            if isinstance(fact, OutputReported)
            for pack in fact.packs
        }

    def inputs(self) -> list[Pack]:
        return [fact.pack for fact in self.facts() if isinstance(fact, InputReported)]

    def kinds(self) -> list[str]:
        return [message.kind for message in self.inbox.messages.values()]

    # the truth

    def left(self) -> dict[str, str]:
        """Pack id -> wire id of its order, of every pack that physically left."""
        return {str(pack.id): order for order, pack in self.model.left}

    def packs_of(self, order_id: str) -> set[str]:
        wire_id = {"1": "0001", "manual": "1"}.get(order_id, order_id)
        return {pack for pack, order in self.left().items() if order == wire_id}

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that nobody announces."""
        async with asyncio.timeout(PATIENCE_S):
            while not happened():
                self.served.check()
                await asyncio.sleep(0.002)

    async def deliver(self, order: PickOrder, *, timeout_s: float = 5.0) -> TaskReport:
        async with asyncio.timeout(PATIENCE_S):
            await self.up.wait()
            return await self.driver.deliver(order, timeout_s=timeout_s)

    async def settle(self, order_id: str) -> TaskReport:
        """Ask until the machine says how an order ended, as the service does."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.up.wait()
                with contextlib.suppress(DriverError):
                    report = await self.driver.reconcile(order_id)
                    if report.state not in {TaskState.QUEUED, TaskState.RUNNING}:
                        return report
                await asyncio.sleep(0.005)


def order(order_id: str, packs: int = 1, lot: str = "LATE") -> PickOrder:
    return PickOrder(order_id, (PickLine("00071015523", lot, packs),))


@contextlib.asynccontextmanager
async def bench(
    line: str = "clean",
    *,
    options: dict[str, str | int | float | bool] | None = None,
    output_s: float = 0.0,
    seed: int = 0,
) -> AsyncIterator[Bench]:
    """Run a robot with STOCK and a supervised driver over a line of the given kind."""
    model, wire = RobotModel(seed), Wire(seed=seed)
    model.set("output_s", str(output_s))
    model.set("stock", json.dumps(STOCK))
    if line == "delayed":
        wire.set("slow_s", "0.003")
        wire.faults.switch("slow", on=True)
    async with serve_tcp(model, wire=wire) as served:
        inbox = Inbox()
        spec = DeviceSpec("robot1", served.address, {**OPTIONS, **(options or {})})
        driver = Wwks2Driver(spec, inbox.store)
        here = Bench(model, wire, served, driver, inbox)
        inner = driver._link._transport
        match line:
            case "one byte":
                driver._link._transport = Chunked(inner, 1)
            case "37 bytes":
                driver._link._transport = Chunked(inner, 37)
            case "joined":
                driver._link._transport = Joined(inner, 1 << 20)
            case _:
                pass
        supervisor = asyncio.create_task(here.supervise())
        try:
            await here.until(here.up.is_set)
            yield here
        finally:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor
            await driver.close()
            served.check()
