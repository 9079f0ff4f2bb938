"""The fault library: the lines that every driver must get on with, and words to test them in.

A `Line` says what the wire does; `wire()` makes one for `simulators.serve`. The lists are fixtures
(`conftest.py`), so that a suite that asks for one meets every line that is added to it:

* FAITHFUL: every call must succeed.
* UNFAITHFUL: each call gives the true value or a DriverError, never a wrong value, and once the
  line is clean again the same driver works without a restart, on the same connection.
* BREAKING: the same, but the connection may have to be made again (`reconnecting`).
* AT_CONNECT: on from before the connection is made; connecting works or says why.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from drivers.base import Device, RawMessage
from drivers.errors import DriverError
from simulators.wire import Wire

SPEED = 50.0
"""Simulated seconds in a real one: machines settle and move in milliseconds."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """What a wire does to the bytes."""

    name: str
    faithful: bool
    faults: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    def wire(
        self, *, seed: int = 1, speed: float = SPEED, baud: int = 0, parity: bool = False
    ) -> Wire:
        """Return a wire that behaves like this from the start."""
        wire = Wire(seed=seed, speed=speed, baud=baud, parity=parity)
        self.switch(wire, on=True)
        return wire

    def switch(self, wire: Wire, *, on: bool) -> None:
        """Make a wire behave like this, or stop it."""
        for name, value in self.settings:
            wire.set(name, value)
        for name in self.faults:
            wire.faults.switch(name, on=on)


def _noisy(rate: str) -> Line:
    return Line(
        f"bit errors {rate}", faithful=False, faults=("noise",), settings=(("noise_rate", rate),)
    )


def _bad(name: str, *faults: str) -> Line:
    return Line(name, faithful=False, faults=faults)


CLEAN = Line("clean", faithful=True)
ONE_BYTE = Line("one byte at a time", faithful=True, faults=("split",))
SPLIT_EACH = Line("split at each byte", faithful=True, faults=("split_each",))
JOINED = Line("joined", faithful=True, faults=("join",))
DELAYED = Line("delayed", faithful=True, faults=("slow",), settings=(("slow_s", "0.25"),))
LOSSY = Line("lossy", faithful=False, faults=("drop",), settings=(("drop_rate", "0.02"),))
DUPLICATING = _bad("duplicating", "duplicate")
ECHOING = _bad("echoing", "echo")
STALE = _bad("stale", "stale")
STALE_TAIL = _bad("stale bytes before the reply", "stale_tail")
PREVIOUS = _bad("reply to the previous command", "previous")
GARBAGE = _bad("garbage before the reply", "garbage")
LAST_BYTE_LOST = _bad("last byte dropped", "drop_last_byte")
BIT_FLIPPED = _bad("bit flipped", "flip_bit")
RARELY_NOISY, NOISY, VERY_NOISY = (_noisy(rate) for rate in ("0.0001", "0.001", "0.01"))
BURSTS = _bad("bursts", "burst")
STUCK_BYTES = _bad("stuck bytes", "stuck")
HIGH_BIT = _bad("eighth bit set", "high_bit")
TOO_SLOW = Line(
    "baud rate too low", faithful=False, faults=("wrong_baud",), settings=(("baud_ratio", "2"),)
)
TOO_FAST = Line(
    "baud rate too high", faithful=False, faults=("wrong_baud",), settings=(("baud_ratio", "0.5"),)
)
SILENT = _bad("silence", "silence")
DEAF = _bad("deaf", "deaf")
BROKEN_FRAME = _bad("closed in mid-frame", "cut_mid_frame")
HALF_OPEN = _bad("half open", "half_open")
CUT = _bad("cut", "cut")
GARBAGE_AT_CONNECT = _bad("garbage at connect", "garbage_at_connect")

FAITHFUL = (CLEAN, ONE_BYTE, SPLIT_EACH, JOINED, DELAYED)
UNFAITHFUL = (
    LOSSY,
    DUPLICATING,
    ECHOING,
    STALE,
    STALE_TAIL,
    PREVIOUS,
    GARBAGE,
    LAST_BYTE_LOST,
    BIT_FLIPPED,
    RARELY_NOISY,
    NOISY,
    VERY_NOISY,
    BURSTS,
    STUCK_BYTES,
    HIGH_BIT,
    TOO_SLOW,
    TOO_FAST,
    SILENT,
    DEAF,
)
BREAKING = (BROKEN_FRAME, HALF_OPEN, CUT)
AT_CONNECT = (GARBAGE_AT_CONNECT, LOSSY, NOISY, ONE_BYTE)
LINES = FAITHFUL + UNFAITHFUL


@dataclass(slots=True)
class Inbox:
    """A sink that keeps what it is given; its `put` is the `Sink`."""

    messages: list[RawMessage] = field(default_factory=list)

    async def put(self, message: RawMessage) -> None:
        self.messages.append(message)

    def kinds(self) -> list[str]:
        return [message.kind for message in self.messages]


async def outcome(call: Callable[[], Awaitable[T]]) -> T | DriverError:
    """Return what a call gives: its value, or the DriverError that it raises."""
    try:
        return await call()
    except DriverError as error:
        return error


async def until_done(call: Callable[[], Awaitable[T]], *, tries: int = 20) -> T:
    """Repeat a call until it does not fail; the last error is raised."""
    for _ in range(tries - 1):
        try:
            return await call()
        except DriverError:
            continue
    return await call()


async def reconnecting(
    device: Device, call: Callable[[], Awaitable[T]], *, tries: int = 100, timeout_s: float = 10.0
) -> T:
    """Repeat a call until it does not fail, each time over a new connection.

    This is what the supervisor does when a link is lost; the driver is not made anew.
    """

    async def attempt() -> T:
        try:
            return await call()
        except DriverError:
            await device.close()
            await asyncio.sleep(0.01)  # as the supervisor pauses: a port that was cut comes back
            await device.connect()
            raise

    async with asyncio.timeout(timeout_s):
        return await until_done(attempt, tries=tries)
