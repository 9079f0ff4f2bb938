"""Faults of a ZPL printer: what is known of a label from status, odometer and peeler."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from drivers.base import (
    DeviceSpec,
    Identity,
    PrinterStatus,
    PrintProof,
)
from drivers.errors import (
    DeviceFault,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnavailable,
    DriverError,
    Moved,
)
from drivers.zpl.driver import ZplDriver
from simulators.wire import Wire
from simulators.zpl import ZplModel
from tests.contract import printers
from tests.contract.printers import IMPATIENT, OPTIONS, until
from tests.contract.transports import Inbox


class Bench:
    """One ZPL driver in front of one simulated ZPL printer."""

    def __init__(self, on: printers.Bench, model: ZplModel, driver: ZplDriver) -> None:
        self.model = model
        self.driver = driver
        self.print = on.print
        self.labels = on.labels
        self.reconnect = on.reconnect
        self.fault = on.fault
        self.wire: Wire = on.served.wire


@contextlib.asynccontextmanager
async def bench(
    *,
    model: ZplModel | None = None,
    inbox: Inbox | None = None,
    **options: str | float | bool,
) -> AsyncIterator[Bench]:
    model = model or ZplModel()
    async with printers.bench("zpl", model=model, inbox=inbox, options=options) as on:
        assert isinstance(on.driver, ZplDriver)
        yield Bench(on, model, on.driver)


# ---------------------------------------------------------------- lines


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
    driver = ZplDriver(DeviceSpec("label", f"tcp://127.0.0.1:{port}", OPTIONS["zpl"]), inbox.put)
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
