"""Repack runs: plans, steps by named persons, the movements of a run and its labels.

A run's state changes only along its state machine; each step is one append-only row with its own
request id, so a repeated request does nothing and returns the run as it stands.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import Row, Select, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import read
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.read import MovementRow
from dispensed.ledger.rules import RequestReused, check_request_id
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import format_milli
from dispensed.model.repacking import RepackState, Yield, advance_run, child_lot_number


class UnknownRun(NotFound):
    """There is no repack run of that number."""

    code: ClassVar[str] = "repack_not_found"


class ChildLotTaken(Conflict):
    """Another lot of the child item has this number already."""

    code: ClassVar[str] = "child_lot_taken"


class WasteNotOfRun(Conflict):
    """The movement is not the waste of this run."""

    code: ClassVar[str] = "waste_not_of_run"


class NotReleased(Conflict):
    """The lot comes from a repack run that is not released."""

    code: ClassVar[str] = "repack_not_released"


PREFIX = "repack:"
"""Request ids of the movements of runs begin so, followed by the number of the run."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run as planned: from a bulk lot at a place to units of a child item at another.

    `child_lot` None takes the number from `lot_scheme`; `latest` is a date that a pharmacist set
    because the rule is too long for this medicine.
    """

    item_id: str
    lot: str
    location_id: str
    child_item_id: str
    target: str
    unit_milli: int
    units: int
    container: str
    rule: str
    rule_source: str
    lot_scheme: str
    child_lot: str | None = None
    latest: date | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; what is known only once it is packed is None before."""

    id: int
    item_id: str
    lot: str
    location_id: str
    child_item_id: str
    child_lot: str
    target: str
    unit: str
    unit_milli: int
    planned_units: int
    container: str
    rule: str
    rule_source: str
    latest: date | None
    state: RepackState
    packed_on: date | None
    use_by: date | None
    bulk_milli: int | None
    units: int | None
    waste_milli: int | None
    sample_milli: int | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StepRow:
    """Who brought a run into a state, when, and what was said."""

    step: RepackState
    actor: str
    at: datetime
    reason: str


Content = Mapping[str, str | int | None]


# ---------------------------------------------------------------- plan


