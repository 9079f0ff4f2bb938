"""Scale drivers on their simulators: what the suite needs to know of each."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from drivers.base import DeviceSpec, Scale
from drivers.modbus.driver import ModbusDriver
from drivers.modbus.maps import load_map
from drivers.mtsics.driver import MtsicsDriver
from simulators.base import StreamModel
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
    """What carries the bytes of an MT-SICS scale; or the map of a Modbus scale, which says so."""

    TCP = "tcp"
    SERIAL = "8N1"
    PARITY = "7E1"
    MODBUS_TCP = "wtx120"
    MODBUS_RTU = "laumas"


MODBUS = (Carrier.MODBUS_TCP, Carrier.MODBUS_RTU)


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
            yield Bench(driver, model, served, inbox, name, serial, presets_tare=False)
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
