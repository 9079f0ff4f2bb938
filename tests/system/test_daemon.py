"""The daemon as a whole: four machines on real wires, one process, start to stop."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from structlog.testing import capture_logs

from dispensed import daemon
from dispensed.clock import SystemClock
from dispensed.daemon import CannotListen
from dispensed.devices.fleet import Fleet
from dispensed.devices.supervisor import Pace
from dispensed.errors import DeviceProblem
from dispensed.ledger import tokens
from dispensed.ledger.engine import Store, StoreReadOnly, upgrade
from dispensed.ledger.schema import SchemaOutdated
from dispensed.ledger.stamp import Stamp
from dispensed.services import inbox
from dispensed.services.changes import Changes
from dispensed.services.site import Site
from dispensed.settings import DeviceSettings, Settings
from drivers.base import RawMessage
from drivers.errors import DeviceUnavailable
from simulators.stage import Stage, stage

QUICK = Pace(first_s=0.02, most_s=0.05)
LIMIT_S = 30.0
UTC_ZONE = ZoneInfo("UTC")
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


def bare_site(store: Store) -> Site:
    clock = SystemClock()
    fleet = Fleet({}, clock=clock, sink_for=lambda _name: nowhere, on_link=lambda _link: None)
    return Site(store=store, clock=clock, zone=UTC_ZONE, machines=fleet, changes=Changes())


async def nowhere(message: RawMessage) -> None:
    del message


def token_of(settings: Settings) -> str:
    with Store.open(settings.database.url) as store:
        stamp = Stamp("test", SystemClock().now())
        return store.write_sync(lambda tx: tokens.create(tx, "tests", "admin", stamp))


def devices_of(here: Stage) -> dict[str, DeviceSettings]:
    options: dict[str, dict[str, str | int | float | bool]] = {
        "counter1": {"security": "none", "user": "anonymous"}
    }
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


async def test_a_message_waits_while_the_ledger_takes_no_writes_and_is_then_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "SINK_RETRY_S", 0.0)
    message = RawMessage("key1", "count", b"7")
    met: list[str] = []

    async def deliver(site: Site, device: str, each: RawMessage) -> None:
        del site
        met.append(f"{device} {each.key}")
        if len(met) < 3:
            raise StoreReadOnly("the storage failed: disk full")

    async def apply_pending(site: Site) -> int:
        del site
        met.append("pending applied")
        return 1

    monkeypatch.setattr(inbox, "deliver", deliver)
    monkeypatch.setattr(inbox, "apply_pending", apply_pending)
    with Store.open(settings_for(tmp_path).database.url) as store, capture_logs() as logs:
        await daemon._store_message(bare_site(store), "counter1", message)
    assert met == ["counter1 key1"] * 3 + ["pending applied"]
    assert [each["event"] for each in logs] == ["message.held", "message.taken"]


async def test_a_message_for_a_closed_ledger_is_refused_to_its_driver(tmp_path: Path) -> None:
    store = Store.open(settings_for(tmp_path).database.url)
    store.close()
    with pytest.raises(DeviceUnavailable, match="the ledger is closed"):
        await daemon._store_message(bare_site(store), "counter1", RawMessage("k", "count", b"7"))


async def test_a_cabinet_that_comes_back_is_compared_with_the_book_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    twice = asyncio.Event()

    async def reconcile(site: Site, device: str) -> None:
        del site
        compared.append(device)
        if len(compared) == 2:
            twice.set()
        raise DeviceProblem("device robot1: gone again")

    monkeypatch.setattr(daemon, "reconcile", reconcile)
    async with stage(folder=tmp_path, controls=False) as here:
        robot = {"robot1": devices_of(here)["robot1"]}
        async with running(settings_for(tmp_path, robot)) as site:
            await site.until("robot1", "up")
            here.wires["robot1"].faults.switch("cut", on=True, times=1)
            async with asyncio.timeout(LIMIT_S):
                await twice.wait()
    assert compared == ["robot1", "robot1"]


def test_the_process_starts_verifies_its_ledger_and_ends_with_status_0(tmp_path: Path) -> None:
    config = tmp_path / "dispensed.toml"
    config.write_text(
        f'state_dir = "{tmp_path}"\n[database]\nurl = "sqlite:///{tmp_path}/ledger.db"\n'
        '[http]\nport = 0\n[jobs]\nverify = "* * * * * *"\n'
    )
    base = [sys.executable, "-m", "dispensed", "--config", str(config)]
    subprocess.run([*base, "db", "upgrade"], check=True, capture_output=True, timeout=LIMIT_S)
    verified: list[str] = []
    with subprocess.Popen(
        [*base, "run"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"job": "verify"' in line:
                verified.append(line)
                process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert '"event": "job.finished"' in verified[0]
