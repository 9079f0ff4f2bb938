"""What every label printer driver owes, against its simulator over every line and fault.

A receipt never claims more than happened; one request never prints twice; an error with moved NO
left no label; and the driver works again without a restart.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from drivers.base import (
    DeviceFault,
    DeviceRefused,
    DeviceSpec,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Identity,
    Label,
    Moved,
    PrinterStatus,
    PrintProof,
    PrintReceipt,
)
from drivers.labels import LabelError
from drivers.zpl.driver import ZplDriver
from simulators.serve import Served, serve_pty, serve_tcp
from simulators.zpl import ZplModel
from tests.contract.transports import CLEAN, Inbox, Line, outcome, until_done

OPTIONS: dict[str, str | int | float | bool] = {
    "reply_timeout_s": 1.0,
    "print_timeout_s": 5.0,
    "print_poll_s": 0.01,
    "poll_interval_s": 0.05,
}
"""Long enough that a busy machine proves nothing wrong; tests of silence are impatient."""
IMPATIENT = 0.1


def label(request_id: str) -> Label:
    return Label(
        "Atorvastatin 20 mg",
        (f"request {request_id}.", "^XZ~JA"),
        (("01", "00300710155237"), ("17", "271231"), ("10", "LOT123")),
    )


class Bench:
    """One driver in front of one simulated printer, reconnected as the supervisor would."""

    def __init__(self, model: ZplModel, served: Served, driver: ZplDriver) -> None:
        self.model = model
        self.wire = served.wire
        self.driver = driver

    async def print(self, request_id: str) -> PrintReceipt:
        return await self.driver.print(label(request_id), request_id=request_id)

    def labels(self, request_id: str) -> int:
        return sum(f"request {request_id}." in text for text in self.model.printed)

    async def reconnect(self) -> Identity:
        """Close and connect, again and again as the supervisor does."""
        for _ in range(20):
            await self.driver.close()
            with contextlib.suppress(DriverError):
                return await self.driver.connect()
            await asyncio.sleep(0.02)
        return await self.driver.connect()

    def fault(self, name: str, *, on: bool = True, times: int | None = None) -> None:
        self.model.faults.switch(name, on=on, times=times)


@contextlib.asynccontextmanager
async def bench(
    line: Line = CLEAN,
    *,
    server: str = "tcp",
    model: ZplModel | None = None,
    inbox: Inbox | None = None,
    **options: float | bool,
) -> AsyncIterator[Bench]:
    model = model or ZplModel()
    serve = serve_pty if server == "pty" else serve_tcp
    async with serve(model, wire=line.wire()) as served:
        spec = DeviceSpec("label", served.address, OPTIONS | options)
        ready = Bench(model, served, ZplDriver(spec, (inbox or Inbox()).put))
        await ready.reconnect()
        try:
            yield ready
        finally:
            await ready.driver.close()
            served.check()


async def until(condition: Callable[[], object]) -> None:
    """Wait, but not for ever, until the other side has done something."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the simulator has no events
            await asyncio.sleep(0.002)


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("server", ["tcp", "pty"])
async def test_on_a_faithful_line_each_request_prints_exactly_one_label(
    faithful_line: Line, server: str
) -> None:
    async with bench(faithful_line, server=server) as on:
        assert await on.driver.status() == PrinterStatus(ready=True, faults=(), waiting=0)
        for request_id in ("a", "b", "a", "c", "b"):
            receipt = await on.print(request_id)
            assert receipt == PrintReceipt(request_id, PrintProof.PRINTED)
        assert [on.labels(request_id) for request_id in "abc"] == [1, 1, 1]
        assert len(on.model.printed) == 3


async def test_on_an_unfaithful_line_no_receipt_claims_more_than_happened(
    unfaithful_line: Line,
) -> None:
    async with bench(server="pty", reply_timeout_s=IMPATIENT, print_timeout_s=0.2) as on:
        unfaithful_line.switch(on.wire, on=True)
        await prints_honestly(on, 2)
        unfaithful_line.switch(on.wire, on=False)
        await prints_again(on)


@pytest.mark.parametrize("server", ["tcp", "pty"])
async def test_after_a_broken_link_no_receipt_claims_more_than_happened(
    breaking_line: Line, server: str
) -> None:
    async with bench(server=server, reply_timeout_s=IMPATIENT, print_timeout_s=0.2) as on:
        breaking_line.switch(on.wire, on=True)
        await prints_honestly(on, 2)
        breaking_line.switch(on.wire, on=False)
        await prints_again(on)


