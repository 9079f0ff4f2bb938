"""Facts commute: any order, with any repeats, gives the same balances.

True when the facts that leave one place with one lot all have one target, and for any targets at
all when the stock suffices for every fact in the end.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.engine import Engine

from dispensed.ledger import audit, post
from dispensed.ledger import tables as t
from dispensed.ledger.database import Access, make_engine, store_url
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move
from tests.ledger.book import (
    FILL,
    FOUND,
    ITEM,
    LATE_LOT,
    LOT,
    OPENING,
    RECEIVING,
    REJECTS,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    furnish,
    move,
)

ONE_TARGET = (
    (K.OUTPUT, ROBOT, FILL),
    (K.LOAD, RECEIVING, ROBOT),
    (K.REJECT, FILL, REJECTS),
    (K.TRANSFER, SHELF, SHELF2),
    (K.TRANSFER, SHELF2, SHELF),
    (K.FOUND, FOUND, ROBOT),
    (K.FOUND, FOUND, SHELF),
    (K.FOUND, FOUND, RECEIVING),
)
"""Legal routes; no two of them leave the same place."""

ANY_TARGET = (
    *ONE_TARGET,
    (K.PICK, SHELF, FILL),
    (K.REJECT, SHELF, REJECTS),
    (K.REJECT, ROBOT, REJECTS),
    (K.TRANSFER, ROBOT, SHELF2),
)

Books = dict[tuple[str, str, str], int]


def _facts(routes: Sequence[tuple[K, str, str]]) -> st.SearchStrategy[list[Move]]:
    one = st.tuples(st.sampled_from(routes), st.integers(1, 9), st.sampled_from((LOT, LATE_LOT)))
    return st.lists(one, min_size=1, max_size=12).map(
        lambda facts: [
            move(*route, units, f"f{number}", lot=lot)
            for number, (route, units, lot) in enumerate(facts)
        ]
    )


def _book(engine: Engine, opening: dict[str, int], facts: Sequence[Move]) -> Books:
    """Book facts over an opening stock of both lots; nothing of it stays."""
    with engine.connect() as tx:
        outer = tx.begin()
        for place, units in opening.items():
            for lot in (LOT, LATE_LOT):
                first = move(K.OPENING, OPENING, place, units, f"o{place}{lot}", lot=lot)
                post.post(tx, first, STAMP, on_date=TODAY)
        for fact in facts:
            post.post_fact(tx, fact, STAMP)
        report = audit.verify(tx)
        assert report.findings == ()
        books = _balances(tx)
        outer.rollback()
    return books


def _balances(tx: Tx) -> Books:
    rows = tx.execute(select(t.balance).where(t.balance.c.on_hand != 0))
    return {(row.item_id, row.lot, row.location_id): row.on_hand for row in rows}


def _examples(engine: Engine) -> int:
    return 40 if engine.dialect.name == "sqlite" else 8


def _furnished(url: str) -> Engine:
    engine = make_engine(store_url(url), Access.WRITE)
    with engine.begin() as tx:
        furnish(tx)
    return engine


def test_facts_commute_when_each_place_has_one_target(ledger_url: str) -> None:
    engine = _furnished(ledger_url)

    @settings(max_examples=_examples(engine))
    @given(_facts(ONE_TARGET), st.data())
    def check(facts: list[Move], data: st.DataObject) -> None:
        repeats = data.draw(st.lists(st.sampled_from(facts), max_size=4))
        order = data.draw(st.permutations([*facts, *repeats]))
        opening = {ROBOT: 7, SHELF: 3}
        assert _book(engine, opening, order) == _book(engine, opening, facts)

    check()
    engine.dispose()


def test_facts_commute_for_any_targets_when_the_stock_suffices(ledger_url: str) -> None:
    engine = _furnished(ledger_url)
    opening = dict.fromkeys((ROBOT, SHELF, SHELF2, RECEIVING, REJECTS), 200)

    @settings(max_examples=_examples(engine))
    @given(_facts(ANY_TARGET), st.data())
    def check(facts: list[Move], data: st.DataObject) -> None:
        repeats = data.draw(st.lists(st.sampled_from(facts), max_size=4))
        order = data.draw(st.permutations([*facts, *repeats]))
        expected: Books = {}
        for place, units in opening.items():
            for lot in (LOT, LATE_LOT):
                _add(expected, lot, OPENING, place, units)
        for fact in facts:
            _add(expected, fact.lot, fact.source, fact.target, fact.milli // 1000)
        booked = _book(engine, opening, order)
        if not any(n < 0 for key, n in expected.items() if not key[2].startswith("ext:")):
            assert booked == {key: n * 1000 for key, n in expected.items() if n}

    check()
    engine.dispose()


def _add(books: Books, lot: str, source: str, target: str, units: int) -> None:
    for place, change in ((source, -units), (target, units)):
        books[ITEM, lot, place] = books.get((ITEM, lot, place), 0) + change
