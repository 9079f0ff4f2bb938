"""OPC 40200 Weighing Technology, the pure part: what a WeightItem shows, as exact decimal weights.

Source: OPC 40200 "OPC UA for Weighing Technology" 1.01 (WeightItemType in 10.3, WeightType and
PrintableWeightType in 11.2 and 11.3) and its nodeset of 2023-03-01 for the numeric ids; OPC 10000-8
1.05 for ValuePrecision and units. 1.00 has the same nodes and `Invalid` beside them; 2.00 (nodeset
of 2025-03-01) has the same names and ids in another namespace. Not verified on hardware.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from drivers.errors import ProtocolError
from drivers.opcua_binary import UNITS_URI, Reader, float64, text, unit_id_of

SCALES_URI = "http://opcfoundation.org/UA/Scales"
SCALES_V2_URI = "http://opcfoundation.org/UA/Scales/V2/"
"""The namespace of OPC 40200 2.00."""
WEIGHT_ENCODING_ID = 88
"""Numeric id of WeightType's binary encoding in the Scales namespace."""
PRINTABLE_ENCODING_ID = 97
"""Numeric id of PrintableWeightType's binary encoding in the Scales namespace."""
UNITS: Mapping[int, str] = {
    unit_id_of(code): name
    for code, name in (
        ("GRM", "g"),
        ("KGM", "kg"),
        ("MGM", "mg"),
        ("MC", "ug"),
        ("LBR", "lb"),
        ("ONZ", "oz"),
        ("CTM", "ct"),
    )
}
"""UN/ECE number -> unit as the drivers of scales write it."""
PRECISION_MAX = 12
"""Digits after the point that a ValuePrecision may have, and before it when negative."""
_PRINTED = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,12})?")
_WEIGHT_MAX = 1e12
_FLOAT_NOISE = Decimal("1e-9")
_UINT32 = 1 << 32
_PER_GRAM: Mapping[str, int] = {"kg": -3, "g": 0, "mg": 3, "ug": 6}
"""Unit of a piece weight -> power of ten in a gram, the largest first."""


class Part(StrEnum):
    """One of the three values of a weight, with its browse name."""

    GROSS = "Gross"
    NET = "Net"
    TARE = "Tare"


@dataclass(frozen=True, slots=True)
class Weight:
    """WeightType: three doubles."""

    gross: float
    net: float
    tare: float

    def part(self, part: Part) -> float:
        """Return one of them."""
        return {Part.GROSS: self.gross, Part.NET: self.net, Part.TARE: self.tare}[part]


@dataclass(frozen=True, slots=True)
class Printed:
    """PrintableWeightType: the same three as the scale prints them, without a unit."""

    gross: str
    net: str
    tare: str

    def part(self, part: Part) -> str:
        """Return one of them."""
        return {Part.GROSS: self.gross, Part.NET: self.net, Part.TARE: self.tare}[part]


@dataclass(frozen=True, slots=True)
class Unit:
    """EUInformation: a number in a namespace."""

    number: int
    uri: str


@dataclass(frozen=True, slots=True)
class WeightItem:
    """What a WeightItem and its properties show together; None for what is absent or not good.

    `single` holds the properties Gross, Net and Tare. `invalid` exists in OPC 40200 1.00 only.
    """

    weight: Weight | None
    unit: Unit | None
    overload: bool | None
    underload: bool | None
    stable: bool | None = None
    printed: Printed | None = None
    single: Mapping[Part, float] | None = None
    precision: float | None = None
    inside_zero: bool | None = None
    invalid: bool | None = None


# ---------------------------------------------------------------- structures


def decode_weight(body: bytes) -> Weight:
    """Return a WeightType from its binary body; raises ProtocolError."""
    reader = Reader(body)
    weight = Weight(reader.float64(), reader.float64(), reader.float64())
    reader.end()
    return weight


def encode_weight(weight: Weight) -> bytes:
    """Return the binary body of a WeightType."""
    return float64(weight.gross) + float64(weight.net) + float64(weight.tare)


def decode_printed(body: bytes) -> Printed:
    """Return a PrintableWeightType from its binary body; raises ProtocolError."""
    reader = Reader(body)
    printed = Printed(reader.text(), reader.text(), reader.text())
    reader.end()
    return printed


