"""Investigational protocols, rules of places, and the accountability record of a protocol."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Connection, delete, func, insert, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import special
from dispensed.ledger import tables as t
from dispensed.ledger.catalog import find_location, get_item, get_location, put_location
from dispensed.ledger.excursions import places_in
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import Location, Storage
from dispensed.model.special import PlaceRule


class ProtocolExists(Conflict):
    """A protocol of that number is known with other facts."""

    code: ClassVar[str] = "protocol_exists"


class ProtocolClosed(Conflict):
    """The protocol is closed: nothing more is dispensed for it."""

    code: ClassVar[str] = "protocol_closed"


class UnknownProtocol(NotFound):
    """There is no protocol of that number."""

    code: ClassVar[str] = "protocol_not_found"


class PlaceInUse(Conflict):
    """Stock lies at the place or in it, so it does not change its protocol."""

    code: ClassVar[str] = "place_in_use"


class PlaceInItself(Conflict):
    """The place would lie in itself."""

    code: ClassVar[str] = "place_in_itself"


class OrderOfOtherProtocol(Conflict):
    """The dispense was ordered before for another protocol, or for none."""

    code: ClassVar[str] = "other_protocol"


@dataclass(frozen=True, slots=True)
class ProtocolRow:
    """One protocol; `investigator` is who is responsible for the record."""

    protocol_id: str
    title: str
    sponsor: str
    investigator: str
    state: str
    actor: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RuleRow:
    """The rule that one place itself says."""

    location_id: str
    rule: PlaceRule
    actor: str
    reason: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One line of an accountability record.

    `subject` is the opaque key of the patient for whom stock was dispensed, or put back. `change`
    is what the line adds to `balance`, the stock of the item and lot at the protocol's places.
    """

    id: int
    occurred_at: datetime
    recorded_at: datetime
    item_id: str
    name: str
    strength: str
    form: str
    labeler: str
    unit: str
    lot: str
    expiry: date | None
    entry: str
    milli: int
    change: int
    balance: int
    location_id: str
    subject: str
    dispense_id: int | None
    movement_id: int
    actor: str
    reason: str


# ---------------------------------------------------------------- protocols


def open_protocol(
    tx: Connection, protocol_id: str, facts: tuple[str, str, str], stamp: Stamp
) -> ProtocolRow:
    """Add a protocol with its title, sponsor and investigator; the same again changes nothing."""
    found = find_protocol(tx, protocol_id)
    if found is not None:
        if (found.title, found.sponsor, found.investigator) != facts:
            raise ProtocolExists(f"protocol {protocol_id} is known as {found.title!r}")
        return found
    values = {
        "protocol_id": protocol_id,
        "title": facts[0],
        "sponsor": facts[1],
        "investigator": facts[2],
        "state": "open",
        "actor": stamp.actor,
        "reason": stamp.reason,
        "updated_at": stamp.at,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.protocol), values)
    audit(tx, stamp, "protocol.opened", f"protocol {protocol_id}", {"title": facts[0]})
    return get_protocol(tx, protocol_id)


def close_protocol(tx: Connection, protocol_id: str, stamp: Stamp) -> ProtocolRow:
    """Close a protocol with the stamp's reason; raises ProtocolClosed when it is closed."""
    check_open(tx, protocol_id)
    values = {"state": "closed", "reason": stamp.reason, "updated_at": stamp.at}
    this = t.protocol.c.protocol_id == protocol_id
    tx.execute(update(t.protocol).where(this).values(values))
    audit(tx, stamp, "protocol.closed", f"protocol {protocol_id}", {})
    return get_protocol(tx, protocol_id)


def find_protocol(tx: Connection, protocol_id: str) -> ProtocolRow | None:
    """Return a protocol, None when it is not known."""
    found = [row for row in protocols(tx) if row.protocol_id == protocol_id]
    return found[0] if found else None


def get_protocol(tx: Connection, protocol_id: str) -> ProtocolRow:
    """Return a protocol; raises UnknownProtocol."""
    found = find_protocol(tx, protocol_id)
    if found is None:
        raise UnknownProtocol(f"no protocol {protocol_id}")
    return found


