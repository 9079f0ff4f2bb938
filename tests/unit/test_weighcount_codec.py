"""Counting by weight: examples worked by hand, written out."""

import json
from decimal import Decimal

import pytest

from drivers.base import CountJob, CountResult, PieceWeight
from drivers.counting import RECORD_MAX
from drivers.errors import ProtocolError
from drivers.facts import CountReported
from drivers.weighcount.codec import (
    Balance,
    Basis,
    CountRecord,
    Estimate,
    StartRecord,
    allowed_residue_milli,
    contradict,
    count_message,
    estimate,
    interpret,
    last_digit_ug,
    micrograms,
    read_count,
    read_start,
    refined,
    sampled,
    start_message,
    surer,
    tablet_spread_ug,
    uncertainty_milli,
)
from drivers.weighcount.options import parse_options, scale_named

JOB = CountJob("417-1", "00071015523", "EW0237", "shelf/A-03", 30)
EXACT = Basis(PieceWeight(500_000, 0, 0), spread_ug=10_000)
TOLD = Basis(PieceWeight(500_000, 2_500, 0), spread_ug=10_000)
MILLIGRAM = Balance(1_000)
FOUND = Estimate(30, 186, 52)
START = StartRecord(JOB, -1_000, TOLD)
DONE = CountRecord(JOB, CountResult("417-1", 30, 0, complete=True), 15_026_000, FOUND, TOLD)

# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("value", "unit", "weight", "digit"),
    [
        ("15.000", "g", 15_000_000, 1_000),
        ("-0.25", "g", -250_000, 10_000),
        ("0.0150", "kg", 15_000_000, 100_000),
        ("12", "mg", 12_000, 1_000),
        ("1.5", "ug", 2, 1),
        ("1E+1", "g", 10_000_000, 1_000_000),
    ],
)
def test_a_weight_and_its_last_digit_are_whole_micrograms(
    value: str, unit: str, weight: int, digit: int
) -> None:
    assert micrograms(Decimal(value), unit) == weight
    assert last_digit_ug(Decimal(value), unit) == digit


@pytest.mark.parametrize(("value", "unit"), [("1", "lb"), ("NaN", "g"), ("1E+13", "g")])
def test_what_is_no_metric_weight_is_refused(value: str, unit: str) -> None:
    with pytest.raises(ProtocolError):
        micrograms(Decimal(value), unit)


def test_what_is_no_number_has_no_last_digit() -> None:
    with pytest.raises(ProtocolError):
        last_digit_ug(Decimal("Infinity"), "g")


@pytest.mark.parametrize(
    ("mean_ug", "spread_ug"),
    [
        (80_000, 4_864),  # 10 % of 80 mg in 1.645 deviations
        (100_000, 4_560),  # 7.5 %
        (250_000, 7_599),  # 5 %
        (500_000, 15_198),
    ],
)
def test_tablets_of_unknown_spread_scatter_as_much_as_the_pharmacopoeia_lets_them(
    mean_ug: int, spread_ug: int
) -> None:
    assert tablet_spread_ug(mean_ug) == spread_ug


# ---------------------------------------------------------------- uncertainty


@pytest.mark.parametrize(
    ("pieces", "basis", "balance", "u_milli"),
    [
        # sqrt(30 * 10^2 + 1/6) mg = 54.774 mg; / 500 mg = 0.10955
        (30, EXACT, MILLIGRAM, 110),
        # sqrt(30 * 10^2 + (30 * 2.5)^2 + 1/6) mg = 92.873 mg; / 500 mg = 0.18575
        (30, TOLD, MILLIGRAM, 186),
        # sqrt(100^2 / 6) mg = 40.82 mg; / 500 mg = 0.0816
        (0, TOLD, Balance(100_000), 82),
        # sqrt(100^2 / 6 + 30^2) mg = 50.66 mg; / 500 mg = 0.1013
        (0, TOLD, Balance(100_000, u_ug=30_000), 102),
        (0, EXACT, Balance(1), 1),
    ],
)
def test_the_uncertainty_of_a_count_is_the_root_of_the_sum_of_its_variances(
    pieces: int, basis: Basis, balance: Balance, u_milli: int
) -> None:
    assert uncertainty_milli(pieces, basis, balance) == u_milli


@pytest.mark.parametrize(
    ("u_milli", "allowed"),
    [(0, 300), (199, 300), (200, 299), (300, 199), (340, 150), (399, 2), (400, None), (900, None)],
)
def test_the_more_uncertain_a_count_the_less_may_be_left_over(
    u_milli: int, allowed: int | None
) -> None:
    assert allowed_residue_milli(u_milli) == allowed


def test_a_site_may_allow_less() -> None:
    assert allowed_residue_milli(10, 50) == 50
    assert Estimate(30, 10, 52).certain()
    assert not Estimate(30, 10, 52).certain(50)


@pytest.mark.parametrize(
    ("net_ug", "pieces", "residue_milli", "certain"),
    [
        (15_000_000, 30, 0, True),
        (15_026_000, 30, 52, True),
        (14_860_000, 30, -280, True),
        (14_840_000, 30, -320, False),
        (14_750_000, 30, -500, False),
        (14_749_000, 29, 498, False),
        (0, 0, 0, True),
        (-100_000, 0, -200, True),
        (-400_000, -1, 200, False),
    ],
)
def test_a_weight_is_the_nearest_number_of_pieces_and_what_is_left(
    net_ug: int, pieces: int, residue_milli: int, *, certain: bool
) -> None:
    found = estimate(net_ug, TOLD, MILLIGRAM)
    assert (found.pieces, found.residue_milli) == (pieces, residue_milli)
    assert found.certain() is certain


