"""GS1 bar codes of medicines: what a scanner sent, and the elements of our own labels.

Source: GS1 General Specifications, sections 3 (application identifiers), 5.1.2 (symbology
identifiers), 7.8 (element strings, FNC1) and 7.12 (century of a two-digit year).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import biip
from biip.gs1_element_strings import GS1ElementString
from biip.gs1_messages import GS1Message

from dispensed.errors import Invalid
from dispensed.model.ndc import check_gtin14
from dispensed.model.planning import PlanningError, month_end

FNC1 = "\x1d"
"""ASCII 29 (GS): how scanners transmit the FNC1 that ends an element of variable length."""

SCAN_LENGTH_MAX = 200
"""Longest scanned text; a GS1 DataMatrix on a pack carries far less."""

AI_GTIN, AI_LOT, AI_EXPIRY, AI_SERIAL = "01", "10", "17", "21"

_FNC1_TEXT = "\\x1d"
_GS1_SYMBOLOGIES = frozenset({"]C1", "]d2", "]e0", "]Q3", "]J1"})
_GTIN_SYMBOLOGIES = {"]E0": frozenset({12, 13}), "]E4": frozenset({8}), "]I1": frozenset({14})}
_BARE_GTIN_LENGTHS = frozenset({12, 13, 14})
_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_VALUE = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}")
_FIXED_LENGTH_AIS = frozenset({AI_GTIN, AI_EXPIRY})
_PACK_AIS = frozenset(
    {AI_GTIN, AI_LOT, "11", AI_EXPIRY, AI_SERIAL, "240"}
    | {"710", "711", "712", "713", "714", "715", "716", "717"}
)
"""What medicine packs carry: product, lot, made, expiry, serial, maker's and national codes."""

_NO_DAY = "00"
_YEARS_AHEAD_MAX = 50
_YEARS_BACK_MAX = 49
_CENTURY = 100
_ENCODED_YEARS = range(2000, 2100)


class Gs1Error(Invalid):
    """Not a GS1 product code, one that contradicts itself, or one that can be read two ways."""

    code: ClassVar[str] = "bad_gs1"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a pack's code says; None where it says nothing. `expiry` is the last day of use."""

    gtin: str
    lot: str | None = None
    expiry: date | None = None
    serial: str | None = None


def parse_scan(text: str, *, today: date) -> Scan:
    r"""Read what a scanner sent: a GS1 element string, or a plain EAN, UPC or ITF-14 number.

    A symbology identifier (`]d2...`) may lead; FNC1 is ASCII 29 or its text form `\x1d`. `today`
    decides the century of a two-digit year. Raises Gs1Error, or GtinError for a wrong check digit.
    Without a symbology identifier and without any FNC1 the separators may have been lost on the
    way: a text whose last element could hide another one is refused.
    """
    if not 0 < len(text) <= SCAN_LENGTH_MAX:
        raise Gs1Error(f"a scan has 1 to {SCAN_LENGTH_MAX} characters, not {len(text)}")
    body = text.replace(_FNC1_TEXT, FNC1)
    symbology = _SYMBOLOGY.match(body)
    if symbology is None:
        if body.isdecimal() and body.isascii() and len(body) in _BARE_GTIN_LENGTHS:
            return Scan(check_gtin14(body.zfill(14)))
        return _read_elements(body, separators_known=FNC1 in body, today=today)
    name, body = symbology.group(), body[symbology.end() :]
    if name in _GS1_SYMBOLOGIES:
        return _read_elements(body, separators_known=True, today=today)
    if len(body) in _GTIN_SYMBOLOGIES.get(name, ()):
        return Scan(check_gtin14(body.zfill(14)))
    raise Gs1Error(f"a {name} symbol is not a GS1 product code: {body[:40]!r}")


