"""Ranges of lots whose ends differ in one counter: every lot between is named exactly."""

import re
from collections.abc import Sequence

from dispensed.exchange.recalls.tokens import shape

LOTS_MAX = 300
"""The longest range that is written out."""

_PARTS = re.compile(r"[0-9]+|[^0-9]+")
_COUNTER_DIGITS_MAX = 4
_WORDS_LENGTH_MAX = 32
_LONG_NUMBER_MIN = 6
_RANGE_WORDS = frozenset({"to", "through", "thru", "until"})


def lots_between(first: str, last: str) -> tuple[str, ...]:
    """Return all lots from `first` to `last`; nothing where they differ in more than a counter.

    The ends must be alike but for one run of digits, and in that run but for its last four.
    """
    ours, theirs = _PARTS.findall(first), _PARTS.findall(last)
    differing = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b]
    if len(ours) != len(theirs) or len(differing) != 1:
        return ()
    place = differing[0]
    low, high = ours[place], theirs[place]
    if not (low.isdigit() and high.isdigit()) or len(low) != len(high):
        return ()
    stem = max(0, len(low) - _COUNTER_DIGITS_MAX)
    if low[:stem] != high[:stem] or not 0 < int(high) - int(low) < LOTS_MAX:
        return ()
    return tuple(
        _written(ours, place, str(number).zfill(len(low)))
        for number in range(int(low), int(high) + 1)
    )


def _written(parts: Sequence[str], place: int, number: str) -> str:
    return "".join([*parts[:place], number, *parts[place + 1 :]])


def rises(first: str, second: str) -> bool:
    """Return whether two codes of one form differ in digits only, the second the higher one."""
    alike = shape(first) == shape(second) and first[:1] == second[:1]
    letters = re.sub("[0-9]", "", first) == re.sub("[0-9]", "", second)
    return alike and letters and first < second


def is_both_ends(first: str, second: str) -> bool:
    """Return whether `first-second` may be a range: rising, and long numbers with one stem."""
    stem = len(first) // 2 if first.isdigit() and len(first) >= _LONG_NUMBER_MIN else 0
    return rises(first, second) and first[:stem] == second[:stem]


def joins_range(source: str, start: int, end: int, ends: tuple[str, str], *, between: bool) -> bool:
    """Return whether `source[start:end]` joins two codes to a range: `to`, `through Lot #`, ` - `.

    After `between` an `and` does so too; a dash joins codes of one form only.
    """
    if end - start > _WORDS_LENGTH_MAX:
        return False
    gap = source[start:end]
    if not gap.strip(" ,;"):
        return False
    words = gap.lower().split()
    if between and words in (["and"], ["&"], ["to"], ["-"]):
        return True
    if words in (["-"], ["--"]):
        return shape(ends[0]) == shape(ends[1])
    return bool(words) and words[0] in _RANGE_WORDS
