"""What scanners send, read against values written in the standard and on packs."""

from datetime import date

import pytest

from dispensed.model.gs1 import (
    SCAN_LENGTH_MAX,
    Gs1Error,
    Scan,
    encode,
    label_elements,
    parse_scan,
)
from dispensed.model.ndc import GtinError

TODAY = date(2026, 11, 22)
GTIN = "00300710155237"
FULL = Scan(GTIN, lot="LOT123", expiry=date(2027, 12, 31), serial="SER0001")


@pytest.mark.parametrize(
    "text",
    [
        "]d201003007101552371727123110LOT123\x1d21SER0001",
        "]C101003007101552371727123110LOT123\x1d21SER0001",
        "]Q3\x1d01003007101552371727123110LOT123\x1d21SER0001\x1d",
        "]d2010030071015523721SER0001\x1d1727123110LOT123",
        "]d2010030071015523710LOT123\x1d21SER0001\x1d17271231",
        "01003007101552371727123110LOT123\x1d21SER0001",
        r"01003007101552371727123110LOT123\x1d21SER0001",
    ],
)
def test_product_lot_expiry_and_serial_are_read_in_any_order(text: str) -> None:
    assert parse_scan(text, today=TODAY) == FULL


def test_an_expiry_without_a_day_is_the_last_of_its_month() -> None:
    assert parse_scan(f"]d201{GTIN}17280200", today=TODAY).expiry == date(2028, 2, 29)
    assert parse_scan(f"]d201{GTIN}17270200", today=TODAY).expiry == date(2027, 2, 28)


@pytest.mark.parametrize(
    ("digits", "today", "expiry"),
    [
        # GS1 General Specifications 7.12: 51 to 99 ahead is the century before, 50 to 99 behind
        # the century after.
        ("760630", date(2026, 1, 1), date(2076, 6, 30)),
        ("770630", date(2026, 1, 1), date(1977, 6, 30)),
        ("980630", date(2026, 1, 1), date(1998, 6, 30)),
        ("490630", date(2098, 1, 1), date(2049, 6, 30)),
        ("480630", date(2098, 1, 1), date(2148, 6, 30)),
    ],
)
def test_the_century_of_a_year_is_the_one_nearest_to_today(
    digits: str, today: date, expiry: date
) -> None:
    assert parse_scan(f"]d201{GTIN}17{digits}", today=today).expiry == expiry


def test_a_leap_day_of_a_century_year_that_is_none_is_refused() -> None:
    with pytest.raises(Gs1Error, match="000229 is no date"):
        parse_scan(f"]d201{GTIN}17000229", today=date(2098, 1, 1))


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("]E00300710155237", GTIN),
        ("]E0300710155237", GTIN),
        ("]I100300710155237", GTIN),
        ("]E496385074", "00000096385074"),
        ("300710155237", GTIN),
        ("0300710155237", GTIN),
        ("00300710155237", GTIN),
    ],
)
def test_a_plain_product_number_becomes_a_gtin14(text: str, gtin: str) -> None:
    assert parse_scan(text, today=TODAY) == Scan(gtin)


@pytest.mark.parametrize(
    "text",
    [
        "]d201003007101552381727123110LOT123",
        "]E00300710155238",
        "300710155238",
        "01003007101552381727123110LOT123",
    ],
)
def test_a_wrong_check_digit_is_refused(text: str) -> None:
    with pytest.raises(GtinError, match="check digit 8, 7 is right"):
        parse_scan(text, today=TODAY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "]",
        "]d2",
        "x" * (SCAN_LENGTH_MAX + 1),
        "hello",
        "]A00300710155237",
        "]E003007101",
        "96385074",
        "]d21727123110LOT123",
        f"]d201{GTIN}17271301",
        f"]d201{GTIN}17270231",
        f"]d201{GTIN}1727123",
        f"]d201{GTIN}10",
        f"]d201{GTIN}10LOT 123",
        f"]d201{GTIN}10LOT123 ",
        f"]d201{GTIN}10LOT\u00e9",
        f"]d201{GTIN}10123456789012345678901",
        f"]d201{GTIN}101234567890123456789021SER",
        f"]d201{GTIN}10LOT\x1d10OTHER",
        "(01)00300710155237(10)LOT123",
    ],
)
def test_what_is_not_one_gs1_product_code_is_refused(text: str) -> None:
    with pytest.raises(Gs1Error):
        parse_scan(text, today=TODAY)


