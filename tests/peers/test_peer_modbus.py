"""Modbus with four independent implementations: mbpoll, libmodbus, modbus-serial and pymodbus.

They read our simulator, and our driver reads them, on TCP, on RTU over a pty and on RTU over TCP.
"""

import asyncio
import ctypes
import json
import os
import re
import shutil
import socket
import threading
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from drivers.base import DeviceSpec, WeightReading
from drivers.modbus.codec import Framing
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.maps import load_map
from simulators.modbus import ModbusScaleModel
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.wire import Wire
from tests.contract.transports import Inbox
from tests.peers.conftest import Node

pytestmark = pytest.mark.peer
WTX = [1, 57920, 1, 57920, 0, 176]
"""123.456 g: 123456 is 0x1E240; 3 decimals in bits 4 to 6, grams in bits 7 and 8."""
LAUMAS = [0x0800, 1, 57920, 1, 57920, 0, 0, 0x010F]
"""Stable, gross, net, peak; grams, division 0.001."""
LINE_S = 20.0


def at_rest(name: str, framing: Framing | None = None) -> ModbusScaleModel:
    model = ModbusScaleModel(1, registers=load_map(name), framing=framing, unit_id=1)
    model.set("load_g", "123.456")
    for _ in range(50):
        model.step(0.1)
    return model


def port_of(served: Served) -> str:
    return str(urlsplit(served.address).port)


def driver_for(address: str, **options: str | float) -> ModbusDriver:
    given = {"map": "wtx120", "unit_id": 1, "watch_interval_s": 60.0, **options}
    return ModbusDriver(DeviceSpec("scale1", address, given), Inbox().put)


async def weigh(driver: ModbusDriver) -> WeightReading:
    try:
        await driver.connect()
        return await driver.weigh(timeout_s=10)
    finally:
        await driver.close()


# ---------------------------------------------------------------- mbpoll


