"""What every scale driver owes: the true weight or an error on any line, and recovery."""

import asyncio
import itertools
from decimal import Decimal

import pytest

from drivers.base import WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    NotStable,
    Overload,
    Underload,
    Unsupported,
)
from tests.contract.scale_suite.benches import (
    DIALECTS,
    MODBUS,
    SERIAL,
    Bench,
    Carrier,
    connected,
    mtsics_bench,
)
from tests.contract.transports import (
    AT_CONNECT,
    BREAKING,
    CLEAN,
    FAITHFUL,
    UNFAITHFUL,
    Line,
    outcome,
    reconnecting,
    until_done,
)

PATIENCE_S = 5.0


def cases(carriers: list[Carrier], lines: tuple[Line, ...]) -> list[object]:
    """Every carrier on every line; of the dialects, which share a core, one on each line.

    Bit errors, bursts and stuck bytes meet all of them in the tests of agreement.
    """
    pairs = [(carrier, line) for carrier in carriers for line in lines]
    elsewhere = {"noise", "burst", "stuck"}
    others = [line for line in lines if not elsewhere & set(line.faults)]
    pairs += list(zip(itertools.cycle(DIALECTS), others, strict=False))
    return [case(carrier, line) for carrier, line in pairs]


def case(carrier: Carrier, line: Line) -> object:
    return pytest.param(carrier, line, id=f"{carrier}-{line.name.replace(' ', '-')}")


ALL = [Carrier.TCP, Carrier.SERIAL, Carrier.PARITY, Carrier.MODBUS_RTU]
KINDS = [Carrier.TCP, Carrier.PARITY, *MODBUS]
BARE = [Carrier.TCP, Carrier.PARITY, Carrier.MODBUS_RTU]
"""Those that may meet any line; Modbus TCP is only used where TCP checks every byte."""
FAITHFUL_CASES = [*cases(ALL, FAITHFUL), *(case(Carrier.MODBUS_TCP, each) for each in FAITHFUL[:2])]
on_faithful_lines = pytest.mark.parametrize(("carrier", "line"), FAITHFUL_CASES)
on_unfaithful_lines = pytest.mark.parametrize(("carrier", "line"), cases(BARE, UNFAITHFUL))
on_breaking_lines = pytest.mark.parametrize(("carrier", "line"), cases(KINDS, BREAKING))
on_bad_lines_at_connect = pytest.mark.parametrize(("carrier", "line"), cases(KINDS, AT_CONNECT))


@pytest.fixture(params=[Carrier.TCP, Carrier.PARITY])
def either(request: pytest.FixtureRequest) -> Carrier:
    """One of each kind, where the serial format makes no difference."""
    return Carrier(request.param)


@pytest.fixture(params=[*KINDS, Carrier.SBI])
def kind(request: pytest.FixtureRequest) -> Carrier:
    """One of each kind of every protocol; one dialect stands for their core."""
    return Carrier(request.param)


@pytest.fixture(params=[*KINDS, *DIALECTS])
def machine(request: pytest.FixtureRequest) -> Carrier:
    """Every machine that tells its faults in its own way."""
    return Carrier(request.param)


def assert_weight(reading: WeightReading, grams: str) -> None:
    assert str(reading.value) == grams
    assert reading.unit in ("g", "kg")  # one that is not the configured one is an error
    assert reading.stable is True


# ---------------------------------------------------------------- faithful lines


@on_faithful_lines
async def test_it_says_what_it_is(carrier: Carrier, line: Line) -> None:
    async with mtsics_bench(carrier, line) as bench:
        identity = await bench.scale.connect()
        assert identity.serial == bench.serial
        assert identity.model == bench.name


@on_faithful_lines
async def test_the_weight_is_what_lies_on_the_pan(carrier: Carrier, line: Line) -> None:
    async with connected(carrier, line) as bench:
        for grams in bench.loads[:4]:
            bench.load(grams)
            assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), grams)
            assert_weight(await bench.scale.read(), grams)


