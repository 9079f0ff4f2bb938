"""A pharmacy in memory for random lives: one connection, one robot, no wire, no disk.

The services run as in the daemon, on a ledger that a copy of a furnished one is made for in a
millisecond.
"""

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event

from dispensed.errors import DeviceProblem
from dispensed.ledger import catalog, post
from dispensed.ledger.engine import Store, Tx, upgrade
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import (
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
    Schedule,
)
from dispensed.model.counting import CountPolicy
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.services import inbox, places
from dispensed.services.changes import Changes
from dispensed.services.site import DispenseOptions, Site
from drivers.base import (
    Cabinet,
    Counter,
    Drawers,
    InputHandler,
    LabelPrinter,
    PickOrder,
    RawMessage,
    Scale,
    Snapshot,
    TaskReport,
    TaskState,
)
from drivers.errors import DeviceRefused, DeviceTimeout, Moved
from drivers.facts import Fact, InputReported, Interpreter, OutputReported, OutputStatus, Pack

T = TypeVar("T")
NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)
ZONE = ZoneInfo("America/New_York")
STAMP = Stamp("bench", NOW, "set up")
TABLET, OPIOID = "00071015523", "00406055201"
PACK = 10
"""Pieces in a full pack of either item."""
LOTS = {
    (TABLET, "A1"): date(2026, 12, 20),
    (TABLET, "A2"): date(2027, 9, 30),
    (OPIOID, "X1"): date(2027, 6, 30),
    (OPIOID, "X2"): date(2028, 2, 28),
}
SHELF, SHELF2, ROBOT, FILL = "shelf", "shelf2", "robot1", "fill"
RECEIVING, REJECTS, OUTDATE, HAND = "receiving", "rejects", "outdate", "in-hand"
STOCK = {
    (TABLET, "A1", SHELF): 40,
    (TABLET, "A2", SHELF2): 40,
    (TABLET, "A1", ROBOT): 20,
    (TABLET, "A2", ROBOT): 10,
    (OPIOID, "X1", SHELF): 40,
    (OPIOID, "X2", SHELF2): 20,
    (OPIOID, "X1", ROBOT): 10,
}
POLICY = CountPolicy(recount_milli=5000, recount_per_mille=1_000_000)
"""Another person counts again when more than 5 pieces differ, or all of an empty place."""
WITNESS_S = 120


class MovingClock:
    """A clock that goes on by a millisecond at each look, and by more when told."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def skip(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)


# ---------------------------------------------------------------- the ledger in memory


class MemoryStore(Store):
    """A store whose writes and reads run at once, on one connection in memory."""

    def __init__(self) -> None:
        self._raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._raw.execute("PRAGMA foreign_keys=ON")
        engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: self._raw, poolclass=StaticPool
        )
        event.listen(engine, "begin", _begin)
        self.engine: Engine = engine
        self._tx = engine.connect()

    @property
    def dialect(self) -> str:
        return "sqlite"

    @property
    def read_only_reason(self) -> str | None:
        return None

    def begin_with(self, template: sqlite3.Connection) -> None:
        """Forget everything and hold what the template holds."""
        template.backup(self._raw)

    def copy_to(self, copy: sqlite3.Connection) -> None:
        """Write everything into another database."""
        self._raw.backup(copy)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        return self.write_sync(fn)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        return self.read_sync(fn)

    def write_sync(self, fn: Callable[[Tx], T]) -> T:
        with self._tx.begin():
            return fn(self._tx)

    def read_sync(self, fn: Callable[[Tx], T]) -> T:
        with self._tx.begin() as transaction:
            found = fn(self._tx)
            transaction.rollback()
            return found


def _begin(tx: Connection) -> None:
    tx.exec_driver_sql("BEGIN")


@cache
def _shared() -> tuple[MemoryStore, sqlite3.Connection, asyncio.AbstractEventLoop]:
    """Return this process' store, the furnished ledger to begin with, and its event loop."""
    template = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        upgrade(f"sqlite:///{file}")
        made = sqlite3.connect(file)
        made.backup(template)
        made.close()
    store = MemoryStore()
    store.begin_with(template)
    store.write_sync(_furnish)
    store.copy_to(template)
    return store, template, asyncio.new_event_loop()


def _furnish(tx: Tx) -> None:
    for place in (
        *places._COMMON,
        Location(SHELF, LocationKind.BIN, places.SITE),
        Location(SHELF2, LocationKind.BIN, places.SITE),
        Location(ROBOT, LocationKind.DEVICE, places.SITE, ROBOT),
    ):
        catalog.put_location(tx, place, STAMP)
    for item_id, name, schedule in (
        (TABLET, "Atorvastatin", Schedule.NONE),
        (OPIOID, "Oxycodone", Schedule.CII),
    ):
        item = Item(item_id, name, "", "tablet", "Maker", Unit.EA, PACK * 1000, schedule=schedule)
        catalog.put_item(tx, item, STAMP)
    for (item_id, lot), expiry in LOTS.items():
        kept = Lot(item_id, lot, expiry, ExpirySource.TYPED, LotState.RELEASED)
        catalog.put_lot(tx, kept, STAMP)
    for (item_id, lot, place_id), units in STOCK.items():
        move = Move(
            kind=MovementKind.OPENING,
            item_id=item_id,
            lot=lot,
            source="ext:opening",
            target=place_id,
            milli=units * 1000,
            request_id=f"opening:{item_id}:{lot}:{place_id}",
            occurred_at=NOW,
        )
        post.post(tx, move, STAMP, on_date=TODAY)


