"""What every counter must do at a job: a true count or an error, never a wrong count."""

import asyncio

import pytest

from drivers.base import CountResult, DeviceSpec, Identity
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    Disagreement,
    Moved,
    Unsupported,
)
from drivers.facts import CountReported
from drivers.packml.codec import interpret
from drivers.packml.driver import PackmlDriver
from tests.contract.counters import (
    LONG_S,
    PLAIN,
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
from tests.contract.transports import Inbox, Line, outcome

# ---------------------------------------------------------------- a job


async def test_a_job_counts_what_was_asked_on_every_faithful_line(
    stand: Stand, inbox: Inbox, faithful_line: Line
) -> None:
    stand.reset(line=faithful_line)
    async with connected(stand, inbox, request_timeout_ms=4000) as counter:
        result = await counter.count(make_job(), timeout_s=LONG_S)
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30


async def test_a_machine_says_what_it_is(stand: Stand, inbox: Inbox) -> None:
    driver = make_driver(stand, inbox)
    identity = await driver.connect()
    await driver.close()
    assert identity == Identity(
        "dispensed",
        "Simulated tablet counter",
        "SIM-0001",
        "1.0",
        link="None (unprotected), anonymous",
    )


async def test_a_machine_that_counts_pieces_weighs_none(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        with pytest.raises(Unsupported, match="it does not weigh them"):
            await counter.sample("a", 10, timeout_s=1.0)


async def test_a_job_is_announced_before_it_is_started_and_reported_after(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
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

    driver = PackmlDriver(DeviceSpec("counter", stand.address, PLAIN), refuse)
    await driver.connect()
    with pytest.raises(OSError, match="disk full"):
        await driver.count(make_job(), timeout_s=LONG_S)
    await driver.close()
    assert stand.do(lambda: stand.model.current).name == "IDLE"
    assert stand.dispensed == 0


async def test_the_same_job_twice_counts_once(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        first = await counter.count(make_job(), timeout_s=LONG_S)
        again = await counter.count(make_job(), timeout_s=LONG_S)
    assert first == again
    assert stand.dispensed == 30


async def test_one_job_id_for_two_jobs_is_refused(stand: Stand, inbox: Inbox) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
        with pytest.raises(DeviceRefused, match="used for another job"):
            await counter.count(make_job(pieces=60), timeout_s=LONG_S)
    assert stand.dispensed == 30


async def test_another_connection_does_not_count_a_job_that_the_machine_still_shows(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
    async with connected(stand, Inbox()) as counter:
        with pytest.raises(DeviceFault, match="was started before") as caught:
            await counter.count(make_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.UNKNOWN
    assert stand.dispensed == 30


async def test_jobs_asked_at_once_are_counted_one_after_the_other(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox) as counter:
        results = await asyncio.gather(
            *(counter.count(make_job(f"417-{n}", 10 + n), timeout_s=LONG_S) for n in range(3))
        )
    assert [result.counted for result in results] == [10, 11, 12]
    assert stand.dispensed == 33


async def test_a_job_that_cannot_wait_any_longer_is_refused(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with connected(stand, inbox) as counter:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
            await until_state(stand, "EXECUTE")
            with pytest.raises(DeviceRefused, match="busy") as caught:
                await counter.count(make_job("418-1"), timeout_s=0.05)
        assert caught.value.moved is Moved.NO
        assert (await first).counted == 30


@pytest.mark.parametrize(("job_id", "pieces"), [("417-1", 0), ("417-1", 1 << 25), ("", 30)])
async def test_a_job_that_no_machine_can_do_is_refused(
    stand: Stand, inbox: Inbox, job_id: str, pieces: int
) -> None:
    async with connected(stand, inbox) as counter:
        with pytest.raises(DeviceRefused):
            await counter.count(make_job(job_id, pieces), timeout_s=LONG_S)
    assert inbox.messages == []


async def test_defective_pieces_are_told_apart(stand: Stand, inbox: Inbox) -> None:
    stand.set("defective_rate", "0.3")
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(pieces=60), timeout_s=LONG_S)
    assert result.counted == 60 == stand.dispensed
    assert result.defective == stand.number("physically_rejected") > 0


async def test_a_machine_that_counts_defective_pieces_as_processed_is_understood(
    stand: Stand, inbox: Inbox
) -> None:
    stand.set("defective_rate", "0.3")
    async with connected(stand, inbox, processed_includes_defective=True) as counter:
        result = await counter.count(make_job(pieces=60), timeout_s=LONG_S)
    assert result.defective == stand.number("physically_rejected") > 0
    assert result.counted == 60 - result.defective
    assert not result.complete


# ---------------------------------------------------------------- troubles at the machine


async def test_an_empty_hopper_gives_a_short_count(stand: Stand, inbox: Inbox) -> None:
    stand.set("hopper", "12")
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=SHORT_S)
        assert result == CountResult("417-1", counted=12, defective=0, complete=False)
        assert stand.dispensed == 12
        stand.set("hopper", "100")
        assert (await counter.count(make_job("417-2", 18), timeout_s=LONG_S)).counted == 18


@pytest.mark.parametrize("fault", ["short_count", "jam"])
async def test_a_machine_that_waits_for_help_is_stopped_at_the_deadline(
    stand: Stand, inbox: Inbox, fault: str
) -> None:
    stand.fault(fault, times=1)
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=SHORT_S)
        assert not result.complete
        assert result.counted == stand.dispensed < 30
        assert (await counter.count(make_job("418-1"), timeout_s=LONG_S)).complete


async def test_a_jam_that_is_cleared_in_time_does_no_harm(stand: Stand, inbox: Inbox) -> None:
    stand.fault("jam", times=1)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
        await until_state(stand, "HELD")
        stand.set("operator", "Unhold")
        result = await task
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.dispensed == 30


async def test_an_aborted_job_reports_what_fell(stand: Stand, inbox: Inbox) -> None:
    stand.fault("abort", times=1)
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=LONG_S)
        assert not result.complete
        assert result.counted == stand.dispensed < 30
        assert b'"state":"ABORTED"' in inbox.messages[-1].raw
        with pytest.raises(DeviceRefused, match="ABORTED") as caught:
            await counter.count(make_job("418-1"), timeout_s=LONG_S)
        assert caught.value.moved is Moved.NO
        stand.set("operator", "Clear")
        assert (await soon(lambda: counter.count(make_job("418-1"), timeout_s=LONG_S))).complete


async def test_an_aborted_machine_is_cleared_when_that_is_allowed(
    stand: Stand, inbox: Inbox
) -> None:
    stand.fault("abort", times=1)
    async with connected(stand, inbox, clear_aborted=True) as counter:
        await counter.count(make_job(), timeout_s=LONG_S)
        assert (await counter.count(make_job("418-1"), timeout_s=LONG_S)).complete


async def test_a_job_stopped_at_the_machine_reports_what_fell(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(counter.count(make_job(), timeout_s=LONG_S))
        await until_fallen(stand, 5)
        stand.set("operator", "Stop")
        result = await task
    assert not result.complete
    assert 5 <= result.counted == stand.dispensed < 30


async def test_a_slow_machine_is_stopped_at_the_deadline(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    stand.fault("slow_feed")
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=SHORT_S)
    assert not result.complete
    assert result.counted == stand.dispensed < 30


async def test_a_machine_that_accepts_and_does_not_start_counts_nothing(
    stand: Stand, inbox: Inbox
) -> None:
    stand.fault("no_start", times=1)
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=SHORT_S)
        assert result == CountResult("417-1", counted=0, defective=0, complete=False)
        assert (await counter.count(make_job("418-1"), timeout_s=LONG_S)).complete
    assert stand.dispensed == 30


async def test_a_machine_that_is_at_work_is_left_alone(stand: Stand, inbox: Inbox) -> None:
    stand.reset(speed=5)
    async with connected(stand, inbox) as counter:
        stand.set("operator", "Reset")
        await until_state(stand, "IDLE")
        stand.set("panel", "30")
        await until_state(stand, "EXECUTE")
        with pytest.raises(DeviceRefused, match="EXECUTE"):
            await counter.count(make_job(), timeout_s=LONG_S)
    assert inbox.messages == []


async def test_a_parameter_name_that_the_machine_does_not_know_is_refused(
    stand: Stand, inbox: Inbox
) -> None:
    async with connected(stand, inbox, target_parameter="Quantity") as counter:
        with pytest.raises(DeviceRefused) as caught:
            await counter.count(make_job(), timeout_s=LONG_S)
        assert caught.value.reason == "BadInvalidState"
        assert caught.value.moved is Moved.NO
        assert await counter.reconcile(make_job(), start_of(inbox)) == CountResult(
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
    async with connected(stand, inbox, poll_ms=5) as counter:
        result = await counter.count(make_job(), timeout_s=LONG_S)
    assert result == CountResult("417-1", counted=30, defective=0, complete=True)
    assert stand.number("processed_count") < 30
    assert stand.dispensed == 30


async def test_a_machine_that_never_resets_count_is_counted_as_a_difference(
    stand: Stand, inbox: Inbox
) -> None:
    stand.set("count_per_job", "0")
    async with connected(stand, inbox) as counter:
        for number in range(3):
            assert (await counter.count(make_job(f"417-{number}"), timeout_s=LONG_S)).counted == 30
    assert stand.number("processed_count") == 90


async def test_a_reset_of_both_counts_is_an_error_and_not_a_count(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=20)
    async with connected(stand, inbox) as counter:
        await counter.count(make_job("416-1"), timeout_s=LONG_S)
        stand.fault("acc_reset", times=1)
        with pytest.raises(Disagreement) as caught:
            await counter.count(make_job(), timeout_s=LONG_S)
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceFault, match="end is not known"):
            await counter.count(make_job(), timeout_s=LONG_S)
        with pytest.raises(Disagreement):
            await counter.reconcile(make_job(), start_of(inbox))
    assert "count:417-1" not in [message.key for message in inbox.messages]


async def test_a_reset_of_both_counts_from_nothing_is_found_by_the_missing_pieces(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(seed=1, speed=500)
    stand.fault("acc_reset", times=1)
    async with connected(stand, inbox) as counter:
        with pytest.raises(Disagreement) as caught:
            await counter.count(make_job(), timeout_s=LONG_S)
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_job_that_is_completed_by_hand_is_an_error_and_not_a_count(
    stand: Stand, inbox: Inbox
) -> None:
    stand.reset(speed=5)
    async with connected(stand, inbox) as counter, asyncio.TaskGroup() as group:
        task = group.create_task(outcome(lambda: counter.count(make_job(), timeout_s=LONG_S)))
        await until_fallen(stand, 3)
        stand.set("operator", "ToComplete")
        given = await task
    assert isinstance(given, Disagreement)
    assert given.moved is Moved.UNKNOWN


async def test_a_machine_that_lies_is_reported_as_it_says(stand: Stand, inbox: Inbox) -> None:
    stand.fault("miscount", times=1)
    async with connected(stand, inbox) as counter:
        result = await counter.count(make_job(), timeout_s=LONG_S)
    assert result.counted == 30
    assert stand.dispensed == 29
