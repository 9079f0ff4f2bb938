"""A recall opened while robot, cabinet and counter dispense: nothing of the lot is issued after."""

import asyncio
import contextlib
import os
import random
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import func, select

from dispensed.errors import Conflict
from dispensed.ledger import catalog, dispenses, post
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import BlockedLot
from dispensed.model.catalog import Item, Location, LocationKind
from dispensed.model.dispensing import DispenseState
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.services import dispensing, inbox, recall_cases, releasing
from dispensed.services.changes import Changes
from dispensed.services.dispensing import Order
from dispensed.services.recall_cases import CaseAsked, LineAsked
from dispensed.services.runner import DispenseRunner
from dispensed.services.site import DispenseOptions, Site
from drivers.base import (
    Cabinet,
    Counter,
    CountJob,
    CountResult,
    PickOrder,
    RawMessage,
    Snapshot,
    TaskReport,
    TaskState,
)
from drivers.errors import DeviceRefused
from drivers.facts import CountReported, Fact, Interpreter, OutputReported, OutputStatus, Pack
from tests.ledger.book import ITEM, STAMP, TODAY, K, furnish, move, put_lot
from tests.system.people import People
from tests.system.shop import SteadyClock, open_shop
from tests.system.web_bench import ZONE, NoMachines

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

RATE = 50
"""Dispenses asked for in a second."""
SECONDS = float(os.environ.get("DISPENSED_RECALL_SECONDS", "1.2"))
OTHER = "00093505698"
BAD, GOOD = "BAD1", "GOOD1"
PACK = 30
MACHINES = ("robot1", "cabinet1", "counter1")
RECALL = CaseAsked(
    reference="R-1",
    recall_class="I",
    reason="glass in the bottle",
    lines=(LineAsked(BAD, item_id=ITEM), LineAsked(BAD, item_id=OTHER)),
)


@dataclass
class FastCabinet:
    """Puts out what is ordered after a moment, unless the order is cancelled before."""

    name: str
    floor: "Floor"
    rng: random.Random
    cancelled: set[str] = field(default_factory=set)
    moving: set[str] = field(default_factory=set)

    async def deliver(self, order: PickOrder, *, timeout_s: float) -> TaskReport:
        del timeout_s
        self.floor.commanded(self.name, [line.lot for line in order.lines])
        self.moving.add(order.order_id)
        await asyncio.sleep(self.rng.uniform(0.01, 0.12))
        self.moving.discard(order.order_id)
        if order.order_id in self.cancelled:
            return TaskReport(order.order_id, TaskState.ABORTED, ())
        packs = tuple(
            Pack(f"{order.order_id}/{line.lot}/{number}", line.article, line.lot, None)
            for line in order.lines
            for number in range(line.packs)
        )
        fact = OutputReported(order.order_id, OutputStatus.COMPLETED, packs)
        await self.floor.tell(self.name, order.order_id, fact)
        return TaskReport(order.order_id, TaskState.COMPLETED, packs)

    async def inventory(self) -> Snapshot:
        raise DeviceRefused(f"{self.name} is busy", reason="busy")

    async def cancel(self, order_id: str) -> bool:
        self.cancelled.add(order_id)
        return order_id in self.moving


@dataclass
class FastCounter:
    """Counts what is asked after a moment."""

    name: str
    floor: "Floor"

    async def count(self, job: CountJob, *, timeout_s: float) -> CountResult:
        del timeout_s
        self.floor.commanded(self.name, [job.lot])
        await asyncio.sleep(0.005)
        fact = CountReported(
            job.job_id, job.article, job.lot, job.source, job.pieces, 0, complete=True
        )
        await self.floor.tell(self.name, job.job_id, fact)
        return CountResult(job.job_id, job.pieces, 0, complete=True)


