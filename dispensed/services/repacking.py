"""Repack runs: plan, start, pack, check by another person, release, or cancel.

Nothing moves before a run is packed; then bulk, waste, samples and units are booked in one
transaction that adds up, and the units lie under a lot of their own in quarantine until another
person has checked them.
"""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.ledger import catalog, lot_origins, post, repack_labels, repacks
from dispensed.ledger.engine import Tx
from dispensed.ledger.holds import BlockedLot, check_usable
from dispensed.ledger.lot_origins import LotKey, Origin, OriginKind
from dispensed.ledger.post import Move, Stamp
from dispensed.ledger.read import MovementRow
from dispensed.ledger.repack_labels import LabelRow
from dispensed.ledger.repacks import ChildLotTaken, Content, NewRun, RunRow, StepRow
from dispensed.ledger.rules import find_moved_lot
from dispensed.model.catalog import ExpirySource, Item, LocationKind, Lot, LotState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Quantity, format_milli
from dispensed.model.repacking import (
    UNITS_MAX,
    RepackInvalid,
    RepackState,
    Yield,
    advance_run,
    check_lot_number,
    check_yield,
    find_rule,
    use_by,
)
from dispensed.services.site import Site

REPACK = "ext:repack"
WASTE = "ext:waste"
SAMPLE = "ext:sample"
_SHELVES = frozenset({LocationKind.BIN, LocationKind.RECEIVING})


class CheckedByPacker(Conflict):
    """Who packed a run does not check it."""

    code: ClassVar[str] = "checked_by_packer"


class WasteNotWitnessed(Conflict):
    """Waste of a controlled substance is booked by its own flow, with a witness, not by a run."""

    code: ClassVar[str] = "repack_waste_unwitnessed"


@dataclass(frozen=True, slots=True)
class Plan:
    """A run as asked; `unit_quantity` is plain decimal text in the item's unit.

    Without `child_item_id` the units keep the item of the bulk, without `target` its place, without
    `rule` that of the site, without `child_lot` the number comes from the site's scheme. `latest`
    shortens the date by the pharmacist's judgement.
    """

    request_id: str
    item_id: str
    lot: str
    location: str
    units: int
    unit_quantity: str
    container: str
    child_item_id: str | None = None
    child_lot: str | None = None
    target: str | None = None
    rule: str | None = None
    latest: date | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What goes with a step of a run."""

    request_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Packed:
    """What a run gave: plain decimal texts in the item's unit.

    `waste_movement_id` names a waste that is booked already; it must be of the same bulk lot, place
    and quantity. The waste of a controlled substance is given so, because it needs a witness.
    """

    request_id: str
    bulk: str
    units: int
    waste: str = "0"
    samples: str = "0"
    waste_movement_id: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run with its steps, movements and print jobs."""

    row: RunRow
    steps: tuple[StepRow, ...]
    movements: tuple[MovementRow, ...]
    labels: tuple[LabelRow, ...]


# ---------------------------------------------------------------- plan and start


async def plan(site: Site, asked: Plan, actor: str) -> RunRow:
    """Record a planned run; nothing moves. A repeat of the same request returns the run.

    Raises BlockedLot for a bulk lot that is not usable, RepackInvalid for numbers or a place that
    cannot be, ChildLotTaken for a lot number in use.
    """
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> RunRow:
        new = _new_run(tx, site, asked)
        known = repacks.planned(tx, new, request_id=asked.request_id)
        if known is not None:
            return known
        check_usable(find_moved_lot(tx, new.item_id, new.lot), site.today())
        return repacks.plan(tx, new, request_id=asked.request_id, day=site.today(), stamp=stamp)

    return await site.store.write(write)


