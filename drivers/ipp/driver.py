"""Label printers that speak IPP: the printer's own job state is the proof of a label.

A label is one job. Where the printer knows Create-Job, the job gets its number before anything
can print, so that a label whose answer was lost can still be asked for. A label whose fate is
unknown is never sent again by this driver: the same `request_id` only looks again.
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
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
    ProtocolError,
    Unsupported,
)
from drivers.ipp.codec import (
    Attribute,
    GroupTag,
    JobState,
    Message,
    Operation,
    PrinterState,
    Tag,
    attribute,
    severe_reasons,
)
from drivers.ipp.link import IppLink
from drivers.ipp.options import parse_address, parse_options
from drivers.labelpdf import render
from drivers.labels import LabelError
from drivers.printing import JOBS_MAX, JobView, Presence, PrintQueue, check_repeat, reprint_message

DOCUMENT_FORMAT = "application/pdf"
AGREEING = 2
"""Answers in a row that must say that a job ended before it is believed."""
JOB_NAME_MAX = 120
"""Bytes of a job's name: `name` values hold at most 255. Source: RFC 8011, 5.1.3."""
_PRINTER_ASKED = (
    "printer-state",
    "printer-state-reasons",
    "printer-is-accepting-jobs",
    "queued-job-count",
    "printer-make-and-model",
    "printer-uuid",
    "printer-firmware-string-version",
    "document-format-supported",
    "operations-supported",
)
_JOB_ASKED = ("job-id", "job-name", "job-state", "job-state-reasons", "job-impressions-completed")
_TWO_STEPS = {Operation.CREATE_JOB, Operation.SEND_DOCUMENT}


@dataclass(slots=True)
class _Job:
    """One label that was sent; `job_id` None when the printer's number of it is not known."""

    request_id: str
    label: Label
    job_id: int | None = None
    receipt: PrintReceipt | None = None

    @property
    def name(self) -> str:
        """What the job is called at the printer."""
        return f"label {self.request_id}".encode()[:JOB_NAME_MAX].decode("utf-8", "ignore")


@dataclass(frozen=True, slots=True)
class _Report:
    """What the printer says of a job; `impressions` None when it does not count them."""

    state: JobState
    reasons: tuple[str, ...]
    impressions: int | None

    @property
    def ended(self) -> bool:
        return self.state in {JobState.COMPLETED, JobState.ABORTED, JobState.CANCELED}


