"""Serial ports behind RFC 2217 gateways: the codec, and pyserial's server side as the peer."""

import asyncio
import contextlib
import os
import pty
import re
import socket
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import serial
import serial.rfc2217
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import gateway as gateway_module
from drivers.base import DeviceSpec
from drivers.comport import SUB_MAX, ComPort, Settings, Sub, TelnetSplitter, Verb, escaped
from drivers.errors import DeviceUnavailable, ProtocolError
from drivers.gateway import Rfc2217Transport
from drivers.mtsics.driver import MtsicsDriver
from drivers.transport import LinkLost, Transport, transport_for
from simulators.mtsics import MtSicsModel
from simulators.serve import serve_pty
from simulators.wire import Wire
from tests.contract.transports import Inbox

PATIENCE_S = 5.0
WANTED = Settings(9600, 7, "E", 1)
# From RFC 2217: IAC SB COM-PORT <command + 100> <value> IAC SE, and 9600 is 00 00 25 80.
AGREED = bytes.fromhex(
    "FF FD 2C  FF FD 00  FF FB 00  FF FA 2C 65 00 00 25 80 FF F0"
    "FF FA 2C 66 07 FF F0  FF FA 2C 67 03 FF F0  FF FA 2C 68 01 FF F0"
)

# ---------------------------------------------------------------- codec


def test_the_first_words_offer_com_port_control_and_binary_transmission() -> None:
    assert ComPort(WANTED).start() == bytes.fromhex("FFFB2C FFFB00 FFFD00 FFFB03 FFFD03")


def test_a_gateway_that_agrees_is_told_baud_rate_bits_parity_and_stop_bits() -> None:
    port = ComPort(WANTED)
    assert port.feed(bytes.fromhex("FF FD 2C")) == (
        b"",
        bytes.fromhex(
            "FFFA2C0501FFF0 FFFA2C0A1EFFF0 FFFA2C0C03FFF0"
            "FFFA2C0100002580FFF0 FFFA2C0207FFF0 FFFA2C0303FFF0 FFFA2C0401FFF0"
        ),
    )
    assert port.missing
    assert port.feed(AGREED) == (b"", b"")
    assert port.missing == ""
    assert port.refused == ""


def test_data_is_taken_out_of_the_stream_and_255_is_doubled() -> None:
    port = ComPort(WANTED)
    assert port.feed(b"ab\xff\xffc\xff\xf1d")[0] == b"ab\xffcd"
    assert escaped(b"a\xffb") == b"a\xff\xffb"
    told = ComPort(Settings(255, 8, "N", 1)).feed(b"\xff\xfd\x2c")[1]
    assert bytes.fromhex("FFFA2C01000000FFFFFFF0") in told


@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ("FF FB 01", "FF FE 01"),  # WILL ECHO: DONT
        ("FF FD 18", "FF FC 18"),  # DO TERMINAL-TYPE: WONT
        ("FF FB 03", ""),  # WILL SUPPRESS-GO-AHEAD, asked for
        ("FF FD 03", ""),
        ("FF FC 01", ""),
        ("FF FE 18", ""),
        ("FF FA 18 01 FF F0", ""),  # a subnegotiation of something else
        ("FF FA 2C 6B 30 FF F0", ""),  # NOTIFY-MODEMSTATE
        ("FF FA 2C FF F0", ""),
    ],
)
def test_other_options_are_refused_and_other_notices_ignored(heard: str, answer: str) -> None:
    assert ComPort(WANTED).feed(bytes.fromhex(heard)) == (b"", bytes.fromhex(answer))


@pytest.mark.parametrize(
    ("heard", "reason"),
    [
        ("FF FE 2C", "no com port control"),
        ("FF FE 00", "refuses binary"),
        ("FF FC 00", "refuses binary"),
        ("FF FA 2C 65 00 00 4B 00 FF F0", "baud rate 19200 instead of 9600"),
        ("FF FA 2C 67 01 FF F0", r"parity .* 1 instead of 3"),
        ("FF FA 2C 66 08 FF F0", "data bits 8 instead of 7"),
        ("FF FA 2C 68 02 FF F0", "stop bits 2 instead of 1"),
    ],
)
def test_a_gateway_that_does_otherwise_is_refused(heard: str, reason: str) -> None:
    port = ComPort(WANTED)
    port.feed(bytes.fromhex("FF FD 2C") + bytes.fromhex(heard))
    assert re.search(reason, port.refused)


