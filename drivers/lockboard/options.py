"""Options of drawers on lock boards, checked before anything is opened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.drawers import Limits
from drivers.lockboard.codec import DIALECTS, Dialect

Value = str | int | float | bool
_SECONDS = {
    "left_open_s": 60.0,
    "drawer_rest_s": 5.0,
    "bus_rest_s": 1.0,
    "poll_interval_s": 0.5,
    "reply_timeout_s": 0.3,
    "gap_s": 0.03,
}
"""Times with their defaults. The rests are a caution of ours, not a maker's figure."""
_KEYS = ("dialect", "drawers", *_SECONDS)
_SECONDS_MAX = 3600.0
_DRAWERS_MAX = 480
CLAIM_S = 10.0
"""An opening seen later than this after its command counts as unasked."""
_RANGE = re.compile(r"(\d{1,3})\.(\d{1,2})(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a drawer hangs: board address and lock number, from 1."""

    board: int
    lock: int


@dataclass(frozen=True, slots=True)
class Options:
    """How to talk to the boards of one bus. Times are seconds."""

    dialect: Dialect
    places: Mapping[str, Place]
    limits: Limits
    poll_interval_s: float
    reply_timeout_s: float
    gap_s: float

    @property
    def boards(self) -> tuple[int, ...]:
        """The boards that have drawers, each once, in the order given."""
        return tuple(dict.fromkeys(place.board for place in self.places.values()))


def parse_options(options: Mapping[str, Value]) -> Options:
    """Check options; raises ValueError naming the key."""
    unknown = sorted(set(options) - set(_KEYS))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not known; known are {list(_KEYS)}")
    name = _text(options, "dialect")
    if name not in DIALECTS:
        raise ValueError(f"option 'dialect': {name!r} is not one of {sorted(DIALECTS)}")
    dialect = DIALECTS[name]
    times = {key: _seconds(options, key, default) for key, default in _SECONDS.items()}
    return Options(
        dialect=dialect,
        places=_places(_text(options, "drawers"), dialect),
        limits=Limits(
            left_open_s=times["left_open_s"],
            drawer_rest_s=times["drawer_rest_s"],
            cabinet_rest_s=times["bus_rest_s"],
            claim_s=CLAIM_S,
        ),
        poll_interval_s=times["poll_interval_s"],
        reply_timeout_s=times["reply_timeout_s"],
        gap_s=times["gap_s"],
    )


def _text(options: Mapping[str, Value], key: str) -> str:
    value = options.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"option {key!r}: a text must be given, not {value!r}")
    return value


def _seconds(options: Mapping[str, Value], key: str, default: float) -> float:
    value = options.get(key, default)
    if isinstance(value, (bool, str)) or not 0 < value <= _SECONDS_MAX:
        raise ValueError(f"option {key!r}: seconds above 0 were expected, not {value!r}")
    return float(value)


def _places(text: str, dialect: Dialect) -> dict[str, Place]:
    """Read `0.1-16, 1.3`: drawers of board 0 locks 1 to 16, and of board 1 lock 3."""
    places: dict[str, Place] = {}
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"option 'drawers': {part.strip()!r} is not like 0.1-16 or 1.3")
        board, first = int(found[1]), int(found[2])
        last = int(found[3] or first)
        if board > dialect.boards or not 1 <= first <= last <= dialect.locks:
            raise ValueError(
                f"option 'drawers': {part.strip()!r}: boards of {dialect.name} are 0 to"
                f" {dialect.boards}, locks 1 to {dialect.locks}"
            )
        for lock in range(first, last + 1):
            if places.setdefault(f"{board}.{lock}", place := Place(board, lock)) is not place:
                raise ValueError(f"option 'drawers': {board}.{lock} is there twice")
    if len(places) > _DRAWERS_MAX:
        raise ValueError(f"option 'drawers': at most {_DRAWERS_MAX}, not {len(places)}")
    return places
