"""Beyond-use dates, lot numbers, yields and states of repacking."""

from calendar import monthrange
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dispensed.model.repacking import (
    OPENING_RULES,
    REPACK_RULES,
    REPACK_TRANSITIONS,
    RETURN_RULES,
    NotConserved,
    PackedTooLate,
    RepackInvalid,
    RepackState,
    RepackTransition,
    UseByRule,
    Yield,
    add_months,
    advance_run,
    check_lot_number,
    check_lot_scheme,
    check_yield,
    child_lot_number,
    find_rule,
    labelled_rule,
    use_by,
)

DAYS = st.dates(date(1990, 1, 1), date(2100, 12, 31))
RULES = (*REPACK_RULES.values(), *RETURN_RULES.values(), *OPENING_RULES.values())


@pytest.mark.parametrize(
    ("rule", "day", "expiry", "last"),
    [
        # 25 % of the 1,095 days to 22 November 2029 are 273.75, more than 6 months
        ("fda-unit-dose-2020", date(2026, 11, 22), date(2029, 11, 21), date(2027, 5, 22)),
        # 25 % of the 365 days are 91.25: 91 days after 22 November are 21 February
        ("fda-unit-dose-2020", date(2026, 11, 22), date(2027, 11, 22), date(2027, 2, 21)),
        # 25 % of 3 days are none: only on that day
        ("fda-unit-dose-2020", date(2026, 11, 22), date(2026, 11, 25), date(2026, 11, 22)),
        ("fda-unit-dose-2020", date(2026, 11, 22), date(2026, 11, 22), date(2026, 11, 22)),
        # the sixth month has no 31st: its last day, 29 in a leap year
        ("six-months", date(2026, 8, 31), date(2029, 1, 31), date(2027, 2, 28)),
        ("six-months", date(2027, 8, 31), date(2029, 1, 31), date(2028, 2, 29)),
        ("twelve-months", date(2028, 2, 29), date(2031, 1, 31), date(2029, 2, 28)),
        ("twelve-months", date(2026, 11, 22), date(2030, 1, 31), date(2027, 11, 22)),
        ("twelve-months", date(2026, 11, 22), date(2027, 10, 31), date(2027, 10, 31)),
        ("manufacturer", date(2026, 11, 22), date(2030, 1, 31), date(2030, 1, 31)),
    ],
)
def test_a_repacked_lot_has_the_date_worked_out_by_hand(
    rule: str, day: date, expiry: date, last: date
) -> None:
    assert use_by(find_rule(REPACK_RULES, rule), day=day, expiry=expiry) == last


@pytest.mark.parametrize(
    ("opened", "last"),
    [
        (date(2026, 11, 22), date(2026, 12, 20)),
        (date(2027, 2, 1), date(2027, 3, 1)),
        (date(2028, 2, 1), date(2028, 2, 29)),
    ],
)
def test_an_opened_vial_is_used_for_28_days_after_the_day_of_opening(
    opened: date, last: date
) -> None:
    rule = OPENING_RULES["multiple-dose-28-days"]
    assert use_by(rule, day=opened, expiry=date(2030, 1, 31)) == last
    assert use_by(rule, day=opened, expiry=opened + timedelta(days=3)) == opened + timedelta(days=3)
    assert labelled_rule(28).days == 28


def test_a_fill_not_picked_up_is_used_for_a_year_from_the_fill_at_most() -> None:
    rule = RETURN_RULES["one-year-from-fill"]
    assert use_by(rule, day=date(2026, 11, 8), expiry=date(2029, 3, 31)) == date(2027, 11, 8)
    assert use_by(rule, day=date(2026, 11, 8), expiry=date(2027, 3, 31)) == date(2027, 3, 31)


