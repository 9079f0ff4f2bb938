"""Counting by weight, the pure part: how many pieces a weight is, how sure that is, the records.

Source: JCGM 100:2008 (GUM), 5.1.2 (law of propagation of uncertainty) and 4.3.7 (a rectangular
distribution of full width d has the variance d^2 / 12); European Pharmacopoeia 2.9.5, table
2.9.5.-1, for the spread of tablets that nobody has measured. Not verified on hardware.

The model is n = W / w: a net weight W of two readings (empty and loaded), each rounded to the
readability d, and a mean piece weight w; the pieces scatter by s around it. With uncorrelated
inputs the variance of n in pieces is (n s^2 + n^2 u(w)^2 + d^2 / 6 + u(scale)^2) / w^2. Everything
is whole micrograms and thousandths of a piece; uncertainties are rounded up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isqrt

from drivers.base import CountJob, CountResult, PieceWeight, RawMessage
from drivers.counting import INTEGER_MAX, Fields, dump, load, reported
from drivers.errors import ProtocolError
from drivers.facts import Fact

UNCERTAINTY_LIMIT_MILLI = 400
"""From 0.4 piece of standard uncertainty on, a weight cannot tell n from n + 1."""
RESIDUE_MAX_MILLI = 300
"""A weight further than this from a whole number of pieces holds something that is not a piece."""
REFINE_LIMIT_MILLI = 200
"""Only a count surer than this makes a new reference; a neighbour is 3.5 deviations away then."""
PIECES_MAX = 100_000
REFERENCE_MIN = 5
"""Fewest pieces of a sample. A caution of ours; makers of counting scales ask for 5 to 10."""
REFERENCE_MAX = 1000
"""Most pieces of a sample, and the size at which a reference is refined no further."""
JOB_ID_MAX = 64
TEXT_MAX = 1024
"""Longest text of a record in bytes."""
MILLI = 1000
_UNITS: Mapping[str, int] = {"ug": 1, "mg": 10**3, "g": 10**6, "kg": 10**9}
_EXPONENT_MAX = 12
_NINETY_PERCENT_MILLI = 1645
"""90 % of a normal distribution lie within 1.645 standard deviations."""
_PHARMACOPOEIA = ((80_000, 100), (249_999, 75))
"""Mean weight of tablets up to which 18 of 20 stay within so many thousandths; 50 above."""


# ---------------------------------------------------------------- weights


def micrograms(value: Decimal, unit: str) -> int:
    """Return a weight in whole micrograms; raises ProtocolError for one that cannot be told so."""
    factor = _UNITS.get(unit)
    if factor is None:
        raise ProtocolError(f"weights in {unit!r} cannot be counted, known are {sorted(_UNITS)}")
    if not value.is_finite() or value.adjusted() > _EXPONENT_MAX:
        raise ProtocolError(f"{value} {unit} is not a weight")
    return int((value * factor).to_integral_value())


def last_digit_ug(value: Decimal, unit: str) -> int:
    """Return what one step of the last digit that was sent weighs, at least one microgram."""
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ProtocolError(f"{value} {unit} is not a weight")
    return max(1, micrograms(Decimal(1).scaleb(min(0, exponent)), unit))


def tablet_spread_ug(mean_ug: int) -> int:
    """Return the greatest spread that tablets of a mean weight may have, as standard deviation.

    The pharmacopoeia lets 2 of 20 tablets leave a window, so the window is taken for 90 %.
    """
    window = next((share for most, share in _PHARMACOPOEIA if mean_ug <= most), 50)
    return _ceil_div(mean_ug * window, _NINETY_PERCENT_MILLI)


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def _root_up(numerator: int, denominator: int) -> int:
    """Return the square root of a fraction, rounded up to a whole number."""
    square = _ceil_div(numerator, denominator)
    root = isqrt(square)
    return root if root * root == square else root + 1


# ---------------------------------------------------------------- the weight of a piece


@dataclass(frozen=True, slots=True)
class Balance:
    """What a scale adds to the uncertainty of a net weight, in micrograms.

    `readability_ug` is the step of its display, `u_ug` its standard uncertainty beside rounding
    (repeatability, linearity).
    """

    readability_ug: int
    u_ug: int = 0

    def six_variances(self) -> int:
        """Return six times the variance of a net weight: 6 * (d^2 / 6 + u^2)."""
        return self.readability_ug**2 + 6 * self.u_ug**2


def sampled(pieces: int, net_ug: int, *, spread_ug: int, balance: Balance) -> PieceWeight:
    """Return the piece weight that a sample of counted pieces gives; ValueError when it is none.

    The uncertainty holds the spread of the sample, the scale, and the rounding of the mean.
    """
    if not REFERENCE_MIN <= pieces <= REFERENCE_MAX:
        raise ValueError(f"a sample has {REFERENCE_MIN} to {REFERENCE_MAX} pieces, not {pieces}")
    if net_ug < pieces:
        raise ValueError(f"{pieces} pieces of together {net_ug} ug cannot be weighed")
    mean = (2 * net_ug + pieces) // (2 * pieces)
    six_variances = 6 * pieces * spread_ug**2 + balance.six_variances()
    return PieceWeight(mean, 1 + _root_up(six_variances, 6 * pieces**2), pieces)


def contradict(one: PieceWeight, other: PieceWeight) -> bool:
    """Whether two piece weights cannot be of the same article: more than 5 % and 3 u apart."""
    apart = abs(one.mean_ug - other.mean_ug)
    return 20 * apart > max(one.mean_ug, other.mean_ug) and apart**2 > 9 * (
        one.u_ug**2 + other.u_ug**2
    )


def surer(one: PieceWeight, other: PieceWeight) -> bool:
    """Whether one piece weight is relatively surer than another."""
    return one.u_ug * other.mean_ug < other.u_ug * one.mean_ug


# ---------------------------------------------------------------- counting


@dataclass(frozen=True, slots=True)
class Basis:
    """What a job is counted with: the piece weight, and how far single pieces scatter."""

    piece: PieceWeight
    spread_ug: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a weight says: the nearest number of pieces, its uncertainty, and what is left over.

    `residue_milli` is the weight minus that of `pieces` pieces, in thousandths of a piece.
    """

    pieces: int
    u_milli: int
    residue_milli: int

    def certain(self, residue_max_milli: int = RESIDUE_MAX_MILLI) -> bool:
        """Whether n can be told from its neighbours (`allowed_residue_milli`)."""
        allowed = allowed_residue_milli(self.u_milli, residue_max_milli)
        return self.pieces >= 0 and allowed is not None and abs(self.residue_milli) <= allowed

    def __str__(self) -> str:
        """Say it for people: `30 pieces, 0.110 uncertain, 0.052 left over`."""
        return (
            f"{self.pieces} pieces, {_thousandths(self.u_milli)} uncertain,"
            f" {_thousandths(self.residue_milli)} left over"
        )


