"""What can be set about counting by weight, checked before anything is opened."""

import re
from dataclasses import dataclass

from drivers.choices import Given, Rules, read

_ADDRESS = re.compile(r"device:([a-z0-9-]{1,32})")


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one counter; times are seconds, weights micrograms."""

    readability_ug: int = 0
    """The step of the scale's display; 0: one step of the last digit that it sends."""
    scale_u_ug: int = 0
    """Standard uncertainty of the scale beside rounding (repeatability, linearity)."""
    catalogue_permille: int = 2
    """Standard uncertainty of a piece weight from the catalogue, in thousandths. A caution of ours:
    lots differ. A sample of the lot on hand (`sample`) is surer."""
    spread_permille: int = 0
    """Spread of pieces for which the job tells none; 0: what the pharmacopoeia lets tablets have.
    Capsules may spread more."""
    residue_milli: int = 300
    """How far from a whole number of pieces a weight may be, in thousandths of a piece."""
    poll_s: float = 0.2
    """Time between two looks at the scale during a job."""
    settle_s: float = 1.0
    """How long the load must lie still before it is weighed."""
    weigh_timeout_s: float = 15.0
    """How long one weighing may take."""
    silence_max_s: float = 5.0
    """How long the scale may be silent during a job; after more it may have lost its tare."""
    watch_interval_s: float = 2.0
    """Time between two looks whether the scale is there."""


_RULES = Rules(
    ranges={
        "readability_ug": (0, 10**9),
        "scale_u_ug": (0, 10**9),
        "catalogue_permille": (0, 100),
        "spread_permille": (0, 500),
        "residue_milli": (10, 400),
        "poll_s": (0.001, 5),
        "settle_s": (0, 30),
        "weigh_timeout_s": (0.1, 120),
        "silence_max_s": (0.1, 60),
        "watch_interval_s": (0.01, 60),
    }
)


def parse_options(options: Given) -> Options:
    """Return checked options; ValueError names every bad key."""
    return read(Options, options, _RULES)


def scale_named(address: str) -> str:
    """Return the name of the scale in an address `device:NAME`; raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"address {address!r}: device:NAME of a configured scale was expected")
    return found[1]
