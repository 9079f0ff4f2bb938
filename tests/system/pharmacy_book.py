"""What a pharmacy's ledger should hold, kept in dicts by the plainest means.

Whole units only. A movement is two additions; what machines took beyond the book is a claim that
later arrivals pay; a place that loses what was promised breaks the youngest promise first.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from tests.system.pharmacy_bench import FILL, LOTS, OUTDATE, ROBOT, SHELF, SHELF2, STOCK

Lot = tuple[str, str]
Cell = tuple[str, str, str]
BINS = (SHELF, SHELF2)


@dataclass
class Hold:
    """Units of a cell that are promised to a fill."""

    fill: int
    cell: Cell
    left: int


@dataclass
class Claim:
    """Units that a machine took although the book had none."""

    cell: Cell
    target: str
    left: int
    fill: int | None


@dataclass
class Fill:
    """One order; `parts` is what lies in the tray for it by lot and place of origin."""

    item_id: str
    units: int
    state: str = "requested"
    by_robot: bool = False
    parts: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        return sum(self.parts.values())

    @property
    def ended(self) -> bool:
        return self.state in ("verified", "settled", "voided")


class Book:
    """The dicts."""

    def __init__(self) -> None:
        self.cells: dict[Cell, int] = defaultdict(int)
        for (item_id, lot, place), units in STOCK.items():
            self.cells[item_id, lot, place] = units
            self.cells[item_id, lot, "ext:opening"] -= units
        self.expiry: dict[Lot, date] = dict(LOTS)
        self.blocked: dict[Lot, str] = {}
        self.parents: dict[Lot, Lot] = {}
        self.recalls: dict[int, Lot] = {}
        self.holds: list[Hold] = []
        self.claims: list[Claim] = []
        self.fills: dict[int, Fill] = {}
        self.snapshot: dict[Lot, int] = {}

    # ------------------------------------------------------------ questions

    def held(self, cell: Cell) -> int:
        return sum(hold.left for hold in self.holds if hold.cell == cell)

    def free(self, cell: Cell) -> int:
        return self.cells[cell] - self.held(cell)

    def usable(self, lot: Lot, today: date) -> bool:
        return lot not in self.blocked and self.expiry[lot] >= today

    def promisable(self, item_id: str, today: date, *, robot: bool) -> dict[Cell, int]:
        """What may be promised of an item: free, usable, and not said to be missing."""
        found = {}
        for cell in list(self.cells):
            place = cell[2]
            if cell[0] != item_id or (place != ROBOT if robot else place not in BINS):
                continue
            missing = max(0, -self.snapshot.get(cell[:2], 0)) if robot else 0
            units = self.free(cell) - missing
            if units > 0 and self.usable(cell[:2], today):
                found[cell] = units
        return found

    def descends(self, lot: Lot) -> set[Lot]:
        """A lot and all that was made of it."""
        found = {lot}
        while more := {child for child, parent in self.parents.items() if parent in found} - found:
            found |= more
        return found

    def recalled(self, lot: Lot) -> bool:
        """Whether an open recall stops a lot or one that it was made of."""
        return any(lot in self.descends(named) for named in self.recalls.values())

    # ------------------------------------------------------------ movements

    def move(self, lot: Lot, source: str, target: str, units: int) -> None:
        """Book a movement, and pay what waits for stock where it arrives."""
        if not units:
            return
        self.cells[*lot, source] -= units
        self.cells[*lot, target] += units
        for claim in self.claims:
            part = min(claim.left, max(0, self.cells[claim.cell]))
            if claim.cell == (*lot, target) and part:
                claim.left -= part
                self.move(lot, target, claim.target, part)

    def lose(self, lot: Lot, source: str, target: str, units: int, fill: int | None = None) -> None:
        """Book what is said to have left a place: the book's part now, the rest as a claim."""
        cell = (*lot, source)
        there = min(units, self.cells[cell])
        for hold in reversed(self.holds):
            if hold.cell == cell and self.held(cell) > self.cells[cell] - there:
                hold.left = 0
        if there < units:
            self.claims.append(Claim(cell, target, units - there, fill))
        self.move(lot, source, target, there)

    # ------------------------------------------------------------ fills

    def holds_of(self, number: int) -> list[Hold]:
        return [hold for hold in self.holds if hold.fill == number and hold.left]

    def let_go(self, number: int) -> None:
        for hold in self.holds_of(number):
            hold.left = 0

    def put_in_tray(self, number: int, lot: str, origin: str, units: int) -> None:
        parts = self.fills[number].parts
        parts[lot, origin] = parts.get((lot, origin), 0) + units

    def take_held(self, number: int, units: int) -> None:
        """Move what is held for a fill into its tray, in the order in which it was promised."""
        item_id = self.fills[number].item_id
        for hold in self.holds_of(number):
            part = min(hold.left, units)
            if part:
                hold.left -= part
                units -= part
                lot, origin = hold.cell[1:]
                self.move((item_id, lot), origin, FILL, part)
                self.put_in_tray(number, lot, origin, part)

    def conclude(self, number: int) -> None:
        """End the command of a fill: what was picked counts, the rest is let go."""
        self.let_go(number)
        fill = self.fills[number]
        fill.state = "counted" if fill.counted else "requested"

    def gave(self, number: int | None, lot: Lot, units: int) -> None:
        """Book that the robot put out a lot, for a fill under way or for nobody."""
        if number is not None and self.fills[number].ended:
            number = None
        if number is None:
            self.lose(lot, ROBOT, FILL, units)
            return
        self.put_in_tray(number, lot[1], ROBOT, units)
        for hold in self.holds_of(number):
            part = min(hold.left, units)
            if hold.cell == (*lot, ROBOT) and part:
                hold.left -= part
                units -= part
                self.move(lot, ROBOT, FILL, part)
        if units:
            self.lose(lot, ROBOT, FILL, units, number)

    def tray_can_give(self, number: int) -> bool:
        """Whether the book holds, in the tray, all that lies there for a fill."""
        fill = self.fills[number]
        wanted: dict[str, int] = defaultdict(int)
        for (lot, _), units in fill.parts.items():
            wanted[lot] += units
        return all(self.cells[fill.item_id, lot, FILL] >= n for lot, n in wanted.items())

    def empty_tray(self, number: int, *, to_patient: bool) -> None:
        fill = self.fills[number]
        for (lot, origin), units in sorted(fill.parts.items()):
            back = origin if origin in BINS else "receiving"
            self.move((fill.item_id, lot), FILL, "ext:dispensed" if to_patient else back, units)

    def tray_is_usable(self, number: int, today: date) -> bool:
        fill = self.fills[number]
        return all(self.usable((fill.item_id, lot), today) for lot, _ in fill.parts)

    def outside(self, number: int) -> dict[str, int]:
        """What the patient of a settled fill has, by lot."""
        found: dict[str, int] = defaultdict(int)
        for (lot, _), units in self.fills[number].parts.items():
            found[lot] += units
        return found

    def balances(self) -> dict[Cell, int]:
        return {cell: units for cell, units in self.cells.items() if units}

    def comes_back_to(self, lot: Lot, last: date, today: date, asked: str) -> str:
        """Where a returned lot must go."""
        ancestry = {lot}
        while (
            above := {self.parents[each] for each in ancestry if each in self.parents}
        ) - ancestry:
            ancestry |= above
        recalled = any(self.blocked.get(each) == "recalled" for each in ancestry)
        return asked if last >= today and lot not in self.blocked and not recalled else OUTDATE
