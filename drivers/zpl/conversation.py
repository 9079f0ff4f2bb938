"""Questions to a printer and their answers over one transport, one at a time."""

import asyncio
import secrets
from collections.abc import Callable

from drivers.base import Identity, RawMessage, Sink
from drivers.errors import (
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
)
from drivers.transport import Transport
from drivers.zpl.codec import (
    HOST_IDENTIFICATION,
    HOST_STATUS,
    ODOMETER,
    STATUS_LINES,
    HostStatus,
    Reply,
    ReplyKind,
    ReplySplitter,
    parse_host_status,
    parse_identity,
    parse_odometer,
)

GARBAGE_MAX = 1024
"""Bytes of one burst of noise that are kept."""
STALE_READS_MAX = 64
STATUS_ATTEMPTS = 3
SILENCES_MAX = 2
ODOMETER_READS_MAX = 4
"""The line has no checksum: an odometer value counts when two readings in a row agree."""
NOISE_QUIET_S = 0.05
"""How long the line must be quiet after noise before the next question."""


def _framed(reply: Reply) -> bool:
    return reply.kind is ReplyKind.FRAMED


def _identity(reply: Reply) -> bool:
    """Frames, and the bare lines of printers that frame nothing."""
    return _framed(reply) or (reply.kind is ReplyKind.LINE and b"," in reply.body)


def _value(reply: Reply) -> bool:
    return reply.kind is ReplyKind.QUOTED or reply.body == b"?"


class Conversation:
    """The printer's side of one link; the caller sees to it that only one question is open.

    What comes uninvited or cannot be read goes to the sink as `garbage`, one message per question.
    A failed question moves nothing: its errors carry moved NO.
    """

    def __init__(self, name: str, transport: Transport, sink: Sink, reply_timeout_s: float) -> None:
        self._name = name
        self._transport = transport
        self._sink = sink
        self._reply_timeout_s = reply_timeout_s
        self._splitter = ReplySplitter()
        self._noise = bytearray()
        self._quiet_s = 0.0
        self._session = ""
        self._bursts = 0

    async def open(self) -> None:
        """Open the link afresh; raises DeviceUnavailable."""
        await self._transport.open()
        self._splitter = ReplySplitter()
        self._quiet_s = NOISE_QUIET_S
        self._session = secrets.token_hex(8)

    async def close(self) -> None:
        """Release the link; an open question fails."""
        await self._transport.close()

    async def send(self, data: bytes) -> None:
        """Send what is not answered; raises LinkLost, moved UNKNOWN if part may have gone out."""
        await self._transport.write(data)

    # ------------------------------------------------------------ the questions

    async def status(self) -> HostStatus:
        """Ask until an answer can be read: silence twice, or noise three times, is the answer."""
        silences = 0
        for _ in range(STATUS_ATTEMPTS - 1):
            try:
                return await self.status_once()
            except ProtocolError:
                continue
            except DeviceTimeout:
                silences += 1
                if silences >= SILENCES_MAX:
                    raise
        return await self.status_once()

    async def status_once(self) -> HostStatus:
        """Ask `~HS` once. Raises DeviceTimeout, ProtocolError or LinkLost."""
        replies = await self._ask(HOST_STATUS, _framed, STATUS_LINES)
        try:
            return parse_host_status(reply.body for reply in replies)
        except ProtocolError:
            await self._garbled(replies)
            raise

    async def identity(self) -> Identity:
        """Ask `~HI`; empty when it is not answered or not readable."""
        try:
            replies = await self._ask(HOST_IDENTIFICATION, _identity, 1)
        except DeviceTimeout:
            return Identity()
        try:
            return parse_identity(replies[0].body)
        except ProtocolError:
            await self._garbled(replies)
            return Identity()

    async def odometer(self) -> int | None:
        """Return the odometer when two readings in a row agree, None when the printer has none.

        Raises DeviceTimeout, ProtocolError or LinkLost.
        """
        last: int | None = None
        for _ in range(ODOMETER_READS_MAX):
            replies = await self._ask(ODOMETER, _value, 1)
            try:
                value = parse_odometer(replies[0])
            except ProtocolError:
                await self._garbled(replies)
                last = None
                continue
            if value is None or value == last:
                return value
            last = value
        raise ProtocolError("the odometer's readings do not agree")

    # ------------------------------------------------------------ asking

    async def _ask(
        self, command: bytes, wanted: Callable[[Reply], bool], count: int
    ) -> list[Reply]:
        try:
            await self._hush()
            # Until the answer is there, a late one may come: whoever asks next waits for it first.
            self._quiet_s = self._reply_timeout_s
            await self._transport.write(command)
            replies = await self._collect(command, wanted, count)
        except DeviceUnavailable as error:
            error.moved = Moved.NO
            raise
        self._quiet_s = 0.0
        await self._report()
        return replies

    async def _collect(
        self, command: bytes, wanted: Callable[[Reply], bool], count: int
    ) -> list[Reply]:
        replies: list[Reply] = []
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                while len(replies) < count:
                    for reply in self._splitter.feed(await self._transport.read()):
                        if len(replies) < count and wanted(reply):
                            replies.append(reply)
                        else:
                            self._hear(reply.body)
        except TimeoutError:
            await self._garbled(replies)
            self._quiet_s = self._reply_timeout_s
            raise DeviceTimeout(
                f"{self._name}: no answer to {command.decode().strip()} within"
                f" {self._reply_timeout_s} s: faulted or offline"
            ) from None
        return replies

    async def _garbled(self, replies: list[Reply]) -> None:
        """Keep answers that could not be read; the line must be quiet before the next question."""
        self._quiet_s = NOISE_QUIET_S
        self._hear(b"".join(reply.body for reply in replies))
        await self._report()

    async def _hush(self) -> None:
        """Drop what came uninvited until the line is quiet; raises ProtocolError if it never is."""
        if not self._quiet_s:
            await asyncio.sleep(0)
            self._hear(self._transport.discard())
            self._hear(self._splitter.flush())
            return
        for _ in range(STALE_READS_MAX):
            try:
                async with asyncio.timeout(self._quiet_s):
                    self._hear(await self._transport.read())
            except TimeoutError:
                self._hear(self._splitter.flush())
                return
        await self._report()
        raise ProtocolError("the line does not fall quiet")

    def _hear(self, noise: bytes) -> None:
        self._noise += noise[: GARBAGE_MAX - len(self._noise)]

    async def _report(self) -> None:
        if not self._noise:
            return
        raw = bytes(self._noise)
        self._noise.clear()
        self._bursts += 1
        await self._sink(RawMessage(f"garbage:{self._session}:{self._bursts}", "garbage", raw))
