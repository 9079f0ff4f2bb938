"""Hands queued messages to the sink, oldest first, each until it is durable."""

import asyncio
from collections import deque

from drivers.base import RawMessage, Sink
from drivers.errors import DeviceUnavailable

SINK_TIMEOUT_S = 10.0


class Delivery:
    """The way from one driver's queue to the sink; calls take turns."""

    def __init__(self, name: str, sink: Sink) -> None:
        self._name = name
        self._sink = sink
        self._turn = asyncio.Lock()

    async def empty(self, outbox: deque[RawMessage]) -> None:
        """Deliver everything queued; a message leaves the queue only when it is stored.

        Raises DeviceUnavailable when one is not stored in time, and whatever the sink raises.
        """
        async with self._turn:
            while outbox:
                try:
                    async with asyncio.timeout(SINK_TIMEOUT_S):
                        await self._sink(outbox[0])
                except TimeoutError as error:
                    raise DeviceUnavailable(
                        f"{self._name}: what was seen could not be stored in time"
                    ) from error
                outbox.popleft()
