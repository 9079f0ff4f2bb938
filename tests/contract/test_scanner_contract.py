"""What a scanner driver owes: a code that it tells was scanned, exactly so; else it tells none."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import DeviceSpec
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
)
from drivers.facts import CodeScanned
from drivers.scanner.codec import interpret
from drivers.scanner.driver import WAITING_MAX, ScannerDriver
from simulators.scanner import ScannerModel
from simulators.serve import Served, serve_pty, serve_tcp
from tests.contract.transports import CLEAN, Inbox, Line

PACK = "01003007101552371727123110LOT123\x1d21SER0001"
OTHER = "0100300710155237172712311077B"
NO_FNC1 = "01003007101552371727123110LOT12321SER0001"
Options = dict[str, str | int | float | bool]
QUICK: Options = {"line_gap_s": 0.1, "duplicate_window_s": 0.0}


class Bench:
    """One driver in front of one simulated scanner, its watch running as under the supervisor."""

    def __init__(self, model: ScannerModel, served: Served, driver: ScannerDriver) -> None:
        self.model = model
        self.wire = served.wire
        self.driver = driver
        self.inbox = Inbox()
        self.watch: asyncio.Task[None] | None = None

    def codes(self) -> list[CodeScanned]:
        """What was stored as a code, read back as the daemon does."""
        codes: list[CodeScanned] = []
        for message in self.inbox.messages:
            if message.kind == "scan":
                for fact in interpret(message.raw):
                    assert isinstance(fact, CodeScanned)
                    codes.append(fact)
        return codes

    async def start(self) -> None:
        """Connect, again and again as the supervisor does, and watch."""
        await self.stop()
        async with asyncio.timeout(5):
            while self.watch is None:
                with contextlib.suppress(DeviceUnavailable):
                    await self.driver.connect()
                    self.watch = asyncio.ensure_future(self.driver.watch())
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        watch, self.watch = self.watch, None
        await self.driver.close()
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError, DriverError):
                await watch

    async def scan(self, content: str, *, timeout_s: float = 2.0) -> CodeScanned:
        """Ask for the next code and scan one."""
        asked = asyncio.ensure_future(self.driver.scan(timeout_s=timeout_s))
        await asyncio.sleep(0)
        self.model.scan(content)
        return await asked

    async def heard(self, count: int) -> None:
        """Wait until so many messages were stored."""
        async with asyncio.timeout(5):
            while len(self.inbox.messages) < count:  # noqa: ASYNC110 - a list has no events
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def bench(
    line: Line = CLEAN, *, server: str = "tcp", options: Options | None = None
) -> AsyncIterator[Bench]:
    model = ScannerModel()
    serve = serve_pty if server == "pty" else serve_tcp
    async with serve(model, wire=line.wire()) as served:
        inbox = Inbox()
        spec = DeviceSpec("scanner", served.address, QUICK | (options or {}))
        on = Bench(model, served, ScannerDriver(spec, inbox.put))
        on.inbox = inbox
        await on.start()
        try:
            yield on
        finally:
            await on.stop()
            served.check()


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("server", ["tcp", "pty"])
async def test_on_a_faithful_line_every_code_arrives_once_and_in_order(
    faithful_line: Line, server: str
) -> None:
    async with bench(faithful_line, server=server) as on:
        for content in (PACK, OTHER, PACK):
            assert await on.scan(content) == CodeScanned(content, "d2")
        assert [code.text for code in on.codes()] == [PACK, OTHER, PACK]
        assert len({message.key for message in on.inbox.messages}) == 3


async def test_on_an_unfaithful_line_agreeing_reads_give_no_wrong_code(
    unfaithful_line: Line,
) -> None:
    # A line without checksum: of one read alone nobody can tell that a letter is another one.
    async with bench(server="pty", options={"agreeing_reads": 3}) as on:
        unfaithful_line.switch(on.wire, on=True)
        for content in (PACK, OTHER):
            for _ in range(4):
                on.model.scan(content)
                await asyncio.sleep(0.005)
        unfaithful_line.switch(on.wire, on=False)
        await on.start()
        async with asyncio.timeout(5):
            while "0100300710155237" not in {code.text for code in on.codes()}:
                on.model.scan("0100300710155237")
                await asyncio.sleep(0.01)
        assert {code.text for code in on.codes()} <= {PACK, OTHER, "0100300710155237"}


async def test_after_a_broken_link_codes_arrive_again(breaking_line: Line) -> None:
    async with bench() as on:
        breaking_line.switch(on.wire, on=True)
        on.model.scan(PACK)
        await asyncio.sleep(0.05)
        breaking_line.switch(on.wire, on=False)
        async with asyncio.timeout(5):
            while OTHER not in {code.text for code in on.codes()}:
                await on.start()
                on.model.scan(OTHER)
                await asyncio.sleep(0.05)
        assert {code.text for code in on.codes()} <= {PACK, OTHER}


# ---------------------------------------------------------------- what cannot be believed


@pytest.mark.parametrize(
    ("fault", "content"),
    [
        ("no_aim", PACK),
        ("fnc1_lost", PACK),
        ("misread", PACK),
        ("cut_short", PACK),
        ("no_suffix", PACK),
        ("no_prefix", PACK),
    ],
)
async def test_a_code_that_cannot_be_believed_is_kept_as_garbage(fault: str, content: str) -> None:
    async with bench(options={"prefix": "#"}) as on:
        on.model.set("prefix", "#")
        on.model.faults.switch(fault, on=True, times=1)
        with pytest.raises(DeviceTimeout):
            await on.scan(content, timeout_s=0.15)
        await on.heard(1)
        assert on.inbox.kinds() == ["garbage"]
        assert await on.scan(OTHER) == CodeScanned(OTHER, "d2")


async def test_two_codes_that_run_together_are_neither() -> None:
    async with bench() as on:
        on.model.faults.switch("no_suffix", on=True, times=1)
        on.model.scan(PACK)
        on.model.scan(OTHER)
        await on.heard(1)
        assert on.inbox.kinds() == ["garbage"]


async def test_fnc1_that_may_be_lost_is_believed_only_when_told_so() -> None:
    async with bench(options={"fnc1": "kept"}) as on:
        assert await on.scan(NO_FNC1) == CodeScanned(NO_FNC1, "d2")


async def test_a_code_without_identifier_is_taken_where_it_cannot_be_misread() -> None:
    async with bench(options={"aim": "optional"}) as on:
        on.model.set("symbology", "")
        assert await on.scan(PACK) == CodeScanned(PACK, "")
        assert await on.scan("4006381333931") == CodeScanned("4006381333931", "")
        assert await on.scan("BIN A-12") == CodeScanned("BIN A-12", "")
        for doubtful in (NO_FNC1, "4006381333932", "0100300710155238"):
            on.model.scan(doubtful)
        await on.heard(6)
        assert on.inbox.kinds() == ["scan"] * 3 + ["garbage"] * 3


async def test_an_endless_line_is_bounded_and_kept_in_part() -> None:
    async with bench() as on:
        on.model.set("suffix", "")
        for _ in range(12):
            on.model.scan("A" * 100)
        await on.heard(1)
        on.model.set("suffix", "\\r\\n")
        assert on.driver._splitter.pending <= 512
        assert set(on.inbox.kinds()) == {"garbage"}
        assert all(len(message.raw) <= 1024 for message in on.inbox.messages)


# ---------------------------------------------------------------- settings of scanners


@pytest.mark.parametrize("suffix", ["\\r", "\\n", "\\r\\n"])
async def test_every_line_end_is_known(suffix: str) -> None:
    async with bench() as on:
        on.model.set("suffix", suffix)
        assert (await on.scan(PACK)).text == PACK


async def test_prefix_tab_and_written_separator_are_understood() -> None:
    options: Options = {"prefix": "<", "suffix": "tab", "separator": "{GS}"}
    async with bench(options=options) as on:
        for name, value in (("prefix", "<"), ("suffix", "\\t"), ("separator", "{GS}")):
            on.model.set(name, value)
        assert (await on.scan(PACK)).text == PACK


async def test_the_same_code_within_the_window_counts_once() -> None:
    async with bench(options={"duplicate_window_s": 30}) as on:
        on.model.faults.switch("twice", on=True)
        await on.scan(PACK)
        await on.scan(OTHER)
        await on.scan(PACK)
        assert [code.text for code in on.codes()] == [PACK, OTHER, PACK]


async def test_several_reads_must_agree_where_that_is_asked_for() -> None:
    async with bench(options={"agreeing_reads": 2}) as on:
        for content in (PACK, OTHER, PACK):
            on.model.scan(content)
        assert await on.scan(PACK) == CodeScanned(PACK, "d2")
        assert [code.text for code in on.codes()] == [PACK]


# ---------------------------------------------------------------- life


async def test_everybody_who_waits_gets_the_next_code_but_only_so_many_may() -> None:
    async with bench() as on:
        waiting = [asyncio.ensure_future(on.driver.scan(timeout_s=2)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(DeviceRefused, match="16 calls wait"):
            await on.driver.scan(timeout_s=2)
        on.model.scan(PACK)
        assert {code.text for code in await asyncio.gather(*waiting)} == {PACK}
        assert len(on.inbox.messages) == 1


async def test_a_lost_line_ends_the_watch_and_fails_who_waits() -> None:
    async with bench() as on:
        asked = asyncio.ensure_future(on.driver.scan(timeout_s=5))
        await asyncio.sleep(0)
        assert on.watch is not None
        on.wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(DeviceUnavailable):
            await on.watch
        with pytest.raises(DeviceUnavailable):
            await asked
        with pytest.raises(DeviceUnavailable):
            await on.driver.scan(timeout_s=1)
        on.watch = None
        await on.start()
        assert (await on.scan(PACK)).text == PACK


# ---------------------------------------------------------------- text wedges


@contextlib.asynccontextmanager
async def watching(path: str, inbox: Inbox) -> AsyncIterator[ScannerDriver]:
    driver = ScannerDriver(DeviceSpec("scanner", f"wedge:{path}", QUICK), inbox.put)
    await driver.connect()
    watch = asyncio.ensure_future(driver.watch())
    try:
        yield driver
    finally:
        await driver.close()
        with contextlib.suppress(DeviceUnavailable):
            await watch


async def test_a_fifo_is_read_and_outlives_its_writers(tmp_path: Path, inbox: Inbox) -> None:
    fifo = str(tmp_path / "wedge")
    os.mkfifo(fifo)
    async with watching(fifo, inbox) as driver:
        for _ in range(2):
            asked = asyncio.ensure_future(driver.scan(timeout_s=2))
            await asyncio.sleep(0)
            with open(fifo, "wb", buffering=0) as writer:  # noqa: ASYNC230, PTH123 - a FIFO
                writer.write(b"]d2" + PACK.encode() + b"\n")
            assert await asked == CodeScanned(PACK, "d2")


async def test_a_terminal_is_read_until_it_hangs_up(inbox: Inbox) -> None:
    master, slave = os.openpty()
    async with watching(os.ttyname(slave), inbox) as driver:
        asked = asyncio.ensure_future(driver.scan(timeout_s=2))
        await asyncio.sleep(0)
        os.write(master, b"]Q3" + PACK.encode() + b"\r")
        assert await asked == CodeScanned(PACK, "Q3")
        lost = asyncio.ensure_future(driver.scan(timeout_s=2))
        await asyncio.sleep(0)
        os.close(slave)
        os.close(master)
        with pytest.raises(DeviceUnavailable):
            await lost


async def test_what_is_no_text_device_is_refused(tmp_path: Path, inbox: Inbox) -> None:
    (tmp_path / "file").write_bytes(b"]d2x\n")
    for path in (tmp_path / "file", tmp_path / "none", Path("/dev/null")):
        driver = ScannerDriver(DeviceSpec("scanner", f"wedge:{path}"), inbox.put)
        with pytest.raises(DeviceUnavailable):
            await driver.connect()
