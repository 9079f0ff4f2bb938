"""Stock as people ask for it, and the changes to lots and places that a person makes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dispensed.errors import Invalid
from dispensed.ledger import as_of, catalog, post, read, repacks
from dispensed.ledger.as_of import AsOfRow, TimeSense
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move
from dispensed.ledger.read import LotRow, MovementRow, StockRow
from dispensed.model.catalog import LotState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity
from dispensed.services import booking
from dispensed.services.site import Site


@dataclass(frozen=True, slots=True)
class Transfer:
    """A move of stock between two places by a person; `quantity` is text in the item's unit."""

    item_id: str
    lot: str
    source: str
    target: str
    quantity: str
    request_id: str
    reason: str = ""


async def stock(
    site: Site, *, item_id: str | None = None, lot: str | None = None, location: str | None = None
) -> tuple[StockRow, ...]:
    """Return what is on hand, held, blocked and available, by item, lot and place."""
    today = site.today()
    return await site.store.read(
        lambda tx: read.stock(
            tx, on_date=today, item_id=item_id, lot_number=lot, location_id=location
        )
    )


async def stock_as_of(
    site: Site,
    at: datetime,
    *,
    by: TimeSense = TimeSense.OCCURRED,
    item_id: str | None = None,
    lot: str | None = None,
    location: str | None = None,
) -> tuple[AsOfRow, ...]:
    """Return what lay at the site's places at an aware instant.

    By `occurred`: as it is known now. By `recorded`: as the book said then.
    """
    return await site.store.read(
        lambda tx: as_of.stock_as_of(
            tx, at, by=by, item_id=item_id, lot_number=lot, location=location
        )
    )


async def lots(
    site: Site, *, item_id: str | None = None, expiring_days: int | None = None
) -> tuple[LotRow, ...]:
    """Return lots with stock, by expiry; only those that expire within so many days when given."""
    before = None if expiring_days is None else site.today() + timedelta(days=expiring_days)
    today = site.today()
    return await site.store.read(
        lambda tx: read.lots(tx, on_date=today, item_id=item_id, expiring_before=before)
    )


async def movements(  # noqa: PLR0913 - the filters of one query
    site: Site,
    *,
    after: int = 0,
    limit: int = 100,
    item_id: str | None = None,
    lot: str | None = None,
    location: str | None = None,
    dispense_id: int | None = None,
) -> tuple[MovementRow, ...]:
    """Return movements by ascending id, after an id, at most `limit`."""
    return await site.store.read(
        lambda tx: read.movements(
            tx,
            after=after,
            limit=limit,
            item_id=item_id,
            lot_number=lot,
            location_id=location,
            dispense_id=dispense_id,
        )
    )


async def set_lot_state(
    site: Site, item_id: str, lot: str, state: str, reason: str, actor: str
) -> LotRow:
    """Quarantine, hold, release or mark a lot as damaged.

    Recalled comes and goes with recalls only.
    """
    if state not in tuple(LotState) or state == LotState.RECALLED:
        choices = ", ".join(each for each in LotState if each is not LotState.RECALLED)
        raise Invalid(f"lot {lot}: state {state!r} is not one of {choices}")
    if not reason.strip():
        raise Invalid(f"lot {lot}: say why it becomes {state}")
    stamp = site.stamp(actor, reason)
    today = site.today()

    def write(tx: Tx) -> LotRow:
        if state == LotState.RELEASED:
            repacks.check_released(tx, item_id, lot)
        catalog.set_lot_state(tx, item_id, lot, LotState(state), stamp)
        return read.one_lot(tx, item_id, lot, on_date=today)

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


async def transfer(site: Site, asked: Transfer, actor: str) -> int:
    """Move stock between two places; returns the movement id."""
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> int:
        item = catalog.get_item(tx, asked.item_id)
        quantity = Quantity.parse(asked.quantity, item.unit)
        move = Move(
            kind=MovementKind.TRANSFER,
            item_id=item.item_id,
            lot=asked.lot,
            source=asked.source,
            target=asked.target,
            milli=quantity.milli,
            request_id=asked.request_id,
            occurred_at=site.now(),
        )
        posted = post.post(tx, move, stamp, on_date=site.today())
        booking.sync_unbooked(tx, move.item_id, move.lot, move.target, stamp)
        return posted.movement_id

    movement_id = await site.store.write(write)
    site.changes.notify("stock")
    return movement_id
