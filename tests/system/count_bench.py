"""A small pharmacy to count in: a clock that is set, a robot and a scale that do as told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import cast
from zoneinfo import ZoneInfo

from dispensed.errors import DeviceProblem
from dispensed.ledger import catalog, discrepancies, post, read
from dispensed.ledger import tables as t
from dispensed.ledger.cases import CaseRow
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import Location, LocationKind
from dispensed.model.counting import CountKind, CountPolicy
from dispensed.model.movement import MovementKind
from dispensed.services import counting
from dispensed.services import discrepancies as services
from dispensed.services.changes import Changes
from dispensed.services.counting import Answer, Ask, CountDetail, Counted
from dispensed.services.site import Site
from drivers.base import Cabinet, Scale, Snapshot, WeightReading
from drivers.errors import DriverError
from drivers.facts import Pack
from tests.ledger.book import CONTROLLED, ITEM, LOT, NOW, ROBOT, SHELF, STAMP, TODAY, furnish
from tests.system.web_bench import NoMachines, SetClock


@dataclass
class Robot:
    """Holds packs; `fault` is what it answers instead."""

    packs: list[Pack] = field(default_factory=list)
    fault: DriverError | None = None

    async def inventory(self) -> Snapshot:
        if self.fault is not None:
            raise self.fault
        return Snapshot(tuple(self.packs))


@dataclass
class FixedScale:
    """Shows one weight."""

    grams: str = "0.000"
    fault: DriverError | None = None

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        del timeout_s
        if self.fault is not None:
            raise self.fault
        return WeightReading(Decimal(self.grams), "g", stable=True)


class Machines(NoMachines):
    """One robot and one scale."""

    def __init__(self) -> None:
        super().__init__()
        self.robot = Robot()
        self.balance = FixedScale()

    def scale(self, name: str | None = None) -> Scale:
        if name not in (None, "scale1"):
            raise DeviceProblem(f"device {name} is down")
        return cast("Scale", self.balance)

    def cabinet(self, name: str | None = None) -> Cabinet:
        assert name == ROBOT
        return cast("Cabinet", self.robot)

    def is_up(self, name: str) -> bool:
        return name == ROBOT


@dataclass
class Pharmacy:
    """A site whose clock moves only by `later`."""

    site: Site
    clock: SetClock
    machines: Machines
    number: int = 0

    def later(self, seconds: int = 60) -> None:
        self.clock.at += timedelta(seconds=seconds)

    def name(self, what: str) -> str:
        self.number += 1
        return f"{what}{self.number}"

    async def move(  # noqa: PLR0913 - a movement is these facts
        self,
        kind: MovementKind,
        source: str,
        target: str,
        units: int,
        *,
        item_id: str = ITEM,
        lot: str = LOT,
        actor: str = "tess",
        ago_s: int = 0,
    ) -> int:
        """Book a movement of whole units that occurred some seconds ago."""
        wanted = Move(
            kind=kind,
            item_id=item_id,
            lot=lot,
            source=source,
            target=target,
            milli=units * 1000,
            request_id=self.name("move"),
            occurred_at=self.clock.at - timedelta(seconds=ago_s),
        )
        stamp = Stamp(actor, self.clock.at, "moved")
        done = await self.site.store.write(lambda tx: post.post(tx, wanted, stamp, on_date=TODAY))
        return done.movement_id

    async def ask(self, kind: CountKind = CountKind.CYCLE, **more: object) -> int:
        """Open a task for the item's lot on the shelf, unless something else is said."""
        values: dict[str, object] = {"location_id": SHELF, "item_id": ITEM, "lot": LOT, **more}
        asked = Ask(kind=kind, request_id=self.name("ask"), **values)  # type: ignore[arg-type] # a table of defaults
        return (await counting.open_count(self.site, asked, "manager")).task.id

    async def tell(
        self, task: int, *quantities: str | Counted, actor: str = "ann", **more: object
    ) -> CountDetail:
        """Answer a task."""
        lines = tuple(Counted(q) if isinstance(q, str) else q for q in quantities)
        answer = Answer(lines, self.name("tell"), **more)  # type: ignore[arg-type] # a table of defaults
        return await counting.submit(self.site, task, answer, actor)

    async def on_hand(self, item_id: str = ITEM, lot: str = LOT, place: str = SHELF) -> int:
        """Return whole units of a lot at a place."""
        book = await self.site.store.read(lambda tx: read.book_of(tx, place))
        milli, rest = divmod(book.get((item_id, lot), 0), 1000)
        assert not rest
        return milli

    async def cases(self, state: str | None = "open") -> Sequence[CaseRow]:
        """Return the discrepancy records."""
        return await services.discrepancies(self.site, state=state)

    async def differ(self, milli: int, item_id: str = ITEM, place: str = ROBOT) -> None:
        """Let the robot's snapshot differ by so many thousandths."""
        stamp = Stamp("reconcile", self.clock.at)

        def write(tx: Tx) -> None:
            discrepancies.set_difference(
                tx,
                kind="snapshot",
                item_id=item_id,
                lot=LOT,
                location_id=place,
                difference=milli,
                detail="compared",
                stamp=stamp,
            )

        await self.site.store.write(write)


def open_pharmacy(store: Store, policy: CountPolicy | None = None) -> Pharmacy:
    """Furnish an empty ledger: 100 of each item on the shelf, 90 of the first in the robot."""

    def write(tx: Tx) -> None:
        furnish(tx)
        catalog.put_location(tx, Location("in-hand", LocationKind.IN_HAND), STAMP)
        tx.execute(t.item.update().values(piece_weight_ug=200_000, piece_weight_sd_ug=2_000))
        for item_id, place, units in (
            (ITEM, SHELF, 100),
            (CONTROLLED, SHELF, 100),
            (ITEM, ROBOT, 90),
        ):
            opening = Move(
                kind=MovementKind.OPENING,
                item_id=item_id,
                lot=LOT,
                source="ext:opening",
                target=place,
                milli=units * 1000,
                request_id=f"open:{item_id}:{place}",
                occurred_at=NOW - timedelta(hours=1),
            )
            stamp = Stamp("opener", NOW - timedelta(hours=1), "opening stock")
            post.post(tx, opening, stamp, on_date=TODAY)

    store.write_sync(write)
    return of_store(store, policy)


def of_store(store: Store, policy: CountPolicy | None = None) -> Pharmacy:
    """Open what a store holds."""
    clock, machines = SetClock(NOW), Machines()
    site = Site(
        store,
        clock,
        ZoneInfo("America/New_York"),
        machines,
        Changes(),
        counting=policy or CountPolicy(),
    )
    return Pharmacy(site, clock, machines)
