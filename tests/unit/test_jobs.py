"""Slots of cron expressions in the site's zone, across both clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.jobs import JOBS, SlotTrigger, last_slot, next_slot, slot_name
from dispensed.settings import DEFAULT_CRONS

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slots_between(cron: str, zone: ZoneInfo, start: str, end: str) -> list[str]:
    found: list[str] = []
    at = utc(start)
    while True:
        slot = next_slot(cron, zone, at)
        if slot is None or slot >= utc(end):
            return found
        found.append(slot_name(slot))
        at = slot


# On 2026-03-08 New York's clocks go from 02:00 to 03:00 (07:00 UTC); on 2026-11-01 from 02:00
# back to 01:00 (06:00 UTC). Berlin's go from 02:00 to 03:00 on 2026-03-29 and from 03:00 back to
# 02:00 on 2026-10-25, both at 01:00 UTC.
DAILY = [
    (
        NEW_YORK,
        "30 2 * * *",
        ("2026-03-07T00:00", "2026-03-10T00:00"),
        ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
    ),
    (
        NEW_YORK,
        "30 2 * * *",
        ("2026-10-31T00:00", "2026-11-03T00:00"),
        ["2026-10-31T06:30:00Z", "2026-11-01T07:30:00Z", "2026-11-02T07:30:00Z"],
    ),
    (
        NEW_YORK,
        "30 1 * * *",
        ("2026-10-31T00:00", "2026-11-03T00:00"),
        ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    ),
    (
        NEW_YORK,
        "15 0 * * *",
        ("2026-03-08T00:00", "2026-03-11T00:00"),
        ["2026-03-08T05:15:00Z", "2026-03-09T04:15:00Z", "2026-03-10T04:15:00Z"],
    ),
    (
        BERLIN,
        "30 2 * * *",
        ("2026-03-28T00:00", "2026-03-31T00:00"),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    ),
    (
        BERLIN,
        "30 2 * * *",
        ("2026-10-24T00:00", "2026-10-27T00:00"),
        ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    ),
]


@pytest.mark.parametrize(("zone", "cron", "span", "expected"), DAILY)
def test_a_daily_job_has_exactly_one_slot_on_the_day_of_a_clock_change(
    zone: ZoneInfo, cron: str, span: tuple[str, str], expected: list[str]
) -> None:
    assert slots_between(cron, zone, *span) == expected


@pytest.mark.parametrize(("zone", "cron", "span", "expected"), DAILY)
def test_every_quarter_hour_of_those_days_looks_back_on_the_right_slot(
    zone: ZoneInfo, cron: str, span: tuple[str, str], expected: list[str]
) -> None:
    at, end = utc(span[0]), utc(span[1])
    seen: list[str] = []
    while at < end:
        slot = last_slot(cron, zone, at)
        if slot is not None and slot >= utc(span[0]) and slot_name(slot) not in seen:
            seen.append(slot_name(slot))
            assert slot == at
        at += timedelta(minutes=15)
    assert seen == expected


def test_a_start_inside_the_repeated_hour_does_not_fire_a_slot_of_its_first_pass() -> None:
    second_pass = utc("2026-11-01T06:10")  # 01:10 in New York for the second time
    assert next_slot("30 1 * * *", NEW_YORK, second_pass) == utc("2026-11-02T06:30")
    assert last_slot("30 1 * * *", NEW_YORK, second_pass) == utc("2026-11-01T05:30")


def test_a_quarter_hourly_job_runs_through_the_gap_and_the_repeated_hour_without_a_break() -> None:
    spring = slots_between("*/15 * * * *", NEW_YORK, "2026-03-08T06:40", "2026-03-08T07:20")
    assert spring == ["2026-03-08T06:45:00Z", "2026-03-08T07:00:00Z", "2026-03-08T07:15:00Z"]
    autumn = slots_between("*/15 * * * *", BERLIN, "2026-10-25T00:40", "2026-10-25T01:20")
    assert autumn == ["2026-10-25T00:45:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:15:00Z"]


def test_a_slot_that_is_due_now_is_the_last_one_and_not_the_next() -> None:
    now = utc("2026-06-01T09:00")
    assert last_slot("0 5 * * *", NEW_YORK, now) == now
    assert next_slot("0 5 * * *", NEW_YORK, now) == utc("2026-06-02T09:00")


def test_a_leap_day_is_waited_for() -> None:
    trigger = SlotTrigger("0 0 29 2 *", BERLIN)
    assert trigger.get_next_fire_time(None, utc("2026-06-01T09:00")) == utc("2028-02-28T23:00")


def test_the_trigger_goes_on_from_now_and_makes_up_for_nothing() -> None:
    trigger = SlotTrigger("*/15 * * * *", BERLIN)
    long_ago, now = utc("2026-06-01T09:00"), utc("2026-06-03T09:01")
    assert trigger.get_next_fire_time(long_ago, now) == utc("2026-06-03T09:15")


def test_every_job_has_a_default_time_and_every_default_time_a_job() -> None:
    assert sorted(JOBS) == sorted(DEFAULT_CRONS)


CRONS = st.sampled_from(
    [
        "30 2 * * *",
        "0 0 * * *",
        "30 1 * * *",
        "*/15 * * * *",
        "0 */6 * * *",
        "5 4 * * SUN",
        "0 3 1 * *",
    ]
)
ZONES = st.sampled_from(
    ["America/New_York", "Europe/Berlin", "UTC", "Australia/Lord_Howe", "Africa/Casablanca"]
).map(ZoneInfo)
INSTANTS = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001 - Hypothesis wants naive bounds
    max_value=datetime(2035, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)


def test_a_shift_by_half_an_hour_skips_no_slot() -> None:
    """Lord Howe goes from UTC+10:30 to UTC+11 on the first Sunday of October at 2:00."""
    zone = ZoneInfo("Australia/Lord_Howe")
    at = datetime(2034, 9, 30, 13, 30, tzinfo=UTC)  # midnight there
    slots = []
    for _ in range(3):
        following = next_slot("0 */6 * * *", zone, at)
        assert following is not None
        slots.append(at := following)
    assert slots == [
        datetime(2034, 9, 30, 19, 0, tzinfo=UTC),  # 6:00
        datetime(2034, 10, 1, 1, 0, tzinfo=UTC),  # 12:00
        datetime(2034, 10, 1, 7, 0, tzinfo=UTC),  # 18:00
    ]


@given(cron=CRONS, zone=ZONES, at=INSTANTS)
def test_the_slot_before_the_next_one_is_the_last_one(
    cron: str, zone: ZoneInfo, at: datetime
) -> None:
    coming, gone = next_slot(cron, zone, at), last_slot(cron, zone, at)
    assert coming is not None
    assert gone is not None
    assert gone <= at < coming
    assert last_slot(cron, zone, coming) == coming
    assert last_slot(cron, zone, coming - timedelta(microseconds=1)) == gone
    assert next_slot(cron, zone, gone) == coming
