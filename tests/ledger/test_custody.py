"""Removals that add up, and wastes that another person has seen."""

import contextlib
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from dispensed.errors import Invalid
from dispensed.ledger import audit, catalog, post, removals, wastes
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import BlockedLot, InsufficientStock, RequestReused
from dispensed.ledger.removals import OverrideNeedsReason, UnknownRemoval
from dispensed.ledger.rules import WitnessMissing
from dispensed.ledger.wastes import AlreadyWitnessed, NewWaste, UnknownWaste
from dispensed.model.catalog import LotState
from dispensed.model.controlled import MoreThanOpen, WitnessIsAuthor, WitnessTooLate
from dispensed.model.movement import IllegalMovement, MovementKind
from tests.ledger.book import (
    CONTROLLED,
    ITEM,
    LOT,
    NOW,
    OUTDATE,
    SHELF,
    STAMP,
    TODAY,
    booked,
    move,
    posted,
)
from tests.ledger.book import K as KIND
from tests.ledger.custody import (
    CABINET,
    IN_HAND,
    at,
    back,
    confirmed,
    gave,
    moved,
    run,
    stated,
    taken,
    vaulted,
)


@pytest.fixture
def vault(store: Store) -> Store:
    store.write_sync(vaulted)
    return store


# ---------------------------------------------------------------- removals


def test_a_removal_stays_open_until_issued_is_given_returned_and_wasted(vault: Store) -> None:
    first = vault.write_sync(lambda tx: taken(tx, 10, "r1"))
    assert (first.remaining, first.closed_at, first.order_ref) == (10_000, None, "rx1")
    vault.write_sync(lambda tx: gave(tx, 1, 4, "g1", at(60)))
    vault.write_sync(lambda tx: back(tx, 1, 5, "b1", stamp=at(120)))
    assert [row.id for row in vault.read_sync(removals.page)] == [1]
    waste = vault.write_sync(lambda tx: stated(tx, 1, "w1", 1, at(180)))
    assert vault.read_sync(lambda tx: removals.get(tx, 1)).remaining == 1000
    vault.write_sync(lambda tx: confirmed(tx, waste.id, at(200, "pat")))
    row = vault.read_sync(lambda tx: removals.get(tx, 1))
    assert (row.given, row.returned, row.wasted, row.remaining) == (4000, 5000, 1000, 0)
    assert row.closed_at == NOW + timedelta(seconds=200)
    assert not row.custody.is_null
    assert vault.read_sync(removals.page) == ()
    steps = vault.read_sync(lambda tx: removals.steps(tx, 1))
    assert [(step.kind, step.milli, step.actor) for step in steps] == [
        ("given", 4000, "tess"),
        ("returned", 5000, "tess"),
        ("wasted", 1000, "tess"),
    ]
    assert vault.read_sync(booked(IN_HAND)) == {}
    assert vault.read_sync(audit.verify).ok


