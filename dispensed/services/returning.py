"""Return to stock: a fill that was handed out to the shelf of the waiting but never picked up.

It keeps its lot. When its own date is shorter than that of the lot it becomes a child lot with that
date, so that it is never used longer and a recall of the lot still finds it. Only what never left
the pharmacy's custody may come back: 49 Pa. Code 27.102(a), N.J.A.C. 13:39-7.16(c), Ohio Adm. Code
4729:5-5-22(B); FDA CPG 460.300 warns of anything else. A fill that was not released yet is voided
instead.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.ledger import catalog, dispenses, lot_origins, post, stock_returns, tracing
from dispensed.ledger.engine import Tx
from dispensed.ledger.lot_origins import LotKey, Origin, OriginKind
from dispensed.ledger.post import Move, RequestReused, Stamp
from dispensed.ledger.rules import check_request_id
from dispensed.ledger.stock_returns import NewReturn, ReturnRow
from dispensed.model.catalog import ExpirySource, LocationKind, Lot, LotState
from dispensed.model.dispensing import DispenseState
from dispensed.model.movement import MovementKind
from dispensed.model.planning import usable_on
from dispensed.model.quantity import Quantity, Unit, format_milli
from dispensed.model.repacking import RETURN_RULES, find_rule, use_by
from dispensed.services import booking
from dispensed.services.places import OUTDATE
from dispensed.services.site import Site

DISPENSED = "ext:dispensed"
REPACK = "ext:repack"
SEALED = "manufacturer"


class MoreThanDispensed(Conflict):
    """More would come back than the patient's side has of that lot."""

    code: ClassVar[str] = "more_than_dispensed"


class NotHandedOut(Conflict):
    """Only a settled dispense is returned; one before that is voided."""

    code: ClassVar[str] = "not_handed_out"


@dataclass(frozen=True, slots=True)
class Return:
    """What comes back; without `lot` the only one of the dispense, without `quantity` all of it.

    `use_by` is the date on the vial when it has one. `sealed` says that it is the manufacturer's
    unopened package, which keeps its date. `target` is the bin it is put into.
    """

    request_id: str
    dispense_id: int
    target: str
    reason: str
    lot: str | None = None
    quantity: str | None = None
    use_by: date | None = None
    sealed: bool = False


async def return_to_stock(site: Site, asked: Return, actor: str) -> ReturnRow:
    """Book a return; a repeat of the same request returns the first answer.

    A lot that is blocked, recalled in itself or in its origin, or past its date goes to the outdate
    shelf whatever target was asked. Raises NotHandedOut, MoreThanDispensed, Invalid, RequestReused.
    """
    if not asked.reason.strip():
        raise Invalid(f"dispense {asked.dispense_id}: say why it comes back")
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> ReturnRow:
        check_request_id(asked.request_id)
        known = stock_returns.find(tx, asked.request_id)
        if known is not None:
            return _first_answer(known, asked)
        key, milli = _what(tx, asked)
        shelved = _kind(tx, asked.target) is not LocationKind.OUTDATE
        rule, last = _last_day(tx, site, asked, key)
        usable = usable_on(last, site.today()) and not _blocked(tx, key)
        target = asked.target if usable else OUTDATE
        number = stock_returns.count_of(tx, asked.dispense_id) + 1
        move = Move(
            kind=MovementKind.RETURN_TO_STOCK,
            item_id=key.item_id,
            lot=key.lot,
            source=DISPENSED,
            target=target,
            milli=milli,
            request_id=f"return:{asked.dispense_id}:{number}",
            occurred_at=site.now(),
            dispense_id=asked.dispense_id,
        )
        posted = post.post(tx, move, stamp, on_date=site.today())
        to_lot = key.lot
        shorter = last is not None and last != catalog.get_lot(tx, *key).expiry
        if usable and shelved and shorter:
            child = Lot(
                key.item_id,
                f"RS{site.today():%y%m%d}-{posted.movement_id}",
                last,
                ExpirySource.COMPUTED,
                LotState.RELEASED,
            )
            _shorten(tx, site, move, child, stamp)
            to_lot = child.lot
        booking.sync_unbooked(tx, key.item_id, key.lot, target, stamp)
        new = NewReturn(
            request_id=asked.request_id,
            dispense_id=asked.dispense_id,
            item_id=key.item_id,
            lot=key.lot,
            to_lot=to_lot,
            use_by=last,
            rule=rule,
            milli=milli,
            target=target,
            movement_id=posted.movement_id,
        )
        return stock_returns.record(tx, new, stamp)

    row = await site.store.write(write)
    site.changes.notify("stock", "dispenses")
    return row


