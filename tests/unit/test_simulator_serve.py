"""Models on real wires: sessions, time, cuts, the control channel and the command line."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivers.errors import DeviceUnavailable
from drivers.transport import LinkLost, Transport, transport_for
from simulators import control as control_module
from simulators import serve as serve_module
from simulators.__main__ import main
from simulators.base import FaultPlan, Json, Outgoing
from simulators.control import LINE_MAX, Control, ControlError, serve_control
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.wire import Wire

PATIENCE_S = 5.0


class Parrot:
    """Says everything back in capitals; `all` to everybody, `bye` and hangs up; counts its time."""

    def __init__(self) -> None:
        self.faults = FaultPlan(["hoarse"])
        self.settings = ("mood",)
        self.mood = "good"
        self.time_s = 0.0
        self.sessions: list[int] = []
        self.out: list[Outgoing] = []

    def set(self, name: str, value: str) -> None:
        if value == "bad":
            raise ValueError(f"setting {name!r}: no {value} mood")
        self.mood = value

    def state(self) -> dict[str, Json]:
        return {"mood": self.mood, "faults": self.faults.state()}

    def step(self, dt: float) -> None:
        self.time_s += dt

    def connected(self, session: int) -> None:
        self.sessions.append(session)

    def disconnected(self, session: int) -> None:
        self.sessions.remove(session)

    def received(self, session: int, data: bytes) -> None:
        if data == b"die":
            raise RuntimeError("the parrot is no more")
        to = None if data == b"all" else session
        self.out.append(Outgoing(to, data.upper(), close=data == b"bye"))

    def outgoing(self) -> list[Outgoing]:
        out, self.out = self.out, []
        return out


@asynccontextmanager
async def opened(served: Served) -> AsyncIterator[Transport]:
    transport = transport_for(served.address)
    await transport.open()
    try:
        yield transport
    finally:
        await transport.close()


async def said(transport: Transport, data: bytes, expected: bytes) -> None:
    await transport.write(data)
    got = b""
    async with asyncio.timeout(PATIENCE_S):
        while len(got) < len(expected):
            got += await transport.read()
    assert got == expected


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a fact behind a socket
            await asyncio.sleep(0)


async def until_lost(transport: Transport) -> bytes:
    """Read until the link is lost; return what came before."""
    got = b""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                got += await transport.read()
            except LinkLost:
                return got


async def reopened(transport: Transport) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await transport.open()
            except DeviceUnavailable:
                await asyncio.sleep(0.005)
            else:
                return


@pytest.fixture(params=["tcp", "pty"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A parrot on each kind of wire."""
    serve = serve_tcp if request.param == "tcp" else serve_pty
    async with serve(Parrot()) as placed:
        yield placed
        placed.check()


async def test_bytes_go_in_and_out(served: Served) -> None:
    async with opened(served) as line:
        await said(line, b"hello", b"HELLO")


async def test_a_cut_line_hangs_up_refuses_and_comes_back(served: Served) -> None:
    async with opened(served) as line:
        await said(line, b"hello", b"HELLO")
        served.wire.faults.switch("cut", on=True)
        with pytest.raises(LinkLost):
            async with asyncio.timeout(PATIENCE_S):
                await line.read()
        with pytest.raises(DeviceUnavailable):
            await line.open()
        served.wire.faults.switch("cut", on=False)
        await reopened(line)
        await said(line, b"again", b"AGAIN")


async def test_a_counted_cut_comes_back_by_itself(served: Served) -> None:
    served.wire.set("cut_s", "0.01")
    async with opened(served) as line:
        served.wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(LinkLost):
            async with asyncio.timeout(PATIENCE_S):
                await line.read()
        await reopened(line)
        await said(line, b"again", b"AGAIN")


async def test_a_cut_in_mid_frame_sends_half_and_the_line_can_be_opened_again(
    served: Served,
) -> None:
    async with opened(served) as line:
        served.wire.faults.switch("cut_mid_frame", on=True, times=1)
        await line.write(b"abcdef")
        assert await until_lost(line) == b"ABC"
        await reopened(line)
        await said(line, b"again", b"AGAIN")


