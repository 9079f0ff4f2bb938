"""MT-SICS lines as the manuals print them. Source: 11781363, 11780711, 30014405; see the codec."""

from decimal import Decimal

import pytest

from drivers.errors import ProtocolError
from drivers.mtsics.codec import (
    Answer,
    Argument,
    Command,
    HardwareError,
    LineError,
    Misunderstood,
    Reason,
    Refusal,
    Reply,
    ReplyStatus,
    Text,
    Weight,
    WeightStatus,
    capacity,
    decode,
    decode_command,
    encode,
    encode_command,
    interpret,
)

STABLE, DYNAMIC, SET = WeightStatus.STABLE, WeightStatus.DYNAMIC, WeightStatus.SET
DONE, MORE = ReplyStatus.DONE, ReplyStatus.MORE

PRINTED: list[tuple[str, Reply]] = [
    (
        "53 20 53 20 20 20 20 20 31 30 30 2E 30 30 20 67 0D 0A",
        Weight("S", STABLE, Decimal("100.00"), "g"),
    ),
    (
        "53 20 44 20 20 20 20 20 2D 31 32 2E 33 35 20 67 0D 0A",
        Weight("S", DYNAMIC, Decimal("-12.35"), "g"),
    ),
    (
        "54 20 53 20 20 20 20 20 31 30 30 2E 30 30 20 67 0D 0A",
        Weight("T", STABLE, Decimal("100.00"), "g"),
    ),
    (
        "54 41 20 41 20 20 20 20 20 20 31 30 2E 30 30 20 67 0D 0A",
        Weight("TA", SET, Decimal("10.00"), "g"),
    ),
    (
        "49 34 20 41 20 22 42 31 32 33 34 35 36 37 38 39 22 0D 0A",
        Answer("I4", DONE, (Text("B123456789"),)),
    ),
    ("49 30 20 42 20 30 20 22 49 30 22 0D 0A", Answer("I0", MORE, ("0", Text("I0")))),
    ("5A 20 41 0D 0A", Answer("Z", DONE)),
    ("5A 49 20 44 0D 0A", Answer("ZI", ReplyStatus.DYNAMIC)),
    ("54 41 43 20 41 0D 0A", Answer("TAC", DONE)),
    ("53 20 49 0D 0A", Refusal("S", Reason.BUSY)),
    ("53 20 2B 0D 0A", Refusal("S", Reason.OVER)),
    ("53 20 2D 0D 0A", Refusal("S", Reason.UNDER)),
    ("53 20 4C 0D 0A", Refusal("S", Reason.PARAMETER)),
    ("45 53 0D 0A", LineError(Misunderstood.SYNTAX)),
    ("45 54 0D 0A", LineError(Misunderstood.TRANSMISSION)),
    ("45 4C 0D 0A", LineError(Misunderstood.LOGICAL)),
    ("53 20 53 20 45 72 72 6F 72 20 31 30 62 0D 0A", HardwareError("S", 10, "b")),
]


@pytest.mark.parametrize(("line", "reply"), PRINTED)
def test_a_reply_printed_in_the_manual_is_read_and_written(line: str, reply: Reply) -> None:
    raw = bytes.fromhex(line)
    assert decode(raw.removesuffix(b"\r\n")) == reply
    assert encode(reply) == raw


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("53 0D 0A", Command("S")),
        ("40 0D 0A", Command("@")),
        ("54 41 20 31 30 2E 30 30 20 67 0D 0A", Command("TA", ("10.00", "g"))),
        ("4D 32 31 20 30 20 30 0D 0A", Command("M21", ("0", "0"))),
        ("44 20 22 48 45 4C 4C 4F 20 59 4F 55 22 0D 0A", Command("D", (Text("HELLO YOU"),))),
    ],
)
def test_a_command_printed_in_the_manual_is_read_and_written(line: str, command: Command) -> None:
    raw = bytes.fromhex(line)
    assert decode_command(raw.removesuffix(b"\r\n")) == command
    assert encode_command(command) == raw


