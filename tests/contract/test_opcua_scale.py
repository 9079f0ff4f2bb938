"""A scale over OPC UA: the digits that it prints, an error, or a weight whose stability is unknown.

One server shows one simulated scale in three views: with every optional node, with Net and
ValuePrecision, and with nothing but what OPC 40200 makes mandatory.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from asyncua import ua

from drivers.base import DeviceSpec, Identity, WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.opcua40200.driver import Opcua40200Driver, PieceReading
from drivers.opcua40200.nodes import Command
from tests.contract.counters import PLAIN
from tests.contract.opcua_stand import ScaleStand, a_scale_stand
from tests.contract.transports import Inbox, Line, outcome, reconnecting, until_done

PATIENCE_S = 10.0
VIEWS = ("Scale", "Single", "Plain")
AGREEING = {"equal_reads": 3, "equal_over_ms": 40}


@pytest.fixture(scope="module")
def scale_stand() -> Iterator[ScaleStand]:
    yield from a_scale_stand()


@pytest.fixture
def stand(scale_stand: ScaleStand) -> ScaleStand:
    scale_stand.reset()
    return scale_stand


def a_driver(stand: ScaleStand, **options: str | int) -> Opcua40200Driver:
    given = {**PLAIN, "root": "DeviceSet/Scale", "request_timeout_ms": 1500, **options}
    return Opcua40200Driver(DeviceSpec("scale", stand.address, given), Inbox().put)


@asynccontextmanager
async def connected(stand: ScaleStand, **options: str | int) -> AsyncIterator[Opcua40200Driver]:
    scale = a_driver(stand, **options)
    await scale.connect()
    try:
        yield scale
    finally:
        await scale.close()


def load(stand: ScaleStand, grams: str) -> None:
    stand.set("load_g", grams)


async def weighed(scale: Opcua40200Driver) -> str:
    return str((await scale.weigh(timeout_s=PATIENCE_S)).value)


# ---------------------------------------------------------------- weights


async def test_a_scale_says_what_it_is(stand: ScaleStand) -> None:
    scale = a_driver(stand, serial="SIM-40200")
    assert await scale.connect() == Identity(
        "dispensed", "Simulated scale", "SIM-40200", "1.0", link="None (unprotected), anonymous"
    )
    await scale.close()
    with pytest.raises(DeviceUnavailable, match="'SIM-40200' answers, 'B1' is configured"):
        await a_driver(stand, serial="B1").connect()


async def test_the_digits_are_those_that_are_printed_on_every_faithful_line(
    stand: ScaleStand, faithful_line: Line
) -> None:
    stand.reset(line=faithful_line)
    async with connected(stand, request_timeout_ms=4000) as scale:
        for grams in ("12.500", "319.999"):
            load(stand, grams)
            reading = await scale.weigh(timeout_s=PATIENCE_S)
            assert (str(reading.value), reading.unit, reading.stable) == (grams, "g", True)


@pytest.mark.parametrize(
    ("view", "shown", "stable"),
    [("Scale", "7.100", "True"), ("Single", "7.100", "True"), ("Plain", "7.1", "None")],
)
async def test_each_view_gives_the_digits_and_the_stability_that_it_tells(
    stand: ScaleStand, view: str, shown: str, stable: str
) -> None:
    load(stand, "7.1")
    async with connected(stand, root=f"DeviceSet/{view}", **AGREEING) as scale:
        reading = await scale.weigh(timeout_s=PATIENCE_S)
        assert (str(reading.value), str(reading.stable)) == (shown, stable)
        assert str((await scale.read()).stable) == stable


async def test_a_scale_that_does_not_tell_its_stability_is_not_weighed_with(
    stand: ScaleStand,
) -> None:
    async with connected(stand, root="DeviceSet/Plain") as scale:
        assert (await scale.read()).stable is None
        with pytest.raises(Unsupported, match="set equal_reads"):
            await scale.weigh(timeout_s=PATIENCE_S)


async def test_without_stability_a_moving_scale_is_not_taken_for_one_at_rest(
    stand: ScaleStand,
) -> None:
    stand.fault("motion")
    async with connected(stand, root="DeviceSet/Plain", **AGREEING) as scale:
        with pytest.raises((NotStable, Disagreement, DeviceTimeout)):
            await scale.weigh(timeout_s=0.5)


async def test_a_moving_scale_may_be_read_but_not_weighed_with(stand: ScaleStand) -> None:
    load(stand, "12.5")
    stand.fault("motion")
    async with connected(stand) as scale:
        assert (await scale.read()).stable is False
        with pytest.raises(NotStable):
            await scale.weigh(timeout_s=0.3)
        with pytest.raises(NotStable):
            await scale.tare(timeout_s=0.3)
        with pytest.raises(NotStable):
            await scale.zero(timeout_s=0.3)
        stand.fault("motion", on=False)
        assert await weighed(scale) == "12.500"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("overload", Overload),
        ("underload", Underload),
        ("uncertain", ProtocolError),
        ("foreign_unit", ProtocolError),
    ],
)
async def test_a_status_is_an_error_and_never_a_weight(
    stand: ScaleStand, view: str, fault: str, error: type[DriverError]
) -> None:
    stand.fault(fault)
    async with connected(stand, root=f"DeviceSet/{view}", **AGREEING) as scale:
        for call in (scale.read, lambda: scale.weigh(timeout_s=0.5)):
            with pytest.raises(error) as caught:
                await call()
            assert caught.value.moved is Moved.NO
        stand.fault(fault, on=False)
        assert Decimal(await weighed(scale)) == 0


@pytest.mark.parametrize("fault", ["invalid_text", "stale_print"])
async def test_a_printed_text_that_does_not_fit_the_weight_is_an_error(
    stand: ScaleStand, fault: str
) -> None:
    async with connected(stand) as scale:
        await scale.read()
        stand.fault(fault)
        load(stand, "12.5")
        await until_stable(stand)
        with pytest.raises(ProtocolError):
            await scale.weigh(timeout_s=0.5)
        stand.fault(fault, on=False)
        assert await weighed(scale) == "12.500"


async def until_stable(stand: ScaleStand) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while stand.do(stand.model.state)["net_g"] != "12.500":  # noqa: ASYNC110 - other thread
            await asyncio.sleep(0.002)


async def test_another_unit_than_the_configured_is_an_error(stand: ScaleStand) -> None:
    async with connected(stand, unit="kg") as scale:
        with pytest.raises(DeviceFault, match="sends g, kg is configured") as caught:
            await scale.weigh(timeout_s=1)
        assert caught.value.reason == "unit"


async def test_a_weight_outside_the_plausible_window_is_an_error(stand: ScaleStand) -> None:
    load(stand, "100.001")
    async with connected(stand, plausible_max=100) as scale:
        with pytest.raises(DeviceFault, match=r"100\.001 g is not in -100 to 100"):
            await scale.weigh(timeout_s=PATIENCE_S)


# ---------------------------------------------------------------- tare and zero


@pytest.mark.parametrize("view", ["Scale", "Plain"])
async def test_tare_and_zero_reach_the_state_that_they_name(stand: ScaleStand, view: str) -> None:
    async with connected(stand, root=f"DeviceSet/{view}", **AGREEING) as scale:
        load(stand, "50")
        await until_loaded(scale, "50")
        assert (await scale.tare(timeout_s=PATIENCE_S)).value == 50
        load(stand, "62.5")
        await until_loaded(scale, "12.5")
        await scale.set_tare(None)
        assert Decimal(await weighed(scale)) == Decimal("62.5")
        await scale.set_tare(WeightReading(Decimal("10.00"), "g", stable=True))
        assert Decimal(await weighed(scale)) == Decimal("52.5")
        await scale.set_tare(None)
        load(stand, "2")
        await until_loaded(scale, "2")
        await scale.zero(timeout_s=PATIENCE_S)
        assert Decimal(await weighed(scale)) == 0


async def until_loaded(scale: Opcua40200Driver, grams: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while Decimal(await weighed(scale)) != Decimal(grams):
            pass


async def test_a_load_outside_the_zero_range_is_not_zeroed(stand: ScaleStand) -> None:
    load(stand, "50")
    async with connected(stand) as scale:
        await until_loaded(scale, "50")
        with pytest.raises(DeviceRefused) as caught:
            await scale.zero(timeout_s=PATIENCE_S)
        assert caught.value.reason == "InsideZero"
        assert await weighed(scale) == "50.000"


async def test_a_refused_method_leaves_the_weight_in_no_doubt(stand: ScaleStand) -> None:
    stand.fault("refuse")
    async with connected(stand) as scale:
        for call in (
            lambda: scale.zero(timeout_s=PATIENCE_S),
            lambda: scale.tare(timeout_s=PATIENCE_S),
            lambda: scale.set_tare(None),
        ):
            with pytest.raises(DeviceRefused) as caught:
                await call()
            assert caught.value.reason == "BadInvalidState"
        assert await weighed(scale) == "0.000"


async def test_a_method_without_effect_is_found_and_the_weight_is_in_doubt(
    stand: ScaleStand,
) -> None:
    load(stand, "5")
    async with connected(stand) as scale:
        await until_loaded(scale, "5")
        stand.fault("no_effect")
        with pytest.raises(Disagreement, match=r"SetTare was accepted, Net is 5\.000, not 0"):
            await scale.tare(timeout_s=0.3)
        with pytest.raises(DeviceFault, match="SetTare was done") as caught:
            await scale.weigh(timeout_s=PATIENCE_S)
        assert caught.value.reason == "reference"
        assert str((await scale.read()).value) == "5.000"
        stand.fault("no_effect", on=False)
        assert (await scale.tare(timeout_s=PATIENCE_S)).value == 5
        assert await weighed(scale) == "0.000"


async def test_after_a_lost_answer_to_tare_nothing_is_weighed_until_it_is_set_again(
    stand: ScaleStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(stand, "5")
    async with connected(stand) as scale:
        await until_loaded(scale, "5")
        nodes = scale._connected()
        call = nodes.call

        async def lost(command: Command, arguments: Sequence[ua.Variant] = ()) -> None:
            stand.fault("silence")
            await call(command, arguments)

        monkeypatch.setattr(nodes, "call", lost)
        with pytest.raises(DeviceTimeout):
            await scale.tare(timeout_s=1)
        stand.fault("silence", on=False)
        await scale.connect()
        with pytest.raises(DeviceFault, match="SetTare"):
            await scale.weigh(timeout_s=PATIENCE_S)
        await scale.tare(timeout_s=PATIENCE_S)
        assert await weighed(scale) == "0.000"


@pytest.mark.parametrize(("grams", "unit"), [("500", "g"), ("-1", "g"), ("1", "kg"), ("NaN", "g")])
async def test_a_tare_that_cannot_be_is_refused(stand: ScaleStand, grams: str, unit: str) -> None:
    async with connected(stand) as scale:
        with pytest.raises(DeviceRefused):
            await scale.set_tare(WeightReading(Decimal(grams), unit, stable=True))
        assert await weighed(scale) == "0.000"


async def test_a_method_that_the_scale_lacks_is_unsupported(stand: ScaleStand) -> None:
    async with connected(stand, root="DeviceSet/Single") as scale:
        with pytest.raises(Unsupported, match="no SetTare"):
            await scale.tare(timeout_s=PATIENCE_S)
        with pytest.raises(Unsupported, match="does not count"):
            await scale.pieces(timeout_s=PATIENCE_S)
        assert await weighed(scale) == "0.000"


# ---------------------------------------------------------------- counting


async def test_a_counting_scale_counts_with_the_piece_weight_that_it_is_given(
    stand: ScaleStand,
) -> None:
    async with connected(stand) as scale:
        load(stand, "12.5")
        await until_loaded(scale, "12.5")
        assert await scale.pieces(timeout_s=PATIENCE_S) == PieceReading(50, stable=True)
        await scale.set_piece_weight(Decimal("0.125"))
        assert (await scale.pieces(timeout_s=PATIENCE_S)).pieces == 100
        await scale.set_reference_pieces(20)
        await scale.start_reference(20)
        assert (await scale.pieces(timeout_s=PATIENCE_S)).pieces == 20


async def test_a_piece_weight_is_never_rounded_to_fit_the_scale(stand: ScaleStand) -> None:
    async with connected(stand) as scale:
        for grams in ("0.0000001", "0", "-1"):
            with pytest.raises(DeviceRefused):
                await scale.set_piece_weight(Decimal(grams))
        with pytest.raises(DeviceRefused):
            await scale.start_reference(0)
        assert stand.do(stand.model.state)["piece_g"] == "0.25"


# ---------------------------------------------------------------- lines


async def test_silence_is_a_timeout_and_the_same_driver_recovers(stand: ScaleStand) -> None:
    load(stand, "12.5")
    async with connected(stand) as scale:
        stand.fault("silence")
        with pytest.raises(DeviceTimeout):
            await scale.weigh(timeout_s=0.3)
        stand.fault("silence", on=False)
        reading = await reconnecting(scale, lambda: scale.weigh(timeout_s=2))
        assert str(reading.value) == "12.500"


async def test_a_cut_line_ends_calls_and_watching_and_comes_back(stand: ScaleStand) -> None:
    load(stand, "12.5")
    async with connected(stand) as scale:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(outcome(scale.watch))
            await asyncio.sleep(0)
            stand.fault("cut", times=1)
        assert isinstance(watching.result(), DeviceUnavailable)
        await until_done(scale.close)
        with pytest.raises(DeviceUnavailable, match="not connected"):
            await scale.read()
        reading = await reconnecting(scale, lambda: scale.weigh(timeout_s=2))
        assert str(reading.value) == "12.500"


async def test_calls_at_the_same_time_take_turns(stand: ScaleStand) -> None:
    load(stand, "12.5")
    async with connected(stand) as scale:
        calls = [scale.weigh(timeout_s=PATIENCE_S) for _ in range(5)]
        readings = await asyncio.gather(*calls, *(scale.read() for _ in range(5)))
        assert {reading.value for reading in readings[:5]} == {Decimal("12.500")}


async def test_a_server_with_several_scales_asks_which_is_meant(stand: ScaleStand) -> None:
    with pytest.raises(DeviceUnavailable, match="set the option 'root'"):
        await a_driver(stand, root="").connect()
