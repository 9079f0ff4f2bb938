"""The core of the serial dialects where a line must be played note by note."""

import asyncio
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from drivers import weighing
from drivers.and_.driver import AndDriver
from drivers.base import DeviceSpec, WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.lineoptions import Options
from drivers.linescale import LineScale
from drivers.nci.driver import NciDriver
from drivers.ohaus.driver import OhausDriver
from drivers.sbi.driver import SbiDriver
from drivers.toledo8217.driver import Toledo8217Driver
from drivers.weighing import Value
from simulators.wire import Wire
from tests.contract.scale_suite.benches import DIALECTS, Carrier
from tests.contract.scale_suite.memory import MemoryLine, at_rest
from tests.contract.transports import Inbox, outcome

Build = Callable[..., LineScale]
DRIVERS: dict[str, Build] = {
    "and": AndDriver,
    "nci": NciDriver,
    "ohaus": OhausDriver,
    "sbi": SbiDriver,
    "toledo8217": Toledo8217Driver,
}
CONFIG = Path(__file__).parents[2] / "config" / "devices"
TEN = WeightReading(Decimal("10.000"), "g", stable=True)


class Script:
    """A transport that answers by a script: a list of answers is used up, a single one stays."""

    def __init__(self, answers: dict[bytes, bytes | list[bytes]], *, parity: bool = True) -> None:
        self.parity = parity
        self.answers = answers
        self.sent: list[bytes] = []
        self.waiting = b""

    async def open(self) -> None:
        self.waiting = b""

    async def read(self) -> bytes:
        if not self.waiting:
            raise TimeoutError
        return self.discard()

    async def write(self, data: bytes) -> None:
        self.sent.append(data)
        answer = self.answers.get(data, b"")
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else b""
        self.waiting += answer

    def discard(self) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    async def close(self) -> None:
        return


class Desk:
    """A driver of a dialect on its simulated scale, without time."""

    def __init__(self, carrier: Carrier, *, parity: bool = True, **options: Value) -> None:
        case = DIALECTS[carrier]
        self.model = case.model(1)
        self.wire = Wire(parity=parity)
        self.line = MemoryLine(self.model, self.wire, parity=parity, step_s=0.1)
        self.inbox = Inbox()
        given = {"gap_s": 1e-9, "watch_interval_s": 1e-3, **options}
        self.scale = case.build("tcp://127.0.0.1:1", self.inbox.put, given, self.line)

    def load(self, load: str) -> None:
        at_rest(self.model, load)

    async def weight(self) -> str:
        return str((await self.scale.weigh(timeout_s=5)).value)

    def press(self, command: bytes) -> None:
        """Do at the scale what a command would do."""
        self.model.connected(99)
        self.model.received(99, command)
        self.model.outgoing()
        self.model.disconnected(99)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)


async def desk(carrier: Carrier, *, parity: bool = True, **options: Value) -> Desk:
    ready = Desk(carrier, parity=parity, **options)
    await ready.scale.connect()
    return ready


async def scripted(build: Build, script: Script, **options: Value) -> LineScale:
    given = {"plausible_max": "100", "gap_s": 1e-9, "line_timeout_s": 0.5, **options}
    scale = build(DeviceSpec("scale1", "tcp://127.0.0.1:1", given), Inbox().put, transport=script)
    await scale.connect()
    script.sent.clear()
    return scale


# ---------------------------------------------------------------- agreement


async def test_two_reads_make_a_weight_with_parity_and_three_without() -> None:
    for parity, reads in ((True, 2), (False, 3)):
        script = Script({b"W": b"\x0212.500\r"}, parity=parity)
        scale = await scripted(Toledo8217Driver, script)
        assert str((await scale.weigh(timeout_s=1)).value) == "12.500"
        assert script.sent == [b"W"] * reads


async def test_an_answer_with_more_behind_it_counts_as_nothing() -> None:
    good, twice = b"\x0212.500\r", b"\x0212.500\r\x0212.500\r"
    script = Script({b"W": good})
    scale = await scripted(Toledo8217Driver, script)
    script.answers[b"W"] = [good, twice, good, good]
    assert str((await scale.weigh(timeout_s=1)).value) == "12.500"
    assert script.sent == [b"W"] * 4


