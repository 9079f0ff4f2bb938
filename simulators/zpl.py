"""A thermal label printer that reads ZPL II: media, ribbon, head, peeler, buffer and its odometer.

It draws nothing: a format counts from ^XA to ^XZ, prints ^PQ labels and is kept as text.
Commands with `~` act at once, inside a format too, which is why text that is not escaped is
dangerous. The control characters STX, ETX, RS and DLE stand for ^XA, ^XZ, `^` and `~`, as in
the ZPL II Programming Guide. One stream of bytes reaches the printer, whatever host sent them;
answers go to the host that asked.
"""

import re
from collections import deque
from dataclasses import dataclass

from drivers.zpl.codec import HostStatus, encode_host_status
from simulators.base import FaultPlan, Json, Outgoing

FORMAT_MAX = 65536
"""Bytes of one format; more are dropped and the format with them."""
QUEUE_MAX = 50
"""Formats that fit into the receive buffer; with so many waiting it says that it is full."""
KEPT = 500
SHOWN = 5
_LINE_MAX = 256
_FAULTS = (
    "paper_out",
    "ribbon_out",
    "head_open",
    "paused",
    "too_hot",
    "buffer_full",  # what arrives meanwhile is lost
    "silent_when_faulted",  # no answer to ~HS while out of media or ribbon, open or hot
    "partial_format",  # the end of a format is not recognised
    "paper_out_mid_label",  # the roll ends while a label is being printed
    "label_lost",  # a complete format is dropped without a word
    "no_odometer",  # Set-Get-Do answers `?`
    "odometer_mute",  # Set-Get-Do is not answered
    "no_identity",  # ~HI is not answered
)
_MUTING = ("paper_out", "ribbon_out", "head_open", "too_hot")
_STANDS_FOR = {0x02: b"^XA", 0x03: b"^XZ", 0x1E: b"^", 0x10: b"~"}
_COPIES = re.compile(r"\^PQ(\d{1,8})")
_GETVAR = re.compile(rb'! U1 getvar "([a-z0-9._]+)"')


@dataclass(slots=True)
class _Waiting:
    """A complete format in the buffer."""

    text: str
    copies: int


