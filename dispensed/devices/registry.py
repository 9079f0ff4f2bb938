"""From a configured protocol name to a driver: the only module that names concrete drivers.

One typed table per capability, so the type checker proves that each driver fits it. Drivers are
imported when they are first needed: an idle daemon pays only for the machines that it has.

Third parties add drivers through the entry-point group `dispensed.drivers`: the entry's name is the
protocol, its object is a `ScalePlugin`, `CounterPlugin`, `CabinetPlugin`, `PrinterPlugin`,
`DrawersPlugin` or `ScannerPlugin`.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Protocol, assert_never

from dispensed.errors import Invalid
from drivers.base import (
    Cabinet,
    Counter,
    Device,
    DeviceSpec,
    Drawers,
    LabelPrinter,
    RawMessage,
    Scale,
    Scanner,
    Sink,
)
from drivers.errors import DeviceUnavailable
from drivers.facts import Fact, Interpreter

ENTRY_POINT_GROUP = "dispensed.drivers"
PART = "device:"
ScaleLookup = Callable[[str], Scale]
"""Gives the configured scale of a name while it is up; raises DeviceUnavailable while not."""


class Capability(StrEnum):
    """What a device can do for the pharmacy."""

    SCALE = "scale"
    COUNTER = "counter"
    CABINET = "cabinet"
    PRINTER = "printer"
    DRAWERS = "drawers"
    SCANNER = "scanner"


class DeviceConfig(Protocol):
    """One device of the configuration file, as the registry needs to see it."""

    @property
    def protocol(self) -> str:
        """Name of the driver, such as `mtsics`."""
        ...

    @property
    def address(self) -> str:
        """Transport URL or endpoint."""
        ...

    @property
    def location(self) -> str | None:
        """Stock location that the device holds; None means one of its own name."""
        ...

    @property
    def options(self) -> Mapping[str, str | int | float | bool]:
        """The driver's own settings."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether the device is used at all."""
        ...


class UnknownProtocol(Invalid):
    """No driver of that name is built in or installed."""

    code = "unknown_protocol"


@dataclass(frozen=True, slots=True)
class ScalePlugin:
    """A third party's scale driver."""

    build: Callable[[DeviceSpec, Sink], Scale]
    interpret: Interpreter


@dataclass(frozen=True, slots=True)
class CounterPlugin:
    """A third party's counter driver."""

    build: Callable[[DeviceSpec, Sink], Counter]
    interpret: Interpreter


@dataclass(frozen=True, slots=True)
class CabinetPlugin:
    """A third party's cabinet driver."""

    build: Callable[[DeviceSpec, Sink], Cabinet]
    interpret: Interpreter


@dataclass(frozen=True, slots=True)
class PrinterPlugin:
    """A third party's label printer driver."""

    build: Callable[[DeviceSpec, Sink], LabelPrinter]
    interpret: Interpreter


@dataclass(frozen=True, slots=True)
class DrawersPlugin:
    """A third party's driver of a cabinet of locked drawers."""

    build: Callable[[DeviceSpec, Sink], Drawers]
    interpret: Interpreter


@dataclass(frozen=True, slots=True)
class ScannerPlugin:
    """A third party's scanner driver."""

    build: Callable[[DeviceSpec, Sink], Scanner]
    interpret: Interpreter


Plugin = ScalePlugin | CounterPlugin | CabinetPlugin | PrinterPlugin | DrawersPlugin | ScannerPlugin


_PLUGINS: dict[type[Plugin], Capability] = {
    ScalePlugin: Capability.SCALE,
    CounterPlugin: Capability.COUNTER,
    CabinetPlugin: Capability.CABINET,
    PrinterPlugin: Capability.PRINTER,
    DrawersPlugin: Capability.DRAWERS,
    ScannerPlugin: Capability.SCANNER,
}


# ---------------------------------------------------------------- built-in drivers


