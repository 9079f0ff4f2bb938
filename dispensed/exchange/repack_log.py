"""The repackaging log as boards of pharmacy ask for it, as JSON or CSV.

Fields after NAC 639.476(3) and 639.512(4), COMAR 10.34.03.09 B and Minn. R. 6800.3200: the drug
with strength, form and manufacturer, its lot and expiry, the pharmacy's own lot number, the
assigned date, quantity per package, number of packages, date, who packed and who checked; with
them the rule of the date, the yield, the container and the text of the label.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One run; quantities are plain decimal text in `unit`, empty before the run is packed.

    `label` is the text of the label, a line each, and `label_gs1` its code in brackets.
    """

    run: int
    state: str
    name: str
    strength: str
    form: str
    item_id: str
    ndc: str
    manufacturer: str
    manufacturer_lots: str
    manufacturer_expiry: date | None
    bulk_lot: str
    packed_item_id: str
    packed_ndc: str
    internal_lot: str
    use_by: date | None
    rule: str
    rule_source: str
    unit: str
    quantity_per_unit: str
    units: int | None
    bulk: str
    waste: str
    samples: str
    container: str
    packed_on: date | None
    packed_by: str
    checked_by: str
    checked_at: datetime | None
    released_by: str
    labels_printed: int
    label: str
    label_gs1: str


COLUMNS = tuple(each.name for each in fields(LogEntry))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(entries: Iterable[LogEntry]) -> str:
    """Write entries as CSV (RFC 4180) with a head line, times and dates in ISO 8601.

    Text that a spreadsheet would take for a formula is led by an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for entry in entries:
        writer.writerow([_cell(value) for value in asdict(entry).values()])
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
