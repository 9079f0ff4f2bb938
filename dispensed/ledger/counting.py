"""Count tasks, and the rounds of counting with their results."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import Connection, Row, insert, or_, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.catalog import get_item, get_location, get_lot
from dispensed.ledger.count_book import BadCount, Scope, head, within
from dispensed.ledger.journal import Cell
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import Schedule
from dispensed.model.counting import CountKind, CountSource, CountState, check_transition

LATE_MAX = 1000
"""Most late movements and tasks that are looked at at once."""


class UnknownCount(NotFound):
    """There is no such count task."""

    code: ClassVar[str] = "count_not_found"


class CountExists(Conflict):
    """The request id was used before for another count."""

    code: ClassVar[str] = "count_exists"


@dataclass(frozen=True, slots=True)
class NewCount:
    """A task as asked; a blind one tells the counter nothing of the book."""

    kind: CountKind
    blind: bool
    scope: Scope
    owner: str
    due_at: datetime
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task; `head` is the end of the journal when it was opened."""

    id: int
    kind: CountKind
    blind: bool
    item_id: str | None
    lot: str | None
    location_id: str
    head: int
    state: CountState
    outcome: str
    owner: str
    due_at: datetime
    reason: str
    request_id: str
    actor: str
    opened_at: datetime
    closed_at: datetime | None
    updated_at: datetime

    @property
    def scope(self) -> Scope:
        """What is counted."""
        return Scope(self.location_id, self.item_id, self.lot)


