"""Requests to a printer and their answers over HTTP, each on a connection of its own.

A connection of its own per request means that a late answer is never taken for another's.
"""

import asyncio
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import replace

import httpx

from drivers.base import RawMessage, Sink
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
)
from drivers.ipp.codec import (
    CONTENT_TYPE,
    MESSAGE_MAX,
    Attribute,
    Message,
    Operation,
    Target,
    decode,
    encode,
    request,
)
from drivers.ipp.options import Address, Options

GARBAGE_MAX = 1024
"""Bytes of one answer that cannot be read that are kept."""
_HTTP_OK = 200
_REQUEST_IDS = 0x7FFFFFFF
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class IppLink:
    """One printer, one request at a time.

    `effect` says that a request makes the printer print: then an error after the request may have
    arrived carries moved UNKNOWN, else NO.
    """

    def __init__(self, name: str, address: Address, options: Options, sink: Sink) -> None:
        self._name = name
        self._address = address
        self._options = options
        self._sink = sink
        self._target = Target(address.uri)
        self._client: httpx.AsyncClient | None = None
        self._busy = asyncio.Lock()
        self._deadline: asyncio.Timeout | None = None
        self._request_id = 0
        self._session = ""
        self._bursts = 0

    @property
    def protection(self) -> str:
        """How the link is protected, for people."""
        if not self._address.secure:
            return "open"
        return "TLS, pinned certificate" if self._options.server_certificate else "TLS"

    async def open(self) -> None:
        """Get ready to ask; raises DeviceUnavailable when the certificate cannot be read."""
        await self.close()
        try:
            context = await asyncio.to_thread(self._context)
        except OSError as error:  # ssl.SSLError is one
            raise DeviceUnavailable(
                f"{self._name}: certificate {self._options.server_certificate!r}: {error}"
            ) from error
        self._session = secrets.token_hex(8)
        self._client = httpx.AsyncClient(
            verify=context,
            trust_env=False,
            timeout=self._options.reply_timeout_s,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=0),
        )

    def _context(self) -> ssl.SSLContext:
        if not self._address.secure:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned = self._options.server_certificate
        context = ssl.create_default_context(cafile=pinned or None)
        context.check_hostname = not pinned
        return context

    async def close(self) -> None:
        """Release the link; an open request fails."""
        client, self._client = self._client, None
        if self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time())
        async with self._busy:  # the open request closes its own connection first
            if client is not None:
                await client.aclose()

    async def ask(
        self,
        operation: Operation,
        attributes: Iterable[Attribute] = (),
        document: bytes = b"",
        *,
        job: Iterable[Attribute] = (),
        effect: bool = False,
    ) -> Message:
        """Send one request and return its answer.

        Raises DeviceUnavailable (not reached: moved NO), DeviceTimeout, ProtocolError, and
        DeviceRefused with the status of the printer as its reason.
        """
        moved = Moved.UNKNOWN if effect else Moved.NO
        number = self._request_id = self._request_id % _REQUEST_IDS + 1
        sent = request(operation, number, self._target, attributes, job)
        body = encode(replace(sent, document=document))
        answer = await self._read(await self._post(operation, body, moved), moved)
        if answer.request_id != number:
            raise ProtocolError(
                f"{self._name}: answer to request {answer.request_id}, {self._request_id} expected",
                moved=moved,
            )
        if not answer.successful:
            raise DeviceRefused(
                f"{self._name}: {operation.name}: {answer.status_word}", reason=answer.status_word
            )
        return answer

    async def _post(self, operation: Operation, body: bytes, moved: Moved) -> bytes:
        try:
            async with self._busy:
                return await self._exchange_in_time(body, moved)
        except _NOT_SENT as error:
            raise DeviceUnavailable(f"{self._name}: {str(error) or 'no answer'}") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise DeviceTimeout(
                f"{self._name}: no answer to {operation.name} within"
                f" {self._options.reply_timeout_s} s: faulted or offline",
                moved=moved,
            ) from error
        except httpx.HTTPError as error:
            raise DeviceUnavailable(f"{self._name}: {error!r}", moved=moved) from error

    async def _exchange_in_time(self, body: bytes, moved: Moved) -> bytes:
        client = self._client
        if client is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        try:
            async with asyncio.timeout(2 * self._options.reply_timeout_s) as self._deadline:
                return await self._exchange(client, body, moved)
        finally:
            self._deadline = None

    async def _exchange(self, client: httpx.AsyncClient, body: bytes, moved: Moved) -> bytes:
        headers = {"content-type": CONTENT_TYPE, "accept": CONTENT_TYPE}
        data = bytearray()
        async with client.stream(
            "POST", self._address.url, content=body, headers=headers
        ) as response:
            if response.status_code != _HTTP_OK:
                raise _http_refusal(self._name, response.status_code, moved)
            if response.headers.get("content-type", "").partition(";")[0] != CONTENT_TYPE:
                raise ProtocolError(f"{self._name}: the answer is no IPP message", moved=moved)
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) > MESSAGE_MAX:
                    raise ProtocolError(f"{self._name}: endless answer", moved=moved)
        return bytes(data)

    async def _read(self, data: bytes, moved: Moved) -> Message:
        try:
            return decode(data)
        except ProtocolError as error:
            error.moved = moved
            self._bursts += 1
            key = f"garbage:{self._session}:{self._bursts}"
            await self._sink(RawMessage(key, "garbage", data[:GARBAGE_MAX]))
            raise


_REFUSED = frozenset({400, 401, 403, 404, 405, 411, 413, 415, 426, 501, 503})
"""HTTP answers of a server that did nothing. Source: RFC 9110, 15.5, 15.6."""


def _http_refusal(name: str, status: int, moved: Moved) -> DeviceRefused | ProtocolError:
    if status in _REFUSED:
        return DeviceRefused(f"{name}: HTTP {status}", reason=f"http-{status}")
    return ProtocolError(f"{name}: HTTP {status}", moved=moved)
