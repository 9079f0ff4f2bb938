"""NCI frames (SCP-01 and its ECR form) <-> dataclasses. Pure.

Commands are one letter and CR. An answer stands between LF and ETX: the weight with its unit, CR,
LF and the status, or, when the scale moves or is out of range, the status alone. A status byte has
bits 4 and 5 always set; bit 6 says that another byte follows.

Source: Avery Weigh-Tronix SCP-01 as printed in the Mettler-Toledo DIVA / PSC Magellan 8500 service
manual, pages 34 to 37 (SCP-01 and ECR), and in the NCI 7800 user's manual, page 32; `T` from the
B-TEK T419S service manual, page 66, and the Ohaus Courier 7000 manual, section 6.3.4. Not verified
on hardware.
"""

import re
from decimal import Decimal

from drivers.dialect import Command, Expect, FrameSplitter, Refused, Said, Shown, Status, number
from drivers.errors import ProtocolError
from drivers.facts import Fact

LF = b"\n"
ETX = b"\x03"
FRAME_MAX = 40
"""Longest frame taken, in bytes without its end; the longest known has 22."""
WEIGHT_CHARS = 6
"""Characters of a weight without its unit. Source: SCP-01, note 1; other displays differ."""
WEIGHT_CHARS_MAX = 9
UNITS = ("kg", "g", "lb", "oz")
GAP_S = 0.05
"""Least time between two commands; no source tells one."""

WEIGHT = Command(b"W\r", Expect.WEIGHT)
STATUS = Command(b"S\r", Expect.STATUS)
ZERO = Command(b"Z\r", Expect.STATUS)
TARE = Command(b"T\r", Expect.STATUS)
UNKNOWN = "unrecognized command"

_MOTION, _AT_ZERO = 0x01, 0x02
_UNDER, _OVER = 0x01, 0x02
_NET, _ZERO_ERROR = 0x04, 0x08
_BASE, _MORE = 0x30, 0x40
_FAULTS = ((0, 0x04, "RAM"), (0, 0x08, "EEPROM"), (1, 0x04, "ROM"), (1, 0x08, "calibration"))
_ZERO_FAULT = "initial zero"
_BYTES = re.compile(rb"S?([\x30-\x3f\x70-\x7f])([\x30-\x3f\x70-\x7f])((?:[\x30-\x3f\x70-\x7f])*)")
_STATUS_MIN, _STATUS_MAX = 2, 4
_WEIGHT = re.compile(r"( *)(-?)([0-9.]+)(kg|g|lb|oz) ?", re.IGNORECASE)


def splitter() -> FrameSplitter:
    """Return what cuts frames out of the stream."""
    return FrameSplitter(LF, ETX, FRAME_MAX)


def decode(frame: bytes, weight_chars: int = WEIGHT_CHARS) -> Said:
    """Read a frame without LF and ETX; raises ProtocolError and nothing else."""
    if frame == b"?\r":
        return Refused(UNKNOWN)
    weight, separator, status = frame.rpartition(b"\r\n")
    if not status.endswith(b"\r") or not (match := _BYTES.fullmatch(status[:-1])):
        raise ProtocolError(f"not an NCI frame: {frame[:40]!r}")
    state = _state(b"".join(match.groups()))
    shown = _weight(weight, weight_chars) if separator else None
    if shown is None or state.over or state.under or state.fault:
        return state
    value, unit = shown
    return Shown(value, unit, stable=not state.moving, net=state.net)


def _state(codes: bytes) -> Status:
    if len(codes) > _STATUS_MAX or codes[-1] & _MORE:
        raise ProtocolError(f"not an NCI status: {codes!r}")
    if any(not code & _MORE for code in codes[1:-1]):
        raise ProtocolError(f"a status that goes on after its end: {codes!r}")
    fault = next((name for at, bit, name in _FAULTS if codes[at] & bit), "")
    third = codes[_STATUS_MIN] if len(codes) > _STATUS_MIN else None
    if third is not None and third & _ZERO_ERROR:
        fault = fault or _ZERO_FAULT
    return Status(
        moving=bool(codes[0] & _MOTION),
        over=bool(codes[1] & _OVER),
        under=bool(codes[1] & _UNDER),
        fault=fault,
        zero=bool(codes[0] & _AT_ZERO),
        net=None if third is None else bool(third & _NET),
    )


def _weight(field: bytes, weight_chars: int) -> tuple[Decimal, str]:
    match = _WEIGHT.fullmatch(field.decode("latin-1"))
    if match is None or len(match[1] + match[2] + match[3]) != weight_chars:
        raise ProtocolError(f"not a weight of {weight_chars} characters: {field!r}")
    value = number(match[3], leading_zeros=True)
    return -value if match[2] and value else value, match[4].lower()


def encode(said: Said, *, weight_chars: int = WEIGHT_CHARS) -> bytes:
    """Return the whole frame; raises ProtocolError for what an NCI scale cannot say.

    With a known `net` three status bytes are written, without it two.
    """
    match said:
        case Refused():
            frame = b"?\r"
        case Status():
            frame = _codes(said) + b"\r"
        case Shown(value=value, unit=unit, stable=bool() as stable, net=net):
            text = f"{value:0{weight_chars}f}{unit}".encode("ascii", "replace")
            zero = value == 0
            frame = text + b"\r\n" + _codes(Status(moving=not stable, zero=zero, net=net)) + b"\r"
        case _:
            raise ProtocolError(f"an NCI scale cannot say {said!r}")
    if isinstance(said, Shown) and decode(frame, weight_chars) != said:
        raise ProtocolError(f"an NCI scale cannot say {said!r}")
    return LF + frame + ETX


def _codes(state: Status) -> bytes:
    codes = [_BASE, _BASE]
    codes[0] |= (_MOTION if state.moving else 0) | (_AT_ZERO if state.zero else 0)
    codes[1] |= (_OVER if state.over else 0) | (_UNDER if state.under else 0)
    for at, bit, name in _FAULTS:
        codes[at] |= bit if state.fault == name else 0
    if state.net is not None:
        zero_error = _ZERO_ERROR if state.fault == _ZERO_FAULT else 0
        codes = [code | _MORE for code in codes]
        codes.append(_BASE | (_NET if state.net else 0) | zero_error)
    return bytes(codes)


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
