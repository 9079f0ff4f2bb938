"""Laws of expiry, FEFO and reordering."""

from calendar import isleap
from datetime import date, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.planning import (
    Candidate,
    ExpiryTier,
    NotEnough,
    Pick,
    PolicyKind,
    ReorderPolicy,
    expiry_tier,
    fefo,
    month_end,
    order_quantity,
    usable_on,
)

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


@given(st.integers(1, 9998), st.integers(1, 12))
def test_the_day_after_a_month_end_is_the_first_of_the_next(year: int, month: int) -> None:
    after = month_end(year, month) + timedelta(days=1)
    assert (after.day, after.year * 12 + after.month) == (1, year * 12 + month + 1)


@given(st.integers(1, 9998))
def test_february_ends_on_the_29th_in_leap_years_only(year: int) -> None:
    assert month_end(year, 2).day == (29 if isleap(year) else 28)


@given(DAYS, DAYS)
def test_a_lot_once_expired_never_becomes_usable_again(expiry: date, day: date) -> None:
    if not usable_on(expiry, day):
        assert not usable_on(expiry, day + timedelta(days=1))
    assert usable_on(expiry, expiry)


@given(DAYS, DAYS)
def test_a_tier_only_tightens_as_days_pass(expiry: date, day: date) -> None:
    today, tomorrow = (expiry_tier(expiry, d) for d in (day, day + timedelta(days=1)))
    assert tomorrow is not None or today is None
    if today is not None and tomorrow is not None:
        assert tomorrow <= today


@given(DAYS, st.sampled_from(ExpiryTier))
def test_a_tier_is_reached_exactly_its_days_before(expiry: date, tier: ExpiryTier) -> None:
    assert expiry_tier(expiry, expiry - timedelta(days=int(tier))) is tier


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        location_id=st.sampled_from(["a", "b"]),
        lot=st.sampled_from(["L1", "L2", "L3"]),
        expiry=st.sampled_from([date(2027, 1, 31), date(2027, 6, 30)]),
        received=st.integers(1, 2),
        available_milli=st.integers(0, 12),
        step_milli=st.sampled_from([1, 2, 3, 4, 5]),
    ),
    max_size=5,
    unique_by=lambda c: (c.location_id, c.lot),
)


def brute_force(candidates: list[Candidate], wanted: int) -> tuple[Pick, ...] | None:
    """Try every choice of whole steps and keep the one that takes most from the earliest."""
    ranked = sorted(candidates, key=lambda c: (c.expiry, c.received, c.lot, c.location_id))
    takes = [range(0, c.available_milli + 1, c.step_milli) for c in ranked]
    feasible = [choice for choice in product(*takes) if sum(choice) == wanted]
    if not feasible:
        return None
    return tuple(
        Pick(c.location_id, c.lot, take)
        for c, take in zip(ranked, max(feasible), strict=True)
        if take
    )


@given(CANDIDATES, st.integers(1, 40))
def test_fefo_equals_the_best_of_all_choices(candidates: list[Candidate], wanted: int) -> None:
    best = brute_force(candidates, wanted)
    if best is None:
        with pytest.raises(NotEnough):
            fefo(candidates, wanted)
    else:
        assert fefo(candidates, wanted) == best


@given(CANDIDATES.flatmap(lambda c: st.tuples(st.just(c), st.permutations(c))), st.integers(1, 40))
def test_the_order_of_the_candidates_does_not_matter(
    orders: tuple[list[Candidate], list[Candidate]], wanted: int
) -> None:
    candidates, shuffled = orders
    try:
        picks = fefo(candidates, wanted)
    except NotEnough:
        with pytest.raises(NotEnough):
            fefo(shuffled, wanted)
    else:
        assert fefo(shuffled, wanted) == picks


@st.composite
def policies(draw: st.DrawFn) -> ReorderPolicy:
    kind = draw(st.sampled_from(PolicyKind))
    high = draw(st.integers(2, 10**6))
    low = {
        PolicyKind.PAR: high,
        PolicyKind.MIN_MAX: draw(st.integers(0, high - 1)),
        PolicyKind.NONE: 0,
    }[kind]
    return ReorderPolicy(
        kind,
        low,
        0 if kind is PolicyKind.NONE else high,
        draw(st.integers(1, 10**5)),
        draw(st.integers(1, 20)),
    )


POSITIONS = st.integers(-(10**6), 2 * 10**6)


@given(policies(), POSITIONS)
def test_an_order_is_whole_packs_and_reaches_the_target_with_none_to_spare(
    policy: ReorderPolicy, position: int
) -> None:
    advice = order_quantity(policy, position)
    assert advice.order_milli == advice.packs * policy.pack_milli
    if advice.packs:
        assert advice.packs >= policy.minimum_packs
        assert position + advice.order_milli >= policy.max_milli
        if advice.packs > policy.minimum_packs:
            assert position + advice.order_milli - policy.pack_milli < policy.max_milli


@given(policies(), POSITIONS)
def test_nothing_is_ordered_above_the_reorder_point(policy: ReorderPolicy, position: int) -> None:
    ordered = order_quantity(policy, position).packs > 0
    match policy.kind:
        case PolicyKind.PAR:
            assert ordered == (position < policy.max_milli)
        case PolicyKind.MIN_MAX:
            assert ordered == (position <= policy.min_milli)
        case PolicyKind.NONE:
            assert not ordered


@given(policies(), POSITIONS)
def test_an_order_that_counts_as_on_order_is_not_repeated(
    policy: ReorderPolicy, position: int
) -> None:
    advice = order_quantity(policy, position)
    assert order_quantity(policy, position + advice.order_milli).packs == 0
