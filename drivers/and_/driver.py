"""A scale over the A&D standard format: weight, zero, tare, serial number.

Source: see `codec`; tested against the simulator, not on hardware. The weight is asked with `SI`;
indicators without it need `query = "Q"`, from which a damaged bit or two make a tare, so that after
a question without an answer zero or tare must be set again unless the weight is the same.
"""

import functools
from decimal import Decimal

from drivers.and_ import codec
from drivers.base import DeviceSpec, Sink
from drivers.dialect import Dialect, Doubt
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.transport import Transport
from drivers.weighing import text_option

_QUERIES = {"SI": (codec.WEIGHT_SI, Doubt.NEVER), "Q": (codec.WEIGHT_Q, Doubt.FAILURE)}


class AndDriver(LineScale):
    """A scale (see `drivers.base.Scale`); options: `lineoptions.Options` and `query`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(
            spec.options, unit="g", units=codec.UNITS, serial=True, own=("query",)
        )
        query = text_option(spec.options, "query", "SI")
        if query not in _QUERIES:
            raise ValueError(f"option 'query': {query!r} is not one of {sorted(_QUERIES)}")
        weight, doubt = _QUERIES[query]
        dialect = Dialect(
            name="A&D",
            splitter=codec.splitter,
            decode=codec.decode,
            weight=weight,
            zero=codec.ZERO,
            preset=functools.partial(codec.encode_preset, unit=options.unit),
            clear=codec.encode_preset(Decimal(0), "g" if options.unit == "PC" else options.unit),
            tare_memory=codec.TARE_MEMORY,
            about={"model": codec.MODEL, "serial": codec.SERIAL},
            gap_s=codec.GAP_S,
            doubt=doubt,
        )
        super().__init__(spec, sink, dialect, options, transport=transport)
