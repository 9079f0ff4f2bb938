"""WWKS2 for tests: a scripted machine on a real socket, and a simulated robot without a wire."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeVar

from drivers.base import DeviceSpec, RawMessage
from drivers.errors import DriverError
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode
from drivers.wwks2.driver import Wwks2Driver
from drivers.wwks2.stream import DocumentSplitter
from simulators.wwks2 import RobotModel

AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
M = TypeVar("M", bound=wire.Hello | wire.Addressed)
STOCK = [
    {"article": "A1", "batch": "LATE", "expiry": "2028-01-31", "packs": 2},
    {"article": "A1", "batch": "EARLY", "expiry": "2027-01-31", "packs": 2},
    {"article": "A2", "batch": "UNDATED", "packs": 1, "units": 12},
    {"article": "A2", "batch": "DATED", "expiry": "2029-01-31"},
]
SUBSCRIBER = wire.Subscriber(999, "Robot", "Maker", "Product", "2.0.1")


class Ear:
    """Turns bytes into messages, however they are cut."""

    def __init__(self) -> None:
        self._splitter = DocumentSplitter()

    def hear(self, data: bytes) -> list[wire.Message]:
        return [decode(frame.raw) for frame in self._splitter.feed(data)]


# ---------------------------------------------------------------- a scripted machine


class Peer:
    """The machine's end of one connection, played by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ear = Ear()
        self._messages: list[wire.Message] = []

    async def hear(self, *, status: bool = False) -> wire.Message:
        """Return the next message; status requests are answered, unless asked for."""
        async with asyncio.timeout(5):
            while True:
                while not self._messages:
                    data = await self._reader.read(65536)
                    if not data:
                        raise EOFError
                    self._messages += self._ear.hear(data)
                message = self._messages.pop(0)
                if status or not isinstance(message, wire.StatusRequest):
                    return message
                self.say(wire.StatusResponse(message.id, 999, 100, "Ready"))

    def say(self, message: wire.Message) -> None:
        self.say_raw(encode(message, AT))

    def say_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def greet(self) -> None:
        hello = await self.hear()
        assert isinstance(hello, wire.HelloRequest)
        assert hello.subscriber.id == 100
        self.say(wire.HelloResponse(hello.id, SUBSCRIBER))

    def hang_up(self) -> None:
        self._writer.close()


class Stand:
    """A listening machine and a driver that is to connect to it."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.stored: list[RawMessage] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.port = 0
        self.watching: asyncio.Task[None] | None = None

    async def sink(self, message: RawMessage) -> None:
        await self.gate.wait()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.stored.append(message)

    def driver(self, **options: str | float) -> Wwks2Driver:
        given = {"request_timeout_s": 1.0, "keepalive_interval_s": 30.0, **options}
        return Wwks2Driver(DeviceSpec("robot1", f"tcp://127.0.0.1:{self.port}", given), self.sink)

    async def peer(self) -> Peer:
        async with asyncio.timeout(5):
            return await self.peers.get()

    async def up(self, driver: Wwks2Driver) -> Peer:
        """Connect a driver and run its watch; returns the machine's end."""
        connecting = asyncio.ensure_future(driver.connect())
        peer = await self.peer()
        await peer.greet()
        await connecting
        self.watching = asyncio.ensure_future(driver.watch())
        return peer

    async def down(self) -> BaseException | None:
        """Wait for the end of the watch and return what ended it."""
        assert self.watching is not None
        async with asyncio.timeout(5):
            await asyncio.wait({self.watching})
        return self.watching.exception()

    def kinds(self) -> list[str]:
        return [message.kind for message in self.stored]


@contextlib.asynccontextmanager
async def a_stand() -> AsyncIterator[Stand]:
    here = Stand()
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await here.peers.put(Peer(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    yield here
    if here.watching is not None:
        here.watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, DriverError, ExceptionGroup):
            await here.watching
    server.close()
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def completed(order_id: str, pack_id: int = 5) -> wire.OutputMessage:
    return wire.OutputMessage(
        order_id,
        999,
        100,
        wire.OutputDetails(destination=1, status="Completed"),
        (wire.Article("A1", packs=(wire.PackData(id=pack_id, batch="B1"),)),),
    )


def queued(request: wire.Message, status: str = "Queued") -> wire.OutputResponse:
    assert isinstance(request, wire.OutputRequest)
    return wire.OutputResponse(request.id, 999, 100, wire.OutputDetails(status=status))


def input_of(*packs: wire.PackData, message_id: str = "77") -> wire.InputRequest:
    return wire.InputRequest(
        message_id, 999, 100, new_delivery=True, articles=(wire.Article(packs=packs),)
    )


# ---------------------------------------------------------------- a simulated robot


class Robot:
    """A model without a wire, with clients that keep what they hear."""

    def __init__(self, *, clients: int = 1, output_s: float = 0.0) -> None:
        self.model = RobotModel(seed=0)
        self.model.set("output_s", str(output_s))
        self.model.set("stock", json.dumps(STOCK))
        self.heard: dict[int, list[wire.Message]] = {}
        self.ears: dict[int, Ear] = {}
        self.closed: set[int] = set()
        for session in range(1, clients + 1):
            self.model.connected(session)
            self.say(wire.HelloRequest("1", wire.Subscriber(99 + session)), session)
        self.clear()

    def say(self, message: wire.Message, session: int = 1) -> None:
        self.model.received(session, encode(message, AT))
        self.listen()

    def listen(self) -> None:
        for out in self.model.outgoing():
            assert out.session is not None
            said = self.ears.setdefault(out.session, Ear()).hear(out.data)
            if said:
                self.heard.setdefault(out.session, []).extend(said)
            if out.close:
                self.closed.add(out.session)

    def step(self, seconds: float) -> None:
        self.model.step(seconds)
        self.listen()

    def clear(self) -> None:
        self.heard = {}

    def order(self, order_id: str, packs: int = 1, **criteria: str | int) -> None:
        priority = str(criteria.pop("priority", "Normal"))
        wanted = wire.Criteria(
            article=str(criteria.get("article", "A1")),
            quantity=packs,
            batch=str(criteria.get("batch", "")),
            pack_id=int(criteria.get("pack_id", 0)),
        )
        details = wire.OutputDetails(priority, 3)
        self.say(wire.OutputRequest(order_id, 100, 999, details, (wanted,)))

    def said(self, kind: type[M], session: int = 1) -> list[M]:
        return [each for each in self.heard.get(session, []) if isinstance(each, kind)]


def ended(robot: Robot) -> list[tuple[str, str]]:
    return [(each.id, each.details.status) for each in robot.said(wire.OutputMessage)]


def left(robot: Robot) -> list[tuple[str, int]]:
    return [(order, pack.id) for order, pack in robot.model.left]
