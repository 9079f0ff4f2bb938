"""The invented Acme scale as a TCP server: what it answers can be changed while it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

MODEL = "ACME-1"
SERIAL = "X0042"


@dataclass
class Machine:
    """Answers by command; a command that has none left is not answered."""

    address: str = ""
    weight: bytes = b"W 12.345 g S"
    first: list[bytes] = field(default_factory=list)
    """Weights to be sent once each, before the true one."""
    silent: bool = False

    def answer(self, command: bytes) -> bytes:
        """Return the line for a command."""
        match command:
            case b"W?":
                return self.first.pop(0) if self.first else self.weight
            case b"M?":
                return b"I " + MODEL.encode()
            case b"N?":
                return b"I " + SERIAL.encode()
            case _:
                return b"E"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one host until it goes."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if not self.silent:
                    writer.write(self.answer(line.rstrip(b"\r\n")) + b"\r\n")
                    await writer.drain()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Machine]:
    """Serve a machine on a port that the system chooses."""
    machine = Machine()
    hosts: set[asyncio.Task[None]] = set()

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = asyncio.create_task(machine.talk(reader, writer))
        hosts.add(host)

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    machine.address = f"tcp://{host}:{port}"
    try:
        yield machine
    finally:
        server.close()
        for each in hosts:
            each.cancel()
        await asyncio.gather(*hosts, return_exceptions=True)
        await server.wait_closed()
