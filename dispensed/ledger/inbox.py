"""Raw device messages, stored before they are interpreted, and the effects that were applied once.

Two messages of one device with the same key are one: the first stays, with its bytes.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, func, insert, select, update

from dispensed.ledger import tables as t
from dispensed.ledger.rules import UnknownMessage
from dispensed.ledger.stamp import Stamp

NOTE_MAX = 2000
"""Most characters of a note that are kept."""

InboxState = Literal["new", "applied", "ignored", "unreadable"]


# Built once: these are asked with every message.
_KNOWN = select(t.inbox.c.id).where(
    t.inbox.c.device_id == bindparam("b_device"), t.inbox.c.key == bindparam("b_key")
)
_STORE = insert(t.inbox).returning(t.inbox.c.id)
_APPLIED = select(t.effect.c.inbox_id).where(
    t.effect.c.device_id == bindparam("b_device"), t.effect.c.effect_key == bindparam("b_key")
)
_MARK = (
    update(t.inbox)
    .where(t.inbox.c.id == bindparam("b_id"), t.inbox.c.state == "new")
    .values(state=bindparam("b_state"), note=bindparam("b_note"))
)


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One stored message; `raw` is what came over the wire."""

    id: int
    device_id: str
    key: str
    kind: str
    raw: bytes
    content_hash: str
    received_at: datetime
    state: InboxState
    note: str
    recorded_at: datetime


def store_message(
    tx: Connection, device_id: str, key: str, kind: str, raw: bytes, received_at: datetime
) -> tuple[int, bool]:
    """Store a message; returns its id and whether it is new (no message has its key)."""
    key = _storable(key)
    known = tx.execute(_KNOWN, {"b_device": device_id, "b_key": key}).scalar()
    if known is not None:
        return int(known), False
    values = {
        "device_id": device_id,
        "key": key,
        "kind": _storable(kind),
        "raw": raw,
        "content_hash": hashlib.sha256(raw).hexdigest(),
        "received_at": received_at,
        "state": "new",
        "note": "",
        "recorded_at": received_at,
    }
    made = tx.execute(_STORE, values).scalar_one()
    return int(made), True


def get(tx: Connection, inbox_id: int) -> InboxRow:
    """Return a message; raises UnknownMessage."""
    row = tx.execute(select(t.inbox).where(t.inbox.c.id == inbox_id)).one_or_none()
    if row is None:
        raise UnknownMessage(f"the inbox has no message {inbox_id}")
    return InboxRow(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name


def find_raw(tx: Connection, device_id: str, key: str) -> bytes | None:
    """Return the bytes of a message by its key, None when it was never stored."""
    where = (t.inbox.c.device_id == device_id, t.inbox.c.key == _storable(key))
    return tx.execute(select(t.inbox.c.raw).where(*where)).scalar()


def last_id(tx: Connection, device_id: str) -> int:
    """Return the id of the newest message of a device, 0 when there is none."""
    query = select(func.max(t.inbox.c.id)).where(t.inbox.c.device_id == device_id)
    return int(tx.execute(query).scalar() or 0)


def next_unapplied(tx: Connection, limit: int) -> tuple[InboxRow, ...]:
    """Return the oldest messages that were neither applied, ignored nor found unreadable."""
    query = select(t.inbox).where(t.IS_NEW).order_by(t.inbox.c.id).limit(limit)
    return tuple(InboxRow(**row._mapping) for row in tx.execute(query))  # noqa: SLF001 - public


def page(
    tx: Connection, *, state: InboxState | None = None, after: int = 0, limit: int = 100
) -> tuple[InboxRow, ...]:
    """Return messages by ascending id, after an id, at most `limit`."""
    query = select(t.inbox).where(t.inbox.c.id > after).order_by(t.inbox.c.id).limit(limit)
    if state is not None:
        query = query.where(t.inbox.c.state == state)
    return tuple(InboxRow(**row._mapping) for row in tx.execute(query))  # noqa: SLF001 - public


def mark_applied(tx: Connection, inbox_id: int, note: str) -> bool:
    """Note that a new message was applied; False (and no change) when it was dealt with before."""
    return _mark(tx, inbox_id, "applied", note)


def mark_ignored(tx: Connection, inbox_id: int, note: str) -> bool:
    """Note that a new message means nothing for stock; False when it was dealt with before."""
    return _mark(tx, inbox_id, "ignored", note)


def mark_unreadable(tx: Connection, inbox_id: int, note: str) -> bool:
    """Note that a new message cannot be read or booked; False when it was dealt with before."""
    return _mark(tx, inbox_id, "unreadable", note)


def effect_once(
    tx: Connection, device_id: str, effect_key: str, inbox_id: int, stamp: Stamp
) -> bool:
    """Claim one effect of a device for a message; False when it was applied before."""
    key = _storable(effect_key)
    if tx.execute(_APPLIED, {"b_device": device_id, "b_key": key}).first() is not None:
        return False
    values = {
        "device_id": device_id,
        "effect_key": key,
        "inbox_id": inbox_id,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.effect), values)
    return True


def known_effects(tx: Connection, device_id: str, keys: Collection[str]) -> set[str]:
    """Return those of the effect keys that were applied."""
    stored = {_storable(key): key for key in keys}
    query = select(t.effect.c.effect_key).where(
        t.effect.c.device_id == device_id, t.effect.c.effect_key.in_(stored)
    )
    return {stored[key] for key in tx.scalars(query)}


def _mark(tx: Connection, inbox_id: int, state: InboxState, note: str) -> bool:
    values = {"b_id": inbox_id, "b_state": state, "b_note": _storable(note)[:NOTE_MAX]}
    return tx.execute(_MARK, values).rowcount == 1


def _storable(text: str) -> str:
    """Escape what PostgreSQL or UTF-8 cannot hold: machines choose these texts."""
    escaped = text.replace("\x00", "\\x00")
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
