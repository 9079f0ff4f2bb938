"""A scale that speaks a serial dialect: pan, zero, tare and faults; a voice does the talking.

Weights are in the scale's own unit. What differs between dialects (how commands are cut out of the
stream and what they mean, how an answer is written, what is not answered at all) is a `Voice`, one
for each protocol in a module of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from drivers.dialect import Shown, Status, Tare
from drivers.errors import ProtocolError
from drivers.framing import LineSplitter
from simulators.base import FaultPlan, Json, Outgoing
from simulators.pan import Pan

LINE_MAX = 64
"""Longest command taken, in bytes without its end."""
FAULTS = ("motion", "overload", "underload")
"""Faults that every scale has: never stable, too much on it, pan lifted."""
_PAN = {"load_g": "load", "load": "load", "noise_d": "noise_d", "tau_s": "tau_s"}
"""Settings of the pan; the load is in the unit of the scale, by either name."""


class Kind(StrEnum):
    """What a command means."""

    WEIGHT = "weight"
    STATUS = "status"
    ZERO = "zero"
    TARE = "tare"
    PRESET = "preset"
    CLEAR = "clear"
    TARE_MEMORY = "tare memory"
    MODEL = "model"
    SERIAL = "serial"
    FIRMWARE = "firmware"
    TEST = "test"
    TEST_RESULT = "test result"
    ECHO_ON = "echo on"
    ECHO_OFF = "echo off"
    UNKNOWN = "unknown"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Order:
    """A command as the scale understood it; `value` is the tare to preset."""

    kind: Kind
    value: Decimal | None = None


class Ear(Protocol):
    """Cuts what one host sends into commands."""

    def feed(self, data: bytes) -> list[Order]:
        """Return the commands that `data` completed."""
        ...

    def wait(self, dt: float) -> list[Order]:
        """Return the commands that are complete because nothing followed them for `dt` seconds."""
        ...


class LineEar:
    """An ear for commands that are lines."""

    def __init__(
        self, words: Mapping[bytes, Kind], preset: Callable[[bytes], Decimal] | None = None
    ) -> None:
        self._words = words
        self._preset = preset
        self._splitter = LineSplitter(LINE_MAX)

    def feed(self, data: bytes) -> list[Order]:
        """Return the commands of the lines that `data` completed."""
        orders = []
        try:
            lines = self._splitter.feed(data)
        except ProtocolError:
            orders.append(Order(Kind.UNKNOWN))
            lines = self._splitter.feed(b"")
        return orders + [self._order(line) for line in lines]

    def wait(self, dt: float) -> list[Order]:
        """Return nothing: a line is complete at its end only."""
        del dt
        return []

    def _order(self, line: bytes) -> Order:
        if line in self._words:
            return Order(self._words[line])
        if self._preset is not None:
            try:
                return Order(Kind.PRESET, self._preset(line))
            except ProtocolError:
                return Order(Kind.UNKNOWN)
        return Order(Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Voice:
    """How a scale of one dialect hears and speaks; b"" is silence."""

    ear: Callable[[], Ear]
    say: Callable[["LineScaleModel", Order], bytes]
    """Writes the answer to an order that was carried out."""
    faults: tuple[str, ...] = ()
    """Faults that only scales of this dialect have."""
    settings: tuple[tuple[str, str], ...] = ()
    """Settings that only scales of this dialect have, with what they are at first."""


class LineScaleModel:
    """One scale with any number of hosts; answers go to the host that asked."""

    def __init__(
        self,
        voice: Voice,
        seed: int = 0,
        *,
        unit: str,
        capacity: str,
        readability: str,
        serial: str = "",
    ) -> None:
        self._voice = voice
        self._pan = Pan(seed, capacity=capacity, readability=readability)
        self._faults = FaultPlan((*FAULTS, *voice.faults))
        self._texts = {"serial": serial, **dict(voice.settings)}
        self._out: list[Outgoing] = []
        self._hosts: dict[int, Ear] = {}
        self._zero = self._tare = 0
        self.unit = unit
        self.echoing = False

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Motion (never stable), overload, underload, and those of the dialect."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Load in the scale's unit, noise in digits, time constant, and those of the dialect."""
        return (*_PAN, *self._texts)

    def set(self, name: str, value: str) -> None:
        """Put a load on the pan, or change what is in `settings`."""
        if name in _PAN:
            self._pan.set(_PAN[name], value, called=name)
        elif name not in self._texts:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        elif not value.isascii() or not value.isprintable():
            raise ValueError(f"setting {name!r}: {value!r} is not plain text")
        else:
            self._texts[name] = value

    def state(self) -> dict[str, Json]:
        """Load, and what the display shows."""
        return {
            "load": self._pan.load,
            "net": str(self._net()),
            "tare": str(self._pan.weight(self._tare)),
            "unit": self.unit,
            "stable": self._pan.stable(),
            "faults": self._faults.state(),
        }

    # what a voice asks

    def setting(self, name: str) -> str:
        """Return what a setting of the dialect, or `serial`, is."""
        return self._texts[name]

    def shown(self) -> Shown:
        """Return what the display shows."""
        return Shown(self._net(), self.unit, self._pan.stable(), net=self._tare != 0)

    def status(self) -> Status:
        """Return the state of the scale."""
        return Status(
            moving=not self._pan.stable(),
            over=self._faults.active("overload") or self._pan.over(),
            under=self._faults.active("underload") or self._pan.under(),
            zero=self._pan.shown == self._zero,
            net=self._tare != 0,
        )

    def tare(self) -> Tare:
        """Return the tare weight that is held."""
        return Tare(self._pan.weight(self._tare), self.unit)

    def beyond_zero(self) -> bool:
        """Whether the load is outside of the range in which zero can be set."""
        return abs(self._pan.shown) > self._pan.zero_digits()

    # time and bytes

    def step(self, dt: float) -> None:
        """Let the pan settle; carry out commands that nothing followed."""
        for _ in self._pan.readings(dt, shaking=self._faults.active("motion")):
            continue
        for host, ear in self._hosts.items():
            self._carry_out(host, ear.wait(dt))

    def connected(self, session: int) -> None:
        """Listen to a host."""
        self._hosts[session] = self._voice.ear()

    def disconnected(self, session: int) -> None:
        """Forget a host."""
        del self._hosts[session]

    def received(self, session: int, data: bytes) -> None:
        """Carry out the commands completed by `data`."""
        self._carry_out(session, self._hosts[session].feed(data))

    def outgoing(self) -> list[Outgoing]:
        """Return the answers since the last call."""
        out, self._out = self._out, []
        return out

    def _carry_out(self, host: int, orders: list[Order]) -> None:
        for order in orders:
            self._act(order)
            answer = self._voice.say(self, order)
            if answer:
                self._out.append(Outgoing(host, answer))

    # zero and tare

    def _act(self, order: Order) -> None:
        state = self.status()
        settled = not (state.moving or state.over or state.under)
        match order.kind:
            case Kind.ZERO if settled and not self.beyond_zero() and not self._tare:
                self._zero = self._pan.shown
            case Kind.TARE if settled and self._pan.shown >= self._zero:
                self._tare = self._pan.shown - self._zero
            case Kind.CLEAR if settled:
                self._tare = 0
            case Kind.PRESET if order.value is not None and order.value <= self._pan.limit:
                self._tare = round(order.value / self._pan.digit)
            case Kind.ECHO_ON:
                self.echoing = True
            case Kind.ECHO_OFF:
                self.echoing = False
            case _:
                return

    def _net(self) -> Decimal:
        return self._pan.weight(self._pan.shown - self._zero - self._tare)
