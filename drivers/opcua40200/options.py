"""What can be set about a scale over OPC UA, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from drivers.opcua40200.codec import UNITS
from drivers.opcua_link import Given, Link

READS_MAX = 20


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one scale; weights are in `unit`. Those of the link are in `drivers.opcua_link`.

    `unit`: unit that the scale must show; it is checked, never set. `plausible_min` and
    `plausible_max`: what `weigh` may return (None: the scale's EURange, and minus its upper end).

    `equal_reads`: identical readings that stand for stability when the scale does not tell whether
    it is stable (0: such a scale is not weighed with), taken over at least `equal_over_s` seconds.
    """

    link: Link
    unit: str
    plausible_min: Decimal | None
    plausible_max: Decimal | None
    equal_reads: int
    equal_over_s: float


def parse_options(options: Mapping[str, str | int | float | bool]) -> Options:
    """Return checked options; ValueError names every bad key."""
    given = Given(options)
    parsed = Options(
        link=given.link(),
        unit=given.choice("unit", tuple(UNITS.values()), "g"),
        plausible_min=given.decimal("plausible_min"),
        plausible_max=given.decimal("plausible_max"),
        equal_reads=given.number("equal_reads", 0, 0, READS_MAX),
        equal_over_s=given.number("equal_over_ms", 1000, 0, 60_000) / 1000,
    )
    least, most = parsed.plausible_min, parsed.plausible_max
    if parsed.equal_reads == 1:
        given.refuse(
            "option 'equal_reads' must be 0 or at least 2: one reading agrees with nothing"
        )
    if most is not None and (most <= 0 or (least is not None and least >= most)):
        given.refuse(f"option 'plausible_max': {most} must be above 0 and 'plausible_min'")
    given.finish()
    return parsed
