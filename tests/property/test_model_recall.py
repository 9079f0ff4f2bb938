"""How notices write codes, lots and classes; the clocks; what must add up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispensed.model.ndc import Ndc, NdcLayout
from dispensed.model.recall import (
    LotSums,
    NdcCode,
    NdcKind,
    RecallClass,
    RecallClocks,
    lot_form,
    named_codes,
    read_class,
    read_ndc,
    same_lot,
    words_of,
)

OPENED = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
DIGITS = st.text("0123456789", min_size=10, max_size=10)
LOTS = st.text("AB12-/. ", min_size=1, max_size=8)
AMOUNTS = st.integers(0, 10**9)


def cut(digits: str, layout: NdcLayout) -> Ndc:
    labeler, product, _ = layout.lengths
    return Ndc(digits[:labeler], digits[labeler : labeler + product], digits[labeler + product :])


@pytest.mark.parametrize(
    ("printed", "kind", "digits"),
    [
        ("0071-0155-23", NdcKind.PACKAGE, "00071015523"),
        ("68180-513-01", NdcKind.PACKAGE, "68180051301"),
        ("60505-2578-9", NdcKind.PACKAGE, "60505257809"),
        ("00071-0155-23", NdcKind.PACKAGE, "00071015523"),
        ("00071015523", NdcKind.PACKAGE, "00071015523"),
        ("0071 -0155- 23", NdcKind.PACKAGE, "00071015523"),
        ("0071-0155", NdcKind.PRODUCT, "000710155"),
        ("68180-513", NdcKind.PRODUCT, "681800513"),
        ("60505-2578", NdcKind.PRODUCT, "605052578"),
        ("3321676225", NdcKind.AMBIGUOUS, "3321676225"),
        ("0071-015", NdcKind.UNREADABLE, "0071-015"),
        ("71-0155-23", NdcKind.UNREADABLE, "71-0155-23"),
        ("123", NdcKind.UNREADABLE, "123"),
        ("", NdcKind.UNREADABLE, ""),
    ],
)
def test_a_code_is_read_as_it_is_printed_and_never_guessed(
    printed: str, kind: NdcKind, digits: str
) -> None:
    assert read_ndc(printed) == NdcCode(kind, digits)


@settings(max_examples=50)
@given(DIGITS, st.sampled_from(NdcLayout))
def test_a_package_is_named_by_its_code_and_by_that_of_its_product(
    digits: str, layout: NdcLayout
) -> None:
    ndc = cut(digits, layout)
    assert read_ndc(str(ndc)).names(ndc.ndc11)
    assert read_ndc(f"{ndc.labeler}-{ndc.product}").names(ndc.ndc11)
    assert not read_ndc(digits).names(ndc.ndc11)
    assert not read_ndc("?").names(ndc.ndc11)


def test_a_product_names_no_id_that_is_no_ndc() -> None:
    assert not read_ndc("0071-0155").names("00071015523999")


@settings(max_examples=50)
@given(LOTS, LOTS)
def test_lots_are_the_same_when_only_case_blanks_and_marks_differ(one: str, other: str) -> None:
    assert same_lot(one, one.lower())
    plain = [c for c in one if c.isalnum()]
    if plain:
        assert same_lot(one, "-".join(plain))
    if same_lot(one, other):
        assert [c for c in other if c.isalnum()] == plain
    assert lot_form("--") == "--"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Class II", RecallClass.II),
        ("class iii", RecallClass.III),
        (" I ", RecallClass.I),
        ("Not Yet Classified", RecallClass.NONE),
        ("IIII", RecallClass.NONE),
        ("", RecallClass.NONE),
    ],
)
def test_a_class_is_read_or_is_none(text: str, expected: RecallClass) -> None:
    assert read_class(text) is expected


def test_the_clock_runs_by_class_and_fastest_without_one() -> None:
    clocks = RecallClocks(class_i_hours=4, class_ii_hours=30, class_iii_hours=200)
    hours = [(clocks.due(OPENED, each) - OPENED) // timedelta(hours=1) for each in RecallClass]
    assert dict(zip(RecallClass, hours, strict=True)) == {"I": 4, "II": 30, "III": 200, "": 4}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("NDC 0071-0155-23 (bottle)", ("0071-0155-23",)),
        ("(NDC: 0067-6286-14, -28 and -42)", ("0067-6286-14", "0067-6286-28", "0067-6286-42")),
        ("NDC 3321676225. Tel 8005551234", ("3321676225",)),
        ("NDC# 0071015523 or 0071-0155", ("0071015523", "0071-0155")),
        ("lot 12-345-67, phone 800-555-1234", ()),
        ("a) NDC 0071-0155-23 b) NDC 0071-0155-23", ("0071-0155-23",)),
    ],
)
def test_the_codes_of_a_text_are_found_each_once(text: str, codes: tuple[str, ...]) -> None:
    assert named_codes(text) == codes


def test_words_tell_a_drug_from_another() -> None:
    assert words_of("Atorvastatin 20 mg, USP (Lupin)") == {"atorvastatin", "lupin"}


@settings(max_examples=50)
@given(st.lists(AMOUNTS, min_size=9, max_size=9), AMOUNTS, AMOUNTS)
def test_16_a_lot_adds_up_when_nothing_is_missing_and_nothing_lies_elsewhere(
    parts: list[int], elsewhere: int, more: int
) -> None:
    names = (
        "quarantined",
        "dispensed",
        "wasted",
        "lost",
        "returned",
        "destroyed",
        "repacked",
        "sampled",
        "in_transit",
    )
    amounts = dict(zip(names, parts, strict=True))
    assert LotSums(received=sum(parts), **amounts).adds_up
    missing = LotSums(received=sum(parts) + more, **amounts)
    assert (missing.accounted, missing.adds_up) == (sum(parts), more == 0)
    left = LotSums(received=sum(parts) + elsewhere, elsewhere=elsewhere, **amounts)
    assert left.adds_up == (elsewhere == 0)