class Floor(NoMachines):
    """A robot, a cabinet and a counter that are always up; `commands` is what they were told."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[tuple[str, str]] = []
        self.facts: dict[bytes, tuple[Fact, ...]] = {}
        self.sites: list[Site] = []
        rng = random.Random(1)
        self.cabinets = {name: FastCabinet(name, self, rng) for name in MACHINES[:2]}
        self.fast_counter = FastCounter("counter1", self)

    def commanded(self, device: str, lots: Collection[str]) -> None:
        self.commands += [(device, lot) for lot in lots]

    async def tell(self, device: str, key: str, fact: Fact) -> None:
        raw = f"{device}:{key}".encode()
        self.facts[raw] = (fact,)
        await inbox.deliver(self.sites[0], device, RawMessage(key, "fact", raw))

    def cabinet(self, name: str | None = None) -> Cabinet:
        return self.cabinets[name or "robot1"]  # type: ignore[return-value] # the half that is used

    def counter(self, name: str | None = None) -> Counter:
        del name
        return self.fast_counter  # type: ignore[return-value] # the half that is used

    def device_names(self, capability: str | None = None) -> tuple[str, ...]:
        return {"cabinet": MACHINES[:2], "counter": MACHINES[2:]}.get(capability or "", ())

    def is_up(self, name: str) -> bool:
        return name in MACHINES

    def interpreter(self, name: str) -> Interpreter:
        del name
        return self.facts.__getitem__


def stock_everything(tx: Tx) -> None:
    """A lot to be recalled, which goes first, and one that stays, at each of the three machines."""
    furnish(tx)
    catalog.put_location(tx, Location("cabinet1", LocationKind.DEVICE, device="cabinet1"), STAMP)
    other = Item(OTHER, "Rosuvastatin", "20 mg", "tablet", "Teva", Unit.EA, PACK * 1000)
    catalog.put_item(tx, other, STAMP)
    for lot, expiry in ((BAD, date(2027, 1, 31)), (GOOD, date(2028, 1, 31))):
        for item_id, places in ((ITEM, ("robot1", "shelf/A-01")), (OTHER, ("cabinet1",))):
            put_lot(tx, lot, expiry, item_id=item_id)
            for place in places:
                opening = move(K.OPENING, "ext:opening", place, 30_000, f"{place}{lot}", lot=lot)
                post.post(tx, replace(opening, item_id=item_id), STAMP, on_date=TODAY)


async def hand_out(site: Site, over: asyncio.Event) -> None:
    """Verify and hand out whatever is counted, void what is blocked, until all is over."""
    while not over.is_set():
        rows = await site.store.read(
            lambda tx: dispenses.in_states(tx, (DispenseState.COUNTED, DispenseState.VERIFIED))
        )
        for row in rows:
            await finish(site, row.id, row.state)
        await changed(site)


async def finish(site: Site, dispense_id: int, state: DispenseState) -> None:
    try:
        if state is DispenseState.COUNTED:
            await dispensing.verify(site, dispense_id, "pharmacist")
        await releasing.release(site, dispense_id, "pharmacist")
    except BlockedLot:
        await dispensing.void(site, dispense_id, "recalled", "pharmacist")
    except Conflict:
        return  # still short, or somebody was faster


async def ask(site: Site, number: int) -> None:
    item, route = ((ITEM, "cabinet"), (OTHER, "cabinet"), (ITEM, "counter"))[number % 3]
    await dispensing.request(
        site,
        Order(f"RX{number}", item, str(PACK), f"p{number}", f"rx-{number}", route=route),
        "tech",
    )


async def changed(site: Site) -> None:
    """Wait for the next change of anything, or a moment."""
    with contextlib.suppress(TimeoutError), site.changes.subscribe() as listener:
        async with asyncio.timeout(0.05):
            await listener.next()


async def unfinished(site: Site) -> int:
    ended = [state.value for state in DispenseState if state.is_terminal]
    query = select(func.count()).where(t.dispense.c.state.not_in(ended))
    return await site.store.read(lambda tx: int(tx.execute(query).scalar_one()))


def head(tx: Tx) -> int:
    return int(tx.execute(select(t.chain_head.c.last_id)).scalar_one())


def issued_after(tx: Tx, movement_id: int, lots: Collection[str]) -> list[int]:
    """Movements to patients of some lots after another one."""
    movement = t.movement.c
    query = select(movement.id).where(
        movement.id > movement_id,
        movement.lot.in_(lots),
        movement.kind.in_([MovementKind.DISPENSE.value, MovementKind.GIVE.value]),
    )
    return list(tx.scalars(query))


@pytest.mark.timeout(120)
async def test_14_a_recall_at_fifty_dispenses_a_second_lets_no_machine_issue_the_lot(
    sqlite_url: str,
) -> None:
    with Store.open(sqlite_url, readers=2) as store:
        store.write_sync(stock_everything)
        floor = Floor()
        options = DispenseOptions(weigh_check=False, label_required=False)
        site = Site(store, SteadyClock(), ZONE, floor, Changes(), options=options)
        floor.sites.append(site)
        runner = DispenseRunner(site, workers=32, retry_s=0.3)
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        wanted = int(RATE * SECONDS)
        begun = loop.time()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            working = group.create_task(runner.run())
            people = group.create_task(hand_out(site, over))
            at_opening, head_at_opening = 0, 0
            for number in range(wanted):
                await asyncio.sleep(max(0.0, begun + number / RATE - loop.time()))
                await ask(site, number)
                if number == wanted // 2:
                    await recall_cases.open_case(site, RECALL, "ina")
                    at_opening = len(floor.commands)
                    head_at_opening = await store.read(head)
            asked_s = loop.time() - begun
            while await unfinished(site):
                await changed(site)
            elapsed_s = loop.time() - begun
            over.set()
            await people
            working.cancel()
        before, after = floor.commands[:at_opening], floor.commands[at_opening:]
        log.info("load.finished", count=wanted, elapsed_ms=round(elapsed_s * 1000))
        assert {device for device, lot in before if lot == BAD} == set(MACHINES)
        assert {device for device, lot in after} == set(MACHINES)
        assert [command for command in after if command[1] == BAD] == []
        assert store.read_sync(lambda tx: issued_after(tx, head_at_opening, (BAD,))) == []
        assert store.read_sync(lambda tx: issued_after(tx, 0, (BAD,)))
        assert store.read_sync(lambda tx: issued_after(tx, head_at_opening, (GOOD,)))
        print(f"asked {wanted / asked_s:.1f}/s, finished {wanted / elapsed_s:.1f}/s")  # noqa: T201
        assert wanted / asked_s > RATE / 5


@pytest.mark.timeout(120)
async def test_14_a_recall_stops_the_lot_at_simulated_machines_on_real_wires(
    sqlite_url: str, tmp_path: Path
) -> None:
    with Store.open(sqlite_url) as store:
        async with open_shop(store, tmp_path, speed=100) as shop:
            site = shop.site
            shop.stage.robot.set("output_s", "1")
            item_id = next(
                item.item_id
                for item in await site.store.read(lambda tx: catalog.find_items(tx, limit=100))
                if item.unit is Unit.EA and item.pack_milli == PACK * 1000
            )
            for where in ("robot1", "shelf"):
                for lot, days in ((BAD, 100), (GOOD, 400)):
                    number = f"{lot}-{where}" if lot == GOOD else lot
                    expiry = TODAY + timedelta(days=days)
                    await shop.open_stock(item_id, number, expiry, where=where, packs=40)
            lines = (LineAsked(BAD, item_id=item_id),)
            asked = CaseAsked("R-1", "I", "glass", lines)
            over, head_at_opening = asyncio.Event(), 0
            item = await site.store.read(lambda tx: catalog.get_item(tx, item_id))
            people = People(shop, {item_id: item}, random.Random(1))
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(people.work(over))
                for count in range(8):
                    route = ("cabinet", "counter")[count % 2]
                    order = Order(f"RX{count}", item_id, str(PACK), "p", f"q{count}", route=route)
                    await dispensing.request(site, order, "tech")
                    if count == 3:
                        await recall_cases.open_case(site, asked, "ina")
                        head_at_opening = await store.read(head)
                    await shop.something_changes(0.02)
                while await unfinished(site):
                    await shop.something_changes()
                over.set()
            assert store.read_sync(lambda tx: issued_after(tx, head_at_opening, (BAD,))) == []
            good = [f"{GOOD}-{where}" for where in ("robot1", "shelf")]
            assert store.read_sync(lambda tx: issued_after(tx, head_at_opening, good))
