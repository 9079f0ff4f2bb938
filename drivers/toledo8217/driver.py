"""A scale over the Mettler-Toledo 8217 protocol: weight, zero, tare, confidence test.

Source: see `codec`; tested against the simulator, not on hardware. The scale sends no unit and no
serial number: the unit that it is set to is an option, and which scale it is cannot be checked. A
tare is set as a weight (`Tnnnnn`), so it must be enabled in the scale.
"""

import functools

from drivers.base import DeviceSpec, Identity, Sink
from drivers.dialect import Dialect
from drivers.errors import DeviceFault, Moved
from drivers.lineoptions import parse_options
from drivers.linescale import LineScale
from drivers.toledo8217 import codec
from drivers.transport import Transport
from drivers.weighing import flag_option

TEST_TIMEOUTS = 8
"""The confidence test may take this many line timeouts."""


class Toledo8217Driver(LineScale):
    """A scale (see `drivers.base.Scale`); the options are `lineoptions.Options`, `self_test`."""

    def __init__(self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None) -> None:
        options = parse_options(
            spec.options, unit="kg", units=codec.DECIMALS, serial=False, own=("self_test",)
        )
        self._self_test = flag_option(spec.options, "self_test", default=False)
        self._test_timeout_s = TEST_TIMEOUTS * options.line_timeout_s
        dialect = Dialect(
            name="8217",
            splitter=codec.splitter,
            decode=functools.partial(codec.decode, unit=options.unit),
            weight=codec.WEIGHT,
            zero=codec.ZERO,
            preset=functools.partial(codec.encode_preset, unit=options.unit),
            clear=codec.CLEAR,
            recover=codec.ECHO_OFF,
            gap_s=codec.GAP_S,
        )
        super().__init__(spec, sink, dialect, options, transport=transport)

    async def connect(self) -> Identity:
        """Open the line and find the scale; with `self_test` also its confidence test."""
        identity = await super().connect()
        if self._self_test:
            await self.confidence()
        return identity

    async def confidence(self) -> None:
        """Run the confidence test; DeviceFault `self test` names the result byte if it failed.

        A scale that failed answers neither W nor Z until it passes.
        """
        result = await self.test(codec.TEST, codec.TEST_RESULT, timeout_s=self._test_timeout_s)
        if result != b"?" + codec.PASSED.encode("ascii"):
            raise DeviceFault(
                f"{self._name}: confidence test ended with {result.hex()}",
                reason="self test",
                moved=Moved.NO,
            )