async def test_the_host_hears_its_echo_where_the_wire_has_one(served: Served) -> None:
    served.wire.faults.switch("echo", on=True)
    async with opened(served) as line:
        await said(line, b"hello", b"helloHELLO")
        served.wire.faults.switch("deaf", on=True)
        await said(line, b"hello", b"hello")


async def test_a_half_open_tcp_link_stays_silent_and_a_new_one_works() -> None:
    parrot = Parrot()
    async with serve_tcp(parrot) as served, opened(served) as old:
        await said(old, b"hello", b"HELLO")
        served.wire.faults.switch("half_open", on=True, times=1)
        await until(lambda: not parrot.sessions)
        await old.write(b"anybody?")
        async with opened(served) as fresh:
            await said(fresh, b"again", b"AGAIN")
        assert old.discard() == b""


async def test_a_half_open_serial_line_is_silent_until_it_lives_again() -> None:
    parrot = Parrot()
    async with serve_pty(parrot) as served, opened(served) as line:
        await said(line, b"hello", b"HELLO")
        served.wire.faults.switch("half_open", on=True)
        seen = parrot.time_s
        await until(lambda: parrot.time_s > seen)
        await line.write(b"anybody?")
        seen = parrot.time_s
        await until(lambda: parrot.time_s > seen + 0.05)
        served.wire.faults.switch("half_open", on=False)
        seen = parrot.time_s
        await until(lambda: parrot.time_s > seen)
        await said(line, b"again", b"AGAIN")


async def test_garbage_may_greet_whoever_connects() -> None:
    wire = Wire(seed=1)
    wire.faults.switch("garbage_at_connect", on=True)
    async with serve_tcp(Parrot(), wire=wire) as served, opened(served) as transport:
        async with asyncio.timeout(PATIENCE_S):
            assert await transport.read()
    async with serve_pty(Parrot(), wire=wire) as served, opened(served) as transport:
        await transport.write(b"hello")
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            while not got.endswith(b"HELLO"):
                got += await transport.read()
        assert len(got) > len(b"HELLO")


async def test_joined_messages_arrive_at_once() -> None:
    parrot = Parrot()
    async with serve_tcp(parrot) as served, opened(served) as transport:
        await until(lambda: bool(parrot.sessions))
        for fault in ("join", "split"):  # otherwise each byte would leave by itself
            served.wire.faults.switch(fault, on=True)
        parrot.out += [Outgoing(None, b"ONE"), Outgoing(None, b"TWO")]
        async with asyncio.timeout(PATIENCE_S):
            assert await transport.read() == b"ONETWO"


async def test_a_model_that_raises_ends_the_adapter_and_says_so() -> None:
    async def run() -> None:
        async with serve_tcp(Parrot()) as served, opened(served) as line:
            await line.write(b"die")
            await until(served.pump.done)
            with pytest.raises(RuntimeError, match="no more"):
                served.check()

    with pytest.raises(RuntimeError, match="no more"):
        await run()


async def test_every_tcp_session_is_its_own_and_the_model_hears_of_its_end() -> None:
    parrot = Parrot()
    async with serve_tcp(parrot) as served:
        async with opened(served) as one, opened(served) as two:
            await said(one, b"one", b"ONE")
            await said(two, b"two", b"TWO")
            assert parrot.sessions == [1, 2]
            await one.write(b"all")
            for line in (one, two):
                async with asyncio.timeout(PATIENCE_S):
                    assert await line.read() == b"ALL"
            await said(two, b"bye", b"BYE")
            with pytest.raises(LinkLost):
                async with asyncio.timeout(PATIENCE_S):
                    await two.read()
        await until(lambda: parrot.sessions == [])


async def test_a_message_to_a_session_that_is_gone_is_dropped() -> None:
    parrot = Parrot()
    async with serve_tcp(parrot) as served, opened(served) as line:
        parrot.out.append(Outgoing(99, b"nobody"))
        await said(line, b"hello", b"HELLO")


async def test_simulated_time_runs_at_its_speed_in_whole_steps() -> None:
    parrot = Parrot()
    async with serve_tcp(parrot, wire=Wire(speed=100)):
        await until(lambda: parrot.time_s >= 1)
    steps = parrot.time_s / serve_module.STEP_S
    assert abs(steps - round(steps)) < 1e-6