def check_open(tx: Connection, protocol_id: str) -> None:
    """Raise UnknownProtocol or ProtocolClosed unless a protocol is open."""
    if get_protocol(tx, protocol_id).state != "open":
        raise ProtocolClosed(f"protocol {protocol_id} is closed")


def protocols(tx: Connection) -> tuple[ProtocolRow, ...]:
    """Return every protocol by number."""
    rows = tx.execute(select(t.protocol).order_by(t.protocol.c.protocol_id))
    return tuple(
        ProtocolRow(
            protocol_id=row.protocol_id,
            title=row.title,
            sponsor=row.sponsor,
            investigator=row.investigator,
            state=row.state,
            actor=row.actor,
            reason=row.reason,
            recorded_at=row.recorded_at,
        )
        for row in rows
    )


def set_dispense(tx: Connection, dispense_id: int, protocol_id: str | None, stamp: Stamp) -> None:
    """Say for which protocol a new dispense is, once.

    Raises UnknownProtocol, ProtocolClosed, and OrderOfOtherProtocol when a repeated order names
    another one.
    """
    state = select(t.dispense.c.recorded_at).where(t.dispense.c.id == dispense_id)
    known = special.protocol_of(tx, dispense_id)
    if known == protocol_id:
        return
    is_new = tx.execute(state).scalar_one() == stamp.at
    if known is not None or protocol_id is None or not is_new:
        raise OrderOfOtherProtocol(
            f"dispense {dispense_id} was ordered for {known or 'no protocol'},"
            f" not for {protocol_id or 'no protocol'}"
        )
    check_open(tx, protocol_id)
    values = {"dispense_id": dispense_id, "protocol_id": protocol_id, "actor": stamp.actor}
    tx.execute(insert(t.dispense_protocol), {**values, "recorded_at": stamp.at})
    audit(tx, stamp, "dispense.of_protocol", f"dispense {dispense_id}", {"protocol": protocol_id})


# ---------------------------------------------------------------- rules of places


def put_rule(tx: Connection, location_id: str, rule: PlaceRule, stamp: Stamp) -> RuleRow:
    """Set what a place says, in place of an earlier rule; an empty rule takes it away.

    Raises UnknownLocation, UnknownItem, UnknownProtocol, ProtocolClosed for a protocol that is
    closed, and PlaceInUse when the protocol of a place that holds stock would change.
    """
    get_location(tx, location_id)
    for item_id in sorted(rule.items or ()):
        get_item(tx, item_id)
    before = special.trial_places(tx)
    places = places_in(tx, location_id)
    if rule.protocol is not None and rule.protocol != special.rule_at(tx, location_id).protocol:
        check_open(tx, rule.protocol)
    tx.execute(delete(t.place_rule).where(t.place_rule.c.location_id == location_id))
    if rule != PlaceRule():
        tx.execute(insert(t.place_rule), _rule_values(location_id, rule, stamp))
    after = special.trial_places(tx)
    for place in sorted(places):
        if before.get(place) != after.get(place):
            _check_empty(tx, place)
    said = {"storage": rule.storage, "protocol": rule.protocol, "capacity": rule.capacity_milli}
    audit(tx, stamp, "place.ruled", f"location {location_id}", said)
    return RuleRow(location_id, rule, stamp.actor, stamp.reason, stamp.at)


def _rule_values(location_id: str, rule: PlaceRule, stamp: Stamp) -> dict[str, object]:
    return {
        "location_id": location_id,
        "protocol_id": rule.protocol,
        "storage": None if rule.storage is None else rule.storage.value,
        "hazardous": rule.hazardous,
        "high_alert": rule.high_alert,
        "capacity_milli": rule.capacity_milli,
        "items": None if rule.items is None else json.dumps(sorted(rule.items)),
        "actor": stamp.actor,
        "reason": stamp.reason,
        "recorded_at": stamp.at,
    }


def _check_empty(tx: Connection, place: str) -> None:
    held = select(func.count()).where(t.balance.c.location_id == place, t.balance.c.on_hand != 0)
    if tx.execute(held).scalar_one():
        raise PlaceInUse(f"{place} holds stock: empty it before it changes its protocol")


