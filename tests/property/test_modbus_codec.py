"""What holds for every Modbus frame: round trip, no wrong answer, no cut changes anything."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.modbus.codec import (
    FRAME_MAX,
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
    decode_request,
    encode_answer,
    encode_request,
)

WORDS = st.integers(0, 0xFFFF)
READS = st.builds(Read, st.sampled_from([3, 4]), st.integers(0, 60000), st.integers(1, 40))
WRITES = st.builds(lambda at, value: Write(6, at, (value,)), WORDS, WORDS) | st.builds(
    lambda at, values: Write(16, at, tuple(values)),
    st.integers(0, 60000),
    st.lists(WORDS, min_size=1, max_size=20),
)
REQUESTS: st.SearchStrategy[Request] = READS | WRITES
ENVELOPES = st.builds(Envelope, st.just(Framing.TCP), st.integers(0, 255), WORDS) | st.builds(
    Envelope, st.just(Framing.RTU), st.integers(1, 247)
)


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Request, Answer]:
    request = draw(REQUESTS)
    if draw(st.booleans()):
        return request, Refused(draw(st.integers(0, 255)))
    if isinstance(request, Write):
        return request, Written()
    size = request.count
    return request, Registers(tuple(draw(st.lists(WORDS, min_size=size, max_size=size))))


def in_cuts(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(exchanges(), ENVELOPES, st.binary(max_size=12), st.lists(st.integers(0, 300), max_size=6))
def test_an_answer_is_found_behind_anything_however_it_is_cut(
    exchange: tuple[Request, Answer], envelope: Envelope, noise: bytes, cuts: list[int]
) -> None:
    request, answer = exchange
    finder = AnswerFinder(request, envelope)
    stream = noise + envelope.wrap(encode_answer(request, answer))
    found = [finder.feed(piece) for piece in in_cuts(stream, cuts)]
    assert found[-1] == answer
    assert set(found[:-1]) <= {None}
    assert finder.skipped == noise


@given(REQUESTS, ENVELOPES, st.lists(st.integers(0, 600), max_size=6))
def test_a_request_is_found_however_it_is_cut(
    request: Request, envelope: Envelope, cuts: list[int]
) -> None:
    splitter = RequestSplitter(envelope.framing)
    pdu = encode_request(request)
    found = [each for piece in in_cuts(envelope.wrap(pdu), cuts) for each in splitter.feed(piece)]
    assert found == [(envelope, pdu)]
    assert decode_request(pdu) == request


@given(REQUESTS, ENVELOPES, st.binary(max_size=2000))
def test_garbage_is_no_answer_and_the_buffers_stay_bounded(
    request: Request, envelope: Envelope, garbage: bytes
) -> None:
    finder, splitter = AnswerFinder(request, envelope), RequestSplitter(envelope.framing)
    assert finder.feed(garbage) is None
    splitter.feed(garbage)
    assert finder.pending <= FRAME_MAX
    assert len(finder.skipped) <= FRAME_MAX
    assert splitter.pending <= FRAME_MAX


@given(st.binary(max_size=40))
def test_garbage_as_a_request_raises_only_protocol_errors(pdu: bytes) -> None:
    try:
        request = decode_request(pdu)
    except ProtocolError:
        return
    assert encode_request(request) == pdu


@pytest.mark.parametrize("flips", [1, 2, 3])
def test_a_serial_answer_with_flipped_bits_is_none(flips: int) -> None:
    """The CRC finds every error of up to three bits in frames of this length."""
    chance = random.Random(flips)
    request, envelope = Read(3, 6, 8), Envelope(Framing.RTU, 1)
    frame = envelope.wrap(encode_answer(request, Registers(tuple(range(8)))))
    for _ in range(1500):
        damaged = bytearray(frame)
        for place in chance.sample(range(8 * len(frame)), flips):
            damaged[place // 8] ^= 1 << place % 8
        assert AnswerFinder(request, envelope).feed(bytes(damaged)) is None
