"""Removals into a person's hand for one patient, until they add up: given, returned, wasted.

A removal closes by itself when issued = given + returned + wasted, and cannot close otherwise (the
database checks the sum). The patient is an opaque key.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Row, insert, select, update

from dispensed.errors import Invalid, NotFound
from dispensed.ledger import catalog, post
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, RequestReused
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import LocationKind
from dispensed.model.controlled import Custody, StepKind, check_step
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit

IN_HAND = "in-hand"
DISPENSED = "ext:dispensed"


class UnknownRemoval(NotFound):
    """There is no removal of that number."""

    code: ClassVar[str] = "removal_not_found"


class OverrideNeedsReason(Invalid):
    """A removal without an order is an override and says why."""

    code: ClassVar[str] = "override_needs_reason"


@dataclass(frozen=True, slots=True)
class NewRemoval:
    """What a person takes for one patient; without `order_ref` it is an override with a reason."""

    request_id: str
    item_id: str
    lot: str
    location_id: str
    milli: int
    patient_key: str
    order_ref: str | None = None
    override_reason: str = ""


@dataclass(frozen=True, slots=True)
class RemovalRow:
    """One removal with its item and how it stands."""

    id: int
    movement_id: int
    item_id: str
    name: str
    unit: str
    schedule: str
    lot: str
    location_id: str
    milli: int
    given: int
    returned: int
    wasted: int
    remaining: int
    patient_key: str
    order_ref: str | None
    override_reason: str
    actor: str
    removed_at: datetime
    closed_at: datetime | None

    @property
    def custody(self) -> Custody:
        """The sums of it."""
        return Custody(self.milli, self.given, self.returned, self.wasted)


@dataclass(frozen=True, slots=True)
class StepRow:
    """One part of what became of a removal."""

    id: int
    removal_id: int
    kind: str
    milli: int
    movement_id: int
    actor: str
    recorded_at: datetime


def take(tx: Tx, new: NewRemoval, stamp: Stamp, *, on_date: date) -> RemovalRow:
    """Move stock from a place into the hand; a repeat of the request returns the first removal.

    Raises OverrideNeedsReason, and what `post` raises: a blocked lot stays where it is.
    """
    if new.order_ref is None and not new.override_reason.strip():
        raise OverrideNeedsReason(f"item {new.item_id} without an order: say why")
    move = Move(
        kind=MovementKind.REMOVE,
        item_id=new.item_id,
        lot=new.lot,
        source=new.location_id,
        target=IN_HAND,
        milli=new.milli,
        request_id=new.request_id,
        occurred_at=stamp.at,
    )
    posted = post.post(tx, move, stamp, on_date=on_date)
    if posted.repeated:
        return _first_answer(tx, posted.movement_id, new)
    removal_id = tx.execute(
        insert(t.removal).returning(t.removal.c.id),
        {
            "movement_id": posted.movement_id,
            "item_id": new.item_id,
            "lot": new.lot,
            "location_id": new.location_id,
            "milli": new.milli,
            "given": 0,
            "returned": 0,
            "wasted": 0,
            "remaining": new.milli,
            "patient_key": new.patient_key,
            "order_ref": new.order_ref,
            "override_reason": new.override_reason.strip(),
            "actor": stamp.actor,
            "removed_at": stamp.at,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    kind = "override" if new.order_ref is None else "order"
    audit(tx, stamp, "removal.opened", f"removal {removal_id}", {"kind": kind, "milli": new.milli})
    return get(tx, removal_id)


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a removal, under the caller's request id."""

    removal_id: int
    milli: int
    request_id: str


def give(tx: Tx, part: Part, stamp: Stamp, *, on_date: date) -> RemovalRow:
    """Record what the patient was given.

    Raises UnknownRemoval, MoreThanOpen, and BlockedLot when the lot was blocked meanwhile: it is to
    be returned. A repeat of the request changes nothing.
    """
    row = get(tx, part.removal_id)
    move = _move(row, part, MovementKind.GIVE, DISPENSED, stamp)
    return _step(tx, row, StepKind.GIVEN, move, stamp, on_date)


def bring_back(tx: Tx, part: Part, target: str, stamp: Stamp, *, on_date: date) -> RemovalRow:
    """Return stock to a bin, receiving, the outdates, or a device.

    Raises UnknownRemoval, MoreThanOpen, UnknownLocation, IllegalMovement for another place, and
    BlockedLot for a device when the lot was blocked meanwhile.
    """
    row = get(tx, part.removal_id)
    to_device = catalog.get_location(tx, target).kind is LocationKind.DEVICE
    kind = MovementKind.LOAD if to_device else MovementKind.PUTBACK
    move = _move(row, part, kind, target, stamp)
    return _step(tx, row, StepKind.RETURNED, move, stamp, on_date)


