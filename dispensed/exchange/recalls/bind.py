"""Which expiry and which NDCs each lot of a notice has."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from dispensed.exchange.recalls.events import (
    Doubt,
    Event,
    Expiry,
    Heading,
    Labelled,
    Lot,
    NdcNamed,
    Reason,
)
from dispensed.exchange.recalls.labels import find_labels
from dispensed.exchange.recalls.ndcs import Claim, find_claims, ndcs_of
from dispensed.exchange.recalls.tokens import tokenise
from dispensed.exchange.recalls.words import IDLE, UNITS

_GROUP_LENGTH = 3
_SEGMENTS = 3
_CLAUSES_MIN = 3
_PIECES = ("tablet", "capsule", "caplet")
"""Units that are counted: 90 tablets are a count of 90."""
_LIST_MARK = re.compile(
    r"\s*(?:[,;.&/]\s*(?:and\b|or\b)?|and\b|or\b)\s*(?:ndc)?[\s#:]*", re.IGNORECASE
)
"""What may stand between two NDCs of one list."""


@dataclass(frozen=True, slots=True)
class Products:
    """What a description says of a notice's products."""

    ndcs: tuple[str, ...]
    by_label: dict[int, tuple[str, ...]]
    features: dict[str, frozenset[str]]
    """Words and quantities beside each NDC."""


def read_products(source: str) -> Products:
    """Read the NDCs of a folded description, with what tells them apart."""
    claims = ndcs_of(find_claims(source))
    ndcs = tuple(dict.fromkeys(claim.value for claim in claims))
    return Products(ndcs, _by_label(source, claims, ndcs), _features(source, claims))


def _by_label(
    source: str, claims: tuple[Claim, ...], ndcs: tuple[str, ...]
) -> dict[int, tuple[str, ...]]:
    """Return the NDCs of each labelled part; one NDC alone, or a list in order, serves all."""
    labels = find_labels(source)
    found: dict[int, dict[str, None]] = {label.ordinal: {} for label in labels}
    starts = [label.start for label in labels]
    for claim in claims:
        place = bisect_right(starts, claim.start)
        if place:
            found[labels[place - 1].ordinal][claim.value] = None
    if not found:
        return {}
    bare = [ordinal for ordinal, values in found.items() if not values]
    if bare and len(ndcs) == 1:
        return dict.fromkeys(found, ndcs)
    if len(bare) == len(found) - 1 and len(ndcs) == len(found):
        return {ordinal: (ndc,) for ordinal, ndc in zip(sorted(found), ndcs, strict=True)}
    return {ordinal: tuple(values) for ordinal, values in found.items()}


def _features(source: str, claims: tuple[Claim, ...]) -> dict[str, frozenset[str]]:
    """Return the features beside each NDC; NDCs in a bare list share theirs, if they are clear.

    A word that stands between `NDC` and one number, or in brackets after it, is of no other NDC.
    """
    found: dict[str, frozenset[str]] = {}
    own: dict[str, frozenset[str]] = {}
    start = 0
    run: list[str] = []
    bare_is_clear = False
    for claim in claims:
        before, clear = _features_of(source[start : claim.start])
        _, _, title = source[start : claim.start].rpartition("NDC")
        titled = _features_of(title)[0] if "NDC" in source[start : claim.start] else frozenset()
        near = _LIST_MARK.fullmatch(source, start, claim.start) is not None
        start = claim.end
        after = frozenset[str]()
        if source[claim.end : claim.end + 2].strip().startswith("("):
            close = source.find(")", claim.end)
            if close > 0:
                after, _ = _features_of(source[claim.end : close])
                start = close + 1
        if run and near and not before and not after:
            shared = found[run[0]] if bare_is_clear else frozenset[str]()
            run.append(claim.value)
            found.update(dict.fromkeys(run, shared))
            continue
        bare_is_clear = clear and bool(run)
        run = [claim.value]
        found[claim.value] = found.get(claim.value, frozenset()) | before | after
        own[claim.value] = own.get(claim.value, frozenset()) | after | titled
    titles = {word for words in own.values() for word in words}
    for ndc, words in own.items():
        found[ndc] = (found[ndc] - titles) | words
    return found


