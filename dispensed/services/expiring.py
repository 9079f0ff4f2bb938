"""Expiry flags: each lot at each place is flagged once per tier of days left."""

from dataclasses import dataclass

from dispensed.ledger import expiry, read
from dispensed.ledger.engine import Tx
from dispensed.ledger.read import LotRow
from dispensed.model.planning import expiry_tier
from dispensed.services.site import Site

ACTOR = "expiry-scan"


@dataclass(frozen=True, slots=True)
class ExpiryReport:
    """`flagged` are new flags of this scan (lot, place, tier in days).

    `expired` lots still lie here.
    """

    flagged: tuple[tuple[str, str, str, int], ...]
    expired: tuple[LotRow, ...]


async def expiry_scan(site: Site) -> ExpiryReport:
    """Flag what reached a tier since the last scan; running it again flags nothing twice."""
    today = site.today()
    stamp = site.stamp(ACTOR)

    def write(tx: Tx) -> ExpiryReport:
        flagged: list[tuple[str, str, str, int]] = []
        for row in read.stock(tx, on_date=today):
            tier = None if row.expiry is None else expiry_tier(row.expiry, today)
            if tier is not None and expiry.flag_once(
                tx, row.item_id, row.lot, row.location_id, int(tier), stamp
            ):
                flagged.append((row.item_id, row.lot, row.location_id, int(tier)))
        rows = read.lots(tx, on_date=today, expiring_before=today)
        return ExpiryReport(tuple(flagged), tuple(row for row in rows if row.expired))

    report = await site.store.write(write)
    if report.flagged:
        site.changes.notify("stock")
    return report
