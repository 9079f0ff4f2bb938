"""The MT-SICS driver where a line must be played note by note."""

import asyncio
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from drivers import weighing
from drivers.base import DeviceSpec, RawMessage, WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    Moved,
    NotStable,
    ProtocolError,
    Unsupported,
)
from drivers.mtsics.driver import MtsicsDriver
from drivers.mtsics.options import Options, parse_options
from drivers.transport import LinkLost
from drivers.weighing import Value
from tests.contract.transports import Inbox

WEIGHT = b"S S     12.500 g\r\n"
IDENTITY = {
    b"I4": b'I4 A "B123456789"\r\n',
    b"I2": b'I2 A "XS204 Excellence 220.0090 g"\r\n',
    b"I3": b'I3 A "2.10 10.28.0.493.142"\r\n',
    b"TA": b"TA A      0.000 g\r\n",
    b"@": b'I4 A "B123456789"\r\n',
    b"TAC": b"TAC A\r\n",
    b"SI": WEIGHT,
}
IN_STEP = [b"SI", b"I4", b"SI"]
"""A weight that failed, the question that brings the line in step, the weight again."""


class Score:
    """A transport that answers by a script: a list of answers is used up, a single one stays."""

    def __init__(self, *, parity: bool = False) -> None:
        self.parity = parity
        self.answers: dict[bytes, bytes | list[bytes]] = dict(IDENTITY)
        self.sent: list[bytes] = []
        self.waiting = b""
        self.lost = ""

    async def open(self) -> None:
        self.lost = ""

    async def read(self) -> bytes:
        if self.lost:
            raise LinkLost(self.lost)
        if not self.waiting:
            raise TimeoutError
        data, self.waiting = self.waiting, b""
        return data

    async def write(self, data: bytes) -> None:
        if self.lost:
            lost = LinkLost(self.lost)
            lost.moved = Moved.UNKNOWN
            raise lost
        command = data.removesuffix(b"\r\n")
        self.sent.append(command)
        answer = self.answers.get(command, b"ES\r\n")
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else b""
        self.waiting += answer

    def discard(self) -> bytes:
        data, self.waiting = self.waiting, b""
        return data

    async def close(self) -> None:
        self.lost = self.lost or "closed here"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "READ_PAUSE_S", 0.0)


@pytest.fixture
def score() -> Score:
    return Score()


async def connected(score: Score, inbox: Inbox | None = None, **options: Value) -> MtsicsDriver:
    spec = DeviceSpec("scale1", "tcp://127.0.0.1:1", options)
    driver = MtsicsDriver(spec, (inbox or Inbox()).put, transport=score)
    await driver.connect()
    score.sent.clear()
    return driver


async def test_three_reads_make_a_weight_without_parity(score: Score) -> None:
    driver = await connected(score)
    reading = await driver.weigh(timeout_s=1)
    assert reading == WeightReading(Decimal("12.500"), "g", stable=True, raw=WEIGHT[:-2])
    assert score.sent == [b"SI", b"SI", b"SI"]


async def test_two_reads_make_a_weight_with_parity() -> None:
    score = Score(parity=True)
    driver = await connected(score)
    await driver.weigh(timeout_s=1)
    assert score.sent == [b"SI", b"SI"]


async def test_more_reads_may_be_asked_for_but_never_fewer_than_the_line_needs(
    score: Score,
) -> None:
    await (await connected(score, agreeing_reads=5)).weigh(timeout_s=1)
    assert len(score.sent) == 5
    await (await connected(score, agreeing_reads=2)).weigh(timeout_s=1)
    assert len(score.sent) == 3


async def test_a_read_that_differs_starts_the_agreement_again(score: Score) -> None:
    driver = await connected(score)
    other = b"S S     92.500 g\r\n"
    score.answers[b"SI"] = [WEIGHT, WEIGHT, other, WEIGHT, WEIGHT, WEIGHT]
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")
    assert len(score.sent) == 6


async def test_reads_that_never_agree_are_a_disagreement(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"S S     %2d.500 g\r\n" % (10 + n) for n in range(60)]
    with pytest.raises(Disagreement):
        await driver.weigh(timeout_s=10)
    score.answers[b"SI"] = WEIGHT
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")


