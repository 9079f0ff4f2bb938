"""One command and its one answer on a line whose answers do not say what they answer."""

import asyncio
import contextlib
from dataclasses import dataclass
from decimal import Decimal

from drivers.dialect import (
    Command,
    Dialect,
    Done,
    Doubt,
    Expect,
    Refused,
    Said,
    Shown,
    Status,
    Tare,
    Told,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    Moved,
    NotStable,
    ProtocolError,
    Unsupported,
)
from drivers.transport import LinkLost, Transport
from drivers.weighing import Garbage

QUIET_S = 0.05
"""How long a line must be silent to count as idle."""
SILENCE_S = 0.2
"""How long to listen for a refusal of a command that is normally not answered."""
DRAIN_MAX = 64
"""Pieces skipped until a line is quiet, before it counts as one that never is."""
FRAMES_MAX = 4
"""Frames looked at for one answer: an echo, late acknowledgements, the answer."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: the frame as sent, and what it says."""

    frame: bytes
    said: Said


class NoAnswerError(DeviceTimeout):
    """Nothing at all came back: the command may have been understood as another one."""


class Channel:
    """The line to one scale; the caller makes sure that calls do not overlap.

    After an exchange that failed, for whatever reason, the next one waits until the line is quiet:
    shortly after a damaged answer, for a whole line timeout after a missing one, which may be late.
    """

    def __init__(
        self,
        line: Transport,
        dialect: Dialect,
        garbage: Garbage,
        reference: "Reference",
        *,
        line_timeout_s: float,
        gap_s: float,
    ) -> None:
        self._line = line
        self._dialect = dialect
        self._note = garbage.note
        self._reference = reference
        self._line_timeout_s = line_timeout_s
        self._gap_s = gap_s
        self._splitter = dialect.splitter()
        self._frames: list[bytes] = []
        self._quiet_at = 0.0  # when a line that is out of step may be quiet; 0: it is in step
        self._missed = False
        self._again_at = 0.0

    async def open(self) -> None:
        """Open the line; one that is not silent is left until it is before the first command."""
        await self._line.open()
        self._forget()
        self._missed = False
        self._out_of_step(QUIET_S)

    async def close(self) -> None:
        """Close the line; a pending exchange fails with LinkLost."""
        await self._line.close()

    async def ask(self, command: Command, *, deadline: float) -> Heard:
        """Send a command and return its answer; all ends at `deadline`.

        Raises DeviceTimeout, LinkLost, ProtocolError when anything came but exactly one answer,
        and, where the scale refuses, NotStable, Unsupported or DeviceRefused.
        """
        loop = asyncio.get_running_loop()
        if self._quiet_at:
            await self._get_in_step(deadline)
        await self._pause(deadline)
        stray = self._line.discard()
        if stray or self._frames:
            self._skip(stray)
            self._forget()
            self._out_of_step(QUIET_S)
            raise ProtocolError(f"unasked: {stray[:40]!r}")
        self._forget()
        self._reference.asked(command)
        self._missed = True
        self._out_of_step(2 * self._line_timeout_s)  # until then the answer may come, though late
        await self._write(command.data)
        allowed_s = self._line_timeout_s
        if command.expect is Expect.SILENCE:
            allowed_s = min(allowed_s / 4, SILENCE_S)
        try:
            heard = await self._answer(command, min(deadline, loop.time() + allowed_s))
        finally:
            self._again_at = loop.time() + self._gap_s
        self._in_step()
        return heard

    async def _answer(self, command: Command, until: float) -> Heard:
        for _ in range(FRAMES_MAX):
            frame = await self._next_frame(until)
            if frame is None:
                if command.expect is Expect.SILENCE:
                    return Heard(b"", Done())
                raise NoAnswerError("no answer in time")
            if frame == command.data.rstrip(b"\r\n"):
                continue  # a line that echoes
            self._reference.heard(None)
            said = self._said(command, frame)
            self._reference.heard(said)
            if isinstance(said, Done) and command.expect is not Expect.SILENCE:
                continue  # an acknowledgement of the command before
            if isinstance(said, Refused):
                self._in_step()
                if command.expect is Expect.WEIGHT and said.busy:
                    return Heard(frame, said)
                self._raise_refusal(command, said)
            if not _fits(command.expect, said):
                self._spoilt(frame)
                raise ProtocolError(f"asked {command.data!r}, heard {frame[:40]!r}")
            self._check_alone(frame)
            return Heard(frame, said)
        raise ProtocolError(f"no answer within {FRAMES_MAX} frames")

    def _said(self, command: Command, frame: bytes) -> Said:
        read = self._dialect.decode
        if command.expect is Expect.TEXT and self._dialect.decode_text is not None:
            read = self._dialect.decode_text
        try:
            return read(frame)
        except ProtocolError:
            self._spoilt(frame)
            raise

    def _raise_refusal(self, command: Command, said: Refused) -> None:
        text = f"{command.data!r} was refused: {said.reason}"
        if command.expect is Expect.WEIGHT and not said.busy:
            raise ProtocolError(text)  # the command did not arrive as it was sent
        if said.busy:
            raise NotStable(text)
        if command.expect is Expect.TEXT:
            raise Unsupported(text)
        raise DeviceRefused(text, reason=said.reason)

    def _spoilt(self, frame: bytes) -> None:
        """Note a frame that is none of ours; the line is idle soon after."""
        self._note(frame)
        self._missed = False
        self._out_of_step(QUIET_S)

    def _out_of_step(self, quiet_s: float) -> None:
        self._quiet_at = asyncio.get_running_loop().time() + quiet_s

    def _in_step(self) -> None:
        self._quiet_at = 0.0
        self._missed = False

    def _check_alone(self, frame: bytes) -> None:
        """Refuse an answer with something else behind it."""
        if self._frames or self._splitter.pending:
            self._spoilt(self._forget())
            raise ProtocolError(f"more than one answer: {frame[:40]!r}, then more")

    async def _next_frame(self, until: float) -> bytes | None:
        """Return the next frame, None when there is none in time."""
        try:
            async with asyncio.timeout_at(until):
                while not self._frames:
                    data = await self._line.read()
                    try:
                        self._frames = self._splitter.feed(data)
                    except ProtocolError:
                        self._spoilt(data)
                        raise
        except TimeoutError:
            if not self._splitter.pending:
                return None
            self._spoilt(self._forget())
            self._missed = True  # the rest may come late, or the scale only echoes
            raise ProtocolError("an answer without an end") from None
        return self._frames.pop(0)

    async def _write(self, data: bytes) -> None:
        try:
            await self._line.write(data)
        except LinkLost as lost:
            lost.moved = Moved.NO  # no command of a scale moves stock
            raise

    async def _pause(self, deadline: float) -> None:
        """Keep the scale's least time between two commands."""
        wait_s = self._again_at - asyncio.get_running_loop().time()
        if wait_s <= 0:
            return
        if self._again_at >= deadline:
            raise DeviceTimeout("no time is left for a command")
        await asyncio.sleep(wait_s)

    async def _get_in_step(self, deadline: float) -> None:
        """Skip what arrives until the line is quiet."""
        if self._missed and self._dialect.recover is not None:
            await self._pause(deadline)
            await self._write(self._dialect.recover.data)
            self._again_at = asyncio.get_running_loop().time() + self._gap_s
        for _ in range(DRAIN_MAX):
            try:
                async with asyncio.timeout_at(min(self._quiet_at, deadline)):
                    self._skip(await self._line.read())
            except TimeoutError:
                if self._quiet_at > deadline:
                    raise DeviceTimeout("the line is not quiet in time") from None
                self._forget()
                self._in_step()
                return
            now = asyncio.get_running_loop().time()
            self._quiet_at = max(self._quiet_at, now + QUIET_S)
        raise DeviceTimeout("the line is never quiet")

    def _skip(self, data: bytes) -> None:
        """Note what nobody waits for any more; a late answer still tells a little."""
        self._note(data)
        try:
            frames = self._frames + self._splitter.feed(data)
        except ProtocolError:
            return
        self._frames = []
        for frame in frames:
            self._reference.heard(None)
            with contextlib.suppress(ProtocolError):
                self._reference.heard(self._dialect.decode(frame))

    def _forget(self) -> bytes:
        """Drop what was read and not used; return the whole frames of it."""
        rest = b"".join(self._frames)
        self._frames = []
        self._splitter.reset()
        return rest