def encode_printed(printed: Printed) -> bytes:
    """Return the binary body of a PrintableWeightType."""
    return text(printed.gross) + text(printed.net) + text(printed.tare)


# ---------------------------------------------------------------- values


def printed_value(shown: str) -> Decimal:
    """Return a printed weight with its digits; raises ProtocolError for anything but a number.

    OPC 40200 does not say how a number is printed: sign, digits and a point are taken, and spaces
    around them; a decimal comma, a unit or a text is refused.
    """
    plain = shown.strip(" ")
    if not _PRINTED.fullmatch(plain):
        raise ProtocolError(f"a printed weight was expected, not {shown[:40]!r}")
    return Decimal(plain)


def rounded(value: float, precision: float | None) -> Decimal:
    """Return a double with as many digits after the point as ValuePrecision says.

    Negative precisions count digits before the point. Without one the double is taken as it is
    written shortest. Raises ProtocolError for what is no weight and no precision.
    """
    if not math.isfinite(value) or abs(value) > _WEIGHT_MAX:
        raise ProtocolError(f"a weight was expected, not {value}")
    if precision is None:
        return Decimal(repr(value)) + 0
    if not precision.is_integer() or abs(precision) > PRECISION_MAX:
        raise ProtocolError(f"ValuePrecision {precision} is no number of digits")
    digit = Decimal(1).scaleb(-int(precision))
    exact = Decimal(value).quantize(digit, ROUND_HALF_EVEN) + 0  # no -0
    return exact if precision >= 0 else Decimal(int(exact))


def value_of(item: WeightItem, part: Part) -> Decimal:
    """Return one of the three weights: as printed, else as a single value, else of the structure.

    Raises ProtocolError when the scale does not vouch for the structure, which is mandatory, and
    when that differs by more than a digit: then one of the two is of another moment.
    """
    if item.weight is None:
        raise ProtocolError("the scale vouches for no weight")
    shown = item.weight.part(part)
    of_structure = rounded(shown, item.precision)
    if item.printed is not None:
        value = printed_value(item.printed.part(part))
    elif item.single is not None and part in item.single:
        value = rounded(item.single[part], item.precision)
    else:
        return of_structure
    digit = Decimal(1).scaleb(int(value.as_tuple().exponent))
    if abs(Decimal(shown) - value) > digit + _FLOAT_NOISE:
        raise ProtocolError(f"{part}: {value} is told, {shown} is measured")
    return value


def unit_name(unit: Unit | None) -> str:
    """Return the unit of a weight; raises ProtocolError for one that is not known.

    Number and namespace are compared: the same number means something else elsewhere.
    """
    if unit is None:
        raise ProtocolError("the scale shows no unit")
    if unit.uri != UNITS_URI or unit.number not in UNITS:
        raise ProtocolError(f"unit {unit.number} of {unit.uri!r} is not one of a weight")
    return UNITS[unit.number]


def pieces_of(value: object) -> int:
    """Return a number of pieces, which may come as any number type; raises ProtocolError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProtocolError(f"a number of pieces was expected, not {value!r}")
    if not math.isfinite(value) or abs(value) > _WEIGHT_MAX or value != int(value):
        raise ProtocolError(f"a whole number of pieces was expected, not {value!r}")
    return int(value)


def reference_weight(piece_g: Decimal, allowed: Collection[str]) -> tuple[int, str]:
    """Return whole number and unit for SetReferencePieceWeight, whose argument is a UInt32.

    Of the units that the scale allows the largest is taken in which the weight, given in grams, is
    a whole number; raises ValueError when there is none: it is never rounded.
    """
    if not piece_g.is_finite() or piece_g <= 0:
        raise ValueError(f"{piece_g} g is no weight of a piece")
    for name, power in _PER_GRAM.items():
        scaled = piece_g.scaleb(power)
        if name in allowed and scaled == scaled.to_integral_value() and scaled < _UINT32:
            return int(scaled), name
    raise ValueError(f"{piece_g} g is a whole number in none of {', '.join(allowed) or 'no unit'}")
