"""THE only writer of stock: postings, facts, reversals and reservations.

A posting is a decision and is refused when it may not be. A fact is what a machine says happened:
it is booked as far as the book holds stock, and the rest stays as a claim that later arrivals pay
at once. So the balances after a set of facts do not depend on their order, provided that the facts
that leave one place with one lot all have one target, or that the stock suffices for all of them in
the end.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import Connection, Row, bindparam, insert, select, union_all, update

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import discrepancies, journal, special
from dispensed.ledger import tables as t
from dispensed.ledger.holds import (
    BlockedLot,
    InsufficientStock,
    ReservationClosed,
    break_holds,
    check_usable,
    consume,
    mark,
    release,
    reserve,
)
from dispensed.ledger.journal import NO_LINK, Cell, Link, Move
from dispensed.ledger.rules import (
    BadMove,
    MovedLot,
    RequestReused,
    check_move,
    show,
)
from dispensed.ledger.special import Watch
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.movement import MovementKind, leaves_to_patient_or_device

__all__ = [
    "BadMove",
    "BlockedLot",
    "InsufficientStock",
    "Move",
    "RequestReused",
    "ReservationClosed",
    "Stamp",
    "mark",
    "release",
    "reserve",
]


_USED = union_all(
    select(t.movement.c.id).where(t.movement.c.request_id == bindparam("b_request")),
    select(t.unbooked.c.id).where(t.unbooked.c.request_id == bindparam("b_request")),
)
_MOVEMENT_OF = select(t.movement).where(t.movement.c.request_id == bindparam("b_request"))
_CLAIM_OF = select(t.unbooked).where(t.unbooked.c.request_id == bindparam("b_request"))
_OPEN_CLAIMS = (
    select(t.unbooked.c.id, t.unbooked.c.target, t.unbooked.c.remaining)
    .where(
        t.unbooked.c.item_id == bindparam("b_item"),
        t.unbooked.c.lot == bindparam("b_lot"),
        t.unbooked.c.location_id == bindparam("b_location"),
        t.unbooked.c.remaining > t.ZERO,
    )
    .order_by(t.unbooked.c.id)
)


class NotAFact(Invalid):
    """Giving medicine to a patient is a decision of a person, never a report of a machine."""

    code: ClassVar[str] = "not_a_fact"


class UnknownMovement(NotFound):
    """There is no movement of that number."""

    code: ClassVar[str] = "movement_not_found"


class AlreadyReversed(Conflict):
    """The movement was reversed before."""

    code: ClassVar[str] = "already_reversed"


class NotReversible(Conflict):
    """A reversal is not reversed; post what is right instead."""

    code: ClassVar[str] = "not_reversible"


class UnknownClaim(NotFound):
    """There is no unbooked claim of that number."""

    code: ClassVar[str] = "claim_not_found"


@dataclass(frozen=True, slots=True)
class Posted:
    """One booked movement; `repeated` when the request had been booked before."""

    movement_id: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class FactPosted:
    """What became of a fact: its movements, payments of its claim included, and the rest."""

    movement_ids: tuple[int, ...]
    unbooked_milli: int
    repeated: bool = False


# ---------------------------------------------------------------- decisions


def post(tx: Connection, move: Move, stamp: Stamp, *, on_date: date) -> Posted:
    """Book one movement, or return the first answer when the request is repeated.

    `on_date` is the site's date, by which expiry is judged. Raises BadMove, IllegalMovement,
    NotFound for an unknown item, lot, location, dispense or message, PlaceRuleBroken,
    ProtocolMixed, BlockedLot, InsufficientStock (available is on hand minus held), and
    RequestReused when the request id was used for something else.
    """
    repeated = _repeated(tx, move)
    if repeated is not None:
        return repeated
    lot = check_move(tx, move)
    seen = special.watch(tx, move.occurred_at)
    special.check(tx, move, seen)
    if leaves_to_patient_or_device(move.kind):
        check_usable(lot, on_date)
    _check_available(tx, move, lot)
    movement_id = _append(tx, move, stamp, seen)
    _pay_claims(tx, move, stamp)
    return Posted(movement_id, repeated=False)


def reverse(
    tx: Connection, movement_id: int, *, request_id: str, occurred_at: datetime, stamp: Stamp
) -> Posted:
    """Book the opposite of a movement, once; its stock must still lie free where it went.

    Raises UnknownMovement, AlreadyReversed, NotReversible, InsufficientStock or RequestReused. A
    repeat of the same request returns the first answer.
    """
    row = tx.execute(select(t.movement).where(t.movement.c.id == movement_id)).one_or_none()
    if row is None:
        raise UnknownMovement(f"there is no movement {movement_id}")
    if row.reverses is not None:
        raise NotReversible(f"movement {movement_id} is itself the reversal of {row.reverses}")
    move = Move(
        kind=MovementKind.REVERSAL,
        item_id=row.item_id,
        lot=row.lot,
        source=row.target,
        target=row.source,
        milli=row.milli,
        request_id=request_id,
        occurred_at=occurred_at,
        dispense_id=row.dispense_id,
    )
    repeated = _repeated(tx, move, reverses=movement_id)
    if repeated is not None:
        return repeated
    by = tx.execute(select(t.movement.c.id).where(t.movement.c.reverses == movement_id)).scalar()
    if by is not None:
        raise AlreadyReversed(f"movement {movement_id} was reversed by movement {by}")
    lot = check_move(tx, move)
    _check_available(tx, move, lot)
    reversal_id = _append(tx, move, stamp, link=Link(reverses=movement_id))
    _pay_claims(tx, move, stamp)
    return Posted(reversal_id, repeated=False)


def _append(
    tx: Connection, move: Move, stamp: Stamp, seen: Watch | None = None, link: Link = NO_LINK
) -> int:
    """Book a movement, and note what it means for trials and excursions."""
    movement_id = journal.append(tx, move, stamp, link)
    known = special.watch(tx, move.occurred_at) if seen is None else seen
    special.booked(tx, movement_id, move, stamp, known)
    return movement_id


def _check_available(tx: Connection, move: Move, lot: MovedLot) -> None:
    if t.is_external(move.source):
        return
    there = journal.held_at(tx, Cell(move.item_id, move.lot, move.source))
    available = there.on_hand - there.held
    if available < move.milli:
        raise InsufficientStock(
            f"lot {move.lot} of item {move.item_id} at {move.source}: {show(available, lot)}"
            f" available ({show(there.on_hand, lot)} on hand, {show(there.held, lot)} held),"
            f" {show(move.milli, lot)} asked"
        )


def _repeated(tx: Connection, move: Move, *, reverses: int | None = None) -> Posted | None:
    """Return the first answer to a request id that was used before for the same content."""
    if not _is_used(tx, move.request_id):
        return None
    row = _movement_of(tx, move.request_id)
    claim = _claim_of(tx, move.request_id)
    if (
        row is None
        or claim is not None
        or row.reverses != reverses
        or _content(row, row.source, row.milli) != _move_content(move)
    ):
        raise RequestReused(f"request {move.request_id} was used before for another movement")
    return Posted(row.id, repeated=True)


# ---------------------------------------------------------------- facts


def post_fact(tx: Connection, move: Move, stamp: Stamp) -> FactPosted:
    """Book what a machine says happened, blocked or held or not, or return the first answer.

    Moves at once what the book has on hand at the source, breaking the youngest reservations there
    when less is left than is held. The rest becomes a claim, paid by whatever arrives there next.
    What breaks a rule of places or of trials is booked and flagged by a `misplaced` discrepancy.
    Raises BadMove, IllegalMovement, NotAFact, NotFound and RequestReused.
    """
    if move.kind in (MovementKind.DISPENSE, MovementKind.REVERSAL):
        raise NotAFact(f"{move.kind} is decided by a person, no machine reports it")
    repeated = _repeated_fact(tx, move)
    if repeated is not None:
        return repeated
    check_move(tx, move)
    seen = special.watch(tx, move.occurred_at)
    _flag_misplaced(tx, move, stamp, seen)
    now = move.milli
    if not t.is_external(move.source):
        there = journal.held_at(tx, Cell(move.item_id, move.lot, move.source))
        now = min(there.on_hand, move.milli)
        break_holds(tx, move, there.on_hand - now, stamp)
    if now < move.milli:
        # The claim comes first: paying others' claims may bring stock back to the source.
        _claim(tx, move, move.milli - now, stamp)
    if now:
        _append(tx, replace(move, milli=now), stamp, seen)
        _pay_claims(tx, move, stamp)
    return _fact_state(tx, move.request_id, repeated=False)


def _flag_misplaced(tx: Connection, move: Move, stamp: Stamp, seen: Watch) -> None:
    """Open a discrepancy for a fact that breaks the rules of places or of trials."""
    broken = special.breaches(tx, move, seen)
    if broken and not t.is_external(move.target):
        discrepancies.add(
            tx,
            kind=special.MISPLACED,
            item_id=move.item_id,
            lot=move.lot,
            location_id=move.target,
            change=move.milli,
            detail="; ".join(broken),
            stamp=stamp,
        )


def take(tx: Connection, reservation_id: int, move: Move, stamp: Stamp) -> FactPosted:
    """Consume `move.milli` of a hold and book that movement as a fact; what is left stays held.

    Raises NotFound for an unknown reservation, ReservationClosed when it holds less than that,
    BadMove when lot or place are not those that were reserved. A repeat of the same request
    consumes nothing.
    """
    repeated = _repeated_fact(tx, move)
    if repeated is not None:
        return repeated
    consume(tx, reservation_id, move, stamp)
    return post_fact(tx, move, stamp)


def waive(tx: Connection, claim_id: int, stamp: Stamp) -> int:
    """Give up what is still unbooked of a claim, by a person's word; returns how much that was."""
    row = tx.execute(select(t.unbooked).where(t.unbooked.c.id == claim_id)).one_or_none()
    if row is None:
        raise UnknownClaim(f"there is no unbooked claim {claim_id}")
    tx.execute(
        update(t.unbooked)
        .where(t.unbooked.c.id == claim_id)
        .values(remaining=0, waived=row.waived + row.remaining)
    )
    details = {"item_id": row.item_id, "lot": row.lot, "milli": row.remaining}
    audit(tx, stamp, "claim.waived", f"claim {claim_id}", details)
    return int(row.remaining)


