"""Damages frames without end and looks what a codec makes of them.

A codec may refuse a damaged frame with ProtocolError and with nothing else. What it accepts is put
through the rule by which its driver books: so many equal readings in a row. A value that passes the
rule and is not the true one is a wrong value, and there may be none.
"""

import random
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from drivers.errors import ProtocolError

SHARE = 0.25
"""Part of the frames that arrive damaged: far more than on any line that can be used."""
READS = 16
"""Frames of one true value."""
EXAMPLES_MAX = 5
RUN = (2, 8)
"""Bytes of a burst."""
_ANYTHING = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors that a codec must not raise. What is not among them ends the run, too."""


class Rule(Enum):
    """How many equal readings in a row make a value, and what can happen to a frame."""

    LINE = 3
    """A line without checksum and without parity."""
    PARITY = 2
    """A line without checksum, with parity: a byte with an odd number of wrong bits is NUL."""
    CHECKED = 1
    """A line with a checksum."""
    WHOLE = 0
    """A carrier that is checked (TCP): frames can be cut short, not altered. Altered ones must
    raise nothing but ProtocolError, whatever value they give."""
    UNBOOKED = -1
    """Nothing of it is booked: altered frames must raise nothing but ProtocolError."""


@dataclass(frozen=True, slots=True)
class Row:
    """One codec under test.

    `make` returns a valid frame and the value in it. `read` returns the value in a frame, or None
    when it holds none; values are compared by their `repr`. `need` overrides the readings of the
    rule where a driver asks for more.
    """

    make: Callable[[random.Random], tuple[bytes, object]]
    read: Callable[[bytes], object | None]
    rule: Rule
    need: int = 0

    @property
    def readings(self) -> int:
        """Equal readings in a row that make a value."""
        return self.need or max(1, self.rule.value)


@dataclass(slots=True)
class Result:
    """What came of one row. `single_wrong` is what would be wrong if one reading were enough."""

    name: str
    frames: int = 0
    refused: int = 0
    booked: int = 0
    wrong: int = 0
    single_wrong: int = 0
    errors: int = 0
    seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    def note(self, what: str, data: bytes) -> None:
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(f"{what}: {data[:200].hex(' ')}")


# ---------------------------------------------------------------- damage


def _hit(byte: int, flips: int, *, parity: bool) -> int:
    if parity and flips.bit_count() % 2:
        return 0
    return byte ^ (flips & 0x7F if parity else flips)


def _flip(rng: random.Random, frame: bytearray, parity: bool) -> None:  # noqa: FBT001
    for _ in range(1 if rng.random() < 0.5 else rng.randrange(2, 9)):
        at = rng.randrange(len(frame))
        frame[at] = _hit(frame[at], 1 << rng.randrange(8), parity=parity)


def _burst(rng: random.Random, frame: bytearray, parity: bool) -> None:  # noqa: FBT001
    start = rng.randrange(len(frame))
    for at in range(start, min(len(frame), start + rng.randint(*RUN))):
        frame[at] = _hit(frame[at], rng.randrange(256), parity=parity)


def _replace(rng: random.Random, frame: bytearray, parity: bool) -> None:  # noqa: FBT001
    at = rng.randrange(len(frame))
    frame[at] = _hit(frame[at], rng.randrange(1, 256), parity=parity)


def _stick(rng: random.Random, frame: bytearray, parity: bool) -> None:  # noqa: FBT001
    start, byte = rng.randrange(len(frame)), rng.randrange(256)
    for at in range(start, min(len(frame), start + rng.randint(*RUN))):
        frame[at] = _hit(frame[at], frame[at] ^ byte, parity=parity)


def _lose(rng: random.Random, frame: bytearray, _parity: bool) -> None:  # noqa: FBT001
    at = rng.randrange(len(frame))
    del frame[at : at + rng.randint(1, 3)]


def _insert(rng: random.Random, frame: bytearray, _parity: bool) -> None:  # noqa: FBT001
    at = rng.randrange(len(frame) + 1)
    frame[at:at] = rng.randbytes(rng.randint(1, 3))


def _repeat(rng: random.Random, frame: bytearray, _parity: bool) -> None:  # noqa: FBT001
    start = rng.randrange(len(frame))
    end = start + rng.randint(*RUN)
    frame[end:end] = frame[start:end]


def _high_bits(_rng: random.Random, frame: bytearray, _parity: bool) -> None:  # noqa: FBT001
    frame[:] = bytes(byte | 0x80 for byte in frame)


def _cut(rng: random.Random, frame: bytearray, _parity: bool) -> None:  # noqa: FBT001
    del frame[rng.randrange(len(frame)) :]


DAMAGES = (_flip, _flip, _replace, _burst, _stick, _lose, _insert, _repeat, _high_bits, _cut)


def damaged(rng: random.Random, frame: bytes, *, parity: bool = False) -> tuple[bytes, bool]:
    """Return a frame that differs from the given one, and whether it was only cut short."""
    while True:
        out = bytearray(frame)
        damage = rng.choice(DAMAGES)
        damage(rng, out, parity)
        if out != frame:
            return bytes(out), damage is _cut


# ---------------------------------------------------------------- the run


def fuzz(
    name: str,
    row: Row,
    frames: int,
    *,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _done: None,
) -> Result:
    """Send damaged frames through a codec and its rule until there were `frames` of them."""
    rng = random.Random(f"{name} {seed}")
    result = Result(name)
    started = time.monotonic()
    told = 0
    while result.frames < frames:
        _one_value(row, rng, result)
        if result.frames - told >= frames // 20:
            told = result.frames
            progress(told)
    result.seconds = round(time.monotonic() - started, 3)
    return result


def _one_value(row: Row, rng: random.Random, result: Result) -> None:
    """Read one true value many times, some of them damaged, and book it as its driver would."""
    frame, value = row.make(rng)
    truth = repr(value)
    last, count = "", 0
    for _ in range(READS):
        got: str | None = truth
        if rng.random() < SHARE:
            got = _read(row, rng, frame, truth, result)
        if got is None:
            count = 0
            continue
        count = count + 1 if got == last else 1
        last = got
        if count >= row.readings:
            count = 0
            result.booked += 1
            if got != truth:
                result.wrong += 1
                result.note(f"wrong, {got} for {truth}", frame)


def _read(row: Row, rng: random.Random, frame: bytes, truth: str, result: Result) -> str | None:
    """Read a damaged frame; None when it gives no value, or none that counts."""
    data, cut = damaged(rng, frame, parity=row.rule is Rule.PARITY)
    result.frames += 1
    try:
        value = row.read(data)
    except ProtocolError:
        result.refused += 1
        return None
    except _ANYTHING as error:
        result.errors += 1
        result.note(f"{type(error).__name__}: {error}", data)
        return None
    if value is None:
        return None
    got = repr(value)
    if row.rule is Rule.UNBOOKED or (row.rule is Rule.WHOLE and not cut):
        return None
    result.single_wrong += got != truth
    return got
