"""What every driver is made of: capability protocols, results, facts and errors.

Capabilities are small structural protocols over plain classes. A driver never books stock and never
decides: it reports facts through a `Sink` (stored before they are interpreted) and does what it is
told, once. Public methods state the wanted end state. A missing ability raises `Unsupported`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from drivers.facts import CodeScanned, Pack

# ---------------------------------------------------------------- construction


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One configured device as its driver sees it.

    `address` is a transport URL (`tcp://host:port`, `serial:/dev/ttyS0?baud=9600&format=8N1`) or an
    `opc.tcp://` endpoint. `options` are the driver's own settings, already type-checked by
    `parse_options`
    of the driver (each driver validates and names the bad key in `ValueError`).
    """

    name: str
    address: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One device message as received; stored in the inbox before it is interpreted.

    `key` identifies the message for exactly-once application: two messages with the same device and
    key are
    one. `kind` is a short protocol word for people (`OutputMessage`, `count`, `garbage`).
    """

    key: str
    kind: str
    raw: bytes


Sink = Callable[[RawMessage], Awaitable[None]]
"""Where a driver delivers messages.

Returns when the message is durable, so the driver is back-pressured.
"""

# ---------------------------------------------------------------- common device life


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device says it is; empty strings where the protocol does not tell."""

    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    link: str = ""
    """How the link is protected, for people: `Basic256Sha256 SignAndEncrypt, user anna`, `open`."""


class Device(Protocol):
    """Life of any device, driven by the supervisor.

    Connect, watch until lost, close; then again.
    """

    async def connect(self) -> Identity:
        """Open the link and identify the device; may be called again after `close`."""
        ...

    async def watch(self) -> None:
        """Run keep-alive and background reading.

        Returns never, raises DriverError when the link is lost.
        """
        ...

    async def close(self) -> None:
        """Release the link.

        May be called at any time, twice too. Pending calls fail with DriverError.
        """
        ...


# ---------------------------------------------------------------- scale


@dataclass(frozen=True, slots=True)
class WeightReading:
    """A weight with its quality.

    `value` keeps the digits that were sent; `stable` None means unknown.
    """

    value: Decimal
    unit: str
    stable: bool | None
    raw: bytes = b""


class Scale(Device, Protocol):
    """A scale or balance."""

    async def read(self) -> WeightReading:
        """Return the weight now, stable or not; one read, never to be booked."""
        ...

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        """Return a stable weight fit for booking.

        Identical readings that agree (two with parity, else three).
        """
        ...

    async def zero(self, *, timeout_s: float) -> None:
        """Set the zero point; the end state is gross 0."""
        ...

    async def tare(self, *, timeout_s: float) -> WeightReading:
        """Take the present load as tare; the end state is net 0. Returns the tare weight."""
        ...

    async def set_tare(self, tare: WeightReading | None) -> None:
        """Make `tare` the tare weight; None clears it."""
        ...


# ---------------------------------------------------------------- counter


@dataclass(frozen=True, slots=True)
class CountJob:
    """One counting order. `job_id` is the caller's; the same id never counts twice.

    `article`, `lot` and `source` are echoed in the report so that a stored message stands alone.
    The weight of one piece (mean and spread, micrograms) is told where it is known, for counters
    that weigh; it is not part of what makes two jobs the same.
    """

    job_id: str
    article: str
    lot: str
    source: str
    pieces: int
    piece_weight_ug: int | None = field(default=None, compare=False)
    piece_weight_sd_ug: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CountResult:
    """What the counter says it did for one job.

    `complete` is False when it stopped before the target.
    """

    job_id: str
    counted: int
    defective: int
    complete: bool


@dataclass(frozen=True, slots=True)
class PieceWeight:
    """Mean weight of one piece and its standard uncertainty, in micrograms.

    `pieces` is how many pieces it was taken from, 0 when it was told (the catalogue).
    """

    mean_ug: int
    u_ug: int
    pieces: int


class Counter(Device, Protocol):
    """A tablet counter.

    Finished jobs also go through the sink, which is the only path to the ledger.
    """

    async def count(self, job: CountJob, *, timeout_s: float) -> CountResult:
        """Count `job.pieces` pieces.

        Sends a `start:<job_id>` message (cumulative counts before the job) through the sink before
        the machine is started, and a `count:<job_id>` message with the result. Raises with `moved`
        UNKNOWN or YES when pieces may have fallen.
        """
        ...

    async def sample(
        self, article: str, pieces: int, *, timeout_s: float, lot: str = ""
    ) -> PieceWeight:
        """Weigh pieces that a person counted, as the reference of later jobs of the article.

        Of one lot only when it is told. Raises Unsupported where pieces are not counted by weight,
        DeviceRefused for a sample that is none.
        """
        ...

    async def reconcile(self, job: CountJob, started: bytes | None) -> CountResult | None:
        """Ask the machine what became of a job, given the stored `start:` message of that job.

        Returns None when it is known that the job never started (no start message was stored). The
        result
        also goes through the sink. Raises DriverError with moved UNKNOWN when the machine cannot
        tell.
        """
        ...


