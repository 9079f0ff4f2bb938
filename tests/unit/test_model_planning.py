"""Expiry, first expired first out, and reordering."""

from datetime import date

import pytest

from dispensed.model.planning import (
    Candidate,
    ExpiryTier,
    NotEnough,
    OrderAdvice,
    Pick,
    PlanningError,
    PolicyKind,
    ReorderPolicy,
    expiry_tier,
    fefo,
    inventory_position,
    month_end,
    order_quantity,
    usable_on,
)
from dispensed.model.quantity import QuantityError


class TestExpiry:
    def test_a_lot_is_usable_through_the_end_of_its_day(self) -> None:
        assert usable_on(date(2027, 3, 31), date(2027, 3, 31))
        assert not usable_on(date(2027, 3, 31), date(2027, 4, 1))

    def test_an_unknown_expiry_is_never_usable(self) -> None:
        assert not usable_on(None, date(2027, 3, 31))

    @pytest.mark.parametrize(
        ("year", "month", "day"),
        [(2027, 1, 31), (2027, 2, 28), (2028, 2, 29), (2100, 2, 28), (2027, 4, 30), (2027, 12, 31)],
    )
    def test_a_month_ends_on_its_last_day(self, year: int, month: int, day: int) -> None:
        assert month_end(year, month) == date(year, month, day)

    @pytest.mark.parametrize(("year", "month"), [(2027, 0), (2027, 13), (0, 1), (10_000, 1)])
    def test_a_month_that_does_not_exist_is_refused(self, year: int, month: int) -> None:
        with pytest.raises(PlanningError, match="no such month"):
            month_end(year, month)

    @pytest.mark.parametrize(
        ("expiry", "tier"),
        [
            (date(2027, 6, 30), None),
            (date(2027, 6, 29), ExpiryTier.D180),
            (date(2027, 4, 1), ExpiryTier.D180),
            (date(2027, 3, 31), ExpiryTier.D90),
            (date(2027, 3, 1), ExpiryTier.D60),
            (date(2027, 1, 30), ExpiryTier.D30),
            (date(2027, 1, 1), ExpiryTier.D30),
            (date(2026, 12, 31), ExpiryTier.D0),
            (date(2026, 1, 1), ExpiryTier.D0),
        ],
    )
    def test_a_lot_reaches_each_tier_on_its_day(
        self, expiry: date, tier: ExpiryTier | None
    ) -> None:
        assert expiry_tier(expiry, date(2026, 12, 31)) is tier


EARLY, LATE = date(2027, 1, 31), date(2027, 6, 30)


class TestFefo:
    def test_the_earliest_expiring_lot_goes_first(self) -> None:
        picks = fefo(
            [
                Candidate("shelf/B", "L2", LATE, 1, 100_000),
                Candidate("shelf/A", "L1", EARLY, 2, 20_000),
            ],
            30_000,
        )
        assert picks == (Pick("shelf/A", "L1", 20_000), Pick("shelf/B", "L2", 10_000))

    def test_of_one_expiry_the_first_received_goes_first_then_lot_then_location(self) -> None:
        candidates = [
            Candidate("shelf/A", "L9", EARLY, 2, 1_000),
            Candidate("shelf/B", "L8", EARLY, 1, 1_000),
            Candidate("shelf/D", "L7", EARLY, 1, 1_000),
            Candidate("shelf/C", "L7", EARLY, 1, 1_000),
        ]
        assert [(pick.location_id, pick.lot) for pick in fefo(candidates, 4_000)] == [
            ("shelf/C", "L7"),
            ("shelf/D", "L7"),
            ("shelf/B", "L8"),
            ("shelf/A", "L9"),
        ]

    def test_lots_that_are_not_needed_are_not_named(self) -> None:
        candidates = [
            Candidate("shelf/A", "L0", EARLY, 1, 0),
            Candidate("shelf/A", "L1", EARLY, 2, 90_000),
            Candidate("shelf/A", "L2", LATE, 3, 90_000),
        ]
        assert fefo(candidates, 30_000) == (Pick("shelf/A", "L1", 30_000),)

    def test_too_little_stock_is_refused_with_both_numbers(self) -> None:
        with pytest.raises(NotEnough, match="20 usable, 30 wanted"):
            fefo([Candidate("shelf/A", "L1", EARLY, 1, 20_000)], 30_000)
        with pytest.raises(NotEnough, match="0 usable, 30 wanted"):
            fefo([], 30_000)

    def test_whole_packs_that_do_not_add_up_are_refused(self) -> None:
        with pytest.raises(NotEnough, match="120 usable, but whole packs do not add up to 45"):
            fefo([Candidate("robot1", "L1", EARLY, 1, 120_000, step_milli=30_000)], 45_000)
        with pytest.raises(NotEnough, match="whole packs do not add up to 70"):
            fefo(
                [
                    Candidate("robot1", "L1", EARLY, 1, 60_000, step_milli=60_000),
                    Candidate("robot1", "L2", LATE, 1, 40_000, step_milli=40_000),
                ],
                70_000,
            )

    def test_an_early_lot_gives_less_when_only_then_the_packs_add_up(self) -> None:
        picks = fefo(
            [
                Candidate("robot1", "L1", EARLY, 1, 90_000, step_milli=30_000),
                Candidate("robot1", "L2", LATE, 2, 100_000, step_milli=50_000),
            ],
            110_000,
        )
        assert picks == (Pick("robot1", "L1", 60_000), Pick("robot1", "L2", 50_000))

    def test_an_early_lot_is_left_alone_when_none_of_it_fits(self) -> None:
        picks = fefo(
            [
                Candidate("robot1", "L1", EARLY, 1, 60_000, step_milli=60_000),
                Candidate("robot1", "L2", LATE, 2, 100_000, step_milli=50_000),
            ],
            100_000,
        )
        assert picks == (Pick("robot1", "L2", 100_000),)

    def test_an_opened_remainder_below_a_pack_does_not_count(self) -> None:
        with pytest.raises(NotEnough, match="30 usable, 40 wanted"):
            fefo([Candidate("robot1", "L1", EARLY, 1, 45_000, step_milli=30_000)], 40_000)

    def test_a_pick_too_large_to_plan_exactly_is_refused(self) -> None:
        candidates = [
            Candidate("a", "L1", EARLY, 1, 3_000_000_000, step_milli=1_000_000_000),
            Candidate("b", "L2", LATE, 1, 3_000_000_003, step_milli=3),
        ]
        with pytest.raises(PlanningError, match=r"2000001 is too much to plan in steps of 0\.001"):
            fefo(candidates, 2_000_001_000)

    def test_nothing_or_less_is_not_picked(self) -> None:
        with pytest.raises(PlanningError, match="nothing is wanted"):
            fefo([], 0)
        with pytest.raises(QuantityError):
            fefo([], -1)

    def test_a_candidate_needs_a_real_step_and_quantity(self) -> None:
        with pytest.raises(PlanningError, match="step of 0"):
            Candidate("a", "L1", EARLY, 1, 1_000, step_milli=0)
        with pytest.raises(QuantityError):
            Candidate("a", "L1", EARLY, 1, -1)


