"""Expiry: flags once per lot, place and tier; what is to be pulled; what will not be used in time.

Stock that arrives at a place with tiers passed already gets one flag there, that of the tightest
tier, at the next scan; the wider tiers it has passed are not made up for.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from dispensed.errors import Invalid
from dispensed.ledger import catalog, discrepancies, expiry, outdates, post, read, special
from dispensed.ledger.engine import Tx
from dispensed.ledger.outdates import OutdateTask
from dispensed.ledger.post import Move, Stamp
from dispensed.ledger.read import LotRow, StockRow
from dispensed.model.catalog import LocationKind, LotState
from dispensed.model.movement import MovementKind
from dispensed.model.outdating import DatedStock, expiry_risk
from dispensed.model.planning import tier_reached, usable_on
from dispensed.model.quantity import Quantity, format_milli
from dispensed.services import booking
from dispensed.services.places import OUTDATE
from dispensed.services.site import Site

ACTOR = "expiry-scan"
COUNT = "count"
"""Kind of the discrepancy that a pull leaves: who takes all from a place has counted it."""
DAYS_MAX = 3650
STATES = ("open", "done", "cancelled")


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """`flagged` are new flags of this scan (lot, place, tier in days).

    `expired` lots still lie here; `tasks` are the numbers of the pull tasks that it made.
    """

    flagged: tuple[tuple[str, str, str, int], ...]
    expired: tuple[LotRow, ...]
    tasks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a person found when pulling: `counted` is plain decimal text in the item's unit.

    `from_tray` says that a machine put the stock out into the tray, from where it was taken.
    """

    task_id: int
    counted: str
    request_id: str
    reason: str = ""
    target: str = OUTDATE
    from_tray: bool = False


@dataclass(frozen=True, slots=True)
class RiskRow:
    """One lot of which something will be left when it expires; `daily` is thousandths a day."""

    item_id: str
    name: str
    unit: str
    lot: str
    expiry: date
    milli: int
    at_risk_milli: int
    daily: Fraction


async def expiry_scan(site: Site) -> ExpiryReport:
    """Flag what reached a tier since the last scan, and put on the pull list what is due.

    Running it again flags nothing twice and makes no second task.
    """
    today = site.today()
    stamp = site.stamp(ACTOR, "expired or about to")

    def write(tx: Tx) -> ExpiryReport:
        flagged: list[tuple[str, str, str, int]] = []
        for row in read.stock(tx, on_date=today):
            tier = (
                None
                if row.expiry is None
                else tier_reached(row.expiry, today, site.expiry.tiers_days)
            )
            if tier is not None and expiry.flag_once(
                tx, row.item_id, row.lot, row.location_id, tier, stamp
            ):
                flagged.append((row.item_id, row.lot, row.location_id, tier))
        rows = read.lots(tx, on_date=today, expiring_before=today)
        expired = tuple(row for row in rows if row.expired)
        return ExpiryReport(tuple(flagged), expired, _plan(tx, site, site.expiry.pull_days, stamp))

    report = await site.store.write(write)
    if report.flagged or report.tasks:
        site.changes.notify("stock")
    return report


# ---------------------------------------------------------------- pulling


async def plan_pulls(site: Site, days: int | None, reason: str, actor: str) -> tuple[int, ...]:
    """Put on the pull list all stock with fewer than `days` days left (else the site's setting).

    Stock that is on it already is left out. Returns the numbers of the new tasks.
    """
    wanted = site.expiry.pull_days if days is None else days
    if not 0 <= wanted <= DAYS_MAX:
        raise Invalid(f"{wanted} days: 0 to {DAYS_MAX} are possible")
    why = reason.strip() or f"fewer than {wanted} days left"
    made = await site.store.write(lambda tx: _plan(tx, site, wanted, site.stamp(actor, why)))
    site.changes.notify("stock")
    return made


def _plan(tx: Tx, site: Site, days: int, stamp: Stamp) -> tuple[int, ...]:
    before = site.today() + timedelta(days=days)
    return outdates.open_tasks(tx, outdates.due(tx, before), stamp)


async def tasks(site: Site, *, state: str | None = "open") -> tuple[OutdateTask, ...]:
    """Return pull tasks of a state (open, done, cancelled), or all, oldest first."""
    if state is not None and state not in STATES:
        raise Invalid(f"task state {state!r} is not one of {', '.join(STATES)}")
    return await site.store.read(lambda tx: outdates.page(tx, state=state))


