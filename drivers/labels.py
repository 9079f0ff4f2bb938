"""Labels without a printer's language: their GS1 elements, their size and where the text goes.

Source: GS1 General Specifications for element strings; ISO/IEC 16022 for symbol sizes.

Pure. Lengths are in dots of a printer, or of a page that is drawn as if it had some.
"""

import calendar
import re
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from drivers.base import Label
from drivers.errors import DriverError


class LabelError(DriverError):
    """A label that cannot be printed as asked; nothing was sent."""


# ---------------------------------------------------------------- GS1 element strings

_SET_82 = frozenset(string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_")
"""GS1 AI encodable character set 82. Source: GS1 General Specifications, figure 7.11-1."""
_GTIN_DIGITS = 14
_VARIABLE_MAX = 20
_GS = "\x1d"


def _check_gtin(ai: str, value: str) -> None:
    if len(value) != _GTIN_DIGITS or not (value.isascii() and value.isdecimal()):
        raise LabelError(f"({ai}) {value[:40]!r}: a GTIN has 14 digits")
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(value[:-1]))
    if (total + int(value[-1])) % 10:
        raise LabelError(f"({ai}) {value}: check digit {-total % 10} expected, not {value[-1]}")


def _check_date(ai: str, value: str) -> None:
    if not re.fullmatch(r"[0-9]{6}", value):
        raise LabelError(f"({ai}) {value[:40]!r}: a date has 6 digits, YYMMDD")
    year, month, day = 2000 + int(value[:2]), int(value[2:4]), int(value[4:])
    if not 1 <= month <= 12 or day > calendar.monthrange(year, month)[1]:  # noqa: PLR2004 - months
        raise LabelError(f"({ai}) {value}: there is no such date")


def _check_text(ai: str, value: str) -> None:
    strange = "".join(sorted(set(value) - _SET_82))
    if not 1 <= len(value) <= _VARIABLE_MAX:
        raise LabelError(f"({ai}) {value[:40]!r}: 1 to {_VARIABLE_MAX} characters expected")
    if strange:
        raise LabelError(f"({ai}) {value!r}: GS1 does not allow {strange!r}")


@dataclass(frozen=True, slots=True)
class _Rule:
    variable: bool
    check: Callable[[str, str], None]


_RULES: Final = {
    "01": _Rule(variable=False, check=_check_gtin),
    "17": _Rule(variable=False, check=_check_date),
    "10": _Rule(variable=True, check=_check_text),
    "21": _Rule(variable=True, check=_check_text),
}
"""GTIN, expiration date, lot and serial number, in the order in which they are encoded."""