class ZplModel:
    """One printer with any number of hosts."""

    def __init__(self, seed: int = 0, *, paper: int = 1000, print_s: float = 0.3) -> None:
        del seed  # Nothing in it is left to chance.
        self._faults = FaultPlan(_FAULTS)
        self._paper = paper
        self._print_s = print_s
        self._peel = False
        self._queue: deque[_Waiting] = deque()
        self._progress = 0.0
        self._odometer = 1000
        self._label_waiting = False
        self._printed: deque[str] = deque(maxlen=KEPT)
        self._pause_key = False
        self._out: list[Outgoing] = []
        self._format: bytearray | None = None
        self._command = bytearray()
        self._line = bytearray()

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """Conditions of the printer, what it is silent about, what befalls the next format."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """Labels left, seconds per label, peel-off mode, take a label, labels of others."""
        return ("paper", "print_s", "peel", "take", "queue", "odometer")

    def set(self, name: str, value: str) -> None:
        """Load paper, change speed or mode, take the label, queue labels of another host."""
        if name == "print_s":
            seconds = float(value)
            if not 0 < seconds <= 60:  # noqa: PLR2004 - a label a minute
                raise ValueError(f"setting 'print_s': {value!r} is out of range")
            self._print_s = seconds
            return
        if name not in self.settings:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        number = int(value)
        if number < 0:
            raise ValueError(f"setting {name!r}: {value!r} is below 0")
        match name:
            case "paper":
                self._paper = number
            case "peel":
                self._peel = number > 0
            case "take":
                self._label_waiting = False
            case "odometer":
                self._odometer = number
            case _:
                self._queue.append(_Waiting("^XA^FDlabel of another host^FS^XZ", number))

    def state(self) -> dict[str, Json]:
        """Media, buffer and the last formats that came out."""
        return {
            "paper": self._paper,
            "odometer": self._odometer,
            "formats_waiting": len(self._queue),
            "label_waiting": self._label_waiting,
            "printed": list(self._printed)[-SHOWN:],
            "faults": self._faults.state(),
        }

    @property
    def printed(self) -> tuple[str, ...]:
        """The formats of the labels that came out, oldest first; the last KEPT of them."""
        return tuple(self._printed)

    # physics

    def step(self, dt: float) -> None:
        """Print for `dt` seconds."""
        if not self._queue or self._stopped():
            return
        if self._progress == 0.0 and self._faults.take("paper_out_mid_label"):
            self._paper = 0
            return
        self._progress += dt
        if self._progress < self._print_s:
            return
        self._progress = 0.0
        job = self._queue[0]
        self._printed.append(job.text)
        self._odometer += 1
        self._paper -= 1
        self._label_waiting = self._peel
        job.copies -= 1
        if job.copies <= 0:
            self._queue.popleft()

    def _paper_out(self) -> bool:
        return self._paper <= 0 or self._faults.active("paper_out")

    def _paused(self) -> bool:
        return self._pause_key or self._faults.active("paused")

    def _stopped(self) -> bool:
        return (
            self._paper_out()
            or self._paused()
            or self._label_waiting
            or any(self._faults.active(name) for name in ("ribbon_out", "head_open", "too_hot"))
        )

    # wire

    def connected(self, session: int) -> None:
        """A new host changes nothing: a half format stays where it is."""

    def disconnected(self, session: int) -> None:
        """A host that leaves takes nothing back."""

    def outgoing(self) -> list[Outgoing]:
        """Return the answers since the last call."""
        out, self._out = self._out, []
        return out

    def received(self, session: int, data: bytes) -> None:
        """Read ZPL and Set-Get-Do commands."""
        for byte in data:
            for meant in _STANDS_FOR.get(byte, bytes([byte])):
                self._take(session, meant)

    def _take(self, session: int, byte: int) -> None:
        if byte in b"^~":
            self._spill()
            self._command.append(byte)
        elif self._command:
            self._command.append(byte)
            wanted = 5 if self._command[:3] == b"~HQ" else 3
            if len(self._command) >= wanted:
                command = bytes(self._command)
                self._command.clear()
                self._obey(session, command)
        elif self._format is not None:
            self._keep(bytes([byte]))
        else:
            self._read_line(session, byte)

    def _spill(self) -> None:
        """What looked like a command but was cut by the next prefix is text of the format."""
        if self._format is not None:
            self._keep(bytes(self._command))
        self._command.clear()
        self._line.clear()

    def _keep(self, data: bytes) -> None:
        if self._format is None:
            return
        self._format += data
        if len(self._format) > FORMAT_MAX:
            self._format = None

    def _read_line(self, session: int, byte: int) -> None:
        """Outside a format only Set-Get-Do lines mean anything."""
        if byte in b"\r\n":
            match = _GETVAR.fullmatch(self._line.strip())
            self._line.clear()
            if match is not None and not self._faults.active("odometer_mute"):
                known = match[1] == b"odometer.total_label_count"
                known = known and not self._faults.active("no_odometer")
                self._answer(session, b'"%d"\r\n' % self._odometer if known else b'"?"\r\n')
        elif len(self._line) < _LINE_MAX:
            self._line.append(byte)

    def _obey(self, session: int, command: bytes) -> None:
        match command.upper():
            case b"^XA":
                self._format = bytearray(b"^XA")
            case b"^XZ":
                self._end_format()
            case b"~HS" | b"~HI" | b"~HQES" as question:
                self._reply(session, question)
            case b"~JA":
                self._format = None
                self._queue.clear()
                self._progress = 0.0
            case b"~PP":
                self._pause_key = True
            case b"~PS":
                self._pause_key = False
            case other:
                self._keep(other)

    def _reply(self, session: int, question: bytes) -> None:
        if question == b"~HQES":
            self._answer(session, self._extended_status())
        elif question == b"~HS" and not self._mute():
            self._answer(session, encode_host_status(self._status()))
        elif question == b"~HI" and not self._faults.active("no_identity"):
            self._answer(session, b"\x02SIM203-203dpi,V84.20.18Z,8,8192KB\x03\r\n")

    def _end_format(self) -> None:
        if self._format is None or self._faults.take("partial_format"):
            return
        text = (self._format + b"^XZ").decode("ascii", "backslashreplace")
        self._format = None
        if self._full() or self._faults.take("label_lost"):
            return
        copies = _COPIES.search(text)
        self._queue.append(_Waiting(text, int(copies[1]) if copies else 1))

    def _full(self) -> bool:
        return len(self._queue) >= QUEUE_MAX or self._faults.active("buffer_full")

    def _mute(self) -> bool:
        if not self._faults.active("silent_when_faulted"):
            return False
        return self._paper_out() or any(self._faults.active(name) for name in _MUTING)

    def _status(self) -> HostStatus:
        return HostStatus(
            paper_out=self._paper_out(),
            paused=self._paused(),
            formats_waiting=len(self._queue),
            buffer_full=self._full(),
            partial_format=self._format is not None,
            too_hot=self._faults.active("too_hot"),
            head_open=self._faults.active("head_open"),
            ribbon_out=self._faults.active("ribbon_out"),
            print_mode="1" if self._peel else "2",
            label_waiting=self._label_waiting,
            labels_remaining=self._queue[0].copies if self._queue else 0,
        )

    def _extended_status(self) -> bytes:
        """Error mask: 1 media, 2 ribbon, 4 head open, 0x10 hot, 0x10000 paused. Not checked."""
        mask = (
            self._paper_out() * 0x1
            | self._faults.active("ribbon_out") * 0x2
            | self._faults.active("head_open") * 0x4
            | self._faults.active("too_hot") * 0x10
            | self._paused() * 0x10000
        )
        errors = f" ERRORS: {min(mask, 1)} 00000000 {mask:08X}"
        lines = ("", " PRINTER STATUS", errors, " WARNINGS: 0 00000000 00000000", "")
        return b"\x02" + "\r\n".join(lines).encode("ascii") + b"\x03\r\n"

    def _answer(self, session: int, data: bytes) -> None:
        self._out.append(Outgoing(session, data))


def make(seed: int) -> ZplModel:
    """Return a printer with a roll of 500 labels."""
    return ZplModel(seed, paper=500)
