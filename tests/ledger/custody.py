"""A small vault to test custody in: the pharmacy of `book` with schedule II stock."""

from datetime import date, timedelta

from sqlalchemy import Executable

from dispensed.ledger import catalog, post, removals, wastes
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move
from dispensed.ledger.removals import NewRemoval, Part, RemovalRow
from dispensed.ledger.stamp import Stamp
from dispensed.ledger.wastes import NewWaste, WasteRow
from dispensed.model.catalog import Item, Location, LocationKind, Schedule
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from tests.ledger.book import CONTROLLED, LOT, NOW, SHELF, STAMP, TODAY, furnish, put_lot

CODEINE = "13107005999"
VAULT, WARD, CABINET, IN_HAND = "vault", "ward", "cab1", "in-hand"


def at(seconds: int, actor: str = "tess", reason: str = "") -> Stamp:
    """Return who and when, so many seconds after the start of the tests."""
    return Stamp(actor, NOW + timedelta(seconds=seconds), reason)


def moved(  # noqa: PLR0913 - a movement is these facts
    tx: Tx,
    kind: MovementKind,
    source: str,
    target: str,
    units: int,
    name: str,
    *,
    item_id: str = CONTROLLED,
    stamp: Stamp = STAMP,
) -> int:
    """Post a movement of whole units of the controlled lot."""
    move = Move(
        kind=kind,
        item_id=item_id,
        lot=LOT,
        source=source,
        target=target,
        milli=units * 1000,
        request_id=name,
        occurred_at=stamp.at,
    )
    return post.post(tx, move, stamp, on_date=TODAY).movement_id


def vaulted(tx: Tx) -> None:
    """Furnish; 100 oxycodone on the shelf, 50 in the vault, 40 codeine (CIII) on the shelf."""
    furnish(tx)
    for place in (
        Location(VAULT, LocationKind.BIN),
        Location(WARD, LocationKind.BIN),
        Location(CABINET, LocationKind.DEVICE, device="cab1"),
        Location(IN_HAND, LocationKind.IN_HAND),
    ):
        catalog.put_location(tx, place, STAMP)
    codeine = Item(
        CODEINE,
        "Codeine",
        "30 mg",
        "tablet",
        "Aurobindo",
        Unit.EA,
        100_000,
        schedule=Schedule.CIII,
    )
    catalog.put_item(tx, codeine, STAMP)
    put_lot(tx, LOT, date(2027, 6, 30), item_id=CODEINE)
    moved(tx, MovementKind.OPENING, "ext:opening", SHELF, 100, "open-shelf")
    moved(tx, MovementKind.OPENING, "ext:opening", VAULT, 50, "open-vault")
    moved(tx, MovementKind.OPENING, "ext:opening", SHELF, 40, "open-codeine", item_id=CODEINE)


def taken(  # noqa: PLR0913 - a removal is these facts
    tx: Tx,
    units: int,
    name: str,
    *,
    order: str | None = "rx1",
    reason: str = "",
    stamp: Stamp = STAMP,
    item_id: str = CONTROLLED,
) -> RemovalRow:
    """Take whole units from the shelf."""
    new = NewRemoval(name, item_id, LOT, SHELF, units * 1000, "p-1", order, reason)
    return removals.take(tx, new, stamp, on_date=TODAY)


def gave(tx: Tx, removal_id: int, units: int, name: str, stamp: Stamp = STAMP) -> RemovalRow:
    """Give whole units of a removal."""
    return removals.give(tx, Part(removal_id, units * 1000, name), stamp, on_date=TODAY)


def back(
    tx: Tx, removal_id: int, units: int, name: str, place: str = SHELF, stamp: Stamp = STAMP
) -> RemovalRow:
    """Return whole units of a removal."""
    part = Part(removal_id, units * 1000, name)
    return removals.bring_back(tx, part, place, stamp, on_date=TODAY)


def stated(
    tx: Tx, units: int, name: str, removal_id: int | None = None, stamp: Stamp = STAMP
) -> WasteRow:
    """State a waste of whole units of a removal, or on the shelf."""
    place = SHELF if removal_id is None else IN_HAND
    new = NewWaste(name, CONTROLLED, LOT, place, units * 1000, "dropped", removal_id)
    return wastes.state(tx, new, stamp, on_date=TODAY)


def confirmed(tx: Tx, waste_id: int, stamp: Stamp) -> WasteRow:
    """Let somebody confirm a waste."""
    return wastes.confirm(tx, waste_id, stamp, limit_s=120, on_date=TODAY)


def run(store: Store, statement: Executable) -> None:
    """Execute one statement of SQL."""
    store.write_sync(lambda tx: tx.execute(statement))
