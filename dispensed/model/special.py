"""What may be kept where: storage class, hazardous and high-alert drugs, and trials by protocol.

A place inherits each part of its rule from the nearest place around it that says something. The
rules are those of shelves and devices: receiving, the fill tray, a person's hand, rejects and
outdates take everything, except that a receiving place may belong to a protocol.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dispensed.model.catalog import Item, LocationKind, Storage
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import format_milli

RULED = frozenset({LocationKind.BIN, LocationKind.DEVICE})
"""Kinds of place whose rules about items hold."""
TRIAL_PLACES = frozenset({LocationKind.BIN, LocationKind.RECEIVING})
"""Kinds of place that may belong to a protocol; what a machine holds does not."""
SEGREGATED = frozenset({LocationKind.OUTDATE, LocationKind.REJECTS})
"""Kinds of place to which stock of any protocol may go."""


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """What one place says; None says nothing and leaves it to the place around.

    `capacity_milli` is the most of one item that may lie at a place. `hazardous` and `high_alert`
    say whether such drugs may lie there: USP General Chapter 800 asks to store hazardous drugs
    apart; which drugs are hazardous is the NIOSH list, kept as a flag of the item. Neither names a
    place, so the rule is the site's.
    """

    protocol: str | None = None
    storage: Storage | None = None
    hazardous: bool | None = None
    high_alert: bool | None = None
    capacity_milli: int | None = None
    items: frozenset[str] | None = None


def effective(chain: Iterable[PlaceRule]) -> PlaceRule:
    """Return what holds at a place: of each part what the nearest says. The nearest comes first."""
    found = PlaceRule()
    for rule in chain:
        found = PlaceRule(
            protocol=found.protocol if found.protocol is not None else rule.protocol,
            storage=found.storage if found.storage is not None else rule.storage,
            hazardous=found.hazardous if found.hazardous is not None else rule.hazardous,
            high_alert=found.high_alert if found.high_alert is not None else rule.high_alert,
            capacity_milli=(
                found.capacity_milli if found.capacity_milli is not None else rule.capacity_milli
            ),
            items=found.items if found.items is not None else rule.items,
        )
    return found


def rule_breaches(rule: PlaceRule, item: Item, total_milli: int) -> tuple[str, ...]:
    """Return why an item may not lie at a place with `total_milli` of it there afterwards."""
    found = []
    if rule.storage is not None and item.storage is not rule.storage:
        found.append(f"it is stored {item.storage}, the place is {rule.storage}")
    if item.hazardous and rule.hazardous is False:
        found.append("no hazardous drugs are kept there")
    if item.high_alert and rule.high_alert is False:
        found.append("no high-alert drugs are kept there")
    if rule.items is not None and item.item_id not in rule.items:
        found.append("the place is for other items")
    if rule.capacity_milli is not None and total_milli > rule.capacity_milli:
        found.append(
            f"it would hold {format_milli(total_milli)} {item.unit}, at most"
            f" {format_milli(rule.capacity_milli)} fit"
        )
    return tuple(found)


# ---------------------------------------------------------------- protocols


@dataclass(frozen=True, slots=True)
class End:
    """One end of a movement: its kind and the protocol to which the place belongs.

    `segregated` are the protocols whose stock of the moved lot lies among outdates.
    """

    kind: LocationKind
    protocol: str | None = None
    segregated: frozenset[str] = frozenset()


_TAKEN = frozenset({MovementKind.PICK, MovementKind.OUTPUT, MovementKind.REMOVE})
_BACK = frozenset({MovementKind.PUTBACK, MovementKind.RETURN_TO_STOCK})
_NEVER_FROM = frozenset({MovementKind.CONSUME, MovementKind.IN_TRANSIT})


def protocol_breach(kind: MovementKind, source: End, target: End, order: str | None) -> str | None:
    """Return why a movement would mix stock of trials, None when it does not.

    `order` is the protocol of the dispense for which stock moves. Stock of a protocol goes only to
    a dispense of that protocol, and from there back to its places, to the segregated places, or out
    of the pharmacy (21 CFR 312.61: only to subjects of the investigation). It comes from receiving,
    from outside, or from other places of the protocol.
    """
    if kind in (MovementKind.TRANSFER, MovementKind.LOAD) and order is None:
        return _transfer_breach(source, target)
    ours, theirs = _name(source.protocol), _name(target.protocol)
    back = kind in _BACK and target.kind not in SEGREGATED
    found = (
        (
            kind in _TAKEN and source.protocol != order,
            f"the stock is of {ours}, not {_name(order)}",
        ),
        (back and target.protocol != order, f"the stock is of {_name(order)}, not {theirs}"),
        (kind is MovementKind.LOAD, f"stock of {_name(order)} is not loaded into a machine"),
        (
            kind in _NEVER_FROM and source.protocol is not None,
            f"stock of {ours} is neither repacked nor sent to another pharmacy",
        ),
        (
            kind is MovementKind.PRODUCE and target.protocol is not None,
            f"the place is of {theirs}, repacked stock is not",
        ),
    )
    return next((text for wrong, text in found if wrong), None)


def _transfer_breach(source: End, target: End) -> str | None:
    ours, theirs = source.protocol, target.protocol
    if target.kind in SEGREGATED:
        return None
    if ours is not None:
        wrong = ours != theirs
        return f"the stock is of {_name(ours)}, not {_name(theirs)}" if wrong else None
    if theirs is None:
        among = ", ".join(sorted(source.segregated))
        return f"stock of protocol {among} lies there too" if among else None
    fits = source.kind is LocationKind.RECEIVING or theirs in source.segregated
    return None if fits else f"the place is of {_name(theirs)}, the stock is not"


def _name(protocol: str | None) -> str:
    return "no protocol" if protocol is None else f"protocol {protocol}"


class Entry(StrEnum):
    """What a line of an accountability record says."""

    RECEIVED = "received"
    FOUND = "found"
    PUT_BACK = "put_back"
    BROUGHT_BACK = "brought_back"
    DISPENSED = "dispensed"
    RETURNED = "returned"
    DESTROYED = "destroyed"
    WASTED = "wasted"
    LOST = "lost"
    SEGREGATED = "segregated"
    MOVED = "moved"
    CORRECTED = "corrected"


_IN = {
    MovementKind.FOUND: Entry.FOUND,
    MovementKind.PUTBACK: Entry.PUT_BACK,
    MovementKind.RETURN_TO_STOCK: Entry.PUT_BACK,
    MovementKind.REVERSAL: Entry.CORRECTED,
}
_OUT = {
    MovementKind.PICK: Entry.DISPENSED,
    MovementKind.OUTPUT: Entry.DISPENSED,
    MovementKind.REMOVE: Entry.DISPENSED,
    MovementKind.RETURN: Entry.RETURNED,
    MovementKind.DESTROY: Entry.DESTROYED,
    MovementKind.WASTE: Entry.WASTED,
    MovementKind.LOSS: Entry.LOST,
    MovementKind.REVERSAL: Entry.CORRECTED,
}


def entry_in(kind: MovementKind, source: LocationKind) -> Entry:
    """Return what it means that stock came into the places of a protocol."""
    if source in SEGREGATED:
        return Entry.BROUGHT_BACK
    return _IN.get(kind, Entry.RECEIVED)


def entry_out(kind: MovementKind, target: LocationKind) -> Entry:
    """Return what it means that stock left the places of a protocol."""
    if target in SEGREGATED:
        return Entry.SEGREGATED
    return _OUT.get(kind, Entry.MOVED)