@given(st.sampled_from(RULES), DAYS, st.integers(0, 4000))
@example(REPACK_RULES["fda-unit-dose-2020"], date(2028, 2, 29), 366)
def test_15_the_childs_date_is_the_lesser_of_the_manufacturers_expiry_and_the_rule(
    rule: UseByRule, day: date, left: int
) -> None:
    expiry = day + timedelta(days=left)
    last = use_by(rule, day=day, expiry=expiry)
    allowed = [expiry]
    if rule.months is not None:
        allowed.append(_months_later(day, rule.months))
    if rule.days is not None:
        allowed.append(day + timedelta(days=rule.days))
    if rule.percent is not None:
        allowed.append(day + timedelta(days=left * rule.percent // 100))
    assert last == min(allowed)
    assert day <= last <= expiry


def _months_later(day: date, months: int) -> date:
    """Walk month by month to the first of the wanted one, then to the day."""
    first = day.replace(day=1)
    for _ in range(months):
        first = (first + timedelta(days=31)).replace(day=1)
    return first.replace(day=min(day.day, monthrange(first.year, first.month)[1]))


def test_the_end_of_the_calendar_is_no_fault() -> None:
    assert add_months(date(9999, 6, 30), 12) == date.max
    assert use_by(OPENING_RULES["insulin-28-days"], day=date.max, expiry=date.max) == date.max


@pytest.mark.parametrize("expiry", [None, date(2026, 11, 21)])
def test_what_is_expired_or_has_no_known_expiry_is_not_packed(expiry: date | None) -> None:
    with pytest.raises(PackedTooLate, match=r"not known|is before 2026-11-22"):
        use_by(REPACK_RULES["manufacturer"], day=date(2026, 11, 22), expiry=expiry)


def test_a_rule_says_where_it_comes_from_and_how_long() -> None:
    assert all(rule.source for rule in RULES)
    with pytest.raises(RepackInvalid, match="a name and a source"):
        UseByRule("own", "")
    with pytest.raises(RepackInvalid, match="0 days, 1 to 3650 are possible"):
        labelled_rule(0)
    with pytest.raises(RepackInvalid, match="101 percent"):
        UseByRule("own", "policy 7", percent=101)
    with pytest.raises(RepackInvalid, match="no rule 'x'; there are fda-unit-dose-2020, twelve"):
        find_rule(REPACK_RULES, "x")


# ---------------------------------------------------------------- lot numbers


@pytest.mark.parametrize(
    ("scheme", "number"),
    [
        ("PP{yy}{mm}{dd}-{run}", "PP261122-7"),
        ("{lot}/{run}", "A12/7"),
        ("R{yyyy}.{run}", "R2026.7"),
    ],
)
def test_a_scheme_makes_the_number_of_a_child_lot(scheme: str, number: str) -> None:
    made = child_lot_number(scheme, day=date(2026, 11, 22), run=7, bulk_lot="A12")
    assert made == number


@pytest.mark.parametrize("scheme", ["PP{yy}", "{run}{week}", "{run}{", "}{run}", "{run}{RUN}", ""])
def test_a_scheme_that_is_not_unique_or_not_known_is_refused(scheme: str) -> None:
    with pytest.raises(RepackInvalid, match="not a scheme of lot numbers"):
        check_lot_scheme(scheme)


@pytest.mark.parametrize("lot", ["", "A" * 21, "A 1", "Ä1"])
def test_a_number_that_no_label_can_hold_is_refused(lot: str) -> None:
    with pytest.raises(RepackInvalid, match="GS1 set 82"):
        check_lot_number(lot)


# ---------------------------------------------------------------- yields


@given(
    st.integers(1, 200),
    st.integers(1, 60_000),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.integers(-3000, 3000),
)
def test_15_bulk_out_is_the_sum_of_units_waste_and_samples_or_the_run_is_refused(
    units: int, unit_milli: int, waste: int, sample: int, wrong: int
) -> None:
    total = units * unit_milli + waste + sample
    made = Yield(max(1, total + wrong), units, unit_milli, waste, sample)
    if made.bulk_milli == total:
        assert check_yield(made, "EA") is made
    else:
        with pytest.raises(NotConserved, match=r"missing|too many"):
            check_yield(made, "EA")


def test_a_yield_that_does_not_add_up_is_refused_with_the_numbers() -> None:
    with pytest.raises(NotConserved) as refused:
        check_yield(Yield(500_000, 16, 30_000, 5000, 1000), "EA")
    assert str(refused.value) == (
        "500 EA taken from the bulk, but 16 units of 30 are 480, with 5 wasted and 1 sampled"
        " 486 EA: 14 EA missing"
    )


@pytest.mark.parametrize(
    "made",
    [
        Yield(1000, 0, 1000),
        Yield(1000, 10_001, 1000),
        Yield(0, 1, 1000),
        Yield(1000, 1, 0),
        Yield(1000, 1, 1000, -1),
        Yield(1000, 1, 1000, 0, -1),
    ],
)
def test_numbers_that_are_none_are_refused(made: Yield) -> None:
    with pytest.raises(RepackInvalid, match="possible"):
        check_yield(made, "EA")


# ---------------------------------------------------------------- states


@settings(max_examples=40)
@given(st.sampled_from(RepackState), st.sampled_from(RepackState))
def test_a_run_goes_forward_one_step_at_a_time_or_is_cancelled(
    state: RepackState, to: RepackState
) -> None:
    way = ["planned", "started", "packed", "checked", "released"]
    steps = dict(pairwise(way))
    possible = steps.get(state) == to or (to == "cancelled" and state in way[:4])
    assert (to in REPACK_TRANSITIONS[state]) == possible
    if possible:
        assert advance_run(state, to) is to
    else:
        with pytest.raises(RepackTransition, match=f"that is {state} cannot become {to}"):
            advance_run(state, to)
