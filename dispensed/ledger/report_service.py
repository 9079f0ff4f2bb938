"""Rows of the reports on service: when a place was empty, and how cabinets are used.

Times are those at which things occurred. Rows are read in order of item and time and never kept.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row, or_, select

from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.report_stock import stream
from dispensed.model.catalog import LocationKind
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import MILLI
from dispensed.model.report import Asked, Gathering

SERVED = (LocationKind.BIN.value, LocationKind.DEVICE.value)
"""Kinds of place from which patients are served."""
VENDS = frozenset(
    kind.value for kind in (MovementKind.OUTPUT, MovementKind.REMOVE, MovementKind.PICK)
)
FILLS = frozenset({MovementKind.LOAD.value})
HOUR = timedelta(hours=1)

STOCK_OUT = (
    "item_id::item",
    "name",
    "strength",
    "location_id::place",
    "since:time",
    "until:time",
    "hours:amount",
    "orders:count:orders meanwhile",
)


@dataclass(frozen=True, slots=True)
class _Empty:
    """A place without any lot of an item; `until` None while it lasts."""

    place: str
    since: datetime
    until: datetime | None


def stock_out(tx: Tx, asked: Asked, into: Gathering) -> None:
    """When a place held nothing of an item, which it held before, while it was ordered.

    Only times in which at least one dispense of the item was ordered; parts outside the time asked
    for are left off. A place is one bin or device; orders are of the item, wherever they were met.
    """
    places = _places(tx)
    for item, rows in groupby(_movements(tx, asked), lambda row: row.item_id):
        gaps = list(_gaps(rows, places))
        if not gaps:
            continue
        ordered = _orders(tx, item)
        known = tx.execute(select(t.item).where(t.item.c.item_id == item)).one()
        for gap in gaps:
            since = max(gap.since, asked.begin)
            until = min(gap.until or asked.end, asked.end)
            if since >= until or asked.location not in (None, gap.place):
                continue
            orders = bisect_left(ordered, until) - bisect_left(ordered, since)
            if not orders:
                continue
            lasts = gap.until is None
            hours = (until - since) * MILLI // HOUR
            into.add(
                item,
                known.name,
                known.strength,
                gap.place,
                since,
                None if lasts else until,
                hours,
                orders,
            )
            into.count("stock-outs")
            into.count("not ended", int(lasts))
            into.total("time", hours, "hours")


def _movements(tx: Tx, asked: Asked) -> Iterator[Row[Any]]:
    line = t.movement.c
    query = (
        select(line.item_id, line.kind, line.source, line.target, line.milli, line.occurred_at)
        .where(line.occurred_at < asked.end)
        .order_by(line.item_id, line.occurred_at, line.id)
    )
    if asked.item is not None:
        query = query.where(line.item_id == asked.item)
    return stream(tx, query)


def _gaps(rows: Iterator[Row[Any]], places: frozenset[str]) -> Iterator[_Empty]:
    """Follow one item; yields each time at which a place held nothing of it any more."""
    held: dict[str, int] = defaultdict(int)
    empty: dict[str, datetime] = {}
    for row in rows:
        for place, change in ((row.source, -row.milli), (row.target, row.milli)):
            if place not in places:
                continue
            before = held[place]
            held[place] += change
            if before > 0 >= held[place]:
                empty[place] = row.occurred_at
            elif before <= 0 < held[place] and place in empty:
                yield _Empty(place, empty.pop(place), row.occurred_at)
    for place, since in empty.items():
        yield _Empty(place, since, None)


def _places(tx: Tx) -> frozenset[str]:
    place = t.location.c
    return frozenset(tx.scalars(select(place.location_id).where(place.kind.in_(SERVED))))


def _orders(tx: Tx, item_id: str) -> list[datetime]:
    asked_for = t.dispense.c
    query = select(asked_for.requested_at).where(asked_for.item_id == item_id)
    return list(tx.scalars(query.order_by(asked_for.requested_at)))


# ---------------------------------------------------------------- cabinets

CABINETS = (
    "location_id::cabinet",
    "items:count:items held",
    "vends:count",
    "fills:count",
    "vend_fill:amount:vends per fill",
    "stock_outs:count:stock-outs",
    "stock_out_percent:amount:stock-outs in % of vends",
    "unused:count:items not vended",
)


@dataclass(slots=True)
class _Use:
    """What was done at one cabinet."""

    vends: int = 0
    fills: int = 0
    stock_outs: int = 0
    used: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)


def cabinets(tx: Tx, asked: Asked, into: Gathering) -> None:
    """How each device that holds stock is used.

    A vend is one movement out of it to a patient or fill, a fill one load into it; what was undone
    by a reversal counts no more. A stock-out is a vend that takes the last of an item. Items not
    vended are those with stock at the end and no vend within so many days before it.
    """
    device = t.location.c
    query = select(device.location_id).where(device.kind == LocationKind.DEVICE.value)
    if asked.location is not None:
        query = query.where(device.location_id == asked.location)
    uses = {place: _Use() for place in tx.scalars(query.order_by(device.location_id))}
    undone = _undone(tx)
    recent = asked.end - timedelta(days=asked.days)
    line = t.movement.c
    moves = (
        select(t.movement)
        .where(line.occurred_at < asked.end)
        .where(or_(line.source.in_(tuple(uses)), line.target.in_(tuple(uses))))
        .order_by(line.item_id, line.occurred_at, line.id)
    )
    for item, rows in groupby(stream(tx, moves), lambda row: row.item_id):
        _follow(item, rows, uses, undone, asked.begin, recent)
    for place, use in uses.items():
        unused = len(use.held - use.used)
        into.add(
            place,
            len(use.held),
            use.vends,
            use.fills,
            use.vends * MILLI // use.fills if use.fills else None,
            use.stock_outs,
            use.stock_outs * 100 * MILLI // use.vends if use.vends else None,
            unused,
        )
        into.count("vends", use.vends)
        into.count("fills", use.fills)
        into.count("stock-outs", use.stock_outs)
        into.count("items not vended", unused)


def _follow(
    item: str,
    rows: Iterator[Row[Any]],
    uses: dict[str, _Use],
    undone: frozenset[int],
    begin: datetime,
    recent: datetime,
) -> None:
    held: dict[str, int] = defaultdict(int)
    for row in rows:
        counts = row.id not in undone and row.occurred_at >= begin
        source, target = uses.get(row.source), uses.get(row.target)
        if source is not None:
            held[row.source] -= row.milli
            vended = row.kind in VENDS and row.id not in undone
            if vended and row.occurred_at >= recent:
                source.used.add(item)
            if vended and counts:
                source.vends += 1
                source.stock_outs += held[row.source] <= 0
        if target is not None:
            held[row.target] += row.milli
            target.fills += counts and row.kind in FILLS
    for place, milli in held.items():
        if milli > 0:
            uses[place].held.add(item)


def _undone(tx: Tx) -> frozenset[int]:
    """Return the movements that were reversed."""
    reverses = t.movement.c.reverses
    return frozenset(tx.scalars(select(reverses).where(reverses.is_not(None))))
