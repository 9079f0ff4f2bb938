"""ZPL II: what is asked of a printer and what it answers. Formats are made in `drivers.zpl.label`.

Source: Zebra, ZPL II Programming Guide 45541L-004 and its successor P1099958 (~HS, ~HI, ~JA,
Set-Get-Do `getvar`). The order of the `~HS` fields, and that some firmware stays silent while
faulted, are from the manual; the form of the odometer's answer is from public programs that
read it. Not verified on hardware.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from drivers.base import Identity, PrinterStatus
from drivers.errors import ProtocolError

HOST_STATUS = b"~HS"
HOST_IDENTIFICATION = b"~HI"
ODOMETER = b'! U1 getvar "odometer.total_label_count"\r\n'
"""Labels printed in the printer's life; a command ends with CR LF."""

REPLY_LIMIT = 512
"""Longest answer that is taken for one; a line of `~HS` has about 40 bytes."""
STATUS_LINES = 3
CANCEL_ALL = b"~JA"
"""Drops every format in the receive buffer, an unfinished one too; the label being printed ends."""

_STX, _ETX = 0x02, 0x03
_QUOTE = 0x22
_LINE_ENDS = b"\r\n"
_FLOW = b"\x11\x13"
"""Xon and Xoff, which a serial printer sends between and inside answers."""

# ---------------------------------------------------------------- answers


class ReplyKind(StrEnum):
    """How an answer was delimited."""

    FRAMED = "framed"
    QUOTED = "quoted"
    LINE = "line"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer without its delimiters."""

    kind: ReplyKind
    body: bytes


class ReplySplitter:
    """Splits what a printer sends into frames, quoted values and lines, fed any cut of the stream.

    Never raises: what is none of these comes back as GARBAGE. Holds at most REPLY_LIMIT bytes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._kind: ReplyKind | None = None

    def feed(self, data: bytes) -> list[Reply]:
        """Return the answers that `data` completes."""
        replies: list[Reply] = []
        for byte in data:
            if byte not in _FLOW:
                self._take(byte, replies)
        return replies

    def flush(self) -> bytes:
        """Forget and return an unfinished answer."""
        rest = bytes(self._buffer)
        self._start(None)
        return rest

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished answer."""
        return len(self._buffer)

    def _start(self, kind: ReplyKind | None) -> None:
        self._kind = kind
        self._buffer.clear()

    def _end(self, kind: ReplyKind, replies: list[Reply]) -> None:
        replies.append(Reply(kind, bytes(self._buffer)))
        self._start(None)

    def _take(self, byte: int, replies: list[Reply]) -> None:
        kind = self._kind
        if byte == _STX:
            if self._buffer:
                self._end(ReplyKind.GARBAGE, replies)
            self._start(ReplyKind.FRAMED)
        elif kind is ReplyKind.FRAMED and byte == _ETX:
            self._end(ReplyKind.FRAMED, replies)
        elif kind is ReplyKind.QUOTED and byte == _QUOTE:
            self._end(ReplyKind.QUOTED, replies)
        elif kind is None and byte == _QUOTE:
            self._start(ReplyKind.QUOTED)
        elif byte in _LINE_ENDS and kind is not ReplyKind.FRAMED:
            if kind is not None:
                self._end(ReplyKind.GARBAGE if kind is ReplyKind.QUOTED else kind, replies)
        else:
            self._kind = kind or ReplyKind.LINE
            self._buffer.append(byte)
            if len(self._buffer) >= REPLY_LIMIT:
                self._end(ReplyKind.GARBAGE, replies)


# ---------------------------------------------------------------- host status


@dataclass(frozen=True, slots=True)
class HostStatus:
    """The three lines of `~HS` in their order; `interface` and `function` are numbers as sent."""

    interface: int = 30
    paper_out: bool = False
    paused: bool = False
    label_length_dots: int = 406
    formats_waiting: int = 0
    buffer_full: bool = False
    diagnostic: bool = False
    partial_format: bool = False
    ram_corrupt: bool = False
    too_cold: bool = False
    too_hot: bool = False
    function: int = 0
    head_open: bool = False
    ribbon_out: bool = False
    thermal_transfer: bool = False
    print_mode: str = "2"
    width_mode: int = 6
    label_waiting: bool = False
    labels_remaining: int = 0
    images: int = 0
    password: int = 1234
    static_ram: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be printed."""
        return not (self.formats_waiting or self.labels_remaining or self.partial_format)

    @property
    def peeling(self) -> bool:
        """Whether a printed label waits at the peeler to be taken."""
        return self.print_mode == PEEL_OFF and self.label_waiting


