"""For any orders and any faults: reported is what left, once, or the error says so honestly."""

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import PickOrder, Snapshot
from drivers.errors import DriverError, Moved
from drivers.facts import OutputReported
from simulators.base import FaultPlan
from tests.contract.cabinet_bench import ALL_PACKS, Bench, bench, order

MODEL_FAULTS = [
    "jam",
    "cut_output",
    "lost_message",
    "damaged_message",
    "box_released",
    "reject",
    "too_many",
]
WIRE_FAULTS = [
    "cut_mid_frame",
    "duplicate",
    "stale",
    "stale_tail",
    "previous",
    "garbage",
    "garbage_at_connect",
    "drop_last_byte",
    "burst",
    "half_open",
    "split_each",
    "join",
]
LINES = ["clean", "one byte", "37 bytes", "joined"]

steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "order", "order", "manual"]),
        st.integers(1, 3),
        st.none() | st.sampled_from(MODEL_FAULTS + WIRE_FAULTS),
    ),
    min_size=1,
    max_size=6,
)


async def play(here: Bench, script: list[tuple[str, int, str | None]]) -> None:
    uncertain: set[str] = set()
    for number, (what, packs, fault) in enumerate(script, 2):
        if fault is not None:
            plan_of(here, fault).switch(fault, on=True, times=1)
        if what == "manual":
            wanted = {"article": "00071015523", "packs": packs}
            here.model.set("manual_output", json.dumps(wanted))
        elif await order_is_uncertain(here, order(str(number), packs)):
            uncertain.add(str(number))
    for fault in MODEL_FAULTS + WIRE_FAULTS:
        plan_of(here, fault).switch(fault, on=False)
    for order_id in uncertain:
        report = await here.settle(order_id)
        assert {pack.pack_id for pack in report.packs} == here.packs_of(order_id)


def plan_of(here: Bench, fault: str) -> FaultPlan:
    return here.wire.faults if fault in WIRE_FAULTS else here.model.faults


async def order_is_uncertain(here: Bench, wanted: PickOrder) -> bool:
    """Deliver; a report must be the truth, and a refusal must have moved nothing."""
    try:
        report = await here.deliver(wanted, timeout_s=0.5)
    except DriverError as error:
        moved = error.moved
    else:
        assert {pack.pack_id for pack in report.packs} == here.packs_of(wanted.order_id)
        assert len(report.packs) <= wanted.lines[0].packs
        return False
    assert moved in {Moved.NO, Moved.UNKNOWN}
    if moved is Moved.NO:
        assert here.packs_of(wanted.order_id) == set()
    return moved is Moved.UNKNOWN


async def one_day(line: str, script: list[tuple[str, int, str | None]]) -> None:
    options = {"request_timeout_s": 0.5, "hello_timeout_s": 0.5, "keepalive_interval_s": 0.2}
    async with bench(line, options=dict(options)) as here:
        await play(here, script)
        ordered = {pack: owner for pack, owner in here.left().items() if owner != "1"}
        reported = here.reported()

        assert {
            pack: owner for pack, (owner, _) in reported.items() if owner != "manual"
        } == ordered
        assert set(reported) <= set(here.left())
        held = {pack.pack_id for pack in (await inventory(here)).packs}
        assert held.isdisjoint(here.left())
        assert len(held) + len(here.left()) == ALL_PACKS
        facts = [fact for fact in here.facts() if isinstance(fact, OutputReported)]
        assert all(len({pack.pack_id for pack in fact.packs}) == len(fact.packs) for fact in facts)


async def inventory(here: Bench) -> Snapshot:
    async with asyncio.timeout(5):
        while True:
            await here.up.wait()
            try:
                return await here.driver.inventory()
            except DriverError:
                await asyncio.sleep(0.005)


@given(st.sampled_from(LINES), steps)
@settings(max_examples=40, deadline=None)
def test_what_is_reported_is_what_left_or_the_error_is_honest(
    line: str, script: list[tuple[str, int, str | None]]
) -> None:
    asyncio.run(one_day(line, script))
