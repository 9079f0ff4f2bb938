"""Recalls: opening one stops every issue of the lot at that moment."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar

import structlog

from dispensed.errors import Conflict, DeviceProblem, Invalid
from dispensed.ledger import catalog, dispenses, picking, post, recall_blocks, recall_cases
from dispensed.ledger import recalls as rows
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.ledger.recall_blocks import LotKey
from dispensed.ledger.recalls import RecallRow
from dispensed.model.dispensing import DispenseState
from dispensed.model.ndc import parse_ndc
from dispensed.services import carrying
from dispensed.services.site import Site
from drivers.errors import DriverError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

CANCEL_S = 5.0
"""How long a cabinet may take to say that it cancels an order."""
CLASSES = ("I", "II", "III")
"""FDA recall classifications. Source: 21 CFR 7.3(m)."""


class LineOfCase(Conflict):
    """The line is part of a recall case, which ends with answers and signatures."""

    code: ClassVar[str] = "recall_line_of_case"


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

    def write(tx: Tx) -> tuple[RecallRow, tuple[LotKey, ...]]:
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
        named = recall_blocks.named_lots(tx, item.item_id, asked.lot)
        stopped = recall_blocks.with_descendants(tx, named)
        withdraw(tx, stopped, stamp)
        return case, stopped

    row, stopped = await site.store.write(write)
    await stop_machines(site, stopped)
    return row


def withdraw(tx: Tx, stopped: Iterable[LotKey], stamp: Stamp) -> None:
    """Withdraw the plans of fills by hand with stopped lots, which wait long.

    A machine's outcome stops at verification.
    """
    lots = frozenset(stopped)
    for row in dispenses.in_states(tx, (DispenseState.COMMANDED, DispenseState.RESERVED)):
        holds = picking.holds(tx, row.id, active=True)
        hit = any((hold.item_id, hold.lot) in lots for hold in holds)
        if hit and row.device_id is None:
            for hold in holds:
                post.release(tx, hold.reservation_id, stamp)
            dispenses.set_state(tx, row.id, DispenseState.REQUESTED, stamp, note=stamp.reason)


async def stop_machines(site: Site, stopped: Collection[LotKey]) -> None:
    """Let no command with stopped lots start any more, and cancel those that are under way.

    For lots whose recall is committed. A cabinet that cannot cancel ends its order in the tray,
    where the lot cannot be verified.
    """
    site.gate.turn()
    site.changes.notify("recalls", "stock", "dispenses")
    if not stopped:
        return
    cabinets = site.machines.device_names("cabinet")
    orders = await site.store.read(lambda tx: carrying.in_flight(tx, stopped))
    for device, order_id in orders:
        if device in cabinets:
            await _cancel(site, device, order_id)


async def _cancel(site: Site, device: str, order_id: str) -> None:
    try:
        async with asyncio.timeout(CANCEL_S):
            cancelled = await site.machines.cabinet(device).cancel(order_id)
    except (DriverError, DeviceProblem, TimeoutError) as error:
        log.warning("order.not_cancelled", device_id=device, order_id=order_id, reason=str(error))
        return
    log.info("order.cancel_asked", device_id=device, order_id=order_id, status=cancelled)


async def recalls(site: Site, *, state: str | None = None) -> tuple[RecallRow, ...]:
    """Return recalls, newest first."""
    return await site.store.read(lambda tx: rows.page(tx, state=state))


async def close_recall(site: Site, recall_id: int, reason: str, actor: str) -> RecallRow:
    """Close a blocking line; its lots stay blocked until a person releases what is left of them.

    Raises LineOfCase for one that belongs to a recall case, which is closed as a whole.
    """
    if not reason.strip():
        raise Invalid(f"recall {recall_id}: say why it is closed")

    def write(tx: Tx) -> RecallRow:
        case_id = recall_cases.case_of_block(tx, recall_id)
        if case_id is not None and recall_cases.get(tx, case_id).state != "closed":
            raise LineOfCase(f"recall {recall_id} belongs to recall case {case_id}; close that one")
        return rows.close_case(tx, recall_id, site.stamp(actor, reason))

    row = await site.store.write(write)
    site.changes.notify("recalls", "stock")
    return row
