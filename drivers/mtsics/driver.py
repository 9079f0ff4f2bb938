"""A scale over MT-SICS: one outstanding command, a deadline on every wait, agreement before trust.

Implements levels 0 and 1 (SI, T, TA, TAC, Z, I0 to I4, @), and of level 2 what the scale lists in
I0: SIU, SNR, PW, I5, I10, I11, I14. Source: see `codec`; tested against the simulator and an
independent client, not on hardware. The protocol has no checksum, so
whatever is relied on (a weight, a tare, the serial number) is asked until the same line came twice
in a row on a line with parity, three times without. An answer that does not fit its command, or
came with more than was asked for, counts as nothing (see `link`).
"""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal

from drivers.base import (
    DeviceSpec,
    Identity,
    Sink,
    WeightReading,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.mtsics.codec import (
    Answer,
    Command,
    HardwareError,
    Misunderstood,
    Reason,
    Refusal,
    Reply,
    Text,
    Weight,
    WeightStatus,
    capacity,
    decode,
)
from drivers.mtsics.link import LINES_MAX, Heard, Link, NotUnderstoodError
from drivers.mtsics.options import parse_options
from drivers.transport import Transport, transport_for
from drivers.weighing import (
    Failures,
    Garbage,
    Streak,
    Turns,
    Window,
    agreed,
    check_unit,
    reads_needed,
)

TARES_MAX = 3
"""Tares taken and not confirmed before a call gives up."""
CALL_TIMEOUTS = 4
"""Calls without a timeout of their own may take this many line timeouts."""
IDENTIFY_TIMEOUTS = 12
"""Identifying the scale may take this many line timeouts."""
ABOUT = ("I1", "I2", "I3", "I4", "I5", "I10", "I11", "I14")
"""Questions about the scale itself: levels, model and capacity, software, serial number, software
number, name given by the owner, type, details."""
_TARE_LIMIT = Decimal(10**9)
_ERRORS: dict[Reason, type[DriverError]] = {
    Reason.BUSY: NotStable,
    Reason.OVER: Overload,
    Reason.UNDER: Underload,
}


def _unknown(command: Command, errors: Sequence[DriverError]) -> DriverError | None:
    """Return what a row of failures means: a scale that only answers ES lacks the command."""
    if all(
        isinstance(each, NotUnderstoodError) and each.kind is Misunderstood.SYNTAX
        for each in errors
    ):
        return Unsupported(f"the scale does not know {command.name}")
    return None


class MtsicsDriver:
    """A scale (see `drivers.base.Scale`); the options are `drivers.mtsics.options.Options`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        self._name = spec.name
        self._options = parse_options(spec.options)
        line = transport or transport_for(spec.address)
        garbage = Garbage(sink)
        self._turns = Turns(spec.name, garbage)
        self._link = Link(line, garbage, line_timeout_s=self._options.line_timeout_s)
        self._need = reads_needed(self._options.agreeing_reads, parity=line.parity)
        self._identity = Identity()
        self._limit: Decimal | None = None
        self._known: frozenset[str] = frozenset()

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the line and identify the scale; DeviceUnavailable when it is not the pinned one."""
        async with contextlib.AsyncExitStack() as undo:
            async with self._turns.connecting():
                await self._link.open()
                undo.push_async_callback(self._link.close)
                await self._identify()
            undo.pop_all()
        return self._identity

    async def watch(self) -> None:
        """Check the serial number at an interval; raises when the link is lost or it differs."""
        await self._turns.watch(self._options.watch_interval_s, self._look)

    async def close(self) -> None:
        """Close the line; calls in progress fail with DeviceUnavailable."""
        self._turns.down()
        await self._link.close()

    # ------------------------------------------------------------ scale

    async def read(self) -> WeightReading:
        """Return the weight now, stable or not; one read, never to be booked."""
        async with self._turns.hold(CALL_TIMEOUTS * self._options.line_timeout_s) as deadline:
            return self._reading(await self._net(deadline, need=1, settled=False))

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        """Return a stable weight that agreed and is plausible.

        Raises NotStable, Overload, Underload, Disagreement, DeviceFault (`implausible`, `unit`, the
        scale's own, or `reference` when a damaged command may have moved zero or tare, until one of
        them is set again), DeviceTimeout, ProtocolError, DeviceUnavailable; Unsupported when there
        is no upper limit, neither from the scale nor as option `plausible_max`.
        """
        async with self._turns.hold(timeout_s) as deadline:
            return await self._weigh(deadline)

    async def _weigh(self, deadline: float) -> WeightReading:
        most = self._options.plausible_max or self._limit
        if most is None:
            unit = self._options.unit
            raise Unsupported(f"{self._name}: no capacity in {unit} known; set plausible_max")
        window = Window(self._options.plausible_min, most)
        heard = await self._net(deadline, need=self._need, settled=True)
        return window.check(self._name, self._reading(heard))

    async def zero(self, *, timeout_s: float) -> None:
        """Set the zero point; asked until confirmed often enough, which does not change the end."""
        async with self._turns.hold(timeout_s) as deadline:
            await self._agreed(Command("Z"), deadline, wait_s=self._options.stability_timeout_s)
            self._link.unasked = ""

    async def tare(self, *, timeout_s: float) -> WeightReading:
        """Take the present load as tare and return it, confirmed by the tare memory."""
        async with self._turns.hold(timeout_s) as deadline:
            seen = []
            for _ in range(TARES_MAX):
                heard = await self._agreed(
                    Command("T"), deadline, wait_s=self._options.stability_timeout_s, need=1
                )
                taken = self._reading(heard)
                held = await self._tare_memory(deadline)
                if held == taken.value:
                    self._link.unasked = ""
                    return taken
                seen.append(f"took {taken.value}, holds {held}")
            raise Disagreement(f"{self._name}: tare is not confirmed: {'; '.join(seen)}")

    async def set_tare(self, tare: WeightReading | None) -> None:
        """Make `tare` the tare weight; None clears it. DeviceRefused when that cannot be."""
        wanted = Decimal(0) if tare is None else tare.value
        unit = self._options.unit if tare is None else tare.unit
        if unit != self._options.unit or not wanted.is_finite() or not 0 <= wanted < _TARE_LIMIT:
            raise DeviceRefused(f"{self._name}: no tare of {wanted} {unit}", reason="L")
        async with self._turns.hold(self._options.stability_timeout_s) as deadline:
            await self._write_tare(wanted, deadline)
            if self._link.unasked in ("T", "TI"):
                self._link.unasked = ""

    # ------------------------------------------------------------ beyond a scale

    async def commands(self) -> frozenset[str]:
        """Return the commands that the scale says it knows (I0); asked once for a connection."""
        async with self._turns.hold(LINES_MAX * self._options.line_timeout_s) as deadline:
            return await self._commands(deadline)

    async def about(self) -> Mapping[str, tuple[str, ...]]:
        """Return what the scale says of itself: the answers to those of ABOUT that it lists.

        The words of one answer stand in their order, those of several lines behind each other.
        """
        told: dict[str, tuple[str, ...]] = {}
        async with self._turns.hold(LINES_MAX * self._options.line_timeout_s) as deadline:
            listed = await self._commands(deadline)
            for name in ABOUT:
                if name in listed:
                    heard = await self._agreed(Command(name), deadline)
                    told[name] = tuple(word for line in heard.lines for word in _words(line))
        return told

    async def shown(self, *, timeout_s: float) -> WeightReading:
        """Return the stable value in the unit of the display (SIU), which may be `PCS` or `%`.

        It has agreed as a weight must; what the unit means is for the caller to know. Raises as
        `weigh` does, Unsupported where I0 does not list SIU.
        """
        async with self._turns.hold(timeout_s) as deadline:
            await self._need_command("SIU", deadline)
            reply = (await self._net(deadline, need=self._need, settled=True, name="SIU")).reply
            if not isinstance(reply, Weight):
                raise ProtocolError(f"{self._name}: a weight was expected, not {reply}")
            return WeightReading(reply.value, reply.unit, reply.status is WeightStatus.STABLE)

    async def weigh_next(self, *, timeout_s: float) -> WeightReading:
        """Wait until the load has changed and rests again (SNR), then return it as `weigh` does.

        A change is at least 12.5 % of the last weight and 30 digits. Raises as `weigh` does,
        DeviceTimeout when nothing changed in time, Unsupported where I0 does not list SNR.
        """
        async with self._turns.hold(timeout_s) as deadline:
            await self._need_command("SNR", deadline)
            before = await self._weigh(deadline)
            while True:
                with contextlib.suppress(ProtocolError):  # damaged on the way: look what is true
                    await self._link.await_change(Command("SNR"), before.value, deadline=deadline)
                after = await self._weigh(deadline)
                if after.value != before.value:
                    return after

    async def piece_weight(self) -> WeightReading:
        """Return the weight of one piece that the scale counts with (PW)."""
        async with self._turns.hold(self._options.stability_timeout_s) as deadline:
            await self._need_command("PW", deadline)
            return await self._piece_weight(deadline)

    async def set_piece_weight(self, piece: WeightReading) -> None:
        """Make `piece` the weight of one piece; DeviceRefused when that cannot be."""
        wanted, unit = piece.value, self._options.unit
        if piece.unit != unit or not wanted.is_finite() or not 0 < wanted < _TARE_LIMIT:
            raise DeviceRefused(f"{self._name}: no piece of {wanted} {piece.unit}", reason="L")
        async with self._turns.hold(self._options.stability_timeout_s) as deadline:
            await self._need_command("PW", deadline)
            await self._agreed(Command("PW", (f"{wanted:f}", unit)), deadline)
            held = (await self._piece_weight(deadline)).value
            if held != wanted:
                raise Disagreement(f"{self._name}: {wanted} {unit} was asked, it counts by {held}")

    async def _piece_weight(self, deadline: float) -> WeightReading:
        return self._reading(await self._agreed(Command("PW"), deadline))

    async def _commands(self, deadline: float) -> frozenset[str]:
        if not self._known:
            heard = await self._agreed(Command("I0"), deadline)
            self._known = frozenset(name for name in map(_listed, heard.lines) if name is not None)
        return self._known

    async def _need_command(self, name: str, deadline: float) -> None:
        if name not in await self._commands(deadline):
            raise Unsupported(f"{self._name}: the scale does not list {name}")

    # ------------------------------------------------------------ turns

    async def _agreed(
        self,
        command: Command,
        deadline: float,
        *,
        wait_s: float | None = None,
        need: int | None = None,
    ) -> Heard:
        """Ask until the same answer came `need` times in a row; a refusal raises at once."""
        wait_s = self._options.line_timeout_s if wait_s is None else wait_s

        def refused(heard: Heard) -> bool:
            self._raise_refusal(heard.reply)
            return False

        return await self._until_agreed(
            lambda: self._link.ask(command, wait_s=wait_s, deadline=deadline),
            command,
            deadline,
            need=need or self._need,
            unsettled=refused,
        )

    async def _net(self, deadline: float, *, need: int, settled: bool, name: str = "SI") -> Heard:
        """Ask for the weight until the same answer came `need` times in a row.

        With `settled` a moving or busy scale is asked again until the deadline, and over and under
        range must agree as a weight must.
        """
        command = Command(name)

        async def ask() -> Heard:
            if settled:
                self._check_reference()
            return await self._link.ask(
                command, wait_s=self._options.line_timeout_s, deadline=deadline
            )

        heard = await self._until_agreed(
            ask, command, deadline, need=need, unsettled=_unsettled if settled else _any
        )
        self._raise_refusal(heard.reply)
        return heard

    async def _until_agreed(
        self,
        ask: Callable[[], Awaitable[Heard]],
        command: Command,
        deadline: float,
        *,
        need: int,
        unsettled: Callable[[Heard], bool],
    ) -> Heard:
        failures = Failures(deadline, meaning=functools.partial(_unknown, command))
        streak = Streak[Heard](need, lambda heard: heard.lines)
        return await agreed(
            ask,
            streak,
            failures,
            deadline=deadline,
            name=f"{self._name}: {command.name}",
            unsettled=unsettled,
        )

    def _check_reference(self) -> None:
        if self._link.unasked:
            raise DeviceFault(
                f"{self._name}: answered {self._link.unasked} unasked; zero or tare it",
                reason="reference",
                moved=Moved.NO,
            )

    # ------------------------------------------------------------ meaning

    def _raise_refusal(self, reply: Reply) -> None:
        """Raise what a refusal or the scale's own fault means."""
        if isinstance(reply, HardwareError):
            raise DeviceFault(
                f"{self._name}: {reply.meaning} ({reply.number}{reply.source})",
                reason=f"{reply.number}{reply.source}",
                moved=Moved.NO,
            )
        if isinstance(reply, Refusal):
            text = f"{self._name}: {reply.command} refused with {reply.reason}"
            error = _ERRORS.get(reply.reason)
            raise error(text) if error else DeviceRefused(text, reason=reply.reason)

    def _reading(self, heard: Heard) -> WeightReading:
        reply = heard.reply
        if not isinstance(reply, Weight):
            raise ProtocolError(f"{self._name}: a weight was expected, not {heard.lines[-1]!r}")
        check_unit(self._name, reply.unit, self._options.unit)
        stable = reply.status is not WeightStatus.DYNAMIC
        return WeightReading(reply.value, reply.unit, stable, heard.lines[-1])

    # ------------------------------------------------------------ identity

    async def _identify(self) -> None:
        allowed_s = IDENTIFY_TIMEOUTS * self._options.line_timeout_s
        deadline = asyncio.get_running_loop().time() + allowed_s
        self._known = frozenset()
        serial = await self._serial(deadline)
        wanted = self._options.serial
        if wanted and serial != wanted:
            raise DeviceUnavailable(f"{self._name}: scale {wanted} is configured, {serial} answers")
        data = capacity(_answer(await self._agreed(Command("I2"), deadline)))
        software = _texts(_answer(await self._agreed(Command("I3"), deadline)))
        model, limit, unit = data or ("", None, "")
        self._limit = limit if unit == self._options.unit else None
        self._identity = Identity(model=model, serial=serial, firmware=software)

    async def _serial(self, deadline: float) -> str:
        return _texts(_answer(await self._agreed(Command("I4"), deadline)))

    async def _look(self) -> None:
        """Ask once whether the scale is there and the same; a doubt is settled by agreement."""
        async with self._turns.hold(IDENTIFY_TIMEOUTS * self._options.line_timeout_s) as deadline:
            heard = await self._link.ask(
                Command("I4"), wait_s=self._options.line_timeout_s, deadline=deadline
            )
            known = self._identity.serial
            if isinstance(heard.reply, Refusal) or _texts(_answer(heard)) == known:
                return
            serial = await self._serial(deadline)
            if serial != known:
                raise DeviceUnavailable(f"{self._name}: scale {serial} took the place of {known}")

    # ------------------------------------------------------------ tare

    async def _tare_memory(self, deadline: float) -> Decimal:
        return self._reading(await self._agreed(Command("TA"), deadline)).value

    async def _write_tare(self, wanted: Decimal, deadline: float) -> None:
        """Make the tare memory hold `wanted`, rounded to the digits of the scale."""
        command = Command("TA", (f"{wanted:f}", self._options.unit)) if wanted else Command("TAC")
        held = Decimal(0)
        for _ in range(TARES_MAX):
            await self._agreed(command, deadline)
            held = await self._tare_memory(deadline)
            if held == wanted.quantize(held):
                return
        raise Disagreement(f"{self._name}: tare {wanted} was asked, the scale holds {held}")


def _answer(heard: Heard) -> Answer:
    if isinstance(heard.reply, Answer):
        return heard.reply
    raise ProtocolError(f"an answer without weight was expected, not {heard.lines[-1]!r}")


def _texts(answer: Answer) -> str:
    return " ".join(each.value for each in answer.arguments if isinstance(each, Text))


def _words(line: bytes) -> tuple[str, ...]:
    """Return the words and texts of one line of an answer."""
    reply = decode(line)
    if not isinstance(reply, Answer):
        return ()
    return tuple(each.value if isinstance(each, Text) else each for each in reply.arguments)


def _any(_heard: Heard) -> bool:
    return False


def _unsettled(heard: Heard) -> bool:
    """Whether a scale that moves or is busy has said so."""
    reply = heard.reply
    if isinstance(reply, Weight):
        return reply.status is WeightStatus.DYNAMIC
    return isinstance(reply, Refusal) and reply.reason is Reason.BUSY


def _listed(line: bytes) -> str | None:
    """Return the command that one line of an I0 answer names."""
    match decode(line):
        case Answer(arguments=(_, Text(name))):
            return name
        case _:
            return None
