"""US National Drug Codes and the GTINs made of them.

Sources: 21 CFR 207.33 (NDC: labeler, product and package code in 4-4-2, 5-3-2 or 5-4-1); 45 CFR
162.1002 and NCPDP billing use 11 digits in 5-4-2; GS1 General Specifications: GTIN-14 check digit
(modulo 10, weights 3 and 1) and GS1 US prefix 03 for an NDC. The ten digits inside a GTIN do not
tell the layout: it belongs to the labeler and is looked up, never guessed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from dispensed.errors import Invalid

_DASHED = re.compile(r"([0-9]{4,5})-([0-9]{3,4})-([0-9]{1,2})")
_DIGITS = re.compile(r"[0-9]+")
_NDC10_LENGTH = 10
_NDC11_LENGTH = 11
_GTIN_LENGTH = 14
_GTIN_US_DRUG_PREFIX = "03"
_BASE_LENGTH = 13
_INDICATOR_MAX = 8


class NdcError(Invalid):
    """Not an NDC, or ten digits whose layout is not known."""

    code: ClassVar[str] = "bad_ndc"


class UnknownLayout(NdcError):
    """Ten digits of a labeler whose layout the catalogue does not tell; never guessed."""

    code: ClassVar[str] = "unknown_ndc_layout"


class GtinError(Invalid):
    """Not a GTIN, a wrong check digit, or not a US drug's GTIN."""

    code: ClassVar[str] = "bad_gtin"


class NdcLayout(StrEnum):
    """How an NDC-10 divides into labeler, product and package code."""

    L442 = "4-4-2"
    L532 = "5-3-2"
    L541 = "5-4-1"

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Digits of labeler, product and package code."""
        labeler, product, package = self.value.split("-")
        return int(labeler), int(product), int(package)


@dataclass(frozen=True, slots=True)
class Ndc:
    """One package's NDC-10 in its labeler's layout."""

    labeler: str
    product: str
    package: str

    def __post_init__(self) -> None:
        lengths = f"{len(self.labeler)}-{len(self.product)}-{len(self.package)}"
        if lengths not in set(NdcLayout) or _DIGITS.fullmatch(self.ndc10) is None:
            raise NdcError(f"not an NDC-10 in 4-4-2, 5-3-2 or 5-4-1: {self}")

    def __str__(self) -> str:
        return f"{self.labeler}-{self.product}-{self.package}"

    @property
    def layout(self) -> NdcLayout:
        """The layout of this code."""
        return NdcLayout(f"{len(self.labeler)}-{len(self.product)}-{len(self.package)}")

    @property
    def ndc10(self) -> str:
        """The ten digits without dashes."""
        return self.labeler + self.product + self.package

    @property
    def ndc11(self) -> str:
        """The eleven digits of billing (5-4-2), segments padded with a zero; used as item id."""
        return self.labeler.zfill(5) + self.product.zfill(4) + self.package.zfill(2)

    def gtin14(self, indicator: int = 0) -> str:
        """Return the GTIN-14; `indicator` 0 is the package itself, 1 to 8 are its cases."""
        if not 0 <= indicator <= _INDICATOR_MAX:
            raise GtinError(f"packaging indicator {indicator} is not 0 to {_INDICATOR_MAX}")
        base = f"{indicator}{_GTIN_US_DRUG_PREFIX}{self.ndc10}"
        return base + gtin_check_digit(base)


def parse_ndc(text: str) -> Ndc:
    """Read a dashed NDC-10 such as `0071-0155-23`; undashed digits are ambiguous: NdcError."""
    match = _DASHED.fullmatch(text)
    if match is None:
        if _DIGITS.fullmatch(text) and len(text) == _NDC10_LENGTH:
            raise NdcError(f"NDC {text} without dashes is ambiguous: three layouts fit")
        raise NdcError(f"not a dashed NDC-10: {text[:40]!r}")
    labeler, product, package = match.groups()
    return Ndc(labeler, product, package)


def split_ndc10(digits: str, layout: NdcLayout) -> Ndc:
    """Divide ten undashed digits by the labeler's known layout; raises NdcError."""
    if len(digits) != _NDC10_LENGTH or _DIGITS.fullmatch(digits) is None:
        raise NdcError(f"not ten digits: {digits[:40]!r}")
    labeler, product, _ = layout.lengths
    return Ndc(digits[:labeler], digits[labeler : labeler + product], digits[labeler + product :])