def _move(row: RemovalRow, part: Part, kind: MovementKind, target: str, stamp: Stamp) -> Move:
    return Move(
        kind=kind,
        item_id=row.item_id,
        lot=row.lot,
        source=IN_HAND,
        target=target,
        milli=part.milli,
        request_id=part.request_id,
        occurred_at=stamp.at,
    )


def _step(
    tx: Tx, row: RemovalRow, kind: StepKind, move: Move, stamp: Stamp, on_date: date
) -> RemovalRow:
    used = select(t.movement.c.id).where(t.movement.c.request_id == move.request_id)
    if tx.execute(used).scalar() is None:
        check_step(row.custody, move.milli, Unit(row.unit))
    posted = post.post(tx, move, stamp, on_date=on_date)
    if not posted.repeated:
        return add_step(tx, row, kind, posted.movement_id, move.milli, stamp)
    known = t.removal_step.c
    same = select(known.id).where(
        known.movement_id == posted.movement_id, known.removal_id == row.id
    )
    if tx.execute(same).scalar() is None:
        raise RequestReused(f"request {move.request_id} was used before for something else")
    return row


def add_step(
    tx: Tx, row: RemovalRow, kind: StepKind, movement_id: int, milli: int, stamp: Stamp
) -> RemovalRow:
    """Record a step whose movement is posted; closes the removal when it adds up."""
    tx.execute(
        insert(t.removal_step),
        {
            "removal_id": row.id,
            "kind": kind.value,
            "milli": milli,
            "movement_id": movement_id,
            "actor": stamp.actor,
            "recorded_at": stamp.at,
        },
    )
    after = row.custody.after(kind, milli)
    tx.execute(
        update(t.removal)
        .where(t.removal.c.id == row.id)
        .values(
            given=after.given,
            returned=after.returned,
            wasted=after.wasted,
            remaining=after.outstanding,
            closed_at=stamp.at if after.is_closed else None,
        )
    )
    if after.is_closed:
        details = {"null": "yes" if after.is_null else "no"}
        audit(tx, stamp, "removal.closed", f"removal {row.id}", details)
    return get(tx, row.id)


def get(tx: Tx, removal_id: int) -> RemovalRow:
    """Return one; raises UnknownRemoval."""
    row = tx.execute(_SELECT.where(t.removal.c.id == removal_id)).one_or_none()
    if row is None:
        raise UnknownRemoval(f"there is no removal {removal_id}")
    return _row(row)


def steps(tx: Tx, removal_id: int) -> tuple[StepRow, ...]:
    """Return what became of a removal, in order."""
    query = select(t.removal_step).where(t.removal_step.c.removal_id == removal_id)
    return tuple(
        StepRow(
            id=row.id,
            removal_id=row.removal_id,
            kind=row.kind,
            milli=row.milli,
            movement_id=row.movement_id,
            actor=row.actor,
            recorded_at=row.recorded_at,
        )
        for row in tx.execute(query.order_by(t.removal_step.c.id))
    )


def page(
    tx: Tx,
    *,
    only_open: bool = True,
    actor: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[RemovalRow, ...]:
    """Return removals by ascending id, after an id, at most `limit`; only open ones, or all."""
    query = _SELECT.where(t.removal.c.id > after).order_by(t.removal.c.id).limit(limit)
    if only_open:
        query = query.where(t.removal.c.remaining > t.ZERO)
    if actor is not None:
        query = query.where(t.removal.c.actor == actor)
    return tuple(_row(row) for row in tx.execute(query))


def _first_answer(tx: Tx, movement_id: int, new: NewRemoval) -> RemovalRow:
    row = tx.execute(_SELECT.where(t.removal.c.movement_id == movement_id)).one_or_none()
    if row is None or (row.patient_key, row.order_ref) != (new.patient_key, new.order_ref):
        raise RequestReused(f"request {new.request_id} was used before for something else")
    return _row(row)


_SELECT = select(t.removal, t.item.c.name, t.item.c.unit, t.item.c.schedule).join(
    t.item, t.item.c.item_id == t.removal.c.item_id
)


def _row(row: Row[*tuple[object, ...]]) -> RemovalRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return RemovalRow(**{name: data[name] for name in RemovalRow.__dataclass_fields__})
