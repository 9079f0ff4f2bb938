"""A scale over the NCI protocol (SCP-01, ECR): weight, zero, tare.

Source: see `codec`; tested against the simulator, not on hardware. A tare can be taken, but neither
set nor cleared, and the scale tells no serial number.
"""

import functools

from drivers.base import DeviceSpec, Sink
from drivers.dialect import Dialect, Doubt
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.nci import codec
from drivers.transport import Transport
from drivers.weighing import number_option


class NciDriver(LineScale):
    """A scale (see `drivers.base.Scale`); options: `lineoptions.Options` and `weight_chars`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(
            spec.options, unit="kg", units=codec.UNITS, serial=False, own=("weight_chars",)
        )
        widths = range(2, codec.WEIGHT_CHARS_MAX + 1)
        width = number_option(spec.options, "weight_chars", codec.WEIGHT_CHARS, widths)
        dialect = Dialect(
            name="NCI",
            splitter=codec.splitter,
            decode=functools.partial(codec.decode, weight_chars=width),
            weight=codec.WEIGHT,
            zero=codec.ZERO,
            tare=codec.TARE,
            gap_s=codec.GAP_S,
            doubt=Doubt.FAILURE,
        )
        super().__init__(spec, sink, dialect, options, transport=transport)
