"""Where a lot comes from: each row says that one lot was made from another.

A repack run makes a child lot out of a bulk lot; a returned fill with a shorter date becomes a
child of the lot it was filled from. Recalls and traces follow these rows, forward and backward.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import ClassVar, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from dispensed.errors import Conflict, Invalid, InvariantBroken
from dispensed.ledger import recall_blocks
from dispensed.ledger.stamp import Stamp, audit
from dispensed.ledger.tables import lot_origin

LOTS_MAX = 100_000
"""Most lots that one walk visits; more is a fault of the data, not a trace."""


class OriginKind(StrEnum):
    """How one lot was made from another."""

    REPACK = "repack"
    RETURN_TO_STOCK = "return_to_stock"


class LotKey(NamedTuple):
    """One lot of one item."""

    item_id: str
    lot: str


class Origin(NamedTuple):
    """`child` was made from `parent`; `ref` names the run or the return, such as `repack:12`."""

    child: LotKey
    parent: LotKey
    kind: OriginKind
    ref: str


class OwnAncestor(Conflict):
    """The lot would be made from itself or from something that was made from it."""

    code: ClassVar[str] = "own_ancestor"


def record(tx: Connection, origin: Origin, stamp: Stamp) -> None:
    """Say that one lot was made from another; saying it again does nothing.

    Both lots must be known. What is made from a recalled lot is recalled at once. Raises Invalid
    for an empty `ref`, OwnAncestor for a circle.
    """
    if not origin.ref:
        raise Invalid(f"lot {origin.child.lot}: its origin names no run and no return")
    values = {
        "item_id": origin.child.item_id,
        "lot": origin.child.lot,
        "parent_item_id": origin.parent.item_id,
        "parent_lot": origin.parent.lot,
        "kind": origin.kind.value,
        "ref": origin.ref,
    }
    if tx.execute(select(lot_origin.c.ref).filter_by(**values)).first() is not None:
        return
    if origin.child == origin.parent or origin.parent in children(tx, *origin.child):
        raise OwnAncestor(
            f"lot {origin.child.lot} of item {origin.child.item_id} cannot be made from"
            f" lot {origin.parent.lot} of item {origin.parent.item_id}, which comes from it"
        )
    tx.execute(insert(lot_origin), {**values, "recorded_at": stamp.at})
    audit(
        tx,
        stamp,
        "lot.derived",
        f"lot {origin.child.item_id}/{origin.child.lot}",
        {
            "parent_item_id": origin.parent.item_id,
            "parent_lot": origin.parent.lot,
            "kind": origin.kind.value,
            "ref": origin.ref,
        },
    )
    recall_blocks.inherit(tx, *origin.child, stamp)


_ROW = (
    lot_origin.c.item_id,
    lot_origin.c.lot,
    lot_origin.c.parent_item_id,
    lot_origin.c.parent_lot,
    lot_origin.c.kind,
    lot_origin.c.ref,
)
_ORDER = (lot_origin.c.item_id, lot_origin.c.lot, lot_origin.c.ref, lot_origin.c.parent_lot)
_MADE_FROM = (
    select(*_ROW)
    .where(
        lot_origin.c.parent_item_id == bindparam("b_item"),
        lot_origin.c.parent_lot == bindparam("b_lot"),
    )
    .order_by(*_ORDER)
)
_ORIGINS_OF = (
    select(*_ROW)
    .where(lot_origin.c.item_id == bindparam("b_item"), lot_origin.c.lot == bindparam("b_lot"))
    .order_by(*_ORDER)
)


def made_from(tx: Connection, item_id: str, lot: str) -> tuple[Origin, ...]:
    """Return the rows of the lots that were made directly from a lot."""
    rows = tx.execute(_MADE_FROM, {"b_item": item_id, "b_lot": lot})
    return tuple(_origin(*row) for row in rows)


def origins_of(tx: Connection, item_id: str, lot: str) -> tuple[Origin, ...]:
    """Return the rows of the lots from which a lot was made directly."""
    rows = tx.execute(_ORIGINS_OF, {"b_item": item_id, "b_lot": lot})
    return tuple(_origin(*row) for row in rows)


def children(tx: Connection, item_id: str, lot: str) -> tuple[LotKey, ...]:
    """Return every lot that came from a lot through any number of steps, nearest first.

    The lot itself is not among them. Raises InvariantBroken beyond LOTS_MAX lots.
    """
    start = LotKey(item_id, lot)
    return _walk(start, lambda at: (origin.child for origin in made_from(tx, *at)))


def ancestors(tx: Connection, item_id: str, lot: str) -> tuple[LotKey, ...]:
    """Return every lot from which a lot came through any number of steps, nearest first.

    The lot itself is not among them. Raises InvariantBroken beyond LOTS_MAX lots.
    """
    start = LotKey(item_id, lot)
    return _walk(start, lambda at: (origin.parent for origin in origins_of(tx, *at)))


def _walk(start: LotKey, step: Callable[[LotKey], Iterable[LotKey]]) -> tuple[LotKey, ...]:
    """Visit breadth first, each lot once, so that even a circle in the data comes to an end."""
    seen = {start}
    found: list[LotKey] = []
    edge = [start]
    while edge:
        following: list[LotKey] = []
        for at in edge:
            for key in step(at):
                if key not in seen:
                    seen.add(key)
                    following.append(key)
        found += following
        if len(found) > LOTS_MAX:
            raise InvariantBroken(f"more than {LOTS_MAX} lots hang together with lot {start.lot}")
        edge = following
    return tuple(found)


def _origin(*row: str) -> Origin:
    item_id, lot, parent_item_id, parent_lot, kind, ref = row
    return Origin(LotKey(item_id, lot), LotKey(parent_item_id, parent_lot), OriginKind(kind), ref)
