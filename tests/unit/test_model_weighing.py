"""Counts checked by weight; expected values worked out by hand."""

import pytest

from dispensed.model.weighing import WeighingError, WeighResult, WeighVerdict, weigh_check

# A tablet of 400 mg with a spread of 4 mg (1 %) on a scale that shows 10 mg.
PIECE, SD, READABILITY = 400_000, 4_000, 10_000


def check(net_ug: int, counted: int, *, sd_ug: int = SD) -> WeighVerdict:
    return weigh_check(
        net_ug=net_ug, piece_ug=PIECE, sd_ug=sd_ug, readability_ug=READABILITY, counted=counted
    )


def test_a_weight_of_thirty_pieces_agrees_with_thirty() -> None:
    # u = sqrt(30 * 4^2 + 10^2 / 6) mg / 400 mg = 22.29 / 400 = 0.0557 piece, rounded up.
    assert check(12_000_000, 30) == WeighVerdict(WeighResult.AGREES, 30, 56)


@pytest.mark.parametrize("net_ug", [11_840_000, 12_170_000])
def test_a_weight_within_half_a_piece_less_its_uncertainty_agrees(net_ug: int) -> None:
    assert check(net_ug, 30).result is WeighResult.AGREES


@pytest.mark.parametrize(("net_ug", "pieces"), [(11_600_000, 29), (12_400_000, 31), (0, 0)])
def test_a_weight_of_another_number_of_pieces_differs(net_ug: int, pieces: int) -> None:
    verdict = check(net_ug, 30)
    assert (verdict.result, verdict.pieces) == (WeighResult.DIFFERS, pieces)


@pytest.mark.parametrize("net_ug", [11_800_000, 12_190_000, 12_210_000])
def test_a_weight_between_two_counts_tells_nothing(net_ug: int) -> None:
    assert check(net_ug, 30).result is WeighResult.INCONCLUSIVE


def test_too_much_spread_tells_nothing() -> None:
    # u = sqrt(100 * 20^2 + 10^2 / 6) mg / 400 mg = 200.04 / 400 = 0.5001 piece.
    verdict = check(40_000_000, 100, sd_ug=20_000)
    assert verdict == WeighVerdict(WeighResult.INCONCLUSIVE, 100, 501)


def test_the_limit_itself_tells_nothing() -> None:
    # u = sqrt(16 * 40^2 + 10^2 / 6) mg / 400 mg = 160.05 / 400 = 0.4001 piece.
    assert check(6_400_000, 16, sd_ug=40_000).result is WeighResult.INCONCLUSIVE


def test_far_off_a_count_differs_whatever_the_spread() -> None:
    assert check(36_000_000, 100, sd_ug=20_000).result is WeighResult.DIFFERS
    assert check(44_000_000, 100, sd_ug=20_000).result is WeighResult.DIFFERS


def test_an_empty_pan_agrees_with_nothing_counted() -> None:
    assert check(0, 0) == WeighVerdict(WeighResult.AGREES, 0, 11)


def test_a_weight_below_zero_counts_no_pieces_and_differs() -> None:
    verdict = check(-4_000_000, 30)
    assert (verdict.result, verdict.pieces) == (WeighResult.DIFFERS, 0)


@pytest.mark.parametrize(
    ("piece_ug", "sd_ug", "readability_ug", "counted"),
    [(0, 0, 1, 1), (-1, 0, 1, 1), (1, -1, 1, 1), (1, 0, 0, 1), (1, 0, 1, -1)],
)
def test_impossible_numbers_are_refused(
    piece_ug: int, sd_ug: int, readability_ug: int, counted: int
) -> None:
    with pytest.raises(WeighingError, match="counted"):
        weigh_check(
            net_ug=1,
            piece_ug=piece_ug,
            sd_ug=sd_ug,
            readability_ug=readability_ug,
            counted=counted,
        )