# ---------------------------------------------------------------- cabinet


@dataclass(frozen=True, slots=True)
class PickLine:
    """Part of an output order: full packs of one lot."""

    article: str
    lot: str
    packs: int


@dataclass(frozen=True, slots=True)
class PickOrder:
    """An output order; `order_id` is the caller's number and is never reused."""

    order_id: str
    lines: tuple[PickLine, ...]
    destination: str = ""


class TaskState(StrEnum):
    """What a device says about an order when asked."""

    UNKNOWN = "unknown"
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class TaskReport:
    """State of one order as the device tells it, with the packs that it says left."""

    order_id: str
    state: TaskState
    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All packs that the device says it holds."""

    packs: tuple[Pack, ...]


@dataclass(frozen=True, slots=True)
class InputAsked:
    """A pack waits at the device's input and asks whether it may enter."""

    scan_code: str
    article: str
    lot: str
    expiry: date | None
    units: int | None


@dataclass(frozen=True, slots=True)
class InputDecision:
    """The answer: allowed with the values to store, or refused with a reason for the display.

    `refrigerated` asks for a cooled place.
    """

    allowed: bool
    article: str = ""
    name: str = ""
    lot: str = ""
    expiry: date | None = None
    units: int | None = None
    pack_units: int | None = None
    reason: str = ""
    refrigerated: bool = False


InputHandler = Callable[[InputAsked], Awaitable[InputDecision]]


class Cabinet(Device, Protocol):
    """A dispensing cabinet or robot that stores packs. What it reports goes through the sink."""

    async def deliver(self, order: PickOrder, *, timeout_s: float) -> TaskReport:
        """Output packs.

        Returns at the end of the order. Idempotent by order id within one connection.
        """
        ...

    async def reconcile(self, order_id: str) -> TaskReport:
        """Ask what became of an order; its packs, if any, also go through the sink."""
        ...

    async def cancel(self, order_id: str) -> bool:
        """Cancel an order; True when the device says it is cancelled."""
        ...

    async def inventory(self) -> Snapshot:
        """Return everything the device says it holds."""
        ...

    def on_input(self, handler: InputHandler) -> None:
        """Set who answers input requests; without one every input is refused."""
        ...


# ---------------------------------------------------------------- label printer


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says.

    All text is data and is escaped by the driver. `gs1` is an element list (AI, value).
    """

    title: str
    lines: tuple[str, ...]
    gs1: tuple[tuple[str, str], ...] = ()


class PrintProof(StrEnum):
    """How much is known about a printed label."""

    ACCEPTED = "accepted"
    PRINTED = "printed"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class PrintReceipt:
    """Proof of a print job."""

    request_id: str
    proof: PrintProof


@dataclass(frozen=True, slots=True)
class PrinterStatus:
    """The printer's own flags; `faults` holds words such as `paper_out`, `head_open`, `paused`."""

    ready: bool
    faults: tuple[str, ...]
    waiting: int


class LabelPrinter(Device, Protocol):
    """A label printer."""

    async def status(self) -> PrinterStatus:
        """Ask the printer.

        Silence raises DeviceTimeout and means faulted or offline, never ready.
        """
        ...

    async def print(self, label: Label, *, request_id: str) -> PrintReceipt:
        """Print one label. Refused before sending when the printer is not ready.

        Raises with moved UNKNOWN when the label may or may not have come out.
        """
        ...


# ---------------------------------------------------------------- drawers


@dataclass(frozen=True, slots=True)
class DrawerState:
    """One drawer as its own sensor tells it; None where the device cannot tell."""

    drawer: str
    is_open: bool | None
    locked: bool | None = None


class Drawers(Device, Protocol):
    """A cabinet of locked drawers. Each opening and shutting that it sees goes through the sink."""

    async def drawers(self) -> tuple[DrawerState, ...]:
        """Return the state of every drawer, read now."""
        ...

    async def open_drawer(self, drawer: str, *, request_id: str, timeout_s: float) -> DrawerState:
        """Unlock one drawer and wait until its sensor proves that it is open.

        The command is sent once and never repeated: without proof DeviceTimeout is raised with
        `moved` UNKNOWN. The same `request_id` never opens twice. DeviceRefused names an unknown
        drawer, and one whose lock must cool down first.
        """
        ...


# ---------------------------------------------------------------- scanner


class Scanner(Device, Protocol):
    """A barcode scanner. Every code that is read goes through the sink as kind `scan`."""

    async def scan(self, *, timeout_s: float) -> CodeScanned:
        """Return the next code that is read after this call; DeviceTimeout when none was."""
        ...
