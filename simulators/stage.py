"""Four machines of one pharmacy on real wires: a scale, a counter, a robot and a label printer."""

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from simulators import mtsics, packml, wwks2, zpl
from simulators.base import Model
from simulators.control import serve_control
from simulators.mtsics import MtSicsModel
from simulators.packml_model import CounterModel
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.wire import Wire
from simulators.wwks2 import RobotModel
from simulators.zpl import ZplModel


@dataclass(slots=True)
class Stage:
    """The models behind the wires, and how to reach them."""

    scale: MtSicsModel
    counter: CounterModel
    robot: RobotModel
    printer: ZplModel
    wires: dict[str, Wire]
    served: dict[str, Served] = field(default_factory=dict)
    controls: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> dict[str, str]:
        """Device name -> address as the configuration takes it."""
        return {name: served.address for name, served in self.served.items()}

    def pieces_in_tray(self, dispense_id: int) -> int:
        """Return how many pieces the counter really let fall for a dispense: what eyes see."""
        mine = re.compile(rf"(?<!\d){dispense_id}-\d+@")
        return sum(pieces for job, pieces in self.counter.fallen.items() if mine.search(job))

    def packs_in_tray(self, dispense_id: int) -> list[str]:
        """Return the articles of the packs that the robot really put out for a dispense."""
        return [
            pack.article
            for order_id, pack in self.robot.left
            if order_id.startswith(f"{dispense_id}-")
        ]

    def check(self) -> None:
        """Raise what ended a simulator, if anything did."""
        for served in self.served.values():
            served.check()


@contextlib.asynccontextmanager
async def stage(
    *, folder: Path, seed: int = 1, speed: float = 1.0, controls: bool = True
) -> AsyncIterator[Stage]:
    """Put the four machines on a pty, an OPC UA endpoint and two TCP ports, all on loopback.

    `folder` holds the pty's link. `speed` is how many simulated seconds pass in a real one.
    """
    names = ("scale1", "counter1", "robot1", "printer1")
    here = Stage(
        scale=mtsics.make(seed),
        counter=packml.make(seed + 1),
        robot=wwks2.make(seed + 2),
        printer=zpl.make(seed + 3),
        wires={name: Wire(seed=seed + 10 + i, speed=speed) for i, name in enumerate(names)},
    )
    async with contextlib.AsyncExitStack() as stack:
        here.served["scale1"] = await stack.enter_async_context(
            serve_pty(here.scale, link=folder / "scale1", wire=here.wires["scale1"])
        )
        here.served["counter1"] = await stack.enter_async_context(
            packml.serve(here.counter, here.wires["counter1"], "opc.tcp://127.0.0.1:0")
        )
        here.served["robot1"] = await stack.enter_async_context(
            serve_tcp(here.robot, wire=here.wires["robot1"])
        )
        here.served["printer1"] = await stack.enter_async_context(
            serve_tcp(here.printer, wire=here.wires["printer1"])
        )
        if controls:
            models: tuple[Model, ...] = (here.scale, here.counter, here.robot, here.printer)
            for name, model in zip(names, models, strict=True):
                host, port = await stack.enter_async_context(serve_control(model, here.wires[name]))
                here.controls[name] = f"{host}:{port}"
        yield here
