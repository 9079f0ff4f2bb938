"""The inbox: device messages as they came, stored before they mean anything."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, insert, select, update

from dispensed.errors import InvariantBroken, NotFound
from dispensed.ledger.engine import Tx
from dispensed.ledger.stamp import Stamp
from dispensed.ledger.tables import effect, inbox


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One stored message; `state` is new, applied, ignored or unreadable, `note` says why."""

    id: int
    device_id: str
    key: str
    kind: str
    raw: bytes
    received_at: datetime
    state: str
    note: str


def store_message(
    tx: Tx, device_id: str, key: str, kind: str, raw: bytes, received_at: datetime
) -> tuple[int, bool]:
    """Store a message; returns its id and whether it is new.

    The same device and key are one message.
    """
    known = tx.execute(
        select(inbox.c.id).where(inbox.c.device_id == device_id, inbox.c.key == key)
    ).scalar_one_or_none()
    if known is not None:
        return known, False
    values = {
        "device_id": device_id,
        "key": key,
        "kind": kind,
        "raw": raw,
        "content_hash": hashlib.sha256(raw).hexdigest(),
        "received_at": received_at,
        "state": "new",
        "note": "",
        "recorded_at": received_at,
    }
    return tx.execute(insert(inbox).returning(inbox.c.id), values).scalar_one(), True


def get(tx: Tx, inbox_id: int) -> InboxRow:
    """Return one message; raises NotFound."""
    rows = _rows(tx, select(inbox).where(inbox.c.id == inbox_id))
    if not rows:
        raise NotFound(f"no stored message {inbox_id}")
    return rows[0]


def find_raw(tx: Tx, device_id: str, key: str) -> bytes | None:
    """Return the bytes of a message by its key, None when there is none."""
    return tx.execute(
        select(inbox.c.raw).where(inbox.c.device_id == device_id, inbox.c.key == key)
    ).scalar_one_or_none()


def next_unapplied(tx: Tx, limit: int) -> tuple[InboxRow, ...]:
    """Return the oldest messages that were not applied yet."""
    return _rows(tx, select(inbox).where(inbox.c.state == "new").order_by(inbox.c.id).limit(limit))


def page(
    tx: Tx, *, state: str | None = None, after: int = 0, limit: int = 100
) -> tuple[InboxRow, ...]:
    """Return messages by ascending id, after an id, of one state or all."""
    query = select(inbox).where(inbox.c.id > after).order_by(inbox.c.id).limit(limit)
    return _rows(tx, query if state is None else query.where(inbox.c.state == state))


def last_id(tx: Tx, device_id: str) -> int:
    """Return the newest message id of a device, 0 when it never sent one."""
    query = select(func.coalesce(func.max(inbox.c.id), 0)).where(inbox.c.device_id == device_id)
    return int(tx.execute(query).scalar_one())


def counts(tx: Tx) -> tuple[tuple[str, str, str, int], ...]:
    """Return (device, kind, state, messages), for metrics."""
    rows = tx.execute(
        select(inbox.c.device_id, inbox.c.kind, inbox.c.state, func.count().label("n"))
        .group_by(inbox.c.device_id, inbox.c.kind, inbox.c.state)
        .order_by(inbox.c.device_id, inbox.c.kind, inbox.c.state)
    )
    return tuple((row.device_id, row.kind, row.state, row.n) for row in rows)


def mark_applied(tx: Tx, inbox_id: int, note: str) -> None:
    """Say that a message's facts are booked; `note` tells what was done."""
    _mark(tx, inbox_id, "applied", note)


def mark_unreadable(tx: Tx, inbox_id: int, note: str) -> None:
    """Say why a message could not be read or booked; it waits for a person."""
    _mark(tx, inbox_id, "unreadable", note)


def mark_ignored(tx: Tx, inbox_id: int, note: str) -> None:
    """Say why a message means nothing for stock."""
    _mark(tx, inbox_id, "ignored", note)


def effect_once(tx: Tx, device_id: str, effect_key: str, inbox_id: int, stamp: Stamp) -> bool:
    """Claim the effect of one physical event; False when it was claimed before."""
    known = tx.execute(
        select(effect.c.inbox_id).where(
            effect.c.device_id == device_id, effect.c.effect_key == effect_key
        )
    ).first()
    if known is not None:
        return False
    values = {
        "device_id": device_id,
        "effect_key": effect_key,
        "inbox_id": inbox_id,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(effect), values)
    return True


def _mark(tx: Tx, inbox_id: int, state: str, note: str) -> None:
    changed = tx.execute(
        update(inbox)
        .where(inbox.c.id == inbox_id, inbox.c.state == "new")
        .values(state=state, note=note)
    ).rowcount
    if changed != 1:
        raise InvariantBroken(f"message {inbox_id} was marked twice, now as {state}")


def _rows(tx: Tx, query: Select[*tuple[object, ...]]) -> tuple[InboxRow, ...]:
    return tuple(
        InboxRow(
            id=row.id,
            device_id=row.device_id,
            key=row.key,
            kind=row.kind,
            raw=row.raw,
            received_at=row.received_at,
            state=row.state,
            note=row.note,
        )
        for row in tx.execute(query)
    )
