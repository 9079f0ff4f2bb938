"""The perpetual record of a controlled item, passages out of the vault, and what persons did.

All are queries over the journal and the removals; nothing here writes.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, select

from dispensed.errors import Invalid
from dispensed.ledger import catalog
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.inventories import CONTROLLED
from dispensed.ledger.removals import IN_HAND
from dispensed.ledger.rules import WASTE_PREFIX
from dispensed.model.catalog import PLACE_KINDS, LocationKind
from dispensed.model.controlled import Passage
from dispensed.model.diversion import Indicator, Tally
from dispensed.model.movement import MovementKind

RECORD_MAX = 10_000
"""Most lines of a record in one answer; `next_after` leads on."""
PASSAGES_MAX = 100_000
"""Most movements that are compared at once."""


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One movement of the record.

    `change` is what it adds to the item's total in the pharmacy and `balance` the total after it;
    `source_balance` and `target_balance` are those of the two places, None for an account outside.
    """

    id: int
    occurred_at: datetime
    recorded_at: datetime
    kind: str
    lot: str
    source: str
    target: str
    milli: int
    change: int
    balance: int
    source_balance: int | None
    target_balance: int | None
    actor: str
    witness: str | None
    reason: str
    reference: str


@dataclass(frozen=True, slots=True)
class Record:
    """The running record of one item, of a period; `next_after` is the last id when more follow."""

    item_id: str
    name: str
    unit: str
    schedule: str
    opening: int
    closing: int
    lines: tuple[RecordLine, ...]
    next_after: int | None


def controlled_record(
    tx: Tx,
    item_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    after: int = 0,
    limit: int = RECORD_MAX,
) -> Record:
    """Return every movement of an item recorded from `since` to before `until`, with balances.

    In the order of the journal. Raises UnknownItem, and Invalid for an item that is not controlled.
    """
    item = catalog.get_item(tx, item_id)
    if not item.schedule.is_controlled:
        raise Invalid(f"item {item_id} is not a controlled substance")
    first, last = _bounds(tx, item_id, since, until)
    first = max(first, after + 1)
    places = _places(tx)
    held = _held_before(tx, item_id, first)
    balances = defaultdict(int, {key: milli for key, milli in held.items() if key in places})
    total = opening = sum(balances.values())
    lines: list[RecordLine] = []
    for row in tx.execute(_RECORD.where(*_within(item_id, first, last)).limit(limit + 1)):
        if len(lines) == limit:
            break
        change = 0
        for place, sign in ((row.source, -1), (row.target, 1)):
            if place in places:
                balances[place] += sign * row.milli
                change += sign * row.milli
        total += change
        lines.append(
            RecordLine(
                id=row.id,
                occurred_at=row.occurred_at,
                recorded_at=row.recorded_at,
                kind=row.kind,
                lot=row.lot,
                source=row.source,
                target=row.target,
                milli=row.milli,
                change=change,
                balance=total,
                source_balance=balances[row.source] if row.source in places else None,
                target_balance=balances[row.target] if row.target in places else None,
                actor=row.actor,
                witness=row.witness,
                reason=row.reason,
                reference=_reference(row),
            )
        )
    more = len(lines) == limit and lines[-1].id < last
    return Record(
        item_id=item_id,
        name=item.name,
        unit=item.unit.value,
        schedule=item.schedule.value,
        opening=opening,
        closing=total,
        lines=tuple(lines),
        next_after=lines[-1].id if more else None,
    )


