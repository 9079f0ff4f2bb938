"""Labels as PDF files in a folder: for a site without a label printer.

One file for each request, never two. A file appears complete or not at all. That somebody prints
it is not known here: the proof is never more than `accepted`.
"""

import asyncio
import contextlib
import errno
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
)
from drivers.labelpdf import Page, label_digest, load_font, render
from drivers.labels import LabelError
from drivers.pdf.codec import (
    NOTE_MAX,
    NOTES,
    PART,
    Note,
    decode_note,
    encode_note,
    file_stem,
    folder_of,
)
from drivers.printing import JOBS_MAX, JobView, Presence, PrintQueue, check_repeat, reprint_message

_T = TypeVar("_T")
_FILE_MODE = 0o640
_RANGES: dict[str, tuple[float, float]] = {
    "width_mm": (10, 600),
    "height_mm": (10, 1200),
    "write_timeout_s": (0.1, 60),
    "poll_interval_s": (0.05, 3600),
    "files_max": (1, 100_000),
    "queue_max": (1, 256),
}


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one folder. `files_max` labels may lie in it; one more is refused."""

    width_mm: float = 101.6
    height_mm: float = 50.8
    font: str = ""
    write_timeout_s: float = 5.0
    poll_interval_s: float = 5.0
    files_max: int = 10_000
    queue_max: int = 16

    @property
    def page(self) -> Page:
        """The page that is drawn."""
        return Page(self.width_mm, self.height_mm, self.font)


def parse_options(options: Given) -> Options:
    """Return the options checked; raises ValueError naming every bad key."""
    checked = read(Options, options, Rules(_RANGES))
    load_font(checked.font)
    return checked


class PdfDriver:
    """A folder that takes labels."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._name = spec.name
        self._options = parse_options(spec.options)
        self._folder = Path(folder_of(spec.address))
        self._sink = sink
        self._queue = PrintQueue(spec.name, self._options.queue_max)
        self._jobs: OrderedDict[str, tuple[Label, PrintReceipt]] = OrderedDict()
        self._presence = Presence(self._name)

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Look at the folder, which must be there and take files; raises DeviceUnavailable."""
        await self._in_thread(self._prepare)
        self._presence.found()
        return Identity(model="PDF files", link=f"folder {self._folder}")

    async def watch(self) -> None:
        """Look at the folder again and again; raises DeviceUnavailable when it is gone."""
        await self._presence.watch(self._options.poll_interval_s, self.status)

    async def close(self) -> None:
        """Take no more labels."""
        self._presence.lose("closed")

    # ------------------------------------------------------------ capability

    async def status(self) -> PrinterStatus:
        """Return how many files lie in the folder; `folder_full` is its only fault."""
        self._presence.need()
        waiting = await self._in_thread(self._count)
        full = waiting >= self._options.files_max
        return PrinterStatus(
            ready=not full, faults=("folder_full",) if full else (), waiting=waiting
        )

    async def print(self, label: Label, *, request_id: str) -> PrintReceipt:
        """Write one label, once per `request_id`, also when the file was taken away since.

        Raises LabelError (a bad label, or another one than before), DeviceRefused or
        DeviceUnavailable with moved NO; DeviceTimeout with moved UNKNOWN when a write was begun
        and its end was not seen.
        """
        document = render(label, self._options.page)
        async with self._queue.turn(request_id):
            known = self._jobs.get(request_id)
            if known is not None:
                check_repeat(self._name, request_id, known[0], label)
                return known[1]
            status = await self.status()
            if not status.ready:
                text = ", ".join(status.faults)
                raise DeviceRefused(f"{self._name}: {text}; nothing was written", reason=text)
            digest = label_digest(label)
            await self._in_thread(lambda: self._write(request_id, digest, document), begun=True)
            receipt = PrintReceipt(request_id, PrintProof.ACCEPTED)
            self._remember(label, receipt)
            return receipt

    async def reprint(self, of: str, *, request_id: str, reason: str) -> PrintReceipt:
        """Write a label that was written before once more, under a request of its own.

        The reason goes through the sink first. Raises LabelError when the first label is not
        known any more or no reason is given, else as `print` does.
        """
        known = self._jobs.get(of)
        if known is None:
            raise LabelError(f"{self._name}: label {of!r} is not known any more")
        if request_id not in self._jobs:
            await self._sink(reprint_message(of, request_id=request_id, reason=reason))
        return await self.print(known[0], request_id=request_id)

    def labels(self) -> tuple[JobView, ...]:
        """Return what is known of the last labels, the oldest first."""
        return tuple(JobView(key, receipt.proof) for key, (_, receipt) in self._jobs.items())

    def _remember(self, label: Label, receipt: PrintReceipt) -> None:
        self._jobs[receipt.request_id] = (label, receipt)
        while len(self._jobs) > JOBS_MAX:
            self._jobs.popitem(last=False)

    # ------------------------------------------------------------ the folder, in a thread

    def _prepare(self) -> None:
        notes = self._folder / NOTES
        notes.mkdir(exist_ok=True)  # the folder itself is never made: it may be a lost mount
        probe = notes / f"probe{PART}"
        _write_file(probe, b"", exclusive=False)
        probe.unlink()

    def _count(self) -> int:
        notes = self._folder / NOTES
        if not notes.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the folder is gone", str(self._folder))
        with os.scandir(self._folder) as entries:
            return sum(entry.name.endswith(".pdf") for entry in entries)

    def _write(self, request_id: str, digest: str, document: bytes) -> None:
        """Write note, file, note: whoever comes back later sees how far it came."""
        stem = file_stem(request_id)
        note = self._folder / NOTES / stem
        target = self._folder / f"{stem}.pdf"
        if note.exists():
            self._check_note(request_id, digest, note, target)
            return
        if target.exists():
            raise DeviceRefused(
                f"{self._name}: {target.name} is there and was not written here",
                reason="file_exists",
            )
        self._publish(note, target, encode_note(Note(written=False, digest=digest)), document)
        self._finish(note, digest)

    def _publish(self, note: Path, target: Path, begun: bytes, document: bytes) -> None:
        """Make the file appear; until it does, an error leaves nothing behind: moved NO."""
        part = note.with_name(f"{note.name}{PART}")
        try:
            _write_file(part, document, exclusive=False)
            _write_file(note, begun, exclusive=True)
            _sync_folder(note.parent)
            part.rename(target)
        except OSError as error:
            mine = (part,) if isinstance(error, FileExistsError) else (part, note)
            for path in mine:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise DeviceUnavailable(
                f"{self._name}: {self._folder}: {error.strerror or error}; nothing was written"
            ) from error
        _sync_folder(self._folder)

    def _finish(self, note: Path, digest: str) -> None:
        fresh = note.with_name(f"{note.name}{PART}")
        _write_file(fresh, encode_note(Note(written=True, digest=digest)), exclusive=False)
        fresh.rename(note)
        _sync_folder(note.parent)

    def _check_note(self, request_id: str, digest: str, path: Path, target: Path) -> None:
        """A request that was seen before: nothing is written, its end is found out."""
        with path.open("rb") as file:
            note = decode_note(file.read(NOTE_MAX))
        if note.digest != digest:
            raise LabelError(f"{self._name}: request {request_id!r} was another label")
        if note.written:
            return
        if not target.exists():
            raise DeviceTimeout(
                f"{self._name}: label {request_id!r} was begun before and its file is not there;"
                " it may have been taken away",
                moved=Moved.UNKNOWN,
            )
        self._finish(path, digest)

    async def _in_thread(self, work: Callable[[], _T], *, begun: bool = False) -> _T:
        """Do file work within the deadline; OSError becomes DeviceUnavailable."""
        try:
            async with asyncio.timeout(self._options.write_timeout_s):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            self._presence.lose("the disk does not answer")
            raise DeviceTimeout(
                f"{self._name}: {self._folder}: no end within {self._options.write_timeout_s} s",
                moved=Moved.UNKNOWN if begun else Moved.NO,
            ) from error
        except ProtocolError as error:
            error.moved = Moved.UNKNOWN
            raise
        except DeviceUnavailable as error:
            self._presence.lose(str(error))
            raise
        except OSError as error:
            text = f"{self._folder}: {error.strerror or error}"
            self._presence.lose(text)
            raise DeviceUnavailable(
                f"{self._name}: {text}", moved=Moved.UNKNOWN if begun else Moved.NO
            ) from error


def _write_file(path: Path, data: bytes, *, exclusive: bool) -> None:
    """Write a whole file down to the disk."""
    kind = os.O_EXCL if exclusive else os.O_TRUNC
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | kind, _FILE_MODE)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
