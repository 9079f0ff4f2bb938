"""A counter made of a scale: a person pours, the weight tells how many pieces lie there.

Source: see `codec`. The scale is another configured device; its driver sees to true weights
(agreement, plausibility). Not verified on hardware.

A job begins on an empty (or tared) pan and ends when the load lies still and is, surely, the number
of pieces that was asked for, or at its deadline with what lies there then. A weight that cannot
tell n from n + 1 is never a count: it raises with `moved` YES or UNKNOWN.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from drivers.base import (
    CountJob,
    CountResult,
    DeviceSpec,
    Identity,
    PieceWeight,
    Scale,
    Sink,
    WeightReading,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
)
from drivers.weighcount.codec import (
    JOB_ID_MAX,
    MILLI,
    PIECES_MAX,
    Balance,
    Basis,
    CountRecord,
    StartRecord,
    allowed_residue_milli,
    contradict,
    count_message,
    estimate,
    last_digit_ug,
    micrograms,
    read_start,
    refined,
    sampled,
    start_message,
    surer,
    tablet_spread_ug,
    uncertainty_milli,
)
from drivers.weighcount.options import parse_options, scale_named

REMEMBERED_MAX = 1024
"""Jobs, and references, of which the driver remembers something."""
ZERO_DIGITS = 2
"""Digits that an empty pan may show; the job is counted from there."""
_AnyScale = Callable[[], Scale]
_Key = tuple[str, str]
"""Article and lot of a reference; the lot "" is any."""


@dataclass(slots=True)
class _Watch:
    """What was seen on the pan during one job."""

    start: StartRecord
    balance: Balance
    heard: float
    last_ug: int = 0
    since: float = 0.0
    same: int = 0
    seen: bool = False

    @property
    def half_ug(self) -> int:
        """Half a piece: more than this is something."""
        return self.start.basis.piece.mean_ug // 2

    def see(self, net_ug: int, now: float) -> None:
        """Note a look at a load that does not move."""
        if not self.same or abs(net_ug - self.last_ug) > ZERO_DIGITS * self.balance.readability_ug:
            self.last_ug, self.since, self.same = net_ug, now, 0
        self.same += 1
        self.seen |= self.same > 1 and net_ug > self.half_ug

    def stir(self) -> None:
        """Note that the load moves, or that nobody knows."""
        self.same = 0

    def emptied(self) -> bool:
        """Whether pieces lay there before and now there is nothing, or the scale was tared."""
        return self.seen and self.same > 1 and abs(self.last_ug) <= self.half_ug

    def rests_at_target(self, now: float, settle_s: float) -> bool:
        """Whether about as much as was asked for has been lying still for long enough."""
        wanted_ug = self.start.job.pieces * self.start.basis.piece.mean_ug
        still = self.same > 1 and now - self.since >= settle_s
        return still and abs(self.last_ug - wanted_ug) <= self.half_ug


class WeighCountDriver:
    """Driver of one counter; see `drivers.base.Counter`.

    `scale` gives the scale while it is up and raises DeviceUnavailable while it is not.
    """

    def __init__(self, spec: DeviceSpec, sink: Sink, scale: _AnyScale) -> None:
        self._scale_name = scale_named(spec.address)
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._sink = sink
        self._scale = scale
        self._open = False
        self._busy = asyncio.Lock()
        self._results: OrderedDict[str, CountRecord] = OrderedDict()
        self._in_doubt: OrderedDict[str, None] = OrderedDict()
        self._spoiled: OrderedDict[str, None] = OrderedDict()
        self._references: OrderedDict[_Key, PieceWeight] = OrderedDict()

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """See that the scale is there; DeviceUnavailable while it is not."""
        self._scale()
        self._open = True
        return Identity(model="counts by weight", link=f"device {self._scale_name}")

    async def watch(self) -> None:
        """Look at an interval whether the scale is there; raises DeviceUnavailable when not."""
        while True:
            self._connected()
            await asyncio.sleep(self._options.watch_interval_s)

    async def close(self) -> None:
        """End; a job that is being poured fails at its next look and is in doubt."""
        self._open = False

    def _connected(self) -> Scale:
        if not self._open:
            raise DeviceUnavailable(f"{self._name}: not connected")
        return self._scale()

    # ------------------------------------------------------------ references

    async def sample(
        self, article: str, pieces: int, *, timeout_s: float, lot: str = ""
    ) -> PieceWeight:
        """Take what lies on the scale, tared before and counted by hand, as a reference.

        Later jobs of the article (of the lot, when one is told) are counted with it until the
        driver ends. Raises DeviceRefused for a sample that is none, and what the scale raises.
        """
        async with self._alone(asyncio.get_running_loop().time() + timeout_s) as deadline:
            left_s = max(0.0, deadline - asyncio.get_running_loop().time())
            reading = await self._connected().weigh(timeout_s=left_s)
            net_ug, balance = micrograms(reading.value, reading.unit), self._balance(reading)
            spread_ug = self._spread(net_ug // max(1, pieces))
            try:
                found = sampled(pieces, net_ug, spread_ug=spread_ug, balance=balance)
            except ValueError as error:
                raise DeviceRefused(f"{self._name}: {error}", reason="bad_sample") from error
            if uncertainty_milli(1, Basis(found, 0), balance) >= MILLI // 10:
                raise DeviceRefused(
                    f"{self._name}: a piece of {found.mean_ug} ug is too light for this scale",
                    reason="bad_sample",
                )
            self._keep((article, lot), found)
            return found

    def reference(self, article: str, lot: str = "") -> PieceWeight | None:
        """Return the reference of an article and lot, or of any lot; None without one."""
        return self._references.get((article, lot)) or self._references.get((article, ""))

    def _keep(self, key: _Key, piece: PieceWeight) -> None:
        self._references[key] = piece
        self._references.move_to_end(key)
        while len(self._references) > REMEMBERED_MAX:
            self._references.popitem(last=False)

    def _spread(self, mean_ug: int) -> int:
        if self._options.spread_permille:
            return -(-mean_ug * self._options.spread_permille // MILLI)
        return tablet_spread_ug(mean_ug)

    def _balance(self, reading: WeightReading) -> Balance:
        digit_ug = self._options.readability_ug or last_digit_ug(reading.value, reading.unit)
        return Balance(digit_ug, self._options.scale_u_ug)

    def _basis(self, job: CountJob) -> Basis:
        """Return what a job is counted with: the surer of its own piece weight and a reference."""
        told_ug, spread_ug = job.piece_weight_ug, job.piece_weight_sd_ug
        piece = self.reference(job.article, job.lot)
        if told_ug is not None and told_ug > 0:
            u_ug = -(-told_ug * self._options.catalogue_permille // MILLI)
            told = PieceWeight(told_ug, u_ug, 0)
            if piece is not None and contradict(piece, told):
                raise DeviceRefused(
                    f"{self._name}: a piece of {job.article} weighs {told_ug} ug in the catalogue"
                    f" and {piece.mean_ug} ug in the reference",
                    reason="piece_weight",
                )
            piece = told if piece is None or surer(told, piece) else piece
        if piece is None:
            raise DeviceRefused(
                f"{self._name}: the weight of one {job.article} is not known; sample it",
                reason="no_piece_weight",
            )
        return Basis(piece, self._spread(piece.mean_ug) if spread_ug is None else spread_ug)

    # ------------------------------------------------------------ counting

    async def count(self, job: CountJob, *, timeout_s: float) -> CountResult:
        """Wait for an empty pan, then until `job.pieces` pieces lie on it.

        A job waits for its turn at most `timeout_s`, and then may take as long again (and two
        weighings). At the deadline what lies there is reported as incomplete when it can be told.
        Refused before anything is poured: no piece weight, a number that this scale cannot tell
        from the next, a pan that is not empty. A job id that was counted returns its result again;
        one whose end is unknown raises until it is reconciled.
        """
        if not 1 <= job.pieces <= PIECES_MAX or not 1 <= len(job.job_id) <= JOB_ID_MAX:
            raise DeviceRefused(
                f"{self._name}: job {job.job_id!r} of {job.pieces} pieces is not possible",
                reason="bad_job",
            )
        loop = asyncio.get_running_loop()
        async with self._alone(loop.time() + timeout_s):
            deadline = loop.time() + timeout_s
            known = self._known(job)
            if known is not None:
                return known
            basis = self._basis(job)
            empty = await self._empty(basis, deadline)
            balance = self._balance(empty)
            self._check_possible(job, basis, balance)
            start = StartRecord(job, micrograms(empty.value, empty.unit), basis)
            await self._sink(start_message(start))
            _remember(self._in_doubt, job.job_id)
            try:
                record = await self._follow(_Watch(start, balance, loop.time()), deadline)
            except DriverError as error:
                if error.moved is Moved.NO:
                    error.moved = Moved.UNKNOWN
                raise
            result = await self._deliver(record)
            if result.complete:
                self._refine(record, balance)
            return result

    @contextlib.asynccontextmanager
    async def _alone(self, deadline: float) -> AsyncIterator[float]:
        """Hold the pan for one job; yields the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._busy.acquire()
        except TimeoutError as error:
            raise DeviceRefused(f"{self._name}: busy with another job", reason="busy") from error
        try:
            yield deadline
        finally:
            self._busy.release()

    def _known(self, job: CountJob) -> CountResult | None:
        record = self._results.get(job.job_id)
        if record is not None and record.job != job:
            raise DeviceRefused(
                f"{self._name}: job id {job.job_id} was used for another job", reason="bad_job"
            )
        if job.job_id in self._in_doubt:
            raise DeviceFault(
                f"{self._name}: job {job.job_id} was started before and its end is not known",
                reason="in_doubt",
            )
        return None if record is None else record.result

    async def _empty(self, basis: Basis, deadline: float) -> WeightReading:
        """Return the reading of an empty pan; waits until somebody has emptied or tared it."""
        loop = asyncio.get_running_loop()
        told: DriverError | None = None  # what says more than that the time was too short
        while True:
            error: DriverError
            left_s = min(max(0.0, deadline - loop.time()), self._options.weigh_timeout_s)
            try:
                reading = await self._connected().weigh(timeout_s=left_s)
                if self._shows_zero(reading, basis):
                    return reading
                error = DeviceRefused(
                    f"{self._name}: {reading.value} {reading.unit} lie on the scale; empty or tare",
                    reason="not_empty",
                )
            except DeviceUnavailable:
                raise
            except DriverError as failed:
                error = failed
            told = told if isinstance(error, DeviceTimeout) else error
            if loop.time() + self._options.poll_s >= deadline:
                raise told or error
            await asyncio.sleep(self._options.poll_s)

    def _shows_zero(self, reading: WeightReading, basis: Basis) -> bool:
        digits_ug = ZERO_DIGITS * self._balance(reading).readability_ug
        shown_ug = abs(micrograms(reading.value, reading.unit))
        return shown_ug <= min(digits_ug, basis.piece.mean_ug // 4)

    def _check_possible(self, job: CountJob, basis: Basis, balance: Balance) -> None:
        u_milli = uncertainty_milli(job.pieces, basis, balance)
        if allowed_residue_milli(u_milli, self._options.residue_milli) is None:
            raise DeviceRefused(
                f"{self._name}: {job.pieces} pieces would be uncertain by {u_milli}/1000 piece;"
                " sample the piece weight or count fewer at once",
                reason="uncertain",
            )

    async def _follow(self, watch: _Watch, deadline: float) -> CountRecord:
        """Watch the scale until what was asked for lies there, at most until the deadline."""
        loop = asyncio.get_running_loop()
        while loop.time() < deadline:
            await self._look(watch)
            if watch.rests_at_target(loop.time(), self._options.settle_s):
                record = await self._try_to_count(watch)
                if record is not None and record.result.complete:
                    return record
                watch.stir()
            await asyncio.sleep(min(self._options.poll_s, max(0.0, deadline - loop.time())))
        return await self._last_count(watch)

    async def _look(self, watch: _Watch) -> None:
        """Look once; a look that fails is none. A lost scale ends the job, and so does a tare."""
        now = asyncio.get_running_loop().time()
        try:
            reading = await self._connected().read()
            net_ug = micrograms(reading.value, reading.unit) - watch.start.zero_ug
        except DeviceUnavailable:
            raise
        except (NotStable, Overload, Underload):
            watch.heard = now
            watch.stir()
            return
        except DriverError as error:
            watch.stir()
            if now - watch.heard > self._options.silence_max_s:
                raise self._spoil(watch, "the scale was silent for too long") from error
            return
        watch.heard = now
        if reading.stable is False:
            watch.stir()
            return
        watch.see(net_ug, now)
        if watch.emptied():
            raise self._spoil(watch, "the scale was emptied or tared meanwhile")

    def _spoil(self, watch: _Watch, why: str) -> Disagreement:
        """Note that what lies on the scale will never tell the end of this job."""
        job_id = watch.start.job.job_id
        _remember(self._spoiled, job_id)
        return Disagreement(f"{self._name}: job {job_id}: {why}", moved=Moved.UNKNOWN)

    async def _try_to_count(self, watch: _Watch) -> CountRecord | None:
        """Weigh a load that looks right; None when it cannot be told, which may still change."""
        try:
            record = await self._weigh(watch.start)
        except DeviceUnavailable:
            raise
        except DriverError:
            return None
        return record if record.found.certain(self._options.residue_milli) else None

    async def _last_count(self, watch: _Watch) -> CountRecord:
        """Return what lies there at the deadline; raises when that cannot be told."""
        record = await self._weigh_at_rest(watch.start)
        if record.found.pieces < 0 or (watch.seen and record.found.pieces == 0):
            raise self._spoil(watch, "what lay on the scale was taken away")
        self._check_certain(record)
        return record

    def _check_certain(self, record: CountRecord) -> None:
        if not record.found.certain(self._options.residue_milli):
            raise DeviceFault(
                f"{self._name}: job {record.job.job_id} cannot be counted: {record.found}",
                reason="uncertain",
                moved=Moved.YES if record.found.pieces > 0 else Moved.UNKNOWN,
            )

    async def _weigh_at_rest(self, start: StartRecord) -> CountRecord:
        """Return the same of a load that nobody touches meanwhile; raises NotStable."""
        before = await self._weigh(start)
        await asyncio.sleep(self._options.settle_s)
        after = await self._weigh(start)
        if 2 * abs(after.net_ug - before.net_ug) > start.basis.piece.mean_ug:
            raise NotStable(
                f"{self._name}: job {start.job.job_id}: somebody is still pouring",
                moved=Moved.UNKNOWN,
            )
        return after

    async def _weigh(self, start: StartRecord) -> CountRecord:
        """Return what an agreed weight says, however uncertain."""
        reading = await self._connected().weigh(timeout_s=self._options.weigh_timeout_s)
        job, basis = start.job, start.basis
        net_ug = micrograms(reading.value, reading.unit) - start.zero_ug
        found = estimate(net_ug, basis, self._balance(reading))
        counted = max(0, found.pieces)
        result = CountResult(job.job_id, counted, 0, complete=counted == job.pieces)
        return CountRecord(job, result, net_ug, found, basis)

    async def _deliver(self, record: CountRecord) -> CountResult:
        await self._sink(count_message(record))
        job_id = record.job.job_id
        self._in_doubt.pop(job_id, None)
        self._results[job_id] = record
        while len(self._results) > REMEMBERED_MAX:
            self._results.popitem(last=False)
        return record.result

    def _refine(self, record: CountRecord, balance: Balance) -> None:
        """Take a sure count as the reference of its lot when it is better than the old one."""
        better = refined(
            record.basis.piece,
            record.net_ug,
            record.found,
            spread_ug=record.basis.spread_ug,
            balance=balance,
        )
        if better is not None:
            self._keep((record.job.article, record.job.lot), better)

    # ------------------------------------------------------------ reconciling

    async def reconcile(self, job: CountJob, started: bytes | None) -> CountResult | None:
        """Tell what became of a job by what lies on the scale now, given its `start:` message.

        That is believed when the first weight that is had is surely 1 to `job.pieces` pieces; what
        lies there later may be anything. An empty scale tells nothing: the pieces may have been
        taken away, or the scale tared or restarted with them on it.
        """
        if started is None:
            return None
        async with self._alone(asyncio.get_running_loop().time() + self._options.weigh_timeout_s):
            known = self._results.get(job.job_id)
            try:
                start = read_start(started)
                if start.job != job:
                    raise ProtocolError(
                        f"{self._name}: the start message is of job {start.job.job_id}"
                    )
                record = known if known is not None and known.job == job else None
                if record is None:
                    record = await self._weigh_again(start)
            except DriverError as error:
                if error.moved is Moved.NO:
                    error.moved = Moved.UNKNOWN
                raise
            return await self._deliver(record)

    async def _weigh_again(self, start: StartRecord) -> CountRecord:
        job_id = start.job.job_id
        if job_id in self._spoiled:
            raise Disagreement(
                f"{self._name}: job {job_id} cannot be told any more; count by hand",
                moved=Moved.UNKNOWN,
            )
        record = await self._weigh_at_rest(start)
        _remember(self._spoiled, job_id)
        if not 1 <= record.found.pieces <= start.job.pieces:
            raise Disagreement(
                f"{self._name}: job {job_id} cannot be told by what lies there: {record.found}",
                moved=Moved.UNKNOWN,
            )
        self._check_certain(record)
        return record


def _remember(those: OrderedDict[str, None], job_id: str) -> None:
    those[job_id] = None
    while len(those) > REMEMBERED_MAX:
        those.popitem(last=False)
