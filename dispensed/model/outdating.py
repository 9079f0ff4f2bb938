"""Stock that will expire before it is used, and the life of a batch that leaves for that reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import ClassVar

from dispensed.errors import Conflict
from dispensed.model.planning import PlanningError
from dispensed.model.quantity import check_milli

# ---------------------------------------------------------------- risk of expiry


@dataclass(frozen=True, slots=True)
class DatedStock:
    """What lies here of one usable lot, in thousandths of its unit."""

    lot: str
    expiry: date
    milli: int


@dataclass(frozen=True, slots=True)
class LotAtRisk:
    """How much of a lot will be left after its last day when demand goes on as it was."""

    lot: str
    expiry: date
    milli: int
    at_risk_milli: int


def expiry_risk(
    stock: Iterable[DatedStock], *, daily: Fraction, today: date
) -> tuple[LotAtRisk, ...]:
    """Return what of each lot will outlive its demand, the earliest expiry first.

    The lots are used one after the other, first expiring first (ties by lot number), `daily`
    thousandths on each day from `today` on through the last day of the lot. A part of a thousandth
    that is not used counts as a whole one. A lot whose last day is over is at risk as a whole.
    Raises PlanningError for a negative demand.
    """
    if daily < 0:
        raise PlanningError(f"a demand of {daily} thousandths a day is not possible")
    used = Fraction(0)
    found: list[LotAtRisk] = []
    for each in sorted(stock, key=lambda one: (one.expiry, one.lot)):
        check_milli(each.milli)
        days = max(0, (each.expiry - today).days + 1)
        use = min(Fraction(each.milli), max(Fraction(0), daily * days - used))
        used += use
        found.append(LotAtRisk(each.lot, each.expiry, each.milli, each.milli - int(use)))
    return tuple(found)


# ---------------------------------------------------------------- batches


class BatchKind(StrEnum):
    """Where a batch goes: back to its supplier, to a reverse distributor, or into destruction."""

    RETURN = "return"
    REVERSE_DISTRIBUTOR = "reverse_distributor"
    DESTRUCTION = "destruction"


class BatchState(StrEnum):
    """State of a batch. Its lines change while it is open only."""

    OPEN = "open"
    SEALED = "sealed"
    SHIPPED = "shipped"
    DESTROYED = "destroyed"
    CREDITED = "credited"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class IllegalBatchStep(Conflict):
    """The batch does not go from its present state to the asked one."""

    code: ClassVar[str] = "illegal_batch_step"


_S = BatchState
_COMMON: Mapping[BatchState, frozenset[BatchState]] = {
    _S.OPEN: frozenset({_S.SEALED, _S.CANCELLED}),
    _S.SHIPPED: frozenset({_S.CREDITED, _S.CLOSED}),
    _S.DESTROYED: frozenset({_S.CLOSED}),
    _S.CREDITED: frozenset({_S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.CANCELLED: frozenset(),
}
_GOODS_SENT = MappingProxyType({**_COMMON, _S.SEALED: frozenset({_S.OPEN, _S.SHIPPED})})
_GOODS_DESTROYED = MappingProxyType({**_COMMON, _S.SEALED: frozenset({_S.OPEN, _S.DESTROYED})})
BATCH_STEPS: Mapping[BatchKind, Mapping[BatchState, frozenset[BatchState]]] = MappingProxyType(
    {
        BatchKind.RETURN: _GOODS_SENT,
        BatchKind.REVERSE_DISTRIBUTOR: _GOODS_SENT,
        BatchKind.DESTRUCTION: _GOODS_DESTROYED,
    }
)
"""What may follow each state of each kind of batch. A sealed batch may be opened again."""


def batch_step(kind: BatchKind, state: BatchState, to: BatchState) -> BatchState:
    """Return `to` when it may follow `state`; raises IllegalBatchStep."""
    if to not in BATCH_STEPS[kind][state]:
        raise IllegalBatchStep(f"a {kind} batch that is {state} cannot become {to}")
    return to


def form_needed(kind: BatchKind, schedules: Iterable[str]) -> str:
    """Return the DEA form ("222", "41") whose number a batch of these schedules needs, else "".

    Schedule II goes back on an order form of the one who gets it: 21 CFR 1305.03. Destruction of
    any controlled substance is recorded on Form 41: 21 CFR 1304.21(e). Schedules III to V go back
    with a record of the transfer, which the batch's document is: 21 CFR 1304.22(c).
    """
    controlled = {schedule for schedule in schedules if schedule != "none"}
    if kind is BatchKind.DESTRUCTION:
        return "41" if controlled else ""
    return "222" if "CII" in controlled else ""


def persons_needed(kind: BatchKind, schedules: Iterable[str]) -> int:
    """Return how many persons must have been there when the goods left.

    Two employees handle or observe it until the transfer to a reverse distributor is complete:
    21 CFR 1317.95(a); until the substance is non-retrievable: 21 CFR 1317.95(d). Else one.
    """
    controlled = any(schedule != "none" for schedule in schedules)
    return 2 if controlled and kind is not BatchKind.RETURN else 1
