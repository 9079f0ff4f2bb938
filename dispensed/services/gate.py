"""The gate before every command to a machine: one at a time where needed, and no blocked lot.

A recall may open between the plan of a fill and its command. Whoever opens one turns the gate; a
command whose lots were looked at before the turn is looked at again, without a wait in between.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from dispensed.errors import DeviceProblem

LOOKS_MAX = 100
"""How often a command is looked at again while recalls open without end."""


class CommandGate:
    """Shared by all who command machines and all who block lots, within one event loop."""

    def __init__(self) -> None:
        self._turns = 0
        self._locks: dict[str, asyncio.Lock] = {}

    def turn(self) -> None:
        """Say that lots were blocked: what is not commanded yet must be looked at again."""
        self._turns += 1

    @asynccontextmanager
    async def alone(self, device: str, timeout_s: float) -> AsyncIterator[None]:
        """Wait for the turn at a device that does one thing at a time.

        Waiting here and not in the driver keeps a command stoppable until its turn. Raises
        DeviceProblem when the turn does not come within `timeout_s`.
        """
        lock = self._locks.setdefault(device, asyncio.Lock())
        try:
            async with asyncio.timeout(timeout_s):
                await lock.acquire()
        except TimeoutError as error:
            raise DeviceProblem(
                f"device {device} was busy for {timeout_s:g} s; nothing was sent"
            ) from error
        try:
            yield
        finally:
            lock.release()

    async def pass_through(self, look: Callable[[], Awaitable[str | None]]) -> None:
        """Return when `look` finds nothing blocked in the state that holds at this moment.

        `look` says what is blocked, None for nothing. The caller commands without another wait.
        Raises DeviceProblem for what is blocked; nothing was sent then.
        """
        for _ in range(LOOKS_MAX):
            turns = self._turns
            blocked = await look()
            if blocked is not None:
                raise DeviceProblem(f"{blocked}; nothing was sent")
            if turns == self._turns:
                return
        raise DeviceProblem(f"lots were blocked {LOOKS_MAX} times meanwhile; nothing was sent")
