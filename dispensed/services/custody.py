"""Medicine in a person's hand: taken for one patient, given, brought back or wasted.

The waste of a controlled item waits for another person, who confirms the amount in time; without
one nothing is posted.
"""

from dataclasses import dataclass

from dispensed.errors import Invalid
from dispensed.ledger import catalog, removals, wastes
from dispensed.ledger.engine import Tx
from dispensed.ledger.removals import NewRemoval, Part, RemovalRow, StepRow
from dispensed.ledger.wastes import NewWaste, WasteRow
from dispensed.model.dispensing import check_opaque
from dispensed.model.quantity import Quantity
from dispensed.services import booking
from dispensed.services.site import Site


@dataclass(frozen=True, slots=True)
class Take:
    """What a person takes for one patient; `quantity` is text in the item's unit.

    `patient_key` is opaque, never a name. Without `order_ref` it is an override and needs a
    `reason`.
    """

    request_id: str
    item_id: str
    lot: str
    location: str
    quantity: str
    patient_key: str
    order_ref: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Discard:
    """What a person wants to waste: of a removal, or of a lot at a place; `quantity` is text."""

    request_id: str
    quantity: str
    reason: str
    removal_id: int | None = None
    item_id: str | None = None
    lot: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class RemovalDetail:
    """One removal, what became of it, and the wastes stated of it."""

    row: RemovalRow
    steps: tuple[StepRow, ...]
    wastes: tuple[WasteRow, ...]


async def take(site: Site, asked: Take, actor: str) -> RemovalRow:
    """Remove stock from a bin or device into the hand; a repeat returns the first removal."""
    check_opaque("patient_key", asked.patient_key)
    if asked.order_ref is not None:
        check_opaque("order_ref", asked.order_ref)
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> RemovalRow:
        new = NewRemoval(
            request_id=asked.request_id,
            item_id=asked.item_id,
            lot=asked.lot,
            location_id=asked.location,
            milli=_milli(tx, asked.item_id, asked.quantity),
            patient_key=asked.patient_key,
            order_ref=asked.order_ref,
            override_reason=asked.reason,
        )
        return removals.take(tx, new, stamp, on_date=site.today())

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


async def give(
    site: Site, removal_id: int, quantity: str, request_id: str, actor: str
) -> RemovalRow:
    """Record how much of a removal the patient was given."""

    def write(tx: Tx) -> RemovalRow:
        row = removals.get(tx, removal_id)
        part = Part(removal_id, _milli(tx, row.item_id, quantity), request_id)
        return removals.give(tx, part, site.stamp(actor), on_date=site.today())

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


async def bring_back(
    site: Site, removal_id: int, quantity: str, location: str, request_id: str, actor: str
) -> RemovalRow:
    """Return a part of a removal to a bin, receiving, the outdates or a device."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> RemovalRow:
        row = removals.get(tx, removal_id)
        part = Part(removal_id, _milli(tx, row.item_id, quantity), request_id)
        after = removals.bring_back(tx, part, location, stamp, on_date=site.today())
        booking.sync_unbooked(tx, row.item_id, row.lot, location, stamp)
        return after

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


async def removal_list(
    site: Site, *, only_open: bool = True, actor: str | None = None, after: int = 0, limit: int
) -> tuple[RemovalRow, ...]:
    """Return removals by ascending id: the open list, or all."""
    return await site.store.read(
        lambda tx: removals.page(tx, only_open=only_open, actor=actor, after=after, limit=limit)
    )


async def removal(site: Site, removal_id: int) -> RemovalDetail:
    """Return one removal with all that belongs to it."""
    return await site.store.read(
        lambda tx: RemovalDetail(
            removals.get(tx, removal_id),
            removals.steps(tx, removal_id),
            wastes.page(tx, removal_id=removal_id),
        )
    )


async def state_waste(site: Site, asked: Discard, actor: str) -> WasteRow:
    """Put a waste on record; it is posted when witnessed, or at once when it is uncontrolled.

    Raises Invalid when it names neither a removal nor lot and place, or both.
    """
    stamp = site.stamp(actor, asked.reason)
    today = site.today()

    def write(tx: Tx) -> WasteRow:
        item_id, lot, location = _of_what(tx, asked)
        new = NewWaste(
            request_id=asked.request_id,
            item_id=item_id,
            lot=lot,
            location_id=location,
            milli=_milli(tx, item_id, asked.quantity),
            reason=asked.reason,
            removal_id=asked.removal_id,
        )
        return wastes.state(tx, new, stamp, on_date=today)

    row = await site.store.write(write)
    site.changes.notify("stock")
    return row


async def witness(site: Site, waste_id: int, actor: str) -> WasteRow:
    """Confirm a waste as another person than stated it, in time; it is posted now."""
    stamp = site.stamp(actor)
    limit_s = site.controlled.witness_timeout_s
    row = await site.store.write(
        lambda tx: wastes.confirm(tx, waste_id, stamp, limit_s=limit_s, on_date=site.today())
    )
    site.changes.notify("stock")
    return row


async def waste_list(site: Site, *, after: int = 0, limit: int) -> tuple[WasteRow, ...]:
    """Return stated wastes by ascending id."""
    return await site.store.read(lambda tx: wastes.page(tx, after=after, limit=limit))


def _of_what(tx: Tx, asked: Discard) -> tuple[str, str, str]:
    named = (asked.item_id, asked.lot, asked.location)
    if asked.removal_id is not None:
        if any(each is not None for each in named):
            raise Invalid(f"removal {asked.removal_id} says which lot is wasted; give nothing else")
        row = removals.get(tx, asked.removal_id)
        return row.item_id, row.lot, removals.IN_HAND
    if asked.item_id is None or asked.lot is None or asked.location is None:
        raise Invalid("say which removal is wasted, or which lot of which item at which place")
    return asked.item_id, asked.lot, asked.location


def _milli(tx: Tx, item_id: str, quantity: str) -> int:
    return Quantity.parse(quantity, catalog.get_item(tx, item_id).unit).milli
