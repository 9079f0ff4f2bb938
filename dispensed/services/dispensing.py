"""The person's part of a fill: order, weigh, count by hand, verify, label and settle, void."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import structlog

from dispensed.errors import Conflict, DeviceProblem, Invalid
from dispensed.ledger import catalog, discrepancies, dispenses, picking, post, read, trials
from dispensed.ledger.dispenses import DispenseRow, NewDispense
from dispensed.ledger.engine import Tx
from dispensed.ledger.picking import HeldRow
from dispensed.ledger.post import Move, Stamp
from dispensed.ledger.read import MovementRow
from dispensed.model.catalog import Item, LocationKind
from dispensed.model.dispensing import DispenseState, check_count, check_opaque
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import MILLI, Quantity, format_milli
from dispensed.model.weighing import WeighResult, WeighVerdict, weigh_check
from dispensed.services import booking, carrying
from dispensed.services.routing import ANY_ROUTE, Route
from dispensed.services.site import Site
from drivers.base import WeightReading
from drivers.errors import DriverError

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

PRIORITIES = {"low": 0, "normal": 5, "high": 9}
_MICROGRAMS = {"g": Decimal(1_000_000), "mg": Decimal(1000), "kg": Decimal(1_000_000_000)}
STEP_MOST = 5


class NotWeighed(Conflict):
    """The fill must be weighed, and agree, before it can be verified."""

    code: ClassVar[str] = "weight_missing"


@dataclass(frozen=True, slots=True)
class Order:
    """One prescription fill as asked: `quantity` is plain decimal text in the item's unit."""

    order_ref: str
    item_id: str
    quantity: str
    patient_key: str
    request_id: str
    priority: str = "normal"
    route: str | None = None
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class DispenseDetail:
    """One dispense with its holds and its movements."""

    row: DispenseRow
    holds: tuple[HeldRow, ...]
    movements: tuple[MovementRow, ...]


async def request(site: Site, order: Order, actor: str) -> DispenseRow:
    """Record an order; a repeat of the same request returns the first answer."""
    for name, value in (("patient_key", order.patient_key), ("order_ref", order.order_ref)):
        check_opaque(name, value)
    if order.priority not in PRIORITIES:
        raise Invalid(f"priority {order.priority!r} is not one of {', '.join(PRIORITIES)}")
    if order.route not in (None, ANY_ROUTE, *Route):
        raise Invalid(f"route {order.route!r} is not one of {', '.join(Route)}")

    def write(tx: Tx) -> DispenseRow:
        item = catalog.get_item(tx, order.item_id)
        quantity = Quantity.parse(order.quantity, item.unit)
        if not quantity:
            raise Invalid(f"order {order.order_ref}: 0 {item.unit} of item {item.item_id} asked")
        new = NewDispense(
            order_ref=order.order_ref,
            request_id=order.request_id,
            item_id=item.item_id,
            milli=quantity.milli,
            patient_key=order.patient_key,
            priority=PRIORITIES[order.priority],
            route=order.route or ANY_ROUTE,
        )
        stamp = site.stamp(actor)
        made = dispenses.create(tx, new, stamp)
        trials.set_dispense(tx, made.id, order.protocol, stamp)
        return made

    row = await site.store.write(write)
    site.changes.notify("dispenses")
    return row


async def dispense(site: Site, dispense_id: int) -> DispenseDetail:
    """Return one dispense; raises NotFound."""

    def query(tx: Tx) -> DispenseDetail:
        return DispenseDetail(
            row=dispenses.get(tx, dispense_id),
            holds=picking.holds(tx, dispense_id),
            movements=read.movements(tx, dispense_id=dispense_id, limit=1000),
        )

    return await site.store.read(query)


async def dispenses_of(
    site: Site, *, state: str | None = None, after: int = 0, limit: int = 100
) -> tuple[DispenseRow, ...]:
    """Return dispenses by ascending id, after an id, at most `limit`."""
    wanted = None if state is None else _state(state)
    return await site.store.read(
        lambda tx: dispenses.page(tx, state=wanted, after=after, limit=limit)
    )


def _state(text: str) -> DispenseState:
    if text not in tuple(DispenseState):
        raise Invalid(f"state {text!r} is not one of {', '.join(DispenseState)}")
    return DispenseState(text)


