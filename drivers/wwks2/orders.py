"""The output orders that a driver knows: open ones, and the last finished ones."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from drivers.base import PickOrder, TaskReport, TaskState
from drivers.errors import DeviceRefused, DriverError
from drivers.facts import OutputReported, OutputStatus, Pack
from drivers.wwks2.wanted import Output, OutputEnd, PackExit

REMEMBERED_MAX = 256
"""How many orders that ended or are doubtful are remembered, so that none is output again."""

Wanted = PickOrder | Output
"""An order as it was asked for; two under one id must be equal."""
Ending = OutputEnd | DriverError

_STATES = {
    OutputStatus.COMPLETED: TaskState.COMPLETED,
    OutputStatus.INCOMPLETE: TaskState.INCOMPLETE,
    OutputStatus.ABORTED: TaskState.ABORTED,
}
FINISHED_STATES = frozenset(_STATES.values())


@dataclass(slots=True)
class OpenOrder:
    """An order that was sent, or is about to be. `ended` holds its end, or why waiting is over."""

    order: Wanted
    ended: "asyncio.Future[Ending]"
    packs: dict[str, Pack] = field(default_factory=dict)
    exits: dict[str, PackExit] = field(default_factory=dict)
    boxes: dict[str, None] = field(default_factory=dict)
    waiters: int = 0


class Orders:
    """Open and finished orders by id; bounded."""

    def __init__(self, open_max: int) -> None:
        self._open_max = open_max
        self._open: dict[str, OpenOrder] = {}
        self._past: OrderedDict[str, tuple[Wanted, Ending]] = OrderedDict()

    def open_ids(self) -> tuple[str, ...]:
        """The ids of all orders whose end is not known, in the order they were sent."""
        return tuple(self._open)

    def get(self, order_id: str) -> OpenOrder | None:
        """The open order of this id."""
        return self._open.get(order_id)

    def finished(self, order: Wanted) -> OutputEnd | None:
        """How an order ended, None for a new or an open one.

        Raises the error of an order that became doubtful; refuses another order under a known id.
        """
        known = self._open.get(order.order_id)
        if known is not None and known.order != order:
            raise DeviceRefused(f"order {order.order_id} is open with other lines", reason="reused")
        ordered, ending = self._past.get(order.order_id, (order, None))
        if ordered != order:
            raise DeviceRefused(f"order {order.order_id} ended with other lines", reason="reused")
        if isinstance(ending, DriverError):
            raise ending
        return ending

    def begin(self, order: Wanted) -> OpenOrder:
        """Note an order that is about to be sent; refuses one too many."""
        if len(self._open) >= self._open_max:
            raise DeviceRefused(f"{self._open_max} orders are open", reason="busy")
        entry = OpenOrder(order, asyncio.get_running_loop().create_future())
        self._open[order.order_id] = entry
        return entry

    def report(
        self,
        reported: OutputReported,
        exits: tuple[PackExit, ...] = (),
        boxes: tuple[str, ...] = (),
    ) -> None:
        """Note what a machine reports of an order; unknown ones are none of ours."""
        entry = self._open.get(reported.order_id)
        if entry is None:
            return
        entry.packs.update({pack.pack_id: pack for pack in reported.packs})
        entry.exits.update({each.pack_id: each for each in exits})
        entry.boxes.update(dict.fromkeys(boxes))
        state = _STATES.get(reported.status)
        if state is not None:
            packs = tuple(entry.packs.values())
            report = TaskReport(reported.order_id, state, packs)
            self.end(report, tuple(entry.exits.values()), tuple(entry.boxes))

    def end(
        self,
        report: TaskReport,
        exits: tuple[PackExit, ...] = (),
        boxes: tuple[str, ...] = (),
    ) -> None:
        """Note the end of an order and tell whoever waits; a doubtful order may end too."""
        order_id, ending = report.order_id, OutputEnd(report, exits, boxes)
        entry = self._open.pop(order_id, None)
        if entry is not None:
            self._close(entry, ending)
        elif order_id in self._past:
            self._past[order_id] = (self._past[order_id][0], ending)

    def doubt(self, order_id: str, error: DriverError) -> None:
        """Note that the end of an order cannot be known here; whoever waits gets the error."""
        entry = self._open.pop(order_id, None)
        if entry is not None:
            self._close(entry, error)

    def _close(self, entry: OpenOrder, ending: Ending) -> None:
        self._past[entry.order.order_id] = (entry.order, ending)
        if len(self._past) > REMEMBERED_MAX:
            self._past.popitem(last=False)
        entry.ended.set_result(ending)

    def drop(self, order_id: str, error: DriverError) -> None:
        """Forget an order that the machine does not have; whoever waits gets the error."""
        self._open.pop(order_id).ended.set_result(error)

    def interrupt(self, order_id: str, error: DriverError) -> None:
        """Tell whoever waits that waiting is over; the order stays open."""
        entry = self._open[order_id]
        entry.ended.set_result(error)
        entry.ended = asyncio.get_running_loop().create_future()
