"""A pharmacy's day at high speed: fills over four machines on real wires, with faults on."""

import asyncio
import json
import random
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text

from dispensed.ledger import discrepancies, read
from dispensed.ledger.engine import Store, Tx
from dispensed.model.catalog import Item
from dispensed.model.dispensing import DispenseState
from dispensed.services import catalog, dispensing, reconciling
from dispensed.services.dispensing import Order
from dispensed.services.recalls import Recall, open_recall
from simulators.base import Model
from tests.system.people import People
from tests.system.shop import TODAY, Shop, open_shop

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

FILLS = {"sqlite": 2000, "postgresql": 200}
AT_ONCE = 24
DAY_S = 400

MACHINE_FAULTS = (
    ("counter", "jam"),
    ("counter", "short_count"),
    ("counter", "miscount"),
    ("counter", "counter_reset"),
    ("counter", "acc_reset"),
    ("counter", "abort"),
    ("robot", "jam"),
    ("robot", "cut_output"),
    ("robot", "lost_message"),
    ("robot", "damaged_message"),
    ("robot", "box_released"),
    ("robot", "reject"),
    ("robot", "too_many"),
    ("printer", "paper_out_mid_label"),
    ("printer", "label_lost"),
)
LINE_FAULTS = (
    ("robot1", "cut"),
    ("robot1", "split"),
    ("robot1", "slow"),
    ("printer1", "cut"),
    ("scale1", "noise"),
    ("scale1", "garbage"),
    ("counter1", "cut"),
)
PATIENCE: dict[str, dict[str, str | int | float | bool]] = {
    "robot1": {"request_timeout_s": 0.5, "keepalive_interval_s": 1.0, "inventory_timeout_s": 5.0},
    "printer1": {
        "reply_timeout_s": 0.3,
        "print_timeout_s": 1.0,
        "poll_interval_s": 0.5,
        "print_poll_s": 0.005,
    },
    "scale1": {"line_timeout_s": 0.3, "stability_timeout_s": 1.0},
    "counter1": {"poll_ms": 3, "settle_ms": 2, "request_timeout_ms": 500, "keepalive_ms": 500},
}
"""The machines run 100 times as fast as real ones, so their drivers need less patience."""
QUANTITIES = (10, 14, 20, 21, 28, 30)


def trouble(shop: Shop, rng: random.Random) -> None:
    """Switch on one fault, once."""
    if rng.random() < 0.7:
        machine, fault = rng.choice(MACHINE_FAULTS)
        models: dict[str, Model] = {
            "counter": shop.stage.counter,
            "robot": shop.stage.robot,
            "printer": shop.stage.printer,
        }
        models[machine].faults.switch(fault, on=True, times=1)
    else:
        device, fault = rng.choice(LINE_FAULTS)
        shop.stage.wires[device].faults.switch(fault, on=True, times=1)


async def open_stock(shop: Shop) -> list[Item]:
    listed = await catalog.items(shop.site, limit=200)
    chosen = [item for item in listed if item.unit == "EA" and item.piece_weight_ug][:12]
    for index, item in enumerate(chosen):
        for lot in range(3):
            expiry = TODAY + timedelta(days=100 + 30 * index + 90 * lot)
            await shop.open_stock(item.item_id, f"S{index}-{lot}", expiry, where="shelf", packs=60)
            await shop.open_stock(item.item_id, f"R{index}-{lot}", expiry, where="robot1", packs=40)
        expired = TODAY - timedelta(days=1)
        await shop.open_stock(item.item_id, f"X{index}", expired, where="shelf", packs=2)
    return chosen


async def order(shop: Shop, number: int, item: Item, rng: random.Random) -> None:
    route = rng.choices(("counter", "cabinet", "hand", None), weights=(28, 42, 15, 15))[0]
    pieces = rng.choice(QUANTITIES)
    if route == "cabinet":
        pieces = item.pack_milli // 1000 * rng.choice((1, 1, 2))
    await dispensing.request(
        shop.site,
        Order(
            order_ref=f"RX{number}",
            item_id=item.item_id,
            quantity=str(pieces),
            patient_key=f"p{number % 97}",
            request_id=f"rx-{number}",
            route=route,
        ),
        "tech",
    )


async def unfinished(shop: Shop) -> int:
    states = ", ".join(f"'{state}'" for state in DispenseState if not state.is_terminal)
    query = text(f"SELECT count(*) FROM dispense WHERE state IN ({states})")  # noqa: S608
    return await shop.site.store.read(lambda tx: int(tx.execute(query).scalar_one()))


