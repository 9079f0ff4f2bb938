"""A machine tried at its own line: `devices probe` and `devices test`."""

import asyncio
import contextlib
import dataclasses
import importlib.metadata
import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from dispensed.cli.base import BadUsage, Failure, settings_of, write_fields, write_json
from dispensed.clock import SystemClock
from dispensed.devices import acceptance, registry
from dispensed.devices.acceptance import Step, Verdict
from dispensed.settings import DeviceSettings
from drivers.errors import DriverError

FREE_THE_LINE = "check the cable and the address; a line that the daemon holds must be freed first"


class Terminal:
    """The technician at the terminal: questions on standard error, answers on standard input."""

    def told(self, text: str) -> None:
        """Say something."""
        click.echo(text, err=True)

    async def answer(self, question: str) -> str:
        """Ask; the machine is watched meanwhile."""
        return await asyncio.to_thread(
            click.prompt, question, default="", show_default=False, err=True
        )


def probe(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Print what a machine says it is."""
    devices = _devices(ctx, name)
    device = devices[name]
    with _failing(name):
        identity = asyncio.run(acceptance.probe(name, devices))
    fields = dataclasses.asdict(identity)
    if as_json:
        write_json({"name": name, "protocol": device.protocol, **fields})
        return
    write_fields({"name": name, "protocol": device.protocol, **fields})


def test(ctx: click.Context, name: str, by: str, report: Path | None, *, as_json: bool) -> None:
    """Run the trial, write the report, print it; status 1 when a step failed."""
    devices = _devices(ctx, name)
    device = devices[name]
    began = SystemClock().now()
    path = report or Path(f"acceptance-{name}-{began:%Y%m%dT%H%M%SZ}.json")
    with _failing(name):
        steps = asyncio.run(acceptance.run(name, devices, Terminal()))
    verdict = _verdict(steps)
    document: dict[str, object] = {
        "device": name,
        "protocol": device.protocol,
        "address": device.address,
        "by": by,
        "began": began.isoformat(),
        "ended": SystemClock().now().isoformat(),
        "dispensed": importlib.metadata.version("dispensed"),
        "verdict": verdict,
        "steps": [dataclasses.asdict(step) for step in steps],
    }
    _write(path, document)
    if as_json:
        write_json({**document, "report": str(path)})
    else:
        for step in steps:
            click.echo(f"{step.verdict:8} {step.name}: expected {step.expected}; seen {step.seen}")
        click.echo(f"{verdict}; the report is {path}")
    if verdict is Verdict.FAILED:
        raise Failure(
            f"device {name} failed its acceptance run", "read the report, mend it, run it again"
        )


def _verdict(steps: tuple[Step, ...]) -> Verdict:
    verdicts = {step.verdict for step in steps}
    if Verdict.FAILED in verdicts:
        return Verdict.FAILED
    return Verdict.SKIPPED if Verdict.SKIPPED in verdicts else Verdict.PASSED


def _write(path: Path, document: dict[str, object]) -> None:
    """Write the report, never over another one."""
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(document, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise BadUsage(f"{path} exists", "name another file with --report") from error


def _devices(ctx: click.Context, name: str) -> dict[str, DeviceSettings]:
    """Return all devices, of which one has that name."""
    settings = settings_of(ctx, check_device=registry.check)
    if name not in settings.devices:
        names = ", ".join(settings.devices) or "none"
        raise BadUsage(f"no device {name!r} is configured; configured: {names}", "name one of them")
    return settings.devices


@contextlib.contextmanager
def _failing(name: str) -> Iterator[None]:
    try:
        yield
    except DriverError as error:
        raise Failure(f"device {name}: {error}", FREE_THE_LINE) from error
