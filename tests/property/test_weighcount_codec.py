"""Counting by weight against true pieces: a count that is given is the true one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import CountJob, CountResult, PieceWeight
from drivers.counting import INTEGER_MAX
from drivers.errors import ProtocolError
from drivers.facts import CountReported
from drivers.weighcount.codec import (
    UNCERTAINTY_LIMIT_MILLI,
    Balance,
    Basis,
    CountRecord,
    Estimate,
    StartRecord,
    count_message,
    estimate,
    interpret,
    read_count,
    read_start,
    refined,
    sampled,
    start_message,
    uncertainty_milli,
)

TRIALS = 3000
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
counts = st.integers(0, INTEGER_MAX)
jobs = st.builds(CountJob, texts, texts, texts, texts, counts)
bases = st.builds(
    Basis,
    st.builds(PieceWeight, st.integers(1, INTEGER_MAX), counts, counts),
    counts,
)
weights = st.integers(-INTEGER_MAX, INTEGER_MAX)


def shown(true_ug: float, balance: Balance) -> int:
    """What a display of that readability shows of a weight."""
    return round(true_ug / balance.readability_ug) * balance.readability_ug


def poured(rng: random.Random, pieces: int, mean_ug: float, sd_ug: float) -> float:
    return sum(rng.gauss(mean_ug, sd_ug) for _ in range(pieces))


# ---------------------------------------------------------------- Monte Carlo


@pytest.mark.parametrize(
    ("pieces", "sd_permille", "mean_u_permille", "digit_ug"),
    [
        (30, 16, 2, 1_000),
        (30, 20, 5, 10_000),
        (60, 20, 3, 1_000),
        (90, 16, 2, 1_000),
        (5, 60, 10, 100_000),
        (1, 100, 20, 200_000),
        (150, 5, 1, 1_000),
    ],
)
def test_the_stated_uncertainty_is_the_scatter_of_many_countings(
    pieces: int, sd_permille: int, mean_u_permille: int, digit_ug: int
) -> None:
    """GUM by propagation against GUM by Monte Carlo; and how often a given count is wrong.

    A neighbour is at least 2.5 deviations away from every count that is given.
    """
    rng = random.Random(f"{pieces} {sd_permille}")
    mean_ug = 500_000
    sd_ug, mean_u_ug = mean_ug * sd_permille // 1000, mean_ug * mean_u_permille // 1000
    basis = Basis(PieceWeight(mean_ug, mean_u_ug, 0), sd_ug)
    balance = Balance(digit_ug)
    u_milli = uncertainty_milli(pieces, basis, balance)
    assert u_milli < UNCERTAINTY_LIMIT_MILLI
    square = given_counts = wrong = 0
    for _ in range(TRIALS):
        true_mean = rng.gauss(mean_ug, mean_u_ug)
        load = rng.uniform(0, digit_ug) + 10**8
        net_ug = shown(load + _normal_sum(rng, pieces, true_mean, sd_ug), balance)
        net_ug -= shown(load, balance)
        square += (net_ug - pieces * mean_ug) ** 2
        found = estimate(net_ug, basis, balance)
        if found.certain():
            given_counts += 1
            wrong += found.pieces != pieces
    scatter_milli = (square / TRIALS) ** 0.5 / mean_ug * 1000
    assert 0.93 * scatter_milli - 1 <= u_milli <= 1.07 * scatter_milli + 1
    assert wrong <= 0.0125 * TRIALS  # 2 * Q(2.5)
    if u_milli <= 200:
        assert wrong <= 0.0005 * TRIALS + 1
        assert given_counts >= 0.85 * TRIALS


def _normal_sum(rng: random.Random, pieces: int, mean: float, sd: float) -> float:
    """The weight of so many pieces, drawn at once: a sum of normals is normal."""
    return rng.gauss(pieces * mean, sd * pieces**0.5)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.integers(2_000, 2_000_000),
    st.integers(0, 30),
    st.integers(1, 60),
    st.sampled_from([100, 1_000, 5_000, 10_000, 100_000]),
)
def test_pieces_that_stray_no_further_than_is_allowed_are_counted_right_or_not_at_all(
    seed: int, mean_ug: int, sd_permille: int, pieces: int, digit_ug: int
) -> None:
    """Up to a pile that is more than half a piece off, no count is wrong whatever the seed."""
    rng = random.Random(seed)
    sd_ug = mean_ug * sd_permille // 1000
    basis = Basis(PieceWeight(mean_ug, 0, 0), sd_ug)
    balance = Balance(digit_ug)
    true_ug = poured(rng, pieces, mean_ug, sd_ug)
    net_ug = shown(true_ug, balance)
    found = estimate(net_ug, basis, balance)
    assert abs(found.residue_milli) <= 500
    if uncertainty_milli(pieces, basis, balance) >= UNCERTAINTY_LIMIT_MILLI:
        assert found.pieces < pieces or not found.certain()
    elif abs(net_ug - pieces * mean_ug) * 2 < mean_ug:
        assert found.pieces == pieces


@given(weights, bases, st.builds(Balance, st.integers(1, 10**9), st.integers(0, 10**9)))
def test_an_estimate_and_its_residue_make_up_the_weight(
    net_ug: int, basis: Basis, balance: Balance
) -> None:
    found = estimate(net_ug, basis, balance)
    mean = basis.piece.mean_ug
    left_milli = 1000 * (net_ug - found.pieces * mean)
    assert abs(left_milli - found.residue_milli * mean) * 2 <= mean
    more = uncertainty_milli(abs(found.pieces) + 1, basis, balance)
    assert more >= found.u_milli >= 0


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_a_reference_that_is_refined_again_and_again_stays_with_the_truth(seed: int) -> None:
    rng = random.Random(seed)
    mean_ug, sd_ug, balance = 500_000, 8_000, Balance(1_000)

    def weigh(pieces: int) -> int:
        return shown(poured(rng, pieces, mean_ug, sd_ug), balance)

    piece = sampled(10, weigh(10), spread_ug=sd_ug, balance=balance)
    for pieces in (14, 20, 30, 60, 90, 60, 120):
        net_ug = weigh(pieces)
        found = estimate(net_ug, Basis(piece, sd_ug), balance)
        if found.certain():
            better = refined(piece, net_ug, found, spread_ug=sd_ug, balance=balance)
            if better is not None:
                assert piece.pieces < better.pieces <= 2 * piece.pieces
                assert better.u_ug < piece.u_ug
                piece = better
        assert abs(piece.mean_ug - mean_ug) <= 5 * piece.u_ug


# ---------------------------------------------------------------- records


@given(jobs, weights, bases)
def test_a_start_record_survives_its_message(job: CountJob, zero_ug: int, basis: Basis) -> None:
    record = StartRecord(job, zero_ug, basis)
    message = start_message(record)
    assert read_start(message.raw) == record
    assert interpret(message.raw) == ()


@given(jobs, counts, weights, bases, counts, weights)
def test_a_count_record_survives_its_message(
    job: CountJob, counted: int, net_ug: int, basis: Basis, u_milli: int, residue: int
) -> None:
    result = CountResult(job.job_id, counted, 0, complete=counted == job.pieces)
    record = CountRecord(job, result, net_ug, Estimate(counted, u_milli, residue), basis)
    raw = count_message(record).raw
    assert read_count(raw) == record
    assert interpret(raw) == (
        CountReported(
            job.job_id, job.article, job.lot, job.source, counted, 0, complete=result.complete
        ),
    )


@given(st.binary(max_size=200))
def test_garbage_raises_protocol_errors_only(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        interpret(raw)


@given(jobs, bases, st.data())
def test_a_damaged_record_is_refused_or_is_still_a_record(
    job: CountJob, basis: Basis, data: st.DataObject
) -> None:
    raw = bytearray(start_message(StartRecord(job, 0, basis)).raw)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        facts = interpret(bytes(raw))
    except ProtocolError:
        return
    assert facts == ()