async def test_connecting_over_a_bad_line_works_sooner_or_later(connect_line: Line) -> None:
    async with bench(connect_line, reply_timeout_s=IMPATIENT) as on:
        connect_line.switch(on.wire, on=False)
        await prints_again(on)


async def prints_honestly(on: Bench, labels: int) -> None:
    """Print on a bad line: what is claimed to have come out has, and what is denied has not."""
    for number in range(labels):
        before = len(on.model.printed)
        result = await outcome(lambda number=number: on.print(f"r{number}"))  # type: ignore[misc]  # mypy takes no default for a lambda
        came_out = len(on.model.printed) - before
        if isinstance(result, PrintReceipt):
            assert result.proof is PrintProof.ACCEPTED or came_out == 1
        elif result.moved is Moved.NO:
            assert came_out == 0
        if isinstance(result, DriverError):
            await on.driver.close()
            await outcome(on.driver.connect)


async def prints_again(on: Bench) -> None:
    """Print one label, the line being clean again; what came before may not be over at once."""

    async def attempt() -> PrintReceipt:
        await on.reconnect()
        return await on.print("clean")

    receipt = await until_done(attempt, tries=10)
    assert receipt.proof is PrintProof.PRINTED
    assert on.labels("clean") == 1


async def test_noise_is_kept_once_and_does_not_disturb(inbox: Inbox) -> None:
    async with bench(inbox=inbox) as on:
        on.wire.faults.switch("garbage", on=True, times=1)
        assert (await on.driver.status()).ready
        assert inbox.kinds() == ["garbage"]
        assert 1 <= len(inbox.messages[0].raw) <= 1024
        on.wire.faults.switch("garbage", on=True, times=1)
        assert (await on.driver.status()).ready
        assert len({message.key for message in inbox.messages}) == 2


async def test_a_line_that_babbles_without_end_is_a_protocol_error(inbox: Inbox) -> None:
    gone = asyncio.Event()

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"\x02babble")
                await writer.drain()
                await asyncio.sleep(0.001)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = ZplDriver(DeviceSpec("label", f"tcp://127.0.0.1:{port}", OPTIONS), inbox.put)
    with pytest.raises(DriverError):
        await driver.connect()
    await driver.close()
    await gone.wait()
    server.close()
    await server.wait_closed()
    assert set(inbox.kinds()) == {"garbage"}
    assert all(len(message.raw) <= 1024 for message in inbox.messages)


async def test_a_printer_that_echoes_still_prints_once() -> None:
    async with bench() as on:
        on.wire.faults.switch("echo", on=True)
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.labels("a") == 1


# ---------------------------------------------------------------- not ready


@pytest.mark.parametrize(
    "fault", ["paper_out", "ribbon_out", "head_open", "paused", "too_hot", "buffer_full"]
)
async def test_a_printer_that_is_not_ready_is_sent_nothing(fault: str) -> None:
    async with bench() as on:
        on.fault(fault)
        assert await on.driver.status() == PrinterStatus(ready=False, faults=(fault,), waiting=0)
        with pytest.raises(DeviceRefused, match=fault) as caught:
            await on.print("a")
        assert caught.value.reason == fault
        assert caught.value.moved is Moved.NO
        on.fault(fault, on=False)
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 1


@pytest.mark.parametrize("fault", ["paper_out", "ribbon_out", "head_open", "too_hot"])
async def test_silence_means_faulted_and_never_ready(fault: str) -> None:
    async with bench(reply_timeout_s=IMPATIENT) as on:
        on.fault("silent_when_faulted")
        on.fault(fault)
        with pytest.raises(DeviceTimeout, match="faulted or offline") as caught:
            await on.driver.status()
        assert caught.value.moved is Moved.NO
        with pytest.raises(DriverError) as refused:
            await on.print("a")
        assert refused.value.moved is Moved.NO
        with pytest.raises(DeviceTimeout):
            await on.driver.connect()
        on.fault(fault, on=False)
        await on.reconnect()
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 1


async def test_labels_of_another_host_are_let_out_first() -> None:
    async with bench() as on:
        on.model.set("queue", "3")
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 4
        assert on.labels("a") == 1


