"""Scale drivers on their simulators: what the suite needs to know of each."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from drivers.and_.driver import AndDriver
from drivers.base import DeviceSpec, Scale, Sink
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.maps import load_map
from drivers.mtsics.driver import MtsicsDriver
from drivers.nci.driver import NciDriver
from drivers.ohaus.driver import OhausDriver
from drivers.sbi.driver import SbiDriver
from drivers.toledo8217.driver import Toledo8217Driver
from drivers.transport import Transport
from simulators import and_, nci, ohaus, sbi, toledo8217
from simulators.base import StreamModel
from simulators.linescale import LineScaleModel, Voice
from simulators.modbus import ModbusScaleModel
from simulators.mtsics import MtSicsModel
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.wire import Wire
from tests.contract.transports import CLEAN, Inbox, Line

SERIAL = "B123456789"
OPTIONS: dict[str, str | int | float | bool] = {
    "line_timeout_s": 0.2,
    "stability_timeout_s": 1.0,
    "watch_interval_s": 0.02,
}
"""Times that fit SPEED; a settling balance needs some 60 ms of real time."""


class Carrier(StrEnum):
    """What carries the bytes of an MT-SICS scale; or the map of a Modbus scale, or a dialect."""

    TCP = "tcp"
    SERIAL = "8N1"
    PARITY = "7E1"
    MODBUS_TCP = "wtx120"
    MODBUS_RTU = "laumas"
    TOLEDO8217 = "toledo8217"
    NCI = "nci"
    OHAUS = "ohaus"
    AND = "and"
    SBI = "sbi"


MODBUS = (Carrier.MODBUS_TCP, Carrier.MODBUS_RTU)
LOADS = ("12.500", "0.000", "319.999", "7.125", "1.001", "250.010")


class DialectDriver(Protocol):
    """How the drivers of serial dialects are built."""

    def __call__(
        self, spec: DeviceSpec, sink: Sink, *, transport: Transport | None = None
    ) -> Scale: ...


@dataclass(frozen=True, slots=True)
class DialectCase:
    """A serial dialect on its bench; `line_format` is the serial format, "" is TCP."""

    driver: DialectDriver
    voice: Voice
    line_format: str
    unit: str = "g"
    capacity: str = "320"
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    settings: tuple[tuple[str, str], ...] = ()
    name: str = ""
    serial: str = ""
    clears_tare: bool = True
    doubts: bool = False
    tells_range: bool = True
    loads: tuple[str, ...] = LOADS

    def model(self, seed: int) -> LineScaleModel:
        model = LineScaleModel(
            self.voice,
            seed,
            unit=self.unit,
            capacity=self.capacity,
            readability="0.001",
            serial=SERIAL,
        )
        for name, value in self.settings:
            model.set(name, value)
        return model

    def build(
        self,
        address: str,
        sink: Sink,
        options: dict[str, str | int | float | bool],
        transport: Transport | None = None,
    ) -> Scale:
        given: dict[str, str | int | float | bool] = {
            "unit": self.unit,
            "plausible_max": self.capacity,
            "gap_s": 0.001,
        }
        spec = DeviceSpec("scale1", address, {**given, **self.options, **options})
        return self.driver(spec, sink, transport=transport)


DIALECTS = {
    Carrier.TOLEDO8217: DialectCase(
        Toledo8217Driver,
        toledo8217.VOICE,
        "7E1",
        unit="kg",
        capacity="100",
        loads=("12.500", "0.000", "99.999", "7.125", "1.001", "50.010"),
    ),
    Carrier.NCI: DialectCase(
        NciDriver,
        nci.VOICE,
        "8N1",
        options={"weight_chars": 7},
        settings=(("weight_chars", "7"),),
        clears_tare=False,
    ),
    Carrier.OHAUS: DialectCase(
        OhausDriver,
        ohaus.VOICE,
        "",
        tells_range=False,
        options={"identify": True},
        serial=SERIAL,
    ),
    Carrier.AND: DialectCase(
        AndDriver,
        and_.VOICE,
        "7E1",
        options={"identify": True},
        name=and_.MODEL,
        serial=SERIAL,
    ),
    Carrier.SBI: DialectCase(
        SbiDriver,
        sbi.VOICE,
        "7O1",
        options={"identify": True},
        settings=(("characters", "22"),),
        name=sbi.MODEL,
        serial=SERIAL,
        clears_tare=False,
        doubts=True,
    ),
}
"""Each on the line that is usual for it, and one over TCP."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A driver that is not connected yet, and the machine behind it."""

    scale: Scale
    model: StreamModel
    served: Served
    inbox: Inbox
    name: str = "SIM Balance"
    serial: str = SERIAL
    presets_tare: bool = True
    patience_s: float = 0.2
    clears_tare: bool = True
    doubts: bool = False
    tells_range: bool = True
    loads: tuple[str, ...] = LOADS

    @property
    def wire(self) -> Wire:
        return self.served.wire

    def load(self, grams: str) -> None:
        self.model.set("load_g", grams)


