"""Output orders on a connection: sent once, followed to their end, asked for after a loss."""

import asyncio
from collections.abc import Callable

from drivers.base import TaskReport, TaskState
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
from drivers.wwks2.codec import order_from_wire, output_reported, task_report
from drivers.wwks2.link import Reply
from drivers.wwks2.orders import FINISHED_STATES, Ending, OpenOrder, Orders, Wanted
from drivers.wwks2.session import Session
from drivers.wwks2.wanted import OutputEnd, exits_of

MakeRequest = Callable[[requests.Address], wire.OutputRequest]


class Ordering:
    """The orders of one device. They outlive connections."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.orders = Orders(session.options.orders_max)
        self._recovered: asyncio.Future[DriverError | None] | None = None

    # ------------------------------------------------------------ the connection

    def begin(self) -> None:
        """Note a new connection: open orders are to be asked for before another is sent."""
        self._recovered = asyncio.get_running_loop().create_future()

    @property
    def fresh(self) -> bool:
        """Whether there is a connection on which `recover` was not run yet."""
        return self._recovered is not None and not self._recovered.done()

    def interrupt(self, reason: str) -> None:
        """Note that the connection is gone; whoever waits gets LinkLost."""
        link = self._session.link
        recovered, self._recovered = self._recovered, None
        if recovered is not None and not recovered.done():
            recovered.set_result(link.lost(reason, Moved.NO))
        for order_id in self.orders.open_ids():
            lost = link.lost(f"order {order_id} had not ended: {reason}")
            self.orders.interrupt(order_id, lost)

    async def recover(self) -> None:
        """Ask what became of every open order; only then may orders be sent again."""
        recovered = self._recovered
        for order_id in self.orders.open_ids():
            try:
                await self.ask_task(order_id)
            except (Unsupported, ProtocolError) as error:  # asking again would not help
                error.moved = Moved.UNKNOWN
                self.orders.doubt(order_id, error)
        if recovered is not None and not recovered.done():
            recovered.set_result(None)

    # ------------------------------------------------------------ what comes in

    def note(self, message: wire.OutputMessage) -> None:
        """Note what a machine says of an output; those of others change nothing."""
        reported = output_reported(message)
        self.orders.report(reported, exits_of(message.articles), message.boxes)

    def doubt(self, message: wire.OutputMessage, error: ProtocolError) -> None:
        """Doubt an order whose message contradicts itself: it is not sent again."""
        error.moved = Moved.UNKNOWN
        self.orders.doubt(order_from_wire(message.id), error)

    # ------------------------------------------------------------ what goes out

    async def run(self, wanted: Wanted, make: MakeRequest, timeout_s: float) -> OutputEnd:
        """Send an order unless it was sent before, and wait for its end."""
        until = asyncio.get_running_loop().time() + timeout_s
        wire_id = requests.wire_id(wanted.order_id)
        ended = self.orders.finished(wanted)
        if ended is not None:
            return ended
        await self._may_send(wanted.order_id, until)
        ended = self.orders.finished(wanted)  # may have ended while the others were asked for
        if ended is not None:
            return ended
        entry = self.orders.get(wanted.order_id)
        request = None
        if entry is None:
            request = make(self._session.address(wire_id))
            entry = self.orders.begin(wanted)
        entry.waiters += 1  # from before it is sent: asking now would find it unknown
        try:
            if request is not None:
                await self._place(entry, request, until)
            return await self._end_of(entry, until)
        finally:
            entry.waiters -= 1

    async def ask_task(self, order_id: str) -> TaskReport:
        """Ask for one order; ends it here too when the machine says that it ended."""
        session = self._session
        forms = requests.task_info(session.address(), session.address(), order_id)
        answer = await session.ask_either(*forms, first=session.can("TaskInfo"))
        wire_id = requests.wire_id(order_id)
        found = next((task for task in answer.tasks if task.id == wire_id), None)
        if found is None:
            raise ProtocolError(f"{session.name}: an answer without order {order_id}")
        report = task_report(found)
        entry = self.orders.get(order_id)
        if report.state in FINISHED_STATES:
            self.orders.end(report, exits_of(found.articles), found.boxes)
        elif report.state is TaskState.UNKNOWN and entry is not None and not entry.waiters:
            text = f"{session.name}: order {order_id} is not known to the machine"
            self.orders.drop(order_id, DeviceTimeout(text, moved=Moved.UNKNOWN))
        return report

    async def cancel(self, order_id: str) -> bool:
        """Cancel an order; True when the machine says that it is cancelled."""
        session = self._session
        forms = requests.cancellation(session.address(), session.address(), order_id)
        answer = await session.ask_either(*forms, first=session.can("TaskCancel"))
        wire_id = requests.wire_id(order_id)
        return any(each.id == wire_id and each.status == "Cancelled" for each in answer.tasks)

    async def _may_send(self, order_id: str, until: float) -> None:
        """Wait until every open order was asked for on this connection."""
        name = self._session.name
        self._session.address()
        recovered = self._recovered
        if recovered is None:
            raise DeviceUnavailable(f"{name}: not connected")
        done, _ = await asyncio.wait({recovered}, timeout=left(until))
        if not done:
            text = f"{name}: order {order_id} was not sent, earlier ones are being asked for"
            raise DeviceTimeout(text)
        error = recovered.result()
        if error is not None:
            raise error

    async def _place(self, entry: OpenOrder, request: wire.OutputRequest, until: float) -> None:
        """Send an order; returns once it is queued, or has ended already."""
        session, order_id = self._session, entry.order.order_id
        try:
            reply = session.link.expect(request)
            await session.link.send(request)
            wait_s = min(left(until), session.options.request_timeout_s)
            either: set[asyncio.Future[Reply] | asyncio.Future[Ending]] = {reply, entry.ended}
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        except DriverError as error:
            if error.moved is Moved.NO:
                self.orders.drop(order_id, error)
            raise
        finally:
            session.link.forget(request)
        if entry.ended.done():
            return
        if not reply.done():
            raise self._timed_out(order_id, "answered")
        refused = _refusal(reply.result(), f"{session.name}: order {order_id}")
        if refused is not None:
            self.orders.drop(order_id, refused)
            raise refused

    async def _end_of(self, entry: OpenOrder, until: float) -> OutputEnd:
        ended = entry.ended
        await asyncio.wait({ended}, timeout=left(until))
        if not ended.done():
            raise self._timed_out(entry.order.order_id, "finished")
        ending = ended.result()
        if isinstance(ending, DriverError):
            raise ending
        return ending

    def _timed_out(self, order_id: str, what: str) -> DeviceTimeout:
        text = f"{self._session.name}: order {order_id} was sent and not {what} in time"
        return DeviceTimeout(text, moved=Moved.UNKNOWN)


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


def left(until: float) -> float:
    """Return how many seconds are left until a time of the loop, at least 0."""
    return max(0.0, until - asyncio.get_running_loop().time())
