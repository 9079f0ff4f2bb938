"""Driver of a picking robot that speaks WWKS2.

Document implemented: WWKS 2 Reference Manual V6.0, with UnprocessedMessage, OutputInfo and
TaskCancelOutput from the public facts about V6.22. Not tested on any machine. The machine is the
server (TCP port 6050); the link is not encrypted. Whatever touches stock goes through the sink
before the driver acts on it. After a connection was lost, every order whose end is not known is
asked for before anything is output again: an OutputRequest is not idempotent at the machine.
"""

import asyncio
from collections.abc import Sequence

from drivers.base import (
    DeviceSpec,
    Identity,
    InputHandler,
    PickOrder,
    Sink,
    Snapshot,
    TaskReport,
)
from drivers.errors import (
    DeviceRefused,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
)
from drivers.transport import transport_for
from drivers.wwks2 import messages as wire
from drivers.wwks2 import requests
from drivers.wwks2.codec import decode, facts_of, packs_of, stored, task_state, unreadable
from drivers.wwks2.desk import InputDesk
from drivers.wwks2.intakes import Intakes
from drivers.wwks2.link import Answer, Link
from drivers.wwks2.options import parse_options
from drivers.wwks2.ordering import Ordering
from drivers.wwks2.session import Session
from drivers.wwks2.stream import Frame
from drivers.wwks2.wanted import DeliveryReport, Intake, IntakeEnd, Output, OutputEnd
from drivers.wwks2.writing import kind_of

BROADCAST = 0
LARGE_BYTES = 256 * 1024
"""Longest message that is decoded in the event loop: about 25 ms."""
QUOTE_MAX = 64 * 1024
"""Longest message that is quoted back in an UnprocessedMessage."""


