"""A pharmacy with its HTTP server on a real socket, and machines that are said to be there."""

import asyncio
import functools
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import structlog
import structlog.testing
import uvicorn
from fastapi import FastAPI

from dispensed.devices.registry import Capability
from dispensed.devices.supervisor import Link, LinkState
from dispensed.errors import DeviceProblem, NotFound
from dispensed.ledger import catalog, discrepancies, inbox, post, reorder, tokens
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
from dispensed.model.movement import MovementKind
from dispensed.model.planning import PolicyKind, ReorderPolicy
from dispensed.model.quantity import Unit
from dispensed.services.changes import Changes, Topic
from dispensed.services.site import Site
from dispensed.web.app import routes, wire
from dispensed.web.context import WebOptions
from drivers.base import (
    Cabinet,
    Counter,
    Drawers,
    DrawerState,
    Identity,
    LabelPrinter,
    RawMessage,
    Scale,
)
from drivers.errors import DeviceRefused, DeviceTimeout, Moved
from drivers.facts import Interpreter

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
ZONE = ZoneInfo("America/New_York")
STAMP = Stamp(actor="bench", at=NOW, reason="set up")
LISINOPRIL = "68180051301"
OXYCODONE = "00406055201"
SALINE = "00338004904"


@dataclass
class SetClock:
    """A clock that stands where it is put."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


class TwoDrawers:
    """A cabinet with the drawers 0.1, which opens, and 0.2, which does not."""

    def __init__(self) -> None:
        self.opened: set[str] = set()

    async def connect(self) -> Identity:
        return Identity()

    async def watch(self) -> None:
        raise AssertionError("nobody watches these drawers")

    async def close(self) -> None:
        raise AssertionError("nobody closes these drawers")

    async def drawers(self) -> tuple[DrawerState, ...]:
        return (
            DrawerState("0.1", is_open="0.1" in self.opened, locked="0.1" not in self.opened),
            DrawerState("0.2", is_open=None),
        )

    async def open_drawer(self, drawer: str, *, request_id: str, timeout_s: float) -> DrawerState:
        if drawer == "0.2":
            raise DeviceTimeout(f"{request_id} not seen open in {timeout_s}", moved=Moved.UNKNOWN)
        if drawer != "0.1":
            raise DeviceRefused(f"there is no drawer {drawer!r}", reason="unknown_drawer")
        if drawer in self.opened:
            raise DeviceRefused("drawer 0.1: the lock must cool down for 4 s", reason="cooling")
        self.opened.add(drawer)
        return DrawerState(drawer, is_open=True, locked=False)


class NoMachines:
    """A site whose machines cannot be commanded, but for the drawers of drawers1."""

    def __init__(self) -> None:
        self._drawers = TwoDrawers()

    def scale(self, name: str | None = None) -> Scale:
        raise DeviceProblem(f"device {name or 'scale1'} is down: no answer; nothing was sent")

    def counter(self, name: str | None = None) -> Counter:
        raise DeviceProblem(f"device {name or 'counter1'} is down: no answer; nothing was sent")

    def cabinet(self, name: str | None = None) -> Cabinet:
        raise DeviceProblem(f"device {name or 'robot1'} is down: no answer; nothing was sent")

    def printer(self, name: str | None = None) -> LabelPrinter:
        raise DeviceProblem(f"device {name or 'printer1'} is down: no answer; nothing was sent")

    def drawers(self, name: str | None = None) -> Drawers:
        if name == "drawers1":
            return self._drawers
        raise DeviceProblem(f"device {name or 'drawers1'} is down: no answer; nothing was sent")

    def degrade(self, name: str, reason: str, *, about: str = "") -> None:
        del name, reason, about

    def device_names(self, capability: str | None = None) -> tuple[str, ...]:
        return () if capability == "scale" else ("robot1",)

    def is_up(self, name: str) -> bool:
        return not name

    def location(self, name: str) -> str:
        return name

    def interpreter(self, name: str) -> Interpreter:
        raise NotFound(f"no device {name!r} is configured")


@dataclass(frozen=True)
class Outcome:
    job: str
    slot: str = "manual:1"
    failed: bool = False
    result: str = "0 proposals open"
    started_at: datetime = NOW
    finished_at: datetime = NOW


@dataclass
class BenchJobs:
    failing: Mapping[str, str] = field(default_factory=dict)

    def next_due(self, name: str) -> datetime | None:
        return None if name == "verify" else datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

    async def run_now(self, name: str) -> Outcome:
        if name not in {"reorder", "verify"}:
            raise NotFound(f"no job {name!r}; there are reorder, verify")
        return Outcome(name)


def links() -> list[LinkState]:
    since = datetime(2026, 11, 22, 12, 41, 7, tzinfo=UTC)
    rowa = Identity("Acme", "Robot 5")
    return [
        LinkState("robot1", Capability.CABINET, "wwks2", Link.UP, "", since, rowa),
        LinkState("counter1", Capability.COUNTER, "packml", Link.UP, "", since),
        LinkState("scale1", Capability.SCALE, "mtsics", Link.UP, "", since),
        LinkState("printer1", Capability.PRINTER, "zpl", Link.UP, "", since),
    ]


@dataclass
class Bench:
    """One running pharmacy; `links`, `jobs` and `clock` may be changed by a test."""

    store: Store
    site: Site
    app: FastAPI
    token: str
    clock: SetClock
    jobs: BenchJobs
    links: list[LinkState]
    logs: list[structlog.typing.EventDict]
    base_url: str = ""
    loop: asyncio.AbstractEventLoop | None = None

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.base_url, headers=headers, timeout=20)

    def anonymous(self) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, timeout=20)

    def notify(self, topic: Topic) -> None:
        """Say from another thread that a topic changed."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.site.changes.notify, topic)


