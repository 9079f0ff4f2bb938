"""What scales on a line have in common, as data. Pure.

A dialect is a table: its commands, how its answers are cut out of the stream and read, and what it
can do. `drivers.linescale` speaks any of them, `simulators.linescale` answers in any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from drivers.errors import ProtocolError

# ---------------------------------------------------------------- what a scale says


@dataclass(frozen=True, slots=True)
class Shown:
    """A weight. `stable` and `net` are None where the dialect does not say."""

    value: Decimal
    unit: str
    stable: bool | None
    net: bool | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A state instead of a weight, never a weight of 0. `fault` is the scale's own word for it."""

    moving: bool = False
    over: bool = False
    under: bool = False
    fault: str = ""
    zero: bool | None = None
    net: bool | None = None

    @property
    def explains(self) -> bool:
        """Whether it says why there is no weight."""
        return self.moving or self.over or self.under or bool(self.fault)


@dataclass(frozen=True, slots=True)
class Done:
    """The scale took a command."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The scale did not take a command; `busy` when it may take it later."""

    reason: str
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Tare:
    """The tare weight that the scale holds."""

    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Told:
    """A text about the scale itself, or the result of its self test."""

    text: str


Said = Shown | Status | Done | Refused | Tare | Told


# ---------------------------------------------------------------- what a host says


class Expect(StrEnum):
    """What answers a command."""

    WEIGHT = "weight"
    """A weight, or a status that says why there is none."""
    STATUS = "status"
    TARE = "tare"
    TEXT = "text"
    SILENCE = "silence"
    """Nothing; an acknowledgement or a refusal may come where the scale is set to send them."""


@dataclass(frozen=True, slots=True)
class Command:
    """Bytes for the line, with their end, and what comes back."""

    data: bytes
    expect: Expect


class Doubt(StrEnum):
    """After which failures of a weight command zero or tare may have moved.

    A damaged command can become another one. It matters where the command that asks for a weight is
    one or two bits away from one that moves zero or tare, and the answers do not show that.
    """

    NEVER = "never"
    SILENCE = "silence"
    FAILURE = "failure"


# ---------------------------------------------------------------- framing


class Splitter(Protocol):
    """Cuts frames out of a stream; holds a bounded number of bytes."""

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished frame."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completed; raises ProtocolError as `LineSplitter` does."""
        ...

    def reset(self) -> None:
        """Forget a partial frame, and frames not yet returned."""
        ...


class FrameSplitter:
    """Cuts a stream into frames from a start byte to an end byte, both dropped.

    What stands between frames is no frame: it is returned as one that no codec takes, so that it is
    noticed. A frame longer than `limit` raises ProtocolError and is dropped up to its end. How the
    stream is cut changes neither the frames nor their order.
    """

    def __init__(self, start: bytes, end: bytes, limit: int) -> None:
        self._start = start[0]
        self._end = end[0]
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False
        self._ready: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completed; raises ProtocolError after all was taken."""
        overlong = False
        for byte in data:
            if byte == self._end:
                if not self._skipping:
                    self._finish()
                self._buffer.clear()
                self._skipping = False
            elif not self._skipping:
                self._buffer.append(byte)
                if len(self._buffer) > self._limit:
                    overlong = self._skipping = True
                    self._buffer.clear()
        if overlong:
            raise ProtocolError(f"frame longer than {self._limit} bytes")
        frames, self._ready = self._ready, []
        return frames

    def _finish(self) -> None:
        whole = bytes(self._buffer)
        if whole[:1] == bytes([self._start]):
            self._ready.append(whole[1:])
        else:
            self._ready.append(b"\x00" + whole)

    def reset(self) -> None:
        """Forget a partial frame, and frames not yet returned."""
        self._buffer.clear()
        self._ready.clear()
        self._skipping = False

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished frame."""
        return len(self._buffer)


# ---------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to talk to a scale. A command that is None is an ability that it lacks."""

    name: str
    splitter: Callable[[], Splitter]
    decode: Callable[[bytes], Said]
    """Reads one frame; raises ProtocolError and nothing else."""
    weight: Command
    gap_s: float
    """Least time from one command to the next."""
    zero: Command | None = None
    tare: Command | None = None
    """Takes the load as tare; used where a tare weight cannot be set."""
    preset: Callable[[Decimal], Command] | None = None
    """Sets the tare weight; raises ProtocolError for one that cannot be written."""
    clear: Command | None = None
    """Clears the tare."""
    tare_memory: Command | None = None
    """Asks for the tare weight. A dialect that can clear a tare has this or shows net and gross."""
    decode_text: Callable[[bytes], Said] | None = None
    """Reads the answer to a question in `about`, where that is not one of the known frames."""
    about: dict[str, Command] = field(default_factory=dict)
    """Questions for `model`, `serial` and `firmware`."""
    recover: Command | None = None
    """Harmless; sent when a line has gone out of step."""
    doubt: Doubt = Doubt.NEVER


def number(text: str, *, leading_zeros: bool) -> Decimal:
    """Return a weight without sign or blanks as a scale writes it; raises ProtocolError.

    With `leading_zeros` it is padded with zeros, without it has none but the one before the point.
    """
    whole, point, decimals = text.partition(".")
    digits = whole + decimals
    padded = len(whole) > 1 and whole[0] == "0"
    if not digits.isascii() or not digits.isdigit() or not whole or bool(point) != bool(decimals):
        raise ProtocolError(f"not a number: {text!r}")
    if padded and not leading_zeros:
        raise ProtocolError(f"not a number without leading zeros: {text!r}")
    return Decimal(text)
