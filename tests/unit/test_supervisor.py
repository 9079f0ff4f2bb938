"""The supervisor and the fleet: links come and go, faults stay with their device."""

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from dispensed.devices import registry, supervisor
from dispensed.devices.fleet import DeviceDown, DeviceUnknown, Fleet
from dispensed.devices.registry import Capability
from dispensed.devices.supervisor import Link, LinkState, Pace, Supervisor
from drivers.base import (
    DeviceSpec,
    Identity,
    RawMessage,
    Sink,
    WeightReading,
)
from drivers.errors import DeviceUnavailable, Unsupported
from drivers.transport import Transport, transport_for

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT_S = 5.0


class StepClock:
    """Every look at it is a second later than the last."""

    def __init__(self) -> None:
        self._looks = -1

    def now(self) -> datetime:
        self._looks += 1
        return START + timedelta(seconds=self._looks)


Step = Exception | Identity | asyncio.CancelledError


class ScriptedScale:
    """Connects and is lost as its script says; hangs for ever when the script is at its end."""

    def __init__(self, *, connects: list[Step], watches: list[BaseException | None]) -> None:
        self.connects = connects
        self.watches = watches
        self.closes = 0
        self.close_error: Exception | None = None
        self.close_hangs = False

    async def connect(self) -> Identity:
        if not self.connects:
            await asyncio.get_running_loop().create_future()
        step = self.connects.pop(0)
        if isinstance(step, Identity):
            return step
        raise step

    async def watch(self) -> None:
        if not self.watches:
            await asyncio.get_running_loop().create_future()
        step = self.watches.pop(0)
        if step is not None:
            raise step

    async def close(self) -> None:
        self.closes += 1
        if self.close_hangs:
            await asyncio.get_running_loop().create_future()
        if self.close_error is not None:
            raise self.close_error

    async def read(self) -> WeightReading:
        raise Unsupported("scripted")

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        raise Unsupported(f"scripted, {timeout_s}")

    async def zero(self, *, timeout_s: float) -> None:
        raise Unsupported(f"scripted, {timeout_s}")

    async def tare(self, *, timeout_s: float) -> WeightReading:
        raise Unsupported(f"scripted, {timeout_s}")

    async def set_tare(self, tare: WeightReading | None) -> None:
        raise Unsupported(f"scripted, {tare}")


class Recorder:
    """Keeps every link state and lets a test wait for one."""

    def __init__(self) -> None:
        self.seen: list[LinkState] = []
        self._changed = asyncio.Event()

    def __call__(self, link: LinkState) -> None:
        self.seen.append(link)
        self._changed.set()

    async def until(self, wanted: Callable[[LinkState], bool]) -> LinkState:
        async with asyncio.timeout(LIMIT_S):
            while True:
                for link in self.seen:
                    if wanted(link):
                        return link
                self._changed.clear()
                await self._changed.wait()

    async def state(self, state: Link, device: str = "scale1") -> LinkState:
        return await self.until(lambda link: link.state is state and link.device == device)

    def words(self) -> list[tuple[str, str]]:
        return [(link.state.value, link.reason) for link in self.seen]


class Sleeper:
    """Records the waits asked for; returns at once for the first `free`, then blocks."""

    def __init__(self, free: int) -> None:
        self.asked: list[float] = []
        self._free = free
        self.exhausted = asyncio.Event()

    async def __call__(self, delay_s: float) -> None:
        self.asked.append(delay_s)
        if len(self.asked) > self._free:
            self.exhausted.set()
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)


def pace(
    sleep: Callable[[float], Awaitable[None]],
    *,
    chance: float = 1.0,
    times: Callable[[], float] = lambda: 0.0,
) -> Pace:
    return Pace(sleep=sleep, chance=lambda: chance, monotonic=times)


def first_state() -> LinkState:
    return LinkState("scale1", Capability.SCALE, "fake", Link.CONNECTING, "", START)