_IDLE: list[FastAPI] = []
"""Applications that nobody uses now: building one costs 0.2 s."""


@functools.cache
def migrated() -> bytes:
    """Return the file of a migrated, empty ledger: every migration once a process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new.db"
        upgrade(f"sqlite:///{file}")
        return file.read_bytes()


@contextmanager
def bench(folder: Path, *, options: WebOptions | None = None) -> Iterator[Bench]:
    """Run a pharmacy's HTTP server on a free port for the time of a `with` block."""
    url = f"sqlite:///{folder / 'dispensed.db'}"
    (folder / "dispensed.db").write_bytes(migrated())
    app = _IDLE.pop() if _IDLE else routes()
    with structlog.testing.capture_logs() as logs, Store.open(url, readers=2) as store:
        clock = SetClock()
        site = Site(store, clock, ZONE, NoMachines(), Changes())
        jobs, devices, closing = BenchJobs(), links(), asyncio.Event()
        token = store.write_sync(_furnish)
        wire(
            app,
            site,
            links=lambda: tuple(devices),
            jobs=jobs,
            job_names=("reorder", "verify"),
            options=options or WebOptions(site_name="Corner Pharmacy"),
            closing=closing,
        )
        made = Bench(store, site, app, token, clock, jobs, devices, logs)
        with _served(app, made, closing):
            yield made
    _IDLE.append(app)


@contextmanager
def _served(app: FastAPI, made: Bench, closing: asyncio.Event) -> Iterator[None]:
    listener = socket.create_server(("127.0.0.1", 0))
    made.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    started = threading.Event()

    async def serve() -> None:
        made.loop = asyncio.get_running_loop()
        made.loop.call_soon(started.set)
        await server.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="bench server")
    thread.start()
    try:
        if not started.wait(10):
            raise TimeoutError("the server did not start within 10 s")
        yield
    finally:
        if made.loop is not None:
            made.loop.call_soon_threadsafe(closing.set)
        server.should_exit = True
        thread.join(15)
        listener.close()


def _furnish(tx: Tx) -> str:
    for location in (
        Location("site", LocationKind.SITE),
        Location("shelf/A-03", LocationKind.BIN),
        Location("shelf/B-01", LocationKind.BIN),
        Location("robot1", LocationKind.DEVICE, device="robot1"),
        Location("receiving", LocationKind.RECEIVING),
        Location("fill", LocationKind.FILL),
        Location("rejects", LocationKind.REJECTS),
        Location("outdate", LocationKind.OUTDATE),
    ):
        catalog.put_location(tx, location, STAMP)
    for item in ITEMS:
        catalog.put_item(tx, item, STAMP)
    for item_id, lot, expiry, place, milli, state in STOCK:
        catalog.put_lot(tx, Lot(item_id, lot, expiry, ExpirySource.TYPED, LotState.RELEASED), STAMP)
        move = Move(
            kind=MovementKind.OPENING,
            item_id=item_id,
            lot=lot,
            source="ext:opening",
            target=place,
            milli=milli,
            request_id=f"opening:{lot}:{place}",
            occurred_at=NOW,
        )
        post.post(tx, move, STAMP, on_date=date(2026, 11, 22))
        if state is not LotState.RELEASED:
            catalog.set_lot_state(tx, item_id, lot, state, STAMP)
    return tokens.create(tx, "bench", "pharmacist", STAMP)


def _item(item_id: str, name: str, strength: str, pack: int, **more: str | None) -> Item:
    return Item(
        item_id=item_id,
        name=name,
        strength=strength,
        form="tablet",
        labeler="Maker",
        unit=Unit(more.get("unit") or "EA"),
        pack_milli=pack,
        gtin=more.get("gtin"),
        ndc=more.get("ndc"),
        schedule=Schedule(more.get("schedule") or "none"),
    )


ITEMS = (
    _item(LISINOPRIL, "Lisinopril", "10 mg", 90_000, gtin="00368180513018", ndc="68180-513-01"),
    _item(OXYCODONE, "Oxycodone hydrochloride", "5 mg", 100_000, schedule="CII"),
    _item(SALINE, "Sodium chloride 0.9 %", "9 mg/mL", 250_000, unit="ML"),
)
STOCK = (
    (LISINOPRIL, "L24A", date(2026, 12, 10), "shelf/A-03", 45_000, LotState.RELEASED),
    (LISINOPRIL, "L25C", date(2027, 11, 30), "robot1", 90_000, LotState.RELEASED),
    (OXYCODONE, "OX7", date(2027, 6, 30), "shelf/B-01", 100_000, LotState.RELEASED),
    (OXYCODONE, "OX8", date(2027, 8, 31), "shelf/B-01", 20_500, LotState.HOLD),
    (SALINE, "NA/1", date(2026, 11, 20), "shelf/B-01", 250_000, LotState.RELEASED),
)


def trouble(tx: Tx, item_id: str = OXYCODONE, lot: str = "OX7", place: str = "shelf/B-01") -> None:
    """Add what a bad morning brings: a difference, noise on a line."""
    discrepancies.add(
        tx,
        kind="snapshot",
        item_id=item_id,
        lot=lot,
        location_id=place,
        change=-2_000,
        detail="robot1 holds 98, the book 100",
        stamp=STAMP,
    )
    policy = ReorderPolicy(PolicyKind.MIN_MAX, 200_000, 500_000, 90_000)
    reorder.put_policy(tx, LISINOPRIL, "receiving", policy, STAMP)
    message = RawMessage(key="noise", kind="garbage", raw=b"\xff\xfe")
    inbox.store_message(tx, "scale1", message.key, message.kind, message.raw, NOW)
