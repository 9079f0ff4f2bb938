"""The lines that every driver must get on with, and how a contract test talks about them.

A `Line` says what the wire does; `wire()` makes one for `simulators.serve`. On a faithful line
every call must succeed; on an unfaithful one each call gives the true value or a DriverError, never
a wrong value, and once the line is clean again the same driver works without a restart.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from drivers.base import DriverError, RawMessage
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


CLEAN = Line("clean", faithful=True)
ONE_BYTE = Line("one byte at a time", faithful=True, faults=("split",))
DELAYED = Line("delayed", faithful=True, faults=("slow",), settings=(("slow_s", "0.25"),))
LOSSY = Line("lossy", faithful=False, faults=("drop",), settings=(("drop_rate", "0.02"),))
DUPLICATING = Line("duplicating", faithful=False, faults=("duplicate",))
STALE = Line("stale", faithful=False, faults=("stale",))
NOISY = Line("noisy", faithful=False, faults=("noise",), settings=(("noise_rate", "0.001"),))
FAITHFUL = (CLEAN, ONE_BYTE, DELAYED)
UNFAITHFUL = (LOSSY, DUPLICATING, STALE, NOISY)
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
