"""The daemon as a whole: four machines on real wires, one process, start to stop."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dispensed import daemon
from dispensed.clock import SystemClock
from dispensed.daemon import CannotListen
from dispensed.devices.supervisor import Pace
from dispensed.ledger import tokens
from dispensed.ledger.engine import Store, upgrade
from dispensed.ledger.schema import SchemaOutdated
from dispensed.ledger.stamp import Stamp
from dispensed.settings import DeviceSettings, Settings
from simulators.stage import Stage, stage

QUICK = Pace(first_s=0.02, most_s=0.05)
LIMIT_S = 30.0
PROTOCOLS = {"scale1": "mtsics", "counter1": "packml", "robot1": "wwks2", "printer1": "zpl"}


@dataclass(frozen=True)
class Running:
    """A daemon that accepts requests."""

    url: str
    task: "asyncio.Task[None]"
    api: httpx.AsyncClient

    async def links(self) -> dict[str, dict[str, str]]:
        answer = await self.api.get("/api/v1/devices")
        assert answer.status_code == 200, answer.text
        return {row["name"]: row for row in answer.json()["rows"]}

    async def until(self, device: str, state: str) -> dict[str, str]:
        async with asyncio.timeout(LIMIT_S):
            while True:
                row = (await self.links())[device]
                if row["state"] == state:
                    return row
                await asyncio.sleep(0.02)


def settings_for(folder: Path, devices: dict[str, DeviceSettings] | None = None) -> Settings:
    url = f"sqlite:///{folder}/ledger.db"
    upgrade(url)
    return Settings.model_validate(
        {
            "state_dir": str(folder),
            "database": {"url": url},
            "http": {"port": 0},
            "jobs": {"verify": ""},
            "devices": {name: each.model_dump() for name, each in (devices or {}).items()},
        }
    )


def token_of(settings: Settings) -> str:
    with Store.open(settings.database.url) as store:
        stamp = Stamp("test", SystemClock().now())
        return store.write_sync(lambda tx: tokens.create(tx, "tests", "admin", stamp))


def devices_of(here: Stage) -> dict[str, DeviceSettings]:
    options: dict[str, dict[str, str | int | float | bool]] = {"counter1": {"security": "none"}}
    return {
        name: DeviceSettings(
            protocol=PROTOCOLS[name], address=address, options=options.get(name, {})
        )
        for name, address in here.addresses.items()
    }


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    token = token_of(settings)
    urls: list[str] = []
    settled = asyncio.Event()

    def ready(url: str) -> None:
        urls.append(url)
        settled.set()

    task = asyncio.create_task(daemon.run(settings, program=("false",), ready=ready, pace=QUICK))
    task.add_done_callback(lambda _task: settled.set())
    try:
        async with asyncio.timeout(LIMIT_S):
            await settled.wait()
        if task.done():
            await task
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=urls[0], headers=headers) as api:
            yield Running(urls[0], task, api)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_four_machines_come_up_and_the_daemon_says_that_it_is_ready(tmp_path: Path) -> None:
    async with stage(folder=tmp_path, controls=False) as here:
        async with running(settings_for(tmp_path, devices_of(here))) as site:
            for name in PROTOCOLS:
                await site.until(name, "up")
            ready = await site.api.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"ready": True, "failing": []})
            assert (await site.api.get("/healthz")).text == "ok\n"
        here.check()


async def test_a_missing_port_is_told_by_readiness_while_the_rest_works(tmp_path: Path) -> None:
    async with stage(folder=tmp_path, controls=False) as here:
        devices = devices_of(here)
        devices["scale1"] = DeviceSettings(protocol="mtsics", address=f"serial:{tmp_path}/nothing")
        async with running(settings_for(tmp_path, devices)) as site:
            await site.until("robot1", "up")
            await site.until("counter1", "up")
            await site.until("printer1", "up")
            row = await site.until("scale1", "down")
            assert "No such file or directory" in row["reason"]
            ready = await site.api.get("/readyz")
            assert ready.status_code == 503
            (failing,) = ready.json()["failing"]
            assert failing["part"] == "device scale1"
            assert "No such file or directory" in failing["reason"]
            (tmp_path / "nothing").symlink_to((tmp_path / "scale1").resolve())
            await site.until("scale1", "up")


async def test_sigterm_stops_the_daemon_within_ten_seconds_and_leaves_the_port_free(
    tmp_path: Path,
) -> None:
    async with (
        stage(folder=tmp_path, controls=False) as here,
        running(settings_for(tmp_path, devices_of(here))) as site,
    ):
        await site.until("robot1", "up")
        async with site.api.stream("GET", "/api/v1/events") as events:
            assert events.status_code == 200
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(10):
                await site.task
        with socket.create_server(("127.0.0.1", httpx.URL(site.url).port or 0)) as again:
            assert again.getsockname()[0] == "127.0.0.1"


async def test_the_service_manager_hears_ready_the_watchdog_and_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LIMIT_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "50000")
        async with running(settings_for(tmp_path)) as site:
            while len(heard) < 4:
                heard += (await asyncio.to_thread(manager.recv, 4096)).decode().split("\n")
            os.kill(os.getpid(), signal.SIGINT)
            await site.task
        while heard[-1] != "STOPPING=1":
            heard += manager.recv(4096).decode().split("\n")
    assert heard.count("READY=1") == 1
    assert f"MAINPID={os.getpid()}" in heard
    assert heard.count("WATCHDOG=1") >= 2


async def test_an_outdated_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"database": {"url": f"sqlite:///{tmp_path}/new.db"}, "http": {"port": 0}}
    )
    with pytest.raises(SchemaOutdated, match="dispensed db upgrade"):
        await daemon.run(settings, program=("false",), ready=lambda _url: None)


async def test_a_taken_http_port_is_refused_by_name(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = settings_for(tmp_path).model_copy(
            update={"http": Settings().http.model_copy(update={"port": port})}
        )
        with pytest.raises(CannotListen, match=f"http 127.0.0.1:{port}: Address already in use"):
            await daemon.run(settings, program=("false",), ready=lambda _url: None)


async def test_nothing_is_left_running_after_a_stop(tmp_path: Path) -> None:
    before = {thread.name for thread in threading.enumerate()}
    async with running(settings_for(tmp_path)):
        pass
    assert len(asyncio.all_tasks()) == 1
    after = {thread.name for thread in threading.enumerate()} - before
    assert not [name for name in after if not name.startswith("asyncio_")]
