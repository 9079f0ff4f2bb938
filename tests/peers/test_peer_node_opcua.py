"""Our drivers read and run a counter and two scales of node-opcua, built from its own nodesets.

That server numbers its namespaces otherwise, encodes the structures itself and knows the states by
the nodes of its own copies of the nodesets: PackML 1.01, and Scales 2.00.
"""

from decimal import Decimal
from pathlib import Path

import pytest

from drivers.base import (
    CountJob,
    CountResult,
    DeviceSpec,
    WeightReading,
)
from drivers.errors import Unsupported
from drivers.opcua40200.driver import Opcua40200Driver, PieceReading
from drivers.packml.codec import Tally, read_count, read_start
from drivers.packml.driver import PackmlDriver
from tests.contract.transports import Inbox
from tests.peers.conftest import Node
from tests.peers.node_peer import node_peer

pytestmark = pytest.mark.peer


async def test_a_node_opcua_machine_is_found_and_counted_on(node: Node, tmp_path: Path) -> None:
    inbox = Inbox()
    options: dict[str, str | int | float | bool] = {
        "security": "none",
        "user": "anonymous",
        "settle_ms": 20,
        "poll_ms": 10,
    }
    async with node_peer(node, "packml_server.mjs", "/counter", tmp_path) as peer:
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
    async with node_peer(node, "packml_server.mjs", "/counter", tmp_path) as peer:
        driver = PackmlDriver(DeviceSpec("counter", peer.address, options), inbox.put)
        await driver.connect()
        result = await driver.count(CountJob("417-2", "a", "l", "s", 12), timeout_s=30)
        await driver.close()
    assert result == CountResult("417-2", counted=12, defective=1, complete=True)


async def test_a_node_opcua_scale_is_weighed_tared_and_counted_with(
    node: Node, tmp_path: Path
) -> None:
    options: dict[str, str | int | float | bool] = {
        "security": "none",
        "user": "anonymous",
        "root": "DeviceSet/Bench",
        "serial": "PEER-Bench",
    }
    async with node_peer(node, "scales_server.mjs", "/scale", tmp_path) as peer:
        scale = Opcua40200Driver(DeviceSpec("scale", peer.address, options), Inbox().put)
        identity = await scale.connect()
        assert (identity.maker, identity.serial) == ("A peer", "PEER-Bench")
        reading = await scale.weigh(timeout_s=10)
        assert (str(reading.value), reading.unit, reading.stable) == ("62.50", "g", True)
        assert (await scale.tare(timeout_s=10)).value == Decimal("62.50")
        await scale.set_tare(None)
        await scale.set_tare(WeightReading(Decimal("50.0"), "g", stable=True))
        assert str((await scale.weigh(timeout_s=10)).value) == "12.50"
        assert await scale.pieces(timeout_s=10) == PieceReading(50, stable=True)
        await scale.set_piece_weight(Decimal("0.125"))
        assert await scale.pieces(timeout_s=10) == PieceReading(100, stable=True)
        called = [await peer.line() for _ in range(4)]
        await scale.close()
        options |= {"root": "DeviceSet/Floor", "serial": ""}
        floor = Opcua40200Driver(DeviceSpec("scale", peer.address, options), Inbox().put)
        await floor.connect()
        assert (await floor.read()).value == Decimal("12.5")
        with pytest.raises(Unsupported, match="set equal_reads"):
            await floor.weigh(timeout_s=10)
        await floor.close()
    assert called == [
        {"called": "SetTare", "given": []},
        {"called": "ClearTare", "given": []},
        {"called": "SetPresetTare", "given": [50, 4674125]},
        {"called": "SetReferencePieceWeight", "given": [125, 5064525]},
    ]
