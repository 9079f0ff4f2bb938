"""What the contract tests of a counter share: a driver on the stand, and waits for the machine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from drivers.base import Counter, CountJob, DeviceSpec
from drivers.packml.driver import PackmlDriver
from tests.contract.opcua_stand import Stand
from tests.contract.transports import Inbox, until_done

LONG_S = 20.0
SHORT_S = 0.7
"""For jobs that are to be broken off; still long enough to start one on a busy computer."""
PLAIN: dict[str, str | int | float | bool] = {"security": "none", "user": "anonymous"}
QUICK = PLAIN | {"request_timeout_ms": 800}
T = TypeVar("T")


def make_driver(stand: Stand, inbox: Inbox, **options: str | int | bool) -> PackmlDriver:
    given: dict[str, str | int | float | bool] = {
        **PLAIN,
        "settle_ms": 5,
        "poll_ms": 10,
        "request_timeout_ms": 1500,
    }
    return PackmlDriver(DeviceSpec("counter", stand.address, given | options), inbox.put)


@asynccontextmanager
async def connected(
    stand: Stand, inbox: Inbox, **options: str | int | bool
) -> AsyncIterator[Counter]:
    driver = make_driver(stand, inbox, **options)
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


def make_job(job_id: str = "417-1", pieces: int = 30) -> CountJob:
    return CountJob(job_id, "00071015523", "EW0237", "shelf/A-03", pieces)


def start_of(inbox: Inbox, job_id: str = "417-1") -> bytes:
    (raw,) = [message.raw for message in inbox.messages if message.key == f"start:{job_id}"]
    return raw


async def soon(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call that is refused at first; the last refusal is raised."""

    async def later() -> T:
        await asyncio.sleep(0.05)
        return await call()

    return await until_done(later)


async def seen(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not done():  # noqa: ASYNC110 - what is awaited happens in another thread
            await asyncio.sleep(0.002)


async def until_state(stand: Stand, state: str) -> None:
    await seen(lambda: stand.do(stand.model.state)["state"] == state)


async def until_fallen(stand: Stand, pieces: int) -> None:
    await seen(lambda: stand.dispensed >= pieces)