async def test_an_answer_without_an_end_and_bytes_that_nobody_asked_for_are_failures() -> None:
    script = Script({b"W": b"\x0212.500\r"})
    scale = await scripted(Toledo8217Driver, script)
    script.answers[b"W"] = [b"\x0212.50", b"\x0212.500\r", b"\x0212.500\r"]
    assert str((await scale.weigh(timeout_s=1)).value) == "12.500"
    script.answers[b"W"] = b"\x0212.500\r"
    script.waiting = b"\x0299.999\r"
    assert str((await scale.read()).value) == "12.500"


async def test_a_line_that_echoes_is_understood() -> None:
    script = Script({b"SI\r\n": b"SI\r\nST,+0012.500  g\r\n"})
    scale = await scripted(AndDriver, script)
    assert str((await scale.weigh(timeout_s=1)).value) == "12.500"


async def test_answers_that_never_agree_are_a_disagreement() -> None:
    script = Script({b"W": b"\x0212.500\r"})
    scale = await scripted(Toledo8217Driver, script)
    script.answers[b"W"] = [b"\x02%02d.500\r" % number for number in range(90)]
    with pytest.raises(Disagreement):
        await scale.weigh(timeout_s=1)


async def test_a_large_change_must_agree_twice_over() -> None:
    script = Script({b"W": b"\x0212.500\r"})
    scale = await scripted(Toledo8217Driver, script, jump_max="10")
    await scale.weigh(timeout_s=1)
    script.answers[b"W"] = b"\x0222.500\r"
    script.sent.clear()
    await scale.weigh(timeout_s=1)
    assert script.sent == [b"W"] * 2
    script.answers[b"W"] = b"\x0242.500\r"
    script.sent.clear()
    await scale.weigh(timeout_s=1)
    assert script.sent == [b"W"] * 4
    script.answers[b"W"] = [b"\x0262.500\r"] * 2 + [b"\x0263.500\r"] * 2
    with pytest.raises(Disagreement, match=r"62\.500, then 63\.500"):
        await scale.weigh(timeout_s=1)


async def test_a_weight_outside_the_window_or_in_another_unit_is_a_fault() -> None:
    script = Script({b"IP\r\n": b"    12.50 kg\r\n"})
    scale = await scripted(OhausDriver, script, unit="kg", plausible_max="12", plausible_min="-1")
    with pytest.raises(DeviceFault, match=r"12\.50 kg is not in -1 to 12"):
        await scale.weigh(timeout_s=1)
    scale = await scripted(OhausDriver, script, unit="g")
    with pytest.raises(DeviceFault, match="sends kg, g is configured"):
        await scale.weigh(timeout_s=1)


async def test_a_status_that_explains_nothing_is_no_answer_to_a_question_for_the_weight() -> None:
    script = Script({b"W": b"\x0212.500\r"})
    scale = await scripted(Toledo8217Driver, script)
    script.answers[b"W"] = b"\x02?P\r"
    with pytest.raises(ProtocolError):
        await scale.weigh(timeout_s=1)


async def test_refusals_are_told_apart() -> None:
    script = Script({b"SI\r\n": b"ST,+0012.500  g\r\n", b"Z\r\n": b"EC,E07\r\n"})
    scale = await scripted(AndDriver, script, zero_max="20")
    script.answers[b"PT:0  g\r\n"] = b"\x06\r\n"
    script.answers[b"?PT\r\n"] = b"PT,+0000.000  g\r\n"
    with pytest.raises(DeviceRefused) as refused:
        await scale.zero(timeout_s=1)
    assert refused.value.reason == "E07"
    script.answers[b"Z\r\n"] = b"EC,E11\r\n"
    with pytest.raises(NotStable):
        await scale.zero(timeout_s=1)
    script.answers[b"SI\r\n"] = b"EC,E02\r\n"
    with pytest.raises(NotStable, match="busy"):
        await scale.read()
    script.answers[b"SI\r\n"] = b"EC,E01\r\n"
    with pytest.raises(ProtocolError, match="E01"):
        await scale.read()
    script.answers[b"SI\r\n"] = b"\x06\r\n" * 5
    with pytest.raises(ProtocolError):
        await scale.read()


# ---------------------------------------------------------------- zero and tare in doubt


async def test_a_print_that_became_a_tare_is_not_believed() -> None:
    ready = await desk(Carrier.SBI)
    ready.load("50")
    assert await ready.weight() == "50.000"
    ready.wire.faults.switch("deaf", on=True, times=1)
    ready.press(b"\x1bT\r\n")
    with pytest.raises(DeviceFault) as fault:
        await ready.weight()
    assert fault.value.reason == "reference"
    ready.load("100")  # the display shows 50.000 again, which proves nothing any more
    with pytest.raises(DeviceFault):
        await ready.weight()
    await ready.scale.tare(timeout_s=5)
    assert await ready.weight() == "0.000"


