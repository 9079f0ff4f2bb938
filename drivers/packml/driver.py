"""A tablet counter that speaks PackML over OPC UA: one job at a time, counted as a difference.

Source: OPC 30050 "OPC UA for PackML" 1.01. It fixes neither how a machine is told the number of
pieces nor how it names a job; both are options (`drivers.packml.options`). Not verified on
hardware.

A job is read, started and followed by polling: state and counts come in one request, so they belong
together. What fell is AccCount's step from the reading before Start to a reading after the end that
stood still, checked with Count. Whatever cannot be told raises with `moved` UNKNOWN.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator

from drivers.base import (
    CountJob,
    CountResult,
    DeviceSpec,
    Identity,
    PieceWeight,
    Sink,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Disagreement,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.opcua_link import check_address
from drivers.packml.codec import (
    JOB_ID_MAX,
    PIECES_MAX,
    CountRecord,
    Counts,
    StartRecord,
    State,
    UnitMode,
    count_message,
    job_token,
    read_start,
    result_of,
    start_message,
    start_parameters,
)
from drivers.packml.options import parse_options
from drivers.packml.progress import RESET, Progress, token_of
from drivers.packml.session import Command, Machine, Snapshot, until

READY_TIMEOUT_S = 30.0
"""How long a machine may take from Stopped, Complete or Aborted to Idle."""
START_GRACE_S = 5.0
"""How long a machine may stay Idle after it accepted Start."""
STOP_TIMEOUT_S = 15.0
"""How long a machine may take to stop."""
RECONCILE_TIMEOUT_S = 60.0
"""How long a reconciliation follows a job that is still running before it is stopped."""
SETTLE_TIMEOUT_S = 15.0
"""How long the counts may go on changing after the end of a job."""
FIRST_POLL_S = 0.002
POLL_GROWTH = 1.5
REMEMBERED_MAX = 1024
"""Jobs of which the driver remembers the result or that their end is unknown."""
_NO_PRODUCTION = (UnitMode.MAINTENANCE, UnitMode.MANUAL)
"""Modes in which no job is started; a mode of the machine's own may be one to produce in."""
_ENDED = frozenset({State.COMPLETE, State.STOPPED, State.ABORTED})
_PAUSED = frozenset({State.SUSPENDED})
_HELD = frozenset({State.HELD})
_AT_WORK = frozenset({State.EXECUTE, State.COMPLETING, State.COMPLETE})
_STOPPED = frozenset({State.STOPPED})
_ABORTED = frozenset({State.ABORTED})
_IDLE = frozenset({State.IDLE})
_PASSING = frozenset(
    {State.RESETTING, State.CLEARING, State.STOPPING, State.ABORTING, State.COMPLETING}
)


