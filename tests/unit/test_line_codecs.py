"""Frames of the serial dialects as the manuals print them; sources in each codec."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from drivers.and_ import codec as and_
from drivers.dialect import Done, FrameSplitter, Refused, Said, Shown, Status, Tare, Told, number
from drivers.errors import ProtocolError
from drivers.nci import codec as nci
from drivers.ohaus import codec as ohaus
from drivers.sbi import codec as sbi
from drivers.toledo8217 import codec as toledo8217


def weight(value: str, unit: str, *, stable: bool = True, net: bool | None = None) -> Shown:
    return Shown(Decimal(value), unit, stable, net)


UNSTABLE_WITH_UNIT = weight("1.00", "g", stable=False)


# ---------------------------------------------------------------- 8217


@pytest.mark.parametrize(
    ("data", "unit", "said"),
    [
        ("02 30 31 2E 32 34 35 0D", "kg", weight("1.245", "kg", net=False)),
        ("02 30 31 2E 32 34 35 4E 0D", "kg", weight("1.245", "kg", net=True)),
        ("02 30 32 2E 37 34 0D", "lb", weight("2.74", "lb", net=False)),
        ("02 3F 41 0D", "kg", Status(moving=True, zero=False)),
        ("02 3F 42 0D", "kg", Status(over=True, zero=False)),
        ("02 3F 44 0D", "kg", Status(under=True, zero=False)),
        ("02 3F 50 0D", "kg", Status(zero=True)),
        ("02 3F 70 0D", "kg", Status(zero=True)),  # bit 5: makers differ, so it is not read
        ("02 0D", "kg", Done()),
        ("02 45 0D", "kg", Told("E")),
        ("02 46 0D", "kg", Told("F")),
    ],
)
def test_an_8217_frame_is_read_as_the_manual_says(data: str, unit: str, said: Said) -> None:
    (frame,) = toledo8217.splitter().feed(bytes.fromhex(data))
    assert toledo8217.decode(frame, unit) == said


@pytest.mark.parametrize(
    "frame",
    [b"01.24", b"1.245", b"01.2456", b"01.245G", b"?", b"?AA", b"? ", b"X", b"\x00W", b"01,245"],
)
def test_what_no_8217_sends_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        toledo8217.decode(frame, "kg")


def test_an_8217_writes_what_it_can_say_and_nothing_else() -> None:
    assert toledo8217.encode(weight("1.245", "kg", net=True)) == bytes.fromhex(
        "02 30 31 2E 32 34 35 4E 0D"
    )
    assert toledo8217.encode(Status(moving=True), outside_zero=True) == b"\x02?I\r"
    for said in (
        weight("1.245", "g", net=False),
        weight("100", "kg", net=False),
        weight("1.2455", "kg", net=False),
        weight("1.245", "kg", stable=False, net=False),
        Told("X"),
        Status(fault="RAM"),
    ):
        with pytest.raises(ProtocolError):
            toledo8217.encode(said)


def test_an_8217_takes_a_tare_of_five_digits() -> None:
    assert toledo8217.encode_preset(Decimal("1.245"), "kg").data == b"T01245"
    assert toledo8217.encode_preset(Decimal("2.74"), "lb").data == b"T00274"
    assert toledo8217.decode_preset(b"T01245", "kg") == Decimal("1.245")
    for bad in ("1.2455", "100", "-1"):
        with pytest.raises(ProtocolError):
            toledo8217.encode_preset(Decimal(bad), "kg")
    with pytest.raises(ProtocolError):
        toledo8217.decode_preset(b"T1245", "kg")


# ---------------------------------------------------------------- NCI


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("0A 20 31 32 2E 35 30 6C 62 0D 0A 30 30 0D 03", weight("12.50", "lb")),
        ("0A 30 31 32 2E 35 30 4C 42 0D 0A 53 30 30 0D 03", weight("12.50", "lb")),
        ("0A 2D 30 30 2E 30 35 6B 67 0D 0A 30 30 0D 03", weight("-0.05", "kg")),
        ("0A 20 20 31 32 35 30 67 20 0D 0A 70 70 34 0D 03", weight("1250", "g", net=True)),
        ("0A 31 30 0D 03", Status(moving=True, zero=False)),
        ("0A 53 30 32 0D 03", Status(over=True, zero=False)),
        ("0A 32 31 0D 03", Status(under=True, zero=True)),
        ("0A 34 30 0D 03", Status(fault="RAM", zero=False)),
        ("0A 70 78 30 0D 03", Status(fault="calibration", zero=False, net=False)),
        ("0A 70 70 78 31 0D 03", Status(fault="initial zero", zero=False, net=False)),
        ("0A 30 31 32 2E 35 30 6C 62 0D 0A 30 32 0D 03", Status(over=True, zero=False)),
        ("0A 3F 0D 03", Refused("unrecognized command")),
    ],
)
def test_an_nci_frame_is_read_as_the_manual_says(data: str, said: Said) -> None:
    (frame,) = nci.splitter().feed(bytes.fromhex(data))
    assert nci.decode(frame) == said


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"00",
        b"0\r",
        b"pp\r",
        b"p00\r",
        b"ppppp0\r",
        b" 12.5lb\r\n00\r",
        b" 12.50xx\r\n00\r",
        b"12.5.0lb\r\n00\r",
        b"------lb\r\n00\r",
    ],
)
def test_what_no_nci_scale_sends_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        nci.decode(frame)


def test_an_nci_scale_writes_what_it_can_say_and_nothing_else() -> None:
    assert nci.encode(weight("12.50", "lb")) == b"\n012.50lb\r\n00\r\x03"
    for said in (weight("1234567", "kg"), weight("1", "t"), weight("12.50", "LB"), Told("x")):
        with pytest.raises(ProtocolError):
            nci.encode(said)


# ---------------------------------------------------------------- Ohaus


@pytest.mark.parametrize(
    ("line", "end", "said"),
    [
        ("     192.21 g", 11, weight("192.21", "g")),
        ("       0.01 g ?", 11, weight("0.01", "g", stable=False)),
        ("    12.50 kg      G", 9, weight("12.50", "kg", net=False)),
        ("-   12.50 kg   ?NET", 9, weight("-12.50", "kg", stable=False, net=True)),
        ("   -12.50 kg", 9, weight("-12.50", "kg")),
        ("      125 PCS   N", 9, weight("125", "PCS", net=True)),
        ("    12.50 kg      T", 9, Tare(Decimal("12.50"), "kg")),
        ("ES", 9, Refused("ES")),
        ("OK!", 9, Done()),
    ],
)
def test_an_ohaus_line_is_read_as_the_manual_says(line: str, end: int, said: Said) -> None:
    assert ohaus.decode(line.encode(), end) == said


@pytest.mark.parametrize(
    "line",
    [
        "    12.5 kg",
        "   012.50 kg",
        "    12.50 t",
        "-  -12.50 kg",
        "    12.50kg",
        "",
        "    1..50 kg",
    ],
)
def test_what_no_ohaus_scale_sends_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError):
        ohaus.decode(line.encode())


def test_an_ohaus_scale_writes_what_it_can_say_and_nothing_else() -> None:
    assert ohaus.encode(weight("12.50", "kg", net=False)) == b"    12.50 kg    G\r\n"
    assert ohaus.encode(Told("SIM 1.00")) == b"SIM 1.00\r\n"
    for said in (weight("123456789", "g"), Status(over=True), Told("ES"), Told("a\nb"), Told(" x")):
        with pytest.raises(ProtocolError):
            ohaus.encode(said)


def test_an_ohaus_scale_takes_a_tare_in_grams() -> None:
    assert ohaus.encode_preset(Decimal("10.00"), "g").data == b"10.00T\r\n"
    assert ohaus.encode_preset(Decimal("0.125"), "kg").data == b"125.000T\r\n"
    assert ohaus.decode_preset(b"125T", "kg") == Decimal("0.125")
    for value, unit in (("1", "lb"), ("-1", "g"), ("NaN", "g")):
        with pytest.raises(ProtocolError):
            ohaus.encode_preset(Decimal(value), unit)
    for line, unit in ((b"T", "g"), (b"1T", "lb")):
        with pytest.raises(ProtocolError):
            ohaus.decode_preset(line, unit)


# ---------------------------------------------------------------- A&D


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"ST,+00123.45  g", weight("123.45", "g")),
        (b"ST,+001.2346 kg", weight("1.2346", "kg")),
        (b"ST,-002.7255 lb", weight("-2.7255", "lb")),
        (b"US,-0012.346 lb", weight("-12.346", "lb", stable=False)),
        (b"US,+0005.593 kg", weight("5.593", "kg", stable=False)),
        (b"ST,NT,+00123.45  g", weight("123.45", "g", net=True)),
        (b"ST,GS,+00123.45  g", weight("123.45", "g", net=False)),
        (b"QT,+00001234 PC", weight("1234", "PC")),
        (b"US,-00005678 PC", weight("-5678", "PC", stable=False)),
        (b"OL,+9999.999 kg", Status(over=True)),
        (b"OL,-9999.999 lb", Status(under=True)),
        (b"PT,+00010.00  g", Tare(Decimal("10.00"), "g")),
        (b"EC,E01", Refused("E01")),
        (b"EC,E11", Refused("E11", busy=True)),
        (b"EC,E2", Refused("E2", busy=True)),
        (b"SN,01234567", Told("01234567")),
        (b"TN,FX-300i", Told("FX-300i")),
        (b"\x06", Done()),
    ],
)
def test_an_and_line_is_read_as_the_manual_says(data: bytes, said: Said) -> None:
    assert and_.decode(data) == said


@pytest.mark.parametrize(
    "line",
    [
        b"ST,+0123.45  g",
        b"ST,+00123.45 g",
        b"ST,00123.450  g",
        b"QT,+00123.45  g",
        b"ST,+00001234 PC",
        b"PT,-00010.00  g",
        b"PT,NT,+00010.00  g",
        b"XX,+00123.45  g",
        b"EC,",
        b"ST,+001.23.5  g",
    ],
)
def test_what_no_and_scale_sends_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        and_.decode(line)


def test_an_and_scale_writes_what_it_can_say_and_nothing_else() -> None:
    assert and_.encode(weight("123.45", "g")) == bytes.fromhex(
        "53 54 2C 2B 30 30 31 32 33 2E 34 35 20 20 67 0D 0A"
    )
    for said in (
        weight("1", "t"),
        weight("123456789", "g"),
        Tare(Decimal(1), "t"),
        Status(moving=True),
        Told(""),
        Refused("E02"),
    ):
        with pytest.raises(ProtocolError):
            and_.encode(said)


def test_an_and_scale_takes_a_tare_with_its_unit() -> None:
    assert and_.encode_preset(Decimal("10.00"), "g").data == b"PT:10.00  g\r\n"
    assert and_.decode_preset(b"PT:10.00  g") == (Decimal("10.00"), "g")
    for value, unit in (("1", "PC"), ("1", "t"), ("-1", "g"), ("NaN", "g")):
        with pytest.raises(ProtocolError):
            and_.encode_preset(Decimal(value), unit)
    with pytest.raises(ProtocolError):
        and_.decode_preset(b"PT:10.00")


# ---------------------------------------------------------------- SBI


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("+      253 pcs", weight("253", "pcs")),
        ("+   123.56 g  ", weight("123.56", "g")),
        ("-   123.56 kg ", weight("-123.56", "kg")),
        ("     0.000 g  ", weight("0.000", "g")),
        ("+   123.56    ", weight("123.56", "", stable=False)),
        ("+ 123.5[6] g  ", weight("123.56", "g")),
        ("+  123.5[6]g  ", weight("123.56", "g")),
        ("N     +   123.45 g  ", weight("123.45", "g")),
        ("N     +   123.45    ", weight("123.45", "", stable=False)),
        ("Stat        H ", Status(over=True)),
        ("Stat        L       ", Status(under=True)),
        ("Stat     Err 101    ", Status(fault="Err 101")),
        ("   Err 101    ", Status(fault="Err 101")),
        ("      High    ", Status(over=True)),
        ("      Low     ", Status(under=True)),
        ("      --      ", Status(moving=True)),
        ("   Cal.Ext.   ", Status(moving=True)),
    ],
)
def test_an_sbi_line_is_read_as_the_manual_says(line: str, said: Said) -> None:
    assert sbi.decode(line.encode()) == said


@pytest.mark.parametrize(
    "line",
    [
        "+   123.56 g",
        "+   123.56 g   ",
        "+  123.56  g  ",
        "+   123.56 xy ",
        "+   123.56 g g",
        "+    12.5[] g ",
        "Stat    12.5 g",
        "+   1.2.56 g  ",
        "",
    ],
)
def test_what_no_sbi_balance_sends_is_refused(line: str) -> None:
    with pytest.raises(ProtocolError):
        sbi.decode(line.encode())


def test_an_sbi_balance_writes_what_it_can_say_and_nothing_else() -> None:
    assert sbi.encode(weight("123.56", "g")) == b"+   123.56 g  \r\n"
    assert sbi.encode(weight("-123.56", "g"), identification="N") == b"N     -   123.56 g  \r\n"
    assert sbi.encode(Told("SIM Balance")) == b"SIM Balance   \r\n"
    for said in (
        weight("1", "t"),
        weight("1234567890", "g"),
        Done(),
        Told(" "),
        UNSTABLE_WITH_UNIT,
    ):
        with pytest.raises(ProtocolError):
            sbi.encode(said)


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("codec", [toledo8217, nci, ohaus, and_, sbi])
def test_a_stored_message_means_nothing_for_stock(codec: object) -> None:
    interpret: Callable[[bytes], tuple[object, ...]] = codec.interpret  # type: ignore[attr-defined]
    assert interpret(b"anything") == ()


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "1.2.3", "1 2", "-1", "\u0663"])
def test_a_number_that_no_scale_writes_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        number(text, leading_zeros=True)


def test_a_frame_too_long_is_dropped_up_to_its_end_and_the_next_is_read() -> None:
    splitter = FrameSplitter(b"\x02", b"\r", 4)
    assert splitter.feed(b"\x02abc\r") == [b"abc"]
    with pytest.raises(ProtocolError):
        splitter.feed(b"\x02ab\r\x02abcdefg")
    assert splitter.pending == 0
    assert splitter.feed(b"hij\r\x02x\r") == [b"ab", b"x"]
    assert splitter.feed(b"y\r\x02") == [b"\x00y"]
    assert splitter.pending == 1
    splitter.reset()
    assert splitter.pending == 0
