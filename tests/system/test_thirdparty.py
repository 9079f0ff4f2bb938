"""A driver of somebody else: installed as a package, found by its entry point, used by commands."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.thirdparty.acme_machine import MODEL, SERIAL, serving

PACKAGE = Path(__file__).parents[1] / "thirdparty" / "acme_scale"
PIP = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "-q")
PATIENCE_S = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed, offline."""
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--no-compile")
    subprocess.run(
        [*PIP, *offline, "--target", str(target), str(PACKAGE)], check=True, timeout=PATIENCE_S
    )
    return target


def configured(folder: Path, **devices: tuple[str, str, str]) -> Path:
    """Write a configuration; a device is its protocol, address and options."""
    path = folder / "dispensed.toml"
    tables = (
        f'[devices.{name}]\nprotocol = "{protocol}"\naddress = "{address}"\n'
        f"options = {{ {options} }}\n"
        for name, (protocol, address, options) in devices.items()
    )
    path.write_text(f'state_dir = "{folder}"\n{"".join(tables)}')
    return path


def told(site: Path, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dispensed", "--config", str(config), *words],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=config.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


async def test_an_installed_driver_is_found_and_tells_who_its_machine_is(
    site: Path, tmp_path: Path
) -> None:
    async with serving() as machine:
        options = f'plausible_max = "320", serial = "{SERIAL}"'
        config = configured(tmp_path, scale1=("acme", machine.address, options))
        checked, probed = await asyncio.gather(
            asyncio.to_thread(told, site, config, "config", "check"),
            asyncio.to_thread(told, site, config, "devices", "probe", "scale1", "--json"),
        )
    assert checked.returncode == 0, checked.stderr
    assert probed.returncode == 0, probed.stderr
    said = json.loads(probed.stdout)
    assert said["protocol"] == "acme"
    assert (said["model"], said["serial"]) == (MODEL, SERIAL)


def test_a_bad_option_and_a_driver_that_is_not_installed_are_named(
    site: Path, tmp_path: Path
) -> None:
    config = configured(
        tmp_path,
        scale1=("acme", "tcp://127.0.0.1:1", 'plausible_max = "320", speed = 3'),
        scale2=("acme-2", "tcp://127.0.0.1:1", ""),
    )
    done = told(site, config, "config", "check")
    assert done.returncode == 2
    for text in (
        "devices.scale1",
        "option 'speed' is not known",
        "devices.scale2",
        "protocol 'acme-2' is not known; known: acme, and, ",
        "mtsics",
    ):
        assert text in done.stderr