def _new_run(tx: Tx, site: Site, asked: Plan) -> NewRun:
    item = catalog.get_item(tx, asked.item_id)
    child = catalog.get_item(tx, asked.child_item_id or asked.item_id)
    if child.unit is not item.unit:
        raise RepackInvalid(
            f"item {child.item_id} is kept in {child.unit}, the bulk {item.item_id} in {item.unit}"
        )
    target = asked.target or asked.location
    for place in (asked.location, target):
        kind = catalog.get_location(tx, place).kind
        if kind not in _SHELVES:
            raise RepackInvalid(f"location {place} is a {kind}; repack from and to a bin")
    if not asked.container.strip():
        raise RepackInvalid("name the container that the units are packed in")
    if not 0 < asked.units <= UNITS_MAX:
        raise RepackInvalid(f"{asked.units} units planned, 1 to {UNITS_MAX} are possible")
    unit_milli = Quantity.parse(asked.unit_quantity, item.unit).milli
    if unit_milli == 0:
        raise RepackInvalid(f"a unit of 0 {item.unit} holds nothing")
    rule = find_rule(site.repack.rules, asked.rule or site.repack.rule)
    return NewRun(
        item_id=item.item_id,
        lot=asked.lot,
        location_id=asked.location,
        child_item_id=child.item_id,
        target=target,
        unit_milli=unit_milli,
        units=asked.units,
        container=asked.container.strip(),
        rule=rule.name,
        rule_source=rule.source,
        lot_scheme=site.repack.lot_scheme,
        child_lot=None if asked.child_lot is None else check_lot_number(asked.child_lot),
        latest=asked.latest,
    )


async def start(site: Site, run_id: int, step: Step, actor: str) -> RunRow:
    """Say that the bulk is opened and the line is clear; raises BlockedLot or RepackTransition."""
    stamp = site.stamp(actor, step.reason)

    def write(tx: Tx) -> RunRow:
        done = repacks.repeated(tx, run_id, RepackState.STARTED, step.request_id, {})
        if done is not None:
            return done
        row = repacks.get(tx, run_id)
        check_usable(find_moved_lot(tx, row.item_id, row.lot), site.today())
        return _to(tx, run_id, RepackState.STARTED, step, stamp)

    return await site.store.write(write)


def _to(tx: Tx, run_id: int, state: RepackState, step: Step, stamp: Stamp) -> RunRow:
    return repacks.take_step(tx, run_id, state, request_id=step.request_id, content={}, stamp=stamp)


# ---------------------------------------------------------------- pack


async def pack(site: Site, run_id: int, asked: Packed, actor: str) -> RunRow:
    """Book what a run gave: bulk, waste and samples out, units in, all or nothing.

    The units become a new lot in quarantine, to be used through the earliest of the manufacturer's
    expiry, what the rule allows and what the pharmacist set. Raises NotConserved with the numbers,
    BlockedLot, InsufficientStock, WasteNotWitnessed, RepackTransition.
    """
    stamp = site.stamp(actor, asked.reason)

    def write(tx: Tx) -> RunRow:
        row = repacks.get(tx, run_id)
        item = catalog.get_item(tx, row.item_id)
        made = check_yield(_yield_of(asked, row, item), item.unit)
        content = _content(made, asked)
        done = repacks.repeated(tx, run_id, RepackState.PACKED, asked.request_id, content)
        if done is not None:
            return done
        advance_run(row.state, RepackState.PACKED)
        waste_booked = _booked_waste(tx, row, item, made, asked, stamp)
        last = _make_child(tx, site, row, stamp)
        for move in _moves(row, made, site, with_waste=not waste_booked):
            posted = post.post(tx, move, stamp, on_date=site.today())
            repacks.link(tx, run_id, posted.movement_id, stamp)
        repacks.set_yield(tx, run_id, made, packed_on=site.today(), use_by=last)
        return repacks.take_step(
            tx,
            run_id,
            RepackState.PACKED,
            request_id=asked.request_id,
            content=content,
            stamp=stamp,
        )

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


def _yield_of(asked: Packed, row: RunRow, item: Item) -> Yield:
    return Yield(
        bulk_milli=Quantity.parse(asked.bulk, item.unit).milli,
        units=asked.units,
        unit_milli=row.unit_milli,
        waste_milli=Quantity.parse(asked.waste, item.unit).milli,
        sample_milli=Quantity.parse(asked.samples, item.unit).milli,
    )


