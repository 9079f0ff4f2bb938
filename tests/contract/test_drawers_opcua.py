"""The contract of drawers for a LADS cabinet over OPC UA, on a real connection with its faults."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from drivers.base import DeviceSpec, DrawerState
from drivers.drawers import interpret
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
)
from drivers.facts import DrawerReported
from drivers.opcua_cabinet.driver import OpcuaCabinetDriver
from tests.contract.drawer_benches import PATIENCE_S, Value
from tests.contract.opcua_stand import CabinetStand, a_cabinet_stand
from tests.contract.transports import BREAKING, DELAYED, SILENT, Inbox, Line, outcome, reconnecting

A, B, C, D = (f"Drawer {number}" for number in range(1, 5))
OPTIONS: dict[str, Value] = {
    "security": "none",
    "user": "anonymous",
    "poll_ms": 10,
    "request_timeout_ms": 1000,
    "keepalive_ms": 100,
    "serial": "SIM-0003",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[CabinetStand]:
    yield from a_cabinet_stand()


@pytest.fixture
def cabinet(shared: CabinetStand) -> CabinetStand:
    shared.reset()
    return shared


class Bench:
    """A connected driver that is watched, as the supervisor does."""

    def __init__(self, cabinet: CabinetStand, driver: OpcuaCabinetDriver, inbox: Inbox) -> None:
        self.cabinet = cabinet
        self.driver = driver
        self.inbox = inbox

    async def open(self, name: str, request_id: str, timeout_s: float = PATIENCE_S) -> DrawerState:
        return await self.driver.open_drawer(name, request_id=request_id, timeout_s=timeout_s)

    def facts(self) -> list[DrawerReported]:
        facts = [fact for each in self.inbox.messages for fact in interpret(each.raw)]
        return [fact for fact in facts if isinstance(fact, DrawerReported)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.005)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.driver.watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, DriverError):
                await task


@contextlib.asynccontextmanager
async def connected(cabinet: CabinetStand, **options: Value) -> AsyncIterator[Bench]:
    inbox = Inbox()
    spec = DeviceSpec("drawers1", cabinet.address, {**OPTIONS, **options})
    bench = Bench(cabinet, OpcuaCabinetDriver(spec, inbox.put), inbox)
    await bench.driver.connect()
    try:
        async with bench.watched():
            yield bench
    finally:
        await bench.driver.close()


async def test_a_locked_drawer_is_unlocked_opened_told_and_reported_once(
    cabinet: CabinetStand,
) -> None:
    async with connected(cabinet) as bench:
        assert await bench.driver.drawers() == tuple(
            DrawerState(name, is_open=False, locked=True) for name in (A, B, C, D)
        )
        assert await bench.open(B, "r1") == DrawerState(B, is_open=True, locked=False)
        assert cabinet.is_open(B)
        cabinet.set("shut", B)
        await bench.until(lambda: len(bench.inbox.messages) == 2)
        assert await bench.open(B, "r1") == DrawerState(B, is_open=False, locked=True)
        assert cabinet.pulses(B) == 1
        cabinet.set("unlock", C)
        assert (await bench.open(C, "r2")).is_open
        assert cabinet.pulses(C) == 0, "it was not locked"
        assert bench.facts() == [
            DrawerReported(B, is_open=True, request_id="r1"),
            DrawerReported(B, is_open=False, request_id="r1"),
            DrawerReported(C, is_open=True, request_id="r2"),
        ]
        state = cabinet.do(cabinet.model.state)
        assert (state["lock_held"], state["lock_calls"]) == (False, 2)


async def test_openings_by_hand_and_drawers_left_open_are_reported(cabinet: CabinetStand) -> None:
    async with connected(cabinet, left_open_ms=50) as bench:
        cabinet.set("open", A)
        await bench.until(lambda: len(bench.inbox.messages) == 2)
        cabinet.set("shut", A)
        await bench.until(lambda: len(bench.inbox.messages) == 3)
        assert bench.facts() == [
            DrawerReported(A, is_open=True, request_id=""),
            DrawerReported(A, is_open=True, request_id="", overdue=True),
            DrawerReported(A, is_open=False, request_id=""),
        ]


async def test_what_was_opened_by_hand_before_is_not_laid_to_a_request(
    cabinet: CabinetStand,
) -> None:
    async with connected(cabinet, poll_ms=50) as bench:
        cabinet.set("open", A)
        cabinet.set("shut", A)
        cabinet.fault("solenoid_stuck")
        with pytest.raises(DeviceTimeout):
            await bench.open(A, "r1", 0.5)
        assert "r1" not in {fact.request_id for fact in bench.facts()}


@pytest.mark.parametrize("fault", ["solenoid_stuck", "hook_stuck"])
async def test_without_proof_nothing_is_said_and_nothing_repeated(
    cabinet: CabinetStand, fault: str
) -> None:
    async with connected(cabinet) as bench:
        cabinet.fault(fault)
        for _ in range(2):
            with pytest.raises(DeviceTimeout, match="not seen open") as caught:
                await bench.open(A, "r1", 0.2)
            assert caught.value.moved is Moved.UNKNOWN
        assert (cabinet.pulses(A), bench.facts()) == (1, [])
        cabinet.fault(fault, on=False)
        cabinet.set("open", A)
        assert (await bench.open(A, "r1")).is_open
        assert bench.facts() == [DrawerReported(A, is_open=True, request_id="r1")]


async def test_what_cannot_be_done_is_refused_before_anything_moves(cabinet: CabinetStand) -> None:
    async with connected(cabinet) as bench:
        with pytest.raises(DeviceRefused) as unknown:
            await bench.open("Drawer 9", "r1")
        cabinet.fault("locked_by_other")
        with pytest.raises(DeviceRefused, match="another client has its lock") as locked:
            await bench.open(A, "r1")
        cabinet.fault("locked_by_other", on=False)
        cabinet.fault("error")
        with pytest.raises(DeviceFault, match="reports Error") as faulty:
            await bench.open(A, "r1")
        assert (await bench.driver.drawers())[0] == DrawerState(A, None)
        cabinet.fault("error", on=False)
        for caught in (unknown, locked, faulty):
            assert caught.value.moved is Moved.NO
        assert [cabinet.pulses(name) for name in (A, B, C, D)] == [0, 0, 0, 0]
        calls = [bench.open(A, "r1") for _ in range(3)]
        assert {state.is_open for state in await asyncio.gather(*calls)} == {True}
        assert cabinet.pulses(A) == 1
        with pytest.raises(DeviceRefused):
            await bench.open(B, "r1")


async def test_a_slow_line_is_borne(cabinet: CabinetStand) -> None:
    cabinet.reset(line=DELAYED)
    async with connected(cabinet) as bench:
        assert (await bench.open(A, "r1")).is_open


@pytest.mark.parametrize("line", [*BREAKING, SILENT], ids=lambda line: line.name.replace(" ", "-"))
async def test_on_a_broken_link_nothing_untrue_is_said_and_the_driver_recovers(
    cabinet: CabinetStand, line: Line
) -> None:
    async with connected(cabinet, request_timeout_ms=1000) as bench:
        cabinet.do(lambda: line.switch(cabinet.wire, on=True))
        said = await outcome(lambda: bench.open(A, "r1", 0.3))
        assert isinstance(said, DriverError) or cabinet.is_open(A)
        if isinstance(said, DriverError) and said.moved is Moved.NO:
            assert cabinet.pulses(A) == 0
        cabinet.do(lambda: line.switch(cabinet.wire, on=False))
        await reconnecting(bench.driver, lambda: bench.open(B, "r2", 5.0))
        assert cabinet.is_open(B)
        assert (cabinet.pulses(A) <= 1, cabinet.pulses(B)) == (True, 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"serial": "OTHER"}, "SIM-0003' answers"),
        ({"unit": "Fridge"}, "one functional unit expected, found Drawers"),
    ],
)
async def test_another_cabinet_than_the_configured_one_is_refused(
    cabinet: CabinetStand, options: dict[str, Value], text: str
) -> None:
    spec = DeviceSpec("drawers1", cabinet.address, {**OPTIONS, **options})
    driver = OpcuaCabinetDriver(spec, Inbox().put)
    with pytest.raises(DeviceUnavailable, match=text):
        await driver.connect()
    with pytest.raises(DeviceUnavailable, match="not connected"):
        await driver.drawers()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"security": "maybe"}, "'security' must be named"),
        ({"left_open_ms": 0}, "'left_open_ms' must be 10 to"),
        ({"units": "x"}, "'units' is not known"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Value], text: str) -> None:
    spec = DeviceSpec("d", "opc.tcp://127.0.0.1:4840", {"user": "anonymous", **options})
    with pytest.raises(ValueError, match=text):
        OpcuaCabinetDriver(spec, Inbox().put)
