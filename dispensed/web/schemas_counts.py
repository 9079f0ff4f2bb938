"""Bodies of the HTTP API for counts and for discrepancies."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field

from dispensed.ledger.cases import CaseRow, CauseRow, ReasonRow
from dispensed.ledger.counting import Result, RoundRow, TaskRow
from dispensed.ledger.touches import Agreement, Touch
from dispensed.model.counting import CountKind
from dispensed.services.count_planning import Due
from dispensed.services.counting import CountDetail
from dispensed.services.discrepancies import CaseDetail
from dispensed.web.schemas import (
    Amount,
    Identifier,
    In,
    MovementOut,
    Out,
    QuantityOut,
    RequestId,
)
from dispensed.web.schemas_work import Reason

LINES_MAX = 5000
MINOR_MAX = 10**12

# ---------------------------------------------------------------- counts


class CountTaskIn(In):
    """A count to be made: of a lot, of all lots of an item, or of all that lies at a place."""

    kind: CountKind
    location_id: Identifier
    item_id: Identifier | None = None
    lot: Identifier | None = None
    blind: bool = False
    owner: Annotated[str, Field(max_length=64)] = ""
    due_at: AwareDatetime | None = None
    reason: Annotated[str, Field(max_length=256)] = ""
    request_id: RequestId | None = None


class CountedIn(In):
    """A counted quantity of one lot; item and lot may be left out where the task names them."""

    quantity: Amount
    item_id: Identifier | None = None
    lot: Identifier | None = None


class SubmitIn(In):
    """All that was counted; what is not named was not there.

    `position` is the last movement before the count, for who knows it.
    """

    lines: Annotated[list[CountedIn], Field(max_length=LINES_MAX)]
    source: Literal["hand", "counter"] = "hand"
    device: Annotated[str, Field(max_length=64)] = ""
    counted_at: AwareDatetime | None = None
    position: Annotated[int | None, Field(ge=0)] = None
    reason: Annotated[str, Field(max_length=256)] = ""
    request_id: RequestId | None = None


class WeighLotIn(In):
    """Which lot lies on which scale; the default one when null."""

    item_id: Identifier | None = None
    lot: Identifier | None = None
    scale: Identifier | None = None
    reason: Annotated[str, Field(max_length=256)] = ""
    request_id: RequestId | None = None


class SnapshotIn(In):
    """Have the device of the place say what it holds."""

    reason: Annotated[str, Field(max_length=256)] = ""
    request_id: RequestId | None = None


class OwnerIn(In):
    """Who is to do it, and by when."""

    owner: Annotated[str, Field(max_length=64)]
    due_at: AwareDatetime | None = None


class CostIn(In):
    """What a pack costs, in minor units of the site's money."""

    pack_minor: Annotated[int, Field(ge=1, le=MINOR_MAX)]


class CostOut(Out):
    """What a pack costs."""

    item_id: str
    pack_minor: int


class CountTaskOut(Out):
    """One count task; it tells nothing of the book."""

    id: int
    kind: str
    blind: bool
    item_id: str | None
    lot: str | None
    location_id: str
    state: str
    outcome: str
    owner: str
    due_at: datetime
    reason: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, row: TaskRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            blind=row.blind,
            item_id=row.item_id,
            lot=row.lot,
            location_id=row.location_id,
            state=row.state,
            outcome=row.outcome,
            owner=row.owner,
            due_at=row.due_at,
            reason=row.reason,
            actor=row.actor,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
        )


class CountResultOut(Out):
    """What was counted of one lot, beside the book at that instant."""

    item_id: str
    lot: str
    counted: QuantityOut
    uncertainty: QuantityOut
    book: QuantityOut
    variance: QuantityOut

    @classmethod
    def of(cls, row: Result) -> Self:
        """Shape one row."""
        return cls(
            item_id=row.item_id,
            lot=row.lot,
            counted=QuantityOut.of(row.counted, row.unit),
            uncertainty=QuantityOut.of(row.uncertainty, row.unit),
            book=QuantityOut.of(row.book, row.unit),
            variance=QuantityOut.of(row.variance, row.unit),
        )


class CountRoundOut(Out):
    """One person's count; without results while another person still has to count."""

    number: int
    source: str
    device: str
    counted_at: datetime
    actor: str
    reason: str
    results: list[CountResultOut]

    @classmethod
    def of(cls, row: RoundRow) -> Self:
        """Shape one row."""
        return cls(
            number=row.number,
            source=row.source,
            device=row.device,
            counted_at=row.counted_at,
            actor=row.actor,
            reason=row.reason,
            results=[CountResultOut.of(each) for each in row.results],
        )


class ExpectedOut(Out):
    """What the book holds of a lot, in thousandths of the item's unit."""

    item_id: str
    lot: str
    milli: int


