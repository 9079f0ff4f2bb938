"""What holds for every MT-SICS line: round trip, only ProtocolError, no cut changes anything."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.errors import ProtocolError
from drivers.framing import LineSplitter
from drivers.mtsics.codec import (
    HARDWARE_ERRORS,
    LINE_MAX,
    UNITS,
    Answer,
    Argument,
    Command,
    HardwareError,
    LineError,
    Misunderstood,
    Reason,
    Refusal,
    Reply,
    ReplyStatus,
    Text,
    Weight,
    WeightStatus,
    decode,
    decode_command,
    encode,
    encode_command,
)

PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"')
WORDS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'),
    min_size=1,
    max_size=8,
)
ARGUMENTS: st.SearchStrategy[tuple[Argument, ...]] = st.lists(
    st.one_of(WORDS, st.builds(Text, st.text(PRINTABLE, max_size=20))), max_size=4
).map(tuple)
NAMES = st.from_regex(r"\A(@|[A-Z][A-Z0-9]{0,5})\Z")
VALUES = st.decimals(-999999, 999999, places=2) | st.decimals(-9999, 9999, places=4)
UNIT = st.sampled_from(sorted(UNITS))
WEIGHTS = st.builds(
    Weight,
    st.sampled_from(["S", "T", "TI"]),
    st.sampled_from([WeightStatus.STABLE, WeightStatus.DYNAMIC]),
    VALUES,
    UNIT,
) | st.builds(Weight, st.sampled_from(["TA", "PW"]), st.just(WeightStatus.SET), VALUES, UNIT)
ANSWERS = st.builds(
    Answer,
    NAMES.filter(lambda name: name not in ("S", "T", "TI", "TA")),
    st.sampled_from(ReplyStatus),
    ARGUMENTS,
)
REPLIES: st.SearchStrategy[Reply] = st.one_of(
    WEIGHTS,
    ANSWERS,
    st.builds(Refusal, NAMES, st.sampled_from(Reason)),
    st.builds(
        HardwareError,
        st.just("S"),
        st.sampled_from(sorted(HARDWARE_ERRORS)),
        st.sampled_from(["b", "t"]),
    ),
    st.builds(LineError, st.sampled_from(Misunderstood)),
)


@given(REPLIES)
def test_a_reply_that_is_written_is_read_back_with_its_digits(reply: Reply) -> None:
    line = encode(reply)
    back = decode(line[:-2])
    assert back == reply
    if isinstance(back, Weight) and isinstance(reply, Weight):
        assert str(back.value) == f"{reply.value:f}"


@given(NAMES, ARGUMENTS)
def test_a_command_that_is_written_is_read_back(name: str, arguments: tuple[Argument, ...]) -> None:
    command = Command(name, arguments)
    assert decode_command(encode_command(command)[:-2]) == command


@given(st.binary(max_size=300))
@example(b"S S     100.00 g")
def test_garbage_raises_only_protocol_errors(line: bytes) -> None:
    for read in (decode, decode_command):
        try:
            read(line)
        except ProtocolError:
            continue


@given(WEIGHTS, st.integers(0, 200), st.integers(0, 7))
def test_a_flipped_bit_gives_an_error_a_weight_or_the_answer_of_another_command(
    weight: Weight, at: int, bit: int
) -> None:
    line = bytearray(encode(weight)[:-2])
    line[at % len(line)] ^= 1 << bit
    try:
        reply = decode(bytes(line))
    except ProtocolError:
        return
    assert isinstance(reply, Weight) or getattr(reply, "command", "") != weight.command


@given(WEIGHTS, st.data())
def test_a_lost_byte_never_gives_another_weight(weight: Weight, data: st.DataObject) -> None:
    line = encode(weight)[:-2]
    at = data.draw(st.integers(0, len(line) - 1))
    damaged = line[:at] + line[at + 1 :]
    try:
        reply = decode(damaged)
    except ProtocolError:
        return
    assert not isinstance(reply, Weight) or reply.value == weight.value


@given(st.lists(REPLIES, max_size=6), st.lists(st.integers(1, 40), max_size=40))
def test_cutting_the_stream_anywhere_changes_nothing(replies: list[Reply], cuts: list[int]) -> None:
    stream = b"".join(encode(reply) for reply in replies)
    splitter = LineSplitter(LINE_MAX)
    got: list[Reply] = []
    for size in [*cuts, len(stream) + 1]:
        piece, stream = stream[:size], stream[size:]
        got += [decode(line) for line in splitter.feed(piece)]
        assert splitter.pending <= LINE_MAX
    assert got == replies


def test_one_byte_at_a_time_is_the_same_as_all_at_once() -> None:
    stream = b"S S     100.00 g\r\nS I\r\nES\r\n"
    splitter = LineSplitter(LINE_MAX)
    lines = [line for at in range(len(stream)) for line in splitter.feed(stream[at : at + 1])]
    assert [decode(line) for line in lines] == [
        Weight("S", WeightStatus.STABLE, Decimal("100.00"), "g"),
        Refusal("S", Reason.BUSY),
        LineError(Misunderstood.SYNTAX),
    ]


def test_a_line_too_long_for_the_codec_is_refused_by_it_too() -> None:
    with pytest.raises(ProtocolError):
        decode(b"A" * (LINE_MAX + 1))
