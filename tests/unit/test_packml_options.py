"""Settings of a PackML counter: every fault is named before anything is opened."""

import pytest

from drivers.base import DeviceSpec, RawMessage
from drivers.packml.driver import PackmlDriver
from drivers.packml.options import parse_options

PLAIN: dict[str, str | int | float | bool] = {"security": "none", "user": "anonymous"}


async def _nowhere(_message: RawMessage) -> None:
    return None


def test_the_defaults_are_those_of_the_example() -> None:
    options = parse_options(PLAIN)
    assert (options.target_parameter, options.job_parameter) == ("TargetCount", "JobId=")
    assert (options.poll_s, options.settle_s) == (0.1, 0.2)
    assert (options.link.request_timeout_s, options.link.keepalive_s) == (4.0, 2.0)
    assert options.defective_count
    assert not options.clear_aborted
    assert options.link.root == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("speed", 1),
        ("root", 5),
        ("poll_ms", 0),
        ("poll_ms", 5001),
        ("poll_ms", "100"),
        ("poll_ms", True),
        ("settle_ms", 1.5),
        ("clear_aborted", "yes"),
        ("target_parameter", ""),
    ],
)
def test_a_bad_option_is_named(key: str, value: str | float) -> None:
    with pytest.raises(ValueError, match=key):
        parse_options(PLAIN | {key: value})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="count_index") as caught:
        parse_options({"security": "tls", "count_index": -1, "colour": "red"})
    assert "'colour' is not known" in str(caught.value)
    assert "security" in str(caught.value)


def test_a_driver_refuses_an_address_that_is_no_endpoint() -> None:
    with pytest.raises(ValueError, match="HOST:PORT/PATH expected"):
        PackmlDriver(DeviceSpec("counter", "tcp://127.0.0.1:4840", PLAIN), _nowhere)