def _claim(tx: Connection, move: Move, milli: int, stamp: Stamp) -> None:
    tx.execute(
        insert(t.unbooked),
        {
            "request_id": move.request_id,
            "kind": move.kind.value,
            "item_id": move.item_id,
            "lot": move.lot,
            "location_id": move.source,
            "target": move.target,
            "milli": milli,
            "remaining": milli,
            "waived": 0,
            "occurred_at": move.occurred_at,
            "actor": stamp.actor,
            "reason": stamp.reason,
            "dispense_id": move.dispense_id,
            "inbox_id": move.inbox_id,
            "recorded_at": stamp.at,
        },
    )


def _pay_claims(tx: Connection, arrived: Move, stamp: Stamp) -> None:
    """Pay open claims where stock arrived, oldest first; a payment arrives in its turn."""
    places = [arrived.target]
    while places:
        place = places.pop()
        if t.is_external(place):
            continue
        key = {"b_item": arrived.item_id, "b_lot": arrived.lot, "b_location": place}
        claims = tx.execute(_OPEN_CLAIMS, key).all()
        for claim in claims:
            on_hand = journal.held_at(tx, Cell(arrived.item_id, arrived.lot, place)).on_hand
            part = min(on_hand, claim.remaining)
            if part == 0:
                break
            _pay(tx, claim.id, part, stamp)
            places.append(claim.target)