# ---------------------------------------------------------------- weigh


async def weigh(
    site: Site, dispense_id: int, actor: str, *, scale: str | None = None
) -> DispenseRow:
    """Compare the count of a counted dispense with the net weight that a scale agrees on.

    Agreement closes an open weight discrepancy of an uncontrolled item; a difference opens one.
    Raises DeviceProblem when the scale gives no weight fit for booking.
    """
    row, item = await site.store.read(lambda tx: carrying.with_item(tx, dispense_id))
    if row.state is not DispenseState.COUNTED:
        raise Conflict(f"dispense {dispense_id} is {row.state}, only a counted one is weighed")
    if item.piece_weight_ug is None or item.piece_weight_sd_ug is None:
        raise Conflict(f"item {item.item_id} has no piece weight to compare with")
    try:
        reading = await site.machines.scale(scale).weigh(timeout_s=site.options.weigh_timeout_s)
    except DriverError as error:
        raise DeviceProblem(f"scale: {error}; nothing was recorded, weigh again") from error
    net_ug = micrograms(reading)
    readability_ug = max(site.options.scale_readability_ug, step_ug(reading))

    def write(tx: Tx) -> DispenseRow:
        now = dispenses.get(tx, dispense_id)
        counted = now.counted_milli
        if now.state is not DispenseState.COUNTED or counted is None:
            raise Conflict(f"dispense {dispense_id} is {now.state}, only a counted one is weighed")
        verdict = weigh_check(
            net_ug=net_ug,
            piece_ug=item.piece_weight_ug or 0,
            sd_ug=item.piece_weight_sd_ug or 0,
            readability_ug=readability_ug,
            counted=counted // MILLI,
        )
        return _record_weight(tx, site, now, verdict, site.stamp(actor, f"net {reading.value} g"))

    done = await site.store.write(write)
    site.changes.notify("dispenses", "discrepancies")
    return done


def _record_weight(
    tx: Tx, site: Site, row: DispenseRow, verdict: WeighVerdict, stamp: Stamp
) -> DispenseRow:
    del site
    parts = picking.picked(tx, row.id)
    counted = (row.counted_milli or 0) // MILLI
    differs = verdict.result is WeighResult.DIFFERS and parts
    lot = parts[0].lot if parts else None
    if lot is not None and verdict.result is not WeighResult.INCONCLUSIVE:
        discrepancies.set_difference(
            tx,
            kind=f"weight:{row.id}",
            item_id=row.item_id,
            lot=lot,
            location_id=booking.FILL,
            difference=(verdict.pieces - counted) * MILLI if differs else 0,
            detail=f"dispense {row.id}: {counted} counted, {verdict.pieces} by weight",
            stamp=stamp,
        )
    return dispenses.update_fields(
        tx, row.id, stamp, weigh_result=f"{verdict.result}:{verdict.pieces}:{counted}"
    )


def micrograms(reading: WeightReading) -> int:
    """Return a weight in whole micrograms; raises DeviceProblem for a unit that is no mass."""
    scale = _MICROGRAMS.get(reading.unit)
    if scale is None:
        raise DeviceProblem(f"scale: unit {reading.unit!r} is not a mass; set the scale to grams")
    exact = reading.value * scale
    if exact != exact.to_integral_value():
        raise DeviceProblem(f"scale: {reading.value} {reading.unit} is finer than a microgram")
    return int(exact)


def step_ug(reading: WeightReading) -> int:
    """Return how coarse the display may be.

    It steps by 1, 2 or 5 of its last digit (OIML R 76-1, 3.2.2) and does not say by which: 5.
    """
    exponent = reading.value.as_tuple().exponent
    last_digit = Decimal((0, (1,), exponent if isinstance(exponent, int) else 0))
    return max(1, int(STEP_MOST * last_digit * _MICROGRAMS[reading.unit]))


# ---------------------------------------------------------------- count by hand


