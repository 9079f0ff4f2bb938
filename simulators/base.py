"""What every simulator is made of: a deterministic model, a fault plan and, for bytes, sessions.

A model has no clock and no I/O. Time reaches it only through `step`, chance only through the seeded
`random.Random` it was made with, bytes only through `received`. So the same calls give the same
behaviour, and a test can run a day in a millisecond. Sockets, ptys, wall time and line faults live
in
`simulators.serve` and `simulators.wire`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""What the control channel can carry."""


class FaultPlan:
    """Named faults that are switched on and off, for ever or for a number of times.

    A model asks `active` where a fault is a condition (a door is open) and `take` where it is an
    event (the next job jams): `take` uses up one of the times.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._left: dict[str, int | None] = dict.fromkeys(names, 0)

    @property
    def names(self) -> tuple[str, ...]:
        """Every fault that can be switched, in the order given."""
        return tuple(self._left)

    def switch(self, name: str, *, on: bool, times: int | None = None) -> None:
        """Switch a fault; `times` limits how often it happens (None: until switched off).

        Raises ValueError for an unknown name or a number of times below 1.
        """
        if name not in self._left:
            raise ValueError(f"fault {name!r} is not one of {', '.join(self._left) or '(none)'}")
        if on and times is not None and times < 1:
            raise ValueError(f"fault {name!r}: times must be at least 1, not {times}")
        self._left[name] = times if on else 0

    def active(self, name: str) -> bool:
        """Whether the fault is on; uses nothing up. Raises KeyError for a name not in the plan."""
        return self._left[name] != 0

    def take(self, name: str) -> bool:
        """Whether the fault happens at this moment; uses up one of its times."""
        left = self._left[name]
        if left is None:
            return True
        if left == 0:
            return False
        self._left[name] = left - 1
        return True

    def state(self) -> dict[str, Json]:
        """The faults that are on: True, or how many times are left."""
        return {
            name: True if left is None else left for name, left in self._left.items() if left != 0
        }


class Controlled(Protocol):
    """What the control channel can reach: a model, or the wire in front of it."""

    @property
    def faults(self) -> FaultPlan:
        """The faults that can be switched."""
        ...

    @property
    def settings(self) -> tuple[str, ...]:
        """The names that `set` takes."""
        ...

    def set(self, name: str, value: str) -> None:
        """Change something from outside (a load on the scale). Raises ValueError on bad input."""
        ...

    def state(self) -> dict[str, Json]:
        """Describe the present state, for people and tests; shown live."""
        ...


class Model(Controlled, Protocol):
    """A machine from the inside."""

    def step(self, dt: float) -> None:
        """Let `dt` simulated seconds pass (0 < dt <= 0.02 when served; any dt must be legal)."""
        ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Bytes a model sends. `session` None means every open session.

    `delay_s` is simulated time that the line needs before these bytes and after the ones before
    them; a machine that works for a while counts that time in `step` instead. `close` ends the
    session afterwards.
    """

    session: int | None
    data: bytes
    delay_s: float = 0.0
    close: bool = False


class StreamModel(Model, Protocol):
    """A machine that speaks a byte protocol over TCP or a serial line.

    A session is one TCP connection; a serial line is one session from start to hang-up. Numbers are
    never reused. `received` may be cut at any byte.
    """

    def connected(self, session: int) -> None:
        """Note that a session began."""
        ...

    def disconnected(self, session: int) -> None:
        """Note that a session ended; nothing sent to it arrives any more."""
        ...

    def received(self, session: int, data: bytes) -> None:
        """Take bytes as they came off the wire."""
        ...

    def outgoing(self) -> list[Outgoing]:
        """Return, once, what is to be sent. Asked after every event and step."""
        ...
