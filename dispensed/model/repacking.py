"""How long repacked, returned and opened medicine may be used; what a repack run must add up to.

Each rule names where it comes from. A rule never lengthens what the manufacturer gave: the date is
always the earliest of the manufacturer's expiry and what the rule allows (`use_by`).
"""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.model.quantity import QUANTITY_MAX_MILLI, format_milli

MONTHS_MAX = 120
DAYS_MAX = 3650
PERCENT_MAX = 100
UNITS_MAX = 10_000
"""Most units that one run may make."""
_MONTHS = 12
_LOT_NUMBER = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]{1,20}")
"""What AI (10) holds: 1 to 20 characters of GS1 set 82. Source: GS1 General Specifications."""
_FIELD = re.compile(r"\{([a-z]*)\}")


class RepackInvalid(Invalid):
    """A rule, a scheme of lot numbers or the numbers of a run that mean nothing."""

    code: ClassVar[str] = "bad_repack"


class PackedTooLate(Conflict):
    """The manufacturer's expiry has passed, or is not known."""

    code: ClassVar[str] = "packed_too_late"


class NotConserved(Conflict):
    """What was packed, wasted and sampled is not what was taken from the bulk lot."""

    code: ClassVar[str] = "not_conserved"


class RepackTransition(Conflict):
    """The run does not go from its present state to the asked one."""

    code: ClassVar[str] = "repack_transition"


# ---------------------------------------------------------------- dates


@dataclass(frozen=True, slots=True)
class UseByRule:
    """How long something may be used after a day: the shortest of what is set, each at most.

    `months` are calendar months, `days` whole days after that day, `percent` a share of the days
    left until the manufacturer's expiry, rounded down. With none set only the expiry counts.
    """

    name: str
    source: str
    months: int | None = None
    days: int | None = None
    percent: int | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.source:
            raise RepackInvalid(f"rule {self.name!r}: a rule has a name and a source")
        for what, value, most in (
            ("months", self.months, MONTHS_MAX),
            ("days", self.days, DAYS_MAX),
            ("percent", self.percent, PERCENT_MAX),
        ):
            if value is not None and not 0 < value <= most:
                raise RepackInvalid(f"rule {self.name}: {value} {what}, 1 to {most} are possible")


