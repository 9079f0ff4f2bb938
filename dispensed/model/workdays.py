"""Business days of the United States government: the days on which a DEA office can be told.

Source of the holidays: 5 U.S.C. 6103(a) as listed by the Office of Personnel Management and the
courts (read as of 2025, eleven days, Juneteenth since 2021); one that falls on a Saturday is kept
on the Friday before, one on a Sunday on the Monday after. Inauguration Day is one only around
Washington and is left out.
"""

from datetime import date, timedelta

_MONDAY, _THURSDAY, _SATURDAY = 0, 3, 5
_LAST = -1
_FIXED: tuple[tuple[str, int, int, int], ...] = (
    ("New Year's Day", 1, 1, 1870),
    ("Juneteenth National Independence Day", 6, 19, 2021),
    ("Independence Day", 7, 4, 1870),
    ("Veterans Day", 11, 11, 1938),
    ("Christmas Day", 12, 25, 1870),
)
"""Name, month, day, and the first year in which it was one."""
_MOVING: tuple[tuple[str, int, int, int], ...] = (
    ("Birthday of Martin Luther King, Jr.", 1, _MONDAY, 3),
    ("Washington's Birthday", 2, _MONDAY, 3),
    ("Memorial Day", 5, _MONDAY, _LAST),
    ("Labor Day", 9, _MONDAY, 1),
    ("Columbus Day", 10, _MONDAY, 2),
    ("Thanksgiving Day", 11, _THURSDAY, 4),
)
"""Name, month, day of the week, and which one of the month."""
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


def federal_holidays(year: int) -> dict[date, str]:
    """Return the days on which offices are closed for the holidays of `year`, by date.

    New Year's Day of a year that begins on a Saturday is kept in the year before.
    """
    found = {
        _kept(date(year, month, day)): name for name, month, day, since in _FIXED if year >= since
    }
    found |= {_nth(year, month, weekday, nth): name for name, month, weekday, nth in _MOVING}
    return dict(sorted(found.items()))


def is_business_day(day: date) -> bool:
    """Say whether `day` is neither a Saturday, nor a Sunday, nor a federal holiday as kept."""
    if day.weekday() >= _SATURDAY:
        return False
    return day not in federal_holidays(day.year) and day not in federal_holidays(day.year + 1)


def business_day_after(day: date, days: int = 1) -> date:
    """Return the business day that is `days` business days after `day`; `days` is at least 1."""
    found = day
    for _ in range(days):
        found += _DAY
        while not is_business_day(found):
            found += _DAY
    return found


def _kept(day: date) -> date:
    match day.weekday():
        case 5:
            return day - _DAY
        case 6:
            return day + _DAY
        case _:
            return day


def _nth(year: int, month: int, weekday: int, nth: int) -> date:
    if nth == _LAST:
        last = date(year, month + 1, 1) - _DAY
        return last - timedelta(days=(last.weekday() - weekday) % 7)
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7) + _WEEK * (nth - 1)
