"""Settings of a WWKS2 device."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from drivers.base import DeviceSpec, RawMessage
from drivers.wwks2.driver import Wwks2Driver
from drivers.wwks2.options import Options, parse_options


def test_the_example_file_shows_every_option_with_its_default() -> None:
    example = Path(__file__).parents[2] / "config" / "devices" / "wwks2.toml"
    device = tomllib.loads(example.read_text())["devices"]["robot-1"]

    assert parse_options(device["options"]) == Options()
    assert device["options"] == asdict(Options())
    Wwks2Driver(DeviceSpec("robot-1", device["address"], device["options"]), _nowhere)


async def _nowhere(_: RawMessage) -> None:
    """Store nothing."""


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("subscriber", 100, "option 'subscriber' is not one of subscriber_id, tenant,"),
        ("subscriber_id", 0, "option 'subscriber_id': 0 is not a number from 1 to 998"),
        ("subscriber_id", 1.5, "option 'subscriber_id': 1.5 is not a whole number"),
        ("subscriber_id", "100", "option 'subscriber_id': '100' is not a number from 1 to 998"),
        ("orders_max", True, "option 'orders_max': True is not a number from 1 to 1024"),
        ("hello_timeout_s", 0, "option 'hello_timeout_s': 0 is not a number from 0.01 to 60"),
        ("hello_timeout_s", float("nan"), "option 'hello_timeout_s': nan is not a number"),
        ("priority", "Urgent", "option 'priority': 'Urgent' is not one of Lowest, Low, Normal"),
        ("priority", 1, "option 'priority': 1 is not one of Lowest, Low, Normal"),
        ("tenant", 5, "option 'tenant': 5 is not text"),
    ],
)
def test_a_wrong_option_is_named(name: str, value: str | float, text: str) -> None:
    with pytest.raises(ValueError, match="option") as wrong:
        Wwks2Driver(DeviceSpec("robot1", "tcp://127.0.0.1:1", {name: value}), _nowhere)

    assert str(wrong.value).startswith(text)


def test_a_wrong_address_is_named() -> None:
    with pytest.raises(ValueError, match="HOST:PORT expected"):
        Wwks2Driver(DeviceSpec("robot1", "tcp://robot"), _nowhere)
