"""What stands around a code: where it ends, and whether a date follows."""

import re

from dispensed.exchange.recalls.cursor import Cursor
from dispensed.exchange.recalls.dates import match_date
from dispensed.exchange.recalls.tokens import Token
from dispensed.exchange.recalls.words import SENSES, UNITS, Sense

KNOWN = frozenset(SENSES) | frozenset(UNITS)
"""Words that are no part of a lot."""

_TAIL = re.compile(r"[A-Z]{1,3}\Z")
_TAIL_TOKENS_MAX = 8
_DATE_AHEAD_MAX = 8
_BEFORE_DATE = frozenset({Sense.FILLER, Sense.RANGE, Sense.AND, Sense.OTHER_DATE})
_SHORT_LENGTH_MAX = 2


def extent(cursor: Cursor, token: Token, *, fresh: bool) -> tuple[int, bool]:
    """Return where a lot ends that begins with `token`, and whether it begins with a date.

    `13-405 DK`, `5/10/18 1451 89561S`, `02-11-15 14:44 Y`, `641:07`, `04052016: 39@6`,
    `14RIF1(A)`; right after a lot word (`fresh`) also `21 P0322`.
    """
    following = cursor.peek(1)
    if following is None:
        return token.end, False
    if _TAIL.match(following.text) and following.lower not in KNOWN:
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
    if mark.text == "(" and len(part.text) == 1 and part.text.isalnum() and cursor.touches(1):
        close = cursor.peek(3)
        return close.end if close is not None and close.text == ")" else token.end
    short = digits and len(token.text) <= _SHORT_LENGTH_MAX and mark.has_digit
    if fresh and short and cursor.ends_item(2) and not cursor.touches(1):
        return mark.end
    return token.end


def date_ahead(cursor: Cursor) -> bool:
    """Return whether only words such as `date`, `on` and `between` stand before a date."""
    for step in range(1, _DATE_AHEAD_MAX):
        following = cursor.peek(step)
        if following is None:
            return False
        sense = SENSES.get(following.lower)
        if following.is_mark or sense in _BEFORE_DATE:
            continue
        return match_date(cursor.source, following.start, expected=True) is not None
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


def colon_end(cursor: Cursor, token: Token) -> int | None:
    """Return where letters and digits with a colon between end, None where there are none."""
    colon, digits = cursor.peek(1), cursor.peek(2)
    if colon is None or digits is None or colon.text != ":":
        return None
    joined = cursor.touches(1) and cursor.touches(2)
    return digits.end if joined and token.text.isupper() and digits.text.isdigit() else None