def _content(made: Yield, asked: Packed) -> Content:
    return {
        "bulk_milli": made.bulk_milli,
        "units": made.units,
        "unit_milli": made.unit_milli,
        "waste_milli": made.waste_milli,
        "sample_milli": made.sample_milli,
        "waste_movement_id": asked.waste_movement_id,
    }


def _booked_waste(
    tx: Tx, row: RunRow, item: Item, made: Yield, asked: Packed, stamp: Stamp
) -> bool:
    """Take over a waste that is booked already; returns whether there is one."""
    if asked.waste_movement_id is not None:
        repacks.adopt_waste(tx, row, asked.waste_movement_id, made.waste_milli, stamp)
        return True
    if made.waste_milli and item.schedule.is_controlled:
        raise WasteNotWitnessed(
            f"item {item.item_id} is {item.schedule}: waste {format_milli(made.waste_milli)}"
            f" {item.unit} of lot {row.lot} at {row.location_id} before a witness first, then pack"
            " with the number of that movement"
        )
    return False


def _make_child(tx: Tx, site: Site, row: RunRow, stamp: Stamp) -> date:
    """Make the child lot, in quarantine; returns its last day of use."""
    today = site.today()
    bulk = catalog.get_lot(tx, row.item_id, row.lot)
    rule = find_rule(site.repack.rules, row.rule)
    last = use_by(rule, day=today, expiry=bulk.expiry)
    if row.latest is not None:
        if row.latest < today:
            raise RepackInvalid(f"run {row.id}: its latest date {row.latest} has passed")
        last = min(last, row.latest)
    child = LotKey(row.child_item_id, row.child_lot)
    if catalog.find_lot(tx, *child) is not None:
        raise ChildLotTaken(f"item {child.item_id} has a lot {child.lot} already; cancel the run")
    catalog.put_lot(tx, Lot(*child, last, ExpirySource.COMPUTED, state=LotState.QUARANTINE), stamp)
    parent = LotKey(row.item_id, row.lot)
    lot_origins.record(tx, Origin(child, parent, OriginKind.REPACK, f"repack:{row.id}"), stamp)
    return last


def _moves(row: RunRow, made: Yield, site: Site, *, with_waste: bool) -> tuple[Move, ...]:
    bulk, child = (row.item_id, row.lot), (row.child_item_id, row.child_lot)
    wanted = (
        (MovementKind.CONSUME, bulk, row.location_id, REPACK, made.packed_milli),
        (MovementKind.WASTE, bulk, row.location_id, WASTE, made.waste_milli if with_waste else 0),
        (MovementKind.SAMPLE, bulk, row.location_id, SAMPLE, made.sample_milli),
        (MovementKind.PRODUCE, child, REPACK, row.target, made.packed_milli),
    )
    return tuple(
        Move(
            kind=kind,
            item_id=item_id,
            lot=lot,
            source=source,
            target=target,
            milli=milli,
            request_id=f"repack:{row.id}:{kind}",
            occurred_at=site.now(),
        )
        for kind, (item_id, lot), source, target, milli in wanted
        if milli
    )


# ---------------------------------------------------------------- check and release


async def check(site: Site, run_id: int, step: Step, actor: str) -> RunRow:
    """A pharmacist, not who packed it, says that the run is right; raises CheckedByPacker."""
    stamp = site.stamp(actor, step.reason)

    def write(tx: Tx) -> RunRow:
        done = repacks.repeated(tx, run_id, RepackState.CHECKED, step.request_id, {})
        if done is not None:
            return done
        packers = [each.actor for each in repacks.steps(tx, run_id) if each.step in _BY_PACKER]
        if actor in packers:
            raise CheckedByPacker(f"{actor} packed run {run_id}; another person checks it")
        return _to(tx, run_id, RepackState.CHECKED, step, stamp)

    return await site.store.write(write)


_BY_PACKER = frozenset({RepackState.STARTED, RepackState.PACKED})


