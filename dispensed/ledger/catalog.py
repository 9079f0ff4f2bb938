"""Items, lots and locations; open recalls apply to lots that come later."""

from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update

from dispensed.errors import Conflict
from dispensed.ledger import excursions, recall_blocks, recall_cases
from dispensed.ledger import tables as t
from dispensed.ledger.rules import UnknownItem, UnknownLocation, UnknownLot
from dispensed.ledger.stamp import Stamp, audit
from dispensed.model.catalog import (
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
    Schedule,
    Storage,
)
from dispensed.model.quantity import Unit


class ItemConflict(Conflict):
    """The item is known with another unit, or its code belongs to another item."""

    code: ClassVar[str] = "item_conflict"


class ExpiryConflict(Conflict):
    """The lot is known with another expiry."""

    code: ClassVar[str] = "expiry_conflict"


class LotRecalled(Conflict):
    """The lot is under an open recall."""

    code: ClassVar[str] = "lot_recalled"


class LocationConflict(Conflict):
    """The location is known as another kind or belongs to another device."""

    code: ClassVar[str] = "location_conflict"


# ---------------------------------------------------------------- items


def put_item(tx: Connection, item: Item, stamp: Stamp) -> None:
    """Add an item, or change what may change of a known one; raises ItemConflict for another unit.

    Also raised when the NDC or GTIN belongs to another item. Putting the same item again does
    nothing. Recalls that name its code hold its lots from then on.
    """
    _check_codes_free(tx, item)
    values = {
        "item_id": item.item_id,
        "name": item.name,
        "strength": item.strength,
        "form": item.form,
        "labeler": item.labeler,
        "unit": item.unit.value,
        "pack_milli": item.pack_milli,
        "gtin": item.gtin,
        "ndc": item.ndc,
        "schedule": item.schedule.value,
        "storage": item.storage.value,
        "piece_weight_ug": item.piece_weight_ug,
        "piece_weight_sd_ug": item.piece_weight_sd_ug,
        "hazardous": item.hazardous,
        "high_alert": item.high_alert,
        "recorded_at": stamp.at,
    }
    known = find_item(tx, item.item_id)
    if known == item:
        return
    if known is None:
        tx.execute(insert(t.item), values)
        audit(tx, stamp, "item.added", f"item {item.item_id}", {"name": item.name})
        recall_cases.match_item(tx, item, stamp)
        return
    if known.unit is not item.unit:
        raise ItemConflict(f"item {item.item_id} is kept in {known.unit}, not in {item.unit}")
    tx.execute(update(t.item).where(t.item.c.item_id == item.item_id).values(values))
    audit(tx, stamp, "item.changed", f"item {item.item_id}", {"was": repr(known)})
    recall_cases.match_item(tx, item, stamp)


# Built once: these are asked with every movement.
_ITEM = select(t.item).where(t.item.c.item_id == bindparam("wanted"))
_LOT = select(t.lot).where(
    t.lot.c.item_id == bindparam("wanted_item"), t.lot.c.lot == bindparam("wanted_lot")
)


def find_item(tx: Connection, item_id: str) -> Item | None:
    """Return an item, None when it is not in the catalogue."""
    row = tx.execute(_ITEM, {"wanted": item_id}).one_or_none()
    return None if row is None else _item(row)


def get_item(tx: Connection, item_id: str) -> Item:
    """Return an item; raises UnknownItem."""
    item = find_item(tx, item_id)
    if item is None:
        raise UnknownItem(f"item {item_id} is not in the catalogue")
    return item


def find_by_gtin(tx: Connection, gtin: str) -> Item:
    """Return the item whose package bears a GTIN-14; raises UnknownItem."""
    row = tx.execute(select(t.item).where(t.item.c.gtin == gtin)).one_or_none()
    if row is None:
        raise UnknownItem(f"no item has GTIN {gtin}")
    return _item(row)


