"""Counting stock: what to count when, what a count says, and when another person counts again.

A variance is counted less book at the instant of the count. It never overwrites a balance: the
ledger posts it as found or lost. Pure functions over numbers and instants.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.model.quantity import MILLI
from dispensed.model.weighing import WeighResult, weigh_check

PER_MILLE = 1000


class CountKind(StrEnum):
    """Why something is counted.

    By plan, without knowing the book, everything at a place, because of a discrepancy, or because
    a drawer was opened.
    """

    CYCLE = "cycle"
    BLIND = "blind"
    FULL = "full"
    DISCREPANCY = "discrepancy"
    ACCESS = "access"


class CountSource(StrEnum):
    """How a quantity became known: by hand, by a counting machine, by weight, by a device."""

    HAND = "hand"
    COUNTER = "counter"
    SCALE = "scale"
    SNAPSHOT = "snapshot"


class CountState(StrEnum):
    """Where a count task stands; SUBMITTED lasts only while a result is judged."""

    OPEN = "open"
    SUBMITTED = "submitted"
    RECOUNT = "recount"
    CLOSED = "closed"
    CANCELLED = "cancelled"

    @property
    def waits(self) -> bool:
        """Whether somebody still has to count."""
        return self in (CountState.OPEN, CountState.RECOUNT)


_NEXT: Mapping[CountState, frozenset[CountState]] = {
    CountState.OPEN: frozenset({CountState.SUBMITTED, CountState.CANCELLED}),
    CountState.SUBMITTED: frozenset({CountState.RECOUNT, CountState.CLOSED}),
    CountState.RECOUNT: frozenset({CountState.SUBMITTED, CountState.CANCELLED}),
    CountState.CLOSED: frozenset(),
    CountState.CANCELLED: frozenset(),
}


class CountClosed(Conflict):
    """The task waits for no count any more."""

    code: ClassVar[str] = "count_closed"


class SamePerson(Conflict):
    """A recount is made by somebody who has not counted for this task."""

    code: ClassVar[str] = "same_person"


class Uncountable(Invalid):
    """A weight cannot tell n pieces from n + 1, or a number of pieces makes no sense."""

    code: ClassVar[str] = "uncountable"


def check_transition(number: int, now: CountState, to: CountState) -> None:
    """Raise CountClosed unless task `number` may go from `now` to `to`."""
    if to not in _NEXT[now]:
        raise CountClosed(f"count {number} is {now}, it cannot become {to}")


# ---------------------------------------------------------------- when to count


class AbcClass(StrEnum):
    """Share in the usage value: A few items with most of it, C many with little."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class CountPolicy:
    """How often, how much at once, and how large a variance may be before another person counts.

    Days are whole days between two counts of an item at a place. A variance is large when it is
    more than `recount_milli`, or more than `recount_per_mille` of the book.
    """

    days_a: int = 30
    days_b: int = 90
    days_c: int = 180
    days_controlled: int = 30
    usage_days: int = 90
    share_a_per_mille: int = 800
    share_b_per_mille: int = 950
    tasks_max: int = 50
    hours_due: int = 24
    recount_milli: int = 5 * MILLI
    recount_per_mille: int = 50

    def interval(self, abc: AbcClass, *, controlled: bool) -> timedelta:
        """Return the time between two counts; never longer for a controlled drug than for A."""
        days = {AbcClass.A: self.days_a, AbcClass.B: self.days_b, AbcClass.C: self.days_c}[abc]
        if controlled:
            days = min(days, self.days_a, self.days_controlled)
        return timedelta(days=days)


@dataclass(frozen=True, slots=True)
class CountCell:
    """An item at a place that may be counted; `last` is the last count of all that lies there."""

    item_id: str
    location_id: str
    abc: AbcClass
    controlled: bool
    value: int
    last: datetime | None


def usage_value(milli: int, pack_milli: int, cost: int | None, typical_cost: int) -> int:
    """Return what was used in minor units of money; an item without a cost counts as typical."""
    return milli * (typical_cost if cost is None else cost) // pack_milli