_taken = t.removal.alias("taken")
_parted = t.removal.alias("parted")
_RECORD = (
    select(
        t.movement,
        t.waste_witness.c.witness,
        t.receipt.c.order_ref.label("receipt_ref"),
        t.order_form_receipt.c.number.label("form_number"),
        t.order_form_receipt.c.line.label("form_line"),
        t.dispense.c.order_ref.label("dispense_ref"),
        func.coalesce(_taken.c.id, _parted.c.id).label("removal_id"),
        func.coalesce(_taken.c.order_ref, _parted.c.order_ref).label("removal_ref"),
        func.coalesce(_taken.c.patient_key, _parted.c.patient_key).label("patient_key"),
    )
    .outerjoin(t.receipt, t.receipt.c.movement_id == t.movement.c.id)
    .outerjoin(t.order_form_receipt, t.order_form_receipt.c.movement_id == t.movement.c.id)
    .outerjoin(t.dispense, t.dispense.c.id == t.movement.c.dispense_id)
    .outerjoin(_taken, _taken.c.movement_id == t.movement.c.id)
    .outerjoin(t.removal_step, t.removal_step.c.movement_id == t.movement.c.id)
    .outerjoin(_parted, _parted.c.id == t.removal_step.c.removal_id)
    .outerjoin(
        t.waste_witness,
        and_(
            t.movement.c.kind == MovementKind.WASTE.value,
            t.movement.c.request_id
            == literal(WASTE_PREFIX) + cast(t.waste_witness.c.waste_id, Text),
        ),
    )
    .order_by(t.movement.c.id)
)


def _reference(row: Any) -> str:
    """Name the documents of a movement: order form, delivery note, order, removal, patient key."""
    parts = (
        ("order form", row.form_number and f"{row.form_number} line {row.form_line}"),
        ("delivery", row.receipt_ref),
        ("order", row.dispense_ref or row.removal_ref),
        ("removal", row.removal_id),
        ("patient", row.patient_key),
        ("reverses", row.reverses),
    )
    return ", ".join(f"{name} {value}" for name, value in parts if value)


