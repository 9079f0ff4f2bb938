"""What machines reported, replayed and permuted: the stored inbox alone makes the same balances."""

import asyncio
import json
import random
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from dispensed.ledger import catalog as catalog_rows
from dispensed.ledger import inbox as inbox_rows
from dispensed.ledger import post, read
from dispensed.ledger.engine import Store, Tx
from dispensed.ledger.post import Move
from dispensed.ledger.read import MovementRow
from dispensed.model.catalog import ExpirySource, Item, Lot, LotState, Schedule
from dispensed.model.movement import MovementKind
from dispensed.model.quantity import Unit
from dispensed.services import catalog, inbox, places
from dispensed.services.changes import Changes
from dispensed.services.dispensing import Order, request
from dispensed.services.site import Site
from drivers.base import (
    Cabinet,
    Counter,
    Drawers,
    LabelPrinter,
    RawMessage,
    Scale,
)
from drivers.facts import Interpreter
from drivers.packml.codec import interpret as interpret_packml
from drivers.wwks2.codec import interpret as interpret_wwks2
from tests.system.people import People
from tests.system.shop import FORMULARY, TODAY, ZONE, Shop, SteadyClock, open_shop
from tests.system.test_day import unfinished

Balances = dict[tuple[str, str, str], int]
INTERPRETERS: dict[str, Interpreter] = {
    "robot1": interpret_wwks2,
    "counter1": interpret_packml,
    "printer1": lambda _: (),
    "scale1": lambda _: (),
}


class NoMachines:
    """A site without a single machine that is up: only stored messages are read."""

    def scale(self, name: str | None = None) -> Scale:
        raise AssertionError(name)

    def counter(self, name: str | None = None) -> Counter:
        raise AssertionError(name)

    def cabinet(self, name: str | None = None) -> Cabinet:
        raise AssertionError(name)

    def printer(self, name: str | None = None) -> LabelPrinter:
        raise AssertionError(name)

    def drawers(self, name: str | None = None) -> Drawers:
        raise AssertionError(name)

    def degrade(self, name: str, reason: str, *, about: str = "") -> None:
        raise AssertionError(name, reason, about)

    def device_names(self, capability: str) -> tuple[str, ...]:
        return ("robot1",) if capability == "cabinet" else ()

    def is_up(self, name: str) -> bool:
        return name == ""

    def location(self, name: str) -> str:
        return name

    def interpreter(self, name: str) -> Interpreter:
        return INTERPRETERS[name]


def quiet_site(store: Store) -> Site:
    return Site(store, SteadyClock(), ZONE, NoMachines(), Changes())


def balances(tx: Tx) -> Balances:
    rows = tx.execute(text("SELECT item_id, lot, location_id, on_hand FROM balance"))
    return {(row.item_id, row.lot, row.location_id): row.on_hand for row in rows if row.on_hand}


# ---------------------------------------------------------------- a stored day, replayed


async def live_a_morning(shop: Shop) -> None:
    listed = await catalog.items(shop.site, limit=200)
    items = [item for item in listed if item.unit == "EA" and item.piece_weight_ug][:4]
    shop.stage.robot.set("output_s", "1")
    shop.stage.counter.set("rate_per_s", "500")
    for item in items:
        await shop.open_stock(item.item_id, "S1", TODAY, where="shelf", packs=5)
        await shop.open_stock(item.item_id, "R1", TODAY, where="robot1", packs=20)
    people = People(shop, {item.item_id: item for item in items}, random.Random(3))
    over = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(people.work(over))
        for number in range(40):
            item = items[number % 4]
            by_robot = number % 2 == 0
            pieces = item.pack_milli // 1000 if by_robot else 12
            route = "cabinet" if by_robot else "counter"
            order = Order(f"RX{number}", item.item_id, str(pieces), "p", f"rx{number}", route=route)
            await request(shop.site, order, "tech")
            if number % 10 == 0:
                wanted = {"article": item.item_id, "packs": 1}
                shop.stage.robot.set("manual_output", json.dumps(wanted))
        while await unfinished(shop):
            await shop.something_changes()
        over.set()


async def test_replaying_the_stored_inbox_into_an_empty_database_gives_the_same_balances(
    store: Store, sqlite_template: Path, tmp_path: Path
) -> None:
    async with open_shop(store, tmp_path, speed=100, command_timeout_s=30) as shop:
        await live_a_morning(shop)
    messages = await store.read(lambda tx: inbox_rows.page(tx, limit=10_000))
    journal = await store.read(lambda tx: read.movements(tx, limit=10_000))
    by_people = [row for row in journal if row.inbox_id is None]
    assert {row.kind for row in by_people} == {"opening", "dispense"}
    assert any(row.kind == "output" and row.dispense_id is None for row in journal)

    file = tmp_path / "empty.db"
    shutil.copyfile(sqlite_template, file)
    with Store.open(f"sqlite:///{file}") as empty:
        site = quiet_site(empty)
        await places.ensure_places(site)
        await places.add_bin(site, "shelf", "tester")
        await catalog.import_formulary(site, FORMULARY.read_text(encoding="utf-8"), "tester")
        await repost(site, [row for row in by_people if row.kind == "opening"])
        for row in messages:
            await inbox.deliver(site, row.device_id, RawMessage(row.key, row.kind, row.raw))
        await repost(site, [row for row in by_people if row.kind == "dispense"])
        assert await empty.read(balances) == await store.read(balances)


