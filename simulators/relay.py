"""A TCP relay that does to a byte stream what a bad network does, in front of any TCP server.

TCP carries every byte in order or breaks the connection, so of the faults of a `Wire` only these
make sense here: `silence`, `deaf`, `cut`, `cut_mid_frame`, `half_open`, `slow`, `split` and `join`;
others are ignored.
"""

import asyncio
import contextlib
import math
import socket
from collections import deque
from collections.abc import AsyncIterator

from simulators.serve import BACKLOG_MAX, TICK_S
from simulators.wire import JOIN_S, Wire

CONNECT_TIMEOUT_S = 5.0


class _Half:
    """One direction of one connection: bytes leave in order, each piece at its time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._queue: deque[tuple[float, bytes]] = deque()
        self._waiting = 0
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def send(self, data: bytes, *, delay_s: float, split: bool, grid_s: float = 0.0) -> None:
        """Queue bytes; hangs up when more than BACKLOG_MAX wait.

        With a `grid_s` they leave at the next multiple of it, together with all that is due then.
        """
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + delay_s
        if grid_s:
            self._free_at = math.ceil(self._free_at / grid_s) * grid_s
        pieces = [bytes([byte]) for byte in data] if split else [data]
        self._queue.extend((self._free_at, piece) for piece in pieces)
        self._waiting += len(data)
        if self._waiting > BACKLOG_MAX:
            self.close()
        elif self._timer is None:
            self._flush()

    def attach(self, transport: asyncio.Transport) -> None:
        """Start sending to `transport`."""
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._flush()

    def close(self) -> None:
        """Drop what waits and close."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.transport is not None:
            self.transport.close()

    def _flush(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self.transport is None or not self._queue:
            return
        due, piece = self._queue[0]
        if due <= loop.time():
            self._queue.popleft()
            self._waiting -= len(piece)
            self.transport.write(piece)
        if self._queue:
            self._timer = loop.call_at(max(self._queue[0][0], loop.time()), self._flush)


class _End(asyncio.Protocol):
    """One end of a relayed connection; what it receives goes out at the other end."""

    def __init__(self, link: "_Link", out: _Half, back: _Half, *, host: bool) -> None:
        self._link = link
        self._out = out
        self._back = back
        self._host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream transport was expected, not {transport!r}")
        self._back.attach(transport)
        if self._host:
            self._link.begin()

    def data_received(self, data: bytes) -> None:
        self._link.pass_on(data, self._out, to_machine=self._host)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        if self._host:
            self._link.close()
        else:
            self._link.ended_by_machine()


class _Link:
    """One relayed connection."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._to_machine, self._to_host = _Half(), _Half()
        self.host_end = _End(self, self._to_machine, self._to_host, host=True)
        self._machine_end = _End(self, self._to_host, self._to_machine, host=False)
        self._connecting: asyncio.Task[None] | None = None
        self._dead = False

    def begin(self) -> None:
        self._relay.links.add(self)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self._machine_end, *self._relay.target)
        except (OSError, TimeoutError):
            self.close()

    def pass_on(self, data: bytes, out: _Half, *, to_machine: bool) -> None:
        wire = self._relay.wire
        if self._dead:
            return
        if wire.faults.take("deaf" if to_machine else "silence"):
            return
        if not to_machine and wire.faults.take("cut_mid_frame"):
            if self._to_host.transport is not None:
                self._to_host.transport.write(data[: len(data) // 2])
            self.close()
            return
        delay_s = 0.0
        if not to_machine and wire.faults.take("slow"):
            delay_s = float(str(wire.state()["slow_s"])) / wire.speed
        grid_s = JOIN_S / wire.speed if wire.faults.take("join") else 0.0
        out.send(data, delay_s=delay_s, split=wire.faults.take("split"), grid_s=grid_s)

    def die(self) -> None:
        """Hang up at the machine and leave the host with a connection that nobody answers."""
        self._dead = True
        self._to_machine.close()

    def ended_by_machine(self) -> None:
        """Close, unless the host is to believe that the connection lives."""
        if not self._dead:
            self.close()

    def close(self) -> None:
        self._relay.links.discard(self)
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        self._to_machine.close()
        self._to_host.close()

    async def ended(self) -> None:
        """Wait until nothing of this link runs any more."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting


class Relay:
    """Listens on one port, keeps its number while the line is cut, and relays to `target`."""

    def __init__(self, target: tuple[str, int], wire: Wire, *, host: str, port: int) -> None:
        self.target = target
        self.wire = wire
        self.links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._down_until = 0.0
        self._holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((host, port))
        except OSError:
            self._holder.close()
            raise
        bound = self._holder.getsockname()
        self.host, self.port = str(bound[0]), int(bound[1])

    async def up(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Link(self).host_end, self.host, self.port, reuse_address=True
        )

    async def down(self) -> None:
        """Close every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        links = list(self.links)
        for link in links:
            link.close()
        for link in links:
            await link.ended()

    async def weather(self) -> None:
        """Go down or up as the fault `cut` says; to be called every TICK_S."""
        now = asyncio.get_running_loop().time()
        if self._server is None and now < self._down_until:
            return
        if self.wire.faults.take("cut"):
            self._down_until = now + self.wire.cut_s
            await self.down()
        elif self._server is None:
            await self.up()
        elif self.links and self.wire.faults.take("half_open"):
            for link in self.links:
                link.die()

    def release(self) -> None:
        """Give the port back."""
        self._holder.close()


@contextlib.asynccontextmanager
async def relay(
    target: tuple[str, int], wire: Wire, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Relay]:
    """Relay to `target` through `wire`; port 0 takes a free one. Raises OSError without a port."""
    it = Relay(target, wire, host=host, port=port)
    try:
        await it.up()
        task = asyncio.create_task(_watch(it))
        try:
            yield it
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await it.down()
    finally:
        it.release()


async def _watch(it: Relay) -> None:
    while True:
        await it.weather()
        await asyncio.sleep(TICK_S)
