"""Laws of NDC, GTIN and GS1 codes."""

import string
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dispensed.errors import Invalid
from dispensed.model.gs1 import Gs1Error, encode, label_elements, parse_scan
from dispensed.model.ndc import (
    GtinError,
    Ndc,
    NdcDirectory,
    NdcLayout,
    check_gtin14,
    gtin_check_digit,
    ndc10_of_gtin,
    ndc_from_ndc11,
    parse_ndc,
    split_ndc10,
)

TODAY = date(2026, 11, 22)
SET_82 = string.ascii_letters + string.digits + "!\"%&'()*+,-./_:;<=>?"
TEN_DIGITS = st.text("0123456789", min_size=10, max_size=10)
LAYOUTS = st.sampled_from(NdcLayout)
NDCS = st.builds(split_ndc10, TEN_DIGITS, LAYOUTS)
GTINS = st.builds(
    lambda base: base + gtin_check_digit(base), st.text("0123456789", min_size=13, max_size=13)
)
LOTS = st.text(SET_82, min_size=1, max_size=20)
EXPIRIES = st.dates(date(2000, 1, 1), date(2070, 12, 31))


@given(NDCS)
def test_an_ndc_survives_every_way_of_writing_it(ndc: Ndc) -> None:
    assert parse_ndc(str(ndc)) == ndc
    assert split_ndc10(ndc.ndc10, ndc.layout) == ndc
    assert ndc_from_ndc11(ndc.ndc11, ndc.layout) == ndc
    assert ndc10_of_gtin(ndc.gtin14()) == ndc.ndc10
    assert (len(ndc.ndc10), len(ndc.ndc11), len(ndc.gtin14())) == (10, 11, 14)


@given(NDCS, NDCS)
def test_two_packages_of_one_layout_never_share_an_ndc11(one: Ndc, other: Ndc) -> None:
    if one.layout is other.layout:
        assert (one.ndc11 == other.ndc11) == (one == other)


@given(st.lists(NDCS, max_size=12), TEN_DIGITS)
def test_a_directory_gives_a_reading_that_it_knows_or_refuses(
    known: list[Ndc], digits: str
) -> None:
    directory = NdcDirectory(known)
    try:
        ndc = directory.resolve(digits)
    except Invalid:
        return
    assert ndc.ndc10 == digits
    assert any((ndc.labeler, ndc.layout) == (k.labeler, k.layout) for k in known)


@given(NDCS, st.integers(0, 8))
def test_the_directory_leads_from_any_packaging_level_to_its_ndc(ndc: Ndc, indicator: int) -> None:
    assert NdcDirectory([ndc]).ndc_of_gtin(ndc.gtin14(indicator)) == ndc


@given(GTINS)
def test_the_weighted_sum_of_a_gtin_is_a_multiple_of_ten(gtin: str) -> None:
    assert check_gtin14(gtin) == gtin
    assert (3 * sum(map(int, gtin[::2])) + sum(map(int, gtin[1::2]))) % 10 == 0


@given(GTINS, st.integers(0, 13), st.integers(1, 9))
def test_any_single_wrong_digit_is_found(gtin: str, place: int, shift: int) -> None:
    wrong = str((int(gtin[place]) + shift) % 10)
    with pytest.raises(GtinError):
        check_gtin14(gtin[:place] + wrong + gtin[place + 1 :])


@given(GTINS, LOTS, EXPIRIES, st.none() | LOTS)
def test_what_a_label_says_is_what_a_scanner_reads(
    gtin: str, lot: str, expiry: date, serial: str | None
) -> None:
    elements = label_elements(gtin=gtin, lot=lot, expiry=expiry, serial=serial)
    scan = parse_scan("]d2" + encode(elements), today=TODAY)
    expected = expiry if expiry.year > 1976 else expiry.replace(year=expiry.year + 100)
    assert (scan.gtin, scan.lot, scan.expiry, scan.serial) == (gtin, lot, expected, serial)


@given(GTINS, LOTS, LOTS)
def test_a_lost_separator_never_passes_as_a_longer_lot(gtin: str, lot: str, serial: str) -> None:
    assume(len(lot) + len(serial) <= 18)
    with pytest.raises(Gs1Error):
        parse_scan(f"01{gtin}10{lot}21{serial}", today=TODAY)


@given(GTINS, EXPIRIES, LOTS, LOTS, st.permutations(["01", "17", "10", "21"]))
def test_the_order_of_the_elements_does_not_matter(
    gtin: str, expiry: date, lot: str, serial: str, order: list[str]
) -> None:
    values = {"01": gtin, "17": f"{expiry:%y%m%d}", "10": lot, "21": serial}
    text = "]d2" + "".join(f"{ai}{values[ai]}\x1d" for ai in order)
    scan = parse_scan(text, today=TODAY)
    assert (scan.gtin, scan.lot, scan.expiry, scan.serial) == (gtin, lot, expiry, serial)


@given(st.dates(date(1990, 1, 1), date(2140, 12, 31)), st.integers(-49, 50))
def test_a_two_digit_year_is_read_within_fifty_years_of_today(today: date, years: int) -> None:
    expiry = date(today.year + years, 6, 15)
    scan = parse_scan(f"]d2010030071015523717{expiry:%y%m%d}", today=today)
    assert scan.expiry == expiry


@given(st.text(max_size=60) | st.text("01]d2CEQ 7\x1d", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        scan = parse_scan(text, today=TODAY)
    except Invalid:
        return
    assert check_gtin14(scan.gtin)
    assert scan.expiry is None or abs(scan.expiry - TODAY) < timedelta(days=51 * 366)
