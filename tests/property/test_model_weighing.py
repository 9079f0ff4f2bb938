"""Laws of the check by weight."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from dispensed.model.weighing import WeighResult, weigh_check

PIECES = st.integers(20_000, 2_000_000)
COUNTS = st.integers(1, 500)


@given(PIECES, COUNTS, st.integers(1, 10_000), st.integers(0, 20_000))
def test_the_exact_weight_of_a_count_never_contradicts_it(
    piece_ug: int, counted: int, readability_ug: int, sd_ug: int
) -> None:
    verdict = weigh_check(
        net_ug=piece_ug * counted,
        piece_ug=piece_ug,
        sd_ug=sd_ug,
        readability_ug=readability_ug,
        counted=counted,
    )
    assert verdict.pieces == counted
    assert verdict.result is not WeighResult.DIFFERS


@given(PIECES, COUNTS, st.integers(1, 10_000), st.integers(0, 20_000))
def test_the_uncertainty_is_never_understated_nor_by_more_than_a_thousandth_overstated(
    piece_ug: int, counted: int, readability_ug: int, sd_ug: int
) -> None:
    verdict = weigh_check(
        net_ug=piece_ug * counted,
        piece_ug=piece_ug,
        sd_ug=sd_ug,
        readability_ug=readability_ug,
        counted=counted,
    )
    variance = Fraction(counted * sd_ug**2) + Fraction(readability_ug**2, 6)
    squared = variance * 10**6 / piece_ug**2
    assert (verdict.uncertainty_milli_pieces - 1) ** 2 <= squared
    assert squared < verdict.uncertainty_milli_pieces**2


@given(PIECES, COUNTS, st.integers(-5, 5), st.integers(1, 10_000), st.integers(0, 20_000))
def test_a_verdict_of_agreement_means_the_nearest_count_at_a_small_uncertainty(
    piece_ug: int, counted: int, off: int, readability_ug: int, sd_ug: int
) -> None:
    verdict = weigh_check(
        net_ug=piece_ug * max(0, counted + off),
        piece_ug=piece_ug,
        sd_ug=sd_ug,
        readability_ug=readability_ug,
        counted=counted,
    )
    if verdict.result is WeighResult.AGREES:
        assert off == 0
        assert verdict.uncertainty_milli_pieces < 400
    if off == 0:
        assert verdict.result is not WeighResult.DIFFERS


@given(PIECES, COUNTS, st.integers(-(10**9), 10**9))
def test_more_weight_never_means_fewer_pieces(piece_ug: int, counted: int, net_ug: int) -> None:
    fewer, more = (
        weigh_check(net_ug=net, piece_ug=piece_ug, sd_ug=0, readability_ug=1, counted=counted)
        for net in (net_ug, net_ug + piece_ug)
    )
    assert fewer.pieces <= more.pieces
