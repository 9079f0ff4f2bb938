"""Where the lots of a recall are: pull tasks, answers, dispenses made from them, and the sums."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, and_, func, insert, or_, select, tuple_, update

from dispensed.ledger import tables as t
from dispensed.ledger.recall_blocks import KEYS_MAX, LotKey
from dispensed.ledger.recall_cases import CaseRow, covered, touch
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import EXTERNAL, LocationKind
from dispensed.model.movement import MovementKind
from dispensed.model.recall import LotSums

QUARANTINE = (LocationKind.OUTDATE, LocationKind.REJECTS)
"""Kinds of place to which recalled stock is pulled; nothing leaves them towards a patient."""
IN_TRANSIT = "ext:in-transit"
DISPENSED_MAX = 10_000
"""Most dispenses that one answer lists."""


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Stock of a recalled lot at one place, or on its way."""

    key: LotKey
    location_id: str
    kind: LocationKind
    on_hand: int
    held: int


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Pull a lot from a place; `found` and what follows are None until somebody answered."""

    id: int
    recall_id: int
    item_id: str
    name: str
    unit: str
    lot: str
    location_id: str
    state: str
    due_at: datetime
    recorded_at: datetime
    book: int | None
    found: int | None
    moved: int | None
    target: str | None
    movement_id: int | None
    actor: str | None
    note: str | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """What a person found at a place, and how much of it was moved by which movement."""

    request_id: str
    book: int
    found: int
    moved: int
    target: str | None
    movement_id: int | None
    note: str


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One person's word for the case as it stood in a round."""

    id: int
    round: int
    actor: str
    statement: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class IssueRow:
    """What left to a patient of a recalled lot; the patient only by opaque key."""

    movement_id: int
    kind: str
    item_id: str
    lot: str
    milli: int
    occurred_at: datetime
    dispense_id: int | None
    order_ref: str | None
    patient_key: str | None


def _chunks(keys: Iterable[LotKey]) -> Iterator[list[tuple[str, str]]]:
    listed = [(key.item_id, key.lot) for key in sorted(set(keys))]
    for first in range(0, len(listed), KEYS_MAX):
        yield listed[first : first + KEYS_MAX]


def stock_of(tx: Connection, keys: Iterable[LotKey]) -> tuple[PlaceRow, ...]:
    """Return where lots lie at the site, trays, hands and quarantine too, or are on their way."""
    balance = t.balance.c
    found: list[PlaceRow] = []
    for chunk in _chunks(keys):
        query = (
            select(t.balance, t.location.c.kind)
            .join(t.location, t.location.c.location_id == balance.location_id)
            .where(
                tuple_(balance.item_id, balance.lot).in_(chunk),
                or_(balance.external.is_(False), balance.location_id == IN_TRANSIT),
                balance.on_hand > 0,
            )
            .order_by(balance.item_id, balance.lot, balance.location_id)
        )
        for row in tx.execute(query):
            key, kind = LotKey(row.item_id, row.lot), LocationKind(row.kind)
            found.append(PlaceRow(key, row.location_id, kind, row.on_hand, row.held))
    return tuple(found)


# ---------------------------------------------------------------- tasks and answers


def refresh(tx: Connection, case: CaseRow, stamp: Stamp) -> None:
    """Make a pull task for every place that holds a lot of the case and was not asked since.

    A place that was asked is asked again when stock lies there that its last answer did not tell.
    """
    asked: dict[tuple[LotKey, str], TaskRow] = {}
    pulled: dict[tuple[LotKey, str], int] = defaultdict(int)
    for task in tasks(tx, case.id):
        key = LotKey(task.item_id, task.lot)
        asked[key, task.location_id] = task
        pulled[key, task.target or ""] += task.moved or 0
    for row in stock_of(tx, covered(tx, case.id)):
        last = asked.get((row.key, row.location_id))
        if last is None:
            told = row.kind in QUARANTINE and row.on_hand <= pulled[row.key, row.location_id]
        else:
            told = last.state == "open" or _tells(last, row)
        if not told:
            _add_task(tx, case, row, stamp)


def _tells(task: TaskRow, row: PlaceRow) -> bool:
    """Whether an answer speaks of all that lies at its place; what is missing there stays booked.

    In quarantine what was found stays, and what was pulled elsewhere is added without a question.
    """
    return row.kind in QUARANTINE or row.on_hand <= (task.book or 0) - (task.moved or 0)


def _add_task(tx: Connection, case: CaseRow, row: PlaceRow, stamp: Stamp) -> None:
    values = {
        "recall_id": case.id,
        "item_id": row.key.item_id,
        "lot": row.key.lot,
        "location_id": row.location_id,
        "state": "open",
        "due_at": case.due_at,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.recall_task), values)
    details = {"item": row.key.item_id, "lot": row.key.lot, "location": row.location_id}
    audit(tx, stamp, "recall.place_asked", f"recall case {case.id}", details)
    touch(tx, case.id)


