"""A scale in an OPC UA session: find its nodes, read what they show, call its methods.

Source: OPC 40200 1.01, 8.4 (ScaleDeviceType), 8.11 (PieceCountingScaleType), 10.3 (WeightItemType).
Everything beside the weight, its unit and its range is optional there, the methods too. What
belongs together is read in one request. 2.00 has the same names in a namespace of its own; paths
are written here in that of 1.01.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from asyncua import ua

from drivers.base import Identity
from drivers.errors import Moved, ProtocolError, Unsupported
from drivers.opcua import UA_URI, Browse, Session, value_of
from drivers.opcua40200.codec import (
    PRINTABLE_ENCODING_ID,
    SCALES_URI,
    SCALES_V2_URI,
    WEIGHT_ENCODING_ID,
    Part,
    Unit,
    WeightItem,
    decode_printed,
    decode_weight,
    pieces_of,
    rounded,
)
from drivers.opcua_link import Link

_WEIGHT: Browse = ((SCALES_URI, "CurrentWeight"),)
_PIECES: Browse = ((SCALES_URI, "CurrentPieceCount"),)
_ALLOWED: Browse = ((SCALES_URI, "AllowedEngineeringUnits"),)
_UNIT: Browse = (*_WEIGHT, (UA_URI, "EngineeringUnits"))
_RANGE: Browse = (*_WEIGHT, (UA_URI, "EURange"))
_PRECISION: Browse = (*_WEIGHT, (UA_URI, "ValuePrecision"))
_PRINTED: Browse = (*_WEIGHT, (SCALES_URI, "PrintableValue"))
_FLAGS = ("Overload", "Underload", "WeightStable", "InsideZero", "Invalid")
UNITS_MAX = 100


def _own(name: str) -> Browse:
    return (*_WEIGHT, (SCALES_URI, name))


class Command(StrEnum):
    """A method of a scale, by its browse name."""

    SET_ZERO = "SetZero"
    SET_TARE = "SetTare"
    CLEAR_TARE = "ClearTare"
    SET_PRESET_TARE = "SetPresetTare"
    SET_REFERENCE_WEIGHT = "SetReferencePieceWeight"
    SET_REFERENCE_PIECES = "SetNumberOfReferencePieces"
    START_REFERENCE = "StartReference"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a scale shows, from one request; `pieces` None where it does not count."""

    item: WeightItem
    pieces: int | None
    raw: bytes


