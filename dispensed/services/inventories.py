"""Initial and biennial inventories of controlled substances."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from dispensed.errors import Invalid
from dispensed.ledger import catalog
from dispensed.ledger import inventories as rows
from dispensed.ledger.engine import Tx
from dispensed.ledger.inventories import InventoryRow, NewInventory, NewLine
from dispensed.model.controlled import CountMethod, InventoryKind, Moment
from dispensed.model.quantity import Quantity
from dispensed.services.site import Site


@dataclass(frozen=True, slots=True)
class Counted:
    """What a person found of one lot at one place; amounts are text in the item's unit.

    `container` is how much the largest opened container holds when full, for an estimate.
    """

    item_id: str
    lot: str
    location: str
    quantity: str
    method: CountMethod = CountMethod.EXACT
    container: str | None = None


async def begin(
    site: Site, kind: InventoryKind, on_date: date, moment: Moment, actor: str
) -> InventoryRow:
    """Begin an inventory as of the opening or close of business on a date that is not to come.

    Opening is the first instant of the date at the site, close its last: what was recorded to have
    happened on the date belongs to its business.
    """
    if on_date > site.today():
        raise Invalid(f"an inventory of {on_date} cannot be taken on {site.today()}")
    new = NewInventory(
        kind=kind,
        on_date=on_date,
        moment=moment,
        as_of=_instant(site, on_date, moment),
        signatures=site.controlled.inventory_signatures,
    )
    return await site.store.write(lambda tx: rows.begin(tx, new, site.stamp(actor)))


async def count(site: Site, inventory_id: int, found: Counted, actor: str) -> InventoryRow:
    """Record what a person found; a later count of the same lot and place replaces it."""

    def write(tx: Tx) -> InventoryRow:
        unit = catalog.get_item(tx, found.item_id).unit
        holds = found.container
        line = NewLine(
            item_id=found.item_id,
            lot=found.lot,
            location_id=found.location,
            milli=Quantity.parse(found.quantity, unit).milli,
            method=found.method,
            container_milli=None if holds is None else Quantity.parse(holds, unit).milli,
        )
        return rows.count(tx, inventory_id, line, site.stamp(actor))

    return await site.store.write(write)


async def sign(site: Site, inventory_id: int, actor: str) -> InventoryRow:
    """Sign an inventory; the last signature shows the book beside what was counted."""
    return await site.store.write(lambda tx: rows.sign(tx, inventory_id, site.stamp(actor)))


async def inventory(site: Site, inventory_id: int) -> InventoryRow:
    """Return one inventory with its lines."""
    return await site.store.read(lambda tx: rows.get(tx, inventory_id))


async def inventory_list(site: Site, *, after: int = 0, limit: int) -> tuple[InventoryRow, ...]:
    """Return inventories by ascending id."""
    return await site.store.read(lambda tx: rows.page(tx, after=after, limit=limit))


async def next_due(site: Site) -> date | None:
    """Return the last day for the next inventory; None when an initial one is to be taken."""
    return await site.store.read(rows.due)


def _instant(site: Site, on_date: date, moment: Moment) -> datetime:
    day = on_date if moment is Moment.OPENING else on_date + timedelta(days=1)
    return datetime.combine(day, time(), tzinfo=site.zone)
