"""What every driver over OPC UA builds on: a session that finds, reads, follows and loses nodes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.errors import (
    DeviceRefused,
    DeviceUnavailable,
    DriverError,
    Unsupported,
)
from drivers.opcua import NODES_MAX, UA_URI, Browse, Changes, Session, plain, text_of, value_of
from drivers.opcua_link import Given
from drivers.packml.codec import PACKML_URI
from tests.contract.counters import QUICK, until_state
from tests.contract.opcua_stand import Stand
from tests.contract.transports import outcome

LONG_S = 20.0
BASE: Browse = ((PACKML_URI, "BaseStateMachine"),)
MACHINE: Browse = (*BASE, (PACKML_URI, "MachineState"))
STATE: Browse = (*MACHINE, (UA_URI, "CurrentState"))
RESET: Browse = (*MACHINE, (PACKML_URI, "Reset"))


@asynccontextmanager
async def a_session(stand: Stand) -> AsyncIterator[Session]:
    given = Given(QUICK)
    session = Session(stand.address, given.link())
    given.finish()
    await session.open()
    try:
        yield session
    finally:
        await session.close()


async def nodes_of(session: Session, *paths: Browse) -> list[ua.NodeId]:
    root = await session.find(BASE)
    found = await session.resolve([(root, path) for path in paths])
    return [node for node in found if node is not None]


async def test_nodes_are_found_by_name_and_missing_ones_are_none(stand: Stand) -> None:
    async with a_session(stand) as session:
        root = await session.find(BASE)
        absent: Browse = ((PACKML_URI, "Nothing"),)
        foreign: Browse = (("urn:nobody:knows", "BaseStateMachine"),)
        found = await session.resolve([(root, BASE), (root, absent), (root, foreign)])
        assert [node is None for node in found] == [False, True, True]
        names = [name for _, (_, name) in await session.children(root)]
        assert {"Admin", "Status", "BaseStateMachine", "Identification"} <= set(names)
        with pytest.raises(Unsupported, match="does not know urn:nobody:knows"):
            session.index("urn:nobody:knows")
        assert session.numeric(plain(85), UA_URI) == 85
        assert session.numeric("a text", UA_URI) is None


async def test_more_nodes_than_fit_in_one_request_are_read_in_several(stand: Stand) -> None:
    async with a_session(stand) as session:
        (state,) = await nodes_of(session, STATE)
        answers = await session.read([state] * (NODES_MAX + 1))
        assert [text_of(answer) for answer in answers] == ["Stopped"] * (NODES_MAX + 1)


async def test_changes_come_in_order_and_begin_with_the_present(stand: Stand) -> None:
    stand.reset(speed=2)
    async with a_session(stand) as session:
        state, reset, machine = await nodes_of(session, STATE, RESET, MACHINE)
        changes = await session.subscribe([state], period_s=0.02)
        first = await changes.next(timeout_s=LONG_S)
        assert first is not None
        assert (first[0], text_of(first[1])) == (state, "Stopped")
        assert await changes.next(timeout_s=0.05) is None
        await session.call("Reset", (machine, reset))
        second = await changes.next(timeout_s=LONG_S)
        assert second is not None
        assert text_of(second[1]) == "Running"
        with pytest.raises(DeviceRefused) as caught:
            await session.call("Reset", (machine, reset))
        assert caught.value.reason == "BadInvalidState"


async def test_a_node_that_cannot_be_followed_is_named(stand: Stand) -> None:
    async with a_session(stand) as session:
        with pytest.raises(Unsupported, match="BadNodeIdUnknown"):
            await session.subscribe([plain(999_999)], period_s=0.05)
        (answer,) = await session.read([plain(999_999)])
        assert value_of(answer) is None


async def test_a_cut_line_ends_changes_and_watching(stand: Stand) -> None:
    async with a_session(stand) as session:
        (state,) = await nodes_of(session, STATE)
        changes = await session.subscribe([state], period_s=0.05)
        await changes.next(timeout_s=LONG_S)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(outcome(session.watch))
            waiting = group.create_task(outcome(lambda: taken(changes)))
            await asyncio.sleep(0)
            stand.fault("cut", times=1)
        assert isinstance(watching.result(), DeviceUnavailable)
        assert isinstance(waiting.result(), DeviceUnavailable)
        assert isinstance(await outcome(lambda: session.read([state])), DriverError)
    await until_state(stand, "STOPPED")


async def taken(changes: Changes) -> None:
    async with asyncio.timeout(LONG_S):
        while True:
            await changes.next(timeout_s=1.0)


async def test_a_subscription_that_the_machine_ends_loses_the_session(stand: Stand) -> None:
    async with a_session(stand) as session:
        (state,) = await nodes_of(session, STATE)
        changes = await session.subscribe([state], period_s=0.05)
        await changes.next(timeout_s=LONG_S)
        ended = ua.StatusChangeNotification()
        ended.Status = ua.StatusCode(ua.UInt32(StatusCodes.BadTimeout))
        result = ua.PublishResult()
        result.NotificationMessage.NotificationData = [ended]
        await changes._subscription.publish_callback(result)
        with pytest.raises(DeviceUnavailable, match="ended the subscription: BadTimeout"):
            await changes.next(timeout_s=LONG_S)
        assert session.lost.is_set()
        with pytest.raises(DeviceUnavailable, match="the connection is lost"):
            await changes.next(timeout_s=LONG_S)
