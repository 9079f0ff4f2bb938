"""Runs one daemon with 200 simulated devices of mixed kinds and watches it from outside.

Prints the share of a core that the daemon needs, its resident memory every minute and by device,
the time from a code on the wire to its row in the ledger (seen by another reader of the database,
which looks every POLL_S), and whether every event arrived exactly once.
"""

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from dispensed.ledger import tokens
from dispensed.ledger.engine import Store, upgrade
from tests.benchmarks.machines import OUTPUTS_END_S
from tests.ledger.book import STAMP, furnish

POLL_S = 0.002
UP_S = 120.0
LATE_S = 20.0
IDLE_MB = 108.0
"""What the daemon needs without devices."""
_PACK = re.compile(rb'<Pack\b[^>]*\bId="(\d+)"')
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """What another reader of the database sees."""

    database: Path
    seen: dict[str, float] = field(default_factory=dict)
    doubled: int = 0
    packs: dict[str, Counter[str]] = field(default_factory=dict)
    last_id: int = 0

    def look(self) -> None:
        """Take up every message that was stored since the last look."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        query = "SELECT id, device_id, kind, raw FROM inbox WHERE id > ? ORDER BY id"
        try:
            rows = connection.execute(query, (self.last_id,)).fetchall()
        finally:
            connection.close()
        now = time.monotonic()
        for number, device, kind, raw in rows:
            self.last_id = int(number)
            if kind == "scan":
                scan = re.search(rb"S(\d{8})", raw)
                key = scan[1].decode() if scan else f"unread {number}"
                self.doubled += key in self.seen
                self.seen.setdefault(key, now)
            elif kind == "OutputMessage":
                found = self.packs.setdefault(device, Counter())
                found.update({pack.decode() for pack in _PACK.findall(raw)})


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def cpu_s(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: Path, port: int, devices: dict[str, dict[str, object]]) -> str:
    """Return a configuration file of the daemon with these devices."""
    lines = [
        f'state_dir = "{folder}"',
        "[database]",
        f'url = "sqlite:///{folder / "fleet.db"}"',
        "[http]",
        f"port = {port}",
        "[log]",
        'level = "error"',
    ]
    for name, device in devices.items():
        lines += [f"[devices.{name}]", f"protocol = {json.dumps(device['protocol'])}"]
        lines += [f"address = {json.dumps(device['address'])}", f"[devices.{name}.options]"]
        options = device["options"]
        if isinstance(options, dict):
            lines += [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def prepare(folder: Path) -> str:
    """Make a ledger that knows the article; returns a token."""
    url = f"sqlite:///{folder / 'fleet.db'}"
    upgrade(url)
    with Store.open(url) as store:
        store.write_sync(furnish)
        return store.write_sync(lambda tx: tokens.create(tx, "bench", "admin", STAMP))


def wait_until_up(port: int, token: str, daemon: "subprocess.Popen[bytes]") -> None:
    """Return when every device is up; raises TimeoutError naming those that are not."""
    began = time.monotonic()
    down: list[str] = ["all"]
    head = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=head) as api:
        while down:
            if daemon.poll() is not None:
                raise RuntimeError(f"the daemon ended with {daemon.returncode}")
            if time.monotonic() > began + UP_S:
                raise TimeoutError(f"{len(down)} devices are not up: {', '.join(down[:10])}")
            try:
                rows = api.get("/api/v1/devices").json()["rows"]
            except httpx.TransportError:
                rows = [{"name": "the daemon", "state": "down"}]
            down = [row["name"] for row in rows if row["state"] != "up"]
            time.sleep(0.2)
    print(
        f"fleet       all devices up after             {time.monotonic() - began:8.1f} s",
        flush=True,
    )


def measure(minutes: float) -> None:
    """Run the machines and the daemon, watch, print what was seen."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        token = prepare(folder)
        machines = stack.enter_context(_running("tests.benchmarks.machines", os.environ))
        devices = json.loads(_line(machines))["devices"]
        port = free_port()
        (folder / "dispensed.toml").write_text(configuration(folder, port, devices))
        environment = {**os.environ, "DISPENSED_CONFIG": str(folder / "dispensed.toml")}
        daemon = stack.enter_context(_running("dispensed", environment, "run"))
        wait_until_up(port, token, daemon)
        watch = Watch(folder / "fleet.db")
        _say(machines, str(minutes * 60))
        figures = follow(daemon.pid, watch, minutes)
        follow(daemon.pid, watch, OUTPUTS_END_S / 60)
        _say(machines, "enough")
        told = json.loads(_line(machines))
        sent = {str(each["scan"]): float(each["at"]) for each in told["scans"]}
        settle(watch, len(sent), told["left"])
        report(figures, watch, sent, told["left"], len(devices))


