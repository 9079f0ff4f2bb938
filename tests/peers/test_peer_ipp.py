"""Our IPP driver against CUPS' printer, and CUPS' client against our simulated printer.

`ippeveprinter` announces itself on the network and does not start where it cannot: it gets a
message bus and an Avahi of its own, which hear the loopback interface only.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from drivers.base import DeviceSpec, Label, PrintProof
from drivers.errors import DriverError
from drivers.ipp.driver import IppDriver
from simulators.ipp import IppModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from tests.contract.transports import Inbox

pytestmark = pytest.mark.peer

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>
"""
AVAHI = """[server]
host-name=dispensed-test
use-ipv6=no
allow-interfaces=lo
[wide-area]
enable-wide-area=no
"""
LABEL = Label(
    "Atorvastatin 20 mg", ("^XZ",), (("01", "00300710155237"), ("17", "271231"), ("10", "LOT123"))
)
START_S = 10.0
AVAHI_PID = Path("/run/avahi-daemon/pid")


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextlib.contextmanager
def program(*command: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for the time of a block."""
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                running.kill()


async def appears(path: Path) -> None:
    async with asyncio.timeout(START_S):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - made by another program
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def a_bus_with_avahi(folder: Path) -> AsyncIterator[dict[str, str]]:
    """Yield the environment in which programs find the bus; one such pair runs at a time."""
    bus = folder / "bus"
    (folder / "bus.conf").write_text(BUS.format(path=bus))
    (folder / "avahi.conf").write_text(AVAHI)
    env = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(Path("/tmp/dispensed-test-avahi.lock").open("w"))  # noqa: ASYNC230, S108
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if is_running(AVAHI_PID):  # the machine's own will do
            yield dict(os.environ)
            return
        stack.enter_context(
            program("dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--nopidfile")
        )
        await appears(bus)
        avahi = stack.enter_context(
            program(
                "avahi-daemon", "-f", f"{folder}/avahi.conf", "--no-drop-root", "--no-chroot",
                "--no-rlimits", env=env,
            )
        )  # fmt: skip
        async with asyncio.timeout(START_S):
            while not is_running(AVAHI_PID):
                if avahi.poll() is not None:
                    pytest.skip("avahi-daemon does not start here: it needs root")
                await asyncio.sleep(0.02)
        yield env


def is_running(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def connected(driver: IppDriver) -> str:
    """Connect as soon as the printer listens; returns what it is."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                return (await driver.connect()).model
            except DriverError:
                await asyncio.sleep(0.05)


async def test_a_printer_of_cups_prints_our_label(tmp_path: Path) -> None:
    need("ippeveprinter", "dbus-daemon", "avahi-daemon")
    spool = tmp_path / "spool"
    spool.mkdir()
    port = free_port()
    async with a_bus_with_avahi(tmp_path) as env:
        command = (
            "ippeveprinter", "-p", str(port), "-r", "off", "-n", "localhost", "-d", str(spool),
            "-k", "-c", "/bin/true", "-f", "application/pdf", "-M", "Peer", "-m", "Label", "label",
        )  # fmt: skip
        with program(*command, env=env):
            spec = DeviceSpec("label", f"ipp://localhost:{port}/ipp/print", {"print_poll_s": 0.1})
            driver = IppDriver(spec, Inbox().put)
            assert await connected(driver) == "Peer Label"
            assert (await driver.status()).ready
            receipt = await driver.print(LABEL, request_id="a")
            assert receipt.proof is PrintProof.PRINTED
            assert await driver.print(LABEL, request_id="a") == receipt
            await driver.close()
    (document,) = [path for path in spool.rglob("*") if path.suffix == ".pdf"]
    assert document.read_bytes().startswith(b"%PDF-")


IPPTOOL_TEST = """{
  NAME "Create and send"
  OPERATION Create-Job
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  ATTR name requesting-user-name peer
  ATTR name job-name "label peer"
  STATUS successful-ok
  EXPECT job-id OF-TYPE integer IN-GROUP job-attributes-tag WITH-VALUE >0
  EXPECT job-uri OF-TYPE uri IN-GROUP job-attributes-tag
  EXPECT job-state OF-TYPE enum IN-GROUP job-attributes-tag
  EXPECT job-state-reasons OF-TYPE keyword IN-GROUP job-attributes-tag
}
{
  NAME "Send the document"
  OPERATION Send-Document
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  ATTR integer job-id $job-id
  ATTR name requesting-user-name peer
  ATTR mimeMediaType document-format application/pdf
  ATTR boolean last-document true
  FILE $filename
  STATUS successful-ok
}
{
  NAME "It comes out"
  DELAY 0.3
  OPERATION Get-Job-Attributes
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR language attributes-natural-language en
  ATTR uri printer-uri $uri
  ATTR integer job-id $job-id
  ATTR name requesting-user-name peer
  STATUS successful-ok
  EXPECT job-state OF-TYPE enum WITH-VALUE 9
  EXPECT job-impressions-completed OF-TYPE integer WITH-VALUE 1
}
"""


@pytest.mark.parametrize("test", ["own", "print-job.test", "get-printer-attributes.test"])
async def test_the_client_of_cups_finds_our_simulated_printer_in_order(
    tmp_path: Path, test: str
) -> None:
    need("ipptool")
    script = test
    if test == "own":
        script = str(tmp_path / "label.test")
        (tmp_path / "label.test").write_text(IPPTOOL_TEST)
    document = tmp_path / "label.pdf"
    document.write_bytes(b"%PDF-1.4\n%%EOF\n")
    model = IppModel()
    async with serve_tcp(model, wire=Wire(speed=50)) as served:
        uri = served.address.replace("tcp://", "ipp://") + "/ipp/print"
        done = await asyncio.to_thread(
            subprocess.run,
            ["ipptool", "-t", "-T", "5", "-f", str(document), uri, script],
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"[FAIL]" not in done.stdout
    if test == "own":
        assert model.printed == ("label peer",)
