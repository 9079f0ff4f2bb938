"""Puts a model on a wire: a TCP port or a pty, with line faults and simulated time.

How a simulator joins: `simulators/<protocol>.py` has

    def make(seed: int) -> TheModel      # a `base.StreamModel`, or a `base.Model` for OPC UA

with sensible stock and settings for a demonstration, and gets its row in `simulators.__main__`. A
protocol that brings its own server (OPC UA) also has

    def serve(model: TheModel, wire: Wire, address: str) -> AbstractAsyncContextManager[Served]

which steps the model through `Ticker`, honours `wire.speed` and as many of the wire's faults as
make sense, and yields the real address. Everything here is an async context manager and leaves no
task behind:

    async with serve_tcp(model, wire=Wire(speed=50)) as served:
        async with serve_control(model, served.wire) as (host, port):
            ... served.address == "tcp://127.0.0.1:41234" ...
"""

import asyncio
import contextlib
import math
import os
import socket
import tempfile
import tty
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from simulators.base import Model, StreamModel
from simulators.wire import JOIN_S, Piece, Wire

STEP_S = 0.02
"""The simulated time of one step of a served model."""
TICK_S = 0.02
"""Real seconds between two looks at the time when nothing else happens."""
STEPS_MAX = 5000
"""Steps in one look; time that does not fit (a stopped process) is not caught up."""
BACKLOG_MAX = 1 << 20
"""Bytes that wait in either direction of one session before it is hung up."""
_PTY_READ = 4096


@dataclass(frozen=True, slots=True)
class Served:
    """A model that is on a wire. `address` is a transport URL as the drivers take it."""

    address: str
    wire: Wire
    pump: "asyncio.Task[None]"

    def check(self) -> None:
        """Raise what ended the adapter, if anything did: a fault of the model."""
        if self.pump.done():
            self.pump.result()


class Ticker:
    """Steps a model by the real time that passed, in whole steps of STEP_S simulated seconds."""

    def __init__(self, model: Model, wire: Wire) -> None:
        self._model = model
        self._wire = wire
        self._owed = 0.0
        self._last: float | None = None

    def advance(self, now: float) -> None:
        """Step the model up to `now` (loop time, seconds)."""
        if self._last is not None:
            self._owed += (now - self._last) * self._wire.speed
        self._last = now
        for _ in range(STEPS_MAX):
            if self._owed < STEP_S:
                return
            self._owed -= STEP_S
            self._model.step(STEP_S)
        self._owed = 0.0


