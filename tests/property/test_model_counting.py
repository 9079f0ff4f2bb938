"""When to count, when another person counts, and what a weight can tell: rules as properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispensed.model.counting import (
    AbcClass,
    CountCell,
    CountClosed,
    CountPolicy,
    CountState,
    Uncountable,
    check_transition,
    classify,
    needs_recount,
    plan,
    standing_difference,
    typical,
    unexplained,
    usage_value,
    weighed_pieces,
)
from dispensed.model.weighing import WeighingError

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
DAYS = st.integers(1, 400)
POLICIES = st.builds(
    CountPolicy,
    days_a=DAYS,
    days_b=DAYS,
    days_c=DAYS,
    days_controlled=DAYS,
    share_a_per_mille=st.integers(0, 1000),
    share_b_per_mille=st.integers(0, 1000),
    tasks_max=st.integers(1, 8),
    recount_milli=st.integers(0, 20_000),
    recount_per_mille=st.integers(0, 1000),
)
CELLS = st.lists(
    st.builds(
        CountCell,
        item_id=st.sampled_from(("i1", "i2", "i3", "i4")),
        location_id=st.sampled_from(("a", "b", "c")),
        abc=st.sampled_from(AbcClass),
        controlled=st.booleans(),
        value=st.integers(0, 10**9),
        last=st.none() | st.integers(0, 500).map(lambda days: NOW - timedelta(days=days)),
    ),
    max_size=12,
    unique_by=lambda cell: (cell.item_id, cell.location_id),
)


@settings(max_examples=60)
@given(POLICIES, st.sampled_from(AbcClass))
def test_a_controlled_drug_is_counted_at_least_as_often_as_class_a(
    policy: CountPolicy, abc: AbcClass
) -> None:
    assert policy.interval(abc, controlled=True) <= policy.interval(AbcClass.A, controlled=False)
    assert policy.interval(abc, controlled=True) <= policy.interval(abc, controlled=False)


@settings(max_examples=80)
@given(CELLS, POLICIES)
def test_the_plan_holds_what_is_due_and_nothing_else(
    cells: list[CountCell], policy: CountPolicy
) -> None:
    found = plan(cells, NOW, policy)
    due = [
        cell
        for cell in cells
        if cell.last is None
        or cell.last + policy.interval(cell.abc, controlled=cell.controlled) <= NOW
    ]
    assert {cell for cell, _ in found} <= set(due)
    assert len(found) == min(len(due), policy.tasks_max)
    assert all(due_at <= NOW for _, due_at in found)
    ranks = [not cell.controlled for cell, _ in found]
    assert ranks == sorted(ranks)
    if any(not cell.controlled for cell, _ in found):
        assert {cell for cell in due if cell.controlled} <= {cell for cell, _ in found}
    assert plan(list(reversed(cells)), NOW, policy) == found


@settings(max_examples=15)
@given(CELLS.filter(bool), POLICIES)
def test_what_is_planned_and_counted_every_day_is_never_late_by_more_than_the_bound_allows(
    cells: list[CountCell], policy: CountPolicy
) -> None:
    """With room for everything in a day, no two counts lie further apart than the interval."""
    roomy = CountPolicy(
        days_a=policy.days_a % 20 + 1,
        days_b=policy.days_b % 40 + 1,
        days_c=policy.days_c % 60 + 1,
        days_controlled=policy.days_controlled % 20 + 1,
        tasks_max=len(cells),
    )
    last = {(cell.item_id, cell.location_id): NOW for cell in cells}
    for day in range(1, 90):
        at = NOW + timedelta(days=day)
        now = [replace(c, last=last[c.item_id, c.location_id]) for c in cells]
        for cell, _ in plan(now, at, roomy):
            last[cell.item_id, cell.location_id] = at
        for cell in cells:
            interval = roomy.interval(cell.abc, controlled=cell.controlled)
            assert at - last[cell.item_id, cell.location_id] < interval


@settings(max_examples=80)
@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**6), max_size=8), POLICIES)
def test_classes_follow_the_usage_value(values: dict[str, int], policy: CountPolicy) -> None:
    classes = classify(values, policy)
    assert classes.keys() == values.keys()
    ordered = sorted(values, key=lambda item: (-values[item], item))
    ranks = [classes[item] for item in ordered]
    assert ranks == sorted(ranks) or policy.share_b_per_mille < policy.share_a_per_mille
    assert all(classes[item] is AbcClass.C for item, value in values.items() if value == 0)


def test_classes_of_a_worked_example() -> None:
    """800 of 1000 is reached by the first, 950 by the next two, the rest is C."""
    values = {"p": 800, "q": 100, "r": 50, "s": 50, "t": 0}
    assert classify(values, CountPolicy()) == {
        "p": AbcClass.A,
        "q": AbcClass.B,
        "r": AbcClass.B,
        "s": AbcClass.C,
        "t": AbcClass.C,
    }


def test_the_value_of_use_is_packs_times_cost_and_an_unknown_cost_is_the_typical_one() -> None:
    assert usage_value(90_000, 30_000, 500, 7) == 1500
    assert usage_value(90_000, 30_000, None, 7) == 21
    assert [typical([]), typical([10, 20]), typical([0])] == [1, 15, 1]


@pytest.mark.parametrize(
    ("variance", "book", "controlled", "asked"),
    [
        (0, 100_000, False, False),
        (5_000, 100_000, False, False),
        (-5_000, 100_000, False, False),
        (5_001, 1_000_000, False, True),
        (-1_001, 20_000, False, True),
        (1_000, 20_000, False, False),
        (1, 0, False, True),
        (0, 0, False, False),
        (1, 1_000_000, True, True),
        (0, 1_000_000, True, False),
    ],
)
def test_a_variance_over_the_limit_or_any_of_a_controlled_drug_is_counted_again(
    variance: int,
    book: int,
    controlled: bool,  # noqa: FBT001 - a column of the table
    asked: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Limits: more than 5 units, or more than 50 thousandths of the book."""
    assert needs_recount(variance, book, controlled=controlled, policy=CountPolicy()) is asked