@asynccontextmanager
async def running(run: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    async def go() -> None:
        await run()

    task = asyncio.create_task(go())
    try:
        yield task
    finally:
        task.cancel()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(task, return_exceptions=True)


async def supervise(device: ScriptedScale, recorder: Recorder, sleeper: Sleeper) -> Supervisor:
    one = Supervisor(device, first_state(), clock=StepClock(), on_link=recorder, pace=pace(sleeper))
    async with running(one.run), asyncio.timeout(LIMIT_S):
        await sleeper.exhausted.wait()
    return one


WHO = Identity(maker="Acme", model="S1")


async def test_a_device_that_answers_is_up_with_its_identity_and_closed_when_stopped() -> None:
    device = ScriptedScale(connects=[WHO], watches=[])
    recorder = Recorder()
    one = Supervisor(
        device, first_state(), clock=StepClock(), on_link=recorder, pace=pace(Sleeper(0))
    )
    async with running(one.run):
        up = await recorder.state(Link.UP)
        assert up.identity == WHO
        assert device.closes == 0
    assert device.closes == 1
    assert recorder.words() == [("up", ""), ("stopped", "stopped")]
    assert one.state.state is Link.STOPPED


async def test_a_lost_device_is_down_with_the_reason_and_comes_back_by_itself() -> None:
    device = ScriptedScale(
        connects=[WHO, DeviceUnavailable("busy"), WHO], watches=[DeviceUnavailable("hung up"), None]
    )
    recorder = Recorder()
    await supervise(device, recorder, Sleeper(free=2))
    assert recorder.words() == [
        ("up", ""),
        ("down", "hung up"),
        ("down", "busy"),
        ("up", ""),
        ("down", "the driver stopped watching"),
        ("stopped", "stopped"),
    ]


async def test_since_stays_while_only_the_reason_changes() -> None:
    device = ScriptedScale(
        connects=[DeviceUnavailable("no port"), DeviceUnavailable("busy")], watches=[]
    )
    recorder = Recorder()
    await supervise(device, recorder, Sleeper(free=1))
    assert [(link.reason, link.since) for link in recorder.seen[:2]] == [
        ("no port", START),
        ("busy", START),
    ]


async def test_a_loss_is_logged_once_and_a_return_once_however_many_attempts_lie_between() -> None:
    device = ScriptedScale(
        connects=[WHO, *[DeviceUnavailable("no port")] * 20, WHO],
        watches=[DeviceUnavailable("hung up"), DeviceUnavailable("gone")],
    )
    with structlog.testing.capture_logs() as logs:
        await supervise(device, Recorder(), Sleeper(free=21))
    assert [
        (each["event"], each.get("reason")) for each in logs if each["log_level"] != "debug"
    ] == [
        ("device.connected", None),
        ("device.lost", "hung up"),
        ("device.connected", None),
        ("device.lost", "gone"),
    ]


async def test_waits_double_from_one_second_to_sixty() -> None:
    device = ScriptedScale(connects=[DeviceUnavailable("no")] * 9, watches=[])
    sleeper = Sleeper(free=8)
    await supervise(device, Recorder(), sleeper)
    assert sleeper.asked == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("attempt", "chance", "delay_s"),
    [
        (0, 0.0, 1.0),
        (1, 0.0, 1.0),
        (2, 0.0, 2.0),
        (2, 0.5, 3.0),
        (10, 0.0, 30.0),
        (10**6, 1.0, 60.0),
    ],
)
def test_chance_shortens_a_wait_to_no_less_than_half_and_one_second(
    attempt: int, chance: float, delay_s: float
) -> None:
    assert Pace(chance=lambda: chance).delay_s(attempt) == delay_s


async def test_a_steady_link_starts_again_with_a_short_wait_and_a_flapping_one_does_not() -> None:
    lost = DeviceUnavailable("lost")
    device = ScriptedScale(connects=[WHO] * 4, watches=[lost] * 4)
    moments = iter([0.0, 1.0, 10.0, 11.0, 20.0, 51.0, 60.0, 61.0])
    sleeper = Sleeper(free=3)
    one = Supervisor(
        device,
        first_state(),
        clock=StepClock(),
        on_link=Recorder(),
        pace=pace(sleeper, times=lambda: next(moments)),
    )
    async with running(one.run), asyncio.timeout(LIMIT_S):
        await sleeper.exhausted.wait()
    assert sleeper.asked == [1.0, 2.0, 1.0, 2.0]


async def test_a_fault_in_a_driver_is_told_and_logged_and_the_device_is_tried_again() -> None:
    device = ScriptedScale(connects=[KeyError("weight"), WHO], watches=[])
    recorder = Recorder()
    one = Supervisor(
        device, first_state(), clock=StepClock(), on_link=recorder, pace=pace(Sleeper(1))
    )
    with structlog.testing.capture_logs() as logs:
        async with running(one.run):
            await recorder.state(Link.UP)
    assert recorder.words()[0] == ("down", "fault in the driver: KeyError: 'weight'")
    assert [each["event"] for each in logs if each["log_level"] == "error"] == [
        "device.driver_failed"
    ]


async def test_losses_inside_a_group_are_losses_and_not_faults_of_the_driver() -> None:
    lost = ExceptionGroup(
        "tasks",
        [DeviceUnavailable("reader ended"), ExceptionGroup("", [DeviceUnavailable("sent")])],
    )
    mixed = ExceptionGroup("tasks", [DeviceUnavailable("reader ended"), ValueError("bug")])
    device = ScriptedScale(connects=[WHO, WHO], watches=[lost, mixed])
    recorder = Recorder()
    await supervise(device, recorder, Sleeper(free=1))
    assert recorder.words()[1] == ("down", "reader ended; sent")
    assert recorder.words()[3][1].startswith("fault in the driver: ExceptionGroup: tasks")