@contextlib.contextmanager
def _running(
    module: str, environment: Mapping[str, str], *words: str
) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=LATE_S)


def _line(process: "subprocess.Popen[bytes]") -> bytes:
    if process.stdout is None or not (line := process.stdout.readline()):
        raise RuntimeError("the machines ended")
    return line


def _say(process: "subprocess.Popen[bytes]", word: str) -> None:
    if process.stdin is not None:
        process.stdin.write(word.encode() + b"\n")
        process.stdin.flush()


@dataclass
class Figures:
    """Processor seconds of the whole time, and resident MB at the end of each minute."""

    cpu_s: float = 0.0
    took_s: float = 0.0
    memory: list[float] = field(default_factory=list)


def follow(pid: int, watch: Watch, minutes: float) -> Figures:
    """Look at the database and at the daemon for some minutes."""
    figures = Figures(memory=[memory_mb(pid)])
    began, used = time.monotonic(), cpu_s(pid)
    while (now := time.monotonic()) < began + minutes * 60:
        watch.look()
        if now > began + 60 * len(figures.memory):
            figures.memory.append(memory_mb(pid))
            print(
                f"fleet       memory after {len(figures.memory) - 1:2} min"
                f"               {figures.memory[-1]:8.1f} MB",
                flush=True,
            )
        time.sleep(POLL_S)
    figures.took_s = time.monotonic() - began
    figures.cpu_s = cpu_s(pid) - used
    figures.memory.append(memory_mb(pid))
    return figures


def settle(watch: Watch, scans: int, left: dict[str, int]) -> None:
    """Give what is still on its way a little time."""
    end = time.monotonic() + LATE_S
    while time.monotonic() < end:
        watch.look()
        if len(watch.seen) >= scans and _packs(watch) >= sum(left.values()):
            return
        time.sleep(0.05)


def _packs(watch: Watch) -> int:
    return sum(len(found) for found in watch.packs.values())


def report(
    figures: Figures,
    watch: Watch,
    sent: dict[str, float],
    left: dict[str, int],
    devices: int,
) -> None:
    """Print a line for each figure."""
    waits = sorted(watch.seen[scan] - at for scan, at in sent.items() if scan in watch.seen)
    missed = len(sent) - len(waits)
    lost = sum(left.values()) - _packs(watch)
    growth = figures.memory[-1] - figures.memory[min(1, len(figures.memory) - 1)]
    lines = (
        ("devices on one daemon", f"{devices:8}"),
        ("processor", f"{100 * figures.cpu_s / figures.took_s:8.1f} % of a core"),
        ("memory at the end", f"{figures.memory[-1]:8.1f} MB"),
        ("memory a device", f"{(figures.memory[-1] - IDLE_MB) / devices * 1000:8.0f} kB"),
        ("growth after the first minute", f"{growth:8.1f} MB"),
        ("wire to row, median", f"{1000 * waits[len(waits) // 2]:8.1f} ms"),
        ("wire to row, p99", f"{1000 * waits[len(waits) * 99 // 100]:8.1f} ms"),
        ("wire to row, longest", f"{1000 * waits[-1]:8.1f} ms"),
        ("codes scanned", f"{len(sent):8}, {missed} missed, {watch.doubled} doubled"),
        ("packs taken out", f"{sum(left.values()):8}, {lost} missed"),
    )
    for name, value in lines:
        print(f"fleet       {name:30}  {value}", flush=True)