class CountOut(Out):
    """One count; `expected` is null where the counter may not know it, and afterwards."""

    task: CountTaskOut
    rounds: list[CountRoundOut]
    expected: list[ExpectedOut] | None
    late_movements: list[int]

    @classmethod
    def of(cls, detail: CountDetail) -> Self:
        """Shape one count."""
        return cls(
            task=CountTaskOut.of(detail.task),
            rounds=[CountRoundOut.of(row) for row in detail.rounds],
            expected=None if detail.expected is None else _expected(detail.expected),
            late_movements=list(detail.late),
        )


def _expected(lots: Mapping[tuple[str, str], int]) -> list[ExpectedOut]:
    return [
        ExpectedOut(item_id=item_id, lot=lot, milli=milli)
        for (item_id, lot), milli in sorted(lots.items())
    ]


class DueOut(Out):
    """An item at a place that is to be counted by plan."""

    item_id: str
    location_id: str
    abc: str
    controlled: bool
    last_counted_at: datetime | None
    due_at: datetime

    @classmethod
    def of(cls, due: Due) -> Self:
        """Shape one row."""
        return cls(
            item_id=due.cell.item_id,
            location_id=due.cell.location_id,
            abc=due.cell.abc,
            controlled=due.cell.controlled,
            last_counted_at=due.cell.last,
            due_at=due.due_at,
        )


# ---------------------------------------------------------------- discrepancies


class CloseIn(In):
    """Why a discrepancy is closed; a controlled substance needs a reason code."""

    reason: Reason
    reason_code: Annotated[str, Field(max_length=32)] = ""


class ResolveIn(In):
    """How a discrepancy is resolved: by one movement at most.

    `correct` posts the difference as found or lost, `reverses` undoes a movement, `movement_id`
    names one that was posted meanwhile.
    """

    reason_code: Annotated[str, Field(max_length=32)] = ""
    reason: Reason
    correct: bool = False
    reverses: Annotated[int | None, Field(ge=1)] = None
    movement_id: Annotated[int | None, Field(ge=1)] = None


class CauseOut(Out):
    """One cause of a discrepancy."""

    id: int
    kind: str
    difference: QuantityOut
    state: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str

    @classmethod
    def of(cls, row: CauseRow, unit: str) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            difference=QuantityOut.of(row.difference, unit),
            state=row.state,
            detail=row.detail,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            reason=row.reason,
        )


class DiscrepancyOut(Out):
    """All that differs of one lot at one place; `kind` is that of its first cause.

    `difference` = found - book as it stands, or stood when it was closed; `unexplained` is what
    happened without an order, a receipt or stock and is in the book, or claimed, already.
    """

    id: int
    kind: str
    item_id: str
    name: str
    schedule: str
    lot: str
    location_id: str
    difference: QuantityOut
    unexplained: QuantityOut
    state: str
    owner: str
    due_at: datetime
    detail: str
    causes: list[CauseOut]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason_code: str | None
    reason: str

    @classmethod
    def of(cls, row: CaseRow) -> Self:
        """Shape one row."""
        return cls(
            id=row.id,
            kind=row.kind,
            item_id=row.item_id,
            name=row.name,
            schedule=row.schedule,
            lot=row.lot,
            location_id=row.location_id,
            difference=QuantityOut.of(row.difference, row.unit),
            unexplained=QuantityOut.of(row.unexplained, row.unit),
            state=row.state,
            owner=row.owner,
            due_at=row.due_at,
            detail=row.detail,
            causes=[CauseOut.of(cause, row.unit) for cause in row.causes],
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            reason_code=row.reason_code,
            reason=row.reason,
        )


class AgreementOut(Out):
    """When a lot at a place was last seen to be right, and by which count or comparison."""

    at: datetime
    how: str
    ref: int

    @classmethod
    def of(cls, agreed: Agreement) -> Self:
        """Shape one agreement."""
        return cls(at=agreed.at, how=agreed.how, ref=agreed.ref)


class AccessOut(Out):
    """One access; `ref` is its movement, count or audit event."""

    at: datetime
    kind: str
    actor: str
    text: str
    ref: int

    @classmethod
    def of(cls, touch: Touch) -> Self:
        """Shape one access."""
        return cls(at=touch.at, kind=touch.kind, actor=touch.actor, text=touch.text, ref=touch.ref)


class DiscrepancyDetailOut(Out):
    """One discrepancy with every access since the last agreement, and what resolved it."""

    discrepancy: DiscrepancyOut
    agreed: AgreementOut | None
    accesses: list[AccessOut]
    movements: list[MovementOut]

    @classmethod
    def of(cls, detail: CaseDetail) -> Self:
        """Shape one discrepancy with all that belongs to it."""
        return cls(
            discrepancy=DiscrepancyOut.of(detail.row),
            agreed=None if detail.agreed is None else AgreementOut.of(detail.agreed),
            accesses=[AccessOut.of(each) for each in detail.accesses],
            movements=[MovementOut.of(row) for row in detail.movements],
        )


class ReasonOut(Out):
    """A reason code."""

    code: str
    text: str

    @classmethod
    def of(cls, row: ReasonRow) -> Self:
        """Shape one row."""
        return cls(code=row.code, text=row.text)