def test_an_estimate_speaks_of_pieces() -> None:
    text = str(Estimate(30, 110, -52))
    assert text == "30 pieces, 0.110 uncertain, -0.052 left over"


# ---------------------------------------------------------------- references


def test_a_sample_gives_its_mean_and_the_uncertainty_of_that() -> None:
    """5.003 g of 10: sqrt(10 * 10^2 + 1/6) mg / 10 = 3.1625 mg, and 1 ug of rounding."""
    piece = sampled(10, 5_003_000, spread_ug=10_000, balance=MILLIGRAM)
    assert piece == PieceWeight(500_300, 3_164, 10)


@pytest.mark.parametrize(("pieces", "net_ug"), [(4, 2_000_000), (1001, 10**9), (10, 9), (10, -5)])
def test_too_few_too_many_or_too_light_is_no_sample(pieces: int, net_ug: int) -> None:
    with pytest.raises(ValueError, match="pieces"):
        sampled(pieces, net_ug, spread_ug=10_000, balance=MILLIGRAM)


def test_two_piece_weights_contradict_when_far_apart_for_their_uncertainty() -> None:
    told = PieceWeight(500_000, 1_000, 0)
    assert contradict(told, PieceWeight(450_000, 3_000, 10))
    assert not contradict(told, PieceWeight(480_000, 1_000, 10))  # 4 %
    assert not contradict(told, PieceWeight(450_000, 20_000, 10))  # 2.5 deviations
    assert surer(told, PieceWeight(450_000, 1_000, 10))
    assert not surer(PieceWeight(450_000, 1_000, 10), told)


@pytest.mark.parametrize(
    ("old_pieces", "old_u", "found", "better"),
    [
        (10, 3_163, Estimate(20, 100, 50), True),
        (10, 3_163, Estimate(21, 100, 50), False),  # more than twice as many
        (10, 3_163, Estimate(10, 100, 50), False),  # no more than it has
        (20, 2_237, Estimate(30, 201, 50), False),  # not sure enough
        (20, 2_237, Estimate(30, 100, 301), False),  # too much left over
        (0, 2_500, Estimate(30, 100, 50), True),  # a told weight sets no bound
        (0, 1_000, Estimate(30, 100, 50), False),  # but is surer than 30 pieces here
        (0, 100_000, Estimate(4, 100, 50), False),  # too few for a sample
        (900, 400, Estimate(1001, 100, 50), False),  # refined far enough
    ],
)
def test_a_sure_count_refines_a_reference_that_grows_to_twice_its_size_at_most(
    old_pieces: int, old_u: int, found: Estimate, *, better: bool
) -> None:
    old = PieceWeight(500_000, old_u, old_pieces)
    net_ug = found.pieces * 500_100
    new = refined(old, net_ug, found, spread_ug=10_000, balance=MILLIGRAM)
    assert (new is not None) is better
    if new is not None:
        assert new == sampled(found.pieces, net_ug, spread_ug=10_000, balance=MILLIGRAM)


# ---------------------------------------------------------------- records


def test_a_start_message_holds_the_job_the_empty_reading_and_the_piece_weight() -> None:
    message = start_message(START)
    assert (message.key, message.kind) == ("start:417-1", "start")
    assert json.loads(message.raw) == {
        "kind": "start",
        "v": 1,
        "job_id": "417-1",
        "article": "00071015523",
        "lot": "EW0237",
        "source": "shelf/A-03",
        "pieces": 30,
        "zero_ug": -1000,
        "piece_ug": 500_000,
        "piece_u_ug": 2_500,
        "piece_n": 0,
        "spread_ug": 10_000,
    }
    assert interpret(message.raw) == ()
    assert read_start(message.raw) == START


def test_a_count_message_means_one_count() -> None:
    message = count_message(DONE)
    assert (message.key, message.kind) == ("count:417-1", "count")
    assert read_count(message.raw) == DONE
    assert interpret(message.raw) == (
        CountReported("417-1", "00071015523", "EW0237", "shelf/A-03", 30, 0, complete=True),
    )


COUNT = json.loads(count_message(DONE).raw)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {**COUNT, "v": 2},
        {**COUNT, "v": True},
        {**COUNT, "kind": "stop"},
        {**COUNT, "kind": None},
        {**COUNT, "kind": "start"},
        {**COUNT, "counted": -1},
        {**COUNT, "counted": 1 << 63},
        {**COUNT, "counted": 29},  # complete, it says
        {**COUNT, "complete": 1},
        {**COUNT, "lot": "\ud800"},
        {**COUNT, "lot": "x" * 1025},
        {**COUNT, "piece_ug": 0},
        {key: value for key, value in COUNT.items() if key != "net_ug"},
    ],
)
def test_a_damaged_record_is_refused(body: object) -> None:
    with pytest.raises(ProtocolError):
        interpret(json.dumps(body).encode())


def test_a_record_of_the_other_kind_or_no_record_at_all_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a start record was expected"):
        read_start(count_message(DONE).raw)
    with pytest.raises(ProtocolError, match="not a record"):
        interpret(b"[" * 10_000)
    with pytest.raises(ProtocolError, match="bytes"):
        interpret(b" " * (RECORD_MAX + 1))


# ---------------------------------------------------------------- options


def test_the_address_names_a_scale() -> None:
    assert scale_named("device:scale-1") == "scale-1"
    for wrong in ("device:", "device:Scale", "tcp://h:1", "device:a/b"):
        with pytest.raises(ValueError, match="device:NAME"):
            scale_named(wrong)


def test_every_bad_option_is_named() -> None:
    assert parse_options({}).catalogue_permille == 2
    with pytest.raises(ValueError, match=r"residue_milli must be .* 10 to 400.*; speed is not one"):
        parse_options({"residue_milli": 500, "speed": 1})
