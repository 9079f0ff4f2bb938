"""PyLabRobot's MT-SICS client, not written here, reads the simulated balance over a pty."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pylabrobot.scales.mettler_toledo_backend import (
    MettlerToledoError,
    MettlerToledoWXS205SDUBackend,
)

from simulators.mtsics import MtSicsModel
from simulators.serve import serve_pty
from simulators.wire import Wire

pytestmark = pytest.mark.peer


@asynccontextmanager
async def client_of(model: MtSicsModel) -> AsyncIterator[MettlerToledoWXS205SDUBackend]:
    async with serve_pty(model, wire=Wire(speed=50, baud=9600)) as served:
        backend = MettlerToledoWXS205SDUBackend(port=served.address.removeprefix("serial:"))
        backend.io._vid = backend.io._pid = None  # a pty is no USB adapter
        await backend.setup()
        try:
            yield backend
        finally:
            await backend.stop()
            served.check()


async def test_it_identifies_the_balance() -> None:
    async with client_of(MtSicsModel(1, serial="B987654321")) as client:
        assert client.serial_number == "B987654321"


async def test_it_reads_the_weight_that_lies_on_the_pan() -> None:
    model = MtSicsModel(2)
    async with client_of(model) as client:
        model.set("load_g", "12.345")
        assert await client.read_weight("stable") == 12.345
        assert await client.read_weight(0) == 12.345


async def test_it_tares_and_reads_net() -> None:
    model = MtSicsModel(3)
    async with client_of(model) as client:
        model.set("load_g", "50")
        await client.tare("stable")
        assert await client.request_tare_weight() == 50.0
        model.set("load_g", "62.5")
        assert await client.read_stable_weight() == 12.5
        await client.clear_tare()
        assert await client.read_stable_weight() == 62.5


async def test_it_zeroes() -> None:
    model = MtSicsModel(4)
    async with client_of(model) as client:
        model.set("load_g", "1.5")
        await client.zero("stable")
        assert await client.read_stable_weight() == 0.0
        await client.tare_immediately()
        await client.zero_immediately()


@pytest.mark.parametrize(
    ("fault", "title"),
    [
        ("overload", "Balance in overload range."),
        ("underload", "Balance in underload range."),
        ("hardware_error", "EEPROM error"),
        ("busy", "Command not understood, not executable at present"),
    ],
)
async def test_it_understands_each_refusal(fault: str, title: str) -> None:
    model = MtSicsModel(5)
    async with client_of(model) as client:
        model.faults.switch(fault, on=True)
        with pytest.raises(MettlerToledoError, match=title):
            async with asyncio.timeout(10):
                await client.read_stable_weight()


async def test_it_is_told_which_commands_are_unknown() -> None:
    async with client_of(MtSicsModel(6)) as client:
        with pytest.raises(MettlerToledoError, match="Syntax error"):
            await client.set_display_text("HELLO")
