"""What we ask of a machine, as messages. Pure.

Source: WWKS 2 Reference Manual V6.0 §6.1.1, §6.8.1, §6.9.1, §6.10.1. Questions about tasks have two
forms: the manual's, and the one that V6.22 renamed (public facts).
"""

from drivers.base import DeviceRefused, PickOrder
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import order_to_wire
from drivers.wwks2.options import Options

CAPABILITIES = ("KeepAlive", "Status", "Input", "StockInfo", "Output", "TaskInfo", "TaskCancel")
"""What we announce. Source: §6.1.1."""
_DESTINATION_DIGITS = 9

Address = tuple[str, int, int]
"""Id, source and destination of a message."""


def hello(message_id: str, options: Options) -> wire.HelloRequest:
    """Return our introduction."""
    return wire.HelloRequest(
        message_id,
        wire.Subscriber(
            id=options.subscriber_id,
            type="IMS",
            manufacturer="dispensed",
            product="dispensed",
            version="0.1",
            tenant=options.tenant,
            capabilities=CAPABILITIES,
        ),
    )


def wire_id(order_id: str) -> str:
    """Return the id of an order on the wire; raises DeviceRefused when it cannot be one."""
    try:
        return order_to_wire(order_id)
    except ValueError as error:
        raise DeviceRefused(str(error), reason="order id") from error


def details(order: PickOrder, options: Options) -> wire.OutputDetails:
    """Return where an order goes; raises DeviceRefused for an order that cannot be sent."""
    if not order.lines or any(line.packs < 1 for line in order.lines):
        text = f"order {order.order_id}: no line may ask for less than one pack"
        raise DeviceRefused(text, reason="empty")
    target = order.destination or str(options.output_destination)
    if not (target.isascii() and target.isdecimal()) or len(target) > _DESTINATION_DIGITS:
        text = f"order {order.order_id}: destination {target!r} is not a number"
        raise DeviceRefused(text, reason="destination")
    return wire.OutputDetails(options.priority, int(target), options.output_point)


def output(address: Address, order: PickOrder, where: wire.OutputDetails) -> wire.OutputRequest:
    """Return an output order: one filter for each line."""
    criteria = tuple(
        wire.Criteria(article=line.article, quantity=line.packs, batch=line.lot)
        for line in order.lines
    )
    return wire.OutputRequest(*address, details=where, criteria=criteria)


def task_info(
    first: Address, second: Address, order_id: str
) -> tuple[wire.TaskInfoRequest, wire.OutputInfoRequest]:
    """Return the question about an order in both its forms."""
    known = wire_id(order_id)
    return (
        wire.TaskInfoRequest(*first, (wire.Task(known),), include_details=True),
        wire.OutputInfoRequest(*second, (wire.Task(known, ""),), include_details=True),
    )


def cancellation(
    first: Address, second: Address, order_id: str
) -> tuple[wire.TaskCancelRequest, wire.TaskCancelOutputRequest]:
    """Return the cancellation of an order in both its forms."""
    known = wire_id(order_id)
    return (
        wire.TaskCancelRequest(*first, (wire.Task(known),)),
        wire.TaskCancelOutputRequest(*second, (wire.Task(known, ""),)),
    )
