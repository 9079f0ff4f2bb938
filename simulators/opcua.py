"""Serves a model on an OPC UA endpoint whose nodes are built from a table of facts.

The server is asyncua's, bound to 127.0.0.1 on a private port with its limits set; the public port
is a relay in front of it, so that a line can be cut, slow or silent.
"""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.common.callback import CallbackType, ServerItemCallback
from asyncua.common.connection import TransportLimits
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager
from asyncua.ua.object_ids import ObjectIds

from simulators.base import Model
from simulators.relay import relay
from simulators.serve import STEP_S, TICK_S, Served, Ticker
from simulators.wire import Wire

MESSAGE_MAX = 1 << 20
CHUNK = 65535
CONNECTIONS_MAX = 20
PENDING_MAX = 100
BUSY_TICK_MIN_S = 0.001
"""Shortest time between two looks at a model that is at work."""
_STEPS_PER_LOOK = 4
OPCUA_URI = "http://opcfoundation.org/UA/"

NodePath = tuple[str, ...]
"""Names from Objects down; unique in one table, whatever their namespaces."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A node of some namespace by its numeric id there."""

    uri: str
    number: int


@dataclass(frozen=True, slots=True)
class NodeFact:
    """One node of the table.

    `under` is the path of its parent in the table, or a node. `type_of` is the type definition of
    an object or variable, `data_type` that of a variable, whose `value` is what it shows at first.
    """

    path: NodePath
    uri: str
    node: Ref
    under: NodePath | Ref
    node_class: ua.NodeClass
    reference: int = ObjectIds.HasComponent
    type_of: Ref | None = None
    data_type: Ref | None = None
    value: ua.Variant | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of a server that talks Basic256Sha256, signed and encrypted, and nothing else.

    `users`: who may enter, with which password; with none anybody may, without a name.
    """

    certificate: Path
    private_key: Path
    users: Mapping[str, str] = field(default_factory=dict)


class _Doorman(UserManager):
    """Lets in the users of the keys; without any, everybody."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users

    def get_user(
        self,
        iserver: InternalServer,
        username: str | None = None,
        password: str | None = None,
        certificate: object = None,
    ) -> User | None:
        """Return the user, None to refuse him."""
        del iserver, certificate
        known = self._users.get(username or "")
        if self._users and (known is None or known != password):
            return None
        return User(role=UserRole.User, name=username)


