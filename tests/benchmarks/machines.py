"""Serves many simulated machines of mixed kinds in one process and lets things happen at them.

Prints one JSON line with every device of the configuration, then waits for a line with a number of
seconds. For that long codes are scanned and packs are taken out of robots. After another line it
prints each scan with the monotonic time at which it was made, and how many packs left by device.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators import modbus, mtsics, packml, scanner, toledo8217, wwks2, zpl
from simulators.base import StreamModel
from simulators.scanner import ScannerModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from simulators.wwks2 import RobotModel

ARTICLE = "00071015523"
SCANS_PER_S = 20
SCANS_PER_OUTPUT = 20
PACKS = 2000
OUTPUTS_END_S = 30.0
"""Every output that was begun has ended by then."""

STREAMS: tuple[tuple[str, int, Callable[[int], StreamModel], dict[str, str]], ...] = (
    ("mtsics", 60, mtsics.make, {}),
    ("toledo8217", 40, toledo8217.make, {"unit": "kg", "plausible_max": "15"}),
    ("modbus", 8, modbus.make, {"map": "wtx120", "unit": "g"}),
    ("scanner", 40, scanner.make, {"fnc1": "kept"}),
    ("wwks2", 18, wwks2.make, {}),
    ("zpl", 30, zpl.make, {}),
)
COUNTERS = 4


@dataclass
class Floor:
    """Every machine that is served."""

    devices: dict[str, dict[str, object]] = field(default_factory=dict)
    scanners: dict[str, ScannerModel] = field(default_factory=dict)
    robots: dict[str, RobotModel] = field(default_factory=dict)
    scans: list[dict[str, str | float]] = field(default_factory=list)

    async def build(self, stack: contextlib.AsyncExitStack) -> None:
        """Serve all machines on loopback until the stack ends."""
        for protocol, count, make, options in STREAMS:
            for number in range(count):
                name = f"{protocol}-{number}"
                model = make(number)
                served = await stack.enter_async_context(serve_tcp(model, wire=Wire(seed=number)))
                self.devices[name] = {
                    "protocol": protocol,
                    "address": served.address,
                    "options": options,
                }
                if isinstance(model, ScannerModel):
                    model.set("every_s", "0")
                    self.scanners[name] = model
                elif isinstance(model, RobotModel):
                    self.robots[name] = model
        for number in range(COUNTERS):
            counter = packml.make(number)
            served = await stack.enter_async_context(
                packml.serve(counter, Wire(seed=number), "opc.tcp://127.0.0.1:0")
            )
            self.devices[f"packml-{number}"] = {
                "protocol": "packml",
                "address": served.address,
                "options": {"security": "none", "user": "anonymous"},
            }

    def stock(self) -> None:
        """Fill the robots."""
        row = {"article": ARTICLE, "batch": "L1", "expiry": "2099-12-31", "packs": PACKS}
        for robot in self.robots.values():
            robot.set("stock", json.dumps([row]))

    async def live(self, seconds: float) -> None:
        """Scan and take out packs, evenly over the machines."""
        start = time.monotonic()
        scanners, robots = list(self.scanners.values()), list(self.robots.values())
        number = 0
        while (now := time.monotonic()) < start + seconds:
            if now - start < number / SCANS_PER_S:
                await asyncio.sleep(start + number / SCANS_PER_S - now)
                continue
            model = scanners[number % len(scanners)]
            self.scans.append({"scan": f"{number:08d}", "at": time.monotonic()})
            model.set("scan", f"010030071015523721S{number:08d}")
            if number % SCANS_PER_OUTPUT == 0:
                robot = robots[(number // SCANS_PER_OUTPUT) % len(robots)]
                robot.set("manual_output", json.dumps({"article": ARTICLE, "packs": 1}))
            number += 1


async def main() -> None:
    """Serve, wait for the word, live, tell what left."""
    floor = Floor()
    async with contextlib.AsyncExitStack() as stack:
        await floor.build(stack)
        floor.stock()
        print(json.dumps({"devices": floor.devices}), flush=True)
        word = await asyncio.to_thread(sys.stdin.readline)
        await floor.live(float(word))
        await asyncio.sleep(OUTPUTS_END_S)
        await asyncio.to_thread(sys.stdin.readline)
        left = {name: len(robot.left) for name, robot in floor.robots.items()}
        print(json.dumps({"scans": floor.scans, "left": left}), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main())
