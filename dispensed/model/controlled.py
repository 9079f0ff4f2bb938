"""Rules for controlled substances, by DEA schedule; pure functions, no clock.

What was read, and when it was in force: 21 CFR 1304.21(a), (d) and (e) (current web edition);
1305.12, 1305.13, 1305.17 (edition before 2019) and the final rule on the single-sheet form, 84 FR
51368 (30 September 2019); 1305.21 and 1305.22 (edition of 1 April 2019); 1301.76(b) through the
final rule 88 FR 40707 (in force since 24 July 2023); the predecessor of 1304.11(e) of 1971, whose
words on counting state boards repeat today; Form 106 (OMB 1117-0001) and Form 41 (OMB 1117-0007).
The present text of 1304.04 and 1304.11 themselves could not be read: their numbers stand below as
constants with that section named, and what may differ by state is a setting.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Self

from dispensed.errors import Conflict, Invalid
from dispensed.model.catalog import Schedule
from dispensed.model.quantity import MILLI, Unit, format_milli
from dispensed.model.workdays import business_day_after

BIENNIAL_YEARS = 2
"""An inventory is due within two years of the last one. Source: 21 CFR 1304.11(c)."""
RECORDS_KEPT_YEARS = 2
"""Records stay available at least so long. Source: 21 CFR 1304.04(a); 1305.17(c) for forms."""
EXACT_CONTAINER_MILLI = 1000 * MILLI
"""An opened container that holds more than so much is counted exactly. Source: 1304.11(e)."""
WITNESS_MAX_S = 120
"""Most seconds between a stated waste and its witness: the house's invariant, not a law.

