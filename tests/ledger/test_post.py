"""Posting: what is refused and how it is said, repeats, facts, claims and reversals."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from dispensed.errors import DispensedError
from dispensed.ledger import audit, catalog, inbox, post, read
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import (
    BadMove,
    FactPosted,
    InsufficientStock,
    Move,
    Posted,
    RequestReused,
)
from dispensed.model.catalog import LotState
from dispensed.model.movement import IllegalMovement
from tests.ledger.book import (
    DISPENSED,
    FILL,
    FOUND,
    ITEM,
    LOT,
    NOW,
    OPENING,
    RECEIVING,
    REJECTS,
    ROBOT,
    SHELF,
    SHELF2,
    STAMP,
    TODAY,
    K,
    booked,
    furnish,
    move,
    order,
    posted,
    stocked,
    telling,
)

GOOD = move(K.TRANSFER, SHELF, SHELF2, 1, "r1")


WRONG = [
    (replace(GOOD, milli=-1), "bad_movement", "not a quantity to move: -1"),
    (replace(GOOD, milli=True), "bad_movement", "not a quantity"),
    (replace(GOOD, milli=10**15 + 1), "bad_movement", "not a quantity"),
    (replace(GOOD, request_id=""), "bad_movement", "not a request id"),
    (replace(GOOD, request_id="a\nb"), "bad_movement", "not a request id"),
    (replace(GOOD, request_id="x" * 201), "bad_movement", "not a request id"),
    (replace(GOOD, request_id="claim:1:1"), "bad_movement", "the ledger's own"),
    (
        replace(GOOD, occurred_at=datetime(2026, 1, 1)),  # noqa: DTZ001 - naive on purpose
        "bad_movement",
        "has no zone",
    ),
    (replace(GOOD, item_id="99"), "item_not_found", "item 99 is not in the catalogue"),
    (replace(GOOD, lot="Z9"), "lot_not_found", f"item {ITEM} has no lot Z9"),
    (replace(GOOD, source="nowhere"), "location_not_found", "no location nowhere"),
    (replace(GOOD, target="nowhere"), "location_not_found", "no location nowhere"),
    (replace(GOOD, kind=K.DISPENSE), "illegal_movement", "dispense does not go from bin"),
    (replace(GOOD, dispense_id=77), "dispense_not_found", "no dispense 77"),
    (replace(GOOD, inbox_id=77), "message_not_found", "no message 77"),
    (replace(GOOD, milli=100_001), "insufficient_stock", r"100 EA available .*100.001 EA"),
]


def test_a_wrong_movement_is_refused_with_its_code_and_changes_nothing(store: Store) -> None:
    store.write_sync(stocked)
    for wanted, code, said in WRONG:
        with pytest.raises(DispensedError, match=said) as refused:
            posted(store, wanted)
        assert refused.value.code == code
    assert len(store.read_sync(read.movements)) == 1


def test_a_repeated_request_returns_the_first_answer(store: Store) -> None:
    store.write_sync(stocked)
    first = posted(store, GOOD)
    later = replace(GOOD, occurred_at=datetime(2027, 1, 1, tzinfo=UTC))
    again = store.write_sync(lambda tx: post.post(tx, later, STAMP, on_date=TODAY))
    assert again == Posted(first, repeated=True)
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF2)) == {(ITEM, LOT): 1000}


def test_a_request_id_used_for_another_movement_is_refused(store: Store) -> None:
    store.write_sync(stocked)
    posted(store, GOOD)
    for other in (
        replace(GOOD, milli=2000),
        replace(GOOD, target=RECEIVING),
        replace(GOOD, lot="B34"),
    ):
        with pytest.raises(RequestReused, match="request r1 was used before"):
            posted(store, other)
        with pytest.raises(RequestReused):
            store.write_sync(telling(other))


def test_a_movement_keeps_both_times_its_author_and_its_reason(store: Store) -> None:
    store.write_sync(stocked)
    posted(store, GOOD)
    row = store.read_sync(lambda tx: read.movements(tx, after=1))[0]
    assert row.occurred_at == datetime(2026, 11, 22, 15, 55, tzinfo=UTC)
    assert row.recorded_at == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    assert (row.actor, row.reason, row.request_id) == ("tess", "test", "r1")


def test_held_stock_is_not_there_for_others(store: Store) -> None:
    def setting(tx: Tx) -> None:
        stocked(tx, 10)
        _reserve(tx, 4, "h")

    store.write_sync(setting)
    with pytest.raises(InsufficientStock, match=r"6 EA available \(10 EA on hand, 4 EA held\)"):
        posted(store, move(K.TRANSFER, SHELF, SHELF2, 7, "r"))
    posted(store, move(K.TRANSFER, SHELF, SHELF2, 6, "r"))


# ---------------------------------------------------------------- reversals


def _reverse(tx: Tx, movement_id: int, request_id: str = "undo") -> Posted:
    return post.reverse(tx, movement_id, request_id=request_id, occurred_at=NOW, stamp=STAMP)


def test_a_reversal_is_refused_when_the_stock_is_gone(store: Store) -> None:
    store.write_sync(stocked)
    picked = posted(store, move(K.PICK, SHELF, FILL, 30, "p"))
    posted(store, move(K.DISPENSE, FILL, DISPENSED, 10, "d"))
    with pytest.raises(InsufficientStock, match=r"at fill: 20 EA available"):
        store.write_sync(lambda tx: _reverse(tx, picked))


def test_what_a_patient_got_can_be_reversed_to_the_tray(store: Store) -> None:
    store.write_sync(stocked)
    posted(store, move(K.PICK, SHELF, FILL, 30, "p"))
    given = posted(store, move(K.DISPENSE, FILL, DISPENSED, 10, "d"))
    store.write_sync(lambda tx: _reverse(tx, given))
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 30_000}


def test_a_reversal_is_not_reversed_and_an_unknown_movement_neither(store: Store) -> None:
    store.write_sync(stocked)
    moved = posted(store, GOOD)
    undone = store.write_sync(lambda tx: _reverse(tx, moved)).movement_id
    with pytest.raises(post.NotReversible, match=f"movement 3 is itself the reversal of {moved}"):
        store.write_sync(lambda tx: _reverse(tx, undone, "undo2"))
    with pytest.raises(post.UnknownMovement, match="no movement 99"):
        store.write_sync(lambda tx: _reverse(tx, 99))


def test_the_request_of_a_reversal_is_not_that_of_a_movement(store: Store) -> None:
    store.write_sync(stocked)
    there = posted(store, GOOD)
    back = move(K.TRANSFER, SHELF2, SHELF, 1, "back")
    posted(store, back)
    with pytest.raises(RequestReused):
        store.write_sync(lambda tx: _reverse(tx, there, "back"))


# ---------------------------------------------------------------- facts


def _fact(tx: Tx, fact: Move) -> FactPosted:
    return post.post_fact(tx, fact, STAMP)


def test_a_fact_is_booked_from_a_blocked_lot(store: Store) -> None:
    def setting(tx: Tx) -> FactPosted:
        stocked(tx, 10, ROBOT)
        catalog.set_lot_state(tx, ITEM, LOT, LotState.RECALLED, STAMP)
        return _fact(tx, move(K.OUTPUT, ROBOT, FILL, 4, "f"))

    assert store.write_sync(setting) == FactPosted((2,), 0)
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 4000}


def test_a_fact_takes_what_is_there_and_claims_the_rest_until_it_arrives(store: Store) -> None:
    out = move(K.OUTPUT, ROBOT, FILL, 10, "f")

    def setting(tx: Tx) -> FactPosted:
        stocked(tx, 100)
        opening = move(K.OPENING, OPENING, ROBOT, 4, "o")
        post.post(tx, opening, STAMP, on_date=TODAY)
        return _fact(tx, out)

    assert store.write_sync(setting) == FactPosted((3,), 6000)
    assert store.read_sync(lambda tx: read.unbooked_milli(tx, ITEM, LOT, ROBOT)) == 6000
    posted(store, move(K.LOAD, SHELF, ROBOT, 5, "l1"))
    assert store.read_sync(lambda tx: read.book_of(tx, ROBOT)) == {}
    again = store.write_sync(lambda tx: _fact(tx, out))
    assert again == FactPosted((3, 5), 1000, repeated=True)
    posted(store, move(K.LOAD, SHELF, ROBOT, 5, "l2"))
    assert store.read_sync(lambda tx: read.book_of(tx, ROBOT)) == {(ITEM, LOT): 4000}
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 10_000}
    assert store.write_sync(lambda tx: _fact(tx, out)) == FactPosted((3, 5, 7), 0, repeated=True)
    paid = store.read_sync(lambda tx: read.movements(tx, location_id=FILL))
    assert [row.milli for row in paid] == [4000, 5000, 1000]
    assert {row.occurred_at for row in paid} == {out.occurred_at}
    assert store.read_sync(audit.verify).ok


def test_a_fact_of_which_nothing_was_there_is_repeatable_and_not_reusable(store: Store) -> None:
    out = move(K.OUTPUT, ROBOT, FILL, 10, "f")

    def setting(tx: Tx) -> FactPosted:
        furnish(tx)
        return _fact(tx, out)

    assert store.write_sync(setting) == FactPosted((), 10_000)
    assert store.write_sync(lambda tx: _fact(tx, out)) == FactPosted((), 10_000, repeated=True)
    with pytest.raises(RequestReused):
        store.write_sync(lambda tx: _fact(tx, replace(out, milli=9000)))
    with pytest.raises(RequestReused):
        posted(store, out)


def test_older_claims_are_paid_first(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        _fact(tx, move(K.REJECT, ROBOT, REJECTS, 3, "first"))
        _fact(tx, move(K.OUTPUT, ROBOT, FILL, 3, "second"))
        _fact(tx, move(K.FOUND, FOUND, ROBOT, 4, "in"))

    store.write_sync(setting)
    assert store.read_sync(lambda tx: read.book_of(tx, REJECTS)) == {(ITEM, LOT): 3000}
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 1000}


def test_a_payment_is_an_arrival_that_pays_in_its_turn(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        _fact(tx, move(K.REJECT, FILL, REJECTS, 2, "defective"))
        _fact(tx, move(K.OUTPUT, ROBOT, FILL, 5, "out"))
        _fact(tx, move(K.LOAD, RECEIVING, ROBOT, 5, "in"))
        opening = move(K.OPENING, OPENING, RECEIVING, 5, "o")
        post.post(tx, opening, STAMP, on_date=TODAY)

    store.write_sync(setting)
    books = {place: store.read_sync(booked(place)) for place in (RECEIVING, ROBOT)}
    assert books == {RECEIVING: {}, ROBOT: {}}
    assert store.read_sync(lambda tx: read.book_of(tx, FILL)) == {(ITEM, LOT): 3000}
    assert store.read_sync(lambda tx: read.book_of(tx, REJECTS)) == {(ITEM, LOT): 2000}
    assert store.read_sync(audit.verify).ok


def test_claims_in_a_ring_come_to_an_end(store: Store) -> None:
    def setting(tx: Tx) -> None:
        furnish(tx)
        _fact(tx, move(K.TRANSFER, SHELF2, SHELF, 6, "back"))
        _fact(tx, move(K.TRANSFER, SHELF, SHELF2, 10, "there"))
        _fact(tx, move(K.FOUND, FOUND, SHELF, 4, "in"))

    store.write_sync(setting)
    report = store.read_sync(audit.verify)
    assert report.findings == ()
    assert store.read_sync(lambda tx: read.unbooked_milli(tx, ITEM, LOT, SHELF)) == 0
    assert store.read_sync(lambda tx: read.book_of(tx, SHELF2)) == {(ITEM, LOT): 4000}


def test_a_fact_breaks_the_youngest_reservations_that_stock_no_longer_covers(store: Store) -> None:
    def setting(tx: Tx) -> tuple[int, int, int]:
        stocked(tx, 30)
        return _reserve(tx, 10, "h1"), _reserve(tx, 10, "h2"), _reserve(tx, 5, "h3")

    first, second, third = store.write_sync(setting)
    store.write_sync(lambda tx: _fact(tx, move(K.PICK, SHELF, FILL, 12, "f")))
    states = store.read_sync(
        lambda tx: {
            row.id: (row.state, row.remaining) for row in tx.execute(select(t.reservation)).all()
        }
    )
    assert states == {first: ("open", 10_000), second: ("broken", 0), third: ("broken", 0)}
    assert store.read_sync(lambda tx: read.free_milli(tx, ITEM, LOT, SHELF)) == 8000
    assert store.read_sync(audit.verify).ok


@pytest.mark.parametrize("kind", [K.DISPENSE, K.REVERSAL])
def test_no_machine_reports_what_a_person_decides(store: Store, kind: K) -> None:
    with pytest.raises(post.NotAFact, match=f"{kind} is decided by a person"):
        store.write_sync(lambda tx: _fact(tx, replace(GOOD, kind=kind)))


def test_an_illegal_fact_is_refused(store: Store) -> None:
    store.write_sync(furnish)
    with pytest.raises(IllegalMovement):
        store.write_sync(lambda tx: _fact(tx, move(K.OUTPUT, SHELF, ROBOT, 1, "x")))


def test_a_claim_that_a_person_waives_is_paid_no_more(store: Store) -> None:
    def setting(tx: Tx) -> int:
        furnish(tx)
        _fact(tx, move(K.OUTPUT, ROBOT, FILL, 10, "f"))
        _fact(tx, move(K.FOUND, FOUND, ROBOT, 4, "in"))
        return int(tx.execute(select(t.unbooked.c.id)).scalar_one())

    claim = store.write_sync(setting)
    assert store.write_sync(lambda tx: post.waive(tx, claim, STAMP)) == 6000
    assert store.write_sync(lambda tx: post.waive(tx, claim, STAMP)) == 0
    store.write_sync(lambda tx: _fact(tx, move(K.FOUND, FOUND, ROBOT, 9, "in2")))
    assert store.read_sync(lambda tx: read.book_of(tx, ROBOT)) == {(ITEM, LOT): 9000}
    assert store.read_sync(audit.verify).ok
    with pytest.raises(post.UnknownClaim, match="no unbooked claim 99"):
        store.write_sync(lambda tx: post.waive(tx, 99, STAMP))


def test_a_fact_names_the_message_that_told_it(store: Store) -> None:
    def setting(tx: Tx) -> int:
        stocked(tx, 10, ROBOT)
        inbox_id, _ = inbox.store_message(tx, "robot1", "k", "OutputMessage", b"<x/>", NOW)
        _fact(tx, replace(move(K.OUTPUT, ROBOT, FILL, 4, "f"), inbox_id=inbox_id))
        return inbox_id

    inbox_id = store.write_sync(setting)
    assert store.read_sync(lambda tx: read.movements(tx, after=1))[0].inbox_id == inbox_id


# ---------------------------------------------------------------- taking from a hold


def _reserve(tx: Tx, units: int, name: str) -> int:
    return post.reserve(
        tx,
        dispense_id=order(tx, name),
        item_id=ITEM,
        lot=LOT,
        location=SHELF,
        milli=units * 1000,
        request_id=f"hold:{name}",
        stamp=STAMP,
        on_date=TODAY,
    )


def test_taking_consumes_the_hold_and_moves_the_stock_once(store: Store) -> None:
    def setting(tx: Tx) -> int:
        stocked(tx, 30)
        return _reserve(tx, 30, "h")

    hold = store.write_sync(setting)
    take = move(K.PICK, SHELF, FILL, 12, "t1", dispense_id=1)
    assert store.write_sync(lambda tx: post.take(tx, hold, take, STAMP)) == FactPosted((2,), 0)
    repeated = store.write_sync(lambda tx: post.take(tx, hold, take, STAMP))
    assert repeated == FactPosted((2,), 0, repeated=True)
    assert store.read_sync(lambda tx: read.free_milli(tx, ITEM, LOT, SHELF)) == 0
    rest = replace(take, milli=18_000, request_id="t2")
    store.write_sync(lambda tx: post.take(tx, hold, rest, STAMP))
    with pytest.raises(post.ReservationClosed, match="is settled and holds 0 thousandths, 1000"):
        store.write_sync(
            lambda tx: post.take(tx, hold, replace(take, milli=1000, request_id="t3"), STAMP)
        )
    assert store.read_sync(audit.verify).ok


def test_taking_what_was_not_reserved_is_refused(store: Store) -> None:
    def setting(tx: Tx) -> int:
        stocked(tx, 30)
        return _reserve(tx, 30, "h")

    hold = store.write_sync(setting)
    with pytest.raises(BadMove, match=r"holds lot A12 .* not lot B34"):
        store.write_sync(
            lambda tx: post.take(tx, hold, move(K.PICK, SHELF, FILL, 1, "t", lot="B34"), STAMP)
        )
    with pytest.raises(post.ReservationClosed, match="is open and holds 30000"):
        store.write_sync(lambda tx: post.take(tx, hold, move(K.PICK, SHELF, FILL, 31, "t"), STAMP))
