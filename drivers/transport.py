"""Byte transports: serial lines and TCP connections behind one small protocol.

The only user of pyserial, and the only place that knows addresses (`transport_for`). A transport is
opened and closed many times in its life; `read` returns at least one byte or raises. Deadlines
belong to the caller (`asyncio.timeout`), except for opening and writing. Nothing starts a task.
"""

import asyncio
import contextlib
import os
import socket
import termios
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import serial

from drivers.comport import Settings
from drivers.errors import DeviceUnavailable
from drivers.gateway import Rfc2217Transport
from drivers.recording import RecordingTransport, ReplayTransport
from drivers.stream import FORMATS, Inbox, LinkLost, Transport, unsent

__all__ = ["LinkLost", "SerialTransport", "TcpTransport", "Transport", "transport_for"]

OPEN_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
READ_MAX = 65536
"""Bytes held for the reader. TCP stops reading beyond it; a serial line loses its oldest bytes."""
BAUD_MAX = 4_000_000
_UNACKED_MAX_MS = 15_000


# ---------------------------------------------------------------- TCP


class _Stream(asyncio.Protocol):
    """One connection's events; reading pauses while the inbox is full."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self.writable = asyncio.Event()
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream transport was expected, not {transport!r}")
        self._transport = transport
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self._inbox.put(data)
        if len(self._inbox) >= READ_MAX and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.fail(str(exc) if exc else "closed by the other side")
        self.writable.set()
        self.ended.set()


class TcpTransport:
    """A TCP connection with keep-alive and no delay.

    With 7 data bits the eighth is masked: a gateway set to 8 bits in front of a device that sends 7
    and parity hands the parity bit on. Whether such a gateway checks parity cannot be known, so
    `parity` is never claimed.
    """

    parity = False

    def __init__(self, host: str, port: int, bits: int = 8) -> None:
        self._host = host
        self._port = port
        self._name = f"tcp {host}:{port}"
        self._bits = bits
        self._inbox = Inbox(self._name)
        self._stream: _Stream | None = None
        self._transport: asyncio.Transport | None = None

    async def open(self) -> None:
        """Connect within OPEN_TIMEOUT_S."""
        await self.close()
        inbox = Inbox(self._name, self._bits)
        inbox.start()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                self._transport, self._stream = await asyncio.get_running_loop().create_connection(
                    lambda: _Stream(inbox), self._host, self._port
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {OPEN_TIMEOUT_S} s"
            raise DeviceUnavailable(f"{self._name}: {reason}") from error
        self._inbox = inbox
        _set_socket_options(self._transport)

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        data = await self._inbox.get()
        if self._stream is not None:
            self._stream.resume()
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data` within WRITE_TIMEOUT_S; a link that does not take it is given up."""
        self._inbox.check()
        transport, stream = self._transport, self._stream
        if transport is None or stream is None:
            raise LinkLost(f"{self._name}: not open")
        transport.write(data)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await stream.writable.wait()
        except TimeoutError as error:
            transport.abort()
            raise unsent(self._name, "write timed out") from error
        if stream.ended.is_set():
            raise unsent(self._name, "closed while writing")

    def discard(self) -> bytes:
        """Drop and return what has arrived and was not read."""
        data = self._inbox.take()
        if self._stream is not None:
            self._stream.resume()
        return data

    async def close(self) -> None:
        """Close the connection; a pending read ends with LinkLost."""
        transport, self._transport = self._transport, None
        stream, self._stream = self._stream, None
        self._inbox.fail("closed here")
        if transport is None or stream is None:
            return
        transport.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await stream.ended.wait()
        except TimeoutError:
            transport.abort()


def _set_socket_options(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKED_MAX_MS),
    ):
        sock.setsockopt(level, option, value)


# ---------------------------------------------------------------- serial


