"""The book at an instant: whatever moves, and whenever it is recorded, the truth is no variance."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from dispensed.ledger import count_book, post
from dispensed.ledger.count_book import Scope
from dispensed.ledger.database import Access, make_engine, store_url
from tests.ledger.book import (
    FILL,
    FOUND,
    ITEM,
    LOT,
    NOW,
    OPENING,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    move,
    stocked,
)

ROUTES = (
    (K.PICK, SHELF, FILL, -1),
    (K.TRANSFER, SHELF2, SHELF, 1),
    (K.FOUND, FOUND, SHELF, 1),
    (K.TRANSFER, SHELF, SHELF2, -1),
    (K.FOUND, FOUND, SHELF2, 0),
)
MINUTES = st.integers(-50, 50)
MOVES = st.lists(
    st.tuples(st.sampled_from(ROUTES), st.integers(1, 200), MINUTES), max_size=10
).flatmap(st.permutations)


def test_10_the_book_at_an_instant_is_what_had_happened_by_then(ledger_url: str) -> None:
    """Picks beyond the stock become claims; they had left, so the book goes below zero."""
    engine = make_engine(store_url(ledger_url), Access.WRITE)
    with engine.begin() as tx:
        stocked(tx, 100)
        plenty = move(K.OPENING, OPENING, SHELF2, 10_000, "plenty")
        post.post(tx, plenty, STAMP, on_date=TODAY)
        since = count_book.head(tx)

    @settings(max_examples=30 if engine.dialect.name == "sqlite" else 6)
    @given(MOVES, MINUTES)
    def check(moves: list[tuple[tuple[K, str, str, int], int, int]], minute: int) -> None:
        expected = 100 + sum(
            sign * units for (_, _, _, sign), units, when in moves if when <= minute
        )
        assert _book(engine, moves, minute, since) == expected * 1000

    check()
    engine.dispose()


def _book(
    engine: Engine,
    moves: list[tuple[tuple[K, str, str, int], int, int]],
    minute: int,
    since: int,
) -> int:
    """Book the moves in the order of the list and return the book at a minute."""
    with engine.connect() as tx:
        outer = tx.begin()
        for number, ((kind, source, target, _), units, when) in enumerate(moves):
            fact = replace(
                move(kind, source, target, units, f"f{number}"),
                occurred_at=NOW + timedelta(minutes=when),
            )
            post.post_fact(tx, fact, replace(STAMP, at=NOW + timedelta(hours=2)))
        at = NOW + timedelta(minutes=minute)
        book = count_book.book_at(tx, Scope(SHELF, ITEM), since=since, at=at)
        outer.rollback()
    return book.get((ITEM, LOT), 0)