async def test_a_printer_that_stays_busy_is_sent_nothing() -> None:
    async with bench(print_timeout_s=0.2) as on:
        on.model.set("queue", "1000")
        with pytest.raises(DeviceRefused, match="busy") as caught:
            await on.print("a")
        assert caught.value.reason == "busy"
        assert on.labels("a") == 0


# ---------------------------------------------------------------- faults in the middle


async def test_paper_that_ends_in_the_middle_leaves_the_label_in_doubt_until_it_comes() -> None:
    async with bench() as on:
        on.fault("paper_out_mid_label", times=1)
        with pytest.raises(DeviceFault, match="may still come out") as caught:
            await on.print("a")
        assert (caught.value.moved, caught.value.reason) == (Moved.UNKNOWN, "paper_out")
        with pytest.raises(DeviceTimeout, match="still in doubt: paper_out") as again:
            await on.print("a")
        assert again.value.moved is Moved.UNKNOWN
        on.model.set("paper", "100")
        await until(lambda: on.labels("a"))
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 1


@pytest.mark.parametrize("fault", ["ribbon_out", "head_open", "paused", "too_hot"])
async def test_a_fault_while_printing_leaves_the_label_in_doubt(fault: str) -> None:
    async with bench(model=ZplModel(print_s=20)) as on:
        task = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["formats_waiting"])
        on.fault(fault)
        with pytest.raises(DeviceFault, match=fault) as caught:
            await task
        assert caught.value.moved is Moved.UNKNOWN
        assert on.labels("a") == 0
        on.fault(fault, on=False)
        await until(lambda: on.labels("a"))
        # The next label shows by the odometer that this one came out.
        assert (await on.print("b")).proof is PrintProof.PRINTED
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 2


async def test_the_last_label_of_a_roll_is_printed_although_the_paper_is_out() -> None:
    async with bench(model=ZplModel(paper=1)) as on:
        assert (await on.print("a")).proof is PrintProof.PRINTED
        with pytest.raises(DeviceRefused, match="paper_out"):
            await on.print("b")
        assert len(on.model.printed) == 1


async def test_silence_after_sending_is_unknown_and_found_out_later() -> None:
    async with bench(
        model=ZplModel(print_s=5), reply_timeout_s=IMPATIENT, print_timeout_s=0.4
    ) as on:
        task = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["formats_waiting"])
        on.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceTimeout, match="no answer within") as caught:
            await task
        assert caught.value.moved is Moved.UNKNOWN
        on.wire.faults.switch("silence", on=False)
        await on.reconnect()
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.labels("a") == 1


@pytest.mark.parametrize("server", ["tcp", "pty"])
async def test_a_link_cut_while_printing_is_unknown_and_found_out_later(server: str) -> None:
    async with bench(server=server, model=ZplModel(print_s=5)) as on:
        task = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["formats_waiting"])
        on.wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(DeviceTimeout) as caught:
            await task
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceTimeout, match="still in doubt"):
            await on.print("a")
        await on.reconnect()
        await until(lambda: on.labels("a"))
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.labels("a") == 1


async def test_a_format_that_arrives_in_part_is_cleared_and_never_sent_again() -> None:
    async with bench(print_timeout_s=0.3) as on:
        on.fault("partial_format", times=1)
        with pytest.raises(DeviceFault, match="only in part") as caught:
            await on.print("a")
        assert (caught.value.moved, caught.value.reason) == (Moved.UNKNOWN, "partial_format")
        await on.reconnect()
        assert (await on.driver.status()).ready
        assert (await on.print("b")).proof is PrintProof.PRINTED
        with pytest.raises(DeviceTimeout, match="cannot tell"):
            await on.print("a")
        assert (on.labels("a"), on.labels("b")) == (0, 1)


async def test_a_half_format_of_another_host_is_refused_and_cleared_by_reconnecting() -> None:
    async with bench() as on:
        on.model.received(99, b"^XA^FO20,20^FDhalf")
        with pytest.raises(DeviceRefused, match="partial_format"):
            await on.print("a")
        with pytest.raises(DeviceUnavailable, match="unfinished format"):
            await on.driver.status()
        await on.reconnect()
        assert (await on.print("a")).proof is PrintProof.PRINTED


