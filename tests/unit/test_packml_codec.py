"""PackML's numbers and bytes, written out from OPC 30050 and OPC 10000-6."""

import json
import subprocess
import sys

import pytest

from drivers.base import CountJob
from drivers.errors import Disagreement, Moved, ProtocolError
from drivers.facts import CountReported
from drivers.packml.binary import (
    CountElement,
    Descriptor,
    decode_count,
    decode_descriptor,
    encode_count,
    encode_descriptor,
)
from drivers.packml.codec import (
    CLEARED,
    RUNNING,
    Counts,
    LevelState,
    Resets,
    StartRecord,
    State,
    Tally,
    fold,
    interpret,
    job_token,
    pieces_between,
    read_count,
    read_start,
    result_of,
    start_message,
    start_parameters,
    tally_of,
    token_shown,
)

JOB = CountJob("417-1", "00071015523", "EW0237", "shelf/A-03", 30)
COUNT_HEX = (
    "07000000"  # ID 7
    "03000000 746162"  # Name "tab"
    "2f000000 687474703a2f2f7777772e6f7063666f756e646174696f6e2e6f7267"  # NamespaceUri
    "2f55412f756e6974732f756e2f636566616374"
    "37384800"  # UnitId of H87
    "02 03000000 706373"  # DisplayName, text only: "pcs"
    "00"  # Description: neither locale nor text
    "1e000000"  # Count 30
    "e8030000"  # AccCount 1000
)
RECORD = {
    "kind": "count",
    "v": 1,
    "job_id": "417-1",
    "article": "00071015523",
    "lot": "EW0237",
    "source": "shelf/A-03",
    "pieces": 30,
    "counted": 30,
    "defective": 1,
    "complete": True,
    "state": "COMPLETE",
    "before": {"processed": [0, 0, 970], "defective": [0, 0, 4]},
    "after": {"processed": [0, 30, 1000], "defective": [0, 1, 5]},
}
START = {
    "kind": "start",
    "v": 1,
    "job_id": "417-1",
    "article": "00071015523",
    "lot": "EW0237",
    "source": "shelf/A-03",
    "pieces": 30,
    "before": {"processed": [0, 0, 970], "defective": None},
}


def _level(number: int) -> LevelState:
    return LevelState(number=number)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (1, "CLEARING"),
        (2, "STOPPED"),
        (3, "STARTING"),
        (4, "IDLE"),
        (5, "SUSPENDED"),
        (6, "EXECUTE"),
        (7, "STOPPING"),
        (8, "ABORTING"),
        (9, "ABORTED"),
        (10, "HOLDING"),
        (11, "HELD"),
        (12, "UNHOLDING"),
        (13, "SUSPENDING"),
        (14, "UNSUSPENDING"),
        (15, "RESETTING"),
        (16, "COMPLETING"),
        (17, "COMPLETE"),
    ],
)
def test_states_have_the_numbers_of_tr88(number: int, name: str) -> None:
    assert State[name] == number


def test_the_innermost_entered_level_is_the_state() -> None:
    assert fold(_level(9), LevelState(), LevelState()) is State.ABORTED
    assert fold(_level(8), _level(18), _level(6)) is State.ABORTING
    assert fold(_level(19), _level(2), LevelState()) is State.STOPPED
    assert fold(_level(19), _level(7), _level(6)) is State.STOPPING
    assert fold(_level(19), _level(18), _level(6)) is State.EXECUTE
    assert (RUNNING, CLEARED) == (18, 19)


@pytest.mark.parametrize(
    ("node_id", "state"),
    [
        (27, State.RESETTING),
        (28, State.IDLE),
        (29, State.STARTING),
        (30, State.SUSPENDING),
        (31, State.SUSPENDED),
        (32, State.UNSUSPENDING),
        (33, State.HOLDING),
        (34, State.HELD),
        (35, State.UNHOLDING),
        (36, State.EXECUTE),
        (37, State.COMPLETING),
        (38, State.COMPLETE),
    ],
)
def test_states_are_known_by_their_node_ids(node_id: int, state: State) -> None:
    assert fold(LevelState(71), LevelState(75), LevelState(node_id)) is state


def test_the_outer_states_are_known_by_their_node_ids() -> None:
    assert fold(LevelState(61), LevelState(), LevelState()) is State.ABORTING
    assert fold(LevelState(62), LevelState(), LevelState()) is State.ABORTED
    assert fold(LevelState(71), LevelState(53), LevelState()) is State.STOPPED
    assert fold(LevelState(71), LevelState(54), LevelState()) is State.STOPPING
    assert fold(LevelState(71), LevelState(55), LevelState()) is State.CLEARING


