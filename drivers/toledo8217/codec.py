"""Mettler-Toledo 8217 frames <-> dataclasses. Pure.

Commands are single capital letters without an end, answers stand between STX and CR. A weight is
`WW.WWW` (a scale set to kilograms) or `WW.WW` (pounds) without a unit, with `N` behind a net
weight. When there is none (motion, negative, over capacity) a status byte comes instead, which is
never a weight of 0.

Source: Mettler-Toledo DIVA / PSC Magellan 8500 service manual, section 6.1.3 "8217 protocol" (pages
39 to 41); status byte also Rice Lake BenchPro manual PN 180557 rev B, page 26. The two differ about
bits 5 and 6 of the status byte, so those are not read. Not verified on hardware.
"""

import re
from decimal import Decimal

from drivers.dialect import Command, Done, Expect, FrameSplitter, Said, Shown, Status, Told
from drivers.errors import ProtocolError
from drivers.facts import Fact

STX = b"\x02"
CR = b"\r"
FRAME_MAX = 16
"""Longest frame taken, in bytes without its end; the longest known has eight."""
DECIMALS = {"kg": 3, "lb": 2}
"""Decimals of a weight by the unit that the scale is set to."""
WHOLE_DIGITS = 2
GAP_S = 0.2
"""Least time between two commands. Source: a dealer's page on the 8217; no manual tells."""

WEIGHT = Command(b"W", Expect.WEIGHT)
ZERO = Command(b"Z", Expect.STATUS)
CLEAR = Command(b"C", Expect.STATUS)
ECHO_OFF = Command(b"F", Expect.TEXT)
TEST = Command(b"A", Expect.SILENCE)
"""Starts the confidence test."""
TEST_RESULT = Command(b"B", Expect.STATUS)
PASSED = "@"
"""Result of a confidence test that found nothing."""
ECHO = "E"
NO_ECHO = "F"

_MOTION, _OVER, _UNDER, _OUTSIDE, _CENTRE, _HIGH = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40
_STATUS = re.compile(rb"\?([\x40-\x7f])")
_WEIGHT = re.compile(rb"([0-9]{2}\.[0-9]{2,3})(N?)")
_TARE = re.compile(rb"T([0-9]{5})")
_DIGITS = 5


def splitter() -> FrameSplitter:
    """Return what cuts frames out of the stream."""
    return FrameSplitter(STX, CR, FRAME_MAX)


def decode(frame: bytes, unit: str) -> Said:
    """Read a frame without STX and CR; `unit` is what the scale is set to. Raises ProtocolError."""
    if frame == b"":
        return Done()
    if frame in (b"E", b"F"):
        return Told(frame.decode("ascii"))
    if match := _STATUS.fullmatch(frame):
        byte = match[1][0]
        return Status(
            moving=bool(byte & _MOTION),
            over=bool(byte & _OVER),
            under=bool(byte & _UNDER),
            zero=bool(byte & _CENTRE),
        )
    if match := _WEIGHT.fullmatch(frame):
        text = match[1].decode("ascii")
        if len(text) != WHOLE_DIGITS + 1 + DECIMALS[unit]:
            raise ProtocolError(f"{text!r} is not a weight in {unit}")
        return Shown(Decimal(text), unit, stable=True, net=match[2] == b"N")
    raise ProtocolError(f"not a frame of an 8217: {frame[:20]!r}")


def encode(said: Said, *, outside_zero: bool = False) -> bytes:
    """Return the whole frame; raises ProtocolError for what an 8217 cannot say.

    `outside_zero` is the bit of a load beyond the range in which zero can be captured.
    """
    match said:
        case Shown(value=value, unit=unit, stable=True, net=net) if unit in DECIMALS:
            text = f"{value:0{WHOLE_DIGITS + 1 + DECIMALS[unit]}.{DECIMALS[unit]}f}"
            frame = text.encode("ascii") + (b"N" if net else b"")
            unit_read = unit
        case Status(fault=""):
            byte = _HIGH
            byte |= _MOTION if said.moving else 0
            byte |= _OVER if said.over else 0
            byte |= _UNDER if said.under else 0
            byte |= _OUTSIDE if outside_zero else 0
            byte |= _CENTRE if said.zero else 0
            frame, unit_read = b"?" + bytes([byte]), "kg"
        case Told(text=text) if text in (ECHO, NO_ECHO):
            frame, unit_read = text.encode("ascii"), "kg"
        case Done():
            frame, unit_read = b"", "kg"
        case _:
            raise ProtocolError(f"an 8217 cannot say {said!r}")
    if isinstance(said, Shown) and decode(frame, unit_read) != said:
        raise ProtocolError(f"an 8217 cannot say {said!r}")
    return STX + frame + CR


def encode_preset(value: Decimal, unit: str) -> Command:
    """Return the command that sets the tare, five digits with an implied point."""
    digits = value.scaleb(DECIMALS[unit])
    if value.is_signed() or digits != digits.to_integral_value() or digits >= 10**_DIGITS:
        raise ProtocolError(f"{value} {unit} cannot be written as a tare")
    return Command(b"T%05d" % int(digits), Expect.STATUS)


def decode_preset(command: bytes, unit: str) -> Decimal:
    """Read the command that sets the tare; raises ProtocolError."""
    match = _TARE.fullmatch(command)
    if match is None:
        raise ProtocolError(f"not a tare: {command[:20]!r}")
    return Decimal(match[1].decode("ascii")).scaleb(-DECIMALS[unit])


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored message means for stock: a scale's never means anything."""
    del raw
    return ()
