"""A whole pharmacy in one process: real drivers on real wires, simulated machines, a ledger."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dispensed.devices.fleet import Fleet
from dispensed.devices.registry import DeviceConfig
from dispensed.devices.supervisor import LinkState, Pace
from dispensed.ledger.engine import Store
from dispensed.services import catalog, inbox, inputs, places, receiving
from dispensed.services.changes import Changes
from dispensed.services.runner import DispenseRunner
from dispensed.services.site import DispenseOptions, Site
from drivers.base import RawMessage, Sink
from simulators.stage import Stage, stage

FORMULARY = Path(__file__).parents[2] / "config" / "formulary.demo.csv"
TODAY = date(2026, 11, 22)
ZONE = ZoneInfo("America/New_York")


class SteadyClock:
    """A clock that starts at a fixed morning and moves on by itself, a millisecond a look."""

    def __init__(self) -> None:
        self._at = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self._at += timedelta(milliseconds=1)
        return self._at


@dataclass(frozen=True)
class Config:
    protocol: str
    address: str
    options: dict[str, str | int | float | bool]
    location: str | None = None
    enabled: bool = True


OPTIONS: dict[str, tuple[str, dict[str, str | int | float | bool]]] = {
    "scale1": ("mtsics", {}),
    "counter1": ("packml", {"security": "none", "user": "anonymous"}),
    "robot1": ("wwks2", {}),
    "printer1": ("zpl", {}),
}


@dataclass
class Shop:
    site: Site
    fleet: Fleet
    stage: Stage

    async def all_up(self, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            with self.site.changes.subscribe() as listener:
                while not all(self.fleet.is_up(name) for name in OPTIONS):
                    await listener.next()

    async def something_changes(self, at_most_s: float = 0.05) -> None:
        """Wait for the next change of anything, or a moment."""
        with contextlib.suppress(TimeoutError), self.site.changes.subscribe() as listener:
            async with asyncio.timeout(at_most_s):
                await listener.next()

    async def open_stock(
        self, item_id: str, lot: str, expiry: date, *, where: str, packs: int
    ) -> None:
        """Book opening stock and put it where the book says."""
        item = await catalog.item(self.site, item_id)
        quantity = item.pack_milli * packs
        await receiving.receive(
            self.site,
            receiving.Receive(
                request_id=f"opening:{where}:{item_id}:{lot}",
                quantity=f"{quantity // 1000}.{quantity % 1000:03d}",
                item_id=item_id,
                lot=lot,
                expiry=expiry,
                location=where,
                opening=True,
            ),
            "tester",
        )
        if where == "robot1":
            row = {"article": item_id, "batch": lot, "expiry": expiry.isoformat(), "packs": packs}
            self.stage.robot.set("stock", json.dumps([row]))


@contextlib.asynccontextmanager
async def open_shop(
    store: Store,
    folder: Path,
    *,
    speed: float = 100.0,
    workers: int = 32,
    command_timeout_s: float = 1.5,
    driver_options: dict[str, dict[str, str | int | float | bool]] | None = None,
) -> AsyncIterator[Shop]:
    """Start simulators, fleet and runner; all end with the block."""
    changes = Changes()
    sites: list[Site] = []

    def sink_for(device: str) -> Sink:
        async def deliver(message: RawMessage) -> None:
            await inbox.deliver(sites[0], device, message)

        return deliver

    def on_link(_: LinkState) -> None:
        changes.notify("devices")

    async with stage(folder=folder, speed=speed, controls=False) as machines:
        extra = driver_options or {}
        configs: dict[str, DeviceConfig] = {
            name: Config(protocol, machines.addresses[name], {**given, **extra.get(name, {})})
            for name, (protocol, given) in OPTIONS.items()
        }
        clock = SteadyClock()
        pace = Pace(first_s=0.05, most_s=0.3, steady_s=1.0)
        fleet = Fleet(configs, clock=clock, sink_for=sink_for, on_link=on_link, pace=pace)
        site = Site(
            store=store,
            clock=clock,
            zone=ZONE,
            machines=fleet,
            changes=changes,
            options=DispenseOptions(command_timeout_s=command_timeout_s, weigh_timeout_s=5.0),
        )
        sites.append(site)
        fleet.on_input(lambda name: inputs.input_handler(site, name))
        await places.ensure_places(site)
        await places.add_bin(site, "shelf", "tester")
        await catalog.import_formulary(site, FORMULARY.read_text(encoding="utf-8"), "tester")
        runner = DispenseRunner(site, workers=workers, retry_s=0.3)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(fleet.run()), group.create_task(runner.run())]
            shop = Shop(site, fleet, machines)
            try:
                await shop.all_up()
                yield shop
            finally:
                for task in tasks:
                    task.cancel()
