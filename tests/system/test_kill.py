"""The daemon is killed with SIGKILL at random instants under load, again and again."""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from dispensed.ledger import tokens
from dispensed.ledger.audit import verify
from dispensed.ledger.engine import Store
from dispensed.ledger.stamp import Stamp
from simulators.stage import Stage, stage

KILLS = {"sqlite": 12, "postgresql": 4}
LOAD_S = (0.05, 0.5)
READY_S = 60.0
ITEM = "00071015523"
PACK = 90
CONFIG = """
[devices.counter1]
protocol = "packml"
address = "opc.tcp://127.0.0.1:1"
options = { security = "none", user = "anonymous" }
[devices.robot1]
protocol = "wwks2"
address = "tcp://127.0.0.1:1"
[devices.printer1]
protocol = "zpl"
address = "tcp://127.0.0.1:1"
"""


@dataclass
class Client:
    """Asks the daemon over HTTP and remembers what was acknowledged; repeats what was not."""

    url: str
    token: str
    rng: random.Random
    receipts: dict[str, int] = field(default_factory=dict)
    fills: dict[str, int] = field(default_factory=dict)
    again: deque[tuple[str, dict[str, str | bool]]] = field(default_factory=deque)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def load(self, client: httpx.AsyncClient) -> None:
        """Post receipts and fills until the daemon is gone."""
        while True:
            path, body = self.again.popleft() if self.again else self._next()
            try:
                answer = await client.post(path, json=body)
            except httpx.TransportError:
                self.again.append((path, body))
                return
            except asyncio.CancelledError:
                self.again.append((path, body))
                raise
            assert answer.status_code == 201, answer.text
            self._acknowledged(str(body["request_id"]), answer.json())

    def _next(self) -> tuple[str, dict[str, str | bool]]:
        number = next(self.numbers)
        if self.rng.random() < 0.6:
            return "/api/v1/receipts", {
                "request_id": f"receipt-{number}",
                "item_id": ITEM,
                "lot": "L1",
                "expiry": "2099-12-31",
                "quantity": str(PACK),
                "location": "shelf",
            }
        route = self.rng.choice(("counter", "cabinet"))
        return "/api/v1/dispenses", {
            "request_id": f"fill-{number}",
            "order_ref": f"RX-{number}",
            "item_id": ITEM,
            "quantity": "10" if route == "counter" else str(PACK),
            "patient_key": "p1",
            "route": route,
        }

    def _acknowledged(self, request_id: str, body: dict[str, int]) -> None:
        known, key = (
            (self.receipts, "movement_id")
            if request_id.startswith("receipt")
            else (self.fills, "id")
        )
        assert known.setdefault(request_id, body[key]) == body[key]


@asynccontextmanager
async def daemon(
    environment: dict[str, str], url: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the real daemon until it is healthy; killed at the end at the latest."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispensed", "run", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(READY_S), httpx.AsyncClient(base_url=url) as client:
            while True:
                assert process.returncode is None, f"the daemon ended with {process.returncode}"
                try:
                    if (await client.get("/healthz")).is_success:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def prepare(api: httpx.AsyncClient, machines: Stage) -> None:
    body = {
        "item_id": ITEM,
        "name": "Lipitor",
        "unit": "EA",
        "pack_quantity": str(PACK),
    }
    assert (await api.post("/api/v1/items", json=body)).is_success
    assert (await api.post("/api/v1/locations", json={"location_id": "shelf"})).is_success
    opening = {
        "item_id": ITEM,
        "lot": "L2",
        "expiry": "2099-12-31",
        "quantity": str(PACK * 2000),
        "location": "robot1",
        "opening": True,
        "request_id": "opening",
    }
    answer = await api.post("/api/v1/receipts", json=opening)
    assert answer.is_success, answer.text
    packs = {"article": ITEM, "batch": "L2", "expiry": "2099-12-31", "packs": 2000}
    machines.robot.set("stock", json.dumps([packs]))
    machines.robot.set("output_s", "1")


def held(store: Store) -> dict[int, str]:
    query = text("SELECT id, state FROM reservation")
    return {row.id: row.state for row in store.read_sync(lambda tx: list(tx.execute(query)))}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_daemon_killed_at_random_instants_loses_and_doubles_nothing(
    ledger_url: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    rng = random.Random(7)
    kills = KILLS[ledger_url.partition("+")[0].partition(":")[0]]
    url = f"http://127.0.0.1:{unused_tcp_port}"
    store = Store.open(ledger_url)
    stamp = Stamp("tester", datetime(2026, 11, 22, tzinfo=UTC))
    token = store.write_sync(lambda tx: tokens.create(tx, "kill", "admin", stamp))
    config = tmp_path / "dispensed.toml"
    config.write_text(CONFIG, encoding="utf-8")
    client = Client(url, token, rng)
    headers = {"Authorization": f"Bearer {token}"}
    async with stage(folder=tmp_path, speed=50, controls=False) as machines:
        environment = {
            **os.environ,
            "DISPENSED_CONFIG": str(config),
            "DISPENSED__STATE_DIR": str(tmp_path),
            "DISPENSED__DATABASE__URL": ledger_url,
            "DISPENSED__HTTP__PORT": str(unused_tcp_port),
            "DISPENSED__LOG__LEVEL": "error",
        }
        for name in ("counter1", "robot1", "printer1"):
            environment[f"DISPENSED__DEVICES__{name.upper()}__ADDRESS"] = machines.addresses[name]
        before: dict[int, str] = {}
        for number in range(kills + 1):
            async with daemon(environment, url) as process:
                states = held(store)
                assert {states[each] for each in before} <= {
                    "settled",
                    "voided",
                    "in_doubt",
                    "broken",
                }
                async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as api:
                    if number == 0:
                        await prepare(api, machines)
                    tasks = [asyncio.create_task(client.load(api)) for _ in range(6)]
                    await asyncio.sleep(rng.uniform(*LOAD_S))
                    if number < kills:
                        process.send_signal(signal.SIGKILL)
                        await process.wait()
                    else:
                        for task in tasks:
                            task.cancel()
                    results = await asyncio.gather(*tasks, return_exceptions=True)
                    assert not [r for r in results if isinstance(r, AssertionError)], results
                    if number == kills:
                        await repeat_what_was_not_acknowledged(client, api)
            before = held(store)
        check(store, client)
    store.close()


async def repeat_what_was_not_acknowledged(client: Client, api: httpx.AsyncClient) -> None:
    while client.again:
        path, body = client.again.popleft()
        answer = await api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        client._acknowledged(str(body["request_id"]), answer.json())


def check(store: Store, client: Client) -> None:
    """Every acknowledged request is there once, under the number that was told, and no other."""
    moved = text("SELECT id, request_id, milli FROM movement WHERE request_id LIKE 'receipt-%'")
    rows = store.read_sync(lambda tx: list(tx.execute(moved)))
    assert {row.request_id: row.id for row in rows} == client.receipts
    assert len(rows) == len(client.receipts)
    assert {row.milli for row in rows} <= {PACK * 1000}
    fills = text("SELECT id, request_id FROM dispense")
    found = store.read_sync(lambda tx: list(tx.execute(fills)))
    assert {row.request_id: row.id for row in found} == client.fills
    assert client.receipts
    assert client.fills
    report = store.read_sync(verify)
    assert report.ok, report
