"""python-opcua, the deprecated predecessor of our library, as the server of a scale.

Its nodes are written out here from OPC 40200 1.01, its structures from OPC 10000-6. It is served
open, and signed and encrypted with certificates that are made here.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from opcua import Node, Server, ua

from drivers.base import DeviceSpec
from drivers.errors import DriverError, Overload
from drivers.opcua40200.driver import Opcua40200Driver
from tests.contract.transports import Inbox

pytestmark = pytest.mark.peer
Options = dict[str, str | int | float | bool]
OPEN: Options = {"security": "none", "user": "anonymous", "request_timeout_ms": 2000}
SCALES = "http://opcfoundation.org/UA/Scales"
DI = "http://opcfoundation.org/UA/DI/"
STRUCTURE = ua.NodeId(ua.ObjectIds.Structure)
SERVER_URI = "urn:freeopcua:python:server"


def _structure(number: int, index: int, body: bytes) -> ua.ExtensionObject:
    made = ua.ExtensionObject()
    made.TypeId = ua.NodeId(number, index)
    made.Body = body
    return made


def _text(value: str) -> bytes:
    return struct.pack("<i", len(value)) + value.encode()


class Scale:
    """The nodes of one scale, and the methods that set its tare."""

    def __init__(self, server: Server) -> None:
        self._di = server.register_namespace(DI)
        server.register_namespace("urn:something:else")
        self._scales = server.register_namespace(SCALES)
        devices = server.get_objects_node().add_folder(self._di, "DeviceSet")
        self._device = devices.add_object(self._scales, "Truck scale")
        self._device.add_property(self._di, "SerialNumber", "OLD-1")
        self._gross, self._tare = 1250.0, 0.0
        weight, printed = self._values()
        self.weight = self._device.add_variable(
            self._scales, "CurrentWeight", weight, datatype=STRUCTURE
        )
        self.printed = self.weight.add_property(
            self._scales, "PrintableValue", printed, datatype=STRUCTURE
        )
        self.overload = self._property("Overload", value=False)
        self._property("Underload", value=False)
        self._property("WeightStable", value=True)
        unit = ua.EUInformation()
        unit.NamespaceUri = "http://www.opcfoundation.org/UA/units/un/cefact"
        unit.UnitId = 4933453
        unit.DisplayName = ua.LocalizedText("kg")
        self.weight.add_property(0, "EngineeringUnits", unit)
        reach = ua.Range()
        reach.Low, reach.High = 0.0, 60000.0
        self.weight.add_property(0, "EURange", reach)
        self._device.add_method(self._scales, "SetTare", self._set_tare)
        self._device.add_method(self._scales, "ClearTare", self._clear_tare)

    def _property(self, name: str, *, value: object) -> Node:
        return self.weight.add_property(self._scales, name, value)

    def _values(self) -> tuple[ua.ExtensionObject, ua.ExtensionObject]:
        values = (self._gross, self._gross - self._tare, self._tare)
        printed = b"".join(_text(f"{value:8.1f}") for value in values)
        weight = _structure(88, self._scales, struct.pack("<3d", *values))
        return weight, _structure(97, self._scales, printed)

    def show(self) -> None:
        weight, printed = self._values()
        self.weight.set_value(weight)
        self.printed.set_value(printed)

    def _set_tare(self, _parent: ua.NodeId) -> list[ua.Variant]:
        self._tare = self._gross
        self.show()
        return []

    def _clear_tare(self, _parent: ua.NodeId) -> list[ua.Variant]:
        self._tare = 0.0
        self.show()
        return []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def _served(keys: tuple[Path, Path] | None = None) -> Iterator[tuple[str, Scale]]:
    server = Server()
    address = f"opc.tcp://127.0.0.1:{_free_port()}"
    server.set_endpoint(address)
    policy = ua.SecurityPolicyType.NoSecurity
    if keys is not None:
        policy = ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt
        server.load_certificate(str(keys[0]))
        server.load_private_key(str(keys[1]))
    server.set_security_policy([policy])
    scale = Scale(server)
    server.start()
    try:
        yield address, scale
    finally:
        server.stop()


async def test_the_predecessor_shows_a_scale_that_is_weighed_and_tared() -> None:
    with _served() as (address, peer):
        options = OPEN | {"unit": "kg", "serial": "OLD-1"}
        scale = Opcua40200Driver(DeviceSpec("scale", address, options), Inbox().put)
        await scale.connect()
        reading = await scale.weigh(timeout_s=10)
        assert (str(reading.value), reading.unit, reading.stable) == ("1250.0", "kg", True)
        assert (await scale.tare(timeout_s=10)).value == 1250
        assert str((await scale.weigh(timeout_s=10)).value) == "0.0"
        await scale.set_tare(None)
        assert (await scale.weigh(timeout_s=10)).value == Decimal("1250.0")
        peer.overload.set_value(True)
        with pytest.raises(Overload):
            await scale.weigh(timeout_s=10)
        await scale.close()


async def _keys(folder: Path, name: str, uri: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.der", folder / f"{name}.pem"
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(
        key, certificate, uri, socket.gethostname(), usages, {"commonName": name}
    )
    return certificate, key


async def test_the_predecessor_is_used_signed_and_encrypted_when_its_certificate_is_pinned(
    tmp_path: Path,
) -> None:
    ours = await _keys(tmp_path, "dispensed", "urn:dispensed:client")
    theirs = await _keys(tmp_path, "scale", SERVER_URI)
    others = await _keys(tmp_path, "stranger", SERVER_URI)
    password = tmp_path / "anna.secret"
    password.write_text("correct horse")
    options: Options = {
        "security": "Basic256Sha256",
        "certificate": str(ours[0]),
        "private_key": str(ours[1]),
        "server_certificate": str(theirs[0]),
        "user": "anna",
        "password_file": str(password),
        "unit": "kg",
        "request_timeout_ms": 2000,
    }
    with _served(theirs) as (address, _):
        scale = Opcua40200Driver(DeviceSpec("scale", address, options), Inbox().put)
        identity = await scale.connect()
        assert identity.link == "Basic256Sha256 SignAndEncrypt, user anna"
        assert str((await scale.weigh(timeout_s=10)).value) == "1250.0"
        await scale.close()
        options["server_certificate"] = str(others[0])
        with pytest.raises(DriverError):
            await Opcua40200Driver(DeviceSpec("scale", address, options), Inbox().put).connect()
