"""Counting by weight over every kind of line: the pieces that really lie there, or an error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest

from drivers.base import (
    CountJob,
    CountResult,
    DeviceSpec,
    Identity,
    RawMessage,
    Scale,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
    ProtocolError,
)
from drivers.facts import CountReported
from drivers.mtsics.driver import MtsicsDriver
from drivers.weighcount.codec import interpret, read_count, read_start
from drivers.weighcount.driver import WeighCountDriver
from simulators.serve import Served, serve_tcp
from simulators.weighcount import PouringModel
from tests.contract import transports as lines
from tests.contract.transports import CLEAN, Inbox, Line, outcome, until_done

SCALE: dict[str, str | int | float | bool] = {
    "line_timeout_s": 0.1,
    "stability_timeout_s": 0.5,
    "watch_interval_s": 0.05,
}
QUICK: dict[str, str | int | float | bool] = {
    "poll_s": 0.005,
    "settle_s": 0.02,
    "weigh_timeout_s": 0.5,
    "watch_interval_s": 0.01,
}
LONG_S = 10.0
SHORT_S = 0.4
JOB = CountJob("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 500_000, 8_000)
BARE = replace(JOB, piece_weight_ug=None, piece_weight_sd_ug=None)
UNFAITHFUL = (
    lines.LOSSY,
    lines.DUPLICATING,
    lines.PREVIOUS,
    lines.GARBAGE,
    lines.NOISY,
    lines.VERY_NOISY,
    lines.BURSTS,
    lines.STUCK_BYTES,
)


@dataclass
class Bench:
    """A counter, its scale on a line, and a person who pours when a job starts."""

    model: PouringModel
    served: Served
    scale: MtsicsDriver
    pours: int = 30
    lost: bool = False
    turns: Line = CLEAN
    """What the line becomes when somebody begins to pour."""
    inbox: Inbox = field(default_factory=Inbox)
    truths: dict[str, int] = field(default_factory=dict)
    counter: WeighCountDriver = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self, **options: float) -> None:
        """Start the driver anew, as a restart of the daemon does."""
        spec = DeviceSpec("counter1", "device:scale1", {**QUICK, **options})
        self.counter = WeighCountDriver(spec, self.put, self.give_scale)

    def give_scale(self) -> Scale:
        if self.lost:
            raise DeviceUnavailable("device scale1 is down")
        return self.scale

    async def put(self, message: RawMessage) -> None:
        await self.inbox.put(message)
        if message.kind == "start":
            self.model.set("pour", str(self.pours))
            self.turns.switch(self.served.wire, on=True)
        elif message.kind == "count":
            self.truths[message.key] = self.model.pieces

    def kept(self, kind: str) -> list[RawMessage]:
        return [message for message in self.inbox.messages if message.kind == kind]

    def clear(self) -> None:
        self.model.set("clear", "1")

    async def rest(self, pieces: int) -> None:
        """Wait until so many pieces lie still on the scale."""
        await self.until(lambda: self.model.pieces == pieces and self.model.state()["stable"])

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def bench(line: Line = CLEAN, *, seed: int = 1, pours: int = 30) -> AsyncIterator[Bench]:
    model = PouringModel(seed)
    async with serve_tcp(model, wire=CLEAN.wire(seed=seed)) as served:
        scale = MtsicsDriver(DeviceSpec("scale1", served.address, SCALE), Inbox().put)
        made = Bench(model, served, scale, pours)
        try:
            await scale.connect()
            await made.counter.connect()
            line.switch(served.wire, on=True)
            yield made
        finally:
            await made.counter.close()
            await scale.close()
            served.check()


# ---------------------------------------------------------------- a job


async def test_what_is_poured_is_counted_on_every_faithful_line(faithful_line: Line) -> None:
    async with bench(faithful_line) as made:
        result = await made.counter.count(JOB, timeout_s=LONG_S)
        assert result == CountResult("417-1", counted=30, defective=0, complete=True)
        assert made.truths == {"count:417-1": 30}


async def test_it_says_what_it_is() -> None:
    async with bench() as made:
        identity = await made.counter.connect()
        assert identity == Identity(model="counts by weight", link="device scale1")


async def test_a_job_is_announced_before_it_is_poured_and_reported_after() -> None:
    async with bench() as made:
        await made.counter.count(JOB, timeout_s=LONG_S)
        assert [(message.key, message.kind) for message in made.inbox.messages] == [
            ("start:417-1", "start"),
            ("count:417-1", "count"),
        ]
        start, count = (message.raw for message in made.inbox.messages)
    assert interpret(start) == ()
    assert interpret(count) == (
        CountReported("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 0, complete=True),
    )
    assert read_start(start).zero_ug == 0
    # sqrt(30 * 8^2 + (30 * 1)^2 + 0.001^2 / 6) mg = 53.1 mg of 500 mg
    assert read_count(count).found.u_milli == 107


@pytest.mark.parametrize("line", UNFAITHFUL, ids=lambda line: line.name.replace(" ", "-"))
async def test_a_line_that_turns_bad_while_somebody_pours_gives_the_true_count_or_a_doubt(
    line: Line,
) -> None:
    """And once it is clean the same driver tells what became of the job, and counts the next."""
    async with bench(seed=5) as made:
        made.turns = line
        got = await outcome(lambda: made.counter.count(JOB, timeout_s=0.35))
        line.switch(made.served.wire, on=False)
        made.turns = CLEAN
        if isinstance(got, DriverError):
            assert got.moved is Moved.UNKNOWN
            started = made.kept("start")[0].raw
            told = await until_done(lambda: made.counter.reconcile(JOB, started))
        else:
            told = got
        assert told == CountResult("417-1", 30, 0, complete=True)
        assert made.truths == {"count:417-1": 30}
        made.clear()
        await until_done(lambda: made.scale.zero(timeout_s=1.0))
        made.pours = 12
        again = await made.counter.count(replace(JOB, job_id="418-1", pieces=12), timeout_s=LONG_S)
        assert (again.counted, made.model.pieces) == (12, 12)


@pytest.mark.parametrize(
    "line", [lines.LOSSY, lines.NOISY, lines.DUPLICATING], ids=lambda line: line.name
)
async def test_a_line_that_is_bad_from_the_start_gives_the_true_count_or_an_error(
    line: Line,
) -> None:
    async with bench(line, seed=6) as made:
        got = await outcome(lambda: made.counter.count(JOB, timeout_s=1.0))
        if isinstance(got, DriverError):
            assert got.moved is (Moved.UNKNOWN if made.kept("start") else Moved.NO)
        else:
            assert got.counted == made.truths["count:417-1"] == 30


async def test_jobs_at_once_are_counted_one_after_the_other() -> None:
    async with bench() as made:
        jobs = [replace(JOB, job_id=f"417-{n}", pieces=30) for n in range(3)]
        tasks = [asyncio.create_task(made.counter.count(job, timeout_s=LONG_S)) for job in jobs]
        for n in range(3):
            await made.until(lambda: len(made.truths) > n)  # noqa: B023 - waited for at once
            made.clear()
        results = await asyncio.gather(*tasks)
        assert [result.counted for result in results] == [30, 30, 30]


async def test_the_same_job_twice_counts_once_and_its_id_is_taken() -> None:
    async with bench() as made:
        first = await made.counter.count(JOB, timeout_s=LONG_S)
        assert await made.counter.count(JOB, timeout_s=LONG_S) == first
        with pytest.raises(DeviceRefused, match="used for another job"):
            await made.counter.count(replace(JOB, pieces=60), timeout_s=LONG_S)
        assert len(made.kept("start")) == 1


async def test_too_many_are_waited_for_until_some_are_taken_away() -> None:
    async with bench(pours=32) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=LONG_S))
        await made.rest(32)
        assert not job.done()
        made.model.set("take", "2")
        assert (await job).complete
        assert made.truths == {"count:417-1": 30}


# ---------------------------------------------------------------- deadlines


@pytest.mark.parametrize("pours", [0, 29, 31])
async def test_at_the_deadline_what_lies_there_is_reported_as_incomplete(pours: int) -> None:
    async with bench(pours=pours) as made:
        result = await made.counter.count(JOB, timeout_s=SHORT_S)
        assert result == CountResult("417-1", pours, 0, complete=False)
        assert made.model.pieces == pours


async def test_what_is_no_whole_number_of_pieces_is_not_counted() -> None:
    async with bench(pours=0) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=SHORT_S))
        await made.until(lambda: made.kept("start"))
        made.model.set("load_g", "14.75")
        with pytest.raises(DeviceFault, match=r"29\.500|0\.500|-0\.500 left over") as caught:
            await job
        assert (caught.value.reason, caught.value.moved) == ("uncertain", Moved.YES)
        with pytest.raises(DeviceFault, match="was started before"):
            await made.counter.count(JOB, timeout_s=SHORT_S)
        assert not made.kept("count")


async def test_a_load_that_never_rests_is_not_counted() -> None:
    async with bench(pours=0) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=SHORT_S))
        await made.until(lambda: made.kept("start"))
        made.model.faults.switch("motion", on=True)
        with pytest.raises(NotStable) as caught:
            await job
        assert caught.value.moved is Moved.UNKNOWN


# ---------------------------------------------------------------- what is refused


async def test_a_job_without_a_piece_weight_is_refused() -> None:
    async with bench() as made:
        with pytest.raises(DeviceRefused, match="is not known; sample it") as caught:
            await made.counter.count(BARE, timeout_s=SHORT_S)
        assert caught.value.reason == "no_piece_weight"
        assert made.inbox.messages == []


async def test_a_number_that_the_scale_cannot_tell_from_the_next_is_refused() -> None:
    """190 pieces of 500 mg, mean known to 2 in 1000: u = sqrt(190 * 8^2 + 190^2) mg = 0.44."""
    async with bench() as made:
        with pytest.raises(DeviceRefused, match="would be uncertain by 440/1000") as caught:
            await made.counter.count(replace(JOB, pieces=190), timeout_s=SHORT_S)
        assert caught.value.reason == "uncertain"
        assert made.inbox.messages == []


@pytest.mark.parametrize(("job_id", "pieces"), [("", 30), ("417-1", 0), ("x" * 65, 30)])
async def test_a_job_that_nobody_can_do_is_refused(job_id: str, pieces: int) -> None:
    async with bench() as made:
        with pytest.raises(DeviceRefused, match="is not possible"):
            await made.counter.count(replace(JOB, job_id=job_id, pieces=pieces), timeout_s=1)


async def test_a_pan_that_is_not_empty_is_waited_for_and_then_refused() -> None:
    async with bench(pours=0) as made:
        made.model.set("load_g", "0.25")  # half a tablet
        with pytest.raises(DeviceRefused, match="lie on the scale; empty or tare") as caught:
            await made.counter.count(JOB, timeout_s=0.3)
        assert (caught.value.reason, caught.value.moved) == ("not_empty", Moved.NO)
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=LONG_S))
        await asyncio.sleep(0.05)
        await made.scale.tare(timeout_s=1)
        await made.until(lambda: made.kept("start"))
        made.model.set("load_g", "15.25")
        assert (await job).counted == 30


async def test_a_pan_in_motion_is_waited_for_and_then_an_error_that_moved_nothing() -> None:
    async with bench() as made:
        made.model.faults.switch("motion", on=True)
        await made.until(lambda: not made.model.state()["stable"])
        with pytest.raises(NotStable) as caught:
            await made.counter.count(JOB, timeout_s=0.3)
        assert caught.value.moved is Moved.NO
        assert made.inbox.messages == []


async def test_a_job_that_cannot_wait_any_longer_is_refused() -> None:
    async with bench(pours=0) as made:
        first = asyncio.create_task(made.counter.count(JOB, timeout_s=SHORT_S))
        await made.until(lambda: made.kept("start"))
        with pytest.raises(DeviceRefused, match="busy"):
            await made.counter.count(replace(JOB, job_id="418-1"), timeout_s=0.05)
        await first


async def test_a_job_is_not_begun_when_its_announcement_cannot_be_stored() -> None:
    async def refuse(_message: object) -> None:
        raise OSError("disk full")

    async with bench() as made:
        counter = WeighCountDriver(
            DeviceSpec("counter1", "device:scale1", QUICK), refuse, made.give_scale
        )
        await counter.connect()
        with pytest.raises(OSError, match="disk full"):
            await counter.count(JOB, timeout_s=LONG_S)
        assert (await made.counter.count(JOB, timeout_s=LONG_S)).counted == 30


# ---------------------------------------------------------------- trouble during a job


async def test_a_scale_that_is_tared_during_a_job_spoils_it() -> None:
    async with bench(pours=10) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=LONG_S))
        await made.rest(10)
        await asyncio.sleep(0.05)
        await made.scale.tare(timeout_s=1)
        with pytest.raises(Disagreement, match="emptied or tared") as caught:
            await job
        assert caught.value.moved is Moved.UNKNOWN
        made.model.set("pour", "20")
        await made.rest(30)
        with pytest.raises(Disagreement, match="cannot be told"):
            await made.counter.reconcile(JOB, made.kept("start")[0].raw)


async def test_what_is_taken_away_with_its_tray_is_not_counted_as_nothing() -> None:
    async with bench(pours=10) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=SHORT_S))
        await made.rest(10)
        made.model.set("load_g", "-3")
        with pytest.raises(Disagreement, match="taken away") as caught:
            await job
        assert caught.value.moved is Moved.UNKNOWN


async def test_a_scale_that_is_lost_puts_the_job_in_doubt_and_its_return_tells_the_end() -> None:
    async with bench(pours=10) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=LONG_S))
        await made.rest(10)
        made.lost = True
        with pytest.raises(DeviceUnavailable, match="scale1 is down") as caught:
            await job
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceUnavailable):
            await made.counter.watch()
        with pytest.raises(DeviceUnavailable):
            await made.counter.reconcile(JOB, made.kept("start")[0].raw)
        made.lost = False
        result = await made.counter.reconcile(JOB, made.kept("start")[0].raw)
        assert result == CountResult("417-1", 10, 0, complete=False)
        assert await made.counter.count(JOB, timeout_s=LONG_S) == result


async def test_a_counter_that_is_closed_during_a_job_leaves_it_in_doubt() -> None:
    async with bench(pours=10) as made:
        job = asyncio.create_task(made.counter.count(JOB, timeout_s=LONG_S))
        await made.rest(10)
        await made.counter.close()
        with pytest.raises(DeviceUnavailable, match="not connected") as caught:
            await job
        assert caught.value.moved is Moved.UNKNOWN


# ---------------------------------------------------------------- reconciling


async def test_a_job_without_a_start_message_never_started() -> None:
    async with bench() as made:
        assert await made.counter.reconcile(JOB, None) is None


async def test_after_a_restart_what_lies_on_the_scale_tells_and_an_empty_one_does_not() -> None:
    async with bench() as made:
        first = await made.counter.count(JOB, timeout_s=LONG_S)
        started = made.kept("start")[0].raw
        assert await made.counter.reconcile(JOB, started) == first  # from memory
        made.renew()
        await made.counter.connect()
        assert await made.counter.reconcile(BARE, started) == first
        for there in (0, 31):
            made.renew()
            await made.counter.connect()
            made.clear()
            made.model.set("pour", str(there))
            await made.rest(there)
            with pytest.raises(Disagreement, match="cannot be told by what lies") as caught:
                await made.counter.reconcile(JOB, started)
            assert caught.value.moved is Moved.UNKNOWN
        made.model.set("take", "1")  # what lies there later may be anything
        await made.rest(30)
        with pytest.raises(Disagreement, match="cannot be told any more"):
            await made.counter.reconcile(JOB, started)


async def test_a_start_message_that_is_damaged_or_of_another_job_tells_nothing() -> None:
    async with bench() as made:
        await made.counter.count(JOB, timeout_s=LONG_S)
        started = made.kept("start")[0].raw
        for job, raw in ((replace(JOB, job_id="418-1"), started), (JOB, started[:-1])):
            with pytest.raises(ProtocolError) as caught:
                await made.counter.reconcile(job, raw)
            assert caught.value.moved is Moved.UNKNOWN


# ---------------------------------------------------------------- references


async def test_a_sample_gives_the_piece_weight_and_counts_refine_it_at_most_doubling() -> None:
    """Nobody told a piece weight: 10 are sampled, then 20 and 40 are counted with it."""
    async with bench(seed=7) as made:
        made.renew(spread_permille=16)
        await made.counter.connect()
        made.model.set("pour", "10")
        await made.rest(10)
        piece = await made.counter.sample(JOB.article, 10, timeout_s=2.0)
        weight_mg = float(str(made.model.state()["load_g"])) * 1000 / 10
        assert abs(piece.mean_ug / 1000 - weight_mg) <= 0.1
        assert piece.pieces == 10
        assert 2_500 <= piece.u_ug <= 2_600  # 8 mg / sqrt(10)
        for number, pieces in enumerate((20, 21, 40)):
            made.clear()
            made.pours = pieces
            job = replace(BARE, job_id=f"420-{number}", pieces=pieces)
            assert (await made.counter.count(job, timeout_s=LONG_S)).counted == pieces
        refined = made.counter.reference(JOB.article, JOB.lot)
        assert refined is not None
        assert refined.pieces == 40
        assert made.counter.reference(JOB.article, "another lot") == piece
        assert made.counter.reference("another article") is None


async def test_a_sample_that_contradicts_the_catalogue_is_refused_at_the_next_job() -> None:
    async with bench() as made:
        made.model.set("pour", "9")
        await made.rest(9)
        await made.counter.sample(JOB.article, 10, timeout_s=2.0, lot=JOB.lot)  # one too few
        made.clear()
        with pytest.raises(DeviceRefused, match="in the catalogue and") as caught:
            await made.counter.count(JOB, timeout_s=SHORT_S)
        assert caught.value.reason == "piece_weight"


@pytest.mark.parametrize(("load_g", "pieces"), [("5", 4), ("0", 10), ("-1", 10), ("0.02", 10)])
async def test_a_sample_that_is_none_is_refused(load_g: str, pieces: int) -> None:
    async with bench() as made:
        made.model.set("load_g", load_g)
        await made.until(lambda: made.model.state()["stable"])
        with pytest.raises(DeviceRefused) as caught:
            await made.counter.sample(JOB.article, pieces, timeout_s=2.0)
        assert caught.value.reason == "bad_sample"