async def pull(site: Site, pulled: Pulled, actor: str) -> OutdateTask:
    """Move what a person pulled to the segregated place, and end the task.

    What was counted moves as far as the book holds it. What the book holds beyond that is missing
    at the place, what was counted beyond the book is found at the target: a discrepancy. Stock that
    is held for a fill is not moved: InsufficientStock. A repeat of the same request returns the
    task; TaskDone when somebody else ended it.
    """
    stamp = site.stamp(actor, pulled.reason)

    def write(tx: Tx) -> OutdateTask:
        task = outdates.get(tx, pulled.task_id)
        item = catalog.get_item(tx, task.item_id)
        counted = Quantity.parse(pulled.counted, item.unit).milli
        if task.state == "done" and task.counted_milli == counted and task.done_by == actor:
            return task
        outdates.check_open(task)
        if catalog.get_location(tx, pulled.target).kind is not LocationKind.OUTDATE:
            raise Invalid(f"location {pulled.target} is not a place for outdates")
        source, book = _origin(tx, task, from_tray=pulled.from_tray)
        moved = min(counted, book)
        movement_id = None
        if moved:
            kind = MovementKind.PUTBACK if pulled.from_tray else MovementKind.TRANSFER
            move = Move(
                kind=kind,
                item_id=task.item_id,
                lot=task.lot,
                source=source,
                target=pulled.target,
                milli=moved,
                request_id=pulled.request_id,
                occurred_at=site.now(),
            )
            movement_id = post.post(tx, move, stamp, on_date=site.today()).movement_id
            booking.sync_unbooked(tx, move.item_id, move.lot, move.target, stamp)
        place = source if counted < book else pulled.target
        _note_difference(tx, task, place, counted - book, stamp)
        return outdates.finish(tx, task.id, counted=counted, movement_id=movement_id, stamp=stamp)

    task = await site.store.write(write)
    site.changes.notify("stock", "discrepancies")
    return task


def _origin(tx: Tx, task: OutdateTask, *, from_tray: bool) -> tuple[str, int]:
    """Return from where a task's stock is taken and what the book holds of it there."""
    if from_tray:
        return booking.FILL, max(0, outdates.loose_in_tray(tx, task.item_id, task.lot))
    book = read.book_of(tx, task.location_id)
    return task.location_id, book.get((task.item_id, task.lot), 0)


def _note_difference(tx: Tx, task: OutdateTask, place: str, difference: int, stamp: Stamp) -> None:
    if difference:
        discrepancies.add(
            tx,
            kind=COUNT,
            item_id=task.item_id,
            lot=task.lot,
            location_id=place,
            change=difference,
            detail=f"outdate task {task.id}: {format_milli(abs(difference))} {task.unit}"
            f" {'more' if difference > 0 else 'less'} was pulled than the book held",
            stamp=stamp,
        )


async def cancel_pull(site: Site, task_id: int, reason: str, actor: str) -> OutdateTask:
    """Take a task off the pull list; the reason is kept."""
    if not reason.strip():
        raise Invalid(f"outdate task {task_id}: say why it is cancelled")
    return await site.store.write(
        lambda tx: outdates.cancel(tx, task_id, site.stamp(actor, reason))
    )


# ---------------------------------------------------------------- risk


async def risk(
    site: Site, *, item_id: str | None = None, days: int | None = None
) -> tuple[RiskRow, ...]:
    """Return the lots of which something will be left when they expire, the earliest first.

    The demand of an item is what patients got of it in the last `days` days (else the site's
    setting), by the journal. Only usable stock is used up: what is blocked, and what is of a trial,
    is not looked at.
    """
    span = site.expiry.demand_days if days is None else days
    if not 1 <= span <= DAYS_MAX:
        raise Invalid(f"{span} days: 1 to {DAYS_MAX} are possible")
    today, now = site.today(), site.now()

    def query(tx: Tx) -> tuple[RiskRow, ...]:
        trials = special.trial_places(tx)
        demand = outdates.dispensed(tx, now - timedelta(days=span), now)
        by_item: dict[str, list[StockRow]] = {}
        for row in read.stock(tx, on_date=today, item_id=item_id):
            if _is_used(row, today) and row.location_id not in trials:
                by_item.setdefault(row.item_id, []).append(row)
        found = []
        for item, rows in by_item.items():
            found += _at_risk(rows, Fraction(demand.get(item, 0), span), today)
        return tuple(sorted(found, key=lambda row: (row.expiry, row.item_id, row.lot)))

    return await site.store.read(query)


def _is_used(row: StockRow, today: date) -> bool:
    released = row.lot_state == LotState.RELEASED.value and usable_on(row.expiry, today)
    return released and not row.blocked


def _at_risk(rows: list[StockRow], daily: Fraction, today: date) -> list[RiskRow]:
    lots: dict[tuple[str, date], int] = {}
    for row in rows:
        if row.expiry is not None:
            lots[row.lot, row.expiry] = lots.get((row.lot, row.expiry), 0) + row.on_hand
    stock = [DatedStock(lot, expires, milli) for (lot, expires), milli in lots.items()]
    return [
        RiskRow(
            item_id=rows[0].item_id,
            name=rows[0].name,
            unit=rows[0].unit,
            lot=each.lot,
            expiry=each.expiry,
            milli=each.milli,
            at_risk_milli=each.at_risk_milli,
            daily=daily,
        )
        for each in expiry_risk(stock, daily=daily, today=today)
        if each.at_risk_milli
    ]
