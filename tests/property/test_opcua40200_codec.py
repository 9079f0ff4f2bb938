"""Whatever a scale sends over OPC UA: its weight, or a protocol error, and nothing else."""

import math
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.opcua40200.codec import (
    Part,
    Printed,
    Unit,
    Weight,
    WeightItem,
    decode_printed,
    decode_weight,
    encode_printed,
    encode_weight,
    printed_value,
    value_of,
)

doubles = st.floats(allow_nan=False)
texts = st.text(max_size=20)
milligrams = st.integers(-(10**9), 10**9)


@given(st.builds(Weight, doubles, doubles, doubles), st.builds(Printed, texts, texts, texts))
@settings(max_examples=60)
def test_structures_survive_the_wire(weight: Weight, printed: Printed) -> None:
    assert decode_weight(encode_weight(weight)) == weight
    assert decode_printed(encode_printed(printed)) == printed


@given(st.binary(max_size=64))
@settings(max_examples=100)
def test_garbage_is_a_structure_or_a_protocol_error(body: bytes) -> None:
    for decode in (decode_weight, decode_printed):
        try:
            decode(body)
        except ProtocolError:
            continue


@given(st.text(alphabet="0123456789+-. eE,g", max_size=12))
@settings(max_examples=100)
def test_a_printed_text_is_its_own_number_or_a_protocol_error(shown: str) -> None:
    try:
        value = printed_value(shown)
    except ProtocolError:
        return
    assert math.isclose(float(shown), float(value))


@given(milligrams, st.sampled_from(list(Part)), st.booleans(), st.booleans())
@settings(max_examples=100)
def test_every_way_of_showing_a_weight_gives_the_same_weight(
    mg: int, part: Part, printed: object, single: object
) -> None:
    grams = Decimal(mg).scaleb(-3)
    text, double = f"{grams:.3f}", float(grams)
    item = WeightItem(
        Weight(double, double, double),
        Unit(1, ""),
        overload=False,
        underload=False,
        printed=Printed(text, text, text) if printed else None,
        single={part: double} if single else None,
        precision=3.0,
    )
    assert value_of(item, part) == grams


@given(milligrams, milligrams)
@settings(max_examples=60)
def test_two_weights_that_differ_are_never_taken_for_one(shown: int, told: int) -> None:
    weight = shown / 1000
    text = f"{Decimal(told).scaleb(-3):.3f}"
    item = WeightItem(
        Weight(weight, weight, weight),
        None,
        overload=False,
        underload=False,
        printed=Printed(text, text, text),
    )
    try:
        value = value_of(item, Part.NET)
    except ProtocolError:
        assert abs(shown - told) > 1
    else:
        assert value == Decimal(text)
        assert abs(shown - told) <= 1
