"""One record per item, lot and place of whatever differs there: owner, due time, what resolved it.

The rows of `discrepancy`, one per kind, are the causes of a record. While one of them is open, the
record is; its size is worked out from them (`model.counting`), never stored, so it cannot be stale.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, select, update

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.journal import Cell
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import Schedule
from dispensed.model.counting import standing_difference, unexplained

DUE = timedelta(hours=72)
DUE_CONTROLLED = timedelta(hours=24)
"""Time until a record should be resolved; a choice of this project, no law names it.

A theft or significant loss is to be notified to the DEA within one business day of its discovery,
hence the shorter one: 21 CFR 1301.76(b) as the DEA's questions on theft and loss tell it
(EO-DEA188, 2020-10-05); the section itself was not read.
"""
AGREES = "agrees_again"
POSTED = "posted_by_count"
OTHER = "other"
LIMIT_MAX = 1000


class CaseClosed(Conflict):
    """The record is closed already."""

    code: ClassVar[str] = "discrepancy_closed"


class UnknownReason(Invalid):
    """There is no such reason code, or it is not for persons to use."""

    code: ClassVar[str] = "unknown_reason"


@dataclass(frozen=True, slots=True)
class CauseRow:
    """One cause of a record; `difference` is signed thousandths, found less book."""

    id: int
    case_id: int
    kind: str
    difference: int
    state: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One record with its causes, the oldest first.

    `difference` is found less book as it stands now; `unexplained` is what happened without an
    order, a receipt or stock and is booked or claimed already.
    """

    id: int
    item_id: str
    name: str
    unit: str
    schedule: str
    lot: str
    location_id: str
    state: str
    owner: str
    due_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason_code: str | None
    reason: str
    causes: tuple[CauseRow, ...]

    @property
    def difference(self) -> int:
        """Found less book, by the open causes that measured it."""
        return standing_difference(self._sizes())

    @property
    def unexplained(self) -> int:
        """The sum of the open causes that measured nothing."""
        return unexplained(self._sizes())

    @property
    def size(self) -> int:
        """The number to show: that of the record while it was open."""
        sizes = self._sizes()
        return standing_difference(sizes) or unexplained(sizes)

    @property
    def kind(self) -> str:
        """Kind of the first cause."""
        return self.causes[0].kind

    @property
    def detail(self) -> str:
        """What the causes say."""
        return "; ".join(cause.detail for cause in self._shown())

    @property
    def is_controlled(self) -> bool:
        """Whether the drug is a controlled substance."""
        return Schedule(self.schedule).is_controlled

    def _shown(self) -> tuple[CauseRow, ...]:
        return tuple(c for c in self.causes if c.state == "open" or self.state == "closed")

    def _sizes(self) -> dict[str, int]:
        return {cause.kind: cause.difference for cause in self._shown()}


class ReasonRow(NamedTuple):
    """A reason code and what it means."""

    code: str
    text: str
    by_person: bool


# Built once: asked with every discrepancy that opens.
_OPEN_CASE = select(t.discrepancy_case.c.id).where(
    t.discrepancy_case.c.item_id == bindparam("b_item"),
    t.discrepancy_case.c.lot == bindparam("b_lot"),
    t.discrepancy_case.c.location_id == bindparam("b_location"),
    t.discrepancy_case.c.state == "open",
)
_CASE_OF = select(t.discrepancy_cause.c.case_id).where(
    t.discrepancy_cause.c.discrepancy_id == bindparam("b_discrepancy")
)


def attach(tx: Connection, discrepancy_id: int, cell: Cell, stamp: Stamp) -> int:
    """Put a discrepancy that just opened into the open record of its place; returns the record."""
    case_id = open_case_of(tx, cell)
    if case_id is None:
        schedule = tx.execute(
            select(t.item.c.schedule).where(t.item.c.item_id == cell.item_id)
        ).scalar_one()
        due = DUE_CONTROLLED if Schedule(schedule).is_controlled else DUE
        values = {
            **cell._asdict(),
            "state": "open",
            "owner": "",
            "due_at": stamp.at + due,
            "opened_at": stamp.at,
            "reason": "",
            "updated_at": stamp.at,
            "recorded_at": stamp.at,
        }
        made = insert(t.discrepancy_case).returning(t.discrepancy_case.c.id)
        case_id = int(tx.execute(made, values).scalar_one())
    cause = {"discrepancy_id": discrepancy_id, "case_id": case_id, "recorded_at": stamp.at}
    tx.execute(insert(t.discrepancy_cause), cause)
    return case_id


def open_case_of(tx: Connection, cell: Cell) -> int | None:
    """Return the open record of a lot at a place."""
    key = {"b_item": cell.item_id, "b_lot": cell.lot, "b_location": cell.location_id}
    found = tx.execute(_OPEN_CASE, key).scalar()
    return None if found is None else int(found)


def cause_closed(tx: Connection, discrepancy_id: int, code: str, stamp: Stamp, why: str) -> None:
    """Close the record of a cause that just closed, unless another cause is still open."""
    case_id = int(tx.execute(_CASE_OF, {"b_discrepancy": discrepancy_id}).scalar_one())
    still = (
        select(func.count())
        .select_from(t.discrepancy_cause)
        .join(t.discrepancy, t.discrepancy.c.id == t.discrepancy_cause.c.discrepancy_id)
        .where(t.discrepancy_cause.c.case_id == case_id, t.discrepancy.c.state == "open")
    )
    if tx.execute(still).scalar_one() == 0:
        tx.execute(
            update(t.discrepancy_case)
            .where(t.discrepancy_case.c.id == case_id, t.discrepancy_case.c.state == "open")
            .values(
                state="closed",
                closed_at=stamp.at,
                closed_by=stamp.actor,
                reason_code=code,
                reason=why,
                updated_at=stamp.at,
            )
        )


