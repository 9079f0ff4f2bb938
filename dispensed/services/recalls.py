"""Recalls: opening one stops every issue of the lot at that moment."""

from dataclasses import dataclass

from dispensed.errors import Invalid
from dispensed.ledger import catalog, dispenses, picking, post
from dispensed.ledger import recalls as rows
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.ledger.recalls import RecallRow
from dispensed.model.dispensing import DispenseState
from dispensed.model.ndc import parse_ndc
from dispensed.services.site import Site

CLASSES = ("I", "II", "III")
"""FDA recall classifications. Source: 21 CFR 7.3(m)."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A recall of one lot (or of all lots, `lot` None) of an item given by id or NDC."""

    reference: str
    recall_class: str
    reason: str
    lot: str | None
    item_id: str | None = None
    ndc: str | None = None


async def open_recall(site: Site, asked: Recall, actor: str) -> RecallRow:
    """Open a recall: the lot is blocked everywhere, also when it arrives only later.

    Holds on it that no machine works on are let go in the same transaction. Fills that contain it
    can be neither verified nor released from then on.
    """
    if asked.recall_class not in CLASSES:
        raise Invalid(f"recall class {asked.recall_class!r} is not one of {', '.join(CLASSES)}")
    if asked.item_id is None and asked.ndc is None:
        raise Invalid(f"recall {asked.reference}: give the NDC or the item id")
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> RecallRow:
        wanted = asked.item_id or parse_ndc(asked.ndc or "").ndc11
        item = catalog.get_item(tx, wanted)
        case = rows.open_case(
            tx,
            item_id=item.item_id,
            lot=asked.lot,
            recall_class=asked.recall_class,
            reference=asked.reference,
            stamp=stamp,
        )
        _withdraw(tx, item.item_id, asked.lot, stamp)
        return case

    row = await site.store.write(write)
    site.changes.notify("recalls", "stock", "dispenses")
    return row


def _withdraw(tx: Tx, item_id: str, lot: str | None, stamp: Stamp) -> None:
    """Withdraw the plans of fills by hand, which wait long.

    A machine's outcome stops at verification.
    """
    for row in dispenses.in_states(tx, (DispenseState.COMMANDED, DispenseState.RESERVED)):
        holds = picking.holds(tx, row.id, active=True)
        hit = any(hold.item_id == item_id and lot in (None, hold.lot) for hold in holds)
        if hit and row.device_id is None:
            for hold in holds:
                post.release(tx, hold.reservation_id, stamp)
            dispenses.set_state(tx, row.id, DispenseState.REQUESTED, stamp, note=stamp.reason)


async def recalls(site: Site, *, state: str | None = None) -> tuple[RecallRow, ...]:
    """Return recalls, newest first."""
    return await site.store.read(lambda tx: rows.page(tx, state=state))


async def close_recall(site: Site, recall_id: int, reason: str, actor: str) -> RecallRow:
    """Close a recall; its lots stay blocked until a person releases what is left of them."""
    if not reason.strip():
        raise Invalid(f"recall {recall_id}: say why it is closed")
    row = await site.store.write(
        lambda tx: rows.close_case(tx, recall_id, site.stamp(actor, reason))
    )
    site.changes.notify("recalls", "stock")
    return row