async def test_a_driver_that_cancels_itself_does_not_end_its_supervisor() -> None:
    device = ScriptedScale(connects=[asyncio.CancelledError(), WHO], watches=[])
    recorder = Recorder()
    one = Supervisor(
        device, first_state(), clock=StepClock(), on_link=recorder, pace=pace(Sleeper(1))
    )
    async with running(one.run):
        await recorder.state(Link.UP)
    assert recorder.words()[0] == ("down", "the driver cancelled itself")


async def test_a_connect_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "CONNECT_TIMEOUT_S", 0.01)
    recorder = Recorder()
    await supervise(ScriptedScale(connects=[], watches=[]), recorder, Sleeper(free=0))
    assert recorder.words()[0] == ("down", "no connection within 0.01 s")


async def test_a_close_that_hangs_or_fails_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "CLOSE_TIMEOUT_S", 0.01)
    device = ScriptedScale(connects=[WHO], watches=[DeviceUnavailable("lost")])
    device.close_hangs = True
    with structlog.testing.capture_logs() as logs:
        one = await supervise(device, Recorder(), Sleeper(free=0))
    assert one.state.state is Link.STOPPED
    assert [each["reason"] for each in logs if each["event"] == "device.close_failed"] == [
        "not closed within 0.01 s",
        "not closed within 0.01 s",
    ]


async def test_an_impaired_device_is_degraded_until_it_is_well_again() -> None:
    device = ScriptedScale(connects=[WHO], watches=[])
    recorder = Recorder()
    one = Supervisor(
        device, first_state(), clock=StepClock(), on_link=recorder, pace=pace(Sleeper(0))
    )
    one.degrade("too early")
    async with running(one.run):
        await recorder.state(Link.UP)
        one.degrade("paper_out")
        one.degrade("paper_out")
        one.degrade("")
    assert recorder.words() == [
        ("up", ""),
        ("degraded", "paper_out"),
        ("up", ""),
        ("stopped", "stopped"),
    ]


# ---------------------------------------------------------------- the fleet


@dataclass(frozen=True)
class Config:
    """One configured device."""

    protocol: str
    address: str = "tcp://127.0.0.1:1"
    location: str | None = None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    enabled: bool = True


async def nowhere(message: RawMessage) -> None:
    del message


def fleet_of(recorder: Recorder, sleeper: Sleeper | None = None, **configs: Config) -> Fleet:
    return Fleet(
        configs,
        clock=StepClock(),
        sink_for=lambda _name: nowhere,
        on_link=recorder,
        pace=pace(sleeper or Sleeper(0)),
    )


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> dict[str, ScriptedScale]:
    """Serve the protocol `scripted` from this table, by device name."""
    table: dict[str, ScriptedScale] = {}

    def build(spec: DeviceSpec, sink: Sink) -> ScriptedScale:
        del sink
        if spec.name not in table:
            raise ValueError(f"option 'unit' of {spec.name}: 'stone' is not known")
        return table[spec.name]

    monkeypatch.setitem(registry.SCALES, "scripted", build)
    return table


async def test_a_device_that_cannot_be_built_is_down_and_the_others_run(
    scripted: dict[str, ScriptedScale],
) -> None:
    scripted["good"] = ScriptedScale(connects=[WHO], watches=[])
    recorder = Recorder()
    fleet = fleet_of(recorder, bad=Config("scripted"), good=Config("scripted"))
    async with running(fleet.run):
        await recorder.state(Link.UP, "good")
        assert [(link.device, link.state, link.reason) for link in fleet.links()] == [
            ("bad", Link.DOWN, "option 'unit' of bad: 'stone' is not known"),
            ("good", Link.UP, ""),
        ]
        assert fleet.scale() is scripted["good"]
        assert fleet.scale("good") is scripted["good"]
        assert fleet.is_up("good")
        assert not fleet.is_up("bad")
        with pytest.raises(DeviceDown, match=r"device bad is down since .*: option 'unit'"):
            fleet.scale("bad")


async def test_a_device_that_is_down_is_refused_with_its_name_the_reason_and_since_when(
    scripted: dict[str, ScriptedScale],
) -> None:
    scripted["scale1"] = ScriptedScale(connects=[DeviceUnavailable("/dev/ttyS9: busy")], watches=[])
    recorder, sleeper = Recorder(), Sleeper(0)
    fleet = fleet_of(recorder, sleeper, scale1=Config("scripted"))
    async with running(fleet.run):
        await recorder.state(Link.DOWN)
        with pytest.raises(DeviceDown) as caught:
            fleet.scale()
    assert caught.value.code == "device_down"
    assert str(caught.value) == (
        "device scale1 is down since 2026-03-01 12:00:01 UTC: /dev/ttyS9: busy"
    )


