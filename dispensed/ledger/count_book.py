"""The book of a place at the instant of a count.

What happened before a count and what after it is decided by `occurred_at`, because a machine's
message or a person's note may be recorded late: a movement that occurred at or before the instant
belongs to the book of the count whenever it is recorded. Where the counter tells the journal's
position instead, every movement up to it was before the count; one behind it only if it had
occurred before that position was written. Movements that were recorded when the task was opened are
always before. A movement that is recorded after a count was judged and had occurred before it is
found by `late_movements`; its place is counted again.

Stock that machines say left a place without the book having it (`unbooked`) is taken off the book:
it had been there, so the count must not find it again.
"""

from collections import defaultdict
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, Connection, case, func, or_, select

from dispensed.errors import Invalid
from dispensed.ledger import tables as t

Lots = dict[tuple[str, str], int]
"""Thousandths by item and lot."""


class BadCount(Invalid):
    """The count names no place that holds stock, an instant or lot outside of the task, ..."""

    code: ClassVar[str] = "bad_count"


class Scope(NamedTuple):
    """What is counted: a place, there one item or all, of it one lot or all."""

    location_id: str
    item_id: str | None = None
    lot: str | None = None


def head(tx: Connection) -> int:
    """Return the number of the last movement."""
    return int(tx.execute(select(t.chain_head.c.last_id)).scalar_one())


def book_at(
    tx: Connection, scope: Scope, *, since: int, at: datetime, position: int | None = None
) -> Lots:
    """Return what the book held of every lot in a scope at an instant; what it never held is out.

    `since` is a movement that was recorded before the instant, `position` the last movement before
    the count, where that is known. Raises BadCount for a position outside of the journal.
    """
    move = t.movement.c
    after = move.occurred_at > at
    if position is not None:
        if not since <= position <= head(tx):
            raise BadCount(f"position {position}: the journal since the task is {since} and later")
        written = tx.execute(select(move.recorded_at).where(move.id == position)).scalar()
        after = move.id > position
        if written is not None:
            after &= move.occurred_at >= written
    book: Lots = defaultdict(int)
    balance = t.balance.c
    held = select(balance.item_id, balance.lot, balance.on_hand).where(
        *within(balance, scope, balance.location_id == scope.location_id)
    )
    for row in tx.execute(held):
        book[row.item_id, row.lot] += row.on_hand
    signed = case((move.target == scope.location_id, move.milli), else_=-move.milli)
    ends = or_(move.source == scope.location_id, move.target == scope.location_id)
    moved = (
        select(move.item_id, move.lot, func.sum(signed).label("milli"))
        .where(move.id > since, after, *within(move, scope, ends))
        .group_by(move.item_id, move.lot)
    )
    for row in tx.execute(moved):
        book[row.item_id, row.lot] -= int(row.milli)
    claim = t.unbooked.c
    claimed = select(claim.item_id, claim.lot, claim.remaining).where(
        claim.remaining > t.ZERO,
        claim.occurred_at <= at,
        *within(claim, scope, claim.location_id == scope.location_id),
    )
    for row in tx.execute(claimed):
        book[row.item_id, row.lot] -= row.remaining
    return {key: milli for key, milli in book.items() if milli}


def within(
    columns: Any, scope: Scope, *conditions: ColumnElement[bool]
) -> list[ColumnElement[bool]]:
    """Return conditions on rows of a scope: those given, and its item and lot."""
    found = list(conditions)
    if scope.item_id is not None:
        found.append(columns.item_id == scope.item_id)
    if scope.lot is not None:
        found.append(columns.lot == scope.lot)
    return found
