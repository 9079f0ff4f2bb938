"""Opens the counts that are due: by plan, on open discrepancies, and where a record came late."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dispensed.ledger import cases, catalog, count_plan, counting
from dispensed.ledger.count_book import Scope
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.model.counting import CountCell, CountKind, plan
from dispensed.services.counting import Ask, open_in
from dispensed.services.site import Site

ACTOR = "cycle-count"
LATE_DAYS = 7
"""How long after its end a count is compared with what was recorded late."""
CLOSED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Opened:
    """How many tasks a run opened: by plan, for discrepancies, for late records."""

    cycle: int
    discrepancy: int
    late: int


@dataclass(frozen=True, slots=True)
class Due:
    """An item at a place that is to be counted, and since when."""

    cell: CountCell
    due_at: datetime


async def due(site: Site) -> tuple[Due, ...]:
    """Return what the plan asks to be counted now, most urgent first; opens nothing."""
    return await site.store.read(lambda tx: _due(tx, site, site.now()))


def _due(tx: Tx, site: Site, now: datetime) -> tuple[Due, ...]:
    policy = site.counting
    waits = counting.waiting(tx)
    free = [
        cell
        for cell in count_plan.cells(tx, now - timedelta(days=policy.usage_days), policy)
        if not waits & {Scope(cell.location_id), Scope(cell.location_id, cell.item_id)}
    ]
    return tuple(Due(cell, due_at) for cell, due_at in plan(free, now, policy))


async def open_due(site: Site, actor: str = ACTOR) -> Opened:
    """Open a task for everything that is due and not asked for yet; again it opens nothing."""
    stamp = site.stamp(actor)

    def write(tx: Tx) -> Opened:
        late = _open_late(tx, site, stamp)
        differing = _open_differing(tx, site, stamp)
        found = _due(tx, site, stamp.at)
        for each in found:
            cell = each.cell
            asked = Ask(
                CountKind.CYCLE,
                cell.location_id,
                f"cycle:{stamp.at.isoformat()}:{cell.item_id}@{cell.location_id}",
                cell.item_id,
                blind=cell.controlled,
                reason=f"class {cell.abc}",
            )
            open_in(tx, site, asked, stamp)
        return Opened(len(found), differing, late)

    opened = await site.store.write(write)
    site.changes.notify("discrepancies")
    return opened


def _open_differing(tx: Tx, site: Site, stamp: Stamp) -> int:
    """Have a person count where something measured differs, once per record.

    What lies in a tray or a hand is followed fill by fill and not counted for it.
    """
    waits = counting.waiting(tx)
    opened = 0
    for case in cases.page(tx):
        scope = Scope(case.location_id, case.item_id, case.lot)
        request_id = f"discrepancy:{case.id}"
        if (
            case.difference == 0
            or waits & {Scope(scope[0]), Scope(*scope[:2]), scope}
            or catalog.get_location(tx, scope[0]).kind not in count_plan.COUNTED_KINDS
            or counting.find_request(tx, request_id) is not None
        ):
            continue
        reason = f"discrepancy {case.id}"
        asked = Ask(CountKind.DISCREPANCY, *_key(scope, request_id), blind=True, reason=reason)
        open_in(tx, site, asked, stamp)
        opened += 1
        if opened == site.counting.tasks_max:
            break
    return opened


def _open_late(tx: Tx, site: Site, stamp: Stamp) -> int:
    """Count again where a movement was recorded late that the count could not know of."""
    opened = 0
    since = stamp.at - timedelta(days=LATE_DAYS)
    for task in counting.closed_since(tx, since, CLOSED_MAX):
        missed = counting.late_movements(tx, task.id)
        request_id = f"late:{task.id}:{missed[-1] if missed else 0}"
        if not missed or counting.find_request(tx, request_id) is not None:
            continue
        reason = f"count {task.id} could not know of movement {missed[-1]}"
        asked = Ask(
            CountKind.DISCREPANCY, *_key(task.scope, request_id), blind=task.blind, reason=reason
        )
        open_in(tx, site, asked, stamp)
        opened += 1
    return opened


def _key(scope: Scope, request_id: str) -> tuple[str, str, str | None, str | None]:
    return scope.location_id, request_id, scope.item_id, scope.lot


async def set_cost(site: Site, item_id: str, pack_minor: int, actor: str) -> None:
    """Say what a pack of an item costs, in minor units of money; counting ranks by it."""
    stamp = site.stamp(actor)
    await site.store.write(lambda tx: count_plan.set_cost(tx, item_id, pack_minor, stamp))