def _features_of(source: str) -> tuple[frozenset[str], bool]:
    """Return the quantities and telling words of a text, and whether each unit occurs once.

    Of several quantities in one unit the last counts: it stands nearest to the NDC.
    """
    words: set[str] = set()
    amounts: dict[str, str] = {}
    clear = True
    number = ""
    group = False
    for token in tokenise(source):
        lower = token.lower
        if token.is_mark:
            number = number if lower in "-," else ""
            group = lower == ","
            continue
        amount = lower.rstrip("abcdefghijklmnopqrstuvwxyz").rstrip("-")
        unit = UNITS.get(lower[len(amount) :].lstrip("-").partition("-")[0], "")
        if unit and (amount or number):
            clear = clear and amounts.get(unit, amount or number) == (amount or number)
            amounts[unit] = amount or number
        elif token.is_word and len(lower) > 1:
            words.add(UNITS.get(lower, lower))
        joined = group and number.isdigit() and len(lower) == _GROUP_LENGTH
        number = "" if unit or not token.has_digit else (number + lower if joined else lower)
        group = False
    if "count" in amounts:
        amounts = {**dict.fromkeys(_PIECES, amounts["count"]), **amounts}
    elif sum(unit in amounts for unit in _PIECES) == 1:
        amounts["count"] = next(amounts[unit] for unit in _PIECES if unit in amounts)
    return frozenset(words - IDLE) | frozenset(f"{n} {unit}" for unit, n in amounts.items()), clear


def bind_expiries(source: str, events: Sequence[Event], doubts: list[Doubt]) -> list[str | None]:
    """Return the expiry of each lot, in order; what cannot be told goes to `doubts`.

    `source` is the folded text of the events.
    """
    chain = [event for event in events if isinstance(event, Lot | Expiry)]
    total = sum(isinstance(event, Lot) for event in chain)
    values: list[str | None] = [None] * total
    if not chain or not total:
        return values
    if _ends_clauses(source, chain):
        _share_clauses(source, chain, values, doubts)
        return values
    dates_first = isinstance(chain[0], Expiry) and not isinstance(chain[-1], Expiry)
    for lots, dates in _runs(chain, dates_first=dates_first):
        _share(lots, dates, values, doubts)
    return values


def _ends_clauses(source: str, chain: Sequence[Lot | Expiry]) -> bool:
    """Return whether each date stands inside a sentence that goes on with a further lot.

    `Lot A1; Exp 1/27; Other Lot B1. Lot A2; Exp 2/27; Other Lot B2.`
    """
    clauses = 0
    ended = True
    for before, event in pairwise(chain):
        gap = source[before.end : event.start]
        if isinstance(before, Expiry):
            if not ended or isinstance(event, Expiry) or not gap.startswith(";"):
                return False
            ended = False
            clauses += 1
        elif isinstance(event, Lot):
            ended = ended or gap.startswith(".")
    return clauses >= _CLAUSES_MIN and isinstance(chain[0], Lot)


def _share_clauses(
    source: str,
    chain: Sequence[Lot | Expiry],
    values: list[str | None],
    doubts: list[Doubt],
) -> None:
    """Give the lots of each sentence the date in it."""
    lots: list[int] = []
    dates: list[Expiry] = []
    number = 0
    end = chain[0].start
    for event in chain:
        if source[end : event.start].startswith(".") and dates and lots:
            _share(lots, dates, values, doubts)
            lots, dates = [], []
        end = event.end
        if isinstance(event, Lot):
            lots.append(number)
            number += 1
        else:
            dates.append(event)
    _share(lots, dates, values, doubts)


def _runs(
    chain: Sequence[Lot | Expiry], *, dates_first: bool
) -> Iterator[tuple[list[int], list[Expiry]]]:
    """Yield lots, as numbers in their order, with the dates that stand beside them."""
    lots: list[int] = []
    dates: list[Expiry] = []
    number = 0
    for event in chain:
        opens = isinstance(event, Expiry) == dates_first
        if opens and (dates if not dates_first else lots):
            yield lots, dates
            lots, dates = [], []
        if isinstance(event, Lot):
            lots.append(number)
            number += 1
        else:
            dates.append(event)
    yield lots, dates


