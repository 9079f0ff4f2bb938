"""A PackML machine in an OPC UA session: find its nodes, read them, call its methods.

Nodes are addressed by namespace URI and browse path; what an OPC UA session is made of lies in
`drivers.opcua`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from asyncua import ua

from drivers.base import Identity
from drivers.errors import (
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.opcua import UA_URI, Browse, Session, Step, value_of
from drivers.packml.binary import (
    COUNT_ENCODING_ID,
    DESCRIPTOR_ENCODING_ID,
    Descriptor,
    decode_count,
    decode_descriptor,
    encode_descriptor,
)
from drivers.packml.codec import (
    PACKML_URI,
    Counts,
    LevelState,
    State,
    Tally,
    fold,
    tally_of,
)
from drivers.packml.options import Options

PARAMETERS_MAX = 100
_FOLD_TRIES = 5
_FOLD_PAUSE_S = 0.01
_LOOK_S = 0.02

_BASE: Browse = ((PACKML_URI, "BaseStateMachine"),)
_MACHINE: Browse = (*_BASE, (PACKML_URI, "MachineState"))
_EXECUTE: Browse = (*_MACHINE, (PACKML_URI, "ExecuteState"))
_LEVELS = (_BASE, _MACHINE, _EXECUTE)
_CURRENT: Step = (UA_URI, "CurrentState")
_PROCESSED: Browse = ((PACKML_URI, "Admin"), (PACKML_URI, "ProdProcessedCount"))
_DEFECTIVE: Browse = ((PACKML_URI, "Admin"), (PACKML_URI, "ProdDefectiveCount"))
_PARAMETER: Browse = ((PACKML_URI, "Status"), (PACKML_URI, "Parameter"))
_MODE: Browse = ((PACKML_URI, "Status"), (PACKML_URI, "UnitModeCurrent"))
_OBJECTS: Browse = ((PACKML_URI, "PackMLObjects"),)


class Command(Enum):
    """A method of one of the state machines, or of the machine itself."""

    ABORT = (*_BASE, (PACKML_URI, "Abort"))
    CLEAR = (*_BASE, (PACKML_URI, "Clear"))
    STOP = (*_MACHINE, (PACKML_URI, "Stop"))
    RESET_STOPPED = (*_MACHINE, (PACKML_URI, "Reset"))
    RESET_COMPLETE = (*_EXECUTE, (PACKML_URI, "Reset"))
    START = (*_EXECUTE, (PACKML_URI, "Start"))
    HOLD = (*_EXECUTE, (PACKML_URI, "Hold"))
    UNHOLD = (*_EXECUTE, (PACKML_URI, "Unhold"))
    SUSPEND = (*_EXECUTE, (PACKML_URI, "Suspend"))
    UNSUSPEND = (*_EXECUTE, (PACKML_URI, "Unsuspend"))
    SET_UNIT_MODE = ((PACKML_URI, "SetUnitMode"),)


_NEEDED = (Command.STOP, Command.RESET_STOPPED, Command.RESET_COMPLETE, Command.START)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State, counts, parameters and mode of the machine, from one request.

    `parameters` and `mode` are None when the machine does not show them.
    """

    state: State
    counts: Counts
    parameters: tuple[Descriptor, ...] | None
    mode: int | None