def open_task(
    tx: Connection, case: CaseRow, key: LotKey, location_id: str, stamp: Stamp
) -> TaskRow:
    """Return the open task of a lot and place; makes one, so that any place may answer."""
    for task in tasks(tx, case.id, state="open"):
        if (task.item_id, task.lot, task.location_id) == (*key, location_id):
            return task
    _add_task(tx, case, PlaceRow(key, location_id, LocationKind.BIN, 0, 0), stamp)
    return open_task(tx, case, key, location_id, stamp)


def record_answer(tx: Connection, task: TaskRow, new: NewAnswer, stamp: Stamp) -> None:
    """Keep an answer for ever and end its task."""
    values = {
        "task_id": task.id,
        "request_id": new.request_id,
        "book": new.book,
        "found": new.found,
        "moved": new.moved,
        "target": new.target,
        "movement_id": new.movement_id,
        "actor": stamp.actor,
        "note": new.note,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.recall_answer), values)
    tx.execute(update(t.recall_task).where(t.recall_task.c.id == task.id).values(state="answered"))
    details = {"found": new.found, "moved": new.moved, "book": new.book}
    audit(tx, stamp, "recall.place_answered", f"recall task {task.id}", details)
    touch(tx, task.recall_id)


def answer_of(tx: Connection, request_id: str) -> TaskRow | None:
    """Return the task that a request has answered, None when the request is new."""
    rows = _tasks(tx, _TASKS.where(t.recall_answer.c.request_id == request_id))
    return rows[0] if rows else None


def tasks(tx: Connection, case_id: int, *, state: str | None = None) -> tuple[TaskRow, ...]:
    """Return the tasks of a case with their answers, oldest first, of one state or all."""
    query = _TASKS.where(t.recall_task.c.recall_id == case_id)
    return _tasks(tx, query if state is None else query.where(t.recall_task.c.state == state))


_TASKS = (
    select(
        t.recall_task,
        t.item.c.name,
        t.item.c.unit,
        *(t.recall_answer.c[name] for name in ("book", "found", "moved", "target", "movement_id")),
        t.recall_answer.c.actor,
        t.recall_answer.c.note,
        t.recall_answer.c.recorded_at.label("answered_at"),
    )
    .join(t.item, t.item.c.item_id == t.recall_task.c.item_id)
    .outerjoin(t.recall_answer, t.recall_answer.c.task_id == t.recall_task.c.id)
    .order_by(t.recall_task.c.id)
)


def _tasks(tx: Connection, query: Select[*tuple[object, ...]]) -> tuple[TaskRow, ...]:
    names = TaskRow.__dataclass_fields__
    rows = tx.execute(query).mappings()
    return tuple(TaskRow(**{name: row[name] for name in names}) for row in rows)


# ---------------------------------------------------------------- signatures


def sign(tx: Connection, case: CaseRow, statement: str, stamp: Stamp) -> None:
    """Add a person's signature to the case as it stands; signing twice changes nothing."""
    if any(each.actor == stamp.actor for each in signatures(tx, case.id, of_round=case.round)):
        return
    values = {
        "recall_id": case.id,
        "round": case.round,
        "actor": stamp.actor,
        "statement": statement,
        "recorded_at": stamp.at,
    }
    tx.execute(insert(t.recall_signature), values)
    audit(tx, stamp, "recall.signed", f"recall case {case.id}", {"round": case.round})


def signatures(
    tx: Connection, case_id: int, *, of_round: int | None = None
) -> tuple[SignatureRow, ...]:
    """Return the signatures of a case, oldest first, of one round or all."""
    signature = t.recall_signature.c
    query = select(t.recall_signature).where(signature.recall_id == case_id)
    if of_round is not None:
        query = query.where(signature.round == of_round)
    return tuple(
        SignatureRow(row.id, row.round, row.actor, row.statement, row.recorded_at)
        for row in tx.execute(query.order_by(signature.id))
    )


# ---------------------------------------------------------------- what left, and the sums


def issues(tx: Connection, keys: Iterable[LotKey]) -> tuple[IssueRow, ...]:
    """Return what went to patients of some lots and was not reversed, oldest first.

    By fill, or out of a cabinet by hand; both name the patient by opaque key.
    """
    movement, undo = t.movement.c, t.movement.alias("undo")
    given = (MovementKind.DISPENSE.value, MovementKind.GIVE.value)
    found: list[IssueRow] = []
    for chunk in _chunks(keys):
        query = (
            select(
                t.movement,
                func.coalesce(t.dispense.c.order_ref, t.removal.c.order_ref).label("order_ref"),
                func.coalesce(t.dispense.c.patient_key, t.removal.c.patient_key).label("patient"),
            )
            .outerjoin(t.dispense, t.dispense.c.id == movement.dispense_id)
            .outerjoin(t.removal_step, t.removal_step.c.movement_id == movement.id)
            .outerjoin(t.removal, t.removal.c.id == t.removal_step.c.removal_id)
            .outerjoin(undo, undo.c.reverses == movement.id)
            .where(
                tuple_(movement.item_id, movement.lot).in_(chunk),
                movement.kind.in_(given),
                undo.c.id.is_(None),
            )
            .order_by(movement.id)
            .limit(DISPENSED_MAX)
        )
        found += (_issue(row) for row in tx.execute(query))
    return tuple(sorted(found, key=lambda row: row.movement_id)[:DISPENSED_MAX])


