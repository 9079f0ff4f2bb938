"""WWKS2 messages as values; the field names are ours, the defaults are the manual's.

Source: WWKS 2 Reference Manual V6.0 §6 (one section per message, named in each docstring). A
missing optional attribute means its default: an empty string, 0, False. Messages that V6.0 does not
describe (UnprocessedMessage, OutputInfo, TaskCancelOutput) are known from the public facts about
V6.22 only and were not verified on a device.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Handling(StrEnum):
    """What may be done with a pack at the input, and what became of it. Source: §6.4.2, §6.4.3."""

    ALLOWED = "Allowed"
    ALLOWED_FOR_FRIDGE = "AllowedForFridge"
    REJECTED = "Rejected"
    NO_EXPIRY_DATE = "RejectedNoExpiryDate"
    NO_PICKING_INDICATOR = "RejectedNoPickingIndicator"
    NO_BATCH_NUMBER = "RejectedNoBatchNumber"
    NO_SERIAL_NUMBER = "RejectedNoSerialNumber"
    NO_STOCK_LOCATION = "RejectedNoStockLocation"
    INVALID_STOCK_LOCATION = "RejectedInvalidStockLocation"
    COMPLETED = "Completed"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One end of the connection; no capabilities listed means all of them. Source: §6.1.1."""

    id: int
    type: str = "IMS"
    manufacturer: str = ""
    product: str = ""
    version: str = ""
    tenant: str = ""
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PackData:
    """A `Pack` element in any message. `sub_items` 0 is a full pack; sizes in mm. Source: §6.7.2.

    `id` 0 means not stored; `handling` occurs in input messages only, `error` in initiated inputs
    (one of the words of §6.5.3).
    """

    id: int = 0
    index: int = 0
    scan_code: str = ""
    batch: str = ""
    expiry: date | None = None
    sub_items: int = 0
    serial: str = ""
    external_id: str = ""
    delivery: str = ""
    stock_in: date | None = None
    depth: int = 0
    width: int = 0
    height: int = 0
    shape: str = "Cuboid"
    state: str = "Available"
    in_fridge: bool = False
    stock_location: str = ""
    machine_location: str = ""
    output_destination: int = 0
    output_point: int = 0
    box: str = ""
    label_status: str = ""
    handling: str = ""
    handling_text: str = ""
    error: str = ""
    error_text: str = ""


@dataclass(frozen=True, slots=True)
class Article:
    """An `Article` element with its packs; `max_sub_items` units in a full pack, 0 unknown.

    What follows `packs` occurs in master data only (§6.6): it is assigned to packs at their input,
    and `quantity` is the most packs that a delivery may bring, 0 without limit.
    """

    id: str = ""
    name: str = ""
    dosage_form: str = ""
    packaging_unit: str = ""
    max_sub_items: int = 0
    quantity: int = 0
    packs: tuple[PackData, ...] = ()
    requires_fridge: bool = False
    batch: str = ""
    external_id: str = ""
    expiry: date | None = None
    stock_location: str = ""
    machine_location: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A `StockDelivery`: what may be stored under its number. Source: §6.6.3."""

    number: str
    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class StockLocation:
    """A virtual stock location of a machine. Source: §6.12.2."""

    id: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Data for the robot's label printer, opaque to WWKS2. Source: §6.8.1."""

    template: str
    content: str = ""