async def count_by_hand(
    site: Site, dispense_id: int, counted: str, actor: str, reason: str
) -> DispenseRow:
    """Say what a person counted in the tray; the book follows, by new picks or by reversals.

    Ends a count by hand, corrects a machine's count, or decides a dispense in doubt. Raises
    Conflict when more is counted than was reserved and picked.
    """

    def write(tx: Tx) -> DispenseRow:
        row, item = carrying.with_item(tx, dispense_id)
        quantity = Quantity.parse(counted, item.unit)
        by_hand = row.state is DispenseState.COMMANDED and row.device_id is None
        if not by_hand and row.state not in (DispenseState.COUNTED, DispenseState.IN_DOUBT):
            raise Conflict(f"dispense {dispense_id} is {row.state}, it cannot be counted by hand")
        stamp = site.stamp(actor, reason)
        _set_picked(tx, site, row, quantity.milli, stamp)
        if row.state is DispenseState.COUNTED:
            booking.recount(tx, dispense_id, stamp)
            return dispenses.update_fields(tx, dispense_id, stamp, weigh_result=None, note=reason)
        carrying.conclude(tx, site, dispense_id)
        return dispenses.get(tx, dispense_id)

    row = await site.store.write(write)
    site.changes.notify("dispenses", "stock")
    return row


def _set_picked(tx: Tx, site: Site, row: DispenseRow, wanted: int, stamp: Stamp) -> None:
    """Make the book of the tray of one dispense equal to `wanted` thousandths."""
    have = sum(part.milli for part in picking.picked(tx, row.id))
    for movement_id, lot, source, milli in picking.pick_movements(tx, row.id):
        if have <= wanted:
            break
        post.reverse(
            tx,
            movement_id,
            request_id=f"recount:{row.id}:{movement_id}",
            occurred_at=site.now(),
            stamp=stamp,
        )
        have -= milli
        keep = wanted - have
        if keep > 0:
            move = _pick(tx, site, row, (lot, source), keep, f"recount:{row.id}:{movement_id}:kept")
            post.post(tx, move, stamp, on_date=site.today())
            have += keep
    for hold in picking.holds(tx, row.id, active=True):
        part = min(hold.remaining, wanted - have)
        if part > 0:
            number = f"hand:{row.id}:{hold.reservation_id}:{hold.remaining}"
            move = _pick(tx, site, row, (hold.lot, hold.location_id), part, number)
            post.take(tx, hold.reservation_id, move, stamp)
            have += part
    if have < wanted:
        raise Conflict(
            f"dispense {row.id}: {format_milli(wanted)} counted by hand, only {format_milli(have)}"
            " were reserved or picked; find out which lot the rest is of and move it first"
        )


def _pick(
    tx: Tx, site: Site, row: DispenseRow, origin: tuple[str, str], milli: int, request_id: str
) -> Move:
    lot, source = origin
    from_device = catalog.get_location(tx, source).kind is LocationKind.DEVICE
    return Move(
        kind=MovementKind.OUTPUT if from_device else MovementKind.PICK,
        item_id=row.item_id,
        lot=lot,
        source=source,
        target=booking.FILL,
        milli=milli,
        request_id=request_id,
        occurred_at=site.now(),
        dispense_id=row.id,
    )


# ---------------------------------------------------------------- verify, label, settle


async def verify(site: Site, dispense_id: int, actor: str) -> DispenseRow:
    """A pharmacist says that drug, count, weight and lots are right.

    Raises CountDiffers, NotWeighed or BlockedLot; then nothing changes.
    """

    def write(tx: Tx) -> DispenseRow:
        row, item = carrying.with_item(tx, dispense_id)
        if row.state is not DispenseState.COUNTED:
            raise Conflict(f"dispense {dispense_id} is {row.state}, only a counted one is verified")
        check_count(
            ordered_item=row.item_id,
            ordered_milli=row.milli,
            counted_item=item.item_id,
            counted_milli=sum(part.milli for part in picking.picked(tx, dispense_id)),
        )
        carrying.check_lots(tx, site, row)
        _check_weight(tx, site, row, item)
        stamp = site.stamp(actor)
        return dispenses.set_state(
            tx, dispense_id, DispenseState.VERIFIED, stamp, verified_by=actor
        )

    row = await site.store.write(write)
    site.changes.notify("dispenses")
    return row


