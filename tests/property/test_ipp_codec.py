"""IPP messages: what the standard shows, round trips, and garbage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.ipp.codec import (
    ATTRIBUTES_MAX,
    MESSAGE_MAX,
    Attribute,
    Group,
    GroupTag,
    JobState,
    Message,
    Operation,
    PrinterState,
    Tag,
    Target,
    Value,
    attribute,
    decode,
    encode,
    request,
    severe_reasons,
)

# RFC 8010, appendix A.1 (a Print-Job request) without its document.
PRINT_JOB = bytes.fromhex(
    "01 01 0002 00000001 01"
    "47 0012 617474726962757465732d63686172736574 0005 7574662d38"
    "48 001b 617474726962757465732d6e61747572616c2d6c616e6775616765 0005 656e2d7573"
    "45 000b 7072696e7465722d757269 002c"
    "6970703a2f2f7072696e7465722e6578616d706c652e636f6d2f6970702f7072696e742f70696e65747265"
    "65"
    "42 0008 6a6f622d6e616d65 0006 666f6f626172"
    "22 0016 6970702d6174747269627574652d666964656c697479 0001 01"
    "02 21 0006 636f70696573 0004 00000014"
    "44 0005 7369646573 0013 74776f2d73696465642d6c6f6e672d65646765 03"
)
PRINT_JOB_READ = Message(
    0x0002,
    1,
    (
        Group(
            GroupTag.OPERATION,
            (
                attribute("attributes-charset", Tag.CHARSET, "utf-8"),
                attribute("attributes-natural-language", Tag.LANGUAGE, "en-us"),
                attribute("printer-uri", Tag.URI, "ipp://printer.example.com/ipp/print/pinetree"),
                attribute("job-name", Tag.NAME, "foobar"),
                attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True),  # noqa: FBT003
            ),
        ),
        Group(
            GroupTag.JOB,
            (
                attribute("copies", Tag.INTEGER, 20),
                attribute("sides", Tag.KEYWORD, "two-sided-long-edge"),
            ),
        ),
    ),
    b"%!PDF",
)
# RFC 8010, 3.1.6 and appendix A.7: a collection of two members, one a collection.
COLLECTION = bytes.fromhex(
    "01 01 0002 00000002 02"
    "34 0009 6d656469612d636f6c 0000"
    "4a 0000 000b 6d656469612d636f6c6f72 44 0000 0004 626c7565"
    "4a 0000 000a 6d656469612d73697a65 34 0000 0000"
    "4a 0000 000b 782d64696d656e73696f6e 21 0000 0004 00000006"
    "37 0000 0000 37 0000 0000 03"
)

names = st.text(alphabet="abcdefghij-", min_size=1, max_size=12)
texts = (
    st.text(max_size=20)
    .filter(lambda text: "\\" not in text)
    .map(lambda text: text.encode("utf-8", "ignore").decode())
)
plain = st.one_of(
    st.builds(Value, st.sampled_from([Tag.INTEGER, Tag.ENUM]), st.integers(-(2**31), 2**31 - 1)),
    st.builds(Value, st.just(Tag.BOOLEAN), st.booleans()),
    st.builds(Value, st.sampled_from([Tag.UNKNOWN, Tag.NO_VALUE]), st.none()),
    st.builds(Value, st.sampled_from([Tag.TEXT, Tag.NAME, Tag.KEYWORD, Tag.URI]), texts),
    st.builds(Value, st.just(Tag.RANGE), st.binary(min_size=8, max_size=8)),
    st.builds(Value, st.sampled_from([Tag.OCTETS, 0x7F]), st.binary(max_size=20)),
)


def attributes(values: st.SearchStrategy[Value]) -> st.SearchStrategy[tuple[Attribute, ...]]:
    one = st.builds(Attribute, names, st.lists(values, min_size=1, max_size=3).map(tuple))
    return st.lists(one, max_size=3).map(tuple)


values = st.recursive(
    plain, lambda inner: st.builds(Value, st.just(Tag.COLLECTION), attributes(inner)), max_leaves=4
)
messages = st.builds(
    Message,
    st.integers(0, 0xFFFF),
    st.integers(0, 2**32 - 1),
    st.lists(
        st.builds(Group, st.sampled_from([1, 2, 4, 5, 9]), attributes(values)), max_size=3
    ).map(tuple),
    st.binary(max_size=20),
    st.tuples(st.integers(0, 255), st.integers(0, 255)),
)


def test_the_print_job_of_the_standard_is_read_and_written() -> None:
    assert decode(PRINT_JOB + b"%!PDF") == PRINT_JOB_READ
    assert encode(PRINT_JOB_READ) == PRINT_JOB + b"%!PDF"


def test_the_collection_of_the_standard_is_read_and_written() -> None:
    message = decode(COLLECTION)
    (media,) = message.group(GroupTag.JOB)
    color, size = media.values[0].content if isinstance(media.values[0].content, tuple) else ()
    assert color == attribute("media-color", Tag.KEYWORD, "blue")
    assert size == attribute(
        "media-size", Tag.COLLECTION, (attribute("x-dimension", Tag.INTEGER, 6),)
    )
    assert encode(message) == COLLECTION


@given(messages)
@settings(max_examples=60)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert decode(encode(message)) == message


@given(messages, st.data())
@settings(max_examples=40)
def test_a_message_that_is_cut_anywhere_is_no_message(
    message: Message, data: st.DataObject
) -> None:
    whole = encode(message)[: len(encode(message)) - len(message.document)]
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ProtocolError):
        decode(whole[:cut])


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=80).map(lambda b: PRINT_JOB[:9] + b)))
@settings(max_examples=200)
def test_garbage_is_read_or_raises_a_protocol_error(noise: bytes) -> None:
    try:
        message = decode(noise)
    except ProtocolError:
        return
    assert isinstance(message.integer(GroupTag.OPERATION, "x"), int | None)
    assert message.string(GroupTag.JOB, "x") == "" or message.strings(GroupTag.JOB, "x")


HEAD = bytes.fromhex("01 01 0002 00000001 02")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "message ends at byte 0"),
        (bytes.fromhex("01 01 0002 00000001"), "message ends"),
        (HEAD, "without an end-of-attributes tag"),
        (bytes.fromhex("01 01 0002 00000001 21"), "0x21 is not the tag of a group"),
        (HEAD + bytes.fromhex("21 0000 0004 00000001 03"), "value without a name"),
        (HEAD + bytes.fromhex("21 0001 61 0003 000001 03"), "0x21: 3 bytes, 4 expected"),
        (HEAD + bytes.fromhex("22 0001 61 0001 02 03"), "boolean"),
        (HEAD + bytes.fromhex("37 0001 61 0000 03"), "outside of a collection"),
        (HEAD + bytes.fromhex("34 0001 61 0000 44 0001 62 0000"), "a name inside a collection"),
        (HEAD + bytes.fromhex("34 0001 61 0000 44 0000 0001 62"), "value that has no name"),
        (HEAD + bytes.fromhex("34 0001 61 0000 4a 0000 0001 62 37 0000 0000"), "without a value"),
        (
            HEAD
            + bytes.fromhex("34 0001 61 0000")
            + 9 * bytes.fromhex("4a 0000 0001 62 34 0000 0000"),
            "more than 8 collections",
        ),
        (HEAD + (ATTRIBUTES_MAX + 1) * bytes.fromhex("13 0001 61 0000"), "more than 4096 values"),
        (
            HEAD + (MESSAGE_MAX // 30000 + 2) * (bytes.fromhex("30 0001 61 7530") + bytes(30000)),
            "attributes longer than",
        ),
    ],
)
def test_what_the_standard_does_not_allow_is_named(data: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        decode(data)


@pytest.mark.parametrize(
    "bad",
    [
        Attribute("a", ()),
        attribute("a", Tag.INTEGER, 2**31),
        attribute("a", Tag.TEXT, "x" * 40000),
        attribute("a" * 40000, Tag.TEXT, "x"),
    ],
)
def test_what_has_no_encoding_is_refused(bad: Attribute) -> None:
    with pytest.raises(ValueError, match="a"):
        encode(Message(2, 1, (Group(GroupTag.JOB, (bad,)),)))


def test_texts_in_another_charset_are_shown_with_escapes() -> None:
    data = HEAD + bytes.fromhex("41 0001 61 0002 e96e 03")
    assert decode(data).string(GroupTag.JOB, "a") == "\\xe9n"


def test_a_request_names_charset_language_printer_job_and_user_in_this_order() -> None:
    sent = request(
        Operation.GET_JOB_ATTRIBUTES,
        7,
        Target("ipp://h/p", "anna"),
        (
            attribute("requested-attributes", Tag.KEYWORD, "all"),
            attribute("job-id", Tag.INTEGER, 3),
        ),
    )
    assert [each.name for each in sent.group(GroupTag.OPERATION)] == [
        "attributes-charset",
        "attributes-natural-language",
        "printer-uri",
        "job-id",
        "requesting-user-name",
        "requested-attributes",
    ]
    assert (sent.group(GroupTag.JOB), sent.integer(GroupTag.OPERATION, "job-id")) == ((), 3)
    assert sent.integer(GroupTag.OPERATION, "printer-uri") is None
    assert sent.integer(GroupTag.OPERATION, "job-state") is None


def test_the_status_of_an_answer_is_told_in_words() -> None:
    assert (Message(0x0001, 1, ()).successful, Message(0x0100, 1, ()).successful) == (True, False)
    assert Message(0x0406, 1, ()).status_word == "client-error-not-found"
    assert Message(0x04FF, 1, ()).status_word == "status 0x04ff"
    assert JobState(9) is JobState.COMPLETED


@pytest.mark.parametrize(
    ("state", "reasons", "words"),
    [
        (PrinterState.IDLE, ("none",), ()),
        (PrinterState.IDLE, ("media-low-warning", "toner-low-report"), ()),
        (PrinterState.STOPPED, ("media-empty-error",), ("paper_out",)),
        (PrinterState.STOPPED, ("media-needed", "media-empty"), ("paper_out",)),
        (PrinterState.STOPPED, ("moving-to-paused",), ("moving_to_paused",)),
        (PrinterState.PROCESSING, ("moving-to-paused",), ()),
        (PrinterState.PROCESSING, ("cover-open",), ("cover_open",)),
        (PrinterState.IDLE, ("fuser-over-temp-error",), ("fuser_over_temp",)),
    ],
)
def test_reasons_keep_a_printer_from_printing_by_their_severity(
    state: int, reasons: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert severe_reasons(state, reasons) == words
