"""What only a scale on Modbus can do wrong: handshakes, exceptions, late answers, echoes."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from drivers import weighing
from drivers.base import DeviceSpec, WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    NotStable,
    Unsupported,
)
from drivers.modbus.codec import Answer, Framing, Write
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.maps import load_map
from simulators.modbus import ModbusScaleModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from tests.contract.scale_suite.memory import MemoryLine
from tests.contract.transports import SPEED, Inbox, until_done

PATIENCE_S = 5.0
Options = dict[str, str | int | float | bool]
TIMES: Options = {
    "line_timeout_s": 0.05,
    "handshake_timeout_s": 0.25,
    "stability_timeout_s": 1.0,
    "watch_interval_s": 0.01,
}
LATE_TIMEOUT_S = 0.01
COMMAND_REGISTER = """
source = "made up: a register that answers with the code, as Rice Lake's block protocol does"
framing = "tcp"
read_function = 4
word_order = "low_first"
[block]
address = 100
count = 6
longest = 10
[values]
net = { address = 100, type = "float32" }
gross = { address = 102, type = "float32", word_order = "high_first" }
[scale]
decimals = 3
[unit]
names = ["g"]
[status]
stable = { address = 104, bit = 0 }
net = { address = 104, bit = 1 }
overload = { address = 104, bit = 2 }
fault = { cell = { address = 104, bit = 3 } }
[command]
handshake = "command_register"
write_function = 16
address = 200
reply_address = 200
reply = "REPLY"
codes = { tare = 13, zero = 10 }
"""


@dataclass(frozen=True, slots=True)
class Stand:
    scale: ModbusDriver
    model: ModbusScaleModel
    wire: Wire
    inbox: Inbox

    async def weight(self) -> str:
        return str((await self.scale.weigh(timeout_s=PATIENCE_S)).value)


@contextlib.asynccontextmanager
async def standing(
    name: str = "wtx120", *, framing: Framing | None = None, connect: bool = True, **options: object
) -> AsyncIterator[Stand]:
    """A driver before its simulator on TCP; RTU framing there is a gateway."""
    model = ModbusScaleModel(1, registers=load_map(name), framing=framing, unit_id=1)
    inbox, wire = Inbox(), Wire(seed=1, speed=SPEED)
    async with serve_tcp(model, wire=wire) as served:
        given: Options = {**TIMES, "map": name}
        if framing is not None:
            given["framing"] = framing.value
        given |= {key: each for key, each in options.items() if isinstance(each, str | int | float)}
        driver = ModbusDriver(DeviceSpec("scale1", served.address, given), inbox.put)
        try:
            if connect:
                await driver.connect()
            yield Stand(driver, model, wire, inbox)
        finally:
            await driver.close()
            served.check()


# ---------------------------------------------------------------- handshakes


async def test_a_command_that_the_device_refuses_is_refused_and_leaves_no_doubt() -> None:
    async with standing() as stand:
        stand.model.faults.switch("refused", on=True)
        for command in (stand.scale.tare, stand.scale.zero):
            with pytest.raises(DeviceRefused, match="was refused"):
                await command(timeout_s=PATIENCE_S)
        assert await stand.weight() == "0.000"


@pytest.mark.parametrize("fault", ["handshake_stuck", "command_stuck"])
async def test_a_handshake_that_never_ends_is_a_timeout_and_leaves_the_reference_in_doubt(
    fault: str,
) -> None:
    async with standing() as stand:
        stand.model.set("load_g", "20")
        stand.model.faults.switch(fault, on=True)
        with pytest.raises(DeviceTimeout, match=r"tare: register 5 bit 14 was not raised") as timed:
            await stand.scale.tare(timeout_s=PATIENCE_S)
        assert timed.value.moved is Moved.NO
        with pytest.raises(DeviceFault, match="not known what became of tare") as doubted:
            await stand.weight()
        assert doubted.value.reason == "reference"
        stand.model.faults.switch(fault, on=False)
        tare = await until_done(lambda: stand.scale.tare(timeout_s=PATIENCE_S))
        assert str(tare.value) == "20.000"
        assert await stand.weight() == "0.000"


async def test_a_handshake_has_the_deadline_of_its_call() -> None:
    async with standing(handshake_timeout_s=60) as stand:
        stand.model.faults.switch("handshake_stuck", on=True)
        with pytest.raises(DeviceTimeout):
            async with asyncio.timeout(2):
                await stand.scale.zero(timeout_s=0.3)


async def test_a_command_is_written_once_even_when_its_answer_is_lost() -> None:
    async with standing("laumas", framing=Framing.RTU) as stand:
        stand.model.set("load_g", "20")
        assert await stand.weight() == "20.000"
        writes = []
        answer = stand.model._write

        def write_unheard(request: Write) -> Answer:
            writes.append(request)
            stand.wire.faults.switch("silence", on=True, times=1)
            return answer(request)

        stand.model._write = write_unheard  # type: ignore[method-assign] # a spy
        tare = await stand.scale.tare(timeout_s=PATIENCE_S)
        assert str(tare.value) == "20.000"
        assert len(writes) == 1


@pytest.mark.parametrize("reply", ["idle", "echo"])
async def test_a_command_register_is_watched_until_it_shows_the_end(
    reply: str, tmp_path: Path
) -> None:
    path = tmp_path / "made-up.toml"
    path.write_text(COMMAND_REGISTER.replace("REPLY", reply))
    async with standing(str(path)) as stand:
        stand.model.set("load_g", "20")
        assert str((await stand.scale.tare(timeout_s=PATIENCE_S)).value) == "20.000"
        stand.model.set("load_g", "-1.5")
        assert await stand.weight() == "-21.500"
        with pytest.raises(Unsupported, match="no command gross"):
            await stand.scale.set_tare(None)
        stand.model.faults.switch("command_stuck", on=True)
        with pytest.raises(DeviceTimeout, match="register 200 does not show"):
            await stand.scale.tare(timeout_s=PATIENCE_S)


async def test_an_echoed_write_is_no_proof_of_anything() -> None:
    """A two-wire adapter returns what was sent: for function 6 that is the very answer."""
    async with standing(framing=Framing.RTU, unit_id=1) as stand:
        stand.wire.faults.switch("echo", on=True)
        stand.wire.faults.switch("deaf", on=True)
        with pytest.raises(DriverError):
            await stand.scale.zero(timeout_s=0.3)


# ---------------------------------------------------------------- exceptions and other devices


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [("illegal_address", DeviceRefused, "2"), ("server_failure", DeviceFault, "4")],
)
async def test_an_exception_has_its_meaning(
    fault: str, error: type[DeviceRefused | DeviceFault], reason: str
) -> None:
    async with standing() as stand:
        stand.model.faults.switch(fault, on=True)
        with pytest.raises(error) as raised:
            await stand.weight()
        assert isinstance(raised.value, DeviceRefused | DeviceFault)
        assert raised.value.reason == reason
        with pytest.raises(error):
            await stand.scale.read()
        stand.model.faults.switch(fault, on=False)
        assert await stand.weight() == "0.000"


@pytest.mark.parametrize(
    ("fault", "error"), [("no_path", DeviceUnavailable), ("no_target", DeviceTimeout)]
)
async def test_a_gateway_without_its_scale_says_so(fault: str, error: type[DriverError]) -> None:
    async with standing("laumas", framing=Framing.RTU) as stand:
        stand.model.faults.switch(fault, on=True)
        with pytest.raises(error, match="gateway"):
            await stand.scale.weigh(timeout_s=0.3)
        stand.model.faults.switch(fault, on=False)
        assert await stand.weight() == "0.000"


@pytest.mark.parametrize(
    ("fault", "error", "doubtful"),
    [
        ("busy", NotStable, False),
        ("illegal_address", DeviceRefused, False),
        ("server_failure", DeviceFault, True),  # it failed while it carried the write out
    ],
)
async def test_a_write_that_is_answered_with_an_exception_leaves_doubt_only_where_it_may_have_acted(
    fault: str,
    error: type[DriverError],
    doubtful: bool,  # noqa: FBT001
) -> None:
    async with standing("laumas", framing=Framing.RTU) as stand:
        answer = stand.model._write

        def refuse(request: Write) -> Answer:
            stand.model._write = answer  # type: ignore[method-assign]
            stand.model.faults.switch(fault, on=True, times=1)
            return stand.model._answer(request)

        stand.model._write = refuse  # type: ignore[method-assign] # a spy
        with pytest.raises(error):
            await stand.scale.tare(timeout_s=PATIENCE_S)
        if doubtful:
            with pytest.raises(DeviceFault, match="what became of tare"):
                await stand.weight()
            await stand.scale.set_tare(None)
        assert await stand.weight() == "0.000"


async def test_the_answers_of_another_unit_are_none() -> None:
    async with standing() as stand:
        stand.model.faults.switch("wrong_unit", on=True)
        with pytest.raises(DeviceTimeout):
            await stand.scale.weigh(timeout_s=0.2)


async def test_another_scale_than_the_pinned_is_refused_and_a_swap_is_noticed() -> None:
    async with standing("laumas", framing=Framing.RTU, connect=False, serial="777") as stand:
        with pytest.raises(DeviceUnavailable, match="777 is configured, 12345 is there"):
            await stand.scale.connect()
        stand.model.set("serial", "777")
        assert (await stand.scale.connect()).firmware == "102"
        stand.model.set("serial", "778")
        with pytest.raises(DeviceUnavailable, match="777 is configured, 778 is there"):
            async with asyncio.timeout(PATIENCE_S):
                await stand.scale.watch()


async def test_a_given_tare_is_refused_or_unsupported_and_zero_clears() -> None:
    async with standing() as stand:
        stand.model.set("load_g", "5")
        await stand.scale.tare(timeout_s=PATIENCE_S)
        for grams, unit in (("-1", "g"), ("NaN", "g"), ("1", "kg")):
            with pytest.raises(DeviceRefused, match=f"no tare of {grams} {unit}"):
                await stand.scale.set_tare(WeightReading(Decimal(grams), unit, stable=True))
        with pytest.raises(Unsupported, match="no preset tare"):
            await stand.scale.set_tare(WeightReading(Decimal(1), "g", stable=True))
        assert await stand.weight() == "0.000"
        await stand.scale.set_tare(WeightReading(Decimal("0.0"), "g", stable=True))
        assert await stand.weight() == "5.000"
        await stand.scale.set_tare(None)
        assert await stand.weight() == "5.000", "no tare is active: the toggle is not sent"


async def test_zero_ends_a_tare() -> None:
    async with standing() as stand:
        stand.model.set("load_g", "5")
        await stand.scale.tare(timeout_s=PATIENCE_S)
        stand.model.set("load_g", "1")
        await stand.scale.zero(timeout_s=PATIENCE_S)
        assert await stand.weight() == "0.000"
        assert stand.model.state()["net_mode"] is False


async def test_unit_and_plausible_window_are_checked() -> None:
    async with standing(unit="kg") as stand:
        with pytest.raises(DeviceFault, match="sends g, kg is configured"):
            await stand.weight()
    async with standing(plausible_max="100", plausible_min="-1") as stand:
        stand.model.set("load_g", "100.001")
        with pytest.raises(DeviceFault, match=r"100\.001 g is not in -1 to 100"):
            await stand.weight()


# ---------------------------------------------------------------- late answers on RTU


class LateLine:
    """A gateway that holds every answer back for `late_s`."""

    parity = False

    def __init__(self, line: MemoryLine) -> None:
        self._line = line
        self._ready = bytearray()
        self._arrived = asyncio.Event()
        self.late_s = 0.0

    async def open(self) -> None:
        await self._line.open()

    async def write(self, data: bytes) -> None:
        await self._line.write(data)
        answer = self._line.discard()
        asyncio.get_running_loop().call_later(self.late_s, self._arrive, answer)

    def _arrive(self, answer: bytes) -> None:
        self._ready += answer
        self._arrived.set()

    async def read(self) -> bytes:
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        return self.discard()

    def discard(self) -> bytes:
        data = bytes(self._ready)
        self._ready.clear()
        return data

    async def close(self) -> None:
        await self._line.close()


def in_memory(grams: str, *, seed: int = 1) -> ModbusScaleModel:
    model = ModbusScaleModel(seed, registers=load_map("laumas"))
    model.set("load_g", grams)
    for _ in range(50):
        model.step(0.1)
    return model


async def over(line: MemoryLine | LateLine) -> ModbusDriver:
    times = {**TIMES, "line_timeout_s": LATE_TIMEOUT_S}
    spec = DeviceSpec("scale1", "tcp://127.0.0.1:1", {"map": "laumas", **times})
    driver = ModbusDriver(spec, Inbox().put, transport=line)
    await driver.connect()
    return driver


@pytest.mark.parametrize("timeouts", [1.5, 6.5, 15.5])
async def test_an_answer_that_is_late_by_any_time_is_never_taken(
    timeouts: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)
    model = in_memory("10")
    line = LateLine(MemoryLine(model, Wire(seed=1), parity=False))
    driver = await over(line)
    line.late_s = timeouts * LATE_TIMEOUT_S
    weights: list[str] = []
    for grams in ("20", "30", "40"):
        model.set("load_g", grams)
        for _ in range(50):
            model.step(0.1)
        with contextlib.suppress(DriverError):
            weights.append(f"{grams} is {(await driver.weigh(timeout_s=0.1)).value}")
    assert weights == [], "every answer there is belongs to an older request"
    line.late_s = 0.0
    reading = await until_done(lambda: driver.weigh(timeout_s=1.0))
    assert str(reading.value) == "40.000"


async def test_bit_errors_on_rtu_give_no_wrong_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)
    chance, given, wrong = random.Random(1), 0, 0
    for trial, rate in zip(range(80), cycle_of(("0.001", "0.003", "0.01")), strict=False):
        grams = f"{chance.randrange(320_000) / 1000:.3f}"
        wire = Wire(seed=trial)
        driver = await over(MemoryLine(in_memory(grams, seed=trial), wire, parity=False))
        wire.set("noise_rate", rate)
        wire.faults.switch("noise", on=True)
        if trial % 2:
            wire.faults.switch("burst", on=True, times=1)
        try:
            reading = await driver.weigh(timeout_s=10)
        except DriverError:
            continue
        given += 1
        wrong += str(reading.value) != grams
    assert wrong == 0
    assert given > 40


def cycle_of(values: tuple[str, ...]) -> Iterable[str]:
    while True:
        yield from values


# ---------------------------------------------------------------- one moment


async def test_value_and_status_are_of_one_moment() -> None:
    """The load changes between any two requests; a weight that is stable is never the old one."""
    async with standing() as stand:
        seen = set()
        for grams in ("10", "20", "10", "20"):
            stand.model.set("load_g", grams)
            reading = await stand.scale.weigh(timeout_s=PATIENCE_S)
            seen.add(str(reading.value))
            assert reading.raw[8:10] == b"\x00\x00", "status word of the same answer: at rest"
        assert seen == {"10.000", "20.000"}