async def returns(site: Site, *, after: int = 0, limit: int = 100) -> tuple[ReturnRow, ...]:
    """Return returns to stock by ascending id, after an id, at most `limit`."""
    return await site.store.read(lambda tx: stock_returns.page(tx, after=after, limit=limit))


def _first_answer(known: ReturnRow, asked: Return) -> ReturnRow:
    """Return what the request did before; raises RequestReused when it asks for something else."""
    milli = known.milli
    if asked.quantity is not None:
        milli = Quantity.parse(asked.quantity, Unit(known.unit)).milli
    asked_for = (asked.dispense_id, asked.lot or known.lot, milli)
    if asked_for != (known.dispense_id, known.lot, known.milli):
        raise RequestReused(f"request {asked.request_id} was used before for return {known.id}")
    return known


def _what(tx: Tx, asked: Return) -> tuple[LotKey, int]:
    """Return which lot and how much of it comes back."""
    row = dispenses.get(tx, asked.dispense_id)
    if row.state is not DispenseState.SETTLED:
        raise NotHandedOut(f"dispense {row.id} is {row.state}, only a settled one is returned")
    parts = {key.lot: (key, net) for key, net in tracing.lots_of_dispense(tx, row.id) if net > 0}
    if asked.lot is None and len(parts) != 1:
        lots = ", ".join(parts) or "nothing"
        raise Invalid(f"dispense {row.id} has {lots} outside; name the lot that comes back")
    lot = next(iter(parts)) if asked.lot is None else asked.lot
    key, net = parts.get(lot, (LotKey(row.item_id, lot), 0))
    unit = catalog.get_item(tx, row.item_id).unit
    milli = net if asked.quantity is None else Quantity.parse(asked.quantity, unit).milli
    if not 0 < milli <= net:
        raise MoreThanDispensed(
            f"dispense {row.id}: {format_milli(milli)} {row.unit} of lot {lot} cannot come back,"
            f" {format_milli(net)} {row.unit} are outside"
        )
    return key, milli


def _kind(tx: Tx, target: str) -> LocationKind:
    kind = catalog.get_location(tx, target).kind
    if kind not in (LocationKind.BIN, LocationKind.RECEIVING, LocationKind.OUTDATE):
        raise Invalid(f"location {target} is a {kind}; put a return into a bin")
    return kind


def _last_day(tx: Tx, site: Site, asked: Return, key: LotKey) -> tuple[str, date | None]:
    """Return the rule and the last day of use by it, None when the lot's expiry is not known.

    It is counted from the day when the first of the lot was taken for the dispense.
    """
    rule = find_rule(RETURN_RULES, SEALED if asked.sealed else site.repack.return_rule)
    expiry = catalog.get_lot(tx, *key).expiry
    filled = stock_returns.filled_at(tx, asked.dispense_id, key.lot)
    if expiry is None or filled is None:
        return rule.name, None
    day = filled.astimezone(site.zone).date()
    last = expiry if expiry < day else use_by(rule, day=day, expiry=expiry)
    return rule.name, last if asked.use_by is None else min(last, asked.use_by)


def _blocked(tx: Tx, key: LotKey) -> bool:
    """Say whether the lot, or one it came from, must not go to a patient."""
    lots = [catalog.get_lot(tx, *each) for each in lot_origins.ancestors(tx, *key)]
    own = catalog.get_lot(tx, *key).state
    return own is not LotState.RELEASED or any(lot.state is LotState.RECALLED for lot in lots)


def _shorten(tx: Tx, site: Site, back: Move, child: Lot, stamp: Stamp) -> None:
    """Turn what came back into a child lot with the shorter date, where it lies."""
    catalog.put_lot(tx, child, stamp)
    origin = Origin(
        LotKey(child.item_id, child.lot),
        LotKey(back.item_id, back.lot),
        OriginKind.RETURN_TO_STOCK,
        back.request_id,
    )
    lot_origins.record(tx, origin, stamp)
    for kind, lot, source, target in (
        (MovementKind.CONSUME, back.lot, back.target, REPACK),
        (MovementKind.PRODUCE, child.lot, REPACK, back.target),
    ):
        move = replace(
            back,
            kind=kind,
            lot=lot,
            source=source,
            target=target,
            request_id=f"{back.request_id}:{kind}",
            dispense_id=None,
        )
        post.post(tx, move, stamp, on_date=site.today())
