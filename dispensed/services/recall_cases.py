"""Recall cases: opened by hand or by a notice, answered place by place, signed and closed.

Sources: 21 CFR 7.49(a)(2): distribution and use of what remains should cease immediately;
7.42(b)(3) and 7.49(d): everybody who has the product answers, also with nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.ledger import (
    catalog,
    discrepancies,
    picking,
    post,
    recall_cases,
    recall_parts,
    recall_places,
)
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.recall_cases import CaseRow, NewCase, NewLine
from dispensed.ledger.recall_parts import UnresolvedRow
from dispensed.ledger.recall_places import (
    QUARANTINE,
    NewAnswer,
    TaskRow,
)
from dispensed.model.catalog import LocationKind
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity, format_milli
from dispensed.model.recall import NdcKind, RecallClass, read_ndc
from dispensed.services import booking, recalls
from dispensed.services.recall_detail import CaseDetail, blockers, detail
from dispensed.services.site import Site

DIFFERENCE = "recall"
"""Kind of the discrepancy between what an answer found and what the book says."""
BLOCKERS_MAX = 50
"""How many reasons against closing one text gives."""
LINES_MAX = 1000


class NotReady(Conflict):
    """Places have not answered, parts are undecided, or the quantities do not add up."""

    code: ClassVar[str] = "recall_not_ready"


class Unsigned(Conflict):
    """Fewer persons than the site asks have signed the case as it stands."""

    code: ClassVar[str] = "recall_unsigned"


class StillInUse(Conflict):
    """The stock belongs to a fill or to a removal, which must be ended first."""

    code: ClassVar[str] = "recall_in_use"


@dataclass(frozen=True, slots=True)
class LineAsked:
    """An item by id, or a package or product code; `lot` None recalls all lots."""

    lot: str | None
    item_id: str | None = None
    ndc: str | None = None
    expiry: str | None = None


@dataclass(frozen=True, slots=True)
class CaseAsked:
    """A recall told by letter or telephone; `recall_class` I, II, III or empty."""

    reference: str
    recall_class: str
    reason: str
    lines: tuple[LineAsked, ...]
    product: str = ""
    labeler: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person found of a lot at a place; `found` is decimal text, `0` is an answer.

    What was found goes to `target`, a place for outdates or rejects.
    """

    item_id: str
    lot: str
    location_id: str
    found: str
    request_id: str
    target: str = "outdate"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person read: the lots that are meant (lot None: all of the item), or no match."""

    match: bool
    reason: str
    targets: tuple[tuple[str, str | None], ...] = ()


# ---------------------------------------------------------------- opening


async def open_case(site: Site, asked: CaseAsked, actor: str) -> CaseRow:
    """Open a case by hand, or add to the open one of that reference: its lots are held at once."""
    if asked.recall_class not in tuple(RecallClass):
        raise Invalid(f"recall class {asked.recall_class!r} is not one of I, II, III or empty")
    if not 1 <= len(asked.lines) <= LINES_MAX:
        raise Invalid(f"recall {asked.reference}: 1 to {LINES_MAX} lines, not {len(asked.lines)}")
    stamp = site.stamp(actor, asked.reason)
    new = NewCase(
        reference=asked.reference,
        recall_number=None,
        event_id="",
        product=asked.product,
        labeler=asked.labeler,
        recall_class=RecallClass(asked.recall_class),
        reason=asked.reason,
        source="manual",
    )

    def write(tx: Tx) -> tuple[CaseRow, frozenset[LotKey]]:
        case = ensure(tx, site, new, stamp)
        lines = [_line(tx, asked.reference, line) for line in asked.lines]
        return hold(tx, case, lines, stamp)

    row, stopped = await site.store.write(write)
    await recalls.stop_machines(site, stopped)
    return row


def ensure(tx: Tx, site: Site, new: NewCase, stamp: Stamp) -> CaseRow:
    """Return the case of a recall, brought up to date, or a new one."""
    due_at = site.recalls.clocks.due(stamp.at, new.recall_class)
    case = recall_cases.find(tx, new)
    if case is None:
        return recall_cases.create(tx, new, due_at, stamp)
    return recall_cases.renew(tx, case, new, due_at, stamp)


def hold(
    tx: Tx, case: CaseRow, lines: Iterable[NewLine], stamp: Stamp
) -> tuple[CaseRow, frozenset[LotKey]]:
    """Add lines to a case and hold their lots: state, plans and pull tasks; returns the lots."""
    stopped: set[LotKey] = set()
    for line in lines:
        stopped |= recall_cases.put_line(tx, case, line, stamp)
    recalls.withdraw(tx, stopped, stamp)
    settled = recall_cases.settle_state(tx, case.id, stamp)
    recall_places.refresh(tx, settled, stamp)
    return recall_cases.get(tx, case.id), frozenset(stopped)


def _line(tx: Tx, reference: str, asked: LineAsked) -> NewLine:
    if asked.item_id is not None:
        item = catalog.get_item(tx, asked.item_id)
        return NewLine(asked.lot, item_id=item.item_id, expiry=asked.expiry)
    if asked.ndc is None:
        raise Invalid(f"recall {reference}: give the NDC or the item id of every line")
    code = read_ndc(asked.ndc)
    if code.kind not in (NdcKind.PACKAGE, NdcKind.PRODUCT):
        raise Invalid(f"recall {reference}: NDC {asked.ndc!r} is {code.kind}; write its dashes")
    return NewLine(asked.lot, ndc=asked.ndc, digits=code.digits, expiry=asked.expiry)


# ---------------------------------------------------------------- asking


async def ask_places(site: Site, actor: str) -> int:
    """Make the pull tasks that are missing in all open cases; returns how many are open."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> int:
        count = 0
        for row in recall_cases.page(tx, state="open", limit=10_000):
            recall_places.refresh(tx, row, stamp)
            count += len(recall_places.tasks(tx, row.id, state="open"))
        return count

    return await site.store.write(write)