def test_a_state_is_taken_from_id_then_number_then_text() -> None:
    assert LevelState(36, 4, "Held").value() == 6
    assert LevelState(9999, 4, "Held").value() == 4
    assert LevelState(9999, 77, "Held").value() == 11
    assert LevelState(None, None, "Ready").value() is None
    assert LevelState().value() is None


@pytest.mark.parametrize(
    ("base", "machine", "execute"),
    [(None, None, None), (19, None, None), (19, 18, None), (19, 18, 2), (6, 6, 6), (19, 6, 6)],
)
def test_levels_that_do_not_fit_together_are_no_state(
    base: int | None, machine: int | None, execute: int | None
) -> None:
    with pytest.raises(ProtocolError, match="no PackML state"):
        fold(*(LevelState(number=number) for number in (base, machine, execute)))


def test_a_count_has_the_bytes_of_the_specification() -> None:
    element = CountElement(7, "tab", 4732983, "pcs", 30, 1000)
    assert encode_count(element) == bytes.fromhex(COUNT_HEX)
    assert decode_count(bytes.fromhex(COUNT_HEX)) == element


def test_a_count_may_carry_null_texts_and_locales() -> None:
    body = bytes.fromhex(
        "00000000 ffffffff ffffffff 37384800 03 02000000 656e 03000000 706373 01 02000000 656e"
        "05000000 06000000"
    )
    assert decode_count(body) == CountElement(0, "", 4732983, "pcs", 5, 6)


def test_a_descriptor_has_the_bytes_of_the_specification() -> None:
    item = Descriptor(1, "T", 0, "", 30.0)
    body = encode_descriptor(item)
    assert body[:9] == bytes.fromhex("01000000 01000000 54")
    assert body[-4:] == bytes.fromhex("0000f041")
    assert decode_descriptor(body) == item


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("", "ends before byte 4"),
        ("00000000 00000001", "string of 16777216 bytes"),
        ("00000000 feffffff", "string of -2 bytes"),
        ("00000000 01000000 ff", "not UTF-8"),
        ("00000000 00000000 00000000 00000000 04", "mask 0x4"),
        (COUNT_HEX + "00", "1 bytes after"),
    ],
)
def test_bytes_that_are_no_count_are_named(body: str, fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        decode_count(bytes.fromhex(body))


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ProtocolError, match="negative"):
        tally_of(CountElement(0, "", 0, "", -1, 0))
    with pytest.raises(ProtocolError, match="negative"):
        tally_of(CountElement(0, "", 0, "", 0, -1))
    assert tally_of(CountElement(3, "", 0, "", 1, 2)) == Tally(3, 1, 2)


@pytest.mark.parametrize(
    ("before", "after", "reset_seen", "pieces"),
    [
        ((0, 0, 970), (0, 30, 1000), False, 30),
        ((0, 40, 970), (0, 70, 1000), False, 30),
        ((0, 40, 970), (0, 12, 1000), False, 30),
        ((0, 0, 970), (0, 12, 1000), True, 30),
        ((0, 0, 970), (0, 0, 1000), False, 30),
        ((0, 5, 970), (0, 5, 970), False, 0),
    ],
)
def test_pieces_are_the_step_of_acc_count(
    before: tuple[int, int, int], after: tuple[int, int, int], *, reset_seen: bool, pieces: int
) -> None:
    assert pieces_between(Tally(*before), Tally(*after), reset_seen=reset_seen) == pieces


@pytest.mark.parametrize(
    ("before", "after", "reset_seen"),
    [
        ((0, 0, 970), (1, 30, 1000), False),
        ((0, 0, 970), (0, 30, 30), False),
        ((0, 0, 970), (0, 29, 1000), False),
        ((0, 0, 970), (0, 31, 1000), False),
        ((0, 40, 970), (0, 31, 1000), False),
        ((0, 0, 970), (0, 31, 1000), True),
    ],
)
def test_counts_that_contradict_each_other_are_no_count(
    before: tuple[int, int, int], after: tuple[int, int, int], *, reset_seen: bool
) -> None:
    with pytest.raises(Disagreement) as caught:
        pieces_between(Tally(*before), Tally(*after), reset_seen=reset_seen)
    assert caught.value.moved is Moved.UNKNOWN


def test_a_result_tells_good_and_defective_pieces() -> None:
    before = Counts(Tally(0, 0, 970), Tally(0, 0, 4))
    after = Counts(Tally(0, 30, 1000), Tally(0, 2, 6))
    apart = result_of(JOB, before, after, resets=Resets(), inclusive=False)
    assert (apart.counted, apart.defective, apart.complete) == (30, 2, True)
    within = result_of(JOB, before, after, resets=Resets(), inclusive=True)
    assert (within.counted, within.defective, within.complete) == (28, 2, False)


