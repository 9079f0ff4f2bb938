"""What a WeightItem of OPC 40200 shows, as exact decimal weights; bytes as in OPC 10000-6."""

from decimal import Decimal

import pytest

from drivers.errors import ProtocolError
from drivers.opcua40200.codec import (
    UNITS,
    Part,
    Printed,
    Unit,
    Weight,
    WeightItem,
    decode_printed,
    decode_weight,
    encode_printed,
    encode_weight,
    pieces_of,
    printed_value,
    reference_weight,
    rounded,
    unit_name,
    value_of,
)
from drivers.opcua_binary import PIECE_UNIT_ID, UNITS_URI, Reader

WEIGHT = Weight(62.5, 12.5, 50.0)
WEIGHT_BYTES = bytes.fromhex(
    "00 00 00 00 00 40 4f 40 00 00 00 00 00 00 29 40 00 00 00 00 00 00 49 40"
)
PRINTED = Printed("62.50", "12.50", "50.00")
PRINTED_BYTES = bytes.fromhex(
    "05 00 00 00 36 32 2e 35 30 05 00 00 00 31 32 2e 35 30 05 00 00 00 35 30 2e 30 30"
)


def item(
    weight: Weight | None = WEIGHT,
    printed: Printed | None = None,
    single: dict[Part, float] | None = None,
    precision: float | None = None,
) -> WeightItem:
    return WeightItem(
        weight,
        Unit(4674125, UNITS_URI),
        overload=False,
        underload=False,
        printed=printed,
        single=single,
        precision=precision,
    )


def test_the_structures_are_three_doubles_and_three_strings() -> None:
    assert decode_weight(WEIGHT_BYTES) == WEIGHT
    assert encode_weight(WEIGHT) == WEIGHT_BYTES
    assert decode_printed(PRINTED_BYTES) == PRINTED
    assert encode_printed(PRINTED) == PRINTED_BYTES


@pytest.mark.parametrize("body", [b"", WEIGHT_BYTES[:-1], WEIGHT_BYTES + b"\0"])
def test_a_structure_of_another_length_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_weight(body)


@pytest.mark.parametrize("body", [b"\xfe\xff\xff\xff", b"\x01\0\0\0\xff", b"\0\0\1\0" + b"1" * 9])
def test_a_printed_weight_that_is_no_three_strings_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_printed(body)


def test_a_null_string_is_read_as_an_empty_one_which_is_no_weight() -> None:
    printed = decode_printed(b"\xff\xff\xff\xff" * 3)
    assert printed == Printed("", "", "")
    with pytest.raises(ProtocolError, match="a printed weight was expected"):
        value_of(item(printed=printed), Part.NET)


# ---------------------------------------------------------------- digits


@pytest.mark.parametrize(
    ("shown", "value"),
    [("12.50", "12.50"), (" -0.5 ", "-0.5"), ("+7", "7"), ("0.000", "0.000"), ("-0.00", "-0.00")],
)
def test_a_printed_weight_keeps_its_digits(shown: str, value: str) -> None:
    assert str(printed_value(shown)) == value


@pytest.mark.parametrize(
    "shown", ["", "12,5", "12.5 g", "- 1", "1e3", "NaN", "Infinity", "12.", ".5", "١٢", "-----"]
)
def test_what_is_no_number_is_no_weight(shown: str) -> None:
    with pytest.raises(ProtocolError):
        printed_value(shown)


@pytest.mark.parametrize(
    ("value", "precision", "digits"),
    [
        (12.5, 3.0, "12.500"),
        (0.1 + 0.2, 3.0, "0.300"),
        (12.3456, 2.0, "12.35"),
        (12.0, 0.0, "12"),
        (1234.0, -2.0, "1200"),
        (-0.0004, 3.0, "0.000"),
        (7.1, None, "7.1"),
        (5.0, None, "5.0"),
        (1e-7, None, "1E-7"),
    ],
)
def test_a_double_is_given_the_digits_of_its_precision(
    value: float, precision: float | None, digits: str
) -> None:
    assert str(rounded(value, precision)) == digits


