"""Rows of the reports on stock: the card of an item, usage, expiry, what was dispensed.

Times are those at which things occurred. Rows are read one by one and never kept here.
"""

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, case, func, not_, or_, select

from dispensed.ledger import tables as t
from dispensed.ledger.catalog import get_item
from dispensed.ledger.engine import Tx
from dispensed.model.report import Asked, Gathering

BATCH = 2000
"""Rows fetched at once."""
GIVEN = "ext:dispensed"
"""The account of everything that was handed out."""


def stream(tx: Tx, query: Select[Any]) -> Iterator[Row[Any]]:
    """Read rows in batches, so that memory does not grow with their number."""
    return iter(tx.execute(query.execution_options(yield_per=BATCH)))


def within(asked: Asked) -> ColumnElement[bool]:
    """Say that a movement occurred in the time that is asked for."""
    at = t.movement.c.occurred_at
    return and_(at >= asked.begin, at < asked.end)


# ---------------------------------------------------------------- stock card

CARD = (
    "id:count",
    "occurred_at:time:when",
    "recorded_at:time:recorded",
    "kind",
    "lot",
    "source::from",
    "target::to",
    "in:amount",
    "out:amount",
    "balance:amount",
    "unit",
    "actor",
    "reason",
    "reverses:count",
)


def stock_card(tx: Tx, asked: Asked, into: Gathering) -> None:
    """Every movement into or out of a place, or of the whole site, with the running balance.

    Without a place, moves between places of the site change nothing and are left out. Ordered by
    when things occurred; the balance may be below zero while facts are known in part.
    """
    item = get_item(tx, asked.item or "")
    line = t.movement.c
    into_scope, out_of_scope = _scope(asked)
    wanted = [line.item_id == item.item_id, into_scope != out_of_scope]
    if asked.lot is not None:
        wanted.append(line.lot == asked.lot)
    change = case((into_scope, line.milli), else_=-line.milli)
    opening = select(func.coalesce(func.sum(change), 0)).where(
        *wanted, line.occurred_at < asked.begin
    )
    balance = int(tx.execute(opening).scalar_one())
    into.total("opening", balance, item.unit)
    into.total("in", 0, item.unit)
    into.total("out", 0, item.unit)
    query = (
        select(t.movement, change.label("change"))
        .where(*wanted, within(asked))
        .order_by(line.occurred_at, line.id)
    )
    for row in stream(tx, query):
        balance += row.change
        came, went = max(row.change, 0), max(-row.change, 0)
        into.total("in", came, item.unit)
        into.total("out", went, item.unit)
        into.add(
            row.id,
            row.occurred_at,
            row.recorded_at,
            row.kind,
            row.lot,
            row.source,
            row.target,
            came or None,
            went or None,
            balance,
            item.unit,
            row.actor,
            row.reason,
            row.reverses,
        )
    into.total("closing", balance, item.unit)