def put_place(tx: Connection, place: Location, stamp: Stamp) -> None:
    """Add a place, or put a known one into another; the protocol of what holds stock stays.

    Raises UnknownLocation, LocationConflict, PlaceInUse, and PlaceInItself when it would lie in a
    place that lies in it.
    """
    known = find_location(tx, place.location_id)
    if known is not None and place.parent in places_in(tx, place.location_id):
        raise PlaceInItself(f"{place.parent} lies in {place.location_id}")
    before = special.trial_places(tx)
    put_location(tx, place, stamp)
    after = special.trial_places(tx)
    for each in sorted(places_in(tx, place.location_id)):
        if before.get(each) != after.get(each):
            _check_empty(tx, each)


def rules(tx: Connection) -> tuple[RuleRow, ...]:
    """Return what each place itself says, by place."""
    rows = tx.execute(select(t.place_rule).order_by(t.place_rule.c.location_id))
    return tuple(
        RuleRow(
            row.location_id,
            PlaceRule(
                protocol=row.protocol_id,
                storage=None if row.storage is None else Storage(row.storage),
                hazardous=row.hazardous,
                high_alert=row.high_alert,
                capacity_milli=row.capacity_milli,
                items=None if row.items is None else frozenset(json.loads(row.items)),
            ),
            row.actor,
            row.reason,
            row.recorded_at,
        )
        for row in rows
    )


# ---------------------------------------------------------------- accountability


def record_of(
    tx: Connection, protocol_id: str, *, after: int = 0, limit: int = 1000
) -> tuple[RecordLine, ...]:
    """Return the accountability record of a protocol, oldest line first, after a line's number.

    It has what the NCI Investigational Agent Accountability Record (NIH-2564) asks for, as far as
    the ledger knows it: date, subject, quantity dispensed or received, balance, manufacturer and
    lot number, recorder. 21 CFR 312.57 and 312.62 ask for receipt, use and disposition.
    """
    get_protocol(tx, protocol_id)
    entry = t.protocol_entry.c
    balance: dict[tuple[str, str], int] = {}
    before = tx.execute(
        select(entry.item_id, entry.lot, func.sum(entry.change).label("net"))
        .where(entry.protocol_id == protocol_id, entry.id <= after)
        .group_by(entry.item_id, entry.lot)
    )
    for row in before:
        balance[row.item_id, row.lot] = int(row.net)
    query = (
        select(
            t.protocol_entry,
            *(t.item.c.name, t.item.c.strength, t.item.c.form, t.item.c.labeler, t.item.c.unit),
            *(t.lot.c.expiry, t.movement.c.occurred_at, t.movement.c.dispense_id),
            *(t.movement.c.actor, t.movement.c.reason, t.dispense.c.patient_key),
        )
        .join(t.item, t.item.c.item_id == entry.item_id)
        .join(t.lot, (t.lot.c.item_id == entry.item_id) & (t.lot.c.lot == entry.lot))
        .join(t.movement, t.movement.c.id == entry.movement_id)
        .outerjoin(t.dispense, t.dispense.c.id == t.movement.c.dispense_id)
        .where(entry.protocol_id == protocol_id, entry.id > after)
        .order_by(entry.id)
        .limit(limit)
    )
    lines: list[RecordLine] = []
    for row in tx.execute(query):
        key = (row.item_id, row.lot)
        balance[key] = balance.get(key, 0) + row.change
        lines.append(
            RecordLine(
                id=row.id,
                occurred_at=row.occurred_at,
                recorded_at=row.recorded_at,
                item_id=row.item_id,
                name=row.name,
                strength=row.strength,
                form=row.form,
                labeler=row.labeler,
                unit=row.unit,
                lot=row.lot,
                expiry=row.expiry,
                entry=row.entry,
                milli=row.milli,
                change=row.change,
                balance=balance[key],
                location_id=row.location_id,
                subject=row.patient_key or "",
                dispense_id=row.dispense_id,
                movement_id=row.movement_id,
                actor=row.actor,
                reason=row.reason,
            )
        )
    return tuple(lines)