# ---------------------------------------------------------------- deciding


async def decide(site: Site, unresolved_id: int, decision: Decision, actor: str) -> UnresolvedRow:
    """A person decides what part of a notice means; a match holds its lots at once."""
    if not decision.reason.strip():
        raise Invalid(f"part {unresolved_id}: say why it is decided so")
    if decision.match != bool(decision.targets):
        raise Invalid(f"part {unresolved_id}: a match names its lots, no match names none")
    stamp = site.stamp(actor, decision.reason)

    def write(tx: Tx) -> tuple[UnresolvedRow, frozenset[LotKey]]:
        part = recall_parts.get(tx, unresolved_id)
        case_row = recall_cases.get_open(tx, part.recall_id)
        decided = recall_parts.decide(
            tx, unresolved_id, match=decision.match, reason=decision.reason, stamp=stamp
        )
        lines = [
            NewLine(
                lot,
                item_id=catalog.get_item(tx, item_id).item_id,
                notice_id=part.notice_id,
                unresolved_id=unresolved_id,
            )
            for item_id, lot in decision.targets
        ]
        return decided, hold(tx, case_row, lines, stamp)[1]

    row, stopped = await site.store.write(write)
    await recalls.stop_machines(site, stopped)
    return row


# ---------------------------------------------------------------- answering


async def answer(site: Site, case_id: int, given: Answer, actor: str) -> TaskRow:
    """Book what was found of a lot at a place and pull it; a repeat returns the first answer.

    What was found is moved as far as the book has it; a difference opens a discrepancy. Raises
    StillInUse for stock in a tray or in a hand, InsufficientStock for what a fill still holds.
    """
    stamp = site.stamp(actor, given.note)

    def write(tx: Tx) -> TaskRow:
        known = recall_places.answer_of(tx, given.request_id)
        if known is not None:
            return _same(known, case_id, given)
        case_row = recall_cases.get_open(tx, case_id)
        key = LotKey(given.item_id, given.lot)
        if key not in recall_cases.covered(tx, case_id):
            raise Invalid(f"lot {given.lot} of item {given.item_id} is not in recall {case_id}")
        catalog.get_location(tx, given.location_id)
        task = recall_places.open_task(tx, case_row, key, given.location_id, stamp)
        found = Quantity.parse(given.found, catalog.get_item(tx, key.item_id).unit).milli
        _pull(tx, site, task, given, found, stamp)
        recall_places.refresh(tx, case_row, stamp)
        return next(row for row in recall_places.tasks(tx, case_id) if row.id == task.id)

    row = await site.store.write(write)
    site.changes.notify("recalls", "stock", "discrepancies")
    return row


def _same(known: TaskRow, case_id: int, given: Answer) -> TaskRow:
    """Return the first answer to a repeated request; raises RequestReused for another content."""
    there = (known.recall_id, known.item_id, known.lot, known.location_id)
    if there != (case_id, given.item_id, given.lot, given.location_id):
        raise post.RequestReused(f"request {given.request_id} answered recall task {known.id}")
    return known


