"""Bodies of the HTTP API for repack runs, traces, returns to stock and opened containers."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field

from dispensed.exchange.repack_log import LogEntry
from dispensed.ledger.containers import ContainerRow
from dispensed.ledger.repack_labels import LabelRow
from dispensed.ledger.repacks import RunRow, StepRow
from dispensed.ledger.stock_returns import ReturnRow
from dispensed.ledger.tracing import LotTrace
from dispensed.model.repacking import DAYS_MAX, UNITS_MAX
from dispensed.services.repack_labels import LABELS_MAX
from dispensed.services.repacking import RunDetail
from dispensed.services.tracing import DispenseTrace
from dispensed.web.requests import ID_MAX
from dispensed.web.schemas import (
    Amount,
    Identifier,
    In,
    MovementOut,
    Out,
    QuantityOut,
    RequestId,
    Text,
)
from dispensed.web.schemas_work import Reason

Units = Annotated[int, Field(ge=1, le=UNITS_MAX)]
RuleName = Annotated[str, Field(min_length=1, max_length=64)]


# ---------------------------------------------------------------- runs


class PlanRunIn(In):
    """A repack run; `latest` shortens the beyond-use date.

    Without `child_item_id`, `target`, `rule` or `child_lot` those of the bulk, of the site and of
    its scheme of lot numbers are taken.
    """

    item_id: Identifier
    lot: Identifier
    location: Identifier
    units: Units
    unit_quantity: Amount
    container: Annotated[str, Field(min_length=1, max_length=128)]
    child_item_id: Identifier | None = None
    child_lot: Identifier | None = None
    target: Identifier | None = None
    rule: RuleName | None = None
    latest: date | None = None
    reason: Text = ""
    request_id: RequestId | None = None


class StepIn(In):
    """A step of a run."""

    reason: Text = ""
    request_id: RequestId | None = None


class CancelIn(In):
    """Why a run is given up; `undo` reverses its movements, for one that was booked but not done.

    Without it the units of a packed run stay as damaged stock.
    """

    reason: Reason
    undo: bool = False
    request_id: RequestId | None = None


class PackedIn(In):
    """What a run gave; bulk = units + waste + samples.

    `waste_movement_id` names a waste that is booked already, as for controlled substances.
    """

    bulk: Amount
    units: Units
    waste: Amount = "0"
    samples: Amount = "0"
    waste_movement_id: Annotated[int, Field(ge=1, le=ID_MAX)] | None = None
    reason: Text = ""
    request_id: RequestId | None = None


class LabelsIn(In):
    """Labels to print; without `copies` what is missing of units + 1 for the log."""

    copies: Annotated[int, Field(ge=1, le=LABELS_MAX)] | None = None
    reason: Text = ""
    request_id: RequestId | None = None


def _amount(milli: int | None, unit: str) -> QuantityOut | None:
    return None if milli is None else QuantityOut.of(milli, unit)


class RunOut(Out):
    """One repack run; what is known only once it is packed is null before."""

    id: int
    item_id: str
    lot: str
    location_id: str
    child_item_id: str
    child_lot: str
    target: str
    per_unit: QuantityOut
    planned_units: int
    container: str
    rule: str
    rule_source: str
    latest: date | None
    state: str
    packed_on: date | None
    use_by: date | None
    bulk: QuantityOut | None
    units: int | None
    waste: QuantityOut | None
    samples: QuantityOut | None
    updated_at: datetime

    @classmethod
    def of(cls, row: RunRow) -> Self:
        """Shape one run."""
        return cls(
            id=row.id,
            item_id=row.item_id,
            lot=row.lot,
            location_id=row.location_id,
            child_item_id=row.child_item_id,
            child_lot=row.child_lot,
            target=row.target,
            per_unit=QuantityOut.of(row.unit_milli, row.unit),
            planned_units=row.planned_units,
            container=row.container,
            rule=row.rule,
            rule_source=row.rule_source,
            latest=row.latest,
            state=row.state,
            packed_on=row.packed_on,
            use_by=row.use_by,
            bulk=_amount(row.bulk_milli, row.unit),
            units=row.units,
            waste=_amount(row.waste_milli, row.unit),
            samples=_amount(row.sample_milli, row.unit),
            updated_at=row.updated_at,
        )


class RunStepOut(Out):
    """Who brought a run into a state, when, and what was said."""

    step: str
    actor: str
    at: datetime
    reason: str

    @classmethod
    def of(cls, row: StepRow) -> Self:
        """Shape one step."""
        return cls(step=row.step, actor=row.actor, at=row.at, reason=row.reason)


class LabelJobOut(Out):
    """One print job; `printed` labels came out for sure."""

    id: int
    copies: int
    printed: int
    proof: str
    actor: str
    reason: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: LabelRow) -> Self:
        """Shape one print job."""
        return cls(
            id=row.id,
            copies=row.copies,
            printed=row.printed,
            proof=row.proof,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )


class RunDetailOut(Out):
    """One run with its steps, movements and print jobs."""

    run: RunOut
    steps: list[RunStepOut]
    movements: list[MovementOut]
    labels: list[LabelJobOut]

    @classmethod
    def of(cls, detail: RunDetail) -> Self:
        """Shape one run."""
        return cls(
            run=RunOut.of(detail.row),
            steps=[RunStepOut.of(row) for row in detail.steps],
            movements=[MovementOut.of(row) for row in detail.movements],
            labels=[LabelJobOut.of(row) for row in detail.labels],
        )


class LogEntryOut(Out):
    """The log of one run, as boards of pharmacy ask for it."""

    run: int
    state: str
    name: str
    strength: str
    form: str
    item_id: str
    ndc: str
    manufacturer: str
    manufacturer_lots: str
    manufacturer_expiry: date | None
    bulk_lot: str
    packed_item_id: str
    packed_ndc: str
    internal_lot: str
    use_by: date | None
    rule: str
    rule_source: str
    unit: str
    quantity_per_unit: str
    units: int | None
    bulk: str
    waste: str
    samples: str
    container: str
    packed_on: date | None
    packed_by: str
    checked_by: str
    checked_at: datetime | None
    released_by: str
    labels_printed: int
    label: str
    label_gs1: str

    @classmethod
    def of(cls, entry: LogEntry) -> Self:
        """Shape one entry."""
        return cls(**asdict(entry))


# ---------------------------------------------------------------- traces


class OriginOut(Out):
    """A lot from which another was made, and the run or return that did it."""

    item_id: str
    lot: str
    kind: str
    ref: str


class PlacedOut(Out):
    """What a place or account has of a lot; negative where it came from."""

    location_id: str
    amount: QuantityOut


class GivenOut(Out):
    """What a patient's side has of a lot, by a dispense or by a removal from a cabinet."""

    dispense_id: int | None
    removal_id: int | None
    order_ref: str
    patient_key: str
    amount: QuantityOut


