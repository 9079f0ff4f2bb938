"""What WWKS2 has beyond a cabinet: the driver against the simulated robot, over real sockets.

Every document that either side sends is held against the tables of the manual.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date

import pytest

from drivers.base import (
    DeviceSpec,
    InputAsked,
    InputDecision,
    RawMessage,
    TaskState,
)
from drivers.errors import DeviceRefused
from drivers.facts import InputReported, OutputReported, Pack
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import interpret
from drivers.wwks2.driver import Wwks2Driver
from drivers.wwks2.wanted import Intake, Output, OutputEnd, PackExit, Refused
from simulators.base import Outgoing
from simulators.serve import serve_tcp
from simulators.wwks2 import RobotModel
from tests.unit.wwks2_bench import Ear
from tests.unit.wwks2_manual import faults_of

STOCK = [
    {"article": "A1", "batch": "B1", "expiry": "2027-01-31", "packs": 2, "full_units": 20},
    {"article": "A1", "batch": "B2", "expiry": "2028-01-31", "packs": 4},
    {"article": "A2", "batch": "B3", "packs": 2, "location": "L1", "machine": "M1"},
]
TIMEOUT_S = 5.0


class Overheard(RobotModel):
    """A robot whose line is tapped."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: dict[tuple[str, int | None], bytes] = {}

    def received(self, session: int, data: bytes) -> None:
        self._tap("in", session, data)
        super().received(session, data)

    def outgoing(self) -> list[Outgoing]:
        out = super().outgoing()
        for each in out:
            self._tap("out", each.session, each.data)
        return out

    def _tap(self, way: str, session: int | None, data: bytes) -> None:
        self.lines[way, session] = self.lines.get((way, session), b"") + data

    def check(self) -> None:
        """Every document was one of the manual."""
        for line in self.lines.values():
            documents = [part + b"</WWKS>" for part in line.split(b"</WWKS>")[:-1]]
            assert documents
            assert [fault for raw in documents for fault in faults_of(raw)] == []
            assert Ear().hear(line)


@dataclass
class Bench:
    robot: Overheard
    address: str
    stored: list[RawMessage]
    driver: Wwks2Driver

    def facts(self, kind: type[OutputReported | InputReported]) -> list[Pack]:
        packs: list[Pack] = []
        for message in self.stored:
            for fact in interpret(message.raw):
                if isinstance(fact, kind):
                    packs += fact.packs if isinstance(fact, OutputReported) else [fact.pack]
        return packs


def spec(address: str, **options: str | float) -> DeviceSpec:
    return DeviceSpec("robot1", address, {"request_timeout_s": 2.0, **options})


@contextlib.asynccontextmanager
async def running(driver: Wwks2Driver) -> AsyncIterator[None]:
    await driver.connect()
    watching = asyncio.ensure_future(driver.watch())
    yield
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    robot, stored = Overheard(), list[RawMessage]()
    robot.set("output_s", "0")
    robot.set("stock", json.dumps(STOCK))

    async def sink(message: RawMessage) -> None:
        stored.append(message)

    async with serve_tcp(robot) as served:
        driver = Wwks2Driver(spec(served.address), sink)
        async with running(driver):
            yield Bench(robot, served.address, stored, driver)
        served.check()
    robot.check()


# ---------------------------------------------------------------- outputs


async def test_units_of_one_batch_leave_labelled_in_a_box(bench: Bench) -> None:
    label = wire.Label("34", "<name>a & b ]]> c</name>")
    wanted = wire.Criteria("A1", sub_items=50, single_batch=True, labels=(label,))

    ended = await bench.driver.output(
        Output("1004", (wanted,), destination=3, point=2, priority="High", box="12"),
        timeout_s=TIMEOUT_S,
    )

    assert ended.report.state is TaskState.COMPLETED
    assert [(pack.pack_id, pack.lot) for pack in ended.report.packs] == [
        ("5003", "B2"),
        ("5004", "B2"),
        ("5005", "B2"),
    ]
    assert ended.exits == tuple(
        PackExit(pack_id, 3, 2, "12", "Labelled") for pack_id in ("5003", "5004", "5005")
    )
    assert ended.boxes == ("12",)
    assert bench.facts(OutputReported) == list(ended.report.packs)