async def test_a_question_that_was_lost_is_forgotten_when_the_weight_is_the_same() -> None:
    ready = await desk(Carrier.SBI)
    ready.load("50")
    assert await ready.weight() == "50.000"
    ready.wire.faults.switch("deaf", on=True, times=1)
    assert await ready.weight() == "50.000"
    ready.load("20")
    assert await ready.weight() == "20.000"


async def test_an_answer_that_comes_late_takes_the_doubt_away() -> None:
    good = b"+   12.500 g  \r\n"
    script = Script({b"\x1bP\r\n": good})
    scale = await scripted(SbiDriver, script)
    assert str((await scale.weigh(timeout_s=1)).value) == "12.500"
    for late, weight in ((b"+   20.000 g  \r\n", "20.000"), (b"", "")):
        script.answers[b"\x1bP\r\n"] = b""
        with pytest.raises(DeviceTimeout):
            await scale.weigh(timeout_s=0)
        script.waiting = late
        script.answers[b"\x1bP\r\n"] = late or good
        got = await outcome(lambda: scale.weigh(timeout_s=1))
        if weight:
            assert isinstance(got, WeightReading)
            assert str(got.value) == weight
        else:
            assert isinstance(got, DeviceFault)
            assert got.reason == "reference"


async def test_a_scale_that_does_not_mark_net_weights_is_doubted_after_any_failure() -> None:
    ready = Desk(Carrier.NCI)
    ready.model.set("status_bytes", "2")
    await ready.scale.connect()
    ready.load("50")
    ready.wire.faults.switch("drop_last_byte", on=True, times=1)
    with pytest.raises(DeviceFault, match="unanswered"):
        await ready.weight()
    ready.load("0")
    await ready.scale.zero(timeout_s=5)
    ready.load("50")
    assert await ready.weight() == "50.000"


async def test_a_tare_that_somebody_took_at_the_scale_is_noticed() -> None:
    ready = await desk(Carrier.TOLEDO8217)
    ready.load("50")
    assert await ready.weight() == "50.000"
    ready.press(b"T10000")
    with pytest.raises(DeviceFault, match="net and gross changed"):
        await ready.weight()
    ready.press(b"C")
    assert await ready.weight() == "50.000"


async def test_zero_and_tare_that_cannot_be_are_refused() -> None:
    ready = await desk(Carrier.OHAUS, stability_timeout_s=5)
    ready.load("50")
    with pytest.raises(DeviceRefused, match="too far from zero"):
        await ready.scale.zero(timeout_s=5)
    for value, unit in (("500", "g"), ("-1", "g"), ("1", "kg"), ("NaN", "g")):
        with pytest.raises(DeviceRefused):
            await ready.scale.set_tare(WeightReading(Decimal(value), unit, stable=True))
    await ready.scale.set_tare(TEN)
    assert await ready.weight() == "40.000"
    ready.model.faults.switch("motion", on=True)
    with pytest.raises(NotStable):
        await ready.scale.tare(timeout_s=0.05)


async def test_a_tare_with_too_many_digits_or_a_negative_load_is_refused() -> None:
    ready = await desk(Carrier.TOLEDO8217, stability_timeout_s=5)
    with pytest.raises(DeviceRefused, match="cannot be written"):
        await ready.scale.set_tare(WeightReading(Decimal("1.2345"), "kg", stable=True))
    await ready.scale.set_tare(None)
    ready.load("0")
    assert str((await ready.scale.tare(timeout_s=5)).value) == "0.000"
    balance = await desk(Carrier.AND)
    balance.load("-1")
    with pytest.raises(DeviceRefused, match="no tare of -1"):
        await balance.scale.tare(timeout_s=5)


async def test_a_scale_with_its_tare_switched_off_is_not_tared() -> None:
    ready = await desk(Carrier.TOLEDO8217, stability_timeout_s=5)
    ready.model.set("tare_enabled", "0")
    ready.load("50")
    with pytest.raises(DeviceTimeout):
        await ready.scale.tare(timeout_s=5)
    with pytest.raises(DeviceTimeout):
        await ready.scale.set_tare(None)


