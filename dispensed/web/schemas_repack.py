"""Bodies of the HTTP API for repack runs and their log."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field

from dispensed.exchange.repack_log import LogEntry
from dispensed.ledger.repack_labels import LabelRow
from dispensed.ledger.repacks import RunRow, StepRow
from dispensed.model.repacking import UNITS_MAX
from dispensed.services.repack_labels import LABELS_MAX
from dispensed.services.repacking import RunDetail
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