class TestReorder:
    def test_par_orders_up_to_the_level_when_below_it(self) -> None:
        policy = ReorderPolicy(PolicyKind.PAR, 240_000, 240_000, 30_000)
        assert order_quantity(policy, 239_000) == OrderAdvice(
            kind=PolicyKind.PAR,
            position_milli=239_000,
            trigger_milli=240_000,
            target_milli=240_000,
            missing_milli=1_000,
            pack_milli=30_000,
            minimum_packs=1,
            packs=1,
            order_milli=30_000,
        )

    def test_par_orders_nothing_at_the_level(self) -> None:
        policy = ReorderPolicy(PolicyKind.PAR, 240_000, 240_000, 30_000)
        assert order_quantity(policy, 240_000).packs == 0

    @pytest.mark.parametrize(
        ("position", "packs"),
        [(300_001, 0), (300_000, 6), (299_999, 7), (0, 9), (-150_000, 11), (900_000, 0)],
    )
    def test_min_max_orders_up_to_max_at_or_below_min(self, position: int, packs: int) -> None:
        policy = ReorderPolicy(PolicyKind.MIN_MAX, 300_000, 900_000, 100_000)
        advice = order_quantity(policy, position)
        assert (advice.packs, advice.order_milli) == (packs, packs * 100_000)

    def test_the_minimum_order_is_kept(self) -> None:
        policy = ReorderPolicy(PolicyKind.PAR, 160_000, 160_000, 20_000, minimum_packs=4)
        assert order_quantity(policy, 150_000).packs == 4
        assert order_quantity(policy, 0).packs == 8

    def test_an_item_that_is_not_stocked_is_never_ordered(self) -> None:
        advice = order_quantity(ReorderPolicy(PolicyKind.NONE, 0, 0, 100_000), -500_000)
        assert (advice.packs, advice.order_milli, advice.missing_milli) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("kind", "low", "high"),
        [
            (PolicyKind.PAR, 0, 0),
            (PolicyKind.PAR, 1, 2),
            (PolicyKind.MIN_MAX, 5, 5),
            (PolicyKind.MIN_MAX, 6, 5),
            (PolicyKind.NONE, 0, 1),
        ],
    )
    def test_a_policy_that_contradicts_itself_is_refused(
        self, kind: PolicyKind, low: int, high: int
    ) -> None:
        with pytest.raises(PlanningError, match=f"policy {kind}"):
            ReorderPolicy(kind, low, high, 1_000)

    @pytest.mark.parametrize(("pack", "minimum"), [(0, 1), (1_000, 0)])
    def test_a_policy_without_a_pack_or_with_no_minimum_is_refused(
        self, pack: int, minimum: int
    ) -> None:
        with pytest.raises(PlanningError, match="minimum order"):
            ReorderPolicy(PolicyKind.PAR, 1_000, 1_000, pack, minimum)

    def test_a_negative_level_is_refused(self) -> None:
        with pytest.raises(QuantityError):
            ReorderPolicy(PolicyKind.MIN_MAX, -1, 5, 1_000)

    def test_the_position_counts_what_is_on_order_and_what_is_owed(self) -> None:
        position = inventory_position(
            usable_milli=100_000, on_order_milli=200_000, owed_milli=330_000
        )
        assert position == -30_000