class _Line(Protocol):
    """One session's way out."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Session:
    line: _Line
    queue: deque[tuple[float, Piece]] = field(default_factory=deque)
    waiting: int = 0
    free_at: float = 0.0
    greeted: bool = False
    dead: bool = False
    """Half open: the other side is gone and has not said so."""


class _Carrier(Protocol):
    """What sessions come from; taken down and brought up again by the fault `cut`."""

    address: str
    always_connected: bool

    async def up(self) -> None: ...

    async def down(self) -> None: ...


class _Pump:
    """The only task that touches a stream model: events in, time, bytes out."""

    def __init__(self, model: StreamModel, wire: Wire) -> None:
        self._model = model
        self._wire = wire
        self._ticker = Ticker(model, wire)
        self._sessions: dict[int, _Session] = {}
        self._events: deque[tuple[str, int, bytes]] = deque()
        self._unread = 0
        self._wake = asyncio.Event()
        self._count = 0
        self._down_until: float | None = None
        self._mute = False

    # what the carriers call

    def opened(self, line: _Line) -> int:
        self._count += 1
        self._sessions[self._count] = _Session(line)
        self._put("open", self._count, b"")
        return self._count

    def arrived(self, session: int, data: bytes) -> None:
        known = self._sessions.get(session)
        if known is not None and known.dead:
            return
        self._unread += len(data)
        if self._unread > BACKLOG_MAX:
            self.hang_up(session)
        else:
            self._put("data", session, data)

    def closed(self, session: int) -> None:
        known = self._sessions.pop(session, None)
        if known is not None and not known.dead:
            self._put("close", session, b"")

    def hang_up(self, session: int) -> None:
        known = self._sessions.get(session)
        if known is not None:
            known.line.close()
            self.closed(session)

    def open_sessions(self) -> tuple[int, ...]:
        return tuple(self._sessions)

    def _put(self, what: str, session: int, data: bytes) -> None:
        self._events.append((what, session, data))
        self._wake.set()

    # the task

    async def run(self, carrier: _Carrier) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            await self._cut(carrier, now)
            self._half_open(carrier)
            self._ticker.advance(now)
            self._collect(now)
            self._take_events(now, carrier)
            due = self._flush(loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(TICK_S, max(0.0, due - loop.time()))):
                    await self._wake.wait()

    async def _cut(self, carrier: _Carrier, now: float) -> None:
        if self._down_until is not None and now < self._down_until:
            return
        if self._wire.faults.take("cut"):
            if self._down_until is None:
                for session in list(self._sessions):
                    self.hang_up(session)
                await carrier.down()
            self._down_until = now + self._wire.cut_s
        elif self._down_until is not None:
            self._down_until = None
            await carrier.up()
        elif carrier.always_connected and not self._sessions:
            await carrier.up()

    def _half_open(self, carrier: _Carrier) -> None:
        """Let open sessions die silently; a serial line, which has none, lives again afterwards."""
        if carrier.always_connected:
            self._mute = self._wire.faults.active("half_open")
            return
        if self._wire.faults.take("half_open"):
            for session, known in self._sessions.items():
                if not known.dead:
                    known.dead = True
                    known.queue.clear()
                    self._put("close", session, b"")

    def _take_events(self, now: float, carrier: _Carrier) -> None:
        while self._events:
            what, session, data = self._events.popleft()
            match what:
                case "open":
                    self._model.connected(session)
                    if not carrier.always_connected:
                        self._greet(session, now)
                case "close":
                    self._model.disconnected(session)
                case _:
                    self._unread -= len(data)
                    if not self._mute:
                        self._hear(session, data, now)
            self._collect(now)

    def _hear(self, session: int, data: bytes, now: float) -> None:
        self._greet(session, now)  # on a serial line only now does it show that the host is there
        heard, echo = self._wire.to_machine(data)
        if echo:
            self._enqueue(session, Piece(echo), now)
        if heard:
            self._model.received(session, heard)

    def _greet(self, session: int, now: float) -> None:
        known = self._sessions.get(session)
        if known is not None and not known.greeted:
            known.greeted = True
            garbage = self._wire.greeting()
            if garbage:
                self._enqueue(session, Piece(garbage), now)

    def _collect(self, now: float) -> None:
        for out in self._model.outgoing():
            targets = list(self._sessions) if out.session is None else [out.session]
            for target in targets:
                for piece in self._wire.to_host(out.data, out.delay_s):
                    self._enqueue(target, piece, now)
                if out.close:
                    self._enqueue(target, Piece(b"", out.delay_s, close=True), now)

    def _enqueue(self, session: int, piece: Piece, now: float) -> None:
        known = self._sessions.get(session)
        if known is None or known.dead or self._mute:
            return
        known.waiting += len(piece.data)
        if known.waiting > BACKLOG_MAX:
            self.hang_up(session)
            return
        known.free_at = max(now, known.free_at) + piece.delay_s / self._wire.speed
        if piece.joined:
            grid = JOIN_S / self._wire.speed
            known.free_at = math.ceil(known.free_at / grid) * grid
        known.queue.append((known.free_at, piece))

    def _flush(self, now: float) -> float:
        """Write what is due; return when the next is."""
        earliest = now + TICK_S
        for session, known in list(self._sessions.items()):
            while known.queue and known.queue[0][0] <= now:
                _, piece = known.queue.popleft()
                known.waiting -= len(piece.data)
                if piece.data:
                    known.line.write(piece.data + self._joined_to(piece, known, now))
                if piece.close and piece.data:  # a hang-up at once would take the bytes with it
                    known.queue.appendleft((now + TICK_S, Piece(b"", close=True)))
                elif piece.close:
                    self.hang_up(session)
                    break
            if known.queue:
                earliest = min(earliest, known.queue[0][0])
        return earliest

    @staticmethod
    def _joined_to(piece: Piece, known: _Session, now: float) -> bytes:
        """Take from the queue, and return, what leaves together with a joined piece."""
        rest = bytearray()
        while piece.joined and known.queue:
            due, follower = known.queue[0]
            if due > now or not follower.joined or follower.close:
                break
            known.queue.popleft()
            known.waiting -= len(follower.data)
            rest += follower.data
        return bytes(rest)


# ---------------------------------------------------------------- TCP


class _TcpLine(asyncio.Protocol):
    def __init__(self, pump: _Pump) -> None:
        self._pump = pump
        self._transport: asyncio.Transport | None = None
        self._session = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream transport was expected, not {transport!r}")
        self._transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._session = self._pump.opened(self)

    def data_received(self, data: bytes) -> None:
        self._pump.arrived(self._session, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        self._pump.closed(self._session)

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > BACKLOG_MAX:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _TcpCarrier:
    """A listening port that keeps its number while it is down, so that connecting is refused."""

    always_connected = False

    def __init__(self, pump: _Pump, host: str, port: int) -> None:
        self._pump = pump
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((host, port))
        except OSError:
            self._holder.close()
            raise
        self._host, self._port = self._holder.getsockname()
        self.address = f"tcp://{self._host}:{self._port}"
        self._server: asyncio.Server | None = None

    async def up(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _TcpLine(self._pump), self._host, self._port, reuse_address=True
        )

    async def down(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await asyncio.sleep(0)

    def release(self) -> None:
        self._holder.close()


@contextlib.asynccontextmanager
async def serve_tcp(
    model: StreamModel, *, host: str = "127.0.0.1", port: int = 0, wire: Wire | None = None
) -> AsyncIterator[Served]:
    """Serve a model on a TCP port (0: any free one). Raises OSError when the port cannot be had."""
    wire = wire or Wire()
    pump = _Pump(model, wire)
    carrier = _TcpCarrier(pump, host, port)
    try:
        async with _running(pump, carrier) as task:
            yield Served(carrier.address, wire, task)
    finally:
        carrier.release()


@contextlib.asynccontextmanager
async def _running(pump: _Pump, carrier: _Carrier) -> AsyncIterator["asyncio.Task[None]"]:
    """Run the pump while the body runs; a pump that died raises at the end."""
    await carrier.up()
    task = asyncio.create_task(pump.run(carrier))
    try:
        yield task
    finally:
        task.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            for session in pump.open_sessions():
                pump.hang_up(session)
            await carrier.down()


# ---------------------------------------------------------------- pty


class _PtyLine:
    """The machine's end of one pty; what does not fit into the line is lost, as on a real one."""

    def __init__(self, pump: _Pump) -> None:
        self._pump = pump
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._session = pump.opened(self)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _PTY_READ)
        except BlockingIOError:
            return
        self._pump.arrived(self._session, data)

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        if self._master < 0:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = -1