class Reference:
    """Whether zero and tare are still what they were set to, as far as can be known.

    A dialect that marks net weights shows a tare that nobody here has set. Where it does not, and a
    damaged command may have become another one, the reference is in doubt until the same weight as
    before is seen, or zero or tare are set.
    """

    def __init__(self, doubt: Doubt) -> None:
        self._kind = doubt
        self._begun = False
        self._net: bool | None = None
        self._mismatch = False
        self._in_doubt = False
        self._unanswered = False
        self._last: Decimal | None = None

    def begin(self, said: Said) -> None:
        """Take what a scale shows that is connected for the first time as it is."""
        if not self._begun and isinstance(said, Shown):
            self.settle(said)

    def settle(self, said: Said | None) -> None:
        """Note that zero or tare were set, and what the scale showed then."""
        self._begun = True
        self._mismatch = self._in_doubt = False
        self._net = said.net if isinstance(said, Shown) else None
        self._last = said.value if isinstance(said, Shown) else None

    def asked(self, command: Command) -> None:
        """Note that a command goes out; what was asked before will not be answered any more."""
        if self._unanswered:
            self._in_doubt = self._in_doubt or self._net is None
        self._unanswered = self._kind is not Doubt.NEVER and command.expect is Expect.WEIGHT

    def heard(self, said: Said | None) -> None:
        """Note a frame that came, None for one that is not read yet."""
        if said is None:
            proven = self._kind is Doubt.SILENCE
        else:
            proven = _fits(Expect.WEIGHT, said) or (isinstance(said, Refused) and said.busy)
        self._unanswered = self._unanswered and not proven

    def trust(self, shown: Shown) -> None:
        """Note a weight that agreed."""
        if self._net is None and not self._in_doubt:
            self._net = shown.net
        self._mismatch = None not in (self._net, shown.net) and self._net != shown.net
        if not self._in_doubt or shown.value == self._last:
            self._in_doubt = False
            self._last = shown.value
        else:
            self._last = None  # what changes now is not known

    def check(self, name: str) -> None:
        """Raise DeviceFault `reference` when the reference is not known."""
        if self._mismatch or self._in_doubt:
            why = "net and gross changed" if self._mismatch else "a command went unanswered"
            raise DeviceFault(
                f"{name}: {why}; zero or tare may have moved: set one of them",
                reason="reference",
                moved=Moved.NO,
            )


def _fits(expect: Expect, said: Said) -> bool:
    match expect:
        case Expect.WEIGHT:
            return isinstance(said, Shown) or (isinstance(said, Status) and said.explains)
        case Expect.STATUS:
            return isinstance(said, Status)
        case Expect.TARE:
            return isinstance(said, Tare)
        case Expect.TEXT:
            return isinstance(said, Told)
        case Expect.SILENCE:
            return isinstance(said, Done)
