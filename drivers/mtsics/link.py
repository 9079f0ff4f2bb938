"""One command and its one answer on an MT-SICS line, and getting back in step when that fails."""

import asyncio
import contextlib
import math
from dataclasses import dataclass
from decimal import Decimal

from drivers.errors import DeviceTimeout, Moved, ProtocolError
from drivers.framing import LineSplitter
from drivers.mtsics.codec import (
    END,
    LINE_MAX,
    Answer,
    Command,
    LineError,
    Misunderstood,
    Refusal,
    Reply,
    ReplyStatus,
    Weight,
    decode,
    encode_command,
)
from drivers.transport import LinkLost, Transport
from drivers.weighing import Garbage

TRIES_MAX = 3
"""Tries to bring the line in step."""
LINES_MAX = 200
"""Lines of one answer, or skipped while the line is brought in step."""
QUIET_S = 0.05
"""How long the line must be silent after opening to count as idle."""
_ANSWERED_AS = {
    "@": ("I4",),
    **dict.fromkeys(("SI", "SIU", "SU", "SR", "SRU", "SNR", "SNRU"), ("S",)),
}
"""Commands whose answer has another name. Source: 11781363, commands @, SI, SIU, SNR, SR, SU."""

_MOVES_REFERENCE = frozenset({"Z", "ZI", "T", "TI", "TAC"})
"""Commands that move zero or tare. One byte makes T of TA, one bit TI of TA, two bits ZI of SI."""
_REPEATED = frozenset({"SR", "SRU", "SNR", "SNRU"})
"""Commands that go on answering until SI."""
_WAIT = ("T", "Z")
"""Commands sent here whose answer may wait for stability."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer; `lines` are all its lines as sent, `reply` is the last."""

    reply: Reply
    lines: tuple[bytes, ...]


class NotUnderstoodError(ProtocolError):
    """The scale answered ES, ET or EL: the command did not arrive as sent, or is unknown to it."""

    def __init__(self, message: str, kind: Misunderstood) -> None:
        super().__init__(message)
        self.kind = kind