class SerialTransport:
    """A serial port or pty, opened exclusively.

    With a parity bit the port is told to check it: a byte with wrong parity is read as NUL, which
    no text protocol allows. (pyserial clears INPCK, so that without this a parity error goes
    unseen.) A pty carries neither baud rate nor parity; with 7 data bits the eighth bit is masked
    here because a pty does not mask it either.
    """

    def __init__(self, path: str, baud: int, line_format: str) -> None:
        self._path = path
        self._name = f"serial {path}"
        self._baud = baud
        self._bits, self._parity, self._stop = FORMATS[line_format]
        self._port: serial.Serial | None = None
        self._inbox = Inbox(self._name)
        self._writable = asyncio.Event()

    @property
    def parity(self) -> bool:
        """Whether the line carries a parity bit."""
        return self._parity != "N"

    async def open(self) -> None:
        """Open the port within OPEN_TIMEOUT_S, without waiting for the other side."""
        await self.close()
        opening = asyncio.ensure_future(asyncio.to_thread(self._open_port))
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                port = await asyncio.shield(opening)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            opening.add_done_callback(_close_late)
            reason = str(error) or f"not open within {OPEN_TIMEOUT_S} s"
            raise DeviceUnavailable(f"{self._name}: {reason}") from error
        except asyncio.CancelledError:
            opening.add_done_callback(_close_late)
            raise
        self._inbox = Inbox(self._name, self._bits)
        self._inbox.start()
        self._port = port
        asyncio.get_running_loop().add_reader(port.fileno(), self._on_readable)

    def _open_port(self) -> serial.Serial:
        port = serial.Serial(
            self._path,
            baudrate=self._baud,
            bytesize=self._bits,
            parity=self._parity,
            stopbits=self._stop,
            timeout=0,
            write_timeout=WRITE_TIMEOUT_S,
            exclusive=True,
        )
        if self.parity:
            mode = termios.tcgetattr(port.fileno())
            mode[0] = (mode[0] | termios.INPCK) & ~(termios.IGNPAR | termios.PARMRK)
            termios.tcsetattr(port.fileno(), termios.TCSANOW, mode)
        return port

    def _on_readable(self) -> None:
        port = self._port
        if port is None:
            return
        try:
            data = os.read(port.fileno(), READ_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._hung_up(port, error.strerror or str(error))
            return
        if not data:
            self._hung_up(port, "the line hung up")
            return
        self._inbox.put(data)
        self._inbox.drop_oldest(READ_MAX)

    def _hung_up(self, port: serial.Serial, reason: str) -> None:
        asyncio.get_running_loop().remove_reader(port.fileno())
        self._inbox.fail(reason)

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """Send all of `data` within WRITE_TIMEOUT_S; what was not sent by then is dropped."""
        self._inbox.check()
        port = self._port
        if port is None:
            raise LinkLost(f"{self._name}: not open")
        inbox, fd = self._inbox, int(port.fileno())
        rest = memoryview(data)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while rest:
                    rest = rest[await self._write_some(inbox, fd, rest) :]
        except TimeoutError as error:
            with contextlib.suppress(termios.error):
                termios.tcflush(fd, termios.TCOFLUSH)
            raise unsent(self._name, "write timed out") from error
        except (OSError, LinkLost) as error:
            raise unsent(self._name, str(error)) from error

    async def _write_some(self, inbox: Inbox, fd: int, data: memoryview) -> int:
        """Write what fits now, after waiting for room where there is none."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.write(fd, data)
            except BlockingIOError:
                self._writable.clear()
                loop.add_writer(fd, self._writable.set)
            try:
                await self._writable.wait()
                inbox.check()  # closed meanwhile: the number may be another file's by now
            finally:
                if self._inbox is inbox and self._port is not None:
                    loop.remove_writer(fd)

    def discard(self) -> bytes:
        """Drop and return what has arrived and was not read."""
        return self._inbox.take()

    async def close(self) -> None:
        """Close the port; a pending read ends with LinkLost."""
        port, self._port = self._port, None
        self._inbox.fail("closed here")
        self._writable.set()
        if port is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(port.fileno())
            loop.remove_writer(port.fileno())
            port.close()


def _close_late(opening: "asyncio.Future[serial.Serial]") -> None:
    """Close a port whose opener no longer waits, else it would stay locked."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


# ---------------------------------------------------------------- addresses


_Query = Mapping[str, str]


def _host(parts: SplitResult) -> tuple[str, int]:
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"{parts.scheme}://HOST:PORT expected")
    return parts.hostname, parts.port


def _format(query: _Query) -> str:
    line_format = query.get("format", "8N1")
    if line_format not in FORMATS:
        raise ValueError(f"format {line_format!r} is not known")
    return line_format


def _baud(query: _Query) -> int:
    baud = query.get("baud", "9600")
    if not (baud.isascii() and baud.isdecimal() and 0 < int(baud) <= BAUD_MAX):
        raise ValueError(f"baud {baud!r} is not known")
    return int(baud)


def _tcp(parts: SplitResult, query: _Query) -> Transport:
    return TcpTransport(*_host(parts), FORMATS[_format(query)][0])


def _serial(parts: SplitResult, query: _Query) -> Transport:
    if not parts.path:
        raise ValueError("serial:/dev/NAME expected")
    return SerialTransport(parts.path, _baud(query), _format(query))


def _rfc2217(parts: SplitResult, query: _Query) -> Transport:
    host, port = _host(parts)
    settings = Settings(_baud(query), *FORMATS[_format(query)])
    return Rfc2217Transport(TcpTransport(host, port), f"rfc2217 {host}:{port}", settings)


def _replay(parts: SplitResult, query: _Query) -> Transport:
    if not parts.path:
        raise ValueError("replay:/PATH expected")
    return ReplayTransport(Path(unquote(parts.path)), parity=FORMATS[_format(query)][1] != "N")


_OPENERS: dict[str, tuple[Callable[[SplitResult, _Query], Transport], frozenset[str]]] = {
    "tcp": (_tcp, frozenset({"format"})),
    "serial": (_serial, frozenset({"baud", "format"})),
    "rfc2217": (_rfc2217, frozenset({"baud", "format"})),
    "replay": (_replay, frozenset({"format"})),
}
"""Schemes of an address: what makes the transport, and what may follow `?`."""


def transport_for(url: str) -> Transport:
    """Return the transport for a URL; raises ValueError naming what is wrong. Opens nothing.

    `serial:/dev/NAME?baud=9600&format=8N1`, `rfc2217://HOST:PORT?baud=9600&format=8N1`,
    `tcp://HOST:PORT?format=7E1`, `replay:/PATH?format=7E1`; each but the last may have
    `record=/PATH`, which writes its traffic to that file.
    """
    try:
        parts = urlsplit(url)
        known = _OPENERS.get(parts.scheme)
        if known is None:
            raise ValueError(f"scheme must be one of {sorted(_OPENERS)}")  # noqa: TRY301
        opener, keys = known
        query = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
        record = query.pop("record", "") if parts.scheme != "replay" else ""
        unknown = sorted(set(query) - keys)
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of {sorted(keys | {'record'})}")  # noqa: TRY301
        line = opener(parts, query)
    except ValueError as error:
        raise ValueError(f"address {url!r}: {error}") from error
    return RecordingTransport(line, Path(record)) if record else line
