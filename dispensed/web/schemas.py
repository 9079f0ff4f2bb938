"""Bodies of the HTTP API: what is sent in (`...In`) and what comes back (`...Out`).

A quantity goes in as plain decimal text and comes out as text with its unit and as an integer of
thousandths. Times are UTC, expiry dates the last day of use.
"""

from datetime import date, datetime
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from dispensed.ledger.as_of import AsOfRow
from dispensed.ledger.read import LotRow, MovementRow, StockRow
from dispensed.ledger.receipts import ReceiptRow
from dispensed.model.catalog import ID_LENGTH_MAX, Item, Location, Schedule, Storage
from dispensed.model.planning import PolicyKind, ReorderPolicy
from dispensed.model.quantity import Quantity, Unit, format_milli

T = TypeVar("T")
REQUEST_ID_MAX = 128
Text = Annotated[str, Field(max_length=256)]
Identifier = Annotated[str, Field(min_length=1, max_length=ID_LENGTH_MAX)]
Amount = Annotated[str, Field(max_length=32, examples=["30", "12.5"])]
RequestId = Annotated[str, Field(min_length=1, max_length=REQUEST_ID_MAX)]


class In(BaseModel):
    """A body that is sent in; a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """A body that comes back."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Out, Generic[T]):
    """Rows of a list; `next_after` is the `after` of the next page, null at the end."""

    rows: list[T]
    next_after: int | str | None = None


class QuantityOut(Out):
    """An amount; differences may be negative."""

    quantity: str
    unit: str
    milli: int

    @classmethod
    def of(cls, milli: int, unit: str) -> Self:
        """Write thousandths of a unit."""
        return cls(quantity=format_milli(milli), unit=unit, milli=milli)


class Problem(Out):
    """Every refusal and failure."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    next: str


# ---------------------------------------------------------------- catalogue


class PolicyIn(In):
    """When and up to what level an item is ordered; levels in the item's unit."""

    kind: PolicyKind
    minimum: Amount
    maximum: Amount
    minimum_packs: int = Field(default=1, ge=1, le=10_000)


class ItemIn(In):
    """An item to add or change; piece weights in micrograms."""

    item_id: Identifier
    name: Text
    strength: Text = ""
    form: Text = ""
    labeler: Text = ""
    unit: Unit
    pack_quantity: Amount
    gtin: str | None = Field(default=None, max_length=14)
    ndc: str | None = Field(default=None, max_length=16)
    schedule: Schedule = Schedule.NONE
    storage: Storage = Storage.ROOM
    piece_weight_ug: int | None = None
    piece_weight_sd_ug: int | None = None
    hazardous: bool = False
    high_alert: bool = False
    policy: PolicyIn | None = None

    def item(self) -> Item:
        """Return the item; raises Invalid when it contradicts itself."""
        values = self.model_dump(exclude={"pack_quantity", "policy"})
        return Item(**values, pack_milli=Quantity.parse(self.pack_quantity, self.unit).milli)

    def reorder_policy(self) -> ReorderPolicy | None:
        """Return the policy of the item, if one is given."""
        if self.policy is None:
            return None
        return ReorderPolicy(
            kind=self.policy.kind,
            min_milli=Quantity.parse(self.policy.minimum, self.unit).milli,
            max_milli=Quantity.parse(self.policy.maximum, self.unit).milli,
            pack_milli=Quantity.parse(self.pack_quantity, self.unit).milli,
            minimum_packs=self.policy.minimum_packs,
        )


class ItemOut(Out):
    """One item of the catalogue."""

    item_id: str
    name: str
    strength: str
    form: str
    labeler: str
    unit: str
    pack: QuantityOut
    gtin: str | None
    ndc: str | None
    schedule: str
    storage: str
    piece_weight_ug: int | None
    piece_weight_sd_ug: int | None
    hazardous: bool
    high_alert: bool

    @classmethod
    def of(cls, item: Item) -> Self:
        """Shape one item."""
        return cls(
            item_id=item.item_id,
            name=item.name,
            strength=item.strength,
            form=item.form,
            labeler=item.labeler,
            unit=item.unit,
            pack=QuantityOut.of(item.pack_milli, item.unit),
            gtin=item.gtin,
            ndc=item.ndc,
            schedule=item.schedule,
            storage=item.storage,
            piece_weight_ug=item.piece_weight_ug,
            piece_weight_sd_ug=item.piece_weight_sd_ug,
            hazardous=item.hazardous,
            high_alert=item.high_alert,
        )


class ImportedOut(Out):
    """How many items a formulary brought."""

    items: int


# ---------------------------------------------------------------- stock


