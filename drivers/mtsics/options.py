"""Options of an MT-SICS scale, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from drivers.mtsics.codec import UNITS

Value = str | int | float | bool


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
_READS_MAX = 10
_SECONDS_MAX = 3600.0


def parse_options(options: Mapping[str, Value]) -> Options:
    """Check options; raises ValueError naming the key."""
    parsed = Options(
        serial=_text(options, "serial", _DEFAULT.serial),
        unit=_text(options, "unit", _DEFAULT.unit),
        line_timeout_s=_seconds(options, "line_timeout_s", _DEFAULT.line_timeout_s),
        stability_timeout_s=_seconds(options, "stability_timeout_s", _DEFAULT.stability_timeout_s),
        watch_interval_s=_seconds(options, "watch_interval_s", _DEFAULT.watch_interval_s),
        agreeing_reads=_reads(options, "agreeing_reads"),
        plausible_min=_weight(options, "plausible_min"),
        plausible_max=_weight(options, "plausible_max"),
    )
    unknown = sorted(set(options) - set(Options.__slots__))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not known; known are {list(Options.__slots__)}")
    if parsed.unit not in UNITS:
        raise ValueError(f"option 'unit': {parsed.unit!r} is not one of {sorted(UNITS)}")
    least, most = parsed.plausible_min, parsed.plausible_max
    if most is not None and (most <= 0 or (least is not None and least >= most)):
        raise ValueError(f"option 'plausible_max': {most} must be above 0 and 'plausible_min'")
    return parsed


def _text(options: Mapping[str, Value], key: str, default: str) -> str:
    value = options.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"option {key!r}: a string was expected, not {value!r}")  # noqa: TRY004
    return value


def _seconds(options: Mapping[str, Value], key: str, default: float) -> float:
    value = options.get(key, default)
    if isinstance(value, (bool, str)) or not 0 < value <= _SECONDS_MAX:
        raise ValueError(f"option {key!r}: seconds above 0 were expected, not {value!r}")
    return float(value)


def _reads(options: Mapping[str, Value], key: str) -> int:
    value = options.get(key, 0)
    if type(value) is not int or not (value == 0 or 2 <= value <= _READS_MAX):  # noqa: PLR2004
        raise ValueError(f"option {key!r}: 0 or 2 to {_READS_MAX} was expected, not {value!r}")
    return value


def _weight(options: Mapping[str, Value], key: str) -> Decimal | None:
    value = options.get(key)
    if value is None:
        return None
    try:
        weight = Decimal("" if isinstance(value, bool) else str(value))
    except InvalidOperation:
        weight = Decimal("NaN")
    if not weight.is_finite():
        raise ValueError(f"option {key!r}: a weight was expected, not {value!r}")
    return weight
