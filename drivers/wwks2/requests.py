"""What we ask of a machine, as messages. Pure.

Source: WWKS 2 Reference Manual V6.0 §6.1.1, §6.5 to §6.10. Questions about tasks have two
forms: the manual's, and the one that V6.22 renamed (public facts).
"""

from collections.abc import Sequence
from dataclasses import replace

from drivers.base import PickOrder
from drivers.errors import DeviceRefused
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import order_to_wire
from drivers.wwks2.markup import SIGNED32
from drivers.wwks2.options import PRIORITIES, Options
from drivers.wwks2.wanted import Intake, Output

CAPABILITIES = (
    "KeepAlive",
    "Status",
    "Input",
    "InitiateInput",
    "ArticleMaster",
    "StockDelivery",
    "StockInfo",
    "Output",
    "TaskInfo",
    "TaskCancel",
    "Configuration",
    "StockLocationInfo",
)
"""What we announce: all that the manual has. Source: §6.1.1."""
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


def check_output(wanted: Output) -> None:
    """Raise DeviceRefused for an order that the manual does not allow. Source: §6.8.1."""
    about = f"order {wanted.order_id}"
    for each in wanted.criteria:
        if (each.quantity > 0) == (each.sub_items > 0) or min(each.quantity, each.sub_items) < 0:
            text = f"{about}: each line asks for packs or for units, at least one"
            raise DeviceRefused(text, reason="empty")
    if wanted.priority and wanted.priority not in PRIORITIES:
        text = f"{about}: priority {wanted.priority!r} is not one of {', '.join(PRIORITIES)}"
        raise DeviceRefused(text, reason="priority")
    for number in (wanted.destination or 0, wanted.point):
        if number not in SIGNED32:
            raise DeviceRefused(f"{about}: destination {number} is too large", reason="destination")


def output_of(address: Address, wanted: Output, options: Options) -> wire.OutputRequest:
    """Return a checked output order in full."""
    where = wire.OutputDetails(
        wanted.priority or options.priority,
        options.output_destination if wanted.destination is None else wanted.destination,
        wanted.point or options.output_point,
    )
    return wire.OutputRequest(*address, details=where, criteria=wanted.criteria, box=wanted.box)


def initiate_input(address: Address, intake: Intake) -> wire.InitiateInputRequest:
    """Return the start of an input; raises DeviceRefused for one that the manual does not allow.

    The packs are numbered here. Source: §6.5.1.
    """
    if not intake.packs or not all(pack.scan_code for pack in intake.packs):
        raise DeviceRefused("an input needs packs, each with its scan code", reason="empty")
    packs = tuple(replace(pack, index=index) for index, pack in enumerate(intake.packs))
    return wire.InitiateInputRequest(
        *address,
        new_delivery=intake.new_delivery,
        articles=(wire.Article(packs=packs),),
        details=wire.InputDetails(intake.source, intake.point),
        set_picking_indicator=intake.set_picking_indicator,
    )


def articles(address: Address, master: Sequence[wire.Article]) -> wire.ArticleMasterSetRequest:
    """Return the articles that may be stored without asking. Source: §6.6.1."""
    _check_articles(master)
    return wire.ArticleMasterSetRequest(*address, tuple(master))


def deliveries(address: Address, added: Sequence[wire.Delivery]) -> wire.StockDeliverySetRequest:
    """Return deliveries that may be stored without asking. Source: §6.6.3."""
    numbers = [each.number for each in added]
    if not added or not all(numbers) or len(set(numbers)) != len(numbers):
        raise DeviceRefused("each delivery needs a number of its own", reason="delivery number")
    for each in added:
        if not each.articles:
            raise DeviceRefused(f"delivery {each.number} has no article", reason="empty")
        _check_articles(each.articles)
    return wire.StockDeliverySetRequest(*address, tuple(added))


def _check_articles(master: Sequence[wire.Article]) -> None:
    if not all(each.id for each in master):
        raise DeviceRefused("each article needs an id", reason="article id")
    if any(each.packs for each in master):
        raise DeviceRefused("master data name no packs", reason="packs")


def delivery_info(address: Address, number: str) -> wire.TaskInfoRequest:
    """Return the question about a delivery. Source: §6.9.1."""
    task = wire.Task(number, "StockDelivery")
    return wire.TaskInfoRequest(*address, (task,), include_details=True)


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
