"""What every driver of drawers owes, against its simulator over every line and fault.

It never says open when a drawer is not, a request never fires a lock twice, an error with moved NO
fired nothing, each opening and shutting is reported once, and the driver recovers by itself.
"""

import asyncio
import contextlib
from collections import Counter

import pytest

from drivers.base import DrawerState, RawMessage
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
)
from drivers.facts import DrawerReported
from drivers.lockboard.driver import LockboardDriver
from tests.contract.drawer_benches import (
    IMPATIENT,
    PATIENCE_S,
    Bench,
    Value,
    connected,
    lockboard_bench,
)
from tests.contract.transports import ECHOING, Line, outcome, reconnecting, until_done

BOARDS = ("kr-cu16", "cu48", "winnsen")
SUMMED_AND_NOT = ("kr-cu16", "winnsen")
"""A dialect with a checksum and one without; tried side by side, which takes half the time."""


@pytest.fixture(params=BOARDS)
def kind(request: pytest.FixtureRequest) -> str:
    given: str = request.param
    return given


def told(states: tuple[DrawerState, ...]) -> dict[str, bool | None]:
    return {state.drawer: state.is_open for state in states}


async def opens_honestly(bench: Bench) -> None:
    """Open by command and by hand; whatever is said must be true."""
    bench.truth.set("open", bench.b)
    said = await outcome(lambda: bench.open(bench.d, "r1", 0.08))
    fired = bench.truth.pulses(bench.d)
    if isinstance(said, DriverError):
        assert fired == 0 or said.moved is Moved.UNKNOWN
    else:
        assert fired == 1
        assert said == DrawerState(bench.d, is_open=True, locked=False)
        assert bench.truth.is_open(bench.d)
    await outcome(lambda: bench.open(bench.d, "r1", 0.02))
    assert bench.truth.pulses(bench.d) <= 1
    says_what_is(bench, await outcome(bench.drawers.drawers))
    assert all(bench.truth.is_open(fact.drawer) for fact in bench.facts())


def says_what_is(bench: Bench, said: tuple[DrawerState, ...] | DriverError) -> None:
    for state in () if isinstance(said, DriverError) else said:
        assert state.is_open in (None, bench.truth.is_open(state.drawer))


async def opens_afterwards(bench: Bench, *, reconnect: bool) -> None:
    """The same driver opens a drawer and tells all of them, once the line is clean."""
    bench.truth.set("shut", "all")
    name = bench.names[2]

    async def try_to_open() -> DrawerState:
        return await bench.open(name, "afterwards", 0.5)

    if reconnect:
        await reconnecting(bench.drawers, try_to_open)
    else:
        await until_done(try_to_open)
    states = told(await until_done(bench.drawers.drawers))
    assert states == {each: each == name for each in bench.names}
    assert bench.truth.pulses(name) == 1


# ---------------------------------------------------------------- lines


async def test_on_a_faithful_line_a_drawer_is_opened_told_and_reported(
    kind: str, faithful_line: Line
) -> None:
    async with connected(kind, faithful_line, pty=kind == "cu48") as bench:
        assert told(await bench.drawers.drawers()) == dict.fromkeys(bench.names, False)
        assert await bench.open(bench.a, "r1") == DrawerState(bench.a, is_open=True, locked=False)
        assert bench.truth.is_open(bench.a)
        assert (await bench.state(bench.a)).is_open
        bench.truth.set("shut", bench.a)
        assert await bench.state(bench.a) == DrawerState(bench.a, is_open=False, locked=True)
        assert bench.facts() == [
            DrawerReported(bench.a, is_open=True, request_id="r1"),
            DrawerReported(bench.a, is_open=False, request_id="r1"),
        ]
        assert bench.truth.pulses(bench.a) == 1


async def survives(kind: str, line: Line, *, reconnect: bool) -> None:
    async with connected(kind, line, options=IMPATIENT) as bench:
        await opens_honestly(bench)
        line.switch(bench.wire, on=False)
        await opens_afterwards(bench, reconnect=reconnect)


async def test_on_an_unfaithful_line_nothing_untrue_is_said_and_the_driver_recovers(
    unfaithful_line: Line,
) -> None:
    await asyncio.gather(
        *(survives(kind, unfaithful_line, reconnect=False) for kind in SUMMED_AND_NOT)
    )


