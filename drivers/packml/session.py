"""One OPC UA session with a PackML machine: find its nodes, read them, call its methods.

The only user of asyncua here. Every error of the library and of the wire leaves as a DriverError.
Nodes are addressed by namespace URI and browse path; the index of a namespace is looked up at each
connect. Every request has the deadline `request_timeout_s`.
"""

import asyncio
import contextlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import cast

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from drivers.base import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Identity,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.packml.binary import (
    COUNT_ENCODING_ID,
    DESCRIPTOR_ENCODING_ID,
    Descriptor,
    decode_count,
    decode_descriptor,
    encode_descriptor,
)
from drivers.packml.codec import (
    DI_URI,
    MACHINERY_URI,
    PACKML_URI,
    Counts,
    LevelState,
    State,
    Tally,
    fold,
    tally_of,
)
from drivers.packml.options import SECURE, Options

SESSION_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 1.0
MESSAGE_MAX = 1 << 20
CHUNKS_MAX = 64
PARAMETERS_MAX = 100
SEARCH_DEPTH = 3
SEARCH_NODES = 200
_FOLD_TRIES = 5
_FOLD_PAUSE_S = 0.01
_WATCHDOG_S = 3600.0
"""The library's own keep-alive is not used: the driver has one with its own deadline."""
_REFUSALS = frozenset(
    {
        StatusCodes.BadArgumentsMissing,
        StatusCodes.BadInvalidArgument,
        StatusCodes.BadInvalidState,
        StatusCodes.BadMethodInvalid,
        StatusCodes.BadNodeIdInvalid,
        StatusCodes.BadNodeIdUnknown,
        StatusCodes.BadNotExecutable,
        StatusCodes.BadNotImplemented,
        StatusCodes.BadNotSupported,
        StatusCodes.BadNothingToDo,
        StatusCodes.BadOutOfRange,
        StatusCodes.BadStateNotActive,
        StatusCodes.BadTooManyArguments,
        StatusCodes.BadTypeMismatch,
        StatusCodes.BadUserAccessDenied,
    }
)
"""Answers that mean that a method was not carried out at all."""

_truth: tuple[object, object] = (False, True)
_NO, _YES = cast("tuple[ua.Boolean, ua.Boolean]", _truth)
"""The library types its fields with classes of its own and takes plain values."""

_Step = tuple[str, str]
_UA = "http://opcfoundation.org/UA/"
_BASE: tuple[_Step, ...] = ((PACKML_URI, "BaseStateMachine"),)
_MACHINE: tuple[_Step, ...] = (*_BASE, (PACKML_URI, "MachineState"))
_EXECUTE: tuple[_Step, ...] = (*_MACHINE, (PACKML_URI, "ExecuteState"))
_LEVELS = (_BASE, _MACHINE, _EXECUTE)
_CURRENT: _Step = (_UA, "CurrentState")
_PROCESSED: tuple[_Step, ...] = ((PACKML_URI, "Admin"), (PACKML_URI, "ProdProcessedCount"))
_DEFECTIVE: tuple[_Step, ...] = ((PACKML_URI, "Admin"), (PACKML_URI, "ProdDefectiveCount"))
_PARAMETER: tuple[_Step, ...] = ((PACKML_URI, "Status"), (PACKML_URI, "Parameter"))
_PLATE = ("Manufacturer", "Model", "SerialNumber", "SoftwareRevision")


class Command(Enum):
    """A method of one of the state machines."""

    CLEAR = (*_BASE, (PACKML_URI, "Clear"))
    STOP = (*_MACHINE, (PACKML_URI, "Stop"))
    RESET_STOPPED = (*_MACHINE, (PACKML_URI, "Reset"))
    RESET_COMPLETE = (*_EXECUTE, (PACKML_URI, "Reset"))
    START = (*_EXECUTE, (PACKML_URI, "Start"))