def plan(tx: Tx, new: NewRun, *, request_id: str, day: date, stamp: Stamp) -> RunRow:
    """Record a planned run that no request made before (`planned`); raises ChildLotTaken."""
    values = {
        "item_id": new.item_id,
        "lot": new.lot,
        "location_id": new.location_id,
        "child_item_id": new.child_item_id,
        "child_lot": f"request {request_id}",
        "target": new.target,
        "unit_milli": new.unit_milli,
        "planned_units": new.units,
        "container": new.container,
        "rule": new.rule,
        "rule_source": new.rule_source,
        "latest": new.latest,
        "state": RepackState.PLANNED.value,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    run = t.repack_run
    run_id = int(tx.execute(insert(run).returning(run.c.id), values).scalar_one())
    number = new.child_lot or child_lot_number(
        new.lot_scheme, day=day, run=run_id, bulk_lot=new.lot
    )
    _check_free(tx, new.child_item_id, number)
    tx.execute(update(run).where(run.c.id == run_id).values(child_lot=number))
    _step(tx, run_id, RepackState.PLANNED, request_id, _plan_content(new), stamp)
    return get(tx, run_id)


def planned(tx: Tx, new: NewRun, *, request_id: str) -> RunRow | None:
    """Return the run that a request planned, None when it is new; raises RequestReused."""
    known = _repeated(tx, None, RepackState.PLANNED, request_id, _plan_content(new))
    return None if known is None else get(tx, known)


def _plan_content(new: NewRun) -> Content:
    return {
        "item_id": new.item_id,
        "lot": new.lot,
        "location_id": new.location_id,
        "child_item_id": new.child_item_id,
        "child_lot": new.child_lot,
        "target": new.target,
        "unit_milli": new.unit_milli,
        "units": new.units,
        "container": new.container,
        "rule": new.rule,
        "latest": None if new.latest is None else new.latest.isoformat(),
    }


def _check_free(tx: Tx, item_id: str, number: str) -> None:
    run, lot = t.repack_run, t.lot
    for query in (
        select(run.c.id).where(run.c.child_item_id == item_id, run.c.child_lot == number),
        select(lot.c.lot).where(lot.c.item_id == item_id, lot.c.lot == number),
    ):
        if tx.execute(query).first() is not None:
            raise ChildLotTaken(f"item {item_id} has a lot {number} already; choose another number")


# ---------------------------------------------------------------- steps


def repeated(
    tx: Tx, run_id: int, step: RepackState, request_id: str, content: Content
) -> RunRow | None:
    """Return the run as it stands when this step was taken by this request, None when it is new.

    Raises UnknownRun, and RequestReused when the id was used for anything else.
    """
    row = get(tx, run_id)
    known = _repeated(tx, run_id, step, request_id, content)
    return None if known is None else row


def take_step(
    tx: Tx, run_id: int, step: RepackState, *, request_id: str, content: Content, stamp: Stamp
) -> RunRow:
    """Bring a run into its next state; raises UnknownRun or RepackTransition."""
    row = get(tx, run_id)
    advance_run(row.state, step)
    run = t.repack_run
    tx.execute(update(run).where(run.c.id == run_id).values(state=step.value, updated_at=stamp.at))
    _step(tx, run_id, step, request_id, content, stamp)
    return get(tx, run_id)


def set_yield(tx: Tx, run_id: int, made: Yield, *, packed_on: date, use_by: date) -> None:
    """Keep what a run gave; the database refuses numbers that do not add up."""
    run = t.repack_run
    tx.execute(
        update(run)
        .where(run.c.id == run_id)
        .values(
            bulk_milli=made.bulk_milli,
            units=made.units,
            waste_milli=made.waste_milli,
            sample_milli=made.sample_milli,
            packed_on=packed_on,
            use_by=use_by,
        )
    )


def link(tx: Tx, run_id: int, movement_id: int, stamp: Stamp) -> None:
    """Say that a movement belongs to a run."""
    values = {"movement_id": movement_id, "run_id": run_id, "recorded_at": stamp.at}
    tx.execute(insert(t.repack_movement), values)


def own_movement_ids(tx: Tx, run_id: int) -> tuple[int, ...]:
    """Return the movements that a run itself booked, oldest first; not a waste it took over."""
    move, of = t.movement, t.repack_movement
    query = (
        select(move.c.id)
        .join(of, of.c.movement_id == move.c.id)
        .where(of.c.run_id == run_id, move.c.request_id.startswith(f"{PREFIX}{run_id}:"))
        .order_by(move.c.id)
    )
    return tuple(tx.scalars(query))


def movements(tx: Tx, run_id: int) -> tuple[MovementRow, ...]:
    """Return the movements of a run, oldest first."""
    query = select(t.repack_movement.c.movement_id).where(t.repack_movement.c.run_id == run_id)
    ids = tuple(tx.scalars(query.order_by(t.repack_movement.c.movement_id)))
    return tuple(row for at in ids for row in read.movements(tx, after=at - 1, limit=1))


def adopt_waste(tx: Tx, row: RunRow, movement_id: int, milli: int, stamp: Stamp) -> None:
    """Say that a waste which is booked already is the waste of a run.

    Raises WasteNotOfRun unless it wasted exactly that of the run's bulk since the run was started,
    was not reversed, and belongs to no other run.
    """
    undone, of, move = t.movement.alias("undone"), t.repack_movement, t.movement
    found = tx.execute(
        select(move.c.id)
        .outerjoin(undone, undone.c.reverses == move.c.id)
        .outerjoin(of, of.c.movement_id == move.c.id)
        .where(
            move.c.id == movement_id,
            move.c.kind == MovementKind.WASTE.value,
            move.c.item_id == row.item_id,
            move.c.lot == row.lot,
            move.c.source == row.location_id,
            move.c.milli == milli,
            move.c.recorded_at >= row.updated_at,
            undone.c.id.is_(None),
            of.c.run_id.is_(None),
        )
    ).first()
    if found is None:
        raise WasteNotOfRun(
            f"movement {movement_id} is not a waste of {format_milli(milli)} {row.unit} of lot"
            f" {row.lot} at {row.location_id} since run {row.id} was started"
        )
    link(tx, row.id, movement_id, stamp)


def check_released(tx: Tx, item_id: str, lot: str) -> None:
    """Raise NotReleased when a lot was made by a repack run that nobody has released."""
    run = t.repack_run
    row = tx.execute(
        select(run.c.id, run.c.state).where(
            run.c.child_item_id == item_id,
            run.c.child_lot == lot,
            run.c.state != RepackState.RELEASED.value,
        )
    ).first()
    if row is not None:
        raise NotReleased(f"lot {lot} of item {item_id} is of repack run {row.id}, {row.state}")


def steps(tx: Tx, run_id: int) -> tuple[StepRow, ...]:
    """Return the steps of a run in their order."""
    query = select(t.repack_step).where(t.repack_step.c.run_id == run_id)
    return tuple(
        StepRow(RepackState(row.step), row.actor, row.at, row.reason)
        for row in tx.execute(query.order_by(t.repack_step.c.id))
    )


def _step(
    tx: Tx, run_id: int, step: RepackState, request_id: str, content: Content, stamp: Stamp
) -> None:
    values = {
        "run_id": run_id,
        "step": step.value,
        "request_id": request_id,
        "content": _text(content),
        "actor": stamp.actor,
        "at": stamp.at,
        "reason": stamp.reason,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.repack_step), values)
    audit(tx, stamp, f"repack.{step}", f"repack {run_id}", content)


