"""One OPC UA session, as every driver over OPC UA needs it: connect, find, read, call, follow.

The only user of asyncua among the drivers, with the sessions of the protocols that build on it.
Every error of the library and of the wire leaves as a DriverError. Nodes are addressed by namespace
URI and browse path; the index of a namespace is looked up at each connect. Every request has the
deadline `request_timeout_s`.

Source: OPC 10000-4 (services), 10000-7 (Basic256Sha256), 10000-100 DI 1.04 for nameplates. Not
verified on hardware.
"""

import asyncio
import contextlib
import hashlib
import hmac
import struct
from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from asyncua import ua
from asyncua.client.client import Client
from asyncua.common.subscription import (
    DataChangeEvent,
    OverflowPolicy,
    StatusChangeEvent,
    Subscription,
)
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from drivers.base import Identity
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.opcua_link import ANONYMOUS, SECURE, Link

UA_URI = "http://opcfoundation.org/UA/"
DI_URI = "http://opcfoundation.org/UA/DI/"
MACHINERY_URI = "http://opcfoundation.org/UA/Machinery/"
SESSION_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 1.0
MESSAGE_MAX = 1 << 20
CHUNKS_MAX = 64
NODES_MAX = 100
"""Nodes in one request; a server may have its own limit, and 100 is a modest one."""
SEARCH_DEPTH = 3
SEARCH_NODES = 200
CHANGES_MAX = 1000
"""Changes that wait to be taken before the link counts as lost."""
PASSWORD_MAX = 1024
SUBSCRIPTION_ALIVE_S = 5.0
"""Time after which a subscription without changes says that it is alive."""
_WATCHDOG_S = 3600.0
"""The library's own keep-alive is not used: `watch` has one with its own deadline."""
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

Step = tuple[str, str]
"""Namespace URI and browse name."""
Browse = tuple[Step, ...]
"""A path of browse names from one node down to another."""
_PLATE = ("Manufacturer", "Model", "SerialNumber", "SoftwareRevision")
_STARTS: tuple[Browse, ...] = (((MACHINERY_URI, "Machines"),), ((DI_URI, "DeviceSet"),))


@contextlib.contextmanager
def translated(what: str, moved: Moved = Moved.NO) -> Iterator[None]:
    """Turn every error of the library into a DriverError that carries `moved`."""
    try:
        yield
    except TimeoutError as error:
        raise DeviceTimeout(f"{what}: no answer in time", moved=moved) from error
    except (OSError, UaError, InvalidSignature) as error:
        raise DeviceUnavailable(
            f"{what}: {str(error) or type(error).__name__}", moved=moved
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError, struct.error) as error:
        raise ProtocolError(f"{what}: unreadable answer: {error!r}", moved=moved) from error