class Machine:
    """A machine in a session of its own; opened once and closed once. Calls may overlap."""

    def __init__(self, address: str, options: Options) -> None:
        self._address = address
        self._options = options
        self._session = Session(address, options.link)
        self._nodes: dict[Browse, ua.NodeId] = {}
        self._reads: list[Browse] = []

    # ------------------------------------------------------------ life

    async def open(self) -> Identity:
        """Connect, find the machine and say what it is; on failure nothing stays open."""
        await self._session.open()
        try:
            return await self._find_nodes()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close in bounded time whatever the machine does; pending requests fail."""
        await self._session.close()

    async def watch(self) -> None:
        """Keep the session alive; never returns, raises when it is lost."""
        await self._session.watch()

    async def _find_nodes(self) -> Identity:
        session = self._session
        if not session.knows(PACKML_URI):
            raise DeviceUnavailable(f"{self._address}: the server does not know PackML")
        root = await session.find(_BASE, (_OBJECTS,))
        states = [(*level, _CURRENT) for level in _LEVELS]
        ids = [(*state, (UA_URI, "Id")) for state in states]
        numbers = [(*state, (UA_URI, "Number")) for state in states]
        methods = [command.value for command in Command]
        wanted = [*_LEVELS, *states, *ids, *numbers, *methods, _PROCESSED, _DEFECTIVE, _PARAMETER]
        wanted.append(_MODE)
        found = await session.resolve([(root, path) for path in wanted])
        self._nodes = {
            path: node for path, node in zip(wanted, found, strict=True) if node is not None
        }
        self._nodes[()] = root
        needed = [*states, *(command.value for command in _NEEDED), _PROCESSED]
        if self._options.defective_count:
            needed.append(_DEFECTIVE)
        missing = ["/".join(name for _, name in path) for path in needed if path not in self._nodes]
        if missing:
            raise Unsupported(f"{self._address}: the machine has no {', '.join(missing)}")
        candidates = [*states, *ids, *numbers, _PROCESSED, _PARAMETER, _MODE]
        if self._options.defective_count:
            candidates.append(_DEFECTIVE)
        self._reads = [path for path in candidates if path in self._nodes]
        return await session.identify(root)

    # ------------------------------------------------------------ reading

    async def read(self, *, moved: Moved = Moved.NO) -> Snapshot:
        """Read state, counts and parameters; any error carries `moved`.

        The three state machines change one after the other, so a reading that shows no state is
        repeated a few times.
        """
        for tries_left in reversed(range(_FOLD_TRIES)):
            nodes = [self._nodes[path] for path in self._reads]
            answers = await self._session.read(nodes, moved=moved)
            shown = dict(zip(self._reads, answers, strict=True))
            try:
                return self._snapshot(shown)
            except ProtocolError as error:
                if not tries_left:
                    error.moved = moved
                    raise
            await asyncio.sleep(_FOLD_PAUSE_S)
        raise ProtocolError(f"{self._address}: no state", moved=moved)

    def _snapshot(self, shown: Mapping[Browse, ua.DataValue]) -> Snapshot:
        base, machine, execute = (self._level(shown, level) for level in _LEVELS)
        defective = self._tally(shown[_DEFECTIVE]) if self._options.defective_count else None
        counts = Counts(self._tally(shown[_PROCESSED]), defective)
        parameters = None
        if _PARAMETER in shown:
            bodies = self._bodies(shown[_PARAMETER], DESCRIPTOR_ENCODING_ID)
            parameters = tuple(decode_descriptor(body) for body in bodies)
        mode = value_of(shown[_MODE]) if _MODE in shown else None
        return Snapshot(
            fold(base, machine, execute),
            counts,
            parameters,
            mode if isinstance(mode, int) else None,
        )

    def _level(self, shown: Mapping[Browse, ua.DataValue], level: Browse) -> LevelState:
        current = (*level, _CURRENT)
        node, number, text = (
            value_of(shown[path]) if path in shown else None
            for path in ((*current, (UA_URI, "Id")), (*current, (UA_URI, "Number")), current)
        )
        return LevelState(
            self._session.numeric(node, PACKML_URI),
            number if isinstance(number, int) else None,
            text.Text if isinstance(text, ua.LocalizedText) else None,
        )

    def _tally(self, answer: ua.DataValue) -> Tally:
        if value_of(answer) is None:
            raise ProtocolError(f"the machine gives no count: {answer.StatusCode}")
        bodies = self._bodies(answer, COUNT_ENCODING_ID)
        index = self._options.count_index
        if index >= len(bodies):
            raise ProtocolError(f"the machine has {len(bodies)} counts, number {index} is asked")
        return tally_of(decode_count(bodies[index]))

    def _bodies(self, answer: ua.DataValue, encoding: int) -> list[bytes]:
        value = value_of(answer)
        items = value if isinstance(value, list) else []
        if len(items) > PARAMETERS_MAX:
            raise ProtocolError(f"array of {len(items)} elements")
        bodies: list[bytes] = []
        for item in items:
            if (
                not isinstance(item, ua.ExtensionObject)
                or self._session.numeric(item.TypeId, PACKML_URI) != encoding
                or item.Body is None
            ):
                raise ProtocolError(f"a structure of PackML was expected, not {item!r}")
            bodies.append(bytes(item.Body))
        return bodies

    # ------------------------------------------------------------ calling

    async def start(self, parameters: Sequence[Descriptor], *, moved: Moved) -> None:
        """Start a job with parameters; errors as `call`."""
        index = self._session.index(PACKML_URI)
        encoding = ua.NodeId(ua.Int32(DESCRIPTOR_ENCODING_ID), ua.Int16(index))
        items = [
            ua.ExtensionObject(encoding, ua.ByteString(encode_descriptor(item)))
            for item in parameters
        ]
        argument = ua.Variant(items, ua.VariantType.ExtensionObject, is_array=True)
        await self.call(Command.START, [argument], moved=moved)

    async def set_mode(self, mode: int) -> None:
        """Ask for another unit mode; errors as `call`."""
        await self.call(Command.SET_UNIT_MODE, [ua.Variant(mode, ua.VariantType.Int32)])

    async def call(
        self, command: Command, arguments: Sequence[ua.Variant] = (), *, moved: Moved = Moved.NO
    ) -> None:
        """Call a method. DeviceRefused: it was not carried out; any other error carries `moved`."""
        path = command.value
        if path not in self._nodes:
            raise Unsupported(f"{self._address}: the machine has no {command.name}")
        method = (self._nodes[path[:-1]], self._nodes[path])
        await self._session.call(command.name, method, arguments, moved=moved)


async def until(
    machine: Machine,
    reached: Callable[[Snapshot], bool],
    deadline: float,
    *,
    what: str,
    moved: Moved = Moved.NO,
) -> Snapshot:
    """Look until the machine shows what is waited for; DeviceTimeout at the deadline."""
    while True:
        now = await machine.read(moved=moved)
        if reached(now):
            return now
        if asyncio.get_running_loop().time() + _LOOK_S >= deadline:
            raise DeviceTimeout(
                f"{what}: not in time, the machine is {now.state.name}", moved=moved
            )
        await asyncio.sleep(_LOOK_S)
