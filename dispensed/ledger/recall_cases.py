"""Recall cases: one per recall and product, with the lines it names and what people must read.

A line names a package, a product or an item, and a lot or all lots. Where the catalogue has the
item, now or later, the line has a blocking line (`recalls`), which stops the lots.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, func, insert, or_, select, update

from dispensed.errors import Conflict, NotFound
from dispensed.ledger import recall_blocks, recalls
from dispensed.ledger import tables as t
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import Item
from dispensed.model.ndc import parse_ndc
from dispensed.model.recall import RecallClass, lot_form

_NDC11_LENGTH = 11
_PRODUCT_LENGTH = 9
NO_CANDIDATES = "[]"
WAITING = ("review", "not_stocked", "open")
"""States of a case that is not closed."""


class CaseNotFound(NotFound):
    """There is no recall case of that number."""

    code = "recall_case_not_found"


class CaseClosed(Conflict):
    """The case is closed; nothing of it changes."""

    code = "recall_case_closed"


@dataclass(frozen=True, slots=True)
class NewCase:
    """A recall as a notice or a person tells it; `recall_number` is None without a notice."""

    reference: str
    recall_number: str | None
    event_id: str
    product: str
    labeler: str
    recall_class: RecallClass
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case.

    State `review`: nothing is blocked and a person must read parts of the notice; `not_stocked`:
    the catalogue has nothing of it; `open`: lots are blocked; `closed`. `round` grows when the case
    changes after a signature, which then counts no more.
    """

    id: int
    reference: str
    recall_number: str | None
    event_id: str
    product: str
    labeler: str
    recall_class: str
    reason: str
    source: str
    state: str
    round: int
    actor: str
    opened_at: datetime
    due_at: datetime
    closed_at: datetime | None
    closed_by: str | None


@dataclass(frozen=True, slots=True)
class NewLine:
    """What is recalled: `digits` of a code (11 or 9) or an item; `lot` None is all lots."""

    lot: str | None
    ndc: str = ""
    digits: str = ""
    item_id: str | None = None
    expiry: str | None = None
    notice_id: int | None = None
    unresolved_id: int | None = None


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line with the items it blocks; none when the catalogue has no such item."""

    id: int
    ndc: str
    digits: str
    item_id: str | None
    lot: str | None
    expiry: str | None
    notice_id: int | None
    unresolved_id: int | None
    items: tuple[str, ...]


# ---------------------------------------------------------------- cases


def find(tx: Connection, new: NewCase) -> CaseRow | None:
    """Return the case of the same recall: its number or reference, else its event and product."""
    case = t.recall.c
    known = []
    if new.recall_number is not None:
        known.append(case.recall_number == new.recall_number)
        known.append((case.reference == new.recall_number) & case.recall_number.is_(None))
    else:
        known.append((case.reference == new.reference) & (case.state != "closed"))
    rows = _cases(tx, or_(*known))
    if not rows and new.event_id:
        rows = _cases(tx, case.event_id == new.event_id)
        rows = tuple(row for row in rows if _folded(row.product) == _folded(new.product))
    return rows[0] if rows else None


def create(tx: Connection, new: NewCase, due_at: datetime, stamp: Stamp) -> CaseRow:
    """Add a case of which nothing is blocked yet."""
    values = {
        "reference": new.reference,
        "recall_number": new.recall_number,
        "event_id": new.event_id,
        "product": new.product,
        "labeler": new.labeler,
        "recall_class": new.recall_class.value,
        "reason": new.reason,
        "source": new.source,
        "state": "not_stocked",
        "round": 0,
        "actor": stamp.actor,
        "opened_at": stamp.at,
        "due_at": due_at,
        "recorded_at": stamp.at,
    }
    case_id = tx.execute(insert(t.recall).returning(t.recall.c.id), values).scalar_one()
    audit(tx, stamp, "recall.made", _subject(case_id), {"reference": new.reference})
    return get(tx, case_id)


def renew(tx: Connection, case: CaseRow, new: NewCase, due_at: datetime, stamp: Stamp) -> CaseRow:
    """Take over what a later notice of the same recall says: its number and its class.

    A notice under another number of the same event and product does not change the class.
    """
    values: dict[str, str | datetime] = {}
    if case.recall_number is None and new.recall_number is not None:
        values["recall_number"] = new.recall_number
    is_own = case.recall_number in (None, new.recall_number)
    classified = new.recall_class is not RecallClass.NONE
    if is_own and classified and new.recall_class != case.recall_class:
        values["recall_class"] = new.recall_class.value
        values["due_at"] = due_at
    if values:
        tx.execute(update(t.recall).where(t.recall.c.id == case.id).values(values))
        details = {name: str(value) for name, value in values.items()}
        audit(tx, stamp, "recall.renewed", _subject(case.id), details)
    return get(tx, case.id)


def get(tx: Connection, case_id: int) -> CaseRow:
    """Return one case; raises CaseNotFound."""
    rows = _cases(tx, t.recall.c.id == case_id)
    if not rows:
        raise CaseNotFound(f"there is no recall case {case_id}")
    return rows[0]


def get_open(tx: Connection, case_id: int) -> CaseRow:
    """Return a case that is not closed; raises CaseNotFound or CaseClosed."""
    case = get(tx, case_id)
    if case.state == "closed":
        raise CaseClosed(f"recall case {case_id} ({case.reference}) was closed by {case.closed_by}")
    return case


def page(
    tx: Connection, *, state: str | None = None, after: int = 0, limit: int = 100
) -> tuple[CaseRow, ...]:
    """Return cases by ascending id, of one state or all."""
    condition = t.recall.c.id > after
    if state is not None:
        condition &= t.recall.c.state == state
    return _cases(tx, condition, limit)


def touch(tx: Connection, case_id: int) -> None:
    """Let the signatures of the case's round count no more, if there are any."""
    case = get(tx, case_id)
    signed = select(t.recall_signature.c.id).where(
        t.recall_signature.c.recall_id == case_id, t.recall_signature.c.round == case.round
    )
    if tx.execute(signed).first() is not None:
        tx.execute(
            update(t.recall).where(t.recall.c.id == case_id).values(round=t.recall.c.round + 1)
        )


