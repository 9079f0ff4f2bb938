"""National Drug Codes and GTINs against published examples."""

import pytest

from dispensed.model.ndc import (
    GtinError,
    Ndc,
    NdcDirectory,
    NdcError,
    NdcLayout,
    UnknownLayout,
    check_gtin14,
    format_ndc11,
    gtin_check_digit,
    ndc10_of_gtin,
    ndc_from_ndc11,
    parse_ndc,
    split_ndc10,
)

# NDC and UPC-A stand side by side in openFDA drug enforcement records D-0836-2018, D-1329-2022,
# D-0299-2015, D-0476-2017, D-160-2013, D-0566-2016, D-0001-2015 and D-1430-2012; a UPC-A with two
# leading zeros is the GTIN-14. The first pair is GS1's and FDA's usual example.
PUBLISHED = [
    ("0071-0155-23", "00071015523", "00300710155237"),
    ("43386-356-10", "43386035610", "00343386356102"),
    ("42291-367-10", "42291036710", "00342291367104"),
    ("68382-248-01", "68382024801", "00368382248015"),
    ("0591-0900-30", "00591090030", "00305910900304"),
    ("0245-0085-11", "00245008511", "00302450085119"),
    ("0555-0972-02", "00555097202", "00305550972020"),
    ("67919-011-01", "67919001101", "00367919011016"),
    ("0406-0375-16", "00406037516", "00304060375161"),
]


@pytest.mark.parametrize(("dashed", "ndc11", "gtin"), PUBLISHED)
def test_published_codes_agree(dashed: str, ndc11: str, gtin: str) -> None:
    ndc = parse_ndc(dashed)
    assert (str(ndc), ndc.ndc11, ndc.gtin14()) == (dashed, ndc11, gtin)
    assert ndc10_of_gtin(gtin) == dashed.replace("-", "")


@pytest.mark.parametrize(
    ("dashed", "layout", "ndc11", "written"),
    [
        ("0002-0485-04", NdcLayout.L442, "00002048504", "00002-0485-04"),
        ("31722-813-60", NdcLayout.L532, "31722081360", "31722-0813-60"),
        ("60505-0405-4", NdcLayout.L541, "60505040504", "60505-0405-04"),
    ],
)
def test_each_layout_is_padded_in_its_own_segment(
    dashed: str, layout: NdcLayout, ndc11: str, written: str
) -> None:
    ndc = parse_ndc(dashed)
    assert ndc.layout is layout
    assert ndc.ndc11 == ndc11
    assert format_ndc11(ndc11) == written
    assert ndc_from_ndc11(ndc11, layout) == ndc
    assert split_ndc10(dashed.replace("-", ""), layout) == ndc


@pytest.mark.parametrize(
    "text",
    ["", "0071015523", "00071-0155-23", "0071-0155-2", "0071-015-23", "71-0155-23", "0071-0155-2x"],
)
def test_text_that_is_no_dashed_ndc10_is_refused(text: str) -> None:
    with pytest.raises(NdcError):
        parse_ndc(text)


def test_ten_digits_without_dashes_are_called_ambiguous() -> None:
    with pytest.raises(NdcError, match="0071015523 without dashes is ambiguous"):
        parse_ndc("0071015523")


def test_an_ndc_cannot_be_built_of_other_than_ten_digits() -> None:
    with pytest.raises(NdcError, match="not an NDC-10"):
        Ndc("0071", "0155", "2x")
    with pytest.raises(NdcError, match="not an NDC-10"):
        Ndc("0071", "155", "23")


@pytest.mark.parametrize("digits", ["", "007101552", "00710155233", "007101552x", "٠٠٧١٠١٥٥٢٣"])
def test_only_ten_digits_are_split(digits: str) -> None:
    with pytest.raises(NdcError, match="not ten digits"):
        split_ndc10(digits, NdcLayout.L442)


