"""Machines that talk only signed and encrypted and to their own users; certificates are pinned.

The certificates are made here; the server is a real one.
"""

import asyncio
import hashlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.base import CountJob, DeviceSpec
from drivers.errors import DeviceUnavailable, DriverError
from drivers.opcua40200.driver import Opcua40200Driver
from drivers.opcua_cabinet.driver import OpcuaCabinetDriver
from drivers.packml.driver import PackmlDriver
from simulators.opcua import Keys
from tests.contract.counters import PLAIN
from tests.contract.opcua_stand import (
    CabinetStand,
    ScaleStand,
    Stand,
    a_cabinet_stand,
    a_scale_stand,
    a_stand,
)
from tests.contract.transports import Inbox

Options = dict[str, str | int | float | bool]
SECRET = "correct horse"  # noqa: S105 - the password of a simulated machine
SERVER_URI = "urn:freeopcua:python:server"


def keys(folder: Path, name: str, uri: str, users: dict[str, str] | None = None) -> Keys:
    made = Keys(folder / f"{name}.der", folder / f"{name}.pem", users or {})
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    asyncio.run(
        setup_self_signed_certificate(
            made.private_key,
            made.certificate,
            uri,
            socket.gethostname(),
            usages,
            {"commonName": name},
        )
    )
    return made


@dataclass(frozen=True)
class Vault:
    """The keys of everybody."""

    folder: Path
    ours: Keys
    theirs: Keys
    strangers: Keys

    def options(self, **change: str) -> Options:
        password = self.folder / "anna.secret"
        password.write_text(f"{SECRET}\n")
        return {
            "security": "Basic256Sha256",
            "certificate": str(self.ours.certificate),
            "private_key": str(self.ours.private_key),
            "server_certificate": str(self.theirs.certificate),
            "user": "anna",
            "password_file": str(password),
            "request_timeout_ms": 1500,
            **change,
        }


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    folder = tmp_path_factory.mktemp("keys")
    return Vault(
        folder,
        keys(folder, "dispensed", "urn:dispensed:client"),
        keys(folder, "counter", SERVER_URI, {"anna": SECRET}),
        keys(folder, "stranger", SERVER_URI),
    )


@pytest.fixture(scope="module")
def secure_stand(vault: Vault) -> Iterator[Stand]:
    yield from a_stand(vault.theirs)


@pytest.fixture
def secure(secure_stand: Stand) -> Stand:
    secure_stand.reset()
    return secure_stand


def driver(stand: Stand, options: Options) -> PackmlDriver:
    return PackmlDriver(DeviceSpec("counter", stand.address, options), Inbox().put)


async def test_a_pinned_machine_counts_for_a_user_with_his_password(
    secure: Stand, vault: Vault
) -> None:
    counter = driver(secure, vault.options() | {"settle_ms": 5})
    identity = await counter.connect()
    result = await counter.count(CountJob("417-1", "a", "l", "s", 20), timeout_s=20)
    await counter.close()
    assert identity.link == "Basic256Sha256 SignAndEncrypt, user anna"
    assert result.counted == 20


@pytest.fixture(scope="module")
def secure_scale(vault: Vault) -> Iterator[ScaleStand]:
    yield from a_scale_stand(vault.theirs)


@pytest.fixture(scope="module")
def secure_cabinet(vault: Vault) -> Iterator[CabinetStand]:
    yield from a_cabinet_stand(vault.theirs)


async def test_a_pinned_scale_weighs_for_a_user_with_his_password(
    secure_scale: ScaleStand, vault: Vault
) -> None:
    options = vault.options() | {"root": "DeviceSet/Scale"}
    scale = Opcua40200Driver(DeviceSpec("scale", secure_scale.address, options), Inbox().put)
    identity = await scale.connect()
    secure_scale.set("load_g", "12.5")
    reading = await scale.weigh(timeout_s=20)
    await scale.close()
    assert identity.link == "Basic256Sha256 SignAndEncrypt, user anna"
    assert (str(reading.value), reading.unit) == ("12.500", "g")


