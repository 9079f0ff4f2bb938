"""Does a weight agree with a count: integer arithmetic on micrograms."""

from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import ClassVar

from dispensed.errors import Invalid
from dispensed.model.quantity import MILLI

UNCERTAINTY_LIMIT_MILLI = 400
"""From 0.4 piece of standard uncertainty on, a weight cannot tell one count from the next."""

SURE_DEVIATIONS = 3
"""A count further than half a piece plus this many standard uncertainties away surely differs."""

_HALF = MILLI // 2


class WeighingError(Invalid):
    """Numbers that make no weighing: no piece weight, a negative spread, no readability."""

    code: ClassVar[str] = "bad_weighing"


class WeighResult(StrEnum):
    """What a weight says about a count."""

    AGREES = "agrees"
    DIFFERS = "differs"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class WeighVerdict:
    """`pieces` is the count nearest to the weight; the uncertainty is its standard deviation."""

    result: WeighResult
    pieces: int
    uncertainty_milli_pieces: int


def weigh_check(
    *, net_ug: int, piece_ug: int, sd_ug: int, readability_ug: int, counted: int
) -> WeighVerdict:
    """Compare a net weight with `counted` pieces of mean weight `piece_ug` and spread `sd_ug`.

    The variance of the weight is n * sd^2 for n pieces (the larger of counted and weighed) plus
    readability^2 / 6: two readings, zero and load, each rounded to `readability_ug` (a rectangular
    distribution has a variance of d^2 / 12; GUM, JCGM 100:2008, 4.3.7). The mean piece weight
    counts as exact. A verdict is given when the standard uncertainty is below 0.4 piece and the
    weight lies nearer to a whole count than to its neighbour by more than that uncertainty; far
    off, the count differs even when the weight is too uncertain to count. Raises WeighingError.
    """
    if piece_ug <= 0 or sd_ug < 0 or readability_ug <= 0 or counted < 0:
        raise WeighingError(
            f"piece of {piece_ug} ug, spread {sd_ug} ug, readability {readability_ug} ug, "
            f"{counted} counted"
        )
    weighed_milli = net_ug * MILLI // piece_ug
    pieces = max(0, (weighed_milli + _HALF) // MILLI)
    six_variances = 6 * max(pieces, counted) * sd_ug**2 + readability_ug**2
    uncertainty = isqrt(six_variances * MILLI**2 // (6 * piece_ug**2)) + 1
    result = WeighResult.INCONCLUSIVE
    off_count = abs(weighed_milli - counted * MILLI)
    off_whole = abs(weighed_milli - pieces * MILLI)
    if off_count >= _HALF + SURE_DEVIATIONS * uncertainty:
        result = WeighResult.DIFFERS
    elif uncertainty < UNCERTAINTY_LIMIT_MILLI and off_whole + uncertainty < _HALF:
        result = WeighResult.AGREES if pieces == counted else WeighResult.DIFFERS
    return WeighVerdict(result, pieces, uncertainty)
