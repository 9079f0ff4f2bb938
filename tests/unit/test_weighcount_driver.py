"""Counting by weight on a scale that says what a test tells it to."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from drivers.base import (
    CountJob,
    DeviceSpec,
    Identity,
    RawMessage,
    Scale,
    WeightReading,
)
from drivers.errors import (
    DeviceFault,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
)
from drivers.weighcount import driver as module
from drivers.weighcount.driver import WeighCountDriver

JOB = CountJob("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 500_000, 8_000)
QUICK: dict[str, str | int | float | bool] = {
    "poll_s": 0.001,
    "settle_s": 0,
    "weigh_timeout_s": 0.1,
    "watch_interval_s": 0.01,
}
Says = str | DriverError


@dataclass
class SaidScale:
    """Says the weights (or raises the errors) in turn, the last for ever."""

    reads: deque[Says]
    weighs: deque[Says]
    stable: bool | None = True
    unit: str = "g"
    taken: list[str] = field(default_factory=list)

    def say(self, what: deque[Says]) -> WeightReading:
        said = what.popleft() if len(what) > 1 else what[0]
        if isinstance(said, DriverError):
            raise said
        return WeightReading(Decimal(said), self.unit, self.stable)

    async def connect(self) -> Identity:
        return Identity()

    async def watch(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        self.taken.clear()

    async def read(self) -> WeightReading:
        return self.say(self.reads)

    async def weigh(self, *, timeout_s: float) -> WeightReading:
        assert timeout_s >= 0
        return self.say(self.weighs)

    async def zero(self, *, timeout_s: float) -> None:
        raise AssertionError(timeout_s)

    async def tare(self, *, timeout_s: float) -> WeightReading:
        raise AssertionError(timeout_s)

    async def set_tare(self, tare: WeightReading | None) -> None:
        raise AssertionError(tare)


async def made(
    *, reads: tuple[Says, ...] = ("15.000",), weighs: tuple[Says, ...], **options: float
) -> tuple[WeighCountDriver, SaidScale]:
    """A connected counter, and its scale."""
    scale = SaidScale(deque(reads), deque(weighs))
    held: Scale = scale

    async def forget(_message: RawMessage) -> None: ...

    spec = DeviceSpec("counter1", "device:scale1", {**QUICK, **options})
    counter = WeighCountDriver(spec, forget, lambda: held)
    await counter.connect()
    return counter, scale


async def test_a_weighing_that_fails_or_differs_is_tried_again() -> None:
    counter, _ = await made(
        weighs=("0.000", DeviceTimeout("no answer"), "14.500", "14.750", "15.000")
    )
    assert (await counter.count(JOB, timeout_s=5)).complete


async def test_an_empty_pan_may_show_two_digits_and_the_job_is_counted_from_there() -> None:
    """Half a kilogram by 0.1 g: 0.2 g are two digits and less than a quarter of a piece of 1 g."""
    job = CountJob("417-1", "a", "l", "s", 10, 1_000_000, 1_000)
    counter, _ = await made(reads=("10.2",), weighs=("0.2", "10.2"))
    assert (await counter.count(job, timeout_s=5)).counted == 10
    counter, _ = await made(weighs=("0.3",))
    with pytest.raises(DriverError, match=r"0\.3 g lie on the scale"):
        await counter.count(job, timeout_s=0.02)


async def test_a_scale_that_cannot_tell_stability_may_still_count() -> None:
    counter, scale = await made(weighs=("0.000", "15.000"))
    scale.stable = None
    assert (await counter.count(JOB, timeout_s=5)).complete


@pytest.mark.parametrize("moved", list(Moved))
async def test_before_the_job_an_error_of_the_scale_is_passed_on_as_it_is(moved: Moved) -> None:
    counter, _ = await made(weighs=(DeviceFault("cell broken", moved=moved),))
    with pytest.raises(DeviceFault, match="cell broken") as caught:
        await counter.count(JOB, timeout_s=0.02)
    assert caught.value.moved is moved


async def test_a_scale_that_goes_before_the_job_ends_it_at_once() -> None:
    counter, _ = await made(weighs=(DeviceUnavailable("gone"),))
    with pytest.raises(DeviceUnavailable) as caught:
        await counter.count(JOB, timeout_s=60)
    assert caught.value.moved is Moved.NO


@pytest.mark.parametrize("where", ["look", "weighing"])
async def test_a_scale_that_goes_during_the_job_ends_it_at_once(where: str) -> None:
    gone = DeviceUnavailable("gone")
    if where == "look":
        counter, _ = await made(reads=(gone,), weighs=("0.000",))
    else:
        counter, _ = await made(weighs=("0.000", gone))
    with pytest.raises(DeviceUnavailable) as caught:
        await counter.count(JOB, timeout_s=60)
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_load_that_grows_between_two_weighings_at_the_deadline_is_not_counted() -> None:
    counter, _ = await made(reads=("5.000",), weighs=("0.000", "5.000", "5.500", "5.500"))
    with pytest.raises(NotStable, match="still pouring") as caught:
        await counter.count(JOB, timeout_s=0.02)
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_scale_that_is_silent_for_long_may_have_lost_its_tare() -> None:
    silent = DeviceTimeout("no answer")
    counter, _ = await made(
        reads=("5.000", NotStable("moving"), silent), weighs=("0.000", "15.000"), silence_max_s=0.1
    )
    with pytest.raises(Disagreement, match="silent for too long") as caught:
        await counter.count(JOB, timeout_s=60)
    assert caught.value.moved is Moved.UNKNOWN


async def test_a_unit_that_is_no_mass_is_refused() -> None:
    counter, scale = await made(weighs=("0",))
    scale.unit = "PCS"
    with pytest.raises(DriverError, match="'PCS' cannot be counted") as caught:
        await counter.count(JOB, timeout_s=0.02)
    assert caught.value.moved is Moved.NO


async def test_a_display_in_steps_of_five_is_less_sure_than_its_last_digit() -> None:
    """Steps of 0.5 g against pieces of 0.5 g: u = 0.5 / sqrt(6) / 0.5 = 0.41 piece."""
    counter, _ = await made(weighs=("0.0",), readability_ug=500_000)
    with pytest.raises(DriverError, match="uncertain by 42"):
        await counter.count(JOB, timeout_s=0.02)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
    counter, scale = await made(weighs=("0.000",))
    for number in range(3):
        scale.weighs = deque(["0.000", "15.000"])
        job = CountJob(f"{number}-1", "a", "l", "s", 30, 500_000, 8_000)
        assert (await counter.count(job, timeout_s=5)).complete
        scale.weighs = deque(["0.000", DeviceUnavailable("gone")])
        with pytest.raises(DeviceUnavailable):
            await counter.count(CountJob(f"{number}-2", "a", "l", "s", 30, 500_000), timeout_s=5)
        scale.weighs = deque(["5.000"])
        await counter.sample(f"article {number}", 10, timeout_s=1.0)
    assert counter.reference("article 0") is None
    assert counter.reference("article 2") is not None
    scale.weighs = deque(["0.000", "15.000"])
    forgotten = CountJob("0-1", "a", "l", "s", 30, 500_000, 8_000)
    assert (await counter.count(forgotten, timeout_s=5)).complete


async def test_it_watches_as_long_as_the_scale_is_there() -> None:
    counter, _ = await made(weighs=("0.000",))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03):
            await counter.watch()
    await counter.close()
    with pytest.raises(DeviceUnavailable, match="not connected"):
        await counter.watch()