@contextlib.asynccontextmanager
async def mtsics_bench(
    carrier: Carrier = Carrier.TCP,
    line: Line = CLEAN,
    *,
    seed: int = 1,
    options: dict[str, str | int | float | bool] | None = None,
) -> AsyncIterator[Bench]:
    """A driver in front of a simulated balance: MT-SICS, unless the carrier is a Modbus map."""
    if carrier in DIALECTS:
        async with _dialect_bench(DIALECTS[carrier], line, seed=seed, options=options) as bench:
            yield bench
        return
    if carrier in MODBUS:
        async with _modbus_bench(carrier, line, seed=seed, options=options) as bench:
            yield bench
        return
    model = MtSicsModel(seed, serial=SERIAL)
    if carrier is Carrier.TCP:
        serving = serve_tcp(model, wire=line.wire(seed=seed))
    else:
        wire = line.wire(seed=seed, baud=9600, parity=carrier is Carrier.PARITY)
        serving = serve_pty(model, query=f"?baud=9600&format={carrier}", wire=wire)
    inbox = Inbox()
    async with serving as served:
        spec = DeviceSpec("scale1", served.address, {**OPTIONS, **(options or {})})
        driver = MtsicsDriver(spec, inbox.put)
        try:
            yield Bench(driver, model, served, inbox)
        finally:
            await driver.close()
            served.check()


@contextlib.asynccontextmanager
async def _dialect_bench(
    case: DialectCase,
    line: Line,
    *,
    seed: int,
    options: dict[str, str | int | float | bool] | None,
) -> AsyncIterator[Bench]:
    model = case.model(seed)
    if case.line_format:
        wire = line.wire(seed=seed, baud=9600, parity=case.line_format.startswith("7"))
        serving = serve_pty(model, query=f"?baud=9600&format={case.line_format}", wire=wire)
    else:
        serving = serve_tcp(model, wire=line.wire(seed=seed))
    inbox = Inbox()
    async with serving as served:
        given = {**OPTIONS, "line_timeout_s": 0.1, **(options or {})}
        scale = case.build(served.address, inbox.put, given)
        try:
            yield Bench(
                scale,
                model,
                served,
                inbox,
                name=case.name,
                serial=case.serial,
                clears_tare=case.clears_tare,
                doubts=case.doubts,
                tells_range=case.tells_range,
                loads=case.loads,
            )
        finally:
            await scale.close()
            served.check()


@contextlib.asynccontextmanager
async def _modbus_bench(
    carrier: Carrier,
    line: Line,
    *,
    seed: int,
    options: dict[str, str | int | float | bool] | None,
) -> AsyncIterator[Bench]:
    model = ModbusScaleModel(seed, registers=load_map(carrier))
    if carrier is Carrier.MODBUS_TCP:
        serving, name, serial = serve_tcp(model, wire=line.wire(seed=seed)), "WTX110-A/WTX120", ""
    else:
        wire = line.wire(seed=seed, baud=9600)
        serving = serve_pty(model, query="?baud=9600&format=8N1", wire=wire)
        name, serial = "TLB/W series type 24", "12345"
    inbox = Inbox()
    given = {**OPTIONS, "map": str(carrier), "line_timeout_s": 0.05, "handshake_timeout_s": 1.0}
    async with serving as served:
        spec = DeviceSpec("scale1", served.address, {**given, **(options or {})})
        driver = ModbusDriver(spec, inbox.put)
        try:
            yield Bench(
                driver, model, served, inbox, name, serial, presets_tare=False, patience_s=0.1
            )
        finally:
            await driver.close()
            served.check()


@contextlib.asynccontextmanager
async def connected(
    carrier: Carrier = Carrier.TCP,
    line: Line = CLEAN,
    *,
    seed: int = 1,
    options: dict[str, str | int | float | bool] | None = None,
) -> AsyncIterator[Bench]:
    """The same, connected while the line was still clean."""
    async with mtsics_bench(carrier, CLEAN, seed=seed, options=options) as bench:
        await bench.scale.connect()
        line.switch(bench.wire, on=True)
        yield bench
