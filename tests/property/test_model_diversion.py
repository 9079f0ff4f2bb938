"""Indicators against peers: arithmetic on small cases, and a diverter among 200 simulated users."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispensed.model.diversion import Finding, Indicator, Tally, rank
from tests.benchmarks import diversion

NULLS = Indicator.NULLS


def crowd(nulls: int, *, removals: int = 100) -> list[Tally]:
    """Nine persons with two returns of 100 removals each, and one with so many."""
    usual = [Tally(f"p{n}", "oxy@unit1", 100, {NULLS: 2}) for n in range(9)]
    return [*usual, Tally("x", "oxy@unit1", removals, {NULLS: nulls})]


def test_what_is_usual_is_the_share_of_the_others_in_the_same_stratum() -> None:
    first = rank(crowd(12))[0]
    # Peers: 18 of 900, so 2 of 100; deviation (12 - 2) / sqrt(100 * 0.02 * 0.98 + 1) = 5.812,
    # less the median of the others, and their spread is taken as one.
    assert (first.rank, first.person, first.removals) == (1, "x", 100)
    (found,) = first.findings
    assert (found.indicator, found.observed, found.usual_milli) == (NULLS, 12, 2000)
    assert 5812 <= found.deviation_milli <= 6500
    assert str(found) == "12 removals returned whole, peers 2.0"
    assert first.score_milli == found.deviation_milli - 500


def test_a_person_alone_in_a_stratum_is_compared_with_nobody_there() -> None:
    alone = Tally("x", "fentanyl@unit9", 200, {NULLS: 100})
    standing = next(each for each in rank([*crowd(2), alone]) if each.person == "x")
    assert (standing.removals, standing.findings) == (300, ())


def test_the_habits_of_a_unit_are_no_ground_for_suspicion() -> None:
    icu = [Tally(f"i{n}", "mor@icu", 100, {Indicator.WASTES: 60}) for n in range(10)]
    ward = [Tally(f"w{n}", "mor@ward", 100, {Indicator.WASTES: 5}) for n in range(10)]
    assert all(each.score_milli == 0 for each in rank([*icu, *ward]))


def test_persons_with_few_removals_follow_unranked() -> None:
    ranking = rank(crowd(40, removals=49))
    assert (ranking[-1].person, ranking[-1].rank, ranking[-1].findings) == ("x", 0, ())
    assert rank(crowd(40, removals=49), minimum=49)[0].person == "x"
    assert rank([]) == ()


def test_strongest_reasons_come_first() -> None:
    tallies = [
        Tally(f"p{n}", "oxy@unit1", 100, {NULLS: 2, Indicator.OVERRIDES: 3}) for n in range(9)
    ]
    odd = Tally("x", "oxy@unit1", 100, {NULLS: 9, Indicator.OVERRIDES: 30})
    found = rank([*tallies, odd])[0].findings
    assert [each.indicator for each in found] == [Indicator.OVERRIDES, NULLS]
    assert isinstance(found[0], Finding)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.sampled_from("xyz"), st.integers(1, 300), st.data()
        ),
        max_size=12,
    )
)
def test_everybody_appears_once_and_the_ranking_does_not_depend_on_the_order(
    drawn: list[tuple[str, str, int, st.DataObject]],
) -> None:
    tallies = [
        Tally(person, stratum, removals, {NULLS: data.draw(st.integers(0, removals))})
        for person, stratum, removals, data in drawn
    ]
    ranking = rank(tallies)
    volume: dict[str, int] = defaultdict(int)
    for each in tallies:
        volume[each.person] += each.removals
    assert {each.person: each.removals for each in ranking} == volume
    assert ranking == rank(tallies[::-1])
    ranks = [each.rank for each in ranking if each.rank]
    assert ranks == list(range(1, len(ranks) + 1))


@pytest.mark.parametrize(("way", "at_least"), [("false waste", 5), ("from the cell", 5)])
def test_a_diverter_who_skims_5_percent_is_among_the_first_3_of_200(
    way: str, at_least: int
) -> None:
    seen = [diversion.outcome(seed, way) for seed in range(5)]
    assert sum(each.place <= 3 for each in seen) >= at_least


@pytest.mark.parametrize("way", ["null transaction", "all three"])
def test_a_diverter_who_hides_better_is_among_the_first_3_of_200_four_times_of_five(
    way: str,
) -> None:
    seen = [diversion.outcome(seed, way) for seed in range(10)]
    assert sum(each.place <= 3 for each in seen) >= 8


def test_few_of_200_honest_users_are_called_out() -> None:
    seen = [diversion.outcome(seed, "false waste") for seed in range(5)]
    assert sum(each.honest_called for each in seen) / 5 <= 6
    assert all(each.honest_first == 2 for each in seen)
