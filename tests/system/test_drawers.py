"""Drawers through the services: opened once for a reason, every access kept, an alarm shown."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from dispensed.devices.fleet import Fleet
from dispensed.devices.supervisor import Link, LinkState, Pace
from dispensed.errors import Conflict, DeviceProblem, NotFound
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store, upgrade
from dispensed.services import drawers, inbox
from dispensed.services.booking import Message, book
from dispensed.services.changes import Changes
from dispensed.services.drawers import Asked
from dispensed.services.site import Site
from drivers.base import DrawerState, RawMessage, Sink
from drivers.facts import DrawerReported
from simulators.lockboard import LockboardModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from tests.system.shop import ZONE, Config, SteadyClock
from tests.system.web_bench import bench

OPTIONS: dict[str, str | int | float | bool] = {
    "dialect": "kr-cu16",
    "drawers": "0.1-4",
    "gap_s": 0.002,
    "poll_interval_s": 0.01,
    "drawer_rest_s": 0.001,
    "bus_rest_s": 0.001,
    "left_open_s": 0.1,
}


@dataclass(frozen=True)
class Room:
    site: Site
    fleet: Fleet
    model: LockboardModel
    wire: Wire

    def audit(self, subject: str) -> list[tuple[str, str, str, str]]:
        """Actor, verb, reason and request of what was written about a subject."""
        events = t.audit_event.c
        query = select(events.actor, events.verb, events.reason, events.details)
        rows = self.site.store.read_sync(
            lambda tx: tx.execute(query.where(events.subject == subject).order_by(events.id)).all()
        )
        return [
            (actor, verb, reason, str(json.loads(details).get("request_id", "")))
            for actor, verb, reason, details in rows
        ]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - the simulator has no events
                await asyncio.sleep(0.005)

    async def open(self, drawer: str, request_id: str) -> DrawerState:
        asked = Asked("drawers1", drawer, request_id, "anna", "restock")
        return await drawers.open_drawer(self.site, asked)


@contextlib.asynccontextmanager
async def room(folder: Path, model: LockboardModel) -> AsyncIterator[Room]:
    url = f"sqlite:///{folder / 'dispensed.db'}"
    upgrade(url)
    changes, sites = Changes(), list[Site]()

    def sink_for(device: str) -> Sink:
        async def deliver(message: RawMessage) -> None:
            await inbox.deliver(sites[0], device, message)

        return deliver

    def on_link(_: LinkState) -> None:
        changes.notify("devices")

    async with serve_tcp(model, wire=Wire(speed=50)) as served:
        with Store.open(url, readers=1) as store:
            clock = SteadyClock()
            fleet = Fleet(
                {"drawers1": Config("lockboard", served.address, OPTIONS)},
                clock=clock,
                sink_for=sink_for,
                on_link=on_link,
                pace=Pace(first_s=0.02, most_s=0.05),
            )
            made = Room(Site(store, clock, ZONE, fleet, changes), fleet, model, served.wire)
            sites.append(made.site)
            running = asyncio.create_task(fleet.run())
            try:
                await made.until(lambda: fleet.is_up("drawers1"))
                yield made
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running


async def test_an_opening_is_written_before_and_after_and_its_drawer_is_heard(
    tmp_path: Path,
) -> None:
    async with room(tmp_path, LockboardModel()) as made:
        assert (await made.open("0.2", "r1")).is_open
        made.model.set("shut", "0.2")
        await made.until(lambda: len(made.audit("drawer drawers1/0.2")) == 2)
        assert made.audit("opening drawers1/r1") == [
            ("anna", "drawer.asked", "restock", ""),
            ("anna", "drawer.opened", "restock", ""),
        ]
        assert made.audit("drawer drawers1/0.2") == [
            ("device:drawers1", "drawer.seen_open", "", "r1"),
            ("device:drawers1", "drawer.seen_shut", "", "r1"),
        ]


async def test_a_sight_that_is_applied_twice_is_written_once(tmp_path: Path) -> None:
    async with room(tmp_path, LockboardModel()) as made:
        made.model.set("open", "0.2")
        await made.until(lambda: made.audit("drawer drawers1/0.2"))
        fact = DrawerReported("0.2", is_open=True, request_id="")
        message = Message(1, "drawers1", "drawers1", made.site.now(), made.site.today())
        store, stamp = made.site.store, made.site.stamp("device:drawers1")
        assert store.write_sync(lambda tx: book(tx, message, (fact,), stamp)) == "nothing to book"
        made.model.set("shut", "0.2")
        await made.until(lambda: len(made.audit("drawer drawers1/0.2")) >= 2)
        verbs = [verb for _, verb, _, _ in made.audit("drawer drawers1/0.2")]
        assert verbs.count("drawer.seen_open") == 1


async def test_a_request_opens_once_even_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawers, "OPEN_TIMEOUT_S", 0.2)
    model = LockboardModel()
    async with room(tmp_path, model) as made:
        await made.open("0.2", "r1")
        model.faults.switch("solenoid_stuck", on=True, times=1)
        with pytest.raises(DeviceProblem, match=r"drawer 0\.3 was not seen open; moved: unk"):
            await made.open("0.3", "r2")
    model.set("shut", "all")
    async with room(tmp_path, model) as made:
        assert not (await made.open("0.2", "r1")).is_open
        with pytest.raises(DeviceProblem, match=r"not known; drawer 0\.3 is shut now"):
            await made.open("0.3", "r2")
        with pytest.raises(Conflict, match=r"request r1 was for drawer 0\.2"):
            await made.open("0.3", "r1")
        assert (model.pulses("0.2"), model.pulses("0.3")) == (1, 1)


async def test_a_request_of_which_nothing_came_may_be_repeated(tmp_path: Path) -> None:
    model = LockboardModel()
    async with room(tmp_path, model) as made:
        model.faults.switch("wrong_address", on=True)
        with pytest.raises(DeviceProblem, match="moved: no"):
            await made.open("0.2", "r1")
        model.faults.switch("wrong_address", on=False)
        await made.until(lambda: made.fleet.is_up("drawers1"))
        assert (await made.open("0.2", "r1")).is_open
        assert [verb for _, verb, _, _ in made.audit("opening drawers1/r1")] == [
            "drawer.asked",
            "drawer.failed",
            "drawer.asked",
            "drawer.opened",
        ]
        with pytest.raises(NotFound):
            await made.open("9.9", "r3")


async def test_a_drawer_left_open_degrades_its_cabinet_until_it_is_shut(tmp_path: Path) -> None:
    async with room(tmp_path, LockboardModel()) as made:
        link = made.fleet.link
        for name in ("0.1", "0.2"):
            made.model.set("open", name)
        await made.until(lambda: "0.2 stands open" in link("drawers1").reason)
        await made.until(lambda: "0.1 stands open" in link("drawers1").reason)
        assert link("drawers1").state is Link.DEGRADED
        made.model.set("shut", "0.1")
        await made.until(lambda: link("drawers1").reason == "drawer 0.2 stands open")
        made.wire.faults.switch("cut", on=True, times=1)
        await made.until(lambda: link("drawers1").state is Link.DOWN)
        await made.until(lambda: link("drawers1").state is Link.DEGRADED)
        assert link("drawers1").reason == "drawer 0.2 stands open"
        assert [verb for _, verb, _, _ in made.audit("drawer drawers1/0.1")] == [
            "drawer.seen_open",
            "drawer.left_open",
            "drawer.seen_shut",
        ]
        made.model.set("shut", "0.2")
        await made.until(lambda: link("drawers1").state is Link.UP)


# ---------------------------------------------------------------- over HTTP


def test_drawers_are_shown_and_opened_over_http(tmp_path: Path) -> None:
    with bench(tmp_path) as made, made.client() as api:
        assert api.get("/api/v1/devices/drawers1/drawers").json()["rows"] == [
            {"drawer": "0.1", "is_open": False, "locked": True},
            {"drawer": "0.2", "is_open": None, "locked": None},
        ]
        path = "/api/v1/devices/drawers1/drawers/{}/open"
        for drawer, body, status in (
            ("0.1", {"reason": "restock"}, 422),
            ("0.1", {"request_id": "a"}, 422),
            ("0.1", {"reason": "restock", "request_id": "a"}, 200),
            ("0.1", {"reason": "restock", "request_id": "a"}, 200),
            ("0.2", {"reason": "restock", "request_id": "a"}, 409),
            ("0.1", {"reason": "restock", "request_id": "b"}, 409),
            ("0.2", {"reason": "restock", "request_id": "c"}, 502),
            ("0.2", {"reason": "restock", "request_id": "c"}, 502),
            ("0.3", {"reason": "restock", "request_id": "d"}, 404),
        ):
            answer: httpx.Response = api.post(path.format(drawer), json=body)
            assert answer.status_code == status, (drawer, body, answer.text)