def close(tx: Connection, case_id: int, stamp: Stamp) -> CaseRow:
    """Close a case and its blocking lines; its lots keep their state. The caller has checked it."""
    for block_id in block_ids(tx, case_id):
        if recalls.get(tx, block_id).state == "open":
            recalls.close_case(tx, block_id, stamp)
    values = {"state": "closed", "closed_at": stamp.at, "closed_by": stamp.actor}
    tx.execute(update(t.recall).where(t.recall.c.id == case_id).values(values))
    audit(tx, stamp, "recall.closed", _subject(case_id), {})
    return get(tx, case_id)


def settle_state(tx: Connection, case_id: int, stamp: Stamp) -> CaseRow:
    """Give a case the state that follows from its blocks and its undecided parts.

    A case that begins to block, or does so again after it was closed, has its full time from now.
    A closed one opens again for a new part that nobody has decided.
    """
    case = get(tx, case_id)
    blocking = select(t.recall_case.c.id).where(
        t.recall_case.c.id.in_(block_ids(tx, case_id)), t.recall_case.c.state == "open"
    )
    undecided = select(t.recall_unresolved.c.id).where(
        t.recall_unresolved.c.recall_id == case_id, t.recall_unresolved.c.state == "open"
    )
    perhaps_here = undecided.where(t.recall_unresolved.c.candidates != NO_CANDIDATES)
    codes = select(t.recall_line.c.id).where(
        t.recall_line.c.recall_id == case_id, t.recall_line.c.digits != ""
    )
    blocks = tx.execute(blocking).first() is not None
    is_undecided = tx.execute(undecided).first() is not None
    was_closed = case.state == "closed"
    if was_closed and not blocks and not is_undecided:
        return case
    clueless = was_closed or tx.execute(codes).first() is None
    waits = tx.execute(perhaps_here).first() is not None or (is_undecided and clueless)
    state = "open" if blocks else "review" if waits else "not_stocked"
    if state != case.state:
        values: dict[str, object] = {"state": state, "closed_at": None, "closed_by": None}
        if state == "open":
            values |= {"opened_at": stamp.at, "due_at": stamp.at + (case.due_at - case.opened_at)}
            values["round"] = case.round + 1
        tx.execute(update(t.recall).where(t.recall.c.id == case_id).values(values))
        details = {"from": case.state, "to": state}
        audit(tx, stamp, "recall.state_set", _subject(case_id), details)
    return get(tx, case_id)


