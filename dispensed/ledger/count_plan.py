"""What the plan of cycle counts is made from: stock by place, usage, costs, last counts."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, case, func, insert, or_, select, update

from dispensed.errors import Invalid
from dispensed.ledger import tables as t
from dispensed.ledger.catalog import get_item
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import LocationKind, Schedule
from dispensed.model.counting import (
    AbcClass,
    CountCell,
    CountPolicy,
    CountState,
    classify,
    typical,
    usage_value,
)

COUNTED_KINDS = (
    LocationKind.BIN,
    LocationKind.DEVICE,
    LocationKind.RECEIVING,
    LocationKind.REJECTS,
    LocationKind.OUTDATE,
)
"""Places where stock rests; what is in a tray or a hand is followed fill by fill."""
DISPENSED = "ext:dispensed"
COST_MAX = 10**12
"""Largest cost of a pack in minor units of money."""


def set_cost(tx: Connection, item_id: str, pack_minor: int, stamp: Stamp) -> None:
    """Say what a pack costs, in minor units of the site's money; raises UnknownItem, Invalid."""
    get_item(tx, item_id)
    if not 0 < pack_minor <= COST_MAX:
        raise Invalid(f"item {item_id}: a pack cannot cost {pack_minor}")
    values = {"pack_minor": pack_minor, "actor": stamp.actor, "recorded_at": stamp.at}
    change = update(t.item_cost).where(t.item_cost.c.item_id == item_id)
    if tx.execute(change.values(values)).rowcount == 0:
        tx.execute(insert(t.item_cost), {"item_id": item_id, **values})
    audit(tx, stamp, "item.cost_set", f"item {item_id}", {"pack_minor": pack_minor})


def used(tx: Connection, since: datetime) -> dict[str, int]:
    """Return what went to patients since an instant, less what came back, by item."""
    move = t.movement.c
    signed = case((move.target == DISPENSED, move.milli), else_=-move.milli)
    query = (
        select(move.item_id, func.sum(signed).label("milli"))
        .where(or_(move.target == DISPENSED, move.source == DISPENSED), move.occurred_at >= since)
        .group_by(move.item_id)
    )
    return {row.item_id: max(0, int(row.milli)) for row in tx.execute(query)}


def classes(tx: Connection, since: datetime, policy: CountPolicy) -> Mapping[str, AbcClass]:
    """Return the class of every item that was used since an instant; others are C."""
    costs = {row.item_id: row.pack_minor for row in tx.execute(select(t.item_cost))}
    usual = typical(costs.values())
    usage = used(tx, since)
    packs = {
        row.item_id: row.pack_milli
        for row in tx.execute(select(t.item.c.item_id, t.item.c.pack_milli))
    }
    values = {
        item_id: usage_value(milli, packs[item_id], costs.get(item_id), usual)
        for item_id, milli in usage.items()
    }
    return classify(values, policy)


def cells(tx: Connection, since: datetime, policy: CountPolicy) -> tuple[CountCell, ...]:
    """Return every item at every place where it lies, with its class and its last whole count."""
    by_item = classes(tx, since, policy)
    costs = {row.item_id: row.pack_minor for row in tx.execute(select(t.item_cost))}
    usual = typical(costs.values())
    last = last_counts(tx)
    query = (
        select(
            t.balance.c.item_id,
            t.balance.c.location_id,
            func.sum(t.balance.c.on_hand).label("milli"),
            t.item.c.pack_milli,
            t.item.c.schedule,
        )
        .join(t.item, t.item.c.item_id == t.balance.c.item_id)
        .join(t.location, t.location.c.location_id == t.balance.c.location_id)
        .where(t.balance.c.on_hand > 0, t.location.c.kind.in_([k.value for k in COUNTED_KINDS]))
        .group_by(
            t.balance.c.item_id,
            t.balance.c.location_id,
            t.item.c.pack_milli,
            t.item.c.schedule,
        )
    )
    found = []
    for row in tx.execute(query):
        times = (last.get((row.item_id, row.location_id)), last.get((None, row.location_id)))
        known = [at for at in times if at is not None]
        found.append(
            CountCell(
                item_id=row.item_id,
                location_id=row.location_id,
                abc=by_item.get(row.item_id, AbcClass.C),
                controlled=Schedule(row.schedule).is_controlled,
                value=usage_value(int(row.milli), row.pack_milli, costs.get(row.item_id), usual),
                last=max(known, default=None),
            )
        )
    return tuple(found)


def last_counts(tx: Connection) -> dict[tuple[str | None, str], datetime]:
    """Return when all lots of an item at a place, or all of a place (item None), were counted."""
    task = t.count_task.c
    query = (
        select(
            task.item_id, task.location_id, func.max(t.count_round.c.counted_at).label("counted")
        )
        .join(t.count_round, t.count_round.c.task_id == task.id)
        .where(task.state == CountState.CLOSED.value, task.lot.is_(None))
        .group_by(task.item_id, task.location_id)
    )
    found: dict[tuple[str | None, str], datetime] = {}
    for row in tx.execute(query):
        found[row.item_id, row.location_id] = row.counted
    return found
