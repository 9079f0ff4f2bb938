"""Lock boards on RS-485: frames of three dialects <-> frozen dataclasses. Pure.

Locks are numbered from 1. A lock is told by its hook: closed means that the drawer is shut.

Source: public open-source drivers that agree with each other (KR-CU16 and CU12: one Python and
three TypeScript drivers; CU48: one TypeScript driver; Winnsen: one Kotlin driver), as of 2026; the
makers' own manuals were not read. Not verified on hardware. What the infrared bits of the KR-CU16
mean is not known, so they are not used; nor are the commands that open all locks or change a board.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from drivers.errors import ProtocolError

STX = 0x02
ETX = 0x03
HEARD_MAX = 64
"""Bytes that may follow one request; the longest answer with its echo has 18."""


class Hook(StrEnum):
    """What a board says of a lock. A Winnsen board tells a lock that cools down, and no more."""

    OPEN = "open"
    CLOSED = "closed"
    COOLING = "cooling"


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Asks how locks are: one lock, or 0 for the whole board, as the dialect has it."""

    board: int
    lock: int = 0


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Fires the solenoid of one lock."""

    board: int
    lock: int


Request = StatusRequest | OpenRequest


@dataclass(frozen=True, slots=True)
class Status:
    """How locks are; of the whole board (`lock` 0, from lock 1 on) or of one lock."""

    board: int
    lock: int
    hooks: tuple[Hook, ...]


@dataclass(frozen=True, slots=True)
class OpenReply:
    """A board's word on a command to open, which proves nothing: `taken`, `refused`, `cooling`."""

    board: int
    lock: int
    word: str


