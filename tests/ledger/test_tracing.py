"""Traces forward and backward through repacks and returns, and what a return becomes."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from dispensed.errors import Invalid
from dispensed.ledger import (
    audit,
    catalog,
    lot_origins,
    post,
    read,
    removals,
    stock_returns,
    tracing,
)
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.lot_origins import LotKey, Origin, OriginKind
from dispensed.ledger.post import RequestReused
from dispensed.ledger.rules import UnknownLot
from dispensed.ledger.stock_returns import UnknownReturn
from dispensed.ledger.tracing import Given, TraceTooLong
from dispensed.model.catalog import Location, LocationKind, LotState
from dispensed.services import returning
from dispensed.services import tracing as traces
from dispensed.services.repacking import Packed
from dispensed.services.returning import MoreThanDispensed, NotHandedOut, Return
from dispensed.services.site import Site
from tests.ledger.book import (
    CONTROLLED,
    DISPENSED,
    FILL,
    ITEM,
    LOT,
    NOW,
    OPENING,
    OUTDATE,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    blocking,
    furnish,
    move,
    order,
    put_lot,
    stocked,
)
from tests.ledger.desk import desk
from tests.ledger.packing import ON_SQLITE, handed_out, released, state_of


def _back(number: int, name: str = "back", **changes: object) -> Return:
    values = {"request_id": name, "dispense_id": number, "target": SHELF2, **changes}
    return Return(reason="not picked up in 14 days", **values)  # type: ignore[arg-type] # as named


# ---------------------------------------------------------------- traces


async def test_15_a_forward_trace_from_the_bulk_lot_finds_every_child_and_dispense(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    made = Packed("made", bulk="66", units=2, waste="4", samples="2")
    first = await released(site, made, child_item_id=CONTROLLED, child_lot="UD-1")
    again = Packed("more", bulk="10", units=1)
    await released(
        site,
        again,
        "two",
        item_id=CONTROLLED,
        lot="UD-1",
        location=SHELF2,
        unit_quantity="10",
        units=1,
        child_lot="UD-2",
    )
    number = handed_out(store, "rx1", 20)
    trace = await traces.forward(site, ITEM, LOT)
    assert [row.key for row in trace] == [
        LotKey(ITEM, LOT),
        LotKey(CONTROLLED, "UD-1"),
        LotKey(CONTROLLED, "UD-2"),
    ]
    bulk, child, grandchild = trace
    assert bulk.given == (Given(number, "rx1", "p-1", 20_000),)
    assert bulk.places == ((SHELF, 14_000),)
    assert dict(bulk.accounts) == {
        "ext:dispensed": 20_000,
        "ext:opening": -100_000,
        "ext:repack": 60_000,
        "ext:sample": 2_000,
        "ext:waste": 4_000,
    }
    assert [(each.kind, each.milli) for each in bulk.arrivals] == [("opening", 100_000)]
    assert child.places == ((SHELF2, 50_000),)
    assert child.origins[0].ref == f"repack:{first.id}"
    assert (grandchild.name, grandchild.unit, grandchild.expiry) == (
        "Oxycodone 5 mg",
        "EA",
        # 25 % of the 32 days to 24 December are 8
        date(2026, 11, 30),
    )
    up = await traces.backward(site, CONTROLLED, "UD-2")
    assert [row.key.lot for row in up] == ["UD-2", "UD-1", LOT]
    with pytest.raises(UnknownLot, match="no lot X"):
        await traces.forward(site, ITEM, "X")


async def test_a_dispense_is_followed_back_to_the_bulk_lot_and_its_receipts(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    row = await released(site, Packed("made", bulk="90", units=3))
    number = handed_out(store, "rx1", 30, SHELF2, row.child_lot)
    trace = await traces.dispense(site, number)
    assert trace.row.patient_key == "p-1"
    (part,) = trace.parts
    assert (part.key.lot, part.milli) == (row.child_lot, 30_000)
    assert [each.key.lot for each in part.lots] == [row.child_lot, LOT]
    assert [each.movement_id for each in part.lots[1].arrivals] == [1]
    assert part.lots[1].arrivals[0].receipt_id is None


async def test_what_was_given_from_a_cabinet_is_traced_by_its_removal(store: Store) -> None:
    def write(tx: Tx) -> None:
        stocked(tx)
        catalog.put_location(tx, Location("in-hand", LocationKind.IN_HAND), STAMP)
        new = removals.NewRemoval("take", ITEM, LOT, SHELF, 3_000, "p-9", "rx9")
        row = removals.take(tx, new, STAMP, on_date=TODAY)
        part = removals.Part(row.id, 2_000, "give")
        removals.give(tx, part, STAMP, on_date=TODAY)
        post.reverse(tx, 3, request_id="undo", occurred_at=NOW, stamp=STAMP)
        again = removals.Part(row.id, 1_000, "give2")
        removals.give(tx, again, STAMP, on_date=TODAY)

    site, _ = desk(store)
    store.write_sync(write)
    (trace,) = await traces.forward(site, ITEM, LOT)
    assert trace.given == (Given(None, "rx9", "p-9", 1_000, removal_id=1),)


@ON_SQLITE
async def test_a_trace_with_more_rows_than_an_answer_holds_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "ROWS_MAX", 0)
    site, _ = desk(store)
    store.write_sync(stocked)
    with pytest.raises(TraceTooLong, match="lot A12 of item 00071015523: more than 0 rows"):
        await traces.forward(site, ITEM, LOT)


@dataclass
class _Book:
    """A plain model: what lies where, what each dispense has, what was made from what."""

    shelves: dict[tuple[str, str], int]
    made_from: dict[str, str] = field(default_factory=dict)
    given: dict[tuple[str, int], int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def below(self, lot: str) -> set[str]:
        """Return the lots that came from a lot, by walking each one up."""
        found = set()
        for child in self.made_from:
            at = child
            while at in self.made_from:
                at = self.made_from[at]
                if at == lot:
                    found.add(child)
        return found


_STEP = st.tuples(
    st.sampled_from(["repack", "repack", "dispense", "return"]),
    st.integers(0, 9),
    st.integers(1, 9),
    st.integers(0, 3),
)


_EXAMPLE = count(1)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, min_size=3, max_size=7))
async def test_15_any_tree_of_runs_is_traced_as_a_plain_model_says(
    store: Store, steps: list[tuple[str, int, int, int]]
) -> None:
    bulk = f"T{next(_EXAMPLE)}"
    site, _ = desk(store)
    store.write_sync(lambda tx: _open_bulk(tx, bulk))
    model = _Book({(bulk, SHELF): 100})
    for index, step in enumerate(steps):
        await _take(site, model, step, f"{bulk}:{index}")
    _compare(store, model)
    assert store.read_sync(audit.verify).ok


def _open_bulk(tx: Tx, bulk: str) -> None:
    """Furnish once, and open with 100 of a lot of its own."""
    furnish(tx)
    put_lot(tx, bulk, date(2027, 3, 31))
    post.post(tx, move(K.OPENING, OPENING, SHELF, 100, bulk, lot=bulk), STAMP, on_date=TODAY)


async def _take(site: Site, model: _Book, step: tuple[str, int, int, int], name: str) -> None:
    what, choice, units, waste = step
    cells = sorted(cell for cell, held in model.shelves.items() if held >= units + waste)
    if what == "return" and model.given:
        await _take_back(site, model, choice, name)
    elif cells:
        lot, place = cells[choice % len(cells)]
        if what == "repack":
            made = Packed(name, bulk=str(units + waste), units=units, waste=str(waste))
            plan = {"lot": lot, "location": place, "units": units, "unit_quantity": "1"}
            row = await released(site, made, f"{name}p", **plan)
            model.made_from[row.child_lot] = lot
            model.shelves[lot, place] -= units + waste
            model.shelves[row.child_lot, SHELF2] = units
            model.gone[lot] = model.gone.get(lot, 0) + waste
        else:
            number = handed_out(site.store, name, units, place, lot)
            model.given[lot, number] = units
            model.shelves[lot, place] -= units


async def _take_back(site: Site, model: _Book, choice: int, name: str) -> None:
    cell = sorted(model.given)[choice % len(model.given)]
    lot, number = cell
    # Dated today, the vial is always shorter than its lot, unless that is of today too.
    row = await returning.return_to_stock(
        site, _back(number, name, lot=lot, quantity="1", use_by=TODAY), "tess"
    )
    if row.to_lot != lot:
        model.made_from[row.to_lot] = lot
    model.shelves[row.to_lot, SHELF2] = model.shelves.get((row.to_lot, SHELF2), 0) + 1
    model.given[cell] -= 1
    if not model.given[cell]:
        del model.given[cell]


def _compare(store: Store, model: _Book) -> None:
    for lot in {lot for lot, _ in model.shelves}:
        trace = store.read_sync(lambda tx, lot=lot: tracing.forward(tx, ITEM, lot))  # type: ignore[misc] # bound at once
        assert {row.key.lot for row in trace} == {lot} | model.below(lot)
        for row in trace:
            mine = row.key.lot
            assert {place: milli // 1000 for place, milli in row.places} == {
                place: held for (of, place), held in model.shelves.items() if of == mine and held
            }
            assert {each.dispense_id: each.milli // 1000 for each in row.given} == {
                number: held for (of, number), held in model.given.items() if of == mine
            }
            assert dict(row.accounts).get("ext:waste", 0) == model.gone.get(mine, 0) * 1000
            assert sum(dict(row.places).values()) + sum(dict(row.accounts).values()) == 0


# ---------------------------------------------------------------- what comes back


@ON_SQLITE
async def test_a_fill_that_came_back_keeps_its_lot_when_no_date_is_shorter(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    # a year from the fill is 22 November 2027, the lot expires on 31 March 2027
    row = await returning.return_to_stock(site, _back(number), "tess")
    assert (row.to_lot, row.use_by, row.milli, row.target) == (
        LOT,
        date(2027, 3, 31),
        30_000,
        SHELF2,
    )
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF2)) == {(ITEM, LOT): 30_000}
    assert store.read_sync(lambda tx: read.book_of(tx, DISPENSED)) == {}
    assert await returning.return_to_stock(site, _back(number), "tess") == row
    assert await returning.returns(site) == (row,)
    with pytest.raises(Invalid, match="has nothing outside"):
        await returning.return_to_stock(site, _back(number, "more"), "tess")
    for other in ({"lot": "B34"}, {"quantity": "29"}):
        with pytest.raises(RequestReused, match="used before for return 1"):
            await returning.return_to_stock(site, _back(number, **other), "tess")
    with pytest.raises(UnknownReturn, match="no return to stock 9"):
        store.read_sync(lambda tx: stock_returns.get(tx, 9))


async def test_a_vial_with_a_shorter_date_becomes_a_child_lot_of_that_date(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(lambda tx: stocked(tx, lot="B34"))  # use through 31 March 2028
    number = handed_out(store, "rx1", 30, lot="B34")
    row = await returning.return_to_stock(site, _back(number, quantity="12"), "tess")
    # the second movement after opening and fill: 4; a year after the fill of 22 November 2026
    assert (row.to_lot, row.use_by, row.rule) == (
        "RS261122-4",
        date(2027, 11, 22),
        "one-year-from-fill",
    )
    assert state_of(site, ITEM, row.to_lot) is LotState.RELEASED
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF2)) == {(ITEM, row.to_lot): 12_000}
    assert store.read_sync(lambda tx: lot_origins.origins_of(tx, ITEM, row.to_lot)) == (
        Origin(
            LotKey(ITEM, row.to_lot),
            LotKey(ITEM, "B34"),
            OriginKind.RETURN_TO_STOCK,
            f"return:{number}:1",
        ),
    )
    sealed = await returning.return_to_stock(
        site, _back(number, "sealed", quantity="8", sealed=True), "tess"
    )
    assert (sealed.to_lot, sealed.use_by) == ("B34", date(2028, 3, 31))
    typed = await returning.return_to_stock(
        site, _back(number, "typed", use_by=date(2027, 1, 31)), "tess"
    )
    assert (typed.use_by, typed.milli) == (date(2027, 1, 31), 10_000)
    assert store.read_sync(audit.verify).ok


@ON_SQLITE
async def test_never_more_comes_back_than_was_dispensed(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    await returning.return_to_stock(site, _back(number, quantity="20"), "tess")
    with pytest.raises(MoreThanDispensed, match="11 EA of lot A12 cannot come back, 10 EA are"):
        await returning.return_to_stock(site, _back(number, "more", quantity="11"), "tess")
    with pytest.raises(MoreThanDispensed, match="0 EA are outside"):
        await returning.return_to_stock(site, _back(number, "other", lot="B34"), "tess")
    with pytest.raises(MoreThanDispensed, match="0 EA of lot A12"):
        await returning.return_to_stock(site, _back(number, "none", quantity="0"), "tess")


@ON_SQLITE
@pytest.mark.parametrize("state", [LotState.RECALLED, LotState.HOLD])
async def test_a_blocked_lot_comes_back_to_the_outdate_shelf_under_its_own_number(
    store: Store, state: LotState
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    store.write_sync(blocking(LOT, state))
    row = await returning.return_to_stock(site, _back(number), "tess")
    assert (row.target, row.to_lot) == (OUTDATE, LOT)


@ON_SQLITE
async def test_a_lot_whose_origin_is_recalled_comes_back_to_the_outdate_shelf(
    store: Store,
) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    made = await released(site, Packed("made", bulk="90", units=3))
    number = handed_out(store, "rx1", 30, SHELF2, made.child_lot)
    store.write_sync(blocking(LOT, LotState.RECALLED))
    row = await returning.return_to_stock(site, _back(number), "tess")
    assert (row.target, row.to_lot) == (OUTDATE, made.child_lot)


@ON_SQLITE
async def test_an_expired_vial_comes_back_to_the_outdate_shelf(store: Store) -> None:
    site, clock = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    clock.at = NOW + timedelta(days=130)
    row = await returning.return_to_stock(site, _back(number), "tess")
    assert (row.target, row.use_by) == (OUTDATE, date(2027, 3, 31))


@ON_SQLITE
async def test_a_lot_that_was_expired_or_undated_when_filled_has_no_new_date(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    store.write_sync(lambda tx: tx.execute(update(t.lot).values(expiry=date(2026, 11, 20))))
    row = await returning.return_to_stock(site, _back(number, quantity="1"), "tess")
    assert (row.target, row.use_by) == (OUTDATE, date(2026, 11, 20))
    store.write_sync(
        lambda tx: tx.execute(update(t.lot).values(expiry=None, expiry_source="unknown"))
    )
    row = await returning.return_to_stock(site, _back(number, "two", quantity="1"), "tess")
    assert (row.target, row.use_by) == (OUTDATE, None)


@ON_SQLITE
async def test_a_return_that_cannot_be_is_refused(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    number = handed_out(store, "rx1", 30)
    asked = store.write_sync(lambda tx: order(tx, "rx2"))
    with pytest.raises(NotHandedOut, match="is requested, only a settled one"):
        await returning.return_to_stock(site, _back(asked), "tess")
    with pytest.raises(Invalid, match="location fill is a fill"):
        await returning.return_to_stock(site, _back(number, target=FILL), "tess")
    with pytest.raises(Invalid, match="say why"):
        await returning.return_to_stock(site, Return("r", number, SHELF, " "), "tess")
    row = await returning.return_to_stock(
        site, _back(number, "out", target=OUTDATE, use_by=TODAY), "tess"
    )
    assert (row.target, row.to_lot) == (OUTDATE, LOT)


async def test_the_database_refuses_to_change_or_delete_a_return(store: Store) -> None:
    site, _ = desk(store)
    store.write_sync(stocked)
    await returning.return_to_stock(site, _back(handed_out(store, "rx1", 30)), "tess")
    for statement in (update(t.stock_return).values(milli=1), delete(t.stock_return)):
        with pytest.raises(DBAPIError, match="stock_return is append-only"):
            store.write_sync(lambda tx, what=statement: tx.execute(what))  # type: ignore[misc] # both