def typical(costs: Iterable[int]) -> int:
    """Return the mean cost of a pack, 1 when none is known: then packs alone decide."""
    known = sorted(costs)
    return max(1, sum(known) // len(known)) if known else 1


def classify(values: Mapping[str, int], policy: CountPolicy) -> dict[str, AbcClass]:
    """Return the class of every item from its usage value.

    The items are taken by falling value (ties by id) until they make up `share_a_per_mille` of the
    total: those are A; until `share_b_per_mille`: B; the rest, and whatever was not used, is C.
    """
    total = sum(values.values())
    classes: dict[str, AbcClass] = {}
    before = 0
    for item_id, value in sorted(values.items(), key=lambda pair: (-pair[1], pair[0])):
        share = before * PER_MILLE
        if value <= 0 or share >= policy.share_b_per_mille * total:
            classes[item_id] = AbcClass.C
        elif share >= policy.share_a_per_mille * total:
            classes[item_id] = AbcClass.B
        else:
            classes[item_id] = AbcClass.A
        before += value
    return classes


def plan(
    cells: Iterable[CountCell], now: datetime, policy: CountPolicy
) -> tuple[tuple[CountCell, datetime], ...]:
    """Return what is due, most urgent first and at most `tasks_max`, each with its due instant.

    Due is what was never counted, or not within its interval. Controlled drugs come first; then
    what is late by the largest part of its interval, so that nothing is passed over for ever; then
    class, value, item and place.
    """
    found: list[tuple[tuple[object, ...], CountCell, datetime]] = []
    for cell in cells:
        interval = policy.interval(cell.abc, controlled=cell.controlled)
        due_at = now if cell.last is None else cell.last + interval
        if due_at > now:
            continue
        never = cell.last is None
        late = 0 if cell.last is None else (now - cell.last) * PER_MILLE // interval
        key = (not cell.controlled, not never, -late, cell.abc, -cell.value)
        found.append(((*key, cell.item_id, cell.location_id), cell, due_at))
    found.sort(key=lambda entry: entry[0])
    return tuple((cell, due_at) for _, cell, due_at in found[: policy.tasks_max])


# ---------------------------------------------------------------- what a count says


def needs_recount(
    variance_milli: int, book_milli: int, *, controlled: bool, policy: CountPolicy
) -> bool:
    """Say whether another person counts before anything is posted.

    Always for a variance of a controlled drug; else for one of more than `recount_milli` or of more
    than `recount_per_mille` of the book.
    """
    size = abs(variance_milli)
    if controlled:
        return size > 0
    return size > policy.recount_milli or (
        size * PER_MILLE > policy.recount_per_mille * max(book_milli, 0) and size > 0
    )


def weighed_pieces(
    *, net_ug: int, piece_ug: int, sd_ug: int, readability_ug: int
) -> tuple[int, int]:
    """Return the pieces that a net weight stands for and their standard uncertainty in thousandths.

    The estimate is that of `model.weighing`. Raises Uncountable when the weight cannot tell n
    pieces from n + 1; the text does not say what the book expects.
    """
    pieces = max(0, (2 * net_ug + piece_ug) // (2 * piece_ug)) if piece_ug > 0 else 0
    verdict = weigh_check(
        net_ug=net_ug,
        piece_ug=piece_ug,
        sd_ug=sd_ug,
        readability_ug=readability_ug,
        counted=pieces,
    )
    if verdict.result is not WeighResult.AGREES:
        raise Uncountable(
            f"{net_ug} ug is about {verdict.pieces} pieces of {piece_ug} ug with an uncertainty of"
            f" {verdict.uncertainty_milli_pieces} thousandths of a piece: too uncertain to tell one"
            " count from the next; weigh smaller portions or count by hand"
        )
    return verdict.pieces, verdict.uncertainty_milli_pieces


# ---------------------------------------------------------------- size of a discrepancy

MEASURED = ("snapshot", "count")
"""Causes that measured a place, the stronger first: what a device says it holds goes before a count
by hand, because it is asked again and again."""
WEIGHT = "weight:"
"""Causes that weighed one fill in the tray begin so; several may lie there."""


def standing_difference(causes: Mapping[str, int]) -> int:
    """Return found less book of a discrepancy from its open causes by kind: the measured one."""
    for kind in MEASURED:
        if kind in causes:
            return causes[kind]
    return sum(size for kind, size in causes.items() if kind.startswith(WEIGHT))


def unexplained(causes: Mapping[str, int]) -> int:
    """Return what happened without an order, a receipt or stock, booked or claimed already."""
    return sum(
        size
        for kind, size in causes.items()
        if kind not in MEASURED and not kind.startswith(WEIGHT)
    )
