"""A short run of the fuzzer over every codec; `make fuzz` is the long one."""

import random

import pytest

from drivers.errors import ProtocolError
from tests.fuzz.engine import Row, Rule, damaged, fuzz
from tests.fuzz.rows import ROWS, missing

FRAMES = 400


@pytest.mark.parametrize("name", list(ROWS))
def test_damaged_frames_are_refused_or_give_the_true_value(name: str) -> None:
    result = fuzz(name, ROWS[name](), FRAMES)
    assert (result.wrong, result.errors, result.examples) == (0, 0, [])
    assert result.frames >= FRAMES


def test_every_codec_has_a_row() -> None:
    assert missing() == []


def test_a_row_reads_its_own_frames() -> None:
    for name, make in ROWS.items():
        row = make()
        frame, truth = row.make(random.Random(1))
        assert repr(row.read(frame)) == repr(truth), name


@pytest.mark.parametrize("parity", [False, True])
def test_damage_always_changes_the_frame(parity: bool) -> None:  # noqa: FBT001
    rng = random.Random(1)
    frame = b"S S     100.00 g\r\n"
    for _ in range(500):
        data, cut = damaged(rng, frame, parity=parity)
        assert data != frame
        assert not cut or frame.startswith(data)


def _digits(_rng: random.Random) -> tuple[bytes, object]:
    return b"5\r", 5


def _trusting(data: bytes) -> object:
    return int(data.strip() or b"0")


def test_a_codec_that_believes_everything_is_found_out() -> None:
    def first_digit(data: bytes) -> object:
        if not data[:1].isdigit():
            raise ProtocolError("no digit")
        return int(data[:1])

    result = fuzz("trusting", Row(_digits, first_digit, Rule.CHECKED), 500)
    assert result.wrong > 10
    assert "wrong" in result.examples[0]
    assert len(result.examples) == 5


def test_a_codec_that_raises_something_else_is_found_out() -> None:
    told: list[int] = []
    result = fuzz("raising", Row(_digits, _trusting, Rule.LINE), 500, progress=told.append)
    assert result.errors > 10
    assert "ValueError" in result.examples[0]
    assert told[-1] >= 475
