"""A random life of the ledger against a dict: nothing is lost and nothing is promised twice."""

from collections import defaultdict
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from dispensed.errors import Conflict
from dispensed.ledger import audit, catalog, post
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import BlockedLot, InsufficientStock
from dispensed.model.catalog import LotState
from tests.ledger.book import (
    DISPENSED,
    FILL,
    FOUND,
    ITEM,
    LATE_LOT,
    LOT,
    NOW,
    OPENING,
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
    posting,
)

PLACES = (SHELF, SHELF2, ROBOT, FILL)
LOTS = (LOT, LATE_LOT)
DECISIONS = (
    (K.OPENING, OPENING, SHELF),
    (K.OPENING, OPENING, ROBOT),
    (K.TRANSFER, SHELF, SHELF2),
    (K.TRANSFER, SHELF2, SHELF),
    (K.LOAD, SHELF, ROBOT),
    (K.OUTPUT, ROBOT, FILL),
    (K.PICK, SHELF2, FILL),
    (K.DISPENSE, FILL, DISPENSED),
    (K.PUTBACK, FILL, SHELF),
)
FACTS = (
    (K.OUTPUT, ROBOT, FILL),
    (K.PICK, SHELF, FILL),
    (K.FOUND, FOUND, ROBOT),
    (K.REJECT, SHELF2, REJECTS),
)
Units = st.integers(1, 40)
Cell = tuple[str, str]


