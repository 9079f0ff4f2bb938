"""A random life of a whole pharmacy against dicts: its services, its people, a faulty robot.

Whatever happens, and in whatever order, every balance and every hold is what the dicts say.
"""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from dispensed.errors import Conflict
from dispensed.ledger import tables as t
from dispensed.ledger.catalog import LotRecalled
from dispensed.ledger.post import BlockedLot, InsufficientStock
from dispensed.model.controlled import MoreThanOpen, WitnessIsAuthor, WitnessTooLate
from dispensed.model.counting import CountKind, CountState, SamePerson
from dispensed.model.repacking import NotConserved
from dispensed.services import (
    batching,
    counting,
    custody,
    inbox,
    recalls,
    reconciling,
    repacking,
)
from dispensed.services.repacking import CheckedByPacker, WasteNotWitnessed
from tests.ledger.truth import check_ledger
from tests.system.pharmacy_bench import (
    HAND,
    OPIOID,
    OUTDATE,
    PACK,
    RECEIVING,
    ROBOT,
    SHELF,
    WITNESS_S,
    said,
    stored,
)
from tests.system.pharmacy_book import Cell, Lot
from tests.system.pharmacy_rules import BINS, DISPENSED, LOT, UNITS, YES, FillRules

EXAMPLES = 500
STEPS = 15
PEOPLE = ("tess", "pat", "wim")
PERSON = st.sampled_from(PEOPLE)
PACKS = st.lists(LOT, min_size=1, max_size=3)
UNIT = 5
"""Pieces in a unit of a repack run."""


