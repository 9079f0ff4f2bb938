"""The author's own tests: what a line means, and what the driver does with a bad machine."""

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from acme_scale import codec
from acme_scale.driver import AcmeScaleDriver
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import DeviceSpec
from drivers.dialect import Refused, Said, Shown, Status, Told
from drivers.errors import (
    DeviceTimeout,
    DriverError,
    NotStable,
    Overload,
    ProtocolError,
    Underload,
    Unsupported,
)
from tests.contract.transports import Inbox
from tests.thirdparty.acme_machine import MODEL, SERIAL, Machine, serving


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"W 12.345 g S", Shown(Decimal("12.345"), "g", stable=True)),
        (b"W -0.005 kg M", Shown(Decimal("-0.005"), "kg", stable=False)),
        (b"W -0.000 g S", Shown(Decimal("0.000"), "g", stable=True)),
        (b"W OVER", Status(over=True)),
        (b"W UNDER", Status(under=True)),
        (b"I ACME-1", Told("ACME-1")),
        (b"E", Refused("E")),
    ],
)
def test_a_line_means_what_the_table_says(line: bytes, said: Said) -> None:
    assert codec.decode(line) == said


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"W 12.345 g",
        b"W 12.345 oz S",
        b"W 1.2.3 g S",
        b"W 012.3 g S",
        b"W 1. g S",
        b"I ",
        b"?",
    ],
)
def test_what_no_such_scale_sends_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(line)


@settings(max_examples=50)
@given(st.binary(max_size=60), st.integers(0, 60))
def test_garbage_raises_only_protocol_errors_and_no_cut_changes_it(data: bytes, cut: int) -> None:
    def read(*pieces: bytes) -> list[Said | None]:
        splitter = codec.splitter()
        lines: list[bytes] = []
        for piece in pieces:
            with contextlib.suppress(ProtocolError):
                lines += splitter.feed(piece)
        with contextlib.suppress(ProtocolError):
            lines += splitter.feed(b"")
        assert splitter.pending <= codec.LINE_MAX
        said: list[Said | None] = []
        for line in lines:
            try:
                said.append(codec.decode(line))
            except ProtocolError:
                said.append(None)
        return said

    assert read(data[:cut], data[cut:]) == read(data)


# ---------------------------------------------------------------- the driver


@contextlib.asynccontextmanager
async def connected(machine: Machine) -> AsyncIterator[AcmeScaleDriver]:
    options: dict[str, str | int | float | bool] = {
        "plausible_max": "320",
        "identify": True,
        "line_timeout_s": 0.1,
    }
    scale = AcmeScaleDriver(DeviceSpec("scale-1", machine.address, options), Inbox().put)
    identity = await scale.connect()
    assert (identity.model, identity.serial) == (MODEL, SERIAL)
    try:
        yield scale
    finally:
        await scale.close()


async def test_a_weight_is_true_although_one_answer_was_damaged() -> None:
    async with serving() as machine, connected(machine) as scale:
        machine.first = [b"W 72.345 g S", b"W 12.3\xb45 g S"]
        reading = await scale.weigh(timeout_s=5)
    assert (str(reading.value), reading.unit, reading.stable) == ("12.345", "g", True)


@pytest.mark.parametrize(
    ("weight", "error"),
    [
        (b"W OVER", Overload),
        (b"W UNDER", Underload),
        (b"W 12.345 g M", NotStable),
        (b"E", ProtocolError),
        (b"", DeviceTimeout),
    ],
)
async def test_what_is_no_weight_is_an_error_and_the_next_weight_is_true(
    weight: bytes, error: type[DriverError]
) -> None:
    async with serving() as machine, connected(machine) as scale:
        true, machine.weight, machine.silent = machine.weight, weight, not weight
        with pytest.raises(error):
            await scale.weigh(timeout_s=0.3)
        machine.weight, machine.silent = true, False
        assert str((await scale.weigh(timeout_s=5)).value) == "12.345"


async def test_what_the_machine_cannot_do_is_unsupported() -> None:
    async with serving() as machine, connected(machine) as scale:
        with pytest.raises(Unsupported):
            await scale.zero(timeout_s=1)
        with pytest.raises(Unsupported):
            await scale.tare(timeout_s=1)


def test_a_bad_option_is_named() -> None:
    with pytest.raises(ValueError, match="'speed'"):
        AcmeScaleDriver(DeviceSpec("scale-1", "tcp://127.0.0.1:1", {"speed": 3}), Inbox().put)