def test_a_reported_line_error_is_read_as_nul() -> None:
    port = ComPort(WANTED)
    assert port.feed(b"12" + bytes.fromhex("FF FA 2C 6A 04 FF F0") + b"34")[0] == b"12\x0034"
    assert port.feed(bytes.fromhex("FF FA 2C 6A 61 FF F0"))[0] == b""


@given(st.binary(max_size=200), st.lists(st.integers(1, 7), max_size=60))
@settings(max_examples=50)
def test_any_bytes_give_the_same_parts_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def parts(pieces: list[bytes]) -> tuple[bytes, list[Verb | Sub]]:
        splitter, plain, rest = TelnetSplitter(), b"", list[Verb | Sub]()
        for piece in pieces:
            for part in splitter.feed(piece):
                if isinstance(part, bytes):
                    plain += part
                else:
                    rest.append(part)
        return plain, rest

    pieces, left = [], data
    for cut in cuts:
        pieces.append(left[:cut])
        left = left[cut:]
    try:
        whole = parts([data])
    except ProtocolError:
        with pytest.raises(ProtocolError):
            parts([*pieces, left])
        return
    assert parts([*pieces, left]) == whole


def test_a_subnegotiation_is_bounded_and_whole() -> None:
    with pytest.raises(ProtocolError, match=str(SUB_MAX)):
        TelnetSplitter().feed(b"\xff\xfa" + bytes(SUB_MAX + 1))
    with pytest.raises(ProtocolError, match="within"):
        TelnetSplitter().feed(b"\xff\xfa\x2c\xff\xf1")
    assert TelnetSplitter().feed(b"\xff\xfa\x2c\xff\xff\xff\xf0") == [Sub(b"\x2c\xff")]


# ---------------------------------------------------------------- transport


class _Pty(serial.Serial):  # type: ignore[misc] # pyserial has no types
    """A pty has no modem lines and always eight bits; asking for others is an error there."""

    cts = dsr = ri = cd = False

    def _reconfigure_port(self, force_update: bool = False) -> None:  # noqa: FBT001, FBT002
        with contextlib.suppress(termios.error):
            super()._reconfigure_port(force_update)


class Gateway:
    """A gateway made of pyserial's `PortManager` in threads, in front of one serial port."""

    def __init__(self, path: str) -> None:
        self.port = _Pty(path, timeout=0.01)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(PATIENCE_S)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"rfc2217://127.0.0.1:{self.server.getsockname()[1]}"

    def _serve(self) -> None:
        sock, _ = self.server.accept()
        with sock:
            sock.settimeout(0.01)
            self.manager = serial.rfc2217.PortManager(self.port, _Writer(sock))
            reader = threading.Thread(target=self._read_port, args=(sock,))
            reader.start()
            try:
                while not self.stopped.is_set() and (data := _received(sock)) != b"":
                    self.port.write(b"".join(self.manager.filter(data or b"")))
            finally:
                self.stopped.set()
                reader.join(PATIENCE_S)

    def _read_port(self, sock: socket.socket) -> None:
        while not self.stopped.is_set():
            data = self.port.read(64)
            if data:
                sock.sendall(b"".join(self.manager.escape(data)))

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(PATIENCE_S)
        self.server.close()
        self.port.close()


def _received(sock: socket.socket) -> bytes | None:
    """Return what arrived, None for nothing yet, empty at the end."""
    try:
        return sock.recv(1024)
    except TimeoutError:
        return None
    except OSError:
        return b""


class _Writer:
    def __init__(self, sock: socket.socket) -> None:
        self.write = sock.sendall


