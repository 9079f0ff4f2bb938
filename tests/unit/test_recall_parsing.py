"""What a person reads in a recall notice is what the parser reads, or it says that it does not."""

import pytest

from dispensed.exchange.recalls.notice import Notice
from dispensed.exchange.recalls.parse import PAIRS_MAX, Pair, ParsedRecall, Unresolved, parse
from tests.unit.recall_doubts import EXAMPLES
from tests.unit.recall_examples import NONE, ONE, Example


def _parse(description: str, codes: str, more: str = "") -> ParsedRecall:
    return parse(Notice("D-0001-2027", description, codes, more))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.replace(" ", "_"))
def test_a_notice_is_read_as_a_person_reads_it(example: Example) -> None:
    parsed = _parse(example.description, example.codes)
    assert [(pair.ndc, pair.lot, pair.expiry) for pair in parsed.pairs] == list(example.pairs)
    assert parsed.all_lots == example.all_lots
    assert [place.text for place in parsed.unresolved] == list(example.flagged)


def test_what_is_not_understood_is_named_with_its_place() -> None:
    parsed = _parse(ONE, "Lot 7579 (Refer to 13G0001), Exp 06/27")
    assert parsed == ParsedRecall(
        recall_number="D-0001-2027",
        all_lots=False,
        pairs=(Pair("99001-123-30", "7579", "2027-06"),),
        unresolved=(
            Unresolved("code_info", 19, 26, "13G0001", "looks like a lot and could not be placed"),
        ),
    )


def test_codes_go_on_in_the_next_field() -> None:
    parsed = _parse(NONE, "Lot QX1, QX2,", " QX3, Exp 8/27; lot (see QY44)")
    assert [pair.lot for pair in parsed.pairs] == ["QX1", "QX2", "QX3"]
    assert {pair.expiry for pair in parsed.pairs} == {"2027-08"}
    (place,) = parsed.unresolved
    assert (place.field, place.text, place.start) == ("more_code_info", "QY44", 25)


def test_a_code_cut_in_two_between_the_fields_is_flagged() -> None:
    parsed = _parse(NONE, "Lot QX1, QX2", "2, QX3")
    assert [pair.lot for pair in parsed.pairs] == ["QX1", "QX3"]
    assert [(place.field, place.text) for place in parsed.unresolved] == [
        ("code_info", "QX2"),
    ]


def test_more_pairs_than_anybody_reads_are_given_without_ndcs() -> None:
    ndcs = ", ".join(f"99001-{number:04}-01" for number in range(201))
    lots = ", ".join(f"QX{number:05}" for number in range(101))
    parsed = _parse(f"NDC {ndcs}", f"Lot {lots}")
    assert PAIRS_MAX < 201 * 101
    assert len(parsed.pairs) == 101
    assert {pair.ndc for pair in parsed.pairs} == {None}
    assert len(parsed.unresolved) == 1


def test_a_list_of_other_numbers_has_an_end() -> None:
    items = ", ".join(str(number) for number in range(1000, 1202))
    parsed = _parse(NONE, f"Item # {items}; lot QX101")
    assert [pair.lot for pair in parsed.pairs][-1] == "QX101"
