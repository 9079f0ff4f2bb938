"""Byte transports: serial lines and TCP connections behind one small protocol.

The only user of pyserial. A transport is opened and closed many times in its life; `read` returns at least
one byte or raises. Deadlines belong to the caller (`asyncio.timeout`), except for opening and writing.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import serial

from drivers.base import DeviceUnavailable, Moved

OPEN_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0
READ_MAX = 65536
_FORMATS = {
    f"{bits}{parity}{stop}": (bits, parity, stop)
    for bits in (7, 8)
    for parity in ("N", "E", "O")
    for stop in (1, 2)
}


class LinkLost(DeviceUnavailable):
    """The link closed or failed; whatever was being awaited did not arrive."""


class Transport(Protocol):
    """A byte stream to one device."""

    @property
    def parity(self) -> bool:
        """Whether the line carries a parity bit (agreement rules depend on it)."""
        ...

    async def open(self) -> None:
        """Open the link; raises DeviceUnavailable with the reason."""
        ...

    async def read(self) -> bytes:
        """Return what has arrived, at least one byte; raises LinkLost when the link ends."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises LinkLost (moved UNKNOWN: part of it may have gone out)."""
        ...

    def discard(self) -> bytes:
        """Drop and return whatever was received and not yet read (stale bytes before a command)."""
        ...

    async def close(self) -> None:
        """Close the link; safe to call twice. A pending `read` raises LinkLost."""
        ...


class TcpTransport:
    """A TCP connection with keep-alive and no delay."""

    parity = False

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect within OPEN_TIMEOUT_S."""
        await self.close()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, limit=READ_MAX
                )
        except (OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {OPEN_TIMEOUT_S} s"
            raise DeviceUnavailable(f"tcp {self._host}:{self._port}: {reason}") from error
        _set_keepalive(writer)
        self._reader, self._writer = reader, writer

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        if self._reader is None:
            raise LinkLost(f"tcp {self._host}:{self._port}: not open")
        try:
            data = await self._reader.read(READ_MAX)
        except OSError as error:
            raise LinkLost(f"tcp {self._host}:{self._port}: {error}") from error
        if not data:
            raise LinkLost(f"tcp {self._host}:{self._port}: closed by the other side")
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data` within WRITE_TIMEOUT_S."""
        if self._writer is None:
            raise LinkLost(f"tcp {self._host}:{self._port}: not open")
        try:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            lost = LinkLost(f"tcp {self._host}:{self._port}: {error or 'write timed out'}")
            lost.moved = Moved.UNKNOWN
            raise lost from error

    def discard(self) -> bytes:
        """Drop what StreamReader holds; it has no public way, so stale bytes are left to the framer."""
        return b""

    async def close(self) -> None:
        """Close the connection; a pending read ends with LinkLost."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.wait_closed()


def _set_keepalive(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


class SerialTransport:
    """A serial port or pty, opened exclusively.

    A pty carries neither baud rate nor parity; with 7 data bits the eighth bit is masked here because a pty
    does not mask it either.
    """

    def __init__(self, path: str, baud: int, line_format: str) -> None:
        self._path = path
        self._baud = baud
        self._bits, self._parity, self._stop = _FORMATS[line_format]
        self._port: serial.Serial | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._failure: str | None = None

    @property
    def parity(self) -> bool:
        """Whether the line carries a parity bit."""
        return self._parity != "N"

    async def open(self) -> None:
        """Open the port without waiting for the other side."""
        await self.close()
        try:
            port = await asyncio.to_thread(self._open_port)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise DeviceUnavailable(f"serial {self._path}: {error}") from error
        self._port, self._failure = port, None
        self._buffer.clear()
        self._arrived.clear()
        asyncio.get_running_loop().add_reader(port.fileno(), self._on_readable)

    def _open_port(self) -> serial.Serial:
        return serial.Serial(
            self._path,
            baudrate=self._baud,
            bytesize=self._bits,
            parity=self._parity,
            stopbits=self._stop,
            timeout=0,
            write_timeout=WRITE_TIMEOUT_S,
            exclusive=True,
        )

    def _on_readable(self) -> None:
        port = self._port
        if port is None:
            return
        try:
            data = port.read(READ_MAX)
        except OSError as error:
            data, self._failure = b"", str(error)
        if not data:
            self._failure = self._failure or "the line hung up"
            asyncio.get_running_loop().remove_reader(port.fileno())
        elif self._bits == 7:  # noqa: PLR2004 - data bits of the line format
            data = bytes(byte & 0x7F for byte in data)
        self._buffer += data
        if len(self._buffer) > READ_MAX:
            del self._buffer[: len(self._buffer) - READ_MAX]
        self._arrived.set()

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        while not self._buffer:
            if self._port is None or self._failure is not None:
                raise LinkLost(f"serial {self._path}: {self._failure or 'not open'}")
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data` within WRITE_TIMEOUT_S."""
        port = self._port
        if port is None:
            raise LinkLost(f"serial {self._path}: not open")
        try:
            await asyncio.to_thread(port.write, data)
        except OSError as error:
            lost = LinkLost(f"serial {self._path}: {error}")
            lost.moved = Moved.UNKNOWN
            raise lost from error

    def discard(self) -> bytes:
        """Drop and return what has arrived and was not read."""
        stale = bytes(self._buffer)
        self._buffer.clear()
        return stale

    async def close(self) -> None:
        """Close the port; a pending read ends with LinkLost."""
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(OSError, ValueError):
                asyncio.get_running_loop().remove_reader(port.fileno())
            port.close()
        self._arrived.set()


def _tcp(url: str) -> Transport:
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError(f"address {url!r}: tcp://HOST:PORT expected")
    return TcpTransport(parts.hostname, parts.port)


def _serial(url: str) -> Transport:
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(set(query) - {"baud", "format"})
    if not parts.path or unknown:
        raise ValueError(
            f"address {url!r}: serial:/dev/NAME?baud=9600&format=8N1 expected, unknown {unknown}"
        )
    baud, line_format = query.get("baud", "9600"), query.get("format", "8N1")
    if not baud.isdecimal() or line_format not in _FORMATS:
        raise ValueError(f"address {url!r}: baud {baud!r} or format {line_format!r} is not known")
    return SerialTransport(parts.path, int(baud), line_format)


_OPENERS: dict[str, Callable[[str], Transport]] = {"tcp": _tcp, "serial": _serial}


def transport_for(url: str) -> Transport:
    """Return the transport for a URL; raises ValueError naming what is wrong. Opens nothing."""
    opener = _OPENERS.get(urlsplit(url).scheme)
    if opener is None:
        raise ValueError(f"address {url!r}: scheme must be one of {sorted(_OPENERS)}")
    return opener(url)
