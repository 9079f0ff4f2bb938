"""Modbus requests and answers as bytes, on TCP (MBAP) and on a serial line (RTU with CRC).

Source: MODBUS Application Protocol Specification V1.1b3 (2012): functions 3, 4, 6 and 16 and the
exception codes; MODBUS Messaging on TCP/IP Implementation Guide V1.0b (2006): the MBAP header;
MODBUS over Serial Line V1.02 (2006): the RTU frame, its CRC and its silences. Tested against
independent implementations; not verified on a scale.

An answer of RTU carries neither a number nor the address that was read. A late answer is therefore
told from the awaited one by its length only, which is why whoever reads the same registers again
asks for another number of them each time (see `drivers.modbus.link`).
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from drivers.errors import ProtocolError

READ_HOLDING = 3
READ_INPUT = 4
WRITE_ONE = 6
WRITE_MANY = 16
READS = (READ_HOLDING, READ_INPUT)
READ_MAX = 125
"""Registers of one read. Source: V1.1b3, 6.3."""
WRITE_MAX = 123
"""Registers of one write. Source: V1.1b3, 6.12."""
FRAME_MAX = 260
"""Bytes of the longest frame: MBAP header and PDU. Source: V1.1b3, 4.1."""
UNIT_MAX = 255
_REFUSED = 0x80
_MBAP = 7
_WORD = 0xFFFF
_CRC_SEED = 0xFFFF
_CRC_POLYNOMIAL = 0xA001
_WRITE_ANSWER = 5
_SINGLE = 5
_MANY_HEAD = 6


class Framing(StrEnum):
    """How a PDU travels."""

    TCP = "tcp"
    RTU = "rtu"


class Code(IntEnum):
    """Exception codes. Source: V1.1b3, chapter 7."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    SERVER_FAILURE = 4
    ACKNOWLEDGE = 5
    BUSY = 6
    PARITY = 8
    NO_PATH = 10
    NO_TARGET = 11


@dataclass(frozen=True, slots=True)
class Read:
    """Read `count` registers from `address` (0-based, as on the wire)."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write `values` from `address`; function 6 takes exactly one of them."""

    function: int
    address: int
    values: tuple[int, ...]


Request = Read | Write


@dataclass(frozen=True, slots=True)
class Registers:
    """What was read."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The registers arrived; says nothing of what the device did with them."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception; `code` may be one that the specification does not know."""

    code: int


Answer = Registers | Written | Refused


def crc16(data: bytes) -> bytes:
    """Return the CRC of a serial frame, low byte first. Source: serial line V1.02, 6.2.2."""
    crc = _CRC_SEED
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ _CRC_POLYNOMIAL if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


def words(values: tuple[int, ...]) -> bytes:
    """Return registers as they travel: high byte first."""
    return b"".join(value.to_bytes(2, "big") for value in values)