class Link:
    """The line to one scale; the caller makes sure that calls do not overlap.

    After an exchange that failed, for whatever reason, the next one brings the line in step first:
    it asks for the serial number and skips all that comes before that. Only after T and Z, which
    may still wait for stability, it sends `@`, which cancels them; some scales clear their tare
    then.

    `unasked` names a command that moves zero or tare and was answered although it was never sent,
    because another was damaged on its way; the caller clears it when the reference is set again.
    """

    def __init__(self, line: Transport, garbage: Garbage, *, line_timeout_s: float) -> None:
        self._line = line
        self._note = garbage.note
        self._line_timeout_s = line_timeout_s
        self._splitter = LineSplitter(LINE_MAX)
        self._lines: list[bytes] = []
        self._dirty = False
        self._asked = ""
        self._streaming = False
        self.unasked = ""

    async def open(self) -> None:
        """Open the line; one that is not silent is brought in step before the first command."""
        await self._line.open()
        self._forget()
        self._dirty = self._streaming = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                self._note(await self._line.read())
                self._dirty = True

    async def close(self) -> None:
        """Close the line; a pending exchange fails with LinkLost."""
        await self._line.close()

    async def ask(self, command: Command, *, wait_s: float, deadline: float) -> Heard:
        """Send a command and return its answer, which may take `wait_s`; all ends at `deadline`.

        Raises DeviceTimeout, LinkLost, NotUnderstoodError; ProtocolError when anything else came
        than exactly one answer to this command.
        """
        if self._dirty:
            await self._get_in_step(deadline)
        self._dirty = True
        self._asked = command.name
        self._streaming = command.name in _REPEATED
        self._note(self._line.discard() + self._forget())
        await self._write(command)
        until = min(deadline, asyncio.get_running_loop().time() + wait_s)
        heard = await self._answer(command, until)
        self._dirty = self._streaming
        return heard

    async def await_change(self, command: Command, before: Decimal, *, deadline: float) -> None:
        """Send a command that goes on answering; return once an answer is not the weight before.

        What the scale says then is not believed, a damaged answer counts too, and the next `ask`
        ends it. Raises DeviceTimeout, LinkLost, and what a damaged first answer raises in `ask`.
        """
        reply = (await self.ask(command, wait_s=math.inf, deadline=deadline)).reply
        while isinstance(reply, Weight) and reply.value == before:
            try:
                reply = self._understood(await self._next_line(deadline))
            except ProtocolError:
                return

    async def _answer(self, command: Command, until: float) -> Heard:
        names = _ANSWERED_AS.get(command.name, (command.name,))
        lines: list[bytes] = []
        while len(lines) < LINES_MAX:
            line = await self._next_line(until)
            reply = self._understood(line)
            if isinstance(reply, LineError):
                self._dirty = False  # the answer to this command, and its end
                raise NotUnderstoodError(f"{command.name} answered {reply.kind}", reply.kind)
            if reply.command not in names:
                self._note(line + END)
                self._suspect(reply)
                raise ProtocolError(f"asked {command.name}, heard {line!r}")
            lines.append(line)
            if not (isinstance(reply, Answer) and reply.status is ReplyStatus.MORE):
                self._check_alone(line)
                return Heard(reply, tuple(lines))
        raise ProtocolError(f"{command.name}: more than {LINES_MAX} lines")

    def _suspect(self, reply: Reply) -> None:
        """Note an answer to a command that moves zero or tare and was not sent."""
        if isinstance(reply, LineError) or reply.command == self._asked:
            return
        if reply.command in _MOVES_REFERENCE:
            self.unasked = reply.command

    def _understood(self, line: bytes) -> Reply:
        try:
            return decode(line)
        except ProtocolError:
            self._note(line + END)
            raise

    def _check_alone(self, line: bytes) -> None:
        """Refuse an answer with something else behind it; the same line twice is a line's echo."""
        behind = [each for each in self._lines if each != line]
        if behind or self._splitter.pending:
            self._note(self._forget())
            raise ProtocolError(f"more than one answer: {line!r}, then more")
        self._lines.clear()

    async def _next_line(self, until: float) -> bytes:
        try:
            async with asyncio.timeout_at(until):
                while not self._lines:
                    data = await self._line.read()
                    try:
                        self._lines = self._splitter.feed(data)
                    except ProtocolError:
                        self._note(data)
                        raise
        except TimeoutError as error:
            raise DeviceTimeout("no answer in time") from error
        return self._lines.pop(0)

    async def _write(self, command: Command) -> None:
        try:
            await self._line.write(encode_command(command))
        except LinkLost as lost:
            lost.moved = Moved.NO  # no command of a scale moves stock
            raise

    async def _get_in_step(self, deadline: float) -> None:
        """Skip what is not the answer to a harmless question; DeviceTimeout when there is none."""
        if self._streaming:
            await self._end_stream(deadline)
        question = Command("@" if self._asked in _WAIT else "I4")
        for _ in range(TRIES_MAX):
            self._note(self._line.discard() + self._forget())
            await self._write(question)
            until = min(deadline, asyncio.get_running_loop().time() + self._line_timeout_s)
            if await self._skip_to_identity(until):
                self._dirty = False
                return
        raise DeviceTimeout(f"no answer to {question.name}")

    async def _end_stream(self, deadline: float) -> None:
        """Send SI, which ends it; one weight is skipped, and what follows is skipped later."""
        self._streaming = False
        await self._write(Command("SI"))
        until = min(deadline, asyncio.get_running_loop().time() + self._line_timeout_s)
        with contextlib.suppress(DeviceTimeout, ProtocolError):
            await self._next_line(until)
        self._line.discard()
        self._forget()

    async def _skip_to_identity(self, until: float) -> bool:
        for _ in range(LINES_MAX):
            try:
                line = await self._next_line(until)
                reply = self._understood(line)
            except DeviceTimeout:
                return False
            except ProtocolError:
                continue
            if isinstance(reply, Answer | Refusal) and reply.command == "I4" and not self._lines:
                return True
            self._suspect(reply)
        return False

    def _forget(self) -> bytes:
        """Drop what was read and not used; return the whole lines of it."""
        rest = b"".join(line + END for line in self._lines)
        self._lines = []
        self._splitter.reset()
        return rest
