"""Line faults, the same for every byte protocol: what a wire does between two honest ends.

Pure: the adapter in `simulators.serve` asks what becomes of each message and does the I/O.
"""

import math
import random
from dataclasses import dataclass

from simulators.base import FaultPlan, Json

WIRE_FAULTS = (
    "silence",  # nothing of what the machine sends arrives
    "deaf",  # nothing of what the host sends arrives
    "cut",  # the link is closed and stays away: while on, or `cut_s` seconds for each time
    "cut_mid_frame",  # half a message arrives, then the link closes
    "noise",  # each bit flips with probability `noise_rate`, in both directions
    "burst",  # a run of 2 to 8 bytes of the message is random
    "stuck",  # a run of 2 to 8 bytes of the message is one and the same byte
    "drop",  # each byte is lost with probability `drop_rate`, in both directions
    "drop_last_byte",
    "flip_bit",  # one bit of the message is wrong
    "garbage",  # 1 to 32 random bytes before the message
    "garbage_at_connect",  # the same, uninvited, when a session begins
    "high_bit",  # the eighth bit of every byte is set
    "wrong_baud",  # each side samples the other's bits `baud_ratio` times too slowly, or too fast
    "duplicate",  # every message arrives twice
    "stale",  # the previous message arrives again before the message
    "stale_tail",  # the second half of the previous message arrives before the message
    "previous",  # the previous message arrives instead of the message
    "echo",  # the host hears its own bytes (two-wire RS-485 adapters)
    "half_open",  # nothing passes any more and nobody hangs up; a new TCP connection works
    "slow",  # `slow_s` seconds before every message
    "split",  # one byte at a time
    "split_each",  # in two parts, cut one byte further on with every message
    "join",  # what is sent within JOIN_S arrives at once
)
JOIN_S = 0.5
"""Simulated seconds within which the fault `join` brings messages together."""
BITS_PER_BYTE = 10
"""Start, eight data (or seven and parity) and stop bits of 8N1 and 7E1."""
_RUN = (2, 8)
_GARBAGE_MAX = 32
_RATES = ("noise_rate", "drop_rate")
_TIMES = ("slow_s", "cut_s", "baud", "speed")
_RATIO = (0.1, 10.0)
_SPLIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that leave after `delay_s` simulated seconds; `close` ends the session after them.

    With `joined` they leave together with all that is due until the next multiple of JOIN_S.
    """

    data: bytes
    delay_s: float = 0.0
    close: bool = False
    joined: bool = False


class Wire:
    """A line with its faults, its speed and its own seeded chance.

    `speed` is how many simulated seconds pass in a real one. `baud` 0 means a line without byte
    time (TCP); a pty has none of its own, so it is modelled here. With `parity` the line is 7E1 and
    its receivers check it: a byte with an odd number of wrong bits arrives as NUL, which is what a
    POSIX terminal delivers for it (termios: INPCK set, IGNPAR and PARMRK clear).
    """

    def __init__(
        self, *, seed: int = 0, speed: float = 1.0, baud: int = 0, parity: bool = False
    ) -> None:
        self._random = random.Random(seed)
        self._parity = parity
        self._faults = FaultPlan(WIRE_FAULTS)
        self._numbers: dict[str, float] = {
            "noise_rate": 1e-3,
            "drop_rate": 0.02,
            "slow_s": 1.0,
            "cut_s": 0.2,
            "baud": float(baud),
            "speed": speed,
            "baud_ratio": 2.0,
        }
        self._last = b""
        self._cut_at = 0

    @property
    def faults(self) -> FaultPlan:
        """The line faults that can be switched."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """The names that `set` takes."""
        return (*_RATES, *_TIMES, "baud_ratio")

    def set(self, name: str, value: str) -> None:
        """Change a rate (0 to 1), a time in seconds, the baud rate, its ratio or the speed."""
        if name not in self._numbers:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        number = float(value)
        if not math.isfinite(number) or number < 0 or (name in _RATES and number > 1):
            raise ValueError(f"setting {name!r}: {value!r} is out of range")
        if name == "speed" and number == 0:
            raise ValueError("setting 'speed': must be above 0")
        if name == "baud_ratio" and not _RATIO[0] <= number <= _RATIO[1]:
            raise ValueError(f"setting 'baud_ratio': {value!r} is not in {_RATIO}")
        self._numbers[name] = number

    def state(self) -> dict[str, Json]:
        """Settings and the faults that are on."""
        return {**self._numbers, "faults": self._faults.state()}

    @property
    def speed(self) -> float:
        """Simulated seconds in a real second."""
        return self._numbers["speed"]

    @property
    def cut_s(self) -> float:
        """Real seconds that one counted cut lasts."""
        return self._numbers["cut_s"]

    def byte_time_s(self, count: int) -> float:
        """Simulated seconds that `count` bytes need on the line."""
        baud = self._numbers["baud"]
        return count * BITS_PER_BYTE / baud if baud else 0.0

    def greeting(self) -> bytes:
        """Return what the host hears at the beginning of a session without having asked."""
        return self._noise() if self._faults.take("garbage_at_connect") else b""

    def to_host(self, data: bytes, delay_s: float = 0.0) -> list[Piece]:
        """Return what arrives at the host of one message that the machine sends."""
        faults = self._faults
        if not data or faults.take("silence"):
            return []
        out = b"".join(self._corrupt(message) for message in self._messages(data))
        if faults.take("drop_last_byte"):
            out = out[:-1]
        if faults.take("garbage"):
            out = self._noise() + out
        if faults.take("slow"):
            delay_s += self._numbers["slow_s"]
        if faults.take("cut_mid_frame"):
            half = out[: len(out) // 2]
            return [Piece(half, delay_s + self.byte_time_s(len(half)), close=True)]
        return self._pieces(out, delay_s)

    def to_machine(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what arrives at the machine of the host's bytes, and what echoes to the host."""
        echo = data if self._faults.take("echo") else b""
        if self._faults.take("deaf"):
            return b"", echo
        data = self._weather(data)
        if self._faults.take("wrong_baud"):
            data = _sampled(data, 1 / self._numbers["baud_ratio"], parity=self._parity)
        return data, echo

    def _messages(self, data: bytes) -> list[bytes]:
        """Return which messages arrive when `data` is sent."""
        faults = self._faults
        last, self._last = self._last, data
        if faults.take("previous"):
            return [last]
        messages = [data]
        if faults.take("stale") and last:
            messages.insert(0, last)
        if faults.take("stale_tail") and last:
            messages.insert(0, last[len(last) // 2 :])
        if faults.take("duplicate"):
            messages.append(data)
        return messages

    def _pieces(self, out: bytes, delay_s: float) -> list[Piece]:
        """Return the bytes as they are cut on the way."""
        joined = self._faults.take("join")
        if self._faults.take("split_each") and len(out) > 1:
            self._cut_at = self._cut_at % (len(out) - 1) + 1
            head, tail = out[: self._cut_at], out[self._cut_at :]
            return [
                Piece(head, delay_s + self.byte_time_s(len(head)), joined=joined),
                Piece(tail, _SPLIT_S + self.byte_time_s(len(tail)), joined=joined),
            ]
        step = 1 if self._faults.take("split") else max(1, len(out))
        pieces = [out[at : at + step] for at in range(0, len(out), step)]
        return [
            Piece(piece, self.byte_time_s(len(piece)) + (0.0 if at else delay_s), joined=joined)
            for at, piece in enumerate(pieces)
        ]

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randint(1, _GARBAGE_MAX))

    def _corrupt(self, data: bytes) -> bytes:
        data = self._weather(data)
        if self._faults.take("flip_bit") and data:
            at, mask = self._random.randrange(len(data)), 1 << self._random.randrange(8)
            wrong = 0 if self._parity else data[at] ^ mask
            data = data[:at] + bytes([wrong]) + data[at + 1 :]
        if self._faults.take("burst"):
            data = self._overwrite(data, None)
        if self._faults.take("stuck"):
            data = self._overwrite(data, self._random.randrange(256))
        if self._faults.take("high_bit"):
            data = bytes(byte | 0x80 for byte in data)
        if self._faults.take("wrong_baud"):
            data = _sampled(data, self._numbers["baud_ratio"], parity=self._parity)
        return data

    def _weather(self, data: bytes) -> bytes:
        """Flip bits and lose bytes, where those faults are on."""
        if self._faults.take("noise"):
            rate = self._numbers["noise_rate"]
            data = bytes(self._flip(byte, rate) for byte in data)
        if self._faults.take("drop"):
            rate = self._numbers["drop_rate"]
            data = bytes(byte for byte in data if self._random.random() >= rate)
        return data

    def _flip(self, byte: int, rate: float) -> int:
        flips = sum(1 << bit for bit in range(8) if self._random.random() < rate)
        if not self._parity:
            return byte ^ flips
        if flips.bit_count() % 2:  # the eighth bit on this line is the parity bit
            return 0
        return byte ^ (flips & 0x7F)

    def _overwrite(self, data: bytes, byte: int | None) -> bytes:
        length = self._random.randint(*_RUN)
        start = self._random.randrange(max(1, len(data)))
        run = self._random.randbytes(length) if byte is None else bytes([byte]) * length
        return (data[:start] + run + data[start + length :])[: len(data)]


def _sampled(data: bytes, ratio: float, *, parity: bool) -> bytes:
    """Return what a receiver reads whose bits last `ratio` times as long as the sender's.

    Frames have ten bits: start, eight data (or seven and even parity) and stop. A frame whose stop
    bit or parity is wrong is read as NUL, as POSIX terminals do without PARMRK.
    """
    line: list[int] = []
    for byte in data:
        bits = [byte >> at & 1 for at in range(8)]
        if parity:
            bits[7] = sum(bits[:7]) % 2
        line += [0, *bits, 1]
    line += [1] * math.ceil(BITS_PER_BYTE * ratio)
    out = bytearray()
    now = 0.0
    while now + (BITS_PER_BYTE - 0.5) * ratio < len(line):
        if line[int(now)]:  # idle: wait for a start bit
            now = math.floor(now) + 1.0
            continue
        *bits, stop = (line[int(now + (at + 0.5) * ratio)] for at in range(1, BITS_PER_BYTE))
        good = stop == 1 and not (parity and sum(bits) % 2)
        value = sum(bit << at for at, bit in enumerate(bits[:7] if parity else bits))
        out.append(value if good else 0)
        now += (BITS_PER_BYTE - 0.5) * ratio
    return bytes(out)
