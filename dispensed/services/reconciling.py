"""Compares what a cabinet says it holds with the book and keeps one discrepancy per difference."""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import structlog

from dispensed.errors import DeviceProblem
from dispensed.ledger import catalog, discrepancies, inbox, read, touches
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Stamp
from dispensed.model.catalog import Item
from dispensed.model.quantity import format_milli
from dispensed.services import booking
from dispensed.services.site import Site
from drivers.base import Snapshot
from drivers.errors import DriverError
from drivers.facts import Pack

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

SNAPSHOT = "snapshot"
TRIES = 5
ACTOR = "reconcile"


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """Outcome for one device.

    Lots compared, differences open now, articles unknown to the catalogue.

    `skipped` lots are being moved by a command at this moment and were left as they are; `settled`
    False means that the device kept reporting changes and nothing was compared.
    """

    device: str
    compared: int
    differing: int
    skipped: int
    unknown_articles: tuple[str, ...]
    settled: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    """A snapshot, and the newest message of the device when it was asked for."""

    device: str
    before: int
    snapshot: Snapshot
    actor: str


async def reconcile(
    site: Site, device: str | None, actor: str = ACTOR
) -> tuple[ReconcileReport, ...]:
    """Reconcile one cabinet or all that are up; raises DeviceProblem when the named one fails."""
    names = site.machines.device_names("cabinet") if device is None else (device,)
    reports: list[ReconcileReport] = []
    for name in names:
        if device is None and not site.machines.is_up(name):
            continue
        try:
            reports.append(await _reconcile_one(site, name, actor))
        except DriverError as error:
            if device is not None:
                raise DeviceProblem(f"device {name}: {error}; nothing was compared") from error
            log.warning("reconcile.failed", device_id=name, reason=str(error))
    site.changes.notify("discrepancies")
    return tuple(reports)


async def _reconcile_one(site: Site, device: str, actor: str) -> ReconcileReport:
    cabinet = site.machines.cabinet(device)
    for _ in range(TRIES):
        before = await site.store.read(lambda tx: inbox.last_id(tx, device))
        snapshot = await cabinet.inventory()
        taken = _Taken(device, before, snapshot, actor)
        report = await site.store.write(partial(_compare, site=site, taken=taken))
        if report is not None:
            return report
    return ReconcileReport(device, 0, 0, 0, (), settled=False)


def _compare(tx: Tx, *, site: Site, taken: _Taken) -> ReconcileReport | None:
    """Compare in one transaction; None when the device reported something in the meantime."""
    device = taken.device
    if inbox.last_id(tx, device) != taken.before:
        return None
    stamp = site.stamp(taken.actor)
    place = site.machines.location(device)
    there_now, unknown = told(tx, taken.snapshot, stamp)
    book = read.book_of(tx, place)
    moving = read.lots_commanded(tx, place)
    differing = skipped = 0
    keys = sorted(set(there_now) | set(book) | discrepancies.open_lots(tx, SNAPSHOT, place))
    for key in keys:
        if key in moving:
            skipped += 1
            continue
        there, here = there_now.get(key, 0), book.get(key, 0)
        differing += there != here
        discrepancies.set_difference(
            tx,
            kind=SNAPSHOT,
            item_id=key[0],
            lot=key[1],
            location_id=place,
            difference=there - here,
            detail=f"{device} holds {format_milli(there)}, the book {format_milli(here)}",
            stamp=stamp,
        )
    touches.note_snapshot(
        tx,
        device=device,
        location_id=place,
        compared=len(keys) - skipped,
        differing=differing,
        skipped=skipped,
        at=stamp.at,
    )
    return ReconcileReport(
        device, len(keys) - skipped, differing, skipped, tuple(sorted(unknown)), settled=True
    )


def told(tx: Tx, snapshot: Snapshot, stamp: Stamp) -> tuple[dict[tuple[str, str], int], set[str]]:
    """Sum a snapshot by item and lot; lots unknown so far are taken in, in quarantine."""
    packs: dict[str, list[Pack]] = defaultdict(list)
    for pack in snapshot.packs:
        packs[pack.article].append(pack)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    unknown: set[str] = set()
    for article, held in packs.items():
        item: Item | None = catalog.find_item(tx, article)
        if item is None:
            unknown.add(article)
            continue
        for pack in held:
            lot = booking.known_lot(tx, item, pack, stamp)
            sums[article, lot] += booking.pack_milli(item, pack)
    return dict(sums), unknown
