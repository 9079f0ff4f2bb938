"""Who touched a lot at a place since it was last known to be right: movements, drawers, counts."""

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from dispensed.ledger import tables as t
from dispensed.ledger.catalog import get_location
from dispensed.ledger.journal import Cell
from dispensed.model.counting import CountState

TOUCHES_MAX = 500
"""Most accesses of a kind that are told, the newest."""
NOT_PERSONS = frozenset(
    {
        "reconcile",
        "jobs",
        "cycle-count",
        "recovery",
        "dispense-runner",
        "set-up",
        "expiry-scan",
        "recall-feed",
    }
)
"""Names under which dispensed itself acts; a device acts under `device:` and its name."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """When a lot at a place was last seen to be what the book says, and how."""

    at: datetime
    how: str
    ref: int


@dataclass(frozen=True, slots=True)
class Touch:
    """One access: what kind, by whom, when; `ref` is its movement, count or audit event."""

    at: datetime
    kind: str
    actor: str
    text: str
    ref: int

    @property
    def is_person(self) -> bool:
        """Whether a person is named."""
        return self.actor not in NOT_PERSONS and not self.actor.startswith("device:")


def last_agreement(tx: Connection, cell: Cell, before: datetime) -> Agreement | None:
    """Return when a count, or a device that was compared, last agreed with the book.

    A comparison of the whole device agreed on every lot that has no discrepancy from it; one that
    left lots out says nothing.
    """
    result = t.count_result.c
    counted = (
        select(t.count_round.c.counted_at, t.count_round.c.task_id)
        .join(t.count_result, result.round_id == t.count_round.c.id)
        .join(t.count_task, t.count_task.c.id == t.count_round.c.task_id)
        .where(
            result.item_id == cell.item_id,
            result.lot == cell.lot,
            result.location_id == cell.location_id,
            result.variance_milli == t.ZERO,
            t.count_round.c.counted_at <= before,
            t.count_task.c.state == CountState.CLOSED.value,
        )
        .order_by(t.count_round.c.counted_at.desc(), t.count_round.c.id.desc())
        .limit(1)
    )
    run = t.snapshot_run.c
    compared = (
        select(run.at, run.id)
        .where(run.location_id == cell.location_id, run.at < before, run.skipped == 0)
        .order_by(run.at.desc(), run.id.desc())
        .limit(1)
    )
    found = [Agreement(row.counted_at, "count", row.task_id) for row in tx.execute(counted)]
    found += [Agreement(row.at, "snapshot", row.id) for row in tx.execute(compared)]
    return max(found, key=lambda each: each.at, default=None)


def touches(
    tx: Connection, cell: Cell, since: datetime | None, *, own: tuple[int, ...] = ()
) -> tuple[Touch, ...]:
    """Return every access since an instant, oldest first; at most TOUCHES_MAX of each kind.

    A drawer belongs to a place whose id is that of its cabinet, `CABINET/DRAWER` or begins so. The
    movements in `own`, which resolve the discrepancy, are left out.
    """
    found = [*_movements(tx, cell, since, own), *_drawers(tx, cell, since)]
    found += _counts(tx, cell, since)
    return tuple(sorted(found, key=lambda each: (each.at, each.kind, each.ref)))


def _movements(
    tx: Connection, cell: Cell, since: datetime | None, own: tuple[int, ...]
) -> list[Touch]:
    move = t.movement.c
    query = select(
        move.id, move.kind, move.source, move.target, move.actor, move.recorded_at
    ).where(
        move.item_id == cell.item_id,
        move.lot == cell.lot,
        or_(move.source == cell.location_id, move.target == cell.location_id),
        move.id.not_in(own),
    )
    if since is not None:
        query = query.where(move.recorded_at >= since)
    return [
        Touch(
            row.recorded_at,
            "movement",
            row.actor,
            f"{row.kind} {row.source} to {row.target}",
            row.id,
        )
        for row in tx.execute(query.order_by(move.id.desc()).limit(TOUCHES_MAX))
    ]


def _drawers(tx: Connection, cell: Cell, since: datetime | None) -> list[Touch]:
    place = get_location(tx, cell.location_id)
    device, _, drawer = (place.device or cell.location_id).partition("/")
    event = t.audit_event.c
    query = select(t.audit_event).where(
        or_(
            event.subject.startswith(f"opening {device}/", autoescape=True),
            event.subject.startswith(f"drawer {device}/", autoescape=True),
        )
    )
    if since is not None:
        query = query.where(event.at >= since)
    found = []
    for row in tx.execute(query.order_by(event.id.desc()).limit(TOUCHES_MAX)):
        details = json.loads(row.details)
        opened = str(details.get("drawer", row.subject.partition("/")[2]))
        if not drawer or drawer == opened or drawer.startswith(f"{opened}/"):
            found.append(Touch(row.at, "drawer", row.actor, f"{row.verb} {opened}", row.id))
    return found


def _counts(tx: Connection, cell: Cell, since: datetime | None) -> list[Touch]:
    result = t.count_result.c
    query = (
        select(t.count_round)
        .join(t.count_result, result.round_id == t.count_round.c.id)
        .where(
            result.item_id == cell.item_id,
            result.lot == cell.lot,
            result.location_id == cell.location_id,
        )
    )
    if since is not None:
        query = query.where(t.count_round.c.counted_at >= since)
    return [
        Touch(row.counted_at, "count", row.actor, f"{row.source}, round {row.number}", row.task_id)
        for row in tx.execute(query.order_by(t.count_round.c.id.desc()).limit(TOUCHES_MAX))
    ]


def note_snapshot(  # noqa: PLR0913 - the columns of one row
    tx: Connection,
    *,
    device: str,
    location_id: str,
    compared: int,
    differing: int,
    skipped: int,
    at: datetime,
) -> None:
    """Keep that all a device holds was compared with the book."""
    values = {
        "device": device,
        "location_id": location_id,
        "compared": compared,
        "differing": differing,
        "skipped": skipped,
        "at": at,
        "recorded_at": at,
    }
    tx.execute(t.snapshot_run.insert(), values)