def _pay(tx: Connection, claim_id: int, milli: int, stamp: Stamp) -> None:
    claim = tx.execute(select(t.unbooked).where(t.unbooked.c.id == claim_id)).one()
    tx.execute(
        update(t.unbooked)
        .where(t.unbooked.c.id == claim_id)
        .values(remaining=claim.remaining - milli)
    )
    move = Move(
        kind=MovementKind(claim.kind),
        item_id=claim.item_id,
        lot=claim.lot,
        source=claim.location_id,
        target=claim.target,
        milli=milli,
        request_id=f"claim:{claim_id}:{claim.remaining}",
        occurred_at=claim.occurred_at,
        dispense_id=claim.dispense_id,
        inbox_id=claim.inbox_id,
    )
    author = Stamp(claim.actor, stamp.at, claim.reason)
    _append(tx, move, author, link=Link(claim_id=claim_id))


def _repeated_fact(tx: Connection, move: Move) -> FactPosted | None:
    """Return how a fact stands that was reported before; refuse another fact of the same id."""
    if not _is_used(tx, move.request_id):
        return None
    row = _movement_of(tx, move.request_id)
    claim = _claim_of(tx, move.request_id)
    moved = 0 if row is None else row.milli
    if claim is not None:
        content = _content(claim, claim.location_id, moved + claim.milli)
    else:
        only = cast("Row[Any]", row)
        content = _content(only, only.source, moved)
    if content != _move_content(move):
        raise RequestReused(f"request {move.request_id} was used before for another movement")
    return _fact_state(tx, move.request_id, repeated=True)


def _fact_state(tx: Connection, request_id: str, *, repeated: bool) -> FactPosted:
    row = _movement_of(tx, request_id)
    claim = _claim_of(tx, request_id)
    ids = [] if row is None else [row.id]
    if claim is None:
        return FactPosted(tuple(ids), 0, repeated=repeated)
    payments = select(t.movement.c.id).where(t.movement.c.claim_id == claim.id)
    ids += tx.scalars(payments.order_by(t.movement.c.id))
    return FactPosted(tuple(ids), claim.remaining, repeated=repeated)


def _is_used(tx: Connection, request_id: str) -> bool:
    """Say whether a movement or a claim has this request id."""
    return tx.execute(_USED, {"b_request": request_id}).first() is not None


def _movement_of(tx: Connection, request_id: str) -> Row[Any] | None:
    return tx.execute(_MOVEMENT_OF, {"b_request": request_id}).one_or_none()


def _claim_of(tx: Connection, request_id: str) -> Row[Any] | None:
    return tx.execute(_CLAIM_OF, {"b_request": request_id}).one_or_none()


_Content = tuple[str, str, str, str, str, int, int | None]


def _content(row: Row[Any], source: str, milli: int) -> _Content:
    """Return what must be equal when a request is repeated; its times and message may differ."""
    return (row.kind, row.item_id, row.lot, source, row.target, milli, row.dispense_id)


def _move_content(move: Move) -> _Content:
    return (
        move.kind.value,
        move.item_id,
        move.lot,
        move.source,
        move.target,
        move.milli,
        move.dispense_id,
    )
