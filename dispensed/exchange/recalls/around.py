"""What stands around a code: where it ends, and whether a date follows."""

import re

from dispensed.exchange.recalls.cursor import Cursor
from dispensed.exchange.recalls.dates import days_end, is_slashed_date, match_date
from dispensed.exchange.recalls.tokens import Token, shape
from dispensed.exchange.recalls.words import SENSES, UNITS, Sense

KNOWN = frozenset(SENSES) | frozenset(UNITS)
"""Words that are no part of a lot."""

_HEAD = re.compile(r"[A-Z]{1,4}\Z")
LETTERS_LOT = re.compile(r"[A-Z]{2,6}\Z")
"""A lot without a digit."""

_TAIL = re.compile(r"[A-Z]{1,3}\Z")
_LETTERS_AND_WORDS = frozenset("AS")
"""Words that are the last letter of a lot, when they are capitals and end an item."""
_TAIL_TOKENS_MAX = 8
_DATE_AHEAD_MAX = 8
_BEFORE_DATE = frozenset({Sense.FILLER, Sense.RANGE, Sense.AND, Sense.OTHER_DATE})
_SHORT_LENGTH_MAX = 2
_STAMPED = re.compile(
    r"[0-9][0-9A-Z/]{5,9}\s{0,6}:?\s{0,6}[0-9]{0,3}\s?@\s?[0-9]{1,3}(?![0-9A-Za-z/.])"
)
"""A lot of day, running number and batch, `04052016: 39@6`, with or without its colon."""
_STAMP_LENGTH_MAX = 40
_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?\s?[ap]\.?m\b", re.IGNORECASE)


def extent(cursor: Cursor, token: Token, *, fresh: bool) -> tuple[int, bool]:
    """Return where a lot ends that begins with `token`, and whether it begins with a date.

    `13-405 DK`, `5/10/18 1451 89561S`, `02-11-15 14:44 Y`, `641:07`, `04052016: 39@6`,
    `14RIF1(A)`; right after a lot word (`fresh`) also `21 P0322`.
    """
    following = cursor.peek(1)
    if following is None:
        return token.end, False
    if cursor.source.find("@", token.start, token.start + _STAMP_LENGTH_MAX) > 0:
        stamped = _STAMPED.match(cursor.source, token.start)
        if stamped is not None:
            return max(stamped.end(), token.end), False
    if _TAIL.match(following.text) and (
        following.lower not in KNOWN or following.text in _LETTERS_AND_WORDS
    ):
        return (following.end if cursor.ends_item(2) else token.end), False
    if match_date(cursor.source, token.start, expected=False) is not None:
        end = _dated(cursor, token)
        return end, end > token.end
    return _marked(cursor, token, fresh=fresh), False


def _dated(cursor: Cursor, token: Token) -> int:
    """Return where a lot that begins with a date and goes on with a time or number ends."""
    end = token.end
    for step in range(1, _TAIL_TOKENS_MAX):
        part = cursor.peek(step)
        if part is None or part.lower in KNOWN:
            break
        colon = part.text == ":" and cursor.touches(step)
        if not (part.has_digit or colon or _TAIL.match(part.text)):
            break
        end = part.end
    return end


def _marked(cursor: Cursor, token: Token, *, fresh: bool) -> int:
    mark, part = cursor.peek(1), cursor.peek(2)
    if mark is None or part is None:
        return token.end
    digits = token.text.isdigit()
    if mark.text == ":" and digits and cursor.touches(1):
        alone = part.text.isdigit() and cursor.touches(2) and cursor.ends_item(3)
        return part.end if alone or "@" in part.text else token.end
    if mark.text == "#" and part.text.isdigit() and cursor.touches(1) and cursor.touches(2):
        return part.end
    if mark.text == "(" and len(part.text) == 1 and part.text.isalnum() and cursor.touches(1):
        close = cursor.peek(3)
        return close.end if close is not None and close.text == ")" else token.end
    tail = mark.text.isdigit() and len(mark.text) <= _SHORT_LENGTH_MAX
    short = digits and mark.has_digit and (len(token.text) <= _SHORT_LENGTH_MAX or tail)
    if fresh and short and cursor.ends_item(2) and not cursor.touches(1):
        return mark.end
    return token.end


