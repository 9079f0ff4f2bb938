"""A pharmacy's day as its people live it: prescriptions, counting, weighing, verifying, trouble.

Everything goes through the daemon's HTTP API and the machines' wires; only what hands and eyes do
(put a vial on the scale, load paper) reaches into the simulated machines.
"""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import cast

from simulators.base import Json
from simulators.desk import Desk, Refused
from simulators.stage import Stage

Row = dict[str, Json]
Say = Callable[[str], None]
SHELF = "shelf"
ROBOT = "robot1"
COUNTER = "counter1"
OPENING_ITEMS = 24
POLL_S = 0.5
LOOKS_MAX = 60
_TERMINAL = ("settled", "voided")


@dataclass(slots=True)
class Product:
    """One item as the people know it."""

    item_id: str
    name: str
    pack: int
    piece_g: float | None
    robot_lot: str
    shelf_lot: str


@dataclass(slots=True)
class Day:
    """What happened so far, and the people at work."""

    desk: Desk
    stage: Stage
    today: date
    say: Say
    rng: random.Random
    products: list[Product] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    settled: int = 0
    incidents: set[str] = field(default_factory=set)
    weighing: asyncio.Lock = field(default_factory=asyncio.Lock)


# ---------------------------------------------------------------- opening


async def open_pharmacy(day: Day) -> None:
    """Take in opening stock: shelves, the robot, and a bottle that expired yesterday."""
    await day.desk.post("/locations", {"location_id": SHELF})
    listed = await day.desk.rows("/items", limit=200)
    countable = [row for row in listed if row["unit"] == "EA" and row.get("piece_weight_ug")]
    loads: list[Json] = []
    for index, row in enumerate(countable[:OPENING_ITEMS]):
        product = _product(row, index)
        day.products.append(product)
        expiry = day.today + timedelta(days=200 + 13 * index)
        await _opening(day, product, product.shelf_lot, expiry, SHELF, packs=6)
        await _opening(day, product, product.robot_lot, expiry, ROBOT, packs=5)
        loads.append(
            {
                "article": product.item_id,
                "batch": product.robot_lot,
                "expiry": expiry.isoformat(),
                "packs": 5,
            }
        )
    day.stage.robot.set("stock", json.dumps(loads))
    old = day.products[0]
    await _opening(day, old, "OLD-1", day.today - timedelta(days=1), SHELF, packs=1)
    day.say(f"opening stock: {2 * len(day.products)} lots on the shelf and in the robot")


def _product(row: Row, index: int) -> Product:
    weight = row.get("piece_weight_ug")
    pack = cast("Row", row["pack"])
    return Product(
        item_id=str(row["item_id"]),
        name=f"{row['name']} {row['strength']}",
        pack=int(str(pack["milli"])) // 1000,
        piece_g=None if weight is None else int(str(weight)) / 1e6,
        robot_lot=f"R{1000 + index}",
        shelf_lot=f"S{2000 + index}",
    )


async def _opening(
    day: Day, product: Product, lot: str, expiry: date, where: str, *, packs: int
) -> None:
    await day.desk.post(
        "/receipts",
        {
            "request_id": f"opening-{where}-{product.item_id}-{lot}",
            "item_id": product.item_id,
            "lot": lot,
            "expiry": expiry.isoformat(),
            "quantity": str(packs * product.pack),
            "location": where,
            "opening": True,
        },
    )


# ---------------------------------------------------------------- prescriptions


async def prescribe(day: Day, every_s: float) -> None:
    """Hand in a prescription every few seconds, for ever."""
    while True:
        await order(day, day.rng.choice(day.products), route=None)
        await asyncio.sleep(every_s * day.rng.uniform(0.5, 1.5))


USUAL_MOST = 120
"""Nobody is prescribed more pieces than this at once, so larger packs are counted from."""
ROBOT_SHARE = 0.4


async def order(day: Day, product: Product, *, route: str | None, packs: int = 0) -> str:
    """Hand in one prescription; returns its reference."""
    whole = route is None and product.pack <= USUAL_MOST and day.rng.random() < ROBOT_SHARE
    by_robot = packs or (1 if whole else 0)
    pieces = product.pack * by_robot if by_robot else day.rng.choice((10, 14, 20, 28, 30, 60))
    reference = f"RX-{next(day.numbers):05d}"
    body: Row = {
        "request_id": reference,
        "order_ref": reference,
        "item_id": product.item_id,
        "quantity": str(pieces),
        "patient_key": f"p-{day.rng.randrange(10**6):06d}",
        "route": route,
    }
    try:
        await day.desk.post("/dispenses", body)
        day.say(f"{reference}: {pieces} EA {product.name} ordered")
    except Refused as refused:
        day.say(f"{reference}: refused, {refused}")
    return reference