@dataclass(frozen=True, slots=True)
class NewRound:
    """One person's answer to a task: when, how, and after which movement, where that is known."""

    task_id: int
    source: CountSource
    device: str
    counted_at: datetime
    position: int | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was counted of one lot, and the book at that instant; `unit` is the item's."""

    id: int
    item_id: str
    lot: str
    unit: str
    schedule: str
    counted: int
    uncertainty: int
    book: int
    variance: int


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round with its results; `head` is the end of the journal when it was recorded."""

    id: int
    task_id: int
    number: int
    source: CountSource
    device: str
    counted_at: datetime
    position: int | None
    head: int
    actor: str
    reason: str
    recorded_at: datetime
    results: tuple[Result, ...]


class Line(NamedTuple):
    """A counted quantity of a lot beside what the book said, in thousandths."""

    item_id: str
    lot: str
    counted: int
    uncertainty: int
    book: int


# ---------------------------------------------------------------- tasks


def open_task(tx: Connection, new: NewCount, stamp: Stamp) -> TaskRow:
    """Open a task, or return the one of the same request.

    Raises BadCount for a place that holds no stock, UnknownItem, UnknownLot, UnknownLocation, and
    CountExists when the request id belongs to another count.
    """
    query = select(t.count_task).where(t.count_task.c.request_id == new.request_id)
    known = tx.execute(query).one_or_none()
    if known is not None:
        row = _task(known)
        if (row.kind, row.scope) != (new.kind, new.scope):
            raise CountExists(f"request {new.request_id} was used before for count {row.id}")
        return row
    _check_scope(tx, new.scope)
    values = {
        "kind": new.kind.value,
        "blind": new.blind,
        **new.scope._asdict(),
        "head": head(tx),
        "state": CountState.OPEN.value,
        "outcome": "",
        "owner": new.owner,
        "due_at": new.due_at,
        "reason": new.reason,
        "request_id": new.request_id,
        "actor": stamp.actor,
        "opened_at": stamp.at,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    made = insert(t.count_task).returning(t.count_task.c.id)
    number = int(tx.execute(made, values).scalar_one())
    details = {"kind": new.kind.value, "blind": str(new.blind), **new.scope._asdict()}
    audit(tx, stamp, "count.opened", f"count {number}", {**details, "owner": new.owner})
    return get(tx, number)


def set_state(
    tx: Connection, number: int, to: CountState, stamp: Stamp, *, outcome: str = ""
) -> TaskRow:
    """Move a task on; raises UnknownCount or CountClosed."""
    row = get(tx, number)
    check_transition(number, row.state, to)
    ended = to in (CountState.CLOSED, CountState.CANCELLED)
    tx.execute(
        update(t.count_task)
        .where(t.count_task.c.id == number)
        .values(
            state=to.value,
            outcome=outcome,
            closed_at=stamp.at if ended else None,
            updated_at=stamp.at,
        )
    )
    audit(tx, stamp, f"count.{to.value}", f"count {number}", {"outcome": outcome})
    return get(tx, number)


def assign(tx: Connection, number: int, owner: str, stamp: Stamp) -> TaskRow:
    """Give a task that waits to somebody else; raises UnknownCount or CountClosed."""
    row = get(tx, number)
    check_transition(number, row.state, CountState.SUBMITTED)
    change = update(t.count_task).where(t.count_task.c.id == number)
    tx.execute(change.values(owner=owner, updated_at=stamp.at))
    audit(tx, stamp, "count.assigned", f"count {number}", {"owner": owner})
    return get(tx, number)


def get(tx: Connection, number: int) -> TaskRow:
    """Return one task; raises UnknownCount."""
    row = tx.execute(select(t.count_task).where(t.count_task.c.id == number)).one_or_none()
    if row is None:
        raise UnknownCount(f"there is no count {number}")
    return _task(row)


def page(
    tx: Connection,
    *,
    states: Iterable[CountState] = (),
    location_id: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[TaskRow, ...]:
    """Return tasks by ascending id, of some states or all, at one place or all."""
    query = select(t.count_task).where(t.count_task.c.id > after)
    wanted = [state.value for state in states]
    if wanted:
        query = query.where(t.count_task.c.state.in_(wanted))
    if location_id is not None:
        query = query.where(t.count_task.c.location_id == location_id)
    return tuple(_task(row) for row in tx.execute(query.order_by(t.count_task.c.id).limit(limit)))


def find_request(tx: Connection, request_id: str) -> int | None:
    """Return the task that a request opened, None for a new request."""
    query = select(t.count_task.c.id).where(t.count_task.c.request_id == request_id)
    found = tx.execute(query).scalar()
    return None if found is None else int(found)


def closed_since(tx: Connection, since: datetime, limit: int) -> tuple[TaskRow, ...]:
    """Return the tasks that were judged since an instant, the newest first."""
    task = t.count_task.c
    query = (
        select(t.count_task)
        .where(task.state == CountState.CLOSED.value, task.closed_at >= since)
        .order_by(task.id.desc())
        .limit(limit)
    )
    return tuple(_task(row) for row in tx.execute(query))


def waiting(tx: Connection) -> frozenset[Scope]:
    """Return what somebody is to count at present."""
    task = t.count_task.c
    states = [state.value for state in CountState if state.waits]
    query = select(task.location_id, task.item_id, task.lot).where(task.state.in_(states))
    return frozenset(Scope(*row) for row in tx.execute(query))


def controlled_at(tx: Connection, location_id: str) -> tuple[str, ...]:
    """Return the controlled items that lie at a place."""
    query = (
        select(t.item.c.item_id)
        .join(t.balance, t.balance.c.item_id == t.item.c.item_id)
        .where(
            t.balance.c.location_id == location_id,
            t.balance.c.on_hand > 0,
            t.item.c.schedule != Schedule.NONE.value,
        )
        .distinct()
        .order_by(t.item.c.item_id)
    )
    return tuple(tx.scalars(query))


def _check_scope(tx: Connection, scope: Scope) -> None:
    place = get_location(tx, scope.location_id)
    if not place.kind.holds_stock:
        raise BadCount(f"{scope.location_id} is a {place.kind}, no stock lies there to be counted")
    if scope.item_id is None:
        if scope.lot is not None:
            raise BadCount(f"lot {scope.lot}: of which item?")
    elif scope.lot is None:
        get_item(tx, scope.item_id)
    else:
        get_lot(tx, scope.item_id, scope.lot)


def _task(row: Row[Any]) -> TaskRow:
    data = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    data.pop("recorded_at")
    return TaskRow(**{**data, "kind": CountKind(row.kind), "state": CountState(row.state)})


# ---------------------------------------------------------------- rounds and results


def add_round(tx: Connection, new: NewRound, lines: Sequence[Line], stamp: Stamp) -> RoundRow:
    """Keep one person's count; it is never changed. The audit trail gets no quantity of it."""
    number = len(rounds(tx, new.task_id)) + 1
    values = {
        "task_id": new.task_id,
        "number": number,
        "source": new.source.value,
        "device": new.device,
        "counted_at": new.counted_at,
        "position": new.position,
        "head": head(tx),
        "actor": stamp.actor,
        "reason": stamp.reason,
        "request_id": new.request_id,
        "recorded_at": stamp.at,
    }
    made = insert(t.count_round).returning(t.count_round.c.id)
    round_id = int(tx.execute(made, values).scalar_one())
    place = get(tx, new.task_id).location_id
    rows = [
        {
            "round_id": round_id,
            "item_id": line.item_id,
            "lot": line.lot,
            "location_id": place,
            "counted_milli": line.counted,
            "uncertainty_milli": line.uncertainty,
            "book_milli": line.book,
            "variance_milli": line.counted - line.book,
            "recorded_at": stamp.at,
        }
        for line in lines
    ]
    if rows:
        tx.execute(insert(t.count_result), rows)
    details = {"round": number, "source": new.source.value, "device": new.device}
    audit(tx, stamp, "count.counted", f"count {new.task_id}", details)
    return rounds(tx, new.task_id)[-1]


