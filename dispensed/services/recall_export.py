"""The documents of a whole recall case: one JSON document, or a zip of CSV, JSON and notices."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from dispensed.ledger.recall_blocks import LotKey
from dispensed.model.quantity import format_milli
from dispensed.model.recall import LotSums
from dispensed.services.recall_detail import CaseDetail

Value = str | int | bool | None
Row = dict[str, Value]
Document = dict[str, Row | list[Row] | list[str]]

ZIP_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of every file in the archive, so that the same case gives the same bytes."""


def document(detail: CaseDetail) -> Document:
    """Return the whole case: what was recalled, where it was, who answered, what adds up.

    Quantities are decimal text in the item's unit; patients are named by opaque key only.
    """
    case = _plain(asdict(detail.row))
    notices: list[Row] = [
        {
            "id": each.id,
            "source": each.source,
            "sha256": each.content_hash,
            "received_at": _text(each.received_at),
            "note": each.note,
            "content": each.raw.decode("utf-8", "replace"),
        }
        for each in detail.notices
    ]
    return {
        "case": {**case, "exported_at": _text(detail.at), "overdue": detail.overdue},
        "lines": [
            {**_plain(asdict(line)), "lot": line.lot or "all", "items": " ".join(line.items)}
            for line in detail.lines
        ],
        "unresolved": [
            {**_plain(asdict(part)), "candidates": _keys(part.candidates)} for part in detail.parts
        ],
        "places": [_task(detail, asdict(task)) for task in detail.tasks],
        "dispensed": [_amounts(detail.units, asdict(row), ("milli",)) for row in detail.issues],
        "sums": [_sums(detail.units, key, total) for key, total in detail.sums.items()],
        "signatures": [_plain(asdict(each)) for each in detail.signatures],
        "notices": notices,
        "blockers": list(detail.blockers),
    }


def archive(detail: CaseDetail) -> bytes:
    """Return a zip: `case.json`, a CSV for each list, every notice byte by byte as it came."""
    whole = document(detail)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        _add(file, "case.json", json.dumps(whole, indent=1, ensure_ascii=False).encode())
        for name, rows in whole.items():
            if name not in ("case", "blockers", "notices"):
                _add(file, f"{name}.csv", _csv([row for row in rows if isinstance(row, dict)]))
        for each in detail.notices:
            _add(file, f"notices/{each.id}.json", each.raw)
    return out.getvalue()


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    file.writestr(zipfile.ZipInfo(name, ZIP_TIME), content, zipfile.ZIP_DEFLATED)


def _csv(rows: list[Row]) -> bytes:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue().encode()


def _task(detail: CaseDetail, task: Mapping[str, object]) -> Row:
    return _amounts(detail.units, task, ("book", "found", "moved"))


def _amounts(units: Mapping[str, str], row: Mapping[str, object], names: Iterable[str]) -> Row:
    """Write the quantities of a row as decimal text, beside their unit."""
    plain = _plain(row)
    for name in names:
        value = plain[name]
        plain[name] = format_milli(value) if isinstance(value, int) else ""
    if "milli" in plain:
        plain["quantity"] = plain.pop("milli")
    return {**plain, "unit": units[str(plain["item_id"])]}


def _sums(units: Mapping[str, str], key: LotKey, total: LotSums) -> Row:
    row: Row = {"item_id": key.item_id, "lot": key.lot, "unit": units[key.item_id]}
    row |= {name: format_milli(milli) for name, milli in asdict(total).items()}
    return {**row, "adds_up": total.adds_up}


def _keys(keys: Iterable[LotKey]) -> str:
    return " ".join(f"{key.item_id}/{key.lot}" for key in keys)


def _plain(row: Mapping[str, object]) -> Row:
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> Value:
    if isinstance(value, datetime):
        return _text(value)
    return value if isinstance(value, str | int | None) else str(value)


def _text(at: datetime) -> str:
    return at.isoformat()
