"""Reports as CSV for spreadsheets.

Source: RFC 4180 for the form, in UTF-8. A spreadsheet takes text that begins with one of
`= + - @`, a tab or a carriage return for a formula; such text gets an apostrophe before it. Numbers
are left alone. Lines whose first cell begins with `#` follow the rows: totals, how many rows there
are, notes.
"""

import csv
import io
from zoneinfo import ZoneInfo

from dispensed.exchange.report_text import cell_text
from dispensed.model.report import ColumnKind, Report

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - wide forms


def write(report: Report) -> bytes:
    """Write a report; pure."""
    zone = ZoneInfo(report.zone)
    stream = io.StringIO(newline="")
    lines = csv.writer(stream)
    lines.writerow([column.head for column in report.columns])
    for row in report.rows:
        lines.writerow(
            [
                cell_text(cell, column.kind, zone) if not isinstance(cell, str) else _safe(cell)
                for cell, column in zip(row, report.columns, strict=True)
            ]
        )
    for total in report.totals:
        value = cell_text(total.value, total.kind, zone)
        lines.writerow([f"# total {total.label}", value, total.unit])
    lines.writerow([f"# {report.extent}"])
    lines.writerow([f"# {report.title}", "made", cell_text(report.made_at, ColumnKind.TIME, zone)])
    for name, value in report.parameters:
        lines.writerow([f"# {name}", _safe(value)])
    for note in report.notes:
        lines.writerow([f"# {note}"])
    return stream.getvalue().encode()


def _safe(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
