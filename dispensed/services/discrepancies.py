"""Differences between the book and what machines and people found, one record per lot and place."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.ledger import cases, post, read, touches
from dispensed.ledger import discrepancies as causes
from dispensed.ledger.cases import CaseRow, ReasonRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import Cell
from dispensed.ledger.post import Stamp
from dispensed.ledger.read import MovementRow
from dispensed.ledger.touches import Agreement, Touch
from dispensed.model.quantity import format_milli
from dispensed.services import booking, counting
from dispensed.services.site import Site

OTHER = cases.OTHER


class OwnAccess(Conflict):
    """The person who had the last access cannot resolve a discrepancy of a controlled substance."""

    code: ClassVar[str] = "own_access"


class StillDiffers(Conflict):
    """What was done leaves found and book of a controlled substance apart."""

    code: ClassVar[str] = "still_differs"


@dataclass(frozen=True, slots=True)
class CaseDetail:
    """One record with all that a person needs to resolve it.

    `agreed` is when the lot was last seen to be right there; `accesses` are all since, oldest
    first; `movements` are those that resolved it.
    """

    row: CaseRow
    agreed: Agreement | None
    accesses: tuple[Touch, ...]
    movements: tuple[MovementRow, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a person resolves a record.

    `correct` posts the difference as found or lost. `reverses` undoes a movement of the place that
    was recorded wrongly. `movement_id` names one that was posted meanwhile. Without any of them the
    reason is the whole answer.
    """

    reason_code: str
    reason: str
    correct: bool = False
    reverses: int | None = None
    movement_id: int | None = None


async def discrepancies(
    site: Site,
    *,
    state: str | None = "open",
    item_id: str | None = None,
    location_id: str | None = None,
    after: int = 0,
    limit: int = cases.LIMIT_MAX,
) -> tuple[CaseRow, ...]:
    """Return records of a state (open, closed), or all, oldest first."""
    if state not in (None, "open", "closed"):
        raise Invalid(f"discrepancy state {state!r} is not one of open, closed")
    return await site.store.read(
        lambda tx: cases.page(
            tx, state=state, item_id=item_id, location_id=location_id, after=after, limit=limit
        )
    )


async def discrepancy(site: Site, case_id: int) -> CaseDetail:
    """Return one record with every access since the last agreement; raises NotFound."""
    return await site.store.read(lambda tx: detail_of(tx, case_id))


def detail_of(tx: Tx, case_id: int) -> CaseDetail:
    """Return one record with every access since the last agreement."""
    row = cases.get(tx, case_id)
    cell = Cell(row.item_id, row.lot, row.location_id)
    agreed = touches.last_agreement(tx, cell, row.opened_at)
    own = cases.resolutions(tx, case_id)
    accesses = touches.touches(tx, cell, None if agreed is None else agreed.at, own=own)
    rows = [read.movements(tx, after=each - 1, limit=1)[0] for each in own]
    return CaseDetail(row, agreed, accesses, tuple(rows))


async def reasons(site: Site) -> tuple[ReasonRow, ...]:
    """Return the reason codes that a person may give."""
    rows = await site.store.read(cases.reasons)
    return tuple(row for row in rows if row.by_person)


async def assign(
    site: Site, case_id: int, owner: str, actor: str, *, due_at: datetime | None = None
) -> CaseDetail:
    """Give an open record to a person, and another due time when one is said."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> CaseDetail:
        cases.assign(tx, case_id, owner=owner, due_at=due_at, stamp=stamp)
        return detail_of(tx, case_id)

    found = await site.store.write(write)
    site.changes.notify("discrepancies")
    return found


async def close(
    site: Site, case_id: int, reason: str, actor: str, *, reason_code: str = ""
) -> CaseRow:
    """Close a record by a person's word; see `resolve`. A controlled one needs a reason code."""
    detail = await resolve(site, case_id, Resolution(reason_code, reason), actor)
    return detail.row