async def test_a_deadline_between_question_and_answer_of_a_moving_scale_is_not_stable(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await connected(score)
    loop = asyncio.get_running_loop()
    now = loop.time
    write = score.write

    async def late(data: bytes) -> None:
        await write(data)
        if len(score.sent) == 3:
            score.waiting = b""
            monkeypatch.setattr(loop, "time", lambda: now() + 100)

    monkeypatch.setattr(score, "write", late)
    score.answers[b"SI"] = b"S D     12.500 g\r\n"
    with pytest.raises(NotStable):
        await driver.weigh(timeout_s=60)


async def test_answers_that_never_agree_fail_to_connect(score: Score) -> None:
    score.answers[b"I4"] = [b'I4 A "B%09d"\r\n' % n for n in range(60)]
    with pytest.raises(Disagreement, match="I4"):
        await connected(score)


async def test_an_answer_to_another_command_is_refused_and_the_line_brought_in_step(
    score: Score,
) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"TA A     92.500 g\r\n", WEIGHT, WEIGHT]
    assert (await driver.read()).value == Decimal("12.500")
    assert score.sent == IN_STEP


async def test_two_different_answers_to_one_command_are_refused(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"S S     92.500 g\r\n" + WEIGHT, WEIGHT, WEIGHT]
    assert (await driver.read()).value == Decimal("12.500")
    assert score.sent == IN_STEP


async def test_an_answer_with_the_beginning_of_another_behind_it_is_refused(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"S S     92.500 g\r\nS S", WEIGHT, WEIGHT]
    assert (await driver.read()).value == Decimal("12.500")


async def test_the_same_answer_twice_counts_once(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = WEIGHT + WEIGHT
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")
    assert score.sent == [b"SI", b"SI", b"SI"]


async def test_what_arrived_before_a_command_is_dropped_and_kept_as_garbage(score: Score) -> None:
    inbox = Inbox()
    driver = await connected(score, inbox)
    score.waiting = b"S S     92.500 g\r\n"
    assert (await driver.read()).value == Decimal("12.500")
    assert [(each.kind, each.raw) for each in inbox.messages] == [
        ("garbage", b"S S     92.500 g\r\n")
    ]


async def test_everything_before_the_answer_that_brings_the_line_in_step_is_skipped(
    score: Score,
) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"", WEIGHT]
    score.answers[b"I4"] = b'S S     92.500 g\r\nrubbish\r\nI4 A "B123456789"\r\n'
    assert (await driver.read()).value == Decimal("12.500")
    assert score.sent == IN_STEP


async def test_a_busy_scale_is_in_step(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"", WEIGHT]
    score.answers[b"I4"] = b"I4 I\r\n"
    assert (await driver.read()).value == Decimal("12.500")


