"""Wastes: stated with an amount, confirmed by another person, and only then posted.

An uncontrolled item needs no witness: its waste is posted as it is stated. A controlled one waits;
when nobody confirms it in time it stays on record as expired and moves nothing.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar

from sqlalchemy import Row, Text, cast, insert, literal, select

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import catalog, post, removals
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import Cell, held_at
from dispensed.ledger.post import InsufficientStock, Move, RequestReused
from dispensed.ledger.rules import (
    WASTE_PREFIX,
    check_milli,
    check_request_id,
    find_moved_lot,
    show,
)
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.controlled import RULES, StepKind, check_step, check_witness
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit

WASTE_ACCOUNT = "ext:waste"
PENDING, POSTED, EXPIRED = "pending", "posted", "expired"


class UnknownWaste(NotFound):
    """There is no stated waste of that number."""

    code: ClassVar[str] = "waste_not_found"


class AlreadyWitnessed(Conflict):
    """Another person confirmed the waste before."""

    code: ClassVar[str] = "already_witnessed"


@dataclass(frozen=True, slots=True)
class NewWaste:
    """What a person wants to waste and why; of a removal when it is in the hand."""

    request_id: str
    item_id: str
    lot: str
    location_id: str
    milli: int
    reason: str
    removal_id: int | None = None


@dataclass(frozen=True, slots=True)
class WasteRow:
    """One stated waste; `witness` None for a pending, an expired and an uncontrolled one."""

    id: int
    item_id: str
    name: str
    unit: str
    schedule: str
    lot: str
    location_id: str
    milli: int
    reason: str
    removal_id: int | None
    controlled: bool
    stated_by: str
    stated_at: datetime
    witness: str | None
    witnessed_at: datetime | None
    movement_id: int | None

    def state(self, now: datetime, limit_s: int) -> str:
        """Say how it stands: pending, posted or expired."""
        if self.witnessed_at is not None:
            return POSTED
        return EXPIRED if now - self.stated_at > timedelta(seconds=limit_s) else PENDING


def state(tx: Tx, new: NewWaste, stamp: Stamp, *, on_date: date) -> WasteRow:
    """Put a waste on record; posts at once what is not controlled.

    Raises Invalid for no reason or for stock in the hand without its removal, MoreThanOpen,
    InsufficientStock, and RequestReused. A repeat of the request returns the first answer.
    """
    check_request_id(new.request_id)
    check_milli(new.milli)
    known = tx.execute(_SELECT.where(t.waste.c.request_id == new.request_id)).one_or_none()
    if known is not None:
        return _first_answer(known, new)
    _check(tx, new)
    item = catalog.get_item(tx, new.item_id)
    needs_witness = RULES[item.schedule].witness
    waste_id = tx.execute(
        insert(t.waste).returning(t.waste.c.id),
        {
            "request_id": new.request_id,
            "item_id": new.item_id,
            "lot": new.lot,
            "location_id": new.location_id,
            "milli": new.milli,
            "reason": new.reason.strip(),
            "removal_id": new.removal_id,
            "controlled": needs_witness,
            "stated_by": stamp.actor,
            "stated_at": stamp.at,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    audit(tx, stamp, "waste.stated", f"waste {waste_id}", {"milli": new.milli})
    row = get(tx, waste_id)
    return row if needs_witness else _post(tx, row, None, stamp, on_date)


def confirm(tx: Tx, waste_id: int, stamp: Stamp, *, limit_s: int, on_date: date) -> WasteRow:
    """Let the stamp's actor confirm a waste; it is posted now, as stated.

    Raises UnknownWaste, WitnessIsAuthor, WitnessTooLate, AlreadyWitnessed for another witness, and
    what `post` raises when the stock went elsewhere meanwhile. The same witness may repeat it.
    """
    row = get(tx, waste_id)
    if row.witnessed_at is not None:
        if row.witness != stamp.actor:
            raise AlreadyWitnessed(f"waste {waste_id} was posted, witness {row.witness or 'none'}")
        return row
    check_witness(
        stated_by=row.stated_by,
        stated_at=row.stated_at,
        witness=stamp.actor,
        at=stamp.at,
        limit_s=limit_s,
    )
    audit(tx, stamp, "waste.witnessed", f"waste {waste_id}", {"stated_by": row.stated_by})
    return _post(tx, row, stamp.actor, stamp, on_date)


def get(tx: Tx, waste_id: int) -> WasteRow:
    """Return one; raises UnknownWaste."""
    row = tx.execute(_SELECT.where(t.waste.c.id == waste_id)).one_or_none()
    if row is None:
        raise UnknownWaste(f"there is no waste {waste_id}")
    return _row(row)


def page(
    tx: Tx, *, removal_id: int | None = None, after: int = 0, limit: int = 100
) -> tuple[WasteRow, ...]:
    """Return stated wastes by ascending id, after an id, at most `limit`."""
    query = _SELECT.where(t.waste.c.id > after).order_by(t.waste.c.id).limit(limit)
    if removal_id is not None:
        query = query.where(t.waste.c.removal_id == removal_id)
    return tuple(_row(row) for row in tx.execute(query))


def _check(tx: Tx, new: NewWaste) -> None:
    if not new.reason.strip():
        raise Invalid(f"waste of item {new.item_id}: say why")
    lot = find_moved_lot(tx, new.item_id, new.lot)
    if (new.location_id == removals.IN_HAND) != (new.removal_id is not None):
        raise Invalid("what is in the hand is wasted of its removal, anything else of its place")
    if new.removal_id is not None:
        row = removals.get(tx, new.removal_id)
        if (row.item_id, row.lot) != (new.item_id, new.lot):
            raise Invalid(f"removal {row.id} is of lot {row.lot} of item {row.item_id}")
        check_step(row.custody, new.milli, Unit(lot.unit))
        return
    catalog.get_location(tx, new.location_id)
    there = held_at(tx, Cell(new.item_id, new.lot, new.location_id))
    if there.on_hand - there.held < new.milli:
        raise InsufficientStock(
            f"lot {new.lot} of item {new.item_id} at {new.location_id}:"
            f" {show(there.on_hand - there.held, lot)} available, {show(new.milli, lot)} to waste"
        )


def _post(tx: Tx, row: WasteRow, witness: str | None, stamp: Stamp, on_date: date) -> WasteRow:
    """Record the witness first: the ledger refuses the movement without one."""
    tx.execute(
        insert(t.waste_witness),
        {
            "waste_id": row.id,
            "controlled": row.controlled,
            "stated_by": row.stated_by,
            "witness": witness,
            "witnessed_at": stamp.at,
            "recorded_at": stamp.at,
        },
    )
    author = Stamp(row.stated_by, stamp.at, row.reason)
    move = Move(
        kind=MovementKind.WASTE,
        item_id=row.item_id,
        lot=row.lot,
        source=row.location_id,
        target=WASTE_ACCOUNT,
        milli=row.milli,
        request_id=f"{WASTE_PREFIX}{row.id}",
        occurred_at=stamp.at,
    )
    removal = None if row.removal_id is None else removals.get(tx, row.removal_id)
    if removal is not None:
        check_step(removal.custody, row.milli, Unit(row.unit))
    posted = post.post(tx, move, author, on_date=on_date)
    if removal is not None:
        removals.add_step(tx, removal, StepKind.WASTED, posted.movement_id, row.milli, author)
    return get(tx, row.id)


def _first_answer(row: Row[*tuple[object, ...]], new: NewWaste) -> WasteRow:
    known = _row(row)
    asked = (new.item_id, new.lot, new.location_id, new.milli, new.removal_id)
    if (known.item_id, known.lot, known.location_id, known.milli, known.removal_id) != asked:
        raise RequestReused(f"request {new.request_id} was used before for another waste")
    return known


_SELECT = (
    select(
        t.waste,
        t.item.c.name,
        t.item.c.unit,
        t.item.c.schedule,
        t.waste_witness.c.witness,
        t.waste_witness.c.witnessed_at,
        t.movement.c.id.label("movement_id"),
    )
    .join(t.item, t.item.c.item_id == t.waste.c.item_id)
    .outerjoin(t.waste_witness, t.waste_witness.c.waste_id == t.waste.c.id)
    .outerjoin(
        t.movement, t.movement.c.request_id == literal(WASTE_PREFIX) + cast(t.waste.c.id, Text)
    )
)


def _row(row: Row[*tuple[object, ...]]) -> WasteRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return WasteRow(**{name: data[name] for name in WasteRow.__dataclass_fields__})
