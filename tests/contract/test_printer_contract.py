"""What every label printer driver owes, against its simulator over every line and fault.

A receipt never claims more than happened; one request never prints twice; an error with moved NO
left no label; and the driver works again without a restart. Faults of one kind of printer are in
`test_printer_zpl`, `test_printer_ipp` and `test_printer_pdf`.
"""

import asyncio
import json

import pytest

from drivers.base import (
    DeviceSpec,
    Label,
    PrintProof,
    PrintReceipt,
)
from drivers.errors import (
    DeviceRefused,
    DeviceUnavailable,
    DriverError,
    Moved,
)
from drivers.labels import LabelError
from drivers.printing import JobView, reprint_message
from simulators.ipp import IppModel
from tests.contract.printers import (
    BEST,
    DRIVERS,
    IMPATIENT,
    KINDS,
    READY,
    Bench,
    Options,
    bench,
    label,
    until,
)
from tests.contract.transports import (
    DEAF,
    LOSSY,
    NOISY,
    SILENT,
    Inbox,
    Line,
    outcome,
    until_done,
)

each_kind = pytest.mark.parametrize("kind", KINDS)
on_every_wire = pytest.mark.parametrize(
    ("kind", "server"), [("zpl", "tcp"), ("zpl", "pty"), ("ipp", "tcp")]
)
"""The driver of files has no wire."""
HASTY: Options = {"reply_timeout_s": IMPATIENT, "print_timeout_s": 0.2}

# ---------------------------------------------------------------- lines


@on_every_wire
async def test_on_a_faithful_line_each_request_prints_exactly_one_label(
    faithful_line: Line, kind: str, server: str
) -> None:
    async with bench(kind, faithful_line, server=server) as on:
        assert await on.driver.status() == READY
        for request_id in ("a", "b", "a", "c", "b"):
            receipt = await on.print(request_id)
            assert receipt == PrintReceipt(request_id, PrintProof.PRINTED)
        assert sorted(on.out()) == ["a", "b", "c"]


async def test_on_an_unfaithful_line_no_receipt_claims_more_than_happened(
    unfaithful_line: Line,
) -> None:
    await survives(unfaithful_line, "zpl", "pty")


@pytest.mark.parametrize("bad", [SILENT, DEAF, LOSSY, NOISY], ids=lambda line: str(line.name))
async def test_what_breaks_ipp_messages_never_makes_a_false_receipt(bad: Line) -> None:
    # TCP keeps bytes whole and in order; what is left is a host in between that does not.
    await survives(bad, "ipp", "tcp")


async def survives(bad: Line, kind: str, server: str) -> None:
    async with bench(kind, server=server, options=HASTY) as on:
        bad.switch(on.served.wire, on=True)
        await prints_honestly(on, 2)
        bad.switch(on.served.wire, on=False)
        await prints_again(on)


@on_every_wire
async def test_after_a_broken_link_no_receipt_claims_more_than_happened(
    breaking_line: Line, kind: str, server: str
) -> None:
    async with bench(kind, server=server, options=HASTY) as on:
        breaking_line.switch(on.served.wire, on=True)
        await prints_honestly(on, 2)
        breaking_line.switch(on.served.wire, on=False)
        await prints_again(on)


async def test_connecting_over_a_bad_line_works_sooner_or_later(connect_line: Line) -> None:
    async with bench("zpl", connect_line, options={"reply_timeout_s": IMPATIENT}) as on:
        connect_line.switch(on.served.wire, on=False)
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


# ---------------------------------------------------------------- requests


@each_kind
async def test_one_request_is_one_label(kind: str) -> None:
    async with bench(kind) as on:
        assert await on.print("a") == PrintReceipt("a", BEST[kind])
        assert await on.print("a") == PrintReceipt("a", BEST[kind])
        with pytest.raises(LabelError, match="'a' was another label") as caught:
            await on.driver.print(label("b"), request_id="a")
        assert caught.value.moved is Moved.NO
        assert on.out() == ("a",)


@each_kind
async def test_a_bad_label_is_refused_before_anything_is_sent(kind: str) -> None:
    async with bench(kind) as on:
        with pytest.raises(LabelError, match="check digit 7 expected"):
            await on.driver.print(Label("T", (), (("01", "00300710155238"),)), request_id="a")
        assert on.out() == ()


@each_kind
async def test_calls_at_the_same_time_print_one_after_the_other(kind: str) -> None:
    async with bench(kind) as on:
        receipts = await asyncio.gather(*(on.print(name) for name in "abacb"))
        assert [receipt.request_id for receipt in receipts] == list("abacb")
        assert sorted(on.out()) == ["a", "b", "c"]
        assert on.driver.labels() == tuple(JobView(name, BEST[kind]) for name in "abc")


@each_kind
async def test_the_queue_is_bounded_and_refuses_without_printing(kind: str) -> None:
    async with bench(kind, options={"queue_max": 1}) as on:
        results = await asyncio.gather(
            *(outcome(lambda name=name: on.print(name)) for name in "abcd")  # type: ignore[misc]  # mypy takes no default for a lambda
        )
        refused = [result for result in results if isinstance(result, DeviceRefused)]
        assert refused
        assert {(error.reason, error.moved) for error in refused} == {("queue_full", Moved.NO)}
        printed = [result for result in results if isinstance(result, PrintReceipt)]
        assert sorted(on.out()) == sorted(receipt.request_id for receipt in printed)
        assert len(printed) + len(refused) == 4
        assert (await on.print("e")).proof is BEST[kind]