def _pull(tx: Tx, site: Site, task: TaskRow, given: Answer, found: int, stamp: Stamp) -> None:
    key = LotKey(task.item_id, task.lot)
    here = [
        row for row in recall_places.stock_of(tx, (key,)) if row.location_id == task.location_id
    ]
    kind = catalog.get_location(tx, task.location_id).kind
    book = here[0].on_hand if here else 0
    if book and kind in (LocationKind.FILL, LocationKind.IN_HAND):
        _check_free(tx, key, kind, book)
    moved = 0 if kind in QUARANTINE else min(found, book)
    movement_id = None
    if moved:
        move = _pull_move(tx, site, task, given, kind, moved)
        movement_id = post.post(tx, move, stamp, on_date=site.today()).movement_id
        booking.sync_unbooked(tx, move.item_id, move.lot, move.target, stamp)
    if kind is not LocationKind.IN_TRANSIT:
        discrepancies.set_difference(
            tx,
            kind=DIFFERENCE,
            item_id=key.item_id,
            lot=key.lot,
            location_id=task.location_id,
            difference=found - book,
            detail=f"recall: {format_milli(found)} found, the book said {format_milli(book)}",
            stamp=stamp,
        )
    target = given.target if moved else None
    new = NewAnswer(given.request_id, book, found, moved, target, movement_id, given.note)
    recall_places.record_answer(tx, task, new, stamp)


def _check_free(tx: Tx, key: LotKey, kind: LocationKind, book: int) -> None:
    if kind is LocationKind.IN_HAND:
        raise StillInUse(
            f"lot {key.lot}: {format_milli(book)} are in somebody's hand; end the removal, then"
            " answer"
        )
    owners = picking.trays_with(tx, key.item_id, key.lot)
    if owners:
        named = ", ".join(map(str, owners))
        raise StillInUse(
            f"lot {key.lot} lies in the tray of dispense {named}; void it, then answer"
        )


def _pull_move(
    tx: Tx, site: Site, task: TaskRow, given: Answer, kind: LocationKind, milli: int
) -> Move:
    target = catalog.get_location(tx, given.target)
    if target.kind not in QUARANTINE:
        raise Invalid(
            f"{given.target} is a {target.kind}; recalled stock goes to outdate or rejects"
        )
    movement_kind = {
        LocationKind.FILL: MovementKind.PUTBACK,
        LocationKind.IN_TRANSIT: MovementKind.IN_TRANSIT,
    }.get(kind, MovementKind.TRANSFER)
    return Move(
        kind=movement_kind,
        item_id=task.item_id,
        lot=task.lot,
        source=task.location_id,
        target=given.target,
        milli=milli,
        request_id=f"recall:{task.id}:{given.request_id}",
        occurred_at=site.now(),
    )


# ---------------------------------------------------------------- signing and closing


async def sign(site: Site, case_id: int, statement: str, actor: str) -> CaseDetail:
    """Sign a case that is ready to close; raises NotReady with the numbers."""
    if not statement.strip():
        raise Invalid(f"recall case {case_id}: say what you vouch for")
    stamp = site.stamp(actor, statement)

    def write(tx: Tx) -> CaseDetail:
        row = _checked(tx, case_id, stamp)
        recall_places.sign(tx, row, statement, stamp)
        return detail(tx, case_id, stamp.at)

    signed = await site.store.write(write)
    site.changes.notify("recalls")
    return signed


async def close(site: Site, case_id: int, reason: str, actor: str) -> CaseRow:
    """Close a case; its lots stay blocked until a person releases what is left of them.

    Raises NotReady unless every place has answered, every part is decided and the quantities add
    up, and Unsigned unless enough different persons have signed since the last change.
    """
    if not reason.strip():
        raise Invalid(f"recall case {case_id}: say why it is closed")
    stamp = site.stamp(actor, reason)

    def write(tx: Tx) -> CaseRow:
        row = _checked(tx, case_id, stamp)
        signed = recall_places.signatures(tx, case_id, of_round=row.round)
        if len(signed) < site.recalls.signatures:
            names = ", ".join(each.actor for each in signed) or "nobody"
            raise Unsigned(
                f"recall case {case_id} needs {site.recalls.signatures} signatures, {names} signed"
            )
        return recall_cases.close(tx, case_id, stamp)

    row = await site.store.write(write)
    site.changes.notify("recalls", "stock")
    return row


def _checked(tx: Tx, case_id: int, stamp: Stamp) -> CaseRow:
    row = recall_cases.get_open(tx, case_id)
    recall_places.refresh(tx, row, stamp)
    found = blockers(tx, row)
    if found:
        shown = "; ".join(found[:BLOCKERS_MAX])
        raise NotReady(f"recall case {case_id} ({row.reference}): {shown}")
    return recall_cases.get(tx, case_id)
