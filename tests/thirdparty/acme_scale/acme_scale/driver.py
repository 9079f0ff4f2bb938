"""The invented Acme scale: weight, model and serial number. Knows drivers, nothing of the pharmacy.

Source: see `codec`. The line has no checksum, so `LineScale` asks until the same answer came twice
in a row with parity, three times without; it also brings the deadlines, the recovery after a fault
and the errors. What the dialect leaves out (here zero and tare) raises `Unsupported`.
"""

from acme_scale import codec
from drivers.base import DeviceSpec, Sink
from drivers.dialect import Dialect
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.transport import Transport

DIALECT = Dialect(
    name="Acme",
    splitter=codec.splitter,
    decode=codec.decode,
    weight=codec.WEIGHT,
    about={"model": codec.MODEL, "serial": codec.SERIAL},
    gap_s=codec.GAP_S,
)


class AcmeScaleDriver(LineScale):
    """A scale (see `drivers.base.Scale`); the options are `lineoptions.Options`.

    Opens nothing; ValueError names a bad address or option.
    """

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(spec.options, unit="g", units=codec.UNITS, serial=True)
        super().__init__(spec, sink, DIALECT, options, transport=transport)
