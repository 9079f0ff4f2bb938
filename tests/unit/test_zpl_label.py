"""What a label says in ZPL, and what text cannot do to it."""

import re

import pytest

from drivers.base import Label
from drivers.labels import LabelError, LabelSize, gs1_elements
from drivers.zpl.label import encode_label, escape, gs1_field, lay_out, text_width

GTIN = ("01", "00300710155237")
EXPIRY = ("17", "271231")
LOT = ("10", "LOT123")
SERIAL = ("21", "SER0001")
SIZE = LabelSize()


def test_a_label_is_one_format_in_the_documented_form() -> None:
    label = Label("Atorvastatin 20 mg", ("Lot LOT123",), (GTIN, EXPIRY, LOT, SERIAL))
    assert encode_label(label, SIZE) == (
        b"^XA^CI28^PW812^LL406^LH0,0"
        b"^FO20,20^A0N,40^FH\\^FDAtorvastatin 20 mg^FS"
        b"^FO20,68^A0N,28^FH\\^FDLot LOT123^FS"
        b"^FO600,20^BXN,6,200,0,0,6,_,1^FH\\^FD_101003007101552371727123110LOT123_121SER0001^FS"
        b"^XZ"
    )


def test_a_label_without_elements_has_no_code_and_the_whole_width() -> None:
    label = Label("Atorvastatin", (), ())
    assert b"^BX" not in encode_label(label, SIZE)
    assert lay_out(label, SIZE).rows[0].room == 812 - 40


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain 20 mg/mL (5%)", "plain 20 mg/mL (5%)"),
        ("^XZ~JA\\", "\\5EXZ\\7EJA\\5C"),
        ("a_b", "a\\5Fb"),
        ('! U1 do "device.reset" ""', "\\21 U1 do \\22device.reset\\22 \\22\\22"),
        ("{}{json", "\\7B\\7D\\7Bjson"),
        ("\x02\x03\x10\x1e\r\n", "\\02\\03\\10\\1E\\0D\\0A"),
        ("Müller €", "M\\C3\\BCller \\E2\\82\\AC"),
        ("\ud800", "?"),
    ],
)
def test_text_is_escaped_byte_by_byte(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_elements_of_fixed_length_come_first_and_fnc1_only_between() -> None:
    assert gs1_field((SERIAL, LOT, EXPIRY, GTIN)) == (
        "_",
        "_101003007101552371727123110LOT123_121SER0001",
    )
    assert gs1_field((LOT, GTIN)) == ("_", "_1010030071015523710LOT123")


def test_an_underscore_in_a_lot_moves_the_escape_character_out_of_its_way() -> None:
    assert gs1_field((GTIN, ("10", "A_1"), SERIAL)) == (
        "#",
        "#1010030071015523710A_1#121SER0001".replace("_", "\\5F"),
    )


@pytest.mark.parametrize(
    ("elements", "text"),
    [
        ([("01", "00300710155238")], "(01) 00300710155238: check digit 7 expected, not 8"),
        ([("01", "0030071015523")], "14 digits"),
        ([("01", "0030071015523\u0667")], "14 digits"),
        ([("17", "27123")], "6 digits"),
        ([("17", "271301")], "(17) 271301: there is no such date"),
        ([("17", "270001")], "no such date"),
        ([("17", "270230")], "no such date"),
        ([("10", "")], "1 to 20 characters"),
        ([("10", "A" * 21)], "1 to 20 characters"),
        ([("10", "A B")], "(10) 'A B': GS1 does not allow ' '"),
        ([("10", "A#1")], "does not allow '#'"),
        ([("21", "A\x1d10B")], "does not allow"),
        ([("10", "A"), ("10", "A")], "(10): given twice"),
        ([("30", "5")], "(30): given twice, or not one of 01, 17, 10, 21"),
    ],
)
def test_elements_that_gs1_does_not_allow_are_refused(
    elements: list[tuple[str, str]], text: str
) -> None:
    with pytest.raises(LabelError, match=re.escape(text)):
        gs1_elements(elements)


@pytest.mark.parametrize("date", ["280229", "271200", "000229"])
def test_leap_days_and_the_last_of_the_month_are_dates(date: str) -> None:
    assert gs1_elements([("17", date)]) == (("17", date),)


def test_a_long_line_wraps_at_blanks_and_keeps_every_word() -> None:
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    rows = lay_out(Label("T", (words,), (GTIN,)), SIZE).rows
    assert len(rows) > 2
    assert " ".join(row.text for row in rows[1:]) == words


def test_a_word_wider_than_the_label_is_broken() -> None:
    rows = lay_out(Label("W" * 60, (), ()), SIZE).rows
    assert "".join(row.text for row in rows) == "W" * 60
    assert len(rows) > 1


def test_text_below_the_code_has_the_whole_width() -> None:
    rows = lay_out(Label("T", ("word",) * 9, (GTIN,)), SIZE).rows
    assert {row.room for row in rows} == {812 - 40 - 20 * 6 - 12, 812 - 40}
    assert rows[-1].room == 812 - 40


def test_what_does_not_fit_is_cut_visibly() -> None:
    rows = lay_out(Label("Title", tuple(f"line {n}" for n in range(50)), ()), SIZE).rows
    assert rows[-1].text.endswith("...")
    assert rows[-1].y + rows[-1].height <= 406 - 20
    assert not any("..." in row.text for row in rows[:-1])


def test_a_cut_row_makes_room_for_its_mark() -> None:
    rows = lay_out(Label("Title", ("W" * 5000,), ()), SIZE).rows
    assert rows[-1].text.endswith("W...")
    assert text_width(rows[-1].text, rows[-1].height) <= rows[-1].room


def test_blanks_and_line_ends_inside_a_line_are_single_blanks() -> None:
    rows = lay_out(Label(" a \t b\r\nc ", ("", "  "), ()), SIZE).rows
    assert [row.text for row in rows] == ["a b c"]


@pytest.mark.parametrize(
    "size", [LabelSize(200, 406), LabelSize(812, 100), LabelSize(100, 100)], ids=str
)
def test_a_label_too_small_for_code_and_text_is_refused(size: LabelSize) -> None:
    with pytest.raises(LabelError, match="have no room"):
        encode_label(Label("T", (), (GTIN, EXPIRY, LOT)), size)


def test_at_300_dpi_everything_grows() -> None:
    label = Label("T", ("l",), (GTIN,))
    zpl = encode_label(label, LabelSize(1200, 600, 12)).decode()
    assert "^PW1200^LL600" in zpl
    assert "^A0N,60" in zpl
    assert "^A0N,42" in zpl
    assert "^BXN,9,200" in zpl