async def test_a_label_that_failed_and_a_pack_that_strayed_are_told(bench: Bench) -> None:
    bench.robot.faults.switch("label_error", on=True, times=1)
    bench.robot.faults.switch("wrong_exit", on=True, times=1)
    lines = (
        wire.Criteria("A1", 1, labels=(wire.Label("1", "x"),)),
        wire.Criteria("A2", 1, stock_location="L1"),
    )

    ended = await bench.driver.output(Output("1004", lines), timeout_s=TIMEOUT_S)

    assert ended.exits == (PackExit("5001", 2, 0, "", "LabelError"), PackExit("5007", 1))


async def test_a_box_is_forwarded_by_an_empty_order_and_named(bench: Bench) -> None:
    assert (await bench.driver.release_box("7", timeout_s=TIMEOUT_S)).boxes == ("1",)
    named = await bench.driver.release_box("8", box="B77", timeout_s=TIMEOUT_S)
    assert (named.boxes, named.report.packs) == (("B77",), ())


async def test_an_output_is_not_repeated_and_its_id_is_shared_with_simple_orders(
    bench: Bench,
) -> None:
    wanted = Output("1004", (wire.Criteria("A1", 1),))
    first = await bench.driver.output(wanted, timeout_s=TIMEOUT_S)

    assert await bench.driver.output(wanted, timeout_s=TIMEOUT_S) == first
    with pytest.raises(DeviceRefused, match="ended with other lines"):
        await bench.driver.release_box("1004", timeout_s=TIMEOUT_S)
    assert len(bench.robot.left) == 1


async def test_what_a_task_says_of_an_output_includes_its_boxes(bench: Bench) -> None:
    bench.robot.set("boxes", "1")
    bench.robot.faults.switch("lost_message", on=True, times=1)
    wanted = Output("1004", (wire.Criteria("A1", 1),))
    delivering = asyncio.ensure_future(bench.driver.output(wanted, timeout_s=TIMEOUT_S))
    report = await bench.driver.reconcile("1004")
    while report.state is TaskState.UNKNOWN:  # the order is under way to the robot
        report = await bench.driver.reconcile("1004")

    assert await delivering == OutputEnd(report, (PackExit("5001", 1, 0, "1"),), ("1",))


async def test_units_that_nobody_can_count_are_refused(bench: Bench) -> None:
    wanted = Output("1004", (wire.Criteria("A2", sub_items=5),))

    with pytest.raises(DeviceRefused, match="Rejected"):
        await bench.driver.output(wanted, timeout_s=TIMEOUT_S)


# ---------------------------------------------------------------- inputs


async def decide(asked: InputAsked) -> InputDecision:
    if asked.scan_code == "unknown":
        return InputDecision(allowed=False, reason="unknown article")
    return InputDecision(allowed=True, article="A9", pack_units=30, refrigerated=True)


async def test_a_started_input_stores_what_the_handler_allows(bench: Bench) -> None:
    bench.driver.on_input(decide)
    intake = Intake(
        (
            wire.PackData(
                scan_code="0107\x1d10",
                batch="B9",
                expiry=date(2028, 1, 31),
                sub_items=12,
                delivery="D1",
                external_id="X",
                depth=50,
                stock_location="L1",
                machine_location="M1",
            ),
            wire.PackData(scan_code="unknown"),
        ),
        source=3,
        point=1,
        new_delivery=True,
    )

    ended = await bench.driver.start_input(intake, timeout_s=TIMEOUT_S)

    assert not ended.complete
    stored = Pack("5009", "A9", "B9", date(2028, 1, 31), 12, "0107\x1d10")
    assert ended.stored == (stored,)
    assert ended.refused == (Refused(1, "unknown", "Rejected", "unknown article"),)
    assert set(bench.facts(InputReported)) == {stored}
    kept = bench.robot.robot.packs[5009]
    assert (kept.in_fridge, kept.stock_location, kept.external_id) == (True, "L1", "X")


