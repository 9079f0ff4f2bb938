"""Frames of Modbus as the specification and the makers print them."""

import pytest

from drivers.errors import ProtocolError
from drivers.modbus.codec import (
    Answer,
    AnswerFinder,
    Envelope,
    Framing,
    Read,
    Refused,
    Registers,
    Request,
    RequestSplitter,
    Write,
    Written,
    crc16,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)

SPECIFICATION = [
    (Read(3, 0x6B, 3), "03 00 6B 00 03", Registers((0x22B, 0, 0x64)), "03 06 02 2B 00 00 00 64"),
    (Read(4, 8, 1), "04 00 08 00 01", Registers((10,)), "04 02 00 0A"),
    (Write(6, 1, (3,)), "06 00 01 00 03", Written(), "06 00 01 00 03"),
    (Write(16, 1, (10, 0x102)), "10 00 01 00 02 04 00 0A 01 02", Written(), "10 00 01 00 02"),
    (Read(3, 0, 1), "03 00 00 00 01", Refused(2), "83 02"),
]
"""Source: MODBUS Application Protocol V1.1b3, 6.3, 6.4, 6.6, 6.12 and 7."""
LAUMAS = Envelope(Framing.RTU, 1)


@pytest.mark.parametrize(("request_", "asked", "answer", "answered"), SPECIFICATION)
def test_the_examples_of_the_specification_are_written_and_read(
    request_: Request, asked: str, answer: Answer, answered: str
) -> None:
    assert encode_request(request_) == bytes.fromhex(asked)
    assert decode_request(bytes.fromhex(asked)) == request_
    assert decode_answer(request_, bytes.fromhex(answered)) == answer
    assert encode_answer(request_, answer) == bytes.fromhex(answered)


@pytest.mark.parametrize(
    ("frame", "crc"),
    [
        ("02 07", "41 12"),  # serial line V1.02, appendix B
        ("01 03 00 07 00 04", "F5 C8"),  # Laumas TLB: gross and net
        ("01 03 08 00 00 30 39 00 00 09 29", "CB AC"),
    ],
)
def test_the_checksum_is_that_of_published_frames(frame: str, crc: str) -> None:
    assert crc16(bytes.fromhex(frame)) == bytes.fromhex(crc)


def test_gross_and_net_of_a_laumas_are_asked_and_found() -> None:
    request = Read(3, 7, 4)
    assert LAUMAS.wrap(encode_request(request)) == bytes.fromhex("01 03 00 07 00 04 F5 C8")
    finder = AnswerFinder(request, LAUMAS)
    answer = finder.feed(bytes.fromhex("01 03 08 00 00 30 39 00 00 09 29 CB AC"))
    assert answer == Registers((0, 12345, 0, 2345))
    assert finder.skipped == b""


def test_the_first_registers_of_a_wtx_are_asked_and_found() -> None:
    request, envelope = Read(3, 0, 6), Envelope(Framing.TCP, 1, 1)
    asked = bytes.fromhex("00 01 00 00 00 06 01 03 00 00 00 06")
    assert envelope.wrap(encode_request(request)) == asked
    finder = AnswerFinder(request, envelope)
    answer = finder.feed(
        bytes.fromhex("00 01 00 00 00 0F 01 03 0C 00 00 30 39 00 00 57 49 00 00 00 A0")
    )
    assert answer == Registers((0, 12345, 0, 22345, 0, 0xA0))
    tare = Envelope(Framing.TCP, 1, 2).wrap(encode_request(Write(6, 0, (1,))))
    assert tare == bytes.fromhex("00 02 00 00 00 06 01 06 00 00 00 01")
    refused = AnswerFinder(request, Envelope(Framing.TCP, 1, 3))
    assert refused.feed(bytes.fromhex("00 03 00 00 00 03 01 83 02")) == Refused(2)


@pytest.mark.parametrize(
    ("before", "kind"),
    [
        ("01 03 00 07 00 04 F5 C8", "the echo of the request"),
        ("01 03 04 00 00 09 29 3D BD", "an answer of another length"),
        ("02 03 08 00 00 30 39 00 00 09 29 CC DB", "the answer of another unit"),
        ("01 03 08 00 00 30 39 00 00 09 28 CB AC", "an answer with a flipped bit"),
        ("00 FF 03 08 01", "noise"),
    ],
)
def test_what_is_not_the_answer_is_skipped(before: str, kind: str) -> None:
    finder = AnswerFinder(Read(3, 7, 4), LAUMAS)
    assert finder.feed(bytes.fromhex(before)) is None, kind
    assert finder.feed(bytes.fromhex("01 03 08 00 00 30 39 00 00 09 29 CB AC FF")) == Registers(
        (0, 12345, 0, 2345)
    )
    assert finder.skipped == bytes.fromhex(before) + b"\xff"
    assert finder.pending == 0


