"""What every transport is: a byte stream to one device, opened and closed again and again."""

import asyncio
from typing import Protocol

from drivers.errors import DeviceUnavailable, Moved

FORMATS = {
    f"{bits}{parity}{stop}": (bits, parity, stop)
    for bits in (7, 8)
    for parity in ("N", "E", "O")
    for stop in (1, 2)
}
"""Line formats by name, `8N1`: data bits, parity (none, even, odd) and stop bits."""
SEVEN = 7


class LinkLost(DeviceUnavailable):
    """The link closed or failed; whatever was being awaited did not arrive."""


class Transport(Protocol):
    """A byte stream to one device."""

    @property
    def parity(self) -> bool:
        """Whether the line carries a parity bit (agreement rules depend on it)."""
        ...

    async def open(self) -> None:
        """Open the link; raises DeviceUnavailable with the reason."""
        ...

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; raises LinkLost when the link ends."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises LinkLost (moved UNKNOWN: part of it may have gone out)."""
        ...

    def discard(self) -> bytes:
        """Drop and return whatever was received and not yet read (stale bytes before a command)."""
        ...

    async def close(self) -> None:
        """Close the link; safe to call twice. A pending `read` raises LinkLost."""
        ...


class Inbox:
    """What has arrived, and why nothing more will. With 7 data bits the eighth is masked."""

    def __init__(self, name: str, bits: int = 8) -> None:
        self._name = name
        self._bits = bits
        self._buffer = bytearray()
        self._changed = asyncio.Event()
        self._failure: str | None = "not open"

    def __len__(self) -> int:
        return len(self._buffer)

    def start(self) -> None:
        """Begin anew, empty."""
        self._buffer.clear()
        self._changed.clear()
        self._failure = None

    def put(self, data: bytes) -> None:
        """Add what arrived."""
        self._buffer += seven_bits(data) if self._bits == SEVEN else data
        self._changed.set()

    def drop_oldest(self, keep: int) -> None:
        """Keep the newest bytes only."""
        del self._buffer[: max(0, len(self._buffer) - keep)]

    def fail(self, reason: str) -> None:
        """Give the reason why the stream ended; the first one stands."""
        self._failure = self._failure or reason
        self._changed.set()

    def check(self) -> None:
        """Raise LinkLost when the stream has ended."""
        if self._failure is not None:
            raise LinkLost(f"{self._name}: {self._failure}")

    async def get(self) -> bytes:
        """Wait for bytes and take them; what came before the end is still given."""
        while not self._buffer:
            self.check()
            self._changed.clear()
            await self._changed.wait()
        return self.take()

    def take(self) -> bytes:
        """Take what is there."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def seven_bits(data: bytes) -> bytes:
    """Return the bytes without their eighth bit."""
    return bytes(byte & 0x7F for byte in data)


def unsent(name: str, reason: str) -> LinkLost:
    """Return the error of a write that may have been carried out in part."""
    lost = LinkLost(f"{name}: {reason}")
    lost.moved = Moved.UNKNOWN
    return lost
