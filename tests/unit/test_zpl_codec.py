"""A printer's answers, byte by byte."""

import pytest

from drivers.base import Identity, PrinterStatus
from drivers.errors import ProtocolError
from drivers.zpl.codec import (
    REPLY_LIMIT,
    HostStatus,
    Reply,
    ReplyKind,
    ReplySplitter,
    encode_host_status,
    fault_words,
    parse_host_status,
    parse_identity,
    parse_odometer,
    printer_status,
)

READY = bytes.fromhex(
    "02 3033302C302C302C303430362C3030302C302C302C302C3030302C302C302C30 03 0D0A"  # 030,0,...
    "02 3030302C302C302C302C302C322C362C302C30303030303030302C312C303030 03 0D0A"  # 000,0,...
    "02 313233342C30 03 0D0A"  # 1234,0
)
FIRST = b"030,0,0,0406,000,0,0,0,000,0,0,0"
SECOND = b"000,0,0,0,0,2,6,0,00000000,1,000"
THIRD = b"1234,0"


def framed(replies: list[Reply]) -> list[bytes]:
    return [reply.body for reply in replies if reply.kind is ReplyKind.FRAMED]


def test_the_answer_of_an_idle_printer_is_read() -> None:
    status = parse_host_status(framed(ReplySplitter().feed(READY)))
    assert status == HostStatus(
        interface=30,
        label_length_dots=406,
        print_mode="2",
        width_mode=6,
        password=1234,
    )
    assert status.idle
    assert printer_status(status) == PrinterStatus(ready=True, faults=(), waiting=0)


def test_a_status_is_written_as_it_is_read() -> None:
    assert encode_host_status(HostStatus()) == READY


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (b"030,1,0,0406,000,0,0,0,000,0,0,0", SECOND, ("paper_out",)),
        (b"030,0,1,0406,000,0,0,0,000,0,0,0", SECOND, ("paused",)),
        (b"030,0,0,0406,000,1,0,0,000,0,0,0", SECOND, ("buffer_full",)),
        (b"030,0,0,0406,000,0,1,0,000,0,0,0", SECOND, ("diagnostic",)),
        (b"030,0,0,0406,000,0,0,1,000,0,0,0", SECOND, ("partial_format",)),
        (b"030,0,0,0406,000,0,0,0,000,1,0,0", SECOND, ("ram_corrupt",)),
        (b"030,0,0,0406,000,0,0,0,000,0,1,0", SECOND, ("too_cold",)),
        (b"030,0,0,0406,000,0,0,0,000,0,0,1", SECOND, ("too_hot",)),
        (FIRST, b"000,0,1,0,0,2,6,0,00000000,1,000", ("head_open",)),
        (FIRST, b"000,0,0,1,0,2,6,0,00000000,1,000", ("ribbon_out",)),
        (FIRST, b"000,0,0,0,0,1,6,1,00000000,1,000", ("label_waiting",)),
        (FIRST, b"000,0,0,0,0,2,6,1,00000000,1,000", ()),
        (b"030,1,1,0406,001,0,0,0,000,0,0,0", SECOND, ("paper_out", "paused")),
    ],
)
def test_each_flag_is_a_fault_of_its_own(
    first: bytes, second: bytes, words: tuple[str, ...]
) -> None:
    status = parse_host_status((first, second, THIRD))
    assert fault_words(status) == words
    assert printer_status(status).ready is (words == ())


def test_waiting_formats_and_labels_are_counted() -> None:
    status = parse_host_status(
        (
            b"030,0,0,0406,002,0,0,0,000,0,0,0",
            b"000,0,0,0,1,3,6,0,00000005,1,012",
            b"0000,1",
        )
    )
    assert (status.formats_waiting, status.labels_remaining, status.images) == (2, 5, 12)
    assert (status.thermal_transfer, status.print_mode, status.static_ram) == (True, "3", True)
    assert not status.idle
    assert printer_status(status).waiting == 7