The witness of wastage is not prescribed by 21 CFR 1317 (which is about inventory); it is a rule of
states and facilities. The setting `controlled.witness_timeout_s` may only be shorter.
"""
NOTICE_BUSINESS_DAYS = 1
"""A theft or significant loss is told to the field office in writing within one business day of
discovery. Source: 21 CFR 1301.76(b), 88 FR 40707."""
FORM_106_DAYS = 45
"""Form 106 is sent electronically within 45 days of discovery. Source: 1301.76(b), as above."""
FORM_222_VALID_DAYS = 60
"""An order form may be filled within 60 days of its date. Source: 21 CFR 1305.13(b)."""
PAPER_FORM_PATTERN = r"[0-9]{9}"
"""How the printed number of a Form 222 looks. The rules only say that DEA numbers the forms; the
setting `controlled.order_form_pattern` replaces this."""
_CSOS_NUMBER = re.compile(r"[0-9]{2}X[0-9A-Z]{6}")


class WitnessTooLate(Conflict):
    """The waste was stated too long ago, or not yet; it has to be stated again."""

    code: ClassVar[str] = "witness_too_late"


class WitnessIsAuthor(Conflict):
    """The witness is the person who stated the waste."""

    code: ClassVar[str] = "witness_is_author"


class EstimateRefused(Invalid):
    """This stock has to be counted exactly."""

    code: ClassVar[str] = "estimate_refused"


class MoreThanOpen(Conflict):
    """More is given, returned or wasted than is open of a removal."""

    code: ClassVar[str] = "more_than_open"


class BadOrderForm(Invalid):
    """The number is neither that of a Form 222 nor that of an electronic order."""

    code: ClassVar[str] = "bad_order_form"


class CountMethod(StrEnum):
    """How an amount was found for an inventory."""

    EXACT = "exact"
    ESTIMATED = "estimated"


class InventoryKind(StrEnum):
    """Why an inventory is taken. Source: 21 CFR 1304.11(b), (c) and (d)."""

    INITIAL = "initial"
    BIENNIAL = "biennial"
    NEWLY_SCHEDULED = "newly_scheduled"


class Moment(StrEnum):
    """As of which end of the business day an inventory stands; the record says which."""

    OPENING = "opening"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """What the law and the house ask for items of one schedule.

    `always_exact`: opened containers are counted, never estimated (1304.11(e)). `order_form`: a
    receipt needs a Form 222 or electronic order (1305.03). `kept_apart`: records separate from all
    others (1304.04(h)). `perpetual`: the running record is part of the daily work; the law asks no
    registrant for one (1304.21(a)), facilities do for schedule II. `witness`: waste needs one.
    """

    always_exact: bool
    order_form: bool
    kept_apart: bool
    perpetual: bool
    witness: bool


_LOWER = ScheduleRule(
    always_exact=False, order_form=False, kept_apart=False, perpetual=False, witness=True
)
RULES: Mapping[Schedule, ScheduleRule] = MappingProxyType(
    {
        Schedule.NONE: ScheduleRule(
            always_exact=False, order_form=False, kept_apart=False, perpetual=False, witness=False
        ),
        Schedule.CII: ScheduleRule(
            always_exact=True, order_form=True, kept_apart=True, perpetual=True, witness=True
        ),
        Schedule.CIII: _LOWER,
        Schedule.CIV: _LOWER,
        Schedule.CV: _LOWER,
    }
)
"""The rules by schedule."""


@dataclass(frozen=True, slots=True)
class Registrant:
    """Who reports, as Form 106 asks: name, address, registration number, business, county."""

    name: str = ""
    address: str = ""
    phone: str = ""
    dea_number: str = ""
    business: str = "Pharmacy"
    county: str = ""


@dataclass(frozen=True, slots=True)
class ControlledOptions:
    """What states and facilities decide for themselves; see the section `controlled`."""

    witness_timeout_s: int = WITNESS_MAX_S
    inventory_signatures: int = 2
    opening_without_form: bool = True
    order_form_pattern: str = PAPER_FORM_PATTERN
    vault: str = "vault"
    compare_hours: int = 24
    indicator_minimum: int = 50
    registrant: Registrant = Registrant()


# ---------------------------------------------------------------- inventories


def check_method(
    schedule: Schedule, method: CountMethod, *, container_milli: int | None, unit: Unit
) -> None:
    """Raise EstimateRefused where an exact count is asked for.

    `container_milli` is how much the largest opened container holds when full, None when it is not
    known; an unknown one is taken for a large one. The limit is one of tablets or capsules, so it
    binds items counted in EA only. Source: 21 CFR 1304.11(e).
    """
    if method is CountMethod.EXACT:
        return
    if RULES[schedule].always_exact:
        raise EstimateRefused(f"schedule {schedule} is counted exactly, not estimated")
    if unit is not Unit.EA:
        return
    if container_milli is None:
        raise EstimateRefused("an estimate says how much the opened container holds when full")
    if container_milli > EXACT_CONTAINER_MILLI:
        raise EstimateRefused(
            f"a container of {format_milli(container_milli)} {unit}, more than"
            f" {format_milli(EXACT_CONTAINER_MILLI)}, is counted exactly"
        )


def next_inventory_due(last: date) -> date:
    """Return the last day on which the next inventory may be taken: two years after the last."""
    year = last.year + BIENNIAL_YEARS
    if (last.month, last.day) == (2, 29):
        return date(year, 2, 28)
    return last.replace(year=year)


# ---------------------------------------------------------------- custody


class StepKind(StrEnum):
    """What became of a part of a removal."""

    GIVEN = "given"
    RETURNED = "returned"
    WASTED = "wasted"


@dataclass(frozen=True, slots=True)
class Custody:
    """What became of one removal, in thousandths; nothing may be negative or exceed `issued`."""

    issued: int
    given: int
    returned: int
    wasted: int

    @property
    def outstanding(self) -> int:
        """How much is still in the person's hand."""
        return self.issued - self.given - self.returned - self.wasted

    @property
    def is_closed(self) -> bool:
        """Whether issued = given + returned + wasted."""
        return self.outstanding == 0

    @property
    def is_null(self) -> bool:
        """Whether it came back whole: a null transaction."""
        return self.returned == self.issued

    def after(self, kind: StepKind, milli: int) -> Self:
        """Return how it stands after a step; see `check_step`."""
        if kind is StepKind.GIVEN:
            return replace(self, given=self.given + milli)
        if kind is StepKind.RETURNED:
            return replace(self, returned=self.returned + milli)
        return replace(self, wasted=self.wasted + milli)


def check_step(custody: Custody, milli: int, unit: Unit) -> None:
    """Raise MoreThanOpen when a step takes more than is outstanding."""
    if milli > custody.outstanding:
        raise MoreThanOpen(
            f"{format_milli(custody.outstanding)} {unit} of {format_milli(custody.issued)} {unit}"
            f" are open, {format_milli(milli)} {unit} stated"
        )


def check_witness(
    *, stated_by: str, stated_at: datetime, witness: str, at: datetime, limit_s: int
) -> None:
    """Raise WitnessIsAuthor or WitnessTooLate unless another person confirms in time.

    The amount is known from `stated_at` on; the witness confirms it at `at`, at most `limit_s`
    seconds later and never more than WITNESS_MAX_S.
    """
    if witness.strip().casefold() == stated_by.strip().casefold():
        raise WitnessIsAuthor(f"{stated_by} stated the waste; another person is its witness")
    late = at - stated_at
    if not timedelta(0) <= late <= timedelta(seconds=min(limit_s, WITNESS_MAX_S)):
        raise WitnessTooLate(
            f"the waste was stated {late.total_seconds():.0f} s before, at most"
            f" {min(limit_s, WITNESS_MAX_S)} s are allowed; state it again"
        )


