"""Labels as PDF pages, for printers and people that take no printer language.

Source: ISO 32000-1 (PDF 1.7) as written by reportlab; GS1 DataMatrix as drawn by zxing-cpp.

Pure: the same label gives the same bytes. All text is data: it is drawn glyph by glyph and can
neither end a page nor add to it. The page is laid out as if it had DOTS_PER_MM dots.
"""

import functools
import hashlib
import math
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import reportlab
import zxingcpp
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from drivers.base import Label
from drivers.labels import (
    LabelError,
    LabelSize,
    Layout,
    Row,
    element_string,
    gs1_elements,
    lay_out,
)

DOTS_PER_MM = 40
_POINTS_PER_DOT = 72 / 25.4 / DOTS_PER_MM
_BASELINE = 4 / 5
"""Share of a row's height that is above the base line."""
_FONT_SHARE = 4 / 5
"""Size of the font in a row: ascenders and descenders stay inside the row."""
DIGEST_KEY = "dispensed-label-sha256="
"""In the page's keywords, before the digest of the label: it tells later what a file holds."""


@dataclass(frozen=True, slots=True)
class Page:
    """Size of the label in millimetres and the TrueType font; "" is the one that is built in."""

    width_mm: float = 101.6
    height_mm: float = 50.8
    font: str = ""

    @property
    def size(self) -> LabelSize:
        """The page in dots."""
        return LabelSize(
            round(self.width_mm * DOTS_PER_MM), round(self.height_mm * DOTS_PER_MM), DOTS_PER_MM
        )


def load_font(path: str) -> str:
    """Return the name of a registered font; raises ValueError when it cannot be read."""
    name: str = _font(path).fontName
    return name


@functools.lru_cache(maxsize=8)
def _font(path: str) -> TTFont:
    file = Path(path) if path else Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    name = "label-" + hashlib.sha256(str(file).encode()).hexdigest()[:12]
    try:
        font = TTFont(name, str(file))
    except (TTFError, OSError) as error:
        raise ValueError(f"font {str(file)!r} cannot be used: {error}") from error
    pdfmetrics.registerFont(font)
    return font


def label_digest(label: Label) -> str:
    """Return a fingerprint of what a label says."""
    return hashlib.sha256(repr((label.title, label.lines, label.gs1)).encode()).hexdigest()


def render(label: Label, page: Page) -> bytes:
    """Return a PDF of one page.

    Raises LabelError for a bad label: wrong elements, no room, or a letter that the font lacks.
    """
    font = _font(page.font)
    clean = Label(_drawable(label.title), tuple(map(_drawable, label.lines)), label.gs1)
    _need_glyphs(font, "".join((clean.title, *clean.lines)))

    def measure(character: str, height: int) -> int:
        width: float = pdfmetrics.stringWidth(character, font.fontName, height * _FONT_SHARE)
        return int(width) + 1

    plan = lay_out(clean, page.size, measure)
    out = BytesIO()
    canvas = Canvas(
        out,
        pagesize=(plan.size.width_dots * _POINTS_PER_DOT, plan.size.height_dots * _POINTS_PER_DOT),
        invariant=1,
        pageCompression=1,
    )
    canvas.setTitle("label")
    canvas.setKeywords(DIGEST_KEY + label_digest(label))
    canvas.scale(_POINTS_PER_DOT, _POINTS_PER_DOT)
    for row in plan.rows:
        _draw_row(canvas, font.fontName, plan, row)
    if label.gs1:
        _draw_code(canvas, plan, label)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _drawable(text: str) -> str:
    """Return `text` with blanks for white space and a question mark for what cannot be seen."""
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "?"
        for character in text
    )


def _need_glyphs(font: TTFont, text: str) -> None:
    known: dict[int, int] = font.face.charToGlyph
    missing = "".join(sorted({character for character in text if ord(character) not in known}))
    if missing:
        raise LabelError(f"the font has no {missing[:20]!r}: configure another one")


def _draw_row(canvas: Canvas, font: str, plan: Layout, row: Row) -> None:
    base = plan.size.height_dots - row.y - row.height * _BASELINE
    canvas.setFont(font, row.height * _FONT_SHARE)
    canvas.drawString(plan.size.margin, base, row.text)


def _draw_code(canvas: Canvas, plan: Layout, label: Label) -> None:
    """Draw the symbol module by module, each row's dark runs as one rectangle."""
    matrix = data_matrix(label.gs1)
    module = plan.size.module
    for number, line in enumerate(matrix):
        y = plan.size.height_dots - plan.size.margin - (number + 1) * module
        start = 0
        while start < len(line):
            end = start
            while end < len(line) and line[end] == line[start]:
                end += 1
            if line[start]:
                x = plan.code_x + start * module
                canvas.rect(x, y, (end - start) * module, module, stroke=0, fill=1)
            start = end


def data_matrix(elements: tuple[tuple[str, str], ...]) -> tuple[tuple[bool, ...], ...]:
    """Return the modules of a square GS1 DataMatrix, True is dark. Raises LabelError."""
    ordered = gs1_elements(elements)
    text = "".join(f"[{ai}]{value}" for ai, value in ordered)
    try:
        code = zxingcpp.create_barcode(
            text, zxingcpp.BarcodeFormat.DataMatrix, gs1=True, force_square=True
        )
    except ValueError as error:
        raise LabelError(f"{text}: {error}") from error
    if code.bytes != element_string(ordered).encode("ascii"):
        raise LabelError(f"{text}: the code would say {code.bytes!r}")
    image = code.to_image(scale=1, add_quiet_zones=False)
    dots = memoryview(image).tobytes()  # type: ignore[arg-type]  # a buffer, which its stub hides
    side = math.isqrt(len(dots))
    return tuple(
        tuple(dot == 0 for dot in dots[start : start + side]) for start in range(0, len(dots), side)
    )
