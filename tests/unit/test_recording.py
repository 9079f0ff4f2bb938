"""Traffic on record and its replay: what is written down, and that it plays the same again."""

import asyncio
import json
import stat
from pathlib import Path

import pytest
import structlog
import structlog.testing

from drivers import recording as recording_module
from drivers.base import DeviceSpec
from drivers.errors import DeviceUnavailable, Moved
from drivers.mtsics.driver import MtsicsDriver
from drivers.recording import Recorder, RecordingTransport, ReplayTransport, read_recording
from drivers.transport import LinkLost, transport_for
from simulators.mtsics import MtSicsModel
from simulators.serve import serve_tcp
from simulators.wire import Wire
from tests.contract.transports import Inbox

PATIENCE_S = 5.0
SESSION = """\
{"t": 0.0, "d": "open"}
{"t": 0.1, "d": "discard", "hex": "00"}
{"t": 0.1, "d": "out", "hex": "530d0a"}
{"t": 0.2, "d": "in", "hex": "5320"}
{"t": 0.3, "d": "in", "hex": "490d0a"}
{"t": 0.4, "d": "out", "hex": "400d0a"}
{"t": 0.5, "d": "lost", "why": "tcp 192.0.2.1:4001: closed by the other side"}
{"t": 0.6, "d": "close"}
{"t": 9.0, "d": "open"}
{"t": 9.1, "d": "in", "hex": "41"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scale.jsonl"


class Dummy:
    """A line that echoes, until it is told to break."""

    parity = True

    def __init__(self) -> None:
        self.failure = ""
        self.waiting: list[bytes] = []

    async def open(self) -> None:
        if self.failure:
            raise DeviceUnavailable(self.failure)

    async def read(self) -> bytes:
        if self.failure:
            raise LinkLost(self.failure)
        return self.waiting.pop(0)

    async def write(self, data: bytes) -> None:
        if self.failure:
            raise LinkLost(self.failure)
        self.waiting.append(data)

    def discard(self) -> bytes:
        data = b"".join(self.waiting)
        self.waiting.clear()
        return data

    async def close(self) -> None:
        self.waiting.clear()


def events(path: Path) -> list[dict[str, str | float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# ---------------------------------------------------------------- recording


async def test_every_event_is_written_with_its_direction_and_time(path: Path) -> None:
    dummy = Dummy()
    line = RecordingTransport(dummy, path)
    assert line.parity is True
    await line.open()
    await line.write(b"S\r\n")
    assert await line.read() == b"S\r\n"
    assert line.discard() == b""
    await line.write(b"\xff")
    assert line.discard() == b"\xff"
    dummy.failure = "pulled out"
    for call in (line.read, lambda: line.write(b"x")):
        with pytest.raises(LinkLost, match="pulled out"):
            await call()
    await line.close()
    await line.close()
    with pytest.raises(DeviceUnavailable):
        await line.open()
    await line.close()
    seen = events(path)
    assert [{key: each[key] for key in each if key != "t"} for each in seen] == [
        {"d": "open"},
        {"d": "out", "hex": "530d0a"},
        {"d": "in", "hex": "530d0a"},
        {"d": "out", "hex": "ff"},
        {"d": "discard", "hex": "ff"},
        {"d": "lost", "why": "pulled out"},
        {"d": "out", "hex": "78"},
        {"d": "lost", "why": "pulled out"},
        {"d": "close"},
        {"d": "lost", "why": "pulled out"},
        {"d": "close"},
    ]
    times = [float(each["t"]) for each in seen]
    assert times == sorted(times)
    assert times[0] == 0.0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # noqa: ASYNC240


async def test_a_recording_is_bounded_and_keeps_the_newest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "RECORD_MAX", 500)
    line = RecordingTransport(Dummy(), path)
    await line.open()
    for number in range(100):
        await line.write(b"%d" % number)
    await line.close()
    older = path.with_name("scale.jsonl.1")
    assert path.stat().st_size <= 600  # noqa: ASYNC240
    assert older.stat().st_size <= 600
    assert len(list(path.parent.iterdir())) == 2
    assert (events(older) + events(path))[-2]["hex"] == b"99".hex()


async def test_a_file_that_cannot_be_opened_is_unavailable_and_named(tmp_path: Path) -> None:
    line = RecordingTransport(Dummy(), tmp_path / "no" / "such")
    with pytest.raises(DeviceUnavailable, match=r"recording .*such: No such file"):
        await line.open()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_ends_the_recording_and_not_the_device() -> None:
    line = RecordingTransport(Dummy(), Path("/dev/full"))
    with structlog.testing.capture_logs() as told:
        await line.open()
    await line.write(b"S\r\n")
    assert await line.read() == b"S\r\n"
    assert "No space" in line._recorder.failure
    assert [(each["event"], each["path"]) for each in told] == [("recording.ended", "/dev/full")]
    await line.close()


async def test_nothing_is_written_before_the_start(path: Path) -> None:
    recorder = Recorder(path)
    recorder.note(recording_module.Event.OPEN)
    recorder.stop()
    assert not path.exists()  # noqa: ASYNC240


# ---------------------------------------------------------------- replay


async def opened(path: Path, text: str = SESSION) -> ReplayTransport:
    path.write_text(text)  # noqa: ASYNC240
    line = ReplayTransport(path)
    await line.open()
    return line


async def test_a_replay_says_the_same_pieces_when_asked_the_same(path: Path) -> None:
    line = await opened(path)
    reading = asyncio.ensure_future(line.read())
    await asyncio.sleep(0)
    assert not reading.done()
    assert line.discard() == b"\0"
    assert line.discard() == b""
    await line.write(b"S\r\n")
    assert await reading == b"S "
    assert await line.read() == b"I\r\n"
    await line.write(b"@\r\n")
    with pytest.raises(LinkLost, match="closed by the other side") as lost:
        await line.read()
    assert lost.value.moved is Moved.UNKNOWN
    with pytest.raises(LinkLost, match="closed by the other side"):
        await line.write(b"@\r\n")
    await line.open()
    assert await line.read() == b"A"
    with pytest.raises(LinkLost, match="the recording ends here"):
        await line.read()
    with pytest.raises(DeviceUnavailable, match="no further connection"):
        await line.open()


async def test_a_replay_notices_what_was_not_said_then(path: Path) -> None:
    line = await opened(path)
    assert line.discard() == b"\0"
    with pytest.raises(LinkLost, match=r"line 3: out b'S\\r\\n' is on record, not out b'SI\\r\\n'"):
        await line.write(b"SI\r\n")
    await line.close()
    with pytest.raises(LinkLost, match="not open"):
        await line.read()
    assert line.discard() == b""


async def test_closing_ends_a_pending_read(path: Path) -> None:
    line = await opened(path)
    reading = asyncio.ensure_future(line.read())
    await asyncio.sleep(0)
    await line.close()
    with pytest.raises(LinkLost, match="not open"):
        await reading


@pytest.mark.parametrize(
    "line", ["", "open", "[]", "{}", '{"d": "in", "hex": "0"}', '{"d": "told"}', '{"d": 1}']
)
async def test_a_file_that_is_no_recording_is_refused_by_line(path: Path, line: str) -> None:
    path.write_text(f'{{"t": 0, "d": "open"}}\n{line}\n')  # noqa: ASYNC240
    with pytest.raises(DeviceUnavailable, match="line 2: not an event"):
        await ReplayTransport(path).open()


async def test_a_missing_or_overlong_recording_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceUnavailable, match="No such file"):
        await ReplayTransport(path).open()
    monkeypatch.setattr(recording_module, "REPLAY_MAX", 10)
    path.write_text(SESSION)  # noqa: ASYNC240
    with pytest.raises(ValueError, match="longer than 10 bytes"):
        read_recording(path)


# ---------------------------------------------------------------- both


@pytest.mark.parametrize("fault", [None, "stale", "silence"])
async def test_a_scale_on_record_weighs_the_same_without_the_scale(
    path: Path, fault: str | None
) -> None:
    model = MtSicsModel(1)
    model.set("load_g", "12.5")
    options: dict[str, str | int | float | bool] = {"line_timeout_s": 0.1}

    async def weigh(address: str, wire: Wire) -> list[str]:
        driver = MtsicsDriver(DeviceSpec("scale", address, options), Inbox().put)
        await driver.connect()
        if fault is not None:
            wire.faults.switch(fault, on=True, times=1)
        said = [str((await driver.weigh(timeout_s=PATIENCE_S)).value) for _ in range(2)]
        await driver.close()
        return said

    async with serve_tcp(model, wire=Wire(speed=50)) as served:
        live = await weigh(f"{served.address}?record={path}", served.wire)
    assert await weigh(f"replay:{path}", Wire()) == live
    assert live == ["12.500", "12.500"]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("tcp://192.0.2.1:4001?record=HERE/x", RecordingTransport),
        ("serial:/dev/ttyS0?baud=9600&record=HERE/x", RecordingTransport),
        ("rfc2217://192.0.2.1:4001?record=HERE/x", RecordingTransport),
        ("replay:HERE/a%20file", ReplayTransport),
    ],
)
def test_an_address_may_ask_for_a_recording_or_its_replay(
    address: str, kind: type, tmp_path: Path
) -> None:
    assert isinstance(transport_for(address.replace("HERE", str(tmp_path))), kind)
    assert list(tmp_path.iterdir()) == []


def test_a_replay_has_the_parity_of_its_format() -> None:
    assert transport_for("replay:/x?format=7E1").parity is True
    assert transport_for("replay:/x").parity is False


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("replay:", "replay:/PATH expected"),
        ("replay:/x?record=/y", "'record' is not one of"),
        ("rfc2217://host", "//HOST:PORT expected"),
        ("rfc2217://host:1?parity=even", "'parity' is not one of"),
        ("rfc2217://host:1?baud=0", "baud '0' is not known"),
        ("tcp://host:1?baud=9600", "'baud' is not one of"),
        ("tcp://host:1?format=8X1", "format '8X1' is not known"),
        ("tcp://host:1?format", "bad query field"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        transport_for(address)
