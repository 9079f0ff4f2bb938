"""Every driver at once: `dispensed-sim` for each machine, `dispensed run` with all of them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from dispensed.devices import registry
from dispensed.ledger import tokens
from dispensed.ledger.engine import Store, upgrade
from dispensed.ledger.stamp import Stamp

ROOT = Path(__file__).parents[2]
STAMP = Stamp("tester", datetime(2026, 11, 22, tzinfo=UTC))
UP_S = 30.0
WORK_S = 30.0
ITEM = "00071015523"
PACK = 90
PIECE_MG = 650
SPEED = "20"
OPEN_UA = 'security = "none", user = "anonymous"'
LIMIT = 'plausible_max = "15"'
MACHINES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mtsics1": ("mtsics", "", ("--pty", "mtsics1")),
    "toledo1": ("toledo8217", f'unit = "kg", {LIMIT}', ("--pty", "toledo1")),
    "nci1": ("nci", f'unit = "kg", {LIMIT}', ()),
    "ohaus1": ("ohaus", 'plausible_max = "320"', ("--pty", "ohaus1")),
    "and1": ("and", 'plausible_max = "320"', ()),
    "sbi1": ("sbi", 'plausible_max = "320"', ("--pty", "sbi1")),
    "wtx1": ("modbus", 'map = "wtx120"', ()),
    "laumas1": ("modbus", 'map = "laumas"', ("--pty", "laumas1")),
    "ua-scale1": ("opcua40200", OPEN_UA, ("--opcua", "opc.tcp://127.0.0.1:0")),
    "counter1": ("packml", OPEN_UA, ("--opcua", "opc.tcp://127.0.0.1:0")),
    "robot1": ("wwks2", "", ()),
    "locks1": ("lockboard", 'dialect = "kr-cu16", drawers = "0.1-4"', ()),
    "ua-drawers1": ("opcua_cabinet", OPEN_UA, ("--opcua", "opc.tcp://127.0.0.1:0")),
    "label1": ("zpl", "", ()),
    "label2": ("ipp", "", ()),
    "scanner1": ("scanner", "", ()),
}
"""Device name -> simulator, options of the driver, where the simulator is served."""
SIMULATORS = {"laumas1": "modbus-laumas"}
FINE_SCALES = ("mtsics1", "ohaus1", "and1", "sbi1", "ua-scale1", "wtx1", "laumas1")
COARSE_SCALES = ("toledo1", "nci1")
"""Scales for kilograms, in steps of 5 g, which cannot tell 20 tablets from 21."""


@dataclass
class Sim:
    address: str
    control: str

    def ask(self, **request: object) -> dict[str, object]:
        """Send one request on the control channel; returns its answer."""
        host, _, port = self.control.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(line.makefile().readline())
        assert isinstance(answer, dict)
        return answer

    def set(self, name: str, value: str) -> None:
        """Change something at the machine."""
        answer = self.ask(set=name, value=value)
        assert answer["ok"], answer

    def model(self) -> dict[str, object]:
        """Return what the machine says of itself, the truth included."""
        found = self.ask(get="state")["model"]
        assert isinstance(found, dict)
        return found


@dataclass
class Everything:
    api: httpx.Client
    sims: dict[str, Sim]
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, *words: str) -> object:
        """Run the real command line with --json."""
        done = subprocess.run(
            [sys.executable, "-m", "dispensed", *words, "--json"],
            env=self.environment,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def until(self, path: str, wanted: str, limit_s: float = WORK_S) -> dict[str, object]:
        """Ask until the row has the wanted state."""
        end = time.monotonic() + limit_s
        while True:
            row = self.api.get(path).raise_for_status().json()["dispense"]
            if row["state"] == wanted:
                return dict(row)
            assert time.monotonic() < end, row


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    folder = tmp_path
    with contextlib.ExitStack() as stack:
        starting = {
            name: stack.enter_context(_simulator(folder, name, *what))
            for name, what in MACHINES.items()
        }
        sims = {name: _ready(shown) for name, shown in starting.items()}
        with _daemon(folder, sims) as here:
            stocked(here)
            yield here


@contextlib.contextmanager
def _simulator(
    folder: Path, name: str, protocol: str, _options: str, where: tuple[str, ...]
) -> Iterator[Path]:
    """Start a simulator; what it shows goes to a file, so that it never waits for a reader."""
    place = where or ("--tcp", "127.0.0.1:0")
    if place[0] == "--pty":
        place = ("--pty", str(folder / place[1]))
    shown = folder / f"{name}.jsonl"
    with shown.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "simulators", SIMULATORS.get(name, protocol)),
                *(*place, "--control", "127.0.0.1:0", "--speed", SPEED, "--json"),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=output,
        )
    try:
        yield shown
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def _ready(shown: Path) -> Sim:
    """Wait for the first line of a simulator, its addresses."""
    end = time.monotonic() + UP_S
    while not (text := shown.read_text()).count("\n"):
        assert time.monotonic() < end, f"{shown.name}: nothing shown"
        _wait()
    told = json.loads(text.splitlines()[0])
    return Sim(told["address"], told["control"])


def _wait() -> None:
    """Let other processes work a moment."""
    threading.Event().wait(0.05)


@contextlib.contextmanager
def _daemon(folder: Path, sims: dict[str, Sim]) -> Iterator[Everything]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "labels").mkdir()
    (folder / "dispensed.toml").write_text(_configuration(folder, port, sims))
    environment = {**os.environ, "DISPENSED_CONFIG": str(folder / "dispensed.toml")}
    upgrade(f"sqlite:///{folder}/ledger.db")
    with Store.open(f"sqlite:///{folder}/ledger.db") as store:
        token = store.write_sync(lambda tx: tokens.create(tx, "test", "admin", STAMP))
    environment["DISPENSED_TOKEN"] = token
    process = subprocess.Popen(
        [sys.executable, "-m", "dispensed", "run"], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        head = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers=head, timeout=30) as api:
            _until_up(api, process)
            yield Everything(api, sims, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def _configuration(folder: Path, port: int, sims: dict[str, Sim]) -> str:
    devices = {
        name: (protocol, sims[name].address, options)
        for name, (protocol, options, _) in MACHINES.items()
    }
    devices["label3"] = ("pdf", (folder / "labels").as_uri(), "")
    devices["counter2"] = ("weighcount", "device:mtsics1", "")
    lines = [
        f'state_dir = "{folder}"',
        f'[database]\nurl = "sqlite:///{folder}/ledger.db"',
        f"[http]\nport = {port}",
        '[log]\nlevel = "error"',
        '[dispensing]\nscale = "mtsics1"\ncounter = "counter1"\nprinter = "label1"',
    ]
    for name, (protocol, address, options) in devices.items():
        lines.append(f'[devices.{name}]\nprotocol = "{protocol}"\naddress = "{address}"')
        lines.append(f"options = {{ {options} }}")
    return "\n".join(lines) + "\n"


def _until_up(api: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + UP_S
    down = {"everything": "not asked yet"}
    while down:
        assert process.poll() is None, process.returncode
        assert time.monotonic() < end, down
        with contextlib.suppress(httpx.TransportError):
            rows = api.get("/api/v1/devices").raise_for_status().json()["rows"]
            down = {row["name"]: row["reason"] for row in rows if row["state"] != "up"}
        _wait()


# ---------------------------------------------------------------- what each can do


@pytest.mark.slow
def test_every_driver_runs_in_one_daemon_and_every_ability_works(everything: Everything) -> None:
    every_device_is_up_and_says_how_its_link_is_protected(everything)
    a_fill_is_counted_weighed_on_every_scale_printed_and_settled(everything)
    the_robot_puts_out_a_pack(everything)
    for device in ("locks1", "ua-drawers1"):
        a_drawer_is_opened_from_the_command_line(everything, device)
    a_scanned_code_is_in_the_inbox(everything)


def every_device_is_up_and_says_how_its_link_is_protected(everything: Everything) -> None:
    answer = everything.command("devices")
    assert isinstance(answer, dict)
    rows = {row["name"]: row for row in answer["rows"]}
    assert set(rows) == {*MACHINES, "label3", "counter2"}
    assert {row["state"] for row in rows.values()} == {"up"}
    assert {row["protocol"] for row in rows.values()} == set(registry.protocols())
    assert "anonymous" in rows["ua-scale1"]["link"]


def stocked(everything: Everything) -> None:
    api = everything.api
    item = {
        "item_id": ITEM,
        "name": "Lipitor",
        "unit": "EA",
        "pack_quantity": str(PACK),
        "piece_weight_ug": PIECE_MG * 1000,
        "piece_weight_sd_ug": 2000,
    }
    api.post("/api/v1/items", json=item).raise_for_status()
    api.post("/api/v1/locations", json={"location_id": "shelf"}).raise_for_status()
    for place, lot in (("shelf", "L1"), ("robot1", "L2")):
        body = {
            "request_id": f"opening-{place}",
            "item_id": ITEM,
            "lot": lot,
            "expiry": "2099-12-31",
            "quantity": str(PACK * 10),
            "location": place,
            "opening": True,
        }
        api.post("/api/v1/receipts", json=body).raise_for_status()
    packs = {"article": ITEM, "batch": "L2", "expiry": "2099-12-31", "packs": 10}
    everything.sims["robot1"].set("stock", json.dumps([packs]))


def a_fill_is_counted_weighed_on_every_scale_printed_and_settled(
    everything: Everything,
) -> None:
    api = everything.api
    order = {
        "request_id": "fill-1",
        "order_ref": "RX-1",
        "item_id": ITEM,
        "quantity": "20",
        "patient_key": "p1",
        "route": "counter",
    }
    number = api.post("/api/v1/dispenses", json=order).raise_for_status().json()["id"]
    path = f"/api/v1/dispenses/{number}"
    everything.until(path, "counted")
    assert everything.sims["counter1"].model()["physically_dispensed"] == 20

    grams = Decimal(20 * PIECE_MG) / 1000
    found, expected = {}, {}
    for name in (*FINE_SCALES, *COARSE_SCALES):
        if name in FINE_SCALES:
            everything.sims[name].set("load_g", str(grams))
        else:
            everything.sims[name].set("load", str(grams / 1000))
        answer = api.post(f"{path}/weigh", json={"scale": name})
        if not answer.is_success:
            found[name] = answer.text
            continue
        wanted = "agrees" if name in FINE_SCALES else "inconclusive"
        found[name] = answer.json()["weigh_result"]
        expected[name] = wanted
    assert {name: each.partition(":")[0] for name, each in found.items()} == expected
    everything.sims["mtsics1"].set("load_g", str(grams))
    api.post(f"{path}/weigh").raise_for_status()
    api.post(f"{path}/verify").raise_for_status()
    before = everything.sims["label1"].model()["odometer"]
    assert isinstance(before, int)
    api.post(f"{path}/release", json={}).raise_for_status()
    assert api.get(path).json()["dispense"]["state"] == "settled"
    assert everything.sims["label1"].model()["odometer"] == before + 1


def the_robot_puts_out_a_pack(everything: Everything) -> None:
    order = {
        "request_id": "fill-2",
        "order_ref": "RX-2",
        "item_id": ITEM,
        "quantity": str(PACK),
        "patient_key": "p2",
        "route": "cabinet",
    }
    number = everything.api.post("/api/v1/dispenses", json=order).raise_for_status().json()["id"]
    everything.until(f"/api/v1/dispenses/{number}", "counted")
    assert everything.sims["robot1"].model()["left"] == 1


def a_drawer_is_opened_from_the_command_line(everything: Everything, device: str) -> None:
    listed = everything.command("devices", "drawers", device)
    assert isinstance(listed, dict)
    drawer = listed["rows"][0]["drawer"]
    opened = everything.command("devices", "open", device, drawer, "--reason", "restock")
    assert isinstance(opened, dict)
    assert opened["drawer"] == drawer
    assert opened["is_open"] is True


def a_scanned_code_is_in_the_inbox(everything: Everything) -> None:
    everything.sims["scanner1"].set("scan", "01003007101552371727123110LOT123")
    folder = Path(everything.environment["DISPENSED_CONFIG"]).parent
    end = time.monotonic() + WORK_S
    with Store.open(f"sqlite:///{folder}/ledger.db", readers=1) as store:
        query = text("SELECT raw FROM inbox WHERE device_id = 'scanner1' AND kind = 'scan'")
        while not (rows := store.read_sync(lambda tx: list(tx.scalars(query)))):
            assert time.monotonic() < end
            _wait()
    assert b"LOT123" in rows[0]