class Session:
    """A session; opened once and closed once. Calls may overlap."""

    def __init__(self, address: str, link: Link) -> None:
        self.address = address
        self.lost = asyncio.Event()
        """Set when the connection is lost, and by `close`."""
        self._link = link
        self._client = self._new_client()
        self._client.connection_lost_callback = self._on_lost
        self._index: dict[str, int] = {}

    def _new_client(self) -> Client:
        client = Client(
            self.address, timeout=self._link.request_timeout_s, watchdog_intervall=_WATCHDOG_S
        )
        client.session_timeout = SESSION_TIMEOUT_MS
        client.max_messagesize = MESSAGE_MAX
        client.max_chunkcount = CHUNKS_MAX
        client.name = client.description = "dispensed"
        return client

    async def _on_lost(self, _error: Exception) -> None:
        self.lost.set()

    # ------------------------------------------------------------ life

    async def open(self) -> None:
        """Connect and read the namespaces; on failure nothing stays open."""
        try:
            with translated(self.address):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await self._protect()
                    await self._client.connect()
                    uris = await self._client.get_namespace_array()
                    self._index = {uri: index for index, uri in enumerate(uris)}
        except BaseException:
            await self.close()
            raise

    async def _protect(self) -> None:
        link, client = self._link, self._client
        if link.security == SECURE:
            client.application_uri = await self._own_uri()
            await client.set_security(
                SecurityPolicyBasic256Sha256,
                link.certificate,
                link.private_key,
                server_certificate=await self._pinned(),
            )
        if link.user != ANONYMOUS and link.password_file is not None:
            client.set_user(link.user)
            client.set_password(await asyncio.to_thread(_password, link))

    async def _own_uri(self) -> str:
        """Return the application's name in our certificate: a server compares the two."""
        own = await uacrypto.load_certificate(self._link.certificate)
        try:
            names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris: list[str] = names.get_values_for_type(x509.UniformResourceIdentifier)
        except x509.ExtensionNotFound:
            uris = []
        if not uris:
            raise DeviceUnavailable(
                f"{self._link.certificate}: the certificate names no application URI"
            )
        return uris[0]

    async def _pinned(self) -> uacrypto.CertProperties:
        """Return the certificate that the machine must prove to hold."""
        link = self._link
        if link.server_certificate is not None:
            return uacrypto.CertProperties(link.server_certificate)
        endpoints = await self._new_client().connect_and_get_server_endpoints()
        shown: set[str] = set()
        for endpoint in endpoints:
            if not endpoint.ServerCertificate:
                continue
            certificate = _first_of(endpoint.ServerCertificate)
            fingerprint = hashlib.sha256(certificate).hexdigest()
            if hmac.compare_digest(fingerprint, link.server_fingerprint):
                return uacrypto.CertProperties(certificate, "der")
            shown.add(fingerprint)
        raise DeviceUnavailable(
            f"{self.address}: the machine does not show the pinned certificate; it shows"
            f" {', '.join(sorted(shown)) or 'none'}"
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

    async def watch(self) -> None:
        """Ask for a sign of life every `keepalive_s`; never returns, raises when it is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._link.keepalive_s):
                    await self.lost.wait()
            if self.lost.is_set():
                raise DeviceUnavailable(f"{self.address}: the connection is lost")
            with translated(self.address):
                await self._client.nodes.server_state.read_value()

    # ------------------------------------------------------------ names

    def knows(self, uri: str) -> bool:
        """Whether the machine has a namespace."""
        return uri in self._index

    def index(self, uri: str) -> int:
        """Return the index that a namespace has on this machine; raises Unsupported."""
        if uri not in self._index:
            raise Unsupported(f"{self.address}: the machine does not know {uri}")
        return self._index[uri]

    def numeric(self, node: object, uri: str) -> int | None:
        """Return the number of a node of a namespace, None for every other node and thing."""
        if not isinstance(node, ua.NodeId) or node.NamespaceIndex != self._index.get(uri):
            return None
        return node.Identifier if isinstance(node.Identifier, int) else None

    async def identify(self, machine: ua.NodeId) -> Identity:
        """Return the nameplate of a machine: that of its Identification, else its own (DI).

        Raises DeviceUnavailable when another serial number than the configured one answers.
        """
        plates: list[Browse] = [((DI_URI, name),) for name in _PLATE]
        deep: list[Browse] = [((DI_URI, "Identification"), *plate) for plate in plates]
        found = await self.resolve([(machine, path) for path in (*deep, *plates)])
        shown = await self.read([node for node in found if node is not None])
        texts = iter(map(text_of, shown))
        told = ["" if node is None else next(texts) for node in found]
        maker, model, serial, firmware = (
            one or other
            for one, other in zip(told[: len(_PLATE)], told[len(_PLATE) :], strict=True)
        )
        identity = Identity(maker, model, serial, firmware, link=self._link.told())
        if self._link.serial and identity.serial != self._link.serial:
            raise DeviceUnavailable(
                f"{self.address}: serial number {identity.serial!r} answers,"
                f" {self._link.serial!r} is configured"
            )
        return identity

    # ------------------------------------------------------------ nodes

    async def find(self, marker: Browse, starts: Sequence[Browse] = ()) -> ua.NodeId:
        """Return the machine: the node at `root`, else the one object that has `marker` below it.

        It is looked for under Machines, DeviceSet, `starts` and Objects, SEARCH_DEPTH levels deep.
        Raises DeviceUnavailable when there is none or more than one.
        """
        objects = plain(ObjectIds.ObjectsFolder)
        if self._link.root:
            return await self._walk(objects, self._link.root)
        found = await self.resolve([(objects, path) for path in (*_STARTS, *starts)])
        level = [*(node for node in found if node is not None), objects]
        seen = {plain(ObjectIds.Server), *level}
        machines: list[ua.NodeId] = []
        for _ in range(SEARCH_DEPTH):
            inside = await self.resolve([(node, marker) for node in level])
            machines += [node for node, mark in zip(level, inside, strict=True) if mark is not None]
            below: list[ua.NodeId] = []
            for node in level:
                if node not in machines and len(seen) < SEARCH_NODES:
                    fresh = [child for child, _ in await self.children(node) if child not in seen]
                    seen.update(fresh)
                    below += fresh
            level = below[:SEARCH_NODES]
            if not level:
                break
        if len(machines) != 1:
            names = ", ".join(str(machine) for machine in machines) or "none"
            raise DeviceUnavailable(
                f"{self.address}: one machine with {marker[-1][1]} expected, found {names};"
                " set the option 'root'"
            )
        return machines[0]

    async def _walk(self, start: ua.NodeId, names: Sequence[str]) -> ua.NodeId:
        node = start
        for name in names:
            found = [child for child, (_, called) in await self.children(node) if called == name]
            if len(found) != 1:
                raise DeviceUnavailable(
                    f"{self.address}: root {'/'.join(names)!r}: {len(found)} nodes named {name!r}"
                )
            node = found[0]
        return node

    async def children(self, node: ua.NodeId) -> list[tuple[ua.NodeId, Step]]:
        """Return the objects below a node, each with its browse name."""
        with translated(self.address):
            answers = await self._client.get_node(node).get_children_descriptions(
                refs=ObjectIds.HierarchicalReferences, nodeclassmask=ua.NodeClass.Object
            )
            uris = {index: uri for uri, index in self._index.items()}
            return [
                (answer.NodeId, (uris[answer.BrowseName.NamespaceIndex], answer.BrowseName.Name))
                for answer in answers
            ]

    async def resolve(self, wanted: Sequence[tuple[ua.NodeId, Browse]]) -> list[ua.NodeId | None]:
        """Return the node at each browse path, None where there is none."""
        known = [each for each in wanted if all(uri in self._index for uri, _ in each[1])]
        found: dict[tuple[ua.NodeId, Browse], ua.NodeId] = {}
        for part in _parts(known):
            paths = [self._path(start, steps) for start, steps in part]
            with translated(self.address):
                answers = await self._client.uaclient.translate_browsepaths_to_nodeids(paths)
                for each, answer in zip(part, answers, strict=True):
                    if answer.StatusCode.is_good() and answer.Targets:
                        found[each] = answer.Targets[0].TargetId
        return [found.get(each) for each in wanted]

    def _path(self, start: ua.NodeId, steps: Browse) -> ua.BrowsePath:
        path = ua.BrowsePath()
        path.StartingNode = start
        for uri, name in steps:
            element = ua.RelativePathElement(
                plain(ObjectIds.HierarchicalReferences),
                IsInverse=_NO,
                IncludeSubtypes=_YES,
                TargetName=ua.QualifiedName(name, self._index[uri]),
            )
            path.RelativePath.Elements.append(element)
        return path

    # ------------------------------------------------------------ values

    async def read(
        self, nodes: Sequence[ua.NodeId], *, moved: Moved = Moved.NO
    ) -> list[ua.DataValue]:
        """Return the value of each node; up to NODES_MAX are read in one request."""
        answers: list[ua.DataValue] = []
        with translated(self.address, moved):
            for part in _parts(nodes):
                given = await self._client.uaclient.read_attributes(list(part), AttributeIds.Value)
                if len(given) != len(part):
                    raise ProtocolError(
                        f"{self.address}: {len(given)} values for {len(part)} nodes", moved=moved
                    )
                answers += given
        return answers

    async def subscribe(self, nodes: Sequence[ua.NodeId], *, period_s: float) -> "Changes":
        """Return the changes of some nodes, each with its value at the start.

        The machine looks every `period_s` and keeps what it sees until it is sent. A subscription
        that the machine ends, and changes that are not taken in time, set `lost`.
        """
        parameters = ua.CreateSubscriptionParameters()
        alive = max(1, round(SUBSCRIPTION_ALIVE_S / period_s))
        parameters.RequestedPublishingInterval = ua.Double(period_s * 1000)
        parameters.RequestedMaxKeepAliveCount = ua.UInt32(alive)
        parameters.RequestedLifetimeCount = ua.UInt32(alive * 10)
        parameters.MaxNotificationsPerPublish = ua.UInt32(CHANGES_MAX)
        parameters.PublishingEnabled = _YES
        with translated(self.address):
            subscription = await self._client.create_subscription(
                parameters, queue_maxsize=CHANGES_MAX, overflow=OverflowPolicy.DISCONNECT
            )
            results = await subscription.subscribe_data_change(
                [self._client.get_node(node) for node in nodes],
                queuesize=NODES_MAX,
                sampling_interval=ua.Double(period_s * 1000),
            )
        for node, result in zip(nodes, results, strict=True):
            if isinstance(result, ua.StatusCode):
                raise Unsupported(f"{self.address}: {node} cannot be followed: {result.name}")
        return Changes(self, subscription)

    # ------------------------------------------------------------ methods

    async def call(
        self,
        what: str,
        method: tuple[ua.NodeId, ua.NodeId],
        arguments: Sequence[ua.Variant] = (),
        *,
        moved: Moved = Moved.NO,
    ) -> list[ua.Variant]:
        """Call a method, given as object and method node; return its output arguments.

        DeviceRefused: it was not carried out; any other error carries `moved`.
        """
        request = ua.CallMethodRequest()
        request.ObjectId, request.MethodId = method
        request.InputArguments = list(arguments)
        with translated(f"{self.address}: {what}", moved):
            try:
                (answer,) = await self._client.uaclient.call([request])
            except UaStatusCodeError as error:
                if error.code not in _REFUSALS:
                    raise
                raise DeviceRefused(f"{what}: {error}", reason=str(error.code)) from error
        status = answer.StatusCode
        if status.value in _REFUSALS:
            raise DeviceRefused(f"{what}: {status.doc}", reason=status.name)
        if status.is_bad():
            raise DeviceFault(f"{what}: {status.doc}", reason=status.name, moved=moved)
        return list(answer.OutputArguments or [])


class Changes:
    """What the nodes of one subscription show from now on; made by `Session.subscribe`."""

    def __init__(self, session: Session, subscription: Subscription) -> None:
        self._session = session
        self._subscription = subscription

    async def next(self, *, timeout_s: float) -> tuple[ua.NodeId, ua.DataValue] | None:
        """Return the next change, None when none came in time.

        Raises DeviceUnavailable when the connection is lost or the machine ended the subscription.
        """
        if self._session.lost.is_set():
            raise DeviceUnavailable(f"{self._session.address}: the connection is lost")
        try:
            event = await self._subscription.next_event(timeout_s)
        except StopAsyncIteration as error:
            raise DeviceUnavailable(f"{self._session.address}: no more changes") from error
        if isinstance(event, StatusChangeEvent):
            self._session.lost.set()
            status = event.notification.Status
            raise DeviceUnavailable(
                f"{self._session.address}: the machine ended the subscription: {status.name}"
            )
        if not isinstance(event, DataChangeEvent):
            return None
        return event.node.nodeid, event.data.monitored_item.Value


def plain(number: int) -> ua.NodeId:
    """Return a node of the OPC UA namespace."""
    return ua.NodeId(ua.Int32(number))


def value_of(answer: ua.DataValue) -> object:
    """Return a value that the machine vouches for, None for one with a status that is not good."""
    bad = answer.StatusCode is not None and not answer.StatusCode.is_good()
    return None if bad or answer.Value is None else answer.Value.Value


def text_of(answer: ua.DataValue) -> str:
    """Return a text, localized or not; "" for none."""
    value = value_of(answer)
    return str(value.Text or "") if isinstance(value, ua.LocalizedText) else str(value or "")


def _first_of(chain: bytes) -> bytes:
    """Return the machine's own certificate in DER form, the first of a chain."""
    certificate: x509.Certificate = uacrypto.x509_from_der(chain)  # type: ignore[no-untyped-call]
    return certificate.public_bytes(Encoding.DER)


_T = TypeVar("_T")


def _parts(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(items), NODES_MAX):
        yield items[at : at + NODES_MAX]


def _password(link: Link) -> str:
    """Read the password; its file may end with a line end. Raises OSError, ValueError."""
    if link.password_file is None:
        raise ValueError("no password file")
    with link.password_file.open("rb") as file:
        raw = file.read(PASSWORD_MAX + 1)
    if len(raw) > PASSWORD_MAX:
        raise ValueError(f"{link.password_file} is longer than {PASSWORD_MAX} bytes")
    return raw.decode().rstrip("\r\n")
