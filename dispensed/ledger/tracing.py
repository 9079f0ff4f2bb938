"""Where a lot went and where it came from: places, dispenses, waste, receipts, every lot between.

Sums are taken from the journal itself, not from the balances.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from sqlalchemy import case, func, or_, select

from dispensed.errors import Conflict
from dispensed.ledger import catalog, lot_origins
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Tx
from dispensed.ledger.lot_origins import LotKey, Origin
from dispensed.model.catalog import LotState
from dispensed.model.movement import MovementKind

DISPENSED = "ext:dispensed"
ROWS_MAX = 50_000
"""Most dispenses or receipts of one lot in one answer; more are refused, never left out."""


class TraceTooLong(Conflict):
    """A lot has more dispenses or receipts than one answer holds; look into the journal."""

    code: ClassVar[str] = "trace_too_long"


@dataclass(frozen=True, slots=True)
class Given:
    """What a patient's side has of a lot, less what came back; the patient by opaque key only.

    Of a dispense, or of a removal from a cabinet by hand; both are None for what was booked
    otherwise.
    """

    dispense_id: int | None
    order_ref: str
    patient_key: str
    milli: int
    removal_id: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A movement that brought a lot into the pharmacy, with its receipt if there is one."""

    movement_id: int
    kind: str
    milli: int
    occurred_at: datetime
    receipt_id: int | None
    order_ref: str


@dataclass(frozen=True, slots=True)
class LotTrace:
    """One lot: where it lies, what accounts hold of it, who got it, how it came and from what.

    `places` and `accounts` are pairs of location and thousandths, by location; an account from
    which it came is negative. All of them together are 0.
    """

    key: LotKey
    name: str
    unit: str
    expiry: date | None
    state: LotState
    origins: tuple[Origin, ...]
    places: tuple[tuple[str, int], ...]
    accounts: tuple[tuple[str, int], ...]
    given: tuple[Given, ...]
    arrivals: tuple[Arrival, ...]


def forward(tx: Tx, item_id: str, lot: str) -> tuple[LotTrace, ...]:
    """Return a lot and every lot that came from it, nearest first; raises UnknownLot."""
    start = LotKey(item_id, lot)
    first = lot_trace(tx, start)
    return (first, *(lot_trace(tx, key) for key in lot_origins.children(tx, item_id, lot)))


def backward(tx: Tx, item_id: str, lot: str) -> tuple[LotTrace, ...]:
    """Return a lot and every lot it came from, nearest first; raises UnknownLot."""
    start = LotKey(item_id, lot)
    first = lot_trace(tx, start)
    return (first, *(lot_trace(tx, key) for key in lot_origins.ancestors(tx, item_id, lot)))


def lots_of_dispense(tx: Tx, dispense_id: int) -> tuple[tuple[LotKey, int], ...]:
    """Return the lots that a dispense gave and has not got back, with thousandths, by lot."""
    move = t.movement.c
    net = func.sum(case((move.target == DISPENSED, move.milli), else_=-move.milli))
    rows = tx.execute(
        select(move.item_id, move.lot, net.label("net"))
        .where(
            move.dispense_id == dispense_id,
            or_(move.target == DISPENSED, move.source == DISPENSED),
        )
        .group_by(move.item_id, move.lot)
        .order_by(move.item_id, move.lot)
    )
    return tuple((LotKey(row.item_id, row.lot), int(row.net)) for row in rows)


def lot_trace(tx: Tx, key: LotKey) -> LotTrace:
    """Return what became of one lot itself; raises UnknownLot or TraceTooLong."""
    item = catalog.get_item(tx, key.item_id)
    lot = catalog.get_lot(tx, *key)
    net = _net(tx, key)
    return LotTrace(
        key=key,
        name=f"{item.name} {item.strength}",
        unit=item.unit.value,
        expiry=lot.expiry,
        state=lot.state,
        origins=lot_origins.origins_of(tx, *key),
        places=tuple((at, milli) for at, milli in net if not t.is_external(at)),
        accounts=tuple((at, milli) for at, milli in net if t.is_external(at)),
        given=_given(tx, key),
        arrivals=_arrivals(tx, key),
    )


def _net(tx: Tx, key: LotKey) -> tuple[tuple[str, int], ...]:
    """Sum the journal of a lot by location; zeros are left out."""
    move = t.movement.c
    sums: dict[str, int] = {}
    for end, sign in ((move.target, 1), (move.source, -1)):
        query = (
            select(end.label("at"), func.sum(move.milli).label("milli"))
            .where(move.item_id == key.item_id, move.lot == key.lot)
            .group_by(end)
        )
        for row in tx.execute(query):
            sums[row.at] = sums.get(row.at, 0) + sign * int(row.milli)
    return tuple((at, milli) for at, milli in sorted(sums.items()) if milli)


def _given(tx: Tx, key: LotKey) -> tuple[Given, ...]:
    move, removal, fill = t.movement.c, t.removal, t.dispense.c
    net = func.sum(case((move.target == DISPENSED, move.milli), else_=-move.milli)).label("net")
    by = (
        move.dispense_id,
        removal.c.id,
        func.coalesce(fill.order_ref, removal.c.order_ref, ""),
        func.coalesce(fill.patient_key, removal.c.patient_key, ""),
    )
    done = func.coalesce(move.reverses, move.id)  # a reversal is of what it reverses
    rows = tx.execute(
        select(*by, net)
        .select_from(t.movement)
        .outerjoin(t.dispense, fill.id == move.dispense_id)
        .outerjoin(t.removal_step, t.removal_step.c.movement_id == done)
        .outerjoin(removal, removal.c.id == t.removal_step.c.removal_id)
        .where(
            move.item_id == key.item_id,
            move.lot == key.lot,
            or_(move.target == DISPENSED, move.source == DISPENSED),
        )
        .group_by(*by)
        .having(net != 0)
        .order_by(move.dispense_id, removal.c.id)
        .limit(ROWS_MAX + 1)
    ).all()
    _check_length(len(rows), key)
    return tuple(
        Given(dispense_id, order_ref, patient_key, int(milli), removal_id)
        for dispense_id, removal_id, order_ref, patient_key, milli in rows
    )


_ARRIVALS = (MovementKind.RECEIVE.value, MovementKind.OPENING.value, MovementKind.FOUND.value)


def _arrivals(tx: Tx, key: LotKey) -> tuple[Arrival, ...]:
    move, undone = t.movement.c, t.movement.alias("undone")
    rows = tx.execute(
        select(
            move.id, move.kind, move.milli, move.occurred_at, t.receipt.c.id, t.receipt.c.order_ref
        )
        .select_from(t.movement)
        .outerjoin(t.receipt, t.receipt.c.movement_id == move.id)
        .outerjoin(undone, undone.c.reverses == move.id)
        .where(
            move.item_id == key.item_id,
            move.lot == key.lot,
            move.kind.in_(_ARRIVALS),
            undone.c.id.is_(None),
        )
        .order_by(move.id)
        .limit(ROWS_MAX + 1)
    ).all()
    _check_length(len(rows), key)
    return tuple(
        Arrival(movement_id, kind, milli, occurred_at, receipt_id, order_ref or "")
        for movement_id, kind, milli, occurred_at, receipt_id, order_ref in rows
    )


def _check_length(rows: int, key: LotKey) -> None:
    if rows > ROWS_MAX:
        raise TraceTooLong(f"lot {key.lot} of item {key.item_id}: more than {ROWS_MAX} rows")
