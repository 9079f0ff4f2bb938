"""What the words read so far say about the next code of a notice."""

from dataclasses import dataclass
from enum import StrEnum

from dispensed.exchange.recalls.events import Reason

NEVER = -1_000
"""A place among the tokens far before the first."""


class Role(StrEnum):
    """What a date or code that comes next would be."""

    LOT = "lot"
    EXPIRY = "expiry"
    OTHER_DATE = "other date"


@dataclass(slots=True)
class State:
    """What the words before the next code have said about it."""

    role: Role = Role.LOT
    trusted: bool = True
    """A code here is a lot."""
    fresh: bool = False
    """A lot word was read and no lot since."""
    separated: bool = True
    keyworded: bool = False
    other_maker: bool = False
    block: Reason | None = None
    """Codes are not lots but these, until the next lot word."""
    many_ids: bool = False
    """More than one identifier of another kind is to come."""
    date_range: bool = False
    """The next date ends a range of dates."""
    other_range: bool = False
    """That range is not of expiries."""
    between: bool = False
    """`between` or `from` was read."""
    labelled_at: int = NEVER
    """Where among the tokens the last label ended, if no lot was read since."""
