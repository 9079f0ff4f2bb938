"""What every counter must do: a true count or an error, never a wrong count."""

import asyncio
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

from drivers.base import (
    Counter,
    CountJob,
    CountReported,
    CountResult,
    DeviceFault,
    DeviceRefused,
    DeviceSpec,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Identity,
    Moved,
    ProtocolError,
    RawMessage,
    Unsupported,
)
from drivers.packml.codec import interpret
from drivers.packml.driver import PackmlDriver
from simulators.wire import Wire
from tests.contract.opcua_stand import Stand, a_stand
from tests.contract.tcp_proxy import tcp_proxy
from tests.contract.transports import Inbox, Line, outcome, until_done

LONG_S = 20.0
SHORT_S = 0.7
"""For jobs that are to be broken off; still long enough to start one on a busy computer."""
QUICK: dict[str, str | int | float | bool] = {"security": "none", "request_timeout_ms": 300}
T = TypeVar("T")


@pytest.fixture(scope="module")
def _stand() -> Iterator[Stand]:
    yield from a_stand()


@pytest.fixture
def stand(_stand: Stand) -> Stand:
    _stand.reset()
    return _stand


def _driver(stand: Stand, inbox: Inbox, **options: str | int | bool) -> PackmlDriver:
    given: dict[str, str | int | float | bool] = {
        "security": "none",
        "settle_ms": 5,
        "poll_ms": 10,
        "request_timeout_ms": 500,
    }
    return PackmlDriver(DeviceSpec("counter", stand.address, given | options), inbox.put)


@asynccontextmanager
async def _connected(
    stand: Stand, inbox: Inbox, **options: str | int | bool
) -> AsyncIterator[Counter]:
    driver = _driver(stand, inbox, **options)
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


def _job(job_id: str = "417-1", pieces: int = 30) -> CountJob:
    return CountJob(job_id, "00071015523", "EW0237", "shelf/A-03", pieces)


def _started(inbox: Inbox, job_id: str = "417-1") -> bytes:
    (raw,) = [message.raw for message in inbox.messages if message.key == f"start:{job_id}"]
    return raw


