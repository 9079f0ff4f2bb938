"""Counts that a machine makes: pieces by weight, and all that a device says it holds.

Both end in `counting.submit_in`, as a count by hand does, with their source and uncertainty.
"""

from dataclasses import dataclass, replace

from dispensed.errors import Conflict, DeviceProblem
from dispensed.ledger import catalog, counting, inbox, read
from dispensed.ledger.counting import TaskRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.model.catalog import Item
from dispensed.model.counting import CountSource, weighed_pieces
from dispensed.model.quantity import MILLI, format_milli
from dispensed.services import reconciling
from dispensed.services.counting import Answer, CountDetail, Counted, only_lot, submit_in
from dispensed.services.dispensing import micrograms, step_ug
from dispensed.services.site import Site
from drivers.base import Snapshot
from drivers.errors import DriverError


@dataclass(frozen=True, slots=True)
class Weighing:
    """What is on the scale: one lot, named where the task does not name it."""

    request_id: str
    item_id: str | None = None
    lot: str | None = None
    scale: str | None = None
    reason: str = ""


async def submit_weight(site: Site, number: int, asked: Weighing, actor: str) -> CountDetail:
    """Count one lot by its net weight and take that as the answer to a task.

    Raises Uncountable when the weight cannot tell n pieces from n + 1, DeviceProblem when the scale
    gives no weight fit for booking, Conflict for an item without a piece weight.
    """
    task, item, lot = await site.store.read(lambda tx: _weighed(tx, number, asked))
    if item.piece_weight_ug is None or item.piece_weight_sd_ug is None:
        raise Conflict(f"item {item.item_id} has no piece weight to count with")
    try:
        reading = await site.machines.scale(asked.scale).weigh(
            timeout_s=site.options.weigh_timeout_s
        )
    except DriverError as error:
        raise DeviceProblem(f"scale: {error}; nothing was recorded, weigh again") from error
    pieces, uncertainty = weighed_pieces(
        net_ug=micrograms(reading),
        piece_ug=item.piece_weight_ug,
        sd_ug=item.piece_weight_sd_ug,
        readability_ug=max(site.options.scale_readability_ug, step_ug(reading)),
    )
    line = Counted(format_milli(pieces * MILLI), item.item_id, lot, uncertainty)
    answer = Answer(
        (line,),
        asked.request_id,
        CountSource.SCALE,
        asked.scale or "",
        reason=asked.reason or f"net {reading.value} {reading.unit}",
    )
    stamp = site.stamp(actor, answer.reason)
    found = await site.store.write(lambda tx: submit_in(tx, site, task.id, answer, stamp))
    site.changes.notify("discrepancies", "stock")
    return found


def _weighed(tx: Tx, number: int, asked: Weighing) -> tuple[TaskRow, Item, str]:
    task = counting.get(tx, number)
    item_id, lot = only_lot(task, asked.item_id, asked.lot)
    return task, catalog.get_item(tx, item_id), lot


async def submit_snapshot(
    site: Site, number: int, request_id: str, actor: str, *, reason: str = ""
) -> CountDetail:
    """Ask the device of a task's place what it holds, and take that as the answer.

    Raises DeviceProblem when the device does not tell, Conflict for a place without a device, and
    while stock there is moving or the device reports changes; then ask again.
    """
    task = await site.store.read(lambda tx: counting.get(tx, number))
    place = await site.store.read(lambda tx: catalog.get_location(tx, task.location_id))
    if place.device is None:
        raise Conflict(f"count {number}: no device holds {task.location_id}")
    device = place.device
    before = await site.store.read(lambda tx: inbox.last_id(tx, device))
    try:
        snapshot = await site.machines.cabinet(device).inventory()
    except DriverError as error:
        raise DeviceProblem(f"device {device}: {error}; nothing was counted") from error
    stamp = site.stamp(actor, reason)

    def write(tx: Tx) -> CountDetail:
        if inbox.last_id(tx, device) != before:
            raise Conflict(f"count {number}: {device} reported a change meanwhile; count again")
        lines = _held(tx, task, snapshot, replace(stamp, actor=f"device:{device}"))
        answer = Answer(lines, request_id, CountSource.SNAPSHOT, device)
        return submit_in(tx, site, number, answer, stamp)

    found = await site.store.write(write)
    site.changes.notify("discrepancies", "stock")
    return found


def _held(tx: Tx, task: TaskRow, snapshot: Snapshot, stamp: Stamp) -> tuple[Counted, ...]:
    """Return what a snapshot holds of a task's scope."""
    there, _ = reconciling.told(tx, snapshot, stamp)
    moving = read.lots_commanded(tx, task.location_id)
    scope = task.scope
    inside = {
        key
        for key in {*there, *moving}
        if scope.item_id in (None, key[0]) and scope.lot in (None, key[1])
    }
    if inside & moving:
        raise Conflict(f"count {task.id}: stock of it is being moved at this moment; count again")
    return tuple(Counted(format_milli(there[key]), *key) for key in sorted(inside))