def find_items(
    tx: Connection, *, query: str = "", after: str = "", limit: int = 100
) -> tuple[Item, ...]:
    """Return items by ascending id whose id, NDC, GTIN or name contains `query` in any case."""
    columns = (t.item.c.item_id, t.item.c.ndc, t.item.c.gtin, t.item.c.name)
    wanted = select(t.item).where(t.item.c.item_id > after).order_by(t.item.c.item_id).limit(limit)
    if query:
        wanted = wanted.where(or_(*(c.icontains(query, autoescape=True) for c in columns)))
    return tuple(_item(row) for row in tx.execute(wanted))


def _check_codes_free(tx: Connection, item: Item) -> None:
    codes = [c == v for c, v in ((t.item.c.gtin, item.gtin), (t.item.c.ndc, item.ndc)) if v]
    if not codes:
        return
    query = select(t.item.c.item_id).where(t.item.c.item_id != item.item_id, or_(*codes))
    other = tx.execute(query.order_by(t.item.c.item_id)).scalars().first()
    if other is not None:
        raise ItemConflict(
            f"item {item.item_id}: NDC {item.ndc} or GTIN {item.gtin} is that of item {other}"
        )


def _item(row: Row[Any]) -> Item:
    return Item(
        item_id=row.item_id,
        name=row.name,
        strength=row.strength,
        form=row.form,
        labeler=row.labeler,
        unit=Unit(row.unit),
        pack_milli=row.pack_milli,
        gtin=row.gtin,
        ndc=row.ndc,
        schedule=Schedule(row.schedule),
        storage=Storage(row.storage),
        piece_weight_ug=row.piece_weight_ug,
        piece_weight_sd_ug=row.piece_weight_sd_ug,
        hazardous=row.hazardous,
        high_alert=row.high_alert,
    )


# ---------------------------------------------------------------- lots


def put_lot(tx: Connection, lot: Lot, stamp: Stamp) -> Lot:
    """Add a lot; returns it as it is known from now on.

    A new lot under an open recall becomes recalled whatever state was asked. A known lot keeps its
    state; its unknown expiry is replaced by a known one. Raises UnknownItem, and ExpiryConflict
    when it is known with another expiry.
    """
    get_item(tx, lot.item_id)
    known = find_lot(tx, lot.item_id, lot.lot)
    if known is None:
        state = LotState.RECALLED if has_open_recall(tx, lot.item_id, lot.lot) else lot.state
        values = {
            "item_id": lot.item_id,
            "lot": lot.lot,
            "expiry": lot.expiry,
            "expiry_source": lot.expiry_source.value,
            "state": state.value,
            "recorded_at": stamp.at,
        }
        tx.execute(insert(t.lot), values)
        details = {"expiry": str(lot.expiry), "source": lot.expiry_source.value, "state": state}
        audit(tx, stamp, "lot.added", _subject(lot.item_id, lot.lot), details)
    elif known.expiry is None and lot.expiry is not None:
        change = {"expiry": lot.expiry, "expiry_source": lot.expiry_source.value}
        tx.execute(update(t.lot).where(*_lot_is(lot.item_id, lot.lot)).values(change))
        details = {"expiry": str(lot.expiry), "source": lot.expiry_source.value}
        audit(tx, stamp, "lot.dated", _subject(lot.item_id, lot.lot), details)
    elif lot.expiry is not None and lot.expiry != known.expiry:
        raise ExpiryConflict(
            f"lot {lot.lot} of item {lot.item_id} is known with expiry {known.expiry}"
            f" ({known.expiry_source}), not {lot.expiry} ({lot.expiry_source})"
        )
    return get_lot(tx, lot.item_id, lot.lot)


