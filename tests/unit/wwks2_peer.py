"""A scripted WWKS2 machine on a real socket, played by a test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from drivers.base import (
    DeviceSpec,
    DriverError,
    RawMessage,
)
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode
from drivers.wwks2.driver import Wwks2Driver
from drivers.wwks2.stream import DocumentSplitter

AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
SUBSCRIBER = wire.Subscriber(999, "Robot", "Maker", "Product", "2.0.1")


class Peer:
    """The machine's end of one connection, played by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._splitter = DocumentSplitter()
        self._messages: list[wire.Message] = []

    async def hear(self, *, status: bool = False) -> wire.Message:
        """Return the next message; status requests are answered, unless asked for."""
        async with asyncio.timeout(5):
            while True:
                while not self._messages:
                    data = await self._reader.read(65536)
                    if not data:
                        raise EOFError
                    self._messages += [decode(each.raw) for each in self._splitter.feed(data)]
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
