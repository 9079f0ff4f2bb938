"""Serial lines and TCP connections: opening, losing, masking, discarding, closing."""

import asyncio
import fcntl
import os
import pty
import socket
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers import transport as transport_module
from drivers.errors import DeviceUnavailable, Moved
from drivers.transport import LinkLost, SerialTransport, TcpTransport, Transport, transport_for

PATIENCE_S = 5.0


class Pty:
    """Both ends of a pty; the slave is kept open so that the master never sees a hang-up."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)

    def close(self) -> None:
        for fd in (self.master, self.slave):
            os.close(fd)


@pytest.fixture
def line() -> Iterator[Pty]:
    pair = Pty()
    yield pair
    pair.close()


def serial(line: Pty, line_format: str = "8N1") -> SerialTransport:
    return SerialTransport(line.path, 9600, line_format)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a fact of another process or the kernel
            await asyncio.sleep(0)


async def read_all(transport: Transport, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(data) < count:
            data += await transport.read()
    return data


async def test_a_serial_line_carries_bytes_both_ways(line: Pty) -> None:
    port = serial(line)
    await port.open()
    await port.write(b"SI\r\n")
    assert os.read(line.master, 100) == b"SI\r\n"
    os.write(line.master, b"S S     100.00 g\r\n")
    assert await read_all(port, 18) == b"S S     100.00 g\r\n"
    await port.close()


async def test_a_missing_port_is_unavailable_and_says_which() -> None:
    port = SerialTransport("/dev/no-such-port", 9600, "8N1")
    with pytest.raises(DeviceUnavailable, match="/dev/no-such-port"):
        await port.open()
    with pytest.raises(LinkLost):
        await port.read()


async def test_a_file_that_is_no_terminal_is_unavailable(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no terminal")
    with pytest.raises(DeviceUnavailable):
        await SerialTransport(str(plain), 9600, "7E1").open()


async def test_a_busy_port_is_unavailable_until_it_is_free(line: Pty) -> None:
    first, second = serial(line), serial(line)
    await first.open()
    with pytest.raises(DeviceUnavailable, match="lock"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_port_that_another_program_has_locked_is_unavailable(line: Pty) -> None:
    fcntl.flock(line.slave, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(DeviceUnavailable):
        await serial(line).open()


async def test_an_abandoned_opening_leaves_the_port_free(line: Pty) -> None:
    port = serial(line)
    opening = asyncio.ensure_future(port.open())
    while not opening.done():  # cancelled at its first wait for the thread
        await asyncio.sleep(0)
        opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    again = serial(line)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await again.open()
                break
            except DeviceUnavailable:
                continue
    await again.close()


async def test_a_hang_up_ends_a_pending_read(line: Pty) -> None:
    port = serial(line)
    await port.open()
    reading = asyncio.ensure_future(port.read())
    await asyncio.sleep(0)
    os.close(line.master)
    line.master = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(LinkLost):
        async with asyncio.timeout(PATIENCE_S):
            await reading
    with pytest.raises(LinkLost):
        await port.write(b"S\r\n")
    await port.close()


async def test_what_arrived_before_a_hang_up_is_still_read(line: Pty) -> None:
    port = serial(line)
    await port.open()
    os.write(line.master, b"last words")
    assert await read_all(port, 4) == b"last words"
    await port.close()


async def test_the_eighth_bit_is_masked_on_a_seven_bit_line(line: Pty) -> None:
    port = serial(line, "7E1")
    await port.open()
    os.write(line.master, bytes.fromhex("53 A0 D3 82 B7"))
    assert await read_all(port, 5) == bytes.fromhex("53 20 53 02 37")
    await port.close()


async def test_the_eighth_bit_stays_on_an_eight_bit_line(line: Pty) -> None:
    port = serial(line)
    await port.open()
    os.write(line.master, b"\x82\xb7\xff\x00")
    assert await read_all(port, 4) == b"\x82\xb7\xff\x00"
    await port.close()


@pytest.mark.parametrize(
    ("line_format", "checked"), [("7E1", True), ("7O1", True), ("8E1", True), ("8N1", False)]
)
async def test_a_line_with_parity_checks_it(line: Pty, line_format: str, checked: bool) -> None:  # noqa: FBT001
    port = serial(line, line_format)
    await port.open()
    input_modes = termios.tcgetattr(line.slave)[0]
    assert bool(input_modes & termios.INPCK) is checked
    assert not input_modes & (termios.IGNPAR | termios.PARMRK | termios.ISTRIP) or not checked
    assert port.parity is checked
    await port.close()


async def test_discard_drops_and_returns_what_was_not_read(line: Pty) -> None:
    port = serial(line)
    await port.open()
    os.write(line.master, b"stale")
    assert await read_all(port, 1) == b"stale"
    assert port.discard() == b""
    os.write(line.master, b"older")
    await asyncio.sleep(0)
    await until(lambda: len(port._inbox) == 5)
    assert port.discard() == b"older"
    os.write(line.master, b"fresh")
    assert await read_all(port, 5) == b"fresh"
    await port.close()


async def test_a_serial_line_holds_a_bounded_number_of_unread_bytes(
    line: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "READ_MAX", 8)
    port = serial(line)
    await port.open()
    os.write(line.master, b"0123456789abcdef")
    await until(lambda: port._inbox._buffer.endswith(b"f"))
    assert port.discard() == b"89abcdef"
    await port.close()


async def test_writing_to_a_full_line_waits_and_then_gives_up(
    line: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport_module, "WRITE_TIMEOUT_S", 0.05)
    port = serial(line)
    await port.open()
    with pytest.raises(LinkLost, match="timed out") as lost:
        await port.write(b"x" * 200_000)
    assert lost.value.moved is Moved.UNKNOWN
    await port.close()


async def test_writing_to_a_full_line_goes_on_when_there_is_room(line: Pty) -> None:
    port = serial(line)
    await port.open()
    os.set_blocking(line.master, False)
    writing = asyncio.ensure_future(port.write(b"x" * 100_000))
    got = 0
    async with asyncio.timeout(PATIENCE_S):
        while got < 100_000:
            await asyncio.sleep(0)
            try:
                got += len(os.read(line.master, 65536))
            except BlockingIOError:
                continue
        await writing
    assert got == 100_000
    await port.close()


async def test_closing_ends_a_pending_write(line: Pty) -> None:
    port = serial(line)
    await port.open()
    writing = asyncio.ensure_future(port.write(b"x" * 200_000))
    for _ in range(5):
        await asyncio.sleep(0)
    await port.close()
    with pytest.raises(LinkLost, match="closed here"):
        await writing


async def test_closing_ends_a_pending_read_and_may_be_done_twice(line: Pty) -> None:
    port = serial(line)
    await port.open()
    reading = asyncio.ensure_future(port.read())
    await asyncio.sleep(0)
    await port.close()
    await port.close()
    with pytest.raises(LinkLost, match="closed here"):
        await reading
    with pytest.raises(LinkLost):
        await port.write(b"S\r\n")


async def test_a_serial_line_opens_again_after_closing(line: Pty) -> None:
    port = serial(line)
    for word in (b"one", b"two"):
        await port.open()
        os.write(line.master, word)
        assert await read_all(port, 3) == word
        await port.close()


# ---------------------------------------------------------------- TCP


class Peer:
    """The other side of one TCP connection at a time."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.connected.set()


