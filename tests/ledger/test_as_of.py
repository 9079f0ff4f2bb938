"""Balances as of an instant: equal to a replay stopped there, in both times of a movement."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from dispensed.ledger import as_of, audit, post
from dispensed.ledger.as_of import TimeSense
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.journal import Cell
from dispensed.ledger.post import Move, Stamp
from dispensed.model.movement import MovementKind
from tests.ledger.book import (
    DISPENSED,
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    OPENING,
    SHELF,
    SHELF2,
    TODAY,
    K,
    furnish,
)

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Told(NamedTuple):
    """A movement of a few units: recorded some minutes after BEGIN, having occurred earlier."""

    kind: MovementKind
    source: str
    target: str
    units: int
    lot: str
    recorded: int
    late: int

    @property
    def recorded_at(self) -> datetime:
        return BEGIN + timedelta(minutes=self.recorded)

    @property
    def occurred_at(self) -> datetime:
        return self.recorded_at - timedelta(minutes=self.late)


ROUTES = (
    (K.OPENING, OPENING, SHELF),
    (K.TRANSFER, SHELF, SHELF2),
    (K.TRANSFER, SHELF2, SHELF),
    (K.PICK, SHELF, FILL),
    (K.DISPENSE, FILL, DISPENSED),
)
TOLD = st.builds(
    lambda route, *rest: Told(*route, *rest),
    st.sampled_from(ROUTES),
    st.integers(1, 9),
    st.sampled_from((LOT, LATE_LOT)),
    st.integers(0, 60),
    st.integers(0, 90),
)

WHEN: dict[TimeSense, Callable[[Told], datetime]] = {
    TimeSense.OCCURRED: lambda each: each.occurred_at,
    TimeSense.RECORDED: lambda each: each.recorded_at,
}


def book(tx: Tx, told: Sequence[Told]) -> list[Told]:
    """Post what the stock allows; returns that."""
    furnish(tx)
    done = []
    for number, each in enumerate(told):
        move = Move(
            kind=each.kind,
            item_id=ITEM,
            lot=each.lot,
            source=each.source,
            target=each.target,
            milli=each.units * 1000,
            request_id=f"m{number}",
            occurred_at=each.occurred_at,
        )
        try:
            post.post(tx, move, Stamp("tess", each.recorded_at), on_date=TODAY)
        except post.InsufficientStock:
            continue
        done.append(each)
    return done


def replay(told: Sequence[Told], at: datetime, when: Callable[[Told], datetime]) -> Counter[Cell]:
    """Play the movements again in the order of their time, and stop at an instant."""
    cells: Counter[Cell] = Counter()
    for each in sorted(told, key=when):
        if when(each) > at:
            break
        cells[Cell(ITEM, each.lot, each.target)] += each.units * 1000
        cells[Cell(ITEM, each.lot, each.source)] -= each.units * 1000
    return Counter({cell: milli for cell, milli in cells.items() if milli})


class _Undone(Exception):
    """Takes an example out of the ledger again."""


@given(
    told=st.lists(TOLD, min_size=5, max_size=30),
    instants=st.lists(st.integers(-95, 65), min_size=8, max_size=8),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_of_equals_a_replay_stopped_there_in_either_time(
    store: Store, told: list[Told], instants: list[int]
) -> None:
    def check(tx: Tx) -> None:
        done = book(tx, told)
        for minutes in instants:
            at = BEGIN + timedelta(minutes=minutes)
            for by, when in WHEN.items():
                expected = replay(done, at, when)
                assert as_of.balances_as_of(tx, at, by=by) == expected
                assert expected.total() == 0
                there = {cell: n for cell, n in expected.items() if cell.location_id == SHELF}
                found = as_of.balances_as_of(tx, at, by=by, item_id=ITEM, location=SHELF)
                assert found == there
        raise _Undone

    with pytest.raises(_Undone):
        store.write_sync(check)


def _on_shelf(store: Store, at: datetime, by: TimeSense) -> int:
    cells = store.read_sync(lambda tx: as_of.balances_as_of(tx, at, by=by))
    return cells[Cell(ITEM, LOT, SHELF)]


def _rows(store: Store) -> list[tuple[object, ...]]:
    statement = text("SELECT * FROM movement ORDER BY id")
    return [tuple(row) for row in store.read_sync(lambda tx: tx.execute(statement).all())]


def test_a_back_dated_fact_changes_what_lay_there_then_and_no_stored_row(store: Store) -> None:
    opened = Told(K.OPENING, OPENING, SHELF, 100, LOT, 0, 0)
    store.write_sync(lambda tx: book(tx, [opened]))
    before = _rows(store)
    late = Move(
        kind=K.WASTE,
        item_id=ITEM,
        lot=LOT,
        source=SHELF,
        target="ext:waste",
        milli=7000,
        request_id="told late",
        occurred_at=BEGIN + DAY,
    )
    told = Stamp("tess", BEGIN + 5 * DAY, "found the bottle broken on Monday")
    store.write_sync(lambda tx: post.post(tx, late, told, on_date=TODAY))
    assert _rows(store)[:1] == before
    for day, lay, said in ((0, 100_000, 100_000), (2, 93_000, 100_000), (5, 93_000, 93_000)):
        at = BEGIN + day * DAY
        assert _on_shelf(store, at, TimeSense.OCCURRED) == lay
        assert _on_shelf(store, at, TimeSense.RECORDED) == said
    assert store.read_sync(audit.verify).ok


def test_stock_as_of_names_what_lay_at_the_places_of_the_site_only(store: Store) -> None:
    store.write_sync(
        lambda tx: book(
            tx,
            [
                Told(K.OPENING, OPENING, SHELF, 50, LATE_LOT, 0, 0),
                Told(K.OPENING, OPENING, SHELF, 30, LOT, 0, 0),
                Told(K.PICK, SHELF, FILL, 20, LOT, 10, 0),
            ],
        )
    )
    at = BEGIN + timedelta(minutes=10)

    def names(**wanted: str) -> list[tuple[str, str, str, int]]:
        rows = store.read_sync(lambda tx: as_of.stock_as_of(tx, at, **wanted))  # type: ignore[arg-type] # filters only
        return [(row.name, row.lot, row.location_id, row.milli) for row in rows]

    whole = [
        ("Atorvastatin", LOT, FILL, 20_000),
        ("Atorvastatin", LOT, SHELF, 10_000),
        ("Atorvastatin", LATE_LOT, SHELF, 50_000),
    ]
    assert names() == whole
    assert names(item_id=ITEM) == whole
    assert names(lot_number=LATE_LOT) == whole[2:]
    assert names(location=FILL) == whole[:1]
    assert names(item_id="none") == []
