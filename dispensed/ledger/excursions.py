"""Temperature excursions: which lots lay at a place while it was too warm or too cold.

Present is what had a balance above zero at any instant of the interval, both ends included, at the
place or a place in it, by the times at which movements occurred. What left at the very first
instant was there. Movements that are recorded only later count too: a lot that turns out to have
been there is held from then on. One that turns out not to have been there stays held until a person
releases it. While an excursion has no end, whatever arrives is held.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.journal import Move
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import LotState

DEPTH_MAX = 32
"""How many places deep a place may lie in the one of an excursion."""


class LotInExcursion(Conflict):
    """The lot lay in a temperature excursion and nobody released it from that."""

    code: ClassVar[str] = "lot_in_excursion"


class ExcursionEnded(Conflict):
    """The excursion has its end already."""

    code: ClassVar[str] = "excursion_ended"


class LotReleased(Conflict):
    """The lot was released from this excursion before."""

    code: ClassVar[str] = "lot_released"


class Key(NamedTuple):
    """One lot of one item."""

    item_id: str
    lot: str


@dataclass(frozen=True, slots=True)
class ExcursionRow:
    """One excursion; `ended_at` None while it goes on. Temperatures are decimal text in Celsius."""

    id: int
    location_id: str
    began_at: datetime
    ended_at: datetime | None
    observed_min: str
    observed_max: str
    source: str
    actor: str
    reason: str
    ended_by: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ExcursionLot:
    """One lot of an excursion; `held` when it is on hold because of excursions."""

    excursion_id: int
    item_id: str
    name: str
    lot: str
    state: str
    state_before: str
    held: bool
    released_by: str | None
    released_at: datetime | None
    reason: str


def _below(location_id: str | ColumnElement[str]) -> CTE:
    """Return the place and all places in it."""
    top = select(t.location.c.location_id, literal_column("0").label("depth")).where(
        t.location.c.location_id == location_id
    )
    below = top.cte("below", recursive=True)
    return below.union_all(
        select(t.location.c.location_id, below.c.depth + 1)
        .join(below, t.location.c.parent == below.c.location_id)
        .where(below.c.depth < DEPTH_MAX)
    )


def places_in(tx: Connection, location_id: str) -> frozenset[str]:
    """Return a place and all places in it."""
    return frozenset(tx.scalars(select(_below(location_id).c.location_id)))


def present(
    tx: Connection,
    location_id: str,
    began_at: datetime,
    ended_at: datetime | None,
    *,
    only: Key | None = None,
) -> frozenset[Key]:
    """Return the lots that lay at a place, or in it, at any instant from `began_at` to `ended_at`.

    With no end, up to now. `only` looks at one lot.
    """
    places = places_in(tx, location_id)
    moved = t.movement.c
    wanted = [] if only is None else [moved.item_id == only.item_id, moved.lot == only.lot]
    book: Counter[tuple[Key, str]] = Counter()
    below = select(_below(location_id).c.location_id)
    for end, sign in ((moved.target, 1), (moved.source, -1)):
        sums = tx.execute(
            select(
                moved.item_id, moved.lot, end.label("place"), func.sum(moved.milli).label("total")
            )
            .where(end.in_(below), moved.occurred_at < began_at, *wanted)
            .group_by(moved.item_id, moved.lot, end)
        )
        for row in sums:
            book[Key(row.item_id, row.lot), row.place] += sign * int(row.total)
    found = {key for (key, _), milli in book.items() if milli > 0}
    within = [moved.occurred_at >= began_at, *wanted]
    if ended_at is not None:
        within.append(moved.occurred_at <= ended_at)
    ways = tx.execute(
        select(moved.item_id, moved.lot, moved.source, moved.target, moved.milli)
        .where(or_(moved.source.in_(below), moved.target.in_(below)), *within)
        .order_by(moved.occurred_at, moved.id)
    )
    for way in ways:
        key = Key(way.item_id, way.lot)
        if way.source in places:
            book[key, way.source] -= way.milli
        if way.target in places:
            book[key, way.target] += way.milli
            if book[key, way.target] > 0:
                found.add(key)
    return frozenset(found)


def record(  # noqa: PLR0913 - an excursion is these facts
    tx: Connection,
    *,
    location_id: str,
    began_at: datetime,
    ended_at: datetime | None,
    observed: tuple[str, str],
    source: str,
    stamp: Stamp,
) -> int:
    """Record an excursion and hold the lots that were there; returns its number."""
    values = {
        "location_id": location_id,
        "began_at": began_at,
        "ended_at": ended_at,
        "observed_min": observed[0],
        "observed_max": observed[1],
        "source": source,
        "actor": stamp.actor,
        "reason": stamp.reason,
        "ended_by": None if ended_at is None else stamp.actor,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    query = insert(t.excursion).returning(t.excursion.c.id)
    number = int(tx.execute(query, values).scalar_one())
    audit(tx, stamp, "excursion.recorded", f"excursion {number}", {"location": location_id})
    _hold(tx, number, present(tx, location_id, began_at, ended_at), stamp)
    return number


def end(tx: Connection, number: int, ended_at: datetime, stamp: Stamp) -> None:
    """Set the end of an excursion; lots that came only after it are released, others stay held."""
    row = get(tx, number)
    if row.ended_at is not None:
        raise ExcursionEnded(f"excursion {number} ended at {row.ended_at.isoformat()}")
    values = {"ended_at": ended_at, "ended_by": stamp.actor, "updated_at": stamp.at}
    tx.execute(update(t.excursion).where(t.excursion.c.id == number).values(values))
    audit(tx, stamp, "excursion.ended", f"excursion {number}", {"at": ended_at.isoformat()})
    there = present(tx, row.location_id, row.began_at, ended_at)
    _hold(tx, number, there, stamp)
    for lot in lots(tx, number):
        key = Key(lot.item_id, lot.lot)
        if key not in there and lot.released_at is None:
            release(tx, number, key, stamp)


def moved(tx: Connection, move: Move, stamp: Stamp) -> None:
    """Hold the lot of a booked movement in every excursion in which it turns out to have been."""
    open_at = or_(t.excursion.c.ended_at.is_(None), t.excursion.c.ended_at >= move.occurred_at)
    key = Key(move.item_id, move.lot)
    for row in tx.execute(select(t.excursion).where(open_at).order_by(t.excursion.c.id)).all():
        if move.target not in places_in(tx, row.location_id):
            continue
        if present(tx, row.location_id, row.began_at, row.ended_at, only=key):
            _hold(tx, row.id, (key,), stamp)


def _hold(tx: Connection, number: int, keys: Iterable[Key], stamp: Stamp) -> None:
    """Add lots to an excursion, once each, and hold those that are released at present."""
    kept = t.excursion_lot.c
    known = select(kept.item_id, kept.lot).where(kept.excursion_id == number)
    listed = {Key(row.item_id, row.lot) for row in tx.execute(known)}
    for key in sorted(set(keys) - listed):
        this = (t.lot.c.item_id == key.item_id, t.lot.c.lot == key.lot)
        state = LotState(tx.execute(select(t.lot.c.state).where(*this)).scalar_one())
        held = state is LotState.RELEASED or (state is LotState.HOLD and _is_held(tx, key))
        values = {
            **key._asdict(),
            "excursion_id": number,
            "state_before": state.value,
            "held": held,
            "reason": "",
            "recorded_at": stamp.at,
        }
        tx.execute(insert(t.excursion_lot), values)
        if state is LotState.RELEASED:
            tx.execute(update(t.lot).where(*this).values(state=LotState.HOLD.value))
        details = {"excursion": number, "from": state.value, "held": int(held)}
        audit(tx, stamp, "lot.in_excursion", f"lot {key.item_id}/{key.lot}", details)


def _is_held(tx: Connection, key: Key) -> bool:
    """Say whether the lot is on hold because of an excursion."""
    kept = t.excursion_lot.c
    this = (kept.item_id == key.item_id, kept.lot == key.lot)
    query = select(kept.lot).where(*this, kept.held.is_(True), kept.released_at.is_(None))
    return tx.execute(query.limit(1)).first() is not None


def blocking(tx: Connection, item_id: str, lot: str) -> tuple[int, ...]:
    """Return the excursions from which a lot was not released."""
    kept = t.excursion_lot.c
    query = select(kept.excursion_id).where(
        kept.item_id == item_id, kept.lot == lot, kept.released_at.is_(None)
    )
    return tuple(tx.scalars(query.order_by(kept.excursion_id)))


def check_free(tx: Connection, item_id: str, lot: str) -> None:
    """Raise LotInExcursion unless a lot was released from every excursion in which it lay."""
    found = blocking(tx, item_id, lot)
    if found:
        numbers = ", ".join(str(number) for number in found)
        raise LotInExcursion(
            f"lot {lot} of item {item_id} was not released from excursion {numbers}"
        )


def release(tx: Connection, number: int, key: Key, stamp: Stamp) -> None:
    """Release a lot from an excursion by a person's word, with the stamp's reason.

    When no other excursion has it and it is on hold because of excursions only, it is usable again.
    A recalled, damaged or quarantined lot, or one that a person put on hold, keeps its state.
    Raises NotFound, or LotReleased when that was done before.
    """
    kept = t.excursion_lot.c
    this = (kept.excursion_id == number, kept.item_id == key.item_id, kept.lot == key.lot)
    row = tx.execute(select(t.excursion_lot).where(*this)).one_or_none()
    if row is None:
        raise NotFound(f"excursion {number} has no lot {key.lot} of item {key.item_id}")
    if row.released_at is not None:
        raise LotReleased(f"lot {key.lot} was released from excursion {number} before")
    values = {"released_by": stamp.actor, "released_at": stamp.at, "reason": stamp.reason}
    tx.execute(update(t.excursion_lot).where(*this).values(values))
    lot = (t.lot.c.item_id == key.item_id, t.lot.c.lot == key.lot)
    usable = row.held and not blocking(tx, *key)
    if usable:
        tx.execute(
            update(t.lot)
            .where(*lot, t.lot.c.state == LotState.HOLD.value)
            .values(state=LotState.RELEASED.value)
        )
    details = {"excursion": number, "usable": int(usable)}
    audit(tx, stamp, "lot.left_excursion", f"lot {key.item_id}/{key.lot}", details)


def get(tx: Connection, number: int) -> ExcursionRow:
    """Return one excursion; raises NotFound."""
    row = tx.execute(select(t.excursion).where(t.excursion.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"no excursion {number}")
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return ExcursionRow(**{name: data[name] for name in ExcursionRow.__dataclass_fields__})


def page(tx: Connection, *, after: int = 0, limit: int = 1000) -> tuple[ExcursionRow, ...]:
    """Return excursions by ascending number."""
    query = select(t.excursion.c.id).where(t.excursion.c.id > after)
    return tuple(get(tx, n) for n in tx.scalars(query.order_by(t.excursion.c.id).limit(limit)))


def lots(tx: Connection, number: int) -> tuple[ExcursionLot, ...]:
    """Return the lots of an excursion by item and lot."""
    kept = t.excursion_lot
    rows = tx.execute(
        select(kept, t.item.c.name, t.lot.c.state)
        .join(t.item, t.item.c.item_id == kept.c.item_id)
        .join(t.lot, (t.lot.c.item_id == kept.c.item_id) & (t.lot.c.lot == kept.c.lot))
        .where(kept.c.excursion_id == number)
        .order_by(kept.c.item_id, kept.c.lot)
    )
    return tuple(
        ExcursionLot(**{name: row._mapping[name] for name in ExcursionLot.__dataclass_fields__})  # noqa: SLF001 - SQLAlchemy's public name for it
        for row in rows
    )
