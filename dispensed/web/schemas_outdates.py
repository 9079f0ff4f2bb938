"""Bodies of the HTTP API for expiry: pull tasks, risk, and batches that leave."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field

from dispensed.ledger.batches import BatchLine, BatchRow
from dispensed.ledger.outdates import OutdateTask
from dispensed.model.outdating import BatchKind
from dispensed.services.batching import TEXT_MAX, Batch
from dispensed.services.expiring import DAYS_MAX, RiskRow
from dispensed.services.places import OUTDATE
from dispensed.web.schemas import Amount, Identifier, In, Out, QuantityOut, RequestId, Text
from dispensed.web.schemas_work import Reason

Line = Annotated[str, Field(max_length=TEXT_MAX)]
CENTS_MAX = 10**12


class PlanIn(In):
    """Put on the pull list what has fewer than `days` days left; null is the site's setting."""

    days: int | None = Field(default=None, ge=0, le=DAYS_MAX)
    reason: Text = ""


class PlannedOut(Out):
    """The numbers of the new pull tasks."""

    tasks: list[int]


class PulledIn(In):
    """What was found when pulling; `from_tray` when a machine put it out into the tray."""

    counted: Amount
    reason: Text = ""
    target: Identifier = OUTDATE
    from_tray: bool = False
    request_id: RequestId | None = None


class OutdateTaskOut(Out):
    """One pull task; `book` is what the book held when it was made."""

    id: int
    item_id: str
    name: str
    schedule: str
    lot: str
    expiry: date | None
    location_id: str
    book: QuantityOut
    counted: QuantityOut | None
    why: str
    state: str
    movement_id: int | None
    actor: str
    done_by: str | None
    done_at: datetime | None
    reason: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: OutdateTask) -> Self:
        """Shape one task."""
        counted = row.counted_milli
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            schedule=row.schedule,
            lot=row.lot,
            expiry=row.expiry,
            location_id=row.location_id,
            book=QuantityOut.of(row.milli, row.unit),
            counted=None if counted is None else QuantityOut.of(counted, row.unit),
            why=row.why,
            state=row.state,
            movement_id=row.movement_id,
            actor=row.actor,
            done_by=row.done_by,
            done_at=row.done_at,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )


class RiskOut(Out):
    """One lot of which something will be left when it expires.

    `daily` is the demand of the item as an exact fraction of its unit, such as `3/2`.
    """

    item_id: str
    name: str
    lot: str
    expiry: date
    on_hand: QuantityOut
    at_risk: QuantityOut
    daily: str

    @classmethod
    def of(cls, row: RiskRow) -> Self:
        """Shape one row."""
        return cls(
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            expiry=row.expiry,
            on_hand=QuantityOut.of(row.milli, row.unit),
            at_risk=QuantityOut.of(row.at_risk_milli, row.unit),
            daily=str(row.daily / 1000),
        )


# ---------------------------------------------------------------- batches


class BatchIn(In):
    """A batch to open; `reference` is a number of the one who gets it."""

    kind: BatchKind
    partner: Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
    reference: Line = ""
    reason: Text = ""


class PackIn(In):
    """Stock to put into a batch."""

    item_id: Identifier
    lot: Identifier
    quantity: Amount
    source: Identifier = OUTDATE
    reason: Text = ""
    request_id: RequestId | None = None


class SealIn(In):
    """The number of the DEA form, where controlled lines need one."""

    dea_reference: Line = ""


class LeaveIn(In):
    """By which method a batch was destroyed; empty for a shipment."""

    method: Line = ""


class CreditIn(In):
    """The credit that came, in minor units of the currency."""

    cents: int = Field(ge=0, le=CENTS_MAX)
    reference: Line = ""


class UnpackIn(In):
    """Why a line is taken out again."""

    reason: Reason


class BatchOut(Out):
    """One batch."""

    id: int
    kind: str
    partner: str
    reference: str
    state: str
    location_id: str
    dea_form: str
    dea_reference: str
    method: str
    sealed_by: str | None
    sealed_at: datetime | None
    first_person: str | None
    left_by: str | None
    left_at: datetime | None
    credit_cents: int | None
    credit_reference: str
    actor: str
    reason: str
    opened_at: datetime

    @classmethod
    def of(cls, row: BatchRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            partner=row.partner,
            reference=row.reference,
            state=row.state,
            location_id=row.location_id,
            dea_form=row.dea_form,
            dea_reference=row.dea_reference,
            method=row.method,
            sealed_by=row.sealed_by,
            sealed_at=row.sealed_at,
            first_person=row.first_person,
            left_by=row.left_by,
            left_at=row.left_at,
            credit_cents=row.credit_cents,
            credit_reference=row.credit_reference,
            actor=row.actor,
            reason=row.reason,
            opened_at=row.opened_at,
        )


class BatchLineOut(Out):
    """One lot in a batch, with the movements that put it in and took it out."""

    id: int
    item_id: str
    name: str
    schedule: str
    lot: str
    expiry: date | None
    source: str
    amount: QuantityOut
    movement_id: int
    left_movement_id: int | None

    @classmethod
    def of(cls, row: BatchLine) -> Self:
        """Shape one line."""
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            schedule=row.schedule,
            lot=row.lot,
            expiry=row.expiry,
            source=row.source,
            amount=QuantityOut.of(row.milli, row.unit),
            movement_id=row.movement_id,
            left_movement_id=row.left_movement_id,
        )


class BatchDetailOut(Out):
    """One batch with its lines, the form it needs, and how many persons must say that it left."""

    batch: BatchOut
    lines: list[BatchLineOut]
    form_needed: str
    persons_needed: int

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Shape one batch with all that belongs to it."""
        return cls(
            batch=BatchOut.of(batch.row),
            lines=[BatchLineOut.of(line) for line in batch.lines],
            form_needed=batch.form_needed,
            persons_needed=batch.persons_needed,
        )
