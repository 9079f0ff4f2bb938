"""What label printer drivers share: a bounded queue in front of the printer, and the reprint."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from drivers.base import Label, PrintProof, RawMessage
from drivers.errors import DeviceRefused, DeviceUnavailable
from drivers.labels import LabelError

JOBS_MAX = 256
"""Labels that a driver remembers so that a repeated request does not print again."""
REASON_MAX = 200
"""Characters of the reason of a reprint."""


@dataclass(frozen=True, slots=True)
class JobView:
    """What a driver knows of one label; `proof` None means that its fate is in doubt."""

    request_id: str
    proof: PrintProof | None


class Presence:
    """Whether a printer can be asked, and why not; at first it is not connected."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lost: str | None = "not connected"
        self._was_lost = asyncio.Event()

    def found(self) -> None:
        """Note that the link is there."""
        self._lost = None
        self._was_lost.clear()

    def lose(self, why: str) -> None:
        """Note that the link is gone; the first reason stays."""
        if self._lost is None:
            self._lost = why
            self._was_lost.set()

    def need(self) -> None:
        """Raise DeviceUnavailable with the reason unless the link is there."""
        if self._lost is not None:
            raise DeviceUnavailable(f"{self._name}: {self._lost}")

    async def watch(self, every_s: float, look: Callable[[], Awaitable[object]]) -> None:
        """Look again and again until the link is lost; then raise DeviceUnavailable."""
        while True:
            try:
                async with asyncio.timeout(every_s):
                    await self._was_lost.wait()
            except TimeoutError:
                await look()
            else:
                raise DeviceUnavailable(f"{self._name}: {self._lost}")


class PrintQueue:
    """Lets one label at a time to the printer, in the order of asking; so many may wait."""

    def __init__(self, name: str, waiting_max: int) -> None:
        self._name = name
        self._max = waiting_max
        self._lock = asyncio.Lock()
        self._waiting: list[str] = []

    @property
    def waiting(self) -> tuple[str, ...]:
        """The requests that wait, the next one first."""
        return tuple(self._waiting)

    @contextlib.asynccontextmanager
    async def turn(self, request_id: str) -> AsyncIterator[None]:
        """Hold the printer for one label; DeviceRefused, nothing sent, when too many wait."""
        if len(self._waiting) >= self._max:
            raise DeviceRefused(
                f"{self._name}: {len(self._waiting)} labels wait already;"
                f" {request_id!r} was not taken",
                reason="queue_full",
            )
        self._waiting.append(request_id)
        try:
            await self._lock.acquire()
        finally:
            self._waiting.remove(request_id)
        try:
            yield
        finally:
            self._lock.release()


def check_repeat(name: str, request_id: str, known: Label, asked: Label) -> None:
    """Raise LabelError when a request that was seen before asks for another label."""
    if known != asked:
        raise LabelError(f"{name}: request {request_id!r} was another label")


def reprint_message(of: str, *, request_id: str, reason: str) -> RawMessage:
    """Return the record of a reprint, to be stored before anything is printed.

    Raises LabelError without a reason, or when the new request is not a new one.
    """
    why = " ".join(reason.split())
    if not why or len(why) > REASON_MAX:
        raise LabelError(f"a reprint of {of!r} needs a reason of 1 to {REASON_MAX} characters")
    if request_id == of:
        raise LabelError(f"a reprint of {of!r} needs a request of its own")
    record = {"request_id": request_id, "reprint_of": of, "reason": why}
    raw = json.dumps(record, ensure_ascii=True, sort_keys=True).encode("ascii")
    return RawMessage(f"reprint:{request_id}", "reprint", raw)
