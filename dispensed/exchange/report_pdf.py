"""Reports as PDF pages to print and to sign.

Source: ISO 32000-1 (PDF 1.7) as written by reportlab. The same report gives the same bytes. All
text is data: it is drawn glyph by glyph and wrapped, never cut. Keeps a core busy for a long
report: run it as a program of its own, `python -m dispensed.exchange.report_pdf`, which reads the
JSON form from standard input and writes the pages to standard output.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

import reportlab
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from dispensed.exchange import report_json
from dispensed.exchange.report_text import cell_text
from dispensed.model.report import ColumnKind, Report

PAGE_PT = (792.0, 612.0)
"""US letter, on its side."""
MARGIN_PT = 36.0
SIZE_PT = 7.5
TITLE_PT = 13.0
LEAD_PT = 9.5
GAP_PT = 6.0
SAMPLE_ROWS = 500
"""Rows by which the widths of columns are chosen; longer text of later rows is wrapped."""
NARROWEST_PT = 18.0


def write(report: Report) -> bytes:
    """Write a report; pure."""
    return _Writer(report).pages()


@functools.lru_cache(maxsize=1)
def _font() -> str:
    file = Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"
    pdfmetrics.registerFont(TTFont("report", str(file)))
    return "report"


def _width(text: str, size: float = SIZE_PT) -> float:
    return float(pdfmetrics.stringWidth(text, _font(), size))


class _Writer:
    """Draws one report from top to bottom, page after page."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._zone = ZoneInfo(report.zone)
        self._right = [column.kind.is_number for column in report.columns]
        self._heads = [column.head for column in report.columns]
        self._widths = self._column_widths()
        self._out = BytesIO()
        self._canvas = Canvas(self._out, pagesize=PAGE_PT, invariant=1, pageCompression=1)
        self._canvas.setTitle(report.title)
        self._page = 0
        self._y = 0.0

    def pages(self) -> bytes:
        """Draw everything."""
        report = self._report
        self._new_page()
        for row in report.rows:
            self._row(self._texts(row))
        self._space()
        for total in report.totals:
            value = cell_text(total.value, total.kind, self._zone)
            self._line(f"Total {total.label}: {value} {total.unit}".rstrip())
        for text in (report.extent, *report.notes):
            self._line(text)
        self._end_page()
        self._canvas.save()
        return self._out.getvalue()

    def _texts(self, row: Sequence[object]) -> list[str]:
        columns = self._report.columns
        return [
            cell_text(cell, column.kind, self._zone)  # type: ignore[arg-type] # cells of a report
            for cell, column in zip(row, columns, strict=True)
        ]

    def _column_widths(self) -> list[float]:
        """Return widths that fill the page: as asked where that fits, else shared by need."""
        needs = [_width(head) for head in self._heads]
        for row in self._report.rows[:SAMPLE_ROWS]:
            needs = [
                max(need, _width(text)) for need, text in zip(needs, self._texts(row), strict=True)
            ]
        room = PAGE_PT[0] - 2 * MARGIN_PT - GAP_PT * (len(needs) - 1)
        if sum(needs) <= room:
            return needs
        fair = room / len(needs)
        small = sum(need for need in needs if need <= fair)
        large = sum(need for need in needs if need > fair)
        return [
            need if need <= fair else max(need * (room - small) / large, NARROWEST_PT)
            for need in needs
        ]

    # ------------------------------------------------------------ drawing

    def _new_page(self) -> None:
        self._page += 1
        self._y = PAGE_PT[1] - MARGIN_PT
        if self._page == 1:
            self._text(MARGIN_PT, self._report.title, TITLE_PT)
            self._y -= TITLE_PT + GAP_PT
            given = "   ".join(f"{name}: {value}" for name, value in self._report.parameters)
            for line in _wrapped(given, PAGE_PT[0] - 2 * MARGIN_PT):
                self._text(MARGIN_PT, line)
                self._y -= LEAD_PT
        self._cells(self._heads)
        self._canvas.line(MARGIN_PT, self._y + 2, PAGE_PT[0] - MARGIN_PT, self._y + 2)
        self._y -= LEAD_PT

    def _end_page(self) -> None:
        made = cell_text(self._report.made_at, ColumnKind.TIME, self._zone)
        self._y = MARGIN_PT - LEAD_PT
        self._text(MARGIN_PT, f"{self._report.title}, made {made}, page {self._page}")
        self._canvas.showPage()

    def _row(self, texts: Sequence[str]) -> None:
        lines = max(len(lines) for lines in self._folded(texts))
        if self._y - lines * LEAD_PT < MARGIN_PT:
            self._end_page()
            self._new_page()
        self._cells(texts)

    def _folded(self, texts: Sequence[str]) -> list[list[str]]:
        return [
            list(_wrapped(text, width)) for text, width in zip(texts, self._widths, strict=True)
        ]

    def _cells(self, texts: Sequence[str]) -> None:
        top, lowest, x = self._y, self._y, MARGIN_PT
        for lines, width, right in zip(self._folded(texts), self._widths, self._right, strict=True):
            self._y = top
            for line in lines:
                self._text(x + (width - _width(line) if right else 0), line)
                self._y -= LEAD_PT
            lowest = min(lowest, self._y)
            x += width + GAP_PT
        self._y = lowest

    def _line(self, text: str) -> None:
        for line in _wrapped(text, PAGE_PT[0] - 2 * MARGIN_PT):
            if self._y < MARGIN_PT:
                self._end_page()
                self._new_page()
            self._text(MARGIN_PT, line)
            self._y -= LEAD_PT

    def _space(self) -> None:
        self._y -= LEAD_PT

    def _text(self, x: float, text: str, size: float = SIZE_PT) -> None:
        self._canvas.setFont(_font(), size)
        self._canvas.drawString(x, self._y, text)


def _wrapped(text: str, room: float) -> Iterator[str]:
    """Break text into lines of at most `room` points, between words where there are any."""
    text = " ".join(text.split())
    while text and _width(text) > room:
        fits = max(1, _fitting(text, room))
        blank = text.rfind(" ", 1, fits + 1)
        cut = blank if blank > 0 else fits
        yield text[:cut].rstrip()
        text = text[cut:].lstrip()
    yield text


def _fitting(text: str, room: float) -> int:
    """Return how many characters fit."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _width(text[:middle]) <= room else (low, middle - 1)
    return low


def main() -> None:
    """Turn a report in JSON on standard input into pages on standard output."""
    sys.stdout.buffer.write(write(report_json.read(sys.stdin.buffer.read())))


if __name__ == "__main__":
    main()
