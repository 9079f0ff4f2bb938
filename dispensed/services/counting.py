"""Counting: open tasks, take what was counted, judge it, post the variance or ask a second person.

What becomes of a variance (counted less book at the instant of the count, `ledger.counting`):

- Of an uncontrolled item and within the limits of `[counts]`: it is posted at once as found or
  lost, exactly that much, beside a discrepancy record that the movement resolves.
- Of an uncontrolled item and larger: another person counts again; the second count decides and
  posts its own variance. Both are kept.
- Of a controlled item: another person counts again, always. Nothing is ever posted; a variance of
  either count makes a discrepancy of the second one's size, which a person resolves.
- A count that is older than another one of the same lot and place posts nothing.

A task that counts several lots waits as a whole for its second count. An answer is all that lies
there: a lot that it does not name was not there. The task and its answer tell nothing of the book
before the count is in; while a second count is due not even the first one is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import isqrt
from uuid import uuid4

import structlog

from dispensed.errors import Conflict
from dispensed.ledger import cases, catalog, count_book, counting, discrepancies, post
from dispensed.ledger.count_book import BadCount, Lots, Scope
from dispensed.ledger.counting import Line, NewRound, Result, RoundRow, TaskRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.journal import Cell
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import Schedule
from dispensed.model.counting import (
    CountKind,
    CountSource,
    CountState,
    SamePerson,
    check_transition,
    needs_recount,
)
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity, format_milli
from dispensed.services import booking
from dispensed.services.site import Site

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

FOUND = "ext:found"
LOSS = "ext:loss"
KIND = "count"
"""Kind of the discrepancy that a count makes."""
LINES_MAX = 5000


@dataclass(frozen=True, slots=True)
class Ask:
    """A task as a person asks for it; a blind kind is blind, others when `blind` says so."""

    kind: CountKind
    location_id: str
    request_id: str
    item_id: str | None = None
    lot: str | None = None
    blind: bool = False
    owner: str = ""
    due_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """A quantity of one lot as plain decimal text; item and lot may be left to the task."""

    quantity: str
    item_id: str | None = None
    lot: str | None = None
    uncertainty_milli: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that was counted for a task, how, and when.

    Without `counted_at` it was counted just now, behind the last movement of the journal. With it,
    `position` may name the last movement before the count.
    """

    lines: tuple[Counted, ...]
    request_id: str
    source: CountSource = CountSource.HAND
    device: str = ""
    counted_at: datetime | None = None
    position: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CountDetail:
    """One task with what may be known of it now.

    `expected` is the book by item and lot, None where the counter may not know it. While somebody
    still has to count, `rounds` have no results. `late` are movements that the count missed.
    """

    task: TaskRow
    rounds: tuple[RoundRow, ...]
    expected: Lots | None
    late: tuple[int, ...]


# ---------------------------------------------------------------- tasks


async def open_count(site: Site, asked: Ask, actor: str) -> CountDetail:
    """Open a task; a repeat of the request returns the first one."""
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> CountDetail:
        return detail_of(tx, open_in(tx, site, asked, stamp).id)

    found = await site.store.write(write)
    site.changes.notify("discrepancies")
    return found


def open_in(tx: Tx, site: Site, asked: Ask, stamp: Stamp) -> TaskRow:
    """Open a task inside a write."""
    new = counting.NewCount(
        kind=asked.kind,
        blind=asked.blind or asked.kind is CountKind.BLIND,
        scope=Scope(asked.location_id, asked.item_id, asked.lot),
        owner=asked.owner,
        due_at=asked.due_at or stamp.at + timedelta(hours=site.counting.hours_due),
        reason=asked.reason,
        request_id=asked.request_id,
    )
    return counting.open_task(tx, new, stamp)