@pytest.mark.parametrize(
    "answer",
    [
        "00 02 00 00 00 05 01 03 02 00 07",  # the number of an older request
        "00 01 00 01 00 05 01 03 02 00 07",  # not Modbus
        "00 01 00 00 00 06 01 03 02 00 07",  # a length that is not so
        "00 01 00 00 00 05 02 03 02 00 07",  # another unit
        "00 01 00 00 00 05 01 04 02 00 07",  # another function
        "00 01 00 00 00 05 01 03 04 00 07",  # a count that is not so
    ],
)
def test_an_answer_on_tcp_that_does_not_fit_in_every_part_is_none(answer: str) -> None:
    finder = AnswerFinder(Read(3, 0, 1), Envelope(Framing.TCP, 1, 1))
    assert finder.feed(bytes.fromhex(answer)) is None
    assert finder.feed(bytes.fromhex("00 01 00 00 00 05 01 03 02 00 07")) == Registers((7,))


@pytest.mark.parametrize(
    "request_",
    [
        Read(5, 0, 1),
        Read(3, 0, 0),
        Read(3, 0, 126),
        Read(3, 65535, 2),
        Read(3, -1, 1),
        Write(6, 0, (1, 2)),
        Write(16, 0, ()),
        Write(16, 0, (0,) * 124),
        Write(3, 0, (1,)),
    ],
)
def test_a_request_that_cannot_be_is_refused(request_: Request) -> None:
    with pytest.raises(ValueError, match="is out of range"):
        encode_request(request_)


@pytest.mark.parametrize(
    "pdu",
    [
        "",
        "03",
        "03 00 00 00 00",
        "03 00 00 00 7E",
        "03 FF FF 00 02",
        "2B 0E 01 00",
        "10 00 01 00 02 04 00 0A 01",
        "10 00 01 00 02 02 00 0A",
        "10 00 01 00 01 02",
    ],
)
def test_a_pdu_that_is_no_request_is_refused(pdu: str) -> None:
    with pytest.raises(ProtocolError):
        decode_request(bytes.fromhex(pdu))


def test_a_device_finds_requests_on_tcp_and_drops_what_cannot_be_one() -> None:
    splitter = RequestSplitter(Framing.TCP)
    good = bytes.fromhex("00 01 00 00 00 06 01 03 00 00 00 06")
    pdu = bytes.fromhex("03 00 00 00 06")
    assert splitter.feed(good + good[:5]) == [(Envelope(Framing.TCP, 1, 1), pdu)]
    assert splitter.pending == 5
    assert splitter.feed(good[5:]) == [(Envelope(Framing.TCP, 1, 1), pdu)]
    for bad in ("00 01 00 07 00 06 01", "00 01 00 00 00 01 01", "00 01 00 00 FF FF 01"):
        assert splitter.feed(bytes.fromhex(bad)) == []
        assert splitter.pending == 0


def test_a_device_finds_requests_on_a_serial_line_behind_noise() -> None:
    splitter = RequestSplitter(Framing.RTU)
    read = bytes.fromhex("01 03 00 07 00 04 F5 C8")
    write = LAUMAS.wrap(bytes.fromhex("10 00 05 00 01 02 00 07"))
    assert splitter.feed(b"\x00\xff" + read + write) == [
        (LAUMAS, read[1:-2]),
        (LAUMAS, write[1:-2]),
    ]
    assert splitter.feed(b"\x01" * 1000) == []
    assert 0 < splitter.pending < 8
    splitter.reset()
    assert splitter.pending == 0


def test_the_answer_to_another_write_is_none() -> None:
    finder = AnswerFinder(Write(16, 5, (7,)), LAUMAS)
    assert finder.feed(LAUMAS.wrap(bytes.fromhex("10 00 06 00 01"))) is None
    assert finder.feed(LAUMAS.wrap(bytes.fromhex("10 00 05 00 01"))) == Written()


def test_a_request_inside_of_the_values_of_a_write_is_none() -> None:
    inner = LAUMAS.wrap(bytes.fromhex("06 00 05 00 07"))
    outer = LAUMAS.wrap(bytes.fromhex("10 00 10 00 04 08") + inner)
    assert RequestSplitter(Framing.RTU).feed(outer) == [(LAUMAS, outer[1:-2])]
