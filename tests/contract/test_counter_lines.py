"""A counter on lost lines: nothing is lost, nothing counted twice, and no restart is needed."""

import asyncio
import functools
import random

import pytest

from drivers.base import CountResult, DeviceSpec, RawMessage
from drivers.errors import (
    DeviceFault,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.packml.driver import PackmlDriver
from simulators.wire import Wire
from tests.contract.counters import (
    LONG_S,
    PLAIN,
    QUICK,
    SHORT_S,
    connected,
    make_driver,
    make_job,
    soon,
    start_of,
    until_fallen,
    until_state,
)
from tests.contract.opcua_stand import Stand
from tests.contract.tcp_proxy import tcp_proxy
from tests.contract.transports import Inbox, outcome

# ---------------------------------------------------------------- lost lines


@pytest.mark.parametrize("fault", ["cut", "cut_mid_frame", "half_open"])
async def test_a_lost_line_in_the_middle_leaves_the_job_in_doubt_until_it_is_reconciled(
    stand: Stand, inbox: Inbox, fault: str
) -> None:
    stand.reset(speed=5)
    driver = make_driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(make_job(), timeout_s=LONG_S)))
        await until_fallen(stand, 5)
        stand.fault(fault, times=1)
    lost = task.result()
    assert isinstance(lost, DriverError)
    assert lost.moved is Moved.UNKNOWN
    await soon(driver.connect)
    with pytest.raises(DeviceFault, match="end is not known"):
        await driver.count(make_job(), timeout_s=LONG_S)
    result = await driver.reconcile(make_job(), start_of(inbox))
    await driver.close()
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30
    assert inbox.messages[-1].key == "count:417-1"


async def test_silence_in_the_middle_is_a_timeout_that_may_have_moved_pieces(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    driver = make_driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(make_job(), timeout_s=LONG_S)))
        await until_fallen(stand, 5)
        stand.fault("silence")
    lost = task.result()
    assert isinstance(lost, DeviceTimeout)
    assert lost.moved is Moved.UNKNOWN
    stand.fault("silence", on=False)
    await driver.connect()
    result = await driver.reconcile(make_job(), start_of(inbox))
    await driver.close()
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)


async def test_a_line_lost_before_the_start_has_moved_nothing(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        stand.fault("silence")
        with pytest.raises(DeviceTimeout) as caught:
            await counter.count(make_job(), timeout_s=LONG_S)
        assert caught.value.moved is Moved.NO
    assert inbox.messages == []


async def test_a_job_that_is_done_when_the_line_returns_can_be_told_by_a_new_driver(
    stand: Stand, inbox: Inbox
) -> None:
    driver = make_driver(stand, inbox)
    await driver.connect()
    stand.reset(speed=20)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(make_job(), timeout_s=LONG_S)))
        await until_fallen(stand, 3)
        await driver.close()
    assert isinstance(task.result(), DriverError)
    await until_state(stand, "COMPLETE")
    async with connected(stand, inbox) as counter:
        result = await counter.reconcile(make_job(), start_of(inbox))
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)


