r"""Ohaus lines <-> dataclasses. Pure.

Commands and answers end with CR LF. A weight is a sign, the number right aligned, a blank, the
unit, `?` when it is not stable and a legend (`G`, `B/G`, `N`, `NET`, `T` for a tare). The column in
which the number ends differs between series, so it is told to the reader: a line that lost a byte
is then noticed. The command `ESC R` (factory reset) is never written.

Source: Ohaus 3000 Series Indicators (Defender 3000) manual, page EN-35, output format: number ends
in column 9; Ranger Compact Counting (RC) manual, page 36: column 10; RS232 Interface manual for
Scout Pro, page EN-3: column 11; commands also Ranger Count 3000 manual, page EN-32, and the
Discovery service manual, table 4-3 (`PSN`, `PV`, `ES`). Not verified on hardware.
"""

import re
from collections.abc import Callable
from decimal import Decimal

from drivers.dialect import Command, Done, Expect, Refused, Said, Shown, Tare, Told, number
from drivers.errors import ProtocolError
from drivers.facts import Fact
from drivers.framing import LineSplitter

END = b"\r\n"
LINE_MAX = 64
"""Longest line taken, in bytes without its end; the longest known has 32."""
VALUE_END = 9
VALUE_ENDS = (9, 10, 11)
"""Columns in which the number can end, counted from 1."""
UNITS = ("g", "kg", "lb", "oz", "PCS")
GAP_S = 0.05
"""Least time between two commands; no source tells one."""

WEIGHT = Command(b"IP\r\n", Expect.WEIGHT)
ZERO = Command(b"Z\r\n", Expect.SILENCE)
CLEAR = Command(b"0T\r\n", Expect.SILENCE)
TARE_MEMORY = Command(b"PT\r\n", Expect.TARE)
SERIAL = Command(b"PSN\r\n", Expect.TEXT)
VERSION = Command(b"PV\r\n", Expect.TEXT)
UNKNOWN = "ES"
ACCEPTED = "OK!"
"""What some series answer to a command that was carried out; most say nothing."""

_GRAMS = {"g": Decimal(1), "kg": Decimal(1000)}
_TARE = re.compile(rb"([0-9]+(?:\.[0-9]+)?)T")
_WEIGHT = re.compile(r"([- ]) *(-?)([0-9.]+) (g|kg|lb|oz|PCS) *(\?)? *(G|B/G|N|NET|T)?")
_TEXT = re.compile(rb"[\x20-\x7e]+")
_NET = {None: None, "": None, "G": False, "B/G": False, "N": True, "NET": True}


def splitter() -> LineSplitter:
    """Return what cuts lines out of the stream."""
    return LineSplitter(LINE_MAX)


def decode(line: bytes, value_end: int = VALUE_END) -> Said:
    """Read a line without its end, as an answer to a weight or a control command."""
    if line == UNKNOWN.encode("ascii"):
        return Refused(UNKNOWN)
    if line == ACCEPTED.encode("ascii"):
        return Done()
    match = _WEIGHT.fullmatch(line.decode("latin-1").rstrip(" "))
    if match is None or match.end(3) != value_end or (match[1] == "-" and match[2]):
        raise ProtocolError(f"not a weight that ends in column {value_end}: {line[:40]!r}")
    value = number(match[3], leading_zeros=False)
    negative = "-" in (match[1], match[2])
    value = -value if negative and value else value
    if match[6] == "T":
        return Tare(value, match[4])
    return Shown(value, match[4], not match[5], _NET[match[6]])


def decode_text(line: bytes) -> Told:
    """Read a line about the scale itself; raises ProtocolError."""
    if not _TEXT.fullmatch(line) or line == UNKNOWN.encode("ascii"):
        raise ProtocolError(f"not a text: {line[:40]!r}")
    return Told(line.decode("ascii").strip())


def encode(said: Said, *, value_end: int = VALUE_END) -> bytes:
    """Return the line with its end; raises ProtocolError for what a scale cannot say."""
    read: Callable[[bytes], Said] = decode_text
    match said:
        case Refused():
            line, said = UNKNOWN, Refused(UNKNOWN)
        case Done():
            line = ACCEPTED
        case Told(text=text):
            line = text
        case Shown() | Tare():
            line = _written(said, value_end)
        case _:
            raise ProtocolError(f"an Ohaus scale cannot say {said!r}")
    data = line.encode("ascii", "replace")
    if not isinstance(said, Told):
        read = _reader(value_end)
    if read(data) != said:
        raise ProtocolError(f"an Ohaus scale cannot say {said!r}")
    return data + END


def _written(said: Shown | Tare, value_end: int) -> str:
    sign = "-" if said.value.is_signed() and said.value else " "
    if isinstance(said, Tare):
        mark, legend = " ", "T"
    else:
        mark = " " if said.stable else "?"
        legend = "" if said.net is None else ("NET" if said.net else "G")
    return f"{sign}{abs(said.value):>{value_end - 1}f} {said.unit:<5}{mark}{legend}"


def _reader(value_end: int) -> Callable[[bytes], Said]:
    return lambda line: decode(line, value_end)


def encode_preset(value: Decimal, unit: str) -> Command:
    """Return the command that sets the tare, which is always told in grams."""
    if unit not in _GRAMS or value.is_signed() or not value.is_finite():
        raise ProtocolError(f"{value} {unit} cannot be written as a tare in grams")
    return Command(f"{value * _GRAMS[unit]:f}T".encode("ascii") + END, Expect.SILENCE)


def decode_preset(command: bytes, unit: str) -> Decimal:
    """Read the command that sets the tare, without its end; raises ProtocolError."""
    match = _TARE.fullmatch(command)
    if match is None or unit not in _GRAMS:
        raise ProtocolError(f"not a tare: {command[:20]!r}")
    return Decimal(match[1].decode("ascii")) / _GRAMS[unit]


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
