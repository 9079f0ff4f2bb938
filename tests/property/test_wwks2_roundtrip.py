"""WWKS2 for all messages and all streams: round trip, any cut, garbage, bounds."""

import contextlib
import itertools
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import decode, encode, interpret, unreadable
from drivers.wwks2.stream import GARBAGE_MAX_BYTES, DocumentSplitter, Frame
from drivers.wwks2.writing import kind_of
from tests.unit.wwks2_manual import MANUAL, faults_of

T = TypeVar("T")
AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
_ESCAPE = re.compile(r"\\x([01][0-9A-Fa-f]|7[Ff])")

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=12
).filter(lambda text: not _ESCAPE.search(text))
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
contents = st.lists(
    lines | st.sampled_from(["]]>", "<![CDATA[", "</WWKS>", "&", "<!--", "\n\t"]), max_size=5
).map("".join)
ids = texts.filter(bool)
ints = st.integers(0, 2**31 - 1)
signed = st.integers(-(2**31), 2**31 - 1)
longs = st.integers(0, 2**63 - 1)
days = st.none() | st.dates(date(1, 1, 1))
flags = st.booleans()


def some(each: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(each, max_size=3).map(tuple)


handlings = st.sampled_from(["", *wire.Handling])
packs = st.builds(
    wire.PackData,
    id=longs,
    index=ints,
    scan_code=texts,
    batch=texts,
    expiry=days,
    sub_items=ints,
    serial=texts,
    external_id=texts,
    delivery=texts,
    stock_in=days,
    depth=ints,
    width=ints,
    height=ints,
    shape=st.sampled_from(["Cuboid", "Cylinder"]),
    state=st.sampled_from(["Available", "NotAvailable", "Reserved"]),
    in_fridge=flags,
    stock_location=texts,
    machine_location=texts,
    output_destination=signed,
    output_point=signed,
    box=texts,
    label_status=texts,
    handling=handlings,
    handling_text=texts,
    error=texts,
    error_text=texts,
).map(
    lambda pack: replace(
        pack,
        handling_text=pack.handling_text if pack.handling else "",
        error_text=pack.error_text if pack.error else "",
    )
)


articles = some(
    st.builds(
        wire.Article,
        id=texts,
        name=texts,
        dosage_form=texts,
        packaging_unit=texts,
        max_sub_items=ints,
        quantity=ints,
        packs=some(packs),
    )
)
criteria = some(
    st.builds(
        wire.Criteria,
        article=texts,
        quantity=ints,
        sub_items=ints,
        minimum_expiry=days,
        batch=texts,
        single_batch=flags,
        external_id=texts,
        serial=texts,
        pack_id=longs,
        stock_location=texts,
        machine_location=texts,
        labels=some(st.builds(wire.Label, texts, contents)),
    )
)
master = some(
    st.builds(
        wire.Article,
        id=texts,
        name=texts,
        dosage_form=texts,
        packaging_unit=texts,
        max_sub_items=ints,
        quantity=ints,
        requires_fridge=flags,
        batch=texts,
        external_id=texts,
        expiry=days,
        stock_location=texts,
        machine_location=texts,
    )
)
details = st.builds(wire.OutputDetails, ids, signed, signed, texts)
started = st.builds(wire.InputDetails, signed, signed, texts.map(str.strip))
subscribers = st.builds(wire.Subscriber, ints, texts, texts, texts, texts, texts, some(texts))
tasks = some(st.builds(wire.Task, ids, texts, texts, articles, some(texts)))
components = some(st.builds(wire.Component, texts, texts, texts, texts))
address = (ids, ints, ints)
messages = st.one_of(
    st.builds(wire.HelloRequest, ids, subscribers),
    st.builds(wire.HelloResponse, ids, subscribers),
    st.builds(wire.KeepAliveRequest, *address),
    st.builds(wire.KeepAliveResponse, *address),
    st.builds(wire.StatusRequest, *address, flags),
    st.builds(wire.StatusResponse, *address, texts, texts, components),
    st.builds(wire.InputRequest, *address, flags, articles, flags),
    st.builds(wire.InputResponse, *address, flags, articles),
    st.builds(wire.InputMessage, *address, flags, articles),
    st.builds(wire.InitiateInputRequest, *address, flags, articles, started, flags),
    st.builds(wire.InitiateInputResponse, *address, flags, articles, started, flags),
    st.builds(wire.InitiateInputMessage, *address, flags, articles, started),
    st.builds(wire.ArticleMasterSetRequest, texts, ints, ints, master),
    st.builds(wire.ArticleMasterSetResponse, *address, texts, texts),
    st.builds(
        wire.StockDeliverySetRequest, *address, some(st.builds(wire.Delivery, texts, master))
    ),
    st.builds(wire.StockDeliverySetResponse, *address, texts, texts),
    st.builds(wire.ConfigurationGetRequest, *address),
    st.builds(wire.ConfigurationGetResponse, *address, contents),
    st.builds(wire.StockLocationInfoRequest, *address),
    st.builds(
        wire.StockLocationInfoResponse, *address, some(st.builds(wire.StockLocation, texts, texts))
    ),
    st.builds(wire.StockInfoRequest, *address, flags, flags, criteria),
    st.builds(wire.StockInfoResponse, *address, articles),
    st.builds(wire.StockInfoMessage, *address, articles),
    st.builds(wire.OutputRequest, *address, details, criteria, texts),
    st.builds(wire.OutputResponse, *address, details, criteria, texts),
    st.builds(wire.OutputMessage, *address, details, articles, some(texts)),
    st.builds(wire.TaskInfoRequest, *address, tasks, flags),
    st.builds(wire.TaskInfoResponse, *address, tasks),
    st.builds(wire.OutputInfoRequest, *address, tasks, flags),
    st.builds(wire.OutputInfoResponse, *address, tasks),
    st.builds(wire.TaskCancelRequest, *address, tasks),
    st.builds(wire.TaskCancelResponse, *address, tasks),
    st.builds(wire.TaskCancelOutputRequest, *address, tasks),
    st.builds(wire.TaskCancelOutputResponse, *address, tasks),
    st.builds(wire.UnprocessedMessage, *address, texts, texts, contents),
)


@given(messages)
@settings(deadline=None, max_examples=100)
def test_every_message_comes_back_as_it_was_sent(message: wire.Message) -> None:
    assert decode(encode(message, AT)) == message


@given(messages)
@settings(deadline=None, max_examples=100)
def test_no_mandatory_attribute_of_the_manual_is_left_out(message: wire.Message) -> None:
    raw = encode(message, AT)

    if kind_of(message) in MANUAL:
        assert [fault for fault in faults_of(raw) if re.search(r" without \w+$", fault)] == []


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_garbage_raises_a_protocol_error_and_nothing_else(raw: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        interpret(raw)
    assert unreadable(raw).raw == raw


@given(messages, st.data())
@settings(deadline=None, max_examples=60)
def test_a_damaged_message_raises_a_protocol_error_and_nothing_else(
    message: wire.Message, data: st.DataObject
) -> None:
    raw = bytearray(encode(message, AT))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        interpret(bytes(raw))
    assert unreadable(bytes(raw)).kind


# ---------------------------------------------------------------- streams

noise = st.sampled_from(
    [
        b"",
        b" \r\n",
        b"\xef\xbb\xbf<?xml version='1.0'?>",
        b"\x00\x01noise",
        b"<WWKS><Cut",
        b'<WWKS><A Text="cut',
        b"<!-- </WWKS> -->",
        b"</WWKS>",
        b"<!DOCTYPE WWKS>",
        b"<WWKS/>",
        b"]]>",
        b"<",
        b"<WWKS",
        b"x" * (GARBAGE_MAX_BYTES + 10),
    ]
)


def cut(stream: bytes, marks: list[int]) -> list[bytes]:
    edges = [0, *sorted(mark % (len(stream) + 1) for mark in marks), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


streams = st.lists(st.tuples(noise, messages), min_size=1, max_size=5)


@given(streams, noise, st.lists(st.integers(0), max_size=9))
@settings(deadline=None, max_examples=60)
def test_cutting_the_stream_anywhere_changes_nothing(
    parts: list[tuple[bytes, wire.Message]], tail: bytes, marks: list[int]
) -> None:
    stream = b"".join(before + encode(message, AT) for before, message in parts) + tail
    whole, pieces, single = DocumentSplitter(), DocumentSplitter(), DocumentSplitter()

    expected = whole.feed(stream)

    assert [frame for piece in cut(stream, marks) for frame in pieces.feed(piece)] == expected
    size = 1 if len(stream) < GARBAGE_MAX_BYTES else 5
    small = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [frame for piece in small for frame in single.feed(piece)] == expected
    assert pieces.flush() == single.flush() == whole.flush()


@given(streams)
@settings(deadline=None, max_examples=60)
def test_no_noise_between_messages_swallows_one(parts: list[tuple[bytes, wire.Message]]) -> None:
    splitter = DocumentSplitter()
    stream = b"".join(before + encode(message, AT) for before, message in parts)

    documents = [frame.raw for frame in splitter.feed(stream) if not frame.fault]

    sent = [encode(message, AT) for _, message in parts]
    assert [raw for raw in documents if raw != b"<WWKS/>"] == sent


@given(st.lists(messages, min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=60)
def test_a_message_quoted_in_another_never_becomes_one_itself(
    quoted: list[wire.Message], data: st.DataObject
) -> None:
    inner = b"".join(encode(message, AT) for message in quoted).decode()
    outer = wire.UnprocessedMessage("1", 999, 100, "NotSupported", "", inner.replace("\r", ""))
    raw = encode(outer, AT)
    size = data.draw(st.integers(1, 80))
    splitter = DocumentSplitter()

    frames = [
        frame for at in range(0, len(raw), size) for frame in splitter.feed(raw[at : at + size])
    ]

    assert frames == [Frame(raw)]
    assert decode(raw) == outer


@given(st.lists(st.binary(max_size=400) | noise, max_size=40), st.integers(100, 1000))
@settings(deadline=None, max_examples=60)
def test_whatever_comes_no_more_than_the_limit_is_held(chunks: list[bytes], limit: int) -> None:
    splitter = DocumentSplitter(limit)
    for chunk in chunks:
        frames = splitter.feed(chunk)
        assert splitter.pending <= max(limit, 2 * GARBAGE_MAX_BYTES)
        assert all(len(frame.raw) <= max(limit, GARBAGE_MAX_BYTES) for frame in frames)