async def resolve(site: Site, case_id: int, how: Resolution, actor: str) -> CaseDetail:
    """Resolve a record, all of its causes at once; the reason and the movement are kept.

    Of a controlled substance it takes a reason code, a person who had not the last access, and
    nothing may differ afterwards. Raises NotFound, Invalid, UnknownReason, CaseClosed, OwnAccess,
    StillDiffers, and what `post.reverse` raises.
    """
    if not how.reason.strip():
        raise Invalid(f"discrepancy {case_id}: say why it is closed")
    if sum((how.correct, how.reverses is not None, how.movement_id is not None)) > 1:
        raise Invalid(f"discrepancy {case_id}: one way to resolve it at a time")
    stamp = site.stamp(actor, how.reason)
    found = await site.store.write(lambda tx: _resolve(tx, case_id, how, stamp))
    site.changes.notify("discrepancies", "stock")
    return found


def _resolve(tx: Tx, case_id: int, how: Resolution, stamp: Stamp) -> CaseDetail:
    row = cases.get_open(tx, case_id)
    if row.is_controlled and not how.reason_code:
        raise cases.UnknownReason(
            f"discrepancy {case_id}: a controlled substance needs a reason code; see the list"
        )
    code = how.reason_code or OTHER
    cases.check_reason(tx, code)
    if row.is_controlled:
        _check_other_person(tx, row, stamp)
    left = row.difference - _change(tx, row, how)
    if left and (row.is_controlled or how.correct or how.reverses is not None):
        raise StillDiffers(
            f"discrepancy {case_id} would leave {format_milli(left)} {row.unit} between found and"
            " book; correct it, or reverse what was recorded wrongly"
        )
    for cause in row.causes:
        if cause.state == "open":
            causes.close(tx, cause.id, stamp, code=code)
    _repair(tx, row, how, stamp)
    return detail_of(tx, case_id)


def _check_other_person(tx: Tx, row: CaseRow, stamp: Stamp) -> None:
    """Refuse the person of the last access.

    A choice of this project: whoever touched the stock last does not judge what became of it.
    """
    people = [each for each in detail_of(tx, row.id).accesses if each.is_person]
    if people and people[-1].actor == stamp.actor:
        last = people[-1]
        raise OwnAccess(
            f"discrepancy {row.id}: {stamp.actor} had the last access ({last.kind} {last.ref},"
            f" {last.text}); another person resolves it"
        )


def _change(tx: Tx, row: CaseRow, how: Resolution) -> int:
    """Return by how much a resolution brings the book of the place nearer to what was found."""
    if how.correct:
        if row.difference == 0:
            raise Invalid(f"discrepancy {row.id}: nothing differs, there is nothing to correct")
        return row.difference
    if how.reverses is not None:
        return -_effect(tx, row, how.reverses)
    if how.movement_id is None:
        return 0
    effect = _effect(tx, row, how.movement_id)
    return effect if row.difference else 0  # what agrees again was measured after the movement


def _repair(tx: Tx, row: CaseRow, how: Resolution, stamp: Stamp) -> None:
    """Post what the resolution asks for and link it."""
    cell = Cell(row.item_id, row.lot, row.location_id)
    if how.correct:
        counting.post_difference(
            tx,
            row.id,
            cell,
            row.difference,
            request_id=f"discrepancy:{row.id}",
            at=stamp.at,
            stamp=Stamp(stamp.actor, stamp.at, f"discrepancy {row.id}: {stamp.reason}"),
        )
    elif how.reverses is not None:
        posted = post.reverse(
            tx,
            how.reverses,
            request_id=f"discrepancy:{row.id}:{how.reverses}",
            occurred_at=stamp.at,
            stamp=stamp,
        )
        cases.resolved_by(tx, row.id, posted.movement_id, stamp)
        booking.sync_unbooked(tx, row.item_id, row.lot, row.location_id, stamp)
    elif how.movement_id is not None:
        cases.resolved_by(tx, row.id, how.movement_id, stamp)


def _effect(tx: Tx, row: CaseRow, movement_id: int) -> int:
    """Return what a movement changed at the place of a record; raises when it was elsewhere."""
    found = read.movements(tx, after=movement_id - 1, limit=1)
    if not found or found[0].id != movement_id:
        raise post.UnknownMovement(f"there is no movement {movement_id}")
    move = found[0]
    here = (move.item_id, move.lot) == (row.item_id, row.lot)
    if not here or row.location_id not in (move.source, move.target):
        raise Invalid(
            f"movement {movement_id} is not about lot {row.lot} of item {row.item_id} at"
            f" {row.location_id}"
        )
    return move.milli if move.target == row.location_id else -move.milli
