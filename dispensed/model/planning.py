"""What to pick, what is too old and what to order: pure functions over numbers and dates."""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from math import gcd
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.model.quantity import check_milli, format_milli

# ---------------------------------------------------------------- expiry


def usable_on(expiry: date | None, day: date) -> bool:
    """Whether a lot of that expiry may be used on `day`, the site's date.

    The only place where expiry is decided: a lot is usable through the end of the day it names; an
    unknown expiry is never usable.
    """
    return expiry is not None and day <= expiry


def month_end(year: int, month: int) -> date:
    """Return the last day of a month: what an expiry without a day (MM/YYYY, GS1 day 00) means.

    Raises PlanningError for a month or year that does not exist.
    """
    try:
        return date(year, month, monthrange(year, month)[1])
    except ValueError as error:
        raise PlanningError(f"no such month: {year}-{month:02d}") from error


class ExpiryTier(IntEnum):
    """Days left at which a lot is flagged, once per tier; D0 is its last day of use or later."""

    D180 = 180
    D90 = 90
    D60 = 60
    D30 = 30
    D0 = 0


def expiry_tier(expiry: date, day: date) -> ExpiryTier | None:
    """Return the tightest tier a lot has reached on `day`, None with more than 180 days left."""
    tier = tier_reached(expiry, day, ExpiryTier)
    return None if tier is None else ExpiryTier(tier)


def tier_reached(expiry: date, day: date, tiers: Iterable[int]) -> int | None:
    """Return the tightest of `tiers` (days left) that a lot has reached on `day`, else None."""
    left = (expiry - day).days
    return min((tier for tier in tiers if left <= tier), default=None)


# ---------------------------------------------------------------- first expired, first out

FEFO_GRAINS_MAX = 2_000_000
"""Largest pick planned when whole packs do not fit at once, in grains; bounds the memory."""


class PlanningError(Invalid):
    """Numbers that make no plan: a bad policy, candidate or month."""

    code: ClassVar[str] = "bad_plan"


