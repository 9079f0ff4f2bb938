"""Recomputes chain, balances and holds and compares: it alarms, it never repairs.

The chain alone does not show that every movement since some point was replaced and hashed anew, or
that the end was cut off together with the head. Anchors do: lines of id and hash kept outside the
database. They also keep a running hash of the audit trail, which has no chain of its own.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select
from sqlalchemy.exc import DBAPIError

from dispensed.ledger import tables as t
from dispensed.ledger.journal import movement_hash
from dispensed.ledger.types import to_microseconds
from dispensed.model.dispensing import DispenseState
from dispensed.model.movement import MovementKind

PAGE = 2000
"""Movements read at once."""
FINDINGS_MAX = 100
"""Findings that a report keeps; more are counted, and told to who listens."""

Tell = Callable[["Finding"], None]
_Cell = tuple[str, str, str]
_UNREADABLE = (DBAPIError, OverflowError)
"""What reading damaged rows raises: text that is no UTF-8, a time beyond every calendar."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that is wrong; `code` is stable, `subject` names the row, `text` has the numbers."""

    code: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared and what is wrong; the first finding is the first row that fails."""

    movements: int
    balances: int
    reservations: int
    anchors: int
    head_id: int
    head_hash: str
    events: "Head"
    findings: tuple[Finding, ...]
    findings_total: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.findings_total == 0


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the journal, or of the audit trail with the running hash of all its events."""

    id: int
    hash: str


NO_EVENTS = Head(0, t.GENESIS_HASH)
"""The end of an empty audit trail."""


@dataclass(slots=True)
class _Anchors:
    """What the file says, by the last movement and by the last audit event of each line."""

    movements: dict[int, str] = field(default_factory=dict)
    events: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Findings:
    tell: Tell
    kept: list[Finding] = field(default_factory=list)
    total: int = 0

    def add(self, code: str, subject: str, text: str) -> None:
        self.total += 1
        finding = Finding(code, subject, text)
        self.tell(finding)
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(finding)

    @contextmanager
    def of_damage(self, subject: str) -> Iterator[None]:
        """Turn rows that the database cannot read into a finding; a lost connection raises."""
        try:
            yield
        except _UNREADABLE as error:
            self.add("unreadable", subject, _damage(error))


def _damage(error: DBAPIError | OverflowError) -> str:
    """Say what is wrong with stored rows; raises the error when it is the connection."""
    if not isinstance(error, DBAPIError):
        return str(error)
    if error.connection_invalidated:
        raise error
    return str(error.orig)


def _nobody(finding: Finding) -> None:
    del finding


def verify(
    tx: Connection,
    *,
    anchors: Path | None = None,
    progress: Callable[[int], None] | None = None,
    tell: Tell = _nobody,
) -> VerifyReport:
    """Check the whole ledger in one snapshot; `progress` is told how many movements were read.

    `tell` gets every finding, also those beyond the FINDINGS_MAX that the report keeps. Memory
    grows with the number of balances, not of movements. Keeps a core busy: run it in a process of
    its own. Raises nothing for what it finds.
    """
    found = _Findings(tell)
    known = _read_anchors(anchors, found) if anchors is not None else _Anchors()
    fixed = known.movements
    cells: dict[_Cell, int] = defaultdict(int)
    last = Head(0, t.GENESIS_HASH)
    with found.of_damage("journal"):
        for last in _follow(tx, found, cells, fixed):
            if progress is not None and last.id % PAGE == 0:
                progress(last.id)
    for anchor_id in sorted(fixed):
        if anchor_id > last.id:
            text = f"an anchor names movement {anchor_id}, the journal ends at {last.id}"
            found.add("journal_cut", f"movement {anchor_id}", text)
    balances = reservations = 0
    with found.of_damage("balances"):
        _check_head(tx, found, last)
        balances = _check_balances(tx, found, cells)
    with found.of_damage("reservations"):
        reservations = _check_held(tx, found)
    with found.of_damage("claims"):
        _check_claims(tx, found)
    with found.of_damage("dispenses"):
        _check_dispenses(tx, found)
    events = NO_EVENTS
    with found.of_damage("audit events"):
        events = _check_events(tx, found, known.events)
    return VerifyReport(
        movements=last.id,
        balances=balances,
        reservations=reservations,
        anchors=len(fixed),
        head_id=last.id,
        head_hash=last.hash,
        events=events,
        findings=tuple(found.kept),
        findings_total=found.total,
    )


