"""Exact amounts: integer thousandths of a billing unit, never a float.

Source of the units: NCPDP code set 600-28 (EA each, ML millilitre, GM gram); quantities are billed
with at most three decimals.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Self

from dispensed.errors import Invalid

MILLI = 1000
"""Thousandths in one unit; one scale for the whole ledger for ever."""

QUANTITY_MAX_MILLI = 10**15
"""Largest quantity; a mistyped number is refused long before a 64-bit column overflows."""

_NUMBER = re.compile(r"([0-9]{1,13})(?:\.([0-9]+))?")
_DECIMALS = 3


class QuantityError(Invalid):
    """A quantity that is negative, too fine, too large, of another unit or not a number at all."""

    code: ClassVar[str] = "bad_quantity"


class Unit(StrEnum):
    """Billing unit of an item."""

    EA = "EA"
    ML = "ML"
    GM = "GM"


@dataclass(frozen=True, slots=True)
class Quantity:
    """`milli` thousandths of `unit`, never negative; only one unit adds, subtracts and compares."""

    unit: Unit
    milli: int

    def __post_init__(self) -> None:
        check_milli(self.milli)

    @classmethod
    def of(cls, unit: Unit, whole: int) -> Self:
        """Return `whole` units; raises QuantityError for anything but an int >= 0."""
        check_milli(whole)
        return cls(unit, whole * MILLI)

    @classmethod
    def parse(cls, text: str | int, unit: Unit) -> Self:
        """Read plain decimal text such as `12`, `12.5` or `12.5 EA` as a quantity of `unit`.

        Refused with QuantityError: a fourth decimal, a sign, an exponent, separators, a naked
        decimal point (`.5`, `5.`), another unit's name, NaN, and every float.
        """
        if isinstance(text, int):
            return cls.of(unit, text)
        return cls(unit, parse_milli(text, unit))

    def __add__(self, other: Self) -> Self:
        self._same_unit(other)
        return type(self)(self.unit, self.milli + other.milli)

    def __sub__(self, other: Self) -> Self:
        self._same_unit(other)
        if other.milli > self.milli:
            raise QuantityError(f"{self} less {other} would be negative")
        return type(self)(self.unit, self.milli - other.milli)

    def __lt__(self, other: Self) -> bool:
        self._same_unit(other)
        return self.milli < other.milli

    def __le__(self, other: Self) -> bool:
        self._same_unit(other)
        return self.milli <= other.milli

    def __bool__(self) -> bool:
        return self.milli > 0

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"

    @property
    def amount(self) -> str:
        """The number alone, without trailing zeros: `12.5`, `30`."""
        return format_milli(self.milli)

    @property
    def decimal(self) -> Decimal:
        """The number alone as an exact Decimal."""
        return Decimal(self.milli).scaleb(-_DECIMALS)

    def _same_unit(self, other: "Quantity") -> None:
        if self.unit is not other.unit:
            raise QuantityError(f"{self} and {other} have different units")


def check_milli(milli: int) -> None:
    """Raise QuantityError unless `milli` is an int from 0 to QUANTITY_MAX_MILLI."""
    if type(milli) is not int:
        raise QuantityError(f"a quantity is a whole number of thousandths, not {milli!r}")
    if milli < 0:
        raise QuantityError(f"a quantity is never negative: {format_milli(milli)}")
    if milli > QUANTITY_MAX_MILLI:
        raise QuantityError(f"quantity too large: {format_milli(milli)}")


def parse_milli(text: str, unit: Unit) -> int:
    """Read plain decimal text as thousandths of `unit`; QuantityError as in `Quantity.parse`."""
    if not isinstance(text, str):
        raise QuantityError(f"a quantity is read from text or a whole number, not {text!r}")
    number, blank, named = text.partition(" ")
    if blank and named != unit:
        raise QuantityError(f"{text[:40]!r} is not a quantity of {unit}")
    return parse_thousandths(number)


def parse_thousandths(text: str) -> int:
    """Read a plain decimal number, at most three decimals and no sign, as thousandths."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise QuantityError(f"not a plain decimal number: {text[:40]!r}")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > _DECIMALS:
        raise QuantityError(f"at most {_DECIMALS} decimals: {text[:40]!r}")
    return int(whole) * MILLI + int(fraction.ljust(_DECIMALS, "0"))


def format_milli(milli: int) -> str:
    """Write thousandths as decimal text without trailing zeros: 12500 is 12.5, -250 is -0.25."""
    sign = "-" if milli < 0 else ""
    whole, rest = divmod(abs(milli), MILLI)
    fraction = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{sign}{whole}{fraction}"
