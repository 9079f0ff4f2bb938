"""Rules of controlled substances: who counts exactly, who may witness, what is due when."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.catalog import Schedule
from dispensed.model.controlled import (
    RULES,
    BadOrderForm,
    CountMethod,
    Custody,
    EstimateRefused,
    MoreThanOpen,
    OrderKind,
    Passage,
    StepKind,
    WitnessIsAuthor,
    WitnessTooLate,
    check_method,
    check_step,
    check_witness,
    compare_passages,
    form_106_due,
    next_inventory_due,
    notice_due,
    order_form_valid_until,
    order_kind,
)
from dispensed.model.quantity import Unit

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
LOWER = [Schedule.CIII, Schedule.CIV, Schedule.CV]
COUNTS = st.integers(0, 1000)


def test_every_schedule_has_rules_and_only_schedule_ii_needs_form_and_exact_count() -> None:
    assert set(RULES) == set(Schedule)
    assert [each for each in Schedule if RULES[each].order_form] == [Schedule.CII]
    assert [each for each in Schedule if RULES[each].always_exact] == [Schedule.CII]
    assert [each for each in Schedule if RULES[each].witness] == [Schedule.CII, *LOWER]


# ---------------------------------------------------------------- inventories


@given(st.none() | st.integers(0, 10**9), st.sampled_from(Unit))
def test_schedule_ii_is_never_estimated(container: int | None, unit: Unit) -> None:
    with pytest.raises(EstimateRefused, match="CII is counted exactly"):
        check_method(Schedule.CII, CountMethod.ESTIMATED, container_milli=container, unit=unit)
    check_method(Schedule.CII, CountMethod.EXACT, container_milli=container, unit=unit)


@pytest.mark.parametrize("schedule", LOWER)
def test_an_opened_container_of_more_than_1000_tablets_is_counted_exactly(
    schedule: Schedule,
) -> None:
    estimated = CountMethod.ESTIMATED
    check_method(schedule, estimated, container_milli=1_000_000, unit=Unit.EA)
    check_method(schedule, estimated, container_milli=None, unit=Unit.ML)
    with pytest.raises(EstimateRefused, match=r"a container of 1000\.001 EA, more than 1000, is"):
        check_method(schedule, estimated, container_milli=1_000_001, unit=Unit.EA)
    with pytest.raises(EstimateRefused, match="how much the opened container holds"):
        check_method(schedule, estimated, container_milli=None, unit=Unit.EA)


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (date(2024, 5, 1), date(2026, 5, 1)),
        (date(2024, 2, 29), date(2026, 2, 28)),
        (date(2026, 2, 28), date(2028, 2, 28)),
    ],
)
def test_the_next_inventory_is_due_within_two_years(last: date, due: date) -> None:
    assert next_inventory_due(last) == due


# ---------------------------------------------------------------- custody


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_removal_is_closed_exactly_when_issued_is_given_returned_and_wasted(
    given_: int, returned: int, wasted: int, rest: int
) -> None:
    custody = Custody(given_ + returned + wasted + rest, 0, 0, 0)
    for kind, milli in (
        (StepKind.GIVEN, given_),
        (StepKind.RETURNED, returned),
        (StepKind.WASTED, wasted),
    ):
        check_step(custody, milli, Unit.EA)
        custody = custody.after(kind, milli)
    assert (custody.given, custody.returned, custody.wasted) == (given_, returned, wasted)
    assert custody.outstanding == rest
    assert custody.is_closed == (rest == 0)
    assert custody.is_null == (returned == custody.issued)
    with pytest.raises(MoreThanOpen):
        check_step(custody, rest + 1, Unit.EA)


@pytest.mark.parametrize("seconds", [0, 1, 120])
def test_13_another_person_confirms_a_waste_within_two_minutes(seconds: int) -> None:
    at = AT + timedelta(seconds=seconds)
    check_witness(stated_by="tess", stated_at=AT, witness="pat", at=at, limit_s=120)


@pytest.mark.parametrize(("seconds", "limit_s"), [(121, 120), (121, 600), (31, 30), (-1, 120)])
def test_13_a_witness_who_is_late_or_early_is_refused(seconds: int, limit_s: int) -> None:
    at = AT + timedelta(seconds=seconds)
    with pytest.raises(WitnessTooLate, match="state it again"):
        check_witness(stated_by="tess", stated_at=AT, witness="pat", at=at, limit_s=limit_s)


@pytest.mark.parametrize("witness", ["tess", "TESS", " Tess "])
def test_13_nobody_is_witness_of_an_own_waste(witness: str) -> None:
    with pytest.raises(WitnessIsAuthor):
        check_witness(stated_by="tess", stated_at=AT, witness=witness, at=AT, limit_s=120)


# ---------------------------------------------------------------- losses and forms


def test_a_loss_is_told_within_one_business_day_and_reported_within_45_days() -> None:
    friday = date(2026, 11, 20)
    assert notice_due(friday) == date(2026, 11, 23)
    assert notice_due(date(2026, 11, 25)) == date(2026, 11, 27)
    assert form_106_due(friday) == date(2027, 1, 4)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("123456789", OrderKind.PAPER),
        ("26X00A1B2", OrderKind.ELECTRONIC),
        ("26X000001", OrderKind.ELECTRONIC),
    ],
)
def test_an_order_form_is_known_by_its_number(number: str, kind: OrderKind) -> None:
    assert order_kind(number) is kind


@pytest.mark.parametrize(
    "number", ["", "12345678", "1234567890", "26x00a1b2", "2X6000001", "26X00"]
)
def test_another_number_is_no_order_form(number: str) -> None:
    with pytest.raises(BadOrderForm, match="neither 9 characters"):
        order_kind(number)


def test_the_form_of_printed_numbers_is_a_setting() -> None:
    assert order_kind("A-1", "[A-Z]-[0-9]") is OrderKind.PAPER
    assert order_form_valid_until(date(2026, 11, 1)) == date(2026, 12, 31)


# ---------------------------------------------------------------- vault and cabinets


def passage(number: int, minutes: int, units: int, lot: str = "A1") -> Passage:
    at = AT + timedelta(minutes=minutes)
    return Passage(number, "oxy", lot, "unit1", units * 1000, at, "tess")


def test_what_left_the_vault_and_was_loaded_in_time_is_not_listed() -> None:
    issues = (passage(1, 0, 10), passage(2, 5, 10))
    loads = (passage(3, 60, 15), passage(4, 70, 5))
    assert compare_passages(issues, loads, DAY) == ((), ())


def test_unanswered_parts_are_listed_on_both_sides_oldest_first() -> None:
    issues = (passage(2, 30, 10), passage(1, 0, 10), passage(5, 0, 4, "B2"))
    loads = (passage(3, 60, 13), passage(4, 61, 2, "C3"), passage(6, -1, 4, "B2"))
    missing, unasked = compare_passages(issues, loads, DAY)
    assert [(each.passage.movement_id, each.milli) for each in missing] == [(5, 4000), (2, 7000)]
    assert [(each.passage.movement_id, each.milli) for each in unasked] == [(6, 4000), (4, 2000)]


def test_a_return_answers_an_issue_to_the_place_it_came_from_and_is_never_listed() -> None:
    elsewhere = Passage(3, "oxy", "A1", "receiving", 4000, AT + DAY / 2, "tess")
    missing, unasked = compare_passages(
        (passage(1, 0, 10),), (), DAY, returns=(passage(2, 60, 7), elsewhere)
    )
    assert [(each.passage.movement_id, each.milli) for each in missing] == [(1, 3000)]
    assert unasked == ()


def test_a_load_after_the_time_allowed_answers_nothing() -> None:
    late = (passage(2, 24 * 60 + 1, 10),)
    missing, unasked = compare_passages((passage(1, 0, 10),), late, DAY)
    assert (len(missing), len(unasked)) == (1, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000), st.integers(1, 20)), max_size=12))
def test_what_is_matched_is_the_same_on_both_sides(
    moves: list[tuple[bool, int, int]],
) -> None:
    all_ = [(out, passage(n, minutes, units)) for n, (out, minutes, units) in enumerate(moves)]
    issues = tuple(each for out, each in all_ if out)
    loads = tuple(each for out, each in all_ if not out)
    missing, unasked = compare_passages(issues, loads, DAY)
    matched = sum(each.milli for each in issues) - sum(each.milli for each in missing)
    assert matched == sum(each.milli for each in loads) - sum(each.milli for each in unasked)
    assert all(0 < each.milli <= each.passage.milli for each in (*missing, *unasked))