def task_of_request(tx: Connection, request_id: str) -> int | None:
    """Return the task that a submission of this request id answered, None for a new one."""
    query = select(t.count_round.c.task_id).where(t.count_round.c.request_id == request_id)
    found = tx.execute(query).scalar()
    return None if found is None else int(found)


def rounds(tx: Connection, task_id: int) -> tuple[RoundRow, ...]:
    """Return the rounds of a task in their order, each with its results by item and lot."""
    found = tx.execute(
        select(t.count_round)
        .where(t.count_round.c.task_id == task_id)
        .order_by(t.count_round.c.number)
    ).all()
    results: dict[int, list[Result]] = defaultdict(list)
    query = (
        select(t.count_result, t.item.c.unit, t.item.c.schedule)
        .join(t.count_round, t.count_round.c.id == t.count_result.c.round_id)
        .join(t.item, t.item.c.item_id == t.count_result.c.item_id)
        .where(t.count_round.c.task_id == task_id)
        .order_by(t.count_result.c.item_id, t.count_result.c.lot)
    )
    for row in tx.execute(query):
        results[row.round_id].append(
            Result(
                id=row.id,
                item_id=row.item_id,
                lot=row.lot,
                unit=row.unit,
                schedule=row.schedule,
                counted=row.counted_milli,
                uncertainty=row.uncertainty_milli,
                book=row.book_milli,
                variance=row.variance_milli,
            )
        )
    return tuple(
        RoundRow(
            id=row.id,
            task_id=row.task_id,
            number=row.number,
            source=CountSource(row.source),
            device=row.device,
            counted_at=row.counted_at,
            position=row.position,
            head=row.head,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
            results=tuple(results[row.id]),
        )
        for row in found
    )


def note_posting(
    tx: Connection, result_id: int, request_id: str, variance: int, stamp: Stamp
) -> None:
    """Note under which request id the variance of a result was posted."""
    values = {"result_id": result_id, "request_id": request_id, "variance_milli": variance}
    tx.execute(insert(t.count_posting), {**values, "recorded_at": stamp.at})


def was_counted_later(tx: Connection, cell: Cell, task_id: int, counted_at: datetime) -> bool:
    """Say whether a closed task counted a lot at a place after an instant: it knew better."""
    query = (
        select(t.count_result.c.id)
        .join(t.count_round, t.count_round.c.id == t.count_result.c.round_id)
        .join(t.count_task, t.count_task.c.id == t.count_round.c.task_id)
        .where(
            t.count_result.c.item_id == cell.item_id,
            t.count_result.c.lot == cell.lot,
            t.count_result.c.location_id == cell.location_id,
            t.count_round.c.counted_at > counted_at,
            t.count_task.c.id != task_id,
            t.count_task.c.state == CountState.CLOSED.value,
        )
        .limit(1)
    )
    return tx.execute(query).first() is not None


def late_movements(tx: Connection, number: int) -> tuple[int, ...]:
    """Return the movements that were recorded after a count was judged and occurred before it.

    The count could not know of them and took their effect for a variance. What counts posted, and
    what paid a claim that it knew of, is not among them.
    """
    last = rounds(tx, number)[-1:]
    if not last:
        return ()
    scope, move, begin = get(tx, number).scope, t.movement.c, last[0]
    query = select(move.id).where(
        move.id > begin.head,
        move.occurred_at <= begin.counted_at,
        move.claim_id.is_(None),
        ~move.request_id.startswith("count:"),
        *within(move, scope, or_(move.source == scope.location_id, move.target == scope[0])),
    )
    return tuple(tx.scalars(query.order_by(move.id).limit(LATE_MAX)))