async def test_on_a_broken_link_nothing_untrue_is_said_and_the_driver_recovers(
    breaking_line: Line,
) -> None:
    await asyncio.gather(
        *(survives(kind, breaking_line, reconnect=True) for kind in SUMMED_AND_NOT)
    )


async def test_connecting_over_a_bad_line_works_or_says_why(connect_line: Line) -> None:
    for kind in SUMMED_AND_NOT:
        async with lockboard_bench(kind, connect_line, options=IMPATIENT) as bench:
            identity = await until_done(bench.drawers.connect)
            assert identity.model.startswith(kind)


async def test_a_line_that_echoes_is_borne(kind: str) -> None:
    async with connected(kind, ECHOING) as bench:
        assert (await bench.open(bench.d, "r1")).is_open
        assert told(await bench.drawers.drawers()) == {
            name: name == bench.d for name in bench.names
        }


# ---------------------------------------------------------------- once and never again


async def test_a_request_never_opens_twice(kind: str) -> None:
    async with connected(kind) as bench:
        calls = [bench.open(bench.a, "r1") for _ in range(4)]
        assert {state.is_open for state in await asyncio.gather(*calls)} == {True}
        bench.truth.set("shut", bench.a)
        assert await bench.open(bench.a, "r1") == DrawerState(bench.a, is_open=False, locked=True)
        await bench.drawers.close()
        await bench.drawers.connect()
        assert not (await bench.open(bench.a, "r1")).is_open
        assert bench.truth.pulses(bench.a) == 1
        assert (await bench.open(bench.a, "r2")).is_open
        assert bench.truth.pulses(bench.a) == 2


async def test_a_drawer_that_is_open_is_left_alone(kind: str) -> None:
    async with connected(kind) as bench:
        bench.truth.set("open", bench.a)
        assert (await bench.open(bench.a, "r1")).is_open
        bench.truth.set("shut", bench.a)
        assert not (await bench.open(bench.a, "r1")).is_open
        assert bench.truth.pulses(bench.a) == 0
        assert [fact.request_id for fact in bench.facts()] == ["", ""]


@pytest.mark.parametrize("fault", ["solenoid_stuck", "hook_stuck"])
async def test_without_the_hook_there_is_no_proof_and_no_second_try(kind: str, fault: str) -> None:
    async with connected(kind) as bench:
        bench.truth.faults.switch(fault, on=True)
        for _ in range(2):
            with pytest.raises(DeviceTimeout, match="not seen open") as caught:
                await bench.open(bench.a, "r1", 0.1)
            assert caught.value.moved is Moved.UNKNOWN
        assert bench.truth.pulses(bench.a) == 1
        assert bench.facts() == []
        bench.truth.faults.switch(fault, on=False)
        bench.truth.set("open", bench.a)
        assert (await bench.open(bench.a, "r1")).is_open
        assert bench.facts() == [DrawerReported(bench.a, is_open=True, request_id="r1")]
        assert bench.truth.pulses(bench.a) == 1


async def test_a_call_that_was_cancelled_is_not_repeated(kind: str) -> None:
    async with connected(kind) as bench:
        bench.truth.faults.switch("solenoid_stuck", on=True, times=1)
        call = asyncio.create_task(bench.open(bench.a, "r1"))
        await bench.until(lambda: bench.truth.pulses(bench.a))
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        with pytest.raises(DeviceTimeout):
            await bench.open(bench.a, "r1", 0.1)
        assert bench.truth.pulses(bench.a) == 1


async def test_what_cannot_be_opened_is_refused_by_name(kind: str) -> None:
    async with connected(kind) as bench:
        await bench.open(bench.a, "r1")
        for name, request_id, reason in (
            ("nowhere", "r2", "unknown_drawer"),
            (bench.b, "r1", "request_id"),
            (bench.b, "", "request_id"),
            (bench.b, "r" * 201, "request_id"),
        ):
            with pytest.raises(DeviceRefused) as caught:
                await bench.open(name, request_id)
            assert (caught.value.reason, caught.value.moved) == (reason, Moved.NO)
        assert bench.truth.pulses(bench.b) == 0