@pytest.mark.parametrize(
    ("value", "precision"),
    [(float("nan"), 3.0), (float("inf"), None), (1e13, 3.0), (1.0, 2.5), (1.0, 13.0)],
)
def test_what_is_no_weight_or_no_precision_is_refused(
    value: float, precision: float | None
) -> None:
    with pytest.raises(ProtocolError):
        rounded(value, precision)


# ---------------------------------------------------------------- what is taken


def test_the_printed_weight_comes_first_then_the_single_one_then_the_structure() -> None:
    single = {Part.NET: 12.5}
    assert str(value_of(item(printed=PRINTED, single=single, precision=3.0), Part.NET)) == "12.50"
    assert str(value_of(item(single=single, precision=3.0), Part.NET)) == "12.500"
    assert str(value_of(item(single=single, precision=3.0), Part.GROSS)) == "62.500"
    assert str(value_of(item(precision=1.0), Part.TARE)) == "50.0"
    assert str(value_of(item(), Part.NET)) == "12.5"


def test_a_printed_or_single_weight_of_another_moment_is_refused() -> None:
    assert value_of(item(Weight(0, 12.504, 0), PRINTED), Part.NET) == Decimal("12.50")
    for other in (12.511, 12.489, 0.0, float("nan")):
        with pytest.raises(ProtocolError):
            value_of(item(Weight(0, other, 0), PRINTED), Part.NET)
        with pytest.raises(ProtocolError):
            value_of(item(Weight(0, other, 0), None, {Part.NET: 12.5}, 2.0), Part.NET)


def test_a_weight_that_the_scale_does_not_vouch_for_is_none() -> None:
    with pytest.raises(ProtocolError, match="vouches for no weight"):
        value_of(item(None, PRINTED), Part.NET)


# ---------------------------------------------------------------- units


def test_units_are_numbered_by_their_common_code() -> None:
    assert {4674125: "g", 4933453: "kg", 5064525: "mg"}.items() <= UNITS.items()
    assert PIECE_UNIT_ID == 4732983


def test_number_and_namespace_of_a_unit_are_compared() -> None:
    assert unit_name(Unit(4674125, UNITS_URI)) == "g"
    for wrong in (Unit(4674125, ""), Unit(4674125, "urn:x"), Unit(4732983, UNITS_URI), None):
        with pytest.raises(ProtocolError):
            unit_name(wrong)


# ---------------------------------------------------------------- counting


@pytest.mark.parametrize(("value", "pieces"), [(50, 50), (50.0, 50), (0, 0), (-3, -3)])
def test_pieces_may_come_as_any_number(value: float, pieces: int) -> None:
    assert pieces_of(value) == pieces


@pytest.mark.parametrize("value", [None, True, "50", 49.5, float("nan"), 1e13])
def test_what_is_no_whole_number_is_no_count(value: object) -> None:
    with pytest.raises(ProtocolError):
        pieces_of(value)


def test_a_piece_weight_is_sent_as_a_whole_number_of_the_largest_unit_that_fits() -> None:
    assert reference_weight(Decimal("0.25"), ("g", "mg", "ug")) == (250, "mg")
    assert reference_weight(Decimal("0.25"), ("g", "ug")) == (250_000, "ug")
    assert reference_weight(Decimal(2000), ("kg", "g")) == (2, "kg")
    for grams, allowed in (("0.25", ("g",)), ("0", ("g",)), ("-1", ("g",)), ("NaN", ("g",))):
        with pytest.raises(ValueError, match=r"0\.25 g|no weight"):
            reference_weight(Decimal(grams), allowed)
    with pytest.raises(ValueError, match="no unit"):
        reference_weight(Decimal(1), ())
    with pytest.raises(ValueError, match="in none of ug"):
        reference_weight(Decimal(5000), ("ug",))


def test_a_localized_text_with_an_unknown_mask_is_refused() -> None:
    with pytest.raises(ProtocolError, match="mask 0x4"):
        Reader(b"\x04").localized()
