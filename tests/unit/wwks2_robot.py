"""A simulated robot without a wire, with clients that keep what they hear."""

import json
from datetime import UTC, datetime
from typing import TypeVar

from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode
from drivers.wwks2.stream import DocumentSplitter
from simulators.wwks2 import RobotModel

AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
M = TypeVar("M", bound=wire.Hello | wire.Addressed)
STOCK = [
    {"article": "A1", "batch": "LATE", "expiry": "2028-01-31", "packs": 2},
    {"article": "A1", "batch": "EARLY", "expiry": "2027-01-31", "packs": 2},
    {"article": "A2", "batch": "UNDATED", "packs": 1, "units": 12},
    {"article": "A2", "batch": "DATED", "expiry": "2029-01-31"},
]


class Robot:
    """A model with clients that keep what they hear."""

    def __init__(self, *, clients: int = 1, output_s: float = 0.0) -> None:
        self.model = RobotModel(seed=0)
        self.model.set("output_s", str(output_s))
        self.model.set("stock", json.dumps(STOCK))
        self.heard: dict[int, list[wire.Message]] = {}
        self.closed: set[int] = set()
        for session in range(1, clients + 1):
            self.model.connected(session)
            self.say(wire.HelloRequest("1", wire.Subscriber(99 + session)), session)
        self.clear()

    def say(self, message: wire.Message, session: int = 1) -> None:
        self.model.received(session, encode(message, AT))
        self.listen()

    def listen(self) -> None:
        for out in self.model.outgoing():
            assert out.session is not None
            for frame in DocumentSplitter().feed(out.data):
                self.heard.setdefault(out.session, []).append(decode(frame.raw))
            if out.close:
                self.closed.add(out.session)

    def step(self, seconds: float) -> None:
        self.model.step(seconds)
        self.listen()

    def clear(self) -> None:
        self.heard = {}

    def order(self, order_id: str, packs: int = 1, **criteria: str | int) -> None:
        priority = str(criteria.pop("priority", "Normal"))
        wanted = wire.Criteria(
            article=str(criteria.get("article", "A1")),
            quantity=packs,
            batch=str(criteria.get("batch", "")),
            pack_id=int(criteria.get("pack_id", 0)),
        )
        details = wire.OutputDetails(priority, 3)
        self.say(wire.OutputRequest(order_id, 100, 999, details, (wanted,)))

    def said(self, kind: type[M], session: int = 1) -> list[M]:
        return [each for each in self.heard.get(session, []) if isinstance(each, kind)]


def ended(robot: Robot) -> list[tuple[str, str]]:
    return [(each.id, each.details.status) for each in robot.said(wire.OutputMessage)]


def left(robot: Robot) -> list[tuple[str, int]]:
    return [(order, pack.id) for order, pack in robot.model.left]