async def repost(site: Site, rows: Sequence[MovementRow]) -> None:
    """Do again what people did."""

    def write(tx: Tx) -> None:
        stamp = site.stamp("tester")
        for row in rows:
            lot = Lot(row.item_id, row.lot, TODAY, ExpirySource.TYPED, LotState.RELEASED)
            catalog_rows.put_lot(tx, lot, stamp)
            move = Move(
                kind=MovementKind(row.kind),
                item_id=row.item_id,
                lot=row.lot,
                source=row.source,
                target=row.target,
                milli=row.milli,
                request_id=row.request_id,
                occurred_at=row.occurred_at,
            )
            post.post(tx, move, stamp, on_date=TODAY)

    await site.store.write(write)


# ---------------------------------------------------------------- any order, any repetition

ARTICLES = ("00000000001", "00000000002")
PACK = 100


@dataclass(frozen=True)
class Event:
    """A pack that came in, or went out alone, or with another one."""

    kind: str
    pack: int

    def message(self) -> RawMessage:
        article = ARTICLES[self.pack % 2]
        pack = PACK_XML % {"id": self.pack, "handling": ' Handling="Completed"'}
        if self.kind == "in":
            inner = f'<InputMessage Id="{self.pack}" Source="999" Destination="100">'
            body = f'{inner}<Article Id="{article}">{pack}</Article></InputMessage>'
        else:
            packs = "".join(
                PACK_XML % {"id": number, "handling": ""}
                for number in ((self.pack,) if self.kind == "out" else (self.pack, self.pack + 2))
            )
            body = (
                f'<OutputMessage Id="{self.kind}{self.pack}" Source="999" Destination="100">'
                '<Details Priority="Normal" OutputDestination="1" Status="Completed"/>'
                f'<Article Id="{article}">{packs}</Article></OutputMessage>'
            )
        raw = f'<WWKS Version="2.0" TimeStamp="2026-11-22T10:00:00Z">{body}</WWKS>'
        return RawMessage(f"{self.kind}:{self.pack}", self.kind, raw.encode())


PACK_XML = '<Pack Id="%(id)s" BatchNumber="B1" ExpiryDate="2027-10-31"%(handling)s/>'
EVENTS = st.lists(
    st.builds(Event, st.sampled_from(("in", "out", "out2")), st.integers(1, 8)),
    min_size=1,
    max_size=10,
    unique=True,
)


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[list[Event], list[Event], int]:
    """One set of messages in two orders, each with repeats, and the packs that lay there before."""
    events = draw(EVENTS)
    repeats = st.lists(st.sampled_from(events), max_size=4)
    first = draw(st.permutations(events + draw(repeats)))
    second = draw(st.permutations(events + draw(repeats)))
    return list(first), list(second), draw(st.integers(0, 3))


async def after(template: Path, events: Sequence[Event], opening: int) -> Balances:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        shutil.copyfile(template, file)
        with Store.open(f"sqlite:///{file}", readers=1) as store:
            site = quiet_site(store)
            await places.ensure_places(site)
            for article in ARTICLES:
                item = Item(
                    item_id=article,
                    name="Tablet",
                    strength="",
                    form="",
                    labeler="",
                    unit=Unit.EA,
                    pack_milli=PACK * 1000,
                    schedule=Schedule.NONE,
                )
                await catalog.add_item(site, item, None, "tester")
                if opening:
                    await repost_opening(site, article, opening)
            for event in events:
                message = event.message()
                await inbox.deliver(site, "robot1", message)
            states = {row.state for row in await store.read(inbox_rows.page)}
            assert states == {"applied"}
            return await store.read(balances)


async def repost_opening(site: Site, article: str, packs: int) -> None:
    def write(tx: Tx) -> None:
        stamp = site.stamp("tester")
        expiry = TODAY.replace(year=2027, month=10, day=31)
        lot = Lot(article, "B1", expiry, ExpirySource.TYPED, LotState.RELEASED)
        catalog_rows.put_lot(tx, lot, stamp)
        move = Move(
            kind=MovementKind.OPENING,
            item_id=article,
            lot="B1",
            source="ext:opening",
            target="robot1",
            milli=packs * PACK * 1000,
            request_id=f"opening:{article}",
            occurred_at=site.now(),
        )
        post.post(tx, move, stamp, on_date=TODAY)

    await site.store.write(write)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=two_orders())
def test_any_permutation_with_repeats_of_one_set_of_device_messages_gives_the_same_balances(
    orders: tuple[list[Event], list[Event], int], sqlite_template: Path
) -> None:
    first, second, opening = orders
    one = asyncio.run(after(sqlite_template, first, opening))
    other = asyncio.run(after(sqlite_template, second, opening))
    assert one == other