def gs1_elements(elements: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the elements checked and ordered, those of fixed length first. Raises LabelError."""
    given: dict[str, str] = {}
    for ai, value in elements:
        rule = _RULES.get(ai)
        if rule is None or ai in given:
            raise LabelError(f"({ai}): given twice, or not one of {', '.join(_RULES)}")
        rule.check(ai, value)
        given[ai] = value
    return tuple((ai, given[ai]) for ai in _RULES if ai in given)


def needs_fnc1(ai: str) -> bool:
    """Whether an element has no fixed length, so that FNC1 ends it unless it is the last."""
    return _RULES[ai].variable


def element_string(elements: Iterable[tuple[str, str]]) -> str:
    """Return what a reader of the code gives, FNC1 as GS between elements. Raises LabelError."""
    ended = [ai + value + _GS * needs_fnc1(ai) for ai, value in gs1_elements(elements)]
    return "".join(ended).removesuffix(_GS)


# ---------------------------------------------------------------- layout


@dataclass(frozen=True, slots=True)
class LabelSize:
    """Printable size in dots; lengths of text and code follow from the dots per millimetre."""

    width_dots: int = 812
    height_dots: int = 406
    dots_per_mm: int = 8

    @property
    def margin(self) -> int:
        """2.5 mm."""
        return 5 * self.dots_per_mm // 2

    @property
    def module(self) -> int:
        """Side of one module of the code, 0.75 mm."""
        return max(2, 3 * self.dots_per_mm // 4)

    @property
    def title_height(self) -> int:
        """5 mm."""
        return 5 * self.dots_per_mm

    @property
    def line_height(self) -> int:
        """3.5 mm."""
        return 7 * self.dots_per_mm // 2


_MODULES_BY_CODEWORDS = (
    (18, 18), (22, 20), (30, 22), (36, 24), (44, 26), (62, 32), (86, 36),
)  # fmt: skip
"""Data codewords that fit a square ECC 200 symbol of so many modules a side. Source: ISO/IEC 16022.
The longest element string of `_RULES` needs fewer codewords than the last row."""

_CLIPPED = "..."

Measure = Callable[[str, int], int]
"""Width in dots, never too small, of one character in a row of so many dots of height."""


def _fitting(text: str, height: int, room: int, measure: Measure) -> int:
    """Return how many characters of `text` fit into `room`."""
    used = 0
    for at, character in enumerate(text):
        used += measure(character, height)
        if used > room:
            return at
    return len(text)


def _break(text: str, height: int, room: int, measure: Measure) -> tuple[str, str]:
    """Split `text` into what fits into `room`, at a blank if possible, and the rest."""
    end = _fitting(text, height, room, measure)
    if end < len(text):
        blank = text.rfind(" ", 0, end + 1)
        end = blank if blank > 0 else end
    return text[:end].rstrip(), text[end:].lstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of text: its top, its height and the room it has; the text is not yet escaped."""

    y: int
    height: int
    room: int
    text: str


def _clip(row: Row, measure: Measure) -> Row:
    """Return the row cut so that the mark of a cut fits after it."""
    room = row.room - sum(measure(character, row.height) for character in _CLIPPED)
    kept = row.text[: _fitting(row.text, row.height, room, measure)].rstrip()
    return replace(row, text=kept + _CLIPPED)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes. `code_x` is the left edge of the code, `code_side` 0 means none."""

    size: LabelSize
    rows: tuple[Row, ...]
    code_x: int
    code_side: int


def lay_out(label: Label, size: LabelSize, measure: Measure) -> Layout:
    """Place the texts left of and below the code; long ones wrap, `...` ends what had to be cut.

    Raises LabelError when the code or one row of text has no room, or the elements are wrong.
    """
    side = _code_side(label, size) if label.gs1 else 0
    wide = size.width_dots - 2 * size.margin
    beside = wide - side - 2 * size.module if side else wide
    if (
        beside < 2 * size.title_height
        or 2 * size.margin + max(side, size.title_height) > size.height_dots
    ):
        raise LabelError(
            f"{size.width_dots} x {size.height_dots} dots have no room for text"
            f" and a code of {side} dots"
        )
    below = size.margin + side + 2 * size.module if side else 0
    rows: list[Row] = []
    y = size.margin
    for text, height in _paragraphs(label, size):
        rest = text
        while rest:
            if y + height > size.height_dots - size.margin:
                return Layout(size, _cut(rows, measure), size.width_dots - size.margin - side, side)
            room = wide if y >= below else beside
            shown, rest = _break(rest, height, room, measure)
            rows.append(Row(y, height, room, shown))
            y += height + height // 5
    return Layout(size, tuple(rows), size.width_dots - size.margin - side, side)


def _code_side(label: Label, size: LabelSize) -> int:
    """Upper bound of the side of the code."""
    # One codeword per character is the worst case of the encoding, plus one to switch it.
    needed = sum(len(ai) + len(value) + 1 for ai, value in gs1_elements(label.gs1)) + 2
    return size.module * next(side for words, side in _MODULES_BY_CODEWORDS if words >= needed)


def _cut(rows: list[Row], measure: Measure) -> tuple[Row, ...]:
    """Return the rows with the mark of a cut after the last."""
    *before, last = rows
    return (*before, _clip(last, measure))


def _paragraphs(label: Label, size: LabelSize) -> Iterable[tuple[str, int]]:
    yield " ".join(label.title.split()), size.title_height
    for line in label.lines:
        yield " ".join(line.split()), size.line_height