def test_a_weight_keeps_the_digits_that_were_sent() -> None:
    reply = decode(b"S S     12.500 g")
    assert isinstance(reply, Weight)
    assert str(reply.value) == "12.500"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"S",
        b"S S",
        b"S D",
        b"TA A",
        b"S S    100.00 g",  # a character was lost
        b"S S      100.00 g",  # one came in between
        b"S S     100.00  g",
        b"S S    0100.00 g",
        b"S S   1 100.00 g",
        b"S S     100.0O g",
        b"S S    +100.00 g",
        b"S S      100.  g",
        b"S S        nan g",
        b"S S     1.0E+2 g",
        b"S S     100.00 x",
        b"S A     100.00 g",
        b"TA S     10.00 g",
        b"s s     100.00 g",
        b"S X     100.00 g",
        b"S S     100.00 g ",
        b" S S     100.00 g",
        b"S I ",
        b"S I 5",
        b"Z A ",
        b"Z  A",
        b'I4 A "B123',
        b'I4 A B123"',
        b'I4 A "B1""B2"',
        b'I4 A "B1"  "B2"',
        b'I4 A "B1"X',
        b"I4 Q",
        b"i4 A",
        b"I4567890 A",
        b"S S Error 0b",
        b"S S Error 100b",
        b"S S Error 1x",
        b"S S     100\xb700 g",
        b"S S     100.00 g\r",
        b"S\0S     100.00 g",
        b'I4 A "' + b"x" * 251 + b'"',
    ],
)
def test_a_damaged_reply_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@pytest.mark.parametrize("line", [b"", b"s", b"S ", b"TA  10", b"9", b'D "', b"S\r", b"\xff"])
def test_a_damaged_command_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(line)


@pytest.mark.parametrize(
    "reply",
    [
        Weight("S", STABLE, Decimal("12345678.901"), "g"),
        Weight("S", STABLE, Decimal("NaN"), "g"),
        Weight("S", STABLE, Decimal("sNaN"), "g"),
        Weight("S", STABLE, Decimal(1), "stone"),
        Weight("S", SET, Decimal(1), "g"),
        Weight("Q", STABLE, Decimal(1), "g"),
        Answer("I4", DONE, (Text('say "x"'),)),
        Answer("I4", DONE, (Text("naïve"),)),
        Answer("I4", DONE, (Text("\ud800"),)),
        Answer("I4", DONE, ("two words",)),
        Answer("I4", DONE, ("",)),
        Answer("S", DONE),
        Refusal("s", Reason.BUSY),
        HardwareError("S", 0, "b"),
        HardwareError("S", 1, "z"),
        HardwareError("Z", 1, "b"),
    ],
)
def test_what_would_be_read_otherwise_is_not_written(reply: Reply) -> None:
    with pytest.raises(ProtocolError):
        encode(reply)


def test_a_command_that_would_be_two_is_not_written() -> None:
    with pytest.raises(ProtocolError):
        encode_command(Command("TA", ("1\r\nZ", "g")))


@pytest.mark.parametrize(
    ("number", "meaning"), [(10, "EEPROM error"), (15, "adjustment needed"), (99, "unknown error")]
)
def test_a_hardware_error_says_what_it_means(number: int, meaning: str) -> None:
    assert HardwareError("S", number, "b").meaning == meaning


def _i2(*arguments: Argument) -> Answer:
    return Answer("I2", DONE, arguments)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_i2(Text("XS204 Excellence 220.0090 g")), ("XS204 Excellence", Decimal("220.0090"), "g")),
        (
            _i2(Text("WMS404C-L WMS"), Text("410.0090 g")),
            ("WMS404C-L WMS", Decimal("410.0090"), "g"),
        ),
        (_i2(Text("320 g")), ("", Decimal(320), "g")),
        (_i2(Text("XS204 220.0090 stones")), None),
        (_i2(Text("XS204 many g")), None),
        (_i2(Text("g")), None),
        (_i2("220.0090", "g"), None),
        (_i2(), None),
    ],
)
def test_the_capacity_is_read_from_the_balance_data(
    answer: Answer, expected: tuple[str, Decimal, str] | None
) -> None:
    assert capacity(answer) == expected


def test_a_stored_line_means_nothing_for_stock() -> None:
    assert interpret(b"S S     100.00 g\r\n") == ()
    assert interpret(b"S S     100.00 g") == ()


def test_stored_garbage_is_refused() -> None:
    with pytest.raises(ProtocolError):
        interpret(b"\xff\xfe garbage\r\n")
