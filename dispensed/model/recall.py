"""Recalls: classes and their clocks, how notices write codes and lots, and what must add up.

Sources: 21 CFR 7.3(m) (classes I, II and III), 7.42(b)(3) (effectiveness checks), 7.49(a)(2):
distribution and use of what remains should cease immediately. No section gives hours: those are
settings of the site.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dispensed.model.ndc import NdcError, parse_ndc

WORD_LENGTH_MIN = 4
"""Shortest word that tells a drug or a labeler from others."""

_CLASS = re.compile(r"(?:class\s*)?(i{1,3})", re.IGNORECASE)
_BILLED = re.compile(r"([0-9]{5})-([0-9]{4})-([0-9]{2})")
_PRODUCT = re.compile(r"([0-9]{4,5})-([0-9]{3,4})")
_PRODUCT_FORMS = {(5, 4), (5, 3), (4, 4)}
_DIGITS = re.compile(r"[0-9]+")
_NDC11_LENGTH = 11
_PRINTED = re.compile(
    r"(?:(?<![0-9A-Za-z-])(?P<dashed>[0-9]{4,5}-[0-9]{3,4}(?:-[0-9]{1,2})?)(?![0-9A-Za-z]|-[0-9A-Za-z])"
    r"|\bNDC\W{0,4}(?P<digits>[0-9]{10,11})(?![0-9]))"
    r"(?P<more>(?:\s*(?:,|;|/|and|&)\s*-[0-9]{1,2}(?![0-9]))*)",
    re.IGNORECASE,
)
_MORE = re.compile(r"-([0-9]{1,2})")
_WORD = re.compile(r"[^\W\d_]+")


class RecallClass(StrEnum):
    """How grave a recall is. Source: 21 CFR 7.3(m). NONE is not classified yet."""

    I = "I"  # noqa: E741 - the regulation's own numeral
    II = "II"
    III = "III"
    NONE = ""


class NdcKind(StrEnum):
    """What a printed code names."""

    PACKAGE = "package"
    PRODUCT = "product"
    AMBIGUOUS = "ambiguous"
    """Ten digits without dashes: three layouts fit."""
    UNREADABLE = "unreadable"


_UNDASHED = {10: NdcKind.AMBIGUOUS, _NDC11_LENGTH: NdcKind.PACKAGE}


@dataclass(frozen=True, slots=True)
class NdcCode:
    """A code of a notice.

    `digits` are 11 (5-4-2) for a package, the first 9 of them for a product, else as printed.
    """

    kind: NdcKind
    digits: str

    def names(self, ndc11: str) -> bool:
        """Whether a package with this NDC-11 is meant."""
        if self.kind is NdcKind.PACKAGE:
            return ndc11 == self.digits
        is_product = self.kind is NdcKind.PRODUCT
        return is_product and len(ndc11) == _NDC11_LENGTH and ndc11.startswith(self.digits)


def read_ndc(text: str) -> NdcCode:
    """Read an NDC as a notice prints it: package or product, 10 or 11 digits. Never guesses."""
    code = re.sub(r"\s+", "", text)
    billed = _BILLED.fullmatch(code)
    if billed is not None:
        return NdcCode(NdcKind.PACKAGE, "".join(billed.groups()))
    product = _PRODUCT.fullmatch(code)
    if product is not None and tuple(map(len, product.groups())) in _PRODUCT_FORMS:
        labeler, number = product.groups()
        return NdcCode(NdcKind.PRODUCT, labeler.zfill(5) + number.zfill(4))
    if _DIGITS.fullmatch(code):
        return NdcCode(_UNDASHED.get(len(code), NdcKind.UNREADABLE), code)
    try:
        return NdcCode(NdcKind.PACKAGE, parse_ndc(code).ndc11)
    except NdcError:
        return NdcCode(NdcKind.UNREADABLE, code)


def named_codes(text: str) -> tuple[str, ...]:
    """Return the NDCs that a text prints, each once: dashed ones, and digits after the word NDC.

    A package number alone after a code (`0067-6286-14, -28`) belongs to that code's product.
    """
    found: dict[str, None] = {}
    for match in _PRINTED.finditer(text):
        code = match["dashed"] or match["digits"]
        found[code] = None
        stem = code.rpartition("-")[0]
        if stem.count("-") == 1:
            for package in _MORE.findall(match["more"]):
                found[f"{stem}-{package}"] = None
    return tuple(found)


def read_class(text: str) -> RecallClass:
    """Read `Class II` or `II`; anything else (`Not Yet Classified`) is NONE."""
    found = _CLASS.fullmatch(text.strip())
    return RecallClass.NONE if found is None else RecallClass(found.group(1).upper())


def lot_form(lot: str) -> str:
    """Return a lot number without case, blanks and marks; one made of marks only stays itself."""
    return "".join(c for c in lot.upper() if c.isalnum()) or lot


def same_lot(one: str, other: str) -> bool:
    """Whether two printed lot numbers mean one lot: `ab 12-3` is `AB123`."""
    return lot_form(one) == lot_form(other)


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text by which a drug or labeler may be known."""
    return frozenset(
        word.casefold() for word in _WORD.findall(text) if len(word) >= WORD_LENGTH_MIN
    )


@dataclass(frozen=True, slots=True)
class RecallClocks:
    """Hours within which every place must have answered, by class.

    The law says `immediately` (21 CFR 7.49(d)), so these are the site's own; a recall that is not
    classified yet has the time of class I.
    """

    class_i_hours: int = 24
    class_ii_hours: int = 72
    class_iii_hours: int = 240

    def due(self, opened_at: datetime, recall_class: RecallClass) -> datetime:
        """Return when the answers to a recall opened at an instant are due."""
        hours = {
            RecallClass.I: self.class_i_hours,
            RecallClass.II: self.class_ii_hours,
            RecallClass.III: self.class_iii_hours,
        }
        return opened_at + timedelta(hours=hours.get(recall_class, self.class_i_hours))


@dataclass(frozen=True, slots=True)
class LotSums:
    """Where everything of one lot is, in thousandths, each net of reversals and returns.

    `received` counts what came from suppliers, opening stock, finds and repack runs. `elsewhere`
    still lies at a place outside quarantine.
    """

    received: int = 0
    quarantined: int = 0
    dispensed: int = 0
    wasted: int = 0
    lost: int = 0
    returned: int = 0
    destroyed: int = 0
    repacked: int = 0
    sampled: int = 0
    in_transit: int = 0
    elsewhere: int = 0

    @property
    def accounted(self) -> int:
        """What is accounted for: all but what still lies elsewhere."""
        given = self.dispensed + self.wasted + self.lost + self.returned + self.destroyed
        return given + self.quarantined + self.repacked + self.sampled + self.in_transit

    @property
    def adds_up(self) -> bool:
        """Whether everything that was received is accounted for, and nothing lies elsewhere."""
        return self.elsewhere == 0 and self.received == self.accounted