@pytest.fixture
def line() -> Iterator[tuple[int, Gateway]]:
    """The device's end of a pty, and a gateway at the other."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    gateway = Gateway(os.ttyname(slave))
    yield master, gateway
    gateway.stop()
    os.close(slave)
    os.close(master)


async def read_all(transport: Transport, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            data += await transport.read()
    return data


async def read_master(master: int, count: int) -> bytes:
    loop, data, ready = asyncio.get_running_loop(), b"", asyncio.Event()
    loop.add_reader(master, ready.set)
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            await ready.wait()
            ready.clear()
            data += os.read(master, count)
    loop.remove_reader(master)
    return data


async def test_the_peer_sets_its_port_and_carries_every_byte(line: tuple[int, Gateway]) -> None:
    master, gateway = line
    transport = transport_for(f"{gateway.address}?baud=19200&format=8O2")
    await transport.open()
    assert (gateway.port.baudrate, gateway.port.bytesize) == (19200, 8)
    assert (gateway.port.parity, gateway.port.stopbits) == ("O", 2)
    every = bytes(range(256))
    await transport.write(every)
    os.set_blocking(master, False)
    assert await read_master(master, 256) == every
    os.write(master, every)
    assert await read_all(transport, 256) == every
    assert transport.parity is False
    await transport.close()


async def test_seven_bits_are_masked_behind_the_peer_too(line: tuple[int, Gateway]) -> None:
    master, gateway = line
    transport = transport_for(f"{gateway.address}?baud=9600&format=7E1")
    await transport.open()
    os.write(master, bytes.fromhex("53 A0 D3 8D"))
    assert await read_all(transport, 4) == b"S S\r"
    await transport.close()


async def test_a_scale_behind_a_gateway_weighs() -> None:
    model = MtSicsModel(1)
    model.set("load_g", "12.5")
    async with serve_pty(model, wire=Wire(speed=50)) as served:
        gateway = await asyncio.to_thread(Gateway, served.address.removeprefix("serial:"))
        try:
            spec = DeviceSpec("scale", f"{gateway.address}?baud=9600&format=8N1", {})
            driver = MtsicsDriver(spec, Inbox().put)
            await driver.connect()
            assert str((await driver.weigh(timeout_s=PATIENCE_S)).value) == "12.500"
            await driver.close()
        finally:
            await asyncio.to_thread(gateway.stop)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Transport]:
    """A gateway that says these words one after the other, and then nothing."""
    waiting: list[asyncio.StreamWriter] = []

    def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting.append(writer)
        for answer in answers:
            writer.write(answer)

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = transport_for(f"rfc2217://127.0.0.1:{port}?format=7E1")
    try:
        yield transport
    finally:
        await transport.close()
        for writer in waiting:
            writer.close()
            await writer.wait_closed()
        server.close()


async def test_a_gateway_that_refuses_is_unavailable_and_says_why() -> None:
    async with answering(b"\xff\xfe\x2c") as transport:
        with pytest.raises(DeviceUnavailable, match=r"no com port control \(RFC 2217\)"):
            await transport.open()
        with pytest.raises(LinkLost):
            await transport.read()


async def test_a_gateway_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "AGREE_TIMEOUT_S", 0.05)
    async with answering(b"\xff\xfd\x00") as transport:
        with pytest.raises(DeviceUnavailable, match=r"did not agree on baud rate, binary from"):
            await transport.open()


async def test_a_gateway_that_changes_its_mind_is_lost() -> None:
    async with answering(AGREED, b"first") as transport:
        await transport.open()
    change = bytes.fromhex("FF FA 2C 65 00 00 4B 00 FF F0")
    async with answering(AGREED) as transport:
        await transport.open()
        assert isinstance(transport, Rfc2217Transport)
        transport._take(change)
        for call in (transport.read, lambda: transport.write(b"S\r\n")):
            with pytest.raises(LinkLost, match="19200 instead of 9600"):
                await call()


async def test_garbage_in_place_of_telnet_is_a_lost_link() -> None:
    async with answering(AGREED) as transport:
        await transport.open()
        assert isinstance(transport, Rfc2217Transport)
        transport._take(b"\xff\xfa" + bytes(100))
        with pytest.raises(LinkLost, match="subnegotiation"):
            await transport.read()


async def test_discard_drops_payload_and_keeps_what_must_be_answered() -> None:
    async with answering(AGREED) as transport:
        await transport.open()
        assert isinstance(transport, Rfc2217Transport)
        inner = transport._line
        inner._inbox.put(b"stale\xff\xfb\x01")  # type: ignore[attr-defined] # a TcpTransport
        assert transport.discard() == b"stale"
        assert transport._answer == b"\xff\xfe\x01"
        await transport.write(b"S\r\n")
        assert transport._answer == b""