class ArrivalOut(Out):
    """A movement that brought a lot in."""

    movement_id: int
    kind: str
    amount: QuantityOut
    occurred_at: datetime
    receipt_id: int | None
    order_ref: str


class LotTraceOut(Out):
    """One lot of a trace."""

    item_id: str
    name: str
    lot: str
    expiry: date | None
    state: str
    origins: list[OriginOut]
    places: list[PlacedOut]
    accounts: list[PlacedOut]
    given: list[GivenOut]
    arrivals: list[ArrivalOut]

    @classmethod
    def of(cls, row: LotTrace) -> Self:
        """Shape one lot."""

        def placed(pairs: tuple[tuple[str, int], ...]) -> list[PlacedOut]:
            return [
                PlacedOut(location_id=at, amount=QuantityOut.of(milli, row.unit))
                for at, milli in pairs
            ]

        return cls(
            item_id=row.key.item_id,
            name=row.name,
            lot=row.key.lot,
            expiry=row.expiry,
            state=row.state,
            origins=[
                OriginOut(
                    item_id=each.parent.item_id,
                    lot=each.parent.lot,
                    kind=each.kind,
                    ref=each.ref,
                )
                for each in row.origins
            ],
            places=placed(row.places),
            accounts=placed(row.accounts),
            given=[
                GivenOut(
                    dispense_id=each.dispense_id,
                    removal_id=each.removal_id,
                    order_ref=each.order_ref,
                    patient_key=each.patient_key,
                    amount=QuantityOut.of(each.milli, row.unit),
                )
                for each in row.given
            ],
            arrivals=[
                ArrivalOut(
                    movement_id=each.movement_id,
                    kind=each.kind,
                    amount=QuantityOut.of(each.milli, row.unit),
                    occurred_at=each.occurred_at,
                    receipt_id=each.receipt_id,
                    order_ref=each.order_ref,
                )
                for each in row.arrivals
            ],
        )


