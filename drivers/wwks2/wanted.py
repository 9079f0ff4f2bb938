"""What may be asked of a WWKS2 machine beyond `drivers.base.Cabinet`, and what comes back. Pure.

Source: WWKS 2 Reference Manual V6.0 §6.5 (initiated inputs), §6.8 (outputs, labels, boxes) and §6.9
(deliveries). Criteria, articles, deliveries and packs are those of `drivers.wwks2.messages`.
"""

from dataclasses import dataclass

from drivers.base import TaskReport, TaskState
from drivers.facts import Pack
from drivers.wwks2 import messages as wire


@dataclass(frozen=True, slots=True)
class Output:
    """An output order in full; `order_id` is the caller's number and is never reused.

    Each criterion asks for `quantity` full packs, or for `sub_items` units with `quantity` 0. An
    order without criteria outputs nothing: it forwards the box `box`, or the next one that comes.
    `destination` None is the configured one, `priority` "" too.
    """

    order_id: str
    criteria: tuple[wire.Criteria, ...]
    destination: int | None = None
    point: int = 0
    priority: str = ""
    box: str = ""


@dataclass(frozen=True, slots=True)
class PackExit:
    """Where a pack went and what became of its label (`Labelled`, `NotLabelled`, `LabelError`).

    `box` and `label` are "" where the machine has neither.
    """

    pack_id: str
    destination: int
    point: int = 0
    box: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class OutputEnd:
    """How an output order ended, with the boxes that it filled or forwarded."""

    report: TaskReport
    exits: tuple[PackExit, ...] = ()
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """Packs that lie at a transfer point of the machine and are to be stored.

    Each pack needs its scan code; batch, expiry, units and size are sent where they are known.
    """

    packs: tuple[wire.PackData, ...]
    source: int
    point: int = 0
    new_delivery: bool = False
    set_picking_indicator: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A pack that was not stored; `index` is its place in the intake, `error` a word of §6.5.3."""

    index: int
    scan_code: str
    error: str
    text: str


@dataclass(frozen=True, slots=True)
class IntakeEnd:
    """How an intake ended; `complete` means that every pack was stored."""

    complete: bool
    stored: tuple[Pack, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of a delivery: its state and the packs that came in under its number."""

    number: str
    state: TaskState
    packs: tuple[Pack, ...]


def exits_of(articles: tuple[wire.Article, ...]) -> tuple[PackExit, ...]:
    """Return where packs went, as a message about an output says."""
    return tuple(
        PackExit(
            str(pack.id), pack.output_destination, pack.output_point, pack.box, pack.label_status
        )
        for article in articles
        for pack in article.packs
    )


def intake_end(message: wire.InitiateInputMessage) -> IntakeEnd:
    """Return how an intake ended; a pack without a pack id was not stored."""
    packs = [(article, pack) for article in message.articles for pack in article.packs]
    stored = tuple(
        Pack(
            pack_id=str(pack.id),
            article=article.id,
            lot=pack.batch,
            expiry=pack.expiry,
            units=pack.sub_items or None,
            scan_code=pack.scan_code,
            serial=pack.serial,
        )
        for article, pack in packs
        if pack.id > 0
    )
    refused = tuple(
        Refused(pack.index, pack.scan_code, pack.error, pack.error_text)
        for _, pack in packs
        if pack.id <= 0
    )
    return IntakeEnd(message.details.status == "Completed", stored, refused)