def registers(data: bytes) -> tuple[int, ...]:
    """Return the registers in an even number of bytes."""
    return tuple(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


# ---------------------------------------------------------------- requests


def encode_request(request: Request) -> bytes:
    """Return the PDU of a request; raises ValueError on a number that does not fit."""
    if isinstance(request, Read):
        _check(request.function in READS, "function", request.function)
        _check(1 <= request.count <= READ_MAX, "number of registers", request.count)
        _check_span(request.address, request.count)
        return bytes([request.function]) + words((request.address, request.count))
    count = len(request.values)
    most = {WRITE_ONE: 1, WRITE_MANY: WRITE_MAX}.get(request.function, 0)
    _check(1 <= count <= most, "number of values", count)
    _check_span(request.address, count)
    head = bytes([request.function]) + words((request.address,))
    if request.function == WRITE_ONE:
        return head + words(request.values)
    return head + words((count,)) + bytes([2 * count]) + words(request.values)


def _check_span(address: int, count: int) -> None:
    _check(0 <= address <= _WORD + 1 - count, "address", address)


def _check(condition: bool, what: str, value: int) -> None:  # noqa: FBT001 - the condition itself
    if not condition:
        raise ValueError(f"{what} {value} is out of range")


def decode_request(pdu: bytes) -> Request:
    """Return the request of a PDU; raises ProtocolError."""
    numbers = registers(pdu[1:_SINGLE])
    function = pdu[0] if pdu else 0
    if function in (*READS, WRITE_ONE) and len(pdu) == _SINGLE:
        request: Request = (
            Write(WRITE_ONE, numbers[0], (numbers[1],))
            if function == WRITE_ONE
            else Read(function, *numbers)
        )
    elif function == WRITE_MANY and len(pdu) > _MANY_HEAD:
        values = pdu[_MANY_HEAD:]
        if not len(values) == pdu[_SINGLE] == 2 * numbers[1]:
            raise ProtocolError(f"{len(values)} bytes of values, {numbers[1]} registers announced")
        request = Write(WRITE_MANY, numbers[0], registers(values))
    else:
        raise ProtocolError(f"not a request: {pdu[:16].hex(' ')}")
    try:
        encode_request(request)
    except ValueError as error:
        raise ProtocolError(str(error)) from error
    return request


# ---------------------------------------------------------------- answers


def encode_answer(request: Request, answer: Answer) -> bytes:
    """Return the PDU that answers a request."""
    match answer:
        case Registers(values):
            return bytes([request.function, 2 * len(values)]) + words(values)
        case Refused(code):
            return bytes([request.function | _REFUSED, code])
        case _:
            return encode_request(request)[:_WRITE_ANSWER]


def decode_answer(request: Request, pdu: bytes) -> Answer:
    """Return what a PDU says to a request; raises ProtocolError when it does not answer it."""
    if len(pdu) == 2 and pdu[0] == request.function | _REFUSED:  # noqa: PLR2004 - function, code
        return Refused(pdu[1])
    if isinstance(request, Read):
        length = 2 * request.count
        if len(pdu) == 2 + length and pdu[0] == request.function and pdu[1] == length:
            return Registers(registers(pdu[2:]))
    elif pdu == encode_request(request)[:_WRITE_ANSWER]:
        return Written()
    raise ProtocolError(f"function {request.function} was asked, not this: {pdu[:16].hex(' ')}")


def _answer_lengths(request: Request) -> tuple[int, int]:
    """Return how long the PDU is of an answer, and of a refusal."""
    return (2 + 2 * request.count if isinstance(request, Read) else _WRITE_ANSWER), 2


# ---------------------------------------------------------------- frames


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is around a PDU. `number` is the transaction of TCP and unused on RTU."""

    framing: Framing
    unit: int
    number: int = 0

    def wrap(self, pdu: bytes) -> bytes:
        """Return the frame of a PDU."""
        if self.framing is Framing.RTU:
            frame = bytes([self.unit]) + pdu
            return frame + crc16(frame)
        return words((self.number, 0, len(pdu) + 1)) + bytes([self.unit]) + pdu


class AnswerFinder:
    """Finds the answer to one request in a stream that may hold anything else.

    Skips what is not that answer: noise, answers to other requests, the echo of the request. Keeps
    at most FRAME_MAX bytes. How the stream is cut changes nothing.
    """

    def __init__(self, request: Request, envelope: Envelope) -> None:
        self._request = request
        self._envelope = envelope
        self._lengths = _answer_lengths(request)
        self._buffer = bytearray()
        self._skipped = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held."""
        return len(self._buffer)

    @property
    def skipped(self) -> bytes:
        """What was not part of the answer, the beginning of it; what is still held included."""
        return bytes((self._skipped + self._buffer)[:FRAME_MAX])

    def feed(self, data: bytes) -> Answer | None:
        """Take bytes; return the answer once it is there. What came behind it is left out."""
        for at, byte in enumerate(data):
            self._buffer.append(byte)
            if (answer := self._look()) is not None:
                self._skip(data[at + 1 :])
                return answer
        return None

    def _skip(self, data: bytes | bytearray) -> None:
        self._skipped += data[: FRAME_MAX - len(self._skipped)]

    def _look(self) -> Answer | None:
        """Return the answer that ends with the last byte, if one does."""
        size = len(self._buffer)
        for length in self._lengths:
            overhead = _MBAP if self._envelope.framing is Framing.TCP else 3
            start = size - length - overhead
            if start < 0:
                continue
            frame = bytes(self._buffer[start:])
            pdu = frame[_MBAP:] if self._envelope.framing is Framing.TCP else frame[1:-2]
            if pdu[0] & ~_REFUSED != self._request.function:
                continue  # spares most of the checksums
            if self._envelope.wrap(pdu) != frame:
                continue
            try:
                answer = decode_answer(self._request, pdu)
            except ProtocolError:
                continue
            self._skip(self._buffer[:start])
            self._buffer.clear()
            return answer
        longest = max(self._lengths) + _MBAP
        if size > longest:
            self._skip(self._buffer[: size - longest])
            del self._buffer[: size - longest]
        return None


class RequestSplitter:
    """Finds requests in what a device receives; bounded; damaged frames are dropped.

    On TCP the length of the header parts the stream; a header that cannot be one drops all that is
    held. On RTU a frame is as long as its function says; what its CRC does not confirm is dropped
    byte by byte.
    """

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished request."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forget an unfinished request."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[tuple[Envelope, bytes]]:
        """Return the requests completed by `data`: envelope and PDU."""
        found = []
        for byte in data:
            self._buffer.append(byte)
            frame = self._tcp() if self._framing is Framing.TCP else self._rtu()
            if frame is not None:
                found.append(frame)
        return found

    def _tcp(self) -> tuple[Envelope, bytes] | None:
        head = bytes(self._buffer[:_MBAP])
        if len(head) < _MBAP:
            return None
        number, protocol, length = registers(head[:6])
        if protocol or not 2 <= length <= FRAME_MAX - 6:  # noqa: PLR2004 - unit and function
            self.reset()
            return None
        if len(self._buffer) < 6 + length:
            return None
        pdu = bytes(self._buffer[_MBAP:])
        self.reset()
        return Envelope(Framing.TCP, head[6], number), pdu

    def _rtu(self) -> tuple[Envelope, bytes] | None:
        """Return the request at the beginning, once it is whole; what cannot be one is dropped.

        Only the beginning counts: the values of a write may look like a request themselves.
        """
        while len(self._buffer) > 1:
            length = _request_length(bytes(self._buffer))
            if length > len(self._buffer):
                return None
            frame = bytes(self._buffer[:length])
            if length and crc16(frame[:-2]) == frame[-2:]:
                del self._buffer[:length]
                return Envelope(Framing.RTU, frame[0]), frame[1:-2]
            del self._buffer[0]
        return None


def _request_length(frame: bytes) -> int:
    """Return how long a serial request that begins so is; 0 where no request does."""
    if 1 <= frame[1] <= WRITE_ONE:
        return 8
    size = frame[_MANY_HEAD] if len(frame) > _MANY_HEAD else 0
    return 9 + size if frame[1] == WRITE_MANY and size <= 2 * WRITE_MAX else 0