# ---------------------------------------------------------------- the robot


@dataclass
class Robot:
    """A cabinet with real packs; what it says of them arrives, arrives late, or never."""

    site: Site | None = None
    packs: dict[str, tuple[str, str]] = field(default_factory=dict)
    given: dict[str, tuple[Pack, ...]] = field(default_factory=dict)
    unsaid: list[RawMessage] = field(default_factory=list)
    fault: str = ""

    def pack(self, pack_id: str, item_id: str, lot: str) -> Pack:
        return Pack(pack_id, item_id, lot, LOTS.get((item_id, lot), date(2028, 1, 31)))

    def put_out(self, item_id: str, lot: str, most: int) -> tuple[Pack, ...]:
        """Let packs of a lot leave, as many as there are."""
        here = [name for name, what in self.packs.items() if what == (item_id, lot)][:most]
        for name in here:
            del self.packs[name]
        return tuple(self.pack(name, item_id, lot) for name in here)

    async def deliver(self, order: PickOrder, *, timeout_s: float) -> TaskReport:
        if self.fault == "refused":
            raise DeviceRefused(f"order {order.order_id} is refused", reason="busy")
        out = [self.put_out(line.article, line.lot, line.packs) for line in order.lines]
        packs = tuple(pack for some in out for pack in some)
        self.given[order.order_id] = packs
        whole = len(packs) == sum(line.packs for line in order.lines)
        message = said(order.order_id, packs)
        if self.fault == "silent":
            self.unsaid.append(message)
            raise DeviceTimeout(f"no end of {order.order_id} in {timeout_s}", moved=Moved.UNKNOWN)
        if self.site is not None:
            await inbox.deliver(self.site, ROBOT, message)
        end = TaskState.COMPLETED if whole else TaskState.INCOMPLETE
        return TaskReport(order.order_id, end, packs)

    async def reconcile(self, order_id: str) -> TaskReport:
        return TaskReport(order_id, TaskState.COMPLETED, self.given.get(order_id, ()))

    async def cancel(self, order_id: str) -> bool:
        return order_id not in self.given

    async def inventory(self) -> Snapshot:
        return Snapshot(tuple(self.pack(name, *what) for name, what in self.packs.items()))

    def on_input(self, handler: InputHandler) -> None:
        raise AssertionError(handler)

    async def connect(self) -> object:
        raise AssertionError("nobody connects this robot")

    async def watch(self) -> None:
        raise AssertionError("nobody watches this robot")

    async def close(self) -> None:
        raise AssertionError("nobody closes this robot")


def said(order_id: str, packs: tuple[Pack, ...]) -> RawMessage:
    """Return the message that packs left by an order."""
    body = {"out": order_id, "packs": [[p.pack_id, p.article, p.lot] for p in packs]}
    return RawMessage(f"out:{order_id}", "output", json.dumps(body).encode())


def stored(pack_id: str, item_id: str, lot: str) -> RawMessage:
    """Return the message that a pack was put in."""
    body = {"in": [pack_id, item_id, lot]}
    return RawMessage(f"in:{pack_id}", "input", json.dumps(body).encode())


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Read a message of the robot."""
    body = json.loads(raw)
    if "in" in body:
        return (InputReported(_pack(*body["in"])),)
    packs = tuple(_pack(*each) for each in body["packs"])
    return (OutputReported(body["out"], OutputStatus.COMPLETED, packs),)


def _pack(pack_id: str, item_id: str, lot: str) -> Pack:
    return Robot().pack(pack_id, item_id, lot)


class OneRobot:
    """The machines of a site: a robot that is up, and nothing else."""

    def __init__(self, robot: Robot) -> None:
        self._robot = robot

    def scale(self, name: str | None = None) -> Scale:
        raise DeviceProblem(f"no scale {name}")

    def counter(self, name: str | None = None) -> Counter:
        raise DeviceProblem(f"no counter {name}")

    def cabinet(self, name: str | None = None) -> Cabinet:
        del name
        return self._robot  # type: ignore[return-value] # nobody connects it

    def printer(self, name: str | None = None) -> LabelPrinter:
        raise DeviceProblem(f"no printer {name}")

    def drawers(self, name: str | None = None) -> Drawers:
        raise DeviceProblem(f"no drawers {name}")

    def degrade(self, name: str, reason: str, *, about: str = "") -> None:
        raise AssertionError(name, reason, about)

    def device_names(self, capability: str) -> tuple[str, ...]:
        return (ROBOT,) if capability == "cabinet" else ()

    def is_up(self, name: str) -> bool:
        return name == ROBOT

    def location(self, name: str) -> str:
        return name

    def interpreter(self, name: str) -> Interpreter:
        del name
        return interpret


# ---------------------------------------------------------------- the pharmacy


class Pharmacy:
    """A furnished pharmacy of its own; `run` runs a use case to its end."""

    def __init__(self) -> None:
        self.store, template, self._loop = _shared()
        self.store.begin_with(template)
        self.clock = MovingClock()
        self.robot = Robot()
        self.site = Site(
            store=self.store,
            clock=self.clock,
            zone=ZONE,
            machines=OneRobot(self.robot),
            changes=Changes(),
            options=DispenseOptions(label_required=False),
            counting=POLICY,
        )
        self.robot.site = self.site
        for (item_id, lot, place), units in STOCK.items():
            for number in range(units // PACK if place == ROBOT else 0):
                self.robot.packs[f"p{lot}-{number}"] = (item_id, lot)

    def run(self, work: Coroutine[object, object, T]) -> T:
        return self._loop.run_until_complete(work)