# ---------------------------------------------------------------- thefts and losses


class LossCause(StrEnum):
    """Type of theft or loss as Form 106 lists them (OMB 1117-0001, item 10)."""

    NIGHT_BREAK_IN = "night_break_in"
    ARMED_ROBBERY = "armed_robbery"
    EMPLOYEE_PILFERAGE = "employee_pilferage"
    CUSTOMER_THEFT = "customer_theft"
    LOST_IN_TRANSIT = "lost_in_transit"
    OTHER = "other"


def notice_due(discovered: date) -> date:
    """Return the last day for the written notice to the field office (21 CFR 1301.76(b))."""
    return business_day_after(discovered, NOTICE_BUSINESS_DAYS)


def form_106_due(discovered: date) -> date:
    """Return the last day for Form 106: 45 calendar days after discovery (21 CFR 1301.76(b))."""
    return discovered + timedelta(days=FORM_106_DAYS)


# ---------------------------------------------------------------- order forms


class OrderKind(StrEnum):
    """How a schedule II order was written."""

    PAPER = "form_222"
    ELECTRONIC = "csos"


def order_kind(number: str, paper_pattern: str = PAPER_FORM_PATTERN) -> OrderKind:
    """Say whether a number is of an electronic order or of a paper form; raises BadOrderForm.

    An electronic order is numbered with the last two digits of the year, X, and six characters of
    the purchaser's choice (21 CFR 1305.21(b)(1)); capital letters and digits are taken.
    """
    if _CSOS_NUMBER.fullmatch(number):
        return OrderKind.ELECTRONIC
    if re.fullmatch(paper_pattern, number):
        return OrderKind.PAPER
    raise BadOrderForm(
        f"order form {number[:40]!r} is neither 9 characters such as 26X00A1B2 nor a Form 222"
        f" number ({paper_pattern})"
    )


def order_form_valid_until(ordered: date) -> date:
    """Return the last day on which a supplier may fill the form (21 CFR 1305.13(b))."""
    return ordered + timedelta(days=FORM_222_VALID_DAYS)


# ---------------------------------------------------------------- vault and cabinets


@dataclass(frozen=True, slots=True)
class Passage:
    """One movement out of the vault, into a cabinet, or back; `location_id` is the other end."""

    movement_id: int
    item_id: str
    lot: str
    location_id: str
    milli: int
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A passage, and how much of it nothing answers on the other side."""

    passage: Passage
    milli: int


def compare_passages(
    issues: Sequence[Passage],
    loads: Sequence[Passage],
    within: timedelta,
    *,
    returns: Sequence[Passage] = (),
) -> tuple[tuple[Unmatched, ...], tuple[Unmatched, ...]]:
    """Match what left the vault with what entered cabinets, oldest first, per item and lot.

    A load answers issues that happened at most `within` before it, not after it. So does a return
    to the vault, of issues to the place it came back from (its `location_id`). Returns the
    unanswered parts of issues and of loads, each in order of time.
    """
    left = {issue.movement_id: issue.milli for issue in issues}
    waiting: dict[tuple[str, str], list[Passage]] = {}
    for issue in sorted(issues, key=_by_time):
        waiting.setdefault((issue.item_id, issue.lot), []).append(issue)
    back = {each.movement_id: each.location_id for each in returns}
    unasked = []
    for load in sorted((*loads, *returns), key=_by_time):
        rest = load.milli
        origin = back.get(load.movement_id)
        for issue in waiting.get((load.item_id, load.lot), ()):
            in_time = timedelta(0) <= load.at - issue.at <= within
            if in_time and origin in {None, issue.location_id}:
                part = min(rest, left[issue.movement_id])
                left[issue.movement_id] -= part
                rest -= part
        if rest and origin is None:
            unasked.append(Unmatched(load, rest))
    unanswered = [
        Unmatched(issue, left[issue.movement_id])
        for issue in sorted(issues, key=_by_time)
        if left[issue.movement_id]
    ]
    return tuple(unanswered), tuple(unasked)


def _by_time(passage: Passage) -> tuple[datetime, int]:
    return passage.at, passage.movement_id
