"""Bodies of the HTTP API for controlled substances: custody, inventories, forms, losses."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field

from dispensed.ledger.inventories import InventoryRow, LineRow
from dispensed.ledger.losses import LossRow
from dispensed.ledger.order_forms import FormRow
from dispensed.ledger.removals import RemovalRow
from dispensed.ledger.wastes import WasteRow
from dispensed.model.controlled import (
    CountMethod,
    InventoryKind,
    LossCause,
    Moment,
)
from dispensed.services.custody import RemovalDetail
from dispensed.web.schemas import Amount, Identifier, In, Out, QuantityOut, RequestId

Reason = Annotated[str, Field(min_length=1, max_length=256)]
OptionalReason = Annotated[str, Field(max_length=256)]
Detail = Annotated[str, Field(min_length=1, max_length=2000)]
LINES_MAX = 999


# ---------------------------------------------------------------- custody


class RemovalIn(In):
    """What a person takes for one patient; `patient_key` is opaque, never a name.

    Without `order_ref` it is an override and needs a `reason`.
    """

    item_id: Identifier
    lot: Identifier
    location: Identifier
    quantity: Amount
    patient_key: Identifier
    order_ref: Identifier | None = None
    reason: OptionalReason = ""
    request_id: RequestId | None = None


class GivenIn(In):
    """How much of a removal the patient was given."""

    quantity: Amount
    request_id: RequestId | None = None


class ReturnedIn(In):
    """How much of a removal came back, and where to."""

    quantity: Amount
    location: Identifier
    request_id: RequestId | None = None


class RemovalOut(Out):
    """One removal; it is closed when given + returned + wasted = issued."""

    id: int
    item_id: str
    name: str
    schedule: str
    lot: str
    location_id: str
    issued: QuantityOut
    given: QuantityOut
    returned: QuantityOut
    wasted: QuantityOut
    remaining: QuantityOut
    patient_key: str
    order_ref: str | None
    override_reason: str
    actor: str
    removed_at: datetime
    closed_at: datetime | None
    null_transaction: bool
    age_minutes: int | None

    @classmethod
    def of(cls, row: RemovalRow, now: datetime) -> Self:
        """Shape one row; an open one has an age."""
        age = (now - row.removed_at).total_seconds() // 60
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            schedule=row.schedule,
            lot=row.lot,
            location_id=row.location_id,
            issued=QuantityOut.of(row.milli, row.unit),
            given=QuantityOut.of(row.given, row.unit),
            returned=QuantityOut.of(row.returned, row.unit),
            wasted=QuantityOut.of(row.wasted, row.unit),
            remaining=QuantityOut.of(row.remaining, row.unit),
            patient_key=row.patient_key,
            order_ref=row.order_ref,
            override_reason=row.override_reason,
            actor=row.actor,
            removed_at=row.removed_at,
            closed_at=row.closed_at,
            null_transaction=row.custody.is_null,
            age_minutes=int(age) if row.closed_at is None else None,
        )


class WasteIn(In):
    """A waste of a removal, or of a lot at a place."""

    quantity: Amount
    reason: Reason
    removal_id: int | None = Field(default=None, ge=1)
    item_id: Identifier | None = None
    lot: Identifier | None = None
    location: Identifier | None = None
    request_id: RequestId | None = None


class WasteOut(Out):
    """One stated waste; `state` is pending, posted, or expired without a witness."""

    id: int
    state: str
    item_id: str
    name: str
    schedule: str
    lot: str
    location_id: str
    amount: QuantityOut
    reason: str
    removal_id: int | None
    stated_by: str
    stated_at: datetime
    witness: str | None
    witnessed_at: datetime | None
    movement_id: int | None

    @classmethod
    def of(cls, row: WasteRow, now: datetime, limit_s: int) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            state=row.state(now, limit_s),
            item_id=row.item_id,
            name=row.name,
            schedule=row.schedule,
            lot=row.lot,
            location_id=row.location_id,
            amount=QuantityOut.of(row.milli, row.unit),
            reason=row.reason,
            removal_id=row.removal_id,
            stated_by=row.stated_by,
            stated_at=row.stated_at,
            witness=row.witness,
            witnessed_at=row.witnessed_at,
            movement_id=row.movement_id,
        )


class StepOut(Out):
    """One part of what became of a removal."""

    kind: str
    amount: QuantityOut
    movement_id: int
    actor: str
    recorded_at: datetime


class RemovalDetailOut(Out):
    """One removal with its steps and the wastes stated of it."""

    removal: RemovalOut
    steps: list[StepOut]
    wastes: list[WasteOut]

    @classmethod
    def of(cls, detail: RemovalDetail, now: datetime, limit_s: int) -> Self:
        """Shape one removal with all that belongs to it."""
        return cls(
            removal=RemovalOut.of(detail.row, now),
            steps=[
                StepOut(
                    kind=step.kind,
                    amount=QuantityOut.of(step.milli, detail.row.unit),
                    movement_id=step.movement_id,
                    actor=step.actor,
                    recorded_at=step.recorded_at,
                )
                for step in detail.steps
            ],
            wastes=[WasteOut.of(row, now, limit_s) for row in detail.wastes],
        )


# ---------------------------------------------------------------- inventories


class InventoryIn(In):
    """An inventory as of the opening or the close of business on a date."""

    kind: InventoryKind
    on_date: date
    moment: Moment


class CountedIn(In):
    """What a person found; `container` is what the largest opened container holds when full."""

    item_id: Identifier
    lot: Identifier
    location: Identifier
    quantity: Amount
    method: CountMethod = CountMethod.EXACT
    container: Amount | None = None


class InventoryLineOut(Out):
    """One lot at one place; book and variance are null until all have signed."""

    item_id: str
    name: str
    strength: str
    form: str
    schedule: str
    lot: str
    location_id: str
    counted: QuantityOut
    method: str
    book: QuantityOut | None
    variance: QuantityOut | None
    actor: str
    counted_at: datetime

    @classmethod
    def of(cls, row: LineRow) -> Self:
        """Shape one row."""
        book, variance = row.book_milli, row.variance_milli
        return cls(
            item_id=row.item_id,
            name=row.name,
            strength=row.strength,
            form=row.form,
            schedule=row.schedule,
            lot=row.lot,
            location_id=row.location_id,
            counted=QuantityOut.of(row.milli, row.unit),
            method=row.method,
            book=None if book is None else QuantityOut.of(book, row.unit),
            variance=None if variance is None else QuantityOut.of(variance, row.unit),
            actor=row.actor,
            counted_at=row.counted_at,
        )


class SignatureOut(Out):
    """Who signed, and when."""

    person: str
    signed_at: datetime


class InventoryOut(Out):
    """One inventory; `state` is counting, signed (not by all), or complete."""

    id: int
    kind: str
    on_date: date
    moment: str
    state: str
    signatures_needed: int
    signatures: list[SignatureOut]
    lines: list[InventoryLineOut]
    next_due: date
    actor: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: InventoryRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            on_date=row.on_date,
            moment=row.moment,
            state=row.state,
            signatures_needed=row.signatures_needed,
            signatures=[
                SignatureOut(person=each.person, signed_at=each.signed_at)
                for each in row.signatures
            ],
            lines=[InventoryLineOut.of(line) for line in row.lines],
            next_due=row.next_due,
            actor=row.actor,
            recorded_at=row.recorded_at,
        )


class DueOut(Out):
    """The last day for the next inventory; null when an initial one is to be taken."""

    next_due: date | None


# ---------------------------------------------------------------- order forms


class OrderLineIn(In):
    """One line: so many packages, each with so much."""

    line: int = Field(ge=1, le=LINES_MAX)
    item_id: Identifier
    packages: int = Field(ge=1, le=100_000)
    package: Amount


class OrderFormIn(In):
    """An order form of schedule II: Form 222 or electronic order."""

    number: str = Field(min_length=1, max_length=40)
    supplier: str = Field(min_length=1, max_length=128)
    ordered_on: date
    lines: list[OrderLineIn] = Field(min_length=1, max_length=LINES_MAX)


class OrderLineOut(Out):
    """One line with what came on it."""

    line: int
    item_id: str
    name: str
    packages: int
    ordered: QuantityOut
    received: QuantityOut
    last_received_on: date | None


class OrderFormOut(Out):
    """One order form; a supplier may fill it through `valid_until`."""

    number: str
    kind: str
    supplier: str
    ordered_on: date
    valid_until: date
    actor: str
    lines: list[OrderLineOut]

    @classmethod
    def of(cls, row: FormRow) -> Self:
        """Shape one row."""
        return cls(
            number=row.number,
            kind=row.kind,
            supplier=row.supplier,
            ordered_on=row.ordered_on,
            valid_until=row.valid_until,
            actor=row.actor,
            lines=[
                OrderLineOut(
                    line=line.line,
                    item_id=line.item_id,
                    name=line.name,
                    packages=line.packages,
                    ordered=QuantityOut.of(line.ordered_milli, line.unit),
                    received=QuantityOut.of(line.received_milli, line.unit),
                    last_received_on=line.last_received_on,
                )
                for line in row.lines
            ],
        )


# ---------------------------------------------------------------- losses


class LostIn(In):
    """So much of one lot is missing."""

    item_id: Identifier
    lot: Identifier
    quantity: Amount


class LossIn(In):
    """A theft or loss: of a discrepancy, or of the lots named; discovered now unless told."""

    cause: LossCause
    detail: Detail
    lost: list[LostIn] = Field(default=[], max_length=LINES_MAX)
    discrepancy_id: int | None = Field(default=None, ge=1)
    discovered_at: AwareDatetime | None = None


class ReferenceIn(In):
    """Under which reference the DEA was told."""

    reference: Reason


class LossCloseIn(In):
    """How a case ended."""

    outcome: Literal["reported", "not_a_loss"]
    reason: Reason


class LossLineOut(Out):
    """One lot that is missing."""

    item_id: str
    name: str
    lot: str
    amount: QuantityOut


class LossOut(Out):
    """One case; `state` is open, notified, reported or closed."""

    id: int
    state: str
    discrepancy_id: int | None
    cause: str
    detail: str
    discovered_at: datetime
    notice_due: date
    form_due: date
    notified_at: datetime | None
    notice_ref: str
    reported_at: datetime | None
    report_ref: str
    closed_at: datetime | None
    outcome: str
    reason: str
    actor: str
    lines: list[LossLineOut]

    @classmethod
    def of(cls, row: LossRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            state=row.state,
            discrepancy_id=row.discrepancy_id,
            cause=row.cause,
            detail=row.detail,
            discovered_at=row.discovered_at,
            notice_due=row.notice_due,
            form_due=row.form_due,
            notified_at=row.notified_at,
            notice_ref=row.notice_ref,
            reported_at=row.reported_at,
            report_ref=row.report_ref,
            closed_at=row.closed_at,
            outcome=row.outcome,
            reason=row.reason,
            actor=row.actor,
            lines=[
                LossLineOut(
                    item_id=line.item_id,
                    name=line.name,
                    lot=line.lot,
                    amount=QuantityOut.of(line.milli, line.unit),
                )
                for line in row.lines
            ],
        )
