"""What an open recall stops: lots as they are written, and all that is made from them."""

import pytest
from sqlalchemy import select

from dispensed.ledger import catalog, lot_origins, recall_blocks, recalls
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.lot_origins import LotKey, Origin, OriginKind
from dispensed.model.catalog import LotState
from tests.ledger.book import CONTROLLED, ITEM, LATE_LOT, LOT, NOW, STAMP, furnish, put_lot

BULK, BOX, CARD = LotKey(ITEM, LOT), LotKey(ITEM, "BOX1"), LotKey(ITEM, "CARD1")


def open_recall(tx: Tx, lot: str | None, item_id: str = ITEM) -> int:
    """Block a lot, or all lots of an item; returns the line."""
    return recalls.open_case(
        tx, item_id=item_id, lot=lot, recall_class="II", reference="R-1", stamp=STAMP
    ).id


def derive(tx: Tx, child: LotKey, parent: LotKey) -> None:
    """Say that a lot was repacked from another, and know it."""
    put_lot(tx, child.lot, None, item_id=child.item_id)
    lot_origins.record(tx, Origin(child, parent, OriginKind.REPACK, "repack:1"), STAMP)


def states(store: Store) -> dict[str, str]:
    rows = store.read_sync(lambda tx: tx.execute(select(t.lot).where(t.lot.c.item_id == ITEM)))
    return {row.lot: row.state for row in rows}


def test_14_a_recall_of_a_bulk_lot_recalls_what_was_made_from_it_at_any_depth(store: Store) -> None:
    def setting(tx: Tx) -> int:
        furnish(tx)
        derive(tx, BOX, BULK)
        derive(tx, CARD, BOX)
        return open_recall(tx, LOT)

    block = store.write_sync(setting)
    recalled = {LOT: "recalled", "BOX1": "recalled", "CARD1": "recalled"}
    assert states(store) == {**recalled, LATE_LOT: "released"}
    assert store.read_sync(lambda tx: recall_blocks.open_blocks(tx, *CARD)) == (block,)
    with pytest.raises(catalog.LotRecalled, match="CARD1"):
        store.write_sync(
            lambda tx: catalog.set_lot_state(tx, ITEM, "CARD1", LotState.RELEASED, STAMP)
        )


def test_14_a_lot_that_is_repacked_after_the_opening_is_recalled_at_once(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        derive(tx, CARD, middle := LotKey(ITEM, LATE_LOT))
        open_recall(tx, LOT)
        lot_origins.record(tx, Origin(middle, BULK, OriginKind.RETURN_TO_STOCK, "return:7"), STAMP)

    store.write_sync(setting)
    assert states(store) == {LOT: "recalled", LATE_LOT: "recalled", "CARD1": "recalled"}


def test_14_a_recall_of_all_lots_reaches_lots_made_under_another_item(store: Store) -> None:
    child = LotKey(CONTROLLED, "UD1")

    def setting(tx: Tx) -> None:
        furnish(tx)
        derive(tx, child, BULK)
        open_recall(tx, None)

    store.write_sync(setting)
    known = store.read_sync(lambda tx: catalog.get_lot(tx, *child))
    assert known.state is LotState.RECALLED
    assert states(store) == {LOT: "recalled", LATE_LOT: "recalled"}


def test_a_lot_is_named_however_its_number_is_written(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        put_lot(tx, "ab 12-3", None)
        open_recall(tx, "AB123")
        put_lot(tx, "AB-123", None)
        put_lot(tx, "AB1234", None)

    store.write_sync(setting)
    found = states(store)
    assert {lot: found[lot] for lot in ("ab 12-3", "AB-123", "AB1234")} == {
        "ab 12-3": "recalled",
        "AB-123": "recalled",
        "AB1234": "released",
    }


def test_19_each_lot_that_a_recall_stops_is_in_the_audit_trail_once(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        open_recall(tx, LOT)
        open_recall(tx, None)

    store.write_sync(setting)
    events = select(t.audit_event).where(t.audit_event.c.verb == "lot.state_set")
    rows = store.read_sync(lambda tx: tx.execute(events.order_by(t.audit_event.c.id)).all())
    assert [(row.subject, row.actor, row.at, row.reason) for row in rows] == [
        (f"lot {ITEM}/{LOT}", "tess", NOW, "test"),
        (f"lot {ITEM}/{LATE_LOT}", "tess", NOW, "test"),
    ]


def test_a_closed_recall_stops_nothing_more(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        recalls.close_case(tx, open_recall(tx, LOT), STAMP)
        derive(tx, BOX, BULK)

    store.write_sync(setting)
    assert states(store)["BOX1"] == "released"
    assert not store.read_sync(lambda tx: catalog.has_open_recall(tx, *BOX))