async def test_time_that_was_slept_through_is_not_caught_up() -> None:
    parrot = Parrot()
    ticker = serve_module.Ticker(parrot, Wire(speed=1000))
    ticker.advance(0.0)
    ticker.advance(3600.0)
    assert parrot.time_s == pytest.approx(serve_module.STEPS_MAX * serve_module.STEP_S)
    ticker.advance(3600.001)
    assert parrot.time_s == pytest.approx(serve_module.STEPS_MAX * serve_module.STEP_S + 1.0)


async def test_a_host_that_does_not_listen_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "BACKLOG_MAX", 1000)
    parrot = Parrot()
    async with serve_tcp(parrot) as served, opened(served) as line:
        served.wire.faults.switch("slow", on=True)
        await line.write(b"x" * 2000)
        await until_lost(line)
        parrot.out.append(Outgoing(None, b"y" * 2000))
        await until(lambda: parrot.sessions == [])


async def test_too_much_to_send_to_one_host_hangs_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_module, "BACKLOG_MAX", 1000)
    parrot = Parrot()
    async with serve_tcp(parrot) as served, opened(served) as line:
        await said(line, b"hello", b"HELLO")
        parrot.out.append(Outgoing(None, b"y" * 2000))
        with pytest.raises(LinkLost):
            async with asyncio.timeout(PATIENCE_S):
                await line.read()


async def test_a_pty_with_nobody_behind_it_loses_what_does_not_fit() -> None:
    parrot = Parrot()
    async with serve_pty(parrot) as served:
        parrot.out.append(Outgoing(None, b"x" * 100_000))
        await until(lambda: not parrot.out)
        async with opened(served) as line:
            line.discard()
        served.check()


async def test_a_pty_link_is_made_where_asked_and_taken_away(tmp_path: Path) -> None:
    link = tmp_path / "scale1"
    link.symlink_to("/nowhere")  # left over by a simulator that was killed
    async with serve_pty(Parrot(), link=link, query="?baud=1200&format=7E1") as served:
        assert served.address == f"serial:{link}?baud=1200&format=7E1"
        assert str(link.readlink()).startswith("/dev/pts/")
    assert not link.is_symlink()


async def test_a_file_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "scale1"
    file.write_text("precious")
    with pytest.raises(FileExistsError):
        async with serve_pty(Parrot(), link=file):
            pass
    assert file.read_text() == "precious"


async def test_a_taken_tcp_port_is_an_error() -> None:
    async with serve_tcp(Parrot()) as served:
        port = int(served.address.rpartition(":")[2])
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            async with serve_tcp(Parrot(), port=port):
                pass


# ---------------------------------------------------------------- control channel


@asynccontextmanager
async def controlled(parrot: Parrot, wire: Wire | None = None) -> AsyncIterator[Control]:
    async with AsyncExitStack() as stack:
        host, port = await stack.enter_async_context(serve_control(parrot, wire))
        yield await stack.enter_async_context(Control(host, port))


async def test_faults_and_settings_of_model_and_wire_are_within_reach() -> None:
    parrot, wire = Parrot(), Wire()
    async with controlled(parrot, wire) as control:
        await control.fault("hoarse", times=2)
        await control.fault("silence")
        await control.set("mood", "fair")
        await control.set("slow_s", 0.5)
        assert await control.state() == {"mood": "fair", "faults": {"hoarse": 2}}
        whole = await control.request({"get": "state"})
        assert whole["wire"] == json.loads(json.dumps(wire.state()))
        await control.fault("hoarse", on=False)
        assert parrot.faults.state() == {}
        listed = await control.request({"list": True})
        assert listed["faults"] == ["hoarse", *wire.faults.names]
        assert listed["settings"] == ["mood", *wire.settings]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"fault": "fire"}, "'fire' is not one of hoarse"),
        ({"fault": "hoarse", "on": "yes"}, "must be true or false"),
        ({"fault": "hoarse", "times": 1.5}, "whole number"),
        ({"fault": "hoarse", "times": 0}, "at least 1"),
        ({"set": "colour", "value": "red"}, "'colour' is not one of mood"),
        ({"set": "mood", "value": "bad"}, "no bad mood"),
        ({"set": "mood", "value": ["x"]}, "a request has"),
        ({"set": "mood"}, "a request has"),
        ({"get": "lost"}, "a request has"),
        ({}, "a request has"),
    ],
)
async def test_a_wrong_request_is_answered_with_what_is_wrong(
    request_: dict[str, Json], complaint: str
) -> None:
    async with controlled(Parrot()) as control:
        with pytest.raises(ControlError, match=complaint):
            await control.request(request_)
        await control.set("mood", "still there")


