"""What every driver of a scale without a checksum shares: turns, agreement, plausibility, garbage.

A driver describes how one question is asked; this module asks it until the same answer came often
enough in a row, gives up at a bound or a deadline, keeps calls from overlapping, watches whether
the scale is still there, and delivers what nobody asked for. Weights stay `Decimal`.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Generic, TypeVar

from drivers.base import RawMessage, Sink, WeightReading
from drivers.errors import (
    DeviceFault,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
    ProtocolError,
)
from drivers.transport import LinkLost

FAILURES_MAX = 8
"""Questions in a row without a proper answer before a call gives up."""
CHANGES_MAX = 24
"""Proper answers that do not agree before a call gives up."""
MISSES_MAX = 3
"""Failed liveness checks in a row before the link counts as lost."""
READ_PAUSE_S = 0.05
"""Pause before a moving scale is asked again."""
GARBAGE_MAX = 256
"""Bytes of garbage kept of one burst."""
GARBAGE_INTERVAL_S = 5.0
"""At most one garbage message in this time, so that a noisy line cannot fill the inbox."""
SINK_TIMEOUT_S = 10.0
AGREEING_PARITY = 2
AGREEING_BARE = 3
"""Identical reads that make a weight, on a line with parity and without."""
READS_MAX = 10
SECONDS_MAX = 3600.0
_T = TypeVar("_T")
Value = str | int | float | bool


def reads_needed(wanted: int, *, parity: bool) -> int:
    """Return how many identical reads make a weight: what is wanted, but no fewer than needed."""
    return max(wanted, AGREEING_PARITY if parity else AGREEING_BARE)


class Garbage:
    """What a line sent and nobody asked for; delivered now and then, and bounded."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._bytes = bytearray()
        self._after = 0.0

    def note(self, data: bytes) -> None:
        """Keep the beginning of it."""
        self._bytes += data[: GARBAGE_MAX - len(self._bytes)]

    async def report(self) -> None:
        """Deliver what was noted, at most one message in GARBAGE_INTERVAL_S."""
        now = asyncio.get_running_loop().time()
        if not self._bytes or now < self._after:
            return
        raw = bytes(self._bytes)
        self._bytes.clear()
        self._after = now + GARBAGE_INTERVAL_S
        try:
            async with asyncio.timeout(SINK_TIMEOUT_S):
                await self._sink(RawMessage(f"garbage-{uuid.uuid4().hex}", "garbage", raw))
        except TimeoutError as error:
            raise DeviceUnavailable("what the line sent could not be stored in time") from error


class Failures:
    """Failures in a row of one call; gives up after FAILURES_MAX or at the deadline."""

    def __init__(
        self,
        deadline: float,
        *,
        meaning: Callable[[Sequence[DriverError]], DriverError | None] = lambda _errors: None,
    ) -> None:
        self._deadline = deadline
        self._meaning = meaning
        self._errors: list[DriverError] = []

    def clear(self) -> None:
        """Begin a new row."""
        self._errors.clear()

    def add(self, error: DriverError) -> None:
        """Count one; at the end raises it, or what FAILURES_MAX of them together mean."""
        self._errors.append(error)
        late = asyncio.get_running_loop().time() >= self._deadline
        if len(self._errors) < FAILURES_MAX and not late:
            return
        meant = self._meaning(self._errors) if len(self._errors) >= FAILURES_MAX else None
        if meant is not None:
            raise meant from error
        raise error


class Streak(Generic[_T]):
    """Identical answers in a row; `key` says what of an answer must be identical."""

    def __init__(self, need: int, key: Callable[[_T], object]) -> None:
        self._need = need
        self._key = key
        self._last: object = None
        self._count = 0
        self.changes = 0

    def clear(self) -> None:
        """Begin a new row."""
        self._count = 0

    def add(self, answer: _T) -> bool:
        """Count an answer; True when there are enough."""
        key = self._key(answer)
        if self._count and self._last != key:
            self._count = 0
            self.changes += 1
        self._last = key
        self._count += 1
        return self._count >= self._need


def _settled(_answer: object) -> bool:
    return False


async def agreed(
    ask: Callable[[], Awaitable[_T]],
    streak: Streak[_T],
    failures: Failures,
    *,
    deadline: float,
    name: str,
    unsettled: Callable[[_T], bool] = _settled,
) -> _T:
    """Ask until the same answer came often enough in a row; `name` begins the text of errors.

    `unsettled` tells the answers of a scale that moves or is busy: it is asked again until the
    deadline. What `unsettled` raises ends the call. Raises Disagreement, NotStable, and what
    `failures` gives up with.
    """
    moving = False
    while streak.changes < CHANGES_MAX:
        try:
            answer = await ask()
        except (ProtocolError, DeviceTimeout) as error:
            if moving:  # the deadline came between question and answer
                _check_patience(name, deadline)
            failures.add(error)
            streak.clear()
            continue
        failures.clear()
        moving = unsettled(answer)
        if moving:
            streak.clear()
            _check_patience(name, deadline - READ_PAUSE_S)
            await asyncio.sleep(READ_PAUSE_S)
        elif streak.add(answer):
            return answer
    raise Disagreement(f"{name}: the answers are never the same")


def _check_patience(name: str, deadline: float) -> None:
    if asyncio.get_running_loop().time() >= deadline:
        raise NotStable(f"{name}: not stable in time")