def time_end(cursor: Cursor, token: Token) -> int | None:
    """Return where a time of day such as `10:00am` ends, None where there is none."""
    colon = cursor.peek(1)
    if colon is None or colon.text != ":":
        return None
    found = _TIME_OF_DAY.match(cursor.source, token.start)
    return None if found is None else found.end()


def ends_letters(cursor: Cursor, token: Token) -> bool:
    """Return whether a lot of letters only may end here: `SAC,`, `SDFC- exp.`, `AXPS AXLS`."""
    following, after = cursor.peek(1), cursor.peek(2)
    if cursor.ends_item(1) or following is None:
        return True
    if following.text == "-" and after is not None:
        return SENSES.get(after.lower) is Sense.EXPIRY
    letters = LETTERS_LOT.match(following.text) is not None and following.lower not in KNOWN
    return letters and len(following.text) == len(token.text)


def spaced_end(cursor: Cursor, token: Token, last_shape: str, *, fresh: bool) -> int | None:
    """Return where a lot of capitals, a blank and digits ends, `UJE 040`; None for other words.

    Unless right after a lot word (`fresh`), the lot before it (`last_shape`) has to be like it.
    """
    following = cursor.peek(1)
    if following is None or not following.text[:1].isdigit() or not _HEAD.match(token.text):
        return None
    listed = last_shape.startswith(shape(token.text) + " ") or (
        last_shape == shape(token.text + following.text)
    )
    allowed = (fresh or listed) and token.lower not in UNITS
    return following.end if allowed and (listed or cursor.ends_item(2)) else None


def date_ahead(cursor: Cursor) -> bool:
    """Return whether only words such as `date`, `on` and `between` stand before a date."""
    for step in range(1, _DATE_AHEAD_MAX):
        following = cursor.peek(step)
        if following is None:
            return False
        sense = SENSES.get(following.lower)
        if following.is_mark or sense in _BEFORE_DATE:
            continue
        start = following.start
        days = days_end(cursor.source, start)
        return days is not None or match_date(cursor.source, start, expected=True) is not None
    return False


def date_follows(cursor: Cursor) -> bool:
    """Return whether an expiry stands right after this code."""
    for step in (1, 2):
        following = cursor.peek(step)
        if following is None:
            return False
        if following.text in {",", ";", ":", "-", "(", "/"}:
            continue
        if SENSES.get(following.lower) is Sense.EXPIRY:
            return True
        return match_date(cursor.source, following.start, expected=False) is not None
    return False


def range_follows(cursor: Cursor) -> bool:
    """Return whether the next token says that the date before it begins a range."""
    following = cursor.peek(0)
    if following is None:
        return False
    after = cursor.peek(1)
    dash = following.text == "-" and after is not None
    if dash and after is not None:
        return match_date(cursor.source, after.start, expected=False) is not None
    return SENSES.get(following.lower) is Sense.RANGE and following.lower != "from"


def is_end_of_dates(cursor: Cursor, text: str) -> bool:
    """Return whether a date in slashes stands before or after a word such as `to`."""
    before, after = cursor.peek(-1), cursor.peek(1)
    beside = {SENSES.get(token.lower) for token in (before, after) if token is not None}
    return Sense.RANGE in beside and is_slashed_date(text)


def colon_end(cursor: Cursor, token: Token) -> int | None:
    """Return where letters and digits with a colon between end, None where there are none."""
    colon, digits = cursor.peek(1), cursor.peek(2)
    if colon is None or digits is None or colon.text != ":":
        return None
    joined = cursor.touches(1) and cursor.touches(2)
    return digits.end if joined and token.text.isupper() and digits.text.isdigit() else None