def _cases(
    tx: Connection, condition: ColumnElement[bool], limit: int = 1000
) -> tuple[CaseRow, ...]:
    query = select(t.recall).where(condition).order_by(t.recall.c.id).limit(limit)
    names = CaseRow.__dataclass_fields__
    return tuple(
        CaseRow(**{name: row[name] for name in names}) for row in tx.execute(query).mappings()
    )


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _subject(case_id: int) -> str:
    return f"recall case {case_id}"


# ---------------------------------------------------------------- lines


def put_line(tx: Connection, case: CaseRow, new: NewLine, stamp: Stamp) -> frozenset[LotKey]:
    """Add a line unless the case has it, and block what it names; returns the lots it stops."""
    line = t.recall_line.c
    same = [line.recall_id == case.id, line.digits == new.digits]
    same.append(line.item_id.is_(None) if new.item_id is None else line.item_id == new.item_id)
    wanted = None if new.lot is None else lot_form(new.lot)
    for row in tx.execute(select(t.recall_line).where(*same)):
        if (None if row.lot is None else lot_form(row.lot)) == wanted:
            return apply_line(tx, case, row.id, stamp)
    values = {
        "recall_id": case.id,
        "notice_id": new.notice_id,
        "unresolved_id": new.unresolved_id,
        "ndc": new.ndc,
        "digits": new.digits,
        "item_id": new.item_id,
        "lot": new.lot,
        "expiry": new.expiry,
        "actor": stamp.actor,
        "recorded_at": stamp.at,
    }
    line_id = tx.execute(insert(t.recall_line).returning(line.id), values).scalar_one()
    named = {"ndc": new.ndc, "item": new.item_id, "lot": new.lot or "all"}
    audit(tx, stamp, "recall.line_added", _subject(case.id), named)
    touch(tx, case.id)
    return apply_line(tx, case, line_id, stamp)


def apply_line(tx: Connection, case: CaseRow, line_id: int, stamp: Stamp) -> frozenset[LotKey]:
    """Block what a line names of the catalogue as it is; returns the lots that are stopped.

    What was stopped by a case that is closed since is left as people decided.
    """
    row = tx.execute(select(t.recall_line).where(t.recall_line.c.id == line_id)).one()
    items = items_of(tx, row.digits) if row.item_id is None else (row.item_id,)
    stopped: set[LotKey] = set()
    for item_id in items:
        if not _block(tx, case, row, item_id, stamp):
            continue
        named = recall_blocks.named_lots(tx, item_id, row.lot)
        stopped.update(recall_blocks.with_descendants(tx, named))
    return frozenset(stopped)


def _block(
    tx: Connection, case: CaseRow, line: Row[*tuple[object, ...]], item_id: str, stamp: Stamp
) -> bool:
    """Tie a line to its blocking line for an item, found or new; returns whether that is open."""
    tied = (
        select(t.recall_case.c.state)
        .join(t.recall_block, t.recall_case.c.id == t.recall_block.c.block_id)
        .where(t.recall_block.c.line_id == line.id, t.recall_case.c.item_id == item_id)
    )
    state = tx.scalars(tied).first()
    if state is not None:
        return bool(state == "open")
    known = recalls.find_open(tx, item_id=item_id, lot=line.lot, reference=case.reference)
    block = known or recalls.open_case(
        tx,
        item_id=item_id,
        lot=line.lot,
        recall_class=case.recall_class,
        reference=case.reference,
        stamp=stamp,
    )
    values = {"line_id": line.id, "block_id": block.id, "recall_id": case.id}
    tx.execute(insert(t.recall_block), {**values, "recorded_at": stamp.at})
    return True


