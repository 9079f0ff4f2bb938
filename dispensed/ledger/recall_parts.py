"""Parts of recall notices that a person must read: kept with their place in the text, decided.

A part is never dropped: its case cannot be closed before it is decided.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import recall_blocks, recall_cases
from dispensed.ledger import tables as t
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.recall import words_of


class AlreadyDecided(Conflict):
    """A person has decided this part of the notice before."""

    code = "recall_decided"


@dataclass(frozen=True, slots=True)
class NewUnresolved:
    """Part of a notice for a person; `candidates` are (item, lot) pairs it may mean."""

    field: str
    start: int
    end: int
    text: str
    reason: str
    candidates: tuple[LotKey, ...] = ()


@dataclass(frozen=True, slots=True)
class UnresolvedRow:
    """Part of a notice for a person, and what was decided."""

    id: int
    recall_id: int
    recall_number: str
    notice_id: int
    field: str
    start: int
    end: int
    text: str
    reason: str
    candidates: tuple[LotKey, ...]
    state: str
    decided_by: str | None
    decided_at: datetime | None
    decision: str


def add(tx: Connection, case_id: int, notice_id: int, new: NewUnresolved, stamp: Stamp) -> int:
    """Keep a part of a notice for a person to decide; returns its number."""
    values = {
        "recall_id": case_id,
        "notice_id": notice_id,
        "field": new.field,
        "text_start": new.start,
        "text_end": new.end,
        "text": new.text,
        "reason": new.reason,
        "candidates": json.dumps([list(key) for key in new.candidates]),
        "state": "open",
        "decision": "",
        "recorded_at": stamp.at,
    }
    made = insert(t.recall_unresolved).returning(t.recall_unresolved.c.id)
    return int(tx.execute(made, values).scalar_one())


def is_known(tx: Connection, case_id: int, new: NewUnresolved) -> bool:
    """Whether the case has this part already, from an earlier notice of the same recall."""
    part = t.recall_unresolved.c
    query = select(part.id).where(
        part.recall_id == case_id,
        part.field == new.field,
        part.text == new.text,
        part.reason == new.reason,
    )
    return tx.execute(query).first() is not None


def candidates(tx: Connection, lot: str, *, product: str, labeler: str) -> tuple[LotKey, ...]:
    """Return the lots of this number whose item's name is in a text, or whose labeler is named."""
    in_product, in_labeler = words_of(product), words_of(labeler)
    item = t.item.c
    rows = tx.execute(select(item.item_id, item.name, item.labeler).order_by(item.item_id)).all()
    found: list[LotKey] = []
    for row in rows:
        if words_of(row.name) & in_product or words_of(row.labeler) & in_labeler:
            found += recall_blocks.named_lots(tx, row.item_id, lot)
    return tuple(found)


def get(tx: Connection, unresolved_id: int) -> UnresolvedRow:
    """Return one part; raises NotFound."""
    rows = _rows(tx, t.recall_unresolved.c.id == unresolved_id, 1)
    if not rows:
        raise NotFound(f"there is no unresolved part {unresolved_id} of a recall notice")
    return rows[0]


def page(
    tx: Connection,
    *,
    case_id: int | None = None,
    likely: bool = False,
    after: int = 0,
    limit: int = 100,
) -> tuple[UnresolvedRow, ...]:
    """Return the parts of one case, or those that wait for a person, by ascending id.

    What waits: undecided parts of cases that block, or that have no code to match by; with `likely`
    only those that lots here may be meant by.
    """
    condition = t.recall_unresolved.c.id > after
    if case_id is not None:
        condition &= t.recall_unresolved.c.recall_id == case_id
    else:
        condition &= t.recall_unresolved.c.state == "open"
        condition &= t.recall.c.state.in_(("open", "review"))
    if likely:
        condition &= t.recall_unresolved.c.candidates != recall_cases.NO_CANDIDATES
    return _rows(tx, condition, limit)


def decide(
    tx: Connection, unresolved_id: int, *, match: bool, reason: str, stamp: Stamp
) -> UnresolvedRow:
    """Note a person's decision on a part of a notice; raises NotFound or AlreadyDecided."""
    row = get(tx, unresolved_id)
    if row.state != "open":
        raise AlreadyDecided(
            f"part {unresolved_id} of recall {row.recall_number} was decided by {row.decided_by}:"
            f" {row.state}"
        )
    state = "match" if match else "no_match"
    values = {
        "state": state,
        "decided_by": stamp.actor,
        "decided_at": stamp.at,
        "decision": reason,
    }
    is_row = t.recall_unresolved.c.id == unresolved_id
    tx.execute(update(t.recall_unresolved).where(is_row).values(values))
    audit(tx, stamp, "recall.decided", f"recall part {unresolved_id}", {"decision": state})
    recall_cases.touch(tx, row.recall_id)
    return get(tx, unresolved_id)


def _rows(tx: Connection, condition: ColumnElement[bool], limit: int) -> tuple[UnresolvedRow, ...]:
    query = (
        select(t.recall_unresolved, t.recall.c.reference)
        .join(t.recall, t.recall.c.id == t.recall_unresolved.c.recall_id)
        .where(condition)
        .order_by(t.recall_unresolved.c.id)
        .limit(limit)
    )
    return tuple(
        UnresolvedRow(
            id=row.id,
            recall_id=row.recall_id,
            recall_number=row.reference,
            notice_id=row.notice_id,
            field=row.field,
            start=row.text_start,
            end=row.text_end,
            text=row.text,
            reason=row.reason,
            candidates=tuple(LotKey(*pair) for pair in json.loads(row.candidates)),
            state=row.state,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
            decision=row.decision,
        )
        for row in tx.execute(query)
    )
