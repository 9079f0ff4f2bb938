"""`python -m tests.benchmarks.diversion [--seeds N]`: how often a diverter is among the first 3.

A simulated hospital of 200 users over 90 days. Each works on a unit of its own habits, some float
over four; everybody has own habits too (who wastes, who overrides), a number of shifts and a
volume. One of them with more than 200 removals skims 5 % of the own removals, in one way, on top of
what an honest person of those habits does. The shares of honest work are guesses, not data.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from dispensed.model.diversion import ALARM_MILLI, Indicator, Tally, rank

USERS = 200
UNITS = 10
FLOATING = 0.15
SKIMMED = 0.05
WORKING = 200
FIRST = 3
HONEST: Mapping[str, tuple[float, Mapping[Indicator, float]]] = {
    "tablet": (
        0.45,
        {
            Indicator.OVERRIDES: 0.03,
            Indicator.NULLS: 0.02,
            Indicator.WASTES: 0.01,
            Indicator.WHOLE_WASTES: 0.006,
        },
    ),
    "syringe": (
        0.25,
        {
            Indicator.OVERRIDES: 0.06,
            Indicator.NULLS: 0.02,
            Indicator.WASTES: 0.30,
            Indicator.WHOLE_WASTES: 0.010,
        },
    ),
    "vial": (
        0.20,
        {
            Indicator.OVERRIDES: 0.09,
            Indicator.NULLS: 0.03,
            Indicator.WASTES: 0.60,
            Indicator.WHOLE_WASTES: 0.012,
        },
    ),
    "drip": (
        0.10,
        {
            Indicator.OVERRIDES: 0.12,
            Indicator.NULLS: 0.01,
            Indicator.WASTES: 0.40,
            Indicator.WHOLE_WASTES: 0.004,
        },
    ),
}
"""Share of the removals of a unit, and how often each thing happens in honest work."""
ANYWHERE = {Indicator.STILL_OPEN: 0.004, Indicator.DISCREPANCIES: 0.004}
TRACES: Mapping[str, tuple[Indicator, ...]] = {
    "false waste": (Indicator.WHOLE_WASTES,),
    "null transaction": (Indicator.NULLS,),
    "from the cell": (Indicator.DISCREPANCIES,),
    "all three": (Indicator.WHOLE_WASTES, Indicator.NULLS, Indicator.DISCREPANCIES),
}
"""What each way of skimming leaves behind."""
HIDDEN: Mapping[str, tuple[Indicator, ...]] = {"false dose": (Indicator.OVERRIDES,)}
"""A dose without an order that is recorded as given: little stands out, measured apart."""


@dataclass(frozen=True)
class Person:
    """One user: where, how much, and with which habits."""

    name: str
    units: Sequence[int]
    removals: int
    habits: Mapping[Indicator, float]


@dataclass(frozen=True)
class Outcome:
    """Where the diverter came; how many honest users are called out, by rank and by score."""

    place: int
    honest_first: int
    called: bool
    honest_called: int


def hits(rng: random.Random, trials: int, share: float) -> int:
    """Draw how often something of that share happens, by the gaps between."""
    if share <= 0:
        return 0
    found, at, step = 0, 0, log(1 - share)
    while (at := at + 1 + int(log(1 - rng.random()) / step)) <= trials:
        found += 1
    return found


def person(rng: random.Random, number: int) -> Person:
    """Make one user."""
    floats = rng.random() < FLOATING
    units = rng.sample(range(UNITS), 4) if floats else [number % UNITS]
    removals = int(rng.choice((18, 27, 36, 45, 60)) * rng.lognormvariate(2.4, 0.35))
    habits = {each: rng.lognormvariate(0, 0.25) for each in Indicator}
    return Person(f"user{number:03}", units, removals, habits)


def counts(
    rng: random.Random, removals: int, shares: Mapping[Indicator, float]
) -> Counter[Indicator]:
    """Draw what happened in honest work."""
    found = Counter({each: hits(rng, removals, min(0.9, p)) for each, p in shares.items()})
    found[Indicator.NOTHING_GIVEN] = found[Indicator.NULLS] + found[Indicator.WHOLE_WASTES]
    return found


def skim(rng: random.Random, found: Counter[Indicator], times: int, way: str) -> None:
    """Add the traces of so many stolen doses."""
    for _ in range(times):
        trace = rng.choice({**TRACES, **HIDDEN}[way])
        found[trace] += 1
        found[Indicator.WASTES] += trace is Indicator.WHOLE_WASTES
        found[Indicator.NOTHING_GIVEN] += trace in {Indicator.WHOLE_WASTES, Indicator.NULLS}


def quarter(seed: int, way: str) -> tuple[list[Tally], str]:
    """Simulate 90 days; returns what was counted, and who skims."""
    rng = random.Random(seed)
    manners = [{each: rng.lognormvariate(0, 0.35) for each in Indicator} for _ in range(UNITS)]
    people = [person(rng, number) for number in range(USERS)]
    thief = rng.choice([each for each in people if each.removals > WORKING])
    tallies = []
    for who in people:
        for unit in who.units:
            for item, (part, usual) in HONEST.items():
                removals = hits(rng, who.removals // len(who.units), part)
                shares = {
                    each: share * manners[unit][each] * who.habits[each]
                    for each, share in {**usual, **ANYWHERE}.items()
                }
                found = counts(rng, removals, shares)
                if who is thief:
                    skim(rng, found, hits(rng, removals, SKIMMED), way)
                capped = {each: min(removals, count) for each, count in found.items()}
                tallies.append(Tally(who.name, f"unit{unit}/{item}", removals, capped))
    return tallies, thief.name


def outcome(seed: int, way: str) -> Outcome:
    """Rank one simulated quarter."""
    tallies, thief = quarter(seed, way)
    standings = rank(tallies)
    his = next(each for each in standings if each.person == thief)
    honest = [each for each in standings if each.rank and each.person != thief]
    return Outcome(
        place=his.rank,
        honest_first=sum(each.rank <= FIRST for each in honest),
        called=his.score_milli > ALARM_MILLI,
        honest_called=sum(each.score_milli > ALARM_MILLI for each in honest),
    )


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(prog="diversion", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    given = parser.parse_args()
    started = time.process_time()
    for way in (*TRACES, *HIDDEN):
        seen = [outcome(seed, way) for seed in range(given.seeds)]
        first = sum(each.place <= FIRST for each in seen)
        worst = max(each.place for each in seen)
        honest = sum(each.honest_first for each in seen) / len(seen)
        called = sum(each.called for each in seen)
        false = sum(each.honest_called for each in seen) / len(seen)
        print(
            f"{way}: first {FIRST} in {first} of {len(seen)} seeds, worst place {worst};"
            f" {honest:.2f} honest users beside; score over {ALARM_MILLI / 1000:.0f}:"
            f" {called} diverters, {false:.2f} honest users of {USERS - 1} a seed"
        )
    print(f"{time.process_time() - started:.1f} s of CPU")


if __name__ == "__main__":
    main()
