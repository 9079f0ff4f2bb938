"""A label printer that speaks IPP over HTTP: jobs, media, cover, and what it says of them.

It draws nothing: a job is its document, which must be a PDF, and takes `print_s` to come out.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.errors import ProtocolError
from drivers.ipp.codec import (
    CONTENT_TYPE,
    Attribute,
    Group,
    GroupTag,
    JobState,
    Message,
    Operation,
    PrinterState,
    Tag,
    attribute,
    decode,
    encode,
)
from simulators.base import FaultPlan, Json, Outgoing
from simulators.http_requests import CONTINUE, BadRequest, Request, RequestParser, response

JOBS_MAX = 200
"""Jobs that it remembers; the oldest ended one is forgotten for a new one."""
KEPT = 500
SHOWN = 5
UUID = "urn:uuid:6f3f1d7e-5a53-4a0e-9a27-0d3f5f1c2b44"
_FAULTS = (
    "media_empty",
    "cover_open",
    "paused",
    "not_accepting",
    "media_empty_mid_job",  # the roll ends while a job is being printed
    "job_aborted",  # the next job is aborted before anything of it came out
    "job_aborted_half",  # the next job is aborted after its label came out in part
    "job_errors",  # the next job ends with errors
    "document_refused",  # the document of the next job is not taken
    "answer_lost",  # a document is taken, but its answer never leaves
    "mute",  # requests are taken and not answered
    "http_error",  # every request is answered with HTTP 500
    "nonsense",  # answers are no IPP messages
    "no_create_job",  # only Print-Job
    "no_pdf",  # takes raster only
    "forgets_jobs",  # an ended job is not known any more
    "counts_nothing",  # says nothing of impressions
)
_OK = 0x0000
_BAD_REQUEST, _NOT_POSSIBLE, _NOT_FOUND = 0x0400, 0x0404, 0x0406
_FORMAT_UNKNOWN, _FORMAT_ERROR = 0x040A, 0x0411
_OPERATION_UNKNOWN, _NOT_ACCEPTING = 0x0501, 0x0506
_FORMATS = ("application/pdf", "application/octet-stream")
_LABEL_STOCK = (
    attribute(
        "media-size",
        Tag.COLLECTION,
        (
            attribute("x-dimension", Tag.INTEGER, 10160),
            attribute("y-dimension", Tag.INTEGER, 5080),
        ),
    ),
)
"""4 x 2 inches in hundredths of a millimetre. Source: PWG 5100.7, media-col."""


@dataclass(slots=True)
class _SimJob:
    """One job; `due` False until its document is there."""

    number: int
    name: str
    due: bool = False
    state: JobState = JobState.PENDING
    reasons: tuple[str, ...] = ("job-incoming",)
    impressions: int = 0
    progress: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state >= JobState.CANCELED


@dataclass(slots=True)
class _Host:
    """One connection."""

    parser: RequestParser = field(default_factory=RequestParser)


class IppModel:
    """One printer with any number of connections."""

    def __init__(self, seed: int = 0, *, paper: int = 1000, print_s: float = 0.3) -> None:
        del seed  # Nothing in it is left to chance.
        self._faults = FaultPlan(_FAULTS)
        self._paper = paper
        self._print_s = print_s
        self._jobs: dict[int, _SimJob] = {}
        self._numbers = 0
        self._printed: deque[str] = deque(maxlen=KEPT)
        self._documents: deque[bytes] = deque(maxlen=SHOWN)
        self._taken = 0
        self._hosts: dict[int, _Host] = {}
        self._out: list[Outgoing] = []

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Conditions of the printer, what befalls the next job, how it answers."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Labels left, seconds per label, jobs of others."""
        return ("paper", "print_s", "queue")

    def set(self, name: str, value: str) -> None:
        """Load paper, change the speed, queue jobs of another host."""
        if name == "print_s":
            seconds = float(value)
            if not 0 < seconds <= 600:  # noqa: PLR2004 - ten minutes a label
                raise ValueError(f"setting 'print_s': {value!r} is out of range")
            self._print_s = seconds
            return
        if name not in self.settings:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        number = int(value)
        if not 0 <= number <= JOBS_MAX:
            raise ValueError(f"setting {name!r}: {value!r} is out of range")
        if name == "paper":
            self._paper = number
        else:
            for _ in range(number):
                self._new_job("job of another host").due = True

    def state(self) -> dict[str, Json]:
        """Media, jobs and the last ones that came out."""
        return {
            "paper": self._paper,
            "documents": self._taken,
            "jobs_waiting": sum(not job.ended for job in self._jobs.values()),
            "printed": list(self._printed)[-SHOWN:],
            "faults": self._faults.state(),
        }

    @property
    def printed(self) -> tuple[str, ...]:
        """The names of the jobs that came out, oldest first; the last KEPT of them."""
        return tuple(self._printed)

    @property
    def documents(self) -> tuple[bytes, ...]:
        """The last documents that were taken."""
        return tuple(self._documents)

    # physics

    def step(self, dt: float) -> None:
        """Print for `dt` seconds."""
        job = next((job for job in self._jobs.values() if job.due and not job.ended), None)
        if job is None:
            return
        if self._stopped():
            if job.state is JobState.PROCESSING:
                job.state, job.reasons = JobState.PROCESSING_STOPPED, ("printer-stopped",)
            return
        if job.progress == 0.0 and self._faults.take("media_empty_mid_job"):
            self._paper = 0
            job.state = JobState.PROCESSING
            return
        job.state, job.reasons = JobState.PROCESSING, ("job-printing",)
        job.progress += dt
        if job.progress < self._print_s:
            return
        if self._faults.take("job_aborted"):
            job.state, job.reasons = JobState.ABORTED, ("aborted-by-system",)
            return
        job.impressions = 1
        self._paper -= 1
        self._printed.append(job.name)
        if self._faults.take("job_aborted_half"):
            job.state, job.reasons = JobState.ABORTED, ("aborted-by-system",)
        elif self._faults.take("job_errors"):
            job.state, job.reasons = JobState.COMPLETED, ("job-completed-with-errors",)
        else:
            job.state, job.reasons = JobState.COMPLETED, ("job-completed-successfully",)

    def _reasons(self) -> tuple[str, ...]:
        found = {
            "media-empty": self._paper <= 0 or self._faults.active("media_empty"),
            "cover-open": self._faults.active("cover_open"),
            "paused": self._faults.active("paused"),
        }
        return tuple(reason for reason, on in found.items() if on)

    def _stopped(self) -> bool:
        return bool(self._reasons())

    # wire

    def connected(self, session: int) -> None:
        """Take a connection."""
        self._hosts[session] = _Host()

    def disconnected(self, session: int) -> None:
        """A connection that goes away takes nothing back."""
        self._hosts.pop(session, None)

    def outgoing(self) -> list[Outgoing]:
        """Return the answers since the last call."""
        out, self._out = self._out, []
        return out

    def received(self, session: int, data: bytes) -> None:
        """Read HTTP requests and answer them."""
        host = self._hosts.get(session)
        if host is None:
            return
        try:
            for request in host.parser.feed(data):
                self._answer(session, request)
        except BadRequest as error:
            self._hosts[session] = _Host()
            body = str(error).encode("ascii", "backslashreplace")
            self._send(session, response(400, "text/plain", body, close=True), close=True)
            return
        if host.parser.wants_continue():
            self._send(session, CONTINUE)

    def _send(self, session: int, data: bytes, *, close: bool = False) -> None:
        self._out.append(Outgoing(session, data, close=close))

    def _answer(self, session: int, request: Request) -> None:
        close = not request.keeps_open
        if request.method != "POST" or not request.headers.get("content-type", "").startswith(
            CONTENT_TYPE
        ):
            self._send(session, response(404, "text/plain", b"", close=close), close=close)
            return
        taken_before = self._taken
        answer = self._carry_out(request.body)
        if self._faults.active("mute"):
            return
        if self._taken > taken_before and self._faults.take("answer_lost"):
            self._out.append(Outgoing(session, b"", close=True))
            return
        if self._faults.active("http_error"):
            self._send(session, response(500, "text/plain", b"", close=close), close=close)
            return
        body = b"nonsense" if self._faults.active("nonsense") else encode(answer)
        self._send(session, response(200, CONTENT_TYPE, body, close=close), close=close)

    # operations

    def _carry_out(self, body: bytes) -> Message:
        try:
            asked = decode(body)
        except ProtocolError as error:
            return _say(Message(0, 0, ()), _BAD_REQUEST, text=str(error))
        known: dict[int, Callable[[Message], Message]] = {
            Operation.PRINT_JOB: self._print_job,
            Operation.GET_JOB_ATTRIBUTES: self._get_job,
            Operation.GET_PRINTER_ATTRIBUTES: self._get_printer,
            Operation.CANCEL_JOB: self._cancel_job,
        }
        if not self._faults.active("no_create_job"):
            known[Operation.CREATE_JOB] = self._create_job
            known[Operation.SEND_DOCUMENT] = self._send_document
        first = asked.group(GroupTag.OPERATION)[:2]
        if [each.name for each in first] != ["attributes-charset", "attributes-natural-language"]:
            return _say(asked, _BAD_REQUEST, text="charset and language come first")
        carry_out = known.get(asked.code)
        return carry_out(asked) if carry_out else _say(asked, _OPERATION_UNKNOWN)

    def _get_printer(self, asked: Message) -> Message:
        state = PrinterState.IDLE
        if self._reasons():
            state = PrinterState.STOPPED
        elif any(not job.ended for job in self._jobs.values()):
            state = PrinterState.PROCESSING
        operations = [Operation.PRINT_JOB, Operation.GET_JOB_ATTRIBUTES, Operation.CANCEL_JOB]
        operations.append(Operation.GET_PRINTER_ATTRIBUTES)
        if not self._faults.active("no_create_job"):
            operations += [Operation.CREATE_JOB, Operation.SEND_DOCUMENT]
        formats = ("image/pwg-raster",) if self._faults.active("no_pdf") else _FORMATS
        waiting = sum(not job.ended for job in self._jobs.values())
        accepting = not self._faults.active("not_accepting")
        return _say(
            asked,
            _OK,
            GroupTag.PRINTER,
            (
                attribute("printer-uri-supported", Tag.URI, "ipp://localhost/ipp/print"),
                attribute("uri-security-supported", Tag.KEYWORD, "none"),
                attribute("uri-authentication-supported", Tag.KEYWORD, "none"),
                attribute("printer-name", Tag.NAME, "simulated"),
                attribute("printer-info", Tag.TEXT, "simulated"),
                attribute("printer-location", Tag.TEXT, ""),
                attribute("printer-more-info", Tag.URI, "http://localhost/"),
                attribute("media-col-default", Tag.COLLECTION, _LABEL_STOCK),
                attribute("printer-make-and-model", Tag.TEXT, "Simulated IPP label printer"),
                attribute("printer-uuid", Tag.URI, UUID),
                attribute("printer-firmware-string-version", Tag.TEXT, "1.0"),
                attribute("printer-state", Tag.ENUM, state),
                attribute("printer-state-reasons", Tag.KEYWORD, *(self._reasons() or ("none",))),
                attribute("printer-is-accepting-jobs", Tag.BOOLEAN, accepting),
                attribute("queued-job-count", Tag.INTEGER, waiting),
                attribute("operations-supported", Tag.ENUM, *operations),
                attribute("document-format-supported", Tag.MIME_TYPE, *formats),
                attribute("document-format-default", Tag.MIME_TYPE, formats[0]),
                attribute("charset-configured", Tag.CHARSET, "utf-8"),
                attribute("charset-supported", Tag.CHARSET, "utf-8"),
                attribute("natural-language-configured", Tag.LANGUAGE, "en"),
                attribute("generated-natural-language-supported", Tag.LANGUAGE, "en"),
                attribute("ipp-versions-supported", Tag.KEYWORD, "1.1", "2.0"),
                attribute("pdl-override-supported", Tag.KEYWORD, "not-attempted"),
                attribute("compression-supported", Tag.KEYWORD, "none"),
                attribute("printer-up-time", Tag.INTEGER, 1),
            ),
        )

    def _new_job(self, name: str) -> _SimJob:
        self._numbers += 1
        job = self._jobs[self._numbers] = _SimJob(self._numbers, name)
        if len(self._jobs) > JOBS_MAX:
            ended = next((each.number for each in self._jobs.values() if each.ended), None)
            self._jobs.pop(ended if ended is not None else min(self._jobs))
        return job

    def _create_job(self, asked: Message) -> Message:
        if self._faults.active("not_accepting"):
            return _say(asked, _NOT_ACCEPTING)
        name = asked.string(GroupTag.OPERATION, "job-name")
        return self._say_job(asked, self._new_job(name))

    def _print_job(self, asked: Message) -> Message:
        if self._faults.active("not_accepting"):
            return _say(asked, _NOT_ACCEPTING)
        if (refusal := self._document_fault(asked)) is not None:
            return _say(asked, refusal)
        job = self._new_job(asked.string(GroupTag.OPERATION, "job-name"))
        self._take_document(job, asked)
        return self._say_job(asked, job)

    def _send_document(self, asked: Message) -> Message:
        job = self._find(asked)
        if job is None:
            return _say(asked, _NOT_FOUND)
        if job.due or job.ended:
            return _say(asked, _NOT_POSSIBLE, text="the job has its document")
        if (refusal := self._document_fault(asked)) is not None:
            job.state, job.reasons = JobState.ABORTED, ("document-format-error",)
            return _say(asked, refusal)
        self._take_document(job, asked)
        return self._say_job(asked, job)

    def _document_fault(self, asked: Message) -> int | None:
        if asked.string(GroupTag.OPERATION, "document-format") not in ("", *_FORMATS):
            return _FORMAT_UNKNOWN
        bad = self._faults.take("document_refused") or not asked.document
        return _FORMAT_ERROR if bad else None

    def _take_document(self, job: _SimJob, asked: Message) -> None:
        self._documents.append(asked.document)
        self._taken += 1
        job.due, job.reasons = True, ("none",)

    def _get_job(self, asked: Message) -> Message:
        job = self._find(asked)
        if job is None or (job.ended and self._faults.active("forgets_jobs")):
            return _say(asked, _NOT_FOUND)
        return self._say_job(asked, job)

    def _cancel_job(self, asked: Message) -> Message:
        job = self._find(asked)
        if job is None:
            return _say(asked, _NOT_FOUND)
        if job.ended:
            return _say(asked, _NOT_POSSIBLE)
        job.state, job.reasons = JobState.CANCELED, ("job-canceled-by-user",)
        return _say(asked, _OK)

    def _find(self, asked: Message) -> _SimJob | None:
        number = asked.integer(GroupTag.OPERATION, "job-id")
        uri = asked.string(GroupTag.OPERATION, "job-uri").rpartition("/")[2]
        if number is None and uri.isascii() and uri.isdecimal():
            number = int(uri)
        return None if number is None else self._jobs.get(number)

    def _say_job(self, asked: Message, job: _SimJob) -> Message:
        attributes = [
            attribute("job-id", Tag.INTEGER, job.number),
            attribute("job-uri", Tag.URI, f"ipp://localhost/ipp/print/{job.number}"),
            attribute("job-name", Tag.NAME, job.name),
            attribute("job-state", Tag.ENUM, job.state),
            attribute("job-state-reasons", Tag.KEYWORD, *job.reasons),
        ]
        if not self._faults.active("counts_nothing"):
            attributes.append(attribute("job-impressions-completed", Tag.INTEGER, job.impressions))
        return _say(asked, _OK, GroupTag.JOB, tuple(attributes))


def _say(
    asked: Message,
    status: int,
    tag: int = GroupTag.JOB,
    attributes: tuple[Attribute, ...] = (),
    *,
    text: str = "",
) -> Message:
    head = [
        attribute("attributes-charset", Tag.CHARSET, "utf-8"),
        attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
    ]
    if text:
        head.append(attribute("status-message", Tag.TEXT, text[:200]))
    groups = [Group(GroupTag.OPERATION, tuple(head))]
    if attributes:
        groups.append(Group(tag, attributes))
    return Message(status, asked.request_id, tuple(groups), version=asked.version)


def make(seed: int) -> IppModel:
    """Return a printer with a roll of 500 labels."""
    return IppModel(seed, paper=500)
