"""The framer of WWKS2: which bytes are one document."""

from collections.abc import Callable

import pytest

from drivers.wwks2.stream import GARBAGE_MAX_BYTES, DocumentSplitter, Frame

KEEP = b'<WWKS Version="2.0"><KeepAliveRequest Id="1" Source="999" Destination="100"/></WWKS>'
QUOTING = (
    b'<WWKS Version="2.0"><UnprocessedMessage Id="7" Reason="NotSupported"><Message><![CDATA['
    + KEEP
    + b"]]></Message></UnprocessedMessage></WWKS>"
)


def frames_of(stream: bytes, *, limit: int = 4096) -> list[Frame]:
    splitter = DocumentSplitter(limit)
    return splitter.feed(stream)


def byte_by_byte(stream: bytes, *, limit: int = 4096) -> list[Frame]:
    splitter = DocumentSplitter(limit)
    return [frame for at in range(len(stream)) for frame in splitter.feed(stream[at : at + 1])]


def test_two_documents_without_a_separator_are_two_frames() -> None:
    assert frames_of(KEEP + QUOTING) == [Frame(KEEP), Frame(QUOTING)]


def test_a_message_quoted_in_cdata_does_not_end_the_message_around_it() -> None:
    assert frames_of(QUOTING) == [Frame(QUOTING)]


def test_white_space_a_byte_order_mark_and_xml_declarations_between_documents_are_dropped() -> None:
    stream = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n' + KEEP + b"\r\n\t " + KEEP

    assert frames_of(stream) == [Frame(KEEP), Frame(KEEP)]


def test_a_comment_is_no_markup_inside_and_outside_of_a_document() -> None:
    inside = b'<WWKS><!-- </WWKS> " --><A Id="1"/></WWKS>'

    assert frames_of(b"<!-- " + KEEP + b" -->" + inside) == [Frame(inside)]


def test_a_processing_instruction_is_no_markup() -> None:
    document = b"<WWKS><?robot </WWKS> ?><A/></WWKS>"

    assert frames_of(document) == [Frame(document)]


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_a_greater_than_sign_in_an_attribute_does_not_end_the_tag(quote: bytes) -> None:
    other = b"'" if quote == b'"' else b'"'
    document = b"<WWKS><A Text=" + quote + b"a/>" + other + b"b>" + quote + b"/></WWKS>"

    assert frames_of(document) == [Frame(document)]


def test_the_end_tag_may_hold_white_space() -> None:
    assert frames_of(b"<WWKS ><A/></WWKS \n>") == [Frame(b"<WWKS ><A/></WWKS \n>")]


def test_an_empty_root_is_a_document_and_a_longer_name_is_none() -> None:
    assert frames_of(b"<WWKS/>" + KEEP) == [Frame(b"<WWKS/>"), Frame(KEEP)]
    assert frames_of(b"<WWKSX/>" + KEEP) == [
        Frame(b"<WWKSX/>", "bytes outside of a document"),
        Frame(KEEP),
    ]


def test_an_element_that_closes_itself_inside_does_not_end_the_document() -> None:
    document = b"<WWKS><A/><B></B></WWKS>"

    assert frames_of(document) == [Frame(document)]


def test_garbage_between_documents_is_one_fault_and_both_documents_survive() -> None:
    assert frames_of(KEEP + b"\x00\xffnoise < > " + KEEP) == [
        Frame(KEEP),
        Frame(b"\x00\xffnoise < > ", "bytes outside of a document"),
        Frame(KEEP),
    ]


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (b"<WWKS><A", "a tag began inside of a tag"),
        (b'<WWKS><A Text="x', "a tag began inside of an attribute"),
        (b"<WWKS><A Text='x", "a tag began inside of an attribute"),
        (b"<WWKS><A/>", "a document began inside of another"),
    ],
)
def test_a_document_that_was_cut_short_does_not_swallow_the_next(broken: bytes, fault: str) -> None:
    assert frames_of(broken + KEEP) == [Frame(broken, fault), Frame(KEEP)]
    assert byte_by_byte(broken + KEEP) == [Frame(broken, fault), Frame(KEEP)]


def test_a_document_type_inside_of_a_document_is_refused() -> None:
    found = frames_of(b"<WWKS><!DOCTYPE x></WWKS>" + KEEP)

    assert [frame.fault for frame in found] == [
        "a declaration inside of a document",
        "bytes outside of a document",
        "",
    ]
    assert found[-1].raw == KEEP


@pytest.mark.parametrize("feed", [frames_of, byte_by_byte])
def test_a_document_longer_than_the_limit_breaks_the_splitter(
    feed: Callable[..., list[Frame]],
) -> None:
    long = b"<WWKS><A Text='" + b"x" * 200 + b"'/></WWKS>"

    assert feed(long, limit=len(long)) == [Frame(long)]
    fault = f"a document longer than {len(long) - 1} bytes"
    assert feed(long, limit=len(long) - 1) == [Frame(long[:-1], fault)]


def test_nothing_comes_out_of_a_broken_splitter_until_it_is_reset() -> None:
    splitter = DocumentSplitter(20)
    splitter.feed(b"<WWKS>" + b"x" * 40)

    assert splitter.broken
    assert splitter.feed(KEEP) == []
    assert splitter.flush() == []
    assert splitter.feed(b"<WWKS/>") == [Frame(b"<WWKS/>")]


def test_an_unfinished_document_holds_no_more_than_the_limit() -> None:
    splitter = DocumentSplitter(1000)
    held = []
    for _ in range(100):
        splitter.feed(b"<WWKS><![CDATA[" + b"x" * 90)
        held.append(splitter.pending)

    assert max(held) <= 1000 + 105


def test_endless_garbage_is_bounded_and_its_beginning_is_kept() -> None:
    splitter = DocumentSplitter()
    for _ in range(1000):
        assert splitter.feed(b"<" + b"y" * 100) == []
        assert splitter.pending <= GARBAGE_MAX_BYTES + 101

    garbage, document = splitter.feed(KEEP)
    assert garbage.raw == (b"<" + b"y" * 100) * 40 + b"<" + b"y" * 55
    assert document == Frame(KEEP)


def test_a_comment_outside_that_does_not_end_in_time_is_garbage() -> None:
    stream = b"<!--" + b"z" * GARBAGE_MAX_BYTES + b"-->" + KEEP

    whole, single = frames_of(stream), byte_by_byte(stream)

    assert whole == single
    assert whole[-1] == Frame(KEEP)
    assert whole[0].fault == "bytes outside of a document"


def test_what_is_left_when_the_stream_ends_is_a_fault() -> None:
    splitter = DocumentSplitter()
    splitter.feed(KEEP[:-1])

    assert splitter.flush() == [Frame(KEEP[:-1], "the stream ended inside")]
    assert splitter.pending == 0


def test_nothing_is_left_when_the_stream_ends_between_documents() -> None:
    splitter = DocumentSplitter()
    splitter.feed(KEEP + b"\r\n")

    assert splitter.flush() == []


def test_reset_forgets_a_partial_document() -> None:
    splitter = DocumentSplitter()
    splitter.feed(b"<WWKS><A Text='")
    splitter.reset()

    assert splitter.feed(KEEP) == [Frame(KEEP)]