@dataclass(frozen=True, slots=True)
class Criteria:
    """A filter for packs: `quantity` full ones, or `sub_items` units if not 0. Source: §6.8.1."""

    article: str = ""
    quantity: int = 0
    sub_items: int = 0
    minimum_expiry: date | None = None
    batch: str = ""
    single_batch: bool = False
    external_id: str = ""
    serial: str = ""
    pack_id: int = 0
    stock_location: str = ""
    machine_location: str = ""
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A task, its status and what it moved. Source: §6.9, §6.10. V6.22 forms have no type.

    `type` is `Output` (id of the order) or `StockDelivery` (id is the delivery number).
    """

    id: str
    type: str = "Output"
    status: str = ""
    articles: tuple[Article, ...] = ()
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """Part of a machine. Source: §6.3.2."""

    type: str
    description: str = ""
    state: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class OutputDetails:
    """The `Details` element of output messages. Source: §6.8."""

    priority: str = "Normal"
    destination: int = 0
    point: int = 0
    status: str = ""


@dataclass(frozen=True, slots=True)
class InputDetails:
    """The `Details` element of initiated inputs: the transfer point. Source: §6.5."""

    source: int = 0
    point: int = 0
    status: str = ""


# ---------------------------------------------------------------- messages


@dataclass(frozen=True, slots=True)
class Hello:
    """HelloRequest and HelloResponse. Source: §6.1."""

    id: str
    subscriber: Subscriber


@dataclass(frozen=True, slots=True)
class HelloRequest(Hello):
    """The first message of the pharmacy system on a connection. Source: §6.1.1."""


@dataclass(frozen=True, slots=True)
class HelloResponse(Hello):
    """The machine's answer to it. Source: §6.1.2."""


@dataclass(frozen=True, slots=True)
class Addressed:
    """What every message but Hello has: an id, who sends it and to whom."""

    id: str
    source: int
    destination: int


@dataclass(frozen=True, slots=True)
class KeepAliveRequest(Addressed):
    """Either side asks whether the other is there. Source: §6.2.1."""


@dataclass(frozen=True, slots=True)
class KeepAliveResponse(Addressed):
    """The answer. Source: §6.2.2."""


@dataclass(frozen=True, slots=True)
class StatusRequest(Addressed):
    """Asks whether the machine is ready. Source: §6.3.1."""

    include_details: bool = False


@dataclass(frozen=True, slots=True)
class StatusResponse(Addressed):
    """`Ready` or `NotReady`, of the whole and of its components. Source: §6.3.2."""

    state: str = ""
    text: str = ""
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class InputMessageBase(Addressed):
    """What the three input messages share."""

    new_delivery: bool = False
    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class InputRequest(InputMessageBase):
    """The machine asks whether packs may be stored. Source: §6.4.1."""

    set_picking_indicator: bool = False


@dataclass(frozen=True, slots=True)
class InputResponse(InputMessageBase):
    """The pharmacy system's decision and the values to store. Source: §6.4.2."""


@dataclass(frozen=True, slots=True)
class InputMessage(InputMessageBase):
    """What became of the packs: `Completed` or `Aborted`. Source: §6.4.3."""


@dataclass(frozen=True, slots=True)
class InitiateInputBase(InputMessageBase):
    """What the messages about an input that the pharmacy system starts share."""

    details: InputDetails = InputDetails()


@dataclass(frozen=True, slots=True)
class InitiateInputRequest(InitiateInputBase):
    """Starts the input of packs that lie at a transfer point. Source: §6.5.1."""

    set_picking_indicator: bool = False


@dataclass(frozen=True, slots=True)
class InitiateInputResponse(InitiateInputBase):
    """`Accepted` or `Rejected`. Source: §6.5.2."""

    set_picking_indicator: bool = False


@dataclass(frozen=True, slots=True)
class InitiateInputMessage(InitiateInputBase):
    """The end of it: `Completed` or `Incomplete`, with an error for each pack. Source: §6.5.3."""


@dataclass(frozen=True, slots=True)
class ArticleMasterSetRequest(Addressed):
    """Replaces all articles that may be stored without asking; none resets. Source: §6.6.1."""

    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class StockDeliverySetRequest(Addressed):
    """Adds deliveries that may be stored without asking. Source: §6.6.3."""

    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class SetResponse(Addressed):
    """What the answers to master data share: `Accepted` or `Rejected`."""

    value: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ArticleMasterSetResponse(SetResponse):
    """The answer to articles. Source: §6.6.2."""


@dataclass(frozen=True, slots=True)
class StockDeliverySetResponse(SetResponse):
    """The answer to deliveries. Source: §6.6.4."""


