"""A serial port behind a network gateway that speaks RFC 2217, as a transport.

pyserial has a client for this, which is not used: it blocks (a thread for each port, pauses of
50 ms while it opens and of 300 ms when it closes), takes no write timeout, has no bound on what it
holds, and cannot be told by the gateway of a parity error.
"""

import asyncio
import contextlib

from drivers.comport import ComPort, Settings, escaped
from drivers.errors import DeviceUnavailable, ProtocolError
from drivers.stream import SEVEN, LinkLost, Transport, seven_bits

AGREE_TIMEOUT_S = 5.0
"""How long a gateway may take to set its port."""


class Rfc2217Transport:
    """A byte stream through a gateway, whose port is set as wanted before the first byte.

    `parity` is never claimed: RFC 2217 does not say what a gateway does with a byte of wrong
    parity. A parity error that it reports is read as NUL.
    """

    parity = False

    def __init__(self, line: Transport, name: str, settings: Settings) -> None:
        self._line = line
        self._name = name
        self._settings = settings
        self._port = ComPort(settings)
        self._payload = bytearray()
        self._answer = bytearray()
        self._failure = ""

    async def open(self) -> None:
        """Connect and agree on the settings within AGREE_TIMEOUT_S; DeviceUnavailable says why."""
        await self._line.open()
        self._port = ComPort(self._settings)
        self._payload.clear()
        self._answer.clear()
        self._failure = ""
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._line.close)
            try:
                async with asyncio.timeout(AGREE_TIMEOUT_S):
                    await self._line.write(self._port.start())
                    while self._port.missing:
                        self._take(await self._line.read())
                        await self._flush()
            except TimeoutError as error:
                raise DeviceUnavailable(
                    f"{self._name}: the gateway did not agree on {self._port.missing}"
                    f" within {AGREE_TIMEOUT_S} s"
                ) from error
            undo.pop_all()
        self._payload.clear()  # from before the port was set

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        await self._flush()
        while not self._payload:
            self._take(await self._line.read())
            await self._flush()
        return self._rest()

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises LinkLost."""
        await self._flush()
        await self._line.write(escaped(data))

    def discard(self) -> bytes:
        """Drop and return what has arrived and was not read."""
        arrived = self._line.discard()
        if arrived:
            self._take(arrived)
        return self._rest()

    async def close(self) -> None:
        """Close the connection; a pending read ends with LinkLost."""
        await self._line.close()

    def _take(self, data: bytes) -> None:
        try:
            payload, answer = self._port.feed(data)
        except ProtocolError as error:
            self._failure = self._failure or str(error)
            return
        self._payload += seven_bits(payload) if self._settings.bits == SEVEN else payload
        self._answer += answer
        self._failure = self._failure or self._port.refused

    async def _flush(self) -> None:
        """Send what must be answered; raises LinkLost when the gateway cannot be used."""
        if self._failure:
            raise LinkLost(f"{self._name}: {self._failure}")
        if self._answer:
            answer = bytes(self._answer)
            self._answer.clear()
            await self._line.write(answer)

    def _rest(self) -> bytes:
        data = bytes(self._payload)
        self._payload.clear()
        return data