class LedgerMachine(RuleBasedStateMachine):
    """Posts, facts, reversals, holds and lot states, each beside a dict that does the same."""

    movements = Bundle("movements")
    reservations = Bundle("reservations")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.store = Store.open(url, readers=1)
        self.stock: dict[Cell, int] = defaultdict(int)
        self.holds: dict[int, tuple[Cell, int]] = {}
        self.claims: list[tuple[Cell, str, int]] = []
        self.blocked: set[str] = set()
        self.reversed: set[int] = set()
        self.moves: dict[int, tuple[str, str, str, int]] = {}
        self.count = 0

    @initialize()
    def open_with_stock(self) -> None:
        self.store.write_sync(furnish)
        for lot in LOTS:
            self._arrive(lot, SHELF, 60)
            first = move(K.OPENING, OPENING, SHELF, 60, self._name(), lot=lot)
            self.store.write_sync(posting(first))

    @rule(
        target=movements, route=st.sampled_from(DECISIONS), units=Units, lot=st.sampled_from(LOTS)
    )
    def decide(self, route: tuple[K, str, str], units: int, lot: str) -> object:
        kind, source, target = route
        wanted = move(kind, source, target, units, self._name(), lot=lot)
        towards_patient = kind in (K.LOAD, K.OUTPUT, K.DISPENSE, K.PICK)
        try:
            done = self.store.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY))
        except BlockedLot:
            assert towards_patient
            assert lot in self.blocked
            return multiple()
        except InsufficientStock:
            assert self._free(lot, source) < units
            return multiple()
        assert not (towards_patient and lot in self.blocked)
        assert source == OPENING or self._free(lot, source) >= units
        self._move(lot, source, target, units)
        self.moves[done.movement_id] = (lot, source, target, units)
        again = self.store.write_sync(lambda tx: post.post(tx, wanted, STAMP, on_date=TODAY))
        assert again == post.Posted(done.movement_id, repeated=True)
        return done.movement_id

    @rule(route=st.sampled_from(FACTS), units=Units, lot=st.sampled_from(LOTS))
    def report(self, route: tuple[K, str, str], units: int, lot: str) -> None:
        kind, source, target = route
        fact = move(kind, source, target, units, self._name(), lot=lot)
        there = units if source == FOUND else min(units, self.stock[lot, source])
        done = self.store.write_sync(lambda tx: post.post_fact(tx, fact, STAMP))
        if source != FOUND:
            self._break_holds((lot, source), self.stock[lot, source] - there)
        if there < units:
            self.claims.append(((lot, source), target, units - there))
        self._move(lot, source, target, there)
        assert bool(done.unbooked_milli) == (there < units)

    @rule(movement=movements)
    def reverse(self, movement: int) -> None:
        lot, source, target, units = self.moves[movement]
        free = target == DISPENSED or self._free(lot, target) >= units
        try:
            self.store.write_sync(
                lambda tx: post.reverse(
                    tx, movement, request_id=self._name(), occurred_at=NOW, stamp=STAMP
                )
            )
        except Conflict:
            assert movement in self.reversed or not free
            return
        assert movement not in self.reversed
        assert free
        self.reversed.add(movement)
        self._move(lot, target, source, units)

    @rule(
        target=reservations,
        place=st.sampled_from((SHELF, SHELF2, ROBOT)),
        units=Units,
        lot=st.sampled_from(LOTS),
    )
    def reserve(self, place: str, units: int, lot: str) -> object:
        name = self._name()

        def write(tx: Tx) -> int:
            return post.reserve(
                tx,
                dispense_id=order(tx, name),
                item_id=ITEM,
                lot=lot,
                location=place,
                milli=units * 1000,
                request_id=name,
                stamp=STAMP,
                on_date=TODAY,
            )

        try:
            made = self.store.write_sync(write)
        except (BlockedLot, InsufficientStock):
            assert lot in self.blocked or self._free(lot, place) < units
            return multiple()
        assert lot not in self.blocked
        assert self._free(lot, place) >= units
        self.holds[made] = ((lot, place), units)
        return made

    @rule(reservation=reservations, units=Units)
    def take(self, reservation: int, units: int) -> None:
        (lot, place), left = self.holds.get(reservation, ((LOT, SHELF), 0))
        if not left:
            assert self.store.write_sync(lambda tx: post.release(tx, reservation, STAMP)) == 0
            return
        part = min(units, left)
        kind = K.OUTPUT if place == ROBOT else K.PICK
        wanted = move(kind, place, FILL, part, self._name(), lot=lot)
        done = self.store.write_sync(lambda tx: post.take(tx, reservation, wanted, STAMP))
        assert done.unbooked_milli == 0
        self.holds[reservation] = ((lot, place), left - part)
        self._move(lot, place, FILL, part)

    @rule(reservation=reservations)
    def release(self, reservation: int) -> None:
        _, left = self.holds.pop(reservation, ((LOT, SHELF), 0))
        freed = self.store.write_sync(lambda tx: post.release(tx, reservation, STAMP))
        assert freed == left * 1000

    @rule(lot=st.sampled_from(LOTS), state=st.sampled_from((LotState.HOLD, LotState.RELEASED)))
    def block(self, lot: str, state: LotState) -> None:
        self.store.write_sync(lambda tx: catalog.set_lot_state(tx, ITEM, lot, state, STAMP))
        (self.blocked.discard if state is LotState.RELEASED else self.blocked.add)(lot)

    @invariant()
    def nothing_is_lost(self) -> None:
        for place in (*PLACES, REJECTS):
            book = self.store.read_sync(booked(place))
            expected = {
                (ITEM, lot): self.stock[lot, place] * 1000 for lot in LOTS if self.stock[lot, place]
            }
            assert book == expected

    @invariant()
    def nothing_is_promised_twice(self) -> None:
        held: dict[Cell, int] = defaultdict(int)
        for cell, units in self.holds.values():
            held[cell] += units * 1000
        rows = self.store.read_sync(lambda tx: tx.execute(select(t.balance)).all())
        for row in rows:
            assert row.held == held[row.lot, row.location_id]
            assert row.held <= max(row.on_hand, 0)

    def teardown(self) -> None:
        report = self.store.read_sync(audit.verify)
        self.store.close()
        assert report.findings == ()

    # ------------------------------------------------------------ the dict that does the same

    def _name(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def _free(self, lot: str, place: str) -> int:
        held = sum(units for cell, units in self.holds.values() if cell == (lot, place))
        return self.stock[lot, place] - held

    def _move(self, lot: str, source: str, target: str, units: int) -> None:
        if units and not source.startswith("ext:"):
            self.stock[lot, source] -= units
        if units and not target.startswith("ext:"):
            self._arrive(lot, target, units)

    def _arrive(self, lot: str, place: str, units: int) -> None:
        self.stock[lot, place] += units
        for number, (cell, target, left) in enumerate(self.claims):
            part = min(left, self.stock[lot, place])
            if cell == (lot, place) and part:
                self.claims[number] = (cell, target, left - part)
                self._move(lot, place, target, part)

    def _break_holds(self, cell: Cell, on_hand: int) -> None:
        for number in sorted(self.holds, reverse=True):
            held = sum(units for each, units in self.holds.values() if each == cell)
            if self.holds[number][0] == cell and self.holds[number][1] and held > on_hand:
                self.holds[number] = (cell, 0)


def test_a_random_life_of_the_ledger_is_that_of_a_dict(
    new_ledger: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    examples = 8 if request.node.callspec.params["new_ledger"] == "sqlite" else 3
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", lambda: LedgerMachine(new_ledger())),
        settings=settings(max_examples=examples, stateful_step_count=30),
    )
