"""ZPL II label formats that no text can break out of.

Source: Zebra, ZPL II Programming Guide 45541L-004 and its successor P1099958 (^BX, ^CI, ^FD, ^FH,
^FO, ^LL, ^PW).

Lengths are in dots. A format is printable ASCII throughout, so it also passes a seven-bit line.
"""

import string
from collections.abc import Iterable

from drivers import labels
from drivers.base import Label
from drivers.labels import LabelSize, Layout, gs1_elements, needs_fnc1

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
        if needs_fnc1(ai) and place < len(ordered):
            out.append(mark + "1")
    return mark, mark + "1" + "".join(out)


# ---------------------------------------------------------------- layout

_NARROW = frozenset(" '|{}/:;Ifijlt!\"(),.[]`r\\")
_WIDE = frozenset("-&wMm%@W")


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


def lay_out(label: Label, size: LabelSize) -> Layout:
    """Place texts and code of a label with font 0. Raises LabelError."""
    return labels.lay_out(label, size, _width)


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