class Wwks2Driver:
    """A cabinet behind WWKS2; see `drivers.base.Cabinet` for the contract of its methods.

    What the manual has beyond that are the methods from `output` on. They raise Unsupported, with
    nothing sent, when the machine does not announce the ability.
    """

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._sink = sink
        transport = transport_for(spec.address)
        self._link = Link(transport, spec.name, self._options.message_max_bytes)
        self._session = Session(spec.name, self._options, self._link)
        self._ordering = Ordering(self._session)
        self._intakes = Intakes(self._session)
        self._desk = InputDesk(self._options, self._link.send)
        self._in_garbage = False

    @property
    def status(self) -> wire.StatusResponse | None:
        """What the machine last said about its readiness, None when it did not say."""
        return self._session.status

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Connect, say hello and learn the machine's number and capabilities."""
        await self.close()
        await self._link.take(self._take)  # what the last connection left unstored
        await self._link.open()
        try:
            machine = await self._session.greet(self._take)
        except BaseException:
            await self.close()
            raise
        self._ordering.begin()
        return Identity(machine.manufacturer, machine.product, "", machine.version)

    async def watch(self) -> None:
        """Read, keep alive and answer inputs until the link is lost; asks for open orders first."""
        if not self._ordering.fresh:
            raise DeviceUnavailable(f"{self._name}: not connected")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read())
                group.create_task(self._session.keep_alive())
                group.create_task(self._desk.serve())
                group.create_task(self._ordering.recover())
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
        self._session.end()
        self._desk.clear()
        self._ordering.interrupt(reason)
        self._intakes.interrupt(reason)
        await self._link.close(reason)

    async def _read(self) -> None:
        while True:
            await self._link.take(self._take)
            await self._link.read()

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
            self._ordering.doubt(message, error)
        self._link.settle(message)

    async def _act(self, message: wire.Message, raw: bytes) -> None:
        """Act on a message; without a connection nothing is answered."""
        match message:
            case wire.OutputMessage():
                self._ordering.note(message)
            case wire.InitiateInputMessage():
                self._intakes.note(message)
            case _ if self._session.machine is None:
                self._link.settle(message)
            case _:
                await self._respond(message, raw)

    async def _respond(self, message: wire.Message, raw: bytes) -> None:
        match message:
            case wire.KeepAliveRequest() if self._for_us(message):
                answer = wire.KeepAliveResponse(
                    message.id, self._options.subscriber_id, message.source
                )
                await self._link.send(answer)
            case wire.InputRequest() if self._for_us(message):
                if not self._desk.put(message):
                    await self._unprocessed(message, "TooManyRequests", "")
            case wire.Addressed() if kind_of(message).endswith("Request"):
                if self._for_us(message):
                    await self._refuse(message, raw)
            case _:
                self._link.settle(message)

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
                text=f"{kind_of(message)} was not processed",
                content=quoted,
            )
        )

    def _for_us(self, message: wire.Addressed) -> bool:
        return message.destination in {self._options.subscriber_id, BROADCAST}

    # ------------------------------------------------------------ a cabinet

    def on_input(self, handler: InputHandler) -> None:
        """Set who answers input requests. The handler must not raise; slow ones mean no."""
        self._desk.handler = handler

    async def deliver(self, order: PickOrder, *, timeout_s: float) -> TaskReport:
        """Output packs and wait for the end of the order.

        An order that ended is not sent again: its report is returned. Raises DeviceRefused when the
        machine rejects it, DeviceTimeout or LinkLost with `moved` UNKNOWN once it was sent.
        """
        where = requests.details(order, self._options)
        ended = await self._ordering.run(
            order, lambda address: requests.output(address, order, where), timeout_s
        )
        return ended.report

    async def reconcile(self, order_id: str) -> TaskReport:
        """Ask the machine what became of an order; its packs go through the sink too."""
        try:
            return await self._ordering.ask_task(order_id)
        except DriverError as error:
            error.moved = Moved.UNKNOWN
            raise

    async def cancel(self, order_id: str) -> bool:
        """Cancel an order; True when the machine says that it is cancelled."""
        return await self._ordering.cancel(order_id)

    async def inventory(self) -> Snapshot:
        """Return every pack that the machine holds."""
        request = wire.StockInfoRequest(*self._session.address(), include_article_details=True)
        timeout_s = self._options.inventory_timeout_s
        answer = await self._link.ask(request, wire.StockInfoResponse, timeout_s)
        return Snapshot(packs_of(answer.articles))

    # ------------------------------------------------------------ the rest of the manual

    async def output(self, wanted: Output, *, timeout_s: float) -> OutputEnd:
        """Output with all that WWKS2 knows: units, filters, priority, labels and boxes (§6.8).

        As `deliver` in everything else; the two share their order ids.
        """
        requests.check_output(wanted)
        return await self._ordering.run(
            wanted,
            lambda address: requests.output_of(address, wanted, self._options),
            timeout_s,
        )

    async def release_box(self, order_id: str, *, box: str = "", timeout_s: float) -> OutputEnd:
        """Forward a box, or the next one that comes, with an empty order (§6.8); names it."""
        return await self.output(Output(order_id, (), box=box), timeout_s=timeout_s)

    async def start_input(self, intake: Intake, *, timeout_s: float) -> IntakeEnd:
        """Store packs that lie at a transfer point; waits until all are stored or refused (§6.5).

        The machine asks the input handler about each of them. Not idempotent: raises DeviceRefused
        when the machine rejects it, DeviceTimeout or LinkLost with `moved` UNKNOWN once it was
        sent; packs that were stored come through the sink all the same.
        """
        return await self._intakes.run(intake, timeout_s)

    async def set_articles(self, articles: Sequence[wire.Article]) -> None:
        """Replace the articles that the machine stores without asking; none resets it (§6.6.1)."""
        request = requests.articles(self._session.address(), articles)
        await self._set(request, wire.ArticleMasterSetResponse, "ArticleMaster")

    async def add_deliveries(self, deliveries: Sequence[wire.Delivery]) -> None:
        """Add deliveries whose packs the machine stores without asking (§6.6.3)."""
        request = requests.deliveries(self._session.address(), deliveries)
        await self._set(request, wire.StockDeliverySetResponse, "StockDelivery")

    async def delivery(self, number: str) -> DeliveryReport:
        """Return what became of a delivery (§6.9); UNKNOWN when the machine does not know it."""
        request = requests.delivery_info(self._session.address(), number)
        answer = await self._ask(request, wire.TaskInfoResponse, "TaskInfo")
        found = next((task for task in answer.tasks if task.id == number), None)
        if found is None:
            raise ProtocolError(f"{self._name}: an answer without delivery {number}")
        return DeliveryReport(number, task_state(found), packs_of(found.articles))

    async def stock(self, *criteria: wire.Criteria, packs: bool = True) -> tuple[wire.Article, ...]:
        """Return what matches any of the criteria, or everything (§6.7).

        With `packs` False only the number of packs of each article. The manual filters by article,
        batch, external id, stock location and machine.
        """
        request = wire.StockInfoRequest(
            *self._session.address(),
            include_packs=packs,
            include_article_details=True,
            criteria=criteria,
        )
        timeout_s = self._options.inventory_timeout_s
        answer = await self._session.ask(request, wire.StockInfoResponse, "StockInfo", timeout_s)
        return answer.articles

    async def readiness(self) -> wire.StatusResponse:
        """Ask whether the machine and each of its components are ready (§6.3)."""
        request = wire.StatusRequest(*self._session.address(), include_details=True)
        return await self._ask(request, wire.StatusResponse, "Status")

    async def stock_locations(self) -> tuple[wire.StockLocation, ...]:
        """Return the machine's virtual stock locations (§6.12)."""
        request = wire.StockLocationInfoRequest(*self._session.address())
        kind = wire.StockLocationInfoResponse
        return (await self._ask(request, kind, "StockLocationInfo")).locations

    async def configuration(self) -> str:
        """Return the machine's configuration, in its maker's own form (§6.11)."""
        request = wire.ConfigurationGetRequest(*self._session.address())
        kind = wire.ConfigurationGetResponse
        return (await self._ask(request, kind, "Configuration")).configuration

    async def _ask(self, request: wire.Message, wanted: type[Answer], capability: str) -> Answer:
        timeout_s = self._options.request_timeout_s
        return await self._session.ask(request, wanted, capability, timeout_s)

    async def _set(
        self, request: wire.Message, wanted: type[wire.SetResponse], capability: str
    ) -> None:
        answer = await self._ask(request, wanted, capability)
        if answer.value != "Accepted":
            text = f"{self._name}: {kind_of(request)}: {answer.value or 'no result'} {answer.text}"
            raise DeviceRefused(text.rstrip(), reason=answer.value)


def _first_of(group: BaseExceptionGroup[DriverError]) -> DriverError:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
