"""Items, lots and places: what may change, what contradicts, and recalls of lots to come."""

from dataclasses import replace
from datetime import date
from functools import partial

import pytest
from sqlalchemy import select

from dispensed.ledger import catalog, recalls
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.rules import UnknownItem, UnknownLocation, UnknownLot
from dispensed.model.catalog import (
    EXTERNAL,
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
)
from dispensed.model.quantity import Unit
from tests.ledger.book import CONTROLLED, ITEM, LOT, ROBOT, SHELF, STAMP, furnish

NEW = Item("00093721410", "Lisinopril", "10 mg", "tablet", "Teva", Unit.EA, 100_000)


@pytest.fixture
def shop(store: Store) -> Store:
    """A furnished store."""
    store.write_sync(furnish)
    return store


def _events(store: Store) -> list[str]:
    query = select(t.audit_event.c.verb).order_by(t.audit_event.c.id)
    return list(store.read_sync(lambda tx: tx.scalars(query).all()))


def test_an_item_is_put_once_and_changed_by_putting_it_again(shop: Store) -> None:
    before = len(_events(shop))
    for item in (NEW, NEW, replace(NEW, labeler="Lupin")):
        shop.write_sync(partial(catalog.put_item, item=item, stamp=STAMP))
    assert shop.read_sync(lambda tx: catalog.get_item(tx, NEW.item_id)).labeler == "Lupin"
    assert _events(shop)[before:] == ["item.added", "item.changed"]


def test_an_item_never_changes_its_unit(shop: Store) -> None:
    shop.write_sync(lambda tx: catalog.put_item(tx, NEW, STAMP))
    with pytest.raises(catalog.ItemConflict, match="is kept in EA, not in ML"):
        shop.write_sync(lambda tx: catalog.put_item(tx, replace(NEW, unit=Unit.ML), STAMP))


def test_a_code_belongs_to_one_item(shop: Store) -> None:
    thief = replace(NEW, item_id="30093721410001", ndc="0071-0155-23")
    with pytest.raises(catalog.ItemConflict, match=f"is that of item {ITEM}"):
        shop.write_sync(lambda tx: catalog.put_item(tx, thief, STAMP))


def test_an_item_is_found_by_its_gtin_its_id_and_any_part_of_its_name(shop: Store) -> None:
    item = replace(NEW, gtin="00300937214106")
    shop.write_sync(lambda tx: catalog.put_item(tx, item, STAMP))
    assert shop.read_sync(lambda tx: catalog.find_by_gtin(tx, "00300937214106")) == item
    assert shop.read_sync(lambda tx: catalog.find_items(tx, query="LISIN")) == (item,)
    assert shop.read_sync(lambda tx: catalog.find_items(tx, query="%")) == ()
    ids = shop.read_sync(lambda tx: [each.item_id for each in catalog.find_items(tx)])
    assert ids == [ITEM, NEW.item_id, CONTROLLED]
    after = shop.read_sync(lambda tx: catalog.find_items(tx, after=ITEM, limit=1))
    assert after == (item,)
    with pytest.raises(UnknownItem, match="no item has GTIN 00000000000000"):
        shop.read_sync(lambda tx: catalog.find_by_gtin(tx, "0" * 14))


def test_what_is_not_there_is_told(shop: Store) -> None:
    with pytest.raises(UnknownItem, match="item 9 is not in the catalogue"):
        shop.read_sync(lambda tx: catalog.get_item(tx, "9"))
    with pytest.raises(UnknownItem):
        shop.read_sync(lambda tx: catalog.get_lot(tx, "9", LOT))
    with pytest.raises(UnknownLot, match=f"item {ITEM} has no lot Z"):
        shop.read_sync(lambda tx: catalog.get_lot(tx, ITEM, "Z"))
    with pytest.raises(UnknownLocation, match="no location nowhere"):
        shop.read_sync(lambda tx: catalog.get_location(tx, "nowhere"))


# ---------------------------------------------------------------- lots