def set_lot_state(tx: Connection, item_id: str, lot: str, state: LotState, stamp: Stamp) -> Lot:
    """Set what a person or a recall decided about a lot; returns it.

    Raises UnknownLot, LotRecalled when an open recall forbids any other state than recalled, and
    LotInExcursion when it would be released before it is released from a temperature excursion.
    """
    known = get_lot(tx, item_id, lot)
    if state is LotState.RELEASED:
        excursions.check_free(tx, item_id, lot)
    if state is not LotState.RECALLED and has_open_recall(tx, item_id, lot):
        raise LotRecalled(f"lot {lot} of item {item_id} is under an open recall, not to be {state}")
    if known.state is not state:
        tx.execute(update(t.lot).where(*_lot_is(item_id, lot)).values(state=state.value))
        details = {"from": known.state.value, "to": state.value}
        audit(tx, stamp, "lot.state_set", _subject(item_id, lot), details)
    return get_lot(tx, item_id, lot)


def find_lot(tx: Connection, item_id: str, lot: str) -> Lot | None:
    """Return a lot, None when it is not known."""
    row = tx.execute(_LOT, {"wanted_item": item_id, "wanted_lot": lot}).one_or_none()
    if row is None:
        return None
    return Lot(
        item_id=row.item_id,
        lot=row.lot,
        expiry=row.expiry,
        expiry_source=ExpirySource(row.expiry_source),
        state=LotState(row.state),
    )


def get_lot(tx: Connection, item_id: str, lot: str) -> Lot:
    """Return a lot; raises UnknownItem or UnknownLot."""
    found = find_lot(tx, item_id, lot)
    if found is None:
        get_item(tx, item_id)
        raise UnknownLot(f"item {item_id} has no lot {lot}")
    return found


def has_open_recall(tx: Connection, item_id: str, lot: str) -> bool:
    """Say whether an open recall stops the lot: named, of a named item, or made from such a lot."""
    return bool(recall_blocks.open_blocks(tx, item_id, lot))


def _lot_is(item_id: str, lot: str) -> Sequence[Any]:
    return (t.lot.c.item_id == item_id, t.lot.c.lot == lot)


def _subject(item_id: str, lot: str) -> str:
    return f"lot {item_id}/{lot}"


# ---------------------------------------------------------------- locations


def put_location(tx: Connection, location: Location, stamp: Stamp) -> None:
    """Add a location; the same one again does nothing, another parent is taken over.

    Raises UnknownLocation for its parent, LocationConflict for another kind or device.
    """
    if location.parent is not None:
        get_location(tx, location.parent)
    values = {
        "location_id": location.location_id,
        "kind": location.kind.value,
        "parent": location.parent,
        "device": location.device,
        "recorded_at": stamp.at,
    }
    subject = f"location {location.location_id}"
    known = find_location(tx, location.location_id)
    if known is None:
        tx.execute(insert(t.location), values)
        audit(tx, stamp, "location.added", subject, {"kind": location.kind.value})
        return
    if (known.kind, known.device) != (location.kind, location.device):
        raise LocationConflict(
            f"{subject} is a {known.kind} (device {known.device}), not a {location.kind}"
            f" (device {location.device})"
        )
    if known.parent != location.parent:
        tx.execute(
            update(t.location)
            .where(t.location.c.location_id == location.location_id)
            .values(parent=location.parent)
        )
        details = {"from": known.parent, "to": location.parent}
        audit(tx, stamp, "location.moved", subject, details)


def find_location(tx: Connection, location_id: str) -> Location | None:
    """Return a location, None when there is none of that id."""
    query = select(t.location).where(t.location.c.location_id == location_id)
    row = tx.execute(query).one_or_none()
    return None if row is None else _location(row)


def get_location(tx: Connection, location_id: str) -> Location:
    """Return a location; raises UnknownLocation."""
    found = find_location(tx, location_id)
    if found is None:
        raise UnknownLocation(f"there is no location {location_id}")
    return found


def locations(tx: Connection) -> tuple[Location, ...]:
    """Return every location and account by ascending id."""
    return tuple(
        _location(row) for row in tx.execute(select(t.location).order_by(t.location.c.location_id))
    )


def _location(row: Row[Any]) -> Location:
    return Location(
        location_id=row.location_id,
        kind=LocationKind(row.kind),
        parent=row.parent,
        device=row.device,
    )
