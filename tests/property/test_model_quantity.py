"""Laws of quantities."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.quantity import (
    QUANTITY_MAX_MILLI,
    Quantity,
    QuantityError,
    Unit,
    format_milli,
    parse_thousandths,
)

UNITS = st.sampled_from(Unit)
MILLIS = st.integers(0, QUANTITY_MAX_MILLI // 3)


@given(UNITS, st.integers(0, QUANTITY_MAX_MILLI))
def test_text_of_a_quantity_reads_back_as_the_same(unit: Unit, milli: int) -> None:
    quantity = Quantity(unit, milli)
    assert Quantity.parse(str(quantity), unit) == quantity
    assert Quantity.parse(quantity.amount, unit) == quantity


@given(UNITS, st.decimals(0, 10**11, places=3))
def test_any_plain_decimal_with_three_places_is_read_exactly(unit: Unit, value: Decimal) -> None:
    text = f"{value:f}".removeprefix("-")
    assert Quantity.parse(text, unit).decimal == Decimal(text)


@given(UNITS, MILLIS, MILLIS, MILLIS)
def test_addition_is_commutative_and_associative(unit: Unit, a: int, b: int, c: int) -> None:
    x, y, z = (Quantity(unit, milli) for milli in (a, b, c))
    assert x + y == y + x
    assert (x + y) + z == x + (y + z)
    assert x + Quantity(unit, 0) == x


@given(UNITS, MILLIS, MILLIS)
def test_what_was_added_can_be_taken_away(unit: Unit, a: int, b: int) -> None:
    x, y = Quantity(unit, a), Quantity(unit, b)
    assert (x + y) - y == x


@given(UNITS, MILLIS, MILLIS)
def test_taking_away_works_exactly_when_there_is_enough(unit: Unit, a: int, b: int) -> None:
    x, y = Quantity(unit, a), Quantity(unit, b)
    if y <= x:
        assert (x - y) + y == x
    else:
        with pytest.raises(QuantityError):
            x - y


@given(UNITS, MILLIS, MILLIS)
def test_the_order_of_quantities_is_the_order_of_their_numbers(unit: Unit, a: int, b: int) -> None:
    x, y = Quantity(unit, a), Quantity(unit, b)
    assert (x < y, x <= y, x == y, x > y, x >= y) == (a < b, a <= b, a == b, a > b, a >= b)


@given(st.text(max_size=20))
def test_any_text_is_read_exactly_or_refused(text: str) -> None:
    try:
        milli = Quantity.parse(text, Unit.EA).milli
    except QuantityError:
        return
    assert Decimal(text.removesuffix(" EA")) == Decimal(milli) / 1000


@given(st.integers(0, 10**13))
def test_a_number_written_out_reads_back(milli: int) -> None:
    assert parse_thousandths(format_milli(milli)) == milli
    assert format_milli(-milli) == ("-" if milli else "") + format_milli(milli)