async def test_a_further_job_at_the_machine_makes_the_earlier_one_untellable(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
    stand.set("operator", "Reset")
    await until_state(stand, "IDLE")
    stand.set("panel", "20")
    await until_state(stand, "COMPLETE")
    async with connected(stand, Inbox()) as counter:
        with pytest.raises(Disagreement, match="cannot be told") as caught:
            await counter.reconcile(make_job(), start_of(inbox))
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_start_that_never_arrived_counts_nothing_and_cannot_arrive_later(
    stand: Stand,
) -> None:
    inbox = Inbox()

    async def put(message: RawMessage) -> None:
        await inbox.put(message)
        stand.fault("deaf")

    driver = PackmlDriver(DeviceSpec("counter", stand.address, QUICK), put)
    await driver.connect()
    lost = await outcome(lambda: driver.count(make_job(), timeout_s=LONG_S))
    assert isinstance(lost, DeviceTimeout)
    assert lost.moved is Moved.UNKNOWN
    stand.fault("deaf", on=False)
    await driver.connect()
    assert await driver.reconcile(make_job(), start_of(inbox)) == CountResult(
        "417-1", counted=0, defective=0, complete=False
    )
    await driver.close()
    assert stand.do(lambda: stand.model.current).name == "STOPPED"


async def test_a_job_that_was_never_announced_was_never_started(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        assert await counter.reconcile(make_job(), None) is None
    assert inbox.messages == []


async def test_a_known_result_is_delivered_again_when_it_is_reconciled(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=LONG_S)
        assert await counter.reconcile(make_job(), start_of(inbox)) == result
    assert inbox.messages[1] == inbox.messages[2]


@pytest.mark.parametrize("started", [b"", b"\xff", b"{}"])
async def test_an_unreadable_start_message_cannot_be_reconciled(
    stand: Stand, inbox: Inbox, started: bytes
) -> None:
    async with connected(stand, inbox) as counter:
        with pytest.raises(ProtocolError) as caught:
            await counter.reconcile(make_job(), started)
    assert caught.value.moved is Moved.UNKNOWN


async def test_the_start_message_of_another_job_cannot_be_reconciled(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
        with pytest.raises(ProtocolError, match="417-1") as caught:
            await counter.reconcile(make_job("418-1"), start_of(inbox))
    assert caught.value.moved is Moved.UNKNOWN


async def test_reconciling_without_a_line_leaves_the_job_in_doubt(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
    with pytest.raises(DeviceUnavailable) as caught:
        await make_driver(stand, inbox).reconcile(make_job(), start_of(inbox))
    assert caught.value.moved is Moved.UNKNOWN


async def test_without_a_line_nothing_can_be_counted(stand: Stand, inbox: Inbox) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        await make_driver(stand, inbox).count(make_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.NO


async def test_lines_cut_at_any_moment_lose_and_double_nothing(stand: Stand) -> None:
    chance = random.Random(4)
    booked = 0
    for number in range(8):
        inbox = Inbox()
        stand.reset(seed=number, speed=20)
        job = make_job(f"417-{number}")
        driver = make_driver(stand, inbox)
        await soon(driver.connect)
        count = functools.partial(driver.count, job, timeout_s=LONG_S)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outcome(count))
            await asyncio.sleep(chance.uniform(0.0, 0.25))
            stand.fault("cut", times=1)
        given = task.result()
        if isinstance(given, DriverError):
            await soon(driver.connect)
            started = [m.raw for m in inbox.messages if m.kind == "start"]
            found = await driver.reconcile(job, started[0] if started else None)
            booked = 0 if found is None else found.counted
        else:
            booked = given.counted
        await driver.close()
        assert booked == stand.dispensed


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_a_count_is_true_or_an_error(stand: Stand, seed: int) -> None:
    chance = random.Random(seed)
    stand.reset(seed=seed, speed=500)
    stand.set("defective_rate", "0.05")
    async with connected(stand, Inbox(), clear_aborted=True) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
        for number in range(12):
            for fault in ("jam", "short_count", "counter_reset", "acc_reset", "abort", "no_start"):
                if chance.random() < 0.1:
                    stand.fault(fault, times=1)
            before = stand.dispensed
            job = make_job(f"500-{number}", chance.randint(1, 60))
            given = await outcome(functools.partial(counter.count, job, timeout_s=SHORT_S))
            fallen = stand.dispensed - before
            if isinstance(given, CountResult):
                assert given.counted == fallen
                assert given.complete == (fallen >= job.pieces)
            elif given.moved is Moved.NO:
                assert fallen == 0


# ---------------------------------------------------------------- the life of a connection


async def test_a_cut_line_ends_the_watch_and_the_same_driver_works_again(
    stand: Stand, inbox: Inbox
) -> None:
    driver = make_driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(outcome(driver.watch))
        await asyncio.sleep(0)
        stand.fault("cut", times=1)
    assert isinstance(watching.result(), DeviceUnavailable)
    await soon(driver.connect)
    assert (await driver.count(make_job(), timeout_s=LONG_S)).counted == 30
    await driver.close()


async def test_silence_ends_the_watch(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox, keepalive_ms=100) as counter:
        stand.fault("silence")
        assert isinstance(await outcome(counter.watch), DriverError)


async def test_closing_ends_the_watch_and_may_be_done_twice(stand: Stand, inbox: Inbox) -> None:
    driver = make_driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(outcome(driver.watch))
        await asyncio.sleep(0)
        await driver.close()
        await driver.close()
    assert isinstance(watching.result(), DeviceUnavailable)
    assert isinstance(await outcome(driver.watch), DeviceUnavailable)


async def test_a_port_where_nobody_listens_is_unavailable(stand: Stand, inbox: Inbox) -> None:
    async with tcp_proxy(stand.address, Wire()) as address:
        pass
    driver = PackmlDriver(DeviceSpec("counter", address, PLAIN), inbox.put)
    with pytest.raises(DeviceUnavailable) as caught:
        await driver.connect()
    assert caught.value.moved is Moved.NO


@pytest.mark.parametrize("noise", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100])
async def test_a_port_where_something_else_answers_is_an_error(inbox: Inbox, noise: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(noise)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = f"opc.tcp://127.0.0.1:{port}"
        driver = PackmlDriver(DeviceSpec("counter", address, QUICK), inbox.put)
        assert isinstance(await outcome(driver.connect), DriverError)


async def test_a_machine_with_another_serial_number_is_not_used(stand: Stand, inbox: Inbox) -> None:
    with pytest.raises(DeviceUnavailable, match="SIM-0001"):
        await make_driver(stand, inbox, serial="SIM-0002").connect()
    async with connected(stand, inbox, serial="SIM-0001"):
        pass


async def test_the_machine_can_be_named_by_its_path(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox, root="Machines/Counter") as counter:
        assert (await counter.count(make_job(), timeout_s=LONG_S)).counted == 30
    with pytest.raises(DeviceUnavailable, match="0 nodes named 'Robot'"):
        await make_driver(stand, inbox, root="Machines/Robot").connect()


async def test_an_object_that_is_no_counter_is_not_used(stand: Stand, inbox: Inbox) -> None:
    with pytest.raises(Unsupported, match="BaseStateMachine"):
        await make_driver(stand, inbox, root="Server").connect()


async def test_a_count_that_the_machine_does_not_have_is_an_error(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox, count_index=3) as counter:
        with pytest.raises(ProtocolError, match="number 3"):
            await counter.count(make_job(), timeout_s=LONG_S)
    assert inbox.messages == []
