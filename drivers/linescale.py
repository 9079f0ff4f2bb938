"""A scale that speaks one of the simple serial dialects: the part that all of them share.

One outstanding command, a deadline on every wait. None of the dialects has a checksum or says to
which command an answer belongs, so a weight that is relied on is asked until the same answer came
twice in a row on a line with parity, three times without; anything but exactly one answer to one
command counts as nothing, and the line is then left until it is quiet. A tare is set by weighing
and writing the weight where the dialect can do that, so that a net weight of 0 proves it.
"""

import asyncio
import contextlib
from dataclasses import replace
from decimal import Decimal

from drivers.base import (
    DeviceSpec,
    Identity,
    Sink,
    WeightReading,
)
from drivers.dialect import Command, Dialect, Refused, Shown, Status, Tare, Told
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.linechannel import Channel, Heard, Reference
from drivers.lineoptions import Options
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
"""Tares written and not confirmed before a call gives up."""
CALL_TIMEOUTS = 4
"""Calls without a timeout of their own may take this many line timeouts."""
IDENTIFY_TIMEOUTS = 12
"""Identifying the scale may take this many line timeouts."""


class LineScale:
    """A scale (see `drivers.base.Scale`) that speaks a dialect."""

    def __init__(
        self,
        spec: DeviceSpec,
        sink: Sink,
        dialect: Dialect,
        options: Options,
        *,
        transport: Transport | None = None,
    ) -> None:
        self._name = spec.name
        self._dialect = dialect
        self._options = options
        line = transport or transport_for(spec.address)
        garbage = Garbage(sink)
        self._turns = Turns(spec.name, garbage)
        gap_s = dialect.gap_s if options.gap_s is None else options.gap_s
        self._reference = Reference(dialect.doubt)
        self._channel = Channel(
            line,
            dialect,
            garbage,
            self._reference,
            line_timeout_s=options.line_timeout_s,
            gap_s=gap_s,
        )
        self._need = reads_needed(options.agreeing_reads, parity=line.parity)
        self._window = Window(options.plausible_min, options.plausible_max)
        self._serial = ""
        self._booked: Decimal | None = None
        self._taken = Decimal(0)  # tares taken where they can be neither told nor cleared

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the line and find the scale; DeviceUnavailable when it is not the pinned one."""
        async with contextlib.AsyncExitStack() as undo:
            async with self._turns.connecting():
                await self._channel.open()
                undo.push_async_callback(self._channel.close)
                allowed_s = IDENTIFY_TIMEOUTS * self._options.line_timeout_s
                identity = await self._identify(asyncio.get_running_loop().time() + allowed_s)
            undo.pop_all()
        return identity

    async def watch(self) -> None:
        """Ask the scale at an interval; raises when the link is lost or the scale was swapped."""
        await self._turns.watch(self._options.watch_interval_s, self._look)

    async def close(self) -> None:
        """Close the line; calls in progress fail with DeviceUnavailable."""
        self._turns.down()
        await self._channel.close()

    # ------------------------------------------------------------ scale

    async def read(self) -> WeightReading:
        """Return the weight now, stable or not; one read, never to be booked."""
        async with self._turns.hold(CALL_TIMEOUTS * self._options.line_timeout_s) as deadline:
            return self._reading(await self._weight(deadline, need=1, settled=False))

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        """Return a stable weight that agreed and is plausible.

        Raises NotStable, Overload, Underload, Disagreement, DeviceFault (`implausible`, `unit`, the
        scale's own, or `reference` when a damaged command or somebody at the scale may have moved
        zero or tare, until one of them is set again), DeviceTimeout, ProtocolError and
        DeviceUnavailable.
        """
        async with self._turns.hold(timeout_s) as deadline:
            reading = self._reading(await self._weight(deadline, need=self._need, settled=True))
            jump = self._options.jump_max
            if jump is not None and self._booked is not None:
                reading = await self._jumped(reading, self._booked, jump, deadline)
            self._reference.check(self._name)
            self._booked = self._window.check(self._name, reading).value
            return reading

    async def zero(self, *, timeout_s: float) -> None:
        """Set the zero point. DeviceRefused for a load beyond `zero_max`: a scale may tare it."""
        command = self._able(self._dialect.zero, "zero")
        async with self._turns.hold(timeout_s) as deadline:
            if self._dialect.tare_memory is not None:
                await self._clear(deadline)
            elif self._dialect.clear is not None:  # a weight below zero does not show net or gross
                await self._answer(deadline, need=1)  # it is ignored by a scale that moves
                await self._do(self._dialect.clear, deadline)
            before = await self._answer(deadline, need=self._need)
            if isinstance(before, Status) and not before.under:
                self._raise_status(before)
            gross = before.value + self._taken if isinstance(before, Shown) else Decimal(0)
            if abs(gross) > self._options.zero_max:
                raise DeviceRefused(
                    f"{self._name}: {gross} {self._options.unit} is too far from zero", reason="Z"
                )
            if self._taken and self._dialect.tare is not None:
                await self._do(self._dialect.tare, deadline)  # of an empty pan: clears the tare
            for _ in range(TARES_MAX):
                await self._do(command, deadline)
                if await self._is_zero(deadline):
                    return
            raise DeviceRefused(f"{self._name}: zero was not taken", reason="Z")

    async def tare(self, *, timeout_s: float) -> WeightReading:
        """Take the present load as tare and return it, confirmed by a net weight of 0.

        Where the dialect can only take a tare and neither clear nor set one, the weight returned is
        what went off the display, read just before, and the tares taken by this driver before: one
        that somebody took at the scale is not in it.
        """
        dialect = self._dialect
        if dialect.preset is None or dialect.clear is None:
            return await self._take_tare(self._able(dialect.tare, "tare"), timeout_s)
        async with self._turns.hold(timeout_s) as deadline:
            seen = []
            for _ in range(TARES_MAX):
                await self._clear(deadline)
                gross = self._reading(await self._weight(deadline, need=self._need, settled=True))
                if gross.value < 0:
                    raise DeviceRefused(f"{self._name}: no tare of {gross.value}", reason="T")
                if gross.value:
                    await self._do(dialect.preset(gross.value), deadline)
                net = await self._answer(deadline, need=self._need)
                if isinstance(net, Shown) and net.value == 0:
                    self._reference.settle(net)
                    return gross
                seen.append(f"took {gross.value}, then {net}")
            raise Disagreement(f"{self._name}: tare is not confirmed: {'; '.join(seen)}")

    async def set_tare(self, tare: WeightReading | None) -> None:
        """Make `tare` the tare weight; None clears it. DeviceRefused when that cannot be.

        It is confirmed by the difference that it makes to the weight, which must be stable.
        """
        self._able(self._dialect.clear, "clear a tare")
        wanted = Decimal(0) if tare is None else tare.value
        unit = self._options.unit if tare is None else tare.unit
        if unit != self._options.unit or not wanted.is_finite() or not self._can_hold(wanted):
            raise DeviceRefused(f"{self._name}: no tare of {wanted} {unit}", reason="T")
        preset = self._preset(wanted) if wanted else None
        async with self._turns.hold(self._options.stability_timeout_s) as deadline:
            await self._clear(deadline)
            if preset is None:
                self._reference.settle(None)
            elif self._dialect.tare_memory is not None:
                await self._write_memory(preset, wanted, deadline)
            else:
                await self._write_tare(preset, wanted, deadline)

    async def test(self, start: Command, result: Command, *, timeout_s: float) -> bytes:
        """Start the scale's own test and return the frame of its result, which must agree."""
        async with self._turns.hold(timeout_s) as deadline:
            await self._do(start, deadline)
            return (await self._same(result, deadline)).frame

    # ------------------------------------------------------------ tare

    async def _is_zero(self, deadline: float) -> bool:
        """Whether the scale shows zero, and no tare makes it do so."""
        after = await self._answer(deadline, need=self._need)
        if not isinstance(after, Shown) or after.value != 0 or after.net:
            return False
        memory = self._dialect.tare_memory
        if memory is not None and await self._held(memory, deadline) != 0:
            return False
        self._reference.settle(after)
        self._taken = Decimal(0)
        return True

    async def _clear(self, deadline: float) -> None:
        """Clear the tare; the tare memory, or a weight that is marked as gross, proves it."""
        command = self._able(self._dialect.clear, "clear a tare")
        for _ in range(TARES_MAX):
            await self._do(command, deadline)
            if self._dialect.tare_memory is not None:
                if await self._held(self._dialect.tare_memory, deadline) == 0:
                    return
                continue
            said = await self._answer(deadline, need=self._need)
            if isinstance(said, Status):
                self._raise_status(said)
            elif said.net is False:
                return
        raise Disagreement(f"{self._name}: the tare is not cleared")

    async def _write_memory(self, preset: Command, wanted: Decimal, deadline: float) -> None:
        held = Decimal(0)
        memory = self._able(self._dialect.tare_memory, "tell its tare")
        for _ in range(TARES_MAX):
            await self._do(preset, deadline)
            held = await self._held(memory, deadline)
            if held == wanted:
                self._reference.settle(None)
                return
        raise Disagreement(f"{self._name}: tare {wanted} was asked, the scale holds {held}")

    async def _write_tare(self, preset: Command, wanted: Decimal, deadline: float) -> None:
        """Set a tare and look at the difference that it makes to the weight."""
        seen = []
        for _ in range(TARES_MAX):
            gross = self._reading(await self._weight(deadline, need=self._need, settled=True))
            await self._do(preset, deadline)
            net = await self._answer(deadline, need=self._need)
            if isinstance(net, Shown) and net.net and gross.value - net.value == wanted:
                self._reference.settle(net)
                return
            seen.append(f"{gross.value} became {net}")
            await self._clear(deadline)
        raise Disagreement(f"{self._name}: tare {wanted} was asked: {'; '.join(seen)}")

    async def _held(self, memory: Command, deadline: float) -> Decimal:
        heard = await self._same(memory, deadline)
        if not isinstance(heard.said, Tare):
            raise ProtocolError(f"{self._name}: a tare was expected, not {heard.said}")
        check_unit(self._name, heard.said.unit, self._options.unit)
        return heard.said.value

    async def _take_tare(self, command: Command, timeout_s: float) -> WeightReading:
        async with self._turns.hold(timeout_s) as deadline:
            load = self._reading(await self._weight(deadline, need=self._need, settled=True))
            for _ in range(TARES_MAX):
                await self._do(command, deadline)
                after = await self._answer(deadline, need=self._need)
                if isinstance(after, Shown) and after.value == 0:
                    self._reference.settle(after)
                    self._taken += load.value
                    return replace(load, value=self._taken)
                if not isinstance(after, Shown) or after.value != load.value:
                    break  # something else lies on it
            raise Disagreement(f"{self._name}: {load.value} {load.unit} was not tared")

    def _can_hold(self, wanted: Decimal) -> bool:
        return 0 <= wanted <= self._options.plausible_max

    def _preset(self, wanted: Decimal) -> Command:
        preset = self._dialect.preset
        if preset is None:
            raise Unsupported(f"{self._name}: {self._dialect.name} cannot set a tare weight")
        try:
            return preset(wanted)
        except ProtocolError as error:
            raise DeviceRefused(f"{self._name}: {error}", reason="T") from error

    def _able(self, command: Command | None, ability: str) -> Command:
        if command is None:
            raise Unsupported(f"{self._name}: {self._dialect.name} cannot {ability}")
        return command

    async def _do(self, command: Command, deadline: float) -> None:
        """Send what changes zero or tare until it arrived; what it did is seen by weighing."""
        failures = Failures(deadline)
        while True:
            try:
                heard = await self._channel.ask(command, deadline=deadline)
            except (ProtocolError, DeviceTimeout) as error:
                failures.add(error)
                continue
            if isinstance(heard.said, Status) and heard.said.fault:
                self._raise_status(heard.said)
            return

    # ------------------------------------------------------------ weight

    async def _weight(self, deadline: float, *, need: int, settled: bool) -> Heard:
        """Return a weight that came `need` times in a row; with `settled` a stable one."""
        heard = await self._agreed(deadline, need=need, settled=settled)
        if isinstance(heard.said, Status):
            self._raise_status(heard.said)
        if isinstance(heard.said, Refused):
            raise NotStable(f"{self._name}: busy ({heard.said.reason})")
        return heard

    async def _answer(self, deadline: float, *, need: int) -> Shown | Status:
        """Return a stable weight, or the status that stands for it."""
        said = (await self._agreed(deadline, need=need, settled=True)).said
        if isinstance(said, Shown | Status):
            return said
        raise ProtocolError(f"{self._name}: a weight was expected, not {said}")

    async def _agreed(self, deadline: float, *, need: int, settled: bool) -> Heard:
        heard = await agreed(
            lambda: self._ask_weight(deadline),
            Streak[Heard](need, _frame),
            Failures(deadline),
            deadline=deadline,
            name=self._name,
            unsettled=_moving if settled else _settled,
        )
        if need > 1 and isinstance(heard.said, Shown):
            self._reference.trust(heard.said)
        return heard

    async def _ask_weight(self, deadline: float) -> Heard:
        return await self._channel.ask(self._dialect.weight, deadline=deadline)

    async def _jumped(
        self, reading: WeightReading, last: Decimal, jump: Decimal, deadline: float
    ) -> WeightReading:
        """Ask again for a weight that is far from the last one; it must be the same."""
        if abs(reading.value - last) <= jump:
            return reading
        again = self._reading(await self._weight(deadline, need=self._need, settled=True))
        if again.value != reading.value:
            raise Disagreement(f"{self._name}: {reading.value}, then {again.value}")
        return again

    def _reading(self, heard: Heard) -> WeightReading:
        said = heard.said
        if not isinstance(said, Shown):
            raise ProtocolError(f"{self._name}: a weight was expected, not {said}")
        if said.unit or said.stable:  # only a moving scale may leave its unit out
            check_unit(self._name, said.unit, self._options.unit)
        return WeightReading(said.value, said.unit, said.stable, heard.frame)

    def _raise_status(self, status: Status) -> None:
        """Raise what a status means."""
        if status.fault:
            raise DeviceFault(
                f"{self._name}: the scale reports {status.fault}",
                reason=status.fault,
                moved=Moved.NO,
            )
        if status.over:
            raise Overload(f"{self._name}: more than the scale can weigh")
        if status.under:
            raise Underload(f"{self._name}: below the weighing range")
        raise NotStable(f"{self._name}: moving")

    # ------------------------------------------------------------ identity

    async def _identify(self, deadline: float) -> Identity:
        told = {"model": "", "serial": "", "firmware": ""}
        if self._options.identify or self._options.serial:
            for what, command in self._dialect.about.items():
                told[what] = await self._text(command, deadline)
        wanted, self._serial = self._options.serial, told["serial"]
        if wanted and self._serial != wanted:
            raise DeviceUnavailable(
                f"{self._name}: scale {wanted} is configured, {self._serial} answers"
            )
        heard = await self._agreed(deadline, need=self._need, settled=False)
        self._reference.begin(heard.said)
        return Identity(**told)

    async def _text(self, command: Command, deadline: float) -> str:
        heard = await self._same(command, deadline)
        return heard.said.text if isinstance(heard.said, Told) else ""

    async def _same(self, command: Command, deadline: float) -> Heard:
        """Ask until the same answer came often enough in a row."""

        async def ask() -> Heard:
            return await self._channel.ask(command, deadline=deadline)

        streak = Streak[Heard](self._need, _frame)
        return await agreed(ask, streak, Failures(deadline), deadline=deadline, name=self._name)

    async def _look(self) -> None:
        """Ask once whether the scale is there, and the same where it has a serial number."""
        async with self._turns.hold(IDENTIFY_TIMEOUTS * self._options.line_timeout_s) as deadline:
            if not self._serial:
                await self._ask_weight(deadline)
                return
            command = self._dialect.about["serial"]
            heard = await self._channel.ask(command, deadline=deadline)
            if heard.said == Told(self._serial):
                return
            serial = await self._text(command, deadline)
            if serial != self._serial:
                raise DeviceUnavailable(
                    f"{self._name}: scale {serial} took the place of {self._serial}"
                )


def _frame(heard: Heard) -> bytes:
    return heard.frame


def _moving(heard: Heard) -> bool:
    """Whether a scale that moves or is busy has said so."""
    said = heard.said
    if isinstance(said, Refused):
        return said.busy
    if isinstance(said, Shown):
        return said.stable is False
    return isinstance(said, Status) and said.moving and not (said.over or said.under or said.fault)


def _settled(_heard: Heard) -> bool:
    return False