@pytest.mark.parametrize("carrier", [Carrier.OHAUS, Carrier.AND])
async def test_a_tare_memory_that_keeps_another_weight_is_a_disagreement(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = await desk(carrier, stability_timeout_s=5)
    kept = ready.model.tare
    monkeypatch.setattr(ready.model, "tare", lambda: type(kept())(Decimal("3.000"), "g"))
    with pytest.raises(Disagreement, match="not cleared"):
        await ready.scale.set_tare(TEN)


@pytest.mark.parametrize("carrier", [Carrier.NCI, Carrier.SBI])
async def test_a_tare_that_was_taken_is_cleared_by_zeroing_the_empty_pan(carrier: Carrier) -> None:
    ready = await desk(carrier)
    ready.load("50")
    assert str((await ready.scale.tare(timeout_s=5)).value) == "50.000"
    assert await ready.weight() == "0.000"
    if carrier is Carrier.SBI:  # the display shows 0, but 50 lie on the pan
        with pytest.raises(DeviceRefused, match=r"50\.000 g is too far from zero"):
            await ready.scale.zero(timeout_s=5)
    ready.load("80")
    assert str((await ready.scale.tare(timeout_s=5)).value) == "80.000"
    ready.load("0")
    await ready.scale.zero(timeout_s=5)
    ready.load("50")
    assert await ready.weight() == "50.000"


async def test_a_load_that_changes_while_it_is_tared_is_a_disagreement() -> None:
    ready = await desk(Carrier.SBI)
    ready.load("50")

    def more(command: bytes) -> None:
        if command == b"\x1bU\r\n":
            ready.line.before_answer = lambda _command: None
            ready.press(command)
            ready.load("60")
            ready.wire.faults.switch("deaf", on=True, times=1)

    ready.line.before_answer = more
    with pytest.raises(Disagreement, match=r"50\.000 g was not tared"):
        await ready.scale.tare(timeout_s=5)


async def test_a_tare_of_five_digits_that_did_not_arrive_is_written_again() -> None:
    ready = await desk(Carrier.TOLEDO8217, stability_timeout_s=5)
    ready.load("50")

    def lose(command: bytes) -> None:
        if command.startswith(b"T"):
            ready.line.before_answer = lambda _command: None
            ready.press(b"T20000")
            ready.wire.faults.switch("deaf", on=True, times=1)

    ready.line.before_answer = lose
    await ready.scale.set_tare(WeightReading(Decimal("10.000"), "kg", stable=True))
    assert await ready.weight() == "40.000"
    await ready.scale.set_tare(None)
    assert await ready.weight() == "50.000"
    assert str((await ready.scale.tare(timeout_s=5)).value) == "50.000"
    ready.load("0")
    await ready.scale.zero(timeout_s=5)
    assert await ready.weight() == "0.000"
    await ready.scale.close()


async def test_a_scale_that_will_not_be_zeroed_or_that_reports_a_fault_is_told() -> None:
    ready = await desk(Carrier.TOLEDO8217)
    ready.model.faults.switch("motion", on=True)
    ready.load("1")
    with pytest.raises(NotStable):
        await ready.scale.zero(timeout_s=0.05)
    ready.model.faults.switch("motion", on=False)
    ready.load("3")  # within zero_max, beyond the range of the scale itself
    with pytest.raises(DeviceRefused, match="not taken"):
        await ready.scale.zero(timeout_s=5)
    ready.model.faults.switch("overload", on=True)
    with pytest.raises(Overload):
        await ready.scale.zero(timeout_s=5)
    balance = await desk(Carrier.NCI)
    balance.model.faults.switch("hardware_error", on=True)
    with pytest.raises(DeviceFault, match="reports RAM"):
        await balance.scale.read()
    with pytest.raises(DeviceFault, match="reports RAM"):
        await balance.scale.zero(timeout_s=5)


async def test_an_ability_that_a_dialect_lacks_is_told() -> None:
    for carrier in (Carrier.NCI, Carrier.SBI):
        ready = await desk(carrier)
        with pytest.raises(Unsupported):
            await ready.scale.set_tare(None)


# ---------------------------------------------------------------- faults and identity


async def test_range_and_motion_are_errors() -> None:
    ready = await desk(Carrier.TOLEDO8217)
    for fault, error in (("overload", Overload), ("underload", Underload), ("motion", NotStable)):
        ready.model.faults.switch(fault, on=True)
        ready.load("5")
        with pytest.raises(error):
            await ready.scale.read()
        ready.model.faults.switch(fault, on=False)


async def test_the_confidence_test_is_run_at_connect_when_asked_for() -> None:
    ready = await desk(Carrier.TOLEDO8217, self_test=True)
    ready.model.faults.switch("self_test", on=True)
    driver = ready.scale
    assert isinstance(driver, Toledo8217Driver)
    with pytest.raises(DeviceFault, match="confidence test ended with 3f48"):
        await driver.confidence()


async def test_a_scale_in_echo_mode_is_brought_back() -> None:
    ready = await desk(Carrier.TOLEDO8217)
    ready.load("5")
    ready.press(b"E")
    assert await ready.weight() == "5.000"


async def test_a_pinned_scale_is_recognized_and_a_swapped_one_is_not() -> None:
    ready = await desk(Carrier.AND, serial="B123456789")
    ready.model.set("serial", "B000000002")
    with pytest.raises(DeviceUnavailable, match="B000000002 took the place of B123456789"):
        async with asyncio.timeout(5):
            await ready.scale.watch()
    with pytest.raises(DeviceUnavailable, match="B123456789 is configured, B000000002 answers"):
        await ready.scale.connect()


async def test_a_scale_without_a_serial_number_is_watched_by_its_weight() -> None:
    ready = await desk(Carrier.TOLEDO8217)
    ready.wire.faults.switch("silence", on=True)
    with pytest.raises(DeviceTimeout):
        async with asyncio.timeout(5):
            await ready.scale.watch()


async def test_a_serial_number_that_is_not_known_to_the_scale_is_told() -> None:
    script = Script({b"?TN\r\n": b"EC,E01\r\n"})
    with pytest.raises(Unsupported):
        await scripted(AndDriver, script, serial="B1")


async def test_connecting_leaves_a_noisy_line_until_it_is_quiet() -> None:
    ready = Desk(Carrier.TOLEDO8217)
    opening = ready.line.open

    async def noisy_open() -> None:
        await opening()
        ready.line._buffer += b"noise"

    ready.line.open = noisy_open  # type: ignore[method-assign]
    await ready.scale.connect()
    assert ready.inbox.kinds() == ["garbage"]


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_the_profile_shows_the_defaults_and_every_option_of_the_core(name: str) -> None:
    text = (CONFIG / f"{name}.toml").read_text()
    (device,) = tomllib.loads(text)["devices"].values()
    spec = DeviceSpec("scale-1", device["address"], device["options"])
    driver = DRIVERS[name](spec, Inbox().put)
    capacity: dict[str, Value] = {"plausible_max": device["options"]["plausible_max"]}
    plain = DRIVERS[name](DeviceSpec("scale-1", device["address"], capacity), Inbox().put)
    assert driver._options == plain._options
    told = {"serial", "identify"} if driver._dialect.about else set()
    shown = set(Options.__slots__) - {"serial", "identify"} | told
    assert [key for key in shown if f"\n{key} = " not in text and f"\n# {key} = " not in text] == []


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("and", "query", "SIR"),
        ("and", "unit", "stone"),
        ("and", "plausible_max", ""),
        ("and", "plausible_max", -1),
        ("and", "plausible_min", "200"),
        ("and", "zero_max", 0),
        ("and", "jump_max", -1),
        ("and", "identify", "yes"),
        ("and", "gap_s", -1.0),
        ("and", "speed", 3),
        ("nci", "weight_chars", 1),
        ("nci", "serial", "B1"),
        ("nci", "identify", True),
        ("ohaus", "value_end", "9"),
        ("ohaus", "value_end", 8),
        ("sbi", "unit", ""),
        ("toledo8217", "self_test", 1),
        ("toledo8217", "unit", "g"),
    ],
)
def test_a_wrong_option_is_refused_by_name(name: str, key: str, value: Value) -> None:
    options: dict[str, Value] = {"plausible_max": "100", key: value}
    with pytest.raises(ValueError, match=key):
        DRIVERS[name](DeviceSpec("scale1", "tcp://127.0.0.1:1", options), Inbox().put)


def test_the_capacity_must_be_given() -> None:
    with pytest.raises(ValueError, match="plausible_max"):
        SbiDriver(DeviceSpec("scale1", "tcp://127.0.0.1:1", {}), Inbox().put)


def test_counted_pieces_have_no_tare() -> None:
    options: dict[str, Value] = {"plausible_max": "100", "unit": "PC", "query": "Q"}
    AndDriver(DeviceSpec("scale1", "tcp://127.0.0.1:1", options), Inbox().put)