def _share(
    lots: list[int], dates: list[Expiry], values: list[str | None], doubts: list[Doubt]
) -> None:
    """Give lots their one date, or each its own of as many dates."""
    doubts.extend(Doubt(date.start, date.end, Reason.EXPIRY) for date in dates if date.problem)
    if not lots or not dates:
        return
    different = {date.value for date in dates}
    if len(different) == 1:
        for lot in lots:
            values[lot] = dates[0].value
    elif len(lots) == len(dates):
        for lot, date in zip(lots, dates, strict=True):
            values[lot] = date.value
    else:
        doubts.append(Doubt(dates[0].start, dates[-1].end, Reason.EXPIRY))


_Answer = tuple[str, ...] | None
"""NDCs of a lot; None where nothing beside the lot tells."""


def bind_ndcs(
    events: Sequence[Event], products: Products, doubts: list[Doubt]
) -> list[tuple[str, ...]]:
    """Return the NDCs of each lot, in order; empty for a lot whose notice has none for it."""
    known = {_normal(ndc) for ndc in products.ndcs}
    doubts.extend(
        Doubt(event.start, event.end, Reason.NDC_DIFFERS)
        for event in events
        if known and isinstance(event, NdcNamed) and _normal(event.ndc) not in known
    )
    labels = _label_reader(events, products, doubts)
    named = _by_side(events, _Named(events, labels))
    labelled = _by_side(events, labels)
    heading_doubts: list[Doubt] = []
    headed = _by_side(events, _Headings(products, heading_doubts), bounded=True)
    found: list[tuple[str, ...]] = []
    by_heading = False
    for own, label, head in zip(named, labelled, headed, strict=True):
        told = label if own is None else own
        by_heading = by_heading or told is None
        if told is None:
            told = head
        found.append(products.ndcs if told is None else told)
    if by_heading and len(products.ndcs) > 1:
        bound = any(head is not None for head in headed)
        doubts.extend(heading_doubts if bound else _unbound(events))
    return found


def _normal(ndc: str) -> str:
    """Return the digits of an NDC, its segments padded as for billing where it has three."""
    segments = ndc.split("-")
    if len(segments) != _SEGMENTS:
        return ndc.replace("-", "")
    return segments[0].zfill(5) + segments[1].zfill(4) + segments[2].zfill(2)


class _Side(Protocol):
    """A rule that reads NDCs from one kind of event; None for events of other kinds."""

    def ndcs(self, event: Event) -> _Answer:
        """Return the NDCs this event names."""
        ...


class _Named:
    """NDCs among the lots; a label of other NDCs after their lots ends them."""

    def __init__(self, events: Sequence[Event], labels: _Side) -> None:
        self._ending: dict[int, tuple[str, ...]] = {}
        last = ""
        used = False
        ending: dict[int, tuple[str, ...]] = {}
        for event in events:
            if isinstance(event, NdcNamed):
                last, used, ending = _normal(event.ndc), False, {}
            elif isinstance(event, Lot):
                used = bool(last)
                self._ending.update(ending)
            elif used and isinstance(event, Labelled):
                ndcs = labels.ndcs(event)
                if ndcs and last not in {_normal(ndc) for ndc in ndcs}:
                    ending = {event.start: ndcs}

    def ndcs(self, event: Event) -> _Answer:
        if isinstance(event, Labelled):
            return self._ending.get(event.start)
        return (event.ndc,) if isinstance(event, NdcNamed) else None


class _Labels:
    def __init__(self, by_label: dict[int, tuple[str, ...]]) -> None:
        self._by_label = by_label

    def ndcs(self, event: Event) -> _Answer:
        if isinstance(event, Labelled):
            return self._by_label.get(event.ordinal)
        return None