# ---------------------------------------------------------------- the bench


async def work_the_bench(day: Day) -> None:
    """Look after every fill until it is settled, for ever."""
    while True:
        for state in ("counted", "verified", "in_doubt"):
            for row in await day.desk.rows("/dispenses", state=state, limit=50):
                await _look_after(day, row)
        await asyncio.sleep(POLL_S)


async def _look_after(day: Day, row: Row) -> None:
    steps: dict[str, Callable[[Day, Row], Awaitable[None]]] = {
        "counted": _check_and_verify,
        "verified": _hand_out,
        "in_doubt": _resolve,
    }
    try:
        await steps[str(row["state"])](day, row)
    except Refused as refused:
        day.say(f"{row['order_ref']}: {refused}")
        if refused.code == "blocked_lot":
            await day.desk.post(f"/dispenses/{row['id']}/void", {"reason": "a lot was stopped"})
            day.say(f"{row['order_ref']}: voided, nothing of the stopped lot leaves")


async def _check_and_verify(day: Day, row: Row) -> None:
    path = f"/dispenses/{row['id']}"
    counted, ordered = _pieces(row, "counted"), _pieces(row, "ordered")
    if counted < ordered:
        day.say(f"{row['order_ref']}: {counted} of {ordered} counted, topping up")
        await day.desk.post(f"{path}/top-up")
        return
    if counted > ordered:
        day.say(f"{row['order_ref']}: {counted} of {ordered} counted, one too many: voided")
        await day.desk.post(f"{path}/void", {"reason": f"{counted} counted, {ordered} ordered"})
        return
    product = _of(day, row)
    detail = await day.desk.get(path)
    from_robot = all(
        move["source"] == ROBOT
        for move in cast("list[Row]", detail["movements"])
        if move["target"] == "fill"
    )
    if product.piece_g is not None and not from_robot and not await _weigh(day, row, product):
        return
    await day.desk.post(f"{path}/verify")
    await _hand_out(day, row)


async def _weigh(day: Day, row: Row, product: Product) -> bool:
    """Put the vial on the scale; what lies in it is the truth, whatever the counter said."""
    path = f"/dispenses/{row['id']}"
    counted = _pieces(row, "counted")
    by_counter = row["device_id"] == COUNTER
    really = day.stage.pieces_in_tray(int(str(row["id"]))) if by_counter else counted
    weighed = await _on_scale(day, path, really * (product.piece_g or 0.0))
    verdict = str(weighed["weigh_result"]).split(":")
    if verdict[0] != "differs":
        return True
    day.incidents.add("miscount")
    day.say(
        f"{row['order_ref']}: MISCOUNT, the counter says {counted}, the scale {verdict[1]};"
        " counting by hand"
    )
    reason = f"counted by hand after the scale said {verdict[1]}"
    body: Row = {"counted": str(really), "reason": reason}
    await day.desk.post(f"{path}/count", body)
    return False


async def _on_scale(day: Day, path: str, grams: float) -> Row:
    async with day.weighing:
        day.stage.scale.set("load_g", f"{grams:.6f}")
        await asyncio.sleep(1.0)
        try:
            return await day.desk.post(f"{path}/weigh")
        finally:
            day.stage.scale.set("load_g", "0")


async def _hand_out(day: Day, row: Row) -> None:
    path = f"/dispenses/{row['id']}"
    try:
        await day.desk.post(f"{path}/release")
    except Refused as refused:
        if refused.code == "label_in_doubt":
            await day.desk.post(f"{path}/release", {"reprint": "no label at the printer"})
        elif refused.code == "blocked_lot":
            raise
        else:
            day.say(f"{row['order_ref']}: not released, {refused}")
            await _load_paper(day)
            return
    day.settled += 1
    day.say(f"{row['order_ref']}: {_pieces(row, 'ordered')} EA {row['name']} settled")


