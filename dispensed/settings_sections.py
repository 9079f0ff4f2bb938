"""The sections of `dispensed.toml`: every key with its unit, its default and what it is for."""

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dispensed.model.controlled import PAPER_FORM_PATTERN, ControlledOptions, Registrant
from dispensed.model.repacking import (
    DAYS_MAX,
    MONTHS_MAX,
    OWN_RULE,
    PERCENT_MAX,
    REPACK_RULES,
    RepackInvalid,
    RepackOptions,
    UseByRule,
)


class Section(BaseModel):
    """A table of the configuration; a key that is not known is refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class SiteSettings(Section):
    """The pharmacy."""

    name: str = Field(default="Pharmacy", min_length=1, max_length=64)
    """Name of the pharmacy, shown on the page and on labels."""
    timezone: str = "UTC"
    """IANA time zone of the site: expiry dates and job times are judged in it."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"no time zone is called {value!r}; use a name such as 'America/New_York'"
            ) from error
        return value


class DatabaseSettings(Section):
    """Where the ledger is kept."""

    url: str = "sqlite:////var/lib/dispensed/dispensed.db"
    """Database URL: `sqlite:////absolute/path.db` or `postgresql+psycopg://user@host/name`.
    Secret: may be given as the credential `database.url` instead."""
    readers: int = Field(default=4, ge=1, le=64)
    """Connections for queries, beside the one that writes."""

    @field_validator("url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value.startswith(("sqlite:///", "postgresql+psycopg://", "postgresql://")):
            scheme = value.partition(":")[0]
            raise ValueError(
                f"a database URL starts with sqlite:/// or postgresql+psycopg://, not {scheme!r}"
            )
        return value


class HttpSettings(Section):
    """The HTTP interface: API, page, health and metrics."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. Anything but the loopback address needs a TLS proxy in front."""
    port: int = Field(default=8480, ge=0, le=65535)
    """TCP port to listen on; 0 lets the system choose."""
    metrics_open: bool = False
    """Whether `/metrics` may be read without a token."""
    session_hours: int = Field(default=12, ge=1, le=168)
    """How long a sign-in on the page lasts, in hours."""
    streams_max: int = Field(default=64, ge=1, le=10_000)
    """How many browsers and programs may follow live events at once."""

    @property
    def url(self) -> str:
        """Where a program on this machine reaches the daemon."""
        host = "127.0.0.1" if self.host in {"", "0.0.0.0"} else self.host  # noqa: S104 - compared, not bound
        host = "[::1]" if host == "::" else host
        return f"http://{host}:{self.port}"


class LogSettings(Section):
    """The log on standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["json", "console"] = "json"
    """`json` for a journal, `console` for a person."""


class DispensingSettings(Section):
    """How orders are carried out."""

    dispense_workers: int = Field(default=32, ge=1, le=64)
    """How many dispenses may be under way at once, those that wait for their machine included."""
    cabinet: str | None = None
    """Name of the device that hands out full packs; without it the first cabinet that is up."""
    counter: str | None = None
    """Name of the device that counts tablets; without it the first counter that is up."""
    scale: str | None = None
    """Name of the device that checks counts by weight; without it the first scale that is up."""
    printer: str | None = None
    """Name of the device that prints labels; without it the first printer that is up."""
    weigh_check: bool = True
    """Whether a counted dispense is weighed when the piece weight of its item is known."""
    command_timeout_s: float = Field(default=120.0, gt=0, le=3600)
    """How long one machine may take over one command, in seconds."""


class CountSettings(Section):
    """How often stock is counted, and when another person counts again."""

    days_a: int = Field(default=30, ge=1, le=3660)
    """Days between two counts of an item of class A: those with most of the usage value."""
    days_b: int = Field(default=90, ge=1, le=3660)
    """Days between two counts of an item of class B."""
    days_c: int = Field(default=180, ge=1, le=3660)
    """Days between two counts of an item of class C."""
    days_controlled: int = Field(default=30, ge=1, le=3660)
    """Days between two counts of a controlled substance; never more than for class A."""
    usage_days: int = Field(default=90, ge=1, le=3660)
    """Days of use from which the classes are made."""
    share_a_per_mille: int = Field(default=800, ge=0, le=1000)
    """Part of the usage value, in thousandths, that class A makes up."""
    share_b_per_mille: int = Field(default=950, ge=0, le=1000)
    """Part of the usage value, in thousandths, that classes A and B make up."""
    tasks_max: int = Field(default=50, ge=1, le=10_000)
    """Most tasks that one run of the job opens."""
    hours_due: int = Field(default=24, ge=1, le=8760)
    """Hours within which a task is to be counted."""
    recount_units: int = Field(default=5, ge=0, le=1_000_000)
    """A variance of more units than this is counted again by another person."""
    recount_per_mille: int = Field(default=50, ge=0, le=1000)
    """A variance of more than this part of the book, in thousandths, is counted again too."""


class RecallSettings(Section):
    """Recalls: where notices come from, and what closing a case takes."""

    url: str = Field(default="", max_length=2000, pattern=r"^(https?://.+)?$")
    """Address of FDA enforcement records as openFDA serves them; empty: none is asked."""
    file: str = Field(default="", max_length=2000)
    """File of such records (an openFDA document or JSON lines), read by the job `recalls`."""
    timeout_s: float = Field(default=60.0, gt=0, le=3600)
    """How long one answer of the feed may take, in seconds."""
    bytes_max: int = Field(default=32_000_000, ge=1000, le=512_000_000)
    """Longest answer or file, in bytes; a longer one is refused whole."""
    page_records: int = Field(default=500, ge=1, le=1000)
    """Records asked for at once (`limit`). Source: openFDA query parameters, at most 1000."""
    pages_max: int = Field(default=10, ge=1, le=100)
    """How many pages one run of the job reads at most."""
    class_i_hours: int = Field(default=24, ge=1, le=8760)
    """Hours to answer a class I recall. 21 CFR 7.49(d) says `immediately` and no number."""
    class_ii_hours: int = Field(default=72, ge=1, le=8760)
    """Hours to answer a class II recall; a rule of the site, as for class I."""
    class_iii_hours: int = Field(default=240, ge=1, le=8760)
    """Hours to answer a class III recall; a rule of the site, as for class I."""
    signatures: int = Field(default=2, ge=1, le=5)
    """Different persons who must sign before a case closes; a rule of the site."""


class ExpirySettings(Section):
    """Flags before stock expires, and when it is pulled."""

    tiers_days: tuple[Annotated[int, Field(ge=0, le=3650)], ...] = Field(
        default=(180, 90, 60, 30, 0), strict=False
    )
    """Days left at which a lot is flagged, once at each place; 0 is its last day of use."""
    pull_days: int = Field(default=0, ge=0, le=3650)
    """Stock with fewer days left than this is put on the pull list; 0 pulls what has expired."""
    demand_days: int = Field(default=90, ge=1, le=3650)
    """How many past days of dispensing say what will be used of an item."""

    @field_validator("tiers_days")
    @classmethod
    def _useful_tiers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("give at least one number of days, each once")
        return value


class RepackSettings(Section):
    """Repacking and returns to stock: beyond-use dates and lot numbers."""

    rule: str = "fda-unit-dose-2020"
    """How long repacked medicine may be used: fda-unit-dose-2020 (6 months or 25 % of the time
    left), twelve-months, six-months, manufacturer, or own. Never past the manufacturer's expiry."""
    own_source: str = Field(default="", max_length=200)
    """Where the rule `own` comes from, such as a policy or a law; empty: there is no such rule."""
    own_months: int = Field(default=0, ge=0, le=MONTHS_MAX)
    """Most months after packing by the rule `own`; 0 is no limit."""
    own_days: int = Field(default=0, ge=0, le=DAYS_MAX)
    """Most days after packing by the rule `own`; 0 is no limit."""
    own_percent: int = Field(default=0, ge=0, le=PERCENT_MAX)
    """Most of the days left until the manufacturer's expiry by the rule `own`, in percent; 0 is no
    limit."""
    lot_scheme: str = "PP{yy}{mm}{dd}-{run}"
    """Lot numbers of repacked medicine; {run} is needed, {yyyy}, {yy}, {mm}, {dd} and {lot} (of the
    bulk) are possible; 20 characters at most."""
    return_rule: str = "one-year-from-fill"
    """How long a fill that nobody picked up may be used: one-year-from-fill, six-months-from-fill
    or manufacturer."""

    @model_validator(mode="after")
    def _known_rules(self) -> Self:
        try:
            self.options()
        except RepackInvalid as error:
            raise ValueError(str(error)) from error
        return self

    def options(self) -> RepackOptions:
        """Return the rules of the site; raises RepackInvalid."""
        rules = dict(REPACK_RULES)
        if self.own_source:
            rules[OWN_RULE] = UseByRule(
                OWN_RULE,
                self.own_source,
                months=self.own_months or None,
                days=self.own_days or None,
                percent=self.own_percent or None,
            )
        return RepackOptions(self.rule, self.lot_scheme, self.return_rule, rules)


class ControlledSettings(Section):
    """Controlled substances: what states and facilities decide, and who reports to the DEA."""

    witness_timeout_s: int = Field(default=120, ge=10, le=120)
    """How long after a waste was stated another person may confirm it, in seconds."""
    inventory_signatures: int = Field(default=2, ge=1, le=2)
    """How many persons sign an inventory."""
    opening_without_form: bool = True
    """Whether opening stock of schedule II may be booked without an order form."""
    order_form_pattern: str = Field(default=PAPER_FORM_PATTERN, min_length=1, max_length=100)
    """Regular expression of the printed number of a Form 222; 21 CFR 1305 gives no form for it."""
    vault: str = Field(default="vault", min_length=1, max_length=64)
    """The place from which cabinets are supplied with controlled substances."""
    compare_hours: int = Field(default=24, ge=1, le=720)
    """How soon what leaves the vault has to be in a cabinet, in hours."""
    indicator_minimum: int = Field(default=50, ge=1, le=10_000)
    """Users with fewer removals in the period are not ranked by the indicators."""
    registrant_name: str = Field(default="", max_length=128)
    """Name of the registrant on Form 106."""
    registrant_address: str = Field(default="", max_length=256)
    """Address of the registrant on Form 106, with its ZIP code."""
    registrant_phone: str = Field(default="", max_length=32)
    """Telephone number of the registrant on Form 106."""
    registrant_dea_number: str = Field(default="", max_length=16)
    """DEA registration number."""
    registrant_business: str = Field(default="Pharmacy", max_length=64)
    """Principal business of the registrant on Form 106."""
    registrant_county: str = Field(default="", max_length=64)
    """County in which the registrant is located."""

    @field_validator("order_form_pattern")
    @classmethod
    def _sound_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def options(self) -> ControlledOptions:
        """Return the rules of the site."""
        return ControlledOptions(
            witness_timeout_s=self.witness_timeout_s,
            inventory_signatures=self.inventory_signatures,
            opening_without_form=self.opening_without_form,
            order_form_pattern=self.order_form_pattern,
            vault=self.vault,
            compare_hours=self.compare_hours,
            indicator_minimum=self.indicator_minimum,
            registrant=Registrant(
                name=self.registrant_name,
                address=self.registrant_address,
                phone=self.registrant_phone,
                dea_number=self.registrant_dea_number,
                business=self.registrant_business,
                county=self.registrant_county,
            ),
        )
