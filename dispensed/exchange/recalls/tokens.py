"""The text of a recall notice cut into tokens, each with its place in the text; linear time.

Every kind of blank counts the same: openFDA's records have lost or kept their line breaks, and a
notice must read the same either way.
"""

import re
import string
from functools import lru_cache
from typing import NamedTuple

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_BLANKS = "\u00a0\u00bf\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
_FOLDED = str.maketrans(
    _DASHES + _BLANKS + "\u202f\u3000\ufeff\u2028\u2029\u0085\u2018\u2019\u201c\u201d\uff03",
    "-" * len(_DASHES) + " " * len(_BLANKS) + " " * 6 + "''\"\"#",
)
_TOKEN = re.compile(r"[0-9A-Za-z]+(?:[-/.@:_+\\][0-9A-Za-z]+){0,11}|[^\s0-9A-Za-z]")
_WORD = re.compile(r"[A-Za-z]+")
_INNER = re.compile(r"[-/.@:_+\\]")
_KEYWORDS = (
    r"lots?|lotno|batch|batches|exp|expiry|expires|expiration|bud|ndc|upc|discard|date|"
    r"expirydate|expdate|no|mg|mcg|ml"
)
_KEYWORD = re.compile(rf"(?:{_KEYWORDS})", re.IGNORECASE)
_GLUED_HEAD = re.compile(
    r"(lots?|batch|exp|expiry|expires|bud|ndc|upc)(?=[0-9])|(exp|lot|bud|expiry|discard)"
    r"(?=date|number|code|by)|(date)(?=[0-9])|(exp|date)(?=(?:jan|feb|mar|apr|may|jun|jul|aug|sep|"
    r"oct|nov|dec)[a-z]{0,6}[-./]?[0-9])",
    re.IGNORECASE,
)
_GLUED_RANGE = re.compile(r"(to|thru|through|and)(?=[0-9])")
_GLUED_TAIL = re.compile(r"(?<=[0-9])(exp|lots?|batch|bud|expiry|ndc|use)\Z", re.IGNORECASE)
_GLUED_MIDDLE = re.compile(r"(?<=[0-9A-Z])-?(?=exp[0-9]{1,2}[/-][0-9])", re.IGNORECASE)
_MAY_CUT = re.compile(
    r"[-/.@:_+\\]|lot|batch|exp|bud|ndc|upc|use|date|discard|(?:to|thru|through|and)[0-9]",
    re.IGNORECASE,
)
"""What is in every run of characters that is more than one token; a quick first look."""
_PIECES_KEPT = 4096
"""How many runs of characters are remembered; notices repeat most of theirs."""
_DIGIT = re.compile(r"[0-9]")
_SHAPES = str.maketrans(
    "0123456789" + string.ascii_letters, "9" * 10 + "A" * len(string.ascii_letters)
)
_INITIALS_LENGTH_MAX = 2
_NUMBERED_LENGTH_MIN = 5
_RUNNING_LENGTH_MAX = 3
_DAY_LENGTH = 8
_PART = re.compile(r"[0-9A-Za-z]+")
_TWO_DATES = re.compile(
    r"([0-9]{1,2}/[0-9]{1,4}(?:/[0-9]{2,4})?)(?:-(?=[0-9]{1,2}/[0-9])|:(?=[0-9A-Za-z]{4}))"
)
_MIXED_PART = re.compile(r"(?=[0-9A-Za-z]*[0-9])[0-9A-Za-z]{5,}")


class Token(NamedTuple):
    """A word, number, code or single mark; `text` is `source[start:end]` of the folded source."""

    text: str
    start: int
    end: int
    lower: str
    """The text in lower case."""
    is_mark: bool
    """Whether this is a single mark such as a comma."""
    is_word: bool
    """Whether this is of letters only."""
    has_digit: bool
    """Whether a digit is in it."""


class _Piece(NamedTuple):
    """A token without its place."""

    text: str
    lower: str
    is_mark: bool
    is_word: bool
    has_digit: bool