@asynccontextmanager
async def tcp() -> AsyncIterator[tuple[TcpTransport, Peer]]:
    peer = Peer()
    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    transport = TcpTransport(host, port)
    await transport.open()
    async with asyncio.timeout(PATIENCE_S):
        await peer.connected.wait()
    try:
        yield transport, peer
    finally:
        await transport.close()
        peer.writer.close()
        server.close()
        sock = peer.writer.transport.get_extra_info("socket")
        await until(lambda: sock.fileno() < 0)


async def test_tcp_carries_bytes_both_ways() -> None:
    async with tcp() as (transport, peer):
        await transport.write(b"~HS\r\n")
        assert await peer.reader.readexactly(5) == b"~HS\r\n"
        peer.writer.write(b"answer")
        assert await read_all(transport, 6) == b"answer"
        assert transport.parity is False


async def test_a_tcp_port_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(DeviceUnavailable, match=str(port)):
            await TcpTransport("127.0.0.1", port).open()


async def test_a_tcp_host_that_does_not_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "OPEN_TIMEOUT_S", 0.05)
    with socket.socket() as full:  # a queue of one that is taken: further SYNs get no answer
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003
            filler.connect_ex(address)
        with pytest.raises(DeviceUnavailable, match=r"no answer within 0\.05 s"):
            await TcpTransport(*address).open()
        for filler in fillers:
            filler.close()


