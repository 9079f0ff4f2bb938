"""What WWKS2 messages mean for stock, and how they go to the inbox."""

from datetime import date

import pytest

from drivers.base import RawMessage, TaskReport, TaskState
from drivers.errors import ProtocolError
from drivers.facts import (
    InputReported,
    OutputReported,
    OutputStatus,
    Pack,
    StockReported,
)
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import (
    decode,
    interpret,
    order_from_wire,
    order_to_wire,
    stored,
    task_report,
    unreadable,
)


def document(lead: str) -> bytes:
    return f'<WWKS Version="2.0" TimeStamp="2026-11-21T10:00:00Z">{lead}</WWKS>'.encode()


def test_an_output_message_reports_the_packs_that_left() -> None:
    raw = document(
        '<OutputMessage Id="1004" Source="999" Destination="100"><Details Priority="Normal"'
        ' OutputDestination="3" Status="Incomplete"/><Article Id="00071015523"><Pack Id="5637"'
        ' BatchNumber="B1" ExpiryDate="2027-10-31" SubItemQuantity="0" SerialNumber="S9"'
        r' ScanCode="01\x1d10"/></Article><Article Id="A2"><Pack Id="5638" BatchNumber="B2"'
        ' SubItemQuantity="12"/></Article></OutputMessage>'
    )

    assert interpret(raw) == (
        OutputReported(
            "1004",
            OutputStatus.INCOMPLETE,
            (
                Pack("5637", "00071015523", "B1", date(2027, 10, 31), None, "01\x1d10", "S9"),
                Pack("5638", "A2", "B2", None, 12),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        ("Completed", OutputStatus.COMPLETED),
        ("Incomplete", OutputStatus.INCOMPLETE),
        ("Aborted", OutputStatus.ABORTED),
        ("BoxReleased", OutputStatus.BOX_RELEASED),
    ],
)
def test_an_output_without_packs_is_reported_too(status: str, meant: OutputStatus) -> None:
    raw = document(f'<OutputMessage Id="7"><Details Status="{status}"/></OutputMessage>')

    assert interpret(raw) == (OutputReported("7", meant, ()),)


def test_a_manual_output_never_looks_like_order_one() -> None:
    raw = document('<OutputMessage Id="1"><Details Status="Completed"/></OutputMessage>')

    assert interpret(raw) == (OutputReported("manual", OutputStatus.COMPLETED, ()),)
    assert order_to_wire("1") == "0001"
    assert order_from_wire("0001") == "1"
    assert order_to_wire("1004") == order_from_wire("1004") == "1004"


@pytest.mark.parametrize("order_id", ["", "manual", "0001", "9" * 65])
def test_an_order_id_that_could_be_mistaken_is_refused(order_id: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        order_to_wire(order_id)


def test_only_packs_that_were_stored_are_reported_as_input() -> None:
    raw = document(
        '<InputMessage Id="2"><Article Id="A1"><Pack Id="8" BatchNumber="B1"><Handling'
        ' Input="Completed"/></Pack><Pack Id="0"><Handling Input="Aborted"/></Pack></Article>'
        "</InputMessage>"
    )

    assert interpret(raw) == (InputReported(Pack("8", "A1", "B1", None)),)


def test_an_initiated_input_reports_the_packs_that_have_an_id() -> None:
    raw = document(
        '<InitiateInputMessage Id="2"><Details InputSource="1" Status="Incomplete"/><Article'
        ' Id="A1"><Pack Id="8" BatchNumber="B1"/><Pack Id="0"><Error Type="QueueFull"/></Pack>'
        "</Article></InitiateInputMessage>"
    )

    assert interpret(raw) == (InputReported(Pack("8", "A1", "B1", None)),)


def test_a_stock_message_reports_packs_without_booking() -> None:
    raw = document(
        '<StockInfoMessage Id="1"><Article Id="A1" Quantity="3"><Pack Id="8"/></Article>'
        "</StockInfoMessage>"
    )

    assert interpret(raw) == (StockReported((Pack("8", "A1", "", None),)),)


@pytest.mark.parametrize("kind", ["TaskInfo", "OutputInfo"])
@pytest.mark.parametrize(
    ("status", "meant"),
    [
        ("Completed", OutputStatus.COMPLETED),
        ("Incomplete", OutputStatus.INCOMPLETE),
        ("Aborted", OutputStatus.ABORTED),
    ],
)
def test_a_finished_task_reports_its_packs(kind: str, status: str, meant: OutputStatus) -> None:
    raw = document(
        f'<{kind}Response Id="3"><Task Id="1004" Status="{status}"><Article Id="A1"><Pack Id="8"/>'
        f"</Article></Task></{kind}Response>"
    )

    assert interpret(raw) == (OutputReported("1004", meant, (Pack("8", "A1", "", None),)),)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Unknown", TaskState.UNKNOWN),
        ("Queued", TaskState.QUEUED),
        ("InProcess", TaskState.RUNNING),
        ("Aborting", TaskState.RUNNING),
    ],
)
def test_a_task_that_is_not_finished_means_nothing_for_stock_yet(
    status: str, state: TaskState
) -> None:
    raw = document(
        f'<TaskInfoResponse Id="3"><Task Type="Output" Id="1004" Status="{status}"/>'
        "</TaskInfoResponse>"
    )

    assert interpret(raw) == ()
    assert task_report(wire.Task("1004", "Output", status)) == TaskReport("1004", state, ())


def test_a_delivery_task_is_no_output() -> None:
    raw = document(
        '<TaskInfoResponse Id="3"><Task Type="StockDelivery" Id="1234" Status="Completed">'
        '<Article Id="A1"><Pack Id="8"/></Article></Task></TaskInfoResponse>'
    )

    assert interpret(raw) == ()


def test_other_messages_mean_nothing_for_stock() -> None:
    assert interpret(document('<KeepAliveRequest Id="1"/>')) == ()


@pytest.mark.parametrize(
    "lead",
    [
        '<OutputMessage Id="7"><Details Status="Strange"/></OutputMessage>',
        (
            '<OutputMessage Id="7"><Details Status="Completed"/><Article Id="A"><Pack/></Article>'
            "</OutputMessage>"
        ),
        (
            '<InputMessage Id="7"><Article Id="A"><Pack Id="0"><Handling Input="Completed"/></Pack>'
            "</Article></InputMessage>"
        ),
        '<TaskInfoResponse Id="7"><Task Id="8" Status="Strange"/></TaskInfoResponse>',
    ],
)
def test_a_message_that_cannot_be_booked_is_unreadable(lead: str) -> None:
    with pytest.raises(ProtocolError):
        interpret(document(lead))


# ---------------------------------------------------------------- the inbox


def test_a_byte_identical_repeat_has_the_same_key_and_another_message_has_not() -> None:
    first, second = document('<StockInfoMessage Id="1"/>'), document("<StockInfoMessage Id='1'/>")

    assert stored(decode(first), first) == stored(decode(first), first)
    assert stored(decode(first), first).key != stored(decode(second), second).key
    assert stored(decode(first), first).kind == "StockInfoMessage"
    assert stored(decode(first), first).key.startswith("StockInfoMessage:1:")


def test_an_unreadable_message_keeps_its_kind_and_garbage_has_none() -> None:
    bad = document('<OutputMessage Id="1"><Article><Pack Id="x"/></Article></OutputMessage>')

    assert unreadable(bad).kind == "OutputMessage"
    assert unreadable(b"<WWKS/>").kind == "garbage"
    assert unreadable(b"\x00\xff") == RawMessage(
        "garbage:06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8",
        "garbage",
        b"\x00\xff",
    )
