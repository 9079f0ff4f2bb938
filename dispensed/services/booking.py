"""Books what machines report: facts of stored device messages become movements and discrepancies.

A fact happened, so it is booked even when it should not have; what should not have happened is
shown by a discrepancy. The effect of one fact is applied once, whatever the order and repetition of
messages: packs are identified by the machine's pack id, counting jobs by their job id.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import assert_never

from dispensed.errors import Invalid
from dispensed.ledger import accesses, catalog, discrepancies, dispenses, inbox, picking, post, read
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import ExpirySource, Item, Lot, LotState
from dispensed.model.dispensing import DispenseState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import MILLI, format_milli
from drivers.facts import (
    CodeScanned,
    CountReported,
    DrawerReported,
    Fact,
    InputReported,
    OutputReported,
    Pack,
    StockReported,
)

FILL = "fill"
RECEIVING = "receiving"
REJECTS = "rejects"
FOUND = "ext:found"
_DONE = (DispenseState.VERIFIED, DispenseState.SETTLED, DispenseState.VOIDED)
UNKNOWN_LOT = "UNKNOWN"
"""Lot number under which stock is kept whose lot the machine did not tell.

Its expiry stays unknown.
"""


class Unbookable(Invalid):
    """A device message names something that the ledger does not know; it is kept for a person."""

    code = "unbookable"


@dataclass(frozen=True, slots=True)
class Message:
    """The stored message whose facts are booked."""

    inbox_id: int
    device: str
    location: str
    occurred_at: datetime
    on_date: date


def order_dispense(order_id: str) -> int | None:
    """Return the dispense an order or job id belongs to (`<dispense>-<attempt>`).

    None for foreign ids.
    """
    head, dash, tail = order_id.partition("-")
    if dash and head.isdecimal() and tail.isdecimal() and len(order_id) <= 2 * 19:
        return int(head)
    return None


def book(tx: Tx, message: Message, facts: tuple[Fact, ...], stamp: Stamp) -> str:
    """Book the facts of one message in one transaction; returns a short note of what was done."""
    notes = [_book_fact(tx, message, fact, stamp) for fact in facts]
    return "; ".join(note for note in notes if note) or "nothing to book"


def _book_fact(tx: Tx, message: Message, fact: Fact, stamp: Stamp) -> str:
    match fact:
        case OutputReported():
            return _book_output(tx, message, fact, stamp)
        case InputReported():
            return _book_input(tx, message, fact.pack, stamp)
        case CountReported():
            return _book_count(tx, message, fact, stamp)
        case DrawerReported():
            return _book_sight(tx, message, fact, stamp)
        case StockReported() | CodeScanned():
            return ""
        case _ as unreachable:
            assert_never(unreachable)


# ---------------------------------------------------------------- output of packs


def _book_output(tx: Tx, message: Message, fact: OutputReported, stamp: Stamp) -> str:
    dispense_id = _own_dispense(tx, fact.order_id)
    booked = 0
    for number, pack in enumerate(fact.packs):
        key = pack_key("out", pack, f"{fact.order_id}:{message.inbox_id}:{number}")
        if not inbox.effect_once(tx, message.device, key, message.inbox_id, stamp):
            continue
        item = _item(tx, pack.article)
        lot = known_lot(tx, item, pack, stamp)
        milli = pack_milli(item, pack)
        move = Move(
            kind=MovementKind.OUTPUT,
            item_id=item.item_id,
            lot=lot,
            source=message.location,
            target=FILL,
            milli=milli,
            request_id=f"{message.device}:{key}",
            occurred_at=message.occurred_at,
            dispense_id=dispense_id,
            inbox_id=message.inbox_id,
        )
        _out(tx, move, stamp)
        booked += 1
        if dispense_id is None:
            discrepancies.add(
                tx,
                kind="unordered_output",
                item_id=item.item_id,
                lot=lot,
                location_id=FILL,
                change=milli,
                detail=f"{message.device} put out pack {pack.pack_id} under order"
                f" {fact.order_id!r}, for which no fill is open here",
                stamp=stamp,
            )
    if dispense_id is not None:
        recount(tx, dispense_id, stamp)
    return f"{booked} pack(s) out, order {fact.order_id} {fact.status}" if fact.packs else ""


def _out(tx: Tx, move: Move, stamp: Stamp) -> None:
    """Move stock that a machine says left a place: from the dispense's own hold first."""
    left = move.milli
    if move.dispense_id is not None:
        for hold in picking.holds(tx, move.dispense_id, active=True):
            if (hold.lot, hold.location_id) != (move.lot, move.source) or not left:
                continue
            part = min(left, hold.remaining)
            request_id = f"{move.request_id}:r{hold.reservation_id}"
            taken = replace(move, milli=part, request_id=request_id)
            post.take(tx, hold.reservation_id, taken, stamp)
            left -= part
    if left:
        booked = post.post_fact(tx, replace(move, milli=left), stamp)
        if booked.unbooked_milli:
            sync_unbooked(tx, move.item_id, move.lot, move.source, stamp)


def sync_unbooked(tx: Tx, item_id: str, lot: str, location: str, stamp: Stamp) -> None:
    """Keep the discrepancy of claims that could not be booked equal to what is still unbooked."""
    discrepancies.set_difference(
        tx,
        kind="unbooked_output",
        item_id=item_id,
        lot=lot,
        location_id=location,
        difference=-read.unbooked_milli(tx, item_id, lot, location),
        detail=f"more left {location} than the book holds there",
        stamp=stamp,
    )


# ---------------------------------------------------------------- input of packs