def label_elements(
    *, gtin: str, lot: str, expiry: date, serial: str | None = None
) -> tuple[tuple[str, str], ...]:
    """Return the (AI, value) list of a label: fixed lengths first, so that one FNC1 suffices.

    Raises GtinError or Gs1Error for what the standard cannot encode: a lot or serial number longer
    than 20 characters or with characters outside GS1 set 82, a year outside 2000 to 2099.
    """
    check_gtin14(gtin)
    if expiry.year not in _ENCODED_YEARS:
        raise Gs1Error(f"expiry {expiry} does not fit six digits")
    elements = [(AI_GTIN, gtin), (AI_EXPIRY, f"{expiry:%y%m%d}"), (AI_LOT, _checked(lot, "lot"))]
    if serial is not None:
        elements.append((AI_SERIAL, _checked(serial, "serial number")))
    return tuple(elements)


def encode(elements: Sequence[tuple[str, str]]) -> str:
    """Write an element list of AIs 01, 17, 10, 21 as a scanner sends it, no leading FNC1."""
    ended = [f"{ai}{value}" + ("" if ai in _FIXED_LENGTH_AIS else FNC1) for ai, value in elements]
    return "".join(ended).removesuffix(FNC1)


def _checked(value: str, what: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise Gs1Error(f"{what} {value[:40]!r} is not 1 to 20 characters of GS1 set 82")
    return value


def _read_elements(body: str, *, separators_known: bool, today: date) -> Scan:
    body = body.removeprefix(FNC1)
    elements = _split(body)
    if elements is None:
        raise Gs1Error(f"not a GS1 element string: {body[:80]!r}")
    values = {element.ai.ai: element.value for element in elements}
    for element in elements:
        if values[element.ai.ai] != element.value:
            raise Gs1Error(f"AI {element.ai.ai} is there twice with different values")
    if AI_GTIN not in values:
        raise Gs1Error(f"no product number (AI 01) in {body[:80]!r}")
    if not separators_known and elements[-1].ai.separator_required:
        _refuse_hidden(elements[-1].value, known=frozenset(values))
    expiry = values.get(AI_EXPIRY)
    return Scan(
        gtin=check_gtin14(values[AI_GTIN]),
        lot=values.get(AI_LOT),
        expiry=None if expiry is None else _read_date(expiry, today),
        serial=values.get(AI_SERIAL),
    )


def _split(body: str) -> Sequence[GS1ElementString] | None:
    """Return the elements, None when this is no element string.

    The parser cuts a value at its greatest length and reads on; the standard wants an FNC1 there.
    """
    try:
        elements = GS1Message.parse(body).element_strings
    except biip.ParseError:
        return None
    rest = body
    for element in elements:
        rest = rest.removeprefix(element.ai.ai + element.value)
        ended = rest.lstrip(FNC1)
        if element.ai.separator_required and ended and ended == rest:
            return None
        rest = ended
    return None if rest else elements


def _refuse_hidden(value: str, *, known: frozenset[str]) -> None:
    """Refuse a last value whose tail reads as further elements: their separator may be lost."""
    possible = _PACK_AIS - known
    for start in range(1, len(value)):
        hidden = _split(value[start:])
        if hidden is not None and possible.issuperset(element.ai.ai for element in hidden):
            raise Gs1Error(
                f"{value!r} can be read two ways: {hidden[0].as_hri()} may hide in it; "
                "scan with FNC1 or type the values"
            )


def _read_date(digits: str, today: date) -> date:
    year = today.year // _CENTURY * _CENTURY + int(digits[:2])
    if year - today.year > _YEARS_AHEAD_MAX:
        year -= _CENTURY
    elif today.year - year > _YEARS_BACK_MAX:
        year += _CENTURY
    month, day = int(digits[2:4]), digits[4:]
    try:
        return month_end(year, month) if day == _NO_DAY else date(year, month, int(day))
    except (ValueError, PlanningError) as error:
        raise Gs1Error(f"expiry {digits} is no date") from error
