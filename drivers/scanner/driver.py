"""Barcode scanners that send lines of text: serial, over TCP, or through a text wedge.

A scanner says nothing until somebody scans, so a silent one cannot be told from a dead one; only
the loss of its link is seen. Every code goes to the sink before anyone is told of it.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from drivers.base import (
    DeviceSpec,
    Identity,
    RawMessage,
    Sink,
)
from drivers.choices import Given, read
from drivers.choices import Rules as OptionRules
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    ProtocolError,
)
from drivers.facts import CodeScanned
from drivers.framing import LineSplitter
from drivers.scanner.codec import SCAN_MAX, Rules, encode_scan, read_line
from drivers.scanner.device import TextDevice
from drivers.transport import LinkLost, transport_for

WAITING_MAX = 16
"""Calls of `scan` that may wait at once."""
GARBAGE_MAX = 1024
AGREE_WINDOW_S = 10.0
"""How long a code waits for its repetition where several reads must agree."""
_RANGES: dict[str, tuple[float, float]] = {
    "duplicate_window_s": (0, 60),
    "line_gap_s": (0.05, 10),
    "agreeing_reads": (1, 3),
}
_AFFIX_MAX = 8


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one scanner.

    `suffix` is `line` (CR, LF or both) or `tab`. `aim` is `required` or `optional`. `separator` is
    how FNC1 is written where it is not GS. `fnc1` is `unsure`, or `kept` once the scanner was seen
    to send it: then a code with a symbology identifier is never taken for ambiguous. The same code
    within `duplicate_window_s` counts once. `line_gap_s` is the longest pause inside a code.
    """

    prefix: str = ""
    suffix: str = "line"
    separator: str = ""
    aim: str = "required"
    fnc1: str = "unsure"
    duplicate_window_s: float = 0.5
    line_gap_s: float = 0.5
    agreeing_reads: int = 1


def parse_options(options: Given) -> Options:
    """Return the options checked; raises ValueError naming every bad key."""
    words: dict[str, tuple[str, ...]] = {
        "suffix": ("line", "tab"),
        "aim": ("required", "optional"),
        "fnc1": ("unsure", "kept"),
    }

    def one_of(key: str, text: str) -> str:
        return "" if text in words[key] else f"{key} must be one of {words[key]}, not {text!r}"

    def affix(key: str, text: str) -> str:
        fits = len(text) <= _AFFIX_MAX and text.isascii() and not set(text) & {"\r", "\n"}
        return "" if fits else f"{key} must be up to {_AFFIX_MAX} ASCII letters, not {text!r}"

    texts = {
        "suffix": lambda text: one_of("suffix", text),
        "aim": lambda text: one_of("aim", text),
        "fnc1": lambda text: one_of("fnc1", text),
        "prefix": lambda text: affix("prefix", text),
        "separator": lambda text: affix("separator", text),
    }
    return read(Options, options, OptionRules(_RANGES, texts))


class _Source(Protocol):
    """Where the bytes come from."""

    async def open(self) -> None: ...

    async def read(self) -> bytes: ...

    async def close(self) -> None: ...


def _source(address: str) -> _Source:
    parts = urlsplit(address)
    if parts.scheme != "wedge":
        return transport_for(address)
    if parts.netloc or parts.query or not parts.path.startswith("/"):
        raise ValueError(f"address {address!r}: wedge:/path/of/fifo expected")
    return TextDevice(parts.path)


