"""What every driver of locked drawers shares: requests, openings that were seen, their records.

Pure: instants are loop times in seconds, given by the caller. The record of an opening or shutting
stands alone, so that it can be interpreted long after: it names the drawer, the request, and the
evidence (the bytes or values that the cabinet sent).
"""

import json
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from drivers.base import DrawerState, RawMessage
from drivers.errors import DeviceRefused, ProtocolError
from drivers.facts import DrawerReported, Fact

REQUESTS_MAX = 4096
"""Requests that are remembered; the oldest are forgotten."""
REQUEST_ID_MAX = 200
"""Characters of a request id."""
RECORD_MAX = 4096
"""Bytes of a stored record."""
KIND = "drawer"
_VERSION = 1
_FIELDS = {"v", "drawer", "open", "request", "overdue", "evidence"}


# ---------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class DrawerRecord:
    """What is stored of one sight of a drawer; `evidence` is what the cabinet sent, for people."""

    drawer: str
    is_open: bool
    request_id: str
    overdue: bool
    evidence: str


def encode_record(record: DrawerRecord) -> bytes:
    """Return the bytes that are stored."""
    body = {
        "v": _VERSION,
        "drawer": record.drawer,
        "open": record.is_open,
        "request": record.request_id,
        "overdue": record.overdue,
        "evidence": record.evidence,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def read_record(raw: bytes) -> DrawerRecord:
    """Return a stored record; raises ProtocolError for anything else."""
    if len(raw) > RECORD_MAX:
        raise ProtocolError(f"a record of a drawer has at most {RECORD_MAX} bytes, not {len(raw)}")
    try:
        body = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a record of a drawer: {raw[:40]!r}") from error
    match body:
        case {
            "v": 1,
            "drawer": str(drawer),
            "open": bool(is_open),
            "request": str(request),
            "overdue": bool(overdue),
            "evidence": str(evidence),
        } if set(body) == _FIELDS and drawer:
            return DrawerRecord(drawer, is_open, request, overdue, evidence)
        case _:
            raise ProtocolError(f"not a record of a drawer: {raw[:40]!r}")


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return the fact of a stored record; raises ProtocolError."""
    record = read_record(raw)
    return (
        DrawerReported(record.drawer, record.is_open, record.request_id, overdue=record.overdue),
    )


# ---------------------------------------------------------------- what is known


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of a cabinet in seconds: when an open drawer is an alarm, how long locks rest."""

    left_open_s: float
    drawer_rest_s: float
    cabinet_rest_s: float
    claim_s: float
    """An opening seen later than this after its command was not caused by it."""


@dataclass(slots=True)
class _Request:
    drawer: str
    sent_at: float
    proven: bool = False


@dataclass(slots=True)
class _Drawer:
    is_open: bool | None = None
    since: float = 0.0
    request_id: str = ""
    alarmed: bool = False
    commanded: str = ""
    rested_at: float = float("-inf")


class DrawerBook:
    """What is known of the drawers of one cabinet and what was asked of them.

    It outlives connections. `seen` queues the messages of what changed in `outbox`; whoever
    delivers one takes it out only then, and its key makes a second delivery harmless.
    """

    def __init__(self, names: Iterable[str], limits: Limits, *, session: str) -> None:
        self._drawers = {name: _Drawer() for name in names}
        self._limits = limits
        self._session = session
        self._requests: OrderedDict[str, _Request] = OrderedDict()
        self._bus_rested_at = float("-inf")
        self._count = 0
        self.outbox: deque[RawMessage] = deque()

    @property
    def names(self) -> tuple[str, ...]:
        """The drawers, in the order given."""
        return tuple(self._drawers)

    def state(self, name: str) -> DrawerState:
        """Return a drawer as it was last seen."""
        is_open = self._drawers[name].is_open
        return DrawerState(name, is_open, None if is_open is None else not is_open)

    # ------------------------------------------------------------ sights

    def seen(self, name: str, *, is_open: bool, now: float, evidence: str) -> None:
        """Note what the sensor of a drawer says; queues a message for what changed."""
        drawer = self._drawers[name]
        was, drawer.is_open = drawer.is_open, is_open
        if is_open and not was:
            drawer.since, drawer.alarmed = now, False
            drawer.request_id = self._cause(drawer, now)
            self._report(name, drawer, evidence)
        elif is_open and not drawer.alarmed and now - drawer.since >= self._limits.left_open_s:
            drawer.alarmed = True
            self._report(name, drawer, evidence)
        elif was and not is_open:
            drawer.alarmed = False
            self._report(name, drawer, evidence)

    def still(self, now: float) -> None:
        """Queue an alarm for each drawer that stands open for too long by now."""
        for name, drawer in self._drawers.items():
            if drawer.is_open:
                self.seen(name, is_open=True, now=now, evidence="not seen shut since")

    def extend(self, names: Iterable[str]) -> None:
        """Know these drawers from now on, beside those that are known."""
        for name in names:
            self._drawers.setdefault(name, _Drawer())

    def _cause(self, drawer: _Drawer, now: float) -> str:
        """Return the request that made a drawer open, which is proven by that; "" for none."""
        request = self._requests.get(drawer.commanded)
        if request is None or request.proven or now - request.sent_at > self._limits.claim_s:
            return ""
        request.proven = True
        return drawer.commanded

    def _report(self, name: str, drawer: _Drawer, evidence: str) -> None:
        self._count += 1
        record = DrawerRecord(
            name,
            is_open=bool(drawer.is_open),
            request_id=drawer.request_id,
            overdue=drawer.alarmed,
            evidence=evidence,
        )
        key = f"{KIND}:{self._session}:{self._count}"
        self.outbox.append(RawMessage(key, KIND, encode_record(record)))

    # ------------------------------------------------------------ requests

    def check(self, name: str, request_id: str) -> bool:
        """Return whether a request is already known; raises DeviceRefused when it cannot be done.

        Reasons: `unknown_drawer`, or `request_id` when it is empty, too long, or was for another
        drawer.
        """
        if name not in self._drawers:
            raise DeviceRefused(f"there is no drawer {name!r}", reason="unknown_drawer")
        if not 0 < len(request_id) <= REQUEST_ID_MAX:
            raise DeviceRefused(
                f"a request id has 1 to {REQUEST_ID_MAX} characters", reason="request_id"
            )
        request = self._requests.get(request_id)
        if request is not None and request.drawer != name:
            raise DeviceRefused(
                f"request {request_id} was for drawer {request.drawer}, not {name}",
                reason="request_id",
            )
        return request is not None

    def check_rest(self, name: str, now: float) -> None:
        """Raise DeviceRefused, reason `cooling`, when the lock or the cabinet must rest first."""
        limits = self._limits
        left = max(
            self._drawers[name].rested_at + limits.drawer_rest_s - now,
            self._bus_rested_at + limits.cabinet_rest_s - now,
        )
        if left > 0:
            raise DeviceRefused(
                f"drawer {name}: the lock must cool down for {left:.1f} s", reason="cooling"
            )

    def sending(self, name: str, request_id: str, now: float) -> None:
        """Note that the command of a request goes out; it never does again."""
        self._add(request_id, _Request(name, now))
        drawer = self._drawers[name]
        drawer.commanded, drawer.rested_at = request_id, now
        self._bus_rested_at = now

    def needless(self, name: str, request_id: str, now: float) -> None:
        """Note that a request found its drawer open; nothing is sent for it."""
        self._add(request_id, _Request(name, now, proven=True))

    def withdraw(self, request_id: str) -> None:
        """Forget a request whose command was refused before any effect; it may be made again."""
        self._requests.pop(request_id, None)

    def _add(self, request_id: str, request: _Request) -> None:
        self._requests[request_id] = request
        while len(self._requests) > REQUESTS_MAX:
            self._requests.popitem(last=False)

    def asked(self, request_id: str) -> bool:
        """Whether a request was begun, so that its drawer may have been unlocked."""
        return request_id in self._requests

    def proven(self, request_id: str) -> bool:
        """Whether the drawer of a request was seen open because of it, or was open already."""
        request = self._requests.get(request_id)
        return request is not None and request.proven
