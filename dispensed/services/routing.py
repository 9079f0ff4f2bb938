"""Decides from where and by which machine one fill is made.

The earliest-expiring feasible stock wins.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from dispensed.ledger import dispenses, picking
from dispensed.ledger.engine import Tx
from dispensed.ledger.picking import PickRow
from dispensed.ledger.post import InsufficientStock
from dispensed.model.catalog import Item, LocationKind
from dispensed.model.planning import Candidate, NotEnough, Pick, fefo
from dispensed.model.quantity import MILLI, Unit, format_milli
from dispensed.services.site import Machines


class Route(StrEnum):
    """How a fill is made.

    Whole packs from a cabinet, pieces by a counter, or by a person's hand.
    """

    CABINET = "cabinet"
    COUNTER = "counter"
    HAND = "hand"


ANY_ROUTE = "auto"
"""Route of a dispense whose order leaves the choice to dispensed."""


class NothingToPick(InsufficientStock):
    """No feasible stock gives the ordered quantity."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One feasible way to make a fill. `device` is None for work by hand."""

    route: Route
    device: str | None
    picks: tuple[Pick, ...]


def plan(  # noqa: PLR0913 - what a plan is made from
    tx: Tx,
    machines: Machines,
    item: Item,
    milli: int,
    *,
    asked: str,
    on_date: date,
    protocol: str | None = None,
) -> Plan:
    """Return the plan for `milli` of an item; raises NothingToPick with the numbers.

    A dispense of a trial takes from the places of its protocol only, and no other one does.
    """
    rows = picking.candidates(tx, item.item_id, on_date, protocol=protocol)
    routes = list(Route) if asked == ANY_ROUTE else [Route(asked)]
    plans: list[tuple[date, int, Plan]] = []
    for rank, route in enumerate(routes):
        for device in _devices(tx, machines, route):
            found = _try_route(rows, machines, item, milli, route, device)
            if found is not None:
                plans.append((_first_expiry(found, rows), rank, found))
                break
    if not plans:
        usable = sum(row.available for row in rows)
        raise NothingToPick(
            f"item {item.item_id}: {format_milli(milli)} {item.unit} asked by route {asked},"
            f" {format_milli(usable)} {item.unit} usable in bins and cabinets, and no machine"
            " that is up can give exactly that"
        )
    return min(plans, key=lambda entry: entry[:2])[2]


def _devices(tx: Tx, machines: Machines, route: Route) -> list[str | None]:
    """Return the devices of a route that may be commanded now.

    A counter with a job in doubt is left alone: another job would wipe out what it can still tell,
    and pieces of the first may lie in its chute.
    """
    if route is Route.HAND:
        return [None]
    doubtful = dispenses.devices_in_doubt(tx) if route is Route.COUNTER else frozenset()
    return [
        name
        for name in machines.device_names(route.value)
        if machines.is_up(name) and name not in doubtful
    ]


def _try_route(
    rows: tuple[PickRow, ...],
    machines: Machines,
    item: Item,
    milli: int,
    route: Route,
    device: str | None,
) -> Plan | None:
    fits: Callable[[PickRow], bool]
    if route is Route.CABINET and device is not None:
        location, step = machines.location(device), item.pack_milli

        def fits(row: PickRow) -> bool:
            return row.location_id == location
    else:
        step = MILLI if route is Route.COUNTER else 1
        if route is Route.COUNTER and item.unit is not Unit.EA:
            return None

        def fits(row: PickRow) -> bool:
            return row.kind is LocationKind.BIN

    if milli % step:
        return None
    candidates = [
        Candidate(row.location_id, row.lot, row.expiry, row.received, row.available, step)
        for row in rows
        if fits(row)
    ]
    try:
        return Plan(route, device, fefo(candidates, milli))
    except NotEnough:
        return None


def _first_expiry(found: Plan, rows: tuple[PickRow, ...]) -> date:
    expiry = {(row.location_id, row.lot): row.expiry for row in rows}
    return min(expiry[pick.location_id, pick.lot] for pick in found.picks)
