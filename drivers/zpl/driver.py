"""Label printers that speak ZPL II: one question at a time, and proof that a label came out.

A ZPL printer does not acknowledge a label. What is known of one comes from `~HS` before and
after it and from the odometer. Silence means faulted or offline, never ready. A label whose
fate is unknown is never sent again by this driver: the same `request_id` only looks again.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NoReturn

from drivers.base import (
    DeviceSpec,
    Identity,
    Label,
    PrinterStatus,
    PrintProof,
    PrintReceipt,
    Sink,
)
from drivers.choices import Given, Rules, read
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
)
from drivers.labels import LabelError, LabelSize
from drivers.printing import JOBS_MAX, JobView, Presence, PrintQueue, check_repeat, reprint_message
from drivers.transport import transport_for
from drivers.zpl.codec import CANCEL_ALL, HostStatus, fault_words, printer_status
from drivers.zpl.conversation import Conversation
from drivers.zpl.label import encode_label

CALM_POLLS = 2
"""Answers in a row without a fault and with nothing waiting before a claim is made of them."""
_UNFINISHED = "an unfinished format is in the printer"
_PASSING = frozenset({"partial_format", "buffer_full", "label_waiting"})
"""Flags that a healthy printer may show for a moment while it takes a format."""
_RANGES: dict[str, tuple[float, float]] = {
    "width_dots": (100, 5000),
    "height_dots": (100, 10000),
    "dots_per_mm": (6, 24),
    "reply_timeout_s": (0.05, 60),
    "print_timeout_s": (0.1, 600),
    "take_timeout_s": (0, 600),
    "poll_interval_s": (0.05, 3600),
    "print_poll_s": (0.001, 10),
    "queue_max": (1, 256),
}


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one printer.

    `odometer` False keeps Set-Get-Do commands from printers that would print them; then no
    label can be proved printed, except in peel-off mode. `take_timeout_s` is how long `print`
    waits in that mode until the label is taken; `queue_max` labels may wait for their turn.
    """

    width_dots: int = 812
    height_dots: int = 406
    dots_per_mm: int = 8
    reply_timeout_s: float = 1.5
    print_timeout_s: float = 10.0
    take_timeout_s: float = 0.0
    poll_interval_s: float = 5.0
    print_poll_s: float = 0.1
    queue_max: int = 16
    odometer: bool = True

    @property
    def size(self) -> LabelSize:
        """The label stock."""
        return LabelSize(self.width_dots, self.height_dots, self.dots_per_mm)


def parse_options(options: Given) -> Options:
    """Return the options checked; raises ValueError naming every bad key."""
    return read(Options, options, Rules(_RANGES))


@dataclass(slots=True)
class _Job:
    """One label that was sent. `before` is the odometer before it, None when that is not known."""

    request_id: str
    label: Label
    before: int | None
    receipt: PrintReceipt | None = None
    at_peeler: bool = False
    gone_polls: int = 0