def test_each_count_may_be_reset_by_itself() -> None:
    before = Counts(Tally(0, 12, 970), Tally(0, 3, 10))
    after = Counts(Tally(0, 15, 1000), Tally(0, 7, 14))
    result = result_of(JOB, before, after, resets=Resets(processed=True), inclusive=False)
    assert (result.counted, result.defective) == (30, 4)
    after = Counts(Tally(0, 42, 1000), Tally(0, 4, 14))
    result = result_of(JOB, before, after, resets=Resets(defective=True), inclusive=False)
    assert (result.counted, result.defective) == (30, 4)


def test_a_machine_without_a_defective_count_reports_none() -> None:
    before, after = Counts(Tally(0, 0, 970), None), Counts(Tally(0, 12, 982), None)
    result = result_of(JOB, before, after, resets=Resets(), inclusive=False)
    assert (result.counted, result.defective, result.complete) == (12, 0, False)


def test_a_defective_count_that_vanishes_or_exceeds_the_pieces_is_no_count() -> None:
    good = Tally(0, 0, 0)
    for before, after in (
        (Counts(good, good), Counts(good, None)),
        (Counts(good, None), Counts(good, good)),
        (Counts(good, good), Counts(good, Tally(0, 1, 1))),
    ):
        with pytest.raises(Disagreement):
            result_of(JOB, before, after, resets=Resets(), inclusive=True)


def test_start_is_told_the_pieces_and_the_job() -> None:
    before = Counts(Tally(0, 0, 970), None)
    assert start_parameters(JOB, before, "TargetCount", "JobId=") == (
        Descriptor(1, "TargetCount", 4732983, "pcs", 30.0),
        Descriptor(2, "JobId=417-1@970", 0, "", 0.0),
    )
    assert start_parameters(JOB, before, "Qty", "") == (Descriptor(1, "Qty", 4732983, "pcs", 30.0),)
    assert job_token(JOB, before) == "417-1@970"


def test_a_token_is_shown_once_or_not_at_all() -> None:
    one, two = (Descriptor(2, f"JobId={name}", 0, "", 0.0) for name in ("a@1", "b@2"))
    assert token_shown((one,), "JobId=") == "a@1"
    assert token_shown((one, two), "JobId=") is None
    assert token_shown((), "JobId=") is None
    assert token_shown((one,), "") is None


def test_a_stored_count_is_a_fact_that_stands_alone() -> None:
    assert interpret(json.dumps(RECORD).encode()) == (
        CountReported("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 1, complete=True),
    )


def test_a_stored_start_means_nothing_for_stock() -> None:
    raw = json.dumps(START).encode()
    assert interpret(raw) == ()
    assert read_start(raw) == StartRecord(JOB, Counts(Tally(0, 0, 970), None))
    assert start_message(read_start(raw)).key == "start:417-1"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kind": "other"}, "a count record was expected"),
        ({"kind": 1}, "kind: 1 is not a text"),
        ({"v": 2}, "another version"),
        ({"counted": -1}, "counted: -1"),
        ({"counted": True}, "counted: True"),
        ({"counted": 30.0}, "counted: 30.0"),
        ({"counted": 1 << 31}, "counted"),
        ({"complete": 1}, "complete: 1"),
        ({"state": "RUNNING"}, "RUNNING"),
        ({"lot": "\ud800"}, "lot"),
        ({"lot": "x" * 5000}, "lot"),
        ({"before": None}, "JSON object"),
        ({"before": {"processed": None, "defective": None}}, "processed is missing"),
        ({"before": {"processed": [0, 0], "defective": None}}, "not a count"),
        ({"before": {"processed": ["0", 0, 0], "defective": None}}, "not an ID"),
        ({"before": {"processed": [1 << 32, 0, 0], "defective": None}}, "not an ID"),
        ({"before": {"processed": [0, 0, 0]}}, "defective is missing"),
    ],
)
def test_a_record_with_a_fault_is_refused_and_the_fault_named(
    change: dict[str, object], fault: str
) -> None:
    with pytest.raises(ProtocolError, match=fault):
        interpret(json.dumps({**RECORD, **change}).encode())


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b" " * 70_000, b"1" * 5000]
)
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    for read in (interpret, read_start, read_count):
        with pytest.raises(ProtocolError):
            read(raw)


def test_a_count_is_no_start() -> None:
    with pytest.raises(ProtocolError, match="a start record was expected"):
        read_start(json.dumps(RECORD).encode())


def test_reading_stored_counts_does_not_load_the_opc_ua_library() -> None:
    code = "import sys, drivers.packml.codec; sys.exit('asyncua' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
