"""Where lots come from: both directions, any number of steps, never a circle."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispensed.errors import Invalid, InvariantBroken
from dispensed.ledger import lot_origins
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.lot_origins import LotKey, Origin, OriginKind, OwnAncestor
from tests.ledger.book import ITEM, STAMP, furnish, put_lot

LOTS = tuple(f"L{number}" for number in range(8))


def _furnish(tx: Tx) -> None:
    furnish(tx)
    for lot in LOTS:
        put_lot(tx, lot, date(2027, 3, 31))


def _say(tx: Tx, child: str, parent: str, ref: str = "repack:1") -> None:
    origin = Origin(LotKey(ITEM, child), LotKey(ITEM, parent), OriginKind.REPACK, ref)
    lot_origins.record(tx, origin, STAMP)


def _lots(keys: tuple[LotKey, ...]) -> list[str]:
    return [key.lot for key in keys]


def test_a_lot_is_followed_to_every_child_and_back_to_every_parent(store: Store) -> None:
    def write(tx: Tx) -> None:
        _furnish(tx)
        for child, parent in (("L1", "L0"), ("L2", "L1"), ("L3", "L1"), ("L4", "L3"), ("L4", "L5")):
            _say(tx, child, parent)
        _say(tx, "L1", "L0")

    store.write_sync(write)
    assert store.read_sync(lambda tx: _lots(lot_origins.children(tx, ITEM, "L0"))) == [
        "L1",
        "L2",
        "L3",
        "L4",
    ]
    assert store.read_sync(lambda tx: _lots(lot_origins.ancestors(tx, ITEM, "L4"))) == [
        "L3",
        "L5",
        "L1",
        "L0",
    ]
    assert store.read_sync(lambda tx: lot_origins.children(tx, ITEM, "L7")) == ()
    made = store.read_sync(lambda tx: lot_origins.made_from(tx, ITEM, "L0"))
    assert made == (Origin(LotKey(ITEM, "L1"), LotKey(ITEM, "L0"), OriginKind.REPACK, "repack:1"),)
    trail = select(t.audit_event.c.subject).where(t.audit_event.c.verb == "lot.derived")
    assert len(store.read_sync(lambda tx: tx.execute(trail).all())) == 5


def test_a_circle_is_refused_and_one_in_the_data_still_comes_to_an_end(store: Store) -> None:
    def write(tx: Tx) -> None:
        _furnish(tx)
        _say(tx, "L1", "L0")
        _say(tx, "L2", "L1")

    store.write_sync(write)
    with pytest.raises(OwnAncestor, match=r"lot L0 .* cannot be made from lot L2"):
        store.write_sync(lambda tx: _say(tx, "L0", "L2"))
    with pytest.raises(OwnAncestor, match=r"lot L1 .* cannot be made from lot L1"):
        store.write_sync(lambda tx: _say(tx, "L1", "L1"))
    values = {"item_id": ITEM, "lot": "L0", "parent_item_id": ITEM, "parent_lot": "L2"}
    rest = {"kind": "repack", "ref": "forced", "recorded_at": STAMP.at}
    store.write_sync(lambda tx: tx.execute(insert(t.lot_origin), {**values, **rest}))
    for lot in ("L0", "L1", "L2"):
        assert sorted([*_lots(_children(store, lot)), lot]) == ["L0", "L1", "L2"]


def _children(store: Store, lot: str) -> tuple[LotKey, ...]:
    return store.read_sync(lambda tx: lot_origins.children(tx, ITEM, lot))


def test_a_walk_that_never_ends_is_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lot_origins, "LOTS_MAX", 2)

    def write(tx: Tx) -> None:
        _furnish(tx)
        for child in ("L1", "L2", "L3"):
            _say(tx, child, "L0")

    store.write_sync(write)
    with pytest.raises(InvariantBroken, match="more than 2 lots"):
        store.read_sync(lambda tx: lot_origins.children(tx, ITEM, "L0"))


def test_an_origin_needs_a_name_and_known_lots(store: Store) -> None:
    store.write_sync(_furnish)
    with pytest.raises(Invalid, match="names no run and no return"):
        store.write_sync(lambda tx: _say(tx, "L1", "L0", ref=""))
    with pytest.raises(IntegrityError):
        store.write_sync(lambda tx: _say(tx, "L1", "nowhere"))


@pytest.mark.parametrize("statement", [update(t.lot_origin).values(ref="x"), delete(t.lot_origin)])
def test_the_database_refuses_to_change_or_delete_an_origin(
    store: Store, statement: object
) -> None:
    def write(tx: Tx) -> None:
        _furnish(tx)
        _say(tx, "L1", "L0")

    store.write_sync(write)
    with pytest.raises(DBAPIError, match="lot_origin is append-only"):
        store.write_sync(lambda tx: tx.execute(statement))  # type: ignore[call-overload] # both


@settings(max_examples=15)
@given(st.data())
def test_any_forest_of_lots_is_walked_as_a_dict_of_parents_says(data: st.DataObject) -> None:
    parents = {
        number: data.draw(st.sets(st.integers(0, number - 1), max_size=3)) for number in range(1, 8)
    }
    edges = {
        LotKey(ITEM, f"L{child}"): tuple(LotKey(ITEM, f"L{p}") for p in sorted(above))
        for child, above in parents.items()
    }
    below: dict[int, set[int]] = {number: set() for number in range(8)}
    for child in range(1, 8):
        for number in range(child):
            if number in parents[child] or any(
                number in _above(parents, p) for p in parents[child]
            ):
                below[number].add(child)
    walk = lot_origins._walk
    for number in range(8):
        start = LotKey(ITEM, f"L{number}")
        up = walk(start, lambda at: edges.get(at, ()))
        assert set(up) == {LotKey(ITEM, f"L{n}") for n in _above(parents, number)}
        down = walk(start, lambda at: [c for c, above in edges.items() if at in above])
        assert set(down) == {LotKey(ITEM, f"L{n}") for n in below[number]}
        assert len(set(down)) == len(down)


def _above(parents: dict[int, set[int]], number: int) -> set[int]:
    direct = parents.get(number, set())
    return direct.union(*(_above(parents, parent) for parent in direct))
