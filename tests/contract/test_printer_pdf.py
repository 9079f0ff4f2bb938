"""Labels as files: one for each request, whole or not at all, never two."""

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.base import DeviceSpec, PrinterStatus, PrintProof
from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    Moved,
    ProtocolError,
)
from drivers.labels import LabelError
from drivers.pdf.codec import NOTES
from drivers.pdf.driver import PdfDriver
from simulators import pdf
from tests.contract.printers import label, until
from tests.contract.transports import Inbox


@contextlib.asynccontextmanager
async def folder_driver(folder: Path, **options: float) -> AsyncIterator[PdfDriver]:
    driver = PdfDriver(DeviceSpec("label", f"file://{folder}", options), Inbox().put)
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != NOTES)


async def put(driver: PdfDriver, request_id: str, text: str = "x") -> PrintProof:
    return (await driver.print(label(text), request_id=request_id)).proof


async def test_a_request_is_one_whole_file_also_after_a_restart_and_when_it_was_taken_away(
    tmp_path: Path,
) -> None:
    async with folder_driver(tmp_path) as driver:
        assert await put(driver, "a") is PrintProof.ACCEPTED
        assert (tmp_path / "label-a.pdf").read_bytes().endswith(b"%%EOF\n")
    (tmp_path / "label-a.pdf").unlink()
    async with folder_driver(tmp_path) as driver:
        assert await put(driver, "a") is PrintProof.ACCEPTED
        assert files(tmp_path) == []
        with pytest.raises(LabelError, match="'a' was another label"):
            await put(driver, "a", "another")


async def test_a_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    async with folder_driver(folder) as driver:
        for name in ("../up", "/etc/x", ".", "", "x" * 400, "Ł~\n"):
            await put(driver, name)
    assert len(files(folder)) == 6
    assert os.listdir(tmp_path) == ["labels"]  # noqa: PTH208


async def test_a_write_that_was_begun_and_not_ended_is_in_doubt_or_found(tmp_path: Path) -> None:
    async with folder_driver(tmp_path) as driver:
        await put(driver, "a")
    note = tmp_path / NOTES / "label-a"
    note.write_text(note.read_text().replace("written", "begun"))
    async with folder_driver(tmp_path) as driver:
        assert await put(driver, "a") is PrintProof.ACCEPTED
    assert note.read_text().startswith("written ")
    note.write_text(note.read_text().replace("written", "begun"))
    (tmp_path / "label-a.pdf").unlink()
    async with folder_driver(tmp_path) as driver:
        with pytest.raises(DeviceTimeout, match="was begun before") as caught:
            await put(driver, "a")
        assert caught.value.moved is Moved.UNKNOWN
    note.write_bytes(b"\xff")
    async with folder_driver(tmp_path) as driver:
        with pytest.raises(ProtocolError) as unread:
            await put(driver, "a")
        assert unread.value.moved is Moved.UNKNOWN
    assert files(tmp_path) == []


async def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "label-a.pdf").write_bytes(b"mine")
    async with folder_driver(tmp_path) as driver:
        with pytest.raises(DeviceRefused) as caught:
            await put(driver, "a")
        assert caught.value.reason == "file_exists"
    assert (tmp_path / "label-a.pdf").read_bytes() == b"mine"


async def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    async with folder_driver(tmp_path, files_max=1) as driver:
        await put(driver, "a")
        assert await driver.status() == PrinterStatus(
            ready=False, faults=("folder_full",), waiting=1
        )
        with pytest.raises(DeviceRefused) as caught:
            await put(driver, "b")
        assert (caught.value.reason, caught.value.moved) == ("folder_full", Moved.NO)


@pytest.mark.parametrize("failing", [1, 2], ids=["the page", "the note"])
async def test_a_full_disk_leaves_nothing_and_the_same_request_works_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    real, calls = os.fsync, 0

    def fsync(number: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(number)

    async with folder_driver(tmp_path) as driver:
        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(DeviceUnavailable, match="No space left") as caught:
            await put(driver, "a")
        assert caught.value.moved is Moved.NO
        assert files(tmp_path) == []
        await driver.connect()
        assert await put(driver, "a") is PrintProof.ACCEPTED


async def test_whoever_takes_the_files_away_is_simulated_too() -> None:
    model = pdf.make(1)
    async with pdf.serve(model) as served:
        folder = Path(served.address.removeprefix("file://"))
        async with folder_driver(folder) as driver:
            await put(driver, "a")
            await put(driver, "b")
            await until(lambda: len(model.printed) == 2)
            model.set("take", "1")
            await until(lambda: files(folder) == ["label-b.pdf"])
            model.set("take_s", "0.05")
            await until(lambda: files(folder) == [])
            assert await put(driver, "a") is PrintProof.ACCEPTED
            await asyncio.sleep(0)
            assert files(folder) == []
    for name, value in (("take_s", "-1"), ("paper", "1")):
        with pytest.raises(ValueError, match=name):
            model.set(name, value)