async def test_nothing_is_sent_before_connecting_and_after_closing(kind: str) -> None:
    async with lockboard_bench(kind) as bench:
        for _ in range(2):
            with pytest.raises(DeviceUnavailable) as caught:
                await bench.open(bench.a, "r1")
            assert caught.value.moved is Moved.NO
            await bench.drawers.connect()
            await bench.drawers.close()
        assert bench.truth.pulses(bench.a) == 0


# ---------------------------------------------------------------- watching


async def test_an_opening_that_nobody_asked_for_is_reported_with_its_shutting(kind: str) -> None:
    async with connected(kind) as bench, bench.watched():
        bench.truth.set("open", bench.d)
        await bench.until(lambda: len(bench.inbox.messages) == 1)
        bench.truth.set("shut", bench.d)
        await bench.until(lambda: len(bench.inbox.messages) == 2)
        assert bench.facts() == [
            DrawerReported(bench.d, is_open=True, request_id=""),
            DrawerReported(bench.d, is_open=False, request_id=""),
        ]


async def test_a_drawer_left_open_is_an_alarm_once_for_each_opening(kind: str) -> None:
    async with connected(kind, options={"left_open_s": 0.05}) as bench, bench.watched():
        for number in (1, 2):
            await bench.open(bench.a, f"r{number}")
            await bench.until(lambda number=number: len(bench.inbox.messages) == 3 * number - 1)  # type: ignore[misc]  # mypy takes no default for a lambda
            for _ in range(5):  # looks that could raise a second alarm
                assert (await bench.state(bench.a)).is_open
            bench.truth.set("shut", bench.a)
            await bench.until(lambda number=number: len(bench.inbox.messages) == 3 * number)  # type: ignore[misc]  # mypy takes no default for a lambda
        assert bench.facts() == [
            DrawerReported(bench.a, is_open=is_open, request_id=request_id, overdue=overdue)
            for request_id in ("r1", "r2")
            for is_open, overdue in ((True, False), (True, True), (False, False))
        ]


async def test_a_drawer_found_open_at_connect_is_reported_once(kind: str) -> None:
    async with lockboard_bench(kind) as bench:
        bench.truth.set("open", bench.a)
        for _ in range(3):
            await bench.drawers.connect()
            await bench.drawers.drawers()
            await bench.drawers.close()
        assert bench.facts() == [DrawerReported(bench.a, is_open=True, request_id="")]


async def test_opening_and_watching_at_once_tell_every_change_once(kind: str) -> None:
    async with connected(kind) as bench, bench.watched():
        for number in range(3):
            calls = [bench.open(name, f"{name}:{number}") for name in bench.names]
            assert all(state.is_open for state in await asyncio.gather(*calls))
            bench.truth.set("shut", "all")
            await bench.until(lambda number=number: len(bench.inbox.messages) == 8 * (number + 1))  # type: ignore[misc]  # mypy takes no default for a lambda
        counted = Counter((fact.drawer, fact.is_open, fact.request_id) for fact in bench.facts())
        assert set(counted.values()) == {1}
        assert {fact.request_id for fact in bench.facts() if fact.is_open} == {
            f"{name}:{number}" for name in bench.names for number in range(3)
        }


async def test_what_cannot_be_stored_is_kept_and_delivered_again_under_the_same_key() -> None:
    async with connected() as bench:
        kept: list[RawMessage] = []
        keys: list[str] = []

        async def broken(message: RawMessage) -> None:
            keys.append(message.key)
            if len(keys) < 3:
                raise DeviceUnavailable("the ledger takes no writes")
            kept.append(message)

        assert isinstance(bench.drawers, LockboardDriver)
        bench.drawers._delivery._sink = broken
        with pytest.raises(DeviceUnavailable) as caught:
            await bench.open(bench.a, "r1")
        assert caught.value.moved is Moved.YES
        with pytest.raises(DeviceUnavailable):
            await bench.drawers.drawers()
        await bench.drawers.drawers()
        assert [message.key for message in kept] == keys[:1]
        assert len(set(keys)) == 1


# ---------------------------------------------------------------- lock boards


