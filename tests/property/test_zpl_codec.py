"""Whatever text and bytes come: one format out, and answers or ProtocolError in."""

import contextlib
import re

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Label
from drivers.errors import ProtocolError
from drivers.labels import LabelError, LabelSize
from drivers.zpl.codec import (
    REPLY_LIMIT,
    HostStatus,
    Reply,
    ReplyKind,
    ReplySplitter,
    encode_host_status,
    parse_host_status,
    parse_identity,
    parse_odometer,
)
from drivers.zpl.label import encode_label, lay_out, text_width

SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
hostile = st.one_of(
    st.text(max_size=200),
    st.text(alphabet='^~\\_XZAJHS!{}"\x02\x03\x10\x1e\r\n \u00e9', max_size=60),
    st.lists(st.sampled_from(["^XZ", "^XA", "~JA", "\\5E", "_5E", "^FS", "W", " "])).map("".join),
)
codes = st.builds(
    lambda lot, serial: (
        ("01", "00300710155237"),
        ("17", "271231"),
        *([("10", lot)] if lot else []),
        *([("21", serial)] if serial else []),
    ),
    st.text(alphabet=SET_82, max_size=20),
    st.text(alphabet=SET_82, max_size=20),
)
labels = st.builds(
    Label, hostile, st.lists(hostile, max_size=8).map(tuple), st.one_of(st.just(()), codes)
)
flag = st.booleans()
statuses = st.builds(
    HostStatus,
    interface=st.integers(0, 511),
    paper_out=flag,
    paused=flag,
    label_length_dots=st.integers(0, 9999),
    formats_waiting=st.integers(0, 999),
    buffer_full=flag,
    diagnostic=flag,
    partial_format=flag,
    ram_corrupt=flag,
    too_cold=flag,
    too_hot=flag,
    function=st.integers(0, 255),
    head_open=flag,
    ribbon_out=flag,
    thermal_transfer=flag,
    print_mode=st.sampled_from("0123456789KL"),
    width_mode=st.integers(0, 9),
    label_waiting=flag,
    labels_remaining=st.integers(0, 99_999_999),
    images=st.integers(0, 999),
    password=st.integers(0, 9999),
    static_ram=flag,
)


@given(labels)
def test_any_text_in_any_field_leaves_exactly_one_format(label: Label) -> None:
    zpl = encode_label(label, LabelSize())
    assert zpl.count(b"^XA") == zpl.count(b"^XZ") == 1
    assert zpl.startswith(b"^XA")
    assert zpl.endswith(b"^XZ")
    assert b"~" not in zpl
    assert all(0x20 <= byte < 0x7F for byte in zpl)
    commands = set(re.findall(rb"\^(..)", zpl))
    assert commands <= {
        b"XA",
        b"XZ",
        b"CI",
        b"PW",
        b"LL",
        b"LH",
        b"FO",
        b"A0",
        b"FH",
        b"FD",
        b"FS",
        b"BX",
    }
    assert zpl.count(b"^FD") == zpl.count(b"^FS") == zpl.count(b"^FO") == zpl.count(b"^FH\\")


@given(labels, st.integers(100, 2000), st.integers(100, 2000), st.sampled_from([6, 8, 12, 24]))
def test_text_never_reaches_the_code_or_the_edge(
    label: Label, width: int, height: int, dpmm: int
) -> None:
    size = LabelSize(width, height, dpmm)
    try:
        plan = lay_out(label, size)
    except LabelError:
        return
    bottom = 0
    for row in plan.rows:
        assert row.y >= bottom
        bottom = row.y + row.height
        assert bottom <= height - size.margin
        right = size.margin + text_width(row.text, row.height)
        assert right <= width - size.margin
        beside = row.y < size.margin + plan.code_side + 2 * size.module
        if plan.code_side and beside:
            assert right <= plan.code_x - 2 * size.module
    assert plan.code_x + plan.code_side <= width - size.margin
    assert size.margin + plan.code_side <= height - size.margin


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=24)), max_size=4))
def test_bad_elements_raise_only_a_label_error(elements: list[tuple[str, str]]) -> None:
    with contextlib.suppress(LabelError):
        encode_label(Label("T", (), tuple(elements)), LabelSize())


@given(statuses)
def test_a_status_survives_the_wire(status: HostStatus) -> None:
    replies = ReplySplitter().feed(encode_host_status(status))
    assert [reply.kind for reply in replies] == [ReplyKind.FRAMED] * 3
    assert parse_host_status(reply.body for reply in replies) == status


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=40))
def test_cutting_the_stream_anywhere_changes_nothing(noise: bytes, cuts: list[int]) -> None:
    data = noise + encode_host_status(HostStatus()) + b'"123"\r\n' + noise
    whole = ReplySplitter().feed(data)
    splitter = ReplySplitter()
    pieces: list[Reply] = []
    rest = data
    for cut in cuts:
        pieces += splitter.feed(rest[:cut])
        rest = rest[cut:]
        assert splitter.pending < REPLY_LIMIT
    pieces += splitter.feed(rest)
    assert pieces == whole


@given(st.lists(st.binary(max_size=400), max_size=12))
def test_the_splitter_is_bounded_and_never_raises(chunks: list[bytes]) -> None:
    splitter = ReplySplitter()
    for chunk in chunks:
        for reply in splitter.feed(chunk):
            assert len(reply.body) <= REPLY_LIMIT
        assert splitter.pending < REPLY_LIMIT


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_garbage_answers_raise_only_a_protocol_error(bodies: list[bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        parse_host_status(bodies)
    for body in bodies:
        with contextlib.suppress(ProtocolError):
            parse_identity(body)
        for kind in ReplyKind:
            with contextlib.suppress(ProtocolError):
                parse_odometer(Reply(kind, body))
