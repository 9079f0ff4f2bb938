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
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from dispensed.ledger import tokens
from dispensed.ledger.engine import Store
from dispensed.ledger.stamp import Stamp
from simulators.stage import Stage, stage

KILLS = {"sqlite": 50, "postgresql": 10}
ANSWERS = (0, 30)
"""How many requests a daemon may answer before it is killed."""
MORE_S = (0.0, 0.03)
"""... and how much longer it lives then."""
LOAD_MAX_S = 10.0
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
    news: asyncio.Event = field(default_factory=asyncio.Event)
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

    async def answered(self, wanted: int) -> None:
        """Wait until so many more requests were acknowledged, at most LOAD_MAX_S."""
        until = len(self.receipts) + len(self.fills) + wanted
        async with asyncio.timeout(LOAD_MAX_S):
            while len(self.receipts) + len(self.fills) < until:
                self.news.clear()
                await self.news.wait()

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
        self.news.set()


@dataclass
class Warm:
    """Starts daemons from a process that has imported everything already, see `warm`."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    pid: int | None = None

    async def start(self, environment: dict[str, str], url: str) -> None:
        """Start a daemon and wait until it is healthy."""
        self.stdin.write(json.dumps(environment).encode() + b"\n")
        await self.stdin.drain()
        self.pid = int(await self.stdout.readline())
        async with asyncio.timeout(READY_S), httpx.AsyncClient(base_url=url) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get("/healthz")).is_success:
                        return
                os.kill(self.pid, 0)  # raises when the daemon has ended by itself
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Kill the daemon, if one runs, and wait until it is gone."""
        pid, self.pid = self.pid, None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            assert int(await self.stdout.readline()) == signal.SIGKILL


@asynccontextmanager
async def warm() -> AsyncIterator[Warm]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.system.warm",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    source = Warm(process.stdin, process.stdout)
    try:
        yield source
        await source.kill()
    finally:
        if source.pid is not None:
            os.kill(source.pid, signal.SIGKILL)
        process.stdin.close()
        async with asyncio.timeout(READY_S):
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
    async with warm() as source, stage(folder=tmp_path, speed=50, controls=False) as machines:
        environment = {
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
            await source.start(environment, url)
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
                await client.answered(rng.randint(*ANSWERS))
                await asyncio.sleep(rng.uniform(*MORE_S))
                if number < kills:
                    await source.kill()
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
    kills = KILLS[store.dialect]
    assert len(client.receipts) > 5 * kills
    assert len(client.fills) > 3 * kills