# ---------------------------------------------------------------- anchors


def head(tx: Connection) -> Head:
    """Return the end of the journal."""
    row = tx.execute(select(t.chain_head.c.last_id, t.chain_head.c.hash)).one()
    return Head(row.last_id, row.hash)


def write_anchor(file: Path, end: Head, at: datetime, events: Head = NO_EVENTS) -> None:
    """Append the ends of the journal and of the audit trail to a file outside, durably."""
    line = {"id": end.id, "hash": end.hash, "at": at.isoformat()}
    if events.id:
        line |= {"event": events.id, "event_hash": events.hash}
    with file.open("a", encoding="ascii") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _read_anchors(file: Path, found: _Findings) -> _Anchors:
    """Read the anchors; a missing or unreadable line is a finding too."""
    known = _Anchors()
    if not file.exists():
        found.add("anchor_missing", str(file), "the file of anchors does not exist")
        return known
    with file.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if not _take_anchor(line, known):
                found.add("anchor_unreadable", f"{file}:{number}", f"not an anchor: {line[:80]!r}")
    return known


def _take_anchor(line: str, known: _Anchors) -> bool:
    """Take up one line of the file; False when it is no anchor."""
    try:
        content = json.loads(line)
    except ValueError:
        return False
    match content:
        case {"id": int() as number, "hash": str() as digest}:
            if number:
                known.movements[number] = digest
        case _:
            return False
    match content:
        case {"event": int() as number, "event_hash": str() as digest}:
            known.events[number] = digest
        case _:
            pass
    return True


# ---------------------------------------------------------------- audit trail


def _check_events(tx: Connection, found: _Findings, fixed: dict[int, str]) -> Head:
    """Hash the audit trail from its beginning and compare it with its anchors; returns its end.

    An event itself is not named: between which two anchors something was changed, taken out or put
    in. Each stretch is judged for itself.
    """
    last = NO_EVENTS
    waiting = sorted(fixed)
    begin = 1
    query = select(t.audit_event).order_by(t.audit_event.c.id)
    for row in tx.execute(query.execution_options(yield_per=PAGE)):
        while waiting and row.id > waiting[0]:
            begin, last = _stretch(found, begin, waiting.pop(0), last, fixed)
        last = Head(row.id, _event_hash(last.hash, row))
        if waiting and row.id == waiting[0]:
            begin, last = _stretch(found, begin, waiting.pop(0), last, fixed)
    for number in waiting:
        begin, last = _stretch(found, begin, number, last, fixed)
    return last


def _stretch(
    found: _Findings, begin: int, end: int, last: Head, fixed: dict[int, str]
) -> tuple[int, Head]:
    """Compare one stretch with its anchor; returns where the next begins, hashing on from there."""
    if last != Head(end, fixed[end]):
        text = "they do not give the hash in the anchor: some were changed, taken out or put in"
        found.add("events_differ", f"audit events {begin} to {end}", text)
    return end + 1, Head(end, fixed[end])


def _event_hash(last: str, row: Row[Any]) -> str:
    values = [to_microseconds(value) if isinstance(value, datetime) else value for value in row]
    encoded = json.dumps([last, *values], separators=(",", ":"), default=repr)
    return hashlib.sha256(encoded.encode("ascii")).hexdigest()


# ---------------------------------------------------------------- chain


def _follow(
    tx: Connection, found: _Findings, cells: dict[_Cell, int], fixed: dict[int, str]
) -> Iterator[Head]:
    """Follow the journal from its beginning, adding up `cells`; yields each movement's end."""
    last = Head(0, t.GENESIS_HASH)
    for row in _movements(tx, found):
        subject = f"movement {row.id}"
        if row.id != last.id + 1:
            gap = f"movement {last.id + 1}"
            if row.id != last.id + 2:
                gap = f"movements {last.id + 1} to {row.id - 1}"
            found.add("movement_missing", gap, f"{subject} follows {last.id}")
        elif row.prev_hash != last.hash:
            text = f"it does not carry the hash of movement {last.id}: one of the two was changed"
            found.add("chain_broken", subject, text)
        if row.hash != movement_hash(row._asdict()):
            found.add("movement_changed", subject, "its content does not give its hash")
        if fixed.get(row.id, row.hash) != row.hash:
            found.add("anchor_differs", subject, "its hash is not the one in the anchor")
        _add_up(row, cells, found)
        last = Head(row.id, str(row.hash))
        yield last