@dataclass(frozen=True, slots=True)
class Window:
    """What a scale can plausibly weigh; `least` None means minus `most`."""

    least: Decimal | None
    most: Decimal

    def check(self, name: str, reading: WeightReading) -> WeightReading:
        """Return the reading, or raise DeviceFault `implausible`."""
        least = -self.most if self.least is None else self.least
        if not least <= reading.value <= self.most:
            raise DeviceFault(
                f"{name}: {reading.value} {reading.unit} is not in {least} to {self.most}",
                reason="implausible",
                moved=Moved.NO,
            )
        return reading


def check_unit(name: str, unit: str, configured: str) -> None:
    """Raise DeviceFault `unit` when a scale sends another unit than the configured one."""
    if unit != configured:
        raise DeviceFault(
            f"{name}: sends {unit}, {configured} is configured", reason="unit", moved=Moved.NO
        )


class Turns:
    """Keeps the calls on one line apart, and remembers whether the link stands."""

    def __init__(self, name: str, garbage: Garbage) -> None:
        self._name = name
        self._garbage = garbage
        self._lock = asyncio.Lock()
        self._up = False
        self._loss: DriverError | None = None
        self._lost = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connecting(self) -> AsyncIterator[None]:
        """Hold the line while it is opened; it counts as up when the body came to its end."""
        async with self._lock:
            self._up = False
            self._loss = None
            self._lost.clear()
            try:
                yield
            finally:
                await self._garbage.report()
            self._up = True

    @contextlib.asynccontextmanager
    async def hold(self, timeout_s: float) -> AsyncIterator[float]:
        """Hold the line for one call; yields its deadline in loop time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                await self._lock.acquire()
        except TimeoutError as error:
            raise DeviceTimeout(f"{self._name}: busy with other calls") from error
        try:
            if not self._up:
                raise DeviceUnavailable(f"{self._name}: not connected")
            yield deadline
        except LinkLost as error:
            self._up = False
            self._loss = error
            self._lost.set()
            raise
        finally:
            self._lock.release()
            await self._garbage.report()

    def down(self) -> None:
        """Note that the line is being closed."""
        self._up = False

    async def watch(self, interval_s: float, look: Callable[[], Awaitable[None]]) -> None:
        """Look at an interval whether the scale is there; raises when the link is lost.

        A look may fail MISSES_MAX - 1 times in a row. While a call holds the line nobody looks:
        that call will notice.
        """
        misses = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._lost.wait()
            if self._loss is not None:
                raise self._loss
            if self._lock.locked():
                continue
            try:
                await look()
            except (ProtocolError, DeviceTimeout, NotStable):
                misses += 1
                if misses >= MISSES_MAX:
                    raise
            else:
                misses = 0


# ---------------------------------------------------------------- options

Given = Mapping[str, Value]
"""Options of one device as they were configured."""


def text_option(options: Given, key: str, default: str) -> str:
    """Return a text; raises ValueError naming the key."""
    value = options.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"option {key!r}: a string was expected, not {value!r}")  # noqa: TRY004
    return value


def seconds_option(options: Given, key: str, default: float) -> float:
    """Return a time above 0 and of at most an hour; raises ValueError naming the key."""
    value = options.get(key, default)
    if isinstance(value, (bool, str)) or not 0 < value <= SECONDS_MAX:
        raise ValueError(f"option {key!r}: seconds above 0 were expected, not {value!r}")
    return float(value)


def flag_option(options: Given, key: str, *, default: bool) -> bool:
    """Return true or false; raises ValueError naming the key."""
    value = options.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"option {key!r}: true or false was expected, not {value!r}")  # noqa: TRY004
    return value


def number_option(options: Given, key: str, default: int, allowed: Collection[int]) -> int:
    """Return one of the whole numbers that are allowed; raises ValueError naming the key."""
    value = options.get(key, default)
    if type(value) is not int or value not in allowed:
        raise ValueError(f"option {key!r}: one of {list(allowed)} was expected, not {value!r}")
    return value


def reads_option(options: Given, key: str) -> int:
    """Return a number of identical reads, 0 for as many as needed; raises ValueError."""
    value = options.get(key, 0)
    if type(value) is not int or not (value == 0 or AGREEING_PARITY <= value <= READS_MAX):
        raise ValueError(f"option {key!r}: 0 or 2 to {READS_MAX} was expected, not {value!r}")
    return value


def weight_option(options: Given, key: str) -> Decimal | None:
    """Return a weight, None where there is none; raises ValueError naming the key."""
    value = options.get(key)
    if value is None:
        return None
    try:
        weight = Decimal("" if isinstance(value, bool) else str(value))
    except InvalidOperation:
        weight = Decimal("NaN")
    if not weight.is_finite():
        raise ValueError(f"option {key!r}: a weight was expected, not {value!r}")
    return weight


def check_known(options: Given, known: Sequence[str]) -> None:
    """Raise ValueError for an option that does not exist."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not known; known are {list(known)}")


def check_window(least: Decimal | None, most: Decimal | None) -> None:
    """Raise ValueError unless there can be weights between the two."""
    if most is not None and (most <= 0 or (least is not None and least >= most)):
        raise ValueError(f"option 'plausible_max': {most} must be above 0 and 'plausible_min'")