def match_item(tx: Connection, item: Item, stamp: Stamp) -> None:
    """Block a new item, or one with a new code, by the lines of all cases that name its code."""
    codes = {code for code in _ndc11s(item) for code in (code, code[:_PRODUCT_LENGTH])}
    line = t.recall_line.c
    query = (
        select(line.id, line.recall_id)
        .join(t.recall, t.recall.c.id == line.recall_id)
        .where(line.digits.in_(sorted(codes)), t.recall.c.state.in_(WAITING))
        .order_by(line.id)
    )
    for row in tx.execute(query).all():
        apply_line(tx, get(tx, row.recall_id), row.id, stamp)
        settle_state(tx, row.recall_id, stamp)


def lines(tx: Connection, case_id: int) -> tuple[LineRow, ...]:
    """Return the lines of a case in the order they came."""
    tied = (
        select(t.recall_block.c.line_id, t.recall_case.c.item_id)
        .join(t.recall_case, t.recall_case.c.id == t.recall_block.c.block_id)
        .where(t.recall_block.c.recall_id == case_id)
        .order_by(t.recall_case.c.item_id)
    )
    items: dict[int, list[str]] = {}
    for row in tx.execute(tied):
        items.setdefault(row.line_id, []).append(row.item_id)
    query = select(t.recall_line).where(t.recall_line.c.recall_id == case_id)
    names = [name for name in LineRow.__dataclass_fields__ if name != "items"]
    return tuple(
        LineRow(**{name: row[name] for name in names}, items=tuple(items.get(row["id"], ())))
        for row in tx.execute(query.order_by(t.recall_line.c.id)).mappings()
    )


def block_ids(tx: Connection, case_id: int) -> tuple[int, ...]:
    """Return the blocking lines of a case, closed ones included."""
    query = select(t.recall_block.c.block_id).where(t.recall_block.c.recall_id == case_id)
    return tuple(tx.scalars(query.distinct().order_by(t.recall_block.c.block_id)))


def case_of_block(tx: Connection, block_id: int) -> int | None:
    """Return the case that a blocking line belongs to, None for one that stands alone."""
    query = select(t.recall_block.c.recall_id).where(t.recall_block.c.block_id == block_id)
    return tx.scalars(query).first()


def covered(tx: Connection, case_id: int) -> tuple[LotKey, ...]:
    """Return every known lot that a case stops or stopped: named, or made from a named one."""
    named: set[LotKey] = set()
    for block_id in block_ids(tx, case_id):
        block = recalls.get(tx, block_id)
        named.update(recall_blocks.named_lots(tx, block.item_id, block.lot))
    return recall_blocks.with_descendants(tx, named)


def items_of(tx: Connection, digits: str) -> tuple[str, ...]:
    """Return the items of a package code (11 digits) or of all packages of a product (9)."""
    labeler, product, package = digits[:5], digits[5:9], digits[9:] or "%"
    forms = [f"{labeler}-{product}-{package.removeprefix('0')}"] if package[0] in "0%" else []
    if labeler.startswith("0"):
        forms.append(f"{labeler[1:]}-{product}-{package}")
    if product.startswith("0"):
        forms.append(f"{labeler}-{product[1:]}-{package}")
    item = t.item.c
    if len(digits) == _NDC11_LENGTH:
        condition = or_(item.item_id == digits, item.ndc.in_(forms))
    else:
        is_ndc11 = item.item_id.like(f"{digits}%") & (func.length(item.item_id) == _NDC11_LENGTH)
        condition = or_(is_ndc11, *(item.ndc.like(form) for form in forms))
    return tuple(tx.scalars(select(item.item_id).where(condition).order_by(item.item_id)))


def _ndc11s(item: Item) -> Iterable[str]:
    if len(item.item_id) == _NDC11_LENGTH and item.item_id.isdecimal():
        yield item.item_id
    if item.ndc is not None:
        yield parse_ndc(item.ndc).ndc11