async def test_a_scale_that_does_not_come_in_step_times_out(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = b""
    score.answers[b"I4"] = b""
    with pytest.raises(DeviceTimeout, match="no answer to I4"):
        await driver.weigh(timeout_s=60)


async def test_a_line_drowned_in_rubbish_times_out(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = b""
    score.answers[b"I4"] = b"rubbish\r\n" * 500
    with pytest.raises(DeviceTimeout, match="no answer to I4"):
        await driver.weigh(timeout_s=60)


@pytest.mark.parametrize("command", [b"T", b"Z"])
async def test_only_a_command_that_waits_for_stability_is_cancelled(
    score: Score, command: bytes
) -> None:
    driver = await connected(score)
    score.answers[b"T"] = [b"", b"T S      0.000 g\r\n"]
    score.answers[b"Z"] = [b"", b"Z A\r\n", b"Z A\r\n", b"Z A\r\n"]
    await (driver.tare if command == b"T" else driver.zero)(timeout_s=1)
    assert score.sent[:3] == [command, b"@", command]


@pytest.mark.parametrize(
    "answer", [b"TI S     12.500 g\r\n", b"T S     12.500 g\r\n", b"ZI S\r\n", b"Z A\r\n"]
)
async def test_a_command_damaged_into_tare_or_zero_stops_weighing_until_zeroed(
    score: Score, answer: bytes
) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [answer, *[b"S S      0.000 g\r\n"] * 9]
    score.answers[b"Z"] = b"Z A\r\n"
    for _ in range(2):
        with pytest.raises(DeviceFault, match="unasked") as raised:
            await driver.weigh(timeout_s=1)
        assert raised.value.reason == "reference"
    await driver.zero(timeout_s=1)
    assert (await driver.weigh(timeout_s=1)).value == Decimal("0.000")


async def test_a_zero_heard_while_coming_in_step_stops_weighing_until_tared(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [b"", *[WEIGHT] * 9]
    score.answers[b"I4"] = b"ZI S\r\n" + IDENTITY[b"I4"]
    score.answers[b"T"] = b"T S      0.000 g\r\n"
    with pytest.raises(DeviceFault, match="ZI unasked"):
        await driver.weigh(timeout_s=1)
    await driver.set_tare(None)
    with pytest.raises(DeviceFault, match="ZI unasked"):
        await driver.weigh(timeout_s=1)
    await driver.tare(timeout_s=1)
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")


async def test_a_tare_taken_by_a_damaged_question_is_mended_by_setting_it(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"TA"] = [b"T S     12.500 g\r\n", *[b"TA A     12.500 g\r\n"] * 3] + [
        b"TA A      0.000 g\r\n"
    ] * 3
    await driver.set_tare(None)
    assert score.sent.count(b"TAC") == 6
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")


async def test_a_late_answer_to_the_own_zero_is_no_damaged_command(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"Z"] = [b"", *[b"Z A\r\n"] * 3]
    score.answers[b"@"] = b"Z A\r\n" + IDENTITY[b"@"]
    await driver.zero(timeout_s=1)
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")


async def test_zeroing_needs_as_many_confirmations_as_a_weight(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"Z"] = b"Z A\r\n"
    await driver.zero(timeout_s=1)
    assert score.sent[:3] == [b"Z", b"Z", b"Z"]


async def test_a_tare_that_the_memory_does_not_confirm_is_a_disagreement(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"T"] = b"T S     10.000 g\r\n"
    score.answers[b"TA"] = b"TA A     10.001 g\r\n"
    with pytest.raises(Disagreement, match=r"took 10\.000, holds 10\.001"):
        await driver.tare(timeout_s=1)


async def test_a_preset_tare_that_the_scale_holds_otherwise_is_a_disagreement(
    score: Score,
) -> None:
    driver = await connected(score)
    score.answers[b"TA 5.0004 g"] = b"TA A      5.000 g\r\n"
    score.answers[b"TA"] = b"TA A      5.000 g\r\n"
    await driver.set_tare(WeightReading(Decimal("5.0004"), "g", stable=True))
    score.answers[b"TA"] = b"TA A      5.001 g\r\n"
    with pytest.raises(Disagreement, match=r"5\.0004 was asked, the scale holds 5\.001"):
        await driver.set_tare(WeightReading(Decimal("5.0004"), "g", stable=True))


async def test_a_refused_parameter_is_refused_with_its_reason(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"TAC"] = b"TAC L\r\n"
    with pytest.raises(DeviceRefused) as raised:
        await driver.set_tare(None)
    assert raised.value.reason == "L"


@pytest.mark.parametrize("answer", [b"ES\r\n", b"ET\r\n", b"EL\r\n"])
async def test_one_answer_that_the_command_was_not_understood_is_asked_again(
    score: Score, answer: bytes
) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = [answer, WEIGHT]
    assert (await driver.read()).value == Decimal("12.500")
    assert score.sent == [b"SI", b"SI"]


async def test_a_command_that_is_never_understood_is_unsupported(score: Score) -> None:
    driver = await connected(score)
    with pytest.raises(Unsupported, match="does not know Z"):
        await driver.zero(timeout_s=1)


async def test_a_transmission_error_every_time_is_a_protocol_error(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = b"ET\r\n"
    with pytest.raises(ProtocolError, match="ET"):
        await driver.weigh(timeout_s=1)


async def test_a_scale_without_tare_memory_still_weighs(score: Score) -> None:
    score.answers[b"TA"] = b"ES\r\n"
    score.answers[b"Z"] = b"Z A\r\n"
    driver = await connected(score)
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")
    await driver.zero(timeout_s=1)
    with pytest.raises(Unsupported):
        await driver.tare(timeout_s=1)


async def test_without_a_capacity_a_plausible_limit_must_be_set(score: Score) -> None:
    score.answers[b"I2"] = b'I2 A "old balance"\r\n'
    with pytest.raises(Unsupported, match="plausible_max"):
        await (await connected(score)).weigh(timeout_s=1)
    driver = await connected(score, plausible_max=100)
    assert (await driver.weigh(timeout_s=1)).value == Decimal("12.500")


async def test_a_capacity_in_another_unit_is_no_limit(score: Score) -> None:
    score.answers[b"I2"] = b'I2 A "old balance 220 kg"\r\n'
    with pytest.raises(Unsupported):
        await (await connected(score)).weigh(timeout_s=1)


@pytest.mark.parametrize("answer", [b"S A\r\n", b"S S Error 1z\r\n"])
async def test_a_shape_that_is_no_weight_is_a_protocol_error(score: Score, answer: bytes) -> None:
    driver = await connected(score)
    score.answers[b"SI"] = answer
    with pytest.raises(ProtocolError):
        await driver.read()


async def test_identification_that_a_busy_scale_refuses_fails_to_connect(score: Score) -> None:
    score.answers[b"I2"] = b"I2 I\r\n"
    with pytest.raises(NotStable):
        await connected(score)
    assert score.lost == "closed here"


async def test_more_lines_than_any_answer_has_are_a_protocol_error(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"TA"] = b'TA B "x"\r\n' * 300
    with pytest.raises(ProtocolError, match="more than 200 lines"):
        await driver.set_tare(None)


async def test_an_overlong_line_is_garbage_and_the_next_answer_counts(score: Score) -> None:
    inbox = Inbox()
    driver = await connected(score, inbox)
    score.answers[b"SI"] = [b"x" * 1000, WEIGHT, WEIGHT]
    assert (await driver.read()).value == Decimal("12.500")
    assert [len(each.raw) for each in inbox.messages] == [256]


async def test_the_listed_commands_are_all_lines_of_the_answer(score: Score) -> None:
    driver = await connected(score)
    score.answers[b"I0"] = b'I0 B 0 "I0"\r\nI0 B 0 "S"\r\nI0 B 1\r\nI0 A 1 "TA"\r\n'
    assert await driver.commands() == {"I0", "S", "TA"}


async def test_a_line_that_talks_when_opened_is_brought_in_step_first(score: Score) -> None:
    score.waiting = b"S S     92.500 g\r\n"
    inbox = Inbox()
    spec = DeviceSpec("scale1", "tcp://127.0.0.1:1")
    driver = MtsicsDriver(spec, inbox.put, transport=score)
    assert (await driver.connect()).firmware == "2.10 10.28.0.493.142"
    assert score.sent[:2] == [b"I4", b"I4"]
    assert inbox.kinds() == ["garbage"]


async def test_a_lost_link_moves_no_stock_and_ends_the_watch(score: Score) -> None:
    driver = await connected(score)
    score.lost = "unplugged"
    with pytest.raises(DeviceUnavailable, match="unplugged") as raised:
        await driver.read()
    assert raised.value.moved is Moved.NO
    with pytest.raises(DeviceUnavailable, match="unplugged"):
        await driver.watch()
    await driver.connect()
    assert (await driver.read()).value == Decimal("12.500")


async def test_a_call_waits_for_its_turn_no_longer_than_it_was_given(score: Score) -> None:
    driver = await connected(score)
    async with driver._turns._lock:
        with pytest.raises(DeviceTimeout, match="busy"):
            await driver.weigh(timeout_s=0.01)


async def test_watching_leaves_a_busy_line_alone_and_bears_single_misses(score: Score) -> None:
    driver = await connected(score, watch_interval_s=0.001)
    async with driver._turns._lock:
        watching = asyncio.ensure_future(driver.watch())
        await asyncio.sleep(0.005)
        assert score.sent == []
    miss, well = b"rubbish\r\n", b'I4 A "B123456789"\r\n'
    score.answers[b"I4"] = [miss, well, miss, miss, b"I4 I\r\n", miss, miss, miss]
    with pytest.raises(ProtocolError):
        async with asyncio.timeout(5):
            await watching


async def test_one_damaged_serial_number_does_not_end_the_watch(score: Score) -> None:
    driver = await connected(score, watch_interval_s=0.001)
    well = b'I4 A "B123456789"\r\n'
    score.answers[b"I4"] = [b'I4 A "B123456788"\r\n', *[well] * 4, b'I4 A "C000000001"\r\n'] + [
        b'I4 A "C000000001"\r\n'
    ] * 3
    with pytest.raises(DeviceUnavailable, match="C000000001 took the place of B123456789"):
        async with asyncio.timeout(5):
            await driver.watch()


async def test_garbage_is_reported_at_most_once_in_its_interval(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox()
    driver = await connected(score, inbox)
    for _ in range(3):
        score.waiting = b"rubbish"
        await driver.read()
    assert len(inbox.messages) == 1
    monkeypatch.setattr(driver._turns._garbage, "_after", 0.0)
    await driver.read()
    assert [each.raw for each in inbox.messages] == [b"rubbish", b"rubbishrubbish"]
    assert len({each.key for each in inbox.messages}) == 2


async def test_an_inbox_that_does_not_take_garbage_in_time_is_an_error(
    score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(_message: RawMessage) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(weighing, "SINK_TIMEOUT_S", 0.01)
    spec = DeviceSpec("scale1", "tcp://127.0.0.1:1")
    driver = MtsicsDriver(spec, stuck, transport=score)
    await driver.connect()
    score.waiting = b"rubbish"
    with pytest.raises(DeviceUnavailable, match="could not be stored"):
        await driver.read()


# ---------------------------------------------------------------- options


def test_the_example_profile_shows_every_default() -> None:
    profile = Path(__file__).parents[2] / "config" / "devices" / "mtsics.toml"
    table = tomllib.loads(profile.read_text())["devices"]["scale-1"]
    assert parse_options(table["options"]) == Options()
    assert set(Options.__slots__) - set(table["options"]) == {"plausible_min", "plausible_max"}
    spec = DeviceSpec("scale-1", table["address"], table["options"])
    MtsicsDriver(spec, Inbox().put)


def test_no_options_are_the_defaults() -> None:
    assert parse_options({}) == Options()


def test_every_option_is_taken() -> None:
    assert parse_options(
        {
            "serial": "B1",
            "unit": "kg",
            "line_timeout_s": 1,
            "stability_timeout_s": 40.0,
            "watch_interval_s": 10,
            "agreeing_reads": 4,
            "plausible_min": 0,
            "plausible_max": "3.100",
        }
    ) == Options("B1", "kg", 1.0, 40.0, 10.0, 4, Decimal(0), Decimal("3.100"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("serial", 123456789),
        ("unit", "stone"),
        ("line_timeout_s", 0),
        ("line_timeout_s", "2"),
        ("stability_timeout_s", True),
        ("watch_interval_s", 1e9),
        ("watch_interval_s", float("nan")),
        ("agreeing_reads", 1),
        ("agreeing_reads", 2.0),
        ("agreeing_reads", True),
        ("agreeing_reads", 99),
        ("plausible_min", "much"),
        ("plausible_max", True),
        ("plausible_max", "inf"),
        ("plausible_max", 0),
        ("baud", 9600),
    ],
)
def test_a_wrong_option_is_refused_by_name(key: str, value: Value) -> None:
    with pytest.raises(ValueError, match=key):
        parse_options({key: value})


def test_a_plausible_window_needs_its_ends_in_order() -> None:
    with pytest.raises(ValueError, match="plausible_max"):
        parse_options({"plausible_min": 10, "plausible_max": 10})


def test_wrong_options_are_refused_when_the_driver_is_made() -> None:
    with pytest.raises(ValueError, match="speed"):
        MtsicsDriver(DeviceSpec("s", "tcp://127.0.0.1:1", {"speed": 1}), Inbox().put)
    with pytest.raises(ValueError, match="address"):
        MtsicsDriver(DeviceSpec("s", "smoke:signals"), Inbox().put)
