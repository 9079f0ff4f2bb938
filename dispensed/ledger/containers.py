"""Opened containers: each has a date of its own, shorter than that of its lot.

The book counts an opened container's content as stock of its lot at its place. When its date has
passed, what may be left in it is not picked any more (`expired_milli`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.rules import RequestReused, check_request_id
from dispensed.ledger.stamp import Stamp, audit


class ContainerState(StrEnum):
    """Open, used up, or thrown away."""

    OPEN = "open"
    EMPTY = "empty"
    DISCARDED = "discarded"


class UnknownContainer(NotFound):
    """There is no opened container of that number."""

    code: ClassVar[str] = "container_not_found"


class ContainerClosed(Conflict):
    """The container is empty or discarded already."""

    code: ClassVar[str] = "container_closed"


@dataclass(frozen=True, slots=True)
class NewContainer:
    """A container as opened; `left_milli` None says that nobody keeps count of what is in it."""

    item_id: str
    lot: str
    location_id: str
    opened_at: datetime
    opened_on: date
    rule: str
    rule_source: str
    use_by: date
    content_milli: int
    left_milli: int | None


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """One opened container."""

    id: int
    item_id: str
    name: str
    unit: str
    lot: str
    location_id: str
    opened_at: datetime
    opened_on: date
    rule: str
    rule_source: str
    use_by: date
    content_milli: int
    left_milli: int | None
    state: ContainerState
    actor: str
    closed_at: datetime | None
    closed_by: str | None
    movement_id: int | None
    flagged_at: datetime | None


def add(tx: Tx, new: NewContainer, *, request_id: str, stamp: Stamp) -> ContainerRow:
    """Record an opened container; raises RequestReused for a known request id."""
    check_request_id(request_id)
    if find(tx, request_id) is not None:
        raise RequestReused(f"request {request_id} was used before for another container")
    box = t.container
    values = {
        "request_id": request_id,
        "item_id": new.item_id,
        "lot": new.lot,
        "location_id": new.location_id,
        "opened_at": new.opened_at,
        "opened_on": new.opened_on,
        "rule": new.rule,
        "rule_source": new.rule_source,
        "use_by": new.use_by,
        "content_milli": new.content_milli,
        "left_milli": new.left_milli,
        "state": ContainerState.OPEN.value,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    box_id = int(tx.execute(insert(box).returning(box.c.id), values).scalar_one())
    details = {"lot": new.lot, "location_id": new.location_id, "use_by": new.use_by.isoformat()}
    audit(tx, stamp, "container.opened", f"container {box_id}", details)
    return get(tx, box_id)


def find(tx: Tx, request_id: str) -> ContainerRow | None:
    """Return the container that a request opened, None when there is none."""
    rows = _rows(tx, t.container.c.request_id == request_id, limit=1)
    return rows[0] if rows else None


def get(tx: Tx, container_id: int) -> ContainerRow:
    """Return one; raises UnknownContainer."""
    rows = _rows(tx, t.container.c.id == container_id, limit=1)
    if not rows:
        raise UnknownContainer(f"there is no opened container {container_id}")
    return rows[0]


def page(
    tx: Tx,
    *,
    state: ContainerState | None = None,
    expired_on: date | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[ContainerRow, ...]:
    """Return containers by ascending id; with `expired_on` only open ones whose date has passed."""
    box = t.container.c
    conditions = [box.id > after]
    if state is not None:
        conditions.append(box.state == state.value)
    if expired_on is not None:
        conditions += [box.state == ContainerState.OPEN.value, box.use_by < expired_on]
    return _rows(tx, and_(*conditions), limit=limit)


def set_left(tx: Tx, container_id: int, left_milli: int, stamp: Stamp) -> ContainerRow:
    """Say how much is left in an open container; raises UnknownContainer or ContainerClosed."""
    _check_open(tx, container_id)
    box = t.container
    tx.execute(
        update(box)
        .where(box.c.id == container_id)
        .values(left_milli=left_milli, updated_at=stamp.at)
    )
    audit(tx, stamp, "container.seen", f"container {container_id}", {"left_milli": left_milli})
    return get(tx, container_id)


def close(tx: Tx, container_id: int, state: ContainerState, stamp: Stamp) -> ContainerRow:
    """Close an open container; raises UnknownContainer or ContainerClosed."""
    _check_open(tx, container_id)
    box = t.container
    tx.execute(
        update(box)
        .where(box.c.id == container_id)
        .values(
            state=state.value,
            left_milli=0,
            closed_at=stamp.at,
            closed_by=stamp.actor,
            updated_at=stamp.at,
        )
    )
    audit(tx, stamp, f"container.{state}", f"container {container_id}", {})
    return get(tx, container_id)


def set_movement(tx: Tx, container_id: int, movement_id: int) -> ContainerRow:
    """Name the waste of a discarded container."""
    box = t.container
    tx.execute(update(box).where(box.c.id == container_id).values(movement_id=movement_id))
    return get(tx, container_id)


def flag_expired(tx: Tx, on_date: date, stamp: Stamp, *, limit: int) -> tuple[ContainerRow, ...]:
    """Flag the open containers whose date has passed and that were not flagged before."""
    box = t.container
    condition = and_(
        box.c.state == ContainerState.OPEN.value,
        box.c.use_by < on_date,
        box.c.flagged_at.is_(None),
    )
    found = _rows(tx, condition, limit=limit)
    for row in found:
        tx.execute(update(box).where(box.c.id == row.id).values(flagged_at=stamp.at))
        details = {"use_by": row.use_by.isoformat()}
        audit(tx, stamp, "container.flagged", f"container {row.id}", details)
    return tuple(get(tx, row.id) for row in found)


def expired_milli(on_date: date) -> ColumnElement[int]:
    """Return what lies in expired open containers of a balance's lot and place, as SQL.

    Where nobody says how much is left it is the whole content: better too little is picked.
    """
    box = t.container.c
    return (
        select(func.coalesce(func.sum(func.coalesce(box.left_milli, box.content_milli)), 0))
        .where(
            box.item_id == t.balance.c.item_id,
            box.lot == t.balance.c.lot,
            box.location_id == t.balance.c.location_id,
            box.state == ContainerState.OPEN.value,
            box.use_by < on_date,
        )
        .correlate(t.balance)
        .scalar_subquery()
    )


def _check_open(tx: Tx, container_id: int) -> None:
    row = get(tx, container_id)
    if row.state is not ContainerState.OPEN:
        raise ContainerClosed(f"container {container_id} is {row.state}")


def _rows(tx: Tx, condition: ColumnElement[bool], *, limit: int) -> tuple[ContainerRow, ...]:
    box = t.container
    query = (
        select(box, t.item.c.name, t.item.c.unit)
        .join(t.item, t.item.c.item_id == box.c.item_id)
        .where(condition)
        .order_by(box.c.id)
        .limit(limit)
    )
    return tuple(
        ContainerRow(
            id=row.id,
            item_id=row.item_id,
            name=row.name,
            unit=row.unit,
            lot=row.lot,
            location_id=row.location_id,
            opened_at=row.opened_at,
            opened_on=row.opened_on,
            rule=row.rule,
            rule_source=row.rule_source,
            use_by=row.use_by,
            content_milli=row.content_milli,
            left_milli=row.left_milli,
            state=ContainerState(row.state),
            actor=row.actor,
            closed_at=row.closed_at,
            closed_by=row.closed_by,
            movement_id=row.movement_id,
            flagged_at=row.flagged_at,
        )
        for row in tx.execute(query)
    )