def _repeated(
    tx: Tx, run_id: int | None, step: RepackState, request_id: str, content: Content
) -> int | None:
    check_request_id(request_id)
    query = select(t.repack_step).where(t.repack_step.c.request_id == request_id)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    same_run = run_id is None or row.run_id == run_id
    if not same_run or row.step != step.value or row.content != _text(content):
        raise RequestReused(
            f"request {request_id} was used before for repack run {row.run_id}, step {row.step}"
        )
    return int(row.run_id)


def _text(content: Content) -> str:
    return json.dumps(dict(content), sort_keys=True, separators=(",", ":"))


# ---------------------------------------------------------------- queries


def get(tx: Tx, run_id: int) -> RunRow:
    """Return one run; raises UnknownRun."""
    rows = _rows(tx, _runs().where(t.repack_run.c.id == run_id))
    if not rows:
        raise UnknownRun(f"there is no repack run {run_id}")
    return rows[0]


def page(
    tx: Tx, *, state: RepackState | None = None, after: int = 0, limit: int = 100
) -> tuple[RunRow, ...]:
    """Return runs by ascending id, after an id, at most `limit`."""
    query = _runs().where(t.repack_run.c.id > after).limit(limit)
    if state is not None:
        query = query.where(t.repack_run.c.state == state.value)
    return _rows(tx, query)


def _runs() -> Select[Any]:
    run = t.repack_run
    return (
        select(run, t.item.c.unit)
        .join(t.item, t.item.c.item_id == run.c.item_id)
        .order_by(run.c.id)
    )


def _rows(tx: Tx, query: Select[Any]) -> tuple[RunRow, ...]:
    return tuple(_run(row) for row in tx.execute(query))


def _run(row: Row[Any]) -> RunRow:
    return RunRow(
        id=row.id,
        item_id=row.item_id,
        lot=row.lot,
        location_id=row.location_id,
        child_item_id=row.child_item_id,
        child_lot=row.child_lot,
        target=row.target,
        unit=row.unit,
        unit_milli=row.unit_milli,
        planned_units=row.planned_units,
        container=row.container,
        rule=row.rule,
        rule_source=row.rule_source,
        latest=row.latest,
        state=RepackState(row.state),
        packed_on=row.packed_on,
        use_by=row.use_by,
        bulk_milli=row.bulk_milli,
        units=row.units,
        waste_milli=row.waste_milli,
        sample_milli=row.sample_milli,
        updated_at=row.updated_at,
    )