@on_faithful_lines
async def test_tare_and_zero_reach_the_state_that_they_name(carrier: Carrier, line: Line) -> None:
    async with connected(carrier, line) as bench:
        scale = bench.scale
        bench.load("2")
        await scale.zero(timeout_s=PATIENCE_S)
        assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "0.000")
        bench.load("0")
        await until_done(lambda: scale.zero(timeout_s=PATIENCE_S))
        bench.load("50")
        assert_weight(await scale.tare(timeout_s=PATIENCE_S), "50.000")
        assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "0.000")
        bench.load("62.5")
        assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "12.500")
        if not bench.clears_tare:
            with pytest.raises(Unsupported):
                await scale.set_tare(None)
            return
        await scale.set_tare(None)
        gross = await scale.weigh(timeout_s=PATIENCE_S)
        assert_weight(gross, "62.500")
        if bench.presets_tare:
            ten = WeightReading(Decimal("10.00"), gross.unit, stable=True)
            await scale.set_tare(ten)
            assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "52.500")
        else:
            assert_weight(await scale.tare(timeout_s=PATIENCE_S), "62.500")
        bench.load("2")
        await scale.zero(timeout_s=PATIENCE_S)
        assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "0.000")
        bench.load("3")
        assert_weight(await scale.weigh(timeout_s=PATIENCE_S), "1.000")


async def test_calls_at_the_same_time_take_turns() -> None:
    async with connected() as bench:
        bench.load("12.5")
        calls = [bench.scale.weigh(timeout_s=PATIENCE_S) for _ in range(10)]
        readings = await asyncio.gather(*calls, *(bench.scale.read() for _ in range(10)))
        assert {reading.value for reading in readings[:10]} == {Decimal("12.500")}


# ---------------------------------------------------------------- unfaithful lines


@on_unfaithful_lines
async def test_an_unfaithful_line_gives_the_true_weight_or_an_error_and_then_recovers(
    carrier: Carrier, line: Line
) -> None:
    async with connected(carrier, line, seed=3) as bench:
        await weighs_honestly(bench)
        line.switch(bench.wire, on=False)
        await without_doubt(bench)
        bench.load("33.333")
        assert_weight(await until_done(lambda: bench.scale.weigh(timeout_s=1.0)), "33.333")


@on_breaking_lines
async def test_a_broken_link_gives_the_true_weight_or_an_error_and_then_recovers(
    carrier: Carrier, line: Line
) -> None:
    async with connected(carrier, line) as bench:
        await weighs_honestly(bench)
        line.switch(bench.wire, on=False)
        await without_doubt(bench)
        bench.load("33.333")
        assert_weight(await recovered(bench), "33.333")


async def weighs_honestly(bench: Bench) -> None:
    for grams in bench.loads[:2]:
        bench.load(grams)
        got = await outcome(lambda: bench.scale.weigh(timeout_s=bench.patience_s))
        assert isinstance(got, DriverError) or str(got.value) == grams


async def without_doubt(bench: Bench) -> None:
    """Zero a scale that may have been tared by a damaged command and cannot tell."""
    if bench.doubts:
        bench.load("0")
        await reconnecting(bench.scale, lambda: bench.scale.zero(timeout_s=1.0))


async def recovered(bench: Bench) -> WeightReading:
    """Weigh, connecting again as the supervisor does when the link was lost."""
    return await reconnecting(bench.scale, lambda: bench.scale.weigh(timeout_s=1.0))


@on_bad_lines_at_connect
async def test_connecting_over_a_bad_line_works_or_says_why(carrier: Carrier, line: Line) -> None:
    async with mtsics_bench(carrier, line) as bench:
        identity = await until_done(bench.scale.connect)
        assert identity.serial == bench.serial


