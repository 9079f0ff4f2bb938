"""Lines of scanners: read as one code, or refused; never as two different things."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.facts import CodeScanned
from drivers.scanner.codec import (
    SCAN_MAX,
    Element,
    Rules,
    check_digit_fits,
    elements,
    encode_scan,
    hidden_elements,
    interpret,
    read_line,
)

KEPT = Rules()
UNSURE = Rules(separators_kept=False)
ANY = Rules(aim_required=False, separators_kept=False)
# GS1 General Specifications, 7.8.6.2 style element strings, typed out.
PACK = "01003007101552371727123110LOT123\x1d21SER0001"
SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("]d2" + PACK, CodeScanned(PACK, "d2")),
        ("]d2\x1d" + PACK, CodeScanned("\x1d" + PACK, "d2")),
        ("]C1" + PACK, CodeScanned(PACK, "C1")),
        ("]Q3" + PACK + "\x1d", CodeScanned(PACK + "\x1d", "Q3")),
        ("]C100106141411234567897", CodeScanned("00106141411234567897", "C1")),
        ("]d2010030071015523717271200", CodeScanned("010030071015523717271200", "d2")),
        ("]d28005001234", CodeScanned("8005001234", "d2")),
        ("]d2010030071015523710A\x1d70030512312359", CodeScanned(
            "010030071015523710A\x1d70030512312359", "d2")),
        ("]E04006381333931", CodeScanned("4006381333931", "E0")),
        ("]E496385074", CodeScanned("96385074", "E4")),
        ("]I110614141000415", CodeScanned("10614141000415", "I1")),
        ("]A0SHELF-7", CodeScanned("SHELF-7", "A0")),
        ("]Q1https://example.org/]d2", CodeScanned("https://example.org/]d2", "Q1")),
    ],
)  # fmt: skip
def test_a_line_with_an_identifier_is_what_it_says(line: str, code: CodeScanned) -> None:
    assert read_line(line.encode(), KEPT) == code
    assert interpret(encode_scan(code)) == (code,)


@pytest.mark.parametrize(
    ("line", "rules", "text"),
    [
        (b"", KEPT, "a code of 0 bytes"),
        (b"]d2" + b"1" * SCAN_MAX, KEPT, "a code of"),
        (b"4006381333931", KEPT, "no symbology identifier"),
        (b"]d2", Rules(prefix="#"), "the prefix is missing"),
        (b"#", Rules(prefix="#"), "no text of a code"),
        (b"]d201\xb0", KEPT, "no text of a code"),
        (b"]d20100300710155238", KEPT, "wrong check digit"),
        (b"]d2010030071015523", KEPT, "needs 14 digits"),
        (b"]d201003007101552A7", KEPT, "needs 14 digits"),
        (b"]d217271331", KEPT, "no date"),
        (b"]d210", KEPT, "1 to 20 expected"),
        (b"]d210" + b"A" * 21, KEPT, "1 to 20 expected"),
        (b"]d210A B", KEPT, "no GS1 text"),
        (b"]d2ABC", KEPT, "no application identifier is known"),
        (b"]d210A\x1d\x1d21B", KEPT, "empty element"),
        (b"]d2", KEPT, "empty element"),
        (b"]d210A\x1d10B", KEPT, "twice with different values"),
        (b"]d2" + PACK.encode() + b"]d2" + PACK.encode(), KEPT, "two codes in one line"),
        (b"]d28005001234", UNSURE, "no application identifier is known"),
        (b"]d2010030071015523710LOT12321SER1", UNSURE, "can be read two ways: '21SER1'"),
        (b"010030071015523710LOT12321SER1", ANY, "can be read two ways"),
        (b"4006381333932", ANY, "no product number"),
        (b"]E0400638133393", KEPT, "no product number"),
        (b"0100300710155238", ANY, "wrong check digit"),
        (b"01ABC", ANY, "needs 14 digits"),
        (b"SHELF\x1d7", ANY, "no application identifier is known"),
    ],
)
def test_a_line_that_cannot_be_believed_is_refused(line: bytes, rules: Rules, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        read_line(line, rules)


@pytest.mark.parametrize(
    "line", [PACK, "010030071015523710LOT123", "010030071015523717271200", "4006381333931"]
)
def test_without_an_identifier_what_reads_one_way_only_is_taken(line: str) -> None:
    assert read_line(line.encode(), ANY) == CodeScanned(line, "")
    assert read_line(b"SHELF 7", ANY) == CodeScanned("SHELF 7", "")


def test_elements_of_predefined_length_need_no_separator() -> None:
    assert elements("0100300710155237310300175041012345678901281012") == (
        Element("01", "00300710155237", closed=True),
        Element("3103", "001750", closed=True),
        Element("410", "1234567890128", closed=True),
        Element("10", "12", closed=False),
    )
    assert elements("10A\x1d17271231") == (
        Element("10", "A", closed=True),
        Element("17", "271231", closed=True),
    )
    assert check_digit_fits("4006381333931")
    assert not check_digit_fits("4006381333930")


lots = st.text(alphabet=SET_82, min_size=1, max_size=20)


@given(lots, lots)
@settings(max_examples=60)
def test_lot_and_serial_come_back_as_they_were_whatever_they_hold(lot: str, serial: str) -> None:
    body = f"01003007101552371727123110{lot}\x1d21{serial}"
    assert read_line(b"]d2" + body.encode(), UNSURE) == CodeScanned(body, "d2")
    assert elements(body)[2:] == (
        Element("10", lot, closed=True),
        Element("21", serial, closed=False),
    )


@given(lots, lots)
@settings(max_examples=60)
def test_a_serial_number_whose_fnc1_was_lost_never_becomes_part_of_the_lot(
    lot: str, serial: str
) -> None:
    with pytest.raises(ProtocolError):
        read_line(f"]d2010030071015523710{lot}21{serial}".encode(), UNSURE)


@given(st.one_of(st.binary(max_size=60), st.binary(max_size=30).map(lambda b: b"]d201" + b)))
@settings(max_examples=200)
def test_garbage_is_read_or_raises_a_protocol_error(noise: bytes) -> None:
    for rules in (KEPT, UNSURE, ANY, Rules(prefix="!", separator="{GS}")):
        try:
            code = read_line(noise, rules)
        except ProtocolError:
            continue
        assert interpret(encode_scan(code)) == (code,)


def test_an_element_that_is_there_already_is_not_taken_for_a_hidden_one() -> None:
    """Lot `A10B7`: its tail reads as (10) B7, but a code holds one lot number only."""
    assert hidden_elements(elements("10A10B7")) == ""
    assert hidden_elements(elements("10A21B7")) == "21B7"
