"""Bodies of the HTTP API for returns to stock and opened containers."""

from datetime import date, datetime
from typing import Annotated, Self

from pydantic import Field

from dispensed.ledger.containers import ContainerRow
from dispensed.ledger.stock_returns import ReturnRow
from dispensed.model.repacking import DAYS_MAX
from dispensed.web.requests import ID_MAX
from dispensed.web.schemas import Amount, Identifier, In, Out, QuantityOut, RequestId, Text
from dispensed.web.schemas_repack import RuleName
from dispensed.web.schemas_work import Reason


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
            left=None if row.left_milli is None else QuantityOut.of(row.left_milli, row.unit),
            state=row.state,
            actor=row.actor,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            movement_id=row.movement_id,
            flagged_at=row.flagged_at,
        )
