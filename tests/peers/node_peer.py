"""A machine of node-opcua in a process of its own; it prints JSON lines and takes none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.conftest import Node

START_S = 60.0
LINE_S = 20.0


@dataclass(slots=True)
class Peer:
    """The other implementation, in a process of its own."""

    process: asyncio.subprocess.Process
    path: str
    port: int = 0

    async def line(self, timeout_s: float = LINE_S) -> dict[str, object]:
        """The next JSON object that it prints; its log lines are passed over."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while True:
                raw = await self.process.stdout.readline()
                assert raw, "the peer ended"
                if raw.startswith(b"{"):
                    parsed: dict[str, object] = json.loads(raw)
                    return parsed

    @property
    def address(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}{self.path}"


@asynccontextmanager
async def node_peer(node: Node, script: str, path: str, folder: Path) -> AsyncIterator[Peer]:
    """Run one of the servers in tests/peers/node; `path` is that of its endpoint."""
    process = await asyncio.create_subprocess_exec(
        *node.command(script, str(folder / "pki")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    peer = Peer(process, path)
    try:
        port = (await peer.line(START_S))["port"]
        assert isinstance(port, int)
        peer.port = port
        yield peer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(LINE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