class _Headings:
    def __init__(self, products: Products, doubts: list[Doubt]) -> None:
        self._products = products
        self._doubts = doubts
        self._having: dict[str, set[str]] = {}
        for ndc, features in products.features.items():
            for feature in features:
                self._having.setdefault(feature, set()).add(ndc)
        self._telling = {
            feature for feature, ndcs in self._having.items() if len(ndcs) < len(products.ndcs)
        }
        self._words = {feature for feature in self._telling if not _is_quantity(feature)}
        self._units = {_unit(feature) for feature in self._telling if _is_quantity(feature)}

    def ndcs(self, event: Event) -> _Answer:
        if not isinstance(event, Heading) or len(self._products.ndcs) == 1 or not self._telling:
            return None
        quantities = [f for f in event.features if _is_quantity(f) and _unit(f) in self._units]
        everything = set(self._products.ndcs)
        left = self._common(everything, quantities)
        if not left:
            self._doubts.append(Doubt(event.start, event.end, Reason.NDC))
            return self._products.ndcs
        left = self._common(left, self._words & event.features) or left
        if left == everything and not quantities:
            return None
        return tuple(ndc for ndc in self._products.ndcs if ndc in left)

    def _common(self, ndcs: set[str], features: Iterable[str]) -> set[str]:
        for feature in features:
            ndcs = ndcs & self._having.get(feature, set())
        return ndcs


def _is_quantity(feature: str) -> bool:
    return feature[:1].isdigit()


def _unit(feature: str) -> str:
    return feature.rpartition(" ")[2]


def _unbound(events: Sequence[Event]) -> Iterator[Doubt]:
    """Yield the headings that differ in a quantity, so that they should have told NDCs apart."""
    headings = [event for event in events if isinstance(event, Heading)]
    amounts: dict[str, set[str]] = {}
    for heading in headings:
        for feature in filter(_is_quantity, heading.features):
            amounts.setdefault(_unit(feature), set()).add(feature)
    telling = {feature for many in amounts.values() if len(many) > 1 for feature in many}
    for heading in headings:
        if heading.features & telling:
            yield Doubt(heading.start, heading.end, Reason.NDC)


def _label_reader(events: Sequence[Event], products: Products, doubts: list[Doubt]) -> _Side:
    """Return what each label means: as the description has it, else by order, else unknown."""
    used = {event.ordinal for event in events if isinstance(event, Labelled)}
    if not used:
        return _Labels({})
    if products.by_label:
        known = products.by_label
    elif sorted(used) == list(range(1, len(products.ndcs) + 1)):
        known = {n: (ndc,) for n, ndc in enumerate(products.ndcs, start=1)}
    else:
        known = {}
    if len(products.ndcs) > 1:
        doubts.extend(
            Doubt(event.start, event.end, Reason.NDC)
            for event in events
            if isinstance(event, Labelled) and not known.get(event.ordinal)
        )
    return _Labels(known)


def _by_side(events: Sequence[Event], side: _Side, *, bounded: bool = False) -> list[_Answer]:
    """Return for each lot the NDCs named before it; after it, where the first lot comes first.

    With `bounded` what stands after lots is of those only that share their expiry with the last.
    """
    relevant = [event for event in events if isinstance(event, Lot) or side.ndcs(event) is not None]
    forward = not relevant or not isinstance(relevant[0], Lot) or isinstance(relevant[-1], Lot)
    if not forward:
        kept = {id(event) for event in relevant}
        ends = [event for event in events if bounded and isinstance(event, Expiry)]
        kept.update(id(event) for event in ends)
        relevant = [event for event in reversed(events) if id(event) in kept]
    answers: list[_Answer] = []
    current: dict[str, None] | None = None
    after_lot = False
    for event in relevant:
        if isinstance(event, Expiry):
            current = None if after_lot else current
            continue
        ndcs = side.ndcs(event)
        if ndcs is None:
            answers.append(None if current is None else tuple(current))
            after_lot = True
            continue
        if current is None or after_lot:
            current = {}
        named = (*current, *ndcs) if forward else (*ndcs, *current)
        current = dict.fromkeys(named)
        after_lot = False
    if not forward:
        answers.reverse()
    return answers