@pytest.mark.parametrize("digits", ["", "0007101552", "0007101552x"])
def test_only_eleven_digits_are_read_as_an_ndc11(digits: str) -> None:
    with pytest.raises(NdcError, match="not eleven digits"):
        ndc_from_ndc11(digits, NdcLayout.L442)
    with pytest.raises(NdcError, match="not eleven digits"):
        format_ndc11(digits)


def test_an_ndc11_whose_padding_is_no_zero_does_not_fit_the_layout() -> None:
    with pytest.raises(NdcError, match="31722081360 has no form in layout 4-4-2"):
        ndc_from_ndc11("31722081360", NdcLayout.L442)


def test_a_case_has_another_indicator_and_its_own_check_digit() -> None:
    assert parse_ndc("0071-0155-23").gtin14(5) == "50300710155232"


@pytest.mark.parametrize("indicator", [-1, 9, 10])
def test_a_packaging_indicator_out_of_range_is_refused(indicator: int) -> None:
    with pytest.raises(GtinError, match="packaging indicator"):
        parse_ndc("0071-0155-23").gtin14(indicator)


@pytest.mark.parametrize("gtin", ["", "0030071015523", "003007101552370", "0030071015523x"])
def test_anything_but_fourteen_digits_is_no_gtin(gtin: str) -> None:
    with pytest.raises(GtinError, match="not a GTIN-14"):
        check_gtin14(gtin)


def test_a_wrong_check_digit_is_named_with_the_right_one() -> None:
    with pytest.raises(GtinError, match="00300710155238 has check digit 8, 7 is right"):
        check_gtin14("00300710155238")


@pytest.mark.parametrize("base", ["", "003007101552", "003007101552x"])
def test_a_check_digit_is_made_of_thirteen_digits_only(base: str) -> None:
    with pytest.raises(GtinError):
        gtin_check_digit(base)


def test_a_gtin_of_another_country_holds_no_ndc() -> None:
    # A Norwegian GTIN-13, 7032069804988, padded to fourteen digits.
    assert ndc10_of_gtin("07032069804988") is None


class TestDirectory:
    """Undashed digits are divided as the catalogue knows them, never guessed."""

    KNOWN = ("0071-1014-68", "31722-813-60", "60505-0405-4", "60505-357-01")

    def directory(self) -> NdcDirectory:
        return NdcDirectory(parse_ndc(text) for text in self.KNOWN)

    def test_a_known_package_is_found(self) -> None:
        assert str(self.directory().resolve("3172281360")) == "31722-813-60"

    def test_another_package_of_a_known_labeler_takes_its_layout(self) -> None:
        assert str(self.directory().resolve("0071015523")) == "0071-0155-23"

    def test_a_labeler_with_two_layouts_is_refused_for_an_unknown_package(self) -> None:
        with pytest.raises(UnknownLayout, match="60505-099-91, 60505-0999-1"):
            self.directory().resolve("6050509991")

    def test_a_labeler_with_two_layouts_is_read_for_a_known_package(self) -> None:
        assert str(self.directory().resolve("6050504054")) == "60505-0405-4"

    def test_two_known_packages_of_the_same_digits_are_refused(self) -> None:
        directory = NdcDirectory([parse_ndc("60505-0405-4"), parse_ndc("60505-040-54")])
        with pytest.raises(UnknownLayout):
            directory.resolve("6050504054")

    def test_an_unknown_labeler_is_refused(self) -> None:
        with pytest.raises(UnknownLayout, match="no labeler in the catalogue fits"):
            self.directory().resolve("5555501234")

    def test_the_ndc_of_a_scanned_gtin_is_resolved(self) -> None:
        assert self.directory().ndc_of_gtin("00300710155237").ndc11 == "00071015523"

    def test_a_gtin_of_another_country_is_refused(self) -> None:
        with pytest.raises(GtinError, match="not a US drug's"):
            self.directory().ndc_of_gtin("07032069804988")

    def test_the_error_has_its_own_code(self) -> None:
        assert UnknownLayout.code == "unknown_ndc_layout"
