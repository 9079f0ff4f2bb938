"""Driver of a picking robot that speaks WWKS2.

Document implemented: WWKS 2 Reference Manual V6.0, with UnprocessedMessage, OutputInfo and
TaskCancelOutput from the public facts about V6.22. Not tested on any machine. The machine is the
server (TCP port 6050); the link is not encrypted. Whatever touches stock goes through the sink
before the driver acts on it. After a connection was lost, every order whose end is not known is
asked for before anything is output again: an OutputRequest is not idempotent at the machine.
"""

import asyncio
import itertools
from collections import deque

from drivers.base import (
    DeviceRefused,
    DeviceSpec,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Identity,
    InputDecision,
    InputHandler,
    Moved,
    PickOrder,
    ProtocolError,
    Sink,
    Snapshot,
    TaskReport,
    TaskState,
    Unsupported,
)
from drivers.transport import transport_for
from drivers.wwks2 import messages as wire
from drivers.wwks2 import requests
from drivers.wwks2.codec import (
    decode,
    facts_of,
    order_from_wire,
    output_reported,
    packs_of,
    stored,
    task_report,
    unreadable,
)
from drivers.wwks2.inputs import answered, asked, asked_packs
from drivers.wwks2.link import Link, NotProcessed, Reply, checked
from drivers.wwks2.options import parse_options
from drivers.wwks2.orders import FINISHED_STATES, Ending, OpenOrder, Orders
from drivers.wwks2.stream import Frame
from drivers.wwks2.writing import kind_of

BROADCAST = 0
INPUTS_MAX = 32
"""Input requests that may wait for a decision; one more is refused at once."""
LARGE_BYTES = 256 * 1024
"""Longest message that is decoded in the event loop: about 25 ms."""
QUOTE_MAX = 64 * 1024
"""Longest message that is quoted back in an UnprocessedMessage."""