@each_kind
async def test_a_reprint_is_recorded_with_its_reason_before_it_is_printed_once(
    kind: str, inbox: Inbox
) -> None:
    async with bench(kind, inbox=inbox) as on:
        await on.print("a")
        for _ in range(2):
            receipt = await on.driver.reprint("a", request_id="b", reason=" torn\n off ")
            assert receipt == PrintReceipt("b", BEST[kind])
        assert len(on.model.printed) == 2 or kind == "pdf"
        (record,) = inbox.messages
        assert (record.key, record.kind) == ("reprint:b", "reprint")
        assert json.loads(record.raw) == {
            "request_id": "b",
            "reprint_of": "a",
            "reason": "torn off",
        }


@each_kind
@pytest.mark.parametrize(
    ("of", "request_id", "reason"),
    [("a", "b", " "), ("a", "b", "x" * 201), ("a", "a", "torn"), ("never", "b", "torn")],
)
async def test_a_reprint_without_reason_or_of_nothing_is_refused(
    kind: str, of: str, request_id: str, reason: str
) -> None:
    inbox = Inbox()
    async with bench(kind, inbox=inbox) as on:
        await on.print("a")
        if of == request_id:
            with pytest.raises(LabelError):
                reprint_message(of, request_id=request_id, reason=reason)
        else:
            with pytest.raises(LabelError) as caught:
                await on.driver.reprint(of, request_id=request_id, reason=reason)
            assert caught.value.moved is Moved.NO
        assert on.out() == ("a",)
        assert inbox.messages == []


# ---------------------------------------------------------------- life


@each_kind
async def test_the_watch_ends_when_the_link_is_lost_and_work_goes_on_afterwards(
    kind: str,
) -> None:
    async with bench(kind) as on:
        watch = asyncio.ensure_future(on.driver.watch())
        on.lose()
        with pytest.raises(DriverError):
            await watch
        with pytest.raises(DeviceUnavailable) as caught:
            await on.print("a")
        assert caught.value.moved is Moved.NO
        on.lose(lost=False)
        await on.reconnect()
        assert (await on.print("a")).proof is BEST[kind]


@each_kind
async def test_closing_ends_the_watch_and_may_be_done_twice(kind: str) -> None:
    async with bench(kind, options={"poll_interval_s": 60}) as on:
        watch = asyncio.ensure_future(on.driver.watch())
        await asyncio.sleep(0)
        await on.driver.close()
        await on.driver.close()
        with pytest.raises(DeviceUnavailable, match="closed"):
            await watch
        with pytest.raises(DeviceUnavailable):
            await on.driver.status()


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("zpl", "tcp://127.0.0.1:1"),
        ("ipp", "ipp://127.0.0.1:1/ipp/print"),
        ("pdf", "file:///nowhere/labels"),
    ],
)
async def test_a_printer_that_is_not_there_is_unavailable(
    kind: str, address: str, inbox: Inbox
) -> None:
    driver = DRIVERS[kind](DeviceSpec("label", address), inbox.put)
    with pytest.raises(DeviceUnavailable) as caught:
        await driver.connect()
    assert caught.value.moved is Moved.NO
    with pytest.raises(DeviceUnavailable, match="not connected"):
        await driver.print(label("a"), request_id="a")


@pytest.mark.parametrize("kind", ["zpl", "ipp"])
async def test_a_link_cut_while_printing_is_unknown_and_found_out_later(kind: str) -> None:
    async with bench(kind) as on:
        on.model.set("print_s", "5")
        task = asyncio.ensure_future(on.print("a"))
        if isinstance(on.model, IppModel):
            await until(lambda: on.model.state()["documents"])
        else:
            await until(lambda: on.model.state()["formats_waiting"])
        on.served.wire.faults.switch("cut", on=True, times=1)
        result = await outcome(lambda: task)
        assert isinstance(result, DriverError)
        assert result.moved is Moved.UNKNOWN
        await on.reconnect()
        await until(lambda: on.labels("a"))
        assert (await on.print("a")).proof is PrintProof.PRINTED
        assert on.out() == ("a",)


# ---------------------------------------------------------------- options


ADDRESS = {"zpl": "tcp://127.0.0.1:9100", "ipp": "ipp://127.0.0.1", "pdf": "file:///labels"}


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("zpl", {"widht_dots": 812}, "widht_dots is not one of width_dots"),
        ("zpl", {"width_dots": 50}, "width_dots must be a whole number from 100 to 5000, not 50"),
        ("zpl", {"width_dots": 812.5}, "width_dots must be a whole number"),
        ("zpl", {"width_dots": True}, "width_dots must be a whole number"),
        ("zpl", {"reply_timeout_s": "1"}, "reply_timeout_s must be a number from 0.05 to 60"),
        ("zpl", {"reply_timeout_s": float("nan")}, "reply_timeout_s must be a number"),
        ("zpl", {"odometer": 1}, "odometer must be true or false, not 1"),
        ("zpl", {"speed": 1, "odometer": "no"}, r"speed is not one of .*; odometer must be"),
        ("ipp", {"width_mm": 5}, "width_mm must be a number from 10 to 600, not 5"),
        ("ipp", {"media": 3}, "media must be a text, not 3"),
        ("pdf", {"files_max": 0}, "files_max must be a whole number from 1 to 100000, not 0"),
    ],
)
def test_a_bad_option_is_named(kind: str, options: Options, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        DRIVERS[kind](DeviceSpec("label", ADDRESS[kind], options), Inbox().put)
