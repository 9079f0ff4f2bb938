"""The end of a fill: label it, then give it to the patient's side."""

from functools import partial
from typing import ClassVar

from dispensed.errors import Conflict, DeviceProblem
from dispensed.exchange.label import fill_label
from dispensed.ledger import catalog, dispenses, picking, post
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import Item, Lot
from dispensed.model.dispensing import DispenseState
from dispensed.model.movement import MovementKind
from dispensed.services import booking, carrying
from dispensed.services.site import Site
from drivers.base import LabelPrinter
from drivers.errors import DriverError, Moved

DISPENSED = "ext:dispensed"


class LabelInDoubt(Conflict):
    """A label may have come out already; printing another needs a reason."""

    code: ClassVar[str] = "label_in_doubt"


async def release(
    site: Site, dispense_id: int, actor: str, *, reprint: str | None = None
) -> DispenseRow:
    """Label a verified dispense and give it to the patient's side: fill in progress -> dispensed.

    With `reprint` (a reason) another label is printed although one may have come out. A printer
    that fails leaves the dispense verified. Raises DeviceProblem, LabelInDoubt, BlockedLot.
    """
    row, item = await site.store.read(lambda tx: carrying.with_item(tx, dispense_id))
    if row.state is not DispenseState.VERIFIED:
        raise Conflict(f"dispense {dispense_id} is {row.state}, only a verified one is released")
    await site.store.read(lambda tx: carrying.check_lots(tx, site, row))
    has_label = (row.label_proof or "").startswith(_PRINTED)
    if reprint or (site.options.label_required and not has_label):
        await _print_labels(site, row, item, actor, reprint)
    settled = await site.store.write(lambda tx: _settle(tx, site, dispense_id, actor))
    site.changes.notify("dispenses", "stock")
    return settled


_PRINTED = ("accepted", "printed", "taken")
_DOUBTFUL = ("sent", "unknown")


async def _print_labels(
    site: Site, row: DispenseRow, item: Item, actor: str, reprint: str | None
) -> None:
    if (row.label_proof or "").startswith(_DOUBTFUL) and not reprint:
        raise LabelInDoubt(
            f"dispense {row.id}: a label may have come out ({row.label_proof}); look at the printer"
            " and release again with a reason for a reprint"
        )
    printer = site.machines.printer()
    number = int((row.label_proof or ":0").rpartition(":")[2]) + 1
    stamp = site.stamp(actor, reprint or "")

    def claim(tx: Tx) -> None:
        if dispenses.get(tx, row.id).label_proof != row.label_proof:
            raise Conflict(f"dispense {row.id}: somebody else is printing its label now")
        dispenses.update_fields(tx, row.id, stamp, label_proof=f"sent:{number}")

    await site.store.write(claim)
    proof = await _print(site, printer, row, item, number, stamp)
    await site.store.write(partial(_note_label, row=row, proof=f"{proof}:{number}", stamp=stamp))


async def _print(
    site: Site, printer: LabelPrinter, row: DispenseRow, item: Item, number: int, stamp: Stamp
) -> str:
    parts = await site.store.read(lambda tx: _label_parts(tx, row))
    proof = "accepted"
    for index, (lot, milli) in enumerate(parts):
        label = fill_label(
            item,
            lot=lot.lot,
            expiry=lot.expiry,
            milli=milli,
            title=site.options.label_title,
            order_ref=row.order_ref,
        )
        try:
            receipt = await printer.print(label, request_id=f"{row.id}-{number}-{index}")
        except DriverError as error:
            sure = error.moved is Moved.NO and index == 0
            back = None if sure and number == 1 else f"{'none' if sure else 'unknown'}:{number}"
            await site.store.write(partial(_note_label, row=row, proof=back, stamp=stamp))
            raise DeviceProblem(f"label printer: {error}") from error
        proof = receipt.proof.value
    return proof


def _note_label(tx: Tx, *, row: DispenseRow, proof: str | None, stamp: Stamp) -> None:
    dispenses.update_fields(tx, row.id, stamp, label_proof=proof)


def _label_parts(tx: Tx, row: DispenseRow) -> tuple[tuple[Lot, int], ...]:
    by_lot: dict[str, int] = {}
    for part in picking.picked(tx, row.id):
        by_lot[part.lot] = by_lot.get(part.lot, 0) + part.milli
    return tuple((catalog.get_lot(tx, row.item_id, lot), by_lot[lot]) for lot in sorted(by_lot))


def _settle(tx: Tx, site: Site, dispense_id: int, actor: str) -> DispenseRow:
    row = dispenses.get(tx, dispense_id)
    stamp = site.stamp(actor)
    settled = dispenses.set_state(tx, dispense_id, DispenseState.SETTLED, stamp)
    carrying.check_lots(tx, site, row)
    for part in picking.picked(tx, dispense_id):
        move = Move(
            kind=MovementKind.DISPENSE,
            item_id=row.item_id,
            lot=part.lot,
            source=booking.FILL,
            target=DISPENSED,
            milli=part.milli,
            request_id=f"settle:{dispense_id}:{part.lot}:{part.source}",
            occurred_at=site.now(),
            dispense_id=dispense_id,
        )
        post.post(tx, move, stamp, on_date=site.today())
    return settled