_NEEDED = (Command.STOP, Command.RESET_STOPPED, Command.RESET_COMPLETE, Command.START)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State, counts and parameters of the machine, from one request.

    `parameters` is None when the machine does not show them.
    """

    state: State
    counts: Counts
    parameters: tuple[Descriptor, ...] | None


@contextlib.contextmanager
def _translated(what: str, moved: Moved = Moved.NO) -> Iterator[None]:
    """Turn every error of the library into a DriverError that carries `moved`."""
    try:
        yield
    except TimeoutError as error:
        raise DeviceTimeout(f"{what}: no answer in time", moved=moved) from error
    except (OSError, UaError) as error:
        raise DeviceUnavailable(
            f"{what}: {str(error) or type(error).__name__}", moved=moved
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, struct.error) as error:
        raise ProtocolError(f"{what}: unreadable answer: {error!r}", moved=moved) from error


class Session:
    """A session; opened once and closed once. Calls may overlap."""

    def __init__(self, address: str, options: Options) -> None:
        self._address = address
        self._options = options
        self._client = Client(
            address, timeout=options.request_timeout_s, watchdog_intervall=_WATCHDOG_S
        )
        self._client.session_timeout = SESSION_TIMEOUT_MS
        self._client.max_messagesize = MESSAGE_MAX
        self._client.max_chunkcount = CHUNKS_MAX
        self._client.name = self._client.description = "dispensed"
        self._client.connection_lost_callback = self._on_lost
        self._index: dict[str, int] = {}
        self._nodes: dict[tuple[_Step, ...], ua.NodeId] = {}
        self._reads: list[tuple[_Step, ...]] = []
        self.lost = asyncio.Event()

    async def _on_lost(self, _error: Exception) -> None:
        self.lost.set()

    # ------------------------------------------------------------ life

    async def open(self) -> Identity:
        """Connect, find the machine and say what it is; on failure nothing stays open."""
        try:
            with _translated(self._address):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._secure()
                    await self._client.connect()
                    uris = await self._client.get_namespace_array()
                    self._index = {uri: index for index, uri in enumerate(uris)}
                    return await self._find_nodes()
        except BaseException:
            await self.close()
            raise

    async def _secure(self) -> None:
        options = self._options
        if options.security == SECURE:
            await self._client.set_security(
                SecurityPolicyBasic256Sha256,
                options.certificate,
                options.private_key,
                server_certificate=str(options.server_certificate),
            )

    async def close(self) -> None:
        """Close within CLOSE_TIMEOUT_S whatever the machine does; pending requests fail."""
        self.lost.set()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._client.disconnect()
        except (TimeoutError, OSError, UaError):
            # The machine does not answer the farewell; its own session time-out ends the session.
            pass
        finally:
            self._client.disconnect_socket()

    async def ping(self) -> None:
        """Make one request to see that the machine is there."""
        with _translated(self._address):
            await self._client.nodes.server_state.read_value()

    # ------------------------------------------------------------ nodes

    async def _find_nodes(self) -> Identity:
        if PACKML_URI not in self._index:
            raise DeviceUnavailable(f"{self._address}: the server does not know PackML")
        root = await self._find_root()
        states = [(*level, _CURRENT) for level in _LEVELS]
        ids = [(*state, (_UA, "Id")) for state in states]
        numbers = [(*state, (_UA, "Number")) for state in states]
        plates = [((DI_URI, name),) for name in _PLATE]
        deep = [((DI_URI, "Identification"), *plate) for plate in plates]
        methods = [command.value for command in Command]
        wanted = [*_LEVELS, *states, *ids, *numbers, *plates, *deep, *methods]
        wanted += [_PROCESSED, _DEFECTIVE, _PARAMETER]
        found = await self._resolve([(root, path) for path in wanted])
        self._nodes = {
            path: node for path, node in zip(wanted, found, strict=True) if node is not None
        }
        needed = [*states, *(command.value for command in _NEEDED), _PROCESSED]
        if self._options.defective_count:
            needed.append(_DEFECTIVE)
        missing = ["/".join(name for _, name in path) for path in needed if path not in self._nodes]
        if missing:
            raise Unsupported(f"{self._address}: the machine has no {', '.join(missing)}")
        candidates = [*states, *ids, *numbers, _PROCESSED, _PARAMETER]
        if self._options.defective_count:
            candidates.append(_DEFECTIVE)
        self._reads = [path for path in candidates if path in self._nodes]
        return await self._identify(deep, plates)

    async def _identify(
        self, deep: Sequence[tuple[_Step, ...]], plates: Sequence[tuple[_Step, ...]]
    ) -> Identity:
        texts = []
        for path, other in zip(deep, plates, strict=True):
            node = self._nodes.get(path) or self._nodes.get(other)
            texts.append("" if node is None else await self._text(node))
        identity = Identity(*texts)
        if self._options.serial and identity.serial != self._options.serial:
            raise DeviceUnavailable(
                f"{self._address}: serial number {identity.serial!r} answers,"
                f" {self._options.serial!r} is configured"
            )
        return identity

    async def _text(self, node: ua.NodeId) -> str:
        (answer,) = await self._client.uaclient.read_attributes([node], AttributeIds.Value)
        value = _value(answer)
        return str(value.Text or "") if isinstance(value, ua.LocalizedText) else str(value or "")

    async def _find_root(self) -> ua.NodeId:
        objects = _plain(ObjectIds.ObjectsFolder)
        if self._options.root:
            return await self._walk(objects, self._options.root)
        starts = [
            ((uri, name),)
            for uri, name in (
                (MACHINERY_URI, "Machines"),
                (DI_URI, "DeviceSet"),
                (PACKML_URI, "PackMLObjects"),
            )
        ]
        found = await self._resolve([(objects, path) for path in starts])
        level = [*(node for node in found if node is not None), objects]
        seen = {_plain(ObjectIds.Server), *level}
        machines: list[ua.NodeId] = []
        for _ in range(SEARCH_DEPTH):
            inside = await self._resolve([(node, _BASE) for node in level])
            machines += [node for node, base in zip(level, inside, strict=True) if base is not None]
            below: list[ua.NodeId] = []
            for node in level:
                if node not in machines and len(seen) < SEARCH_NODES:
                    fresh = [child for child, _ in await self._children(node) if child not in seen]
                    seen.update(fresh)
                    below += fresh
            level = below[:SEARCH_NODES]
            if not level:
                break
        if len(machines) != 1:
            names = ", ".join(str(machine) for machine in machines) or "none"
            raise DeviceUnavailable(
                f"{self._address}: one PackML machine expected, found {names};"
                " set the option 'root'"
            )
        return machines[0]

    async def _walk(self, start: ua.NodeId, names: Sequence[str]) -> ua.NodeId:
        node = start
        for name in names:
            found = [child for child, called in await self._children(node) if called == name]
            if len(found) != 1:
                raise DeviceUnavailable(
                    f"{self._address}: root {'/'.join(names)!r}: {len(found)} nodes named {name!r}"
                )
            node = found[0]
        return node

    async def _children(self, node: ua.NodeId) -> list[tuple[ua.NodeId, str]]:
        answers = await self._client.get_node(node).get_children_descriptions(
            refs=ObjectIds.HierarchicalReferences, nodeclassmask=ua.NodeClass.Object
        )
        return [(answer.NodeId, str(answer.BrowseName.Name)) for answer in answers]

    async def _resolve(
        self, wanted: Sequence[tuple[ua.NodeId, tuple[_Step, ...]]]
    ) -> list[ua.NodeId | None]:
        """Return the node at each browse path, None where there is none."""
        known = [each for each in wanted if all(uri in self._index for uri, _ in each[1])]
        paths = [self._path(start, steps) for start, steps in known]
        answers = await self._client.uaclient.translate_browsepaths_to_nodeids(paths)
        found = {
            each: answer.Targets[0].TargetId
            for each, answer in zip(known, answers, strict=True)
            if answer.StatusCode.is_good() and answer.Targets
        }
        return [found.get(each) for each in wanted]

    def _path(self, start: ua.NodeId, steps: Sequence[_Step]) -> ua.BrowsePath:
        path = ua.BrowsePath()
        path.StartingNode = start
        for uri, name in steps:
            element = ua.RelativePathElement(
                _plain(ObjectIds.HierarchicalReferences),
                IsInverse=_NO,
                IncludeSubtypes=_YES,
                TargetName=ua.QualifiedName(name, self._index[uri]),
            )
            path.RelativePath.Elements.append(element)
        return path

    # ------------------------------------------------------------ reading

    async def read(self, *, moved: Moved = Moved.NO) -> Snapshot:
        """Read state, counts and parameters; any error carries `moved`.

        The three state machines change one after the other, so a reading that shows no state is
        repeated a few times.
        """
        for tries_left in reversed(range(_FOLD_TRIES)):
            nodes = [self._nodes[path] for path in self._reads]
            with _translated(self._address, moved):
                answers = await self._client.uaclient.read_attributes(nodes, AttributeIds.Value)
            shown = dict(zip(self._reads, answers, strict=False))
            try:
                return self._snapshot(shown)
            except ProtocolError as error:
                if not tries_left:
                    error.moved = moved
                    raise
            await asyncio.sleep(_FOLD_PAUSE_S)
        raise ProtocolError(f"{self._address}: no state", moved=moved)

    def _snapshot(self, shown: Mapping[tuple[_Step, ...], ua.DataValue]) -> Snapshot:
        base, machine, execute = (self._level(shown, level) for level in _LEVELS)
        defective = self._tally(shown[_DEFECTIVE]) if self._options.defective_count else None
        counts = Counts(self._tally(shown[_PROCESSED]), defective)
        parameters = None
        if _PARAMETER in shown:
            bodies = self._bodies(shown[_PARAMETER], DESCRIPTOR_ENCODING_ID)
            parameters = tuple(decode_descriptor(body) for body in bodies)
        return Snapshot(fold(base, machine, execute), counts, parameters)

    def _level(
        self, shown: Mapping[tuple[_Step, ...], ua.DataValue], level: tuple[_Step, ...]
    ) -> LevelState:
        current = (*level, _CURRENT)
        node, number, text = (
            _value(shown[path]) if path in shown else None
            for path in ((*current, (_UA, "Id")), (*current, (_UA, "Number")), current)
        )
        node_id = node.Identifier if isinstance(node, ua.NodeId) and self._ours(node) else None
        return LevelState(
            node_id if isinstance(node_id, int) else None,
            number if isinstance(number, int) else None,
            text.Text if isinstance(text, ua.LocalizedText) else None,
        )

    def _ours(self, node: ua.NodeId) -> bool:
        return node.NamespaceIndex == self._index[PACKML_URI]

    def _tally(self, answer: ua.DataValue) -> Tally:
        if _value(answer) is None:
            raise ProtocolError(f"the machine gives no count: {answer.StatusCode}")
        bodies = self._bodies(answer, COUNT_ENCODING_ID)
        index = self._options.count_index
        if index >= len(bodies):
            raise ProtocolError(f"the machine has {len(bodies)} counts, number {index} is asked")
        return tally_of(decode_count(bodies[index]))

    def _bodies(self, answer: ua.DataValue, encoding: int) -> list[bytes]:
        value = _value(answer)
        items = value if isinstance(value, list) else []
        if len(items) > PARAMETERS_MAX:
            raise ProtocolError(f"array of {len(items)} elements")
        bodies: list[bytes] = []
        for item in items:
            if (
                not isinstance(item, ua.ExtensionObject)
                or not self._ours(item.TypeId)
                or item.TypeId.Identifier != encoding
                or item.Body is None
            ):
                raise ProtocolError(f"a structure of PackML was expected, not {item!r}")
            bodies.append(bytes(item.Body))
        return bodies

    # ------------------------------------------------------------ calling

    async def call(
        self, command: Command, parameters: Sequence[Descriptor] = (), *, moved: Moved = Moved.NO
    ) -> None:
        """Call a method. DeviceRefused: it was not carried out; any other error carries `moved`."""
        path = command.value
        if path not in self._nodes:
            raise Unsupported(f"{self._address}: the machine has no {command.name}")
        request = ua.CallMethodRequest()
        request.ObjectId, request.MethodId = self._nodes[path[:-1]], self._nodes[path]
        if command is Command.START:
            encoding = ua.NodeId(
                ua.Int32(DESCRIPTOR_ENCODING_ID), ua.Int16(self._index[PACKML_URI])
            )
            items = [
                ua.ExtensionObject(encoding, ua.ByteString(encode_descriptor(item)))
                for item in parameters
            ]
            request.InputArguments = [
                ua.Variant(items, ua.VariantType.ExtensionObject, is_array=True)
            ]
        with _translated(f"{self._address}: {command.name}", moved):
            try:
                (answer,) = await self._client.uaclient.call([request])
            except UaStatusCodeError as error:
                if error.code not in _REFUSALS:
                    raise
                raise DeviceRefused(f"{command.name}: {error}", reason=str(error.code)) from error
        status = answer.StatusCode
        if status.value in _REFUSALS:
            raise DeviceRefused(f"{command.name}: {status.doc}", reason=status.name)
        if status.is_bad():
            raise DeviceFault(f"{command.name}: {status.doc}", reason=status.name, moved=moved)


def _plain(number: int) -> ua.NodeId:
    return ua.NodeId(ua.Int32(number))


def _value(answer: ua.DataValue) -> object:
    """Return a value that the machine vouches for, None for one with a bad status."""
    bad = answer.StatusCode is not None and not answer.StatusCode.is_good()
    return None if bad or answer.Value is None else answer.Value.Value
