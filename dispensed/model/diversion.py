"""Compares what each person did with controlled substances to what peers did; whole numbers only.

Each removal belongs to a stratum: one item at one place. What would be usual for a person is the
peers' share in the same strata, the person left out (indirect standardisation), so that a night
nurse of an intensive unit is not compared with a clinic. The distance from it, in its own standard
deviations, is then measured against the spread of all persons by median and MAD, which a few
outliers do not move. An indicator is a reason to look, never a proof.

Source of median, MAD and 1.4826: NIST/SEMATECH e-Handbook 1.3.5.6 and Iglewicz & Hoaglin (1993),
"How to Detect and Handle Outliers".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isqrt
from types import MappingProxyType

MINIMUM_REMOVALS = 50
"""Persons with fewer removals in the period are not ranked; see `controlled.indicator_minimum`."""
_PPM = 1_000_000
_MILLI = 1000
_CONSISTENT = 1483
"""Thousandths: the MAD of normal values times this is their standard deviation."""
_IGNORED = 500
"""Thousandths of a deviation that everybody shows; more than that counts towards the score."""
_NOTABLE = 2000
"""Thousandths of a deviation from which an indicator is named as a reason."""
ALARM_MILLI = 4000
"""A score above this asks for a look, whatever the rank; see the benchmark for how often."""


class Indicator(StrEnum):
    """What is counted for each person; every one is a share of the person's removals."""

    OVERRIDES = "overrides"
    NULLS = "nulls"
    WASTES = "wastes"
    WHOLE_WASTES = "whole_wastes"
    NOTHING_GIVEN = "nothing_given"
    STILL_OPEN = "still_open"
    DISCREPANCIES = "discrepancies"


WORDS: Mapping[Indicator, str] = MappingProxyType(
    {
        Indicator.OVERRIDES: "removals without an order",
        Indicator.NULLS: "removals returned whole",
        Indicator.WASTES: "removals with waste",
        Indicator.WHOLE_WASTES: "removals wasted whole",
        Indicator.NOTHING_GIVEN: "closed removals of which nothing was given",
        Indicator.STILL_OPEN: "removals not accounted for",
        Indicator.DISCREPANCIES: "shortages found after own access",
    }
)
"""What each indicator counts, for explanations."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one person did in one stratum; every count is of removals, at most `removals`."""

    person: str
    stratum: str
    removals: int
    counts: Mapping[Indicator, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One indicator of one person; `usual` is what peers would have had, in thousandths."""

    indicator: Indicator
    observed: int
    usual_milli: int
    deviation_milli: int

    def __str__(self) -> str:
        usual = f"{self.usual_milli // _MILLI}.{self.usual_milli % _MILLI // 100}"
        return f"{self.observed} {WORDS[self.indicator]}, peers {usual}"


@dataclass(frozen=True, slots=True)
class Standing:
    """One person in the ranking; `rank` 1 is the most unusual, 0 when there is too little to rank.

    `score_milli` joins the deviations of all indicators (root of the sum of squares of what exceeds
    half a standard deviation), in thousandths; `findings` are the notable ones, strongest first.
    """

    rank: int
    person: str
    removals: int
    score_milli: int
    findings: tuple[Finding, ...]


def rank(tallies: Iterable[Tally], *, minimum: int = MINIMUM_REMOVALS) -> tuple[Standing, ...]:
    """Rank persons by how unusual they are; those below `minimum` removals follow, unranked.

    Ties go by more removals, then by name, so the ranking is the same for the same tallies.
    """
    known = tuple(tallies)
    volume: dict[str, int] = defaultdict(int)
    for tally in known:
        volume[tally.person] += tally.removals
    ranked = [person for person in volume if volume[person] >= minimum]
    findings: dict[str, list[Finding]] = {person: [] for person in volume}
    for indicator in Indicator:
        raw = _raw(known, indicator)
        spread = _robust([raw[person].deviation_milli for person in ranked])
        for person in ranked:
            findings[person].append(spread.scaled(raw[person]))
    standings = [_standing(person, volume[person], findings[person]) for person in ranked]
    standings.sort(key=lambda each: (-each.score_milli, -each.removals, each.person))
    few = sorted(person for person in volume if volume[person] < minimum)
    return (
        *(replace(each, rank=place) for place, each in enumerate(standings, start=1)),
        *(Standing(0, person, volume[person], 0, ()) for person in few),
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """Median and scale of the deviations of all persons, in thousandths."""

    median: int
    scale: int

    def scaled(self, raw: Finding) -> Finding:
        deviation = (raw.deviation_milli - self.median) * _MILLI // self.scale
        return Finding(raw.indicator, raw.observed, raw.usual_milli, deviation)


def _raw(tallies: Sequence[Tally], indicator: Indicator) -> dict[str, Finding]:
    """Return observed, usual and deviation of each person, before the spread of all."""
    there: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for tally in tallies:
        sums = there[tally.stratum]
        sums[0] += tally.removals
        sums[1] += tally.counts.get(indicator, 0)
    mine: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for tally in tallies:
        own = tally.counts.get(indicator, 0)
        removals, count = there[tally.stratum]
        sums = mine[tally.person]
        if removals > tally.removals:
            share = (count - own) * _PPM // (removals - tally.removals)
            sums[0] += own
            sums[1] += tally.removals * share
            sums[2] += tally.removals * share * (_PPM - share)
    return {
        person: Finding(
            indicator,
            observed,
            usual * _MILLI // _PPM,
            (observed * _PPM - usual) * _MILLI // isqrt(variance + _PPM * _PPM),
        )
        for person, (observed, usual, variance) in mine.items()
    }


def _robust(deviations: Sequence[int]) -> _Spread:
    """Return median and MAD; a spread below one is one, for chance alone makes that much."""
    if not deviations:
        return _Spread(0, _MILLI)
    median = _median(deviations)
    mad = _median([abs(each - median) for each in deviations])
    return _Spread(median, max(_MILLI, mad * _CONSISTENT // _MILLI))


def _median(values: Sequence[int]) -> int:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[~middle]) // 2


def _standing(person: str, removals: int, findings: Sequence[Finding]) -> Standing:
    above = [max(0, each.deviation_milli - _IGNORED) for each in findings]
    notable = sorted(
        (each for each in findings if each.deviation_milli > _NOTABLE),
        key=lambda each: (-each.deviation_milli, each.indicator),
    )
    return Standing(0, person, removals, isqrt(sum(x * x for x in above)), tuple(notable))
