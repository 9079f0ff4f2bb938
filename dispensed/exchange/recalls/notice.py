"""Records of openFDA's drug enforcement reports, from JSON lines or one openFDA document.

Sources: openFDA, drug enforcement API, searchable fields (`recall_number`, `product_description`,
`code_info`, `more_code_info`, `classification`, `report_date` as YYYYMMDD ...); 21 CFR 7.3(m) for
the classes I, II and III. The weekly XML report of the same data writes dashes in the field names.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

from dispensed.errors import Invalid

FAULTS_SHOWN_MAX = 50
"""How many faults the text of a NoticeError lists; `faults` holds all of them."""

FIELDS = ("product_description", "code_info", "more_code_info")
"""The fields of a notice in which products and lots are named."""

_PRINTED_NUMBER = re.compile(r"Recall\s?#\s{0,3}([A-Z]-[0-9]{3,5}-[0-9]{4})")
_RESULTS = "results"


@dataclass(frozen=True, slots=True)
class NoticeFault:
    """One record that could not be read; lines count from 1, `record` from 1 inside its line."""

    line: int
    record: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, record {self.record}: {self.text}"


class NoticeError(Invalid):
    """Notices of which at least one could not be read; none of them is used."""

    code: ClassVar[str] = "bad_recall_notice"

    def __init__(self, faults: tuple[NoticeFault, ...]) -> None:
        shown = [str(fault) for fault in faults[:FAULTS_SHOWN_MAX]]
        if len(faults) > len(shown):
            shown.append(f"and {len(faults) - len(shown)} more")
        super().__init__("\n".join(shown))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Notice:
    """One record as published; a field the record does not have is empty."""

    recall_number: str
    product_description: str
    code_info: str
    more_code_info: str = ""
    event_id: str = ""
    report_date: str = ""
    classification: str = ""
    status: str = ""
    recalling_firm: str = ""
    reason_for_recall: str = ""
    product_quantity: str = ""
    distribution_pattern: str = ""

    def text_of(self, field: str) -> str:
        """Return one of the texts named in FIELDS."""
        match field:
            case "product_description":
                return self.product_description
            case "code_info":
                return self.code_info
            case _:
                return self.more_code_info


def read_notices(text: str) -> tuple[Notice, ...]:
    """Read JSON lines, one record, or an openFDA document; raises NoticeError with every fault."""
    faults: list[NoticeFault] = []
    notices: list[Notice] = []
    for line, number, record in _records(text.removeprefix("\ufeff"), faults):
        try:
            notices.append(read_record(record))
        except Invalid as error:
            faults.append(NoticeFault(line, number, str(error)))
    if faults:
        raise NoticeError(tuple(sorted(faults, key=lambda fault: (fault.line, fault.record))))
    return tuple(notices)


def read_record(record: object) -> Notice:
    """Make a Notice of one decoded record; raises Invalid."""
    if not _is_object(record):
        raise Invalid("the record is not a JSON object")
    fields = {str(key).replace("-", "_"): value for key, value in record.items()}
    notice = Notice(
        recall_number=_recall_number(fields),
        product_description=_text(fields, "product_description"),
        code_info=_text(fields, "code_info"),
        more_code_info=_text(fields, "more_code_info"),
        event_id=_text(fields, "event_id"),
        report_date=_text(fields, "report_date"),
        classification=_text(fields, "classification"),
        status=_text(fields, "status"),
        recalling_firm=_text(fields, "recalling_firm"),
        reason_for_recall=_text(fields, "reason_for_recall"),
        product_quantity=_text(fields, "product_quantity"),
        distribution_pattern=_text(fields, "distribution_pattern"),
    )
    if not notice.recall_number:
        raise Invalid("recall_number is missing")
    if "product_description" not in fields and "code_info" not in fields:
        raise Invalid(f"{notice.recall_number} has neither product_description nor code_info")
    return notice


def _recall_number(fields: Mapping[str, object]) -> str:
    """Return the record's number; weekly reports print it in the description instead."""
    number = _text(fields, "recall_number").strip()
    printed = _PRINTED_NUMBER.search(_text(fields, "product_description"))
    return number or (printed.group(1) if printed is not None else "")


def _records(text: str, faults: list[NoticeFault]) -> Iterator[tuple[int, int, object]]:
    """Yield line, number in the line, and value of each record; faulty lines go to `faults`."""
    try:
        whole: object = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if whole is not None:
        yield from _unwrap(1, whole)
        return
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            value: object = json.loads(content)
        except (ValueError, RecursionError) as error:
            faults.append(NoticeFault(line, 1, f"not JSON: {error}"))
            continue
        yield from _unwrap(line, value)


def _unwrap(line: int, value: object) -> Iterator[tuple[int, int, object]]:
    """Yield the records of a document, of a list, or the one record itself."""
    if _is_object(value) and _RESULTS in value and "recall_number" not in value:
        value = value[_RESULTS]
        if not isinstance(value, list):
            yield line, 1, None
            return
    many: list[object] = list(value) if isinstance(value, list) else [value]
    for number, record in enumerate(many, start=1):
        yield line, number, record


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if value is None or value != value:  # noqa: PLR0124 - NaN, as tables write an empty cell
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    if not isinstance(value, str):
        raise Invalid(f"{name} is not a text")
    return value