class ZplDriver:
    """A label printer that speaks ZPL II over TCP or a serial line."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._name = spec.name
        self._options = parse_options(spec.options)
        transport = transport_for(spec.address)
        self._line = Conversation(spec.name, transport, sink, self._options.reply_timeout_s)
        self._sink = sink
        self._lock = asyncio.Lock()
        self._queue = PrintQueue(spec.name, self._options.queue_max)
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._last: _Job | None = None
        self._has_odometer = False
        self._presence = Presence(self._name)

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the link; the printer must answer `~HS`. Empty where `~HI` is not answered."""
        async with self._lock:
            await self._line.open()
            try:
                await self._drop_unfinished_format()
                identity = await self._line.identity()
                self._has_odometer = self._options.odometer and await self._knows_odometer()
            except DriverError:
                await self._line.close()
                raise
            self._presence.found()
            return identity

    async def watch(self) -> None:
        """Ask for the status again and again; raises DriverError when the printer is lost."""
        await self._presence.watch(self._options.poll_interval_s, self.status)

    async def close(self) -> None:
        """Release the link; calls that are under way fail."""
        self._presence.lose("closed")
        await self._line.close()

    # ------------------------------------------------------------ capability

    async def status(self) -> PrinterStatus:
        """Ask the printer; silence raises DeviceTimeout and means faulted or offline."""
        async with self._turn():
            self._presence.need()
            status = await self._line.status()
            self._note_taken(status)
            return printer_status(status)

    async def print(self, label: Label, *, request_id: str) -> PrintReceipt:
        """Print one label, once per `request_id`.

        Raises LabelError (a bad label), DeviceRefused, DeviceTimeout, ProtocolError or
        DeviceUnavailable with moved NO while nothing was sent; later DeviceFault or
        DeviceTimeout with moved UNKNOWN: the label may have come out or may yet, for instance
        after new paper. The same id later returns the first receipt, or looks whether the label
        came out meanwhile; it never prints again. At most `queue_max` calls wait in the order of
        asking; one more is refused.
        """
        data = encode_label(label, self._options.size)
        async with self._queue.turn(request_id), self._turn():
            job = self._jobs.get(request_id)
            if job is not None:
                check_repeat(self._name, request_id, job.label, label)
                return job.receipt or await self._look_again(job)
            self._presence.need()
            await self._wait_until_ready()
            before = await self._line.odometer() if self._has_odometer else None
            self._settle_doubt(before)
            return await self._send(_Job(request_id, label, before), data)

    async def reprint(self, of: str, *, request_id: str, reason: str) -> PrintReceipt:
        """Print a label that was sent before once more, under a request of its own.

        The reason goes through the sink first. Raises LabelError when the first label is not
        known any more or no reason is given, else as `print` does.
        """
        job = self._jobs.get(of)
        if job is None:
            raise LabelError(f"{self._name}: label {of!r} is not known any more")
        if request_id not in self._jobs:
            await self._sink(reprint_message(of, request_id=request_id, reason=reason))
        return await self.print(job.label, request_id=request_id)

    def labels(self) -> tuple[JobView, ...]:
        """Return what is known of the last labels, the oldest first."""
        return tuple(
            JobView(job.request_id, None if job.receipt is None else job.receipt.proof)
            for job in self._jobs.values()
        )

    # ------------------------------------------------------------ one label

    async def _wait_until_ready(self) -> None:
        """Let labels of others come out; raises DeviceRefused when the printer cannot print."""
        status = await self._line.status()
        try:
            async with asyncio.timeout(self._options.print_timeout_s):
                while not (status.idle or fault_words(status)):
                    await asyncio.sleep(self._options.print_poll_s)
                    status = await self._line.status()
        except TimeoutError:
            raise DeviceRefused(
                f"{self._name}: busy, {status.formats_waiting} formats and"
                f" {status.labels_remaining} labels wait",
                reason="busy",
            ) from None
        self._note_taken(status)
        if words := fault_words(status):
            if status.partial_format:
                self._presence.lose(_UNFINISHED)
            text = ", ".join(words)
            raise DeviceRefused(f"{self._name}: not ready: {text}; nothing was sent", reason=text)

    async def _send(self, job: _Job, data: bytes) -> PrintReceipt:
        previous = self._last
        self._remember(job)
        try:
            await self._line.send(data)
        except DriverError as error:
            if error.moved is Moved.NO:
                del self._jobs[job.request_id]
                self._last = previous
                raise
            self._in_doubt(job, f"the link failed while it was sent: {error}", error)
        job.receipt = PrintReceipt(job.request_id, await self._follow(job))
        if job.at_peeler and self._options.take_timeout_s:
            await self._wait_until_taken(job)
        return job.receipt

    async def _follow(self, job: _Job) -> PrintProof:
        """Watch the printer until the fate of the label is known or time is up."""
        seen: HostStatus | None = None
        calm = 0
        try:
            async with asyncio.timeout(self._options.print_timeout_s):
                while True:
                    try:
                        seen = await self._line.status_once()
                        if await self._came_out(job, seen):
                            return PrintProof.PRINTED
                        self._raise_fault(job, seen)
                        calm = calm + 1 if seen.idle else 0
                    except DeviceTimeout:
                        seen, calm = None, 0
                    except ProtocolError:
                        calm = 0
                    if calm >= CALM_POLLS and job.before is None:
                        return PrintProof.ACCEPTED
                    await asyncio.sleep(self._options.print_poll_s)
        except DeviceUnavailable as error:
            self._in_doubt(job, f"the link was lost after it was sent: {error}", error)
        except TimeoutError:
            return self._out_of_time(job, seen)

    async def _came_out(self, job: _Job, status: HostStatus) -> bool:
        """Whether the label is known to be out; asks twice, as the line has no checksum."""
        if status.peeling and status.idle and (await self._line.status_once()).peeling:
            job.at_peeler = True
            return True
        if job.before is None or not status.idle:
            return False
        return await self._line.odometer() == job.before + 1

    def _raise_fault(self, job: _Job, status: HostStatus) -> None:
        words = [word for word in fault_words(status) if word not in _PASSING]
        if words:
            text = ", ".join(words)
            raise DeviceFault(
                f"{self._name}: {text} while label {job.request_id!r} was printed; it may still"
                " come out when the printer is ready again",
                reason=text,
            )

    def _out_of_time(self, job: _Job, status: HostStatus | None) -> PrintProof:
        waited = f"within {self._options.print_timeout_s} s"
        if status is None:
            self._in_doubt(job, f"no answer {waited} after it was sent", None)
        if status.partial_format:
            self._presence.lose(_UNFINISHED)
            raise DeviceFault(
                f"{self._name}: label {job.request_id!r} arrived only in part",
                reason="partial_format",
            )
        if not status.idle or job.before is None:
            return PrintProof.ACCEPTED
        raise DeviceTimeout(
            f"{self._name}: label {job.request_id!r}: the odometer did not rise by one {waited}",
            moved=Moved.UNKNOWN,
        )

    async def _wait_until_taken(self, job: _Job) -> None:
        """In peel-off mode wait until somebody takes the label."""
        try:
            async with asyncio.timeout(self._options.take_timeout_s):
                while job.at_peeler:
                    await asyncio.sleep(self._options.print_poll_s)
                    self._note_taken(await self._line.status())
        except TimeoutError:
            return  # The receipt says printed, and that is true.
        except DriverError as error:
            self._presence.lose(str(error))

    def _note_taken(self, status: HostStatus) -> None:
        """Make the last receipt TAKEN when answers in a row say that no label waits any more."""
        job = self._last
        if job is None or not job.at_peeler:
            return
        gone = not (status.label_waiting or fault_words(status))
        job.gone_polls = job.gone_polls + 1 if gone else 0
        if job.gone_polls >= CALM_POLLS:
            job.receipt = PrintReceipt(job.request_id, PrintProof.TAKEN)
            job.at_peeler = False

    # ------------------------------------------------------------ labels in doubt

    def _in_doubt(self, job: _Job, why: str, cause: DriverError | None) -> NoReturn:
        """Give the link up, so that no late answer is taken for a new one, and raise UNKNOWN."""
        self._presence.lose(why)
        raise DeviceTimeout(
            f"{self._name}: label {job.request_id!r}: {why}; it may have come out or may yet",
            moved=Moved.UNKNOWN,
        ) from cause

    async def _look_again(self, job: _Job) -> PrintReceipt:
        """Return a receipt if a label in doubt has come out since; raises DeviceTimeout if not."""
        why = "the printer cannot tell"
        cause: DriverError | None = None
        if job is self._last and job.before is not None:
            try:
                self._presence.need()
                status = await self._line.status()
                if status.idle:
                    self._settle_doubt(await self._line.odometer())
                why = ", ".join(fault_words(status)) or "not seen to come out"
            except DriverError as error:
                why, cause = str(error), error
        if job.receipt is not None:
            return job.receipt
        raise DeviceTimeout(
            f"{self._name}: label {job.request_id!r} was sent before and is still in doubt: {why}",
            moved=Moved.UNKNOWN,
        ) from cause

    def _settle_doubt(self, odometer: int | None) -> None:
        """Note that the last label came out, if the odometer of an idle printer shows it."""
        job = self._last
        if job is None or job.receipt is not None or job.before is None:
            return
        if odometer == job.before + 1:
            job.receipt = PrintReceipt(job.request_id, PrintProof.PRINTED)

    def _remember(self, job: _Job) -> None:
        self._jobs[job.request_id] = self._last = job
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)

    # ------------------------------------------------------------ link

    async def _knows_odometer(self) -> bool:
        """Whether the printer has an odometer; silence and nonsense mean that it has not."""
        try:
            return await self._line.odometer() is not None
        except (DeviceTimeout, ProtocolError):
            return False

    async def _drop_unfinished_format(self) -> None:
        """Clear a format that a lost link left half in the printer; nothing prints behind it."""
        if (await self._line.status()).partial_format:
            await asyncio.sleep(self._options.print_poll_s)
            if (await self._line.status()).partial_format:
                await self._line.send(CANCEL_ALL)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold the printer for one call; a link that fails meanwhile is lost for the watch, too."""
        async with self._lock:
            try:
                yield
            except (DeviceUnavailable, DeviceTimeout) as error:
                if error.moved is Moved.NO:
                    self._presence.lose(str(error))
                raise
