"""The journal and its cache: appends movements to the hash chain and keeps the balances.

For `post` only; everything here runs inside one write, which no other write can overlap.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from dispensed.ledger import tables as t
from dispensed.ledger.stamp import Stamp
from dispensed.ledger.types import to_microseconds
from dispensed.model.movement import MovementKind


@dataclass(frozen=True, slots=True)
class Move:
    """A wanted or reported movement of `milli` thousandths of one lot from `source` to `target`.

    `request_id` makes it repeatable: the same id with the same content is booked once.
    """

    kind: MovementKind
    item_id: str
    lot: str
    source: str
    target: str
    milli: int
    request_id: str
    occurred_at: datetime
    dispense_id: int | None = None
    inbox_id: int | None = None


class Cell(NamedTuple):
    """One balance: a lot at a location."""

    item_id: str
    lot: str
    location_id: str


@dataclass(frozen=True, slots=True)
class Link:
    """What a movement refers to: the claim it pays, or the movement it reverses."""

    claim_id: int | None = None
    reverses: int | None = None


NO_LINK = Link()

_HEAD = select(t.chain_head.c.last_id, t.chain_head.c.hash)
_SET_HEAD = update(t.chain_head)
_INSERT = insert(t.movement)
_BALANCE_KEY = (
    (t.balance.c.item_id == bindparam("b_item"))
    & (t.balance.c.lot == bindparam("b_lot"))
    & (t.balance.c.location_id == bindparam("b_location"))
)
_GET_BALANCE = select(t.balance.c.on_hand, t.balance.c.held).where(_BALANCE_KEY)
_ADD_TO_BALANCE = (
    update(t.balance)
    .where(_BALANCE_KEY)
    .values(
        on_hand=t.balance.c.on_hand + bindparam("more_on_hand"),
        held=t.balance.c.held + bindparam("more_held"),
        recorded_at=bindparam("b_at"),
    )
)
_NEW_BALANCE = insert(t.balance)


@dataclass(frozen=True, slots=True)
class Held:
    """One balance row."""

    on_hand: int
    held: int


def movement_hash(row: Mapping[str, object]) -> str:
    """Return the SHA-256 of one movement's content, which includes `prev_hash`, as 64 hex digits.

    The content is a JSON array of all columns but `hash` in the order of the table, times as whole
    microseconds since 1970: every value has one encoding and no two rows share one.
    """
    content: list[object] = []
    for column in t.movement.columns:
        if column.name != "hash":
            value = row[column.name]
            content.append(to_microseconds(value) if isinstance(value, datetime) else value)
    encoded = json.dumps(content, ensure_ascii=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


def append(tx: Connection, move: Move, stamp: Stamp, link: Link = NO_LINK) -> int:
    """Write one movement at the end of the chain and change both balances; returns its id.

    The database refuses a source that would go below zero or below what is held.
    """
    last_id, last_hash = tx.execute(_HEAD).one()
    row: dict[str, object] = {
        "id": last_id + 1,
        "kind": move.kind.value,
        "item_id": move.item_id,
        "lot": move.lot,
        "source": move.source,
        "target": move.target,
        "milli": move.milli,
        "occurred_at": move.occurred_at,
        "recorded_at": stamp.at,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "request_id": move.request_id,
        "dispense_id": move.dispense_id,
        "inbox_id": move.inbox_id,
        "claim_id": link.claim_id,
        "reverses": link.reverses,
        "prev_hash": last_hash,
    }
    row["hash"] = movement_hash(row)
    tx.execute(_INSERT, row)
    tx.execute(_SET_HEAD, {"last_id": last_id + 1, "hash": row["hash"], "recorded_at": stamp.at})
    change(tx, Cell(move.item_id, move.lot, move.source), stamp, on_hand=-move.milli)
    change(tx, Cell(move.item_id, move.lot, move.target), stamp, on_hand=move.milli)
    return int(last_id) + 1


def held_at(tx: Connection, cell: Cell) -> Held:
    """Return a balance; zeros when there never was any."""
    found = tx.execute(_GET_BALANCE, _bind(cell)).one_or_none()
    return Held(0, 0) if found is None else Held(found.on_hand, found.held)


def change(tx: Connection, cell: Cell, stamp: Stamp, *, on_hand: int = 0, held: int = 0) -> None:
    """Add to a balance; both numbers change in one statement."""
    more = {"more_on_hand": on_hand, "more_held": held, "b_at": stamp.at}
    if tx.execute(_ADD_TO_BALANCE, {**_bind(cell), **more}).rowcount:
        return
    tx.execute(
        _NEW_BALANCE,
        {
            **cell._asdict(),
            "on_hand": on_hand,
            "held": held,
            "external": t.is_external(cell.location_id),
            "recorded_at": stamp.at,
        },
    )


def _bind(cell: Cell) -> dict[str, str]:
    return {"b_item": cell.item_id, "b_lot": cell.lot, "b_location": cell.location_id}
