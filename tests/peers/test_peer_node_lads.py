"""Our driver opens the drawers of a LADS cabinet of node-opcua, built from its own nodeset."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from drivers.base import DeviceSpec, DrawerState
from drivers.drawers import interpret
from drivers.errors import DriverError
from drivers.facts import DrawerReported
from drivers.opcua_cabinet.driver import OpcuaCabinetDriver
from tests.contract.transports import Inbox
from tests.peers.conftest import Node
from tests.peers.node_peer import node_peer

pytestmark = pytest.mark.peer
OPTIONS: dict[str, str | int | float | bool] = {
    "security": "none",
    "user": "anonymous",
    "serial": "N-77",
    "poll_ms": 20,
}


async def test_a_node_opcua_cabinet_is_opened_under_its_lock_and_followed(
    node: Node, tmp_path: Path
) -> None:
    inbox = Inbox()
    async with node_peer(node, "lads_server.mjs", "/cabinet", tmp_path) as peer:
        driver = OpcuaCabinetDriver(DeviceSpec("cabinet", peer.address, OPTIONS), inbox.put)
        identity = await driver.connect()
        watching = asyncio.create_task(driver.watch())
        try:
            before = await driver.drawers()
            opened = await driver.open_drawer("Middle", request_id="r1", timeout_s=20)
            lines = [await peer.line() for _ in range(4)]
            async with asyncio.timeout(20):
                while len(inbox.messages) < 2:  # noqa: ASYNC110 - the peer has no events
                    await asyncio.sleep(0.01)
            again = await driver.open_drawer("Middle", request_id="r1", timeout_s=20)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, DriverError):
                await watching
            await driver.close()
    assert (identity.maker, identity.serial) == ("A cupboard maker", "N-77")
    assert before == tuple(
        DrawerState(name, is_open=False, locked=True) for name in ("Top", "Middle", "Bottom")
    )
    assert opened == DrawerState("Middle", is_open=True, locked=False)
    assert again == DrawerState("Middle", is_open=False, locked=True)
    assert lines == [
        {"lock": "InitLock", "status": 0},
        {"called": "Unlock Middle"},
        {"called": "Open Middle"},
        {"lock": "ExitLock", "status": 0},
    ]
    assert [fact for message in inbox.messages for fact in interpret(message.raw)] == [
        DrawerReported("Middle", is_open=True, request_id="r1"),
        DrawerReported("Middle", is_open=False, request_id="r1"),
    ]