def assign(
    tx: Connection, case_id: int, *, owner: str, due_at: datetime | None, stamp: Stamp
) -> CaseRow:
    """Give an open record an owner, and another due time when one is said."""
    row = get_open(tx, case_id)
    tx.execute(
        update(t.discrepancy_case)
        .where(t.discrepancy_case.c.id == case_id)
        .values(owner=owner, due_at=due_at or row.due_at, updated_at=stamp.at)
    )
    details = {"owner": owner, "due_at": (due_at or row.due_at).isoformat()}
    audit(tx, stamp, "assigned", f"discrepancy case {case_id}", details)
    return get(tx, case_id)


def resolved_by(tx: Connection, case_id: int, movement_id: int, stamp: Stamp) -> None:
    """Note that a movement resolves a record; one movement resolves one record at most."""
    known = select(t.discrepancy_resolution.c.case_id).where(
        t.discrepancy_resolution.c.movement_id == movement_id
    )
    other = tx.execute(known).scalar()
    if other is not None:
        raise Conflict(f"movement {movement_id} resolves discrepancy {other} already")
    values = {"movement_id": movement_id, "case_id": case_id, "recorded_at": stamp.at}
    tx.execute(insert(t.discrepancy_resolution), values)


def resolutions(tx: Connection, case_id: int) -> tuple[int, ...]:
    """Return the movements that resolved a record."""
    query = select(t.discrepancy_resolution.c.movement_id).where(
        t.discrepancy_resolution.c.case_id == case_id
    )
    return tuple(tx.scalars(query.order_by(t.discrepancy_resolution.c.movement_id)))


# ---------------------------------------------------------------- reasons


def reasons(tx: Connection) -> tuple[ReasonRow, ...]:
    """Return every reason code."""
    rows = tx.execute(select(t.reason_code).order_by(t.reason_code.c.code))
    return tuple(ReasonRow(row.code, row.text, row.by_person) for row in rows)


def check_reason(tx: Connection, code: str) -> None:
    """Raise UnknownReason unless a person may close a record with this code."""
    usable = [row.code for row in reasons(tx) if row.by_person]
    if code not in usable:
        raise UnknownReason(f"reason code {code!r} is not one of {', '.join(usable)}")


# ---------------------------------------------------------------- reading

_SELECT = select(t.discrepancy_case, t.item.c.name, t.item.c.unit, t.item.c.schedule).join(
    t.item, t.item.c.item_id == t.discrepancy_case.c.item_id
)


def get(tx: Connection, case_id: int) -> CaseRow:
    """Return one record; raises NotFound."""
    rows = _rows(tx, t.discrepancy_case.c.id == case_id, 1)
    if not rows:
        raise NotFound(f"no discrepancy {case_id}")
    return rows[0]


def get_open(tx: Connection, case_id: int) -> CaseRow:
    """Return one record that is open; raises NotFound or CaseClosed."""
    row = get(tx, case_id)
    if row.state != "open":
        raise CaseClosed(f"discrepancy {case_id} was closed by {row.closed_by}")
    return row


def page(
    tx: Connection,
    *,
    state: str | None = "open",
    item_id: str | None = None,
    location_id: str | None = None,
    after: int = 0,
    limit: int = LIMIT_MAX,
) -> tuple[CaseRow, ...]:
    """Return records by ascending id, of one state or all."""
    case = t.discrepancy_case.c
    wanted: list[ColumnElement[bool]] = [case.id > after]
    for column, value in (
        (case.state, state),
        (case.item_id, item_id),
        (case.location_id, location_id),
    ):
        if value is not None:
            wanted.append(column == value)
    return _rows(tx, and_(*wanted), min(limit, LIMIT_MAX))


def _rows(tx: Connection, wanted: ColumnElement[bool], limit: int) -> tuple[CaseRow, ...]:
    found = tx.execute(_SELECT.where(wanted).order_by(t.discrepancy_case.c.id).limit(limit)).all()
    if not found:
        return ()
    first, last = found[0].id, found[-1].id
    causes: dict[int, list[CauseRow]] = defaultdict(list)
    query = (
        select(t.discrepancy, t.discrepancy_cause.c.case_id)
        .join(
            t.discrepancy_cause,
            t.discrepancy_cause.c.discrepancy_id == t.discrepancy.c.id,
        )
        .join(t.discrepancy_case, t.discrepancy_case.c.id == t.discrepancy_cause.c.case_id)
        .where(t.discrepancy_case.c.id.between(first, last), wanted)
        .order_by(t.discrepancy.c.id)
    )
    for row in tx.execute(query):
        causes[row.case_id].append(
            CauseRow(
                id=row.id,
                case_id=row.case_id,
                kind=row.kind,
                difference=row.difference,
                state=row.state,
                detail=row.detail,
                opened_at=row.opened_at,
                closed_at=row.closed_at,
                closed_by=row.closed_by,
                reason=row.reason,
            )
        )
    return tuple(
        CaseRow(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            schedule=row.schedule,
            lot=row.lot,
            location_id=row.location_id,
            state=row.state,
            owner=row.owner,
            due_at=row.due_at,
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            reason_code=row.reason_code,
            reason=row.reason,
            causes=tuple(causes[row.id]),
        )
        for row in found
    )
