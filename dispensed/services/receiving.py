"""Receiving: a scanned or typed package becomes stock.

What was counted is posted, never what was invoiced.
"""

from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from dispensed.errors import Invalid
from dispensed.ledger import catalog, order_forms, post, receipts
from dispensed.ledger.engine import Tx
from dispensed.ledger.order_forms import OrderFormNeeded
from dispensed.ledger.post import Move
from dispensed.ledger.receipts import ReceiptRow
from dispensed.model import gs1, ndc
from dispensed.model.catalog import ExpirySource, Item, LocationKind, Lot, LotState
from dispensed.model.controlled import RULES
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity
from dispensed.services import booking
from dispensed.services.site import Site

SUPPLIER = "ext:supplier"
OPENING = "ext:opening"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receive:
    """What arrived: a GS1 scan, or item (id or NDC) with lot and expiry typed from the package.

    `quantity` is plain decimal text in the item's unit. Typed values beside a scan must agree with
    it. `opening` books opening stock instead of a supplier's delivery. Schedule II is received
    against a line of an order form (Form 222 or electronic order) that is on record.
    """

    request_id: str
    quantity: str
    scan: str | None = None
    item_id: str | None = None
    ndc: str | None = None
    lot: str | None = None
    expiry: date | None = None
    location: str = booking.RECEIVING
    reference: str = ""
    opening: bool = False
    order_form: str | None = None
    order_line: int | None = None


@dataclass(frozen=True, slots=True)
class _Package:
    item: Item
    lot: str
    expiry: date
    source: ExpirySource


async def receive(site: Site, asked: Receive, actor: str) -> ReceiptRow:
    """Book what arrived as released stock (or as recalled, when an open recall names the lot).

    Raises Invalid or NotFound naming the code and the numbers when item, lot, expiry or quantity is
    missing, wrong or contradicts the scan; Conflict when the lot is known with another expiry;
    OrderFormNeeded, UnknownOrderForm or OverReceipt for schedule II. A repeat of the same request
    returns the first receipt.
    """
    scan = None if asked.scan is None else gs1.parse_scan(asked.scan, today=site.today())

    def write(tx: Tx) -> ReceiptRow:
        package = _package(tx, asked, scan)
        quantity = Quantity.parse(asked.quantity, package.item.unit)
        if not quantity:
            raise Invalid(f"item {package.item.item_id}: 0 {package.item.unit} received")
        form = _order_line(site, asked, package.item)
        stamp = site.stamp(actor, asked.reference)
        lot = Lot(
            item_id=package.item.item_id,
            lot=package.lot,
            expiry=package.expiry,
            expiry_source=package.source,
            state=LotState.RELEASED,
        )
        catalog.put_lot(tx, lot, stamp)
        from_device = catalog.get_location(tx, asked.location).kind is LocationKind.DEVICE
        if from_device and not asked.opening:
            raise Invalid(f"location {asked.location} is a device: receive, then load it")
        move = Move(
            kind=MovementKind.OPENING if asked.opening else MovementKind.RECEIVE,
            item_id=package.item.item_id,
            lot=package.lot,
            source=OPENING if asked.opening else SUPPLIER,
            target=asked.location,
            milli=quantity.milli,
            request_id=asked.request_id,
            occurred_at=site.now(),
        )
        posted = post.post(tx, move, stamp, on_date=site.today())
        booking.sync_unbooked(tx, move.item_id, move.lot, move.target, stamp)
        if form is not None and not posted.repeated:
            order_forms.receive(
                tx, posted.movement_id, *form, received_on=site.today(), stamp=stamp
            )
        return receipts.record(
            tx, posted, order_ref=asked.reference, scan=asked.scan or "", stamp=stamp
        )

    receipt = await site.store.write(write)
    site.changes.notify("stock")
    return receipt


def _order_line(site: Site, asked: Receive, item: Item) -> tuple[str, int] | None:
    """Return the order form and line that a receipt names; raises OrderFormNeeded without one."""
    if asked.order_form is not None and asked.order_line is not None:
        return asked.order_form, asked.order_line
    if asked.order_form is not None or asked.order_line is not None:
        raise Invalid("an order form and its line go together")
    exempt = asked.opening and site.controlled.opening_without_form
    if RULES[item.schedule].order_form and not exempt:
        raise OrderFormNeeded(
            f"item {item.item_id} is {item.schedule}: name the order form and the line on which"
            " it was ordered"
        )
    return None


def _package(tx: Tx, asked: Receive, scan: gs1.Scan | None) -> _Package:
    item = _item(tx, asked, scan)
    lot = _one("lot", None if scan is None else scan.lot, asked.lot)
    expiry = _one("expiry", None if scan is None else scan.expiry, asked.expiry)
    if lot is None or expiry is None:
        missing = " and ".join(n for n, v in (("lot", lot), ("expiry", expiry)) if v is None)
        raise Invalid(f"item {item.item_id}: {missing} missing; read it from the package")
    scanned = scan is not None and scan.expiry is not None
    source = ExpirySource.SCANNED if scanned else ExpirySource.TYPED
    return _Package(item, lot, expiry, source)


def _item(tx: Tx, asked: Receive, scan: gs1.Scan | None) -> Item:
    named: dict[str, Item] = {}
    if scan is not None and scan.gtin is not None:
        named[f"GTIN {scan.gtin}"] = catalog.find_by_gtin(tx, scan.gtin)
    if asked.ndc is not None:
        named[f"NDC {asked.ndc}"] = catalog.get_item(tx, ndc.parse_ndc(asked.ndc).ndc11)
    if asked.item_id is not None:
        named[f"item {asked.item_id}"] = catalog.get_item(tx, asked.item_id)
    if not named:
        raise Invalid("nothing says what arrived: scan the package or give its NDC or item id")
    items = {item.item_id: item for item in named.values()}
    if len(items) > 1:
        pairs = ", ".join(f"{name} is item {item.item_id}" for name, item in named.items())
        raise Invalid(f"the codes name different items: {pairs}")
    return next(iter(items.values()))


def _one(name: str, scanned: T | None, typed: T | None) -> T | None:
    if scanned is not None and typed is not None and scanned != typed:
        raise Invalid(f"{name} {typed} was typed, the scan says {scanned}")
    return typed if scanned is None else scanned