async def test_a_label_that_the_printer_loses_is_not_called_printed() -> None:
    async with bench(print_timeout_s=0.3) as on:
        on.fault("label_lost", times=1)
        with pytest.raises(DeviceTimeout, match="odometer did not rise") as caught:
            await on.print("a")
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceTimeout, match="not seen to come out"):
            await on.print("a")
        assert on.model.printed == ()


async def test_a_label_still_in_the_buffer_when_time_is_up_is_accepted_only() -> None:
    async with bench(model=ZplModel(print_s=50), print_timeout_s=0.2) as on:
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        assert on.labels("a") == 0


# ---------------------------------------------------------------- without an odometer


@pytest.mark.parametrize("fault", ["no_odometer", "odometer_mute"])
async def test_without_an_odometer_a_label_is_accepted_only(fault: str) -> None:
    model = ZplModel()
    model.faults.switch(fault, on=True)
    async with bench(model=model, reply_timeout_s=0.3) as on:
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        await until(lambda: on.labels("a"))
        assert len(on.model.printed) == 1


async def test_an_odometer_that_is_switched_off_is_not_asked(inbox: Inbox) -> None:
    async with bench(odometer=False, inbox=inbox) as on:
        assert (await on.print("a")).proof is PrintProof.ACCEPTED
        assert inbox.messages == []


async def test_without_an_odometer_a_label_in_doubt_stays_so() -> None:
    async with bench(odometer=False) as on:
        on.fault("paper_out_mid_label", times=1)
        with pytest.raises(DeviceFault):
            await on.print("a")
        on.model.set("paper", "100")
        await until(lambda: on.labels("a"))
        with pytest.raises(DeviceTimeout, match="cannot tell") as caught:
            await on.print("a")
        assert caught.value.moved is Moved.UNKNOWN
        assert (await on.print("b")).proof is PrintProof.ACCEPTED
        assert on.labels("a") == 1


# ---------------------------------------------------------------- peel-off


async def test_a_label_at_the_peeler_is_printed_and_later_taken() -> None:
    async with bench() as on:
        on.model.set("peel", "1")
        assert (await on.print("a")).proof is PrintProof.PRINTED
        with pytest.raises(DeviceRefused, match="label_waiting"):
            await on.print("b")
        on.model.set("take", "1")
        await on.driver.status()
        assert (await on.print("a")).proof is PrintProof.PRINTED
        await on.driver.status()
        assert (await on.print("a")).proof is PrintProof.TAKEN
        assert (await on.print("b")).proof is PrintProof.PRINTED
        assert len(on.model.printed) == 2


async def test_waiting_for_the_label_to_be_taken() -> None:
    async with bench(take_timeout_s=5) as on:
        on.model.set("peel", "1")
        task = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["label_waiting"])
        on.model.set("take", "1")
        assert (await task).proof in (PrintProof.PRINTED, PrintProof.TAKEN)
        assert on.labels("a") == 1


async def test_a_label_that_nobody_takes_stays_printed() -> None:
    async with bench(take_timeout_s=0.1, odometer=False) as on:
        on.model.set("peel", "1")
        assert (await on.print("a")).proof is PrintProof.PRINTED


async def test_a_link_lost_while_the_label_waits_leaves_it_printed() -> None:
    async with bench(take_timeout_s=5) as on:
        on.model.set("peel", "1")
        task = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["label_waiting"])
        await until(lambda: task.done() or on.driver._jobs["a"].at_peeler)
        on.wire.faults.switch("cut", on=True, times=1)
        assert (await task).proof is PrintProof.PRINTED
        with pytest.raises(DeviceUnavailable):
            await on.driver.status()


# ---------------------------------------------------------------- requests, life, options


async def test_one_request_is_one_label() -> None:
    async with bench() as on:
        await on.print("a")
        with pytest.raises(LabelError, match="'a' was another label") as caught:
            await on.driver.print(label("b"), request_id="a")
        assert caught.value.moved is Moved.NO
        assert len(on.model.printed) == 1


async def test_a_bad_label_is_refused_before_anything_is_sent() -> None:
    async with bench() as on:
        with pytest.raises(LabelError, match="check digit 7 expected"):
            await on.driver.print(Label("T", (), (("01", "00300710155238"),)), request_id="a")
        assert on.model.printed == ()