class StockOut(Out):
    """Stock of one lot at one place; available = on hand - held - blocked."""

    item_id: str
    name: str
    strength: str
    schedule: str
    lot: str
    expiry: date | None
    lot_state: str
    location_id: str
    on_hand: QuantityOut
    held: QuantityOut
    blocked: QuantityOut
    available: QuantityOut

    @classmethod
    def of(cls, row: StockRow) -> Self:
        """Shape one row."""
        return cls(
            item_id=row.item_id,
            name=row.name,
            strength=row.strength,
            schedule=row.schedule,
            lot=row.lot,
            expiry=row.expiry,
            lot_state=row.lot_state,
            location_id=row.location_id,
            on_hand=QuantityOut.of(row.on_hand, row.unit),
            held=QuantityOut.of(row.held, row.unit),
            blocked=QuantityOut.of(row.blocked, row.unit),
            available=QuantityOut.of(row.available, row.unit),
        )


class StockAsOfOut(Out):
    """What lay of one lot at one place at an instant; below zero while facts are known in part."""

    item_id: str
    name: str
    strength: str
    schedule: str
    lot: str
    expiry: date | None
    location_id: str
    on_hand: QuantityOut

    @classmethod
    def of(cls, row: AsOfRow) -> Self:
        """Shape one row."""
        return cls(
            item_id=row.item_id,
            name=row.name,
            strength=row.strength,
            schedule=row.schedule,
            lot=row.lot,
            expiry=row.expiry,
            location_id=row.location_id,
            on_hand=QuantityOut.of(row.milli, row.unit),
        )


class LotOut(Out):
    """One lot with what is on hand of it at all places."""

    item_id: str
    name: str
    lot: str
    expiry: date | None
    expiry_source: str
    expired: bool
    usable: bool
    state: str
    on_hand: QuantityOut

    @classmethod
    def of(cls, row: LotRow) -> Self:
        """Shape one row."""
        return cls(
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            expiry=row.expiry,
            expiry_source=row.expiry_source,
            expired=row.expired,
            usable=row.usable,
            state=row.state,
            on_hand=QuantityOut.of(row.on_hand, row.unit),
        )


class LotStateIn(In):
    """A person's decision about a lot."""

    state: Literal["quarantine", "released", "hold", "damaged"]
    reason: Text


class MovementOut(Out):
    """One line of the journal."""

    id: int
    kind: str
    item_id: str
    name: str
    lot: str
    source: str
    target: str
    amount: QuantityOut
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    reason: str
    request_id: str
    dispense_id: int | None
    inbox_id: int | None
    reverses: int | None
    hash: str

    @classmethod
    def of(cls, row: MovementRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            source=row.source,
            target=row.target,
            amount=QuantityOut.of(row.milli, row.unit),
            occurred_at=row.occurred_at,
            recorded_at=row.recorded_at,
            actor=row.actor,
            reason=row.reason,
            request_id=row.request_id,
            dispense_id=row.dispense_id,
            inbox_id=row.inbox_id,
            reverses=row.reverses,
            hash=row.hash,
        )


class LocationIn(In):
    """A shelf or bin."""

    location_id: Identifier


class LocationOut(Out):
    """A place of the pharmacy or an external account."""

    location_id: str
    kind: str
    parent: str | None
    device: str | None

    @classmethod
    def of(cls, place: Location) -> Self:
        """Shape one place."""
        return cls(
            location_id=place.location_id,
            kind=place.kind,
            parent=place.parent,
            device=place.device,
        )


class TransferIn(In):
    """A move of stock by a person."""

    item_id: Identifier
    lot: Identifier
    source: Identifier
    target: Identifier
    quantity: Amount
    request_id: RequestId | None = None
    reason: Text = ""


class MovedOut(Out):
    """The movement that was written."""

    movement_id: int


class ReceiptIn(In):
    """What arrived: a GS1 scan, or item or NDC with lot and expiry typed from the package."""

    quantity: Amount
    scan: str | None = Field(default=None, max_length=512)
    item_id: Identifier | None = None
    ndc: str | None = Field(default=None, max_length=16)
    lot: Identifier | None = None
    expiry: date | None = None
    location: Identifier = "receiving"
    reference: Text = ""
    opening: bool = False
    order_form: str | None = Field(default=None, max_length=40)
    order_line: int | None = Field(default=None, ge=1)
    request_id: RequestId | None = None


class ReceiptOut(Out):
    """One receipt; `repeated` when the same request was answered before."""

    id: int
    item_id: str
    name: str
    lot: str
    expiry: date | None
    amount: QuantityOut
    location_id: str
    movement_id: int
    reference: str
    actor: str
    recorded_at: datetime
    repeated: bool

    @classmethod
    def of(cls, row: ReceiptRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            expiry=row.expiry,
            amount=QuantityOut.of(row.milli, row.unit),
            location_id=row.location_id,
            movement_id=row.movement_id,
            reference=row.order_ref,
            actor=row.actor,
            recorded_at=row.recorded_at,
            repeated=row.repeated,
        )
