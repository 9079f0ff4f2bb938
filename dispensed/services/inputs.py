"""Answers a cabinet that asks whether a pack may enter.

Only known, released, unexpired lots may, where the rule of the cabinet's place lets the item in.
"""

import structlog

from dispensed.errors import DispensedError
from dispensed.ledger import catalog, special
from dispensed.ledger.engine import Tx
from dispensed.model import gs1
from dispensed.model.catalog import Item, Lot, Storage
from dispensed.model.quantity import MILLI
from dispensed.services import carrying
from dispensed.services.site import Site
from drivers.base import InputAsked, InputDecision, InputHandler

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def input_handler(site: Site, device: str) -> InputHandler:
    """Return what answers the input requests of one cabinet."""

    async def decide(asked: InputAsked) -> InputDecision:
        try:
            place = site.machines.location(device)
            decision = await site.store.read(lambda tx: _decide(tx, site, asked, place))
        except DispensedError as error:
            decision = InputDecision(allowed=False, reason=str(error))
        if not decision.allowed:
            log.warning("input.refused", device_id=device, reason=decision.reason)
        return decision

    return decide


def _decide(tx: Tx, site: Site, asked: InputAsked, place: str) -> InputDecision:
    """Identify the pack by its code, else by the article and lot that the cabinet names itself."""
    lot_number, expiry = asked.lot, asked.expiry
    if asked.scan_code:
        scan = gs1.parse_scan(asked.scan_code, today=site.today())
        item = catalog.find_by_gtin(tx, scan.gtin)
        lot_number = scan.lot or lot_number
        expiry = scan.expiry or expiry
    else:
        item = catalog.get_item(tx, asked.article)
    if not lot_number:
        return InputDecision(allowed=False, article=item.item_id, reason="no lot number")
    lot = catalog.get_lot(tx, item.item_id, lot_number)
    blocked = carrying.lot_is_blocked(tx, site, item.item_id, lot_number)
    if blocked is None and expiry not in (None, lot.expiry):
        blocked = f"lot {lot_number} expires on {lot.expiry}, the pack says {expiry}"
    if blocked is None:
        blocked = next(iter(special.item_breaches(tx, item.item_id, place, item.pack_milli)), None)
    if blocked is not None:
        return InputDecision(allowed=False, article=item.item_id, reason=blocked)
    return _allow(item, lot, asked)


def _allow(item: Item, lot: Lot, asked: InputAsked) -> InputDecision:
    return InputDecision(
        allowed=True,
        article=item.item_id,
        name=f"{item.name} {item.strength}",
        lot=lot.lot,
        expiry=lot.expiry,
        units=asked.units,
        pack_units=item.pack_milli // MILLI,
        refrigerated=item.storage is Storage.REFRIGERATED,
    )