class IppDriver:
    """A label printer that speaks IPP over HTTP or HTTPS."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._name = spec.name
        self._options = parse_options(spec.options)
        self._sink = sink
        self._link = IppLink(spec.name, parse_address(spec.address), self._options, sink)
        self._queue = PrintQueue(spec.name, self._options.queue_max)
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._operations: frozenset[int] = frozenset()
        self._presence = Presence(self._name)

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Ask the printer who it is; it must take PDF, and be the one that is configured."""
        await self._link.open()
        try:
            answer = await self._ask_printer()
            self._check_printer(answer)
        except DriverError:
            await self._link.close()
            raise
        self._presence.found()

        def text(name: str) -> str:
            return answer.string(GroupTag.PRINTER, name)

        return Identity(
            model=text("printer-make-and-model"),
            serial=text("printer-uuid"),
            firmware=text("printer-firmware-string-version"),
            link=self._link.protection,
        )

    def _check_printer(self, answer: Message) -> None:
        uuid = answer.string(GroupTag.PRINTER, "printer-uuid")
        if self._options.uuid and uuid != self._options.uuid:
            raise DeviceRefused(
                f"{self._name}: the printer is {uuid or 'without a uuid'},"
                f" {self._options.uuid} is configured",
                reason="another_printer",
            )
        formats = answer.strings(GroupTag.PRINTER, "document-format-supported")
        if DOCUMENT_FORMAT not in formats:
            raise Unsupported(f"{self._name}: takes {', '.join(formats) or 'nothing'}, no PDF")
        self._operations = frozenset(
            number
            for number in answer.values(GroupTag.PRINTER, "operations-supported")
            if isinstance(number, int)
        )

    async def watch(self) -> None:
        """Ask for the status again and again; raises DriverError when the printer is lost."""
        await self._presence.watch(self._options.poll_interval_s, self.status)

    async def close(self) -> None:
        """Release the link; calls that are under way fail."""
        self._presence.lose("closed")
        await self._link.close()

    # ------------------------------------------------------------ capability

    async def status(self) -> PrinterStatus:
        """Ask the printer; silence raises DeviceTimeout and means faulted or offline."""
        async with self._noting_loss():
            self._presence.need()
            return _printer_status(await self._ask_printer())

    async def print(self, label: Label, *, request_id: str) -> PrintReceipt:
        """Print one label, once per `request_id`.

        Raises LabelError (a bad label), DeviceRefused, DeviceTimeout, ProtocolError or
        DeviceUnavailable with moved NO while nothing can have printed; later DeviceFault or
        DeviceTimeout with moved UNKNOWN. The same id later returns the first receipt, or looks
        what became of the label; it never prints again. An error with moved NO lets the same
        id be tried again.
        """
        document = render(label, self._options.page)
        async with self._queue.turn(request_id), self._noting_loss():
            job = self._jobs.get(request_id)
            if job is not None:
                check_repeat(self._name, request_id, job.label, label)
                return await self._look_again(job)
            self._presence.need()
            status = _printer_status(await self._ask_printer())
            if not status.ready:
                text = ", ".join(status.faults)
                raise DeviceRefused(
                    f"{self._name}: not ready: {text}; nothing was sent", reason=text
                )
            return await self._send(_Job(request_id, label), document)

    async def reprint(self, of: str, *, request_id: str, reason: str) -> PrintReceipt:
        """Print a label that was printed before once more, under a request of its own.

        The reason goes through the sink first. Raises LabelError when the first label is not
        known any more or no reason is given, else as `print` does.
        """
        job = self._jobs.get(of)
        if job is None:
            raise LabelError(f"{self._name}: label {of!r} is not known any more")
        if request_id not in self._jobs:
            await self._sink(reprint_message(of, request_id=request_id, reason=reason))
        return await self.print(job.label, request_id=request_id)

    async def cancel(self, request_id: str) -> bool:
        """Take a label back; True when the printer says that nothing of it came out.

        Raises LabelError for a label that is not known, Unsupported without a job number.
        """
        async with self._queue.turn(request_id), self._noting_loss():
            job = self._jobs.get(request_id)
            if job is None:
                raise LabelError(f"{self._name}: label {request_id!r} is not known")
            if job.job_id is None:
                raise Unsupported(f"{self._name}: the number of label {request_id!r} is unknown")
            self._presence.need()
            with contextlib.suppress(DeviceRefused):  # too late: the job has ended
                await self._ask(Operation.CANCEL_JOB, (_job_number(job.job_id),))
            report = await self._settled_report(job)
            if report.state is JobState.COMPLETED or report.impressions != 0:
                return False
            if report.ended:
                del self._jobs[request_id]
            return report.ended

    def labels(self) -> tuple[JobView, ...]:
        """Return what is known of the last labels, the oldest first."""
        return tuple(
            JobView(job.request_id, None if job.receipt is None else job.receipt.proof)
            for job in self._jobs.values()
        )

    # ------------------------------------------------------------ one label

    async def _send(self, job: _Job, document: bytes) -> PrintReceipt:
        if self._operations >= _TWO_STEPS:
            answer = await self._ask(Operation.CREATE_JOB, self._about(job), job=self._media())
            job.job_id = _job_id(self._name, answer)
            self._remember(job)
            last = (
                _job_number(job.job_id),
                attribute("document-name", Tag.NAME, job.name),
                attribute("document-format", Tag.MIME_TYPE, DOCUMENT_FORMAT),
                attribute("last-document", Tag.BOOLEAN, True),  # noqa: FBT003 - its value
            )
            await self._hand_over(job, Operation.SEND_DOCUMENT, last, document)
        else:
            self._remember(job)
            about = (
                *self._about(job),
                attribute("document-format", Tag.MIME_TYPE, DOCUMENT_FORMAT),
            )
            await self._hand_over(job, Operation.PRINT_JOB, about, document)
        return await self._follow(job)

    async def _hand_over(
        self, job: _Job, operation: Operation, about: tuple[Attribute, ...], document: bytes
    ) -> None:
        """Send the document; only an error after which nothing can print is raised as such."""
        job_attributes = self._media() if operation is Operation.PRINT_JOB else ()
        try:
            answer = await self._ask(
                operation, about, document=document, job=job_attributes, effect=True
            )
            if job.job_id is None:
                job.job_id = _job_id(self._name, answer, moved=Moved.UNKNOWN)
        except DriverError as error:
            if error.moved is Moved.NO:
                del self._jobs[job.request_id]
                raise
            if job.job_id is None:
                self._in_doubt(job, str(error), error)
            # The number of the job is known: what became of it can be asked.

    def _about(self, job: _Job) -> tuple[Attribute, ...]:
        name = attribute("job-name", Tag.NAME, job.name)
        # A printer that has not got the media must refuse the job, not take other paper.
        fidelity = attribute("ipp-attribute-fidelity", Tag.BOOLEAN, bool(self._options.media))
        return (name, fidelity)

    def _media(self) -> tuple[Attribute, ...]:
        media = self._options.media
        return (attribute("media", Tag.KEYWORD, media),) if media else ()

    async def _follow(self, job: _Job) -> PrintReceipt:
        """Watch the job until it has ended or time is up."""
        seen: _Report | None = None
        try:
            async with asyncio.timeout(self._options.print_timeout_s):
                while True:
                    seen = await self._glimpse(job)
                    if seen is not None and seen.ended:
                        return self._conclude(job, seen)
                    if seen is not None and seen.state is JobState.PROCESSING_STOPPED:
                        await self._raise_fault(job)
                    await asyncio.sleep(self._options.print_poll_s)
        except TimeoutError:
            pass
        except DeviceUnavailable as error:
            self._in_doubt(job, f"the link was lost after it was sent: {error}", error)
        if seen is None:
            self._in_doubt(
                job, f"no answer within {self._options.print_timeout_s} s after it was sent", None
            )
        await self._raise_fault(job)
        job.receipt = PrintReceipt(job.request_id, PrintProof.ACCEPTED)
        return job.receipt

    async def _glimpse(self, job: _Job) -> _Report | None:
        """Return what the printer says of the job, None when it cannot be read."""
        try:
            return await self._settled_report(job)
        except (ProtocolError, DeviceTimeout, DeviceRefused):
            return None

    async def _settled_report(self, job: _Job) -> _Report:
        """Ask for the job; an end is believed when so many answers in a row are the same."""
        report = await self._report(job)
        if report.ended:
            for _ in range(AGREEING - 1):
                if await self._report(job) != report:
                    raise ProtocolError(f"{self._name}: job {job.job_id}: answers do not agree")
        return report

    async def _report(self, job: _Job) -> _Report:
        if job.job_id is None:
            raise ProtocolError(f"{self._name}: label {job.request_id!r} has no job number")
        answer = await self._ask(
            Operation.GET_JOB_ATTRIBUTES,
            (
                _job_number(job.job_id),
                attribute("requested-attributes", Tag.KEYWORD, *_JOB_ASKED),
            ),
        )
        name = answer.string(GroupTag.JOB, "job-name")
        if answer.integer(GroupTag.JOB, "job-id") != job.job_id or not job.name.startswith(name):
            raise ProtocolError(f"{self._name}: job {job.job_id} is another's: {name!r}")
        state = answer.integer(GroupTag.JOB, "job-state")
        if state not in set(JobState):
            raise ProtocolError(f"{self._name}: job {job.job_id}: state {state} is not known")
        return _Report(
            JobState(state),
            answer.strings(GroupTag.JOB, "job-state-reasons"),
            answer.integer(GroupTag.JOB, "job-impressions-completed"),
        )

    def _conclude(self, job: _Job, seen: _Report) -> PrintReceipt:
        """Return the receipt of a job that ended well; raises DeviceFault for any other end."""
        reasons = ", ".join(reason for reason in seen.reasons if reason != "none")
        if seen.state is JobState.COMPLETED and "job-completed-with-errors" not in seen.reasons:
            job.receipt = PrintReceipt(job.request_id, PrintProof.PRINTED)
            return job.receipt
        nothing = seen.state is not JobState.COMPLETED and seen.impressions == 0
        if nothing:
            self._jobs.pop(job.request_id, None)
        raise DeviceFault(
            f"{self._name}: label {job.request_id!r}: job {job.job_id} is"
            f" {seen.state.name.lower()}: {reasons or 'no reason given'};"
            + (" nothing was printed" if nothing else " part of it may have come out"),
            reason=reasons or seen.state.name.lower(),
            moved=Moved.NO if nothing else Moved.UNKNOWN,
        )

    async def _raise_fault(self, job: _Job) -> None:
        """Raise DeviceFault when the printer says why it does not go on."""
        try:
            status = _printer_status(await self._ask_printer())
        except DriverError as error:
            self._in_doubt(job, str(error), error)
        if not status.ready:
            text = ", ".join(status.faults)
            raise DeviceFault(
                f"{self._name}: {text} while label {job.request_id!r} was printed; it may still"
                " come out when the printer is ready again",
                reason=text,
            )

    # ------------------------------------------------------------ labels in doubt

    def _in_doubt(self, job: _Job, why: str, cause: DriverError | None) -> NoReturn:
        raise DeviceTimeout(
            f"{self._name}: label {job.request_id!r}: {why}; it may have come out or may yet",
            moved=Moved.UNKNOWN,
        ) from cause

    async def _look_again(self, job: _Job) -> PrintReceipt:
        """Return the receipt of a label that was sent before; raises while it is in doubt."""
        if job.receipt is not None and job.receipt.proof is PrintProof.PRINTED:
            return job.receipt
        cause: DriverError | None = None
        try:
            self._presence.need()
            seen = await self._settled_report(job)
            why = f"job {job.job_id} is {seen.state.name.lower()}"
        except DriverError as error:
            seen, why, cause = None, str(error), error
        if seen is not None and seen.ended:
            return self._conclude(job, seen)
        if job.receipt is not None:
            return job.receipt
        raise DeviceTimeout(
            f"{self._name}: label {job.request_id!r} was sent before and is still in doubt: {why}",
            moved=Moved.UNKNOWN,
        ) from cause

    def _remember(self, job: _Job) -> None:
        self._jobs[job.request_id] = job
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)

    # ------------------------------------------------------------ link

    async def _ask_printer(self) -> Message:
        asked = attribute("requested-attributes", Tag.KEYWORD, *_PRINTER_ASKED)
        return await self._ask(Operation.GET_PRINTER_ATTRIBUTES, (asked,))

    async def _ask(
        self,
        operation: Operation,
        about: tuple[Attribute, ...],
        *,
        document: bytes = b"",
        job: tuple[Attribute, ...] = (),
        effect: bool = False,
    ) -> Message:
        return await self._link.ask(operation, about, document, job=job, effect=effect)

    @contextlib.asynccontextmanager
    async def _noting_loss(self) -> AsyncIterator[None]:
        """A link that fails during a call is lost for the watch, too."""
        try:
            yield
        except (DeviceUnavailable, DeviceTimeout) as error:
            if error.moved is Moved.NO:
                self._presence.lose(str(error))
            raise


def _job_number(job_id: int) -> Attribute:
    return attribute("job-id", Tag.INTEGER, job_id)


def _job_id(name: str, answer: Message, moved: Moved = Moved.NO) -> int:
    job_id = answer.integer(GroupTag.JOB, "job-id")
    if job_id is None or job_id < 1:
        raise ProtocolError(f"{name}: a job without a number", moved=moved)
    return job_id


def _printer_status(answer: Message) -> PrinterStatus:
    """Return the status in the words of the capability. Raises ProtocolError without a state."""
    state = answer.integer(GroupTag.PRINTER, "printer-state")
    if state not in set(PrinterState):
        raise ProtocolError(f"printer-state {state} is not known")
    words = severe_reasons(state, answer.strings(GroupTag.PRINTER, "printer-state-reasons"))
    accepting = answer.values(GroupTag.PRINTER, "printer-is-accepting-jobs")
    if accepting[:1] == (False,):
        words = (*words, "not_accepting")
    if state == PrinterState.STOPPED and not words:
        words = ("stopped",)
    waiting = answer.integer(GroupTag.PRINTER, "queued-job-count")
    return PrinterStatus(ready=not words, faults=words, waiting=max(0, waiting or 0))