class PharmacyMachine(FillRules):
    """Counts, wastes, removals, recalls, repacks, batches and a robot with a will of its own."""

    fills = FillRules.fills
    counts = Bundle("counts")
    wastes = Bundle("wastes")
    removals = Bundle("removals")
    runs = Bundle("runs")
    cases = Bundle("cases")

    def __init__(self) -> None:
        super().__init__()
        self.counted: dict[int, tuple[Cell, list[str]]] = {}
        self.wasted: dict[int, tuple[Cell, int, str, float, int | None]] = {}
        self.taken: dict[int, list[object]] = {}

    # ------------------------------------------------------------ the robot

    @rule(packs=PACKS, times=st.integers(1, 3), order=st.sampled_from(("999-100", "front desk")))
    def the_robot_gives_what_nobody_ordered(self, packs: list[Lot], times: int, order: str) -> None:
        """It is reported once or more; what the robot gives, it has, or makes up."""
        out = [pack for lot in packs for pack in self.shop.robot.put_out(*lot, 1)]
        made_up = self.shop.robot.pack(self.name(), *packs[0])
        message = said(f"{order}:{self.name()}", (*out, made_up))
        for _ in range(times):
            self.shop.run(inbox.deliver(self.site, ROBOT, message))
        for pack in (*out, made_up):
            self.book.gave(None, (pack.article, pack.lot), PACK)

    @rule(packs=PACKS, data=st.data())
    def packs_are_put_into_the_robot(self, packs: list[Lot], data: st.DataObject) -> None:
        """The messages come in any order, some twice."""
        names = [self.name() for _ in packs]
        messages = [stored(name, *lot) for name, lot in zip(names, packs, strict=True)]
        self.shop.robot.packs.update(zip(names, packs, strict=True))
        order = data.draw(st.permutations(range(len(packs))))
        for number in (*order, order[0]):
            self.shop.run(inbox.deliver(self.site, ROBOT, messages[number]))
        for number in order:
            lot = packs[number]
            received = min(PACK, self.book.free((*lot, RECEIVING)))
            self.book.move(lot, RECEIVING, ROBOT, received)
            self.book.move(lot, "ext:found", ROBOT, PACK - received)

    @rule(lot=LOT)
    def a_pack_vanishes(self, lot: Lot) -> None:
        self.shop.robot.put_out(*lot, 1)

    @rule()
    def what_was_not_said_arrives_late(self) -> None:
        messages, self.shop.robot.unsaid = self.shop.robot.unsaid, []
        for message in reversed(messages):
            order = message.key.removeprefix("out:")
            self.shop.run(inbox.deliver(self.site, ROBOT, message))
            for pack in self.shop.robot.given[order]:
                self.book.gave(int(order.partition("-")[0]), (pack.article, pack.lot), PACK)

    @rule()
    def the_robot_is_compared(self) -> None:
        (report,) = self.shop.run(reconciling.reconcile(self.site, ROBOT))
        assert report.settled
        self._compared()

    # ------------------------------------------------------------ counts

    @rule(target=counts, lot=LOT, place=BINS, blind=YES)
    def ask_for_a_count(self, lot: Lot, place: str, blind: bool) -> int:  # noqa: FBT001
        asked = counting.Ask(CountKind.CYCLE, place, self.name(), *lot, blind=blind)
        detail = self.shop.run(counting.open_count(self.site, asked, "pat"))
        self.counted[detail.task.id] = ((*lot, place), [])
        assert (detail.expected is None) == blind
        return detail.task.id

    @rule(task=counts, error=st.integers(-20, 8), person=PERSON)
    def count(self, task: int, error: int, person: str) -> None:
        cell, people = self.counted[task]
        there = self.book.cells[cell]
        counted = max(0, there + error)
        answer = counting.Answer((counting.Counted(str(counted)),), self.name())
        work = counting.submit(self.site, task, answer, person)
        if "done" in people or person in people:
            with pytest.raises(Conflict if "done" in people else SamePerson):
                self.shop.run(work)
            return
        state = self.shop.run(work).task.state
        variance = counted - there
        is_opioid = cell[0] == OPIOID
        is_large = abs(variance) > (0 if is_opioid or not there else 5)
        people.append(person)
        if is_large and len(people) == 1:
            assert state is CountState.RECOUNT
            return
        assert state is CountState.CLOSED
        people.append("done")
        if variance > 0 and not is_opioid:
            self.book.move(cell[:2], "ext:found", cell[2], variance)
        elif variance < 0 and not is_opioid:
            self.book.lose(cell[:2], cell[2], "ext:loss", -variance)

    # ------------------------------------------------------------ waste and custody

    @rule(target=wastes, lot=LOT, place=BINS, units=UNITS, person=PERSON)
    def waste(self, lot: Lot, place: str, units: int, person: str) -> object:
        cell = (*lot, place)
        asked = custody.Discard(
            self.name(), str(units), "dropped", item_id=lot[0], lot=lot[1], location=place
        )
        if self.book.free(cell) < units:
            with pytest.raises(InsufficientStock):
                self.shop.run(custody.state_waste(self.site, asked, person))
            return multiple()
        row = self.shop.run(custody.state_waste(self.site, asked, person))
        return self._stated(row.id, cell, units, person, None)

    def _stated(
        self, number: int, cell: Cell, units: int, person: str, removal: int | None
    ) -> object:
        if cell[0] != OPIOID:
            self.book.move(cell[:2], cell[2], "ext:waste", units)
            return multiple()
        self.wasted[number] = (cell, units, person, self.shop.clock.at.timestamp(), removal)
        return number

    @rule(waste=consumes(wastes), person=PERSON)
    def witness(self, waste: int, person: str) -> None:
        cell, units, author, stated, removal = self.wasted[waste]
        work = custody.witness(self.site, waste, person)
        if person == author:
            with pytest.raises(WitnessIsAuthor):
                self.shop.run(work)
        elif self.shop.clock.at.timestamp() - stated > WITNESS_S:
            with pytest.raises(WitnessTooLate):
                self.shop.run(work)
        elif removal is not None and self._open(removal) < units:
            with pytest.raises(MoreThanOpen):
                self.shop.run(work)
        elif self.book.free(cell) < units:
            with pytest.raises(InsufficientStock):
                self.shop.run(work)
        else:
            assert self.shop.run(work).witness == person
            self.book.move(cell[:2], cell[2], "ext:waste", units)
            if removal is not None:
                self.taken[removal][1] = self._open(removal) - units

    def _open(self, removal: int) -> int:
        units = self.taken[removal][1]
        assert isinstance(units, int)
        return units

    def _lot_of(self, removal: int) -> Lot:
        lot = self.taken[removal][0]
        assert isinstance(lot, tuple)
        return lot

    @rule(target=removals, lot=LOT, place=BINS, units=st.integers(1, 4), person=PERSON)
    def take_into_the_hand(self, lot: Lot, place: str, units: int, person: str) -> object:
        asked = custody.Take(self.name(), *lot, place, str(units), "p1", order_ref="o1")
        work = custody.take(self.site, asked, person)
        if not self.book.usable(lot, self.site.today()):
            with pytest.raises(BlockedLot):
                self.shop.run(work)
            return multiple()
        if self.book.free((*lot, place)) < units:
            with pytest.raises(InsufficientStock):
                self.shop.run(work)
            return multiple()
        number = self.shop.run(work).id
        self.book.move(lot, place, HAND, units)
        self.taken[number] = [lot, units]
        return number

    @rule(removal=removals, units=st.integers(1, 4))
    def give(self, removal: int, units: int) -> None:
        lot = self._lot_of(removal)
        work = custody.give(self.site, removal, str(units), self.name(), "tess")
        if units > self._open(removal):
            with pytest.raises(MoreThanOpen):
                self.shop.run(work)
        elif not self.book.usable(lot, self.site.today()):
            with pytest.raises(BlockedLot):
                self.shop.run(work)
        else:
            row = self.shop.run(work)
            self._less(removal, units)
            assert row.remaining == self._open(removal) * 1000
            self.book.move(lot, HAND, DISPENSED, units)

    @rule(removal=removals, units=st.integers(1, 4), place=BINS)
    def bring_back(self, removal: int, units: int, place: str) -> None:
        lot = self._lot_of(removal)
        work = custody.bring_back(self.site, removal, str(units), place, self.name(), "tess")
        if units > self._open(removal):
            with pytest.raises(MoreThanOpen):
                self.shop.run(work)
            return
        self.shop.run(work)
        self._less(removal, units)
        self.book.move(lot, HAND, place, units)

    @rule(target=wastes, removal=removals, units=st.integers(1, 4), person=PERSON)
    def waste_from_the_hand(self, removal: int, units: int, person: str) -> object:
        asked = custody.Discard(self.name(), str(units), "not needed", removal_id=removal)
        work = custody.state_waste(self.site, asked, person)
        if units > self._open(removal):
            with pytest.raises(MoreThanOpen):
                self.shop.run(work)
            return multiple()
        row = self.shop.run(work)
        lot = self._lot_of(removal)
        if lot[0] != OPIOID:
            self._less(removal, units)
        return self._stated(row.id, (*lot, HAND), units, person, removal)

    def _less(self, removal: int, units: int) -> None:
        self.taken[removal][1] = self._open(removal) - units

    # ------------------------------------------------------------ recalls

    @rule(target=cases, lot=LOT)
    def recall(self, lot: Lot) -> int:
        asked = recalls.Recall(self.name(), "II", "failed dissolution", lot[1], item_id=lot[0])
        case = self.shop.run(recalls.open_recall(self.site, asked, "pat"))
        stopped = self.book.descends(lot)
        self.book.recalls[case.id] = lot
        self.book.blocked.update(dict.fromkeys(stopped, "recalled"))
        for number, fill in self.book.fills.items():
            mine = self.book.holds_of(number)
            if fill.state == "commanded" and any(hold.cell[:2] in stopped for hold in mine):
                self.book.let_go(number)
                fill.state = "requested"
        return case.id

    @rule(case=consumes(cases))
    def end_the_recall(self, case: int) -> None:
        self.shop.run(recalls.close_recall(self.site, case, "all is back", "pat"))
        del self.book.recalls[case]

    # ------------------------------------------------------------ repacks

    @rule(
        target=runs,
        lot=LOT,
        units=st.integers(1, 4),
        waste=st.integers(0, 2),
        samples=st.integers(0, 1),
        wrong=st.sampled_from((0, 0, 0, 1)),
    )
    def repack(self, lot: Lot, units: int, waste: int, samples: int, wrong: int) -> object:
        plan = repacking.Plan(self.name(), *lot, SHELF, units, str(UNIT), "blister")
        work = repacking.plan(self.site, plan, "tess")
        if not self.book.usable(lot, self.site.today()):
            with pytest.raises(BlockedLot):
                self.shop.run(work)
            return multiple()
        run = self.shop.run(work)
        self.shop.run(repacking.start(self.site, run.id, repacking.Step(self.name()), "tess"))
        bulk = units * UNIT + waste + samples
        packed = repacking.Packed(self.name(), str(bulk + wrong), units, str(waste), str(samples))
        packing = repacking.pack(self.site, run.id, packed, "tess")
        if wrong:
            with pytest.raises(NotConserved):
                self.shop.run(packing)
            return multiple()
        if waste and lot[0] == OPIOID:
            with pytest.raises(WasteNotWitnessed):
                self.shop.run(packing)
            return multiple()
        if self.book.free((*lot, SHELF)) < bulk:
            with pytest.raises(InsufficientStock):
                self.shop.run(packing)
            return multiple()
        done = self.shop.run(packing)
        child = (lot[0], done.child_lot)
        assert done.use_by is not None
        self._made(child, lot, done.use_by)
        self.book.blocked[child] = "quarantine"
        self.book.move(lot, SHELF, "ext:repack", units * UNIT)
        self.book.move(lot, SHELF, "ext:waste", waste)
        self.book.move(lot, SHELF, "ext:sample", samples)
        self.book.move(child, "ext:repack", SHELF, units * UNIT)
        return (run.id, child)

    @rule(run=consumes(runs))
    def release_the_run(self, run: tuple[int, Lot]) -> None:
        number, child = run
        step = repacking.Step(self.name())
        with pytest.raises(CheckedByPacker):
            self.shop.run(repacking.check(self.site, number, step, "tess"))
        self.shop.run(repacking.check(self.site, number, step, "pat"))
        work = repacking.release(self.site, number, repacking.Step(self.name()), "pat")
        parent = self.book.parents[child]
        if "recalled" in (self.book.blocked.get(parent), self.book.blocked.get(child)):
            with pytest.raises((BlockedLot, LotRecalled)):
                self.shop.run(work)
            return
        self.shop.run(work)
        del self.book.blocked[child]

    # ------------------------------------------------------------ batches that leave

    @rule(
        lot=LOT,
        place=st.sampled_from((SHELF, OUTDATE)),
        units=UNITS,
        kind=st.sampled_from(("return", "reverse_distributor", "destruction")),
        leaves=YES,
    )
    def batch(self, lot: Lot, place: str, units: int, kind: str, leaves: bool) -> None:  # noqa: FBT001
        run, site = self.shop.run, self.site
        made = run(batching.open_batch(site, batching.NewBatch(kind, "them"), "pat"))
        number = made.row.id
        asked = batching.Pack(number, *lot, str(units), self.name(), source=place)
        if self.book.free((*lot, place)) < units:
            with pytest.raises(InsufficientStock):
                run(batching.pack(site, asked, "pat"))
            return
        packed = run(batching.pack(site, asked, "pat"))
        if not leaves:
            run(batching.unpack(site, number, packed.lines[0].id, "it stays", "pat"))
            return
        sealed = run(batching.seal(site, number, "form 1", "pat"))
        for person in PEOPLE[: sealed.persons_needed]:
            run(batching.leave(site, number, person, method="incineration"))
        accounts = {"return": "supplier", "reverse_distributor": "reverse-distributor"}
        self.book.move(lot, place, f"ext:{accounts.get(kind, kind)}", units)

    # ------------------------------------------------------------ always so

    @invariant()
    def the_ledger_is_that_of_the_dicts(self) -> None:
        """Every balance, every hold, and how every fill stands."""
        rows, fills = self.shop.store.read_sync(
            lambda tx: (tx.execute(select(t.balance)).all(), tx.execute(select(t.dispense)).all())
        )
        cells = {(row.item_id, row.lot, row.location_id): row for row in rows}
        on_hand = {cell: row.on_hand / 1000 for cell, row in cells.items() if row.on_hand}
        assert on_hand == self.book.balances()
        promised: dict[Cell, int] = defaultdict(int)
        for hold in self.book.holds:
            promised[hold.cell] += hold.left
        held = {cell: row.held / 1000 for cell, row in cells.items() if row.held}
        assert held == {cell: units for cell, units in promised.items() if units}
        states = {number: fill.state for number, fill in self.book.fills.items()}
        assert {row.id: row.state for row in fills} == states

    def teardown(self) -> None:
        check_ledger(self.shop.store, on_date=self.site.today())


def live(examples: int, *, chosen: int | None = None, steps: int = STEPS) -> None:
    """Let so many pharmacies live so many steps each: always the same ones, or by a chosen seed."""

    class Chosen(PharmacyMachine):
        """The machine, to be given a seed."""

    run_state_machine_as_test(
        PharmacyMachine if chosen is None else seed(chosen)(Chosen),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=chosen is None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_random_life_of_a_pharmacy_is_that_of_dicts() -> None:
    live(EXAMPLES)