def test_names_that_are_not_configured_or_of_another_kind_are_refused(
    scripted: dict[str, ScriptedScale],
) -> None:
    scripted["scale1"] = ScriptedScale(connects=[], watches=[])
    fleet = fleet_of(Recorder(), scale1=Config("scripted"))
    with pytest.raises(DeviceUnknown, match="no device 'nobody' is configured"):
        fleet.scale("nobody")
    with pytest.raises(DeviceUnknown, match="device 'scale1' is not a counter"):
        fleet.counter("scale1")
    with pytest.raises(DeviceUnknown, match="no cabinet is configured"):
        fleet.cabinet()
    with pytest.raises(DeviceUnknown, match="no printer is configured"):
        fleet.printer()
    for ask in (fleet.link, fleet.capability, fleet.protocol, fleet.location, fleet.interpreter):
        with pytest.raises(DeviceUnknown, match="no device 'nobody' is configured"):
            ask("nobody")


def test_a_disabled_device_is_listed_as_stopped_and_never_used(
    scripted: dict[str, ScriptedScale],
) -> None:
    scripted["scale1"] = ScriptedScale(connects=[], watches=[])
    fleet = fleet_of(Recorder(), scale1=Config("scripted", enabled=False))
    (link,) = fleet.links()
    assert (link.state, link.reason) == (Link.STOPPED, "disabled in the configuration")
    assert fleet.device_names("scale") == ()
    assert fleet.device_names() == ()
    fleet.degrade("scale1", "no effect")
    assert fleet.link("scale1") == link


def test_a_device_holds_the_location_of_its_own_name_unless_another_is_configured(
    scripted: dict[str, ScriptedScale],
) -> None:
    scripted["one"] = scripted["two"] = ScriptedScale(connects=[], watches=[])
    fleet = fleet_of(Recorder(), one=Config("scripted"), two=Config("scripted", location="vault"))
    assert fleet.location("one") == "one"
    assert fleet.location("two") == "vault"
    assert fleet.protocol("two") == "scripted"
    assert fleet.capability("two") is Capability.SCALE
    assert fleet.device_names("scale") == ("one", "two")


class PortScale(ScriptedScale):
    """A scale whose port is a real one."""

    def __init__(self, address: str) -> None:
        super().__init__(connects=[], watches=[])
        self._transport: Transport = transport_for(address)

    async def connect(self) -> Identity:
        await self._transport.open()
        return WHO

    async def watch(self) -> None:
        while True:
            await self._transport.read()

    async def close(self) -> None:
        await self._transport.close()


async def test_a_missing_port_makes_the_device_down_and_it_comes_up_when_the_port_appears(
    tmp_path: Path, scripted: dict[str, ScriptedScale]
) -> None:
    port = tmp_path / "ttyS9"
    scripted["scale1"] = PortScale(f"serial:{port}")
    recorder = Recorder()
    fleet = Fleet(
        {"scale1": Config("scripted")},
        clock=StepClock(),
        sink_for=lambda _name: nowhere,
        on_link=recorder,
        pace=Pace(first_s=0.01, most_s=0.02),
    )
    async with running(fleet.run):
        down = await recorder.state(Link.DOWN)
        assert "No such file or directory" in down.reason
        master, slave = pty.openpty()
        try:
            tty.setraw(slave)
            port.symlink_to(os.ttyname(slave))
            await recorder.state(Link.UP)
            assert fleet.scale() is scripted["scale1"]
            recorder.seen.clear()
            port.unlink()
        finally:
            os.close(slave)
            os.close(master)
        await recorder.state(Link.DOWN)


async def test_a_port_that_another_program_holds_is_told_as_busy_and_used_once_it_is_free(
    tmp_path: Path, scripted: dict[str, ScriptedScale]
) -> None:
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        port = tmp_path / "ttyS9"
        port.symlink_to(os.ttyname(slave))
        other = transport_for(f"serial:{port}")
        await other.open()
        scripted["scale1"] = PortScale(f"serial:{port}")
        recorder = Recorder()
        fleet = Fleet(
            {"scale1": Config("scripted")},
            clock=StepClock(),
            sink_for=lambda _name: nowhere,
            on_link=recorder,
            pace=Pace(first_s=0.01, most_s=0.02),
        )
        async with running(fleet.run):
            down = await recorder.state(Link.DOWN)
            assert "exclusively lock" in down.reason
            await other.close()
            await recorder.state(Link.UP)
    finally:
        os.close(slave)
        os.close(master)
