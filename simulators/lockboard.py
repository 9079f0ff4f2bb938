"""Lock boards on one RS-485 bus, with the drawers and the people in front of them.

Speaks each dialect of the driver; the setting `dialect` changes it. A command to open fires a
solenoid, which lets the hook go after a moment. Drawers are named BOARD.LOCK, as the driver does.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.lockboard.codec import (
    DIALECTS,
    Dialect,
    Hook,
    OpenReply,
    OpenRequest,
    Reply,
    Request,
    RequestSplitter,
    Status,
    StatusRequest,
)
from simulators.base import FaultPlan, Json, Outgoing

SOLENOID_S = 0.05
"""Simulated seconds from the command until the hook lets go."""
HOT_S = 1.0
"""Pulses of one lock closer together than this heat its coil too much."""
_FAULTS = (
    "solenoid_stuck",  # a command does not open
    "hook_stuck",  # the hook is told as it was when the fault began
    "board_silent",  # the last board of the bus does not answer
    "wrong_address",  # answers name another board
    "bad_checksum",  # the last byte of answers is wrong
    "cooling",  # a Winnsen board says that the lock cools down, and does not open
    "mute_open",  # nothing is answered to a command to open
    "other_lock",  # the solenoid of the next lock fires instead
)


@dataclass(slots=True)
class _Lock:
    is_open: bool = False
    told_open: bool = False
    opens_at: float | None = None
    pulsed_at: float = float("-inf")
    pulses: int = 0
    hot: int = 0


class LockboardModel:
    """Some boards on one line; every host hears every answer."""

    def __init__(
        self, seed: int = 0, *, dialect: str = "kr-cu16", boards: tuple[int, ...] = (0, 1)
    ) -> None:
        self._random = random.Random(seed)
        self._boards = boards
        self._faults = FaultPlan(_FAULTS)
        self._time = 0.0
        self._out: list[Outgoing] = []
        self._hosts: dict[int, RequestSplitter] = {}
        self._dialect: Dialect = DIALECTS[dialect]
        self._locks: dict[tuple[int, int], _Lock] = {}
        self._build()

    def _build(self) -> None:
        locks = range(1, self._dialect.locks + 1)
        self._locks = {(board, lock): _Lock() for board in self._boards for lock in locks}
        self._hosts = {host: RequestSplitter(self._dialect) for host in self._hosts}

    # what the control channel sees

    @property
    def faults(self) -> FaultPlan:
        """See the list above."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """`open` and `shut` are a person at a drawer; `dialect` changes all boards."""
        return ("open", "shut", "dialect")

    def set(self, name: str, value: str) -> None:
        """Pull a drawer open by hand, shut it (`0.3`, or `all`), or change the dialect."""
        if name == "dialect":
            if value not in DIALECTS:
                raise ValueError(f"dialect {value!r} is not one of {', '.join(DIALECTS)}")
            self._dialect = DIALECTS[value]
            self._build()
        elif name in ("open", "shut"):
            for lock in self._named(value):
                lock.is_open = name == "open"
                lock.opens_at = None
        else:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")

    def _named(self, value: str) -> list[_Lock]:
        if value == "all":
            return list(self._locks.values())
        for (board, number), lock in self._locks.items():
            if value == f"{board}.{number}":
                return [lock]
        raise ValueError(f"there is no drawer {value!r}")

    def state(self) -> dict[str, Json]:
        """What is open, how often each lock was fired, and how often too soon after another."""
        locks: Mapping[str, _Lock] = {
            f"{board}.{number}": lock for (board, number), lock in self._locks.items()
        }
        return {
            "dialect": self._dialect.name,
            "open": [name for name, lock in locks.items() if lock.is_open],
            "pulses": {name: lock.pulses for name, lock in locks.items() if lock.pulses},
            "hot": sum(lock.hot for lock in locks.values()),
            "faults": self._faults.state(),
        }

    # for tests

    def is_open(self, name: str) -> bool:
        """Whether a drawer is open in truth."""
        (lock,) = self._named(name)
        return lock.is_open

    def pulses(self, name: str) -> int:
        """How often the solenoid of a lock was fired."""
        (lock,) = self._named(name)
        return lock.pulses

    # time

    def step(self, dt: float) -> None:
        """Let hooks go whose solenoid was fired."""
        self._time += dt
        for lock in self._locks.values():
            if lock.opens_at is not None and self._time >= lock.opens_at:
                lock.opens_at = None
                lock.is_open = True
            if not self._faults.active("hook_stuck"):
                lock.told_open = lock.is_open

    # bytes

    def connected(self, session: int) -> None:
        """A host is on the line."""
        self._hosts[session] = RequestSplitter(self._dialect)

    def disconnected(self, session: int) -> None:
        """A host went away."""
        self._hosts.pop(session, None)

    def received(self, session: int, data: bytes) -> None:
        """Do what requests ask for."""
        for request in self._hosts[session].feed(data):
            if self._hears(request):
                self._obey(request)

    def outgoing(self) -> list[Outgoing]:
        """Return what the boards answered."""
        out, self._out = self._out, []
        return out

    def _hears(self, request: Request) -> bool:
        if request.board not in self._boards:
            return False
        return not (request.board == self._boards[-1] and self._faults.take("board_silent"))

    def _obey(self, request: Request) -> None:
        match request:
            case StatusRequest(board, lock):
                reply = self._status(board, lock)
                if reply is not None:
                    self._answer(reply)
            case OpenRequest(board, lock):
                word = self._fire(board, lock)
                if self._dialect.open_size and not self._faults.take("mute_open"):
                    self._answer(OpenReply(board, lock, word))

    def _status(self, board: int, lock: int) -> Status | None:
        if self._dialect.whole_board:
            numbers = range(1, self._dialect.locks + 1)
            return Status(board, 0, tuple(self._hook(board, each) for each in numbers))
        if (board, lock) not in self._locks:
            return None
        return Status(board, lock, (self._hook(board, lock),))

    def _hook(self, board: int, lock: int) -> Hook:
        if not self._dialect.whole_board and self._faults.active("cooling"):
            return Hook.COOLING
        return Hook.OPEN if self._locks[board, lock].told_open else Hook.CLOSED

    def _fire(self, board: int, number: int) -> str:
        if self._faults.take("other_lock"):
            number = number % self._dialect.locks + 1
        lock = self._locks.get((board, number))
        if lock is None:
            return "refused"
        lock.pulses += 1
        lock.hot += self._time - lock.pulsed_at < HOT_S
        lock.pulsed_at = self._time
        if not self._faults.take("solenoid_stuck"):
            lock.opens_at = self._time + SOLENOID_S
        return "taken"

    def _answer(self, reply: Reply) -> None:
        if self._faults.take("wrong_address"):
            others = [board for board in range(self._dialect.boards) if board != reply.board]
            reply = _from(reply, self._random.choice(others))
        frame = self._dialect.encode_reply(reply)
        if self._faults.take("bad_checksum"):
            frame = frame[:-1] + bytes([frame[-1] ^ 0x01])
        self._out.append(Outgoing(None, frame))


def _from(reply: Reply, board: int) -> Reply:
    """Return the same answer in the name of another board."""
    if isinstance(reply, Status):
        return Status(board, reply.lock, reply.hooks)
    return OpenReply(board, reply.lock, reply.word)


def make(seed: int) -> LockboardModel:
    """Return two KR-CU16 boards, addresses 0 and 1."""
    return LockboardModel(seed)