def _mtsics(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.mtsics.driver import MtsicsDriver  # noqa: PLC0415 - imported when first needed

    return MtsicsDriver(spec, sink)


def _modbus(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.modbus.driver import ModbusDriver  # noqa: PLC0415 - imported when first needed

    return ModbusDriver(spec, sink)


def _and(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.and_.driver import AndDriver  # noqa: PLC0415 - imported when first needed

    return AndDriver(spec, sink)


def _nci(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.nci.driver import NciDriver  # noqa: PLC0415 - imported when first needed

    return NciDriver(spec, sink)


def _ohaus(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.ohaus.driver import OhausDriver  # noqa: PLC0415 - imported when first needed

    return OhausDriver(spec, sink)


def _sbi(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.sbi.driver import SbiDriver  # noqa: PLC0415 - imported when first needed

    return SbiDriver(spec, sink)


def _toledo8217(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.toledo8217.driver import Toledo8217Driver  # noqa: PLC0415 - imported when first needed

    return Toledo8217Driver(spec, sink)


def _opcua40200(spec: DeviceSpec, sink: Sink) -> Scale:
    from drivers.opcua40200.driver import Opcua40200Driver  # noqa: PLC0415 - brings asyncua

    return Opcua40200Driver(spec, sink)


def _packml(spec: DeviceSpec, sink: Sink) -> Counter:
    from drivers.packml.driver import PackmlDriver  # noqa: PLC0415 - brings asyncua: 0.3 s, 40 MB

    return PackmlDriver(spec, sink)


def _weighcount(spec: DeviceSpec, sink: Sink, scales: ScaleLookup) -> Counter:
    from drivers.weighcount.driver import WeighCountDriver  # noqa: PLC0415 - when first needed

    return WeighCountDriver(spec, sink, lambda: scales(spec.address.removeprefix(PART)))


def _weighcount_interpreter() -> Interpreter:
    from drivers.weighcount.codec import interpret  # noqa: PLC0415 - imported when first needed

    return interpret


def _wwks2(spec: DeviceSpec, sink: Sink) -> Cabinet:
    from drivers.wwks2.driver import Wwks2Driver  # noqa: PLC0415 - imported when first needed

    return Wwks2Driver(spec, sink)


def _zpl(spec: DeviceSpec, sink: Sink) -> LabelPrinter:
    from drivers.zpl.driver import ZplDriver  # noqa: PLC0415 - imported when first needed

    return ZplDriver(spec, sink)


def _lockboard(spec: DeviceSpec, sink: Sink) -> Drawers:
    from drivers.lockboard.driver import LockboardDriver  # noqa: PLC0415 - when first needed

    return LockboardDriver(spec, sink)


def _opcua_cabinet(spec: DeviceSpec, sink: Sink) -> Drawers:
    from drivers.opcua_cabinet.driver import OpcuaCabinetDriver  # noqa: PLC0415 - brings asyncua

    return OpcuaCabinetDriver(spec, sink)


def _drawers_interpreter() -> Interpreter:
    from drivers.drawers import interpret  # noqa: PLC0415 - imported when first needed

    return interpret


def _ipp(spec: DeviceSpec, sink: Sink) -> LabelPrinter:
    from drivers.ipp.driver import IppDriver  # noqa: PLC0415 - brings httpx and reportlab

    return IppDriver(spec, sink)


def _pdf(spec: DeviceSpec, sink: Sink) -> LabelPrinter:
    from drivers.pdf.driver import PdfDriver  # noqa: PLC0415 - brings reportlab

    return PdfDriver(spec, sink)


def _scanner(spec: DeviceSpec, sink: Sink) -> Scanner:
    from drivers.scanner.driver import ScannerDriver  # noqa: PLC0415 - imported when first needed

    return ScannerDriver(spec, sink)


def _scanner_interpreter() -> Interpreter:
    from drivers.scanner.codec import interpret  # noqa: PLC0415 - imported when first needed

    return interpret


def _packml_interpreter() -> Interpreter:
    from drivers.packml.codec import interpret  # noqa: PLC0415 - imported when first needed

    return interpret


def _wwks2_interpreter() -> Interpreter:
    from drivers.wwks2.codec import interpret  # noqa: PLC0415 - imported when first needed

    return interpret


def _means_nothing_for_stock(raw: bytes) -> tuple[Fact, ...]:
    del raw
    return ()


SCALES: dict[str, Callable[[DeviceSpec, Sink], Scale]] = {
    "and": _and,
    "modbus": _modbus,
    "mtsics": _mtsics,
    "nci": _nci,
    "ohaus": _ohaus,
    "sbi": _sbi,
    "toledo8217": _toledo8217,
    "opcua40200": _opcua40200,
}
COUNTERS: dict[str, Callable[[DeviceSpec, Sink], Counter]] = {"packml": _packml}
COMPOSED: dict[str, Callable[[DeviceSpec, Sink, ScaleLookup], Counter]] = {
    "weighcount": _weighcount
}
"""Counters made of a scale, which their address names: `device:NAME`."""
CABINETS: dict[str, Callable[[DeviceSpec, Sink], Cabinet]] = {"wwks2": _wwks2}
PRINTERS: dict[str, Callable[[DeviceSpec, Sink], LabelPrinter]] = {
    "ipp": _ipp,
    "pdf": _pdf,
    "zpl": _zpl,
}
DRAWERS: dict[str, Callable[[DeviceSpec, Sink], Drawers]] = {
    "lockboard": _lockboard,
    "opcua_cabinet": _opcua_cabinet,
}
SCANNERS: dict[str, Callable[[DeviceSpec, Sink], Scanner]] = {"scanner": _scanner}
INTERPRETERS: dict[str, Callable[[], Interpreter]] = {
    **dict.fromkeys((*SCALES, *PRINTERS), lambda: _means_nothing_for_stock),
    "lockboard": _drawers_interpreter,
    "opcua_cabinet": _drawers_interpreter,
    "packml": _packml_interpreter,
    "scanner": _scanner_interpreter,
    "weighcount": _weighcount_interpreter,
    "wwks2": _wwks2_interpreter,
}


# ---------------------------------------------------------------- look-ups


def protocols() -> tuple[str, ...]:
    """Return every protocol name that can be configured, built in or installed, sorted."""
    installed = {entry.name for entry in entry_points(group=ENTRY_POINT_GROUP)}
    return tuple(sorted({*INTERPRETERS, *installed}))


def capability_of(protocol: str) -> Capability:
    """Return what devices of `protocol` can do; raises UnknownProtocol."""
    for capability, names in (
        (Capability.SCALE, SCALES.keys()),
        (Capability.COUNTER, COUNTERS.keys() | COMPOSED.keys()),
        (Capability.CABINET, CABINETS.keys()),
        (Capability.PRINTER, PRINTERS.keys()),
        (Capability.DRAWERS, DRAWERS.keys()),
        (Capability.SCANNER, SCANNERS.keys()),
    ):
        if protocol in names:
            return capability
    return _PLUGINS[type(_plugin(protocol))]


def interpreter_of(protocol: str) -> Interpreter:
    """Return what turns stored messages of `protocol` into facts; raises UnknownProtocol."""
    built_in = INTERPRETERS.get(protocol)
    return built_in() if built_in is not None else _plugin(protocol).interpret


def build_scale(protocol: str, spec: DeviceSpec, sink: Sink) -> Scale:
    """Return a scale driver, not yet connected; ValueError names a bad address or option."""
    if (built_in := SCALES.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), ScalePlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a scale")


def _no_scale(name: str) -> Scale:
    raise DeviceUnavailable(f"no scale {name!r} is here")


def part_of(config: "DeviceConfig") -> str | None:
    """Return the name of the scale that a counter is made of, None for any other device."""
    return config.address.removeprefix(PART) if config.protocol in COMPOSED else None


def build_counter(
    protocol: str, spec: DeviceSpec, sink: Sink, scales: ScaleLookup = _no_scale
) -> Counter:
    """Return a counter driver, not yet connected; ValueError names a bad address or option.

    `scales` is for a counter that is made of a scale.
    """
    if (composed := COMPOSED.get(protocol)) is not None:
        return composed(spec, sink, scales)
    if (built_in := COUNTERS.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), CounterPlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a counter")


def build_cabinet(protocol: str, spec: DeviceSpec, sink: Sink) -> Cabinet:
    """Return a cabinet driver, not yet connected; ValueError names a bad address or option."""
    if (built_in := CABINETS.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), CabinetPlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a cabinet")


def build_printer(protocol: str, spec: DeviceSpec, sink: Sink) -> LabelPrinter:
    """Return a printer driver, not yet connected; ValueError names a bad address or option."""
    if (built_in := PRINTERS.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), PrinterPlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a label printer")


def build_drawers(protocol: str, spec: DeviceSpec, sink: Sink) -> Drawers:
    """Return a driver of drawers, not yet connected; ValueError names a bad address or option."""
    if (built_in := DRAWERS.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), DrawersPlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a cabinet of drawers")


def build_scanner(protocol: str, spec: DeviceSpec, sink: Sink) -> Scanner:
    """Return a scanner driver, not yet connected; ValueError names a bad address or option."""
    if (built_in := SCANNERS.get(protocol)) is not None:
        return built_in(spec, sink)
    if isinstance(plugin := _plugin(protocol), ScannerPlugin):
        return plugin.build(spec, sink)
    raise UnknownProtocol(f"protocol {protocol!r} is not one of a scanner")


def build(protocol: str, spec: DeviceSpec, sink: Sink) -> Device:
    """Return a driver of whatever capability `protocol` has, not yet connected.

    Raises UnknownProtocol, or ValueError naming a bad address or option.
    """
    match capability_of(protocol):
        case Capability.SCALE:
            return build_scale(protocol, spec, sink)
        case Capability.COUNTER:
            return build_counter(protocol, spec, sink)
        case Capability.CABINET:
            return build_cabinet(protocol, spec, sink)
        case Capability.PRINTER:
            return build_printer(protocol, spec, sink)
        case Capability.DRAWERS:
            return build_drawers(protocol, spec, sink)
        case Capability.SCANNER:
            return build_scanner(protocol, spec, sink)
        case unreachable:
            assert_never(unreachable)


def check(
    name: str, config: DeviceConfig, devices: Mapping[str, DeviceConfig] | None = None
) -> list[str]:
    """Return what is wrong with one configured device, as texts. Touches no device.

    `devices` are all that are configured; without them, what a device is made of is not looked for.
    """
    spec = DeviceSpec(name=name, address=config.address, options=config.options)
    try:
        build(config.protocol, spec, _nowhere)
    except (UnknownProtocol, ValueError) as error:
        return [str(error)]
    part = part_of(config)
    if part is None or devices is None:
        return []
    scales = sorted(each for each, other in devices.items() if other.enabled and _is_scale(other))
    if part in scales:
        return []
    known = ", ".join(scales) or "none"
    return [f"address {config.address!r} names no scale that is configured and enabled: {known}"]


def _is_scale(config: DeviceConfig) -> bool:
    try:
        return capability_of(config.protocol) is Capability.SCALE
    except UnknownProtocol:
        return False


def forget_plugins() -> None:
    """Look again at what is installed when a protocol is asked for next."""
    _plugin.cache_clear()


async def _nowhere(message: RawMessage) -> None:
    """Take a message of a driver that is never connected."""
    del message


@functools.cache
def _plugin(protocol: str) -> Plugin:
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=protocol):
        try:
            plugin = entry.load()
        except (ImportError, AttributeError) as error:
            raise UnknownProtocol(
                f"protocol {protocol!r}: driver {entry.value} does not load: {error}"
            ) from error
        if isinstance(plugin, Plugin):
            return plugin
        raise UnknownProtocol(
            f"protocol {protocol!r}: {entry.value} is {type(plugin).__name__}, not a driver plugin"
        )
    raise UnknownProtocol(f"protocol {protocol!r} is not known; known: {', '.join(protocols())}")