def _check_weight(tx: Tx, site: Site, row: DispenseRow, item: Item) -> None:
    by_machine = any(
        catalog.get_location(tx, part.source).kind is not LocationKind.DEVICE
        for part in picking.picked(tx, row.id)
    )
    if not site.options.weigh_check or item.piece_weight_ug is None or not by_machine:
        return
    if not site.machines.device_names("scale"):
        return
    verdict, _, rest = (row.weigh_result or "none").partition(":")
    counted = rest.rpartition(":")[2]
    if verdict == WeighResult.DIFFERS:
        raise NotWeighed(
            f"dispense {row.id}: weight says {rest.partition(':')[0]}, {counted} counted;"
            " count again by hand, then weigh again"
        )
    if verdict not in (WeighResult.AGREES, WeighResult.INCONCLUSIVE):
        raise NotWeighed(f"dispense {row.id} was not weighed since its last count")
    if int(counted) * MILLI != row.milli:
        raise NotWeighed(f"dispense {row.id}: {counted} were weighed; weigh the whole fill again")


# ---------------------------------------------------------------- void, top up, resolve


async def void(site: Site, dispense_id: int, reason: str, actor: str) -> DispenseRow:
    """Give a dispense up: holds are let go, what was picked goes back to where it came from.

    Packs that a cabinet put out go to receiving, from where they are loaded again. Refused while a
    machine works on it or nobody knows what it did.
    """

    def write(tx: Tx) -> DispenseRow:
        row = dispenses.get(tx, dispense_id)
        by_hand = row.device_id is None
        if row.state is DispenseState.IN_DOUBT or (
            row.state is DispenseState.COMMANDED and not by_hand
        ):
            raise Conflict(
                f"dispense {dispense_id} is {row.state}: wait for the machine, resolve it or count"
                " what is in the tray first"
            )
        stamp = site.stamp(actor, reason)
        voided = dispenses.set_state(tx, dispense_id, DispenseState.VOIDED, stamp, note=reason)
        for hold in picking.holds(tx, dispense_id, active=True):
            post.release(tx, hold.reservation_id, stamp)
        for part in picking.picked(tx, dispense_id):
            kind = catalog.get_location(tx, part.source).kind
            target = part.source if kind is LocationKind.BIN else booking.RECEIVING
            move = Move(
                kind=MovementKind.PUTBACK,
                item_id=row.item_id,
                lot=part.lot,
                source=booking.FILL,
                target=target,
                milli=part.milli,
                request_id=f"void:{dispense_id}:{part.lot}:{part.source}",
                occurred_at=site.now(),
                dispense_id=dispense_id,
            )
            post.post(tx, move, stamp, on_date=site.today())
        return voided

    row = await site.store.write(write)
    site.changes.notify("dispenses", "stock")
    return row


async def top_up(site: Site, dispense_id: int, actor: str) -> DispenseRow:
    """Let a machine count the missing part of a short fill."""
    row = await site.store.read(lambda tx: dispenses.get(tx, dispense_id))
    if row.state is not DispenseState.COUNTED or (row.counted_milli or 0) >= row.milli:
        raise Conflict(
            f"dispense {dispense_id} is {row.state} with {format_milli(row.counted_milli or 0)} of"
            f" {format_milli(row.milli)}: there is nothing to top up"
        )
    log.info("dispense.topped_up", dispense_id=dispense_id, actor_id=actor)
    stamp = site.stamp(actor)
    await site.store.write(
        lambda tx: dispenses.update_fields(tx, dispense_id, stamp, weigh_result=None)
    )
    return await carrying.carry(site, dispense_id)


async def resolve(site: Site, dispense_id: int, actor: str) -> DispenseRow:
    """Ask the machine again about a dispense in doubt."""
    row = await site.store.read(lambda tx: dispenses.get(tx, dispense_id))
    if row.state is not DispenseState.IN_DOUBT:
        raise Conflict(f"dispense {dispense_id} is {row.state}: there is no doubt to resolve")
    log.info("dispense.asked", dispense_id=dispense_id, actor_id=actor)
    try:
        return await carrying.ask_again(site, dispense_id)
    except DriverError as error:
        raise DeviceProblem(
            f"dispense {dispense_id}: {error}; count what is in the tray by hand"
        ) from error
