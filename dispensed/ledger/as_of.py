"""Balances as of an instant, added up from the journal in either of its two times.

By `occurred`: what lay there then, as it is known now. A fact that is recorded late changes this
answer for the instants after it occurred; nothing that is stored changes.

By `recorded`: what the book said then. A fact that was recorded later never changes this answer.

Both take the movements whose time is at or before the instant. The sum over all accounts is zero
per item and lot in either. By `occurred` a place may be below zero while facts are known in part.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Column, and_, func, or_, select

from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import Cell


class TimeSense(StrEnum):
    """Which of a movement's two times decides."""

    OCCURRED = "occurred"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class AsOfRow:
    """One lot at one place at an instant; name, unit and expiry as they are known now."""

    item_id: str
    name: str
    strength: str
    unit: str
    schedule: str
    lot: str
    expiry: date | None
    location_id: str
    milli: int


TIMES: dict[TimeSense, Column[datetime]] = {
    TimeSense.OCCURRED: t.movement.c.occurred_at,
    TimeSense.RECORDED: t.movement.c.recorded_at,
}
"""The column that decides, by sense."""


def balances_as_of(
    tx: Tx,
    at: datetime,
    *,
    by: TimeSense = TimeSense.OCCURRED,
    item_id: str | None = None,
    location: str | None = None,
) -> dict[Cell, int]:
    """Return every balance that was not zero at the aware instant `at`, external accounts too.

    Memory grows with the number of balances, not of movements; without a filter every movement is
    read once, from an index alone.
    """
    line = t.movement.c
    query = (
        select(
            line.item_id, line.lot, line.source, line.target, func.sum(line.milli).label("moved")
        )
        .where(TIMES[by] <= at)
        .group_by(line.item_id, line.lot, line.source, line.target)
    )
    if item_id is not None:
        query = query.where(line.item_id == item_id)
    if location is not None:
        query = query.where(or_(line.source == location, line.target == location))
    cells: dict[Cell, int] = {}
    for row in tx.execute(query):
        moved = int(row.moved)
        for place, change in ((row.source, -moved), (row.target, moved)):
            if location is None or place == location:
                cell = Cell(row.item_id, row.lot, place)
                cells[cell] = cells.get(cell, 0) + change
    return {cell: milli for cell, milli in cells.items() if milli}


def stock_as_of(
    tx: Tx,
    at: datetime,
    *,
    by: TimeSense = TimeSense.OCCURRED,
    item_id: str | None = None,
    lot_number: str | None = None,
    location: str | None = None,
) -> tuple[AsOfRow, ...]:
    """Return what lay at the site's places at `at`, by item name, item, expiry, lot and place."""
    cells = balances_as_of(tx, at, by=by, item_id=item_id, location=location)
    there = {
        cell: milli
        for cell, milli in cells.items()
        if not t.is_external(cell.location_id) and lot_number in (None, cell.lot)
    }
    query = select(t.lot, t.item.c.name, t.item.c.strength, t.item.c.unit, t.item.c.schedule).join(
        t.item, and_(t.item.c.item_id == t.lot.c.item_id)
    )
    if item_id is not None:
        query = query.where(t.lot.c.item_id == item_id)
    lots = {(row.item_id, row.lot): row for row in tx.execute(query)}
    rows = []
    for cell, milli in there.items():
        lot = lots[cell.item_id, cell.lot]
        rows.append(
            AsOfRow(
                item_id=cell.item_id,
                name=lot.name,
                strength=lot.strength,
                unit=lot.unit,
                schedule=lot.schedule,
                lot=cell.lot,
                expiry=lot.expiry,
                location_id=cell.location_id,
                milli=milli,
            )
        )
    return tuple(sorted(rows, key=_order))


def _order(row: AsOfRow) -> tuple[str, str, date, str, str]:
    return (row.name, row.item_id, row.expiry or date.max, row.lot, row.location_id)
