"""Tells whoever listens (pages, the dispense runner) that something of a topic changed.

Notices carry no data: a listener reads what it needs. Each listener holds at most one notice per
topic, so a slow one costs nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Topic = Literal[
    "stock", "devices", "dispenses", "discrepancies", "recalls", "proposals", "jobs", "messages"
]
TOPICS: tuple[Topic, ...] = get_args(Topic)


class Listener:
    """One subscription: coalesced topics in the order in which they first changed."""

    def __init__(self) -> None:
        self._topics: dict[Topic, None] = {}
        self._event = asyncio.Event()

    def _add(self, topic: Topic) -> None:
        self._topics[topic] = None
        self._event.set()

    async def next(self) -> Topic:
        """Wait for the next changed topic."""
        while not self._topics:
            self._event.clear()
            await self._event.wait()
        topic = next(iter(self._topics))
        del self._topics[topic]
        return topic

    def forget(self) -> None:
        """Take what changed until now as seen; for who is about to read everything."""
        self._topics.clear()

    async def __aiter__(self) -> AsyncIterator[Topic]:
        """Iterate over changed topics for ever."""
        while True:
            yield await self.next()


class Changes:
    """Fan-out of change notices inside one event loop."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def notify(self, *topics: Topic) -> None:
        """Tell every listener that `topics` changed; never blocks."""
        for listener in self._listeners:
            for topic in topics:
                listener._add(topic)  # noqa: SLF001 - one module, two halves of one thing

    @contextmanager
    def subscribe(self) -> Iterator[Listener]:
        """Listen for the time of a `with` block."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen at present."""
        return len(self._listeners)
