"""The catalogue: items and their reorder policies, one by one or from a formulary file."""

from dispensed.exchange.formulary import parse_formulary
from dispensed.ledger import catalog, reorder
from dispensed.ledger.engine import Tx
from dispensed.model.catalog import Item
from dispensed.model.planning import ReorderPolicy
from dispensed.services.reordering import SITE_STOCK
from dispensed.services.site import Site


async def add_item(site: Site, item: Item, policy: ReorderPolicy | None, actor: str) -> Item:
    """Add an item, or change what may change of a known one; raises Conflict for another unit."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> Item:
        catalog.put_item(tx, item, stamp)
        if policy is not None:
            reorder.put_policy(tx, item.item_id, SITE_STOCK, policy, stamp)
        return catalog.get_item(tx, item.item_id)

    added = await site.store.write(write)
    site.changes.notify("stock")
    return added


async def items(
    site: Site, *, query: str = "", after: str = "", limit: int = 100
) -> tuple[Item, ...]:
    """Return items by ascending id whose id, NDC, GTIN or name contains `query`."""
    return await site.store.read(
        lambda tx: catalog.find_items(tx, query=query, after=after, limit=limit)
    )


async def item(site: Site, item_id: str) -> Item:
    """Return one item; raises NotFound."""
    return await site.store.read(lambda tx: catalog.get_item(tx, item_id))


async def import_formulary(site: Site, text: str, actor: str) -> int:
    """Add every item of a formulary file, all or none; returns how many.

    Raises Invalid naming every faulty line.
    """
    entries = parse_formulary(text)
    stamp = site.stamp(actor, "formulary")

    def write(tx: Tx) -> int:
        for entry in entries:
            catalog.put_item(tx, entry.item, stamp)
            if entry.policy is not None:
                reorder.put_policy(tx, entry.item.item_id, SITE_STOCK, entry.policy, stamp)
        return len(entries)

    count = await site.store.write(write)
    site.changes.notify("stock")
    return count
