"""A small pharmacy to post in: two items, three lots, some places, and short ways to say a move."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from dispensed.ledger import catalog, dispenses, post, read
from dispensed.ledger.dispenses import NewDispense
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import FactPosted, Move, Posted, Stamp
from dispensed.model.catalog import (
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
    Schedule,
)
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit

ITEM = "00071015523"
CONTROLLED = "00406055201"
LOT = "A12"
LATE_LOT = "B34"
TODAY = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
STAMP = Stamp("tess", NOW, "test")
SHELF, SHELF2, ROBOT, FILL = "shelf/A-01", "shelf/A-02", "robot1", "fill"
RECEIVING, REJECTS, OUTDATE = "receiving", "rejects", "outdate"
OPENING, DISPENSED, FOUND, WASTE = "ext:opening", "ext:dispensed", "ext:found", "ext:waste"
K = MovementKind

PLACES = (
    Location(SHELF, LocationKind.BIN),
    Location(SHELF2, LocationKind.BIN),
    Location(ROBOT, LocationKind.DEVICE, device="robot1"),
    Location(FILL, LocationKind.FILL),
    Location(RECEIVING, LocationKind.RECEIVING),
    Location(REJECTS, LocationKind.REJECTS),
    Location(OUTDATE, LocationKind.OUTDATE),
)


def furnish(tx: Tx) -> None:
    """Put items, lots and places into an empty ledger."""
    for place in PLACES:
        catalog.put_location(tx, place, STAMP)
    item = Item(
        ITEM, "Atorvastatin", "20 mg", "tablet", "Viatris", Unit.EA, 30_000, ndc="0071-0155-23"
    )
    catalog.put_item(tx, item, STAMP)
    controlled = Item(
        CONTROLLED,
        "Oxycodone",
        "5 mg",
        "tablet",
        "SpecGx",
        Unit.EA,
        100_000,
        ndc="0406-0552-01",
        schedule=Schedule.CII,
    )
    catalog.put_item(tx, controlled, STAMP)
    put_lot(tx, LOT, date(2027, 3, 31))
    put_lot(tx, LATE_LOT, date(2028, 3, 31))
    put_lot(tx, LOT, date(2027, 6, 30), item_id=CONTROLLED)


def put_lot(
    tx: Tx,
    lot: str,
    expiry: date | None,
    *,
    state: LotState = LotState.RELEASED,
    item_id: str = ITEM,
) -> None:
    """Add a lot."""
    source = ExpirySource.UNKNOWN if expiry is None else ExpirySource.SCANNED
    catalog.put_lot(tx, Lot(item_id, lot, expiry, source, state), STAMP)


def move(  # noqa: PLR0913 - a movement is these facts
    kind: MovementKind,
    source: str,
    target: str,
    units: int,
    request_id: str,
    *,
    lot: str = LOT,
    dispense_id: int | None = None,
) -> Move:
    """Say a movement of whole units."""
    return Move(
        kind=kind,
        item_id=ITEM,
        lot=lot,
        source=source,
        target=target,
        milli=units * 1000,
        request_id=request_id,
        occurred_at=NOW - timedelta(minutes=5),
        dispense_id=dispense_id,
    )


def stocked(tx: Tx, units: int = 100, place: str = SHELF, lot: str = LOT) -> int:
    """Furnish, and open with so many units at a place; returns the movement."""
    furnish(tx)
    opening = move(K.OPENING, OPENING, place, units, f"open:{place}:{lot}", lot=lot)
    return post.post(tx, opening, STAMP, on_date=TODAY).movement_id


def blocking(lot: str, state: LotState) -> Callable[[Tx], Lot]:
    """Return a write that sets the state of a lot."""
    return lambda tx: catalog.set_lot_state(tx, ITEM, lot, state, STAMP)


def posting(wanted: Move) -> Callable[[Tx], Posted]:
    """Return a write that posts a movement."""
    return lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY)


def telling(fact: Move) -> Callable[[Tx], FactPosted]:
    """Return a write that books a fact."""
    return lambda tx: post.post_fact(tx, fact, STAMP)


def booked(place: str) -> Callable[[Tx], dict[tuple[str, str], int]]:
    """Return a read of what the book holds at a place."""
    return lambda tx: read.book_of(tx, place)


def order(tx: Tx, name: str = "rx1", units: int = 30) -> int:
    """Record an order; returns the dispense."""
    new = NewDispense(name, f"ask:{name}", ITEM, units * 1000, "p-1", 5, "auto")
    return dispenses.create(tx, new, STAMP).id


def posted(store: Store, wanted: Move) -> int:
    """Post in a write of its own; returns the movement."""
    return store.write_sync(posting(wanted)).movement_id
