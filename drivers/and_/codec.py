"""A&D standard format lines <-> dataclasses. Pure.

A weight is a header (`ST` stable, `US` not, `OL` out of range, `QT` a stable count, `PT` the
tare), an indicator's second header (`GS` gross, `NT` net) where it has one, and a sign, eight
digits with the point and three characters of unit. Refusals are `EC,Enn`; a scale that is set to
acknowledge sends ACK (06h) for a command that it takes.

Source: A&D FX-i instruction manual, sections 15 to 18 (format, commands, AK and error codes); GC
series manual, page 51 (counts); HC-i manual, page 48 (`OL`, `EC,En`); EK-L manual, page 28, and
AD-4329A manual, page 43 (second header). Not verified on hardware.
"""

import re
from decimal import Decimal

from drivers.dialect import Command, Done, Expect, Refused, Said, Shown, Status, Tare, Told, number
from drivers.errors import ProtocolError
from drivers.facts import Fact
from drivers.framing import LineSplitter

END = b"\r\n"
LINE_MAX = 64
"""Longest line taken, in bytes without its end; a weight has 15 or 18."""
VALUE_CHARS = 8
"""Digits of a weight with its point, without the sign."""
UNITS = {"g": "  g", "kg": " kg", "mg": " mg", "lb": " lb", "oz": " oz", "ct": " ct", "PC": " PC"}
"""Units by the three characters that stand for them."""
GAP_S = 0.5
"""Least time between two commands. Source: HV-G/HW-G manual, section 16.3; others name none."""

WEIGHT_SI = Command(b"SI\r\n", Expect.WEIGHT)
"""Weight at once. Preferred: it is far from the commands that move zero and tare."""
WEIGHT_Q = Command(b"Q\r\n", Expect.WEIGHT)
"""The same, for indicators without SI. Two bits make R (re-zero) or T (tare) of it."""
ZERO = Command(b"Z\r\n", Expect.SILENCE)
TARE_MEMORY = Command(b"?PT\r\n", Expect.TARE)
SERIAL = Command(b"?SN\r\n", Expect.TEXT)
MODEL = Command(b"?TN\r\n", Expect.TEXT)
ACK = b"\x06"
NOT_READY = ("E02", "E2", "E11")
"""Error codes of a scale that may take the command later: not ready, not stable."""
UNDEFINED = "E01"

_READ = {written: unit for unit, written in UNITS.items()}
_WEIGHT = re.compile(
    r"(ST|US|OL|QT|PT),(?:(GS|NT),)?([+-])([0-9.]{8})(  g| kg| mg| lb| oz| ct| PC)"
)
_ERROR = re.compile(rb"EC,(E[0-9]{1,2})")
_ABOUT = re.compile(rb"(SN|TN),([\x20-\x7e]+)")
_TARE = re.compile(r"PT:([0-9.]+)(  g| kg| mg| lb| oz| ct)")
_NET = {None: None, "GS": False, "NT": True}


def splitter() -> LineSplitter:
    """Return what cuts lines out of the stream."""
    return LineSplitter(LINE_MAX)


def decode(line: bytes) -> Said:
    """Read a line without its end; raises ProtocolError and nothing else."""
    if line == ACK:
        return Done()
    if match := _ERROR.fullmatch(line):
        code = match[1].decode("ascii")
        return Refused(code, busy=code in NOT_READY)
    if about := _ABOUT.fullmatch(line):
        return Told(about[2].decode("ascii").strip())
    found = _WEIGHT.fullmatch(line.decode("latin-1"))
    if found is None:
        raise ProtocolError(f"not a line in A&D standard format: {line[:40]!r}")
    return _weight(found)


def _weight(found: re.Match[str]) -> Said:
    header, second, sign, digits, unit = found.groups()
    value = number(digits, leading_zeros=True)
    if header == "OL":
        return Status(over=sign == "+", under=sign == "-")
    if header == "PT" and sign == "+" and not second:
        return Tare(value, _READ[unit])
    if header == "PT" or (header == "QT") != (unit == UNITS["PC"] and header != "US"):
        raise ProtocolError(f"not a weight: {found[0]!r}")
    value = -value if sign == "-" and value else value
    return Shown(value, _READ[unit], header != "US", _NET[second])


def encode(said: Said) -> bytes:
    """Return the line with its end; raises ProtocolError for what a scale cannot say."""
    match said:
        case Done():
            line = ACK.decode("ascii")
        case Refused(reason=reason):
            line = f"EC,{reason}"
        case Told(text=text):
            line = f"SN,{text}"
        case Status(over=over, under=under) if over != under:
            line = f"OL,{'+' if over else '-'}9999.999  g"
        case Tare(value=value, unit=unit) if unit in UNITS:
            line = f"PT,+{value:0{VALUE_CHARS}f}{UNITS[unit]}"
        case Shown() if said.unit in UNITS:
            line = _written(said)
        case _:
            raise ProtocolError(f"an A&D scale cannot say {said!r}")
    data = line.encode("ascii", "replace")
    if decode(data) != said:
        raise ProtocolError(f"an A&D scale cannot say {said!r}")
    return data + END


def _written(said: Shown) -> str:
    header = "US" if not said.stable else "QT" if said.unit == "PC" else "ST"
    second = "" if said.net is None else "NT," if said.net else "GS,"
    sign = "-" if said.value.is_signed() and said.value else "+"
    return f"{header},{second}{sign}{abs(said.value):0{VALUE_CHARS}f}{UNITS[said.unit]}"


def encode_preset(value: Decimal, unit: str) -> Command:
    """Return the command that sets the tare."""
    if unit not in UNITS or unit == "PC" or value.is_signed() or not value.is_finite():
        raise ProtocolError(f"{value} {unit} cannot be written as a tare")
    return Command(f"PT:{value:f}{UNITS[unit]}".encode("ascii") + END, Expect.SILENCE)


def decode_preset(command: bytes) -> tuple[Decimal, str]:
    """Read the command that sets the tare, without its end; raises ProtocolError."""
    match = _TARE.fullmatch(command.decode("latin-1"))
    if match is None:
        raise ProtocolError(f"not a tare: {command[:20]!r}")
    return number(match[1], leading_zeros=True), _READ[match[2]]


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
