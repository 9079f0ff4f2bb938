"""A formulary file: CSV text to items and their reorder policies, with every fault at once.

Lines that start with `#` are comments, the first other line names the columns, every row is one
line. Quantities are in the item's unit, piece weights in milligrams with at most three decimals.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeVar

from dispensed.errors import Invalid
from dispensed.model.catalog import Item, Schedule, Storage, check_id
from dispensed.model.ndc import check_gtin14, parse_ndc
from dispensed.model.planning import PolicyKind, ReorderPolicy
from dispensed.model.quantity import MILLI, Unit, parse_milli, parse_thousandths

COLUMNS = (
    "item_id",
    "ndc",
    "gtin",
    "name",
    "strength",
    "form",
    "labeler",
    "unit",
    "pack_quantity",
    "schedule",
    "storage",
    "hazardous",
    "high_alert",
    "piece_weight_mg",
    "piece_weight_sd_mg",
    "policy",
    "policy_min",
    "policy_max",
    "minimum_packs",
    "source",
)
"""The columns of a formulary file; their order in the file is free, all must be there."""

FAULTS_SHOWN_MAX = 50
"""How many faults the text of a FormularyError lists; `faults` holds all of them."""

_COMMENT = "#"
_YES_NO: Mapping[str, bool] = {"yes": True, "no": False}
_PACKS_DIGITS_MAX = 4
_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class FormularyFault:
    """One fault; lines count from 1, `column` is the column's name, or "" for the whole line."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        where = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{where}: {self.text}"


class FormularyError(Invalid):
    """A formulary with faults; nothing of it is used."""

    code: ClassVar[str] = "bad_formulary"

    def __init__(self, faults: tuple[FormularyFault, ...]) -> None:
        shown = [str(fault) for fault in faults[:FAULTS_SHOWN_MAX]]
        if len(faults) > len(shown):
            shown.append(f"and {len(faults) - len(shown)} more")
        super().__init__("\n".join(shown))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class FormularyEntry:
    """One product with its reorder policy; `source` says where its facts come from."""

    item: Item
    policy: ReorderPolicy
    source: str


def parse_formulary(text: str) -> tuple[FormularyEntry, ...]:
    """Read a formulary; raises FormularyError with every fault of the file, each with its line."""
    faults: list[FormularyFault] = []
    rows = list(_rows(text.removeprefix("\ufeff"), faults))
    entries: list[tuple[int, FormularyEntry]] = []
    if rows:
        header_line, header = rows[0]
        header_faults = list(_header_faults(header_line, header))
        faults += header_faults
        if not header_faults:
            entries = [
                (line, entry)
                for line, cells in rows[1:]
                if (entry := _read_row(line, header, cells, faults)) is not None
            ]
            faults += _twice(entries)
    elif not faults:
        faults.append(FormularyFault(1, "", "the formulary is empty"))
    if faults:
        raise FormularyError(tuple(sorted(faults, key=lambda fault: fault.line)))
    return tuple(entry for _, entry in entries)


def _twice(entries: list[tuple[int, FormularyEntry]]) -> Iterator[FormularyFault]:
    """Yield a fault for each item id or GTIN that an earlier line has too."""
    ids: dict[str, int] = {}
    gtins: dict[str, int] = {}
    for line, entry in entries:
        item = entry.item
        if ids.setdefault(item.item_id, line) != line:
            text = f"{item.item_id} is on line {ids[item.item_id]} too"
            yield FormularyFault(line, "item_id", text)
        elif item.gtin is not None and gtins.setdefault(item.gtin, line) != line:
            text = f"{item.gtin} is on line {gtins[item.gtin]} too"
            yield FormularyFault(line, "gtin", text)


