"""Pull tasks: expired stock that a person takes to the segregated location, and the demand.

Everything in thousandths of the item's unit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Row, case, func, insert, or_, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger.engine import Tx
from dispensed.ledger.picking import FILL_LOCATION
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import balance, item, location, lot, movement, outdate_task
from dispensed.model.catalog import LocationKind

PULLED_FROM = (
    LocationKind.BIN,
    LocationKind.RECEIVING,
    LocationKind.DEVICE,
    LocationKind.REJECTS,
)
"""Kinds of place from which outdates are pulled."""
DISPENSED = "ext:dispensed"


class TaskDone(Conflict):
    """The pull task is done or cancelled already."""

    code: ClassVar[str] = "task_done"


@dataclass(frozen=True, slots=True)
class OutdateTask:
    """One pull task; `milli` is what the book held when it was made."""

    id: int
    item_id: str
    name: str
    unit: str
    schedule: str
    lot: str
    expiry: date | None
    location_id: str
    milli: int
    why: str
    state: str
    counted_milli: int | None
    movement_id: int | None
    actor: str
    done_by: str | None
    done_at: datetime | None
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """Stock of one lot at one place that is to be pulled."""

    item_id: str
    lot: str
    location_id: str
    milli: int
    expiry: date


def due(tx: Tx, before: date) -> tuple[Due, ...]:
    """Return stock whose last day of use is before a date and for which no task is open."""
    task = (
        select(outdate_task.c.id)
        .where(
            outdate_task.c.item_id == balance.c.item_id,
            outdate_task.c.lot == balance.c.lot,
            outdate_task.c.location_id == balance.c.location_id,
            outdate_task.c.state == "open",
        )
        .correlate(balance)
        .exists()
    )
    rows = tx.execute(
        select(
            balance.c.item_id, balance.c.lot, balance.c.location_id, balance.c.on_hand, lot.c.expiry
        )
        .join(location, location.c.location_id == balance.c.location_id)
        .join(lot, (lot.c.item_id == balance.c.item_id) & (lot.c.lot == balance.c.lot))
        .where(
            location.c.kind.in_([kind.value for kind in PULLED_FROM]),
            balance.c.on_hand > 0,
            lot.c.expiry < before,
            ~task,
        )
        .order_by(balance.c.location_id, balance.c.item_id, balance.c.lot)
    )
    return tuple(
        Due(row.item_id, row.lot, row.location_id, int(row.on_hand), row.expiry) for row in rows
    )


def open_tasks(tx: Tx, dues: Iterable[Due], stamp: Stamp) -> tuple[int, ...]:
    """Make a pull task for each; the stamp's reason says why. Returns their numbers."""
    made = []
    for each in dues:
        values = {
            "item_id": each.item_id,
            "lot": each.lot,
            "location_id": each.location_id,
            "milli": each.milli,
            "why": stamp.reason,
            "state": "open",
            "actor": stamp.actor,
            "reason": "",
            "recorded_at": stamp.at,
        }
        query = insert(outdate_task).returning(outdate_task.c.id)
        made.append(int(tx.execute(query, values).scalar_one()))
        place = f"lot {each.item_id}/{each.lot}@{each.location_id}"
        audit(tx, stamp, "outdate.task_opened", place, {"task": made[-1], "milli": each.milli})
    return tuple(made)


def finish(
    tx: Tx, task_id: int, *, counted: int, movement_id: int | None, stamp: Stamp
) -> OutdateTask:
    """Note that a task was done; `counted` is what was found there. Raises TaskDone."""
    _end(
        tx, task_id, {"state": "done", "counted_milli": counted, "movement_id": movement_id}, stamp
    )
    audit(tx, stamp, "outdate.pulled", f"outdate task {task_id}", {"counted": counted})
    return get(tx, task_id)


def cancel(tx: Tx, task_id: int, stamp: Stamp) -> OutdateTask:
    """Give a task up, with the stamp's reason. Raises TaskDone."""
    _end(tx, task_id, {"state": "cancelled"}, stamp)
    audit(tx, stamp, "outdate.task_cancelled", f"outdate task {task_id}", {})
    return get(tx, task_id)


def _end(tx: Tx, task_id: int, values: dict[str, str | int | None], stamp: Stamp) -> None:
    check_open(get(tx, task_id))
    ended = {"done_by": stamp.actor, "done_at": stamp.at, "reason": stamp.reason}
    tx.execute(update(outdate_task).where(outdate_task.c.id == task_id).values(values | ended))


def check_open(task: OutdateTask) -> None:
    """Raise TaskDone unless a task is open."""
    if task.state != "open":
        raise TaskDone(f"outdate task {task.id} was {task.state} by {task.done_by}")


_SELECT = (
    select(outdate_task, item.c.name, item.c.unit, item.c.schedule, lot.c.expiry)
    .join(item, item.c.item_id == outdate_task.c.item_id)
    .join(lot, (lot.c.item_id == outdate_task.c.item_id) & (lot.c.lot == outdate_task.c.lot))
)


def get(tx: Tx, task_id: int) -> OutdateTask:
    """Return one task; raises NotFound."""
    row = tx.execute(_SELECT.where(outdate_task.c.id == task_id)).one_or_none()
    if row is None:
        raise NotFound(f"no outdate task {task_id}")
    return _row(row)


def page(
    tx: Tx, *, state: str | None = "open", after: int = 0, limit: int = 1000
) -> tuple[OutdateTask, ...]:
    """Return tasks by ascending number, of one state or all."""
    query = _SELECT.where(outdate_task.c.id > after).order_by(outdate_task.c.id).limit(limit)
    if state is not None:
        query = query.where(outdate_task.c.state == state)
    return tuple(_row(row) for row in tx.execute(query))


def _row(row: Row[*tuple[object, ...]]) -> OutdateTask:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return OutdateTask(**{name: data[name] for name in OutdateTask.__dataclass_fields__})


# ---------------------------------------------------------------- the tray, and demand


def loose_in_tray(tx: Tx, item_id: str, lot_number: str) -> int:
    """Return what lies in the fill tray for no dispense, as a machine puts it out for a person."""
    into = movement.c.target == FILL_LOCATION
    net = func.sum(case((into, movement.c.milli), else_=-movement.c.milli))
    query = select(func.coalesce(net, 0)).where(
        movement.c.item_id == item_id,
        movement.c.lot == lot_number,
        movement.c.dispense_id.is_(None),
        or_(into, movement.c.source == FILL_LOCATION),
    )
    return int(tx.execute(query).scalar_one())


def dispensed(tx: Tx, since: datetime, until: datetime) -> dict[str, int]:
    """Return what was given to patients of each item from `since` to before `until`.

    What came back (reversals, returns to stock) is taken off; an item that only came back counts 0.
    """
    given = movement.c.target == DISPENSED
    net = func.sum(case((given, movement.c.milli), else_=-movement.c.milli))
    rows = tx.execute(
        select(movement.c.item_id, net.label("net"))
        .where(
            or_(given, movement.c.source == DISPENSED),
            movement.c.occurred_at >= since,
            movement.c.occurred_at < until,
        )
        .group_by(movement.c.item_id)
        .order_by(movement.c.item_id)
    )
    return {row.item_id: max(0, int(row.net)) for row in rows}
