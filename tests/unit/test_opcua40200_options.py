"""Settings of a scale over OPC UA: every fault is named before anything is opened."""

from decimal import Decimal

import pytest

from drivers.base import DeviceSpec, RawMessage
from drivers.opcua40200.driver import Opcua40200Driver
from drivers.opcua40200.options import parse_options

PLAIN: dict[str, str | int | float | bool] = {"security": "none", "user": "anonymous"}


async def _nowhere(_message: RawMessage) -> None:
    return None


def test_the_defaults_are_those_of_the_example() -> None:
    options = parse_options(PLAIN)
    assert (options.unit, options.equal_reads, options.equal_over_s) == ("g", 0, 1.0)
    assert (options.plausible_min, options.plausible_max) == (None, None)


def test_weights_keep_the_digits_that_are_written() -> None:
    options = parse_options(PLAIN | {"plausible_min": "-1.50", "plausible_max": 320})
    assert (str(options.plausible_min), options.plausible_max) == ("-1.50", Decimal(320))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit", "stone"),
        ("equal_reads", 1),
        ("equal_reads", 21),
        ("equal_over_ms", -1),
        ("plausible_max", "heavy"),
        ("plausible_max", True),
        ("plausible_max", "NaN"),
        ("plausible_max", -1),
        ("speed", 1),
    ],
)
def test_a_bad_option_is_named(key: str, value: str | float) -> None:
    with pytest.raises(ValueError, match=key):
        parse_options(PLAIN | {key: value})


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="plausible_max"):
        parse_options(PLAIN | {"plausible_min": 5, "plausible_max": 5})


def test_a_driver_refuses_an_address_that_is_no_endpoint() -> None:
    with pytest.raises(ValueError, match="HOST:PORT/PATH expected"):
        Opcua40200Driver(DeviceSpec("scale", "tcp://127.0.0.1:4840", PLAIN), _nowhere)
