"""WWKS2 documents to messages and back, and what a message means for stock. Pure.

Source: WWKS 2 Reference Manual V6.0 (P-010-044-B-I-599-GBR), §5.2 for the envelope and §6 for each
message; UnprocessedMessage, OutputInfo and TaskCancelOutput from the public facts about V6.22.
Unknown attributes and elements are ignored, unknown messages become `UnknownMessage`: the raw bytes
are what is stored.
"""

import contextlib
import hashlib
from datetime import UTC, datetime

from drivers.base import RawMessage, TaskReport, TaskState
from drivers.errors import ProtocolError
from drivers.facts import (
    Fact,
    InputReported,
    OutputReported,
    OutputStatus,
    Pack,
    StockReported,
)
from drivers.wwks2 import messages as wire
from drivers.wwks2.markup import Element, parse, render
from drivers.wwks2.reading import read
from drivers.wwks2.writing import kind_of, lead_of

VERSION = "2.0"
MANUAL_OUTPUT_ID = "1"
"""The id of every output that was asked for at the machine itself. Source: §6.8.3, Manual."""
MANUAL_ORDER = "manual"
"""The order id under which such outputs are reported, so that they never look like order 1."""
_ORDER_ONE = "0001"
"""How our own order 1 is written, because the machine uses id 1 for manual outputs."""
ID_MAX = 64
"""Longest message id in characters. Source: public facts about V6.22."""

_OUTPUT_STATUSES = {
    "Completed": OutputStatus.COMPLETED,
    "Incomplete": OutputStatus.INCOMPLETE,
    "Aborted": OutputStatus.ABORTED,
    "BoxReleased": OutputStatus.BOX_RELEASED,
}
_TASK_STATES = {
    "Unknown": TaskState.UNKNOWN,
    "Queued": TaskState.QUEUED,
    "InProcess": TaskState.RUNNING,
    "Aborting": TaskState.RUNNING,
    "Aborted": TaskState.ABORTED,
    "Completed": TaskState.COMPLETED,
    "Incomplete": TaskState.INCOMPLETE,
}
_FINISHED = {
    TaskState.COMPLETED: OutputStatus.COMPLETED,
    TaskState.INCOMPLETE: OutputStatus.INCOMPLETE,
    TaskState.ABORTED: OutputStatus.ABORTED,
}


def order_to_wire(order_id: str) -> str:
    """Return the id under which an order is sent; raises ValueError for ids that cannot be."""
    if order_id in {"", MANUAL_ORDER, _ORDER_ONE} or len(order_id) > ID_MAX:
        raise ValueError(f"order id {order_id[: ID_MAX + 1]!r} is reserved, empty or too long")
    return _ORDER_ONE if order_id == MANUAL_OUTPUT_ID else order_id


def order_from_wire(wire_id: str) -> str:
    """Return the order id for an id on the wire; the inverse of `order_to_wire`."""
    if wire_id == MANUAL_OUTPUT_ID:
        return MANUAL_ORDER
    return MANUAL_OUTPUT_ID if wire_id == _ORDER_ONE else wire_id


def encode(message: wire.Message, sent_at: datetime) -> bytes:
    """Return the document of a message; `sent_at` is aware. Raises ProtocolError if unsendable."""
    stamp = sent_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = Element("WWKS", {"Version": VERSION, "TimeStamp": stamp}, [lead_of(message)])
    return render(document).encode()


def decode(raw: bytes) -> wire.Message:
    """Return the message of one document; raises ProtocolError when it is none."""
    root = parse(raw)
    if root.tag != "WWKS" or len(root.children) != 1:
        raise ProtocolError(f"<{root.tag[:40]}> with {len(root.children)} messages inside")
    return read(root.children[0])


def stored(message: wire.Message, raw: bytes) -> RawMessage:
    """Return a message as it goes to the inbox; a byte-identical repeat has the same key."""
    kind = kind_of(message)[:ID_MAX]
    digest = hashlib.sha256(raw).hexdigest()
    return RawMessage(key=f"{kind}:{message.id[:ID_MAX]}:{digest}", kind=kind, raw=raw)