def _lot(expiry: date | None, lot: str = LOT) -> Lot:
    source = ExpirySource.UNKNOWN if expiry is None else ExpirySource.TYPED
    return Lot(ITEM, lot, expiry, source, LotState.QUARANTINE)


def _put(store: Store, lot: Lot) -> Lot:
    return store.write_sync(lambda tx: catalog.put_lot(tx, lot, STAMP))


def test_a_known_lot_keeps_its_state_and_its_expiry(shop: Store) -> None:
    known = _put(shop, _lot(date(2027, 3, 31)))
    assert (known.state, known.expiry_source) == (LotState.RELEASED, ExpirySource.SCANNED)
    assert _put(shop, _lot(None)) == known


def test_a_lot_known_with_another_expiry_is_a_conflict(shop: Store) -> None:
    with pytest.raises(
        catalog.ExpiryConflict,
        match=r"lot A12 .* known with expiry 2027-03-31 \(scanned\), not 2027-04-30 \(typed\)",
    ):
        _put(shop, _lot(date(2027, 4, 30)))


def test_an_unknown_expiry_becomes_known_once(shop: Store) -> None:
    assert _put(shop, _lot(None, "U1")).expiry is None
    assert _put(shop, _lot(date(2028, 1, 31), "U1")).expiry == date(2028, 1, 31)
    with pytest.raises(catalog.ExpiryConflict):
        _put(shop, _lot(date(2028, 2, 29), "U1"))


def test_the_state_of_a_lot_is_set_with_its_reason_and_only_when_it_changes(shop: Store) -> None:
    before = len(_events(shop))
    for _ in range(2):
        shop.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, LOT, LotState.HOLD, STAMP))
    assert _events(shop)[before:] == ["lot.state_set"]


@pytest.mark.parametrize("lot", ["N7", None])
def test_14_a_lot_that_arrives_under_an_open_recall_is_recalled(
    shop: Store, lot: str | None
) -> None:
    def recall(tx: Tx) -> int:
        return recalls.open_case(
            tx, item_id=ITEM, lot=lot, recall_class="I", reference="R-1", stamp=STAMP
        ).id

    case = shop.write_sync(recall)
    assert _put(shop, _lot(date(2028, 1, 31), "N7")).state is LotState.RECALLED
    with pytest.raises(catalog.LotRecalled, match=r"lot N7 .* open recall, not to be released"):
        shop.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, "N7", LotState.RELEASED, STAMP))
    shop.write_sync(lambda tx: recalls.close_case(tx, case, STAMP))
    freed = shop.write_sync(
        lambda tx: catalog.set_lot_state(tx, ITEM, "N7", LotState.RELEASED, STAMP)
    )
    assert freed.state is LotState.RELEASED


# ---------------------------------------------------------------- places


def test_a_place_is_put_once_and_may_move_to_another_parent(shop: Store) -> None:
    area = Location("area", LocationKind.AREA)
    shelf = Location(SHELF, LocationKind.BIN, parent="area")
    before = len(_events(shop))
    for place in (area, shelf, shelf):
        shop.write_sync(partial(catalog.put_location, location=place, stamp=STAMP))
    assert _events(shop)[before:] == ["location.added", "location.moved"]
    assert shop.read_sync(lambda tx: catalog.get_location(tx, SHELF)) == shelf
    with pytest.raises(UnknownLocation, match="no location attic"):
        shop.write_sync(lambda tx: catalog.put_location(tx, replace(shelf, parent="attic"), STAMP))


def test_a_place_never_becomes_another_kind_or_device(shop: Store) -> None:
    for other in (
        Location(ROBOT, LocationKind.BIN),
        Location(ROBOT, LocationKind.DEVICE, device="robot2"),
    ):
        with pytest.raises(catalog.LocationConflict, match=r"is a device \(device robot1\), not"):
            shop.write_sync(partial(catalog.put_location, location=other, stamp=STAMP))


def test_every_place_and_account_is_listed(shop: Store) -> None:
    places = shop.read_sync(catalog.locations)
    assert len(places) == 7 + len(EXTERNAL)
    assert {place.location_id for place in places} >= set(EXTERNAL)