Reply = Status | OpenReply


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one family of boards speaks.

    `boards` and `locks` are the highest numbers. `checked` tells whether frames carry a checksum.
    Sizes are in bytes; `open_size` 0 means that nothing is told of a command to open.
    """

    name: str
    boards: int
    locks: int
    whole_board: bool
    checked: bool
    request_size: int
    status_size: int
    open_size: int
    encode_request: Callable[[Request], bytes]
    decode_request: Callable[[bytes], Request]
    encode_reply: Callable[[Reply], bytes]
    decode_reply: Callable[[bytes], Reply]


# ---------------------------------------------------------------- shared


def _summed(body: bytes) -> bytes:
    return body + bytes([sum(body) & 0xFF])


def _checked(frame: bytes, size: int) -> list[int]:
    """Return the bytes of a frame without its checksum; raises ProtocolError."""
    if len(frame) != size or frame[0] != STX:
        raise ProtocolError(f"not a frame of {size} bytes: {frame.hex(' ')}")
    if sum(frame[:-1]) & 0xFF != frame[-1]:
        raise ProtocolError(f"the checksum is wrong: {frame.hex(' ')}")
    return list(frame[:-1])


def _unknown(frame: bytes) -> ProtocolError:
    return ProtocolError(f"a frame that is not known: {frame.hex(' ')}")


def _hooks(data: bytes) -> tuple[Hook, ...]:
    """Read bits, lowest first: 1 is a closed hook."""
    bits = [byte >> bit & 1 for byte in data for bit in range(8)]
    return tuple(Hook.CLOSED if bit else Hook.OPEN for bit in bits)


def _bits(hooks: tuple[Hook, ...]) -> bytes:
    number = sum(1 << at for at, hook in enumerate(hooks) if hook is Hook.CLOSED)
    return number.to_bytes(len(hooks) // 8, "little")


# ---------------------------------------------------------------- KERONG KR-CU16

_CU16_STATUS = 0x30
_CU16_OPEN = 0x31
_CU16_ANSWER = 0x35
_CU16_LOCKS = 16


def _cu16_encode_request(request: Request) -> bytes:
    address = request.board << 4
    if isinstance(request, StatusRequest):
        return _summed(bytes([STX, address, _CU16_STATUS, ETX]))
    return _summed(bytes([STX, address | request.lock - 1, _CU16_OPEN, ETX]))


def _cu16_decode_request(frame: bytes) -> Request:
    match _checked(frame, 5):
        case [_, address, 0x30, 0x03] if address & 0x0F == 0:
            return StatusRequest(address >> 4)
        case [_, address, 0x31, 0x03]:
            return OpenRequest(address >> 4, (address & 0x0F) + 1)
        case _:
            raise _unknown(frame)


def _cu16_encode_reply(reply: Reply) -> bytes:
    if not isinstance(reply, Status):
        raise _unknown(repr(reply).encode())
    head = bytes([STX, reply.board << 4, _CU16_ANSWER])
    return _summed(head + _bits(reply.hooks) + bytes([0, 0, ETX]))


def _cu16_decode_reply(frame: bytes) -> Reply:
    match _checked(frame, 9):
        case [_, address, 0x35, low, high, _, _, 0x03] if address & 0x0F == 0:
            return Status(address >> 4, 0, _hooks(bytes([low, high])))
        case _:
            raise _unknown(frame)


# ---------------------------------------------------------------- KERONG CU48

_CU48_STATUS = 0x60
_CU48_OPEN = 0x61
_CU48_DONE = 0x75
_CU48_BYTES = 6


def _cu48_encode_request(request: Request) -> bytes:
    if isinstance(request, StatusRequest):
        return _summed(bytes([STX, request.board, 0, _CU48_STATUS, ETX]))
    return _summed(bytes([STX, request.board, request.lock - 1, _CU48_OPEN, ETX]))


def _cu48_decode_request(frame: bytes) -> Request:
    match _checked(frame, 6):
        case [_, board, 0, 0x60, 0x03]:
            return StatusRequest(board)
        case [_, board, lock, 0x61, 0x03] if lock < 8 * _CU48_BYTES:
            return OpenRequest(board, lock + 1)
        case _:
            raise _unknown(frame)


def _cu48_encode_reply(reply: Reply) -> bytes:
    if isinstance(reply, Status):
        head = bytes([STX, reply.board, 0, _CU48_DONE, _CU48_BYTES])
        return _summed(head + _bits(reply.hooks))
    code = _CU48_DONE if reply.word == "taken" else 0
    return _summed(bytes([STX, reply.board, reply.lock - 1, code, 0]))


def _cu48_decode_reply(frame: bytes) -> Reply:
    body = _checked(frame, len(frame) if len(frame) in (6, 12) else 12)
    match body:
        case [_, board, 0, 0x75, 6, _, _, _, _, _, _]:
            return Status(board, 0, _hooks(bytes(body[5:])))
        case [_, board, lock, 0x75, 0] if lock < 8 * _CU48_BYTES:
            return OpenReply(board, lock + 1, "taken")
        case [_, board, lock, 0x00, 0] if lock < 8 * _CU48_BYTES:
            return OpenReply(board, lock + 1, "refused")
        case _:
            raise _unknown(frame)


# ---------------------------------------------------------------- Winnsen

_WINNSEN = 0x90
_WINNSEN_STATES = {0: Hook.CLOSED, 1: Hook.OPEN, 2: Hook.COOLING}
_WINNSEN_CODES = {hook: code for code, hook in _WINNSEN_STATES.items()}
_WINNSEN_WORDS = {0: "refused", 1: "taken", 2: "cooling"}
_WINNSEN_OPEN_CODES = {word: code for code, word in _WINNSEN_WORDS.items()}


def _winnsen_encode_request(request: Request) -> bytes:
    function = 0x12 if isinstance(request, StatusRequest) else 0x05
    return bytes([_WINNSEN, 6, function, request.board, request.lock, ETX])


def _winnsen_decode_request(frame: bytes) -> Request:
    match list(frame):
        case [0x90, 6, 0x12, board, lock, 0x03]:
            return StatusRequest(board, lock)
        case [0x90, 6, 0x05, board, lock, 0x03]:
            return OpenRequest(board, lock)
        case _:
            raise _unknown(frame)


def _winnsen_encode_reply(reply: Reply) -> bytes:
    match reply:
        case Status(board, lock, (hook,)):
            return bytes([_WINNSEN, 7, 0x92, board, _WINNSEN_CODES[hook], lock, ETX])
        case OpenReply(board, lock, word):
            return bytes([_WINNSEN, 7, 0x85, board, lock, _WINNSEN_OPEN_CODES[word], ETX])
        case _:
            raise _unknown(repr(reply).encode())


def _winnsen_decode_reply(frame: bytes) -> Reply:
    match list(frame):
        case [0x90, 7, 0x92, board, (0 | 1 | 2) as code, lock, 0x03]:
            return Status(board, lock, (_WINNSEN_STATES[code],))
        case [0x90, 7, 0x85, board, lock, (0 | 1 | 2) as code, 0x03]:
            return OpenReply(board, lock, _WINNSEN_WORDS[code])
        case _:
            raise _unknown(frame)


# ---------------------------------------------------------------- the table

DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="kr-cu16",
            boards=14,  # high nibble of the address; 15 means all boards
            locks=_CU16_LOCKS,
            whole_board=True,
            checked=True,
            request_size=5,
            status_size=9,
            open_size=0,
            encode_request=_cu16_encode_request,
            decode_request=_cu16_decode_request,
            encode_reply=_cu16_encode_reply,
            decode_reply=_cu16_decode_reply,
        ),
        Dialect(
            name="cu48",
            boards=255,
            locks=8 * _CU48_BYTES,
            whole_board=True,
            checked=True,
            request_size=6,
            status_size=12,
            open_size=6,
            encode_request=_cu48_encode_request,
            decode_request=_cu48_decode_request,
            encode_reply=_cu48_encode_reply,
            decode_reply=_cu48_decode_reply,
        ),
        Dialect(
            name="winnsen",
            boards=255,
            locks=24,
            whole_board=False,
            checked=False,
            request_size=6,
            status_size=7,
            open_size=7,
            encode_request=_winnsen_encode_request,
            decode_request=_winnsen_decode_request,
            encode_reply=_winnsen_encode_reply,
            decode_reply=_winnsen_decode_reply,
        ),
    )
}


# ---------------------------------------------------------------- streams


class Listening:
    """What a host hears after one request: its own echo or not, then the answer, perhaps twice."""

    def __init__(self, dialect: Dialect, request: Request) -> None:
        self._dialect = dialect
        self._request = request
        self._sent = dialect.encode_request(request)
        status = isinstance(request, StatusRequest)
        self._size = dialect.status_size if status else dialect.open_size
        self._kind: type[Reply] = Status if status else OpenReply
        self._heard = b""

    @property
    def frame(self) -> bytes:
        """The frame of the answer, or what there is of it."""
        return self._heard.removeprefix(self._sent)[: self._size]

    def feed(self, data: bytes) -> Reply | None:
        """Return the answer once it is whole, else None.

        Raises ProtocolError for anything else than one answer to this request.
        """
        self._heard += data
        if len(self._heard) > HEARD_MAX:
            raise ProtocolError(f"more than {HEARD_MAX} bytes after one request")
        behind = self._heard.removeprefix(self._sent)[self._size :]
        frame = self.frame
        if len(frame) < self._size:
            return None
        reply = self._dialect.decode_reply(frame)
        asked = self._request
        if not isinstance(reply, self._kind) or (reply.board, reply.lock) != (
            asked.board,
            asked.lock,
        ):
            raise ProtocolError(f"asked {asked}, heard {reply}")
        if behind != (frame * HEARD_MAX)[: len(behind)]:
            raise ProtocolError(f"more than one answer: {self._heard.hex(' ')}")
        return reply


class RequestSplitter:
    """Finds requests in what a board hears; drops what is none, holds less than one request."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests completed by `data`."""
        self._buffer += data
        size = self._dialect.request_size
        found: list[Request] = []
        while len(self._buffer) >= size:
            try:
                found.append(self._dialect.decode_request(self._buffer[:size]))
            except ProtocolError:
                self._buffer = self._buffer[1:]
            else:
                self._buffer = self._buffer[size:]
        return found
