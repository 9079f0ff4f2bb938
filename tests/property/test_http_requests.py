"""The simulators' half of HTTP: requests out of any cut of the stream, bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.http_requests import (
    BODY_MAX,
    HEAD_MAX,
    BadRequest,
    Request,
    RequestParser,
    response,
)

PLAIN = b"POST /ipp/print HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = (
    b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
    b"Connection: close\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n"
)


@given(st.lists(st.integers(1, 30), max_size=30))
@settings(max_examples=40)
def test_cutting_the_stream_anywhere_changes_nothing(cuts: list[int]) -> None:
    parser, found, rest = RequestParser(), list[Request](), PLAIN + CHUNKED + PLAIN
    for cut in cuts:
        found += parser.feed(rest[:cut])
        rest = rest[cut:]
    found += parser.feed(rest)
    assert [request.body for request in found] == [b"abc"] * 3
    assert [request.keeps_open for request in found] == [True, False, True]
    assert [request.path for request in found] == ["/ipp/print", "/p", "/ipp/print"]


def test_a_client_that_waits_for_leave_gets_it_once() -> None:
    parser = RequestParser()
    assert parser.feed(CHUNKED[: CHUNKED.index(b"2\r\nab")]) == []
    assert (parser.wants_continue(), parser.wants_continue()) == (True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nno header\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 70,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n",
        b"x" * (HEAD_MAX + 1),
    ],
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        RequestParser().feed(data)


@given(st.lists(st.binary(max_size=100), max_size=8))
@settings(max_examples=60)
def test_garbage_raises_only_a_bad_request(chunks: list[bytes]) -> None:
    parser = RequestParser()
    for chunk in chunks:
        try:
            parser.feed(chunk)
        except BadRequest:
            return


def test_an_answer_tells_its_length() -> None:
    assert response(200, "application/ipp", b"ab", close=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/ipp\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\nab"
    )