def _scope(asked: Asked) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return what a movement into the scope is, and one out of it."""
    line = t.movement.c
    if asked.location is not None:
        return line.target == asked.location, line.source == asked.location
    return not_(line.target.startswith("ext:")), not_(line.source.startswith("ext:"))


# ---------------------------------------------------------------- usage

USAGE = (
    "item_id::item",
    "name",
    "strength",
    "period",
    "given:amount",
    "taken_back:amount:taken back",
    "used:amount",
    "unit",
    "movements:count",
)


def usage(tx: Tx, asked: Asked, into: Gathering) -> None:
    """What was handed out by item and period, less what was taken back or undone."""
    line = t.movement.c
    query = (
        select(line.item_id, line.target, line.milli, line.occurred_at, *_NAMES)
        .join(t.item, t.item.c.item_id == line.item_id)
        .where(or_(line.source == GIVEN, line.target == GIVEN), within(asked))
        .order_by(line.item_id, line.occurred_at, line.id)
    )
    if asked.item is not None:
        query = query.where(line.item_id == asked.item)

    def key(row: Row[Any]) -> tuple[str, str]:
        return row.item_id, asked.period.of(row.occurred_at, asked.zone)

    for (item_id, period), rows in groupby(stream(tx, query), key):
        given = back = count = 0
        name = strength = unit = ""
        for row in rows:
            name, strength, unit = row.name, row.strength, row.unit
            count += 1
            given += row.milli if row.target == GIVEN else 0
            back += 0 if row.target == GIVEN else row.milli
        into.add(item_id, name, strength, period, given, back, given - back, unit, count)
        into.total("given", given, unit)
        into.total("taken back", back, unit)
        into.total("used", given - back, unit)


_NAMES = (t.item.c.name, t.item.c.strength, t.item.c.unit)


# ---------------------------------------------------------------- expiry

EXPIRY = (
    "item_id::item",
    "name",
    "strength",
    "lot",
    "expiry:date:last day of use",
    "days_left:count:days left",
    "location_id::place",
    "state",
    "on_hand:amount:on hand",
    "unit",
)


def expiry(tx: Tx, asked: Asked, into: Gathering) -> None:
    """Stock whose last day of use is at most so many days away, past, or unknown; soonest first."""
    there = t.balance.c
    ends = t.lot.c.expiry
    query = (
        select(t.balance, ends, t.lot.c.state, *_NAMES)
        .join(t.item, t.item.c.item_id == there.item_id)
        .join(t.lot, and_(t.lot.c.item_id == there.item_id, t.lot.c.lot == there.lot))
        .where(there.external.is_(False), there.on_hand > 0)
        .where(or_(ends.is_(None), ends <= _after(asked.today, asked.days)))
        .order_by(
            ends.is_not(None), ends, t.item.c.name, there.item_id, there.lot, there.location_id
        )
    )
    for column, wanted in ((there.item_id, asked.item), (there.location_id, asked.location)):
        if wanted is not None:
            query = query.where(column == wanted)
    for row in stream(tx, query):
        left = None if row.expiry is None else (row.expiry - asked.today).days
        into.add(
            row.item_id,
            row.name,
            row.strength,
            row.lot,
            row.expiry,
            left,
            row.location_id,
            row.state,
            row.on_hand,
            row.unit,
        )
        label = "without expiry" if left is None else "past" if left < 0 else "to come"
        into.total(label, row.on_hand, row.unit)


def _after(day: date, days: int) -> date:
    """Return a date so many days later, the last of the calendar at most."""
    return date.fromordinal(min(day.toordinal() + days, date.max.toordinal()))


# ---------------------------------------------------------------- dispensing log

LOG = (
    "id:count",
    "occurred_at:time:when",
    "kind",
    "item_id::item",
    "name",
    "strength",
    "lot",
    "expiry:date:last day of use",
    "quantity:amount",
    "unit",
    "patient_key::patient key",
    "order_ref::order",
    "dispense_id:count:dispense",
    "verified_by::verified by",
    "actor",
    "reverses:count",
)


def dispensing_log(tx: Tx, asked: Asked, into: Gathering) -> None:
    """Everything handed out, and with a minus what was taken back or undone, by when.

    The patient is the opaque key of the order or of the removal; no name is kept anywhere.
    """
    line = t.movement.c
    step, taken = t.removal_step.c, t.removal.c
    query = (
        select(
            t.movement,
            *_NAMES,
            t.lot.c.expiry,
            func.coalesce(t.dispense.c.patient_key, taken.patient_key).label("patient_key"),
            func.coalesce(t.dispense.c.order_ref, taken.order_ref).label("order_ref"),
            t.dispense.c.verified_by,
        )
        .join(t.item, t.item.c.item_id == line.item_id)
        .join(t.lot, and_(t.lot.c.item_id == line.item_id, t.lot.c.lot == line.lot))
        .outerjoin(t.dispense, t.dispense.c.id == line.dispense_id)
        .outerjoin(t.removal_step, step.movement_id == line.id)
        .outerjoin(t.removal, taken.id == step.removal_id)
        .where(or_(line.source == GIVEN, line.target == GIVEN), within(asked))
        .order_by(line.occurred_at, line.id)
    )
    if asked.item is not None:
        query = query.where(line.item_id == asked.item)
    for row in stream(tx, query):
        milli = row.milli if row.target == GIVEN else -row.milli
        into.total("handed out", milli, row.unit)
        into.count("lines")
        into.add(
            row.id,
            row.occurred_at,
            row.kind,
            row.item_id,
            row.name,
            row.strength,
            row.lot,
            row.expiry,
            milli,
            row.unit,
            row.patient_key,
            row.order_ref,
            row.dispense_id,
            row.verified_by,
            row.actor,
            row.reverses,
        )