@settings(max_examples=100)
@given(
    pieces=st.integers(0, 500),
    piece_ug=st.integers(20_000, 1_000_000),
    sd_per_mille=st.integers(0, 60),
    off_ug=st.integers(-60_000, 60_000),
)
def test_a_weight_is_a_number_of_pieces_or_it_is_refused(
    pieces: int, piece_ug: int, sd_per_mille: int, off_ug: int
) -> None:
    net_ug, sd_ug = pieces * piece_ug + off_ug, piece_ug * sd_per_mille // 1000
    try:
        found, uncertainty = weighed_pieces(
            net_ug=net_ug, piece_ug=piece_ug, sd_ug=sd_ug, readability_ug=1000
        )
    except Uncountable as refused:
        assert f"about {max(0, (2 * net_ug + piece_ug) // (2 * piece_ug))}" in str(refused)  # noqa: PT017 - either is right
        return
    assert uncertainty < 400
    assert abs(net_ug - found * piece_ug) * 2 < piece_ug


def test_a_weight_of_nothing_known_is_refused() -> None:
    with pytest.raises(WeighingError):
        weighed_pieces(net_ug=1, piece_ug=0, sd_ug=0, readability_ug=1)
    assert weighed_pieces(net_ug=0, piece_ug=200_000, sd_ug=0, readability_ug=10)[0] == 0
    with pytest.raises(Uncountable):
        weighed_pieces(net_ug=-150_000, piece_ug=200_000, sd_ug=0, readability_ug=10)


@pytest.mark.parametrize(
    ("path", "fine"),
    [
        (("open", "submitted", "closed"), True),
        (("open", "submitted", "recount", "submitted", "closed"), True),
        (("open", "cancelled"), True),
        (("open", "submitted", "recount", "cancelled"), True),
        (("open", "closed"), False),
        (("open", "submitted", "closed", "submitted"), False),
        (("open", "cancelled", "submitted"), False),
    ],
)
def test_a_task_goes_its_way(path: tuple[str, ...], fine: bool) -> None:  # noqa: FBT001 - a column
    states = [CountState(name) for name in path]
    for now, to in pairwise(states[:-1]):
        check_transition(1, now, to)
    if fine:
        check_transition(1, *states[-2:])
    else:
        with pytest.raises(CountClosed):
            check_transition(1, *states[-2:])


@pytest.mark.parametrize(
    ("causes", "standing", "rest"),
    [
        ({"snapshot": -2, "count": -1, "unbooked_output": -30}, -2, -30),
        ({"count": -1, "weight:7": 1}, -1, 0),
        ({"weight:7": 1, "weight:8": -3}, -2, 0),
        ({"unordered_output": 30, "unreceived_input": 60}, 0, 90),
        ({}, 0, 0),
    ],
)
def test_the_size_of_a_record_is_what_was_measured(
    causes: dict[str, int], standing: int, rest: int
) -> None:
    assert (standing_difference(causes), unexplained(causes)) == (standing, rest)