def _rows(text: str, faults: list[FormularyFault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line that is neither blank nor a comment."""
    for line, raw in enumerate(text.split("\n"), start=1):
        content = raw.removesuffix("\r")
        if not content.strip() or content.startswith(_COMMENT):
            continue
        try:
            yield line, next(csv.reader([content], strict=True))
        except csv.Error as error:
            faults.append(FormularyFault(line, "", str(error)))


def _header_faults(line: int, header: list[str]) -> Iterator[FormularyFault]:
    for column in COLUMNS:
        if header.count(column) != 1:
            text = "the column is missing" if column not in header else "the column is there twice"
            yield FormularyFault(line, column, text)
    for column in header:
        if column not in COLUMNS:
            yield FormularyFault(line, column, "no such column")


class _Row:
    """The cells of one line; a bad cell notes its fault and reads as the value given instead."""

    def __init__(self, line: int, cells: Mapping[str, str]) -> None:
        self.line = line
        self.cells = cells
        self.faults: dict[str, FormularyFault] = {}

    def read(self, column: str, convert: Callable[[str], _Value], instead: _Value) -> _Value:
        try:
            return convert(self.cells[column])
        except Invalid as error:
            self.faults[column] = FormularyFault(self.line, column, str(error))
            return instead

    def read_optional(self, column: str, convert: Callable[[str], _Value]) -> _Value | None:
        """Read a cell that may be empty, which gives None."""

        def convert_or_none(text: str) -> _Value | None:
            return convert(text) if text else None

        return self.read(column, convert_or_none, None)

    def note_contradiction(self, text: str) -> None:
        """Note that good cells do not fit together; a bad cell explains it already."""
        if not self.faults:
            self.faults[""] = FormularyFault(self.line, "", text)


def _read_row(
    line: int, header: list[str], cells: list[str], faults: list[FormularyFault]
) -> FormularyEntry | None:
    if len(cells) != len(header):
        faults.append(FormularyFault(line, "", f"{len(cells)} cells, {len(header)} columns"))
        return None
    row = _Row(line, dict(zip(header, cells, strict=True)))
    item = _read_item(row)
    policy = _read_policy(row)
    source = row.read("source", _text, "")
    if row.faults or item is None or policy is None:
        faults += row.faults.values()
        return None
    return FormularyEntry(item, policy, source)


def _read_item(row: _Row) -> Item | None:
    unit = row.read("unit", _one_of(Unit), Unit.EA)
    try:
        return Item(
            item_id=row.read("item_id", _item_id, ""),
            name=row.read("name", _text, ""),
            strength=row.read("strength", _text, ""),
            form=row.read("form", _text, ""),
            labeler=row.read("labeler", _text, ""),
            unit=unit,
            pack_milli=row.read("pack_quantity", _pack_of(unit), MILLI),
            gtin=row.read_optional("gtin", check_gtin14),
            ndc=row.read_optional("ndc", lambda text: str(parse_ndc(text))),
            schedule=row.read("schedule", _one_of(Schedule), Schedule.NONE),
            storage=row.read("storage", _one_of(Storage), Storage.ROOM),
            piece_weight_ug=row.read_optional("piece_weight_mg", parse_thousandths),
            piece_weight_sd_ug=row.read_optional("piece_weight_sd_mg", parse_thousandths),
            hazardous=row.read("hazardous", _yes_no, instead=False),
            high_alert=row.read("high_alert", _yes_no, instead=False),
        )
    except Invalid as error:
        row.note_contradiction(str(error))
        return None


def _read_policy(row: _Row) -> ReorderPolicy | None:
    unit = row.read("unit", _one_of(Unit), Unit.EA)
    kind = row.read("policy", _one_of(PolicyKind), PolicyKind.NONE)
    low = row.read_optional("policy_min", lambda text: parse_milli(text, unit))
    high = row.read_optional("policy_max", lambda text: parse_milli(text, unit)) or 0
    if low is None:
        low = high if kind is PolicyKind.PAR else 0
    pack_milli = row.read("pack_quantity", _pack_of(unit), MILLI)
    minimum_packs = row.read("minimum_packs", _packs, 1)
    try:
        return ReorderPolicy(kind, low, high, pack_milli, minimum_packs)
    except Invalid as error:
        row.note_contradiction(str(error))
        return None


def _one_of(choices: type[_Choice]) -> Callable[[str], _Choice]:
    def convert(text: str) -> _Choice:
        try:
            return choices(text)
        except ValueError as error:
            raise Invalid(f"{text[:40]!r} is none of {', '.join(choices)}") from error

    return convert


def _item_id(text: str) -> str:
    return check_id(text, "item id")


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Invalid("the cell is empty" if not text.strip() else "unprintable characters")
    return text.strip()


def _yes_no(text: str) -> bool:
    if text not in _YES_NO:
        raise Invalid(f"{text[:40]!r} is neither yes nor no")
    return _YES_NO[text]


def _pack_of(unit: Unit) -> Callable[[str], int]:
    def convert(text: str) -> int:
        milli = parse_milli(text, unit)
        if milli == 0:
            raise Invalid("a pack of nothing")
        return milli

    return convert


def _packs(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= _PACKS_DIGITS_MAX):
        raise Invalid(f"not a number of packs: {text[:40]!r}")
    return int(text)
