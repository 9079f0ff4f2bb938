"""A scale on Modbus: whatever its map says, on TCP, on RTU over a serial line or over a gateway.

Value and status are read in one request, so that they are of one moment; a weight for booking was
read identically as often as `options.AGREEING` says. A command is sent once, and believed when the
handshake of the map and the status afterwards both show it; the answer to a write proves nothing
(an echoing adapter forges it). A command without an outcome leaves the reference in doubt: nothing
is weighed then until zero or tare is set again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from drivers.base import (
    DeviceSpec,
    Identity,
    Sink,
    WeightReading,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.modbus.codec import Code, Envelope, Read, Refused, Registers, Write, words
from drivers.modbus.link import Link
from drivers.modbus.options import Options, parse_options
from drivers.modbus.regmap import Commands, Flag, Handshake, Image, Reply
from drivers.transport import Transport, transport_for
from drivers.weighing import Failures, Garbage, Streak, Turns, Window, agreed, check_unit

CALL_TIMEOUTS = 4
"""Calls without a timeout of their own may take this many line timeouts."""
IDENTIFY_TIMEOUTS = 12
"""Identifying the scale may take this many line timeouts."""
POLL_S = 0.02
"""Pause between two looks at a handshake. The maker's own client of the WTX looks every 50 ms."""
_WAIT = (Code.ACKNOWLEDGE, Code.BUSY)
_REFUSALS = (Code.ILLEGAL_FUNCTION, Code.ILLEGAL_ADDRESS, Code.ILLEGAL_VALUE)
_A = TypeVar("_A")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class _Busy:
    """The device asks to be asked again later."""

    code: int


