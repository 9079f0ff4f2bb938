"""A counter that talks only signed and encrypted, and whose certificate is pinned."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.base import CountJob, DeviceSpec, DriverError
from drivers.packml.driver import PackmlDriver
from simulators.opcua import Keys
from simulators.packml import serve
from simulators.packml_model import CounterModel
from simulators.wire import Wire
from tests.contract.transports import Inbox


async def _keys(folder: Path, name: str, uri: str) -> Keys:
    keys = Keys(folder / f"{name}.der", folder / f"{name}.pem")
    await setup_self_signed_certificate(
        keys.private_key,
        keys.certificate,
        uri,
        socket.gethostname(),
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
        {"commonName": name},
    )
    return keys


async def test_a_secure_counter_is_used_only_with_its_own_certificate(tmp_path: Path) -> None:
    ours = await _keys(tmp_path, "dispensed", "urn:dispensed:client")
    theirs = await _keys(tmp_path, "counter", "urn:freeopcua:python:server")
    others = await _keys(tmp_path, "stranger", "urn:freeopcua:python:server")
    inbox = Inbox()

    def driver(address: str, options: Mapping[str, str | int]) -> PackmlDriver:
        return PackmlDriver(DeviceSpec("counter", address, {**options, "settle_ms": 5}), inbox.put)

    secure: dict[str, str | int] = {
        "security": "Basic256Sha256",
        "certificate": str(ours.certificate),
        "private_key": str(ours.private_key),
        "server_certificate": str(theirs.certificate),
        "user": "anonymous",
    }
    model = CounterModel(1)
    async with serve(model, Wire(speed=50), "opc.tcp://127.0.0.1:0", keys=theirs) as served:
        counter = driver(served.address, secure)
        await counter.connect()
        result = await counter.count(CountJob("417-1", "a", "l", "s", 20), timeout_s=20)
        await counter.close()
        assert result.counted == 20
        secure["request_timeout_ms"] = 500
        stranger = secure | {"server_certificate": str(others.certificate)}
        missing = secure | {"private_key": str(tmp_path / "absent.pem")}
        plain: dict[str, str | int] = {
            "security": "none",
            "user": "anonymous",
            "request_timeout_ms": 500,
        }
        for options in (stranger, missing, plain):
            with pytest.raises(DriverError):
                await driver(served.address, options).connect()
