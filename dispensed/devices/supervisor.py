"""One supervisor per device: connect, watch until lost, back off, connect again; for ever.

Availability is kept apart from value: a `LinkState` says how the link is, why, and since when. A
loss is logged once and a return is logged once, however many attempts lie between.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from dispensed.clock import Clock
from dispensed.devices.registry import Capability
from drivers.base import Device, Identity
from drivers.errors import DeviceUnavailable, DriverError

CONNECT_TIMEOUT_S = 30.0
"""Upper bound of one connect, beside the driver's own deadlines."""
CLOSE_TIMEOUT_S = 2.0
"""Upper bound of one close, so that a stuck driver cannot hold up a shutdown."""

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class Link(StrEnum):
    """How the link to a device is."""

    CONNECTING = "connecting"
    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    STOPPED = "stopped"


USABLE = frozenset({Link.UP, Link.DEGRADED})
"""States in which commands may be sent."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """Availability of one device: its state, since when, and why (empty while all is well)."""

    device: str
    capability: Capability
    protocol: str
    state: Link
    reason: str
    since: datetime
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How a supervisor waits: bounds in seconds, and where time and chance come from.

    Waits double from `first_s` to `most_s`, each shortened by chance to between half and all of it
    but never under `first_s`. A link that held for `steady_s` starts again from `first_s`; one that
    flaps does not.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    steady_s: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic

    def delay_s(self, attempt: int) -> float:
        """Return the wait before attempt number `attempt` + 1, counting from 0."""
        full = min(self.most_s, self.first_s * 2.0 ** min(attempt, 32))
        return max(self.first_s, full * (0.5 + 0.5 * self.chance()))


OnLink = Callable[[LinkState], None]


class Supervisor:
    """Keeps one device connected and tells how its link is."""

    def __init__(
        self, device: Device, initial: LinkState, *, clock: Clock, on_link: OnLink, pace: Pace
    ) -> None:
        self._device = device
        self._state = initial
        self._clock = clock
        self._on_link = on_link
        self._pace = pace
        self._log = log.bind(device_id=initial.device, protocol=initial.protocol)

    @property
    def state(self) -> LinkState:
        """How the link is."""
        return self._state

    def degrade(self, reason: str) -> None:
        """Say that the device is up but impaired, such as a printer out of paper.

        An empty reason says that it is well again. Does nothing while the link is not up.
        """
        if self._state.state in USABLE:
            self._enter(Link.DEGRADED if reason else Link.UP, reason)

    async def run(self) -> None:
        """Run until cancelled; the device is closed then."""
        attempt = 0
        try:
            while True:
                began = self._pace.monotonic()
                reason = await self._outcome(self._connect_and_watch)
                held = self._state.state in USABLE
                await self._close()
                self._enter(Link.DOWN, reason or "the driver stopped watching")
                if held and self._pace.monotonic() - began >= self._pace.steady_s:
                    attempt = 0
                await self._pace.sleep(self._pace.delay_s(attempt))
                attempt += 1
        finally:
            try:
                await self._close()
            finally:
                self._enter(Link.STOPPED, "stopped")

    async def _connect_and_watch(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                identity = await self._device.connect()
        except TimeoutError as error:
            raise DeviceUnavailable(f"no connection within {CONNECT_TIMEOUT_S:g} s") from error
        self._enter(Link.UP, "", identity)
        await self._device.watch()

    async def _close(self) -> None:
        reason = await self._outcome(self._close_in_time)
        if reason:
            self._log.warning("device.close_failed", reason=reason)

    async def _close_in_time(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._device.close()
        except TimeoutError as error:
            raise DeviceUnavailable(f"not closed within {CLOSE_TIMEOUT_S:g} s") from error

    async def _outcome(self, act: Callable[[], Awaitable[None]]) -> str:
        """Run a piece of the driver; return how it failed, or "" when it came to its end."""
        try:
            await act()
        except DriverError as error:
            return _text(error)
        except asyncio.CancelledError:
            if _asked_to_stop():
                raise
            return "the driver cancelled itself"
        except Exception as error:  # noqa: BLE001 - a fault in one driver must not end the daemon
            return self._fault(error)
        return ""

    def _fault(self, error: Exception) -> str:
        """Return why the link was lost; logs a fault of the driver itself, once while it lasts."""
        lost = _driver_errors(error)
        if lost is not None:
            return "; ".join(_text(each) for each in lost)
        reason = f"fault in the driver: {type(error).__name__}: {error}"
        if self._state.reason != reason:
            self._log.error("device.driver_failed", reason=reason, exc_info=error)
        return reason

    def _enter(self, link: Link, reason: str, identity: Identity | None = None) -> None:
        old = self._state
        if old.state is link and old.reason == reason and identity in (None, old.identity):
            return
        since = old.since if old.state is link else self._clock.now()
        self._state = replace(
            old, state=link, reason=reason, since=since, identity=identity or old.identity
        )
        if old.state is not link:
            self._tell(old)
        self._on_link(self._state)

    def _tell(self, old: LinkState) -> None:
        new = self._state
        match new.state:
            case Link.DOWN:
                self._log.warning("device.lost", reason=new.reason, from_state=old.state.value)
            case Link.UP if old.state is Link.DEGRADED:
                self._log.info("device.recovered")
            case Link.UP:
                elapsed_ms = (new.since - old.since) // timedelta(milliseconds=1)
                self._log.info(
                    "device.connected", from_state=old.state.value, elapsed_ms=elapsed_ms
                )
            case Link.DEGRADED:
                self._log.warning("device.degraded", reason=new.reason)
            case Link.STOPPED | Link.CONNECTING:
                self._log.debug("device.stopped", from_state=old.state.value)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _asked_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _driver_errors(error: Exception) -> tuple[DriverError, ...] | None:
    """Return the driver errors that make up `error`, or None when anything else is among them."""
    if isinstance(error, DriverError):
        return (error,)
    if not isinstance(error, ExceptionGroup):
        return None
    found: list[DriverError] = []
    for each in error.exceptions:
        inner = _driver_errors(each)
        if inner is None:
            return None
        found.extend(inner)
    return tuple(found)