class NotEnough(Conflict):
    """The usable stock cannot give exactly the wanted quantity."""

    code: ClassVar[str] = "not_enough_stock"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Stock of one usable lot at one location.

    `received` orders lots of one expiry: lower came first. `step_milli` is the least that leaves
    there at once (a full pack for a robot, one piece for a counter).
    """

    location_id: str
    lot: str
    expiry: date
    received: int
    available_milli: int
    step_milli: int = 1

    def __post_init__(self) -> None:
        check_milli(self.available_milli)
        if self.step_milli <= 0:
            raise PlanningError(f"lot {self.lot}: a step of {self.step_milli} is not possible")


@dataclass(frozen=True, slots=True)
class Pick:
    """Take `milli` of one lot at one location."""

    location_id: str
    lot: str
    milli: int


def fefo(candidates: Iterable[Candidate], wanted_milli: int) -> tuple[Pick, ...]:
    """Choose the earliest-expiring stock that gives exactly `wanted_milli`.

    Of all feasible choices it takes the most from the earliest lot, then the most from the next,
    and so on; ties of expiry go by receipt, then lot, then location. The caller passes only usable
    lots. Raises NotEnough when no choice gives exactly that quantity.
    """
    check_milli(wanted_milli)
    if wanted_milli == 0:
        raise PlanningError("nothing is wanted")
    ranked = sorted(candidates, key=lambda c: (c.expiry, c.received, c.lot, c.location_id))
    takes = _take_greedily(ranked, wanted_milli)
    if sum(takes) < wanted_milli:
        takes = _take_exactly(ranked, wanted_milli)
    return tuple(
        Pick(candidate.location_id, candidate.lot, take)
        for candidate, take in zip(ranked, takes, strict=True)
        if take
    )


def _take_greedily(ranked: Sequence[Candidate], wanted_milli: int) -> list[int]:
    """Take what fits from each in turn; the best choice whenever it ends at `wanted_milli`."""
    left = wanted_milli
    takes: list[int] = []
    for candidate in ranked:
        fits = min(candidate.available_milli, left)
        takes.append(fits - fits % candidate.step_milli)
        left -= takes[-1]
    return takes


def _take_exactly(ranked: Sequence[Candidate], wanted_milli: int) -> list[int]:
    """Choose when whole steps force less from an early lot: a bounded knapsack over bit sets.

    Bit n of `reachable[i]` says that candidates from i on can give exactly n grains, a grain being
    the greatest common divisor of the steps.
    """
    usable = sum(c.available_milli - c.available_milli % c.step_milli for c in ranked)
    if usable < wanted_milli:
        raise NotEnough(f"{format_milli(usable)} usable, {format_milli(wanted_milli)} wanted")
    grain = gcd(*(c.step_milli for c in ranked))
    wanted, rest = divmod(wanted_milli, grain)
    if wanted > FEFO_GRAINS_MAX:
        raise PlanningError(
            f"{format_milli(wanted_milli)} is too much to plan in steps of {format_milli(grain)}"
        )
    steps = [c.step_milli // grain for c in ranked]
    times = [min(c.available_milli // c.step_milli, wanted_milli // c.step_milli) for c in ranked]
    reachable = [1]
    for step, most in zip(reversed(steps), reversed(times), strict=True):
        reachable.append(_spread(reachable[-1], step, most) & ((2 << wanted) - 1))
    reachable.reverse()
    if rest or not reachable[0] >> wanted & 1:
        raise NotEnough(
            f"{format_milli(usable)} usable, but whole packs do not add up to "
            f"{format_milli(wanted_milli)}"
        )
    takes: list[int] = []
    for step, most, after in zip(steps, times, reachable[1:], strict=True):
        fits = min(most, wanted // step)
        possible = after >> (wanted - fits * step) & _spread(1, step, fits)
        take = fits * step - ((possible & -possible).bit_length() - 1)
        takes.append(take * grain)
        wanted -= take
    return takes


def _spread(bits: int, step: int, times: int) -> int:
    """Return the union of `bits` shifted left by 0, 1, ... `times` steps."""
    done = 0
    while done < times:
        more = min(done + 1, times - done)
        bits |= bits << more * step
        done += more
    return bits


# ---------------------------------------------------------------- reorder


class PolicyKind(StrEnum):
    """PAR: back up to a level whenever below it. MIN_MAX: (s,S). NONE: do not stock."""

    PAR = "par"
    MIN_MAX = "min_max"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ReorderPolicy:
    """When and up to what level one item is ordered, in thousandths of its unit.

    PAR: `min_milli` == `max_milli` == the level, orders when the position is below it. MIN_MAX:
    orders when the position is at or below `min_milli` (s), up to `max_milli` (S). NONE: both 0,
    never orders.
    """

    kind: PolicyKind
    min_milli: int
    max_milli: int
    pack_milli: int
    minimum_packs: int = 1

    def __post_init__(self) -> None:
        check_milli(self.min_milli)
        check_milli(self.max_milli)
        check_milli(self.pack_milli)
        if self.pack_milli == 0 or self.minimum_packs < 1:
            raise PlanningError(
                f"pack of {format_milli(self.pack_milli)}, minimum order {self.minimum_packs} packs"
            )
        low, high = self.min_milli, self.max_milli
        fits = {
            PolicyKind.PAR: 0 < low == high,
            PolicyKind.MIN_MAX: low < high,
            PolicyKind.NONE: low == high == 0,
        }
        if not fits[self.kind]:
            raise PlanningError(
                f"policy {self.kind} with min {format_milli(low)} and max {format_milli(high)}"
            )


@dataclass(frozen=True, slots=True)
class OrderAdvice:
    """What to order and the numbers that led there; `packs` 0 means nothing is to be ordered."""

    kind: PolicyKind
    position_milli: int
    trigger_milli: int
    target_milli: int
    missing_milli: int
    pack_milli: int
    minimum_packs: int
    packs: int
    order_milli: int


def inventory_position(*, usable_milli: int, on_order_milli: int, owed_milli: int) -> int:
    """Return usable on hand + on order - owed; may be negative. Blocked stock does not count."""
    return usable_milli + on_order_milli - owed_milli


def order_quantity(policy: ReorderPolicy, position_milli: int) -> OrderAdvice:
    """Decide what to order at a position: whole packs, rounded up, at least the minimum order."""
    due = {
        PolicyKind.PAR: position_milli < policy.min_milli,
        PolicyKind.MIN_MAX: position_milli <= policy.min_milli,
        PolicyKind.NONE: False,
    }[policy.kind]
    missing = policy.max_milli - position_milli if due else 0
    packs = max(-(-missing // policy.pack_milli), policy.minimum_packs) if due else 0
    return OrderAdvice(
        kind=policy.kind,
        position_milli=position_milli,
        trigger_milli=policy.min_milli,
        target_milli=policy.max_milli,
        missing_milli=missing,
        pack_milli=policy.pack_milli,
        minimum_packs=policy.minimum_packs,
        packs=packs,
        order_milli=packs * policy.pack_milli,
    )
