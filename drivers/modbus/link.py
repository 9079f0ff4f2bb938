"""One request and its one answer on Modbus, and not taking a late answer for the awaited one.

Why not pymodbus: its RTU client hands a late answer to the next request of the same kind, which is
a stale weight, and repeats a write that was not answered, which is a second tare. On TCP a number
tells answers apart. On RTU nothing does but the length, so that reads of one block take different
lengths in turn; and after as many unanswered requests as there are lengths, the line must be silent
for a whole timeout before the next one.
"""

import asyncio

from drivers.base import DeviceTimeout, Moved
from drivers.modbus.codec import Answer, AnswerFinder, Envelope, Framing, Request, encode_request
from drivers.transport import LinkLost, Transport
from drivers.weighing import Garbage

_NUMBERS = 0x10000


class Link:
    """The line to one scale; the caller makes sure that calls do not overlap."""

    def __init__(
        self,
        line: Transport,
        garbage: Garbage,
        *,
        envelope: Envelope,
        timeout_s: float,
        silence_s: float,
        lengths: int,
    ) -> None:
        self._line = line
        self._garbage = garbage
        self._envelope = envelope
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        self._lengths = lengths
        self._number = 0
        self._unanswered = 0
        self._free_at = 0.0

    async def open(self) -> None:
        """Open the line."""
        await self._line.open()
        self._unanswered = 0

    async def close(self) -> None:
        """Close the line; a pending exchange fails with LinkLost."""
        await self._line.close()

    async def ask(self, request: Request, deadline: float) -> Answer:
        """Send a request once and return its answer; raises DeviceTimeout, LinkLost."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await self._clear()
                self._garbage.note(self._line.discard())
                self._number = (self._number + 1) % _NUMBERS
                framing, unit = self._envelope.framing, self._envelope.unit
                envelope = Envelope(framing, unit, self._number)
                finder = AnswerFinder(request, envelope)
                self._unanswered += 1
                await self._write(envelope.wrap(encode_request(request)))
                until = min(deadline, loop.time() + self._timeout_s)
                answer = await self._answer(finder, until)
        except TimeoutError as error:
            raise DeviceTimeout("no answer in time") from error
        self._unanswered = 0
        return answer

    async def _clear(self) -> None:
        """Keep the silence between frames; wait for a long one when answers may still come."""
        now = asyncio.get_running_loop().time()
        if self._envelope.framing is Framing.RTU and self._unanswered >= self._lengths:
            await self._wait_for_silence()
            self._unanswered = 0
        elif now < self._free_at:
            await asyncio.sleep(self._free_at - now)

    async def _wait_for_silence(self) -> None:
        """Read until nothing came for a whole timeout; the caller's deadline ends it."""
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    self._garbage.note(await self._line.read())
            except TimeoutError:
                return

    async def _answer(self, finder: AnswerFinder, until: float) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(until):
                while True:
                    answer = finder.feed(await self._line.read())
                    if answer is not None:
                        return answer
        finally:
            self._free_at = loop.time() + self._silence_s
            self._garbage.note(finder.skipped)

    async def _write(self, frame: bytes) -> None:
        try:
            await self._line.write(frame)
        except LinkLost as lost:
            lost.moved = Moved.NO  # no command of a scale moves stock
            raise
