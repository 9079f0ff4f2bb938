"""Rules of a pharmacy's random life: stock that people move, and fills from order to patient."""

from collections import defaultdict
from datetime import date

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule
from sqlalchemy import select

from dispensed.errors import Conflict, DeviceProblem, Invalid
from dispensed.ledger import tables as t
from dispensed.ledger.catalog import LotRecalled
from dispensed.ledger.post import BlockedLot, InsufficientStock
from dispensed.model.dispensing import CountDiffers
from dispensed.services import (
    carrying,
    dispensing,
    receiving,
    releasing,
    returning,
    stock,
)
from tests.system.pharmacy_bench import (
    LOTS,
    OPIOID,
    PACK,
    RECEIVING,
    ROBOT,
    SHELF,
    SHELF2,
    TABLET,
    WITNESS_S,
    Pharmacy,
)
from tests.system.pharmacy_book import Book, Cell, Fill, Hold, Lot

DISPENSED = "ext:dispensed"
BINS = st.sampled_from((SHELF, SHELF2))
BOTH = st.sampled_from((TABLET, OPIOID))
LOT = st.sampled_from(tuple(LOTS))
UNITS = st.integers(1, 30)
YES = st.booleans()


class FillRules(RuleBasedStateMachine):
    """What people do with stock and fills; each rule does the same with the dicts."""

    fills = Bundle("fills")

    def __init__(self) -> None:
        super().__init__()
        self.shop = Pharmacy()
        self.site = self.shop.site
        self.book = Book()
        self.number = 0

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    # ------------------------------------------------------------ stock by people

    @rule(lot=LOT, place=st.sampled_from((SHELF, RECEIVING)), units=UNITS, again=YES)
    def receive(self, lot: Lot, place: str, units: int, again: bool) -> None:  # noqa: FBT001
        is_opioid = lot[0] == OPIOID
        asked = receiving.Receive(
            request_id=self.name(),
            quantity=str(units),
            item_id=lot[0],
            lot=lot[1],
            expiry=LOTS[lot],
            location=place,
            opening=is_opioid,
        )
        first = self.shop.run(receiving.receive(self.site, asked, "tess"))
        if again:
            same = self.shop.run(receiving.receive(self.site, asked, "tess"))
            assert (same.movement_id, same.repeated) == (first.movement_id, True)
        self.book.move(lot, "ext:opening" if is_opioid else "ext:supplier", place, units)

    @rule(
        lot=LOT,
        ends=st.sampled_from(
            ((SHELF, SHELF2), (SHELF2, SHELF), (RECEIVING, SHELF), (SHELF, RECEIVING))
        ),
        units=UNITS,
    )
    def transfer(self, lot: Lot, ends: tuple[str, str], units: int) -> None:
        source, target = ends
        asked = stock.Transfer(*lot, source, target, str(units), self.name())
        if self.book.free((*lot, source)) < units:
            with pytest.raises(InsufficientStock):
                self.shop.run(stock.transfer(self.site, asked, "tess"))
            return
        self.shop.run(stock.transfer(self.site, asked, "tess"))
        self.book.move(lot, source, target, units)

    @rule(lot=LOT, state=st.sampled_from(("hold", "quarantine", "released")))
    def set_lot_state(self, lot: Lot, state: str) -> None:
        work = stock.set_lot_state(self.site, *lot, state, "a look at it", "pat")
        if self.book.recalled(lot):
            with pytest.raises(LotRecalled):
                self.shop.run(work)
            return
        self.shop.run(work)
        self.book.blocked[lot] = state
        if state == "released":
            del self.book.blocked[lot]

    @rule(seconds=st.sampled_from((30, WITNESS_S + 60, 25 * 24 * 3600)))
    def time_passes(self, seconds: int) -> None:
        self.shop.clock.skip(seconds)

    # ------------------------------------------------------------ fills

    @rule(target=fills, item_id=BOTH, units=UNITS, further=st.integers(0, 3))
    def order_by_hand(self, item_id: str, units: int, further: int) -> int:
        return self._order(item_id, units, "hand", further)

    @rule(
        target=fills,
        item_id=BOTH,
        packs=st.integers(1, 3),
        fault=st.sampled_from(("", "", "refused", "silent")),
        further=st.integers(0, 2),
    )
    def order_from_the_robot(self, item_id: str, packs: int, fault: str, further: int) -> int:
        self.shop.robot.fault = fault
        return self._order(item_id, packs * PACK, "cabinet", further)

    def _order(self, item_id: str, units: int, route: str, further: int) -> int:
        """Order a fill and do with it so many things further that come next."""
        name = self.name()
        asked = dispensing.Order(name, item_id, str(units), "p1", name, route=route)
        row = self.shop.run(dispensing.request(self.site, asked, "tess"))
        self.book.fills[row.id] = Fill(item_id, units, by_robot=route == "cabinet")
        self._carry(row.id)
        for _ in range(further):
            self._next(row.id)
        return row.id

    @rule(fill=fills)
    def go_on(self, fill: int) -> None:
        """Do what comes next, as far as things go well."""
        self.shop.robot.fault = ""
        for _ in range(3):
            self._next(fill)

    def _next(self, number: int) -> None:
        fill = self.book.fills[number]
        match fill.state:
            case "commanded":
                self._count(number, fill.units)
            case "counted" if fill.counted < fill.units:
                self._carry(number)
            case "counted":
                self._verify(number)
            case "verified":
                self._hand_out(number)
            case "in_doubt":
                self._ask(number)
            case _:
                pass

    @rule(fill=fills)
    def try_again(self, fill: int) -> None:
        self.shop.robot.fault = ""
        self._carry(fill)

    def _carry(self, number: int) -> None:
        """Reserve and command; a robot does its work at once, a person when asked."""
        fill = self.book.fills[number]
        wanted = fill.units - fill.counted
        if fill.state not in ("requested", "counted") or wanted <= 0:
            self.shop.run(carrying.carry(self.site, number))
            return
        free = self.book.promisable(fill.item_id, self.site.today(), robot=fill.by_robot)
        whole = {cell: n // PACK * PACK if fill.by_robot else n for cell, n in free.items()}
        row = self.shop.run(carrying.carry(self.site, number))
        is_possible = sum(whole.values()) >= wanted and not (fill.by_robot and wanted % PACK)
        if is_possible:
            self._promised(number, whole, wanted)
        if is_possible and fill.by_robot:
            self._robot_did(number)
        elif is_possible:
            fill.state = "commanded"
        assert row.state == fill.state

    def _promised(self, number: int, free: dict[Cell, int], wanted: int) -> None:
        """Take over which cells were promised, if the earliest-expiring ones were."""
        query = (
            select(t.reservation)
            .where(t.reservation.c.dispense_id == number)
            .order_by(t.reservation.c.id)
        )
        rows = self.shop.store.read_sync(lambda tx: tx.execute(query).all())
        new = rows[sum(hold.fill == number for hold in self.book.holds) :]
        got: dict[Cell, int] = defaultdict(int)
        for row in new:
            cell = (row.item_id, row.lot, row.location_id)
            got[cell] += row.milli // 1000
            self.book.holds.append(Hold(number, cell, row.milli // 1000))
        assert sum(got.values()) == wanted
        assert all(units <= free.get(cell, 0) for cell, units in got.items())
        last = max(self.book.expiry[cell[:2]] for cell in got)
        for cell, units in free.items():
            assert self.book.expiry[cell[:2]] >= last or got[cell] == units

    def _robot_did(self, number: int) -> None:
        fill, robot = self.book.fills[number], self.shop.robot
        fill.state = "commanded"
        if robot.fault == "silent":
            fill.state = "in_doubt"
            return
        before = fill.counted
        if robot.fault != "refused":
            for pack in next(reversed(robot.given.values())):
                self.book.gave(number, (pack.article, pack.lot), PACK)
        self.book.conclude(number)
        if robot.fault != "refused" and fill.counted < fill.units:
            assert fill.counted >= before
            self._compared()

    @rule(fill=fills, units=st.integers(0, 35))
    def count_by_hand(self, fill: int, units: int) -> None:
        self._count(fill, units)

    def _count(self, fill: int, wanted: int) -> None:
        row = self.book.fills[fill]
        work = dispensing.count_by_hand(self.site, fill, str(wanted), "tess", "counted")
        can = row.state == "in_doubt" or (row.state == "commanded" and not row.by_robot)
        if not can and row.state == "counted":
            work.close()  # a recount by reversals has tests of its own
            return
        more = wanted - row.counted
        if can and more < 0:
            work.close()
            return
        if not can or more > sum(hold.left for hold in self.book.holds_of(fill)):
            with pytest.raises(Conflict):
                self.shop.run(work)
            return
        self.shop.run(work)
        self.book.take_held(fill, more)
        self.book.conclude(fill)

    def _ask(self, fill: int) -> None:
        unsaid = {message.key for message in self.shop.robot.unsaid}
        last = [key for key in self.shop.robot.given if key.startswith(f"{fill}-")][-1]
        if f"out:{last}" in unsaid and self.shop.robot.given[last]:
            with pytest.raises(DeviceProblem):
                self.shop.run(dispensing.resolve(self.site, fill, "tess"))
            return
        self.shop.run(dispensing.resolve(self.site, fill, "tess"))
        self.book.conclude(fill)

    @rule(fill=fills)
    def verify(self, fill: int) -> None:
        self._verify(fill)

    def _verify(self, fill: int) -> None:
        row = self.book.fills[fill]
        work = dispensing.verify(self.site, fill, "pat")
        if row.state == "counted" and row.counted != row.units:
            with pytest.raises(CountDiffers):
                self.shop.run(work)
        elif row.state == "counted" and not self.book.tray_is_usable(fill, self.site.today()):
            with pytest.raises(BlockedLot):
                self.shop.run(work)
        elif row.state == "counted":
            self.shop.run(work)
            row.state = "verified"
        else:
            with pytest.raises(Conflict):
                self.shop.run(work)

    @rule(fill=fills)
    def hand_out(self, fill: int) -> None:
        self._hand_out(fill)

    def _hand_out(self, fill: int) -> None:
        row = self.book.fills[fill]
        work = releasing.release(self.site, fill, "pat")
        if row.state != "verified":
            with pytest.raises(Conflict):
                self.shop.run(work)
        elif not self.book.tray_is_usable(fill, self.site.today()):
            with pytest.raises(BlockedLot):
                self.shop.run(work)
        elif not self.book.tray_can_give(fill):
            with pytest.raises(InsufficientStock):
                self.shop.run(work)
        else:
            self.shop.run(work)
            self.book.empty_tray(fill, to_patient=True)
            row.state = "settled"

    @rule(fill=fills)
    def void(self, fill: int) -> None:
        row = self.book.fills[fill]
        work = dispensing.void(self.site, fill, "not wanted", "tess")
        if row.state in ("settled", "voided", "in_doubt"):
            with pytest.raises(Conflict):
                self.shop.run(work)
        elif not self.book.tray_can_give(fill):
            with pytest.raises(InsufficientStock):
                self.shop.run(work)
        else:
            self.shop.run(work)
            self.book.let_go(fill)
            self.book.empty_tray(fill, to_patient=False)
            row.state = "voided"

    @rule(fill=fills, part=st.none() | st.integers(1, 15), sealed=YES, where=BINS)
    def return_to_stock(self, fill: int, part: int | None, sealed: bool, where: str) -> None:  # noqa: FBT001
        row = self.book.fills[fill]
        outside = {lot: units for lot, units in self.book.outside(fill).items() if units}
        lot = min(outside, default="")
        out = outside.get(lot, 0)
        part = out or 1 if part is None else part
        asked = returning.Return(
            self.name(), fill, where, "not picked up", lot or None, str(part), sealed=sealed
        )
        if row.state != "settled" or part > out:
            with pytest.raises((Conflict, Invalid)):
                self.shop.run(returning.return_to_stock(self.site, asked, "tess"))
            return
        done = self.shop.run(returning.return_to_stock(self.site, asked, "tess"))
        key, last = (row.item_id, lot), done.use_by
        assert last is not None
        assert done.target == self.book.comes_back_to(key, last, self.site.today(), where)
        self.book.move(key, DISPENSED, done.target, part)
        for at in row.parts:
            if at[0] == lot and part:
                less = min(part, row.parts[at])
                row.parts[at] -= less
                part -= less
        if done.to_lot != lot:
            self._made((row.item_id, done.to_lot), key, last)
            units = done.milli // 1000
            self.book.move(key, done.target, "ext:repack", units)
            self.book.move((row.item_id, done.to_lot), "ext:repack", done.target, units)

    def _made(self, child: Lot, parent: Lot, last: date) -> None:
        """Note a lot that was made of another one."""
        assert last <= self.book.expiry[parent]
        self.book.expiry[child] = last
        self.book.parents[child] = parent

    def _compared(self) -> None:
        """Note what a comparison of the robot with the book must have found."""
        really: dict[Lot, int] = defaultdict(int)
        for what in self.shop.robot.packs.values():
            really[what] += PACK
        here = {cell[:2] for cell, n in self.book.cells.items() if cell[2] == ROBOT and n}
        for lot in here | set(really) | set(self.book.snapshot):
            differs = really[lot] - self.book.cells[*lot, ROBOT]
            if differs or (lot in self.book.snapshot and lot[0] == OPIOID):
                self.book.snapshot[lot] = differs
            else:
                self.book.snapshot.pop(lot, None)
        open_ones = select(t.discrepancy).where(
            t.discrepancy.c.kind == "snapshot", t.discrepancy.c.state == "open"
        )
        rows = self.shop.store.read_sync(lambda tx: tx.execute(open_ones).all())
        found = {(row.item_id, row.lot): row.difference // 1000 for row in rows}
        assert found == self.book.snapshot