async def counts(
    site: Site,
    *,
    state: str | None = None,
    location: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[TaskRow, ...]:
    """Return tasks by ascending id: of a state, `waiting` for those to be counted, None for all."""
    states: tuple[CountState, ...] = ()
    if state == "waiting":
        states = tuple(each for each in CountState if each.waits)
    elif state is not None:
        if state not in tuple(CountState):
            raise BadCount(f"count state {state!r} is not one of waiting, {', '.join(CountState)}")
        states = (CountState(state),)
    return await site.store.read(
        lambda tx: counting.page(tx, states=states, location_id=location, after=after, limit=limit)
    )


async def count(site: Site, number: int) -> CountDetail:
    """Return one task with what may be known of it now; raises UnknownCount."""
    return await site.store.read(lambda tx: detail_of(tx, number))


def detail_of(tx: Tx, number: int) -> CountDetail:
    """Return one task with what may be known of it now."""
    task = counting.get(tx, number)
    rounds = counting.rounds(tx, number)
    expected = None
    if task.state.waits:
        rounds = tuple(replace(each, results=()) for each in rounds)
        if not task.blind:
            at = task.opened_at if not rounds else rounds[-1].recorded_at
            expected = count_book.book_at(
                tx, task.scope, since=task.head, at=at, position=count_book.head(tx)
            )
    late = counting.late_movements(tx, number) if task.state is CountState.CLOSED else ()
    return CountDetail(task, rounds, expected, late)


async def assign(site: Site, number: int, owner: str, actor: str) -> CountDetail:
    """Give a task that waits to a person."""

    def write(tx: Tx) -> CountDetail:
        counting.assign(tx, number, owner, site.stamp(actor))
        return detail_of(tx, number)

    return await site.store.write(write)


async def cancel(site: Site, number: int, reason: str, actor: str) -> CountDetail:
    """Give a task up, for a reason; a variance that waited for its second count is not forgotten.

    It becomes a discrepancy of its size; nothing is posted.
    """
    if not reason.strip():
        raise BadCount(f"count {number}: say why it is cancelled")
    stamp = site.stamp(actor, reason)

    def write(tx: Tx) -> CountDetail:
        waited = counting.get(tx, number).state is CountState.RECOUNT
        task = counting.set_state(tx, number, CountState.CANCELLED, stamp, outcome="cancelled")
        if waited:
            for result in counting.rounds(tx, number)[-1].results:
                if result.variance:
                    _set_difference(tx, task, result, stamp)
        return detail_of(tx, number)

    found = await site.store.write(write)
    site.changes.notify("discrepancies")
    return found


# ---------------------------------------------------------------- answers


async def submit(site: Site, number: int, answer: Answer, actor: str) -> CountDetail:
    """Take what was counted, keep it and judge it; a repeat of the request changes nothing.

    Raises UnknownCount, CountClosed, SamePerson for a second count by the same person, BadCount,
    BadQuantity, UnknownItem, UnknownLot. No text of these tells what the book expects.
    """
    stamp = site.stamp(actor, answer.reason)
    found = await site.store.write(lambda tx: submit_in(tx, site, number, answer, stamp))
    task = found.task
    log.info("count.judged", state=task.state, location_id=task.location_id, source=answer.source)
    site.changes.notify("discrepancies", "stock")
    return found


def submit_in(tx: Tx, site: Site, number: int, answer: Answer, stamp: Stamp) -> CountDetail:
    """Take an answer inside a write."""
    known = counting.task_of_request(tx, answer.request_id)
    if known is not None:
        if known != number:
            raise counting.CountExists(
                f"request {answer.request_id} was used before for count {known}"
            )
        return detail_of(tx, number)
    task = counting.get(tx, number)
    check_transition(number, task.state, CountState.SUBMITTED)
    before = counting.rounds(tx, number)
    if stamp.actor in {each.actor for each in before}:
        raise SamePerson(f"count {number}: {stamp.actor} has counted; another person counts again")
    at, position = _instant(tx, task, before, answer, stamp)
    told = _told(tx, task, answer)
    book = count_book.book_at(tx, task.scope, since=task.head, at=at, position=position)
    earlier = {(each.item_id, each.lot) for done in before for each in done.results}
    lines = [
        Line(*key, *told.get(key, (0, 0)), book.get(key, 0))
        for key in sorted({*told, *book, *earlier})
    ]
    counting.set_state(tx, number, CountState.SUBMITTED, stamp)
    new = NewRound(number, answer.source, answer.device, at, position, answer.request_id)
    done = counting.add_round(tx, new, lines, stamp)
    _judge(tx, site, task, (*before, done), stamp)
    return detail_of(tx, number)


def _instant(
    tx: Tx, task: TaskRow, before: tuple[RoundRow, ...], answer: Answer, stamp: Stamp
) -> tuple[datetime, int | None]:
    """Return when it was counted, and behind which movement where that is known."""
    at, position = answer.counted_at, answer.position
    if at is None:
        if position is not None:
            raise BadCount(f"count {task.id}: a position without the instant of the count")
        return stamp.at, count_book.head(tx)
    if at.utcoffset() is None:
        raise BadCount(f"count {task.id}: the time {at.isoformat()} has no zone")
    if at > stamp.at:
        raise BadCount(f"count {task.id}: counted at {at.isoformat()}, which is still to come")
    first = max((task.opened_at, *(each.counted_at for each in before)))
    if at < first:
        raise BadCount(
            f"count {task.id}: counted at {at.isoformat()}, before {first.isoformat()} when it was"
            " asked for or counted last; count again"
        )
    return at, position


def _told(tx: Tx, task: TaskRow, answer: Answer) -> dict[tuple[str, str], tuple[int, int]]:
    """Return counted thousandths and their uncertainty by item and lot; portions add up."""
    if len(answer.lines) > LINES_MAX:
        raise BadCount(f"count {task.id}: more than {LINES_MAX} lines")
    told: dict[tuple[str, str], tuple[int, int]] = {}
    for line in answer.lines:
        item_id, lot = line.item_id or task.item_id, line.lot or task.lot
        if item_id is None or lot is None:
            raise BadCount(f"count {task.id}: a line names no {'lot' if item_id else 'item'}")
        if task.item_id not in (None, item_id) or task.lot not in (None, lot):
            raise BadCount(f"count {task.id} is not about lot {lot} of item {item_id}")
        if line.uncertainty_milli < 0:
            raise BadCount(f"count {task.id}: an uncertainty below zero")
        unit = catalog.get_item(tx, item_id).unit
        catalog.get_lot(tx, item_id, lot)
        milli = Quantity.parse(line.quantity, unit).milli
        known, spread = told.get((item_id, lot), (0, 0))
        both = spread**2 + line.uncertainty_milli**2
        told[item_id, lot] = (known + milli, isqrt(both - 1) + 1 if both else 0)
    return told


# ---------------------------------------------------------------- judging


def _judge(tx: Tx, site: Site, task: TaskRow, rounds: tuple[RoundRow, ...], stamp: Stamp) -> None:
    """Decide what becomes of the last round."""
    last = rounds[-1]
    fresh = [each for each in last.results if not _is_stale(tx, task, last, each)]
    large = any(
        needs_recount(
            each.variance, each.book, controlled=_is_controlled(each), policy=site.counting
        )
        for each in fresh
    )
    if large and len(rounds) == 1:
        counting.set_state(tx, task.id, CountState.RECOUNT, stamp)
        return
    differed = {
        (each.item_id, each.lot): each.variance
        for done in rounds[:-1]
        for each in done.results
        if each.variance
    }
    outcomes = {_settle(tx, task, last, each, differed, stamp) for each in fresh}
    outcome = next((o for o in ("discrepancy", "posted", "agrees") if o in outcomes), "")
    if not outcome:
        outcome = "superseded" if last.results else "agrees"
    counting.set_state(tx, task.id, CountState.CLOSED, stamp, outcome=outcome)


def _is_controlled(result: Result) -> bool:
    return Schedule(result.schedule).is_controlled


def _is_stale(tx: Tx, task: TaskRow, done: RoundRow, result: Result) -> bool:
    cell = Cell(result.item_id, result.lot, task.location_id)
    return counting.was_counted_later(tx, cell, task.id, done.counted_at)


def _settle(
    tx: Tx,
    task: TaskRow,
    done: RoundRow,
    result: Result,
    differed: Mapping[tuple[str, str], int],
    stamp: Stamp,
) -> str:
    """Do what the last count of one lot asks for; returns the outcome."""
    first = differed.get((result.item_id, result.lot), 0)
    if _is_controlled(result) and (first or result.variance):
        if first and not result.variance:
            _set_difference(tx, task, replace(result, variance=first), stamp)
        _set_difference(tx, task, result, stamp)
        return "discrepancy"
    if result.variance:
        _post(tx, task, done, result, stamp)
        return "posted"
    _set_difference(tx, task, result, stamp)
    return "agrees"


def _set_difference(tx: Tx, task: TaskRow, result: Result, stamp: Stamp) -> None:
    discrepancies.set_difference(
        tx,
        kind=KIND,
        item_id=result.item_id,
        lot=result.lot,
        location_id=task.location_id,
        difference=result.variance,
        detail=f"count {task.id}: {format_milli(result.counted)} counted, the book"
        f" {format_milli(result.book)}",
        stamp=stamp,
    )


def _post(tx: Tx, task: TaskRow, done: RoundRow, result: Result, stamp: Stamp) -> None:
    """Post exactly the variance, beside a record that the movement resolves."""
    cell = Cell(result.item_id, result.lot, task.location_id)
    request_id = f"count:{task.id}:{done.number}:{result.item_id}:{result.lot}"
    _set_difference(tx, task, result, stamp)
    number, case_id = discrepancies.case_of(tx, KIND, cell)
    counting.note_posting(tx, result.id, request_id, result.variance, stamp)
    why = f"count {task.id}"
    post_difference(
        tx,
        case_id,
        cell,
        result.variance,
        request_id=request_id,
        at=done.counted_at,
        stamp=replace(stamp, reason=why),
    )
    closing = replace(stamp, reason=f"{why} posted the variance")
    discrepancies.close(tx, number, closing, code=cases.POSTED)


def post_difference(  # noqa: PLR0913 - what a correction is, and what it resolves
    tx: Tx,
    case_id: int,
    cell: Cell,
    difference: int,
    *,
    request_id: str,
    at: datetime,
    stamp: Stamp,
) -> None:
    """Book a measured difference as found or lost, linked to the record that it resolves.

    It is a fact: it is booked though stock is held or blocked, and what a device measured there
    differs by that much less afterwards.
    """
    found = difference > 0
    move = Move(
        kind=MovementKind.FOUND if found else MovementKind.LOSS,
        item_id=cell.item_id,
        lot=cell.lot,
        source=FOUND if found else cell.location_id,
        target=cell.location_id if found else LOSS,
        milli=abs(difference),
        request_id=request_id,
        occurred_at=at,
    )
    posted = post.post_fact(tx, move, stamp)
    for movement_id in posted.movement_ids:
        cases.resolved_by(tx, case_id, movement_id, stamp)
    booking.sync_unbooked(tx, cell.item_id, cell.lot, cell.location_id, stamp)
    measured = discrepancies.open_of(tx, "snapshot", cell)
    if measured is not None:
        discrepancies.set_difference(
            tx,
            kind="snapshot",
            item_id=cell.item_id,
            lot=cell.lot,
            location_id=cell.location_id,
            difference=measured[1] - difference,
            detail=f"{format_milli(difference)} of it was booked by {stamp.reason}",
            stamp=stamp,
        )


# ---------------------------------------------------------------- at drawer access


def open_for_access(tx: Tx, site: Site, device: str, drawer: str, stamp: Stamp) -> int:
    """Open a blind count of every controlled item in a drawer that was opened; returns how many.

    The drawer's place is called `DEVICE/DRAWER`; a drawer without a place has nothing to count.
    """
    place = f"{device}/{drawer}"
    if catalog.find_location(tx, place) is None:
        return 0
    waits = counting.waiting(tx)
    opened = 0
    for item_id in counting.controlled_at(tx, place):
        scope = Scope(place, item_id)
        if scope in waits:
            continue
        asked = Ask(
            CountKind.ACCESS,
            place,
            f"access:{uuid4()}",
            item_id,
            blind=True,
            owner=stamp.actor,
            reason=f"drawer {drawer} was opened",
        )
        open_in(tx, site, asked, stamp)
        opened += 1
    return opened


def only_lot(task: TaskRow, item_id: str | None, lot: str | None) -> tuple[str, str]:
    """Return the one lot that a machine is to measure; raises Conflict when it is not named."""
    chosen_item, chosen_lot = item_id or task.item_id, lot or task.lot
    if chosen_item is None or chosen_lot is None:
        raise Conflict(
            f"count {task.id} is about several lots; name the item and lot to be weighed"
        )
    return chosen_item, chosen_lot
