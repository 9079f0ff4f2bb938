"""Items, lots and places that contradict themselves are refused."""

from dataclasses import replace
from datetime import date

import pytest

from dispensed.model.catalog import (
    EXTERNAL,
    CatalogError,
    ExpirySource,
    Item,
    Location,
    LocationKind,
    Lot,
    LotState,
    Schedule,
    Storage,
    check_id,
)
from dispensed.model.ndc import GtinError, NdcError
from dispensed.model.quantity import Quantity, QuantityError, Unit

LYRICA = Item(
    item_id="00071101468",
    name="Lyrica",
    strength="75 mg",
    form="capsule",
    labeler="Parke-Davis",
    unit=Unit.EA,
    pack_milli=90_000,
    gtin="00300711014687",
    ndc="0071-1014-68",
    schedule=Schedule.CV,
    piece_weight_ug=150_000,
    piece_weight_sd_ug=2_000,
)


def test_an_item_knows_its_pack() -> None:
    assert LYRICA.pack == Quantity.of(Unit.EA, 90)
    assert LYRICA.storage is Storage.ROOM
    assert not LYRICA.hazardous
    assert not LYRICA.high_alert


def test_an_item_of_another_country_needs_no_ndc() -> None:
    item = replace(LYRICA, item_id="07032069804988", gtin="07032069804988", ndc=None)
    assert item.gtin == "07032069804988"


def test_an_item_needs_neither_code() -> None:
    item = replace(LYRICA, item_id="house-made", gtin=None, ndc=None)
    assert (item.gtin, item.ndc) == (None, None)


def test_a_foreign_gtin_may_stand_beside_an_ndc() -> None:
    assert replace(LYRICA, gtin="07032069804988").ndc == "0071-1014-68"


def test_an_item_without_a_name_is_refused() -> None:
    with pytest.raises(CatalogError, match="has no name"):
        replace(LYRICA, name=" ")


def test_an_empty_pack_is_refused() -> None:
    with pytest.raises(CatalogError, match="empty pack"):
        replace(LYRICA, pack_milli=0)
    with pytest.raises(QuantityError):
        replace(LYRICA, pack_milli=-1)


def test_an_item_id_of_another_ndc_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"item 00071101368 is not NDC 0071-1014-68"):
        replace(LYRICA, item_id="00071101368")


def test_a_gtin_of_another_ndc_is_refused() -> None:
    with pytest.raises(CatalogError, match="GTIN 00300710155237 holds NDC 0071015523"):
        replace(LYRICA, gtin="00300710155237")


def test_codes_with_faults_of_their_own_are_refused() -> None:
    with pytest.raises(GtinError):
        replace(LYRICA, gtin="00300711014688")
    with pytest.raises(NdcError):
        replace(LYRICA, ndc="0071101468")


@pytest.mark.parametrize("text", ["", " a", "a ", "a\tb", "a\x1db", "x" * 65])
def test_an_id_is_short_printable_text_without_outer_blanks(text: str) -> None:
    with pytest.raises(CatalogError, match="not a lot number"):
        check_id(text, "lot number")
    with pytest.raises(CatalogError):
        replace(LYRICA, item_id=text)


def test_an_id_may_hold_64_characters() -> None:
    assert check_id("x" * 64, "item id") == "x" * 64


@pytest.mark.parametrize(("mean", "spread"), [(150_000, None), (None, 2_000)])
def test_piece_weight_and_spread_go_together(mean: int | None, spread: int | None) -> None:
    with pytest.raises(CatalogError, match="go together"):
        replace(LYRICA, piece_weight_ug=mean, piece_weight_sd_ug=spread)


@pytest.mark.parametrize(("mean", "spread"), [(0, 0), (-5, 0), (100, -1), (100, 100)])
def test_an_implausible_piece_weight_is_refused(mean: int, spread: int) -> None:
    with pytest.raises(CatalogError, match="piece weight"):
        replace(LYRICA, piece_weight_ug=mean, piece_weight_sd_ug=spread)


def test_a_liquid_has_no_piece_weight() -> None:
    syrup = replace(LYRICA, unit=Unit.ML, piece_weight_ug=None, piece_weight_sd_ug=None)
    assert syrup.unit is Unit.ML
    with pytest.raises(CatalogError, match="no pieces to weigh"):
        replace(LYRICA, unit=Unit.ML)


@pytest.mark.parametrize(
    ("schedule", "controlled"),
    [
        (Schedule.NONE, False),
        (Schedule.CII, True),
        (Schedule.CIII, True),
        (Schedule.CIV, True),
        (Schedule.CV, True),
    ],
)
def test_schedules_two_to_five_are_controlled(schedule: Schedule, *, controlled: bool) -> None:
    assert schedule.is_controlled is controlled


def test_an_unknown_expiry_has_no_date_and_no_other_source() -> None:
    lot = Lot(LYRICA.item_id, "A12", None, ExpirySource.UNKNOWN, LotState.QUARANTINE)
    assert lot.expiry is None
    with pytest.raises(CatalogError, match="lot A12"):
        replace(lot, expiry=date(2027, 1, 31))
    with pytest.raises(CatalogError, match="lot A12"):
        replace(lot, expiry_source=ExpirySource.SCANNED)


def test_a_lot_number_is_checked() -> None:
    with pytest.raises(CatalogError, match="not a lot number"):
        Lot(LYRICA.item_id, "", date(2027, 1, 31), ExpirySource.TYPED, LotState.RELEASED)


def test_external_accounts_have_fixed_names() -> None:
    assert dict(EXTERNAL) == {
        "ext:supplier": "supplier",
        "ext:dispensed": "dispensed",
        "ext:waste": "waste",
        "ext:loss": "loss",
        "ext:found": "found",
        "ext:destruction": "destruction",
        "ext:reverse-distributor": "reverse-distributor",
        "ext:in-transit": "in-transit",
        "ext:opening": "opening",
        "ext:repack": "repack",
        "ext:sample": "sample",
    }


def test_an_external_name_has_its_own_kind_only() -> None:
    assert Location("ext:waste", LocationKind.WASTE).kind.is_external
    for location_id, kind in (
        ("ext:waste", LocationKind.BIN),
        ("ext:waste", LocationKind.LOSS),
        ("shelf/A-03", LocationKind.WASTE),
    ):
        with pytest.raises(CatalogError, match="cannot be of kind"):
            Location(location_id, kind)


def test_only_a_device_location_names_a_device() -> None:
    assert Location("robot1", LocationKind.DEVICE, device="robot1").device == "robot1"
    with pytest.raises(CatalogError, match="robot1"):
        Location("robot1", LocationKind.DEVICE)
    with pytest.raises(CatalogError, match="robot1"):
        Location("shelf/A-03", LocationKind.BIN, device="robot1")


def test_no_location_lies_in_itself() -> None:
    with pytest.raises(CatalogError, match="its own parent"):
        Location("shelf", LocationKind.AREA, parent="shelf")


def test_places_hold_stock_and_groups_and_accounts_do_not() -> None:
    assert {kind for kind in LocationKind if kind.holds_stock} == {
        "bin",
        "receiving",
        "device",
        "fill",
        "in-hand",
        "rejects",
        "outdate",
    }
    assert not LocationKind.SITE.is_external
    assert not LocationKind.BIN.is_external