def test_more_than_is_open_of_a_removal_is_neither_given_returned_nor_wasted(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    vault.write_sync(lambda tx: taken(tx, 20, "r2", order="rx2"))
    vault.write_sync(lambda tx: gave(tx, 1, 3, "g1"))
    said = "2 EA of 5 EA are open, 3 EA stated"
    with pytest.raises(MoreThanOpen, match=said):
        vault.write_sync(lambda tx: gave(tx, 1, 3, "g2"))
    with pytest.raises(MoreThanOpen, match=said):
        vault.write_sync(lambda tx: back(tx, 1, 3, "b1"))
    with pytest.raises(MoreThanOpen, match=said):
        vault.write_sync(lambda tx: stated(tx, 3, "w1", 1))
    assert vault.read_sync(lambda tx: removals.get(tx, 1)).remaining == 2000


def test_a_removal_that_came_back_whole_is_a_null_transaction(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    row = vault.write_sync(lambda tx: back(tx, 1, 5, "b1", CABINET))
    assert row.custody.is_null
    assert row.closed_at == STAMP.at
    assert vault.read_sync(booked(CABINET)) == {(CONTROLLED, LOT): 5000}


def test_a_removal_without_an_order_says_why(vault: Store) -> None:
    with pytest.raises(OverrideNeedsReason):
        vault.write_sync(lambda tx: taken(tx, 5, "r1", order=None, reason=" "))
    row = vault.write_sync(lambda tx: taken(tx, 5, "r1", order=None, reason=" code blue "))
    assert (row.order_ref, row.override_reason) == (None, "code blue")


def test_repeats_of_a_removal_and_its_steps_change_nothing(vault: Store) -> None:
    for _ in range(2):
        vault.write_sync(lambda tx: taken(tx, 5, "r1"))
        vault.write_sync(lambda tx: gave(tx, 1, 5, "g1"))
    row = vault.read_sync(lambda tx: removals.get(tx, 1))
    assert (row.given, row.remaining) == (5000, 0)
    assert len(vault.read_sync(lambda tx: removals.page(tx, only_open=False))) == 1
    with pytest.raises(RequestReused):
        vault.write_sync(lambda tx: taken(tx, 5, "r1", order="rx9"))
    vault.write_sync(lambda tx: taken(tx, 5, "r2"))
    with pytest.raises(RequestReused):
        vault.write_sync(lambda tx: gave(tx, 2, 5, "g1"))
    vault.write_sync(lambda tx: moved(tx, KIND.REMOVE, SHELF, IN_HAND, 5, "bare"))
    with pytest.raises(RequestReused):
        vault.write_sync(lambda tx: taken(tx, 5, "bare"))


def test_6_a_lot_that_is_blocked_is_not_given_and_goes_to_the_outdates(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    blocked = LotState.HOLD
    vault.write_sync(lambda tx: catalog.set_lot_state(tx, CONTROLLED, LOT, blocked, STAMP))
    with pytest.raises(BlockedLot):
        vault.write_sync(lambda tx: gave(tx, 1, 5, "g1"))
    with pytest.raises(BlockedLot):
        vault.write_sync(lambda tx: back(tx, 1, 5, "b1", CABINET))
    with pytest.raises(BlockedLot):
        vault.write_sync(lambda tx: taken(tx, 5, "r2"))
    row = vault.write_sync(lambda tx: back(tx, 1, 5, "b2", OUTDATE))
    assert row.remaining == 0


def test_a_return_goes_to_no_account_and_an_unknown_removal_is_named(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    with pytest.raises(IllegalMovement):
        vault.write_sync(lambda tx: back(tx, 1, 5, "b1", "ext:loss"))
    with pytest.raises(UnknownRemoval, match="no removal 7"):
        vault.write_sync(lambda tx: gave(tx, 7, 5, "g1"))


def test_open_removals_can_be_listed_by_person_and_page(vault: Store) -> None:
    for number, who in enumerate(("tess", "pat", "tess"), start=1):
        vault.write_sync(partial(taken, units=1, name=f"r{number}", stamp=at(number, who)))
    assert [row.id for row in vault.read_sync(lambda tx: removals.page(tx, actor="tess"))] == [1, 3]
    page = vault.read_sync(lambda tx: removals.page(tx, after=1, limit=1))
    assert [row.id for row in page] == [2]


def test_the_database_itself_closes_no_removal_that_does_not_add_up(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    for wrong in ({"closed_at": NOW}, {"remaining": 0, "closed_at": NOW}, {"given": 6000}):
        with pytest.raises(IntegrityError):
            run(vault, update(t.removal).values(wrong))


# ---------------------------------------------------------------- wastes


def test_13_waste_of_a_controlled_item_needs_a_witness_who_is_another_person_within_two_minutes(
    vault: Store,
) -> None:
    waste = vault.write_sync(lambda tx: stated(tx, 2, "w1", stamp=at(0)))
    assert waste.state(NOW, 120) == wastes.PENDING
    assert vault.read_sync(booked(SHELF))[CONTROLLED, LOT] == 100_000
    with pytest.raises(WitnessIsAuthor):
        vault.write_sync(lambda tx: confirmed(tx, waste.id, at(10, "tess")))
    with pytest.raises(WitnessTooLate):
        vault.write_sync(lambda tx: confirmed(tx, waste.id, at(121, "pat")))
    assert waste.state(NOW + timedelta(seconds=121), 120) == wastes.EXPIRED
    done = vault.write_sync(lambda tx: confirmed(tx, waste.id, at(120, "pat")))
    assert (done.witness, done.witnessed_at) == ("pat", NOW + timedelta(seconds=120))
    assert done.state(NOW + timedelta(days=1), 120) == wastes.POSTED
    assert vault.read_sync(booked(SHELF))[CONTROLLED, LOT] == 98_000
    row = vault.read_sync(
        lambda tx: tx.execute(select(t.movement).where(t.movement.c.id == done.movement_id)).one()
    )
    assert (row.kind, row.actor, row.reason, row.milli) == ("waste", "tess", "dropped", 2000)
    assert vault.write_sync(lambda tx: confirmed(tx, waste.id, at(500, "pat"))) == done
    with pytest.raises(AlreadyWitnessed, match="witness pat"):
        vault.write_sync(lambda tx: confirmed(tx, waste.id, at(100, "ann")))
    assert vault.read_sync(audit.verify).ok


def test_13_no_posting_and_no_fact_wastes_a_controlled_item_around_the_witness(
    vault: Store,
) -> None:
    vault.write_sync(lambda tx: stated(tx, 2, "w1"))
    wasted = partial(moved, kind=KIND.WASTE, source=SHELF, target="ext:waste", units=2)
    for name in ("direct", "waste:1", "waste:99", "waste:x", "waste:"):
        with pytest.raises(WitnessMissing, match="is CII: state the waste"):
            vault.write_sync(partial(wasted, name=name))
        fact = post.Move(
            MovementKind.WASTE, CONTROLLED, LOT, SHELF, "ext:waste", 2000, name, occurred_at=NOW
        )
        with pytest.raises(WitnessMissing):
            vault.write_sync(partial(post.post_fact, move=fact, stamp=STAMP))
    assert vault.read_sync(booked(SHELF))[CONTROLLED, LOT] == 100_000


def test_13_a_witnessed_waste_posts_what_was_stated_and_nothing_else(vault: Store) -> None:
    waste = vault.write_sync(lambda tx: stated(tx, 2, "w1"))
    witness = {
        "waste_id": waste.id,
        "controlled": True,
        "stated_by": "tess",
        "witness": "pat",
        "witnessed_at": NOW,
        "recorded_at": NOW,
    }
    vault.write_sync(lambda tx: tx.execute(insert(t.waste_witness), witness))
    with pytest.raises(WitnessMissing):
        vault.write_sync(lambda tx: moved(tx, KIND.WASTE, SHELF, "ext:waste", 3, "waste:1"))


def test_13_the_database_itself_refuses_the_same_person_or_nobody_as_witness(vault: Store) -> None:
    waste = vault.write_sync(lambda tx: stated(tx, 2, "w1"))
    row = {"waste_id": waste.id, "witnessed_at": NOW, "recorded_at": NOW}
    for wrong in (
        {"controlled": True, "stated_by": "tess", "witness": "tess"},
        {"controlled": True, "stated_by": "tess", "witness": None},
        {"controlled": False, "stated_by": "tess", "witness": None},
        {"controlled": True, "stated_by": "pat", "witness": "tess"},
    ):
        with pytest.raises(IntegrityError):
            run(vault, insert(t.waste_witness).values({**row, **wrong}))


def test_waste_of_an_uncontrolled_item_needs_no_witness(vault: Store) -> None:
    posted(vault, move(KIND.OPENING, "ext:opening", SHELF, 10, "o"))
    new = NewWaste("w1", ITEM, LOT, SHELF, 3000, "broken")
    row = vault.write_sync(lambda tx: wastes.state(tx, new, STAMP, on_date=TODAY))
    assert (row.witness, row.state(NOW, 120)) == (None, wastes.POSTED)
    assert vault.read_sync(booked(SHELF))[ITEM, LOT] == 7000
    with pytest.raises(AlreadyWitnessed, match="witness none"):
        vault.write_sync(lambda tx: confirmed(tx, row.id, at(10, "pat")))
    posted(vault, move(KIND.WASTE, SHELF, "ext:waste", 1, "direct"))


def test_a_waste_that_cannot_be_is_refused_when_it_is_stated(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))

    def refused(error: type[Exception], said: str, new: NewWaste) -> None:
        with pytest.raises(error, match=said):
            vault.write_sync(lambda tx: wastes.state(tx, new, STAMP, on_date=TODAY))

    lot = (CONTROLLED, LOT)
    refused(Invalid, "say why", NewWaste("w", *lot, SHELF, 1000, " "))
    refused(Invalid, "of its removal", NewWaste("w", *lot, IN_HAND, 1000, "x"))
    refused(Invalid, "of its removal", NewWaste("w", *lot, SHELF, 1000, "x", 1))
    refused(Invalid, "removal 1 is of lot", NewWaste("w", ITEM, LOT, IN_HAND, 1000, "x", 1))
    refused(
        InsufficientStock,
        "95 EA available, 96 EA to waste",
        NewWaste("w", *lot, SHELF, 96_000, "x"),
    )
    with pytest.raises(UnknownWaste):
        vault.write_sync(lambda tx: confirmed(tx, 1, at(1, "pat")))


def test_a_repeat_of_a_stated_waste_gives_the_first_answer(vault: Store) -> None:
    first = vault.write_sync(lambda tx: stated(tx, 2, "w1"))
    assert vault.write_sync(lambda tx: stated(tx, 2, "w1", stamp=at(300))) == first
    with pytest.raises(RequestReused):
        vault.write_sync(lambda tx: stated(tx, 3, "w1"))
    assert vault.read_sync(wastes.page) == (first,)
    assert vault.read_sync(lambda tx: wastes.page(tx, removal_id=1)) == ()


def test_a_witness_confirms_nothing_when_the_removal_was_given_meanwhile(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    waste = vault.write_sync(lambda tx: stated(tx, 5, "w1", 1))
    vault.write_sync(lambda tx: gave(tx, 1, 5, "g1"))
    with pytest.raises(MoreThanOpen):
        vault.write_sync(lambda tx: confirmed(tx, waste.id, at(1, "pat")))
    assert vault.read_sync(lambda tx: wastes.get(tx, waste.id)).witness is None


def test_3_the_database_refuses_to_change_what_was_stated(vault: Store) -> None:
    vault.write_sync(lambda tx: taken(tx, 5, "r1"))
    vault.write_sync(lambda tx: gave(tx, 1, 1, "g1"))
    waste = vault.write_sync(lambda tx: stated(tx, 1, "w1", 1))
    vault.write_sync(lambda tx: confirmed(tx, waste.id, at(1, "pat")))
    for known in (t.removal_step, t.waste, t.waste_witness):
        for change in (delete(known), update(known).values(recorded_at=NOW)):
            with pytest.raises(DBAPIError, match="append-only"):
                run(vault, change)


def test_what_is_in_the_hand_is_what_is_open_of_all_removals(vault: Store) -> None:
    """An independent sum over the journal equals the open list, whatever is done."""
    chance = random.Random(20261122)
    for number in range(12):
        vault.write_sync(partial(taken, units=6, name=f"r{number}"))
        for step in range(3):
            chosen, units = chance.randint(1, number + 1), chance.randint(1, 4)
            what = chance.choice(WAYS)
            with contextlib.suppress(MoreThanOpen):
                vault.write_sync(_doing(what, chosen, units, f"s{number}.{step}"))
    milli = func.coalesce(func.sum(t.movement.c.milli), 0)
    came, went = vault.read_sync(
        lambda tx: [
            tx.execute(select(milli).where(end == IN_HAND)).scalar_one()
            for end in (t.movement.c.target, t.movement.c.source)
        ]
    )
    rows = vault.read_sync(lambda tx: removals.page(tx, only_open=False))
    assert came - went == sum(row.remaining for row in rows)
    assert all((row.remaining == 0) == (row.closed_at is not None) for row in rows)
    assert {True, False} == {row.remaining == 0 for row in rows}
    assert vault.read_sync(audit.verify).ok


def _doing(
    what: Callable[[Tx, int, int, str], object], removal_id: int, units: int, name: str
) -> Callable[[Tx], object]:
    return lambda tx: what(tx, removal_id, units, name)


def _wasted(tx: Tx, removal_id: int, units: int, name: str) -> object:
    return confirmed(tx, stated(tx, units, name, removal_id).id, at(1, "pat"))


WAYS: tuple[Callable[[Tx, int, int, str], object], ...] = (gave, back, _wasted)
