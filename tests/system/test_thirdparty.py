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


def configured(folder: Path, protocol: str, address: str, options: str) -> Path:
    path = folder / "dispensed.toml"
    path.write_text(
        f'state_dir = "{folder}"\n[devices.scale-1]\nprotocol = "{protocol}"\n'
        f'address = "{address}"\noptions = {{ {options} }}\n'
    )
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
        config = configured(tmp_path, "acme", machine.address, options)
        checked, probed = await asyncio.gather(
            asyncio.to_thread(told, site, config, "config", "check"),
            asyncio.to_thread(told, site, config, "devices", "probe", "scale-1", "--json"),
        )
    assert checked.returncode == 0, checked.stderr
    assert probed.returncode == 0, probed.stderr
    said = json.loads(probed.stdout)
    assert said["protocol"] == "acme"
    assert (said["model"], said["serial"]) == (MODEL, SERIAL)


@pytest.mark.parametrize(
    ("protocol", "options", "texts"),
    [
        ("acme", 'plausible_max = "320", speed = 3', ("scale-1", "option 'speed' is not known")),
        ("acme-2", "", ("scale-1", "'acme-2' is not known; known: acme, and, ", "mtsics")),
    ],
)
def test_a_bad_option_and_a_driver_that_is_not_installed_are_named(
    site: Path, tmp_path: Path, protocol: str, options: str, texts: tuple[str, ...]
) -> None:
    config = configured(tmp_path, protocol, "tcp://127.0.0.1:1", options)
    done = told(site, config, "config", "check")
    assert done.returncode == 2
    for text in texts:
        assert text in done.stderr