async def play(shop: Shop, seed: int) -> tuple[People, int, tuple[str, str]]:
    """Live the day; returns the people, the journal's head at the recall, and the recalled lot."""
    rng = random.Random(seed)
    items = await open_stock(shop)
    fills = FILLS[shop.site.store.dialect]
    people = People(shop, {item.item_id: item for item in items}, rng)
    recalled = (items[0].item_id, "R0-0")
    head_at_recall = 0
    over = asyncio.Event()
    async with asyncio.timeout(DAY_S), asyncio.TaskGroup() as group:
        group.create_task(people.work(over))
        for number in range(fills):
            while await unfinished(shop) >= AT_ONCE:
                await shop.something_changes()
            if rng.random() < 0.05:
                trouble(shop, rng)
            if number % 40 in (10, 30):
                fault = "miscount" if number % 40 == 10 else "short_count"
                shop.stage.counter.faults.switch(fault, on=True, times=1)
            if rng.random() < 0.01:
                article = rng.choice(items).item_id
                shop.stage.robot.set("manual_output", json.dumps({"article": article, "packs": 1}))
            if rng.random() < 0.004:
                shop.stage.robot.set("vanish", rng.choice(items).item_id)
            await order(shop, number, rng.choice(items), rng)
            if number == fills // 2:
                await open_recall(
                    shop.site,
                    Recall(
                        reference="R-1",
                        recall_class="I",
                        reason="failed dissolution",
                        lot=recalled[1],
                        item_id=recalled[0],
                    ),
                    "manager",
                )
                head_at_recall = await shop.site.store.read(last_movement)
        while await unfinished(shop):
            await shop.something_changes()
        over.set()
    return people, head_at_recall, recalled


def last_movement(tx: Tx) -> int:
    return int(tx.execute(text("SELECT max(id) FROM movement")).scalar_one())


@pytest.mark.slow
@pytest.mark.timeout(DAY_S + 60)
async def test_a_day_of_fills_with_faults_ends_with_a_true_inventory(
    store: Store, tmp_path: Path
) -> None:
    async with open_shop(store, tmp_path, speed=100, driver_options=PATIENCE) as shop:
        shop.stage.robot.set("output_s", "1")
        shop.stage.counter.set("rate_per_s", "500")
        people, head_at_recall, recalled = await play(shop, seed=1)
        await shop.all_up()
        reports = await reconciling.reconcile(shop.site, "robot1")
        assert [report.settled for report in reports] == [True]

        await assert_the_robot_is_equal_or_covered(shop)
        await assert_every_fill_ended(store)
        await assert_no_blocked_lot_was_issued(store, head_at_recall, recalled)
    log.info("day.finished", **people.tally)
    assert people.tally["settled"] > FILLS[store.dialect] * 0.8
    assert people.tally["miscount_found"] > 0
    assert people.tally["topped_up"] > 0


async def assert_the_robot_is_equal_or_covered(shop: Shop) -> None:
    """Compare the robot's own packs, not its answer, with the book."""
    really: dict[tuple[str, str], int] = defaultdict(int)
    packs = {item.item_id: item.pack_milli for item in await catalog.items(shop.site, limit=200)}
    for pack in shop.stage.robot.robot.packs.values():
        really[pack.article, pack.batch] += packs[pack.article]
    book = await shop.site.store.read(lambda tx: read.book_of(tx, "robot1"))
    open_rows = await shop.site.store.read(lambda tx: discrepancies.page(tx, state="open"))
    opened = [row for row in open_rows if row.kind == "snapshot" and row.difference]
    sizes = {(row.item_id, row.lot): row.difference for row in opened}
    assert len(sizes) == len(opened)
    differences = {
        key: really.get(key, 0) - book.get(key, 0)
        for key in {*really, *book}
        if really.get(key, 0) != book.get(key, 0)
    }
    assert sizes == differences


async def assert_every_fill_ended(store: Store) -> None:
    query = text("SELECT state, count(*) FROM dispense GROUP BY state")
    ended = {row[0]: row[1] for row in await store.read(lambda tx: list(tx.execute(query)))}
    assert set(ended) <= {"settled", "voided"}
    assert sum(ended.values()) == FILLS[store.dialect]


async def assert_no_blocked_lot_was_issued(
    store: Store, head_at_recall: int, recalled: tuple[str, str]
) -> None:
    query = text(
        "SELECT m.id, m.item_id, m.lot, l.expiry FROM movement m"
        " JOIN lot l ON l.item_id = m.item_id AND l.lot = m.lot WHERE m.kind = 'dispense'"
    )
    for row in await store.read(lambda tx: list(tx.execute(query))):
        assert date.fromisoformat(str(row.expiry)) >= TODAY, row
        if (row.item_id, row.lot) == recalled:
            assert row.id <= head_at_recall, row
