"""A scale over the Ohaus command set: weight, zero, tare, serial number.

Source: see `codec`; tested against the simulator, not on hardware. A tare is always told in grams,
and read back with `PT`.
"""

import functools

from drivers.base import DeviceSpec, Sink
from drivers.dialect import Dialect
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.ohaus import codec
from drivers.transport import Transport
from drivers.weighing import number_option


class OhausDriver(LineScale):
    """A scale (see `drivers.base.Scale`); options: `lineoptions.Options` and `value_end`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(
            spec.options, unit="g", units=codec.UNITS, serial=True, own=("value_end",)
        )
        end = number_option(spec.options, "value_end", codec.VALUE_END, codec.VALUE_ENDS)
        dialect = Dialect(
            name="Ohaus",
            splitter=codec.splitter,
            decode=functools.partial(codec.decode, value_end=end),
            decode_text=codec.decode_text,
            weight=codec.WEIGHT,
            zero=codec.ZERO,
            preset=functools.partial(codec.encode_preset, unit=options.unit),
            clear=codec.CLEAR,
            tare_memory=codec.TARE_MEMORY,
            about={"serial": codec.SERIAL, "firmware": codec.VERSION},
            gap_s=codec.GAP_S,
        )
        super().__init__(spec, sink, dialect, options, transport=transport)