@pytest.mark.parametrize(
    ("bodies", "text"),
    [
        ((), "0 lines, 3 expected"),
        ((FIRST, SECOND), "2 lines"),
        ((FIRST, SECOND, THIRD, THIRD), "4 lines"),
        ((SECOND, FIRST, THIRD), "line 1"),
        ((FIRST, FIRST, THIRD), "line 2"),
        ((FIRST, SECOND, b"12a4,0"), "line 3"),
        ((FIRST, SECOND, b"1234,"), "line 3"),
        ((b"030,2,0,0406,000,0,0,0,000,0,0,0", SECOND, THIRD), "line 1"),
        ((b"030,,0,0406,000,0,0,0,000,0,0,0", SECOND, THIRD), "line 1"),
        ((FIRST + b",0", SECOND, THIRD), "line 1"),
        ((FIRST, b"000,0,0,0,0,2,6,0,00000000,0,000", THIRD), "line 2"),
        ((b"\xff" * 400, SECOND, THIRD), "line 1"),
    ],
)
def test_what_is_not_a_status_is_a_protocol_error(bodies: tuple[bytes, ...], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        parse_host_status(bodies)


def test_the_identity_names_model_and_firmware() -> None:
    assert parse_identity(b"ZTC ZD421-203dpi ZPL,V84.20.18Z,8,8192KB") == Identity(
        maker="Zebra (ZPL)", model="ZTC ZD421-203dpi ZPL", firmware="V84.20.18Z"
    )
    assert parse_identity(b"105SL,V1.0.0,8,4096KB,X\r").model == "105SL"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"a,b,8",
        b",V1,8,1KB",
        b"M,,8,1KB",
        b"M,V1,x,1KB",
        b"M\x01,V1,8,1KB",
        b"\xe9,V,8,1",
    ],
)
def test_what_is_not_an_identity_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="~HI"):
        parse_identity(body)


def test_the_odometer_is_a_quoted_number() -> None:
    assert parse_odometer(Reply(ReplyKind.QUOTED, b"10233")) == 10233
    assert parse_odometer(Reply(ReplyKind.QUOTED, b"0")) == 0


@pytest.mark.parametrize("kind", [ReplyKind.QUOTED, ReplyKind.LINE])
def test_a_question_mark_means_that_there_is_no_odometer(kind: ReplyKind) -> None:
    assert parse_odometer(Reply(kind, b"?")) is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ReplyKind.LINE, b"10233"),
        (ReplyKind.QUOTED, b""),
        (ReplyKind.QUOTED, b"-1"),
        (ReplyKind.QUOTED, b"1 0"),
        (ReplyKind.QUOTED, b"12345678901"),
        (ReplyKind.QUOTED, b"1\xb2"),
    ],
)
def test_any_other_odometer_is_a_protocol_error(kind: ReplyKind, body: bytes) -> None:
    with pytest.raises(ProtocolError, match="odometer"):
        parse_odometer(Reply(kind, body))


@pytest.mark.parametrize(
    ("data", "replies"),
    [
        (b"\x02a\x03\r\n", [Reply(ReplyKind.FRAMED, b"a")]),
        (b'"12"\r\n', [Reply(ReplyKind.QUOTED, b"12")]),
        (b'"12""13"', [Reply(ReplyKind.QUOTED, b"12"), Reply(ReplyKind.QUOTED, b"13")]),
        (b'""', [Reply(ReplyKind.QUOTED, b"")]),
        (b"\x02\x03", [Reply(ReplyKind.FRAMED, b"")]),
        (b"ZM400,V1\r\n", [Reply(ReplyKind.LINE, b"ZM400,V1")]),
        (b"\r\n\r\n", []),
        (b"\x11\x02a\x13b\x03", [Reply(ReplyKind.FRAMED, b"ab")]),
        (b"\x02a\x02b\x03", [Reply(ReplyKind.GARBAGE, b"a"), Reply(ReplyKind.FRAMED, b"b")]),
        (b"\x02\x02b\x03", [Reply(ReplyKind.FRAMED, b"b")]),
        (b"xy\x02b\x03", [Reply(ReplyKind.GARBAGE, b"xy"), Reply(ReplyKind.FRAMED, b"b")]),
        (b'"12\r\n"13"', [Reply(ReplyKind.GARBAGE, b"12"), Reply(ReplyKind.QUOTED, b"13")]),
        (b"\x02a\r\nb\x03", [Reply(ReplyKind.FRAMED, b"a\r\nb")]),
        (b"\x03\r", [Reply(ReplyKind.LINE, b"\x03")]),
        (b'a"b"\n', [Reply(ReplyKind.LINE, b'a"b"')]),
    ],
)
def test_the_stream_is_split_into_answers(data: bytes, replies: list[Reply]) -> None:
    assert ReplySplitter().feed(data) == replies


def test_an_endless_answer_is_garbage_in_bounded_pieces() -> None:
    splitter = ReplySplitter()
    replies = splitter.feed(b"\x02" + b"a" * (3 * REPLY_LIMIT + 5))
    assert [(reply.kind, len(reply.body)) for reply in replies] == [
        (ReplyKind.GARBAGE, REPLY_LIMIT)
    ] * 3
    assert splitter.pending == 5
    assert splitter.flush() == b"aaaaa"
    assert splitter.pending == 0
    assert splitter.feed(b"\x02b\x03") == [Reply(ReplyKind.FRAMED, b"b")]