def _add_up(row: Row[Any], cells: dict[_Cell, int], found: _Findings) -> None:
    subject = f"movement {row.id}"
    names = (row.item_id, row.lot, row.source, row.target)
    readable = type(row.milli) is int and all(isinstance(name, str) for name in names)
    if not readable or row.milli <= 0 or row.source == row.target:
        found.add("movement_bad", subject, f"{row.milli!r} from {row.source} to {row.target}")
        return
    cells[row.item_id, row.lot, row.target] += row.milli
    source = (row.item_id, row.lot, row.source)
    cells[source] -= row.milli
    if cells[source] < 0 and not t.is_external(row.source):
        text = f"lot {row.lot} of item {row.item_id} at {row.source} goes to {cells[source]}"
        found.add("below_zero", subject, text)


def _movements(tx: Connection, found: _Findings) -> Iterator[Row[Any]]:
    """Read the journal in order, page by page; a row that cannot be read is a finding."""
    after = 0
    while True:
        query = select(t.movement).where(t.movement.c.id > after).order_by(t.movement.c.id)
        try:
            rows = list(tx.execute(query.limit(PAGE)))
        except _UNREADABLE as error:
            _damage(error)
            rows = _readable(tx, query, after, found)
            if not rows:
                raise
        yield from rows
        if not rows:
            return
        after = rows[-1].id


def _readable(
    tx: Connection,
    query: Select[Any],
    after: int,
    found: _Findings,
) -> list[Row[Any]]:
    """Read the next PAGE numbers one by one, leaving out rows that SQLite cannot decode.

    With nothing readable among them there is nothing to name; the caller says so.
    """
    rows: list[Row[Any]] = []
    bad: dict[int, str] = {}
    for number in range(after + 1, after + PAGE + 1):
        try:
            rows += tx.execute(query.where(t.movement.c.id == number)).all()
        except _UNREADABLE as error:
            bad[number] = _damage(error)
    if rows:
        for number, text in bad.items():
            found.add("movement_unreadable", f"movement {number}", text)
    return rows


def _check_head(tx: Connection, found: _Findings, last: Head) -> None:
    end = head(tx)
    if end != last:
        text = f"the head says {end.id} {end.hash[:12]}, the journal {last.id} {last.hash[:12]}"
        found.add("head_differs", f"movement {max(end.id, last.id)}", text)


# ---------------------------------------------------------------- balances and holds


def _check_balances(tx: Connection, found: _Findings, cells: dict[_Cell, int]) -> int:
    """Compare every balance with the journal's sum, which is taken out of `cells`."""
    count = 0
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for row in tx.execute(select(t.balance)):
        count += 1
        cell = (row.item_id, row.lot, row.location_id)
        subject = f"balance {'/'.join(cell)}"
        sums[row.item_id, row.lot] += row.on_hand
        moved = cells.pop(cell, 0)
        if row.on_hand != moved:
            found.add("balance_differs", subject, f"{row.on_hand} kept, {moved} by movements")
        external = t.is_external(row.location_id)
        if row.external != external or row.held < 0 or (row.on_hand < 0 and not external):
            found.add("balance_bad", subject, f"{row.on_hand} on hand, {row.held} held")
        elif row.held and (external or row.held > row.on_hand):
            found.add("held_too_much", subject, f"{row.held} held of {row.on_hand}")
    for cell, moved in cells.items():
        if moved:
            subject = f"balance {'/'.join(cell)}"
            found.add("balance_missing", subject, f"no row, {moved} by movements")
    for (item_id, lot), total in sums.items():
        if total:
            text = f"all accounts together hold {total}, not 0"
            found.add("sum_not_zero", f"lot {item_id}/{lot}", text)
    return count