async def test_calls_at_the_same_time_print_one_after_the_other() -> None:
    async with bench() as on:
        receipts = await asyncio.gather(*(on.print(name) for name in "abacb"))
        assert [receipt.request_id for receipt in receipts] == list("abacb")
        assert [on.labels(name) for name in "abc"] == [1, 1, 1]


async def test_only_so_many_requests_are_remembered() -> None:
    async with bench(odometer=False) as on:
        on.driver._jobs.clear()
        receipt = await on.print("a")
        template = on.driver._jobs["a"]
        for number in range(300):
            template.request_id = f"n{number}"
            on.driver._remember(template)
        assert len(on.driver._jobs) == 256
        assert receipt.proof is PrintProof.ACCEPTED


async def test_the_identity_is_what_the_printer_says_or_empty() -> None:
    async with bench(reply_timeout_s=0.3) as on:
        assert await on.reconnect() == Identity(
            maker="Zebra (ZPL)", model="SIM203-203dpi", firmware="V84.20.18Z"
        )
        on.fault("no_identity")
        assert await on.reconnect() == Identity()


async def test_the_watch_ends_when_the_link_is_cut_and_work_goes_on_afterwards() -> None:
    async with bench() as on:
        watch = asyncio.ensure_future(on.driver.watch())
        on.wire.faults.switch("cut", on=True, times=1)
        with pytest.raises(DriverError):
            await watch
        with pytest.raises(DeviceUnavailable) as caught:
            await on.print("a")
        assert caught.value.moved is Moved.NO
        await on.reconnect()
        assert (await on.print("a")).proof is PrintProof.PRINTED


async def test_the_watch_ends_when_the_printer_falls_silent() -> None:
    async with bench(reply_timeout_s=IMPATIENT) as on:
        on.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceTimeout, match="faulted or offline"):
            await on.driver.watch()


async def test_a_call_that_loses_the_link_ends_the_watch_at_once() -> None:
    async with bench(poll_interval_s=60, reply_timeout_s=IMPATIENT) as on:
        watch = asyncio.ensure_future(on.driver.watch())
        on.wire.faults.switch("silence", on=True)
        with pytest.raises(DeviceTimeout):
            await on.driver.status()
        with pytest.raises(DeviceUnavailable, match="faulted or offline"):
            await watch


async def test_closing_ends_the_watch_and_what_is_under_way() -> None:
    async with bench(model=ZplModel(print_s=50), poll_interval_s=60) as on:
        watch = asyncio.ensure_future(on.driver.watch())
        printing = asyncio.ensure_future(on.print("a"))
        await until(lambda: on.model.state()["formats_waiting"])
        await on.driver.close()
        await on.driver.close()
        with pytest.raises(DeviceTimeout) as caught:
            await printing
        assert caught.value.moved is Moved.UNKNOWN
        with pytest.raises(DeviceUnavailable, match="closed"):
            await watch


async def test_a_printer_that_is_not_there_is_unavailable(inbox: Inbox) -> None:
    async with bench() as on:
        on.wire.faults.switch("cut", on=True)
        await until(lambda: on.wire.faults.active("cut"))
        spec = DeviceSpec("label", "tcp://127.0.0.1:1", OPTIONS)
        with pytest.raises(DeviceUnavailable):
            await ZplDriver(spec, inbox.put).connect()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widht_dots": 812}, "widht_dots is not one of width_dots"),
        ({"width_dots": 50}, "width_dots must be a whole number from 100 to 5000, not 50"),
        ({"width_dots": 812.5}, "width_dots must be a whole number"),
        ({"width_dots": True}, "width_dots must be a whole number"),
        ({"reply_timeout_s": "1"}, "reply_timeout_s must be a number from 0.05 to 60"),
        ({"reply_timeout_s": float("nan")}, "reply_timeout_s must be a number"),
        ({"odometer": 1}, "odometer must be true or false, not 1"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, str | int | float | bool], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ZplDriver(DeviceSpec("label", "tcp://127.0.0.1:9100", options), Inbox().put)


def test_every_bad_option_is_named_at_once() -> None:
    options: dict[str, str | int | float | bool] = {"speed": 1, "odometer": "no"}
    with pytest.raises(ValueError, match=r"speed is not one of .*; odometer must be"):
        ZplDriver(DeviceSpec("label", "tcp://127.0.0.1:9100", options), Inbox().put)
