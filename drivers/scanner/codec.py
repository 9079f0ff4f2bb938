"""Lines of a barcode scanner: which code was read, or why the line cannot be believed.

Source: ISO/IEC 15424 (symbology identifiers `]d2 ]C1 ]Q3 ...`); GS1 General Specifications, 3
(application identifiers), 5.1.2 (symbology identifiers), 7.8.4 and 7.8.5 (element strings, FNC1
sent as GS, elements of predefined length). Line ends, prefixes and wedge habits differ by scanner
and are set at it. Not verified on hardware.
"""

import re
from dataclasses import dataclass

from drivers.errors import ProtocolError
from drivers.facts import CodeScanned, Fact

GS = "\x1d"
"""ASCII 29: how a scanner sends the FNC1 that ends an element of variable length."""
SCAN_MAX = 512
"""Longest line that is taken for a code."""
GS1_SYMBOLOGIES = frozenset({"C1", "d2", "e0", "J1", "Q3"})
"""GS1-128, GS1 DataMatrix, GS1 DataBar, GS1 DotCode, GS1 QR. Source: GS1 GS, 5.1.2."""
_GTIN_LENGTHS = {"E0": frozenset({12, 13}), "E4": frozenset({8}), "I1": frozenset({14})}
"""EAN and UPC, and ITF-14, whose last digit is a check digit."""
_BARE_LENGTHS = frozenset({8, 12, 13, 14})
_AIM = re.compile(r"\]([A-Za-z][0-9A-Za-z])")
_DATE = re.compile(r"[0-9]{2}(0[1-9]|1[0-2])([0-2][0-9]|3[01])")
"""YYMMDD; day 00 is the last of the month."""
_SET_82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+")

# ---------------------------------------------------------------- elements

_PREDEFINED = {
    "00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "20": 4, "41": 16,
    **{f"{number}": 8 for number in range(11, 20)},
    **{f"{number}": 10 for number in range(31, 37)},
}  # fmt: skip
"""First two digits of elements that need no FNC1 -> length with the AI. Source: GS1 GS, 7.8.5."""
_VARIABLE = {
    "10": 20, "21": 20, "22": 20, "30": 8, "37": 8, "90": 30,
    "235": 28, "240": 30, "241": 30, "250": 30, "251": 30, "400": 30,
    **{f"{number}": 20 for number in range(710, 718)},
    **{f"{number}": 90 for number in range(91, 100)},
}  # fmt: skip
"""AIs of variable length that medicine packs and their cases carry -> longest value."""
_HIDABLE = frozenset({"10", "11", "17", "21", "240", "30", "37"}) | {
    f"{number}" for number in range(710, 718)
}
"""What may follow a lot or serial number on a pack, if its FNC1 was lost."""
_PRODUCT = "01"
_DATES = frozenset({"11", "12", "13", "15", "16", "17"})
_AI_DIGITS = {"41": 3, **{f"{number}": 4 for number in range(31, 37)}}
"""Digits of the AIs of predefined length that have more than two."""
_AI_LENGTHS = (2, 3)


@dataclass(frozen=True, slots=True)
class Element:
    """One element; `closed` says that its length is predefined, or that it ended at an FNC1."""

    ai: str
    value: str
    closed: bool


def elements(body: str, *, every_ai: bool = False) -> tuple[Element, ...]:
    """Split a GS1 element string. Raises ProtocolError for what is none.

    An AI that is not in the tables here is an error, or with `every_ai` an element whose `ai` is
    "": what the standard does not predefine ends at an FNC1.
    """
    parts = body.removeprefix(GS).split(GS)
    found: list[Element] = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if not part and not (last and found):
            raise ProtocolError(f"empty element in {body[:80]!r}")
        found += _chain(part, ended=not last, every_ai=every_ai)
    return tuple(found)


def _chain(part: str, *, ended: bool, every_ai: bool) -> list[Element]:
    """Split what stands between two FNC1."""
    found: list[Element] = []
    rest = part
    while rest:
        start = rest[:2]
        length = _PREDEFINED.get(start)
        if length is None:
            return [*found, _variable(rest, ended=ended, every_ai=every_ai)]
        piece = rest[:length]
        if len(piece) < length or not piece.isdecimal():
            raise ProtocolError(f"({start}) needs {length - 2} digits: {rest[:40]!r}")
        width = _AI_DIGITS.get(start, 2)
        found.append(Element(piece[:width], piece[width:], closed=True))
        rest = rest[length:]
    return found


def _variable(text: str, *, ended: bool, every_ai: bool) -> Element:
    if not _SET_82.fullmatch(text):
        raise ProtocolError(f"{text[:40]!r} is no GS1 text")
    for width in _AI_LENGTHS:
        longest = _VARIABLE.get(text[:width])
        if longest is None:
            continue
        value = text[width:]
        if not 1 <= len(value) <= longest:
            raise ProtocolError(f"({text[:width]}) {value[:100]!r}: 1 to {longest} expected")
        return Element(text[:width], value, closed=ended)
    if every_ai and text[:2].isdecimal():
        return Element("", text, closed=ended)
    raise ProtocolError(f"no application identifier is known at {text[:40]!r}")