def test_the_same_element_twice_is_accepted_when_it_says_the_same() -> None:
    text = f"]d201{GTIN}10LOT\x1d10LOT"
    assert parse_scan(text, today=TODAY) == Scan(GTIN, lot="LOT")


def test_a_lost_separator_is_suspected_when_the_lot_could_hide_a_serial_number() -> None:
    text = "01003007101552371727123110LOT12321SER0001"
    with pytest.raises(Gs1Error, match=r"can be read two ways: \(21\)SER0001 may hide in it"):
        parse_scan(text, today=TODAY)


def test_a_scanner_that_names_the_symbol_transmits_its_separators() -> None:
    text = "]d201003007101552371727123110LOT12321SER0001"
    assert parse_scan(text, today=TODAY).lot == "LOT12321SER0001"


def test_any_separator_shows_that_separators_arrive() -> None:
    text = "01003007101552371727123110LOT12321SER0001\x1d"
    assert parse_scan(text, today=TODAY).lot == "LOT12321SER0001"


@pytest.mark.parametrize("lot", ["LOT123", "GE2743", "A17", "1A01", "AB1712"])
def test_a_lot_that_can_be_read_one_way_only_needs_no_separator(lot: str) -> None:
    assert parse_scan(f"01{GTIN}1727123110{lot}", today=TODAY).lot == lot


def test_an_element_that_is_there_already_cannot_hide() -> None:
    text = f"01{GTIN}1727123110A17280101"
    assert parse_scan(text, today=TODAY).lot == "A17280101"


def test_a_code_that_ends_with_a_fixed_length_hides_nothing() -> None:
    assert parse_scan(f"01{GTIN}17271231", today=TODAY) == Scan(GTIN, expiry=date(2027, 12, 31))


def test_a_label_puts_the_fixed_lengths_first() -> None:
    elements = label_elements(gtin=GTIN, lot="LOT123", expiry=date(2027, 12, 31), serial="SER0001")
    assert elements == (("01", GTIN), ("17", "271231"), ("10", "LOT123"), ("21", "SER0001"))
    assert encode(elements) == "01003007101552371727123110LOT123\x1d21SER0001"


def test_a_label_without_a_serial_number_ends_with_its_lot() -> None:
    elements = label_elements(gtin=GTIN, lot="LOT123", expiry=date(2030, 1, 5))
    assert elements == (("01", GTIN), ("17", "300105"), ("10", "LOT123"))
    assert encode(elements) == "01003007101552371730010510LOT123"


@pytest.mark.parametrize(
    "lot", ["", "123456789012345678901", "LOT 1", "LOT\u00e9", "A^XZ", "A\x1dB"]
)
def test_a_lot_that_gs1_cannot_encode_is_refused(lot: str) -> None:
    with pytest.raises(Gs1Error, match="lot"):
        label_elements(gtin=GTIN, lot=lot, expiry=date(2027, 12, 31))
    with pytest.raises(Gs1Error, match="serial number"):
        label_elements(gtin=GTIN, lot="A", expiry=date(2027, 12, 31), serial=lot)


@pytest.mark.parametrize("year", [1999, 2100])
def test_a_year_that_two_digits_cannot_hold_is_refused(year: int) -> None:
    with pytest.raises(Gs1Error, match="does not fit six digits"):
        label_elements(gtin=GTIN, lot="A", expiry=date(year, 1, 1))


def test_a_label_needs_a_right_gtin() -> None:
    with pytest.raises(GtinError):
        label_elements(gtin="00300710155238", lot="A", expiry=date(2027, 12, 31))
