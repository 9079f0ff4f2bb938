"""Sartorius balance interface (SBI) lines <-> dataclasses. Pure.

A line has 14 characters before CR LF, or 20 with an identification of six in front: a sign, a
blank, the number right aligned up to column 10, a blank, three characters of unit. **A blank unit
means that the weight is not stable.** Digits that are not verified stand in brackets. Special lines
tell overload, underload, adjustment and errors.

Source: Sartorius GC manual page 57 and FB manual page 66 (both forms, special codes `Stat`),
Quintix manual page 87 (`Low`, `High`, `Err`), command list of the SBI description in the manuals of
MSE (page 71) and Master (page 79). Not verified on hardware.
"""

import re

from drivers.dialect import Command, Expect, Said, Shown, Status, Told, number
from drivers.errors import ProtocolError
from drivers.facts import Fact
from drivers.framing import LineSplitter

END = b"\r\n"
LINE_MAX = 64
"""Longest line taken, in bytes without its end; a weight has 14 or 20."""
ESC = b"\x1b"
SHORT = 14
LONG = 20
"""Characters of the two forms, without CR LF (16 and 22 with it)."""
UNITS = ("g", "kg", "mg", "ct", "lb", "oz", "ozt", "GN", "dwt", "pcs", "%")
GAP_S = 0.05
"""Least time between two commands; no source tells one."""

WEIGHT = Command(ESC + b"P\r\n", Expect.WEIGHT)
TARE = Command(ESC + b"U\r\n", Expect.SILENCE)
ZERO = Command(ESC + b"V\r\n", Expect.SILENCE)
MODEL = Command(ESC + b"x1_\r\n", Expect.TEXT)
SERIAL = Command(ESC + b"x2_\r\n", Expect.TEXT)

_ID = 6
_STATUS = "Stat"
_WEIGHT = re.compile(r"([+\- ]) {0,8}([0-9.]+)(?:\[([0-9])\])? *")
_NUMBER_END = 10
_UNIT = re.compile(r"([A-Za-z%]{1,3}) *| {3}")
_ERROR = re.compile(r"(?i:err) *([0-9]{1,3})")
_TEXT = re.compile(rb"[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*")
_STATES = {
    "H": Status(over=True),
    "HH": Status(over=True),
    "High": Status(over=True),
    "L": Status(under=True),
    "LL": Status(under=True),
    "Low": Status(under=True),
    "--": Status(moving=True),
    "C": Status(moving=True),
    "Cal": Status(moving=True),
    "Cal.Ext.": Status(moving=True),
    "Cal.Int.": Status(moving=True),
}
"""Special codes. While it adjusts itself a balance is busy, which counts as moving."""


def splitter() -> LineSplitter:
    """Return what cuts lines out of the stream."""
    return LineSplitter(LINE_MAX)


def decode(line: bytes) -> Said:
    """Read a line without its end, of either form; raises ProtocolError and nothing else."""
    text = line.decode("latin-1")
    if len(text) not in (SHORT, LONG):
        raise ProtocolError(f"neither {SHORT} nor {LONG} characters: {line[:40]!r}")
    code = text.strip().removeprefix(_STATUS).strip()
    if code in _STATES:
        return _STATES[code]
    if error := _ERROR.fullmatch(code):
        return Status(fault=f"Err {error[1]}")
    if text.lstrip().startswith(_STATUS):
        raise ProtocolError(f"not a status: {line[:40]!r}")
    return _weight(text[len(text) - SHORT :])


def _weight(body: str) -> Shown:
    match = _WEIGHT.fullmatch(body[: _NUMBER_END + 1])
    unit = _UNIT.fullmatch(body[_NUMBER_END + 1 :])
    bracket = match[3] if match else None
    end = match.end(3) + 1 if match and bracket else match.end(2) if match else 0
    if match is None or unit is None or end not in (_NUMBER_END, _NUMBER_END + bool(bracket)):
        raise ProtocolError(f"not a weight: {body!r}")
    if unit[1] is not None and unit[1] not in UNITS:
        raise ProtocolError(f"not a unit: {body!r}")
    value = number(match[2] + (bracket or ""), leading_zeros=False)
    return Shown(-value if match[1] == "-" and value else value, unit[1] or "", unit[1] is not None)


def decode_text(line: bytes) -> Told:
    """Read a line about the balance itself; raises ProtocolError."""
    if not _TEXT.fullmatch(line):
        raise ProtocolError(f"not a text: {line[:40]!r}")
    return Told(line.decode("ascii").strip())


def encode(said: Said, *, identification: str = "") -> bytes:
    """Return the line with its end; raises ProtocolError for what a balance cannot say.

    With an `identification` it is the form of 22 characters.
    """
    match said:
        case Shown(value=value, unit=unit):
            sign = "-" if value.is_signed() and value else "+" if value else " "
            body = f"{sign} {abs(value):>8f} {unit:<3}"
        case Status(fault=fault) if fault:
            body = f"   {fault:<11}"
        case Status(over=over, under=under):
            body = f"      {'High' if over else 'Low' if under else '--':<8}"
        case Told(text=text):
            body = f"{text:<{SHORT}}"
        case _:
            raise ProtocolError(f"a balance cannot say {said!r}")
    head = f"{identification:<{_ID}}" if identification and isinstance(said, Shown) else ""
    line = (head + body).encode("ascii", "replace")
    if (decode_text(line) if isinstance(said, Told) else decode(line)) != said:
        raise ProtocolError(f"a balance cannot say {said!r}")
    return line + END


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
