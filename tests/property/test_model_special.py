"""Rules of places, and the stock of trials: written out, and as laws for any chain of rules."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.catalog import Item, LocationKind, Storage
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.model.special import (
    End,
    Entry,
    PlaceRule,
    effective,
    entry_in,
    entry_out,
    protocol_breach,
    rule_breaches,
)

K, L = MovementKind, LocationKind
PLAIN = Item("1", "Ceftriaxone", "1 g", "vial", "Maker", Unit.EA, 10_000)
FRIDGE = replace(PLAIN, storage=Storage.REFRIGERATED)
RULES = st.builds(
    PlaceRule,
    protocol=st.sampled_from([None, "A", "B"]),
    storage=st.sampled_from([None, *Storage]),
    hazardous=st.sampled_from([None, True, False]),
    high_alert=st.sampled_from([None, True, False]),
    capacity_milli=st.sampled_from([None, 1000, 2000]),
    items=st.sampled_from([None, frozenset(), frozenset({"1"})]),
)


@given(st.lists(RULES, max_size=5))
def test_of_each_part_the_nearest_place_that_says_something_holds(chain: list[PlaceRule]) -> None:
    held = effective(chain)
    for part in fields(PlaceRule):
        said = [getattr(rule, part.name) for rule in chain]
        nearest = next((value for value in said if value is not None), None)
        assert getattr(held, part.name) == nearest


@pytest.mark.parametrize(
    ("rule", "item", "total", "said"),
    [
        (PlaceRule(), replace(FRIDGE, hazardous=True, high_alert=True), 10**9, ()),
        (PlaceRule(storage=Storage.REFRIGERATED), FRIDGE, 1, ()),
        (
            PlaceRule(storage=Storage.REFRIGERATED),
            PLAIN,
            1,
            ("it is stored room, the place is refrigerated",),
        ),
        (PlaceRule(hazardous=False), PLAIN, 1, ()),
        (
            PlaceRule(hazardous=False),
            replace(PLAIN, hazardous=True),
            1,
            ("no hazardous drugs are kept there",),
        ),
        (PlaceRule(hazardous=True), replace(PLAIN, hazardous=True), 1, ()),
        (
            PlaceRule(high_alert=False),
            replace(PLAIN, high_alert=True),
            1,
            ("no high-alert drugs are kept there",),
        ),
        (PlaceRule(items=frozenset({"1", "2"})), PLAIN, 1, ()),
        (PlaceRule(items=frozenset({"2"})), PLAIN, 1, ("the place is for other items",)),
        (PlaceRule(capacity_milli=5000), PLAIN, 5000, ()),
        (
            PlaceRule(capacity_milli=5000),
            PLAIN,
            5500,
            ("it would hold 5.5 EA, at most 5 fit",),
        ),
    ],
)
def test_what_a_rule_forbids(
    rule: PlaceRule, item: Item, total: int, said: tuple[str, ...]
) -> None:
    assert rule_breaches(rule, item, total) == said


BIN, A, B = End(L.BIN), End(L.BIN, "A"), End(L.BIN, "B")
FILL, OUT, RECEIVING = End(L.FILL), End(L.OUTDATE), End(L.RECEIVING)
A_OUT = End(L.OUTDATE, None, frozenset({"A"}))
ROBOT, SUPPLIER, REPACK, TRANSIT = (
    End(L.DEVICE),
    End(L.SUPPLIER),
    End(L.REPACK),
    End(L.IN_TRANSIT),
)


@pytest.mark.parametrize(
    ("kind", "source", "target", "order", "allowed"),
    [
        (K.PICK, A, FILL, "A", True),
        (K.PICK, A, FILL, "B", False),
        (K.PICK, A, FILL, None, False),
        (K.PICK, BIN, FILL, "A", False),
        (K.PICK, BIN, FILL, None, True),
        (K.OUTPUT, ROBOT, FILL, "A", False),
        (K.OUTPUT, ROBOT, FILL, None, True),
        (K.REMOVE, A, End(L.IN_HAND), None, False),
        (K.PUTBACK, FILL, A, "A", True),
        (K.PUTBACK, FILL, B, "A", False),
        (K.PUTBACK, FILL, BIN, "A", False),
        (K.PUTBACK, FILL, OUT, "A", True),
        (K.PUTBACK, FILL, A, None, False),
        (K.RETURN_TO_STOCK, End(L.DISPENSED), BIN, "A", False),
        (K.RETURN_TO_STOCK, End(L.DISPENSED), OUT, "A", True),
        (K.LOAD, FILL, ROBOT, "A", False),
        (K.LOAD, A, ROBOT, None, False),
        (K.LOAD, BIN, ROBOT, None, True),
        (K.TRANSFER, A, A, None, True),
        (K.TRANSFER, A, B, None, False),
        (K.TRANSFER, A, BIN, None, False),
        (K.TRANSFER, A, RECEIVING, None, False),
        (K.TRANSFER, A, OUT, None, True),
        (K.TRANSFER, A, End(L.REJECTS), None, True),
        (K.TRANSFER, BIN, A, None, False),
        (K.TRANSFER, RECEIVING, A, None, True),
        (K.TRANSFER, OUT, BIN, None, True),
        (K.TRANSFER, OUT, A, None, False),
        (K.TRANSFER, A_OUT, A, None, True),
        (K.TRANSFER, A_OUT, B, None, False),
        (K.TRANSFER, A_OUT, BIN, None, False),
        (K.TRANSFER, A_OUT, OUT, None, True),
        (K.CONSUME, A, REPACK, None, False),
        (K.CONSUME, BIN, REPACK, None, True),
        (K.PRODUCE, REPACK, A, None, False),
        (K.PRODUCE, REPACK, BIN, None, True),
        (K.IN_TRANSIT, A, TRANSIT, None, False),
        (K.IN_TRANSIT, TRANSIT, A, None, True),
        (K.RECEIVE, SUPPLIER, A, None, True),
        (K.RETURN, A, SUPPLIER, None, True),
        (K.DESTROY, A, End(L.DESTRUCTION), None, True),
        (K.WASTE, A, End(L.WASTE), None, True),
        (K.FOUND, End(L.FOUND), A, None, True),
        (K.REVERSAL, BIN, A, None, True),
    ],
)
def test_stock_of_a_protocol_goes_to_that_protocol_or_out(
    kind: MovementKind, source: End, target: End, order: str | None, *, allowed: bool
) -> None:
    assert (protocol_breach(kind, source, target, order) is None) == allowed


def test_a_breach_names_both_sides() -> None:
    assert protocol_breach(K.PICK, A, FILL, "B") == "the stock is of protocol A, not protocol B"
    assert (
        protocol_breach(K.TRANSFER, A, BIN, None) == "the stock is of protocol A, not no protocol"
    )
    assert protocol_breach(K.TRANSFER, A_OUT, BIN, None) == "stock of protocol A lies there too"


@pytest.mark.parametrize(
    ("kind", "other", "coming", "going"),
    [
        (K.RECEIVE, L.SUPPLIER, Entry.RECEIVED, Entry.MOVED),
        (K.FOUND, L.FOUND, Entry.FOUND, Entry.MOVED),
        (K.PUTBACK, L.FILL, Entry.PUT_BACK, Entry.MOVED),
        (K.TRANSFER, L.OUTDATE, Entry.BROUGHT_BACK, Entry.SEGREGATED),
        (K.REVERSAL, L.OUTDATE, Entry.BROUGHT_BACK, Entry.SEGREGATED),
        (K.REVERSAL, L.FILL, Entry.CORRECTED, Entry.CORRECTED),
        (K.PICK, L.FILL, Entry.RECEIVED, Entry.DISPENSED),
        (K.RETURN, L.SUPPLIER, Entry.RECEIVED, Entry.RETURNED),
        (K.DESTROY, L.DESTRUCTION, Entry.RECEIVED, Entry.DESTROYED),
        (K.WASTE, L.WASTE, Entry.RECEIVED, Entry.WASTED),
        (K.LOSS, L.LOSS, Entry.RECEIVED, Entry.LOST),
    ],
)
def test_what_a_line_of_the_record_says(
    kind: MovementKind, other: LocationKind, coming: Entry, going: Entry
) -> None:
    assert (entry_in(kind, other), entry_out(kind, other)) == (coming, going)