def _book_input(tx: Tx, message: Message, pack: Pack, stamp: Stamp) -> str:
    key = pack_key("in", pack, f"{message.inbox_id}")
    if not inbox.effect_once(tx, message.device, key, message.inbox_id, stamp):
        return "pack was booked before"
    item = _item(tx, pack.article)
    lot = known_lot(tx, item, pack, stamp)
    milli = pack_milli(item, pack)
    received = min(milli, read.free_milli(tx, item.item_id, lot, RECEIVING))
    parts = (
        (MovementKind.LOAD, RECEIVING, received),
        (MovementKind.FOUND, FOUND, milli - received),
    )
    for kind, source, part in parts:
        if part:
            post.post_fact(
                tx,
                Move(
                    kind=kind,
                    item_id=item.item_id,
                    lot=lot,
                    source=source,
                    target=message.location,
                    milli=part,
                    request_id=f"{message.device}:{key}:{kind}",
                    occurred_at=message.occurred_at,
                    inbox_id=message.inbox_id,
                ),
                stamp,
            )
    if milli > received:
        discrepancies.add(
            tx,
            kind="unreceived_input",
            item_id=item.item_id,
            lot=lot,
            location_id=message.location,
            change=milli - received,
            detail=f"{message.device} stored pack {pack.pack_id}, of which"
            f" {format_milli(milli - received)} {item.unit} were never received",
            stamp=stamp,
        )
    sync_unbooked(tx, item.item_id, lot, message.location, stamp)
    return f"pack {pack.pack_id} in"


# ---------------------------------------------------------------- counting


def _book_count(tx: Tx, message: Message, fact: CountReported, stamp: Stamp) -> str:
    key = f"count:{fact.job_id}"
    if not inbox.effect_once(tx, message.device, key, message.inbox_id, stamp):
        return "count was booked before"
    item = _item(tx, fact.article)
    if catalog.find_lot(tx, item.item_id, fact.lot) is None:
        raise Unbookable(f"count {fact.job_id}: item {item.item_id} has no lot {fact.lot}")
    dispense_id = _own_dispense(tx, fact.job_id)
    routes = (
        (MovementKind.PICK, FILL, fact.counted),
        (MovementKind.REJECT, REJECTS, fact.defective),
    )
    for kind, target, pieces in routes:
        if pieces:
            move = Move(
                kind=kind,
                item_id=item.item_id,
                lot=fact.lot,
                source=fact.source,
                target=target,
                milli=pieces * MILLI,
                request_id=f"{message.device}:{key}:{kind}",
                occurred_at=message.occurred_at,
                dispense_id=dispense_id,
                inbox_id=message.inbox_id,
            )
            if kind is MovementKind.PICK:
                _out(tx, move, stamp)
            elif post.post_fact(tx, move, stamp).unbooked_milli:
                sync_unbooked(tx, item.item_id, fact.lot, fact.source, stamp)
    if dispense_id is not None:
        recount(tx, dispense_id, stamp)
    return f"{fact.counted} counted, {fact.defective} defective"


# ---------------------------------------------------------------- drawers


def _book_sight(tx: Tx, message: Message, fact: DrawerReported, stamp: Stamp) -> str:
    """Write an access into the audit trail; it moves no stock."""
    verb = "left_open" if fact.overdue else "seen_open" if fact.is_open else "seen_shut"
    noted = accesses.sight(
        tx,
        accesses.Sight(message.device, fact.drawer, f"drawer.{verb}", fact.request_id),
        stamp,
        inbox_id=message.inbox_id,
    )
    return f"drawer {fact.drawer} {verb.replace('_', ' ')}" if noted else ""


# ---------------------------------------------------------------- shared


def _own_dispense(tx: Tx, order_id: str) -> int | None:
    """Return the dispense that an order belongs to while it is still being made, else None."""
    dispense_id = order_dispense(order_id)
    row = None if dispense_id is None else dispenses.find(tx, dispense_id)
    return None if row is None or row.state in _DONE else dispense_id


def recount(tx: Tx, dispense_id: int, stamp: Stamp) -> None:
    """Make the count of a counted dispense equal to what lies in the tray for it."""
    if dispenses.get(tx, dispense_id).state is DispenseState.COUNTED:
        total = sum(part.milli for part in picking.picked(tx, dispense_id))
        dispenses.update_fields(tx, dispense_id, stamp, counted_milli=total)


def pack_key(direction: str, pack: Pack, fallback: str = "?") -> str:
    """Identify a pack's passage; without a usable pack id the message itself is the identity."""
    if pack.pack_id in ("", "0"):
        return f"{direction}:{fallback}"
    return f"{direction}:{pack.pack_id}"


def _item(tx: Tx, article: str) -> Item:
    item = catalog.find_item(tx, article)
    if item is None:
        raise Unbookable(f"article {article!r} is not in the catalogue")
    return item


def known_lot(tx: Tx, item: Item, pack: Pack, stamp: Stamp) -> str:
    """Return the lot of a pack, known from then on.

    A new one stays in quarantine until a person looks.
    """
    number = pack.lot or UNKNOWN_LOT
    if catalog.find_lot(tx, item.item_id, number) is None:
        catalog.put_lot(
            tx,
            Lot(
                item_id=item.item_id,
                lot=number,
                expiry=pack.expiry if pack.lot else None,
                expiry_source=ExpirySource.DEVICE
                if pack.lot and pack.expiry
                else ExpirySource.UNKNOWN,
                state=LotState.QUARANTINE,
            ),
            stamp,
        )
    return number


def pack_milli(item: Item, pack: Pack) -> int:
    """Return what a pack holds, in thousandths of the item's unit."""
    return item.pack_milli if pack.units is None else pack.units * MILLI
