"""What a machine reports: facts, each of which a stored raw message stands for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class OutputStatus(StrEnum):
    """End, or not yet the end, of one output order."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    BOX_RELEASED = "box_released"


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack as a device describes it.

    `units` is None for a full pack, else the number of single units left in an opened pack.
    `expiry` None
    and `lot` "" mean that the device did not say.
    """

    pack_id: str
    article: str
    lot: str
    expiry: date | None
    units: int | None = None
    scan_code: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class OutputReported:
    """Packs that left a device, ordered or not.

    The same pack is reported at most once in effect.
    """

    order_id: str
    status: OutputStatus
    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class InputReported:
    """A pack that entered a device and was stored (only completed inputs)."""

    pack: Pack


@dataclass(frozen=True, slots=True)
class StockReported:
    """The device says that its stock changed or describes packs.

    Never booked, prompts a reconciliation.
    """

    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class CountReported:
    """A finished or broken-off counting job.

    `counted` good pieces left the source, `defective` were rejected.
    """

    job_id: str
    article: str
    lot: str
    source: str
    counted: int
    defective: int
    complete: bool


@dataclass(frozen=True, slots=True)
class DrawerReported:
    """A drawer was seen open or shut. Moves no stock; it is an access, and an alarm when `overdue`.

    `request_id` is the opening that was asked for, "" when nobody asked. `overdue` means that the
    drawer has stood open longer than it may.
    """

    drawer: str
    is_open: bool
    request_id: str
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class CodeScanned:
    """A code was read by a scanner. Moves no stock. `text` is what the code holds, GS kept.

    `symbology` is the AIM identifier without `]` (`d2`, `C1`, `Q3`), "" when it was not sent.
    """

    text: str
    symbology: str


Fact = OutputReported | InputReported | StockReported | CountReported | DrawerReported | CodeScanned
Interpreter = Callable[[bytes], tuple[Fact, ...]]
"""Pure: raw bytes of a stored message -> its facts (empty when it means nothing for stock).

Raises ProtocolError for bytes that cannot be read; such a message is kept and alarmed.
"""
