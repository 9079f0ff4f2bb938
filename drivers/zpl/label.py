"""ZPL II label formats that no text can break out of.

Source: Zebra, ZPL II Programming Guide 45541L-004 and its successor P1099958 (^BX, ^CI, ^FD, ^FH,
^FO, ^LL, ^PW); GS1 General Specifications for element strings; ISO/IEC 16022 for symbol sizes.

Lengths are in dots. A format is printable ASCII throughout, so it also passes a seven-bit line.
"""

import calendar
import re
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from drivers.base import DriverError, Label


class LabelError(DriverError):
    """A label that cannot be printed as asked; nothing was sent."""


# ---------------------------------------------------------------- text

_PLAIN = frozenset((string.ascii_letters + string.digits + " #$%&'()*+,-./:;<=>?@[]`|").encode())
"""Sent as they are, all else as hex: `^ ~` are command prefixes, a backslash is the hex indicator,
`_` the escape character of ^BX; `! { }` begin Set-Get-Do commands, double quotes hold values."""


def escape(text: str) -> str:
    """Return `text` as ^FD data under ^FH with a backslash: UTF-8, what is not harmless as hex.

    What UTF-8 cannot carry (a lone surrogate) becomes a question mark.
    """
    return "".join(
        chr(byte) if byte in _PLAIN else f"\\{byte:02X}"
        for byte in text.encode("utf-8", errors="replace")
    )


# ---------------------------------------------------------------- GS1 element strings

_SET_82 = frozenset(string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_")
"""GS1 AI encodable character set 82. Source: GS1 General Specifications, figure 7.11-1."""
_GTIN_DIGITS = 14
_VARIABLE_MAX = 20


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


def gs1_field(elements: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return the escape character and the ^FD data of ^BX; escape and `1` are FNC1.

    The escape is `_`, which every firmware knows, unless a value holds an underscore: doubling
    it is in the manual but not in every implementation, and `_1` read as FNC1 would change the lot.
    """
    ordered = gs1_elements(elements)
    mark = "#" if any("_" in value for _, value in ordered) else "_"
    out = []
    for place, (ai, value) in enumerate(ordered, start=1):
        out.append(ai + escape(value))
        if _RULES[ai].variable and place < len(ordered):
            out.append(mark + "1")
    return mark, mark + "1" + "".join(out)


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

_NARROW = frozenset(" '|{}/:;Ifijlt!\"(),.[]`r\\")
_WIDE = frozenset("-&wMm%@W")
_CLIPPED = "..."


def _width(character: str, height: int) -> int:
    """Widest that font 0 draws `character`; measured on a renderer's font 0, with a tenth added."""
    if not character.isascii():
        return height
    if character in _NARROW:
        return height * 370 // 1000
    if character in _WIDE:
        return height * 920 // 1000
    return height * (680 if character.isupper() else 560) // 1000


def text_width(text: str, height: int) -> int:
    """Upper bound of the width of `text` in font 0 at `height`."""
    return sum(_width(character, height) for character in text)


def _fitting(text: str, height: int, room: int) -> int:
    """Return how many characters of `text` fit into `room`."""
    used = 0
    for at, character in enumerate(text):
        used += _width(character, height)
        if used > room:
            return at
    return len(text)


def _break(text: str, height: int, room: int) -> tuple[str, str]:
    """Split `text` into what fits into `room`, at a blank if possible, and the rest."""
    end = _fitting(text, height, room)
    if end < len(text):
        blank = text.rfind(" ", 0, end + 1)
        end = blank if blank > 0 else end
    return text[:end].rstrip(), text[end:].lstrip()


def _clip(text: str, height: int, room: int) -> str:
    """Return `text` cut so that the mark of a cut fits after it."""
    return text[: _fitting(text, height, room - text_width(_CLIPPED, height))].rstrip() + _CLIPPED


@dataclass(frozen=True, slots=True)
class Row:
    """One row of text: its top, its height and the room it has; the text is not yet escaped."""

    y: int
    height: int
    room: int
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes. `code_x` is the left edge of the code, `code_side` 0 means none."""

    size: LabelSize
    rows: tuple[Row, ...]
    code_x: int
    code_side: int


def lay_out(label: Label, size: LabelSize) -> Layout:
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
                return Layout(size, _cut(rows), size.width_dots - size.margin - side, side)
            room = wide if y >= below else beside
            shown, rest = _break(rest, height, room)
            rows.append(Row(y, height, room, shown))
            y += height + height // 5
    return Layout(size, tuple(rows), size.width_dots - size.margin - side, side)


def _code_side(label: Label, size: LabelSize) -> int:
    """Upper bound of the side of the code."""
    # One codeword per character is the worst case of the encoding, plus one to switch it.
    needed = sum(len(ai) + len(value) + 1 for ai, value in gs1_elements(label.gs1)) + 2
    return size.module * next(side for words, side in _MODULES_BY_CODEWORDS if words >= needed)


def _cut(rows: list[Row]) -> tuple[Row, ...]:
    """Return the rows with the mark of a cut after the last."""
    *before, last = rows
    return (*before, replace(last, text=_clip(last.text, last.height, last.room)))


def _paragraphs(label: Label, size: LabelSize) -> Iterable[tuple[str, int]]:
    yield " ".join(label.title.split()), size.title_height
    for line in label.lines:
        yield " ".join(line.split()), size.line_height


def encode_label(label: Label, size: LabelSize) -> bytes:
    """Return one ZPL format that prints one label. Raises LabelError on a bad label."""
    plan = lay_out(label, size)
    out = [f"^XA^CI28^PW{size.width_dots}^LL{size.height_dots}^LH0,0"]
    out.extend(
        f"^FO{size.margin},{row.y}^A0N,{row.height}^FH\\^FD{escape(row.text)}^FS"
        for row in plan.rows
    )
    if label.gs1:
        mark, data = gs1_field(label.gs1)
        out.append(
            f"^FO{plan.code_x},{size.margin}^BXN,{size.module},200,0,0,6,{mark},1^FH\\^FD{data}^FS"
        )
    out.append("^XZ")
    return "".join(out).encode("ascii")
