"""What a text of a notice is made of, once it was read: lots, dates, NDCs, labels, headings."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a stretch of text needs a person."""

    NOT_READ = "looks like a lot and could not be placed"
    RANGE = "a range of lots that could not be written out"
    WRITTEN_OUT = "a range of lots, written out by its counter"
    PART = "lots named by a part of their number"
    SUFFIX = "the printed lot may carry more characters"
    EXCLUDED = "named as an exception"
    SERIAL = "serial numbers"
    OTHER_ID = "a number of another kind"
    OTHER_LOT = "the lot of another maker or component"
    NO_LOT = "neither a lot nor all lots could be read"
    EXPIRY = "the expiry could not be told"
    NDC = "which NDC the lots belong to could not be told"
    NO_NDC = "written as an NDC, and of no form that an NDC has"
    NDC_DIFFERS = "an NDC that the description does not have"
    ALL_LIMITED = "all lots, but limited in words"
    ALL_AND_LIST = "all lots and a list of lots"
    CUT = "cut off between code_info and more_code_info"
    IN_DESCRIPTION = "a lot named only in the description"


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot number at its place."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """A date at its place; `value` None where the text says there is none or it cannot be told."""

    start: int
    end: int
    value: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class NdcNamed:
    """An NDC at its place."""

    start: int
    end: int
    ndc: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """The label of a sub-list, such as `a)`."""

    start: int
    end: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class Heading:
    """Words and quantities that may tell a product: `30-count bottles`."""

    start: int
    end: int
    features: frozenset[str]


Event = Lot | Expiry | NdcNamed | Labelled | Heading


@dataclass(frozen=True, slots=True)
class Doubt:
    """A stretch of the text that was not understood."""

    start: int
    end: int
    reason: Reason


class Reading:
    """What was read of a text so far: events and doubts in its order, and an open heading."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.doubts: list[Doubt] = []
        self.other_lots: list[Lot] = []
        self.heading: set[str] = set()
        self._start = self._end = -1

    def head(self, start: int, end: int, feature: str) -> None:
        """Add a word or quantity to the heading."""
        if self._start < 0:
            self._start = start
        self._end = end
        self.heading.add(feature)

    def end_heading(self) -> None:
        """Make an event of the heading, if there is one."""
        if not self.heading:
            return
        self.events.append(Heading(self._start, self._end, frozenset(self.heading)))
        self.heading = set()
        self._start = self._end = -1

    def is_sized(self) -> bool:
        """Return whether the open heading is a pack size and nothing else."""
        return bool(self.heading) and all(feature[0].isdigit() for feature in self.heading)

    def last_is(self, kind: type[Lot | Expiry]) -> bool:
        """Return whether the last event is of a kind."""
        return bool(self.events) and isinstance(self.events[-1], kind)

    def doubt(self, start: int, end: int, reason: Reason) -> None:
        """Note a stretch that was not understood."""
        self.doubts.append(Doubt(start, end, reason))
