"""Options of a scale that speaks a serial dialect, checked before anything is opened."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from drivers.weighing import (
    Given,
    check_known,
    check_window,
    flag_option,
    reads_option,
    seconds_option,
    text_option,
    weight_option,
)

ZERO_PART = Decimal("0.04")
"""Part of the capacity within which a scale may be zeroed. Source: OIML R 76-1, 4.5.1."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to talk to one scale. Times are seconds, weights are in `unit`."""

    unit: str
    """Unit that the scale must send, or is set to where it sends none; checked, never set."""
    plausible_max: Decimal
    """Greatest weight that `weigh` may return: the capacity, which these scales do not tell."""
    zero_max: Decimal
    """Greatest weight, either side of zero, that `zero` takes as the new zero."""
    plausible_min: Decimal | None = None
    """Least weight that `weigh` may return; None: minus the greatest."""
    jump_max: Decimal | None = None
    """A change since the last weight that is larger than this must agree twice over."""
    serial: str = ""
    """Serial number that the scale must have; empty: any."""
    identify: bool = False
    """Whether to ask the scale for its model and serial number; not every scale answers."""
    line_timeout_s: float = 2.0
    """How long the scale may take for an answer."""
    stability_timeout_s: float = 20.0
    """How long setting a tare may take."""
    watch_interval_s: float = 5.0
    """Time between two liveness checks."""
    gap_s: float | None = None
    """Least time between two commands; None: as the dialect asks for."""
    agreeing_reads: int = 0
    """Identical reads that make a weight; never fewer than two with parity, three without."""


_NAMES = Options.__slots__


def parse_options(
    options: Given, *, unit: str, units: Collection[str], serial: bool, own: Collection[str] = ()
) -> Options:
    """Check options; `own` are further keys of the dialect. Raises ValueError naming the key.

    `serial` tells whether the dialect can ask for a serial number.
    """
    check_known(options, [*_NAMES, *own])
    most = weight_option(options, "plausible_max")
    least = weight_option(options, "plausible_min")
    check_window(least, most)
    if most is None:
        raise ValueError("option 'plausible_max': the capacity is needed, the scale tells none")
    gap_s = None if options.get("gap_s") is None else seconds_option(options, "gap_s", 0.0)
    zero_max = weight_option(options, "zero_max")
    parsed = Options(
        unit=text_option(options, "unit", unit),
        plausible_max=most,
        zero_max=_positive("zero_max", most * ZERO_PART if zero_max is None else zero_max),
        plausible_min=least,
        jump_max=weight_option(options, "jump_max"),
        serial=text_option(options, "serial", ""),
        identify=flag_option(options, "identify", default=False),
        line_timeout_s=seconds_option(options, "line_timeout_s", 2.0),
        stability_timeout_s=seconds_option(options, "stability_timeout_s", 20.0),
        watch_interval_s=seconds_option(options, "watch_interval_s", 5.0),
        gap_s=gap_s,
        agreeing_reads=reads_option(options, "agreeing_reads"),
    )
    if parsed.unit not in units:
        raise ValueError(f"option 'unit': {parsed.unit!r} is not one of {sorted(units)}")
    if parsed.jump_max is not None:
        _positive("jump_max", parsed.jump_max)
    if not serial and (parsed.serial or parsed.identify):
        key = "serial" if parsed.serial else "identify"
        raise ValueError(f"option {key!r}: this protocol tells no serial number")
    return parsed


def _positive(key: str, weight: Decimal) -> Decimal:
    if weight <= 0:
        raise ValueError(f"option {key!r}: a weight above 0 was expected, not {weight}")
    return weight
