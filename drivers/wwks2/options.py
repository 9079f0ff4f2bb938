"""Settings of one WWKS2 device."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from drivers.wwks2.stream import MESSAGE_MAX_BYTES

PRIORITIES = ("Lowest", "Low", "Normal", "High", "Highest")
"""Source: WWKS 2 Reference Manual V6.0 §6.8.1 has Low, Normal, High; V6.22 adds the outer two."""


@dataclass(frozen=True)
class Options:
    """Settings with their defaults; times in seconds."""

    subscriber_id: int = 100
    """Our number: 100 is the pharmacy system, 101 to 199 its further devices."""
    tenant: str = ""
    hello_timeout_s: float = 5.0
    """A machine closes a connection that does not say hello within 5 s."""
    request_timeout_s: float = 10.0
    """How long the machine may take to answer any request but an inventory."""
    keepalive_interval_s: float = 15.0
    inventory_timeout_s: float = 60.0
    input_timeout_s: float = 5.0
    """How long the decision about a pack at the input may take before it is refused."""
    output_destination: int = 1
    """Where packs go when an order names no destination."""
    output_point: int = 0
    priority: str = "Normal"
    message_max_bytes: int = MESSAGE_MAX_BYTES
    orders_max: int = 32
    """How many orders may be open at once; one more is refused."""


_BOUNDS: dict[str, tuple[float, float]] = {
    "subscriber_id": (1, 998),
    "hello_timeout_s": (0.01, 60),
    "request_timeout_s": (0.01, 600),
    "keepalive_interval_s": (0.01, 3600),
    "inventory_timeout_s": (0.01, 3600),
    "input_timeout_s": (0.01, 60),
    "output_destination": (0, 2**31 - 1),
    "output_point": (0, 2**31 - 1),
    "message_max_bytes": (1024, 100 * 1024 * 1024),
    "orders_max": (1, 1024),
}


def parse_options(options: Mapping[str, str | int | float | bool]) -> Options:
    """Return the checked settings; raises ValueError naming the key that is wrong."""
    known = [each.name for each in fields(Options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"option {unknown[0]!r} is not one of {', '.join(known)}")
    priority = options.get("priority", Options.priority)
    if not isinstance(priority, str) or priority not in PRIORITIES:
        raise ValueError(f"option 'priority': {priority!r} is not one of {', '.join(PRIORITIES)}")
    tenant = options.get("tenant", Options.tenant)
    if not isinstance(tenant, str):
        raise ValueError(f"option 'tenant': {tenant!r} is not text")  # noqa: TRY004 - a setting
    return Options(
        tenant=tenant,
        priority=priority,
        subscriber_id=_whole(options, "subscriber_id", Options.subscriber_id),
        output_destination=_whole(options, "output_destination", Options.output_destination),
        output_point=_whole(options, "output_point", Options.output_point),
        message_max_bytes=_whole(options, "message_max_bytes", Options.message_max_bytes),
        orders_max=_whole(options, "orders_max", Options.orders_max),
        hello_timeout_s=_number(options, "hello_timeout_s", Options.hello_timeout_s),
        request_timeout_s=_number(options, "request_timeout_s", Options.request_timeout_s),
        keepalive_interval_s=_number(options, "keepalive_interval_s", Options.keepalive_interval_s),
        inventory_timeout_s=_number(options, "inventory_timeout_s", Options.inventory_timeout_s),
        input_timeout_s=_number(options, "input_timeout_s", Options.input_timeout_s),
    )


def _number(options: Mapping[str, str | int | float | bool], name: str, default: float) -> float:
    value = options.get(name, default)
    low, high = _BOUNDS[name]
    if isinstance(value, bool | str) or not low <= value <= high:
        raise ValueError(f"option {name!r}: {value!r} is not a number from {low:g} to {high:g}")
    return value


def _whole(options: Mapping[str, str | int | float | bool], name: str, default: int) -> int:
    value = _number(options, name, default)
    if value != int(value):
        raise ValueError(f"option {name!r}: {value!r} is not a whole number")
    return int(value)