async def test_a_pinned_cabinet_opens_its_drawer_for_a_user_with_his_password(
    secure_cabinet: CabinetStand, vault: Vault
) -> None:
    spec = DeviceSpec("drawers", secure_cabinet.address, vault.options())
    drawers = OpcuaCabinetDriver(spec, Inbox().put)
    identity = await drawers.connect()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(drawers.watch())
        state = await drawers.open_drawer("Drawer 2", request_id="r1", timeout_s=20)
        watching.cancel()
    await drawers.close()
    assert identity.link == "Basic256Sha256 SignAndEncrypt, user anna"
    assert (state.is_open, secure_cabinet.pulses("Drawer 2")) == (True, 1)


async def test_an_unprotected_link_to_another_protected_machine_fails(
    secure_scale: ScaleStand, secure_cabinet: CabinetStand
) -> None:
    plain = PLAIN | {"request_timeout_ms": 1500}
    for stand, build in ((secure_scale, Opcua40200Driver), (secure_cabinet, OpcuaCabinetDriver)):
        with pytest.raises(DriverError):
            await build(DeviceSpec("machine", stand.address, plain), Inbox().put).connect()


async def test_a_machine_can_be_pinned_by_its_fingerprint(secure: Stand, vault: Vault) -> None:
    fingerprint = hashlib.sha256(vault.theirs.certificate.read_bytes()).hexdigest().upper()
    pinned = vault.options(server_certificate="", server_fingerprint=fingerprint)
    counter = driver(secure, pinned)
    identity = await counter.connect()
    await counter.close()
    assert identity.serial == "SIM-0001"


async def test_a_machine_with_another_fingerprint_is_not_used(secure: Stand, vault: Vault) -> None:
    shown = hashlib.sha256(vault.theirs.certificate.read_bytes()).hexdigest()
    other = vault.options(server_certificate="", server_fingerprint="ab" * 32)
    with pytest.raises(DeviceUnavailable, match="not show the pinned certificate") as caught:
        await driver(secure, other).connect()
    assert shown in str(caught.value)


async def test_a_machine_with_another_certificate_is_not_used(secure: Stand, vault: Vault) -> None:
    other = vault.options(server_certificate=str(vault.strangers.certificate))
    with pytest.raises(DriverError):
        await driver(secure, other).connect()


async def test_an_unprotected_link_to_a_protected_machine_fails(secure: Stand) -> None:
    with pytest.raises(DriverError):
        await driver(secure, PLAIN | {"request_timeout_ms": 1500}).connect()


@pytest.mark.parametrize("user", ["anna", "bert"])
async def test_a_wrong_user_or_password_is_refused_and_never_told(
    secure: Stand, vault: Vault, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    wrong = vault.folder / "wrong.secret"
    wrong.write_text("hunter2")
    counter = driver(secure, vault.options(user=user, password_file=str(wrong)))
    with caplog.at_level(logging.INFO), pytest.raises(DeviceUnavailable) as caught:
        await counter.connect()
    assert "denied" in str(caught.value).lower() or "rejected" in str(caught.value).lower()
    assert "hunter2" not in f"{caught.value!r} {caplog.text}"


async def test_nobody_enters_without_a_name_where_users_are_asked_for(
    secure: Stand, vault: Vault
) -> None:
    with pytest.raises(DeviceUnavailable):
        await driver(secure, vault.options(user="anonymous", password_file="")).connect()


@pytest.mark.parametrize("key", ["private_key", "certificate", "server_certificate"])
async def test_a_file_that_is_missing_is_named(secure: Stand, vault: Vault, key: str) -> None:
    with pytest.raises(DeviceUnavailable, match=r"absent\.pem"):
        await driver(secure, vault.options(**{key: str(vault.folder / "absent.pem")})).connect()


async def test_a_password_that_is_missing_or_no_text_is_not_sent(
    secure: Stand, vault: Vault
) -> None:
    endless = vault.folder / "endless.secret"
    endless.write_bytes(b"x" * 2000)
    for file in (vault.folder / "no.secret", endless):
        with pytest.raises(DriverError, match="secret"):
            await driver(secure, vault.options(password_file=str(file))).connect()


async def test_a_certificate_without_an_application_name_is_refused(
    secure: Stand, vault: Vault
) -> None:
    nameless = keys_without_names(vault.folder)
    with pytest.raises(DeviceUnavailable, match="names no application URI"):
        await driver(secure, vault.options(certificate=str(nameless))).connect()


def keys_without_names(folder: Path) -> Path:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - for this certificate only

    from cryptography import x509  # noqa: PLC0415 - for this certificate only
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=9999))
        .sign(key, hashes.SHA256())
    )
    path = folder / "nameless.der"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    return path
