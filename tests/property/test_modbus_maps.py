"""What holds for the registers of any scale: they mean a weight, or are a protocol error."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.modbus.maps import load_map, shipped
from drivers.modbus.regmap import Field, Flag, Kind, Order, Value

REGISTERS = st.integers(0, 0xFFFF)
RANGES = {
    Kind.U16: (0, 0xFFFF),
    Kind.S16: (-0x8000, 0x7FFF),
    Kind.U32: (0, 0xFFFFFFFF),
    Kind.S32: (-0x80000000, 0x7FFFFFFF),
    Kind.FLOAT32: (-999_999, 999_999),
    Kind.SIGN_FLAG: (-999_999, 999_999),
}
SIGN = Flag(Field(9, 3))


@st.composite
def weights(draw: st.DrawFn) -> tuple[Kind, int]:
    kind = draw(st.sampled_from(Kind))
    return kind, draw(st.integers(*RANGES[kind]))


@given(weights(), st.sampled_from(Order), st.integers(0, 4), REGISTERS)
def test_a_weight_that_is_written_is_read_with_its_digits_and_touches_nothing_else(
    weight: tuple[Kind, int], order: Order, decimals: int, other: int
) -> None:
    kind, number = weight
    negative = SIGN if kind is Kind.SIGN_FLAG else None
    value = Value(4, kind, order, negative=negative)
    registers = {9: other}
    value.put(registers, number, decimals)
    assert value.get(registers, decimals) == Decimal(number).scaleb(-decimals)
    assert registers[9] & ~8 == other & ~8
    assert set(registers) == {9, 4, *([5] if kind.registers == 2 else [])}


@pytest.mark.parametrize("name", shipped())
@given(data=st.data())
def test_any_registers_are_a_moment_or_a_protocol_error(name: str, data: st.DataObject) -> None:
    it = load_map(name)
    values = data.draw(st.lists(REGISTERS, min_size=it.count, max_size=it.count))
    try:
        image = it.image(values)
    except ProtocolError:
        return
    assert image.unit in it.units.names
    assert image.step > 0
    assert image.shown in (image.net, image.gross)


@given(REGISTERS, REGISTERS)
def test_any_float_is_a_weight_or_a_protocol_error(high: int, low: int) -> None:
    value = Value(0, Kind.FLOAT32, Order.HIGH_FIRST)
    try:
        weight = value.get({0: high, 1: low}, 3)
    except ProtocolError:
        return
    assert weight.is_finite()
