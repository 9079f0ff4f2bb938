"""Short ways to run a repack from a bulk lot to released units."""

import pytest
from sqlalchemy import update

from dispensed.ledger import catalog
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store
from dispensed.ledger.repacks import RunRow
from dispensed.model.catalog import LotState
from dispensed.services import repacking
from dispensed.services.repacking import Packed, Plan, Step
from dispensed.services.site import Site
from tests.ledger.book import DISPENSED, FILL, ITEM, LOT, SHELF, SHELF2, K, move, order, posted

TECH, PHARMACIST = "tess", "pam"
ON_SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
"""For a test of rules whose every query another test runs on both databases."""


def plan_of(name: str = "plan", **changes: object) -> Plan:
    """Say a run of 3 units of 30 from the bulk at the shelf."""
    values: dict[str, object] = {
        "request_id": name,
        "item_id": ITEM,
        "lot": LOT,
        "location": SHELF,
        "target": SHELF2,
        "units": 3,
        "unit_quantity": "30",
        "container": "amber vial, USP <671> class B",
        **changes,
    }
    return Plan(**values)  # type: ignore[arg-type] # as named above


async def started(site: Site, name: str = "plan", **changes: object) -> RunRow:
    """Plan and start a run."""
    row = await repacking.plan(site, plan_of(name, **changes), TECH)
    return await repacking.start(site, row.id, Step(f"{name}:start"), TECH)


async def packed(site: Site, made: Packed, name: str = "plan", **changes: object) -> RunRow:
    """Plan, start and pack a run."""
    row = await started(site, name, **changes)
    return await repacking.pack(site, row.id, made, TECH)


async def released(site: Site, made: Packed, name: str = "plan", **changes: object) -> RunRow:
    """Bring a run to its end: checked and released by a pharmacist."""
    row = await packed(site, made, name, **changes)
    await repacking.check(site, row.id, Step(f"{name}:check"), PHARMACIST)
    return await repacking.release(site, row.id, Step(f"{name}:release"), PHARMACIST)


def state_of(site: Site, item_id: str, lot: str) -> LotState:
    """Return the state of a lot."""
    return site.store.read_sync(lambda tx: catalog.get_lot(tx, item_id, lot)).state


def handed_out(store: Store, name: str, units: int, place: str = SHELF, lot: str = LOT) -> int:
    """Bring a fill of one lot to its end; returns the dispense."""
    number = store.write_sync(lambda tx: order(tx, name, units))
    for kind, source, target in ((K.PICK, place, FILL), (K.DISPENSE, FILL, DISPENSED)):
        request_id = f"{name}:{kind}"
        posted(store, move(kind, source, target, units, request_id, lot=lot, dispense_id=number))
    done = {"state": "settled", "counted_milli": units * 1000, "verified_by": "pam"}
    store.write_sync(
        lambda tx: tx.execute(update(t.dispense).where(t.dispense.c.id == number).values(done))
    )
    return number
