"""PackML's pure part under any input."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import CountJob, CountResult
from drivers.errors import Disagreement, ProtocolError
from drivers.packml.binary import (
    CountElement,
    Descriptor,
    decode_count,
    decode_descriptor,
    encode_count,
    encode_descriptor,
)
from drivers.packml.codec import (
    CountRecord,
    Counts,
    LevelState,
    StartRecord,
    State,
    Tally,
    count_message,
    fold,
    interpret,
    job_token,
    pieces_between,
    read_count,
    read_start,
    start_message,
    start_parameters,
    token_shown,
)

int32 = st.integers(-(2**31), 2**31 - 1)
counts_up = st.integers(0, 2**31 - 1)
texts = st.text(max_size=60)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
elements = st.builds(CountElement, int32, texts, int32, texts, int32, int32)
descriptors = st.builds(
    Descriptor, int32, texts, int32, texts, st.floats(width=32, allow_nan=False)
)
jobs = st.builds(CountJob, words, words, words, words, st.integers(1, 2**24))
tallies = st.builds(Tally, int32, counts_up, counts_up)
counts = st.builds(Counts, tallies, st.none() | tallies)
levels = st.builds(
    LevelState, st.none() | st.integers(0, 100), st.none() | st.integers(0, 30), st.none() | texts
)


@st.composite
def count_records(draw: st.DrawFn) -> CountRecord:
    job = draw(jobs)
    result = CountResult(job.job_id, draw(counts_up), draw(counts_up), complete=draw(st.booleans()))
    return CountRecord(job, result, draw(st.sampled_from(State)), draw(counts), draw(counts))


@given(elements)
def test_a_count_survives_its_binary_form(element: CountElement) -> None:
    assert decode_count(encode_count(element)) == element


@given(descriptors)
def test_a_descriptor_survives_its_binary_form(item: Descriptor) -> None:
    assert decode_descriptor(encode_descriptor(item)) == item


@given(elements, st.data())
def test_a_structure_cut_anywhere_is_a_protocol_error(
    element: CountElement, data: st.DataObject
) -> None:
    body = encode_count(element)
    with pytest.raises(ProtocolError):
        decode_count(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_structure_raise_a_protocol_error_and_nothing_else(body: bytes) -> None:
    for decode in (decode_count, decode_descriptor):
        with suppress(ProtocolError):
            decode(body)


@given(elements, st.integers(0, 400), st.integers(0, 255))
def test_a_structure_with_one_wrong_byte_is_read_or_refused(
    element: CountElement, at: int, byte: int
) -> None:
    body = bytearray(encode_count(element))
    body[at % len(body)] = byte
    with suppress(ProtocolError):
        decode_count(bytes(body))


@given(jobs, counts)
def test_a_start_record_survives_its_message(job: CountJob, before: Counts) -> None:
    record = StartRecord(job, before)
    message = start_message(record)
    assert read_start(message.raw) == record
    assert interpret(message.raw) == ()
    assert message.key == f"start:{job.job_id}"


@given(count_records())
def test_a_count_record_survives_its_message(record: CountRecord) -> None:
    message = count_message(record)
    assert read_count(message.raw) == record
    (fact,) = interpret(message.raw)
    assert (fact.job_id, fact.counted) == (record.job.job_id, record.result.counted)  # type: ignore[union-attr]


@given(st.binary(max_size=300))
def test_garbage_is_no_record_and_raises_nothing_but_a_protocol_error(raw: bytes) -> None:
    for read in (interpret, read_start, read_count):
        with pytest.raises(ProtocolError):
            read(raw)


@given(count_records(), st.data())
def test_a_record_cut_anywhere_is_a_protocol_error(
    record: CountRecord, data: st.DataObject
) -> None:
    raw = count_message(record).raw
    with pytest.raises(ProtocolError):
        interpret(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(count_records(), st.integers(0, 2000), st.binary(min_size=1, max_size=3))
def test_a_damaged_record_is_read_or_refused(record: CountRecord, at: int, damage: bytes) -> None:
    raw = bytearray(count_message(record).raw)
    at %= len(raw)
    raw[at : at + len(damage)] = damage
    with suppress(ProtocolError):
        interpret(bytes(raw))


@given(levels, levels, levels)
def test_any_three_levels_give_a_state_or_a_protocol_error(
    base: LevelState, machine: LevelState, execute: LevelState
) -> None:
    with suppress(ProtocolError):
        assert fold(base, machine, execute) in State


@given(
    first=st.integers(0, 1000),
    acc=st.integers(0, 10**6),
    fallen=st.lists(st.integers(1, 40), min_size=1, max_size=6),
)
def test_pieces_are_told_whatever_the_resets_of_count(
    first: int, acc: int, fallen: list[int]
) -> None:
    """Count is reset between the portions; every drop is seen or visible at the end."""
    before = Tally(0, first, acc)
    total = sum(fallen)
    count = first + fallen[0] if len(fallen) == 1 else fallen[-1]
    after = Tally(0, count, acc + total)
    assert pieces_between(before, after, reset_seen=len(fallen) > 1) == total


@given(before=tallies, after=tallies, reset_seen=st.booleans())
def test_two_readings_give_the_step_of_acc_count_or_a_doubt(
    before: Tally, after: Tally, *, reset_seen: bool
) -> None:
    with suppress(Disagreement):
        pieces = pieces_between(before, after, reset_seen=reset_seen)
        assert pieces == after.acc - before.acc >= 0
        assert after.id == before.id


@given(jobs, counts)
def test_the_token_of_a_job_is_found_among_its_parameters(job: CountJob, before: Counts) -> None:
    parameters = start_parameters(job, before, "TargetCount", "JobId=")
    assert token_shown(parameters, "JobId=") == job_token(job, before)
    (value,) = struct.unpack("<f", struct.pack("<f", parameters[0].value))
    assert value == job.pieces
