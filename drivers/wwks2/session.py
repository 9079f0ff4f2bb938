"""What a connection to a machine knows: its link, the machine's introduction and message ids."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.wwks2 import messages as wire
from drivers.wwks2 import requests
from drivers.wwks2.link import Answer, Link, NotProcessed, checked
from drivers.wwks2.options import Options
from drivers.wwks2.stream import Frame
from drivers.wwks2.writing import kind_of


class Session:
    """The state that everything on one connection shares; opened and closed many times."""

    def __init__(self, name: str, options: Options, link: Link) -> None:
        self.name = name
        self.options = options
        self.link = link
        self.machine: wire.Subscriber | None = None
        self.status: wire.StatusResponse | None = None
        self._ids = itertools.count(1001)

    # ------------------------------------------------------------ opening

    async def greet(self, take: Callable[[Frame], Awaitable[None]]) -> wire.Subscriber:
        """Say hello and return the machine's introduction; what else comes goes to `take`."""
        hello = requests.hello(self.next_id(), self.options)
        timeout_s = self.options.hello_timeout_s
        reply = self.link.expect(hello)
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            await self.link.send(hello)
            while not reply.done():
                async with asyncio.timeout_at(until):
                    await self.link.read()
                await self.link.take(take)
        except TimeoutError as error:
            text = f"{self.name}: no HelloResponse within {timeout_s:g} s"
            raise DeviceTimeout(text) from error
        except DriverError as error:
            error.moved = Moved.NO
            raise
        finally:
            self.link.forget(hello)
        subscriber = checked(reply.result(), wire.HelloResponse).subscriber
        if subscriber.id <= 0:
            raise ProtocolError(f"{self.name}: a HelloResponse without a subscriber id")
        self.machine = subscriber
        return subscriber

    def end(self) -> None:
        """Forget what the machine said."""
        self.machine, self.status = None, None

    # ------------------------------------------------------------ asking

    def next_id(self) -> str:
        """Return an id for a message of ours."""
        return str(next(self._ids))

    def address(self, message_id: str | None = None) -> requests.Address:
        """Return id, source and destination of a message of ours; raises when not connected."""
        if self.machine is None:
            raise DeviceUnavailable(f"{self.name}: not connected")
        return message_id or self.next_id(), self.options.subscriber_id, self.machine.id

    def can(self, capability: str) -> bool:
        """Whether the machine says that it can; one that lists nothing can do everything."""
        names = self.machine.capabilities if self.machine else ()
        return not names or capability in names

    async def ask(
        self, request: wire.Message, wanted: type[Answer], capability: str, timeout_s: float
    ) -> Answer:
        """Ask what moves no stock; raises Unsupported for what the machine does not process."""
        self.need(capability)
        try:
            return await self.link.ask(request, wanted, timeout_s)
        except NotProcessed as error:
            if error.reason == "NotSupported":
                raise self.unsupported(capability) from error
            raise

    def need(self, capability: str) -> None:
        """Raise Unsupported for what the machine does not announce."""
        self.address()
        if not self.can(capability):
            raise self.unsupported(capability)

    def unsupported(self, capability: str) -> Unsupported:
        """Return the error for what the machine cannot do; nothing has moved."""
        return Unsupported(f"{self.name}: the machine does not support {capability}")

    async def ask_either(
        self, classic: wire.Message, modern: wire.Message, *, first: bool
    ) -> wire.TaskMessage:
        """Ask in the announced form, in the other one when the machine does not process that."""
        timeout_s = self.options.request_timeout_s
        forms = (classic, modern) if first else (modern, classic)
        for request in forms:
            try:
                return await self.link.ask(request, wire.TaskMessage, timeout_s)
            except NotProcessed as error:
                if error.reason == "TooManyRequests":
                    raise
        names = " or ".join(kind_of(request) for request in forms)
        raise Unsupported(f"{self.name}: the machine processes no {names}", moved=Moved.UNKNOWN)

    # ------------------------------------------------------------ keeping it up

    async def keep_alive(self) -> None:
        """Ask for the status at intervals; a machine that misses one reply is lost."""
        asking = "Status" if self.can("Status") else "KeepAlive"
        while True:
            try:
                await self._probe(asking)
            except DeviceRefused:
                asking = "KeepAlive"
            await asyncio.sleep(self.options.keepalive_interval_s)

    async def _probe(self, asking: str) -> None:
        timeout_s = self.options.request_timeout_s
        if asking == "Status":
            status = wire.StatusRequest(*self.address())
            self.status = await self.link.ask(status, wire.StatusResponse, timeout_s)
        else:
            alive = wire.KeepAliveRequest(*self.address())
            await self.link.ask(alive, wire.KeepAliveResponse, timeout_s)