def ndc_from_ndc11(digits: str, layout: NdcLayout) -> Ndc:
    """Undo the padding of an NDC-11 by the known layout; NdcError when the padding is no zero."""
    if len(digits) != _NDC11_LENGTH or _DIGITS.fullmatch(digits) is None:
        raise NdcError(f"not eleven digits: {digits[:40]!r}")
    segments = (digits[:5], digits[5:9], digits[9:])
    ndc = Ndc(*(s[-n:] for s, n in zip(segments, layout.lengths, strict=True)))
    if ndc.ndc11 != digits:
        raise NdcError(f"NDC-11 {digits} has no form in layout {layout}")
    return ndc


class NdcDirectory:
    """The layouts of the labelers in the catalogue, learned from the dashed NDCs of its items."""

    def __init__(self, known: Iterable[Ndc]) -> None:
        self._layouts: dict[str, set[NdcLayout]] = {}
        self._by_digits: dict[str, set[Ndc]] = {}
        for ndc in known:
            self._layouts.setdefault(ndc.labeler, set()).add(ndc.layout)
            self._by_digits.setdefault(ndc.ndc10, set()).add(ndc)

    def resolve(self, digits: str) -> Ndc:
        """Divide ten undashed digits as the catalogue does: the same package, else its labeler.

        Raises UnknownLayout when no labeler of the catalogue fits, or more than one reading does.
        """
        exact = self._by_digits.get(digits, set())
        readings = exact or {
            split_ndc10(digits, layout)
            for labeler in (digits[:4], digits[:5])
            for layout in self._layouts.get(labeler, ())
        }
        if len(readings) != 1:
            found = ", ".join(sorted(map(str, readings))) or "no labeler in the catalogue fits"
            raise UnknownLayout(f"the layout of NDC {digits[:40]} is not known: {found}")
        return next(iter(readings))

    def ndc_of_gtin(self, gtin: str) -> Ndc:
        """Return the NDC inside a US drug's GTIN-14; raises GtinError or UnknownLayout."""
        digits = ndc10_of_gtin(gtin)
        if digits is None:
            raise GtinError(f"GTIN {gtin} is not a US drug's")
        return self.resolve(digits)


def format_ndc11(digits: str) -> str:
    """Write an NDC-11 with its dashes: `00071015523` -> `00071-0155-23`."""
    if len(digits) != _NDC11_LENGTH or _DIGITS.fullmatch(digits) is None:
        raise NdcError(f"not eleven digits: {digits[:40]!r}")
    return f"{digits[:5]}-{digits[5:9]}-{digits[9:]}"


def gtin_check_digit(base: str) -> str:
    """Return the check digit of the first 13 digits of a GTIN-14."""
    if len(base) != _BASE_LENGTH or _DIGITS.fullmatch(base) is None:
        raise GtinError(f"not the first thirteen digits of a GTIN-14: {base[:40]!r}")
    total = sum(int(digit) * (3 if i % 2 == 0 else 1) for i, digit in enumerate(base))
    return str(-total % 10)


def check_gtin14(gtin: str) -> str:
    """Return `gtin` when it is fourteen digits with a right check digit; raises GtinError."""
    if len(gtin) != _GTIN_LENGTH or _DIGITS.fullmatch(gtin) is None:
        raise GtinError(f"not a GTIN-14: {gtin[:40]!r}")
    right = gtin_check_digit(gtin[:-1])
    if gtin[-1] != right:
        raise GtinError(f"GTIN {gtin} has check digit {gtin[-1]}, {right} is right")
    return gtin


def ndc10_of_gtin(gtin: str) -> str | None:
    """Return the ten NDC digits inside a US drug's GTIN-14, None for any other GTIN."""
    check_gtin14(gtin)
    return gtin[3:-1] if gtin[1:3] == _GTIN_US_DRUG_PREFIX else None