def _piece(text: str) -> _Piece:
    has_digit = _DIGIT.search(text) is not None
    is_word = not has_digit and text.isascii() and text[0].isalpha()
    return _Piece(text, text.lower(), not (has_digit or is_word), is_word, has_digit)


def fold(text: str) -> str:
    """Return the text with dashes, blanks and quotes of Unicode as ASCII, of the same length."""
    return text.translate(_FOLDED)


def shape(text: str) -> str:
    """Return the pattern of a code: digits as 9, letters as A, marks as they are."""
    return text.translate(_SHAPES)


def tokenise(source: str) -> tuple[Token, ...]:
    """Cut a folded text into tokens, in order, without overlap; blanks are in none."""
    tokens: list[Token] = []
    new = tuple.__new__  # what Token() calls, without the call of Python between
    for match in _TOKEN.finditer(source):
        start = match.start()
        for text, lower, is_mark, is_word, has_digit in _pieces(match.group()):
            end = start + len(text)
            fields = (text, start, end, lower, is_mark, is_word, has_digit)
            tokens.append(new(Token, fields))
            start = end
    return tuple(tokens)


@lru_cache(maxsize=_PIECES_KEPT)
def _pieces(text: str) -> tuple[_Piece, ...]:
    """Cut an unbroken run where a keyword or two codes are written without a blank between."""
    if text.isdigit() or _MAY_CUT.search(text) is None:
        return (_piece(text),)
    pieces: list[_Piece] = []
    while text:
        cut = _first_cut(text)
        pieces.append(_piece(text[:cut]))
        text = text[cut:]
    return tuple(pieces)


def _first_cut(text: str) -> int:
    """Return how many characters the first token of an unbroken run has."""
    if len(text) == 1 or not text[0].isalnum():
        return 1
    head = _GLUED_HEAD.match(text) or _GLUED_RANGE.match(text)
    if head is not None:
        return head.end()
    dates = _TWO_DATES.match(text)
    if dates is not None:
        return dates.end(1)
    middle = _GLUED_MIDDLE.search(text)
    if middle is not None:
        return middle.start()
    position = 0
    end = len(text)
    for mark in _INNER.finditer(text):
        if _divides(text, position, mark.start(), "@" in text[mark.start() :]):
            end = mark.start()
            break
        position = mark.end()
    tail = _GLUED_TAIL.search(text, 0, end)
    return tail.start() if tail is not None else end


def _divides(text: str, left: int, at: int, codes_follow: bool) -> bool:  # noqa: FBT001
    """Return whether the mark at `at` stands between two tokens rather than inside one."""
    before = text[left:at]
    after_match = _PART.match(text, at + 1)
    after = after_match.group() if after_match else ""
    words = before.isalpha(), after.isalpha()
    if _KEYWORD.fullmatch(before) or _KEYWORD.fullmatch(after):
        return True
    if all(words):
        return text[at] != "-"
    match text[at]:
        case ":":
            return not (before.isdigit() and (codes_follow or _is_numbered(before, after)))
        case "/":
            twins = _MIXED_PART.fullmatch(before) and shape(before) == shape(after)
            return bool(twins) or (before.isalnum() and after.isalpha() and _is_month(after))
        case ".":
            return words[0] and len(before) > _INITIALS_LENGTH_MAX
        case _:
            return False


def _is_numbered(before: str, after: str) -> bool:
    """Return whether a running number or initials follow the colon: `58773:42`, `01252016:MWT`."""
    number = after.isdigit() and len(before) >= _NUMBERED_LENGTH_MIN
    return len(after) <= _RUNNING_LENGTH_MAX and (
        number or (len(before) == _DAY_LENGTH and after.isalpha())
    )


def _is_month(word: str) -> bool:
    return word[:3].lower() in MONTHS


MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        start=1,
    )
}
"""The first three letters of each month's English name, and its number."""