class ScaleNodes:
    """A scale in a session of its own; opened once and closed once."""

    def __init__(self, address: str, link: Link) -> None:
        self._address = address
        self._session = Session(address, link)
        self._nodes: dict[Browse, ua.NodeId] = {}
        self._reads: list[Browse] = []
        self._uri = SCALES_URI
        self.capacity: Decimal | None = None
        """Upper end of the range that the scale says it weighs in."""

    async def open(self) -> Identity:
        """Connect, find the scale and say what it is; on failure nothing stays open."""
        await self._session.open()
        try:
            return await self._find()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close in bounded time whatever the scale does; pending requests fail."""
        await self._session.close()

    async def watch(self) -> None:
        """Keep the session alive; never returns, raises when it is lost."""
        await self._session.watch()

    async def _find(self) -> Identity:
        session = self._session
        self._uri = SCALES_V2_URI if session.knows(SCALES_V2_URI) else SCALES_URI
        session.index(self._uri)
        root = await session.find(self._here(_WEIGHT))
        methods = [((SCALES_URI, command.value),) for command in Command]
        flags = [_own(name) for name in _FLAGS]
        parts = [_own(part.value) for part in Part]
        reads = [_WEIGHT, _UNIT, _PRECISION, _PRINTED, _PIECES, *flags, *parts]
        wanted = [*reads, _RANGE, _ALLOWED, *methods]
        found = await session.resolve([(root, self._here(path)) for path in wanted])
        self._nodes = {
            path: node for path, node in zip(wanted, found, strict=True) if node is not None
        }
        self._nodes[()] = root
        needed = [_WEIGHT, _UNIT, _own("Overload"), _own("Underload")]
        missing = ["/".join(name for _, name in path) for path in needed if path not in self._nodes]
        if missing:
            raise Unsupported(f"{self._address}: the scale has no {', '.join(missing)}")
        self._reads = [path for path in reads if path in self._nodes]
        self.capacity = await self._upper_end()
        return await session.identify(root)

    def _here(self, path: Browse) -> Browse:
        """Return a path in the namespace that this scale uses."""
        return tuple((self._uri if uri == SCALES_URI else uri, name) for uri, name in path)

    async def _upper_end(self) -> Decimal | None:
        if _RANGE not in self._nodes:
            return None
        (answer,) = await self._session.read([self._nodes[_RANGE]])
        value = value_of(answer)
        if not isinstance(value, ua.Range) or not value.High > 0:
            return None
        try:
            return rounded(value.High, None)
        except ProtocolError:
            return None

    # ------------------------------------------------------------ reading

    @property
    def tells_stability(self) -> bool:
        """Whether the scale has WeightStable."""
        return _own("WeightStable") in self._nodes

    @property
    def counts(self) -> bool:
        """Whether the scale is a counting scale."""
        return _PIECES in self._nodes

    async def read(self) -> Shown:
        """Return what the scale shows now; raises ProtocolError for what cannot be read."""
        answers = await self._session.read([self._nodes[path] for path in self._reads])
        values = {path: value_of(answer) for path, answer in zip(self._reads, answers, strict=True)}
        body = self._body(values[_WEIGHT], WEIGHT_ENCODING_ID)
        printed = self._body(values.get(_PRINTED), PRINTABLE_ENCODING_ID)
        stable, overload, underload, inside, invalid = (
            _flag(values.get(_own(name)))
            for name in ("WeightStable", "Overload", "Underload", "InsideZero", "Invalid")
        )
        single = {
            part: value for part in Part if isinstance(value := values.get(_own(part.value)), float)
        }
        item = WeightItem(
            weight=None if body is None else decode_weight(body),
            unit=_unit(values[_UNIT]),
            overload=overload,
            underload=underload,
            stable=stable,
            printed=None if printed is None else decode_printed(printed),
            single=single,
            precision=_double(values.get(_PRECISION)),
            inside_zero=inside,
            invalid=invalid,
        )
        pieces = pieces_of(values[_PIECES]) if _PIECES in values else None
        return Shown(item, pieces, printed or body or b"")

    def _body(self, value: object, encoding: int) -> bytes | None:
        if value is None:
            return None
        if (
            not isinstance(value, ua.ExtensionObject)
            or self._session.numeric(value.TypeId, self._uri) != encoding
            or value.Body is None
        ):
            raise ProtocolError(f"{self._address}: a structure of Scales was expected")
        return bytes(value.Body)

    # ------------------------------------------------------------ calling

    async def unit(self) -> ua.EUInformation:
        """Return the unit of the weight as the scale writes it."""
        (answer,) = await self._session.read([self._nodes[_UNIT]])
        value = value_of(answer)
        if not isinstance(value, ua.EUInformation):
            raise ProtocolError(f"{self._address}: the scale shows no unit")
        return value

    async def allowed_units(self) -> list[ua.EUInformation]:
        """Return the units that the methods of the scale take."""
        if _ALLOWED not in self._nodes:
            return []
        (answer,) = await self._session.read([self._nodes[_ALLOWED]])
        value = value_of(answer)
        units = value if isinstance(value, list) else []
        return [unit for unit in units[:UNITS_MAX] if isinstance(unit, ua.EUInformation)]

    async def call(self, command: Command, arguments: Sequence[ua.Variant] = ()) -> None:
        """Call a method; DeviceRefused: it was not carried out. Unsupported: there is none."""
        path: Browse = ((SCALES_URI, command.value),)
        if path not in self._nodes:
            raise Unsupported(f"{self._address}: the scale has no {command}")
        method = (self._nodes[()], self._nodes[path])
        await self._session.call(command, method, arguments, moved=Moved.NO)


def unit_of(given: ua.EUInformation) -> Unit:
    """Return number and namespace of a unit."""
    return Unit(given.UnitId, given.NamespaceUri or "")


def _unit(value: object) -> Unit | None:
    return unit_of(value) if isinstance(value, ua.EUInformation) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _double(value: object) -> float | None:
    return value if isinstance(value, float) else None