def _check_held(tx: Connection, found: _Findings) -> int:
    """Compare what every balance says is held with its reservations; returns how many there are."""
    place = t.reservation.c
    kept = (
        select(place.item_id, place.lot, place.location_id, func.sum(place.remaining).label("held"))
        .group_by(place.item_id, place.lot, place.location_id)
        .subquery()
    )
    same = and_(
        kept.c.item_id == t.balance.c.item_id,
        kept.c.lot == t.balance.c.lot,
        kept.c.location_id == t.balance.c.location_id,
    )
    promised = func.coalesce(kept.c.held, 0)
    query = (
        select(t.balance, promised.label("promised"))
        .outerjoin(kept, same)
        .where(t.balance.c.held != promised)
    )
    for row in tx.execute(query):
        subject = f"balance {row.item_id}/{row.lot}/{row.location_id}"
        found.add("held_differs", subject, f"{row.held} held, {row.promised} reserved")
    return int(tx.execute(select(func.count()).select_from(t.reservation)).scalar_one())


def _check_claims(tx: Connection, found: _Findings) -> None:
    """Check that claims were paid by their movements, and wait only where nothing lies."""
    paid = (
        select(t.movement.c.claim_id, func.sum(t.movement.c.milli).label("paid"))
        .where(t.movement.c.claim_id.is_not(None))
        .group_by(t.movement.c.claim_id)
        .subquery()
    )
    claim = t.unbooked.c
    amount = func.coalesce(paid.c.paid, 0)
    query = (
        select(claim.id, claim.milli, claim.remaining, claim.waived, amount.label("paid"))
        .outerjoin(paid, paid.c.claim_id == claim.id)
        .where(claim.milli != claim.remaining + claim.waived + amount)
    )
    for row in tx.execute(query):
        text = f"{row.milli} claimed, {row.paid} paid, {row.waived} waived, {row.remaining} open"
        found.add("claim_differs", f"claim {row.id}", text)
    there = and_(
        t.balance.c.item_id == claim.item_id,
        t.balance.c.lot == claim.lot,
        t.balance.c.location_id == claim.location_id,
    )
    unpaid = (
        select(claim.id, t.balance.c.on_hand)
        .join(t.balance, there)
        .where(claim.remaining > 0, t.balance.c.on_hand != 0)
    )
    for unpaid_row in tx.execute(unpaid):
        text = f"open although {unpaid_row.on_hand} are on hand"
        found.add("claim_unpaid", f"claim {unpaid_row.id}", text)


def _check_dispenses(tx: Connection, found: _Findings) -> None:
    """Check that settled dispenses gave what was ordered, and that ended ones hold nothing."""
    given = t.movement.c
    undone = select(given.reverses).where(given.reverses.is_not(None))
    gave = (
        select(given.dispense_id, func.sum(given.milli).label("gave"))
        .where(given.kind == MovementKind.DISPENSE.value, given.id.not_in(undone))
        .group_by(given.dispense_id)
        .subquery()
    )
    total = func.coalesce(gave.c.gave, 0)
    row_of = t.dispense.c
    settled = row_of.state == DispenseState.SETTLED.value
    wrong = or_(
        and_(settled, total != row_of.milli),
        and_(~settled, total != 0),
        and_(settled, row_of.counted_milli != row_of.milli),
    )
    query = (
        select(row_of.id, row_of.state, row_of.milli, total.label("gave"))
        .outerjoin(gave, gave.c.dispense_id == row_of.id)
        .where(wrong)
    )
    for row in tx.execute(query):
        text = f"{row.state}, {row.milli} ordered, {row.gave} given"
        found.add("dispense_differs", f"dispense {row.id}", text)
    ended = (DispenseState.SETTLED.value, DispenseState.VOIDED.value)
    holding = (
        select(t.reservation.c.id, row_of.id.label("dispense_id"), row_of.state)
        .join(t.dispense, row_of.id == t.reservation.c.dispense_id)
        .where(t.reservation.c.remaining > 0, row_of.state.in_(ended))
    )
    for hold in tx.execute(holding):
        text = f"it holds stock for dispense {hold.dispense_id}, which is {hold.state}"
        found.add("held_for_ended", f"reservation {hold.id}", text)
