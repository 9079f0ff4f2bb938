"""A counter is paused, held, stopped, aborted, cleared and reset, and put into another mode."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.base import CountResult
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DriverError,
    Moved,
    Unsupported,
)
from drivers.packml.codec import State, Tally, UnitMode
from drivers.packml.driver import PackmlDriver
from tests.contract.counters import (
    LONG_S,
    SHORT_S,
    make_driver,
    make_job,
    soon,
    until_fallen,
    until_state,
)
from tests.contract.opcua_stand import Stand
from tests.contract.transports import Inbox, outcome


@asynccontextmanager
async def connected(stand: Stand, inbox: Inbox) -> AsyncIterator[PackmlDriver]:
    counter = make_driver(stand, inbox)
    await counter.connect()
    try:
        yield counter
    finally:
        await counter.close()


# ---------------------------------------------------------------- in the middle of a job


@pytest.mark.parametrize(
    ("stop", "go_on", "state"),
    [
        (PackmlDriver.pause, PackmlDriver.resume, State.SUSPENDED),
        (PackmlDriver.hold, PackmlDriver.unhold, State.HELD),
    ],
)
async def test_a_job_that_was_paused_or_held_goes_on_and_is_counted_whole(
    stand: Stand,
    inbox: Inbox,
    stop: Callable[..., asyncio.Future[None]],
    go_on: Callable[..., asyncio.Future[None]],
    state: State,
) -> None:
    stand.reset(speed=20)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
        await until_fallen(stand, 5)
        await stop(counter, timeout_s=LONG_S)
        assert await counter.state() is state
        resting = stand.dispensed
        await stop(counter, timeout_s=LONG_S)
        assert stand.dispensed == resting < 30
        await go_on(counter, timeout_s=LONG_S)
        assert await task == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30


@pytest.mark.parametrize(
    ("end", "state"),
    [(PackmlDriver.abort, State.ABORTED), (PackmlDriver.stop, State.STOPPED)],
)
async def test_a_job_that_is_aborted_or_stopped_reports_what_fell(
    stand: Stand, inbox: Inbox, end: Callable[..., asyncio.Future[None]], state: State
) -> None:
    stand.reset(speed=20)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
        await until_fallen(stand, 5)
        await end(counter, timeout_s=LONG_S)
        result = await task
    assert stand.do(lambda: stand.model.current) is state
    assert not result.complete
    assert 5 <= result.counted == stand.dispensed < 30


async def test_a_job_holds_the_machine_against_clearing_resetting_and_another_mode(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
        await until_fallen(stand, 3)
        calls: list[Callable[[], Awaitable[None]]] = [
            lambda: counter.clear(timeout_s=0.02),
            lambda: counter.reset(timeout_s=0.02),
            lambda: counter.set_unit_mode(UnitMode.MANUAL, timeout_s=0.02),
        ]
        for call in calls:
            with pytest.raises(DeviceRefused, match="busy"):
                await call()
        assert (await task).complete


# ---------------------------------------------------------------- between jobs


async def test_an_aborted_machine_is_cleared_and_reset_and_counts_again(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.abort(timeout_s=LONG_S)
        await counter.abort(timeout_s=LONG_S)
        with pytest.raises(DeviceRefused) as caught:
            await counter.reset(timeout_s=LONG_S)
        assert caught.value.reason == "BadInvalidState"
        await counter.clear(timeout_s=LONG_S)
        assert await counter.state() is State.STOPPED
        await counter.reset(timeout_s=LONG_S)
        assert await counter.state() is State.IDLE
        assert (await counter.count(make_job(), timeout_s=LONG_S)).complete
        await counter.reset(timeout_s=LONG_S)
        assert await counter.state() is State.IDLE


async def test_what_the_state_forbids_is_refused_and_moves_nothing(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        for call in (counter.hold, counter.pause, counter.unhold, counter.resume):
            with pytest.raises(DeviceRefused) as caught:
                await call(timeout_s=SHORT_S)
            assert caught.value.moved is Moved.NO
    assert stand.do(lambda: stand.model.current) is State.STOPPED


async def test_acc_count_goes_on_over_jobs_and_resets(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        for number in range(2):
            await counter.count(make_job(f"417-{number}"), timeout_s=LONG_S)
        assert (await counter.totals()).processed == Tally(0, 30, 60)
        await counter.reset(timeout_s=LONG_S)
        assert (await counter.totals()).processed == Tally(0, 0, 60)


# ---------------------------------------------------------------- modes


async def test_no_job_is_started_unless_the_machine_produces(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        assert await counter.unit_mode() == UnitMode.PRODUCE
        await counter.set_unit_mode(UnitMode.MAINTENANCE, timeout_s=LONG_S)
        await counter.set_unit_mode(UnitMode.MAINTENANCE, timeout_s=LONG_S)
        assert stand.do(stand.model.state)["mode"] == "MAINTENANCE"
        with pytest.raises(DeviceRefused, match="in mode MAINTENANCE"):
            await counter.count(make_job(), timeout_s=LONG_S)
        assert inbox.messages == []
        await counter.set_unit_mode(UnitMode.PRODUCE, timeout_s=LONG_S)
        assert (await counter.count(make_job(), timeout_s=LONG_S)).complete


async def test_a_mode_that_cannot_be_or_does_not_come_is_an_error(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        with pytest.raises(DeviceRefused, match="SET_UNIT_MODE"):
            await counter.set_unit_mode(7, timeout_s=SHORT_S)
        stand.fault("mode_stuck", times=1)
        with pytest.raises(DeviceTimeout, match="mode 3: not in time") as caught:
            await counter.set_unit_mode(UnitMode.MANUAL, timeout_s=0.1)
        assert caught.value.moved is Moved.NO


async def test_a_machine_without_a_method_does_not_have_the_ability(
    stand: Stand, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(stand, inbox) as counter:
        nodes = counter._connected()._nodes
        for path in [path for path in nodes if path and path[-1][1] in {"Abort", "Hold"}]:
            monkeypatch.delitem(nodes, path)
        with pytest.raises(Unsupported, match="no ABORT"):
            await counter.abort(timeout_s=SHORT_S)
        with pytest.raises(Unsupported, match="no HOLD"):
            await counter.hold(timeout_s=SHORT_S)


# ---------------------------------------------------------------- lost lines


async def test_a_lost_answer_to_unhold_may_have_moved_pieces(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=20)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: counter.count(make_job(), timeout_s=LONG_S)))
        await until_fallen(stand, 5)
        await counter.hold(timeout_s=LONG_S)
        going = group.create_task(outcome(lambda: counter.unhold(timeout_s=SHORT_S)))
        await until_state(stand, "UNHOLDING")
        stand.fault("silence")
        lost = await going
        stand.fault("silence", on=False)
        assert isinstance(lost, DriverError)
        assert lost.moved is Moved.UNKNOWN
        await counter.close()
        assert isinstance(await task, DriverError)
        await soon(counter.connect)
