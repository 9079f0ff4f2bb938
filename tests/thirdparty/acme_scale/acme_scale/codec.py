r"""Lines of the invented Acme scale <-> dataclasses. Pure.

Commands and answers are ASCII lines that end with CR LF, without a checksum:

| Command | Answer |
|---|---|
| `W?` | `W 12.345 g S` (stable), `W 12.345 g M` (moving), `W OVER`, `W UNDER` |
| `M?` | `I` and the model |
| `N?` | `I` and the serial number |
| any other | `E` |

Source: invented for this example, no document: there is no such machine. Not verified on hardware.
"""

import re

from drivers.dialect import Command, Expect, Refused, Said, Shown, Status, Told, number
from drivers.errors import ProtocolError
from drivers.facts import Fact
from drivers.framing import LineSplitter

LINE_MAX = 40
"""Longest line taken, in bytes without its end."""
GAP_S = 0.01
"""Least time between two commands."""
UNITS = ("g", "kg")

WEIGHT = Command(b"W?\r\n", Expect.WEIGHT)
MODEL = Command(b"M?\r\n", Expect.TEXT)
SERIAL = Command(b"N?\r\n", Expect.TEXT)

_WEIGHT = re.compile(rb"W (-?)([0-9.]{1,10}) (k?g) ([SM])")
_TEXT = re.compile(rb"I ([!-~]{1,30})")


def splitter() -> LineSplitter:
    """Return what cuts lines out of the stream."""
    return LineSplitter(LINE_MAX)


def decode(line: bytes) -> Said:
    """Read a line without its end; raises ProtocolError."""
    match line:
        case b"W OVER":
            return Status(over=True)
        case b"W UNDER":
            return Status(under=True)
        case b"E":
            return Refused("E")
        case _:
            pass
    if match := _TEXT.fullmatch(line):
        return Told(match[1].decode("ascii"))
    if match := _WEIGHT.fullmatch(line):
        size = number(match[2].decode("ascii"), leading_zeros=False)
        value = -size if match[1] and size else size
        return Shown(value, match[3].decode("ascii"), stable=match[4] == b"S")
    raise ProtocolError(f"not a line of an Acme scale: {line[:20]!r}")


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