def unreadable(raw: bytes) -> RawMessage:
    """Return what `decode` refused as it goes to the inbox.

    The kind is that of the message where the bytes are XML at least, else `garbage`.
    """
    kind = "garbage"
    with contextlib.suppress(ProtocolError):
        kind = next((lead.tag[:ID_MAX] for lead in parse(raw).children), kind)
    return RawMessage(f"{kind}:{hashlib.sha256(raw).hexdigest()}", kind, raw)


# ---------------------------------------------------------------- what it means for stock


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return what a stored document says about stock; raises ProtocolError when unreadable."""
    return facts_of(decode(raw))


def facts_of(message: wire.Message) -> tuple[Fact, ...]:
    """Return what a message says about stock; raises ProtocolError when it contradicts itself.

    An OutputMessage reports the packs that it lists, final or not: the manual does not say whether
    the message that ends an order repeats those of a released box, so effects are told apart by
    pack id. The same holds for the end of an initiated input, which names packs that InputMessages
    may have named before. A task counts once it is finished: packs of a running one may still lie
    inside.
    """
    match message:
        case wire.OutputMessage():
            return (output_reported(message),)
        case wire.InputMessage():
            return tuple(
                InputReported(_identified(article, pack))
                for article in message.articles
                for pack in article.packs
                if pack.handling == wire.Handling.COMPLETED
            )
        case wire.InitiateInputMessage():
            return tuple(
                InputReported(_described(article, pack))
                for article in message.articles
                for pack in article.packs
                if pack.id > 0
            )
        case wire.StockInfoMessage():
            return (StockReported(packs_of(message.articles)),)
        case wire.TaskInfoResponse() | wire.OutputInfoResponse():
            reports = [task_report(task) for task in message.tasks if is_output(task)]
            return tuple(
                OutputReported(report.order_id, _FINISHED[report.state], report.packs)
                for report in reports
                if report.state in _FINISHED
            )
        case _:
            return ()


def output_reported(message: wire.OutputMessage) -> OutputReported:
    """Return what an OutputMessage reports; raises ProtocolError for an unknown status."""
    status = _OUTPUT_STATUSES.get(message.details.status)
    if status is None:
        raise ProtocolError(f"OutputMessage with status {message.details.status[:40]!r}")
    return OutputReported(order_from_wire(message.id), status, _moved(message.articles))


def task_report(task: wire.Task) -> TaskReport:
    """Return what a task says of an order; raises ProtocolError for an unknown status."""
    return TaskReport(order_from_wire(task.id), task_state(task), _moved(task.articles))


def task_state(task: wire.Task) -> TaskState:
    """Return the state of a task of any type; raises ProtocolError for an unknown status."""
    state = _TASK_STATES.get(task.status)
    if state is None:
        raise ProtocolError(f"task {task.id!r} with status {task.status[:40]!r}")
    return state


def is_output(task: wire.Task) -> bool:
    """Whether a task is an output order (OutputInfo tasks have no type)."""
    return task.type in {"", "Output"}


def packs_of(articles: tuple[wire.Article, ...]) -> tuple[Pack, ...]:
    """Return all packs of some articles."""
    return tuple(_described(article, pack) for article in articles for pack in article.packs)


def _moved(articles: tuple[wire.Article, ...]) -> tuple[Pack, ...]:
    return tuple(_identified(article, pack) for article in articles for pack in article.packs)


def _identified(article: wire.Article, pack: wire.PackData) -> Pack:
    """A pack that moved must have an id: without it its effect cannot be applied just once."""
    if pack.id <= 0:
        raise ProtocolError(f"a pack of article {article.id!r} moved without a pack id")
    return _described(article, pack)


def _described(article: wire.Article, pack: wire.PackData) -> Pack:
    return Pack(
        pack_id=str(pack.id),
        article=article.id,
        lot=pack.batch,
        expiry=pack.expiry,
        units=pack.sub_items or None,
        scan_code=pack.scan_code,
        serial=pack.serial,
    )
