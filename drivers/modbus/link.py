"""One request and its one answer on Modbus, and not taking a late answer for the awaited one.

Why not pymodbus: its RTU client hands a late answer to the next request of the same length, which
is a stale weight (measured with 3.16: the second read got the answer to the first, the third that
to the second), and by default repeats a write that was not answered, which is a second tare.

On TCP a number tells answers apart. On RTU nothing does but the length, so that reads of one block
take different lengths in turn. Once as many requests are unanswered as there are lengths, an answer
is believed only when nothing else comes for as long as the oldest of them is old: were it late by
that time or less, the answers to the requests in between would still be on their way and come then.
"""

import asyncio
from collections import deque

from drivers.errors import DeviceTimeout, Moved, ProtocolError
from drivers.modbus.codec import Answer, AnswerFinder, Envelope, Framing, Request, encode_request
from drivers.transport import LinkLost, Transport
from drivers.weighing import Garbage

HOLD_S = 10.0
"""How long a line or gateway is thought to hold back an answer; older requests are forgotten."""
UNANSWERED_MAX = 1000
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
        self._unanswered: deque[float] = deque(maxlen=UNANSWERED_MAX)
        self._free_at = 0.0

    async def open(self) -> None:
        """Open the line."""
        await self._line.open()

    async def close(self) -> None:
        """Close the line; a pending exchange fails with LinkLost."""
        await self._line.close()

    async def ask(self, request: Request, deadline: float) -> Answer:
        """Send a request once and return its answer.

        Raises DeviceTimeout, LinkLost; ProtocolError when the answer may be that to an older one.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(max(0.0, self._free_at - loop.time()))
                self._garbage.note(self._line.discard())
                self._number = (self._number + 1) % _NUMBERS
                framing, unit = self._envelope.framing, self._envelope.unit
                envelope = Envelope(framing, unit, self._number)
                finder = AnswerFinder(request, envelope)
                self._forget(loop.time() - HOLD_S)
                self._unanswered.append(loop.time())
                await self._write(envelope.wrap(encode_request(request)))
                until = min(deadline, loop.time() + self._timeout_s)
                answer = await self._answer(finder, until)
                await self._listen()
        except TimeoutError as error:
            raise DeviceTimeout("no answer in time") from error
        self._unanswered.clear()
        return answer

    async def _listen(self) -> None:
        """Refuse an answer behind which others come, when it may be late by all lengths."""
        now = asyncio.get_running_loop().time()
        if self._envelope.framing is Framing.TCP or len(self._unanswered) <= self._lengths:
            return
        try:
            async with asyncio.timeout(now - self._unanswered[0]):
                late = await self._line.read()
        except TimeoutError:
            return
        self._garbage.note(late)
        raise ProtocolError("late answers are still coming")

    def _forget(self, before: float) -> None:
        while self._unanswered and self._unanswered[0] < before:
            self._unanswered.popleft()

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
