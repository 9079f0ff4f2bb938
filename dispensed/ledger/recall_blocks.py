"""What open recalls stop: one lot, all lots of an item, and whatever was made from them.

A blocking line (`recall_case`) names an item and a lot, or all its lots. Lots that were repacked or
taken back into stock come from other lots; a recall follows them at any depth, before and after.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, tuple_, update

from dispensed.ledger import tables as t
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import LotState
from dispensed.model.recall import same_lot

KEYS_MAX = 400
"""Lots asked for in one statement."""


class LotKey(NamedTuple):
    """One lot of one item."""

    item_id: str
    lot: str


_UP = select(
    bindparam("b_item", type_=t.lot.c.item_id.type).label("item_id"),
    bindparam("b_lot", type_=t.lot.c.lot.type).label("lot"),
).cte("up", recursive=True)
_UP = _UP.union(
    select(t.lot_origin.c.parent_item_id, t.lot_origin.c.parent_lot).join(
        _UP, (t.lot_origin.c.item_id == _UP.c.item_id) & (t.lot_origin.c.lot == _UP.c.lot)
    )
)
_BLOCKS_ABOVE = (
    select(t.recall_case.c.id, t.recall_case.c.lot.label("named"), _UP.c.lot)
    .join(_UP, t.recall_case.c.item_id == _UP.c.item_id)
    .where(t.recall_case.c.state == "open")
    .order_by(t.recall_case.c.id)
)


def open_blocks(tx: Connection, item_id: str, lot: str) -> tuple[int, ...]:
    """Return the open blocking lines that stop a lot, itself or through what it was made from."""
    rows = tx.execute(_BLOCKS_ABOVE, {"b_item": item_id, "b_lot": lot})
    found = {row.id for row in rows if row.named is None or same_lot(row.named, row.lot)}
    return tuple(sorted(found))


def named_lots(tx: Connection, item_id: str, lot: str | None) -> tuple[LotKey, ...]:
    """Return the known lots that a blocking line names: all of the item, or each so written."""
    query = select(t.lot.c.lot).where(t.lot.c.item_id == item_id).order_by(t.lot.c.lot)
    known = tx.scalars(query).all()
    return tuple(LotKey(item_id, each) for each in known if lot is None or same_lot(lot, each))


def with_descendants(tx: Connection, keys: Iterable[LotKey]) -> tuple[LotKey, ...]:
    """Return lots with everything made from them, sorted; even a circle in the data ends."""
    seen: set[LotKey] = set(keys)
    edge = sorted(seen)
    while edge:
        below: set[LotKey] = set()
        for first in range(0, len(edge), KEYS_MAX):
            below.update(_made_from(tx, edge[first : first + KEYS_MAX]))
        edge = sorted(below - seen)
        seen.update(edge)
    return tuple(sorted(seen))


def _made_from(tx: Connection, keys: list[LotKey]) -> Iterable[LotKey]:
    origin = t.lot_origin.c
    query = select(origin.item_id, origin.lot).where(
        tuple_(origin.parent_item_id, origin.parent_lot).in_([tuple(key) for key in keys])
    )
    return (LotKey(row.item_id, row.lot) for row in tx.execute(query))


def hold(tx: Connection, item_id: str, lot: str | None, stamp: Stamp) -> tuple[LotKey, ...]:
    """Make recalled every known lot that is named, and all that was made from them.

    Returns them, those that were recalled before included.
    """
    keys = with_descendants(tx, named_lots(tx, item_id, lot))
    for key in keys:
        _set_recalled(tx, key, stamp)
    return keys


def inherit(tx: Connection, item_id: str, lot: str, stamp: Stamp) -> None:
    """Make a lot, and all made from it, recalled when an open recall stops what it came from."""
    if open_blocks(tx, item_id, lot):
        for key in with_descendants(tx, (LotKey(item_id, lot),)):
            _set_recalled(tx, key, stamp)


def _set_recalled(tx: Connection, key: LotKey, stamp: Stamp) -> None:
    is_lot = (t.lot.c.item_id == key.item_id, t.lot.c.lot == key.lot)
    state = tx.execute(select(t.lot.c.state).where(*is_lot)).scalar_one()
    if state == LotState.RECALLED:
        return
    tx.execute(update(t.lot).where(*is_lot).values(state=LotState.RECALLED.value))
    details = {"from": str(state), "to": LotState.RECALLED.value}
    audit(tx, stamp, "lot.state_set", f"lot {key.item_id}/{key.lot}", details)