async def _soon(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call that is refused at first; the last refusal is raised."""

    async def later() -> T:
        await asyncio.sleep(0.05)
        return await call()

    return await until_done(later)


async def _seen(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not done():  # noqa: ASYNC110 - what is awaited happens in another thread
            await asyncio.sleep(0.002)


async def _until(stand: Stand, state: str) -> None:
    await _seen(lambda: stand.do(stand.model.state)["state"] == state)


async def _until_fallen(stand: Stand, pieces: int) -> None:
    await _seen(lambda: stand.dispensed >= pieces)


# ---------------------------------------------------------------- a job


async def test_a_job_counts_what_was_asked_on_every_faithful_line(
    stand: Stand, inbox: Inbox, faithful_line: Line
) -> None:
    stand.reset(line=faithful_line)
    async with _connected(stand, inbox, request_timeout_ms=4000) as counter:
        result = await counter.count(_job(), timeout_s=LONG_S)
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30


async def test_a_machine_says_what_it_is(stand: Stand, inbox: Inbox) -> None:
    driver = _driver(stand, inbox)
    identity = await driver.connect()
    await driver.close()
    assert identity == Identity("dispensed", "Simulated tablet counter", "SIM-0001", "1.0")


async def test_a_job_is_announced_before_it_is_started_and_reported_after(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
    assert [(message.key, message.kind) for message in inbox.messages] == [
        ("start:417-1", "start"),
        ("count:417-1", "count"),
    ]
    assert interpret(inbox.messages[0].raw) == ()
    assert interpret(inbox.messages[1].raw) == (
        CountReported("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 0, complete=True),
    )


async def test_a_job_is_not_started_when_its_announcement_cannot_be_stored(stand: Stand) -> None:
    async def refuse(_message: object) -> None:
        raise OSError("disk full")

    driver = PackmlDriver(DeviceSpec("counter", stand.address, {"security": "none"}), refuse)
    await driver.connect()
    with pytest.raises(OSError, match="disk full"):
        await driver.count(_job(), timeout_s=LONG_S)
    await driver.close()
    assert stand.do(lambda: stand.model.current).name == "IDLE"
    assert stand.dispensed == 0


async def test_the_same_job_twice_counts_once(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox) as counter:
        first = await counter.count(_job(), timeout_s=LONG_S)
        again = await counter.count(_job(), timeout_s=LONG_S)
    assert first == again
    assert stand.dispensed == 30


async def test_one_job_id_for_two_jobs_is_refused(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
        with pytest.raises(DeviceRefused, match="used for another job"):
            await counter.count(_job(pieces=60), timeout_s=LONG_S)
    assert stand.dispensed == 30


async def test_another_connection_does_not_count_a_job_that_the_machine_still_shows(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
    async with _connected(stand, Inbox()) as counter:
        with pytest.raises(DeviceFault, match="was started before") as caught:
            await counter.count(_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.UNKNOWN
    assert stand.dispensed == 30


async def test_jobs_asked_at_once_are_counted_one_after_the_other(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        results = await asyncio.gather(
            *(counter.count(_job(f"417-{n}", 10 + n), timeout_s=LONG_S) for n in range(3))
        )
    assert [result.counted for result in results] == [10, 11, 12]
    assert stand.dispensed == 33


async def test_a_job_that_cannot_wait_any_longer_is_refused(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with _connected(stand, inbox) as counter:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(counter.count(_job(), timeout_s=LONG_S))
            await _until(stand, "EXECUTE")
            with pytest.raises(DeviceRefused, match="busy") as caught:
                await counter.count(_job("418-1"), timeout_s=0.05)
        assert caught.value.moved is Moved.NO
        assert (await first).counted == 30


@pytest.mark.parametrize(("job_id", "pieces"), [("417-1", 0), ("417-1", 1 << 25), ("", 30)])
async def test_a_job_that_no_machine_can_do_is_refused(
    stand: Stand, inbox: Inbox, job_id: str, pieces: int
) -> None:
    async with _connected(stand, inbox) as counter:
        with pytest.raises(DeviceRefused):
            await counter.count(_job(job_id, pieces), timeout_s=LONG_S)
    assert inbox.messages == []


async def test_defective_pieces_are_told_apart(stand: Stand, inbox: Inbox) -> None:
    stand.set("defective_rate", "0.3")
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(pieces=60), timeout_s=LONG_S)
    assert result.counted == 60 == stand.dispensed
    assert result.defective == stand.number("physically_rejected") > 0


async def test_a_machine_that_counts_defective_pieces_as_processed_is_understood(
    stand: Stand, inbox: Inbox
) -> None:
    stand.set("defective_rate", "0.3")
    async with _connected(stand, inbox, processed_includes_defective=True) as counter:
        result = await counter.count(_job(pieces=60), timeout_s=LONG_S)
    assert result.defective == stand.number("physically_rejected") > 0
    assert result.counted == 60 - result.defective
    assert not result.complete


# ---------------------------------------------------------------- troubles at the machine


async def test_an_empty_hopper_gives_a_short_count(stand: Stand, inbox: Inbox) -> None:
    stand.set("hopper", "12")
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=SHORT_S)
        assert result == CountResult("417-1", counted=12, defective=0, complete=False)
        assert stand.dispensed == 12
        stand.set("hopper", "100")
        assert (await counter.count(_job("417-2", 18), timeout_s=LONG_S)).counted == 18


@pytest.mark.parametrize("fault", ["short_count", "jam"])
async def test_a_machine_that_waits_for_help_is_stopped_at_the_deadline(
    stand: Stand, inbox: Inbox, fault: str
) -> None:
    stand.fault(fault, times=1)
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=SHORT_S)
        assert not result.complete
        assert result.counted == stand.dispensed < 30
        assert (await counter.count(_job("418-1"), timeout_s=LONG_S)).complete


async def test_a_jam_that_is_cleared_in_time_does_no_harm(stand: Stand, inbox: Inbox) -> None:
    stand.fault("jam", times=1)
    async with _connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(_job(), timeout_s=LONG_S))
        await _until(stand, "HELD")
        stand.set("operator", "Unhold")
        result = await task
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30


async def test_an_aborted_job_reports_what_fell(stand: Stand, inbox: Inbox) -> None:
    stand.fault("abort", times=1)
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=LONG_S)
        assert not result.complete
        assert result.counted == stand.dispensed < 30
        assert b'"state":"ABORTED"' in inbox.messages[-1].raw
        with pytest.raises(DeviceRefused, match="ABORTED") as caught:
            await counter.count(_job("418-1"), timeout_s=LONG_S)
        assert caught.value.moved is Moved.NO
        stand.set("operator", "Clear")
        assert (await _soon(lambda: counter.count(_job("418-1"), timeout_s=LONG_S))).complete


async def test_an_aborted_machine_is_cleared_when_that_is_allowed(
    stand: Stand, inbox: Inbox
) -> None:
    stand.fault("abort", times=1)
    async with _connected(stand, inbox, clear_aborted=True) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
        assert (await counter.count(_job("418-1"), timeout_s=LONG_S)).complete


async def test_a_job_stopped_at_the_machine_reports_what_fell(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with _connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(_job(), timeout_s=LONG_S))
        await _until_fallen(stand, 5)
        stand.set("operator", "Stop")
        result = await task
    assert not result.complete
    assert 5 <= result.counted == stand.dispensed < 30


async def test_a_slow_machine_is_stopped_at_the_deadline(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    stand.fault("slow_feed")
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=SHORT_S)
    assert not result.complete
    assert result.counted == stand.dispensed < 30


async def test_a_machine_that_accepts_and_does_not_start_counts_nothing(
    stand: Stand, inbox: Inbox
) -> None:
    stand.fault("no_start", times=1)
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=SHORT_S)
        assert result == CountResult("417-1", counted=0, defective=0, complete=False)
        assert (await counter.count(_job("418-1"), timeout_s=LONG_S)).complete
    assert stand.dispensed == 30


async def test_a_machine_that_is_at_work_is_left_alone(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with _connected(stand, inbox) as counter:
        stand.set("operator", "Reset")
        await _until(stand, "IDLE")
        stand.set("panel", "30")
        await _until(stand, "EXECUTE")
        with pytest.raises(DeviceRefused, match="EXECUTE"):
            await counter.count(_job(), timeout_s=LONG_S)
    assert inbox.messages == []


async def test_a_parameter_name_that_the_machine_does_not_know_is_refused(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox, target_parameter="Quantity") as counter:
        with pytest.raises(DeviceRefused) as caught:
            await counter.count(_job(), timeout_s=LONG_S)
        assert caught.value.reason == "BadInvalidState"
        assert caught.value.moved is Moved.NO
        assert await counter.reconcile(_job(), _started(inbox)) == CountResult(
            "417-1", counted=0, defective=0, complete=False
        )
    assert stand.dispensed == 0


# ---------------------------------------------------------------- the counts


@pytest.mark.parametrize("seed", range(4))
async def test_a_count_survives_a_reset_in_the_middle(
    stand: Stand, inbox: Inbox, seed: int
) -> None:
    stand.reset(seed=seed, speed=5)
    stand.fault("counter_reset", times=1)
    async with _connected(stand, inbox, poll_ms=5) as counter:
        result = await counter.count(_job(), timeout_s=LONG_S)
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.number("processed_count") < 30
    assert stand.dispensed == 30


async def test_a_machine_that_never_resets_count_is_counted_as_a_difference(
    stand: Stand, inbox: Inbox
) -> None:
    stand.set("count_per_job", "0")
    async with _connected(stand, inbox) as counter:
        for number in range(3):
            assert (await counter.count(_job(f"417-{number}"), timeout_s=LONG_S)).counted == 30
    assert stand.number("processed_count") == 90


async def test_a_reset_of_both_counts_is_an_error_and_not_a_count(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=20)
    async with _connected(stand, inbox) as counter:
        await counter.count(_job("416-1"), timeout_s=LONG_S)
        stand.fault("acc_reset", times=1)
        with pytest.raises(Disagreement) as caught:
            await counter.count(_job(), timeout_s=LONG_S)
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceFault, match="end is not known"):
            await counter.count(_job(), timeout_s=LONG_S)
        with pytest.raises(Disagreement):
            await counter.reconcile(_job(), _started(inbox))
    assert "count:417-1" not in [message.key for message in inbox.messages]


async def test_a_reset_of_both_counts_from_nothing_is_found_by_the_missing_pieces(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(seed=1, speed=500)
    stand.fault("acc_reset", times=1)
    async with _connected(stand, inbox) as counter:
        with pytest.raises(Disagreement) as caught:
            await counter.count(_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_job_that_is_completed_by_hand_is_an_error_and_not_a_count(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    async with _connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: counter.count(_job(), timeout_s=LONG_S)))
        await _until_fallen(stand, 3)
        stand.set("operator", "ToComplete")
        given = await task
    assert isinstance(given, Disagreement)
    assert given.moved is Moved.UNKNOWN


async def test_a_machine_that_lies_is_reported_as_it_says(stand: Stand, inbox: Inbox) -> None:
    stand.fault("miscount", times=1)
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=LONG_S)
    assert result.counted == 30
    assert stand.dispensed == 29


# ---------------------------------------------------------------- lost lines


async def test_a_lost_line_in_the_middle_leaves_the_job_in_doubt_until_it_is_reconciled(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    driver = _driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(_job(), timeout_s=LONG_S)))
        await _until_fallen(stand, 5)
        stand.fault("cut", times=1)
    lost = task.result()
    assert isinstance(lost, DriverError)
    assert lost.moved is Moved.UNKNOWN
    await _soon(driver.connect)
    with pytest.raises(DeviceFault, match="end is not known"):
        await driver.count(_job(), timeout_s=LONG_S)
    result = await driver.reconcile(_job(), _started(inbox))
    await driver.close()
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30
    assert inbox.messages[-1].key == "count:417-1"


async def test_silence_in_the_middle_is_a_timeout_that_may_have_moved_pieces(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    driver = _driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(_job(), timeout_s=LONG_S)))
        await _until_fallen(stand, 5)
        stand.fault("silence")
    lost = task.result()
    assert isinstance(lost, DeviceTimeout)
    assert lost.moved is Moved.UNKNOWN
    stand.fault("silence", on=False)
    await driver.connect()
    result = await driver.reconcile(_job(), _started(inbox))
    await driver.close()
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)


async def test_a_line_lost_before_the_start_has_moved_nothing(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox) as counter:
        stand.fault("silence")
        with pytest.raises(DeviceTimeout) as caught:
            await counter.count(_job(), timeout_s=LONG_S)
        assert caught.value.moved is Moved.NO
    assert inbox.messages == []


async def test_a_job_that_is_done_when_the_line_returns_can_be_told_by_a_new_driver(
    stand: Stand, inbox: Inbox
) -> None:
    driver = _driver(stand, inbox)
    await driver.connect()
    stand.reset(speed=20)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: driver.count(_job(), timeout_s=LONG_S)))
        await _until_fallen(stand, 3)
        await driver.close()
    assert isinstance(task.result(), DriverError)
    await _until(stand, "COMPLETE")
    async with _connected(stand, inbox) as counter:
        result = await counter.reconcile(_job(), _started(inbox))
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)


async def test_a_further_job_at_the_machine_makes_the_earlier_one_untellable(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
    stand.set("operator", "Reset")
    await _until(stand, "IDLE")
    stand.set("panel", "20")
    await _until(stand, "COMPLETE")
    async with _connected(stand, Inbox()) as counter:
        with pytest.raises(Disagreement, match="cannot be told") as caught:
            await counter.reconcile(_job(), _started(inbox))
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
    lost = await outcome(lambda: driver.count(_job(), timeout_s=LONG_S))
    assert isinstance(lost, DeviceTimeout)
    assert lost.moved is Moved.UNKNOWN
    stand.fault("deaf", on=False)
    await driver.connect()
    assert await driver.reconcile(_job(), _started(inbox)) == CountResult(
        "417-1", counted=0, defective=0, complete=False
    )
    await driver.close()
    assert stand.do(lambda: stand.model.current).name == "STOPPED"


async def test_a_job_that_was_never_announced_was_never_started(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox) as counter:
        assert await counter.reconcile(_job(), None) is None
    assert inbox.messages == []


async def test_a_known_result_is_delivered_again_when_it_is_reconciled(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        result = await counter.count(_job(), timeout_s=LONG_S)
        assert await counter.reconcile(_job(), _started(inbox)) == result
    assert inbox.messages[1] == inbox.messages[2]


@pytest.mark.parametrize("started", [b"", b"\xff", b"{}"])
async def test_an_unreadable_start_message_cannot_be_reconciled(
    stand: Stand, inbox: Inbox, started: bytes
) -> None:
    async with _connected(stand, inbox) as counter:
        with pytest.raises(ProtocolError) as caught:
            await counter.reconcile(_job(), started)
    assert caught.value.moved is Moved.UNKNOWN


async def test_the_start_message_of_another_job_cannot_be_reconciled(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
        with pytest.raises(ProtocolError, match="417-1") as caught:
            await counter.reconcile(_job("418-1"), _started(inbox))
    assert caught.value.moved is Moved.UNKNOWN


async def test_reconciling_without_a_line_leaves_the_job_in_doubt(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
    with pytest.raises(DeviceUnavailable) as caught:
        await _driver(stand, inbox).reconcile(_job(), _started(inbox))
    assert caught.value.moved is Moved.UNKNOWN


async def test_without_a_line_nothing_can_be_counted(stand: Stand, inbox: Inbox) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        await _driver(stand, inbox).count(_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.NO


async def test_lines_cut_at_any_moment_lose_and_double_nothing(stand: Stand) -> None:
    chance = random.Random(4)
    booked = 0
    for number in range(8):
        inbox = Inbox()
        stand.reset(seed=number, speed=20)
        job = _job(f"417-{number}")
        driver = _driver(stand, inbox)
        await _soon(driver.connect)
        count = functools.partial(driver.count, job, timeout_s=LONG_S)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(outcome(count))
            await asyncio.sleep(chance.uniform(0.0, 0.25))
            stand.fault("cut", times=1)
        given = task.result()
        if isinstance(given, DriverError):
            await _soon(driver.connect)
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
    async with _connected(stand, Inbox(), clear_aborted=True) as counter:
        await counter.count(_job(), timeout_s=LONG_S)
        for number in range(12):
            for fault in ("jam", "short_count", "counter_reset", "acc_reset", "abort", "no_start"):
                if chance.random() < 0.1:
                    stand.fault(fault, times=1)
            before = stand.dispensed
            job = _job(f"500-{number}", chance.randint(1, 60))
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
    driver = _driver(stand, inbox)
    await driver.connect()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(outcome(driver.watch))
        await asyncio.sleep(0)
        stand.fault("cut", times=1)
    assert isinstance(watching.result(), DeviceUnavailable)
    await _soon(driver.connect)
    assert (await driver.count(_job(), timeout_s=LONG_S)).counted == 30
    await driver.close()


async def test_silence_ends_the_watch(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox, keepalive_ms=100) as counter:
        stand.fault("silence")
        assert isinstance(await outcome(counter.watch), DriverError)


async def test_closing_ends_the_watch_and_may_be_done_twice(stand: Stand, inbox: Inbox) -> None:
    driver = _driver(stand, inbox)
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
    driver = PackmlDriver(DeviceSpec("counter", address, {"security": "none"}), inbox.put)
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
        await _driver(stand, inbox, serial="SIM-0002").connect()
    async with _connected(stand, inbox, serial="SIM-0001"):
        pass


async def test_the_machine_can_be_named_by_its_path(stand: Stand, inbox: Inbox) -> None:
    async with _connected(stand, inbox, root="Machines/Counter") as counter:
        assert (await counter.count(_job(), timeout_s=LONG_S)).counted == 30
    with pytest.raises(DeviceUnavailable, match="0 nodes named 'Robot'"):
        await _driver(stand, inbox, root="Machines/Robot").connect()


async def test_an_object_that_is_no_counter_is_not_used(stand: Stand, inbox: Inbox) -> None:
    with pytest.raises(Unsupported, match="BaseStateMachine"):
        await _driver(stand, inbox, root="Server").connect()


async def test_a_count_that_the_machine_does_not_have_is_an_error(
    stand: Stand, inbox: Inbox
) -> None:
    async with _connected(stand, inbox, count_index=3) as counter:
        with pytest.raises(ProtocolError, match="number 3"):
            await counter.count(_job(), timeout_s=LONG_S)
    assert inbox.messages == []
