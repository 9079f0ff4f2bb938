"""All devices of the site: who they are, how their links are, and the drivers by capability."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, assert_never

import structlog

from dispensed.clock import Clock
from dispensed.devices import registry
from dispensed.devices.registry import Capability, DeviceConfig
from dispensed.devices.supervisor import USABLE, Link, LinkState, OnLink, Pace, Supervisor
from dispensed.errors import DeviceProblem, NotFound
from drivers.base import (
    Cabinet,
    Counter,
    Device,
    DeviceSpec,
    Drawers,
    InputHandler,
    LabelPrinter,
    Scale,
    Scanner,
    Sink,
)
from drivers.errors import DeviceUnavailable, DriverError
from drivers.facts import Interpreter

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()

D = TypeVar("D", bound=Device)


class DeviceUnknown(NotFound):
    """No device of that name and capability is configured."""

    code = "device_unknown"


class DeviceDown(DeviceProblem):
    """The device cannot take commands; nothing was sent and no stock moved."""

    code = "device_down"


class Fleet:
    """The configured devices. Drivers are built here and connected by `run`.

    A device whose driver cannot be built is `down` with the reason for good; the others run. A
    protocol that no driver serves raises UnknownProtocol: that is a fault of the configuration.
    `preferred` names, by capability, the device that is meant when none is asked for by name.
    """

    def __init__(
        self,
        configs: Mapping[str, DeviceConfig],
        *,
        clock: Clock,
        sink_for: Callable[[str], Sink],
        on_link: OnLink,
        pace: Pace | None = None,
        preferred: Mapping[str, str | None] | None = None,
    ) -> None:
        self._configs = dict(configs)
        self._preferred = dict(preferred or {})
        self._pace = pace or Pace()
        self._scales: dict[str, Scale] = {}
        self._counters: dict[str, Counter] = {}
        self._cabinets: dict[str, Cabinet] = {}
        self._printers: dict[str, LabelPrinter] = {}
        self._drawers: dict[str, Drawers] = {}
        self._scanners: dict[str, Scanner] = {}
        self._capabilities: dict[str, Capability] = {}
        self._supervisors: dict[str, Supervisor] = {}
        self._idle: dict[str, LinkState] = {}
        self._complaints: dict[str, dict[str, str]] = {}
        self._on_link = on_link
        for name, config in self._configs.items():
            self._add(name, config, sink_for(name), clock=clock)

    async def run(self) -> None:
        """Connect every device and keep it connected; returns never, closes all when cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, supervisor in self._supervisors.items():
                group.create_task(supervisor.run(), name=f"device {name}")
            await asyncio.get_running_loop().create_future()

    # ------------------------------------------------------------ what there is

    def links(self) -> tuple[LinkState, ...]:
        """Return how every device is, in the order of the configuration."""
        return tuple(self.link(name) for name in self._configs)

    def link(self, name: str) -> LinkState:
        """Return how one device is; raises DeviceUnknown."""
        if (supervisor := self._supervisors.get(name)) is not None:
            return supervisor.state
        if (idle := self._idle.get(name)) is not None:
            return idle
        raise DeviceUnknown(f"no device {name!r} is configured")

    def is_up(self, name: str) -> bool:
        """Whether commands may be sent to a device at this moment; raises DeviceUnknown."""
        return self.link(name).state in USABLE

    def device_names(self, capability: str | None = None) -> tuple[str, ...]:
        """Return the names of the enabled devices (of one capability), preferred ones first."""
        names = [
            name
            for name, config in self._configs.items()
            if config.enabled and capability in (None, self._capabilities[name])
        ]
        return tuple(sorted(names, key=lambda name: name not in self._preferred.values()))

    def capability(self, name: str) -> Capability:
        """Return what a device can do; raises DeviceUnknown."""
        if (found := self._capabilities.get(name)) is not None:
            return found
        raise DeviceUnknown(f"no device {name!r} is configured")

    def protocol(self, name: str) -> str:
        """Return the protocol of a device; raises DeviceUnknown."""
        return self._config(name).protocol

    def location(self, name: str) -> str:
        """Return the stock location that a device holds; its own name unless configured."""
        return self._config(name).location or name

    def interpreter(self, name: str) -> Interpreter:
        """Return what turns stored messages of a device into facts; raises DeviceUnknown."""
        return registry.interpreter_of(self.protocol(name))

    # ------------------------------------------------------------ drivers

    def scale(self, name: str | None = None) -> Scale:
        """Return the named scale, or the usual one; raises DeviceDown or DeviceUnknown."""
        return self._pick(self._scales, Capability.SCALE, name)

    def counter(self, name: str | None = None) -> Counter:
        """Return the named counter, or the usual one; raises DeviceDown or DeviceUnknown."""
        return self._pick(self._counters, Capability.COUNTER, name)

    def cabinet(self, name: str | None = None) -> Cabinet:
        """Return the named cabinet, or the usual one; raises DeviceDown or DeviceUnknown."""
        return self._pick(self._cabinets, Capability.CABINET, name)

    def printer(self, name: str | None = None) -> LabelPrinter:
        """Return the named printer, or the usual one; raises DeviceDown or DeviceUnknown."""
        return self._pick(self._printers, Capability.PRINTER, name)

    def drawers(self, name: str | None = None) -> Drawers:
        """Return the named cabinet of drawers, or the usual one; DeviceDown or DeviceUnknown."""
        return self._pick(self._drawers, Capability.DRAWERS, name)

    def scanner(self, name: str | None = None) -> Scanner:
        """Return the named scanner, or the usual one; raises DeviceDown or DeviceUnknown."""
        return self._pick(self._scanners, Capability.SCANNER, name)

    def on_input(self, handler_for: Callable[[str], InputHandler]) -> None:
        """Set who answers the input requests of each cabinet, by its name."""
        for name, cabinet in self._cabinets.items():
            cabinet.on_input(handler_for(name))

    def degrade(self, name: str, reason: str, *, about: str = "") -> None:
        """Say what impairs a device that is up, by what it is about; "" takes that back.

        It is remembered while the link is lost.
        """
        complaints = self._complaints.setdefault(name, {})
        complaints.pop(about, None)
        if reason:
            complaints[about] = reason
        if (supervisor := self._supervisors.get(name)) is not None:
            supervisor.degrade("; ".join(complaints.values()))

    # ------------------------------------------------------------ inside

    def _config(self, name: str) -> DeviceConfig:
        if (config := self._configs.get(name)) is not None:
            return config
        raise DeviceUnknown(f"no device {name!r} is configured")

    def _pick(self, drivers: Mapping[str, D], capability: Capability, name: str | None) -> D:
        wanted = name or self._preferred.get(capability)
        names = (wanted,) if wanted is not None else self.device_names(capability)
        for each in names:
            if self.capability(each) is not capability:
                raise DeviceUnknown(f"device {each!r} is not a {capability}")
            if each in drivers and self.is_up(each):
                return drivers[each]
        if not names:
            raise DeviceUnknown(f"no {capability} is configured")
        raise DeviceDown("; ".join(_why_down(self.link(each)) for each in names))

    def _part_scale(self, name: str) -> Scale:
        """Return a scale to the counter made of it; DeviceUnavailable while it is not up."""
        try:
            return self.scale(name)
        except (DeviceDown, DeviceUnknown) as error:
            raise DeviceUnavailable(str(error)) from error

    def _add(self, name: str, config: DeviceConfig, sink: Sink, *, clock: Clock) -> None:
        spec = DeviceSpec(name=name, address=config.address, options=config.options)
        now = clock.now()
        capability = registry.capability_of(config.protocol)
        self._capabilities[name] = capability
        state = LinkState(name, capability, config.protocol, Link.CONNECTING, "", now)
        if not config.enabled:
            self._idle[name] = _idle(state, Link.STOPPED, "disabled in the configuration", now)
            return
        try:
            device = self._build(capability, config.protocol, spec, sink)
        except (ValueError, TypeError, LookupError, ImportError, OSError, DriverError) as error:
            reason = str(error) or type(error).__name__
            log.exception("device.not_built", device_id=name, reason=reason)
            self._idle[name] = _idle(state, Link.DOWN, reason, now)
            return
        self._supervisors[name] = Supervisor(
            device, state, clock=clock, on_link=self._changed, pace=self._pace
        )

    def _changed(self, link: LinkState) -> None:
        """Pass a change on; a device that came up is as impaired as it was before."""
        self._on_link(link)
        complaints = self._complaints.get(link.device)
        if link.state is Link.UP and complaints:
            self._supervisors[link.device].degrade("; ".join(complaints.values()))

    def _build(self, capability: Capability, protocol: str, spec: DeviceSpec, sink: Sink) -> Device:
        match capability:
            case Capability.SCALE:
                scale = registry.build_scale(protocol, spec, sink)
                self._scales[spec.name] = scale
                return scale
            case Capability.COUNTER:
                counter = registry.build_counter(protocol, spec, sink, self._part_scale)
                self._counters[spec.name] = counter
                return counter
            case Capability.CABINET:
                cabinet = registry.build_cabinet(protocol, spec, sink)
                self._cabinets[spec.name] = cabinet
                return cabinet
            case Capability.PRINTER:
                printer = registry.build_printer(protocol, spec, sink)
                self._printers[spec.name] = printer
                return printer
            case Capability.DRAWERS:
                drawers = registry.build_drawers(protocol, spec, sink)
                self._drawers[spec.name] = drawers
                return drawers
            case Capability.SCANNER:
                scanner = registry.build_scanner(protocol, spec, sink)
                self._scanners[spec.name] = scanner
                return scanner
            case unreachable:
                assert_never(unreachable)


def _idle(state: LinkState, link: Link, reason: str, since: datetime) -> LinkState:
    return LinkState(state.device, state.capability, state.protocol, link, reason, since)


def _why_down(link: LinkState) -> str:
    reason = f": {link.reason}" if link.reason else ""
    return f"device {link.device} is {link.state} since {link.since:%Y-%m-%d %H:%M:%S} UTC{reason}"
