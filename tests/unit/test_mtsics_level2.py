"""What MT-SICS has beyond weighing: repeated weights, the display's unit, pieces, descriptions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from drivers.base import DeviceSpec, WeightReading
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    Disagreement,
    DriverError,
    Unsupported,
)
from drivers.mtsics.codec import Answer, ReplyStatus, Text, Weight, WeightStatus, decode
from drivers.mtsics.driver import MtsicsDriver
from simulators import mtsics as simulator
from simulators.mtsics import MtSicsModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from tests.contract.transports import BIT_FLIPPED, NOISY, STALE, Inbox, Line, outcome, until_done

PATIENCE_S = 5.0
HOST = 1


def settle(model: MtSicsModel, seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.02)):
        model.step(0.02)


def balance(load: str) -> MtSicsModel:
    model = MtSicsModel(1)
    model.connected(HOST)
    model.set("load_g", load)
    settle(model)
    return model


def heard(model: MtSicsModel) -> list[str]:
    return [out.data.decode().removesuffix("\r\n") for out in model.outgoing()]


def asked(model: MtSicsModel, command: str) -> list[str]:
    model.received(HOST, command.encode() + b"\r\n")
    return heard(model)


# ---------------------------------------------------------------- codec


def test_a_piece_weight_is_read_as_a_tare_is() -> None:
    assert decode(b"PW A     0.1250 g") == Weight("PW", WeightStatus.SET, Decimal("0.1250"), "g")
    assert decode(b"PW A") == Answer("PW", ReplyStatus.DONE)


def test_a_count_is_a_weight_in_pieces() -> None:
    assert decode(b"S S        100 PCS") == Weight("S", WeightStatus.STABLE, Decimal(100), "PCS")


def test_lines_of_i14_carry_a_number_and_a_text() -> None:
    assert decode(b'I14 B 1 "SIM Balance"') == Answer(
        "I14", ReplyStatus.MORE, ("1", Text("SIM Balance"))
    )


# ---------------------------------------------------------------- simulator


def test_snr_sends_the_stable_weight_and_then_each_change_once_it_rests() -> None:
    model = balance("100")
    assert asked(model, "SNR") == []
    settle(model, 1.0)
    assert heard(model) == ["S S    100.000 g"]
    model.set("load_g", "110")  # less than an eighth
    settle(model)
    assert heard(model) == []
    model.set("load_g", "112.5")
    settle(model)
    assert heard(model) == ["S S    112.500 g"]
    assert asked(model, "SI") == ["S S    112.500 g"]
    model.set("load_g", "0")
    settle(model)
    assert heard(model) == []


def test_sr_sends_a_moving_weight_of_each_change_too() -> None:
    model = balance("100")
    asked(model, "SR")
    settle(model)
    assert heard(model) == ["S S    100.000 g"]
    model.set("load_g", "200")
    settle(model)
    moving, resting = heard(model)
    assert moving.startswith("S D")
    assert resting == "S S    200.000 g"
    model.set("load_g", "200.02")  # less than 30 digits
    settle(model)
    assert heard(model) == []
    assert asked(model, "@") == ['I4 A "B123456789"']
    model.set("load_g", "0")
    settle(model)
    assert heard(model) == []


def test_commands_with_u_answer_in_the_unit_of_the_display() -> None:
    model = balance("12.5")
    assert asked(model, "SIU") == asked(model, "SU") == ["S S     12.500 g"]
    model.set("display", "PCS")
    assert asked(model, "SIU") == asked(model, "SU") == ["S S        100 PCS"]
    assert asked(model, "SI") == ["S S     12.500 g"]
    asked(model, "SNRU")
    settle(model, 1.0)
    assert heard(model) == ["S S        100 PCS"]
    with pytest.raises(ValueError, match="display"):
        model.set("display", "stone")


def test_su_waits_for_stability_as_s_does() -> None:
    model = balance("12.5")
    model.faults.switch("motion", on=True)
    settle(model, 1.0)
    assert asked(model, "SU") == []
    settle(model, 16.0)
    assert heard(model) == ["S I"]


@pytest.mark.parametrize("wanted", ["PW 0 g", "PW 1 kg", "PW x g", "PW 999 g", "PW 1"])
def test_a_piece_weight_that_cannot_be_is_a_wrong_parameter(wanted: str) -> None:
    model = balance("12.5")
    assert asked(model, wanted) == ["PW L"]
    assert asked(model, "PW") == ["PW A     0.1250 g"]
    assert asked(model, "PW 0.5 g") == ["PW A"]
    assert asked(model, "PW") == ["PW A        0.5 g"]


# ---------------------------------------------------------------- driver


@contextlib.asynccontextmanager
async def scale(line: Line | None = None) -> AsyncIterator[tuple[MtsicsDriver, MtSicsModel, Wire]]:
    """A driver on a simulated balance with 12.5 g on it; a bad line is bad once it is connected."""
    model = MtSicsModel(1)
    model.set("load_g", "12.5")
    wire = Wire(seed=1, speed=50)
    async with serve_tcp(model, wire=wire) as served:
        options: dict[str, str | int | float | bool] = {
            "line_timeout_s": 0.1,
            "stability_timeout_s": 1.0,
        }
        driver = MtsicsDriver(DeviceSpec("scale", served.address, options), Inbox().put)
        await driver.connect()
        if line is not None:
            line.switch(wire, on=True)
        try:
            yield driver, model, wire
        finally:
            await driver.close()
            served.check()


async def test_the_scale_describes_itself() -> None:
    async with scale() as (driver, _, _wire):
        assert {"SNR", "PW", "SIU", "I14"} <= await driver.commands()
        assert await driver.about() == {
            "I1": ("012", "2.30", "2.22", "2.33", ""),
            "I2": ("SIM Balance 320.000 g",),
            "I3": ("1.00 0.0.0.0",),
            "I4": ("B123456789",),
            "I5": ("00000000A",),
            "I10": ("scale 1",),
            "I11": ("SIM320",),
            "I14": ("0", "1", "1", "SIM Balance", "3", "B123456789"),
        }


async def test_the_display_may_show_pieces() -> None:
    async with scale() as (driver, model, _):
        model.set("display", "PCS")
        reading = await driver.shown(timeout_s=PATIENCE_S)
        assert (reading.value, reading.unit, reading.stable) == (Decimal(100), "PCS", True)
        assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "12.500"


async def test_a_piece_weight_is_set_and_read_back() -> None:
    async with scale() as (driver, model, _):
        await driver.set_piece_weight(WeightReading(Decimal("0.25"), "g", stable=True))
        assert (await driver.piece_weight()).value == Decimal("0.25")
        model.set("display", "PCS")
        assert (await driver.shown(timeout_s=PATIENCE_S)).value == 50
        for wrong in ("0", "-1", "NaN", "999"):
            with pytest.raises(DeviceRefused):
                await driver.set_piece_weight(WeightReading(Decimal(wrong), "g", stable=True))
        with pytest.raises(DeviceRefused, match="no piece of 1 kg"):
            await driver.set_piece_weight(WeightReading(Decimal(1), "kg", stable=True))


async def test_a_scale_that_counts_by_another_piece_weight_is_a_disagreement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scale() as (driver, model, _):
        monkeypatch.setattr(model, "_count_by", lambda _text: Answer("PW", ReplyStatus.DONE))
        with pytest.raises(Disagreement, match=r"0\.25 g was asked, it counts by 0\.1250"):
            await driver.set_piece_weight(WeightReading(Decimal("0.25"), "g", stable=True))


async def test_the_next_weight_is_awaited_and_the_line_is_in_step_afterwards() -> None:
    async with scale() as (driver, model, _):
        assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "12.500"
        waiting = asyncio.ensure_future(driver.weigh_next(timeout_s=PATIENCE_S))
        async with asyncio.timeout(PATIENCE_S):
            while not model._changes:  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.001)
        model.set("load_g", "20")
        assert str((await waiting).value) == "20.000"
        model.set("load_g", "30")
        assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "30.000"
        assert not model._changes


async def test_a_load_that_does_not_change_times_out_and_the_scale_still_weighs() -> None:
    async with scale() as (driver, model, _):
        assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "12.500"
        with pytest.raises(DeviceTimeout):
            await driver.weigh_next(timeout_s=0.2)
        model.set("load_g", "30")
        assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "30.000"
        assert (await driver.tare(timeout_s=PATIENCE_S)).value == Decimal("30.000")


@pytest.mark.parametrize("line", [NOISY, BIT_FLIPPED, STALE], ids=lambda line: line.name)
async def test_a_bad_line_gives_no_wrong_weight_nor_piece_weight(line: Line) -> None:
    async with scale(line) as (driver, model, wire):
        model.set("load_g", "30")
        got = await outcome(lambda: driver.weigh_next(timeout_s=0.2))
        assert isinstance(got, DriverError) or str(got.value) == "30.000"
        got = await outcome(driver.piece_weight)
        assert isinstance(got, DriverError) or str(got.value) == "0.1250"
        line.switch(wire, on=False)
        assert str((await until_done(lambda: driver.weigh(timeout_s=1.0))).value) == "30.000"


async def test_what_a_scale_does_not_list_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simulator._COMMANDS, 2, ("I5",))
    async with scale() as (driver, _, _wire):
        for call in (
            driver.piece_weight,
            lambda: driver.shown(timeout_s=1.0),
            lambda: driver.weigh_next(timeout_s=1.0),
            lambda: driver.set_piece_weight(WeightReading(Decimal(1), "g", stable=True)),
        ):
            with pytest.raises(Unsupported, match="does not list"):
                await call()
        assert "I14" not in await driver.about()
