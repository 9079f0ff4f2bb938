"""Options of drawers over OPC UA, checked before anything is opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.drawers import Limits
from drivers.opcua_link import Given, Link

CLAIM_S = 10.0
"""An opening seen later than this after its command counts as unasked."""


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one cabinet; those of the link are in `drivers.opcua_link`.

    `unit`: browse name of the functional unit whose covers are the drawers; empty: the only one.
    `poll_s`: how often the machine looks at its covers for us, in seconds.
    """

    link: Link
    unit: str
    limits: Limits
    poll_s: float


def parse_options(options: Mapping[str, str | int | float | bool]) -> Options:
    """Return checked options; ValueError names every bad key."""
    given = Given(options)
    parsed = Options(
        link=given.link(),
        unit=given.text("unit"),
        limits=Limits(
            left_open_s=given.number("left_open_ms", 60_000, 10, 3_600_000) / 1000,
            drawer_rest_s=0.0,
            cabinet_rest_s=0.0,
            claim_s=CLAIM_S,
        ),
        poll_s=given.number("poll_ms", 100, 10, 5000) / 1000,
    )
    given.finish()
    return parsed
