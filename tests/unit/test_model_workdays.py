"""Business days of the United States government, against published holiday tables."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.workdays import business_day_after, federal_holidays, is_business_day

HOLIDAYS_2026 = [
    date(2026, 1, 1),
    date(2026, 1, 19),
    date(2026, 2, 16),
    date(2026, 5, 25),
    date(2026, 6, 19),
    date(2026, 7, 3),
    date(2026, 9, 7),
    date(2026, 10, 12),
    date(2026, 11, 11),
    date(2026, 11, 26),
    date(2026, 12, 25),
]
"""As the Office of Personnel Management lists them; 4 July 2026 is a Saturday."""


def test_the_holidays_of_a_year_are_those_that_the_government_publishes() -> None:
    assert list(federal_holidays(2026)) == HOLIDAYS_2026
    assert federal_holidays(2026)[date(2026, 7, 3)] == "Independence Day"


def test_a_holiday_on_a_sunday_is_kept_on_monday_and_on_a_saturday_on_friday() -> None:
    assert federal_holidays(2027)[date(2027, 7, 5)] == "Independence Day"
    assert federal_holidays(2027)[date(2027, 12, 24)] == "Christmas Day"
    assert not is_business_day(date(2021, 12, 31))  # New Year's Day 2022 is a Saturday


def test_juneteenth_is_a_holiday_since_2021() -> None:
    assert is_business_day(date(2020, 6, 19))
    assert date(2021, 6, 18) in federal_holidays(2021)


@pytest.mark.parametrize(
    ("day", "days", "after"),
    [
        (date(2026, 11, 20), 1, date(2026, 11, 23)),  # Friday
        (date(2026, 11, 21), 1, date(2026, 11, 23)),  # Saturday
        (date(2026, 11, 25), 1, date(2026, 11, 27)),  # the day before Thanksgiving
        (date(2026, 12, 24), 1, date(2026, 12, 28)),  # Christmas on a Friday
        (date(2021, 12, 30), 1, date(2022, 1, 3)),
        (date(2026, 7, 2), 2, date(2026, 7, 7)),
    ],
)
def test_the_next_business_day_leaves_out_weekends_and_holidays(
    day: date, days: int, after: date
) -> None:
    assert business_day_after(day, days) == after


@given(st.dates(date(1990, 1, 1), date(2090, 1, 1)))
def test_the_next_business_day_is_one_and_at_most_five_days_away(day: date) -> None:
    after = business_day_after(day)
    assert is_business_day(after)
    assert 1 <= (after - day).days <= 5