async def release(site: Site, run_id: int, step: Step, actor: str) -> RunRow:
    """Take the child lot out of quarantine; raises BlockedLot when a lot it came from is recalled.

    Only a checked run is released.
    """
    stamp = site.stamp(actor, step.reason)

    def write(tx: Tx) -> RunRow:
        done = repacks.repeated(tx, run_id, RepackState.RELEASED, step.request_id, {})
        if done is not None:
            return done
        row = _to(tx, run_id, RepackState.RELEASED, step, stamp)
        for key in lot_origins.ancestors(tx, row.child_item_id, row.child_lot):
            state = catalog.get_lot(tx, *key).state
            if state is LotState.RECALLED or catalog.has_open_recall(tx, *key):
                raise BlockedLot(f"lot {key.lot} of item {key.item_id}, its origin, is recalled")
        child = catalog.get_lot(tx, row.child_item_id, row.child_lot)
        if child.state is not LotState.QUARANTINE:
            raise BlockedLot(f"lot {child.lot} of item {child.item_id} is {child.state}")
        catalog.set_lot_state(tx, *child_key(row), LotState.RELEASED, stamp)
        return row

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


def child_key(row: RunRow) -> LotKey:
    """Return the lot that a run makes."""
    return LotKey(row.child_item_id, row.child_lot)


# ---------------------------------------------------------------- cancel


async def cancel(site: Site, run_id: int, step: Step, actor: str, *, undo: bool = False) -> RunRow:
    """Give a run up, with a reason.

    Before it is packed nothing has moved. A packed one leaves its units as damaged stock, to be
    destroyed or wasted; with `undo` its movements are reversed, for a run that was booked but not
    packed so. Raises InsufficientStock when units have left their place meanwhile.
    """
    if not step.reason.strip():
        raise Invalid(f"repack run {run_id}: say why it is cancelled")
    stamp = site.stamp(actor, step.reason)
    content: Content = {"undo": int(undo)}

    def write(tx: Tx) -> RunRow:
        done = repacks.repeated(tx, run_id, RepackState.CANCELLED, step.request_id, content)
        if done is not None:
            return done
        before = repacks.get(tx, run_id)
        row = repacks.take_step(
            tx,
            run_id,
            RepackState.CANCELLED,
            request_id=step.request_id,
            content=content,
            stamp=stamp,
        )
        if before.state in _BOOKED:
            _block_child(tx, row, stamp)
            if undo:
                _undo(tx, site, run_id, stamp)
        return row

    done = await site.store.write(write)
    site.changes.notify("stock")
    return done


_BOOKED = frozenset({RepackState.PACKED, RepackState.CHECKED})


def _block_child(tx: Tx, row: RunRow, stamp: Stamp) -> None:
    """Mark the child lot as damaged; a recalled one stays recalled."""
    if catalog.get_lot(tx, *child_key(row)).state is not LotState.RECALLED:
        catalog.set_lot_state(tx, *child_key(row), LotState.DAMAGED, stamp)


def _undo(tx: Tx, site: Site, run_id: int, stamp: Stamp) -> None:
    """Reverse what the run itself booked, the youngest first; a witnessed waste stays."""
    for movement_id in reversed(repacks.own_movement_ids(tx, run_id)):
        posted = post.reverse(
            tx,
            movement_id,
            request_id=f"repack:{run_id}:undo:{movement_id}",
            occurred_at=site.now(),
            stamp=stamp,
        )
        repacks.link(tx, run_id, posted.movement_id, stamp)


# ---------------------------------------------------------------- read


async def run(site: Site, run_id: int) -> RunDetail:
    """Return one run with its steps, movements and print jobs; raises UnknownRun."""

    def query(tx: Tx) -> RunDetail:
        return RunDetail(
            row=repacks.get(tx, run_id),
            steps=repacks.steps(tx, run_id),
            movements=repacks.movements(tx, run_id),
            labels=repack_labels.page(tx, run_id),
        )

    return await site.store.read(query)


async def runs(
    site: Site, *, state: str | None = None, after: int = 0, limit: int = 100
) -> tuple[RunRow, ...]:
    """Return runs by ascending id, after an id, at most `limit`."""
    if state is not None and state not in tuple(RepackState):
        raise Invalid(f"state {state[:80]!r} is not one of {', '.join(RepackState)}")
    wanted = None if state is None else RepackState(state)
    return await site.store.read(
        lambda tx: repacks.page(tx, state=wanted, after=after, limit=limit)
    )