async def _load_paper(day: Day) -> None:
    if day.stage.printer.faults.active("paper_out"):
        day.incidents.add("paper")
        day.say("printer: PAPER OUT, loading a new roll")
        day.stage.printer.faults.switch("paper_out", on=False)


async def _resolve(day: Day, row: Row) -> None:
    after = await day.desk.post(f"/dispenses/{row['id']}/resolve")
    day.say(f"{row['order_ref']}: IN DOUBT, asked {row['device_id']} again: now {after['state']}")


def _pieces(row: Row, name: str) -> int:
    amount = cast("Row | None", row[name])
    return 0 if amount is None else int(str(amount["milli"])) // 1000


def _of(day: Day, row: Row) -> Product:
    return next(each for each in day.products if each.item_id == row["item_id"])


# ---------------------------------------------------------------- trouble


async def play_incidents(day: Day, pause_s: float) -> None:
    """The day's troubles, one after the other."""
    for incident in (_expired, _miscount, _manual, _drop, _paper, _recall):
        await asyncio.sleep(pause_s)
        try:
            await incident(day)
        except Refused as refused:
            day.say(f"incident: {refused}")
    await asyncio.sleep(pause_s)
    found = await day.desk.post("/devices/robot1/reconcile")
    for row in cast("list[Row]", found["rows"]):
        numbers = f"{row['compared']} lots compared, {row['differing']} differ"
        day.say(f"reconciled {row['device']}: {numbers}")
    day.say("all incidents were played; prescriptions go on until Ctrl-C")


async def _expired(day: Day) -> None:
    day.incidents.add("expired")
    product = day.products[0]
    await day.desk.post("/jobs/expiry/run")
    day.say(f"expiry: lot OLD-1 of {product.name} EXPIRED yesterday; it is blocked")
    await day.desk.post(
        "/transfers",
        {
            "request_id": f"pull-OLD-1-{product.item_id}",
            "item_id": product.item_id,
            "lot": "OLD-1",
            "source": SHELF,
            "target": "outdate",
            "quantity": str(product.pack),
            "reason": "expired, pulled for return",
        },
    )
    day.say("expiry: pulled to the outdate place")


async def _miscount(day: Day) -> None:
    day.stage.counter.faults.switch("miscount", on=True, times=1)
    day.say("(the counter will count a shadow)")
    await order(day, day.products[1], route="counter")


async def _manual(day: Day) -> None:
    day.incidents.add("manual")
    product = day.products[2]
    wanted = {"article": product.item_id, "packs": 1}
    day.stage.robot.set("manual_output", json.dumps(wanted))
    day.say(f"robot: somebody takes a pack of {product.name} out at the machine; nobody ordered it")
    for _ in range(LOOKS_MAX):
        await asyncio.sleep(POLL_S)
        for row in await day.desk.rows("/discrepancies"):
            if row["kind"] == "unordered_output":
                day.say(f"discrepancy: {row['kind']} at {row['location_id']}: {row['detail']}")
                return


async def _drop(day: Day) -> None:
    day.incidents.add("drop")
    day.stage.robot.faults.switch("cut_output", on=True, times=1)
    day.say("(the robot's network will fail in the middle of an output)")
    await order(day, day.products[3], route="cabinet", packs=1)


async def _paper(day: Day) -> None:
    day.stage.printer.faults.switch("paper_out", on=True)
    day.say("(the label printer's roll ends)")
    await order(day, day.products[4], route="cabinet", packs=1)


async def _recall(day: Day) -> None:
    day.incidents.add("recall")
    product = next(each for each in day.products[5:] if each.pack <= USUAL_MOST)
    await day.desk.post(
        "/recalls",
        {
            "reference": "DEMO-RECALL-1",
            "recall_class": "II",
            "reason": "demonstration: failed dissolution",
            "item_id": product.item_id,
            "lot": product.robot_lot,
        },
    )
    day.say(f"RECALL: lot {product.robot_lot} of {product.name} is stopped everywhere")
    await order(day, product, route="cabinet", packs=1)


async def live(day: Day, *, every_s: float, pause_s: float, seconds: float | None) -> None:
    """Open the pharmacy and live its day: for ever, or for some seconds."""
    await open_pharmacy(day)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            group.create_task(prescribe(day, every_s), name="prescriptions")
            group.create_task(work_the_bench(day), name="bench")
            group.create_task(play_incidents(day, pause_s), name="incidents")
