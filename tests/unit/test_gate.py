"""The gate before a command: looked at again when lots were blocked meanwhile, one at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dispensed.errors import DeviceProblem
from dispensed.services.gate import LOOKS_MAX, CommandGate


def looking(
    gate: CommandGate, *, turns: int, finds: str | None
) -> Callable[[], Awaitable[str | None]]:
    """A look during which recalls open, so many times; after that it finds something or nothing."""
    left = [turns]

    async def look() -> str | None:
        await asyncio.sleep(0)
        if left[0]:
            left[0] -= 1
            gate.turn()
            return None
        return finds

    return look


async def test_a_command_passes_when_nothing_is_blocked() -> None:
    gate = CommandGate()
    await gate.pass_through(looking(gate, turns=0, finds=None))


async def test_a_recall_that_opens_while_a_command_is_looked_at_stops_it() -> None:
    gate = CommandGate()
    with pytest.raises(DeviceProblem, match="lot A12 is recalled; nothing was sent"):
        await gate.pass_through(looking(gate, turns=1, finds="lot A12 is recalled"))


async def test_a_command_is_not_looked_at_for_ever() -> None:
    gate = CommandGate()
    with pytest.raises(DeviceProblem, match="blocked 100 times meanwhile; nothing was sent"):
        await gate.pass_through(looking(gate, turns=LOOKS_MAX, finds=None))


async def test_one_command_at_a_time_and_a_wait_has_an_end() -> None:
    gate = CommandGate()
    async with gate.alone("counter1", 1.0):
        async with gate.alone("counter2", 1.0):
            pass
        with pytest.raises(DeviceProblem, match=r"counter1 was busy for 0.01 s; nothing was sent"):
            async with gate.alone("counter1", 0.01):
                raise AssertionError("two at once")
    async with gate.alone("counter1", 1.0):
        pass