@pytest.mark.parametrize("options", [{"drawer_rest_s": 60.0}, {"bus_rest_s": 60.0}])
async def test_a_lock_that_must_cool_down_is_refused_with_the_seconds_left(
    options: dict[str, Value],
) -> None:
    async with connected(options=options) as bench:
        await bench.open(bench.a, "r1")
        bench.truth.set("shut", "all")
        with pytest.raises(DeviceRefused, match=r"cool down for (60\.0|59\.\d) s") as caught:
            await bench.open(bench.a, "r2")
        assert (caught.value.reason, caught.value.moved) == ("cooling", Moved.NO)
        other = await outcome(lambda: bench.open(bench.b, "r3"))
        assert isinstance(other, DeviceRefused) == ("bus_rest_s" in options)
        assert bench.truth.pulses(bench.a) == 1


async def test_a_winnsen_lock_that_cools_down_is_neither_open_nor_fired() -> None:
    async with connected("winnsen") as bench:
        bench.truth.faults.switch("cooling", on=True)
        assert await bench.state(bench.a) == DrawerState(bench.a, None)
        with pytest.raises(DeviceRefused, match="cools down") as caught:
            await bench.open(bench.a, "r1")
        assert (caught.value.reason, bench.truth.pulses(bench.a)) == ("cooling", 0)
        bench.truth.faults.switch("cooling", on=False)
        assert (await bench.open(bench.a, "r1")).is_open


async def test_a_silent_board_is_named_and_the_others_go_on(kind: str) -> None:
    async with connected(kind, options=IMPATIENT) as bench:
        bench.truth.faults.switch("board_silent", on=True)
        with pytest.raises(DeviceTimeout, match="board 1: no answer"):
            async with asyncio.timeout(PATIENCE_S):
                await bench.drawers.watch()
        assert "boards 0; silent 1" in (await bench.drawers.connect()).model
        with pytest.raises(DeviceTimeout) as caught:
            await bench.open(bench.d, "r1", 0.3)
        assert caught.value.moved is Moved.NO
        async with bench.watched():
            assert (await bench.open(bench.a, "r2")).is_open
            states = told(await bench.drawers.drawers())
            assert states == {bench.a: True, bench.names[1]: False, "0.3": False, bench.d: None}
            bench.truth.faults.switch("board_silent", on=False)
            bench.truth.set("open", bench.d)
            await bench.until(lambda: len(bench.inbox.messages) == 2)
        assert bench.truth.pulses(bench.d) == 0


async def test_a_bus_on_which_nothing_answers_is_down_with_the_reason(kind: str) -> None:
    async with lockboard_bench(kind, options=IMPATIENT) as bench:
        bench.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceUnavailable, match="board 0: no answer"):
            await bench.drawers.connect()
        bench.wire.faults.switch("silence", on=False)
        await bench.drawers.connect()


@pytest.mark.parametrize("fault", ["wrong_address", "bad_checksum"])
async def test_an_answer_of_another_board_or_with_a_wrong_end_counts_for_nothing(
    kind: str, fault: str
) -> None:
    async with connected(kind) as bench:
        bench.truth.faults.switch(fault, on=True)
        with pytest.raises(DriverError) as caught:
            await bench.open(bench.a, "r1", 1.0)
        assert caught.value.moved is Moved.NO
        with pytest.raises(DriverError):
            await bench.drawers.drawers()
        bench.truth.faults.switch(fault, on=False)
        assert (await bench.open(bench.a, "r1")).is_open


async def test_the_wrong_drawer_that_opened_is_told_and_proves_nothing(kind: str) -> None:
    async with connected(kind) as bench:
        bench.truth.faults.switch("other_lock", on=True, times=1)
        with pytest.raises(DeviceTimeout) as caught:
            await bench.open(bench.a, "r1", 0.15)
        assert caught.value.moved is Moved.UNKNOWN
        await bench.drawers.drawers()
        assert bench.facts() == [DrawerReported(bench.b, is_open=True, request_id="")]


async def test_a_board_without_a_word_for_opening_is_borne() -> None:
    for kind in ("cu48", "winnsen"):
        async with connected(kind, options={"reply_timeout_s": 0.05}) as bench:
            bench.truth.faults.switch("mute_open", on=True)
            assert (await bench.open(bench.a, "r1")).is_open
