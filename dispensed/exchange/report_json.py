"""Reports as JSON: amounts as integer thousandths, times in UTC, rows as lists of cells.

Each column tells its kind, so `read` gives back the same report that was written.
"""

import json
from datetime import date, datetime
from typing import TypeAlias, cast

from dispensed.model.report import Cell, Column, ColumnKind, Report, Total

Json: TypeAlias = dict[str, object]


def shape(report: Report) -> Json:
    """Return a report as plain JSON values; pure."""
    return {
        "name": report.name,
        "title": report.title,
        "made_at": report.made_at.isoformat(),
        "zone": report.zone,
        "parameters": dict(report.parameters),
        "columns": [
            {"key": column.key, "head": column.head, "kind": column.kind.value}
            for column in report.columns
        ],
        "rows": [[_plain(cell) for cell in row] for row in report.rows],
        "rows_shown": len(report.rows),
        "rows_total": report.rows_total,
        "extent": report.extent,
        "totals": [
            {"label": total.label, "value": total.value, "unit": total.unit, "kind": total.kind}
            for total in report.totals
        ],
        "notes": list(report.notes),
    }


def write(report: Report) -> bytes:
    """Write a report as one JSON document."""
    return json.dumps(shape(report), ensure_ascii=False, indent=1).encode()


def read(document: bytes) -> Report:
    """Read what `write` wrote; raises ValueError or KeyError for anything else."""
    given = json.loads(document)
    columns = tuple(
        Column(each["key"], each["head"], ColumnKind(each["kind"])) for each in given["columns"]
    )
    return Report(
        name=given["name"],
        title=given["title"],
        made_at=datetime.fromisoformat(given["made_at"]),
        zone=given["zone"],
        parameters=tuple(given["parameters"].items()),
        columns=columns,
        rows=tuple(
            tuple(_cell(cell, column.kind) for cell, column in zip(row, columns, strict=True))
            for row in given["rows"]
        ),
        rows_total=given["rows_total"],
        totals=tuple(
            Total(each["label"], each["value"], each["unit"], ColumnKind(each["kind"]))
            for each in given["totals"]
        ),
        notes=tuple(given["notes"]),
    )


def _plain(cell: Cell) -> str | int | None:
    return cell.isoformat() if isinstance(cell, date) else cell


def _cell(value: object, kind: ColumnKind) -> Cell:
    if isinstance(value, str) and kind is ColumnKind.TIME:
        return datetime.fromisoformat(value)
    if isinstance(value, str) and kind is ColumnKind.DATE:
        return date.fromisoformat(value)
    return cast("Cell", value)
