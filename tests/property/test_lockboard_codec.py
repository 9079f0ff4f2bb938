"""What holds for every frame of a lock board, in each dialect."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.drawers import DrawerRecord, encode_record, interpret
from drivers.errors import ProtocolError
from drivers.facts import DrawerReported
from drivers.lockboard.codec import (
    DIALECTS,
    HEARD_MAX,
    Dialect,
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

NAMES = pytest.mark.parametrize("name", sorted(DIALECTS))
FEW = settings(max_examples=40)


def places(dialect: Dialect) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, dialect.boards), st.integers(1, dialect.locks))


def requests(dialect: Dialect) -> st.SearchStrategy[Request]:
    asked = 0 if dialect.whole_board else None
    return places(dialect).map(lambda at: OpenRequest(*at)) | places(dialect).map(
        lambda at: StatusRequest(at[0], at[1] if asked is None else asked)
    )


def replies(dialect: Dialect) -> st.SearchStrategy[Reply]:
    if not dialect.whole_board:
        return st.builds(
            lambda at, hook: Status(at[0], at[1], (hook,)), places(dialect), st.sampled_from(Hook)
        )
    hook = st.sampled_from([Hook.OPEN, Hook.CLOSED])
    hooks = st.lists(hook, min_size=dialect.locks, max_size=dialect.locks).map(tuple)
    return st.builds(lambda at, them: Status(at[0], 0, them), places(dialect), hooks)


def words(dialect: Dialect) -> st.SearchStrategy[Reply]:
    told = ["taken", "refused"] if dialect.whole_board else ["taken", "refused", "cooling"]
    return st.builds(
        lambda at, word: OpenReply(at[0], at[1], word), places(dialect), st.sampled_from(told)
    )


@NAMES
@given(data=st.data())
@FEW
def test_what_is_written_is_read_back(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    request = data.draw(requests(dialect))
    assert dialect.decode_request(dialect.encode_request(request)) == request
    reply = data.draw(replies(dialect) | words(dialect) if dialect.open_size else replies(dialect))
    assert dialect.decode_reply(dialect.encode_reply(reply)) == reply


@NAMES
@given(raw=st.binary(max_size=20))
@FEW
def test_garbage_raises_only_a_protocol_error(name: str, raw: bytes) -> None:
    dialect = DIALECTS[name]
    for decode in (dialect.decode_reply, dialect.decode_request, interpret):
        try:
            decode(raw)
        except ProtocolError:
            continue
        assert len(raw) in (dialect.request_size, dialect.status_size, dialect.open_size)


@pytest.mark.parametrize("name", ["kr-cu16", "cu48"])
@given(data=st.data())
@FEW
def test_a_flipped_bit_of_a_frame_with_a_checksum_is_never_accepted(
    name: str, data: st.DataObject
) -> None:
    dialect = DIALECTS[name]
    for frame, decode in (
        (dialect.encode_reply(data.draw(replies(dialect))), dialect.decode_reply),
        (dialect.encode_request(data.draw(requests(dialect))), dialect.decode_request),
    ):
        bit = data.draw(st.integers(0, 8 * len(frame) - 1))
        number = int.from_bytes(frame, "big") ^ 1 << bit
        with pytest.raises(ProtocolError):
            decode(number.to_bytes(len(frame), "big"))


def cut(stream: bytes, places_: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(stream) + 1) for place in places_), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(ends)]


@NAMES
@given(data=st.data(), cuts=st.lists(st.integers(0, 99), max_size=5), echo=st.booleans())
@FEW
def test_no_cut_of_the_answer_changes_it(
    name: str, data: st.DataObject, cuts: list[int], *, echo: bool
) -> None:
    dialect = DIALECTS[name]
    reply = data.draw(replies(dialect))
    assert isinstance(reply, Status)
    question = StatusRequest(reply.board, reply.lock)
    stream = dialect.encode_request(question) * echo + dialect.encode_reply(reply)
    listening = Listening(dialect, question)
    heard = [listening.feed(piece) for piece in cut(stream, cuts) if piece]
    assert heard[-1] == reply
    assert heard[:-1] == [None] * (len(heard) - 1)
    assert listening.frame == dialect.encode_reply(reply)


@NAMES
@given(data=st.data(), cuts=st.lists(st.integers(0, 99), max_size=5))
@FEW
def test_a_board_hears_the_same_however_the_stream_is_cut(
    name: str, data: st.DataObject, cuts: list[int]
) -> None:
    dialect = DIALECTS[name]
    asked = data.draw(st.lists(requests(dialect), max_size=3))
    stream = b"".join(map(dialect.encode_request, asked))
    splitter = RequestSplitter(dialect)
    assert [each for piece in cut(stream, cuts) for each in splitter.feed(piece)] == asked


@NAMES
@given(noise=st.binary(max_size=300))
@FEW
def test_what_is_kept_of_noise_is_bounded(name: str, noise: bytes) -> None:
    dialect = DIALECTS[name]
    splitter = RequestSplitter(dialect)
    splitter.feed(noise)
    assert len(splitter._buffer) < dialect.request_size
    listening = Listening(dialect, StatusRequest(0, 0 if dialect.whole_board else 1))
    for byte in noise[: HEARD_MAX + 1]:
        try:
            listening.feed(bytes([byte]))
        except ProtocolError:
            break
    assert len(listening._heard) <= HEARD_MAX + 1


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    record=st.builds(DrawerRecord, TEXTS.filter(bool), st.booleans(), TEXTS, st.booleans(), TEXTS)
)
@FEW
def test_a_record_stands_alone(record: DrawerRecord) -> None:
    assert interpret(encode_record(record)) == (
        DrawerReported(record.drawer, record.is_open, record.request_id, overdue=record.overdue),
    )
