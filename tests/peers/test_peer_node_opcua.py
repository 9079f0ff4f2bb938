"""Our counter driver reads and runs a PackML machine of node-opcua, built from its own nodeset.

That server numbers its namespaces otherwise, encodes the structures itself and knows the states by
the nodes of its own copy of the nodeset.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.base import CountJob, CountResult, DeviceSpec
from drivers.packml.codec import Tally, read_count, read_start
from drivers.packml.driver import PackmlDriver
from tests.contract.transports import Inbox
from tests.peers.conftest import Node

pytestmark = pytest.mark.peer
START_S = 60.0
LINE_S = 20.0


@dataclass(slots=True)
class Peer:
    """The other implementation, in a process of its own."""

    process: asyncio.subprocess.Process
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
        return f"opc.tcp://127.0.0.1:{self.port}/counter"


@asynccontextmanager
async def _peer(node: Node, folder: Path) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        *node.command("packml_server.mjs", str(folder / "pki")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    peer = Peer(process)
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


async def test_a_node_opcua_machine_is_found_and_counted_on(node: Node, tmp_path: Path) -> None:
    inbox = Inbox()
    options: dict[str, str | int | float | bool] = {
        "security": "none",
        "user": "anonymous",
        "settle_ms": 20,
        "poll_ms": 10,
    }
    async with _peer(node, tmp_path) as peer:
        driver = PackmlDriver(DeviceSpec("counter", peer.address, options), inbox.put)
        await driver.connect()
        first = await driver.count(
            CountJob("417-1", "00071015523", "EW0237", "shelf/A-03", 30), timeout_s=30
        )
        started = (await peer.line())["started"]
        second = await driver.count(
            CountJob("417-2", "00071015523", "EW0237", "shelf/A-03", 45), timeout_s=30
        )
        again = await driver.reconcile(
            CountJob("417-2", "00071015523", "EW0237", "shelf/A-03", 45), inbox.messages[2].raw
        )
        await driver.close()
        fresh = PackmlDriver(DeviceSpec("counter", peer.address, options), inbox.put)
        await fresh.connect()
        told = await fresh.reconcile(
            CountJob("417-2", "00071015523", "EW0237", "shelf/A-03", 45), inbox.messages[2].raw
        )
        await fresh.close()
    assert first == CountResult("417-1", counted=30, defective=3, complete=True)
    assert second == again == told == CountResult("417-2", counted=45, defective=4, complete=True)
    assert started == [
        {"name": "TargetCount", "value": 30, "unitId": 4732983},
        {"name": "JobId=417-1@2000000", "value": 0, "unitId": 0},
    ]
    assert read_start(inbox.messages[0].raw).before.processed == Tally(42, 0, 2_000_000)
    record = read_count(inbox.messages[1].raw)
    assert record.after.processed == Tally(42, 15, 2_000_030), "the peer resets Count half way"
    assert record.after.defective == Tally(42, 3, 10)


async def test_a_node_opcua_machine_is_named_by_its_path_and_told_no_job(
    node: Node, tmp_path: Path
) -> None:
    inbox = Inbox()
    options: dict[str, str | int | float | bool] = {
        "security": "none",
        "user": "anonymous",
        "root": "Vial filler",
        "job_parameter": "",
    }
    async with _peer(node, tmp_path) as peer:
        driver = PackmlDriver(DeviceSpec("counter", peer.address, options), inbox.put)
        await driver.connect()
        result = await driver.count(CountJob("417-2", "a", "l", "s", 12), timeout_s=30)
        await driver.close()
    assert result == CountResult("417-2", counted=12, defective=1, complete=True)
