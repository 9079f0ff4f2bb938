"""Bodies of the HTTP API for oversight of controlled substances: record, vault, persons."""

from datetime import datetime
from typing import Self

from dispensed.ledger.controlled import Record
from dispensed.model.controlled import Unmatched
from dispensed.model.diversion import ALARM_MILLI, Standing
from dispensed.services.controlled import Comparison
from dispensed.web.schemas import Out, QuantityOut


class RecordLineOut(Out):
    """One movement: what it changed of the total, and the balances after it."""

    id: int
    occurred_at: datetime
    recorded_at: datetime
    kind: str
    lot: str
    source: str
    target: str
    amount: QuantityOut
    change: QuantityOut
    balance: QuantityOut
    source_balance: QuantityOut | None
    target_balance: QuantityOut | None
    actor: str
    witness: str | None
    reason: str
    reference: str


class RecordOut(Out):
    """The running record of one item; `next_after` is the `after` of the next page."""

    item_id: str
    name: str
    schedule: str
    opening: QuantityOut
    closing: QuantityOut
    rows: list[RecordLineOut]
    next_after: int | None

    @classmethod
    def of(cls, record: Record) -> Self:
        """Shape one record."""
        unit = record.unit

        def or_none(milli: int | None) -> QuantityOut | None:
            return None if milli is None else QuantityOut.of(milli, unit)

        return cls(
            item_id=record.item_id,
            name=record.name,
            schedule=record.schedule,
            opening=QuantityOut.of(record.opening, unit),
            closing=QuantityOut.of(record.closing, unit),
            rows=[
                RecordLineOut(
                    id=line.id,
                    occurred_at=line.occurred_at,
                    recorded_at=line.recorded_at,
                    kind=line.kind,
                    lot=line.lot,
                    source=line.source,
                    target=line.target,
                    amount=QuantityOut.of(line.milli, unit),
                    change=QuantityOut.of(line.change, unit),
                    balance=QuantityOut.of(line.balance, unit),
                    source_balance=or_none(line.source_balance),
                    target_balance=or_none(line.target_balance),
                    actor=line.actor,
                    witness=line.witness,
                    reason=line.reason,
                    reference=line.reference,
                )
                for line in record.lines
            ],
            next_after=record.next_after,
        )


class UnmatchedOut(Out):
    """A movement, and how much of it nothing answers on the other side."""

    movement_id: int
    item_id: str
    lot: str
    location_id: str
    moved_milli: int
    unmatched_milli: int
    at: datetime
    actor: str

    @classmethod
    def of(cls, row: Unmatched) -> Self:
        """Shape one row."""
        return cls(
            movement_id=row.passage.movement_id,
            item_id=row.passage.item_id,
            lot=row.passage.lot,
            location_id=row.passage.location_id,
            moved_milli=row.passage.milli,
            unmatched_milli=row.milli,
            at=row.passage.at,
            actor=row.passage.actor,
        )


class ComparisonOut(Out):
    """What left the vault and did not arrive in time, and what was loaded without leaving it."""

    vaults: list[str]
    since: datetime
    until: datetime
    within_hours: int
    issues_without_load: list[UnmatchedOut]
    loads_without_issue: list[UnmatchedOut]

    @classmethod
    def of(cls, found: Comparison) -> Self:
        """Shape one comparison."""
        return cls(
            vaults=list(found.vaults),
            since=found.since,
            until=found.until,
            within_hours=found.within_hours,
            issues_without_load=[UnmatchedOut.of(each) for each in found.issues],
            loads_without_issue=[UnmatchedOut.of(each) for each in found.loads],
        )


class FindingOut(Out):
    """One reason; `deviation_milli` in thousandths of a standard deviation."""

    indicator: str
    observed: int
    usual_milli: int
    deviation_milli: int
    explanation: str


class StandingOut(Out):
    """One person; `rank` 1 is the most unusual, 0 is not ranked for too few removals.

    `look` is whether the score itself asks for a look. It is a reason to look, never a proof.
    """

    rank: int
    person: str
    removals: int
    score_milli: int
    look: bool
    findings: list[FindingOut]

    @classmethod
    def of(cls, row: Standing) -> Self:
        """Shape one row."""
        return cls(
            rank=row.rank,
            person=row.person,
            removals=row.removals,
            score_milli=row.score_milli,
            look=row.score_milli > ALARM_MILLI,
            findings=[
                FindingOut(
                    indicator=each.indicator,
                    observed=each.observed,
                    usual_milli=each.usual_milli,
                    deviation_milli=each.deviation_milli,
                    explanation=str(each),
                )
                for each in row.findings
            ],
        )
