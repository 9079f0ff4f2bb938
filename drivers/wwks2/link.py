"""One connection to a machine: documents out, documents in, replies matched to their requests."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DriverError,
    Moved,
    ProtocolError,
)
from drivers.transport import LinkLost, Transport
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode
from drivers.wwks2.stream import DocumentSplitter, Frame
from drivers.wwks2.writing import kind_of

_LONG = wire.ArticleMasterSetRequest | wire.StockDeliverySetRequest
"""Messages that are encoded in a thread, so that the loop goes on."""
REQUESTS_MAX = 64
"""Requests that may wait for their reply at once; one more is refused."""

Reply = wire.Message | DriverError
Answer = TypeVar("Answer", bound=wire.Hello | wire.Addressed)


def checked(reply: Reply, wanted: type[Answer]) -> Answer:
    """Return a reply to a request that moves no stock, or raise what came in its place."""
    if isinstance(reply, wanted):
        return reply
    if isinstance(reply, DriverError):
        reply.moved = Moved.NO
        raise reply
    raise ProtocolError(f"{kind_of(reply)} where {wanted.__name__} was expected")


class NotProcessed(DeviceRefused):
    """The machine answered with UnprocessedMessage; `reason` is NotSupported, DataError, ..."""


def _wall() -> datetime:
    """The time that is written into messages; nothing is decided by it."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000_000, UTC)


class Link:
    """A connection, opened and closed many times. Frames outlive it until they are taken."""

    def __init__(self, transport: Transport, name: str, limit: int) -> None:
        self._transport = transport
        self._name = name
        self._limit = limit
        self._splitter = DocumentSplitter(limit)
        self._frames: deque[Frame] = deque()
        self._waiting: dict[tuple[str, str], asyncio.Future[Reply]] = {}
        self._writing = asyncio.Lock()
        self._connection = 0

    async def open(self) -> None:
        """Connect; raises DeviceUnavailable with the reason."""
        self._splitter.reset()
        self._connection += 1
        await self._transport.open()

    async def close(self, reason: str) -> None:
        """Disconnect and fail every waiting request; safe to call twice."""
        self._connection += 1
        self._frames.extend(self._splitter.flush())
        waiting, self._waiting = self._waiting, {}
        for reply in waiting.values():
            if not reply.done():
                reply.set_result(self.lost(reason))
        await self._transport.close()

    def lost(self, reason: str, moved: Moved = Moved.UNKNOWN) -> LinkLost:
        """The error of somebody who waits for something that will not come on this connection."""
        error = LinkLost(f"{self._name}: {reason}")
        error.moved = moved
        return error

    async def send(self, message: wire.Message) -> None:
        """Send one message whole; raises LinkLost (moved UNKNOWN once a part may be out).

        DeviceRefused names a message that is longer than the limit; nothing was sent then.
        """
        if isinstance(message, _LONG):
            data = await asyncio.to_thread(encode, message, _wall())
        else:
            data = encode(message, _wall())
        if len(data) > self._limit:
            text = f"{self._name}: a message of {len(data)} bytes, {self._limit} are allowed"
            raise DeviceRefused(text, reason="too long")
        connection = self._connection
        async with self._writing:
            if connection != self._connection:
                raise self.lost("the connection was closed", Moved.NO)
            await self._transport.write(data)

    def expect(self, request: wire.Message) -> "asyncio.Future[Reply]":
        """Return the future reply to a request that is about to be sent; forget it when done."""
        if len(self._waiting) >= REQUESTS_MAX:
            raise DeviceRefused(f"{self._name}: {REQUESTS_MAX} requests are waiting", reason="busy")
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[kind_of(request), request.id] = reply
        return reply

    def forget(self, request: wire.Message) -> None:
        """Wait no longer for the reply to a request."""
        self._waiting.pop((kind_of(request), request.id), None)

    async def ask(self, request: wire.Message, wanted: type[Answer], timeout_s: float) -> Answer:
        """Send a request that moves no stock and return its reply, which is to be a `wanted`.

        Raises NotProcessed, DeviceTimeout, or LinkLost; `moved` is NO in all of them.
        """
        reply = self.expect(request)
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(request)
                answer = await reply
        except TimeoutError as error:
            text = f"{self._name}: no answer to {kind_of(request)} within {timeout_s:g} s"
            raise DeviceTimeout(text) from error
        except LinkLost as error:
            error.moved = Moved.NO  # whatever went out moves nothing
            raise
        finally:
            self.forget(request)
        return checked(answer, wanted)

    def settle(self, message: wire.Message) -> None:
        """Give a reply to whom it belongs; others are ignored."""
        if isinstance(message, wire.UnprocessedMessage):
            self._settle_unprocessed(message)
            return
        kind = kind_of(message)
        reply = self._waiting.get((f"{kind.removesuffix('Response')}Request", message.id))
        if kind.endswith("Response") and reply is not None and not reply.done():
            reply.set_result(message)

    def _settle_unprocessed(self, message: wire.UnprocessedMessage) -> None:
        """Find the request by the message that is quoted, else by the id alone."""
        try:
            quoted = decode(message.content.strip().encode())
            keys = [(kind_of(quoted), quoted.id)]
        except ProtocolError:
            keys = [key for key in self._waiting if key[1] == message.id]
        text = f"{self._name}: {message.reason or 'not processed'} {message.text}".strip()
        for reply in [self._waiting[key] for key in keys if key in self._waiting]:
            if not reply.done():
                reply.set_result(NotProcessed(text, reason=message.reason))

    async def read(self) -> None:
        """Wait for bytes and frame them; raises LinkLost, never loses what came before."""
        data = await self._transport.read()
        self._frames.extend(self._splitter.feed(data))

    async def take(self, handle: Callable[[Frame], Awaitable[None]]) -> None:
        """Hand on each frame in order; one is dropped only after `handle` returned.

        Raises ProtocolError once a message longer than the limit came: the link is useless then.
        """
        while self._frames:
            await handle(self._frames[0])
            self._frames.popleft()
        if self._splitter.broken:
            raise ProtocolError(f"{self._name}: a message is longer than the limit")