def allowed_residue_milli(u_milli: int, residue_max_milli: int = RESIDUE_MAX_MILLI) -> int | None:
    """Return how far from a whole number of pieces a weight may be; None: nothing can be told.

    At most `residue_max_milli`; nearer to n than to its neighbour by more than u; and the neighbour
    at least 2.5 u away, which is what makes 0.4 piece the limit: 2.5 * 0.4 = 1.
    """
    if u_milli >= UNCERTAINTY_LIMIT_MILLI:
        return None
    return min(residue_max_milli, MILLI // 2 - u_milli - 1, MILLI - (5 * u_milli + 1) // 2)


def uncertainty_milli(pieces: int, basis: Basis, balance: Balance) -> int:
    """Return the standard uncertainty of a count of `pieces`, in thousandths, rounded up."""
    spread = pieces * basis.spread_ug**2
    mean = (pieces * basis.piece.u_ug) ** 2
    six_variances = 6 * (spread + mean) + balance.six_variances()
    return _root_up(six_variances * MILLI**2, 6 * basis.piece.mean_ug**2)


def estimate(net_ug: int, basis: Basis, balance: Balance) -> Estimate:
    """Return how many pieces a net weight is. Less than nothing gives a negative number."""
    mean = basis.piece.mean_ug
    pieces = (2 * net_ug + mean) // (2 * mean)
    left = net_ug - pieces * mean
    residue = (2 * left * MILLI + mean) // (2 * mean)
    return Estimate(pieces, uncertainty_milli(abs(pieces), basis, balance), residue)


def refined(
    old: PieceWeight, net_ug: int, found: Estimate, *, spread_ug: int, balance: Balance
) -> PieceWeight | None:
    """Return the better piece weight that a sure count gives, None when it gives none.

    The count must be surer than a job needs, have more pieces than the old reference and at most
    twice as many (a told weight, `pieces` 0, sets no bound), and the new mean must be surer.
    """
    bound = REFERENCE_MAX if old.pieces == 0 else min(REFERENCE_MAX, 2 * old.pieces)
    if not max(REFERENCE_MIN, old.pieces + 1) <= found.pieces <= bound:
        return None
    if found.u_milli > REFINE_LIMIT_MILLI or not found.certain():
        return None
    new = sampled(found.pieces, net_ug, spread_ug=spread_ug, balance=balance)
    return new if surer(new, old) else None


def _thousandths(value: int) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // MILLI}.{abs(value) % MILLI:03d}"


# ---------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class StartRecord:
    """What is stored before a person pours: the job, the empty reading, and what it counts with."""

    job: CountJob
    zero_ug: int
    basis: Basis


@dataclass(frozen=True, slots=True)
class CountRecord:
    """What is stored after a job: its result, the net weight and how sure the count is."""

    job: CountJob
    result: CountResult
    net_ug: int
    found: Estimate
    basis: Basis


def start_message(record: StartRecord) -> RawMessage:
    """Return the message that says that a person is about to pour."""
    body = {
        "zero_ug": record.zero_ug,
        **_basis_fields(record.basis),
    }
    return RawMessage(f"start:{record.job.job_id}", "start", dump("start", record.job, body))


def count_message(record: CountRecord) -> RawMessage:
    """Return the message that carries the result of a job."""
    body = {
        "counted": record.result.counted,
        "complete": record.result.complete,
        "net_ug": record.net_ug,
        "u_milli": record.found.u_milli,
        "residue_milli": record.found.residue_milli,
        **_basis_fields(record.basis),
    }
    return RawMessage(f"count:{record.job.job_id}", "count", dump("count", record.job, body))


def read_start(raw: bytes) -> StartRecord:
    """Return a stored `start:` message; raises ProtocolError."""
    body = load(raw, "start", text_max=TEXT_MAX)
    return StartRecord(body.job(), body.number("zero_ug", -INTEGER_MAX), _basis(body))


def read_count(raw: bytes) -> CountRecord:
    """Return a stored `count:` message; raises ProtocolError."""
    body = load(raw, "count", text_max=TEXT_MAX)
    job = body.job()
    counted = body.number("counted", 0)
    result = CountResult(job.job_id, counted, 0, body.flag("complete"))
    if result.complete != (counted == job.pieces):
        raise ProtocolError(f"{counted} of {job.pieces} pieces, complete {result.complete}")
    net_ug = body.number("net_ug", -INTEGER_MAX)
    found = Estimate(counted, body.number("u_milli", 0), body.number("residue_milli", -INTEGER_MAX))
    return CountRecord(job, result, net_ug, found, _basis(body))


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return the facts of a stored message: one for a result, none for a start.

    Raises ProtocolError.
    """
    if load(raw, text_max=TEXT_MAX).text("kind") == "start":
        read_start(raw)
        return ()
    record = read_count(raw)
    return (reported(record.job, record.result),)


def _basis_fields(basis: Basis) -> dict[str, int]:
    return {
        "piece_ug": basis.piece.mean_ug,
        "piece_u_ug": basis.piece.u_ug,
        "piece_n": basis.piece.pieces,
        "spread_ug": basis.spread_ug,
    }


def _basis(body: Fields) -> Basis:
    piece = PieceWeight(
        body.number("piece_ug", 1), body.number("piece_u_ug"), body.number("piece_n")
    )
    return Basis(piece, body.number("spread_ug"))