class Wwks2Driver:
    """A cabinet behind WWKS2; see `drivers.base.Cabinet` for the contract of each method."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._sink = sink
        transport = transport_for(spec.address)
        self._link = Link(transport, spec.name, self._options.message_max_bytes)
        self._orders = Orders(self._options.orders_max)
        self._ids = itertools.count(1001)
        self._handler: InputHandler | None = None
        self._inputs: deque[wire.InputRequest] = deque()
        self._input_came = asyncio.Event()
        self._machine: wire.Subscriber | None = None
        self._recovered: asyncio.Future[DriverError | None] | None = None
        self._in_garbage = False
        self.status: wire.StatusResponse | None = None
        """What the machine last said about its readiness."""

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Connect, say hello and learn the machine's number and capabilities."""
        await self.close()
        await self._link.take(self._take)  # what the last connection left unstored
        await self._link.open()
        try:
            self._machine = machine = await self._greet()
        except BaseException:
            await self.close()
            raise
        self._recovered = asyncio.get_running_loop().create_future()
        return Identity(machine.manufacturer, machine.product, "", machine.version)

    async def _greet(self) -> wire.Subscriber:
        hello = requests.hello(self._next_id(), self._options)
        timeout_s = self._options.hello_timeout_s
        reply = self._link.expect(hello)
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            await self._link.send(hello)
            while not reply.done():
                async with asyncio.timeout_at(until):
                    await self._link.read()
                await self._link.take(self._take)
        except TimeoutError as error:
            text = f"{self._name}: no HelloResponse within {timeout_s:g} s"
            raise DeviceTimeout(text) from error
        except DriverError as error:
            error.moved = Moved.NO
            raise
        finally:
            self._link.forget(hello)
        subscriber = checked(reply.result(), wire.HelloResponse).subscriber
        if subscriber.id <= 0:
            raise ProtocolError(f"{self._name}: a HelloResponse without a subscriber id")
        return subscriber

    async def watch(self) -> None:
        """Read, keep alive and answer inputs until the link is lost; asks for open orders first."""
        recovered = self._recovered
        if recovered is None or recovered.done():
            raise DeviceUnavailable(f"{self._name}: not connected")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._keep_alive())
                group.create_task(self._answer_inputs())
                group.create_task(self._recover(recovered))
        except BaseExceptionGroup as failures:
            known, other = failures.split(DriverError)
            if known is None or other is not None:
                raise
            error = _first_of(known)
            await self._disconnect(str(error))
            raise error from None
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection; whoever waits for it gets LinkLost with an honest `moved`."""
        await self._disconnect("the connection was closed")

    async def _disconnect(self, reason: str) -> None:
        self._machine, self.status = None, None
        self._inputs.clear()
        recovered, self._recovered = self._recovered, None
        if recovered is not None and not recovered.done():
            recovered.set_result(self._link.lost(reason, Moved.NO))
        for order_id in self._orders.open_ids():
            lost = self._link.lost(f"order {order_id} had not ended: {reason}")
            self._orders.interrupt(order_id, lost)
        await self._link.close(reason)

    # ------------------------------------------------------------ tasks of a connection

    async def _read(self) -> None:
        while True:
            await self._link.take(self._take)
            await self._link.read()

    async def _keep_alive(self) -> None:
        """Ask for the status at intervals; a machine that misses one reply is lost."""
        asking = "Status" if self._can("Status") else "KeepAlive"
        while True:
            try:
                await self._probe(asking)
            except DeviceRefused:
                asking = "KeepAlive"
            await asyncio.sleep(self._options.keepalive_interval_s)

    async def _probe(self, asking: str) -> None:
        timeout_s = self._options.request_timeout_s
        if asking == "Status":
            status = wire.StatusRequest(*self._address())
            self.status = await self._link.ask(status, wire.StatusResponse, timeout_s)
        else:
            alive = wire.KeepAliveRequest(*self._address())
            await self._link.ask(alive, wire.KeepAliveResponse, timeout_s)

    async def _recover(self, recovered: "asyncio.Future[DriverError | None]") -> None:
        """Ask what became of every open order; only then may orders be sent again."""
        for order_id in self._orders.open_ids():
            try:
                await self._ask_task(order_id)
            except (Unsupported, ProtocolError) as error:  # asking again would not help
                error.moved = Moved.UNKNOWN
                self._orders.doubt(order_id, error)
        if not recovered.done():
            recovered.set_result(None)

    async def _answer_inputs(self) -> None:
        while True:
            await self._input_came.wait()
            self._input_came.clear()
            while self._inputs:
                await self._answer_input(self._inputs.popleft())

    async def _answer_input(self, request: wire.InputRequest) -> None:
        articles = []
        for article, pack in asked_packs(request):
            decision = await self._decide(article, pack)
            articles.append(answered(article, pack, decision))
        await self._link.send(
            wire.InputResponse(
                request.id,
                self._options.subscriber_id,
                request.source,
                request.new_delivery,
                tuple(articles),
            )
        )

    async def _decide(self, article: wire.Article, pack: wire.PackData) -> InputDecision:
        if self._handler is None:
            return InputDecision(allowed=False, reason="no inputs are accepted")
        try:
            async with asyncio.timeout(self._options.input_timeout_s):
                return await self._handler(asked(article, pack))
        except TimeoutError:
            return InputDecision(allowed=False, reason="no decision in time")

    # ------------------------------------------------------------ what comes in

    async def _take(self, frame: Frame) -> None:
        """Store what matters, then act on it. May be repeated for the same frame."""
        if frame.fault:
            if not self._in_garbage:  # one report for one burst
                await self._sink(unreadable(frame.raw))
            self._in_garbage = True
            return
        self._in_garbage = False
        try:
            message = await self._decoded(frame.raw)
            matters = bool(facts_of(message))
        except ProtocolError as error:
            await self._sink(unreadable(frame.raw))
            self._note_unreadable(frame.raw, error)
            return
        if matters:
            await self._sink(stored(message, frame.raw))
        await self._act(message, frame.raw)

    async def _decoded(self, raw: bytes) -> wire.Message:
        """Decode; a long message (an inventory) in a thread, so that the loop goes on."""
        if len(raw) > LARGE_BYTES:
            return await asyncio.to_thread(decode, raw)
        return decode(raw)

    def _note_unreadable(self, raw: bytes, error: ProtocolError) -> None:
        """Doubt an order whose message contradicts itself: it is not sent again."""
        try:
            message = decode(raw)
        except ProtocolError:
            return
        if isinstance(message, wire.OutputMessage):
            error.moved = Moved.UNKNOWN
            self._orders.doubt(order_from_wire(message.id), error)
        self._link.settle(message)

    async def _act(self, message: wire.Message, raw: bytes) -> None:
        """Act on a message; without a connection nothing is answered."""
        if isinstance(message, wire.OutputMessage):
            self._orders.report(output_reported(message))
        elif self._machine is None:
            self._link.settle(message)
        else:
            await self._respond(message, raw)

    async def _respond(self, message: wire.Message, raw: bytes) -> None:
        match message:
            case wire.KeepAliveRequest() if self._for_us(message):
                answer = wire.KeepAliveResponse(
                    message.id, self._options.subscriber_id, message.source
                )
                await self._link.send(answer)
            case wire.InputRequest() if self._for_us(message):
                await self._queue_input(message)
            case wire.Hello() | wire.UnprocessedMessage():
                self._link.settle(message)
            case _ if kind_of(message).endswith("Request"):
                if self._for_us(message):
                    await self._refuse(message, raw)
            case _:
                self._link.settle(message)

    async def _queue_input(self, message: wire.InputRequest) -> None:
        if len(self._inputs) >= INPUTS_MAX:
            await self._unprocessed(message, "TooManyRequests", "")
            return
        self._inputs.append(message)
        self._input_came.set()

    async def _refuse(self, message: wire.Addressed, raw: bytes) -> None:
        quoted = raw.decode() if len(raw) <= QUOTE_MAX else ""
        await self._unprocessed(message, "NotSupported", quoted)

    async def _unprocessed(self, message: wire.Addressed, reason: str, quoted: str) -> None:
        await self._link.send(
            wire.UnprocessedMessage(
                message.id,
                self._options.subscriber_id,
                message.source,
                reason=reason,
                text=f"{type(message).__name__} was not processed",
                content=quoted,
            )
        )

    def _for_us(self, message: wire.Addressed) -> bool:
        return message.destination in {self._options.subscriber_id, BROADCAST}

    # ------------------------------------------------------------ what goes out

    def on_input(self, handler: InputHandler) -> None:
        """Set who answers input requests. The handler must not raise; slow ones mean no."""
        self._handler = handler

    async def deliver(self, order: PickOrder, *, timeout_s: float) -> TaskReport:
        """Output packs and wait for the end of the order.

        An order that ended is not sent again: its report is returned. Raises DeviceRefused when the
        machine rejects it, DeviceTimeout or LinkLost with `moved` UNKNOWN once it was sent.
        """
        until = asyncio.get_running_loop().time() + timeout_s
        where, wire_id = requests.details(order, self._options), requests.wire_id(order.order_id)
        report = self._orders.finished(order)
        if report is not None:
            return report
        await self._may_send(order.order_id, until)
        report = self._orders.finished(order)  # may have ended while the others were asked for
        if report is not None:
            return report
        entry = self._orders.get(order.order_id)
        if entry is None:
            request = requests.output(self._address(wire_id), order, where)
            entry = self._orders.begin(order)
            await self._place(entry, request, until)
        return await self._end_of(entry, until)

    async def reconcile(self, order_id: str) -> TaskReport:
        """Ask the machine what became of an order; its packs go through the sink too."""
        try:
            return await self._ask_task(order_id)
        except DriverError as error:
            error.moved = Moved.UNKNOWN
            raise

    async def cancel(self, order_id: str) -> bool:
        """Cancel an order; True when the machine says that it is cancelled."""
        forms = requests.cancellation(self._address(), self._address(), order_id)
        answer = await self._ask_either(*forms, first=self._can("TaskCancel"))
        wire_id = requests.wire_id(order_id)
        return any(each.id == wire_id and each.status == "Cancelled" for each in answer.tasks)

    async def inventory(self) -> Snapshot:
        """Return every pack that the machine holds."""
        request = wire.StockInfoRequest(*self._address(), include_article_details=True)
        timeout_s = self._options.inventory_timeout_s
        answer = await self._link.ask(request, wire.StockInfoResponse, timeout_s)
        return Snapshot(packs_of(answer.articles))

    # ------------------------------------------------------------ helpers

    def _next_id(self) -> str:
        return str(next(self._ids))

    def _address(self, message_id: str | None = None) -> tuple[str, int, int]:
        """Return id, source and destination of a message of ours; raises when not connected."""
        if self._machine is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        return message_id or self._next_id(), self._options.subscriber_id, self._machine.id

    def _can(self, capability: str) -> bool:
        """Whether the machine says that it can; one that lists nothing can do everything."""
        names = self._machine.capabilities if self._machine else ()
        return not names or capability in names

    async def _may_send(self, order_id: str, until: float) -> None:
        """Wait until every open order was asked for on this connection."""
        self._address()
        recovered = self._recovered
        if recovered is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        done, _ = await asyncio.wait({recovered}, timeout=_left(until))
        if not done:
            text = f"{self._name}: order {order_id} was not sent, earlier ones are being asked for"
            raise DeviceTimeout(text)
        error = recovered.result()
        if error is not None:
            raise error

    async def _place(self, entry: OpenOrder, request: wire.OutputRequest, until: float) -> None:
        """Send an order; returns once it is queued, or has ended already."""
        order_id = entry.order.order_id
        try:
            reply = self._link.expect(request)
            await self._link.send(request)
            wait_s = min(_left(until), self._options.request_timeout_s)
            either: set[asyncio.Future[Reply] | asyncio.Future[Ending]] = {reply, entry.ended}
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        except DriverError as error:
            if error.moved is Moved.NO:
                self._orders.drop(order_id, error)
            raise
        finally:
            self._link.forget(request)
        if entry.ended.done():
            return
        if not reply.done():
            raise self._timed_out(order_id, "answered")
        refused = _refusal(reply.result(), f"{self._name}: order {order_id}")
        if refused is not None:
            self._orders.drop(order_id, refused)
            raise refused

    async def _end_of(self, entry: OpenOrder, until: float) -> TaskReport:
        entry.waiters += 1
        try:
            ended = entry.ended
            await asyncio.wait({ended}, timeout=_left(until))
        finally:
            entry.waiters -= 1
        if not ended.done():
            raise self._timed_out(entry.order.order_id, "finished")
        ending = ended.result()
        if isinstance(ending, DriverError):
            raise ending
        return ending

    def _timed_out(self, order_id: str, what: str) -> DeviceTimeout:
        text = f"{self._name}: order {order_id} was sent and not {what} in time"
        return DeviceTimeout(text, moved=Moved.UNKNOWN)

    async def _ask_task(self, order_id: str) -> TaskReport:
        """Ask for one order; ends it here too when the machine says that it ended."""
        forms = requests.task_info(self._address(), self._address(), order_id)
        answer = await self._ask_either(*forms, first=self._can("TaskInfo"))
        wire_id = requests.wire_id(order_id)
        found = next((task for task in answer.tasks if task.id == wire_id), None)
        if found is None:
            raise ProtocolError(f"{self._name}: an answer without order {order_id}")
        report = task_report(found)
        entry = self._orders.get(order_id)
        if report.state in FINISHED_STATES:
            self._orders.end(report)
        elif report.state is TaskState.UNKNOWN and entry is not None and not entry.waiters:
            text = f"{self._name}: order {order_id} is not known to the machine"
            self._orders.drop(order_id, DeviceTimeout(text, moved=Moved.UNKNOWN))
        return report

    async def _ask_either(
        self, classic: wire.Message, modern: wire.Message, *, first: bool
    ) -> wire.TaskMessage:
        """Ask in the announced form, in the other one when the machine does not process that."""
        timeout_s = self._options.request_timeout_s
        forms = (classic, modern) if first else (modern, classic)
        for request in forms:
            try:
                return await self._link.ask(request, wire.TaskMessage, timeout_s)
            except NotProcessed as error:
                if error.reason == "TooManyRequests":
                    raise
        names = " or ".join(kind_of(request) for request in forms)
        raise Unsupported(f"{self._name}: the machine processes no {names}", moved=Moved.UNKNOWN)


def _refusal(answer: Reply, about: str) -> DeviceRefused | None:
    """Return why an order was refused; raises what came in place of a response."""
    if isinstance(answer, DeviceRefused):
        return answer
    if isinstance(answer, DriverError):
        raise answer
    status = answer.details.status if isinstance(answer, wire.OutputResponse) else ""
    if status == "Queued":
        return None
    return DeviceRefused(f"{about} was refused: {status or 'no status'}", reason=status)


def _left(until: float) -> float:
    return max(0.0, until - asyncio.get_running_loop().time())


def _first_of(group: BaseExceptionGroup[DriverError]) -> DriverError:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
