"""Faults of an IPP printer: what is known of a label from the state of its job."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from drivers.base import (
    DeviceSpec,
    Identity,
    PrinterStatus,
    PrintProof,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.ipp.driver import IppDriver
from drivers.labels import LabelError
from simulators.ipp import UUID, IppModel
from tests.contract import printers
from tests.contract.printers import IMPATIENT, until
from tests.contract.transports import Inbox, outcome

SLOW = 100.0
"""Simulated seconds of a label: two real ones, longer than any of these tests waits for it."""
SHORT: printers.Options = {"print_timeout_s": 0.2}


class Bench:
    """One IPP driver in front of one simulated printer."""

    def __init__(self, on: printers.Bench, model: IppModel, driver: IppDriver) -> None:
        self.model = model
        self.driver = driver
        self.served = on.served
        self.print = on.print
        self.out = on.out
        self.reconnect = on.reconnect
        self.fault = on.fault


@contextlib.asynccontextmanager
async def bench(
    *,
    model: IppModel | None = None,
    inbox: Inbox | None = None,
    options: printers.Options | None = None,
) -> AsyncIterator[Bench]:
    model = model or IppModel()
    async with printers.bench("ipp", model=model, inbox=inbox, options=options) as on:
        assert isinstance(on.driver, IppDriver)
        yield Bench(on, model, on.driver)


# ---------------------------------------------------------------- not ready


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("media_empty", "paper_out"),
        ("cover_open", "cover_open"),
        ("paused", "paused"),
        ("not_accepting", "not_accepting"),
    ],
)
async def test_a_printer_that_is_not_ready_is_sent_nothing(fault: str, word: str) -> None:
    async with bench() as on:
        on.fault(fault)
        assert await on.driver.status() == PrinterStatus(ready=False, faults=(word,), waiting=0)
        with pytest.raises(DeviceRefused, match=word) as caught:
            await on.print("a")
        assert (caught.value.reason, caught.value.moved) == (word, Moved.NO)
        assert on.model.documents == ()
        on.fault(fault, on=False)
        assert (await on.print("a")).proof is PrintProof.PRINTED


@pytest.mark.parametrize(
    ("fault", "error"),
    [("mute", DeviceTimeout), ("http_error", ProtocolError), ("nonsense", ProtocolError)],
)
async def test_no_answer_or_nonsense_is_never_ready(
    fault: str, error: type[DriverError], inbox: Inbox
) -> None:
    async with bench(inbox=inbox, options={"reply_timeout_s": IMPATIENT}) as on:
        on.fault(fault)
        with pytest.raises(error) as caught:
            await on.driver.status()
        assert caught.value.moved is Moved.NO
        await on.driver.close()
        with pytest.raises(error):
            await on.driver.connect()
        on.fault(fault, on=False)
        await on.reconnect()
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert set(inbox.kinds()) == ({"garbage"} if fault == "nonsense" else set())
        assert all(message.raw == b"nonsense" for message in inbox.messages)


async def test_a_printer_without_pdf_is_refused_at_connecting() -> None:
    async with bench() as on:
        on.fault("no_pdf")
        await on.driver.close()
        with pytest.raises(Unsupported, match=r"takes image/pwg-raster, no PDF"):
            await on.driver.connect()


async def test_another_printer_than_the_configured_one_is_refused() -> None:
    async with bench(options={"uuid": UUID}) as on:
        assert await on.reconnect() == Identity(
            model="Simulated IPP label printer", serial=UUID, firmware="1.0", link="open"
        )
        other = IppDriver(
            DeviceSpec(
                "label", on.served.address.replace("tcp", "ipp"), {"uuid": "urn:uuid:another"}
            ),
            Inbox().put,
        )
        with pytest.raises(DeviceRefused, match="urn:uuid:another is configured") as caught:
            await other.connect()
        assert caught.value.reason == "another_printer"


# ---------------------------------------------------------------- faults in the middle


@pytest.mark.parametrize("two_steps", [True, False])
async def test_with_and_without_create_job_a_label_is_one_pdf(two_steps: bool) -> None:  # noqa: FBT001
    model = IppModel()
    model.faults.switch("no_create_job", on=not two_steps)
    async with bench(model=model) as on:
        assert (await on.print("a")).proof is PrintProof.PRINTED
        (document,) = model.documents
        assert document.startswith(b"%PDF-")
        assert on.out() == ("a",)


async def test_a_job_that_is_aborted_unprinted_may_be_tried_again() -> None:
    async with bench() as on:
        on.fault("job_aborted", times=1)
        with pytest.raises(DeviceFault, match="nothing was printed") as caught:
            await on.print("a")
        assert (caught.value.moved, caught.value.reason) == (Moved.NO, "aborted-by-system")
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (("job_aborted_half",), "aborted-by-system"),
        (("job_aborted", "counts_nothing"), "aborted-by-system"),
        (("job_errors",), "job-completed-with-errors"),
    ],
)
async def test_a_job_that_may_have_printed_something_stays_in_doubt(
    faults: tuple[str, ...], reason: str
) -> None:
    async with bench() as on:
        for fault in faults:
            on.fault(fault)
        for _ in range(2):
            with pytest.raises(DeviceFault, match="may have come out") as caught:
                await on.print("a")
            assert (caught.value.moved, caught.value.reason) == (Moved.UNKNOWN, reason)
        assert len(on.model.documents) == 1


async def test_a_document_that_is_not_taken_leaves_nothing() -> None:
    async with bench() as on:
        on.fault("document_refused", times=1)
        with pytest.raises(DeviceRefused) as caught:
            await on.print("a")
        assert caught.value.reason == "client-error-document-format-error"
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


async def test_paper_that_ends_in_the_middle_leaves_the_label_in_doubt_until_it_comes() -> None:
    async with bench() as on:
        on.fault("media_empty_mid_job", times=1)
        with pytest.raises(DeviceFault, match="may still come out") as caught:
            await on.print("a")
        assert (caught.value.moved, caught.value.reason) == (Moved.UNKNOWN, "paper_out")
        with pytest.raises(DeviceTimeout, match="still in doubt: job 1 is processing_stopped"):
            await on.print("a")
        on.model.set("paper", "100")
        await until(on.out)
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


async def test_a_lost_answer_does_not_matter_when_the_job_has_its_number() -> None:
    async with bench() as on:
        on.fault("answer_lost", times=1)
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


async def test_a_lost_answer_without_a_number_is_in_doubt_for_ever() -> None:
    model = IppModel()
    model.faults.switch("no_create_job", on=True)
    async with bench(model=model) as on:
        on.fault("answer_lost", times=1)
        for text in ("may have come out", "no job number"):
            with pytest.raises(DeviceTimeout, match=text) as caught:
                await on.print("a")
            assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(Unsupported):
            await on.driver.cancel("a")
        await until(on.out)
        assert on.out() == ("a",)


async def test_a_printer_that_forgets_its_jobs_leaves_the_label_in_doubt() -> None:
    async with bench(options=SHORT) as on:
        on.fault("forgets_jobs")
        with pytest.raises(DeviceTimeout, match="no answer within") as caught:
            await on.print("a")
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceTimeout, match="client-error-not-found"):
            await on.print("a")
        assert on.out() == ("a",)


async def test_a_slow_label_is_accepted_first_and_printed_later() -> None:
    async with bench(model=IppModel(print_s=SLOW), options=SHORT) as on:
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        on.model.set("print_s", "0.1")
        await until(on.out)
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


async def test_a_label_that_waits_can_be_taken_back() -> None:
    async with bench(model=IppModel(print_s=SLOW), options=SHORT) as on:
        await on.print("a")
        assert await on.driver.cancel("a") is True
        assert on.driver.labels() == ()
        on.model.set("print_s", "0.1")
        await on.print("b")
        assert await on.driver.cancel("b") is False
        with pytest.raises(LabelError, match="is not known"):
            await on.driver.cancel("a")
        assert on.out() == ("b",)


async def test_a_number_that_belongs_to_another_job_by_now_proves_nothing() -> None:
    async with bench(model=IppModel(print_s=SLOW), options=SHORT) as on:
        await on.print("a")
        on.model._jobs[1].name = "job of another host"
        on.model.set("print_s", "0.1")
        await until(on.model.state)
        await until(lambda: on.model.printed)
        assert (await on.print("a")).proof is PrintProof.ACCEPTED


async def test_closing_while_a_label_is_printed_leaves_it_in_doubt() -> None:
    async with bench(model=IppModel(print_s=SLOW)) as on:
        printing = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["jobs_waiting"])
        await until(lambda: on.model.documents)
        await on.driver.close()
        result = await outcome(lambda: printing)
        assert isinstance(result, DriverError)
        assert result.moved is Moved.UNKNOWN


@pytest.mark.parametrize("certificate", ["/no/such.pem", __file__])
async def test_a_certificate_that_cannot_be_read_is_named(certificate: str) -> None:
    spec = DeviceSpec("label", "ipps://127.0.0.1:1", {"server_certificate": certificate})
    with pytest.raises(DeviceUnavailable, match="certificate"):
        await IppDriver(spec, Inbox().put).connect()


async def test_only_the_printer_with_the_pinned_certificate_is_spoken_to(
    tmp_path: Path, inbox: Inbox
) -> None:
    own, other = a_certificate(tmp_path / "own"), a_certificate(tmp_path / "other")
    async with bench() as on, behind_tls(on.served.address, own) as address:
        pinned = {"server_certificate": str(own)}
        driver = IppDriver(DeviceSpec("label", address, pinned), inbox.put)
        assert (await driver.connect()).link == "TLS, pinned certificate"
        receipt = await driver.print(printers.label("a"), request_id="a")
        assert receipt.proof is PrintProof.PRINTED
        await driver.close()
        for options in ({"server_certificate": str(other)}, {}):
            driver = IppDriver(DeviceSpec("label", address, options), inbox.put)
            with pytest.raises(DeviceUnavailable, match="certificate verify failed"):
                await driver.connect()
            await driver.close()
        assert on.out() == ("a",)


def a_certificate(path: Path) -> Path:
    """Write a key and a certificate signed by it into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "printer")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return path


@contextlib.asynccontextmanager
async def behind_tls(address: str, certificate: Path) -> AsyncIterator[str]:
    """Put a server that speaks TLS in front of a plain one."""
    host, _, port = address.removeprefix("tcp://").partition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, forth), copy(back, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"ipps://127.0.0.1:{server.sockets[0].getsockname()[1]}/ipp/print"
    finally:
        server.close()
        await server.wait_closed()
