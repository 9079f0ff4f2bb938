"""Risk of expiry against examples worked out by hand and against a pharmacy played day by day."""

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispensed.model.outdating import (
    BATCH_STEPS,
    BatchKind,
    BatchState,
    DatedStock,
    IllegalBatchStep,
    batch_step,
    expiry_risk,
    form_needed,
    persons_needed,
)
from dispensed.model.planning import PlanningError, tier_reached

TODAY = date(2026, 11, 22)


def at_risk(daily: Fraction, *stock: tuple[str, int, int]) -> list[tuple[str, int]]:
    """Return (lot, at risk) of lots given as (lot, days left, thousandths)."""
    lots = [DatedStock(lot, TODAY + timedelta(days=days), milli) for lot, days, milli in stock]
    return [(row.lot, row.at_risk_milli) for row in expiry_risk(lots, daily=daily, today=TODAY)]


@pytest.mark.parametrize(
    ("daily", "stock", "expected"),
    [
        # 10 a day through the 5th day from today on: 60 of 100 are used.
        (Fraction(10_000), [("A", 5, 100_000)], [("A", 40_000)]),
        # The last day counts: with none left, today's 10 are still used.
        (Fraction(10_000), [("A", 0, 10_000)], [("A", 0)]),
        # A is used up in 3 days of 6; B gets the 7 days that are left of its 10: 70 of 90.
        (Fraction(10_000), [("B", 9, 90_000), ("A", 5, 30_000)], [("A", 0), ("B", 20_000)]),
        # A takes all of its 6 days; B only the 4 days after: 40 of 50.
        (Fraction(10_000), [("A", 5, 90_000), ("B", 9, 50_000)], [("A", 30_000), ("B", 10_000)]),
        # Two lots of one day share its demand: 60 of 40 + 40.
        (Fraction(10_000), [("B", 5, 40_000), ("A", 5, 40_000)], [("A", 0), ("B", 20_000)]),
        # Nothing is asked for: all is at risk. What has expired is at risk whatever is asked.
        (Fraction(0), [("A", 300, 7_000)], [("A", 7_000)]),
        (Fraction(10_000), [("A", -1, 7_000), ("B", 0, 7_000)], [("A", 7_000), ("B", 0)]),
        # 1/3 tablet a day for 10 days: 3 and 1/3 are used, 6 and 2/3 are left, written as 6.667.
        (Fraction(1000, 3), [("A", 9, 10_000)], [("A", 6_667)]),
        (Fraction(1000), [], []),
    ],
)
def test_risk_of_expiry_as_worked_out_by_hand(
    daily: Fraction, stock: list[tuple[str, int, int]], expected: list[tuple[str, int]]
) -> None:
    assert at_risk(daily, *stock) == expected


def test_a_demand_below_nothing_is_refused() -> None:
    with pytest.raises(PlanningError, match="a demand of -1/2"):
        expiry_risk([], daily=Fraction(-1, 2), today=TODAY)


STOCK = st.lists(st.tuples(st.integers(-3, 25), st.integers(1, 60)), max_size=5)


def played(daily: int, lots: list[tuple[int, int]]) -> list[int]:
    """Play day by day: each day takes `daily` from the first lots that still may be used."""
    left = [milli for _, milli in lots]
    for day in range(27):
        want = daily
        for at, (expires, _) in enumerate(lots):
            if expires >= day:
                take = min(want, left[at])
                left[at] -= take
                want -= take
    return left


@settings(max_examples=50)
@given(STOCK, st.integers(0, 20))
def test_risk_of_expiry_is_what_is_left_when_the_days_are_played(
    lots: list[tuple[int, int]], daily: int
) -> None:
    lots.sort(key=lambda one: one[0])
    stock = [(f"{at:02}", days, milli) for at, (days, milli) in enumerate(lots)]
    found = [risk for _, risk in at_risk(Fraction(daily), *stock)]
    assert found == played(daily, lots)


@settings(max_examples=50)
@given(STOCK, st.fractions(0, 20, max_denominator=90), st.fractions(0, 5, max_denominator=90))
def test_more_demand_never_means_more_at_risk_and_never_more_than_there_is(
    lots: list[tuple[int, int]], daily: Fraction, more: Fraction
) -> None:
    stock = [(f"{at:02}", days, milli) for at, (days, milli) in enumerate(lots)]
    less, busier = at_risk(daily, *stock), at_risk(daily + more, *stock)
    amount = {lot: milli for lot, _, milli in stock}
    for (lot, quiet), (_, busy) in zip(less, busier, strict=True):
        assert 0 <= busy <= amount[lot]
        assert 0 <= quiet <= amount[lot]
    # One lot may be left more of (another takes its days), all together never.
    assert sum(risk for _, risk in busier) <= sum(risk for _, risk in less) + len(stock)


@given(st.sets(st.integers(0, 400)), st.integers(-10, 500))
def test_the_tier_is_the_smallest_that_is_not_below_the_days_left(
    tiers: set[int], left: int
) -> None:
    found = tier_reached(TODAY + timedelta(days=left), TODAY, tiers)
    assert found == next((tier for tier in sorted(tiers) if tier >= left), None)


# ---------------------------------------------------------------- batches


def test_a_batch_goes_only_from_open_over_sealed_to_its_own_end() -> None:
    ways = {
        kind: {(a.value, b.value) for a, after in steps.items() for b in after}
        for kind, steps in BATCH_STEPS.items()
    }
    common = {
        ("open", "sealed"),
        ("open", "cancelled"),
        ("sealed", "open"),
        ("shipped", "credited"),
        ("shipped", "closed"),
        ("destroyed", "closed"),
        ("credited", "closed"),
    }
    assert ways[BatchKind.RETURN] == common | {("sealed", "shipped")}
    assert ways[BatchKind.REVERSE_DISTRIBUTOR] == common | {("sealed", "shipped")}
    assert ways[BatchKind.DESTRUCTION] == common | {("sealed", "destroyed")}
    for kind in BatchKind:
        for state in BatchState:
            for to in BatchState:
                if (state.value, to.value) in ways[kind]:
                    assert batch_step(kind, state, to) is to
                else:
                    with pytest.raises(IllegalBatchStep, match=f"is {state} cannot become {to}"):
                        batch_step(kind, state, to)


@pytest.mark.parametrize(
    ("kind", "schedules", "form", "persons"),
    [
        (BatchKind.RETURN, ["none"], "", 1),
        (BatchKind.RETURN, ["none", "CII"], "222", 1),
        (BatchKind.RETURN, ["CIV"], "", 1),
        (BatchKind.REVERSE_DISTRIBUTOR, ["none"], "", 1),
        (BatchKind.REVERSE_DISTRIBUTOR, ["CII"], "222", 2),
        (BatchKind.REVERSE_DISTRIBUTOR, ["CIII", "CV"], "", 2),
        (BatchKind.DESTRUCTION, [], "", 1),
        (BatchKind.DESTRUCTION, ["none", "CV"], "41", 2),
        (BatchKind.DESTRUCTION, ["CII"], "41", 2),
    ],
)
def test_forms_and_persons_by_schedule(
    kind: BatchKind, schedules: list[str], form: str, persons: int
) -> None:
    assert (form_needed(kind, schedules), persons_needed(kind, schedules)) == (form, persons)
