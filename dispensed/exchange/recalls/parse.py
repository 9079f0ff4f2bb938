"""A recall notice's free text as exact NDC, lot and expiry; what is not understood is flagged.

Sources: openFDA drug enforcement API, fields `product_description` and `code_info` (free text; no
grammar is published); 21 CFR 7.42 (what a recall communication names) and 21 CFR 7.3 (classes);
21 CFR 207.33 for NDCs, 21 CFR 201.17 for expiration dates and 201.18 for lot numbers. The rules
come from how notices are written and are not proven complete; that is why every code that could
be a lot ends up in a pair or in `unresolved`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dispensed.exchange.recalls.bind import Products, bind_expiries, bind_ndcs, read_products
from dispensed.exchange.recalls.events import Doubt, Lot, Reason
from dispensed.exchange.recalls.labels import find_known_labels
from dispensed.exchange.recalls.ndcs import find_claims
from dispensed.exchange.recalls.notice import Notice
from dispensed.exchange.recalls.scan import Reader
from dispensed.exchange.recalls.tokens import fold, tokenise
from dispensed.exchange.recalls.whole import AllLots, find_all_lots

PAIRS_MAX = 20_000
"""Where lots times NDCs exceed this, the lots are given without NDCs, and flagged."""

_NAME = re.compile(r"[A-Za-z]{5}")
_OF_LOTS = frozenset({Reason.RANGE, Reason.PART, Reason.SUFFIX})
"""The doubts that matter in a description; most of its numbers are no lots."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One recalled lot of one product; `expiry` is YYYY-MM or YYYY-MM-DD, None if not printed."""

    ndc: str | None
    lot: str
    expiry: str | None


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A stretch `start:end` of a field that a person must read."""

    field: str
    start: int
    end: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class ParsedRecall:
    """What a notice recalls, as far as its text could be read."""

    recall_number: str
    all_lots: bool
    pairs: tuple[Pair, ...]
    unresolved: tuple[Unresolved, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one text gave."""

    pairs: tuple[Pair, ...]
    doubts: list[Doubt]
    whole: tuple[AllLots, ...]
    lots: tuple[Lot, ...]


def parse(notice: Notice) -> ParsedRecall:
    """Read a notice; never raises for any text, never guesses."""
    products = read_products(fold(notice.product_description))
    text = (
        f"{notice.code_info} {notice.more_code_info}"
        if notice.more_code_info
        else (notice.code_info)
    )
    seam = len(notice.code_info)
    described = _read(notice.product_description, products, frozenset(), seam=None)
    names = _names(fold(notice.product_description), described.lots)
    cut = notice.more_code_info[:1].strip() and notice.code_info[-1:].strip()
    codes = _read(text, products, names, seam=seam if cut else -1)
    pairs, whole = codes.pairs, any(not place.part for place in codes.whole)
    codes.doubts.extend(_doubts_of_all(codes))
    doubts: list[Doubt] = []
    if pairs or whole:
        known = {pair.lot for pair in pairs}
        doubts += (
            Doubt(lot.start, lot.end, Reason.IN_DESCRIPTION)
            for lot in described.lots
            if lot.text not in known
        )
    else:
        pairs, whole = described.pairs, any(not place.part for place in described.whole)
        doubts += (doubt for doubt in described.doubts if doubt.reason in _OF_LOTS)
        doubts += _doubts_of_all(described)
    if not pairs and not whole:
        codes.doubts.append(Doubt(0, seam, Reason.NO_LOT))
    doubts += (doubt for doubt in described.doubts if doubt.reason is Reason.NO_NDC)
    unresolved = (
        *_placed("product_description", notice.product_description, 0, doubts),
        *_placed("code_info", notice.code_info, 0, codes.doubts),
        *_placed("more_code_info", notice.more_code_info, seam + 1, codes.doubts),
    )
    return ParsedRecall(notice.recall_number, whole, _once(pairs), unresolved)


def _once(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Drop repeated pairs, and those without an expiry that stand elsewhere with one."""
    dated = {(pair.ndc, pair.lot) for pair in pairs if pair.expiry is not None}
    return tuple(
        pair
        for pair in dict.fromkeys(pairs)
        if pair.expiry is not None or (pair.ndc, pair.lot) not in dated
    )


def _doubts_of_all(part: _Part) -> Iterator[Doubt]:
    """Flag words on all lots that are narrowed, or stand beside a list of lots."""
    for place in part.whole:
        if place.part:
            yield Doubt(place.start, place.end, Reason.PART)
        elif part.pairs:
            yield Doubt(place.start, place.end, Reason.ALL_AND_LIST)
        elif place.limited:
            yield Doubt(place.start, place.end, Reason.ALL_LIMITED)


def _names(source: str, lots: Iterable[Lot]) -> frozenset[str]:
    """Return the names with digits that a description has for its products, in lower case."""
    own = {lot.text.lower() for lot in lots}
    return frozenset(
        token.lower
        for token in tokenise(source)
        if token.has_digit and token.lower not in own and _NAME.search(token.text)
    )


def _read(text: str, products: Products, names: frozenset[str], *, seam: int | None) -> _Part:
    """Read one text; `seam` is where it was cut in two, -1 for a whole one.

    None means a description, in which nothing is a lot without a word that says so.
    """
    described = seam is None
    source = fold(text)
    labels = find_known_labels(source, frozenset(products.by_label))
    reading = Reader(source, find_claims(source), labels, names, needs_word=described).read()
    doubts = list(reading.doubts)
    if not any(isinstance(event, Lot) for event in reading.events):
        reading.events.extend(reading.other_lots)
        reading.events.sort(key=lambda event: event.start)
    else:
        doubts += (Doubt(lot.start, lot.end, Reason.OTHER_LOT) for lot in reading.other_lots)
    lots = tuple(event for event in reading.events if isinstance(event, Lot))
    expiries = bind_expiries(source, reading.events, doubts)
    ndcs = bind_ndcs(reading.events, products, doubts)
    if sum(len(own) for own in ndcs) > PAIRS_MAX:
        doubts.append(Doubt(0, len(text), Reason.NDC))
        ndcs = [()] * len(lots)
    pairs: list[Pair] = []
    for lot, expiry, own in zip(lots, expiries, ndcs, strict=True):
        if seam is not None and seam >= 0 and seam in {lot.end, lot.start - 1}:
            doubts.append(Doubt(lot.start, lot.end, Reason.CUT))
        else:
            pairs += (Pair(ndc, lot.text, expiry) for ndc in own or (None,))
    return _Part(tuple(pairs), doubts, find_all_lots(source), lots)


def _placed(field: str, text: str, offset: int, doubts: Iterable[Doubt]) -> Iterator[Unresolved]:
    """Yield the doubts that lie in a field which begins at `offset` of the text that was read."""
    ordered = sorted(set(doubts), key=lambda doubt: (doubt.start, doubt.end, doubt.reason))
    for doubt in ordered:
        start = max(0, doubt.start - offset)
        end = min(len(text), doubt.end - offset)
        if start < end or (doubt.reason is Reason.NO_LOT and offset == 0):
            yield Unresolved(field, start, end, text[start:end], doubt.reason.value)
