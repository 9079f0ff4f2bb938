"""One request and its answer on an RS-485 bus of lock boards."""

import asyncio
import contextlib
from dataclasses import dataclass

from drivers.errors import DeviceTimeout, ProtocolError
from drivers.lockboard.codec import Dialect, Listening, OpenReply, OpenRequest, Status
from drivers.lockboard.codec import StatusRequest as Question
from drivers.transport import Transport

SETTLES_MAX = 20
"""Gaps in which something may still be heard before a line counts as never silent."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How locks are, with the frame that says it."""

    status: Status
    frame: bytes


class Bus:
    """The line to some boards; the caller makes sure that calls do not overlap.

    Before each request the line must have been silent for a gap. Whatever comes before that is
    dropped: old bytes, a late answer, what a board says after a command to open.
    """

    def __init__(
        self, line: Transport, dialect: Dialect, *, gap_s: float, reply_timeout_s: float
    ) -> None:
        self._line = line
        self._dialect = dialect
        self._gap_s = gap_s
        self._reply_timeout_s = reply_timeout_s

    async def open(self) -> None:
        """Open the line."""
        await self._line.open()

    async def close(self) -> None:
        """Close the line; a pending request fails with LinkLost."""
        await self._line.close()

    async def settle(self) -> None:
        """Wait until the line is silent; raises ProtocolError when it never is."""
        self._line.discard()
        for _ in range(SETTLES_MAX):
            try:
                async with asyncio.timeout(self._gap_s):
                    await self._line.read()
            except TimeoutError:
                return
        raise ProtocolError("the line is never silent")

    async def status(self, question: Question) -> Heard:
        """Ask how locks are, once; raises ProtocolError, DeviceTimeout, LinkLost."""
        await self.settle()
        await self._line.write(self._dialect.encode_request(question))
        listening = Listening(self._dialect, question)
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                while True:
                    reply = listening.feed(await self._line.read())
                    if isinstance(reply, Status):
                        return Heard(reply, listening.frame)
        except TimeoutError as error:
            part = f" but {listening.frame.hex(' ')}" if listening.frame else ""
            raise DeviceTimeout(f"board {question.board}: no answer{part}") from error

    async def fire(self, request: OpenRequest) -> str:
        """Send a command to open, once; returns what the board says of it, "" for nothing.

        The caller has settled the line. Only LinkLost is raised, with moved UNKNOWN.
        """
        await self._line.write(self._dialect.encode_request(request))
        if not self._dialect.open_size:
            return ""
        listening = Listening(self._dialect, request)
        with contextlib.suppress(TimeoutError, ProtocolError):
            async with asyncio.timeout(self._reply_timeout_s):
                while True:
                    reply = listening.feed(await self._line.read())
                    if isinstance(reply, OpenReply):
                        return reply.word
        return ""
