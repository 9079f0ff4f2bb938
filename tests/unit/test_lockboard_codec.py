"""Frames of lock boards as public drivers print them, and what is refused."""

import pytest

from drivers.drawers import RECORD_MAX, DrawerRecord, encode_record, interpret
from drivers.errors import ProtocolError
from drivers.facts import DrawerReported
from drivers.lockboard.codec import (
    DIALECTS,
    HEARD_MAX,
    Hook,
    Listening,
    OpenReply,
    OpenRequest,
    Reply,
    Request,
    RequestSplitter,
    Status,
    StatusRequest,
)

C, O = Hook.CLOSED, Hook.OPEN  # noqa: E741 - as in the tables of bits

REQUESTS = [
    ("kr-cu16", StatusRequest(0), "02 00 30 03 35"),
    ("kr-cu16", OpenRequest(0, 1), "02 00 31 03 36"),
    ("kr-cu16", OpenRequest(1, 5), "02 14 31 03 4A"),
    ("cu48", StatusRequest(0), "02 00 00 60 03 65"),
    ("cu48", OpenRequest(0, 3), "02 00 02 61 03 68"),
    ("winnsen", OpenRequest(1, 7), "90 06 05 01 07 03"),
    ("winnsen", StatusRequest(1, 7), "90 06 12 01 07 03"),
]
REPLIES = [
    ("kr-cu16", Status(0, 0, (C,) * 16), "02 00 35 FF FF 00 00 03 38"),
    ("kr-cu16", Status(0, 0, (O, *[C] * 15)), "02 00 35 FE FF 00 00 03 37"),
    ("kr-cu16", Status(2, 0, (*[C] * 15, O)), "02 20 35 FF 7F 00 00 03 D8"),
    ("cu48", OpenReply(0, 3, "taken"), "02 00 02 75 00 79"),
    ("cu48", OpenReply(0, 3, "refused"), "02 00 02 00 00 04"),
    ("cu48", Status(0, 0, (*[C] * 9, O, *[C] * 38)), "02 00 00 75 06 FF FD FF FF FF FF 75"),
    ("winnsen", Status(1, 7, (O,)), "90 07 92 01 01 07 03"),
    ("winnsen", Status(1, 7, (C,)), "90 07 92 01 00 07 03"),
    ("winnsen", Status(1, 7, (Hook.COOLING,)), "90 07 92 01 02 07 03"),
    ("winnsen", OpenReply(1, 7, "taken"), "90 07 85 01 07 01 03"),
    ("winnsen", OpenReply(1, 7, "cooling"), "90 07 85 01 07 02 03"),
]


@pytest.mark.parametrize(("dialect", "request_", "frame"), REQUESTS)
def test_a_request_is_the_published_one(dialect: str, request_: Request, frame: str) -> None:
    assert DIALECTS[dialect].encode_request(request_) == bytes.fromhex(frame)
    assert DIALECTS[dialect].decode_request(bytes.fromhex(frame)) == request_


@pytest.mark.parametrize(("dialect", "reply", "frame"), REPLIES)
def test_an_answer_is_the_published_one(dialect: str, reply: Reply, frame: str) -> None:
    assert DIALECTS[dialect].decode_reply(bytes.fromhex(frame)) == reply
    assert DIALECTS[dialect].encode_reply(reply) == bytes.fromhex(frame)


def test_infrared_bits_are_not_taken_for_locks() -> None:
    frame = bytes.fromhex("02 00 35 FF FF FF 0F 03 46")
    assert DIALECTS["kr-cu16"].decode_reply(frame) == Status(0, 0, (C,) * 16)


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("kr-cu16", "02 00 35 FE FF 00 00 03 38"),  # sum
        ("kr-cu16", "02 00 35 FF FF 00 00 04 39"),  # end
        ("kr-cu16", "02 01 35 FF FF 00 00 03 39"),  # an address with a lock
        ("kr-cu16", "02 00 36 FF FF 00 00 03 39"),  # the answer of another command
        ("kr-cu16", "02 00 35 FF FF 00 03 38"),  # short
        ("cu48", "03 00 02 75 00 7A"),  # start
        ("cu48", "02 00 02 76 00 7A"),  # an unknown word
        ("cu48", "02 00 30 75 00 A7"),  # lock 49
        ("cu48", "02 00 30 00 00 32"),
        ("cu48", "02 00 00 75 05 FF FF FF FF FF FF 76"),
        ("winnsen", "90 07 92 01 03 07 03"),  # an unknown state
        ("winnsen", "90 07 85 01 07 09 03"),
        ("winnsen", "90 07 92 01 01 07 13"),
        ("winnsen", ""),
    ],
)
def test_any_other_answer_is_refused(dialect: str, frame: str) -> None:
    with pytest.raises(ProtocolError):
        DIALECTS[dialect].decode_reply(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("kr-cu16", "02 01 30 03 36"),
        ("kr-cu16", "02 00 33 03 38"),  # open all: not spoken here
        ("cu48", "02 00 01 60 03 66"),
        ("cu48", "02 00 30 61 03 96"),
        ("winnsen", "90 06 13 01 07 03"),
    ],
)
def test_any_other_request_is_refused(dialect: str, frame: str) -> None:
    with pytest.raises(ProtocolError):
        DIALECTS[dialect].decode_request(bytes.fromhex(frame))


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        ("kr-cu16", OpenReply(0, 1, "taken")),
        ("winnsen", Status(0, 1, (C, C))),
    ],
)
def test_an_answer_that_a_board_cannot_give_is_not_written(dialect: str, reply: Reply) -> None:
    with pytest.raises(ProtocolError):
        DIALECTS[dialect].encode_reply(reply)