class Face(Protocol):
    """A model as OPC UA shows it. `index` translates namespace URIs to this server's indexes."""

    namespaces: Sequence[str]
    """The URIs to register, in order, after the two that every server has."""

    @property
    def model(self) -> Model:
        """The machine."""
        ...

    @property
    def busy(self) -> bool:
        """Whether the passing of time will change anything."""
        ...

    def nodes(self, index: Mapping[str, int]) -> Sequence[NodeFact]:
        """The table of nodes, parents first."""
        ...

    def values(self, index: Mapping[str, int]) -> Mapping[NodePath, ua.DataValue]:
        """What the variables that change show at present."""
        ...

    def call(self, path: NodePath, arguments: Sequence[ua.Variant]) -> int | list[ua.Variant]:
        """Carry out a method; return an OPC UA status code, or what it gives back."""
        ...


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Keep the garbage collector from walking the thousands of standard nodes: 0.6 s, not 1.4 s."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Machine:
    """The server with its nodes; the model moves on before every method call."""

    def __init__(self, face: Face, wire: Wire, keys: Keys | None) -> None:
        self._face = face
        self._keys = keys
        self._wire = wire
        self._index: dict[str, int] = {}
        self._nodes: dict[NodePath, ua.NodeId] = {}
        self._shown: dict[NodePath, ua.DataValue] = {}
        self._ticker = Ticker(face.model, wire)
        self._wake = asyncio.Event()
        self._showing = asyncio.Lock()
        users = {} if keys is None else keys.users
        self.server = Server(user_manager=_Doorman(users))
        token = ua.UserNameIdentityToken if users else ua.AnonymousIdentityToken
        self.server.set_identity_tokens([token])

    async def build(self) -> None:
        """Make the server and all its nodes."""
        server = self.server
        server.iserver.max_connections = CONNECTIONS_MAX
        server.iserver.max_pending_messages_per_connection = PENDING_MAX
        server.limits = TransportLimits(
            max_recv_buffer=CHUNK,
            max_send_buffer=CHUNK,
            max_chunk_count=-(-MESSAGE_MAX // CHUNK),
            max_message_size=MESSAGE_MAX,
        )
        with _without_collecting():
            await server.init()
        server.disable_clock()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        if self._keys is None:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        else:
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
            await server.load_certificate(self._keys.certificate)
            await server.load_private_key(self._keys.private_key)
        self._index = {OPCUA_URI: 0}
        for uri in self._face.namespaces:
            self._index[uri] = await server.register_namespace(uri)
        for fact in self._face.nodes(self._index):
            await self._add(fact)
        await self.show()
        server.subscribe_server_callback(CallbackType.PreRead, self._before_reading)

    async def _before_reading(self, event: ServerItemCallback, _service: object) -> None:
        """Show a client the machine as it is, and not as it was at the last look."""
        if event.is_external:
            self.advance()
            await self.show()

    def node_id(self, ref: Ref) -> ua.NodeId:
        """Return a node's id on this server."""
        return ua.NodeId(ua.Int32(ref.number), ua.Int16(self._index[ref.uri]))

    async def _add(self, fact: NodeFact) -> None:
        item = ua.AddNodesItem()
        item.RequestedNewNodeId = self._nodes[fact.path] = self.node_id(fact.node)
        item.BrowseName = ua.QualifiedName(fact.path[-1], self._index[fact.uri])
        item.NodeClass = fact.node_class
        parent = fact.under
        item.ParentNodeId = self.node_id(parent) if isinstance(parent, Ref) else self._nodes[parent]
        item.ReferenceTypeId = ua.NodeId(ua.Int32(fact.reference))
        if fact.type_of is not None:
            item.TypeDefinition = self.node_id(fact.type_of)
        item.NodeAttributes = self._attributes(fact)
        (result,) = await self.server.iserver.isession.add_nodes([item])
        result.StatusCode.check()
        if fact.node_class is ua.NodeClass.Method:
            self._bind(fact.path, result.AddedNodeId)

    def _attributes(self, fact: NodeFact) -> object:
        kinds = {
            ua.NodeClass.Object: ua.ObjectAttributes,
            ua.NodeClass.ObjectType: ua.ObjectTypeAttributes,
            ua.NodeClass.DataType: ua.DataTypeAttributes,
            ua.NodeClass.Method: ua.MethodAttributes,
            ua.NodeClass.Variable: ua.VariableAttributes,
            ua.NodeClass.VariableType: ua.VariableTypeAttributes,
        }
        attributes = kinds[fact.node_class]()
        attributes.DisplayName = ua.LocalizedText(fact.path[-1])
        if isinstance(attributes, ua.MethodAttributes):
            attributes.Executable = attributes.UserExecutable = True
        if isinstance(attributes, ua.VariableAttributes):
            if fact.data_type is None or fact.value is None:
                raise ValueError(f"{fact.path}: a variable has a data type and a value")
            attributes.DataType = self.node_id(fact.data_type)
            attributes.Value = fact.value
            one = ua.ValueRank.OneDimension if fact.value.is_array else ua.ValueRank.Scalar
            attributes.ValueRank = one
            attributes.AccessLevel = ua.AccessLevel.CurrentRead.mask
            attributes.UserAccessLevel = ua.AccessLevel.CurrentRead.mask
        return attributes

    def _bind(self, path: NodePath, node: ua.NodeId) -> None:
        async def called(_parent: ua.NodeId, *arguments: ua.Variant) -> object:
            self.advance()
            answer = self._face.call(path, arguments)
            await self.show()
            self._wake.set()
            return ua.StatusCode(ua.UInt32(answer)) if isinstance(answer, int) else answer

        self.server.iserver.isession.add_method_callback(node, called)

    def advance(self) -> None:
        """Let the model catch up with the time."""
        self._ticker.advance(asyncio.get_running_loop().time())

    async def show(self) -> None:
        """Write the variables that changed."""
        async with self._showing:
            for path, value in self._face.values(self._index).items():
                if self._shown.get(path) != value:
                    self._shown[path] = value
                    await self.server.write_attribute_value(self._nodes[path], value)

    async def run(self) -> None:
        """Move the model on, for ever."""
        while True:
            self._wake.clear()
            self.advance()
            await self.show()
            pause = TICK_S
            if self._face.busy:
                pause = max(BUSY_TICK_MIN_S, STEP_S * _STEPS_PER_LOOK / self._wire.speed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(TICK_S, pause)):
                    await self._wake.wait()


@contextlib.asynccontextmanager
async def serve_opcua(
    face: Face, wire: Wire, address: str, *, keys: Keys | None = None
) -> AsyncIterator[Served]:
    """Serve a model on `opc.tcp://HOST:PORT` (port 0: any free one); OSError without a port."""
    parts = urlsplit(address)
    machine = _Machine(face, wire, keys)
    await machine.build()
    await machine.server.start()
    try:
        private = machine.server.bserver
        if private is None:
            raise OSError(f"{address}: the server did not start")
        target = (private.hostname, private.port)
        host, port = parts.hostname or "127.0.0.1", parts.port or 0
        async with relay(target, wire, host=host, port=port) as line:
            task = asyncio.create_task(machine.run())
            try:
                yield Served(f"opc.tcp://{line.host}:{line.port}", wire, task)
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
    finally:
        await machine.server.stop()