@pytest.fixture(scope="session")
def mbpoll() -> str:
    found = shutil.which("mbpoll")
    if found is None:
        pytest.skip("mbpoll is not installed (Debian: apt-get install mbpoll)")
    return found


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(LINE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, out.decode()
    return out.decode()


def polled(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^\[\d+\]: \t(-?\d+)", text, re.MULTILINE)]


async def test_mbpoll_reads_and_tares_a_simulated_wtx_on_tcp(mbpoll: str) -> None:
    async with serve_tcp(at_rest("wtx120"), wire=Wire(speed=50)) as served:
        call = [mbpoll, "-m", "tcp", "-p", port_of(served), "-a", "1", "-0", "-r", "0", "-1"]
        assert polled(await output_of(*call, "-c", "6", "127.0.0.1")) == WTX
        whole = await output_of(*call, "-c", "2", "-t", "4:int", "-B", "127.0.0.1")
        assert polled(whole) == [123456, 123456]
        assert "Written 1 references." in await output_of(*call, "127.0.0.1", "1")
        tared = polled(await output_of(*call, "-c", "6", "127.0.0.1"))
        assert tared == [0, 0, 1, 57920, 0x0080, 176 | 0xC000], "net, done and accepted"


async def test_mbpoll_reads_a_simulated_laumas_on_rtu_over_a_pty(mbpoll: str) -> None:
    wire = Wire(speed=50, baud=9600)
    async with serve_pty(at_rest("laumas"), wire=wire) as served:
        device = urlsplit(served.address).path
        call = [mbpoll, "-m", "rtu", "-b", "9600", "-P", "none", "-a", "1", "-0", "-1"]
        assert polled(await output_of(*call, "-r", "6", "-c", "8", device)) == LAUMAS
        assert polled(await output_of(*call, "-r", "3", "-c", "1", device)) == [12345]


# ---------------------------------------------------------------- libmodbus as the scale


class _Mapping(ctypes.Structure):
    """`modbus_mapping_t` of libmodbus 3.1."""

    _fields_ = [  # type: ignore[mutable-override] # a plain list, as ctypes has it
        ("numbers", ctypes.c_int * 8),
        ("bits", ctypes.c_void_p),
        ("input_bits", ctypes.c_void_p),
        ("input_registers", ctypes.c_void_p),
        ("registers", ctypes.POINTER(ctypes.c_uint16)),
    ]


class Libmodbus:
    """The library as a server, in a thread that ends with its connection."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        for name in ("modbus_new_tcp", "modbus_new_rtu"):
            getattr(library, name).restype = ctypes.c_void_p
        library.modbus_mapping_new.restype = ctypes.POINTER(_Mapping)

    @contextmanager
    def tcp(self, registers: list[int]) -> Iterator[str]:
        context = ctypes.c_void_p(self.library.modbus_new_tcp(b"127.0.0.1", 0))
        listening = self.library.modbus_tcp_listen(context, 1)
        with socket.socket(fileno=listening) as server:
            port = server.getsockname()[1]

            def accept() -> bool:
                return bool(
                    self.library.modbus_tcp_accept(context, ctypes.byref(ctypes.c_int(listening)))
                    >= 0
                )

            with self._serving(context, accept, registers, 260):
                yield f"tcp://127.0.0.1:{port}"

    @contextmanager
    def rtu(self, device: str, registers: list[int]) -> Iterator[None]:
        context = ctypes.c_void_p(
            self.library.modbus_new_rtu(device.encode(), 9600, ctypes.c_char(b"N"), 8, 1)
        )
        self.library.modbus_set_slave(context, 1)
        with self._serving(
            context, lambda: bool(self.library.modbus_connect(context) == 0), registers, 256
        ):
            yield

    @contextmanager
    def _serving(
        self, context: ctypes.c_void_p, begin: Callable[[], bool], registers: list[int], size: int
    ) -> Iterator[None]:
        mapping = self.library.modbus_mapping_new(0, 0, len(registers), 0)
        for at, value in enumerate(registers):
            mapping.contents.registers[at] = value
        frame = ctypes.create_string_buffer(size)

        def serve() -> None:
            if not begin():
                return
            while (count := self.library.modbus_receive(context, frame)) >= 0:
                if count > 0:
                    self.library.modbus_reply(context, frame, count, mapping)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join(LINE_S)
            assert not thread.is_alive()
            self.library.modbus_close(context)
            self.library.modbus_mapping_free(mapping)
            self.library.modbus_free(context)


@pytest.fixture(scope="session")
def libmodbus() -> Libmodbus:
    try:
        return Libmodbus(ctypes.CDLL("libmodbus.so.5"))
    except OSError:
        pytest.skip("libmodbus is not installed (Debian: apt-get install libmodbus5)")


async def test_our_driver_reads_a_libmodbus_server_on_tcp(libmodbus: Libmodbus) -> None:
    with libmodbus.tcp(WTX) as address:
        reading = await weigh(driver_for(address))
    assert (str(reading.value), reading.unit, reading.stable) == ("123.456", "g", True)


@asynccontextmanager
async def null_modem() -> AsyncIterator[tuple[str, str, Callable[[], None]]]:
    """Two serial ports that are connected; the callable unplugs them."""
    loop = asyncio.get_running_loop()
    ends = [os.openpty() for _ in range(2)]
    masters = [master for master, _ in ends]
    for _, slave in ends:
        tty.setraw(slave)

    def carry(here: int, there: int) -> None:
        os.write(there, os.read(here, 4096))

    for here, there in (masters, masters[::-1]):
        loop.add_reader(here, carry, here, there)
    open_numbers = [number for end in ends for number in end]

    def unplug() -> None:
        for master in masters:
            loop.remove_reader(master)
        while open_numbers:
            os.close(open_numbers.pop())

    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1]), unplug
    finally:
        unplug()


async def test_our_driver_reads_a_libmodbus_server_on_rtu_over_a_pty(libmodbus: Libmodbus) -> None:
    identity = [102, 24, 2018, 777, 1, 0]
    async with null_modem() as (ours, theirs, unplug):
        with libmodbus.rtu(theirs, [*identity, *LAUMAS, *([0] * 6)]):
            try:
                driver = driver_for(
                    f"serial:{ours}?baud=9600&format=8N1", map="laumas", serial="777"
                )
                reading = await weigh(driver)
            finally:
                unplug()
    assert (str(reading.value), reading.unit, reading.stable) == ("123.456", "g", True)


# ---------------------------------------------------------------- modbus-serial


async def test_modbus_serial_reads_our_simulators_on_tcp_and_on_rtu_over_tcp(node: Node) -> None:
    script = "modbus_scale.mjs"
    async with serve_tcp(at_rest("wtx120"), wire=Wire(speed=50)) as served:
        call = ("client", "tcp", port_of(served), "1")
        out = await output_of(*node.command(script, *call, "0", "6"))
        assert json.loads(out) == {"registers": WTX}
    async with serve_tcp(at_rest("laumas"), wire=Wire(speed=50)) as served:
        call = ("client", "rtu", port_of(served), "1")
        out = await output_of(*node.command(script, *call, "6", "8", "5", "7"))
        assert json.loads(out)["registers"][7] == 0x010F
        out = await output_of(*node.command(script, *call, "6", "8"))
        assert json.loads(out) == {"registers": [0x0C00, 1, 57920, 0, 0, 0, 0, 0x010F]}, "tared"


async def test_our_driver_weighs_and_tares_on_a_modbus_serial_server(node: Node) -> None:
    process = await asyncio.create_subprocess_exec(
        *node.command("modbus_scale.mjs", "server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LINE_S):
            port = json.loads(await process.stdout.readline())["port"]
            driver = driver_for(f"tcp://127.0.0.1:{port}")
            await driver.connect()
            assert str((await driver.weigh(timeout_s=10)).value) == "123.456"
            assert str((await driver.tare(timeout_s=10)).value) == "123.456"
            assert str((await driver.weigh(timeout_s=10)).value) == "0.000"
            await driver.set_tare(None)
            assert str((await driver.weigh(timeout_s=10)).value) == "123.456"
            await driver.close()
    finally:
        process.stdin.close()
        async with asyncio.timeout(LINE_S):
            told, _ = await process.communicate()
    assert json.loads(told.splitlines()[-1]) == {"written": [0, 1, 0, 2, 0]}, "each command once"


# ---------------------------------------------------------------- pymodbus


@pytest.mark.parametrize(
    ("framing", "framer"), [(Framing.TCP, FramerType.SOCKET), (Framing.RTU, FramerType.RTU)]
)
async def test_pymodbus_reads_our_simulator(framing: Framing, framer: FramerType) -> None:
    async with serve_tcp(at_rest("wtx120", framing), wire=Wire(speed=50)) as served:
        client = AsyncModbusTcpClient(
            "127.0.0.1", port=int(port_of(served)), framer=framer, timeout=5, retries=0
        )
        await client.connect()
        try:
            answer = await client.read_holding_registers(0, count=6, device_id=1)
            refused = await client.read_holding_registers(3000, count=1, device_id=1)
        finally:
            client.close()
    assert answer.registers == WTX
    assert refused.isError()
    assert refused.exception_code == 2
