"""Scale drivers on their simulators: what the suite needs to know of each."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from drivers.base import DeviceSpec, Scale
from drivers.mtsics.driver import MtsicsDriver
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
    """What carries the bytes."""

    TCP = "tcp"
    SERIAL = "8N1"
    PARITY = "7E1"


@dataclass(frozen=True, slots=True)
class Bench:
    """A driver that is not connected yet, and the machine behind it."""

    scale: Scale
    model: MtSicsModel
    served: Served
    inbox: Inbox

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
    """An MT-SICS driver in front of a simulated balance."""
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