# ---------------------------------------------------------------- listening

ECHO = "02 00 30 03 35"
ANSWER = "02 00 35 FE FF 00 00 03 37"
STATE = Status(0, 0, (O, *[C] * 15))


def heard(*pieces: str) -> Reply | None:
    listening = Listening(DIALECTS["kr-cu16"], StatusRequest(0))
    reply = None
    for piece in pieces:
        reply = listening.feed(bytes.fromhex(piece))
    return reply


@pytest.mark.parametrize(
    "pieces",
    [
        (ANSWER,),
        (ECHO, ANSWER),
        (ECHO + ANSWER,),
        ("02 00", "30 03 35 02 00 35 FE FF", "00 00 03 37"),
        (ANSWER + ANSWER,),
        (ANSWER + "02 00",),
    ],
)
def test_one_answer_is_understood_with_and_without_echo(pieces: tuple[str, ...]) -> None:
    assert heard(*pieces) == STATE


@pytest.mark.parametrize(
    "piece",
    [
        "02 00 35 FF FF 00 00 03 38" + ANSWER,  # two that differ
        "02 10 35 FF FF 00 00 03 48",  # another board
        "00" + ANSWER,
        ECHO + ECHO + ANSWER,
        ANSWER + "00",
    ],
)
def test_anything_else_than_one_answer_is_no_answer(piece: str) -> None:
    with pytest.raises(ProtocolError):
        heard(piece)


def test_an_answer_to_opening_is_no_answer_to_asking() -> None:
    listening = Listening(DIALECTS["winnsen"], StatusRequest(1, 7))
    with pytest.raises(ProtocolError):
        listening.feed(bytes.fromhex("90 07 85 01 07 01 03"))


def test_half_an_answer_is_none_and_too_much_is_refused() -> None:
    assert heard("02 00 35 FE") is None
    with pytest.raises(ProtocolError, match="more than 64 bytes"):
        heard("00" * (HEARD_MAX + 1))


def test_a_board_finds_requests_behind_garbage() -> None:
    splitter = RequestSplitter(DIALECTS["cu48"])
    stream = bytes.fromhex("FB F2 02 00 02 00 00 60 03 65 02 00 02 61")
    assert splitter.feed(stream) == [StatusRequest(0)]
    assert splitter.feed(bytes.fromhex("03 68")) == [OpenRequest(0, 3)]


# ---------------------------------------------------------------- records


def test_a_stored_record_means_an_access() -> None:
    raw = (
        b'{"v":1,"drawer":"0.3","open":true,"request":"r1","overdue":false,'
        b'"evidence":"02 00 35 fb ff 00 00 03 34"}'
    )
    assert interpret(raw) == (DrawerReported("0.3", is_open=True, request_id="r1"),)
    record = DrawerRecord("0.3", True, "r1", False, "02 00 35 fb ff 00 00 03 34")  # noqa: FBT003
    assert encode_record(record) == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 4000,
        b'{"v":2,"drawer":"0.3","open":true,"request":"","overdue":false,"evidence":""}',
        b'{"v":1,"drawer":"","open":true,"request":"","overdue":false,"evidence":""}',
        b'{"v":1,"drawer":"a","open":1,"request":"","overdue":false,"evidence":""}',
        b'{"v":1,"drawer":"a","open":true,"request":"","overdue":false,"evidence":"","x":1}',
        b" " * (RECORD_MAX + 1),
    ],
)
def test_a_message_that_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        interpret(raw)