# ---------------------------------------------------------------- the machine's own faults


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("motion", NotStable),
        ("busy", NotStable),
        ("overload", Overload),
        ("underload", Underload),
        ("hardware_error", DeviceFault),
    ],
)
async def test_a_status_is_an_error_and_never_a_weight(
    fault: str, error: type[DriverError], machine: Carrier
) -> None:
    async with connected(machine) as bench:
        if fault not in bench.model.faults.names:
            return  # a machine that cannot tell it
        if error in (Overload, Underload) and not bench.tells_range:
            error = DeviceTimeout  # what such a machine sends then is not known
        bench.load("12.5")
        bench.model.faults.switch(fault, on=True)
        with pytest.raises(error) as raised:
            await bench.scale.weigh(timeout_s=0.3)
        assert raised.value.moved is Moved.NO
        bench.model.faults.switch(fault, on=False)
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "12.500")


async def test_a_moving_scale_may_be_read_but_is_not_stable() -> None:
    async with connected() as bench:
        bench.load("12.5")
        bench.model.faults.switch("motion", on=True)
        await until_moving(bench)


async def until_moving(bench: Bench) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await bench.scale.read()).stable:
            pass


@pytest.mark.parametrize(
    ("fault", "error"), [("overload", Overload), ("underload", Underload), ("busy", NotStable)]
)
async def test_a_refused_tare_or_zero_is_an_error(fault: str, error: type[DriverError]) -> None:
    async with connected() as bench:
        bench.model.faults.switch(fault, on=True)
        with pytest.raises(error):
            await bench.scale.tare(timeout_s=PATIENCE_S)
        with pytest.raises(error):
            await bench.scale.zero(timeout_s=PATIENCE_S)


async def test_a_scale_that_never_rests_is_neither_tared_nor_zeroed() -> None:
    async with connected() as bench:
        bench.load("5")
        bench.model.faults.switch("motion", on=True)
        await until_moving(bench)
        with pytest.raises(NotStable):
            await bench.scale.tare(timeout_s=PATIENCE_S)
        with pytest.raises(NotStable):
            await bench.scale.zero(timeout_s=PATIENCE_S)
        bench.model.faults.switch("motion", on=False)
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "5.000")


async def test_a_load_outside_the_zero_range_is_not_zeroed() -> None:
    async with connected() as bench:
        bench.load("50")
        with pytest.raises(Overload):
            await bench.scale.zero(timeout_s=PATIENCE_S)
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "50.000")


@pytest.mark.parametrize(("grams", "unit"), [("500", "g"), ("-1", "g"), ("1", "kg"), ("NaN", "g")])
async def test_a_tare_that_cannot_be_is_refused(grams: str, unit: str) -> None:
    async with connected() as bench:
        with pytest.raises(DeviceRefused):
            await bench.scale.set_tare(WeightReading(Decimal(grams), unit, stable=True))
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "0.000")


# ---------------------------------------------------------------- silence, cuts, other scales


async def test_silence_is_a_timeout_and_recovers_by_itself(kind: Carrier) -> None:
    async with connected(kind) as bench:
        bench.load("12.5")
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "12.500")
        bench.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceTimeout):
            await bench.scale.weigh(timeout_s=0.3)
        bench.wire.faults.switch("silence", on=False)
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "12.500")


async def test_a_late_answer_is_never_taken_for_the_next(kind: Carrier) -> None:
    async with connected(kind) as bench:
        bench.load("10")
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "10.000")
        bench.wire.set("slow_s", "15")  # 0.3 s of real time: after the line timeout
        bench.wire.faults.switch("slow", on=True, times=1)
        with pytest.raises(DeviceTimeout):
            await bench.scale.weigh(timeout_s=0.1)
        await without_doubt(bench)
        bench.load("20")
        for _ in range(3):
            assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "20.000")


async def test_a_cut_link_ends_calls_and_watching_and_comes_back(kind: Carrier) -> None:
    async with connected(kind) as bench:
        watching = asyncio.ensure_future(bench.scale.watch())
        await asyncio.sleep(0)
        bench.wire.faults.switch("cut", on=True)
        with pytest.raises(DeviceUnavailable):
            async with asyncio.timeout(PATIENCE_S):
                await watching
        with pytest.raises(DeviceUnavailable):
            await bench.scale.weigh(timeout_s=0.3)
        await bench.scale.close()
        with pytest.raises(DeviceUnavailable):
            await bench.scale.connect()
        bench.wire.faults.switch("cut", on=False)
        bench.load("12.5")
        assert_weight(await recovered(bench), "12.500")