@dataclass(frozen=True, slots=True)
class StockInfoRequest(Addressed):
    """Asks for stock, filtered by criteria. Source: §6.7.1."""

    include_packs: bool = True
    include_article_details: bool = False
    criteria: tuple[Criteria, ...] = ()


@dataclass(frozen=True, slots=True)
class StockInfoResponse(Addressed):
    """The stock that was asked for. Source: §6.7.2."""

    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class StockInfoMessage(Addressed):
    """Packs whose data changed, sent unasked ("stock update"). Source: §6.7.3."""

    articles: tuple[Article, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputRequest(Addressed):
    """An output order; its id is the order's number. Source: §6.8.1."""

    details: OutputDetails = OutputDetails()
    criteria: tuple[Criteria, ...] = ()
    box: str = ""


@dataclass(frozen=True, slots=True)
class OutputResponse(Addressed):
    """`Queued` or `Rejected`. Source: §6.8.2."""

    details: OutputDetails = OutputDetails()
    criteria: tuple[Criteria, ...] = ()
    box: str = ""


@dataclass(frozen=True, slots=True)
class OutputMessage(Addressed):
    """The end of an output: `Completed`, `Incomplete`, `Aborted`; `BoxReleased` is not the end.

    Source: §6.8.3. BoxReleased: public facts about V6.22.
    """

    details: OutputDetails = OutputDetails()
    articles: tuple[Article, ...] = ()
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskMessage(Addressed):
    """What all messages about tasks share."""

    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskInfoRequest(TaskMessage):
    """Asks what became of tasks. Source: §6.9.1."""

    include_details: bool = False


@dataclass(frozen=True, slots=True)
class TaskInfoResponse(TaskMessage):
    """Their status, with packs when details were asked for. Source: §6.9.2."""


@dataclass(frozen=True, slots=True)
class OutputInfoRequest(TaskMessage):
    """As TaskInfoRequest, for outputs only. Source: public facts about V6.22."""

    include_details: bool = False


@dataclass(frozen=True, slots=True)
class OutputInfoResponse(TaskMessage):
    """As TaskInfoResponse, for outputs only. Source: public facts about V6.22."""


@dataclass(frozen=True, slots=True)
class TaskCancelRequest(TaskMessage):
    """Asks to cancel tasks. Source: §6.10.1."""


@dataclass(frozen=True, slots=True)
class TaskCancelResponse(TaskMessage):
    """`Cancelled`, `CancelError` or `Unknown` for each. Source: §6.10.2."""


@dataclass(frozen=True, slots=True)
class TaskCancelOutputRequest(TaskMessage):
    """As TaskCancelRequest, for outputs only. Source: public facts about V6.22."""


@dataclass(frozen=True, slots=True)
class TaskCancelOutputResponse(TaskMessage):
    """As TaskCancelResponse, for outputs only. Source: public facts about V6.22."""


@dataclass(frozen=True, slots=True)
class ConfigurationGetRequest(Addressed):
    """Asks for the machine's configuration. Source: §6.11.1."""


@dataclass(frozen=True, slots=True)
class ConfigurationGetResponse(Addressed):
    """The configuration in the maker's own form. Source: §6.11.2."""

    configuration: str = ""


@dataclass(frozen=True, slots=True)
class StockLocationInfoRequest(Addressed):
    """Asks for the virtual stock locations. Source: §6.12.1."""


@dataclass(frozen=True, slots=True)
class StockLocationInfoResponse(Addressed):
    """The stock locations. Source: §6.12.2."""

    locations: tuple[StockLocation, ...] = ()


@dataclass(frozen=True, slots=True)
class UnprocessedMessage(Addressed):
    """A message could not be processed; `content` is that message as it was sent.

    `reason` is SyntaxError, NotSupported, DataError or TooManyRequests. Source: public facts about
    V6.22.
    """

    reason: str = ""
    text: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class UnknownMessage(Addressed):
    """A message whose `kind` is not one of those above; its content stays in the raw bytes."""

    kind: str = ""


Message = Hello | Addressed
"""Any of the messages above; the two are never made themselves."""
