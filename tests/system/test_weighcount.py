"""A fill that a person pours onto a scale: counted by weight, booked, checked and settled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date

import pytest
from sqlalchemy import select

from dispensed.devices.fleet import Fleet
from dispensed.devices.registry import DeviceConfig
from dispensed.devices.supervisor import LinkState, Pace
from dispensed.errors import Conflict, Invalid, NotFound
from dispensed.ledger import audit, picking
from dispensed.ledger import tables as t
from dispensed.ledger.dispenses import DispenseRow
from dispensed.ledger.engine import Store
from dispensed.model.dispensing import DispenseState
from dispensed.services import (
    catalog,
    dispensing,
    inbox,
    places,
    receiving,
    releasing,
    sampling,
)
from dispensed.services.changes import Changes
from dispensed.services.runner import DispenseRunner
from dispensed.services.site import DispenseOptions, Site
from drivers.base import RawMessage, Sink
from simulators.serve import Served, serve_tcp
from simulators.weighcount import PouringModel
from simulators.wire import Wire
from tests.system.shop import FORMULARY, ZONE, Config, SteadyClock

ITEM, LOT = "13107005801", "EW0237"
"""Its tablets weigh 420 mg with a spread of 4.62 mg, says the demonstration's catalogue."""
SCALE: dict[str, str | int | float | bool] = {
    "line_timeout_s": 0.2,
    "stability_timeout_s": 0.5,
    "watch_interval_s": 0.05,
}
COUNTER: dict[str, str | int | float | bool] = {
    "poll_s": 0.01,
    "settle_s": 0.05,
    "weigh_timeout_s": 1.0,
    "watch_interval_s": 0.02,
}


@dataclass
class Counting:
    site: Site
    fleet: Fleet
    model: PouringModel
    served: Served
    pours: int = 30

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.01)

    async def until_state(self, dispense_id: int, state: DispenseState) -> DispenseRow:
        async def reached() -> bool:
            return (await dispensing.dispense(self.site, dispense_id)).row.state is state

        await self.until(reached)
        return (await dispensing.dispense(self.site, dispense_id)).row

    async def order(self, pieces: int) -> int:
        order = dispensing.Order(
            order_ref="RX1",
            item_id=ITEM,
            quantity=str(pieces),
            patient_key="p1",
            request_id="rx-1",
            route="counter",
        )
        return (await dispensing.request(self.site, order, "tech")).id

    async def picked(self, dispense_id: int) -> list[tuple[str, str, int]]:
        parts = await self.site.store.read(lambda tx: picking.picked(tx, dispense_id))
        return [(part.lot, part.source, part.milli) for part in parts]


@contextlib.asynccontextmanager
async def counting(url: str) -> AsyncIterator[Counting]:
    """A shelf with one lot, a scale, a counter made of it, and a person who pours when asked."""
    model = PouringModel(3, mean_mg=420, sd_mg=4.62)
    made: list[Counting] = []
    changes = Changes()

    def sink_for(device: str) -> Sink:
        async def deliver(message: RawMessage) -> None:
            await inbox.deliver(made[0].site, device, message)
            if message.kind == "start":
                model.set("pour", str(made[0].pours))

        return deliver

    def on_link(_: LinkState) -> None:
        changes.notify("devices")

    async with serve_tcp(model, wire=Wire(seed=4, speed=50)) as served:
        configs: dict[str, DeviceConfig] = {
            "counter1": Config("weighcount", "device:scale1", COUNTER),
            "scale1": Config("mtsics", served.address, SCALE),
        }
        clock = SteadyClock()
        pace = Pace(first_s=0.02, most_s=0.05)
        fleet = Fleet(configs, clock=clock, sink_for=sink_for, on_link=on_link, pace=pace)
        with Store.open(url, readers=1) as store:
            options = DispenseOptions(label_required=False, command_timeout_s=5.0)
            site = Site(store, clock, ZONE, fleet, changes, options)
            made.append(Counting(site, fleet, model, served))
            await places.ensure_places(site)
            await places.add_bin(site, "shelf", "tester")
            await catalog.import_formulary(site, FORMULARY.read_text(encoding="utf-8"), "tester")
            opening = receiving.Receive(
                request_id="opening",
                quantity="100",
                item_id=ITEM,
                lot=LOT,
                expiry=date(2028, 1, 31),
                location="shelf",
                opening=True,
            )
            await receiving.receive(site, opening, "tester")
            runner = DispenseRunner(site, workers=2, retry_s=0.1)
            running = [asyncio.create_task(fleet.run()), asyncio.create_task(runner.run())]
            try:
                yield made[0]
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        served.check()


async def test_a_fill_is_poured_counted_by_weight_weighed_verified_and_settled(
    sqlite_url: str,
) -> None:
    async with counting(sqlite_url) as shop:
        dispense_id = await shop.order(30)
        row = await shop.until_state(dispense_id, DispenseState.COUNTED)
        assert (row.device_id, row.counted_milli) == ("counter1", 30_000)
        assert shop.model.pieces == 30
        assert await shop.picked(dispense_id) == [(LOT, "shelf", 30_000)]
        weighed = await dispensing.weigh(shop.site, dispense_id, "tech")
        assert weighed.weigh_result == "agrees:30:30"
        await dispensing.verify(shop.site, dispense_id, "pharmacist")
        await releasing.release(shop.site, dispense_id, "pharmacist")
        await shop.until_state(dispense_id, DispenseState.SETTLED)
        links = {link.device: str(link.state) for link in shop.fleet.links()}
        assert links == {"counter1": "up", "scale1": "up"}
        report = await shop.site.store.read(audit.verify)
        assert report.ok


async def test_a_scale_that_is_lost_while_somebody_pours_is_asked_when_it_is_back(
    sqlite_url: str,
) -> None:
    """What lies there then is booked."""
    async with counting(sqlite_url) as shop:
        shop.pours = 12
        dispense_id = await shop.order(30)

        async def poured() -> bool:
            return shop.model.pieces == 12

        await shop.until(poured)
        shop.served.wire.faults.switch("cut", on=True, times=1)
        row = await shop.until_state(dispense_id, DispenseState.COUNTED)
        assert (row.counted_milli, row.note) == (12_000, "12 of 30")
        assert await shop.picked(dispense_id) == [(LOT, "shelf", 12_000)]


async def test_a_sample_is_taken_through_the_service_and_kept_in_the_audit_trail(
    sqlite_url: str,
) -> None:
    async with counting(sqlite_url) as shop:

        async def resting() -> bool:
            return shop.fleet.is_up("counter1") and bool(shop.model.state()["stable"])

        shop.model.set("pour", "10")
        await shop.until(resting)
        piece = await sampling.sample(shop.site, "counter1", ITEM, 10, lot=LOT, actor="tess")
        assert piece.pieces == 10
        assert 410_000 < piece.mean_ug < 430_000
        with pytest.raises(Invalid, match="a sample of 0 pieces"):
            await sampling.sample(shop.site, "counter1", ITEM, 0, actor="tess")
        with pytest.raises(NotFound, match="no lot ZZ"):
            await sampling.sample(shop.site, "counter1", ITEM, 10, lot="ZZ", actor="tess")
        with pytest.raises(Conflict, match="counter1: "):
            await sampling.sample(shop.site, "counter1", ITEM, 1, actor="tess")
        events = await shop.site.store.read(
            lambda tx: tx.execute(
                select(t.audit_event.c.actor, t.audit_event.c.subject).where(
                    t.audit_event.c.verb == "piece.sampled"
                )
            ).all()
        )
        assert [tuple(event) for event in events] == [("tess", f"item {ITEM}")]
