"""Settings of a PackML counter: every fault is named before anything is opened."""

import pytest

from drivers.base import DeviceSpec, RawMessage
from drivers.packml.driver import PackmlDriver
from drivers.packml.options import check_address, parse_options


async def _nowhere(_message: RawMessage) -> None:
    return None


def test_the_defaults_are_those_of_the_example() -> None:
    options = parse_options({"security": "none"})
    assert (options.target_parameter, options.job_parameter) == ("TargetCount", "JobId=")
    assert (options.poll_s, options.settle_s) == (0.1, 0.2)
    assert (options.request_timeout_s, options.keepalive_s) == (4.0, 2.0)
    assert options.defective_count
    assert not options.clear_aborted
    assert options.root == ()


def test_no_security_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="'security' must be named"):
        parse_options({})


def test_security_needs_its_three_files_and_they_need_security() -> None:
    with pytest.raises(ValueError, match="server_certificate") as caught:
        parse_options({"security": "Basic256Sha256", "certificate": "c.der"})
    assert "'private_key' is needed" in str(caught.value)
    with pytest.raises(ValueError, match="'certificate' is of use with"):
        parse_options({"security": "none", "certificate": "c.der"})


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
        parse_options({"security": "none", key: value})


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="count_index") as caught:
        parse_options({"security": "tls", "count_index": -1, "colour": "red"})
    assert "'colour' is not known" in str(caught.value)
    assert "security" in str(caught.value)


def test_a_root_is_names_parted_by_slashes() -> None:
    options = parse_options({"security": "none", "root": "/Machines/Counter 1/"})
    assert options.root == ("Machines", "Counter 1")


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:4840",
        "opc.tcp://127.0.0.1",
        "opc.tcp://:4840",
        "opc.tcp://127.0.0.1:70000",
        "opc.tcp://user:secret@127.0.0.1:4840",
    ],
)
def test_an_address_that_is_no_endpoint_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        PackmlDriver(DeviceSpec("counter", address, {"security": "none"}), _nowhere)
    assert "secret" not in str(caught.value)


def test_an_endpoint_may_have_a_path() -> None:
    check_address("opc.tcp://counter.local:4840/UA/Counter")