async def test_an_unopened_tcp_link_is_lost_for_every_call() -> None:
    transport = TcpTransport("127.0.0.1", 1)
    with pytest.raises(LinkLost, match="not open"):
        await transport.read()
    with pytest.raises(LinkLost, match="not open"):
        await transport.write(b"x")
    assert transport.discard() == b""
    await transport.close()


async def test_what_arrived_before_the_other_side_closed_is_read_first() -> None:
    async with tcp() as (transport, peer):
        peer.writer.write(b"last words")
        peer.writer.close()
        assert await read_all(transport, 10) == b"last words"
        with pytest.raises(LinkLost, match="closed by the other side"):
            await read_all(transport, 1)
        with pytest.raises(LinkLost):
            await transport.write(b"x")


async def test_a_reset_by_the_other_side_ends_a_pending_read() -> None:
    async with tcp() as (transport, peer):
        reading = asyncio.ensure_future(transport.read())
        await asyncio.sleep(0)
        peer.writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        peer.writer.transport.abort()
        with pytest.raises(LinkLost):
            async with asyncio.timeout(PATIENCE_S):
                await reading


async def test_tcp_discard_drops_and_returns_what_was_not_read() -> None:
    async with tcp() as (transport, peer):
        peer.writer.write(b"stale")
        await until(lambda: len(transport._inbox) == 5)
        assert transport.discard() == b"stale"
        peer.writer.write(b"fresh")
        assert await read_all(transport, 5) == b"fresh"


async def test_an_unread_tcp_link_stops_the_sender_instead_of_growing() -> None:
    async with tcp() as (transport, peer):
        total = 20_000_000
        peer.writer.write(bytes(total))
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(transport._inbox) < 1_000_000
        got = 0
        async with asyncio.timeout(PATIENCE_S):
            while got < total:
                got += len(await transport.read())
        assert got == total


async def test_a_tcp_peer_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "WRITE_TIMEOUT_S", 0.05)
    async with tcp() as (transport, _peer):
        with pytest.raises(LinkLost, match="timed out") as lost:
            await transport.write(bytes(20_000_000))
        assert lost.value.moved is Moved.UNKNOWN
        with pytest.raises(LinkLost):
            await read_all(transport, 1)


async def test_a_tcp_link_closed_while_writing_may_have_sent_a_part() -> None:
    async with tcp() as (transport, _peer):
        writing = asyncio.ensure_future(transport.write(bytes(20_000_000)))
        await asyncio.sleep(0)
        assert transport._transport is not None
        transport._transport.abort()
        with pytest.raises(LinkLost, match="closed while writing") as lost:
            await writing
        assert lost.value.moved is Moved.UNKNOWN


async def test_a_tcp_link_that_cannot_say_goodbye_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport_module, "WRITE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(transport_module, "CLOSE_TIMEOUT_S", 0.05)
    async with tcp() as (transport, _peer):
        writing = asyncio.ensure_future(transport.write(bytes(20_000_000)))
        await asyncio.sleep(0)
        await transport.close()
        with pytest.raises(LinkLost):
            await writing


async def test_closing_a_tcp_link_ends_a_pending_read_and_may_be_done_twice() -> None:
    async with tcp() as (transport, _peer):
        reading = asyncio.ensure_future(transport.read())
        await asyncio.sleep(0)
        await transport.close()
        await transport.close()
        with pytest.raises(LinkLost, match="closed here"):
            await reading


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("tcp://scale.example:4001", TcpTransport),
        ("tcp://[::1]:9100", TcpTransport),
        ("serial:/dev/ttyS0", SerialTransport),
        ("serial:/dev/ttyUSB0?baud=1200&format=7O1", SerialTransport),
    ],
)
def test_an_address_names_its_transport_and_opens_nothing(address: str, kind: type) -> None:
    assert isinstance(transport_for(address), kind)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "udp://host:1",
        "tcp://host",
        "tcp://:4001",
        "tcp://host:99999",
        "serial:",
        "serial:/dev/ttyS0?speed=9600",
        "serial:/dev/ttyS0?baud=fast",
        "serial:/dev/ttyS0?format=9X9",
    ],
)
def test_a_wrong_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        transport_for(address)
