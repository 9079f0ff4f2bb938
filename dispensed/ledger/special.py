"""Rules of places and the stock of trials: what a movement must satisfy, what it leaves behind.

`post` asks here before it books a decision and notes what it booked. With no rule, no trial and no
excursion on record both cost one query.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)

from dispensed.errors import Conflict
from dispensed.ledger import excursions
from dispensed.ledger import tables as t
from dispensed.ledger.journal import Move
from dispensed.ledger.stamp import Stamp
from dispensed.model.catalog import Item, LocationKind, Schedule, Storage
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.model.special import (
    RULED,
    SEGREGATED,
    TRIAL_PLACES,
    End,
    Entry,
    PlaceRule,
    effective,
    entry_in,
    entry_out,
    protocol_breach,
    rule_breaches,
)

DEPTH_MAX = 32
"""How many places deep a place may lie in others for rules to reach it."""
MISPLACED = "misplaced"
"""Kind of the discrepancy of what a machine put where a rule forbids it."""
_FREE = frozenset({MovementKind.PUTBACK, MovementKind.FOUND})
"""Kinds that no rule about items stops: what goes back to where it was, and what a count found."""


class PlaceRuleBroken(Conflict):
    """The rule of the place forbids that the item is put there."""

    code: ClassVar[str] = "place_rule"


class ProtocolMixed(Conflict):
    """The movement would mix stock of a trial with other stock."""

    code: ClassVar[str] = "protocol_mixed"


@dataclass(frozen=True, slots=True)
class Watch:
    """What a movement at a given time must be looked at for."""

    rules: bool
    trials: bool
    excursions: bool


_TRIALS = or_(
    exists(select(t.place_rule.c.location_id).where(t.place_rule.c.protocol_id.is_not(None))),
    exists(select(t.dispense_protocol.c.dispense_id)),
    exists(select(t.protocol_entry.c.id)),
)
_HAS_TRIALS = select(_TRIALS)
_WATCH = select(
    exists(select(t.place_rule.c.location_id)).label("rules"),
    _TRIALS.label("trials"),
    exists(
        select(t.excursion.c.id).where(
            or_(t.excursion.c.ended_at.is_(None), t.excursion.c.ended_at >= bindparam("b_at"))
        )
    ).label("excursions"),
)


def watch(tx: Connection, at: datetime) -> Watch:
    """Return what there is on record that a movement at that time may touch."""
    row = tx.execute(_WATCH, {"b_at": at}).one()
    return Watch(bool(row.rules), bool(row.trials), bool(row.excursions))


# ---------------------------------------------------------------- rules of places

_UP = (
    select(
        t.location.c.location_id,
        t.location.c.parent,
        literal_column("0").label("depth"),
    )
    .where(t.location.c.location_id == bindparam("b_location"))
    .cte("up", recursive=True)
)
_UP = _UP.union_all(
    select(t.location.c.location_id, t.location.c.parent, _UP.c.depth + 1)
    .join(_UP, t.location.c.location_id == _UP.c.parent)
    .where(_UP.c.depth < DEPTH_MAX)
)
_CHAIN = (
    select(t.place_rule)
    .join(_UP, _UP.c.location_id == t.place_rule.c.location_id)
    .order_by(_UP.c.depth)
)
_KIND = select(t.location.c.kind).where(t.location.c.location_id == bindparam("b_location"))


def rule_at(tx: Connection, location_id: str) -> PlaceRule:
    """Return the rule that holds at a place, with what it inherits."""
    rows = tx.execute(_CHAIN, {"b_location": location_id})
    return effective(
        PlaceRule(
            protocol=row.protocol_id,
            storage=None if row.storage is None else Storage(row.storage),
            hazardous=row.hazardous,
            high_alert=row.high_alert,
            capacity_milli=row.capacity_milli,
            items=None if row.items is None else frozenset(json.loads(row.items)),
        )
        for row in rows
    )


def kind_at(tx: Connection, location_id: str) -> LocationKind:
    """Return the kind of a known location."""
    return LocationKind(tx.execute(_KIND, {"b_location": location_id}).scalar_one())


def protocol_at(tx: Connection, location_id: str) -> str | None:
    """Return the protocol to which a place belongs."""
    if t.is_external(location_id) or kind_at(tx, location_id) not in TRIAL_PLACES:
        return None
    return rule_at(tx, location_id).protocol


def protocol_of(tx: Connection, dispense_id: int | None) -> str | None:
    """Return the protocol of a dispense."""
    if dispense_id is None:
        return None
    query = select(t.dispense_protocol.c.protocol_id).where(
        t.dispense_protocol.c.dispense_id == dispense_id
    )
    return tx.execute(query).scalar()


def breaches(tx: Connection, move: Move, seen: Watch) -> tuple[str, ...]:
    """Return which rules a movement breaks, each naming item and place."""
    found: list[str] = []
    if seen.trials:
        found += _trial_breach(tx, move)
    if seen.rules and move.kind not in _FREE and not t.is_external(move.target):
        found += item_breaches(tx, move.item_id, move.target, move.milli)
    return tuple(found)


def check(tx: Connection, move: Move, seen: Watch) -> None:
    """Raise ProtocolMixed or PlaceRuleBroken when a decision breaks a rule."""
    if seen.trials:
        for text in _trial_breach(tx, move):
            raise ProtocolMixed(text)
    for text in breaches(tx, move, Watch(seen.rules, trials=False, excursions=False)):
        raise PlaceRuleBroken(text)


def check_promise(tx: Connection, dispense_id: int, item_id: str, location_id: str) -> None:
    """Raise ProtocolMixed unless stock at a place may be promised to a dispense."""
    if not tx.execute(_HAS_TRIALS).scalar():
        return
    ours, order = protocol_at(tx, location_id), protocol_of(tx, dispense_id)
    text = protocol_breach(
        MovementKind.PICK, End(LocationKind.BIN, ours), End(LocationKind.FILL), order
    )
    if text is not None:
        raise ProtocolMixed(f"item {item_id} at {location_id}: {text}")


def _trial_breach(tx: Connection, move: Move) -> list[str]:
    source, target = _end(tx, move, move.source), _end(tx, move, move.target)
    text = protocol_breach(move.kind, source, target, protocol_of(tx, move.dispense_id))
    way = f"lot {move.lot} of item {move.item_id}, {move.source} to {move.target}"
    return [] if text is None else [f"{way}: {text}"]


def _end(tx: Connection, move: Move, location_id: str) -> End:
    kind = kind_at(tx, location_id)
    segregated = frozenset(_segregated(tx, move)) if kind is LocationKind.OUTDATE else frozenset()
    protocol = rule_at(tx, location_id).protocol if kind in TRIAL_PLACES else None
    return End(kind, protocol, segregated)


def item_breaches(tx: Connection, item_id: str, location_id: str, milli: int) -> tuple[str, ...]:
    """Return why the rule of a place forbids that `milli` of an item is put there."""
    if kind_at(tx, location_id) not in RULED:
        return ()
    rule = rule_at(tx, location_id)
    total = milli
    if rule.capacity_milli is not None:
        there = select(func.coalesce(func.sum(t.balance.c.on_hand), 0)).where(
            t.balance.c.item_id == item_id, t.balance.c.location_id == location_id
        )
        total += int(tx.execute(there).scalar_one())
    found = rule_breaches(rule, _item(tx, item_id), total)
    return tuple(f"item {item_id} at {location_id}: {text}" for text in found)


def _item(tx: Connection, item_id: str) -> Item:
    row = tx.execute(select(t.item).where(t.item.c.item_id == item_id)).one()
    return Item(
        item_id=row.item_id,
        name=row.name,
        strength=row.strength,
        form=row.form,
        labeler=row.labeler,
        unit=Unit(row.unit),
        pack_milli=row.pack_milli,
        schedule=Schedule(row.schedule),
        storage=Storage(row.storage),
        hazardous=row.hazardous,
        high_alert=row.high_alert,
    )


# ---------------------------------------------------------------- what a movement leaves behind


def booked(tx: Connection, movement_id: int, move: Move, stamp: Stamp, seen: Watch) -> None:
    """Note a booked movement in the records of trials, and hold what came into an excursion."""
    if seen.trials:
        _note_entries(tx, movement_id, move, stamp)
    if seen.excursions:
        excursions.moved(tx, move, stamp)


def _note_entries(tx: Connection, movement_id: int, move: Move, stamp: Stamp) -> None:
    ours, theirs = protocol_at(tx, move.source), protocol_at(tx, move.target)
    if ours != theirs:
        kinds = kind_at(tx, move.source), kind_at(tx, move.target)
        if ours is not None:
            entry = entry_out(move.kind, kinds[1])
            _note(tx, (ours, entry, -move.milli), movement_id, move, stamp)
        if theirs is not None:
            entry = entry_in(move.kind, kinds[0])
            _note(tx, (theirs, entry, move.milli), movement_id, move, stamp)
    order = protocol_of(tx, move.dispense_id)
    if order is not None and move.kind in _SET_APART and kind_at(tx, move.target) in SEGREGATED:
        _note(tx, (order, Entry.SEGREGATED, 0), movement_id, move, stamp)
    gone = _LEFT.get(move.kind)
    if gone is not None and ours is None and kind_at(tx, move.source) in SEGREGATED:
        left = move.milli
        for protocol, milli in sorted(_segregated(tx, move).items()):
            part = min(left, milli)
            if part:
                line = replace(move, milli=part)
                _note(tx, (protocol, gone, 0), movement_id, line, stamp)
            left -= part


_SET_APART = frozenset({MovementKind.PUTBACK, MovementKind.REJECT, MovementKind.RETURN_TO_STOCK})
"""How what had been taken for a dispense of a trial comes among outdates or rejects."""
_LEFT = {
    MovementKind.RETURN: Entry.RETURNED,
    MovementKind.DESTROY: Entry.DESTROYED,
    MovementKind.WASTE: Entry.WASTED,
    MovementKind.LOSS: Entry.LOST,
}


def _note(
    tx: Connection, line: tuple[str, Entry, int], movement_id: int, move: Move, stamp: Stamp
) -> None:
    protocol, entry, change = line
    tx.execute(
        insert(t.protocol_entry),
        {
            "protocol_id": protocol,
            "item_id": move.item_id,
            "lot": move.lot,
            "location_id": move.source if change <= 0 else move.target,
            "movement_id": movement_id,
            "entry": entry.value,
            "milli": move.milli,
            "change": change,
            "recorded_at": stamp.at,
        },
    )


def _segregated(tx: Connection, move: Move) -> dict[str, int]:
    """Return how much of a lot lies among outdates, rejects or in batches, by protocol."""
    entry = t.protocol_entry.c
    into = entry.entry == Entry.SEGREGATED.value
    out = or_(entry.entry == Entry.BROUGHT_BACK.value, entry.change == t.ZERO)
    net = func.sum(case((into, entry.milli), (out, -entry.milli), else_=0))
    rows = tx.execute(
        select(entry.protocol_id, net.label("net"))
        .where(entry.item_id == move.item_id, entry.lot == move.lot)
        .group_by(entry.protocol_id)
    )
    return {row.protocol_id: int(row.net) for row in rows if row.net > 0}


# ---------------------------------------------------------------- where trials lie


def trial_places(tx: Connection) -> dict[str, str]:
    """Return the protocol of each place that belongs to one."""
    ruled = tx.execute(
        select(t.place_rule.c.location_id, t.place_rule.c.protocol_id).where(
            t.place_rule.c.protocol_id.is_not(None)
        )
    ).all()
    said = {row.location_id: str(row.protocol_id) for row in ruled}
    if not said:
        return {}
    places = tx.execute(select(t.location.c.location_id, t.location.c.parent, t.location.c.kind))
    around = {row.location_id: (row.parent, LocationKind(row.kind)) for row in places}
    parents = {place: parent for place, (parent, _) in around.items()}
    found: dict[str, str] = {}
    for place, (_, kind) in around.items():
        protocol = _nearest(place, parents, said)
        if kind in TRIAL_PLACES and protocol is not None:
            found[place] = protocol
    return found


def _nearest(place: str, parents: Mapping[str, str | None], said: Mapping[str, str]) -> str | None:
    """Return what the nearest place around says, the place itself first; ends in a circle too."""
    at: str | None = place
    seen: set[str] = set()
    while at is not None and at not in said and at not in seen:
        seen.add(at)
        at = parents[at]
    return None if at is None else said.get(at)