def add_months(day: date, months: int) -> date:
    """Return the same day so many months later, the last of that month when it has no such day.

    31 August + 6 months is 28 or 29 February. Past the last year of the calendar: its last day.
    """
    year, month = divmod(day.year * _MONTHS + day.month - 1 + months, _MONTHS)
    if year > MAXYEAR:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def use_by(rule: UseByRule, *, day: date, expiry: date | None) -> date:
    """Return the last day of use of what is packed, filled or opened on `day`.

    It is the earliest of the manufacturer's expiry and what the rule allows. Raises PackedTooLate
    when the expiry is not known or before `day`.
    """
    if expiry is None:
        raise PackedTooLate("the manufacturer's expiry is not known")
    if expiry < day:
        raise PackedTooLate(f"the manufacturer's expiry {expiry} is before {day}")
    limits = [expiry]
    if rule.months is not None:
        limits.append(add_months(day, rule.months))
    if rule.days is not None and rule.days < (expiry - day).days:
        limits.append(day + timedelta(days=rule.days))
    if rule.percent is not None:
        limits.append(day + timedelta(days=(expiry - day).days * rule.percent // PERCENT_MAX))
    return min(limits)


def _table(*rules: UseByRule) -> Mapping[str, UseByRule]:
    return MappingProxyType({rule.name: rule for rule in rules})


REPACK_RULES = _table(
    UseByRule(
        "fda-unit-dose-2020",
        "FDA, Guidance for Industry: Expiration Dating of Unit-Dose Repackaged Solid Oral Dosage"
        " Form Drug Products, July 2020, for CPG 480.200 (7132b.11), withdrawn 30 July 2020",
        months=6,
        percent=25,
    ),
    UseByRule(
        "twelve-months",
        "68 Ill. Adm. Code 1330.730(b); COMAR 10.34.03.09 C; NAC 639.512(3): the manufacturer's"
        " date or 12 months after packaging, whichever is earlier",
        months=12,
    ),
    UseByRule(
        "six-months",
        "a stricter site than 68 Ill. Adm. Code 1330.730(b); the pharmacist's judgement",
        months=6,
    ),
    UseByRule(
        "manufacturer",
        "sealed packages of the manufacturer that are only put into another outer container",
    ),
)
"""Rules for repacked medicine by name; a site chooses one, or writes its own.

The FDA guidance was read in summaries of its publication only; it speaks to registered repackagers
and asks for class A or B containers (USP <671>) and a bulk container opened for this run. The state
rules were read as published. Chapters of the USP in force could not be read.
"""

RETURN_RULES = _table(
    UseByRule(
        "one-year-from-fill",
        "Ohio Adm. Code 4729:5-5-22(B)(2): the manufacturer's date or one year after the drug was"
        " dispensed into the vial, whichever is earlier",
        months=12,
    ),
    UseByRule(
        "six-months-from-fill",
        "a stricter site than Ohio Adm. Code 4729:5-5-22; the pharmacist's judgement",
        months=6,
    ),
    UseByRule(
        "manufacturer",
        "Ohio Adm. Code 4729:5-5-22(B)(2): the manufacturer's original sealed package keeps its"
        " own date",
    ),
)
"""Rules for a fill that nobody picked up, counted from the day it was filled."""

OPENING_RULES = _table(
    UseByRule(
        "multiple-dose-28-days",
        "USP <797>, multiple-dose containers with preservative: 28 days after first entry unless"
        " the manufacturer says otherwise; read in quotations, not in the chapter in force",
        days=28,
    ),
    UseByRule(
        "insulin-28-days",
        "labelling of most insulin vials and pens: 28 days in use; products of 10 to 56 days exist,"
        " give the days of the label for those",
        days=28,
    ),
    UseByRule("manufacturer", "labelling: no shorter time after opening"),
)
"""Rules for containers after their first opening; the day of opening is day 0."""


def labelled_rule(days: int) -> UseByRule:
    """Return the rule of a product whose label gives so many days after opening."""
    return UseByRule(f"labelled-{days}-days", "labelling of the product", days=days)


def find_rule(rules: Mapping[str, UseByRule], name: str) -> UseByRule:
    """Return a rule; raises RepackInvalid naming those there are."""
    if name not in rules:
        raise RepackInvalid(f"no rule {name[:80]!r}; there are {', '.join(rules)}")
    return rules[name]


OWN_RULE = "own"
"""Name of the rule that a site writes itself."""


@dataclass(frozen=True, slots=True)
class RepackOptions:
    """Which rules a site goes by; `rules` are those a run may name."""

    rule: str = "fda-unit-dose-2020"
    lot_scheme: str = "PP{yy}{mm}{dd}-{run}"
    return_rule: str = "one-year-from-fill"
    rules: Mapping[str, UseByRule] = field(default_factory=lambda: REPACK_RULES)

    def __post_init__(self) -> None:
        find_rule(self.rules, self.rule)
        find_rule(RETURN_RULES, self.return_rule)
        check_lot_scheme(self.lot_scheme)


# ---------------------------------------------------------------- lot numbers


LOT_FIELDS = ("yyyy", "yy", "mm", "dd", "run", "lot")
"""What a scheme of lot numbers may name: the date of planning, the run, the bulk lot."""


def check_lot_scheme(scheme: str) -> str:
    """Return `scheme` if it makes numbers of its own for each run; raises RepackInvalid.

    Such as `PP{yy}{mm}{dd}-{run}`; `{run}` is needed, or two runs would share one number.
    """
    unknown = [name for name in _FIELD.findall(scheme) if name not in LOT_FIELDS]
    outside = _FIELD.sub("", scheme)
    if unknown or "{run}" not in scheme or "{" in outside or "}" in outside:
        raise RepackInvalid(
            f"not a scheme of lot numbers: {scheme[:80]!r}; it holds {{run}} and may hold "
            + ", ".join(f"{{{name}}}" for name in LOT_FIELDS if name != "run")
        )
    return scheme


def child_lot_number(scheme: str, *, day: date, run: int, bulk_lot: str) -> str:
    """Return the lot number of a run's child; raises RepackInvalid when a label cannot hold it."""
    values = {
        "yyyy": f"{day:%Y}",
        "yy": f"{day:%y}",
        "mm": f"{day:%m}",
        "dd": f"{day:%d}",
        "run": str(run),
        "lot": bulk_lot,
    }
    return check_lot_number(_FIELD.sub(lambda found: values[found[1]], check_lot_scheme(scheme)))


def check_lot_number(lot: str) -> str:
    """Return `lot` if a GS1 label can hold it; raises RepackInvalid."""
    if _LOT_NUMBER.fullmatch(lot) is None:
        raise RepackInvalid(f"lot {lot[:80]!r} is not 1 to 20 characters of GS1 set 82")
    return lot


# ---------------------------------------------------------------- what a run adds up to


@dataclass(frozen=True, slots=True)
class Yield:
    """What became of the bulk of one run, in thousandths of its unit."""

    bulk_milli: int
    units: int
    unit_milli: int
    waste_milli: int = 0
    sample_milli: int = 0

    @property
    def packed_milli(self) -> int:
        """What is in the units."""
        return self.units * self.unit_milli


def check_yield(made: Yield, unit: str) -> Yield:
    """Return `made` if bulk out = units + waste + samples; raises NotConserved with the numbers.

    Raises RepackInvalid for numbers that are none, or no unit at all.
    """
    if not 0 < made.units <= UNITS_MAX:
        raise RepackInvalid(f"{made.units} units packed, 1 to {UNITS_MAX} are possible")
    for what, milli, least in (
        ("taken from the bulk", made.bulk_milli, 1),
        ("in one unit", made.unit_milli, 1),
        ("wasted", made.waste_milli, 0),
        ("kept as samples", made.sample_milli, 0),
    ):
        if not least <= milli <= QUANTITY_MAX_MILLI:
            raise RepackInvalid(f"{format_milli(milli)} {unit} {what} is not possible")
    found = made.packed_milli + made.waste_milli + made.sample_milli
    if found != made.bulk_milli:
        raise NotConserved(
            f"{format_milli(made.bulk_milli)} {unit} taken from the bulk, but"
            f" {made.units} units of {format_milli(made.unit_milli)} are"
            f" {format_milli(made.packed_milli)}, with {format_milli(made.waste_milli)} wasted and"
            f" {format_milli(made.sample_milli)} sampled {format_milli(found)} {unit}:"
            f" {format_milli(abs(made.bulk_milli - found))} {unit}"
            f" {'missing' if found < made.bulk_milli else 'too many'}"
        )
    return made


# ---------------------------------------------------------------- states


class RepackState(StrEnum):
    """State of a run."""

    PLANNED = "planned"
    STARTED = "started"
    PACKED = "packed"
    CHECKED = "checked"
    RELEASED = "released"
    CANCELLED = "cancelled"


_S = RepackState

REPACK_TRANSITIONS: Mapping[RepackState, frozenset[RepackState]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.STARTED, _S.CANCELLED}),
        _S.STARTED: frozenset({_S.PACKED, _S.CANCELLED}),
        _S.PACKED: frozenset({_S.CHECKED, _S.CANCELLED}),
        _S.CHECKED: frozenset({_S.RELEASED, _S.CANCELLED}),
        _S.RELEASED: frozenset(),
        _S.CANCELLED: frozenset(),
    }
)
"""What may follow each state; a packed run that is cancelled leaves its child lot blocked."""


def advance_run(state: RepackState, to: RepackState) -> RepackState:
    """Return `to` when it may follow `state`; raises RepackTransition."""
    if to not in REPACK_TRANSITIONS[state]:
        raise RepackTransition(f"a repack run that is {state} cannot become {to}")
    return to