async def test_watching_a_silent_scale_ends(kind: Carrier) -> None:
    async with connected(kind, options={"line_timeout_s": 0.02}) as bench:
        bench.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceTimeout):
            async with asyncio.timeout(PATIENCE_S):
                await bench.scale.watch()


async def test_watching_a_healthy_scale_does_not_end_nor_disturb_weighing() -> None:
    async with connected(options={"watch_interval_s": 0.001}) as bench:
        watching = asyncio.ensure_future(bench.scale.watch())
        bench.load("12.5")
        for _ in range(20):
            assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "12.500")
        assert not watching.done()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching


async def test_closing_ends_a_call_in_progress() -> None:
    async with connected() as bench:
        bench.wire.faults.switch("silence", on=True)
        weighing = asyncio.ensure_future(bench.scale.weigh(timeout_s=PATIENCE_S))
        await asyncio.sleep(0.01)
        await bench.scale.close()
        with pytest.raises(DeviceUnavailable):
            await weighing


async def test_a_cancelled_call_leaves_the_line_usable(kind: Carrier) -> None:
    async with connected(kind) as bench:
        bench.load("12.5")
        for _ in range(5):
            weighing = asyncio.ensure_future(bench.scale.weigh(timeout_s=PATIENCE_S))
            await asyncio.sleep(0.003)
            weighing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await weighing
        await without_doubt(bench)
        bench.load("12.5")
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "12.500")


async def test_a_scale_with_another_serial_number_is_refused(either: Carrier) -> None:
    async with mtsics_bench(either, CLEAN, options={"serial": "B000000001"}) as bench:
        with pytest.raises(DeviceUnavailable, match="B000000001 is configured, B123456789"):
            await bench.scale.connect()
        with pytest.raises(DeviceUnavailable):
            await bench.scale.read()
        bench.model.set("serial", "B000000001")
        assert (await bench.scale.connect()).serial == "B000000001"


async def test_a_scale_that_was_swapped_is_noticed() -> None:
    async with connected(options={"serial": SERIAL}) as bench:
        bench.model.set("serial", "B000000002")
        with pytest.raises(DeviceUnavailable, match="B000000002"):
            async with asyncio.timeout(PATIENCE_S):
                await bench.scale.watch()


async def test_garbage_reaches_the_inbox_once_in_a_burst(either: Carrier) -> None:
    async with connected(either) as bench:
        bench.wire.faults.switch("garbage", on=True)
        for _ in range(3):
            await outcome(lambda: bench.scale.weigh(timeout_s=0.1))
        assert bench.inbox.kinds() == ["garbage"]
        assert 1 <= len(bench.inbox.messages[0].raw) <= 256


# ---------------------------------------------------------------- this scale's options


async def test_a_weight_outside_the_plausible_window_is_an_error() -> None:
    async with connected(options={"plausible_min": "-1", "plausible_max": "100"}) as bench:
        bench.load("100")
        assert_weight(await bench.scale.weigh(timeout_s=PATIENCE_S), "100.000")
        bench.load("100.001")
        with pytest.raises(DeviceFault, match=r"100\.001 g is not in -1 to 100") as raised:
            await bench.scale.weigh(timeout_s=PATIENCE_S)
        assert raised.value.reason == "implausible"


async def test_another_unit_than_the_configured_is_an_error() -> None:
    async with connected(options={"unit": "kg", "plausible_max": 1}) as bench:
        with pytest.raises(DeviceFault, match="sends g, kg is configured") as raised:
            await bench.scale.weigh(timeout_s=PATIENCE_S)
        assert raised.value.reason == "unit"


async def test_calls_before_connecting_are_refused() -> None:
    async with mtsics_bench() as bench:
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await bench.scale.weigh(timeout_s=PATIENCE_S)
