"""The machine's part of a fill: reserve, command, settle what really happened.

Intent is written before the command, the outcome after it; what the machine reported is booked by
the inbox on its way here. An unknown outcome makes the dispense `in_doubt`: nothing is sent again,
the machine is asked, and otherwise a person counts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import structlog

from dispensed.errors import DeviceProblem
from dispensed.ledger import catalog, dispenses, inbox, picking, post, special
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.engine import Tx
from dispensed.ledger.picking import HeldRow
from dispensed.ledger.post import BlockedLot
from dispensed.model.catalog import Item, LotState
from dispensed.model.dispensing import DispenseState
from dispensed.model.planning import usable_on
from dispensed.model.quantity import MILLI, format_milli
from dispensed.services import booking, reconciling, routing
from dispensed.services.routing import NothingToPick, Route
from dispensed.services.site import Site
from drivers.base import (
    CountJob,
    PickLine,
    PickOrder,
    TaskReport,
    TaskState,
)
from drivers.errors import DriverError, Moved

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

RUNNER = "dispense-runner"
JOBS_PER_ATTEMPT = 100
_FINISHED = (TaskState.COMPLETED, TaskState.INCOMPLETE, TaskState.ABORTED)


@dataclass(frozen=True, slots=True)
class Commanded:
    """A fill that a machine (or a person, `device` None) is about to make."""

    dispense_id: int
    item: Item
    route: Route
    device: str | None
    holds: tuple[HeldRow, ...]


async def carry(site: Site, dispense_id: int) -> DispenseRow:
    """Take a requested (or short) dispense as far as machines can; returns how it stands.

    Device trouble does not raise: it is in the state and the note of the dispense.
    """
    work = await site.store.write(lambda tx: _reserve_and_command(tx, site, dispense_id))
    site.changes.notify("dispenses", "stock")
    if work is not None and work.route is not Route.HAND:
        await _execute(site, work)
        site.changes.notify("dispenses", "stock")
    return await site.store.read(lambda tx: dispenses.get(tx, dispense_id))


# ---------------------------------------------------------------- reserve and command


def _reserve_and_command(tx: Tx, site: Site, dispense_id: int) -> Commanded | None:
    row = dispenses.get(tx, dispense_id)
    if row.state not in (DispenseState.REQUESTED, DispenseState.COUNTED):
        return None
    stamp = site.stamp(RUNNER)
    item = catalog.get_item(tx, row.item_id)
    wanted = row.milli - sum(part.milli for part in picking.picked(tx, dispense_id))
    if wanted <= 0:
        return None
    try:
        plan = routing.plan(
            tx,
            site.machines,
            item,
            wanted,
            asked=row.route,
            on_date=site.today(),
            protocol=special.protocol_of(tx, dispense_id),
        )
    except NothingToPick as short:
        dispenses.update_fields(tx, dispense_id, stamp, note=str(short))
        return None
    number = (1 + _last_number(tx, dispense_id) // JOBS_PER_ATTEMPT) * JOBS_PER_ATTEMPT
    for offset, pick in enumerate(plan.picks):
        reservation_id = post.reserve(
            tx,
            dispense_id=dispense_id,
            item_id=item.item_id,
            lot=pick.lot,
            location=pick.location_id,
            milli=pick.milli,
            request_id=picking.reservation_request(f"{dispense_id}-{number + offset}"),
            stamp=stamp,
            on_date=site.today(),
        )
        post.mark(tx, reservation_id, "commanded", stamp)
    if row.state is DispenseState.REQUESTED:
        dispenses.set_state(tx, dispense_id, DispenseState.RESERVED, stamp)
    dispenses.set_state(
        tx, dispense_id, DispenseState.COMMANDED, stamp, device_id=plan.device, note=""
    )
    holds = picking.holds(tx, dispense_id, active=True)
    return Commanded(dispense_id, item, plan.route, plan.device, holds)


def _last_number(tx: Tx, dispense_id: int) -> int:
    numbers = [int(hold.order_id.rpartition("-")[2]) for hold in picking.holds(tx, dispense_id)]
    return max(numbers, default=0)


# ---------------------------------------------------------------- execute


async def _execute(site: Site, work: Commanded) -> None:
    try:
        if work.route is Route.CABINET:
            await _deliver(site, work)
        else:
            for hold in work.holds:
                await _count(site, work, hold)
    except (DriverError, DeviceProblem) as error:
        log.warning("dispense.failed", dispense_id=work.dispense_id, reason=str(error))
        await site.store.write(
            partial(_failed, site=site, dispense_id=work.dispense_id, error=error)
        )
        return
    await site.store.write(lambda tx: conclude(tx, site, work.dispense_id))
    row = await site.store.read(lambda tx: dispenses.get(tx, work.dispense_id))
    if work.route is Route.CABINET and (row.counted_milli or 0) < row.milli:
        await _compare_with_the_book(site, work.device)


async def _compare_with_the_book(site: Site, device: str | None) -> None:
    """Reconcile a cabinet that gave less than the book holds, so that it is not asked in vain."""
    try:
        await reconciling.reconcile(site, device)
    except DeviceProblem as error:
        log.warning("reconcile.failed", device_id=device, reason=str(error))


async def _deliver(site: Site, work: Commanded) -> None:
    lines = tuple(
        PickLine(work.item.item_id, hold.lot, hold.milli // work.item.pack_milli)
        for hold in work.holds
    )
    order = PickOrder(work.holds[0].order_id, lines)
    cabinet = site.machines.cabinet(work.device)
    await site.gate.pass_through(partial(_blocked, site, work.holds))
    report = await cabinet.deliver(order, timeout_s=site.options.command_timeout_s)
    await _check_booked(site, work.device, report)


async def _count(site: Site, work: Commanded, hold: HeldRow) -> None:
    """Command one job when its turn has come and its lot is not blocked at that moment."""
    timeout_s = site.options.command_timeout_s
    async with site.gate.alone(work.device or "", timeout_s):
        counter = site.machines.counter(work.device)
        await site.gate.pass_through(partial(_blocked, site, (hold,)))
        await counter.count(_job(hold, work.item), timeout_s=timeout_s)


async def _blocked(site: Site, holds: tuple[HeldRow, ...]) -> str | None:
    """Say which lot of some holds must not be commanded any more, None for none."""

    def look(tx: Tx) -> str | None:
        found = (lot_is_blocked(tx, site, hold.item_id, hold.lot) for hold in holds)
        return next((blocked for blocked in found if blocked is not None), None)

    return await site.store.read(look)


def _job(hold: HeldRow, item: Item) -> CountJob:
    return CountJob(
        job_id=hold.order_id,
        article=hold.item_id,
        lot=hold.lot,
        source=hold.location_id,
        pieces=hold.milli // MILLI,
        piece_weight_ug=item.piece_weight_ug,
        piece_weight_sd_ug=item.piece_weight_sd_ug,
    )


async def _check_booked(site: Site, device: str | None, report: TaskReport) -> None:
    """Raise with moved UNKNOWN unless the order ended and every pack it names is in the ledger."""
    keys = tuple(booking.pack_key("out", pack) for pack in report.packs)
    booked = await site.store.read(lambda tx: inbox.known_effects(tx, device or "", keys))
    missing = sorted(set(keys) - booked)
    if report.state not in _FINISHED or missing:
        raise DriverError(
            f"order {report.order_id} is {report.state}, {len(missing)} of {len(keys)} packs"
            f" are not booked: {', '.join(missing[:5])}",
            moved=Moved.UNKNOWN,
        )


# ---------------------------------------------------------------- outcome


def conclude(tx: Tx, site: Site, dispense_id: int) -> None:
    """Write the end of a command whose outcome is known.

    What was picked counts, the rest is let go.
    """
    stamp = site.stamp(RUNNER)
    row = dispenses.get(tx, dispense_id)
    if row.state not in (DispenseState.COMMANDED, DispenseState.IN_DOUBT):
        return
    for hold in picking.holds(tx, dispense_id, active=True):
        post.release(tx, hold.reservation_id, stamp)
    total = sum(part.milli for part in picking.picked(tx, dispense_id))
    if total == 0:
        dispenses.set_state(
            tx, dispense_id, DispenseState.REQUESTED, stamp, note="the machine gave nothing"
        )
        return
    short = "" if total == row.milli else f"{format_milli(total)} of {format_milli(row.milli)}"
    dispenses.set_state(
        tx, dispense_id, DispenseState.COUNTED, stamp, counted_milli=total, note=short
    )


def _failed(tx: Tx, *, site: Site, dispense_id: int, error: DriverError | DeviceProblem) -> None:
    """Settle a command that failed; a DeviceProblem means that nothing was sent."""
    if isinstance(error, DeviceProblem) or error.moved is Moved.NO:
        conclude(tx, site, dispense_id)
        dispenses.update_fields(tx, dispense_id, site.stamp(RUNNER), note=str(error))
    else:
        doubt(tx, site, dispense_id, str(error))


def doubt(tx: Tx, site: Site, dispense_id: int, reason: str) -> None:
    """Put a commanded dispense and its holds in doubt."""
    stamp = site.stamp(RUNNER, reason)
    row = dispenses.get(tx, dispense_id)
    if row.state is not DispenseState.COMMANDED:
        return
    for hold in picking.holds(tx, dispense_id, active=True):
        post.mark(tx, hold.reservation_id, "in_doubt", stamp)
    dispenses.set_state(tx, dispense_id, DispenseState.IN_DOUBT, stamp, note=reason)


def with_item(tx: Tx, dispense_id: int) -> tuple[DispenseRow, Item]:
    """Return a dispense and its item; raises NotFound."""
    row = dispenses.get(tx, dispense_id)
    return row, catalog.get_item(tx, row.item_id)


def check_lots(tx: Tx, site: Site, row: DispenseRow) -> None:
    """Raise BlockedLot when anything in the tray of a dispense must not go to a patient."""
    for part in picking.picked(tx, row.id):
        blocked = lot_is_blocked(tx, site, row.item_id, part.lot)
        if blocked is not None:
            raise BlockedLot(f"dispense {row.id}: {blocked}; void the fill and quarantine the lot")


def lot_is_blocked(tx: Tx, site: Site, item_id: str, lot: str) -> str | None:
    """Return why a lot must not go to a patient, None when it may."""
    row = catalog.get_lot(tx, item_id, lot)
    if row.state is not LotState.RELEASED:
        return f"lot {lot} of item {item_id} is {row.state}"
    if not usable_on(row.expiry, site.today()):
        return f"lot {lot} of item {item_id} has expiry {row.expiry or 'unknown'}"
    return None


# ---------------------------------------------------------------- doubt resolved


async def ask_again(site: Site, dispense_id: int) -> DispenseRow:
    """Ask the machine what became of a dispense in doubt; what it cannot tell stays in doubt.

    Raises DeviceDown when the machine is not up and DriverError when it does not answer.
    """
    row = await site.store.read(lambda tx: dispenses.get(tx, dispense_id))
    holds = await site.store.read(lambda tx: picking.holds(tx, dispense_id))
    last = _attempt(holds)
    if row.state is not DispenseState.IN_DOUBT or row.device_id is None or not last:
        return row
    if row.device_id in site.machines.device_names(Route.CABINET.value):
        known = await _ask_cabinet(site, row, last[0].order_id)
    else:
        item = await site.store.read(lambda tx: catalog.get_item(tx, row.item_id))
        known = await _ask_counter(site, row.device_id, item, last)
    if known:
        await site.store.write(lambda tx: conclude(tx, site, dispense_id))
        site.changes.notify("dispenses", "stock")
    return await site.store.read(lambda tx: dispenses.get(tx, dispense_id))


def _attempt(holds: tuple[HeldRow, ...]) -> tuple[HeldRow, ...]:
    """Return the reservations of the last attempt."""
    if not holds:
        return ()
    last = int(holds[-1].order_id.rpartition("-")[2]) // JOBS_PER_ATTEMPT
    return tuple(
        hold for hold in holds if int(hold.order_id.rpartition("-")[2]) // JOBS_PER_ATTEMPT == last
    )


def in_flight(tx: Tx, lots: Collection[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return (device, order id) of each command under way that may give stock of some lots."""
    found: list[tuple[str, str]] = []
    for row in dispenses.in_states(tx, (DispenseState.COMMANDED,)):
        last = _attempt(picking.holds(tx, row.id))
        if row.device_id is not None and any((hold.item_id, hold.lot) in lots for hold in last):
            found.append((row.device_id, last[0].order_id))
    return tuple(found)


async def _ask_cabinet(site: Site, row: DispenseRow, order_id: str) -> bool:
    report = await site.machines.cabinet(row.device_id).reconcile(order_id)
    if report.state not in _FINISHED:
        return False
    await _check_booked(site, row.device_id, report)
    return True


async def _ask_counter(site: Site, device: str, item: Item, holds: tuple[HeldRow, ...]) -> bool:
    counter = site.machines.counter(device)
    for hold in holds:
        find = partial(inbox.find_raw, device_id=device, key=f"start:{hold.order_id}")
        started = await site.store.read(find)
        await counter.reconcile(_job(hold, item), started)
    return True
