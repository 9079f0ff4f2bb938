"""Thefts and losses of controlled substances: what is missing, and who was told by when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import Row, func, insert, select, update

from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import catalog, discrepancies
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.rules import check_milli
from dispensed.ledger.stamp import Stamp, audit

REPORTED, NOT_A_LOSS = "reported", "not_a_loss"


class UnknownLoss(NotFound):
    """There is no case of that number."""

    code: ClassVar[str] = "loss_not_found"


class LossClosed(Conflict):
    """The case is closed."""

    code: ClassVar[str] = "loss_closed"


class LossExists(Conflict):
    """The discrepancy has a case already."""

    code: ClassVar[str] = "loss_exists"


class LossUntold(Conflict):
    """The field office was not told, or Form 106 was not sent."""

    code: ClassVar[str] = "loss_untold"


@dataclass(frozen=True, slots=True)
class Missing:
    """So much of one lot is missing."""

    item_id: str
    lot: str
    milli: int


@dataclass(frozen=True, slots=True)
class NewLoss:
    """A theft or loss as it was discovered; the due dates come from the rules."""

    cause: str
    detail: str
    discovered_at: datetime
    notice_due: date
    form_due: date
    missing: Sequence[Missing]
    discrepancy_id: int | None = None


@dataclass(frozen=True, slots=True)
class LossLine:
    """One lot that is missing, with its item."""

    item_id: str
    ndc: str | None
    name: str
    strength: str
    form: str
    unit: str
    schedule: str
    pack_milli: int
    lot: str
    milli: int


@dataclass(frozen=True, slots=True)
class LossRow:
    """One case."""

    id: int
    discrepancy_id: int | None
    cause: str
    detail: str
    discovered_at: datetime
    notice_due: date
    form_due: date
    notified_at: datetime | None
    notice_ref: str
    reported_at: datetime | None
    report_ref: str
    closed_at: datetime | None
    outcome: str
    reason: str
    actor: str
    lines: tuple[LossLine, ...]

    @property
    def state(self) -> str:
        """How far it is: open, notified, reported or closed."""
        if self.closed_at is not None:
            return "closed"
        if self.reported_at is not None:
            return "reported"
        return "open" if self.notified_at is None else "notified"


def missing_of(tx: Tx, discrepancy_id: int) -> Missing:
    """Return what a discrepancy says is missing; raises Invalid when nothing controlled is."""
    row = discrepancies.get(tx, discrepancy_id)
    if row.difference >= 0:
        raise Invalid(f"discrepancy {discrepancy_id}: nothing is missing there")
    return Missing(row.item_id, row.lot, -row.difference)


def open_case(tx: Tx, new: NewLoss, stamp: Stamp) -> LossRow:
    """Open a case.

    Raises Invalid for nothing missing, a lot twice or an item that is not controlled, UnknownItem,
    UnknownLot, LossExists.
    """
    _check(tx, new)
    case_id = tx.execute(
        insert(t.loss_case).returning(t.loss_case.c.id),
        {
            "discrepancy_id": new.discrepancy_id,
            "cause": new.cause,
            "detail": new.detail,
            "discovered_at": new.discovered_at,
            "notice_due": new.notice_due,
            "form_due": new.form_due,
            "notice_ref": "",
            "report_ref": "",
            "outcome": "",
            "reason": "",
            "actor": stamp.actor,
            "recorded_at": stamp.at,
        },
    ).scalar_one()
    for each in new.missing:
        line = {"item_id": each.item_id, "lot": each.lot, "milli": each.milli}
        tx.execute(insert(t.loss_line), {"case_id": case_id, **line, "recorded_at": stamp.at})
    audit(tx, stamp, "loss.opened", f"loss {case_id}", {"cause": new.cause})
    return get(tx, case_id)


def notified(tx: Tx, case_id: int, reference: str, stamp: Stamp) -> LossRow:
    """Record the written notice to the field office; the first one stands."""
    row = _still_open(tx, case_id)
    if row.notified_at is None:
        _set(tx, case_id, {"notified_at": stamp.at, "notice_ref": reference})
        audit(tx, stamp, "loss.notified", f"loss {case_id}", {"reference": reference})
    return get(tx, case_id)


def reported(tx: Tx, case_id: int, reference: str, stamp: Stamp) -> LossRow:
    """Record that Form 106 was sent; the first one stands. Raises LossUntold before the notice."""
    row = _still_open(tx, case_id)
    if row.notified_at is None:
        raise LossUntold(f"loss {case_id}: tell the field office first, due {row.notice_due}")
    if row.reported_at is None:
        _set(tx, case_id, {"reported_at": stamp.at, "report_ref": reference})
        audit(tx, stamp, "loss.reported", f"loss {case_id}", {"reference": reference})
    return get(tx, case_id)


def close(tx: Tx, case_id: int, outcome: str, stamp: Stamp) -> LossRow:
    """Close a case as reported, or as no loss, with the stamp's reason.

    Raises LossUntold when it is to be closed as reported and was not.
    """
    row = _still_open(tx, case_id)
    if outcome == REPORTED and row.reported_at is None:
        raise LossUntold(f"loss {case_id}: Form 106 is not sent, due {row.form_due}")
    _set(tx, case_id, {"closed_at": stamp.at, "outcome": outcome, "reason": stamp.reason})
    audit(tx, stamp, "loss.closed", f"loss {case_id}", {"outcome": outcome})
    return get(tx, case_id)


def get(tx: Tx, case_id: int) -> LossRow:
    """Return one; raises UnknownLoss."""
    row = tx.execute(select(t.loss_case).where(t.loss_case.c.id == case_id)).one_or_none()
    if row is None:
        raise UnknownLoss(f"there is no loss {case_id}")
    return _row(tx, row)


def page(
    tx: Tx, *, only_open: bool = True, after: int = 0, limit: int = 100
) -> tuple[LossRow, ...]:
    """Return cases by ascending id, after an id, at most `limit`."""
    query = select(t.loss_case).where(t.loss_case.c.id > after)
    if only_open:
        query = query.where(t.loss_case.c.closed_at.is_(None))
    rows = tx.execute(query.order_by(t.loss_case.c.id).limit(limit)).all()
    return tuple(_row(tx, row) for row in rows)


def count_before(tx: Tx, case_id: int, since: datetime) -> int:
    """Return how many other thefts or losses were discovered since then and are not void."""
    case = t.loss_case.c
    query = select(func.count()).where(
        case.id != case_id, case.discovered_at >= since, case.outcome != NOT_A_LOSS
    )
    return int(tx.execute(query).scalar_one())


def _check(tx: Tx, new: NewLoss) -> None:
    lots = {(each.item_id, each.lot) for each in new.missing}
    if not lots or len(lots) < len(new.missing):
        raise Invalid("a loss names what is missing, each lot once")
    for each in new.missing:
        check_milli(each.milli)
        if not catalog.get_item(tx, each.item_id).schedule.is_controlled:
            raise Invalid(f"item {each.item_id} is not a controlled substance")
        catalog.get_lot(tx, each.item_id, each.lot)
    if new.discrepancy_id is not None:
        same = t.loss_case.c.discrepancy_id == new.discrepancy_id
        known = tx.execute(select(t.loss_case.c.id).where(same)).scalar()
        if known is not None:
            raise LossExists(f"discrepancy {new.discrepancy_id} is loss {known}")


def _still_open(tx: Tx, case_id: int) -> LossRow:
    row = get(tx, case_id)
    if row.closed_at is not None:
        raise LossClosed(f"loss {case_id} was closed as {row.outcome}")
    return row


def _set(tx: Tx, case_id: int, values: dict[str, object]) -> None:
    tx.execute(update(t.loss_case).where(t.loss_case.c.id == case_id).values(values))


def _row(tx: Tx, row: Row[*tuple[object, ...]]) -> LossRow:
    data = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    names = [name for name in LossRow.__dataclass_fields__ if name != "lines"]
    values = {name: data[name] for name in names}
    return LossRow(**values, lines=_lines(tx, data["id"]))


def _lines(tx: Tx, case_id: int) -> tuple[LossLine, ...]:
    query = (
        select(t.loss_line.c.lot, t.loss_line.c.milli, t.item)
        .join(t.item, t.item.c.item_id == t.loss_line.c.item_id)
        .where(t.loss_line.c.case_id == case_id)
        .order_by(t.loss_line.c.item_id, t.loss_line.c.lot)
    )
    return tuple(
        LossLine(
            item_id=row.item_id,
            ndc=row.ndc,
            name=row.name,
            strength=row.strength,
            form=row.form,
            unit=row.unit,
            schedule=row.schedule,
            pack_milli=row.pack_milli,
            lot=row.lot,
            milli=row.milli,
        )
        for row in tx.execute(query)
    )
