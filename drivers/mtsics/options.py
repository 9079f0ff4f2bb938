"""Options of an MT-SICS scale, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.mtsics.codec import UNITS
from drivers.weighing import (
    Value,
    check_known,
    check_window,
    reads_option,
    seconds_option,
    text_option,
    weight_option,
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to talk to one scale. Times are seconds, weights are in `unit`."""

    serial: str = ""
    """Serial number that the scale must have; empty: any."""
    unit: str = "g"
    """Host unit that the scale must send; it is checked, never set."""
    line_timeout_s: float = 2.0
    """How long the scale may take for an answer that needs no stability."""
    stability_timeout_s: float = 20.0
    """How long T and Z may take. Scales wait 10 to 40 s for stability before they refuse."""
    watch_interval_s: float = 5.0
    """Time between two liveness checks."""
    agreeing_reads: int = 0
    """Identical reads that make a weight; never fewer than two with parity, three without."""
    plausible_min: Decimal | None = None
    """Least weight that `weigh` may return; None: minus the greatest."""
    plausible_max: Decimal | None = None
    """Greatest weight that `weigh` may return; None: the capacity that the scale tells."""


_DEFAULT = Options()


def parse_options(options: Mapping[str, Value]) -> Options:
    """Check options; raises ValueError naming the key."""
    parsed = Options(
        serial=text_option(options, "serial", _DEFAULT.serial),
        unit=text_option(options, "unit", _DEFAULT.unit),
        line_timeout_s=seconds_option(options, "line_timeout_s", _DEFAULT.line_timeout_s),
        stability_timeout_s=seconds_option(
            options, "stability_timeout_s", _DEFAULT.stability_timeout_s
        ),
        watch_interval_s=seconds_option(options, "watch_interval_s", _DEFAULT.watch_interval_s),
        agreeing_reads=reads_option(options, "agreeing_reads"),
        plausible_min=weight_option(options, "plausible_min"),
        plausible_max=weight_option(options, "plausible_max"),
    )
    check_known(options, Options.__slots__)
    if parsed.unit not in UNITS:
        raise ValueError(f"option 'unit': {parsed.unit!r} is not one of {sorted(UNITS)}")
    check_window(parsed.plausible_min, parsed.plausible_max)
    return parsed