async def raw_exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"\xff\xfe", b"1e999999", b'"x"', b"[" * 4000, b"null"]
)
async def test_a_line_that_is_no_request_is_answered_with_an_error(line: bytes) -> None:
    async with serve_control(Parrot()) as (_host, port):
        reply = json.loads(await raw_exchange(port, line + b"\n\n"))
    assert reply["ok"] is False
    assert reply["error"]


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_an_overlong_line_is_refused_and_the_connection_closed(end: bytes) -> None:
    async with serve_control(Parrot()) as (_host, port):
        reply = await raw_exchange(port, b"x" * (LINE_MAX + 1) + end)
    assert json.loads(reply) == {"ok": False, "error": "line longer than 4096 bytes"}


async def test_a_control_channel_that_is_not_there_is_a_control_error() -> None:
    async with serve_control(Parrot()) as (host, port):
        pass
    with pytest.raises(ControlError, match=str(port)):
        async with Control(host, port):
            pass
    with pytest.raises(ControlError, match="not open"):
        await Control(host, port).state()


async def test_a_control_channel_that_goes_away_is_a_control_error() -> None:
    async with AsyncExitStack() as outer:
        async with AsyncExitStack() as inner:
            host, port = await inner.enter_async_context(serve_control(Parrot()))
            control = await outer.enter_async_context(Control(host, port))
            await control.state()
        with pytest.raises(ControlError):
            await control.state()


async def test_a_client_that_reads_no_answers_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_module, "ANSWER_MAX", 1000)
    async with serve_control(Parrot(), Wire()) as (host, port):
        _reader, writer = await asyncio.open_connection(host, port)

        async def ask_for_ever() -> None:
            while True:
                writer.write(b'{"list": true}\n' * 100)
                await writer.drain()

        with pytest.raises(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                await ask_for_ever()
        writer.close()


# ---------------------------------------------------------------- command line


@pytest.mark.parametrize("protocol", ["mtsics", "wwks2", "zpl", "packml"])
async def test_a_simulator_runs_by_hand_until_interrupted(protocol: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", protocol, "--control", "127.0.0.1:0", "--json"),
        *("--speed", "10", "--fault", "slow"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            first = json.loads(await process.stdout.readline())  # type: ignore[union-attr]
            second = json.loads(await process.stdout.readline())  # type: ignore[union-attr]
            assert ":" in first["address"]
            host, _, port = first["control"].rpartition(":")
            assert "state" in second
            async with Control(host, int(port)) as control:
                assert (await control.request({"list": True}))["ok"] is True
            process.send_signal(signal.SIGINT)
            _out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["toaster"], "'toaster' is not one of"),
        (["mtsics", "--tcp", "nowhere"], "HOST:PORT expected"),
        (["mtsics", "--tcp", "127.0.0.1:99999"], "HOST:PORT expected"),
        (["mtsics", "--speed", "0"], "is not in the range"),
        (["mtsics", "--opcua", "opc.tcp://127.0.0.1:0"], "one of --pty and --tcp"),
        (["mtsics", "--pty", "x", "--tcp", "127.0.0.1:0"], "one of --pty and --tcp"),
        (["packml", "--tcp", "127.0.0.1:0"], "served with --opcua"),
        (["mtsics", "--fault", "fire"], "'fire' is not one of"),
        (["mtsics", "--pty", "/no/such/folder/link"], "No such file or directory"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0
    assert complaint in result.output