@pytest.mark.parametrize(
    ("fault", "error"), [("input_broken", "InputBroken"), ("no_space", "NoSpaceInMachine")]
)
async def test_a_fault_of_the_input_is_named(bench: Bench, fault: str, error: str) -> None:
    bench.driver.on_input(decide)
    bench.robot.faults.switch(fault, on=True, times=1)
    intake = Intake((wire.PackData(scan_code="1"), wire.PackData(scan_code="2")), source=1)

    ended = await bench.driver.start_input(intake, timeout_s=TIMEOUT_S)

    assert [each.error for each in ended.refused] == [error]
    assert len(ended.stored) == 1


async def test_a_robot_that_is_not_ready_starts_no_input(bench: Bench) -> None:
    bench.robot.faults.switch("not_ready", on=True)

    with pytest.raises(DeviceRefused, match="Rejected") as refused:
        await bench.driver.start_input(Intake((wire.PackData(scan_code="1"),), 1), timeout_s=1)
    assert refused.value.reason == "Rejected"


# ---------------------------------------------------------------- master data and questions


async def test_articles_and_deliveries_let_packs_in_without_a_question(bench: Bench) -> None:
    bench.robot.set("autonomous", "1")
    await bench.driver.set_articles([wire.Article("A8", "Eight", max_sub_items=10)])
    items = wire.Article("A7", batch="B7", expiry=date(2027, 4, 5), quantity=2)
    await bench.driver.add_deliveries([wire.Delivery("D1", (items,))])
    assert (await bench.driver.delivery("D1")).state is TaskState.QUEUED
    for code, delivery in (("A8", ""), ("A7", "D1"), ("A6", "")):
        bench.robot.set("input", json.dumps({"scan_code": code, "delivery": delivery}))

    report = await bench.driver.delivery("D1")

    came = Pack("5010", "A7", "B7", date(2027, 4, 5), scan_code="A7")
    assert (report.state, report.packs) == (TaskState.RUNNING, (came,))
    assert [pack.article for pack in bench.facts(InputReported)] == ["A8", "A7"]
    assert (await bench.driver.delivery("D2")).state is TaskState.UNKNOWN
    await bench.driver.set_articles([])
    with pytest.raises(DeviceRefused, match="Rejected Delivery D1 is known"):
        await bench.driver.add_deliveries([wire.Delivery("D1", (items,))])


async def test_stock_locations_and_configuration_are_told(bench: Bench) -> None:
    filtered = await bench.driver.stock(wire.Criteria("A2", machine_location="M1"))
    assert [(each.id, len(each.packs)) for each in filtered] == [("A2", 2)]
    counted = await bench.driver.stock(packs=False)
    assert [(each.id, each.quantity, each.packs) for each in counted] == [
        ("A1", 6, ()),
        ("A2", 2, ()),
    ]
    assert await bench.driver.stock_locations() == (wire.StockLocation("1", "Main store"),)
    assert await bench.driver.configuration() == (
        '<ConfigurationValue Name="dialect" Value="classic"/>'
        '<ConfigurationValue Name="output_s" Value="0"/>'
    )
    ready = await bench.driver.readiness()
    assert [(part.type, part.state) for part in ready.components] == [("StorageSystem", "Ready")]


async def test_two_pharmacies_have_their_own_deliveries_and_hear_each_others_outputs(
    bench: Bench,
) -> None:
    heard = asyncio.Event()
    stored = []

    async def sink(message: RawMessage) -> None:
        stored.append(message)
        if message.kind == "OutputMessage":
            heard.set()

    other = Wwks2Driver(spec(bench.address, subscriber_id=101, tenant="T2"), sink)
    async with running(other):
        items = (wire.Article("A7"),)
        await bench.driver.add_deliveries([wire.Delivery("D1", items)])
        await other.add_deliveries([wire.Delivery("D1", items)])
        await bench.driver.release_box("9", timeout_s=TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            await heard.wait()

    assert [interpret(message.raw)[0] for message in stored if message.kind == "OutputMessage"] == [
        interpret(message.raw)[0] for message in bench.stored if message.kind == "OutputMessage"
    ]