class ModbusDriver:
    """A scale (see `drivers.base.Scale`); the options are `drivers.modbus.options.Options`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        self._name = spec.name
        self._options = options = parse_options(spec.address, spec.options)
        self._map = options.map
        garbage = Garbage(sink)
        self._turns = Turns(spec.name, garbage)
        self._link = Link(
            transport or transport_for(spec.address),
            garbage,
            envelope=Envelope(options.framing, options.unit_id),
            timeout_s=options.line_timeout_s,
            silence_s=options.silence_s,
            lengths=len(options.counts),
        )
        self._window = _window(options)
        self._reads = 0
        self._raised = True
        self._doubts: set[str] = set()

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the line and read the scale; DeviceUnavailable when it is not the pinned one."""
        async with contextlib.AsyncExitStack() as undo, self._turns.connecting():
            await self._link.open()
            undo.push_async_callback(self._link.close)
            self._raised = True
            loop = asyncio.get_running_loop()
            deadline = loop.time() + IDENTIFY_TIMEOUTS * self._options.line_timeout_s
            identity = await self._identify(deadline)
            await self._image(deadline, need=1)
            undo.pop_all()
        return identity

    async def watch(self) -> None:
        """Look at the scale at an interval; raises when the link is lost or it was swapped."""
        await self._turns.watch(self._options.watch_interval_s, self._look)

    async def close(self) -> None:
        """Close the line; calls in progress fail with DeviceUnavailable."""
        self._turns.down()
        await self._link.close()

    async def _look(self) -> None:
        async with self._turns.hold(CALL_TIMEOUTS * self._options.line_timeout_s) as deadline:
            if self._options.serial:
                await self._identify(deadline)
            else:
                await self._ask_image(deadline)

    async def _identify(self, deadline: float) -> Identity:
        place = self._map.identification
        if place is None:
            return Identity(maker=self._map.maker, model=self._map.model)
        request = Read(self._map.read_function, place.address, place.count)
        values = await agreed(
            lambda: self._registers(request, deadline),
            Streak[tuple[int, ...] | _Busy](self._options.agreeing_reads, lambda answer: answer),
            Failures(deadline),
            deadline=deadline,
            name=self._name,
            unsettled=lambda answer: isinstance(answer, _Busy),
        )
        told = dict(enumerate(values if isinstance(values, tuple) else (), start=place.address))
        numbers = [
            "" if key is None else str(told[key])
            for key in (place.model, place.serial, place.firmware)
        ]
        model, serial, firmware = numbers
        if self._options.serial not in ("", serial):
            raise DeviceUnavailable(
                f"{self._name}: {self._options.serial} is configured, {serial} is there"
            )
        text = f"{self._map.model} type {model}" if model else self._map.model
        return Identity(self._map.maker, text, serial, firmware)

    # ------------------------------------------------------------ scale

    async def read(self) -> WeightReading:
        """Return the weight now, stable or not; one read, never to be booked."""
        async with self._turns.hold(CALL_TIMEOUTS * self._options.line_timeout_s) as deadline:
            return self._reading(await self._image(deadline, need=1))

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        """Return a stable weight that was read identically often enough.

        Raises NotStable, Overload, Underload, Disagreement, DeviceFault (`implausible`, `unit`, the
        scale's own, or `reference` after a command without an outcome, until zero or tare is set
        again), DeviceRefused, DeviceTimeout, ProtocolError, DeviceUnavailable.
        """
        async with self._turns.hold(timeout_s) as deadline:
            if self._doubts:
                what = " and ".join(sorted(self._doubts))
                raise DeviceFault(
                    f"{self._name}: it is not known what became of {what}; zero or tare it",
                    reason="reference",
                    moved=Moved.NO,
                )
            reading = self._reading(await self._settled(deadline))
            return reading if self._window is None else self._window.check(self._name, reading)

    async def zero(self, *, timeout_s: float) -> None:
        """Set the zero point; an active tare ends first. The status must show gross 0."""
        async with self._turns.hold(timeout_s) as deadline:
            before = await self._before(deadline)
            if before.net_mode:
                await self._clear_tare(deadline)
            await self._command("zero", deadline)
            await self._shown(
                "zero", lambda it: not it.net_mode and self._seen(it, it.gross), deadline
            )
            self._doubts.clear()

    async def tare(self, *, timeout_s: float) -> WeightReading:
        """Take the present load as tare and return it: gross minus net afterwards."""
        async with self._turns.hold(timeout_s) as deadline:
            await self._before(deadline)
            await self._command("tare", deadline)
            after = await self._shown(
                "tare", lambda it: it.net_mode and self._seen(it, it.net), deadline
            )
            self._doubts.clear()
            weight = after.gross - after.net
            return WeightReading(weight, after.unit, stable=True, raw=self._raw(after))

    async def set_tare(self, tare: WeightReading | None) -> None:
        """Clear the tare; a given tare cannot be set on these scales (Unsupported)."""
        if tare is not None and not tare.value.is_zero():
            if tare.unit != self._options.unit or not tare.value.is_finite() or tare.value < 0:
                raise DeviceRefused(f"{self._name}: no tare of {tare.value} {tare.unit}")
            raise Unsupported(f"{self._name}: map {self._map.name} has no preset tare")
        async with self._turns.hold(self._options.stability_timeout_s) as deadline:
            before = await self._image(deadline, need=self._options.agreeing_reads)
            if before.net_mode:
                await self._clear_tare(deadline)
            self._doubts -= {"tare", "gross"}  # the status shows that none is active

    # ------------------------------------------------------------ reading

    async def _registers(self, request: Read, deadline: float) -> tuple[int, ...] | _Busy:
        answer = await self._link.ask(request, deadline)
        if isinstance(answer, Registers):
            return answer.values
        if isinstance(answer, Refused) and answer.code not in _WAIT:
            raise _refusal(f"{self._name}: read of register {request.address}", answer.code)
        return _Busy(answer.code if isinstance(answer, Refused) else 0)

    async def _ask_image(self, deadline: float) -> Image | _Busy:
        """Read value and status in one request, of another length than the last."""
        self._reads += 1
        count = self._options.counts[self._reads % len(self._options.counts)]
        request = Read(self._map.read_function, self._map.address, count)
        values = await self._registers(request, deadline)
        return values if isinstance(values, _Busy) else self._map.image(values)

    async def _image(
        self,
        deadline: float,
        *,
        need: int,
        wanted: Callable[[Image], bool] = lambda _image: True,
    ) -> Image:
        """Read until the same was read `need` times in a row; NotStable when it is not `wanted`."""
        image = await agreed(
            lambda: self._ask_image(deadline),
            Streak[Image | _Busy](need, lambda it: it.meaning if isinstance(it, Image) else it),
            Failures(deadline),
            deadline=deadline,
            name=self._name,
            unsettled=lambda it: isinstance(it, _Busy) or not wanted(it),
        )
        if isinstance(image, _Busy):  # never: a busy answer is never agreed on
            raise NotStable(f"{self._name}: busy ({image.code})")
        return image

    async def _settled(self, deadline: float) -> Image:
        """Return a moment at rest; what the scale reports as wrong is an error."""
        need = self._options.agreeing_reads
        image = await self._image(deadline, need=need, wanted=lambda it: it.stable or _wrong(it))
        self._check(image)
        return image

    def _check(self, image: Image) -> None:
        """Raise what the status says is wrong."""
        if image.faults:
            text = ", ".join(image.faults)
            raise DeviceFault(
                f"{self._name}: the scale reports {text}", reason=text, moved=Moved.NO
            )
        if image.overload:
            raise Overload(f"{self._name}: more than it can weigh")
        if image.underload:
            raise Underload(f"{self._name}: less than its range")

    def _reading(self, image: Image) -> WeightReading:
        self._check(image)
        check_unit(self._name, image.unit, self._options.unit)
        return WeightReading(image.shown, image.unit, image.stable, self._raw(image))

    def _raw(self, image: Image) -> bytes:
        return words(tuple(image.registers.values())[: self._map.count])

    # ------------------------------------------------------------ commands

    async def _before(self, deadline: float) -> Image:
        """Return the scale at rest, within the patience for that."""
        now = asyncio.get_running_loop().time()
        return await self._settled(min(deadline, now + self._options.stability_timeout_s))

    async def _clear_tare(self, deadline: float) -> None:
        """End the tare that the status was agreed to show: the command may be a toggle."""
        await self._command("gross", deadline)
        await self._shown("gross", lambda it: not it.net_mode, deadline)

    async def _shown(self, what: str, wanted: Callable[[Image], bool], deadline: float) -> Image:
        """Return the moment at rest that shows the effect of a command."""
        now = asyncio.get_running_loop().time()
        until = min(deadline, now + self._options.handshake_timeout_s)
        need = self._options.agreeing_reads
        try:
            return await self._image(until, need=need, wanted=lambda it: it.stable and wanted(it))
        except NotStable as error:
            raise DeviceTimeout(f"{self._name}: {what} was sent, its effect is not seen") from error

    def _seen(self, image: Image, value: Decimal) -> bool:
        """Whether a weight shows that it was set to 0, unless the device itself said so."""
        told = self._map.commands is not None and self._map.commands.accepted is not None
        return told or abs(value) <= image.step

    async def _command(self, name: str, deadline: float) -> None:
        """Send a command once, through the handshake of the map."""
        commands = self._map.commands
        code = None if commands is None else commands.codes.get(name)
        if commands is None or code is None:
            raise Unsupported(f"{self._name}: map {self._map.name} has no command {name}")
        until = asyncio.get_running_loop().time() + self._options.handshake_timeout_s
        until = min(until, deadline)
        match commands.handshake:
            case Handshake.NONE:
                await self._send(name, code, commands, until)
            case Handshake.COMMAND_REGISTER:
                await self._send(name, code, commands, until)
                await self._wait_for_reply(name, code, commands, until)
            case Handshake.TOGGLE_BIT:
                await self._toggle(name, code, commands, until)

    async def _send(self, name: str, code: int, commands: Commands, until: float) -> None:
        """Write the code; from here on its effect is in doubt, unless the device refuses it."""
        known = name in self._doubts
        self._doubts.add(name)
        try:
            await self._write(commands, code, until)
        except (DeviceRefused, NotStable):
            if not known:
                self._doubts.discard(name)
            raise

    async def _write(self, commands: Commands, value: int, until: float) -> None:
        """Write the command register once; without an answer it may have arrived."""
        request = Write(commands.function, commands.address, (value,))
        try:
            answer = await self._link.ask(request, until)
        except DeviceTimeout:
            return  # the handshake and the status tell, and have deadlines of their own
        if isinstance(answer, Refused) and answer.code != Code.ACKNOWLEDGE:
            if answer.code == Code.BUSY:
                raise NotStable(f"{self._name}: busy")
            raise _refusal(f"{self._name}: write of {value} to {request.address}", answer.code)

    async def _toggle(self, name: str, code: int, commands: Commands, until: float) -> None:
        """Write the code, wait for the bit, write idle, wait for the bit to fall."""
        done = commands.done
        if done is None:  # never: the map was checked
            raise Unsupported(f"{self._name}: map {self._map.name} names no bit for its handshake")
        if self._raised:  # the last command did not come to its end
            await self._write(commands, commands.idle, until)
            await self._wait_for_bit(name, done, on=False, until=until)
        self._raised = True
        known = name in self._doubts
        await self._send(name, code, commands, until)
        await self._wait_for_bit(name, done, on=True, until=until)
        await self._write(commands, commands.idle, until)
        image = await self._wait_for_bit(name, done, on=False, until=until)
        self._raised = False
        if commands.accepted is not None and not commands.accepted.get(image.registers):
            if not known:
                self._doubts.discard(name)
            raise DeviceRefused(f"{self._name}: {name} was refused", reason="not accepted")

    async def _wait_for_bit(self, name: str, bit: Flag, *, on: bool, until: float) -> Image:
        state = "raised" if on else "lowered"

        def pick(it: Image | _Busy) -> Image | None:
            return it if isinstance(it, Image) and bit.get(it.registers) is on else None

        return await self._poll(
            lambda: self._ask_image(until), pick, f"{name}: {bit.field} was not {state}", until
        )

    async def _wait_for_reply(self, name: str, code: int, commands: Commands, until: float) -> None:
        wanted = code if commands.reply is Reply.ECHO else commands.idle
        request = Read(self._map.read_function, commands.reply_address, 1)
        place = f"register {commands.reply_address}"

        def pick(it: tuple[int, ...] | _Busy) -> bool | None:
            return it == (wanted,) or None

        await self._poll(
            lambda: self._registers(request, until),
            pick,
            f"{name}: {place} does not show {wanted}",
            until,
        )

    async def _poll(
        self,
        ask: Callable[[], Awaitable[_A]],
        pick: Callable[[_A], _R | None],
        text: str,
        until: float,
    ) -> _R:
        """Ask until an answer is picked; DeviceTimeout with `text` when it was not in time."""
        loop = asyncio.get_running_loop()
        failure: DriverError | None = None
        while True:
            try:
                picked = pick(await ask())
            except (ProtocolError, DeviceTimeout) as error:
                failure, picked = error, None
            if picked is not None:
                return picked
            if loop.time() + POLL_S >= until:
                raise DeviceTimeout(f"{self._name}: {text} in time") from failure
            await asyncio.sleep(POLL_S)


def _window(options: Options) -> Window | None:
    most = options.plausible_max
    return None if most is None else Window(options.plausible_min, most)


def _wrong(image: Image) -> bool:
    return bool(image.overload or image.underload or image.faults)


def _refusal(text: str, code: int) -> DriverError:
    """Return what an exception means."""
    if code in _REFUSALS:
        return DeviceRefused(f"{text}: refused with exception {code}", reason=str(code))
    if code == Code.NO_PATH:
        return DeviceUnavailable(f"{text}: the gateway has no path to it")
    if code == Code.NO_TARGET:
        return DeviceTimeout(f"{text}: the gateway got no answer from it")
    return DeviceFault(f"{text}: exception {code}", reason=str(code), moved=Moved.NO)
