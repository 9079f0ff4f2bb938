"""Options of a scale on Modbus, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qs, urlsplit

from drivers.modbus.codec import UNIT_MAX, Framing
from drivers.modbus.maps import load_map
from drivers.modbus.regmap import RegisterMap

Value = str | int | float | bool
KNOWN = (
    "map",
    "framing",
    "unit_id",
    "serial",
    "unit",
    "line_timeout_s",
    "handshake_timeout_s",
    "stability_timeout_s",
    "watch_interval_s",
    "agreeing_reads",
    "plausible_min",
    "plausible_max",
)
SERIAL_SCHEMES = ("serial", "rfc2217")
"""Addresses of a serial port, here or at a gateway; only RTU goes over it."""
RTU_UNITS = range(1, 248)
"""Addresses on a serial line; 0 is a broadcast. Source: serial line V1.02, 2.2."""
RTU_LENGTHS_MIN = 3
RTU_LENGTHS_MAX = 8
"""Lengths of a read taken in turn, so that a late answer is told from the awaited one."""
AGREEING = {Framing.RTU: 2, Framing.TCP: 3}
"""Identical reads that make a weight. RTU has a CRC; MBAP has nothing but what TCP checks."""
_CHARACTER_BITS = 11
_SILENCE_CHARACTERS = 3.5
_SILENCE_MIN_S = 0.00175
"""Silence between frames: 3.5 characters, 1.75 ms above 19200 baud. Source: V1.02, 2.5.1.1."""
_SECONDS_MAX = 3600.0
_READS_MAX = 10


@dataclass(frozen=True, slots=True)
class Options:
    """How to talk to one scale. Times are seconds, weights are in `unit`."""

    map: RegisterMap
    framing: Framing
    unit_id: int
    counts: tuple[int, ...]
    """Numbers of registers that reads of the block take in turn."""
    silence_s: float
    serial: str
    unit: str
    line_timeout_s: float
    handshake_timeout_s: float
    stability_timeout_s: float
    watch_interval_s: float
    agreeing_reads: int
    plausible_min: Decimal | None
    plausible_max: Decimal | None


def parse_options(address: str, options: Mapping[str, Value]) -> Options:
    """Check options, and load the map; raises ValueError naming the key."""
    unknown = sorted(set(options) - set(KNOWN))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not known; known are {list(KNOWN)}")
    it = load_map(_text(options, "map", ""))
    framing = _framing(address, options, it)
    parsed = Options(
        map=it,
        framing=framing,
        unit_id=_unit_id(options, it, framing),
        counts=_counts(it, framing),
        silence_s=_silence_s(address),
        serial=_text(options, "serial", ""),
        unit=_text(options, "unit", "g"),
        line_timeout_s=_seconds(options, "line_timeout_s", 1.0),
        handshake_timeout_s=_seconds(options, "handshake_timeout_s", 5.0),
        stability_timeout_s=_seconds(options, "stability_timeout_s", 20.0),
        watch_interval_s=_seconds(options, "watch_interval_s", 5.0),
        agreeing_reads=_reads(options, AGREEING[framing]),
        plausible_min=_weight(options, "plausible_min"),
        plausible_max=_weight(options, "plausible_max"),
    )
    if parsed.unit not in it.units.names:
        raise ValueError(f"option 'unit': {parsed.unit!r} is not one of {list(it.units.names)}")
    if parsed.serial and (it.identification is None or it.identification.serial is None):
        raise ValueError(f"option 'serial': map {it.name} has no serial number")
    least, most = parsed.plausible_min, parsed.plausible_max
    if most is None and least is not None:
        raise ValueError("option 'plausible_min' needs 'plausible_max'")
    if most is not None and (most <= 0 or (least is not None and least >= most)):
        raise ValueError(f"option 'plausible_max': {most} must be above 0 and 'plausible_min'")
    return parsed


def _framing(address: str, options: Mapping[str, Value], it: RegisterMap) -> Framing:
    serial = urlsplit(address).scheme in SERIAL_SCHEMES
    text = _text(options, "framing", Framing.RTU.value if serial else it.framing.value)
    if text not in tuple(Framing):
        raise ValueError(f"option 'framing': {text!r} is not one of {', '.join(Framing)}")
    if serial and text != Framing.RTU:
        raise ValueError(f"option 'framing': {text!r} needs an address tcp://HOST:PORT")
    return Framing(text)


def _unit_id(options: Mapping[str, Value], it: RegisterMap, framing: Framing) -> int:
    units = RTU_UNITS if framing is Framing.RTU else range(UNIT_MAX + 1)
    value = options.get("unit_id", it.unit_id)
    if type(value) is not int or value not in units:
        raise ValueError(
            f"option 'unit_id': {units[0]} to {units[-1]} was expected on {framing}, not {value!r}"
        )
    return value


def _counts(it: RegisterMap, framing: Framing) -> tuple[int, ...]:
    if framing is Framing.TCP:
        return it.counts[:1]
    if len(it.counts) < RTU_LENGTHS_MIN:
        raise ValueError(
            f"map {it.name}: block.longest: {it.longest} leaves {len(it.counts)} lengths of a"
            f" read, RTU needs {RTU_LENGTHS_MIN} to tell a late answer from the awaited one"
        )
    return it.counts[:RTU_LENGTHS_MAX]


def _silence_s(address: str) -> float:
    parts = urlsplit(address)
    baud = parse_qs(parts.query).get("baud", ["9600"])[-1]
    if parts.scheme not in SERIAL_SCHEMES or not baud.isdecimal() or int(baud) == 0:
        return 0.0  # a gateway keeps the silence; a bad baud rate is the transport's to refuse
    return max(_SILENCE_MIN_S, _SILENCE_CHARACTERS * _CHARACTER_BITS / int(baud))


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


def _reads(options: Mapping[str, Value], least: int) -> int:
    value = options.get("agreeing_reads", 0)
    if type(value) is not int or not (value == 0 or least <= value <= _READS_MAX):
        raise ValueError(
            f"option 'agreeing_reads': 0 or {least} to {_READS_MAX} was expected, not {value!r}"
        )
    return value or least


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
