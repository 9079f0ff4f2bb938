"""Quantities: exact, in one unit, never negative."""

from decimal import Decimal
from typing import cast

import pytest

from dispensed.model.quantity import (
    QUANTITY_MAX_MILLI,
    Quantity,
    QuantityError,
    Unit,
    format_milli,
    parse_milli,
    parse_thousandths,
)


@pytest.mark.parametrize(
    ("text", "unit", "milli"),
    [
        ("0", Unit.EA, 0),
        ("30", Unit.EA, 30_000),
        ("12.5", Unit.ML, 12_500),
        ("0.001", Unit.GM, 1),
        ("473.000", Unit.ML, 473_000),
        ("12.5 ML", Unit.ML, 12_500),
        ("007", Unit.EA, 7_000),
        (90, Unit.EA, 90_000),
    ],
)
def test_plain_decimal_text_is_read_exactly(text: str | int, unit: Unit, milli: int) -> None:
    assert Quantity.parse(text, unit) == Quantity(unit, milli)


@pytest.mark.parametrize(
    "text",
    [
        "1.0001",
        "1.0000",
        "-1",
        "+1",
        "1e3",
        "1E3",
        "NaN",
        "inf",
        "",
        " ",
        "1 ",
        " 1",
        "1,000",
        "1_000",
        ".5",
        "5.",
        "1.2.3",
        "0x10",
        "12.5 ML",
        "12.5EA",
        "12.5 ea",
        "12.5  EA",
        "\u0661\u0662",
        "1\n",
        "1000000000001",
        "99999999999999",
    ],
)
def test_anything_but_a_plain_small_decimal_of_the_unit_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        Quantity.parse(text, Unit.EA)


@pytest.mark.parametrize("value", [1.0, 0.1, float("nan"), None, b"1", Decimal(1)])
def test_a_float_or_any_other_type_is_never_a_quantity(value: object) -> None:
    with pytest.raises(QuantityError):
        Quantity.parse(cast("str", value), Unit.EA)
    with pytest.raises(QuantityError):
        Quantity(Unit.EA, cast("int", value))


def test_a_truth_value_is_not_a_number_of_pieces() -> None:
    yes = True
    with pytest.raises(QuantityError):
        Quantity.parse(yes, Unit.EA)
    with pytest.raises(QuantityError):
        Quantity(Unit.EA, yes)


def test_whole_units_become_thousandths() -> None:
    assert Quantity.of(Unit.EA, 30).milli == 30_000


@pytest.mark.parametrize("whole", [-1, QUANTITY_MAX_MILLI])
def test_a_negative_or_absurd_number_of_units_is_refused(whole: int) -> None:
    with pytest.raises(QuantityError):
        Quantity.of(Unit.EA, whole)


def test_a_sum_beyond_the_largest_quantity_is_refused() -> None:
    largest = Quantity(Unit.EA, QUANTITY_MAX_MILLI)
    with pytest.raises(QuantityError, match="too large"):
        largest + Quantity(Unit.EA, 1)


def test_two_units_never_mix() -> None:
    tablets, syrup = Quantity.of(Unit.EA, 1), Quantity.of(Unit.ML, 1)
    for operation in (
        lambda: tablets + syrup,
        lambda: tablets - syrup,
        lambda: tablets < syrup,
        lambda: tablets <= syrup,
        lambda: tablets > syrup,
    ):
        with pytest.raises(QuantityError, match="have different units"):
            operation()
    assert tablets != syrup


def test_taking_more_than_there_is_names_both_numbers() -> None:
    with pytest.raises(QuantityError, match=r"20 EA less 30\.5 EA would be negative"):
        Quantity.of(Unit.EA, 20) - Quantity.parse("30.5", Unit.EA)


def test_ten_times_a_tenth_is_one() -> None:
    total = Quantity(Unit.GM, 0)
    for _ in range(10):
        total += Quantity.parse("0.1", Unit.GM)
    assert total == Quantity.of(Unit.GM, 1)


def test_quantities_of_one_unit_are_ordered() -> None:
    assert Quantity(Unit.EA, 1) < Quantity(Unit.EA, 2)
    assert Quantity(Unit.EA, 2) <= Quantity(Unit.EA, 2)
    assert not Quantity(Unit.EA, 2) < Quantity(Unit.EA, 2)


def test_an_empty_quantity_is_false() -> None:
    assert not Quantity(Unit.EA, 0)
    assert Quantity(Unit.EA, 1)


@pytest.mark.parametrize(
    ("milli", "text"),
    [(0, "0"), (12_500, "12.5"), (30_000, "30"), (1, "0.001"), (-250, "-0.25"), (-3_000, "-3")],
)
def test_thousandths_are_written_without_trailing_zeros(milli: int, text: str) -> None:
    assert format_milli(milli) == text


def test_a_quantity_prints_with_its_unit() -> None:
    quantity = Quantity(Unit.EA, 12_500)
    assert str(quantity) == "12.5 EA"
    assert quantity.amount == "12.5"
    assert quantity.decimal == Decimal("12.500")


def test_the_unit_is_named_when_text_of_another_unit_is_refused() -> None:
    with pytest.raises(QuantityError, match=r"'5 ML' is not a quantity of EA"):
        parse_milli("5 ML", Unit.EA)


def test_a_bare_number_takes_no_unit() -> None:
    assert parse_thousandths("4.62") == 4_620
    with pytest.raises(QuantityError):
        parse_thousandths("4.62 EA")


def test_the_error_has_its_own_code() -> None:
    assert QuantityError.code == "bad_quantity"
