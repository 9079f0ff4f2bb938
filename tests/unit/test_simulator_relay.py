"""A relay in front of a TCP server: what passes, and what it does to connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from drivers.transport import LinkLost, TcpTransport
from simulators.relay import Relay, relay
from simulators.wire import Wire

PATIENCE_S = 5.0


class Server:
    """Says everything back; counts who is connected."""

    def __init__(self) -> None:
        self.connected = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
        self.connected -= 1
        writer.close()


@contextlib.asynccontextmanager
async def relayed(wire: Wire) -> AsyncIterator[tuple[Server, Relay]]:
    echo = Server()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, relay((host, port), wire) as line:
        yield echo, line
    await until(lambda: echo.connected == 0)


@contextlib.asynccontextmanager
async def connection(line: Relay) -> AsyncIterator[TcpTransport]:
    transport = TcpTransport(line.host, line.port)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a fact behind a socket
            await asyncio.sleep(0)


async def said(transport: TcpTransport, data: bytes) -> None:
    await transport.write(data)
    got = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < len(data):
            got += await transport.read()
    assert got == data


async def test_bytes_pass_split_joined_and_late_but_whole() -> None:
    wire = Wire(speed=50)
    async with relayed(wire) as (_, line), connection(line) as transport:
        for fault in ("clean", "split", "join", "slow"):
            if fault != "clean":
                wire.faults.switch(fault, on=True)
            await said(transport, f"a {fault} message".encode())


async def test_a_half_open_link_is_silent_and_a_new_one_works() -> None:
    wire = Wire()
    async with relayed(wire) as (server, line), connection(line) as old:
        await said(old, b"hello")
        wire.faults.switch("half_open", on=True, times=1)
        await until(lambda: server.connected == 0)
        await old.write(b"anybody?")
        async with connection(line) as fresh:
            await said(fresh, b"again")
        assert old.discard() == b""


async def test_a_cut_closes_every_link() -> None:
    wire = Wire()
    async with relayed(wire) as (_, line), connection(line) as transport:
        await said(transport, b"hello")
        wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(LinkLost):
            async with asyncio.timeout(PATIENCE_S):
                await transport.read()