class PackmlDriver:
    """Driver of one counter; see `drivers.base.Counter`."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        check_address(spec.address)
        self._options = parse_options(spec.options)
        self._name = spec.name
        self._address = spec.address
        self._sink = sink
        self._session: Machine | None = None
        self._busy = asyncio.Lock()
        self._results: OrderedDict[str, CountRecord] = OrderedDict()
        self._in_doubt: OrderedDict[str, None] = OrderedDict()

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open a session and find the machine in it."""
        await self.close()
        session = Machine(self._address, self._options)
        identity = await session.open()
        self._session = session
        return identity

    async def watch(self) -> None:
        """Ask the machine for a sign of life every `keepalive_ms`; raise when it is lost."""
        await self._connected().watch()

    async def close(self) -> None:
        """Close the session; a job that is running goes on at the machine and is in doubt."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _connected(self) -> Machine:
        if self._session is None:
            raise DeviceUnavailable(f"{self._name}: not connected")
        return self._session

    # ------------------------------------------------------------ counting

    async def sample(
        self, article: str, pieces: int, *, timeout_s: float, lot: str = ""
    ) -> PieceWeight:
        """Raise Unsupported: pieces are counted one by one."""
        del article, pieces, timeout_s, lot
        raise Unsupported(f"{self._name}: it counts pieces, it does not weigh them")

    async def count(self, job: CountJob, *, timeout_s: float) -> CountResult:
        """Count `job.pieces` pieces.

        A job waits for its turn at most `timeout_s`, and then may take as long again. A machine
        that is Held or Suspended may be helped until its time has passed; then it is
        stopped and what fell is reported as incomplete, as is a job that was stopped or aborted at
        the machine. A job id that was counted returns its result again; one whose end is unknown
        raises until it is reconciled.
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
            session = self._connected()
            ready = await self._make_ready(session, deadline)
            shown = token_of(ready, self._options.job_parameter) or ""
            if shown.rpartition("@")[0] == job.job_id:
                self._doubt(job)
                raise self._in_doubt_of(job)
            record = StartRecord(job, ready.counts)
            await self._sink(start_message(record))
            await self._start(session, record)
            progress = Progress(job, ready.counts)
            end = await self._follow(session, progress, deadline)
            return await self._finish(session, progress, end)

    @contextlib.asynccontextmanager
    async def _alone(self, deadline: float) -> AsyncIterator[None]:
        """Hold the machine for one job."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._busy.acquire()
        except TimeoutError as error:
            raise DeviceRefused(f"{self._name}: busy with another job", reason="busy") from error
        try:
            yield
        finally:
            self._busy.release()

    def _known(self, job: CountJob) -> CountResult | None:
        record = self._results.get(job.job_id)
        if record is not None and record.job != job:
            raise DeviceRefused(
                f"{self._name}: job id {job.job_id} was used for another job", reason="bad_job"
            )
        if job.job_id in self._in_doubt:
            raise self._in_doubt_of(job)
        return None if record is None else record.result

    def _in_doubt_of(self, job: CountJob) -> DeviceFault:
        return DeviceFault(
            f"{self._name}: job {job.job_id} was started before and its end is not known",
            reason="in_doubt",
        )

    def _doubt(self, job: CountJob) -> None:
        self._in_doubt[job.job_id] = None
        while len(self._in_doubt) > REMEMBERED_MAX:
            self._in_doubt.popitem(last=False)

    async def _make_ready(self, session: Machine, deadline: float) -> Snapshot:
        """Bring the machine to Idle and return its counts there; nothing can have moved."""
        loop = asyncio.get_running_loop()
        deadline = min(deadline, loop.time() + READY_TIMEOUT_S)
        commands = {
            State.COMPLETE: Command.RESET_COMPLETE,
            State.STOPPED: Command.RESET_STOPPED,
        }
        if self._options.clear_aborted:
            commands[State.ABORTED] = Command.CLEAR
        asked: State | None = None
        pause = FIRST_POLL_S
        while True:
            now = await session.read()
            self._check_mode(now)
            if now.state is State.IDLE:
                return now
            if now.state not in _PASSING and now.state not in commands:
                raise DeviceRefused(
                    f"{self._name}: no job can be started, the machine is {now.state.name}",
                    reason=now.state.name,
                )
            if now.state is not asked and now.state in commands:
                await session.call(commands[now.state])
                asked, pause = now.state, FIRST_POLL_S
            if loop.time() >= deadline:
                raise DeviceTimeout(f"{self._name}: the machine stays {now.state.name}")
            await asyncio.sleep(pause)
            pause = min(pause * POLL_GROWTH, self._options.poll_s)

    def _check_mode(self, now: Snapshot) -> None:
        if now.mode in _NO_PRODUCTION:
            mode = UnitMode(now.mode).name
            raise DeviceRefused(f"{self._name}: no job can be started in mode {mode}", reason=mode)

    async def _start(self, session: Machine, record: StartRecord) -> None:
        """Start a job; from here on it is in doubt until its end is known."""
        options = self._options
        parameters = start_parameters(
            record.job, record.before, options.target_parameter, options.job_parameter
        )
        self._doubt(record.job)
        try:
            await session.start(parameters, moved=Moved.UNKNOWN)
        except DeviceRefused:
            del self._in_doubt[record.job.job_id]
            raise

    async def _follow(self, session: Machine, progress: Progress, deadline: float) -> State:
        """Return the state in which a job ended; at the deadline it is stopped."""
        loop = asyncio.get_running_loop()
        grace = loop.time() + START_GRACE_S
        stopping = False
        pause = FIRST_POLL_S
        while True:
            now = await session.read(moved=Moved.UNKNOWN)
            progress.see(now, self._options.job_parameter)
            if now.state in _ENDED or (now.state in RESET and progress.ran):
                return now.state
            late = loop.time() >= (deadline if progress.ran else min(deadline, grace))
            if late and stopping:
                raise DeviceTimeout(
                    f"{self._name}: job {progress.job.job_id}: the machine does not stop,"
                    f" it is {now.state.name}",
                    moved=Moved.UNKNOWN,
                )
            if late:
                stopping, deadline = True, loop.time() + STOP_TIMEOUT_S
                grace = deadline
                # A refusal means that the state changed in this moment; the next look shows it.
                with contextlib.suppress(DeviceRefused):
                    await session.call(Command.STOP, moved=Moved.UNKNOWN)
            await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
            pause = min(pause * POLL_GROWTH, self._options.poll_s)

    async def _finish(self, session: Machine, progress: Progress, end: State) -> CountResult:
        """Wait until the counts stand still, work out the result, deliver it."""
        deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT_S
        while True:
            earlier = progress.last
            await asyncio.sleep(self._options.settle_s)
            now = await session.read(moved=Moved.UNKNOWN)
            progress.see(now, self._options.job_parameter)
            if now.counts == earlier:
                break
            if asyncio.get_running_loop().time() >= deadline:
                raise Disagreement(
                    f"{self._name}: job {progress.job.job_id}: the counts go on changing in"
                    f" {now.state.name}",
                    moved=Moved.UNKNOWN,
                )
        return await self._deliver(self._work_out(progress, end))

    def _work_out(self, progress: Progress, end: State) -> CountRecord:
        """Return the result of a job; raises Disagreement (moved UNKNOWN) when there is none.

        A count that falls short although the machine says that it reached its target is none: the
        counts were reset unseen, or the job was cut short by hand.
        """
        job = progress.job
        if progress.acc_reset_seen:
            raise Disagreement(
                f"{self._name}: job {job.job_id}: AccCount went back during the job",
                moved=Moved.UNKNOWN,
            )
        inclusive = self._options.processed_includes_defective
        result = result_of(
            job,
            progress.before,
            progress.last,
            resets=progress.resets,
            inclusive=inclusive,
        )
        done = result.counted + (result.defective if inclusive else 0)
        if end is State.COMPLETE and done < job.pieces:
            raise Disagreement(
                f"{self._name}: job {job.job_id}: Complete after {done} of {job.pieces} pieces",
                moved=Moved.UNKNOWN,
            )
        return CountRecord(job, result, end, progress.before, progress.last)

    async def _deliver(self, record: CountRecord) -> CountResult:
        await self._sink(count_message(record))
        self._in_doubt.pop(record.job.job_id, None)
        self._results[record.job.job_id] = record
        while len(self._results) > REMEMBERED_MAX:
            self._results.popitem(last=False)
        return record.result

    # ------------------------------------------------------------ at the machine

    async def totals(self) -> Counts:
        """Return the running counts; AccCount never goes back."""
        return (await self._connected().read()).counts

    async def state(self) -> State:
        """Return the state of the machine."""
        return (await self._connected().read()).state

    async def pause(self, *, timeout_s: float) -> None:
        """Make the machine Suspended, also in the middle of a job."""
        await self._reach(Command.SUSPEND, _PAUSED, timeout_s)

    async def resume(self, *, timeout_s: float) -> None:
        """Let a Suspended machine go on. Pieces may have fallen when this fails."""
        await self._reach(Command.UNSUSPEND, _AT_WORK, timeout_s, moved=Moved.UNKNOWN)

    async def hold(self, *, timeout_s: float) -> None:
        """Make the machine Held, also in the middle of a job."""
        await self._reach(Command.HOLD, _HELD, timeout_s)

    async def unhold(self, *, timeout_s: float) -> None:
        """Let a Held machine go on. Pieces may have fallen when this fails."""
        await self._reach(Command.UNHOLD, _AT_WORK, timeout_s, moved=Moved.UNKNOWN)

    async def stop(self, *, timeout_s: float) -> None:
        """Make the machine Stopped; a job ends with what fell."""
        await self._reach(Command.STOP, _STOPPED, timeout_s)

    async def abort(self, *, timeout_s: float) -> None:
        """Make the machine Aborted from any state; a job ends with what fell."""
        await self._reach(Command.ABORT, _ABORTED, timeout_s)

    async def clear(self, *, timeout_s: float) -> None:
        """Make an Aborted machine Stopped."""
        async with self._alone(asyncio.get_running_loop().time() + timeout_s):
            await self._reach(Command.CLEAR, _STOPPED, timeout_s)

    async def reset(self, *, timeout_s: float) -> None:
        """Make a Stopped or Complete machine Idle."""
        async with self._alone(asyncio.get_running_loop().time() + timeout_s):
            complete = await self.state() is State.COMPLETE
            command = Command.RESET_COMPLETE if complete else Command.RESET_STOPPED
            await self._reach(command, _IDLE, timeout_s)

    async def unit_mode(self) -> int:
        """Return the mode of the machine: a `UnitMode`, or a number of its own."""
        mode = (await self._connected().read()).mode
        if mode is None:
            raise Unsupported(f"{self._name}: the machine shows no unit mode")
        return mode

    async def set_unit_mode(self, mode: int, *, timeout_s: float) -> None:
        """Put the machine into a mode; DeviceRefused when it may not change now."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        async with self._alone(deadline):
            if await self.unit_mode() == mode:
                return
            machine = self._connected()
            await machine.set_mode(mode)
            await until(
                machine, lambda now: now.mode == mode, deadline, what=f"{self._name}: mode {mode}"
            )

    async def _reach(
        self,
        command: Command,
        wanted: frozenset[State],
        timeout_s: float,
        *,
        moved: Moved = Moved.NO,
    ) -> None:
        """Bring the machine into a state, unless it is there; the command is given once."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        machine = self._connected()
        if (await machine.read()).state in wanted:
            return
        await machine.call(command, moved=moved)
        what = f"{self._name}: {command.name}"
        await until(machine, lambda now: now.state in wanted, deadline, what=what, moved=moved)

    # ------------------------------------------------------------ reconciling

    async def reconcile(self, job: CountJob, started: bytes | None) -> CountResult | None:
        """Ask the machine what became of a job, given its stored `start:` message.

        The machine can tell while Status/Parameter still shows the job, and also when no piece fell
        since. A job that still runs is followed for RECONCILE_TIMEOUT_S and then stopped; one that
        was accepted and not begun is stopped.
        """
        if started is None:
            return None
        try:
            record = read_start(started)
        except ProtocolError as error:
            error.moved = Moved.UNKNOWN
            raise
        if record.job != job:
            raise ProtocolError(
                f"{self._name}: the start message is of job {record.job.job_id}",
                moved=Moved.UNKNOWN,
            )
        deadline = asyncio.get_running_loop().time() + RECONCILE_TIMEOUT_S
        async with self._alone(deadline):
            known = self._results.get(job.job_id)
            if known is not None and known.job == job:
                return await self._deliver(known)
            return await self._ask(record, deadline)

    async def _ask(self, record: StartRecord, deadline: float) -> CountResult:
        job = record.job
        try:
            session = self._connected()
            now = await session.read()
        except DriverError as error:
            error.moved = Moved.UNKNOWN
            raise
        shown = token_of(now, self._options.job_parameter)
        progress = Progress(job, record.before)
        if shown != job_token(job, record.before) and not _nothing_fell(record.before, now):
            raise Disagreement(
                f"{self._name}: job {job.job_id} cannot be told: the machine shows"
                f" {'no job' if shown is None else f'job {shown}'}",
                moved=Moved.UNKNOWN,
            )
        if now.state is State.IDLE:
            # A Start that is still on its way would find the machine stopped, not ready.
            await session.call(Command.STOP, moved=Moved.UNKNOWN)
        end = await self._follow(session, progress, deadline)
        return await self._finish(session, progress, end)


def _nothing_fell(before: Counts, now: Snapshot) -> bool:
    """Whether the machine rests and has counted nothing since."""
    if now.state not in _ENDED and now.state is not State.IDLE:
        return False
    after = now.counts
    pairs = ((before.processed, after.processed), (before.defective, after.defective))
    return all(
        (one is None and other is None)
        or (one is not None and other is not None and (one.id, one.acc) == (other.id, other.acc))
        for one, other in pairs
    )