PEEL_OFF = "1"
"""Print mode in which the printer stops after each label until it is taken."""
_FLAG = "([01])"
_LINES = (
    re.compile(
        rf"(\d{{1,3}}),{_FLAG},{_FLAG},(\d{{1,5}}),(\d{{1,4}}),{_FLAG},{_FLAG},{_FLAG},0{{3}},"
        rf"{_FLAG},{_FLAG},{_FLAG}",
        re.ASCII,
    ),
    re.compile(
        rf"(\d{{1,3}}),\d,{_FLAG},{_FLAG},{_FLAG},([0-9A-Z]),(\d),{_FLAG},(\d{{1,8}}),1,(\d{{1,4}})",
        re.ASCII,
    ),
    re.compile(rf"(\d{{1,4}}),{_FLAG}", re.ASCII),
)


def parse_host_status(bodies: Iterable[bytes]) -> HostStatus:
    """Read the three lines of `~HS`, in order. Raises ProtocolError naming the bad line."""
    lines = tuple(bodies)
    if len(lines) != STATUS_LINES:
        raise ProtocolError(f"~HS: {len(lines)} lines, {STATUS_LINES} expected")
    fields: list[tuple[str, ...]] = []
    for number, (pattern, body) in enumerate(zip(_LINES, lines, strict=True), start=1):
        match = pattern.fullmatch(body.decode("latin-1").strip())
        if match is None:
            raise ProtocolError(f"~HS line {number}: {body[:80]!r}")
        fields.append(match.groups())
    (aaa, b, c, dddd, eee, f, g, h, j, k, low), two, (xxxx, y) = fields
    mmm, o, p, q, r, s, t, u, www = two
    return HostStatus(
        interface=int(aaa),
        paper_out=b == "1",
        paused=c == "1",
        label_length_dots=int(dddd),
        formats_waiting=int(eee),
        buffer_full=f == "1",
        diagnostic=g == "1",
        partial_format=h == "1",
        ram_corrupt=j == "1",
        too_cold=k == "1",
        too_hot=low == "1",
        function=int(mmm),
        head_open=o == "1",
        ribbon_out=p == "1",
        thermal_transfer=q == "1",
        print_mode=r,
        width_mode=int(s),
        label_waiting=t == "1",
        labels_remaining=int(u),
        images=int(www),
        password=int(xxxx),
        static_ram=y == "1",
    )


def encode_host_status(status: HostStatus) -> bytes:
    """Return the three lines as a printer sends them."""
    s = status
    first = (
        f"{s.interface:03d},{s.paper_out:d},{s.paused:d},{s.label_length_dots:04d},"
        f"{s.formats_waiting:03d},{s.buffer_full:d},{s.diagnostic:d},{s.partial_format:d},000,"
        f"{s.ram_corrupt:d},{s.too_cold:d},{s.too_hot:d}"
    )
    second = (
        f"{s.function:03d},0,{s.head_open:d},{s.ribbon_out:d},{s.thermal_transfer:d},"
        f"{s.print_mode},{s.width_mode},{s.label_waiting:d},{s.labels_remaining:08d},1,"
        f"{s.images:03d}"
    )
    lines = (first, second, f"{s.password:04d},{s.static_ram:d}")
    return b"".join(b"\x02" + line.encode("ascii") + b"\x03\r\n" for line in lines)


def fault_words(status: HostStatus) -> tuple[str, ...]:
    """Return what keeps the printer from printing, as words; empty when nothing does."""
    words = {
        "paper_out": status.paper_out,
        "ribbon_out": status.ribbon_out,
        "head_open": status.head_open,
        "paused": status.paused,
        "buffer_full": status.buffer_full,
        "partial_format": status.partial_format,
        "diagnostic": status.diagnostic,
        "ram_corrupt": status.ram_corrupt,
        "too_cold": status.too_cold,
        "too_hot": status.too_hot,
        "label_waiting": status.peeling,
    }
    return tuple(word for word, on in words.items() if on)


def printer_status(status: HostStatus) -> PrinterStatus:
    """Return the status in the words of the capability."""
    faults = fault_words(status)
    return PrinterStatus(
        ready=not faults, faults=faults, waiting=status.formats_waiting + status.labels_remaining
    )


# ---------------------------------------------------------------- identity and odometer

_IDENTITY_FIELDS = 4


def parse_identity(body: bytes) -> Identity:
    """Read model, firmware and dots per mm from the answer to `~HI`. Raises ProtocolError."""
    text = body.decode("latin-1").strip()
    fields = text.split(",")
    if len(fields) < _IDENTITY_FIELDS or not (text.isascii() and text.isprintable()):
        raise ProtocolError(f"~HI: {body[:80]!r}")
    if not (fields[0] and fields[1] and fields[2].isdecimal()):
        raise ProtocolError(f"~HI: {body[:80]!r}")
    return Identity(maker="Zebra (ZPL)", model=fields[0].strip(), firmware=fields[1].strip())


def parse_odometer(reply: Reply) -> int | None:
    """Read the answer to ODOMETER; None when the printer has none (`?`). Raises ProtocolError."""
    if reply.body == b"?":
        return None
    if reply.kind is ReplyKind.QUOTED and re.fullmatch(rb"[0-9]{1,10}", reply.body):
        return int(reply.body)
    raise ProtocolError(f"odometer: {reply.body[:80]!r}")
