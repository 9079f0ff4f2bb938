"""Laws of the reader of recall notices, for texts nobody has thought of."""

import re
import sys
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dispensed.exchange.recalls.notice import Notice
from dispensed.exchange.recalls.parse import ParsedRecall, parse
from dispensed.exchange.recalls.tokens import fold, tokenise
from tests.unit.recall_doubts import EXAMPLES
from tests.unit.recall_examples import ONE, TWO

PIECES = (
    "Lot", "Lots:", "lot #", "Batch", "Exp", "Exp.", "BUD:", "NDC", "UPC", "all lots", "a)", "b)",
    "(", ")", ",", ";", ":", "-", "/", "and", "to", "through", "between", "not", "except", "&",
    "99001-123-30", "99001-123-01", "9900112330", "8/31/2027", "09/27", "Dec 2027", "1JUL2027",
    "2027", "20270831", "12345", "QX101", "QX102", "SAC", "12A-45", "t0102@8", "1,200", "bottles",
    "30-count", "5 mg", "beginning with", "followed by", "serial", "original lot", "Item #", "é",
    "manufactured", "within expiry", "\u2013", "\u00a0", "*", "'s", "#", "641:07", "ABC:12", "XX",
)  # fmt: skip
GLUE = st.sampled_from(("", " ", " ", " ", "  ", "\n"))
PROSE = st.lists(st.tuples(st.sampled_from(PIECES), GLUE), max_size=40).map(
    lambda parts: "".join(piece + glue for piece, glue in parts)
)
TEXTS = st.one_of(PROSE, st.text(max_size=200))
LIKE_A_LOT = re.compile(r"(?=[A-Z0-9]*[0-9])(?=[A-Z0-9]*[A-Z])[A-Z0-9]{6,12}")
CODES = st.from_regex(LIKE_A_LOT, fullmatch=True)
FRAMES = (
    "Lot {}", "Lot {} Exp 8/27", "see {} for more", "{}", "Exp 8/27 {}", "Lots QX1 ({}) QX2",
    "Item # 4711 {}", "except {}", "made 8/27 {}", "30 count {} bottles", "original lot {}",
    "All lots, {}", "Serial numbers {}", "QX101 to {}", "code {}", "lot SAC {}, 8/27 {}",
    "Lot, product {}", "a) thing {} b) {}", "Lot QX1 - {}", "NDC 012660-0002 {}",
    "Exp 8/27 10:00am {}",
)  # fmt: skip
FLOODS = (
    "Lot ", "all lots ", "1", "1 ", "1-", "1/", "1.", "a) ", "NDC 99001-123-30 ", "UPC 1 2 3 ",
    "Exp 8/27, ", "Dec ", "12 . ", "(", "original lot Q12345 ", "Q12345 through ", "30 count ",
    "Item # 12345, ", "QX1, ", "all " + "a-" * 9, "between 1 and ", "NDC ", "A", "12:", "exp1",
    "Dec 1 -  ", "0405201:  @ ", "AB1 - 1 ", "1s; ", "NDC 012660-0002 ",
    "QX1 Exp 8/27; QX2. ", "1exp",
)  # fmt: skip


def _read(codes: str, description: str = TWO, more: str = "") -> ParsedRecall:
    return parse(Notice("D-0001-2027", description, codes, more))


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_is_read_and_every_place_lies_in_its_field(
    description: str, codes: str, more: str
) -> None:
    notice = Notice("D-0001-2027", description, codes, more)
    for place in parse(notice).unresolved:
        text = notice.text_of(place.field)
        assert 0 <= place.start <= place.end <= len(text)
        assert place.text == text[place.start : place.end]


@given(TEXTS)
def test_a_notice_that_recalls_nothing_readable_is_flagged(codes: str) -> None:
    parsed = _read(codes, ONE)
    assert parsed.pairs or parsed.all_lots or parsed.unresolved


@given(CODES, st.sampled_from(FRAMES))
@example("EXP2027", "Lot {}")
def test_a_code_like_a_lot_is_in_a_pair_or_flagged(code: str, frame: str) -> None:
    parsed = _read(frame.format(code, code), ONE)
    read = " ".join(pair.lot for pair in parsed.pairs)
    shown = " ".join(place.text for place in parsed.unresolved)
    for token in tokenise(code):
        if token.has_digit and len(token.text) >= 4:
            assert token.text in f"{read} {shown}"


@given(PROSE, st.sampled_from(("\n", "\r", "\t", "\u00a0", "\u2028")))
def test_line_breaks_count_as_blanks(codes: str, blank: str) -> None:
    def essence(parsed: ParsedRecall) -> object:
        places = [(place.field, place.start, place.end) for place in parsed.unresolved]
        return parsed.pairs, parsed.all_lots, places

    broken = codes.replace(" ", blank)
    assert essence(_read(broken, TWO.replace(" ", blank))) == essence(_read(codes))


def test_line_breaks_change_no_example() -> None:
    for known in EXAMPLES:
        broken = _read(known.codes.replace(" ", "\n"), known.description.replace(" ", "\n"))
        assert broken.pairs == _read(known.codes, known.description).pairs


@given(TEXTS)
def test_tokens_are_the_text_without_its_blanks(text: str) -> None:
    source = fold(text)
    tokens = tokenise(source)
    assert len(source) == len(text)
    assert all(source[token.start : token.end] == token.text for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(source.split())


def _calls(text: str) -> int:
    """Return how many calls of functions it takes to read a text."""
    count = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        del frame, event, arg
        count += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        _read(text, text)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("flood", FLOODS)
def test_twice_the_text_takes_at_most_twice_the_steps(flood: str) -> None:
    once = flood * (2_000 // len(flood))
    assert _calls(once * 2) <= 2 * _calls(once) + 500


@pytest.mark.parametrize("flood", ["Q1-", "Lot Q7 to ", "NDC 99001-123-30 "])
def test_a_flood_of_100_kb_is_read(flood: str) -> None:
    parsed = _read(flood * (100_000 // len(flood)))
    assert parsed.pairs or parsed.unresolved