class DispensedLotOut(Out):
    """One lot of a dispense and every lot it came from; `lots` begins with the lot itself."""

    item_id: str
    lot: str
    amount: QuantityOut
    lots: list[LotTraceOut]


class DispenseTraceOut(Out):
    """One dispense and where all of it came from."""

    dispense_id: int
    order_ref: str
    patient_key: str
    state: str
    parts: list[DispensedLotOut]

    @classmethod
    def of(cls, trace: DispenseTrace) -> Self:
        """Shape one trace."""
        return cls(
            dispense_id=trace.row.id,
            order_ref=trace.row.order_ref,
            patient_key=trace.row.patient_key,
            state=trace.row.state,
            parts=[
                DispensedLotOut(
                    item_id=part.key.item_id,
                    lot=part.key.lot,
                    amount=QuantityOut.of(part.milli, trace.row.unit),
                    lots=[LotTraceOut.of(row) for row in part.lots],
                )
                for part in trace.parts
            ],
        )


# ---------------------------------------------------------------- what comes back, what is opened


class ReturnIn(In):
    """A fill that nobody picked up; `use_by` is the date on the vial when it has one.

    Without `lot` the only one of the dispense, without `quantity` all of it comes back. `sealed`
    says that it is the manufacturer's unopened package.
    """

    dispense_id: Annotated[int, Field(ge=1, le=ID_MAX)]
    target: Identifier
    reason: Reason
    lot: Identifier | None = None
    quantity: Amount | None = None
    use_by: date | None = None
    sealed: bool = False
    request_id: RequestId | None = None


class ReturnOut(Out):
    """One return to stock; `to_lot` is the lot under which it lies at `target`."""

    id: int
    dispense_id: int
    item_id: str
    name: str
    lot: str
    to_lot: str
    use_by: date | None
    rule: str
    amount: QuantityOut
    target: str
    movement_id: int
    actor: str
    reason: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: ReturnRow) -> Self:
        """Shape one return."""
        return cls(
            id=row.id,
            dispense_id=row.dispense_id,
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            to_lot=row.to_lot,
            use_by=row.use_by,
            rule=row.rule,
            amount=QuantityOut.of(row.milli, row.unit),
            target=row.target,
            movement_id=row.movement_id,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )


class OpenContainerIn(In):
    """A container as opened; give either `rule` or the `days` of the product's label."""

    item_id: Identifier
    lot: Identifier
    location: Identifier
    rule: RuleName | None = None
    days: Annotated[int, Field(ge=1, le=DAYS_MAX)] | None = None
    opened_on: date | None = None
    left: Amount | None = None
    reason: Text = ""
    request_id: RequestId | None = None


class LeftIn(In):
    """How much is left in a container."""

    left: Amount


class DiscardIn(In):
    """Why a container is thrown away, and how much of it is waste."""

    wasted: Amount
    reason: Reason


class ContainerOut(Out):
    """One opened container; `left` is null while nobody keeps count."""

    id: int
    item_id: str
    name: str
    lot: str
    location_id: str
    opened_at: datetime
    opened_on: date
    rule: str
    rule_source: str
    use_by: date
    content: QuantityOut
    left: QuantityOut | None
    state: str
    actor: str
    closed_at: datetime | None
    closed_by: str | None
    movement_id: int | None
    flagged_at: datetime | None

    @classmethod
    def of(cls, row: ContainerRow) -> Self:
        """Shape one container."""
        return cls(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            lot=row.lot,
            location_id=row.location_id,
            opened_at=row.opened_at,
            opened_on=row.opened_on,
            rule=row.rule,
            rule_source=row.rule_source,
            use_by=row.use_by,
            content=QuantityOut.of(row.content_milli, row.unit),
            left=_amount(row.left_milli, row.unit),
            state=row.state,
            actor=row.actor,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            movement_id=row.movement_id,
            flagged_at=row.flagged_at,
        )
