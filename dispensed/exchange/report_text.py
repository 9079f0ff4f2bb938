"""What the written forms of a report share: the text of one cell."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from dispensed.model.quantity import format_milli
from dispensed.model.report import Cell, ColumnKind


def cell_text(cell: Cell, kind: ColumnKind, zone: ZoneInfo) -> str:
    """Write one cell: amounts as decimals, times in `zone` with their offset, nothing for None."""
    match cell:
        case None:
            return ""
        case datetime():
            return cell.astimezone(zone).isoformat(sep=" ", timespec="seconds")
        case date():
            return cell.isoformat()
        case int():
            return format_milli(cell) if kind is ColumnKind.AMOUNT else str(cell)
        case str():
            return cell