def _bounds(
    tx: Tx, item_id: str, since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    """Return the first and the last movement of the period; an empty one begins after its end."""
    move = t.movement.c
    end = select(func.coalesce(func.max(move.id), 0)).where(move.item_id == item_id)
    if until is not None:
        end = end.where(move.recorded_at < until)
    last = int(tx.execute(end).scalar_one())
    if since is None:
        return 1, last
    begin = select(func.min(move.id)).where(move.item_id == item_id, move.recorded_at >= since)
    first = tx.execute(begin).scalar()
    return (last + 1 if first is None else int(first)), last


def _within(item_id: str, first: int, last: int) -> tuple[ColumnElement[bool], ...]:
    move = t.movement.c
    return move.item_id == item_id, move.id >= first, move.id <= last


def _places(tx: Tx) -> frozenset[str]:
    kinds = [kind.value for kind in PLACE_KINDS]
    query = select(t.location.c.location_id).where(t.location.c.kind.in_(kinds))
    return frozenset(tx.scalars(query))


def _held_before(tx: Tx, item_id: str, first: int) -> dict[str, int]:
    """Return what each place and account held of an item before a movement, all lots together."""
    held: dict[str, int] = defaultdict(int)
    for column, sign in ((t.movement.c.target, 1), (t.movement.c.source, -1)):
        query = (
            select(column.label("place"), func.sum(t.movement.c.milli).label("milli"))
            .where(t.movement.c.item_id == item_id, t.movement.c.id < first)
            .group_by(column)
        )
        for row in tx.execute(query):
            held[row.place] += sign * int(row.milli)
    return held


# ---------------------------------------------------------------- vault and cabinets


@dataclass(frozen=True, slots=True)
class Passages:
    """What left the vaults, what entered cabinets, and what came back to the vaults."""

    issues: tuple[Passage, ...]
    loads: tuple[Passage, ...]
    returns: tuple[Passage, ...]


def passages(tx: Tx, vaults: Collection[str], since: datetime, until: datetime) -> Passages:
    """Return the passages that occurred from `since` to before `until`, controlled items only.

    Issues go to a place that is neither a vault, nor for rejects or outdates, or into transit. A
    load straight out of a vault answers itself and is no issue and no load; what was reversed is
    left out. `location_id` is where an issue or a load went, and where a return came from.
    """
    move = t.movement.c
    inside = move.source.in_(vaults)
    aside = t.location.c.kind.in_([LocationKind.OUTDATE.value, LocationKind.REJECTS.value])
    moved = move.kind.in_([MovementKind.TRANSFER.value, MovementKind.IN_TRANSIT.value])
    issued = and_(inside, move.target.not_in(vaults), moved, ~aside)
    loaded = and_(move.kind == MovementKind.LOAD.value, move.source != IN_HAND, ~inside)
    back = and_(move.target.in_(vaults), ~inside, moved)
    return Passages(
        issues=_passages(tx, issued, move.target, since, until),
        loads=_passages(tx, loaded, move.target, since, until),
        returns=_passages(tx, back, move.source, since, until),
    )


def _passages(
    tx: Tx, wanted: ColumnElement[bool], end: ColumnElement[str], since: datetime, until: datetime
) -> tuple[Passage, ...]:
    move = t.movement.c
    undone = select(move.reverses).where(move.reverses.is_not(None))
    query = (
        select(t.movement, end.label("other_end"))
        .join(t.item, t.item.c.item_id == move.item_id)
        .join(t.location, t.location.c.location_id == move.target)
        .where(
            wanted,
            t.item.c.schedule.in_(CONTROLLED),
            move.occurred_at >= since,
            move.occurred_at < until,
            move.id.not_in(undone),
        )
        .order_by(move.occurred_at, move.id)
        .limit(PASSAGES_MAX)
    )
    return tuple(
        Passage(
            movement_id=row.id,
            item_id=row.item_id,
            lot=row.lot,
            location_id=row.other_end,
            milli=row.milli,
            at=row.occurred_at,
            actor=row.actor,
        )
        for row in tx.execute(query)
    )


# ---------------------------------------------------------------- indicators


def tallies(tx: Tx, since: datetime, until: datetime) -> tuple[Tally, ...]:
    """Return what each person removed, by item and place, from `since` to before `until`.

    A shortage is counted for the person who removed last from the cell before it was found.
    """
    gone = t.removal.c
    found = _shortages(tx, since, until)
    counted = {
        Indicator.OVERRIDES: gone.order_ref.is_(None),
        Indicator.NULLS: gone.returned == gone.milli,
        Indicator.WASTES: gone.wasted > 0,
        Indicator.WHOLE_WASTES: gone.wasted == gone.milli,
        Indicator.NOTHING_GIVEN: and_(gone.given == 0, gone.remaining == 0),
        Indicator.STILL_OPEN: gone.remaining > 0,
    }
    query = (
        select(
            gone.actor,
            gone.item_id,
            gone.location_id,
            func.count().label("removals"),
            *(
                func.sum(case((condition, 1), else_=0)).label(name.value)
                for name, condition in counted.items()
            ),
        )
        .join(t.item, t.item.c.item_id == gone.item_id)
        .where(t.item.c.schedule.in_(CONTROLLED), gone.removed_at >= since, gone.removed_at < until)
        .group_by(gone.actor, gone.item_id, gone.location_id)
        .order_by(gone.actor, gone.item_id, gone.location_id)
    )
    return tuple(
        Tally(
            person=row.actor,
            stratum=f"{row.item_id}@{row.location_id}",
            removals=row.removals,
            counts={
                **{name: int(row._mapping[name.value]) for name in counted},  # noqa: SLF001 - public
                Indicator.DISCREPANCIES: min(
                    row.removals, found[row.actor, row.item_id, row.location_id]
                ),
            },
        )
        for row in tx.execute(query)
    )


def _shortages(tx: Tx, since: datetime, until: datetime) -> defaultdict[tuple[str, str, str], int]:
    """Count shortages by the person who removed last from the cell before, item and place."""
    short, gone = t.discrepancy.c, t.removal.c
    last = (
        select(gone.actor)
        .where(
            gone.item_id == short.item_id,
            gone.lot == short.lot,
            gone.location_id == short.location_id,
            gone.removed_at <= short.opened_at,
        )
        .order_by(gone.removed_at.desc(), gone.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(last.label("actor"), short.item_id, short.location_id).where(
        short.difference < 0, short.opened_at >= since, short.opened_at < until
    )
    found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for row in tx.execute(query):
        if row.actor is not None:
            found[row.actor, row.item_id, row.location_id] += 1
    return found