def _issue(row: Row[*tuple[object, ...]]) -> IssueRow:
    return IssueRow(
        movement_id=row.id,
        kind=row.kind,
        item_id=row.item_id,
        lot=row.lot,
        milli=row.milli,
        occurred_at=row.occurred_at,
        dispense_id=row.dispense_id,
        order_ref=row.order_ref,
        patient_key=row.patient,
    )


_COLUMN = {
    LocationKind.DISPENSED: "dispensed",
    LocationKind.WASTE: "wasted",
    LocationKind.LOSS: "lost",
    LocationKind.REVERSE_DISTRIBUTOR: "returned",
    LocationKind.DESTRUCTION: "destroyed",
    LocationKind.SAMPLE: "sampled",
    LocationKind.IN_TRANSIT: "in_transit",
}
"""Which sum the net arrivals at an account belong to; the other accounts are told by kind."""


def sums(tx: Connection, keys: Iterable[LotKey]) -> dict[LotKey, LotSums]:
    """Return for each lot where everything of it is: accounts from the journal, places as booked.

    The two are kept apart by different tables, so that a lot whose journal and balances disagree
    does not add up.
    """
    totals: dict[LotKey, dict[str, int]] = {key: defaultdict(int) for key in keys}
    original = t.movement.alias("original")
    movement = t.movement.c
    for chunk in _chunks(totals):
        query = (
            select(
                movement.item_id,
                movement.lot,
                func.coalesce(original.c.kind, movement.kind).label("kind"),
                movement.source,
                movement.target,
                func.sum(movement.milli).label("milli"),
            )
            .outerjoin(original, and_(original.c.id == movement.reverses))
            .where(tuple_(movement.item_id, movement.lot).in_(chunk))
            .group_by(
                movement.item_id,
                movement.lot,
                func.coalesce(original.c.kind, movement.kind),
                movement.source,
                movement.target,
            )
        )
        for row in tx.execute(query):
            total = totals[LotKey(row.item_id, row.lot)]
            kind = MovementKind(row.kind)
            for account, milli in ((row.source, -int(row.milli)), (row.target, int(row.milli))):
                if account in EXTERNAL:
                    _add(total, kind, EXTERNAL[account], milli)
    for place in stock_of(tx, totals):
        if place.kind is not LocationKind.IN_TRANSIT:
            column = "quarantined" if place.kind in QUARANTINE else "elsewhere"
            totals[place.key][column] += place.on_hand
    return {key: LotSums(**total) for key, total in totals.items()}


def _add(
    total: defaultdict[str, int] | dict[str, int],
    kind: MovementKind,
    account: LocationKind,
    milli: int,
) -> None:
    if account in _COLUMN:
        total[_COLUMN[account]] += milli
    elif kind is MovementKind.RETURN:
        total["returned"] += milli
    elif kind is MovementKind.CONSUME:
        total["repacked"] += milli
    else:
        total["received"] -= milli


def open_differences(tx: Connection, keys: Iterable[LotKey]) -> Mapping[LotKey, tuple[int, ...]]:
    """Return the open discrepancies that are not nought, by lot."""
    found: dict[LotKey, tuple[int, ...]] = {}
    discrepancy = t.discrepancy.c
    for chunk in _chunks(keys):
        query = (
            select(discrepancy.id, discrepancy.item_id, discrepancy.lot)
            .where(
                tuple_(discrepancy.item_id, discrepancy.lot).in_(chunk),
                discrepancy.state == "open",
                discrepancy.difference != 0,
            )
            .order_by(discrepancy.id)
        )
        for row in tx.execute(query):
            key = LotKey(row.item_id, row.lot)
            found[key] = (*found.get(key, ()), row.id)
    return found


def unfinished(tx: Connection, keys: Iterable[LotKey]) -> tuple[str, ...]:
    """Say what still holds, or has claimed unbooked, stock of some lots: one sentence each."""
    told: list[str] = []
    for chunk in _chunks(keys):
        for table, what in ((t.reservation, "reservation"), (t.unbooked, "unbooked output")):
            query = (
                select(table.c.id, table.c.lot, table.c.location_id)
                .where(tuple_(table.c.item_id, table.c.lot).in_(chunk), table.c.remaining > t.ZERO)
                .order_by(table.c.id)
                .limit(KEYS_MAX)
            )
            told += (
                f"{what} {row.id} has stock of lot {row.lot} at {row.location_id}"
                for row in tx.execute(query)
            )
    return tuple(told)