def check_digit_fits(digits: str) -> bool:
    """Whether the last digit of an EAN, UPC, GTIN is right. Source: GS1 GS, 7.9.1."""
    total = sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(reversed(digits[:-1])))
    return (total + int(digits[-1])) % 10 == 0


def hidden_elements(found: tuple[Element, ...]) -> str:
    """Return what could hide in the last value if its FNC1 was lost, "" when nothing could."""
    last = found[-1]
    if last.closed:
        return ""
    known = {each.ai for each in found}
    for start in range(1, len(last.value)):
        try:
            inside = elements(last.value[start:])
        except ProtocolError:
            continue
        if {each.ai for each in inside} <= _HIDABLE - known:
            return last.value[start:]
    return ""


# ---------------------------------------------------------------- lines


@dataclass(frozen=True, slots=True)
class Rules:
    """What the lines of one scanner must look like.

    `prefix` stands before every code. `separator` is how it writes FNC1, "" when it writes GS.
    `aim_required` refuses codes without a symbology identifier. `separators_kept` says that FNC1
    never gets lost on the way of a code that has a symbology identifier.
    """

    prefix: str = ""
    separator: str = ""
    aim_required: bool = True
    separators_kept: bool = True


def read_line(line: bytes, rules: Rules) -> CodeScanned:
    """Return the code of one line, without its end. Raises ProtocolError telling what is wrong."""
    if not 0 < len(line) <= SCAN_MAX:
        raise ProtocolError(f"a code of {len(line)} bytes")
    text = line.decode("latin-1")
    if not text.startswith(rules.prefix):
        raise ProtocolError(f"the prefix is missing: {line[:80]!r}")
    text = text[len(rules.prefix) :]
    if rules.separator:
        text = text.replace(rules.separator, GS)
    if not text or not all(" " <= letter <= "~" or letter == GS for letter in text):
        raise ProtocolError(f"no text of a code: {line[:80]!r}")
    aim = _AIM.match(text)
    if aim is None and rules.aim_required:
        raise ProtocolError(f"no symbology identifier: {line[:80]!r}")
    symbology = aim[1] if aim else ""
    body = text[aim.end() :] if aim else text
    if _AIM.search(body) and symbology in {*GS1_SYMBOLOGIES, *_GTIN_LENGTHS, ""}:
        raise ProtocolError(f"two codes in one line: {line[:80]!r}")
    _check(symbology, body, trusted=bool(aim) and rules.separators_kept)
    return CodeScanned(body, symbology)


def _check(symbology: str, body: str, *, trusted: bool) -> None:
    """Raise ProtocolError when the body is not what its symbology holds, or reads two ways."""
    lengths = _GTIN_LENGTHS.get(symbology, _BARE_LENGTHS)
    digits = body.isascii() and body.isdecimal()
    if symbology in _GTIN_LENGTHS or (not symbology and digits and len(body) in lengths):
        # An EAN with an add-on, a short UPC-E: not taken for a product number.
        if not digits or len(body) not in lengths or not check_digit_fits(body):
            raise ProtocolError(f"no product number: {body[:40]!r}")
    elif symbology in GS1_SYMBOLOGIES:
        _check_gs1(body, elements(body, every_ai=trusted), trusted=trusted)
    elif not symbology:
        try:
            found = elements(body)
        except ProtocolError:
            if GS in body or body.startswith(_PRODUCT):
                raise
            return  # some other code, with no claim to be GS1
        _check_gs1(body, found, trusted=False)


def _check_gs1(body: str, found: tuple[Element, ...], *, trusted: bool) -> None:
    values: dict[str, str] = {}
    for each in found:
        if each.ai == _PRODUCT and not check_digit_fits(each.value):
            raise ProtocolError(f"(01) {each.value}: wrong check digit")
        if each.ai in _DATES and not _DATE.fullmatch(each.value):
            raise ProtocolError(f"({each.ai}) {each.value}: no date")
        if each.ai and values.setdefault(each.ai, each.value) != each.value:
            raise ProtocolError(f"({each.ai}) is there twice with different values: {body[:80]!r}")
    if not trusted and GS not in body.removeprefix(GS) and (hidden := hidden_elements(found)):
        raise ProtocolError(f"{body!r} can be read two ways: {hidden!r} may be elements of its own")


# ---------------------------------------------------------------- stored messages


def encode_scan(code: CodeScanned) -> bytes:
    """Return the message that is stored: the symbology identifier, then the text."""
    return (f"]{code.symbology}" * bool(code.symbology) + code.text).encode("ascii")


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return the code of a stored message of kind `scan`. Raises ProtocolError."""
    return (read_line(raw, Rules(aim_required=False)),)
