"""Lines out of a byte stream: ends, limits, and that no cut changes anything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.framing import LineSplitter


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n", b"\n\r", b"\r\n\r\n"])
def test_every_line_end_ends_a_line_once(end: bytes) -> None:
    assert LineSplitter().feed(b"one" + end + b"two" + end) == [b"one", b"two"]


def test_an_unfinished_line_waits() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"on") == []
    assert splitter.pending == 2
    assert splitter.feed(b"e\n") == [b"one"]
    assert splitter.pending == 0


def test_a_line_of_exactly_the_limit_is_taken() -> None:
    assert LineSplitter(4).feed(b"abcd\n") == [b"abcd"]


def test_an_overlong_line_raises_once_and_the_next_line_is_read() -> None:
    splitter = LineSplitter(4)
    with pytest.raises(ProtocolError, match="longer than 4 bytes"):
        splitter.feed(b"abcde")
    assert splitter.feed(b"fghijklm") == []
    assert splitter.feed(b"n\nok\n") == [b"ok"]


def test_lines_beside_an_overlong_one_are_kept() -> None:
    splitter = LineSplitter(4)
    with pytest.raises(ProtocolError):
        splitter.feed(b"one\ntoolong\ntwo\n")
    assert splitter.feed(b"") == [b"one", b"two"]


def test_reset_forgets_a_partial_line_an_overlong_one_and_what_was_not_fetched() -> None:
    splitter = LineSplitter(4)
    with pytest.raises(ProtocolError):
        splitter.feed(b"one\ntoolong")
    splitter.reset()
    assert splitter.feed(b"two\n") == [b"two"]


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(1, 16))
def test_how_the_stream_is_cut_changes_nothing(pieces: list[bytes], limit: int) -> None:
    def lines(chunks: list[bytes]) -> tuple[list[bytes], bool]:
        splitter, got, failed = LineSplitter(limit), list[bytes](), False
        for chunk in chunks:
            try:
                got += splitter.feed(chunk)
            except ProtocolError:
                failed = True
                got += splitter.feed(b"")
            assert splitter.pending <= limit
        return got, failed

    stream = b"".join(pieces)
    whole = lines([stream])
    assert lines(pieces) == whole
    assert lines([stream[at : at + 1] for at in range(len(stream))]) == whole