class _PtyCarrier:
    """A link to a pty; while it is down there is no such device: an adapter was unplugged."""

    always_connected = True

    def __init__(self, pump: _Pump, link: Path, query: str) -> None:
        self._pump = pump
        self._link = link
        self.address = f"serial:{link}{query}"

    async def up(self) -> None:
        line = _PtyLine(self._pump)
        fresh = self._link.with_name(f"{self._link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(line.path)
        fresh.replace(self._link)

    async def down(self) -> None:
        self._link.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def serve_pty(
    model: StreamModel, *, link: Path | None = None, query: str = "", wire: Wire | None = None
) -> AsyncIterator[Served]:
    """Serve a model on a pty, reached through the symbolic link `link` (None: a temporary one).

    `query` is appended to the address (`?baud=9600&format=7E1`). The link is stable, the pty behind
    it changes with every cut. Raises OSError when the link cannot be made, FileExistsError when a
    file that is no link is in its place.
    """
    wire = wire or Wire()
    with _link_path(link) as path:
        pump = _Pump(model, wire)
        carrier = _PtyCarrier(pump, path, query)
        async with _running(pump, carrier) as task:
            yield Served(carrier.address, wire, task)


@contextlib.contextmanager
def _link_path(link: Path | None) -> Iterator[Path]:
    if link is None:
        with tempfile.TemporaryDirectory(prefix="dispensed-sim-") as folder:
            yield Path(folder) / "tty"
        return
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} exists and is not a link")
    yield link
