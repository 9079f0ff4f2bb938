"""Traffic of a line as a file, and a file as a line: what went wrong at a site becomes a test.

A recording has one JSON object a line: `t` (seconds of a monotonic clock since the recorder was
made), `d` (what happened) and `hex` (the bytes) or `why`. Its events are `open`, `out` (written),
`in` (read), `discard` (dropped before a command), `lost` and `close`. It holds all that the device
was told, so it must be kept as safely as the device's data: only its owner can read the file.
"""

import asyncio
import io
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from drivers.errors import DeviceUnavailable, Moved
from drivers.stream import LinkLost, Transport

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

RECORD_MAX = 8 << 20
"""Bytes of one recording; a longer one becomes NAME.1, in place of the one before."""
REPLAY_MAX = 4 * RECORD_MAX
"""Bytes of a file that is replayed."""


class Event(StrEnum):
    """What happened on a line."""

    OPEN = "open"
    OUT = "out"
    IN = "in"
    DISCARD = "discard"
    LOST = "lost"
    CLOSE = "close"


class Recorder:
    """Writes events to a file, of which at most two times RECORD_MAX bytes are kept.

    A disk that takes no more ends the recording and nothing else: `failure` and the log say why.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        self._size = 0
        self._started: float | None = None
        self.failure = ""

    def start(self) -> None:
        """Open the file for appending; raises OSError."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = io.FileIO(os.open(self._path, flags, 0o600), "ab")
            self._size = self._file.tell()

    def note(self, event: Event, data: bytes = b"", *, why: str = "") -> None:
        """Write one event."""
        if self._file is None:
            return
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        entry: dict[str, float | str] = {"t": round(now - self._started, 6), "d": event}
        if why:
            entry["why"] = why
        elif event in (Event.IN, Event.OUT, Event.DISCARD):
            entry["hex"] = data.hex()
        line = json.dumps(entry).encode() + b"\n"
        try:
            self._file.write(line)
            self._size += len(line)
            if self._size >= RECORD_MAX:
                self._rotate()
        except OSError as error:
            self.failure = str(error)
            self.stop()
            log.warning("recording.ended", path=str(self._path), reason=self.failure)

    def stop(self) -> None:
        """Close the file; safe to call twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _rotate(self) -> None:
        self.stop()
        self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        self.start()


class RecordingTransport:
    """Any transport, with its traffic written to a file.

    Opening fails with DeviceUnavailable when the file cannot be opened.
    """

    def __init__(self, line: Transport, path: Path) -> None:
        self._line = line
        self._path = path
        self._recorder = Recorder(path)

    @property
    def parity(self) -> bool:
        """Whether the line carries a parity bit."""
        return self._line.parity

    async def open(self) -> None:
        """Open the file, then the line."""
        try:
            await asyncio.to_thread(self._recorder.start)
        except OSError as error:
            raise DeviceUnavailable(f"recording {self._path}: {error.strerror}") from error
        try:
            await self._line.open()
        except DeviceUnavailable as error:
            self._recorder.note(Event.LOST, why=str(error))
            raise
        self._recorder.note(Event.OPEN)

    async def read(self) -> bytes:
        """Return at least one byte or raise LinkLost."""
        try:
            data = await self._line.read()
        except LinkLost as error:
            self._recorder.note(Event.LOST, why=str(error))
            raise
        self._recorder.note(Event.IN, data)
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises LinkLost. It is on record before it is sent."""
        self._recorder.note(Event.OUT, data)
        try:
            await self._line.write(data)
        except LinkLost as error:
            self._recorder.note(Event.LOST, why=str(error))
            raise

    def discard(self) -> bytes:
        """Drop and return what has arrived and was not read."""
        data = self._line.discard()
        if data:
            self._recorder.note(Event.DISCARD, data)
        return data

    async def close(self) -> None:
        """Close the line and the file."""
        await self._line.close()
        self._recorder.note(Event.CLOSE)
        self._recorder.stop()


# ---------------------------------------------------------------- replay


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a recording."""

    event: Event
    data: bytes
    why: str
    line: int


def read_recording(path: Path) -> list[Entry]:
    """Return the events of a recording; raises ValueError naming the line, or OSError."""
    if path.stat().st_size > REPLAY_MAX:
        raise ValueError(f"{path}: longer than {REPLAY_MAX} bytes")
    entries = []
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        try:
            fields = json.loads(line)
            event, data = Event(fields["d"]), bytes.fromhex(fields.get("hex", ""))
            entries.append(Entry(event, data, str(fields.get("why", "")), number))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}: not an event of a recording") from error
    return entries


class ReplayTransport:
    """A recording in place of a device: says what the device said, when asked what it was asked.

    Reads give the recorded pieces in their order, each as soon as what was written before it has
    been written again; where the device was silent, so is the replay. Whatever differs from the
    recording, and its end, is LinkLost. Each `open` goes on to the next connection on record.
    """

    def __init__(self, path: Path, *, parity: bool = False) -> None:
        self._path = path
        self._name = f"replay {path}"
        self._entries: list[Entry] | None = None
        self._at = 0
        self._up = False
        self._moved = asyncio.Event()
        self.parity = parity

    async def open(self) -> None:
        """Go on to the next connection on record; raises DeviceUnavailable when there is none."""
        await self.close()
        if self._entries is None:
            try:
                self._entries = await asyncio.to_thread(read_recording, self._path)
            except (OSError, ValueError) as error:
                raise DeviceUnavailable(f"{self._name}: {error}") from error
        while entry := self._next():
            self._at += 1
            if entry.event is Event.OPEN:
                self._up = True
                return
        raise DeviceUnavailable(f"{self._name}: no further connection is on record")

    async def read(self) -> bytes:
        """Return the next recorded piece; waits until what comes before it was written."""
        while True:
            self._check()
            entry = self._next()
            if entry is None or entry.event is Event.LOST:
                raise self._ended(entry)
            if entry.event is Event.IN:
                self._at += 1
                return entry.data
            self._moved.clear()
            await self._moved.wait()

    async def write(self, data: bytes) -> None:
        """Check that this is what was written then; raises LinkLost when it is not."""
        self._check()
        entry = self._next()
        if entry is None or entry.event is Event.LOST:
            raise self._ended(entry)
        if entry.event is not Event.OUT or entry.data != data:
            raise LinkLost(
                f"{self._name}, line {entry.line}: {entry.event} {entry.data!r} is on record,"
                f" not out {data!r}"
            )
        self._at += 1
        self._moved.set()

    def discard(self) -> bytes:
        """Return what was dropped at this point then."""
        entry = self._next()
        if not self._up or entry is None or entry.event is not Event.DISCARD:
            return b""
        self._at += 1
        self._moved.set()
        return entry.data

    async def close(self) -> None:
        """End this connection; a pending read ends with LinkLost."""
        self._up = False
        self._moved.set()

    def _next(self) -> Entry | None:
        entries = self._entries or []
        return entries[self._at] if self._at < len(entries) else None

    def _check(self) -> None:
        if not self._up:
            raise LinkLost(f"{self._name}: not open")

    def _ended(self, entry: Entry | None) -> LinkLost:
        lost = LinkLost(f"{self._name}: {entry.why if entry else 'the recording ends here'}")
        lost.moved = Moved.UNKNOWN
        return lost