class ScannerDriver:
    """A barcode scanner."""

    def __init__(self, spec: DeviceSpec, sink: Sink) -> None:
        self._name = spec.name
        options = self._options = parse_options(spec.options)
        self._source = _source(spec.address)
        self._rules = Rules(
            prefix=options.prefix,
            separator=options.separator,
            aim_required=options.aim == "required",
            separators_kept=options.fnc1 == "kept",
        )
        self._sink = sink
        self._splitter = LineSplitter(SCAN_MAX)
        self._waiting: list[asyncio.Future[CodeScanned]] = []
        self._last: tuple[CodeScanned, float] | None = None
        self._candidate: tuple[CodeScanned, int, float] | None = None
        self._lost: str | None = "not connected"
        self._session = ""
        self._count = 0

    # ------------------------------------------------------------ life

    async def connect(self) -> Identity:
        """Open the line. A scanner does not say who it is."""
        await self._source.open()
        self._splitter.reset()
        self._candidate = None
        self._session = secrets.token_hex(8)
        self._count = 0
        self._lost = None
        return Identity(link="open")

    async def watch(self) -> None:
        """Read codes for ever; raises LinkLost when the line ends."""
        while True:
            try:
                data = await self._read()
            except LinkLost as error:
                self._lose(str(error))
                raise
            if self._options.suffix == "tab":
                data = data.replace(b"\t", b"\r")
            for line in await self._split(data):
                await self._take(line)

    async def close(self) -> None:
        """Release the line; whoever waits for a code fails."""
        self._lose("closed")
        await self._source.close()

    # ------------------------------------------------------------ capability

    async def scan(self, *, timeout_s: float) -> CodeScanned:
        """Return the next code that is read after this call, while `watch` runs.

        Raises DeviceTimeout when none was, DeviceUnavailable when the line is lost, DeviceRefused
        when too many calls wait.
        """
        if self._lost is not None:
            raise DeviceUnavailable(f"{self._name}: {self._lost}")
        if len(self._waiting) >= WAITING_MAX:
            raise DeviceRefused(f"{self._name}: {WAITING_MAX} calls wait already", reason="busy")
        code: asyncio.Future[CodeScanned] = asyncio.get_running_loop().create_future()
        self._waiting.append(code)
        try:
            async with asyncio.timeout(timeout_s):
                return await code
        except TimeoutError as error:
            raise DeviceTimeout(f"{self._name}: no code within {timeout_s} s") from error
        finally:
            if code in self._waiting:
                self._waiting.remove(code)

    # ------------------------------------------------------------ lines

    async def _read(self) -> bytes:
        """Return what comes; a code that stops in the middle is garbage."""
        while self._splitter.pending:
            try:
                async with asyncio.timeout(self._options.line_gap_s):
                    return await self._source.read()
            except TimeoutError:
                for rest in self._splitter.feed(b"\r"):
                    await self._report(rest)
        return await self._source.read()

    async def _split(self, data: bytes) -> list[bytes]:
        try:
            return self._splitter.feed(data)
        except ProtocolError:
            await self._report(data)
            return self._splitter.feed(b"")

    async def _take(self, line: bytes) -> None:
        try:
            code = read_line(line, self._rules)
        except ProtocolError:
            await self._report(line)
            self._candidate = None
            return
        if not self._agreed(code) or self._repeated(code):
            return
        self._count += 1
        key = f"scan:{self._session}:{self._count}"
        await self._sink(RawMessage(key, "scan", encode_scan(code)))
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(code)

    def _agreed(self, code: CodeScanned) -> bool:
        """Whether the code was read as often in a row as is asked for."""
        now = asyncio.get_running_loop().time()
        reads = 1
        if self._candidate is not None:
            candidate, before, since = self._candidate
            if candidate == code and now - since <= AGREE_WINDOW_S:
                reads = before + 1
        if reads >= self._options.agreeing_reads:
            self._candidate = None
            return True
        self._candidate = (code, reads, now)
        return False

    def _repeated(self, code: CodeScanned) -> bool:
        """Whether this is the last code again, within the window since it was seen."""
        now = asyncio.get_running_loop().time()
        last, self._last = self._last, (code, now)
        if last is None or last[0] != code:
            return False
        return now - last[1] < self._options.duplicate_window_s

    async def _report(self, noise: bytes) -> None:
        self._count += 1
        key = f"garbage:{self._session}:{self._count}"
        await self._sink(RawMessage(key, "garbage", noise[:GARBAGE_MAX]))

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_exception(DeviceUnavailable(f"{self._name}: {self._lost}"))
