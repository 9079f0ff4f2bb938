"""Dates in the many forms of recall notices, read as an expiry `YYYY-MM` or `YYYY-MM-DD`.

US order: month before day, unless the first number cannot be a month. A printed day that its month
does not have leaves the month only. Nothing is guessed: `1/2` without a year is no date.
"""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from dispensed.exchange.recalls.tokens import MONTHS


class DateForm(StrEnum):
    """How a date is written; some forms are lot numbers just as well."""

    NUMERIC = "numeric"
    """Numbers with slashes, or year first: 7/31/2018, 08/2017, 2021.01.02."""
    DASHED = "dashed"
    """Numbers with dashes or dots, year last: 06-2018, 7.31.18."""
    NAMED = "named"
    """With the month's name and a mark or blank: Sept 2018, 07-Jul-2024."""
    GLUED = "glued"
    """With the month's name and nothing between: 1JUL2021."""
    DIGITS = "digits"
    """Digits only: 20180731, 072018, 0718."""
    YEAR = "year"
    """Only a year."""


class DateProblem(StrEnum):
    """Why a date is not, or not wholly, an expiry."""

    DAY = "its month does not have this day"
    YEAR_ONLY = "only a year is given"
    DAYS = "it is a range of days"
    UNREADABLE = "it is no date of this century"
    AMBIGUOUS = "the digits can be read as more than one date"


@dataclass(frozen=True, slots=True)
class DateMatch:
    """A date of the text; `expiry` is None where none can be told."""

    end: int
    expiry: str | None
    form: DateForm
    problem: DateProblem | None = None


