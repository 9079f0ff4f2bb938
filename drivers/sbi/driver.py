"""A balance over SBI: weight, zero, tare, model and serial number.

Source: see `codec`; tested against the simulator, not on hardware. One damaged bit makes `ESC T`
(tare and zero) of `ESC P` (print), and the balance does not say that it was tared. So after a
question without any answer the reference is in doubt: `weigh` refuses until the same weight as
before is seen, or zero or tare are set.
"""

from drivers.base import DeviceSpec, Sink
from drivers.dialect import Dialect, Doubt
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.sbi import codec
from drivers.transport import Transport


class SbiDriver(LineScale):
    """A scale (see `drivers.base.Scale`); the options are `drivers.lineoptions.Options`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(spec.options, unit="g", units=codec.UNITS, serial=True)
        dialect = Dialect(
            name="SBI",
            splitter=codec.splitter,
            decode=codec.decode,
            decode_text=codec.decode_text,
            weight=codec.WEIGHT,
            zero=codec.ZERO,
            tare=codec.TARE,
            about={"model": codec.MODEL, "serial": codec.SERIAL},
            gap_s=codec.GAP_S,
            doubt=Doubt.SILENCE,
        )
        super().__init__(spec, sink, dialect, options, transport=transport)
