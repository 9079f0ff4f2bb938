"""A scale over OPC UA (OPC 40200): the digits that it prints, and stability only where it is told.

Source: see `codec` and `nodes`; tested against the simulator and independent servers, not on
hardware. A weight counts when two readings in a row are the same and stable. A scale that does not
tell whether it is stable is weighed with only when the option `equal_reads` says how many equal
readings over which time stand for it; such a reading keeps stable None.

Methods answer before their effect is seen, so each is proven by the weights that follow. When the
answer to one is lost, zero or tare may have changed and may yet change: weighing is refused until
one of them is set again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from asyncua import ua

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
    Disagreement,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from drivers.opcua40200.codec import (
    UNITS,
    Part,
    Unit,
    reference_weight,
    unit_name,
    value_of,
)
from drivers.opcua40200.nodes import Command, ScaleNodes, Shown, unit_of
from drivers.opcua40200.options import parse_options
from drivers.opcua_binary import UNITS_URI
from drivers.opcua_link import check_address
from drivers.weighing import Failures, Garbage, Streak, Turns, Window, agreed, check_unit

AGREEING = 2
"""Identical stable readings that make a weight: flag and value come from one request, but a scale
need not change both at once."""
READ_TIMEOUT_S = 10.0
"""How long `read` and the methods without a timeout of their own may take."""
PROOF_PAUSE_S = 0.05
PIECES_MAX = 1_000_000
_TARE_LIMIT = Decimal(10**9)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PieceReading:
    """What a counting scale counts; `stable` None means unknown."""

    pieces: int
    stable: bool | None


class Opcua40200Driver:
    """A scale (see `drivers.base.Scale`), and a counting scale where it is one."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        check_address(spec.address)
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._address = spec.address
        self._turns = Turns(spec.name, Garbage(sink))
        self._scale: ScaleNodes | None = None
        self._doubts: set[Command] = set()
        """The methods that were called and whose effect is not known."""

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open a session and find the scale in it."""
        await self.close()
        async with self._turns.connecting():
            scale = ScaleNodes(self._address, self._options.link)
            identity = await scale.open()
            self._scale = scale
        return identity

    async def watch(self) -> None:
        """Ask the scale for a sign of life every `keepalive_ms`; raise when it is lost."""
        await self._connected().watch()

    async def close(self) -> None:
        """Close the session; calls in progress fail with DriverError."""
        self._turns.down()
        scale, self._scale = self._scale, None
        if scale is not None:
            await scale.close()

    def _connected(self) -> ScaleNodes:
        if self._scale is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        return self._scale

    # ------------------------------------------------------------ scale

    async def read(self) -> WeightReading:
        """Return the weight now, stable or not; one read, never to be booked."""
        async with self._turns.hold(READ_TIMEOUT_S) as deadline:
            return self._reading(await self._shown(deadline), Part.NET)

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        """Return a stable weight that agreed and is plausible.

        Raises NotStable, Overload, Underload, Disagreement, DeviceFault (`implausible`, `unit`,
        `reference`), DeviceTimeout, ProtocolError, DeviceUnavailable; Unsupported when the scale
        tells neither stability nor its range and no option stands in for it.
        """
        async with self._turns.hold(timeout_s) as deadline:
            most = self._options.plausible_max or self._connected().capacity
            if most is None:
                raise Unsupported(f"{self._name}: no range is known; set plausible_max")
            window = Window(self._options.plausible_min, most)
            return window.check(self._name, await self._agreed(Part.NET, deadline))

    async def zero(self, *, timeout_s: float) -> None:
        """Set the zero point of a scale at rest; the weights that follow prove it."""
        async with self._turns.hold(timeout_s) as deadline:
            await self._agreed(Part.GROSS, deadline, trusted=False)
            if (await self._shown(deadline)).item.inside_zero is False:
                raise DeviceRefused(f"{self._name}: outside the zero range", reason="InsideZero")
            await self._call(Command.SET_ZERO, deadline)
            await self._proven(Command.SET_ZERO, (Part.GROSS, Decimal(0)), deadline)

    async def tare(self, *, timeout_s: float) -> WeightReading:
        """Take the present load as tare and return it; the weights that follow prove it."""
        async with self._turns.hold(timeout_s) as deadline:
            await self._agreed(Part.GROSS, deadline, trusted=False)
            await self._call(Command.SET_TARE, deadline)
            await self._proven(Command.SET_TARE, (Part.NET, Decimal(0)), deadline)
            return await self._agreed(Part.TARE, deadline)

    async def set_tare(self, tare: WeightReading | None) -> None:
        """Make `tare` the tare weight; None clears it. DeviceRefused when that cannot be."""
        wanted = Decimal(0) if tare is None else tare.value
        unit = self._options.unit if tare is None else tare.unit
        if unit != self._options.unit or not wanted.is_finite() or not 0 <= wanted < _TARE_LIMIT:
            raise DeviceRefused(f"{self._name}: no tare of {wanted} {unit}", reason="tare")
        async with self._turns.hold(READ_TIMEOUT_S) as deadline:
            if tare is None:
                await self._call(Command.CLEAR_TARE, deadline)
                await self._proven(Command.CLEAR_TARE, (Part.TARE, wanted), deadline)
                return
            shown = await self._within(deadline, self._connected().unit)
            self._check_unit(unit_of(shown))
            arguments = [
                ua.Variant(float(wanted), ua.VariantType.Double),
                ua.Variant(shown, ua.VariantType.ExtensionObject),
            ]
            await self._call(Command.SET_PRESET_TARE, deadline, arguments)
            await self._proven(Command.SET_PRESET_TARE, (Part.TARE, wanted), deadline)

    # ------------------------------------------------------------ counting scale

    async def pieces(self, *, timeout_s: float) -> PieceReading:
        """Return how many pieces a counting scale counts, agreed as a weight is.

        Raises what `weigh` raises; Unsupported for a scale that does not count.
        """
        async with self._turns.hold(timeout_s) as deadline:
            self._check_doubts(_REFERENCES)
            shown = await self._settled(
                deadline, lambda shown: (shown.pieces, value_of(shown.item, Part.NET))
            )
            if shown.pieces is None:
                raise Unsupported(f"{self._name}: the scale does not count pieces")
            return PieceReading(shown.pieces, shown.item.stable)

    async def set_piece_weight(self, grams: Decimal) -> None:
        """Tell a counting scale the weight of one piece.

        DeviceRefused when it takes no unit in which that weight is a whole number: the argument of
        its method is an integer.
        """
        async with self._turns.hold(READ_TIMEOUT_S) as deadline:
            allowed = {
                UNITS[unit.UnitId]: unit
                for unit in await self._within(deadline, self._connected().allowed_units)
                if unit.NamespaceUri == UNITS_URI and unit.UnitId in UNITS
            }
            try:
                number, name = reference_weight(grams, allowed)
            except ValueError as error:
                raise DeviceRefused(f"{self._name}: {error}", reason="piece_weight") from error
            arguments = [
                ua.Variant(number, ua.VariantType.UInt32),
                ua.Variant(allowed[name], ua.VariantType.ExtensionObject),
            ]
            await self._call(Command.SET_REFERENCE_WEIGHT, deadline, arguments)
            self._doubts -= _REFERENCES

    async def set_reference_pieces(self, pieces: int) -> None:
        """Tell a counting scale how many pieces its reference has."""
        await self._refer(Command.SET_REFERENCE_PIECES, pieces)

    async def start_reference(self, pieces: int) -> None:
        """Have a counting scale work out the piece weight from so many pieces on its pan."""
        await self._refer(Command.START_REFERENCE, pieces)

    async def _refer(self, command: Command, pieces: int) -> None:
        if not 1 <= pieces <= PIECES_MAX:
            raise DeviceRefused(f"{self._name}: no reference of {pieces} pieces", reason="pieces")
        async with self._turns.hold(READ_TIMEOUT_S) as deadline:
            argument = ua.Variant(pieces, ua.VariantType.UInt32)
            await self._call(command, deadline, [argument])
            self._doubts.discard(command)

    # ------------------------------------------------------------ weights

    async def _shown(self, deadline: float) -> Shown:
        """Read once; raises Overload, Underload, and ProtocolError for what is no weight."""
        shown = await self._within(deadline, self._connected().read)
        item = shown.item
        if item.invalid:
            raise ProtocolError(f"{self._name}: the scale calls its weight invalid")
        if item.overload is None or item.underload is None:
            raise ProtocolError(f"{self._name}: the scale does not tell whether it is overloaded")
        if item.overload:
            raise Overload(f"{self._name}: overload")
        if item.underload:
            raise Underload(f"{self._name}: underload")
        self._check_unit(item.unit)
        return shown

    def _check_unit(self, unit: Unit | None) -> None:
        check_unit(self._name, unit_name(unit), self._options.unit)

    def _reading(self, shown: Shown, part: Part) -> WeightReading:
        value = value_of(shown.item, part)
        return WeightReading(value, self._options.unit, shown.item.stable, shown.raw)

    async def _agreed(self, part: Part, deadline: float, *, trusted: bool = True) -> WeightReading:
        """Return one of the three weights, stable and agreed."""
        shown = await self._settled(
            deadline, lambda shown: value_of(shown.item, part), trusted=trusted
        )
        return self._reading(shown, part)

    async def _settled(
        self, deadline: float, key: Callable[[Shown], object], *, trusted: bool = True
    ) -> Shown:
        """Read until `key` was the same often enough while the scale was stable."""
        options, told = self._options, self._connected().tells_stability
        if not told and not options.equal_reads:
            raise Unsupported(
                f"{self._name}: the scale does not tell whether it is stable; set equal_reads"
            )
        need = AGREEING if told else options.equal_reads
        pause_s = 0.0 if told else options.equal_over_s / (need - 1)

        async def ask() -> Shown:
            if trusted:
                self._check_doubts(_REFERRED)
            if pause_s:
                await self._pause(pause_s, deadline)
            shown = await self._shown(deadline)
            if told and shown.item.stable is None:
                raise ProtocolError(f"{self._name}: the scale does not vouch for its stability")
            key(shown)
            return shown

        return await agreed(
            ask,
            Streak[Shown](need, key),
            Failures(deadline),
            deadline=deadline,
            name=self._name,
            unsettled=lambda shown: shown.item.stable is False,
        )

    async def _pause(self, pause_s: float, deadline: float) -> None:
        if asyncio.get_running_loop().time() + pause_s >= deadline:
            raise NotStable(f"{self._name}: not the same for long enough in time")
        await asyncio.sleep(pause_s)

    # ------------------------------------------------------------ methods

    async def _call(
        self, command: Command, deadline: float, arguments: Sequence[ua.Variant] = ()
    ) -> None:
        """Call a method once; until its effect is proven it is in doubt."""
        scale = self._connected()
        known = command not in self._doubts
        self._doubts.add(command)
        try:
            await self._within(deadline, lambda: scale.call(command, arguments))
        except (DeviceRefused, Unsupported):
            if known:
                self._doubts.discard(command)
            raise

    async def _proven(
        self, command: Command, wanted: tuple[Part, Decimal], deadline: float
    ) -> None:
        """Wait until a weight shows the end state of a method; raises Disagreement."""
        part, value = wanted
        shown: WeightReading | None = None
        loop = asyncio.get_running_loop()
        while True:
            try:
                reading = await self._agreed(part, deadline, trusted=False)
            except (DeviceTimeout, NotStable):
                if shown is None or loop.time() < deadline:
                    raise
            else:
                shown = reading
                digit = Decimal(1).scaleb(int(shown.value.as_tuple().exponent))
                if shown.value == value.quantize(digit):
                    break
            if loop.time() + PROOF_PAUSE_S >= deadline:
                raise Disagreement(
                    f"{self._name}: {command} was accepted, {part} is {shown.value}, not {value}"
                )
            await asyncio.sleep(PROOF_PAUSE_S)
        self._doubts -= _SETTLES[command]

    def _check_doubts(self, matter: frozenset[Command]) -> None:
        if doubts := self._doubts & matter:
            raise DeviceFault(
                f"{self._name}: it is not known whether {', '.join(sorted(doubts))} was done;"
                " do it again",
                reason="reference",
                moved=Moved.NO,
            )

    async def _within(self, deadline: float, call: Callable[[], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout_at(deadline):
                return await _plainly(call)
        except TimeoutError as error:
            raise DeviceTimeout(f"{self._name}: no answer in time") from error


async def _plainly(call: Callable[[], Awaitable[_T]]) -> _T:
    """Call, and be cancelled plainly: asyncio's timeout does not know asyncua's own subclass."""
    try:
        return await call()
    except asyncio.CancelledError as stopped:
        if type(stopped) is asyncio.CancelledError:
            raise
        raise asyncio.CancelledError from stopped


_TARES = frozenset({Command.SET_TARE, Command.CLEAR_TARE, Command.SET_PRESET_TARE})
_REFERRED = _TARES | {Command.SET_ZERO}
_REFERENCES = frozenset(Command) - _REFERRED
_SETTLES = {
    Command.SET_ZERO: frozenset({Command.SET_ZERO}),
    Command.SET_TARE: _REFERRED,
    Command.CLEAR_TARE: _TARES,
    Command.SET_PRESET_TARE: _TARES,
}
"""Method that was proven -> the lost ones that then matter no more: net 0 is net 0."""
