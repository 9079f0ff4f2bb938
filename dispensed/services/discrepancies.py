"""Differences between the book and what machines and people found."""

from dispensed.errors import Invalid
from dispensed.ledger import discrepancies as rows
from dispensed.ledger.discrepancies import DiscrepancyRow
from dispensed.services.site import Site


async def discrepancies(site: Site, *, state: str | None = "open") -> tuple[DiscrepancyRow, ...]:
    """Return discrepancies of a state (open, closed), or all, oldest first."""
    if state not in (None, "open", "closed"):
        raise Invalid(f"discrepancy state {state!r} is not one of open, closed")
    return await site.store.read(lambda tx: rows.page(tx, state=state))


async def close(site: Site, discrepancy_id: int, reason: str, actor: str) -> DiscrepancyRow:
    """Close a discrepancy by a person's word; the reason is kept."""
    if not reason.strip():
        raise Invalid(f"discrepancy {discrepancy_id}: say why it is closed")
    stamp = site.stamp(actor, reason)
    row = await site.store.write(lambda tx: rows.close(tx, discrepancy_id, stamp))
    site.changes.notify("discrepancies")
    return row
