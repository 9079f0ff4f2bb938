"""A whole pharmacy to look at: simulated machines, the real daemon, a day's work.

This is `make run`.

Starts the machines on a pty, TCP ports and an OPC UA endpoint, the daemon on an embedded database
in a folder of its own, and plays a day through the daemon's API. Everything is on loopback.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.day import Day, live
from simulators.desk import desk
from simulators.stage import Stage, stage

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config" / "demo.toml"
FORMULARY = ROOT / "config" / "formulary.demo.csv"
ZONE = ZoneInfo("America/New_York")
READY_S = 60.0
STOP_S = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    state: Path
    port: int
    seed: int
    speed: float
    every_s: float
    pause_s: float
    seconds: float | None
    keep: bool


def main() -> None:
    """Run the demonstration until Ctrl-C, or for some seconds."""
    wanted = _parse(sys.argv[1:])
    try:
        code = asyncio.run(_run(wanted))
    except KeyboardInterrupt:
        code = 0
    sys.exit(code)


def _parse(arguments: list[str]) -> Wanted:
    parser = argparse.ArgumentParser(prog="pharmacy", description=__doc__)
    parser.add_argument("--state", type=Path, default=ROOT / ".demo", help="folder of its files")
    parser.add_argument("--port", type=int, default=8480, help="port of the page; 0 takes any")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=float, default=4.0, help="simulated seconds a second")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between prescriptions")
    parser.add_argument("--pause", type=float, default=12.0, help="seconds between incidents")
    parser.add_argument("--seconds", type=float, default=None, help="stop after so long")
    parser.add_argument("--keep", action="store_true", help="go on with the last day's files")
    given = parser.parse_args(arguments)
    return Wanted(
        state=given.state.resolve(),
        port=given.port,
        seed=given.seed,
        speed=given.speed,
        every_s=given.every,
        pause_s=given.pause,
        seconds=given.seconds,
        keep=given.keep,
    )


def say(text: str) -> None:
    """Print one line with the time."""
    print(f"{datetime.now(ZONE):%H:%M:%S}  {text}", flush=True)  # noqa: TID251 - a clock on the wall


async def _run(wanted: Wanted) -> int:
    if wanted.state.exists() and not wanted.keep:
        shutil.rmtree(wanted.state)
    wanted.state.mkdir(parents=True, exist_ok=True)
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    try:
        async with stage(folder=wanted.state, seed=wanted.seed, speed=wanted.speed) as machines:
            for name, address in machines.addresses.items():
                say(f"{name}: {address}  (control {machines.controls[name]})")
            await _with_daemon(wanted, machines)
    except asyncio.CancelledError:
        say("stopped")
    return 0


async def _with_daemon(wanted: Wanted, machines: Stage) -> None:
    port = wanted.port or _free_port()
    environment = _environment(wanted, machines, port)
    await _command(environment, "db", "upgrade")
    token = json.loads(
        await _command(environment, "token", "create", "demo", "--role", "admin", "--json")
    )["token"]
    url = f"http://127.0.0.1:{port}"
    async with _daemon(environment), desk(url, token) as people:
        await people.until_ready(READY_S)
        say(f"the page: {url}/sign-in?token={token}")
        say(f"the API:  curl -H 'Authorization: Bearer {token}' {url}/api/v1/stock")
        await people.upload("/items/import", FORMULARY.read_text(encoding="utf-8"))
        day = Day(
            desk=people,
            stage=machines,
            today=datetime.now(UTC).astimezone(ZONE).date(),  # noqa: TID251 - a clock on the wall
            say=say,
            rng=random.Random(wanted.seed),
        )
        await live(day, every_s=wanted.every_s, pause_s=wanted.pause_s, seconds=wanted.seconds)
        say(f"{day.settled} fills were settled")
    say(f"verify: {(await _command(environment, 'verify')).strip()}")


def _environment(wanted: Wanted, machines: Stage, port: int) -> dict[str, str]:
    settings = {
        "DISPENSED_CONFIG": str(CONFIG),
        "DISPENSED__STATE_DIR": str(wanted.state),
        "DISPENSED__DATABASE__URL": f"sqlite:///{wanted.state}/dispensed.db",
        "DISPENSED__HTTP__PORT": str(port),
    }
    for name, address in machines.addresses.items():
        settings[f"DISPENSED__DEVICES__{name.upper()}__ADDRESS"] = address
    return {**os.environ, **settings}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _command(environment: dict[str, str], *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dispensed",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"dispensed {' '.join(arguments)} failed ({process.returncode})")
    return output.decode()


@contextlib.asynccontextmanager
async def _daemon(environment: dict[str, str]) -> AsyncIterator[None]:
    """Run the daemon for the time of the block; it stops by SIGTERM, or is killed after STOP_S."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispensed", "run", env=environment, start_new_session=True
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    main()