_MONTH = (
    r"(jan(?:uary)?|feb(?:r?uary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(20[0-9]{2}|[0-9]{2})"
_YEAR4 = r"(20[0-9]{2})"
_DAY = r"([0-9]{1,2})(?:st|nd|rd|th)?"
_END = (
    r"(?:(?=(?:lots?|exp|batch|bud|ndc)(?![a-z]))|(?=-[0-9]{1,2}/[0-9])|(?=:[0-9A-Za-z]{4})|"
    r"(?![0-9A-Za-z@]|[-/.:_]+[0-9A-Za-z@]))"
)
_CENTURY = 2000
_MONTHS = 12
_MARKS = r"[\s.,:/-]"

_Builder = Callable[[tuple[str, ...]], "tuple[str | None, DateProblem | None] | None"]


def match_date(text: str, start: int, *, expected: bool) -> DateMatch | None:
    """Read the date that begins at `start`; None when there is none.

    Digits without marks, and a bare year, count only where a date is expected.
    """
    if not expected and _GATE.match(text, start) is None:
        return None
    for pattern, form, build in _FORMS:
        if form in _WHERE_EXPECTED and not expected:
            continue
        found = pattern.match(text, start)
        if found is None:
            continue
        read = build(found.groups())
        if read is None:
            continue
        expiry, problem = read
        if form is DateForm.NAMED and found.group().isalnum():
            return DateMatch(found.end(), expiry, DateForm.GLUED, problem)
        return DateMatch(found.end(), expiry, form, problem)
    return None


def days_end(text: str, start: int) -> int | None:
    """Return where a range of days with one year ends: `December 24-31, 2022`; None without."""
    found = _DAYS.match(text, start)
    return None if found is None else found.end()


def is_like_a_date(text: str) -> bool:
    """Return whether a code that is no date was probably meant as one: `9/30/200`, `22-Sep`."""
    return _LIKE_A_DATE.fullmatch(text) is not None


def is_slashed_date(text: str) -> bool:
    """Return whether a code is digits with slashes and a year: `29/2019`, `1/31/16`."""
    return _SLASHED.fullmatch(text) is not None


def _day(year: str, month: int, day: int) -> tuple[str, DateProblem | None] | None:
    """Build a date with its day; a day its month does not have leaves the month."""
    full = int(year) if len(year) > 2 else _CENTURY + int(year)  # noqa: PLR2004 - two digits
    if not 1 <= month <= _MONTHS or not 1 <= day <= 31:  # noqa: PLR2004 - days of a month
        return None
    if day > calendar.monthrange(full, month)[1]:
        return f"{full}-{month:02}", DateProblem.DAY
    return f"{full}-{month:02}-{day:02}", None


def _month(year: str, month: int) -> tuple[str, DateProblem | None] | None:
    full = int(year) if len(year) > 2 else _CENTURY + int(year)  # noqa: PLR2004 - two digits
    if not 1 <= month <= _MONTHS:
        return None
    return f"{full}-{month:02}", None


def _month_day_year(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    first, second, year = parts
    if int(first) > _MONTHS:
        return _day(year, int(second), int(first))
    return _day(year, int(first), int(second))


def _year_month_day(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    year, month, day = parts
    return _day(year, int(month), int(day))


def _month_year(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    month, year = parts
    return _month(year, int(month))


def _year_month(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    year, month = parts
    return _month(year, int(month))


def _named_day(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    day, name, year = parts
    return _day(year, MONTHS[name[:3].lower()], int(day))


def _day_named(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    name, day, year = parts
    return _day(year, MONTHS[name[:3].lower()], int(day))


def _named(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    name, year = parts
    return _month(year, MONTHS[name[:3].lower()])


def _year_named(parts: tuple[str, ...]) -> tuple[str, DateProblem | None] | None:
    year, name, day = parts
    if day:
        return _day(year, MONTHS[name[:3].lower()], int(day))
    return _month(year, MONTHS[name[:3].lower()])


def _digits(parts: tuple[str, ...]) -> tuple[str | None, DateProblem | None] | None:
    """Read four, six or eight digits when exactly one reading is a date of this century."""
    (digits,) = parts
    readings: set[str] = set()
    for pattern, build in _DIGIT_FORMS:
        found = pattern.fullmatch(digits)
        read = build(found.groups()) if found is not None else None
        if read is not None and read[1] is None:
            readings.add(read[0])
    if not readings:
        return None
    if len(readings) > 1:
        return None, DateProblem.AMBIGUOUS
    return readings.pop(), None


def _year_alone(parts: tuple[str, ...]) -> tuple[str | None, DateProblem | None]:
    del parts
    return None, DateProblem.YEAR_ONLY


_DIGIT_FORMS: tuple[
    tuple[re.Pattern[str], Callable[[tuple[str, ...]], tuple[str, DateProblem | None] | None]], ...
] = (
    (re.compile(r"(20[0-9]{2})([0-9]{2})([0-9]{2})"), _year_month_day),
    (re.compile(r"([0-9]{2})([0-9]{2})(20[0-9]{2})"), _month_day_year),
    (re.compile(r"([0-9]{2})(20[0-9]{2})"), _month_year),
    (re.compile(r"(20[0-9]{2})([0-9]{2})"), _year_month),
    (re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})"), _month_day_year),
    (re.compile(r"([01][0-9])([123][0-9])"), _month_year),
)


_GATE = re.compile(
    rf"[0-9]{{1,4}}(?:\s*[-/.]|(?:st|nd|rd|th)?{_MARKS}*{_MONTH})|{_MONTH}", re.IGNORECASE
)
"""What every date has at its beginning, digits without marks left out; a quick first look."""


_SLASHED = re.compile(
    r"[0-9]{1,2}(?:/[0-9]{1,2})?/(?:20)?[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{3,5}"
)
_DAYS = re.compile(
    rf"{_MONTH}\s{{0,2}}[0-9]{{1,2}}\s{{0,2}}(?:-|to|through)\s{{0,2}}(?:{_MONTH}\s{{0,2}})?"
    r"[0-9]{0,2}\s{0,2},\s{0,2}20[0-9]{2}(?![0-9])",
    re.IGNORECASE,
)
"""Days of one month, or of two: December 24-31, 2022."""
_LIKE_A_DATE = re.compile(
    rf"[0-9]{{1,4}}(?:[-/.][0-9]{{1,4}}){{1,5}}|[0-9]{{1,2}}/[0-9]{{1,2}}/[0-9]{{3,6}}l?|"
    rf"[0-9]{{1,2}}/[0-9]{{6}}|[0-9]{{1,2}}{_MONTH}[0-9]{{2,5}}|[0-9]{{1,2}}-[a-z]{{3}}-[0-9]{{2,4}}|"
    rf"[0-9A-Za-z]{{1,3}}/20[0-9]{{2}}|[0-9]{{1,2}}[-/.]?{_MONTH}|{_MONTH}[-/.]?[0-9]+|"
    r"2[0-9]{3}",
    re.IGNORECASE,
)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern + _END, re.IGNORECASE)


_FORMS: tuple[tuple[re.Pattern[str], DateForm, _Builder], ...] = (
    (
        _compiled(rf"{_YEAR4}\s*[-/.]\s*([0-9]{{1,2}})\s*[-/.]\s*([0-9]{{1,2}})"),
        DateForm.NUMERIC,
        _year_month_day,
    ),
    (
        _compiled(rf"([0-9]{{1,2}})\s*/+\s*([0-9]{{1,2}})\s*/+\s*{_YEAR}"),
        DateForm.NUMERIC,
        _month_day_year,
    ),
    (
        _compiled(rf"([0-9]{{1,2}})\s?[-./]\s?([0-9]{{1,2}})\s?[-./]\s?{_YEAR}"),
        DateForm.DASHED,
        _month_day_year,
    ),
    (_compiled(rf"([0-9]{{1,2}})\s*/\s*{_YEAR}"), DateForm.NUMERIC, _month_year),
    (_compiled(rf"{_YEAR4}\s*/\s*([0-9]{{1,2}})"), DateForm.NUMERIC, _year_month),
    (_compiled(rf"{_YEAR4}[-.]([0-9]{{1,2}})"), DateForm.DASHED, _year_month),
    (_compiled(rf"([0-9]{{1,2}})[-.]{_YEAR}"), DateForm.DASHED, _month_year),
    (_compiled(rf"{_DAY}{_MARKS}*{_MONTH}{_MARKS}*{_YEAR}"), DateForm.NAMED, _named_day),
    (_compiled(rf"{_MONTH}{_MARKS}*{_DAY}{_MARKS}+{_YEAR4}"), DateForm.NAMED, _day_named),
    (_compiled(rf"{_MONTH}{_MARKS}*{_DAY}\s*,{_MARKS}*{_YEAR}"), DateForm.NAMED, _day_named),
    (_compiled(rf"{_MONTH}[-/.]([0-9]{{1,2}})[-/.]{_YEAR}"), DateForm.NAMED, _day_named),
    (_compiled(rf"{_MONTH}{_MARKS}*'?{_YEAR}"), DateForm.NAMED, _named),
    (
        _compiled(rf"{_YEAR4}{_MARKS}*{_MONTH}(?:{_MARKS}*([0-9]{{1,2}}))?"),
        DateForm.NAMED,
        _year_named,
    ),
    (
        _compiled(rf"([0-9]{{2}})\s([0-9]{{2}})\s{_YEAR4}"),
        DateForm.DIGITS,
        _month_day_year,
    ),
    (_compiled(rf"([0-9]{{2}})\s{_YEAR4}"), DateForm.DIGITS, _month_year),
    (_compiled(r"([0-9]{8}|[0-9]{6}|[0-9]{4})"), DateForm.DIGITS, _digits),
    (_compiled(r"20[0-9]{2}()"), DateForm.YEAR, _year_alone),
)
_WHERE_EXPECTED = frozenset({DateForm.DIGITS, DateForm.YEAR})
