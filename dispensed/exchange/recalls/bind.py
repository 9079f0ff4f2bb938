"""Which expiry and which NDCs each lot of a notice has."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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
    for claim in claims:
        before = [label for label in labels if label.start <= claim.start]
        if before:
            found[before[-1].ordinal][claim.value] = None
    if not found:
        return {}
    bare = [ordinal for ordinal, values in found.items() if not values]
    if bare and len(ndcs) == 1:
        return dict.fromkeys(found, ndcs)
    if len(bare) == len(found) - 1 and len(ndcs) == len(found):
        return {ordinal: (ndc,) for ordinal, ndc in zip(sorted(found), ndcs, strict=True)}
    return {ordinal: tuple(values) for ordinal, values in found.items()}


def _features(source: str, claims: tuple[Claim, ...]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    start = 0
    for claim in claims:
        before = features_of(source[start : claim.start])
        start = claim.end
        after = frozenset[str]()
        if source[claim.end : claim.end + 2].strip().startswith("("):
            close = source.find(")", claim.end)
            if close > 0:
                after = features_of(source[claim.end : close])
                start = close + 1
        found[claim.value] = found.get(claim.value, frozenset()) | before | after
    return found


def features_of(source: str) -> frozenset[str]:
    """Return the quantities and the telling words of a text."""
    features: set[str] = set()
    number = ""
    for token in tokenise(source):
        lower = token.lower
        if token.is_mark:
            number = number if lower in "-," else ""
            continue
        amount = lower.rstrip("abcdefghijklmnopqrstuvwxyz").rstrip("-")
        unit = UNITS.get(lower[len(amount) :].lstrip("-").partition("-")[0], "")
        if unit and (amount or number):
            features.add(f"{amount or number} {unit}")
        elif token.is_word:
            features.add(UNITS.get(lower, lower))
        number = lower if token.has_digit and not unit else ""
    return frozenset(feature for feature in features - IDLE if len(feature) > 1)


def bind_expiries(events: Sequence[Event], doubts: list[Doubt]) -> list[str | None]:
    """Return the expiry of each lot, in order; what cannot be told goes to `doubts`."""
    chain = [event for event in events if isinstance(event, Lot | Expiry)]
    total = sum(isinstance(event, Lot) for event in chain)
    values: list[str | None] = [None] * total
    if not chain or not total:
        return values
    dates_first = isinstance(chain[0], Expiry) and not isinstance(chain[-1], Expiry)
    for lots, dates in _runs(chain, dates_first=dates_first):
        _share(lots, dates, values, doubts)
    return values


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
    named = _by_side(events, _named_here)
    labelled = _by_side(events, _label_reader(events, products, doubts))
    headed = _by_side(events, _heading_reader(products))
    found: list[tuple[str, ...]] = []
    for own, label, head in zip(named, labelled, headed, strict=True):
        if own is not None:
            found.append(own)
        elif label is not None:
            found.append(label)
        elif head is not None:
            found.append(head)
        else:
            found.append(products.ndcs)
    return found


class _Side:
    """A rule that reads NDCs from one kind of event; None for events of other kinds."""

    forward_only = False

    def ndcs(self, event: Event) -> _Answer:
        """Return the NDCs this event names."""
        raise NotImplementedError


class _Named(_Side):
    def ndcs(self, event: Event) -> _Answer:
        return (event.ndc,) if isinstance(event, NdcNamed) else None


class _Labels(_Side):
    forward_only = True

    def __init__(self, by_label: dict[int, tuple[str, ...]]) -> None:
        self._by_label = by_label

    def ndcs(self, event: Event) -> _Answer:
        if isinstance(event, Labelled):
            return self._by_label.get(event.ordinal)
        return None


class _Headings(_Side):
    def __init__(self, products: Products) -> None:
        self._products = products

    def ndcs(self, event: Event) -> _Answer:
        if not isinstance(event, Heading):
            return None
        quantities = {feature for feature in event.features if feature[:1].isdigit()}
        left = self._having(event.features) or self._having(quantities)
        return tuple(ndc for ndc in self._products.ndcs if ndc in left) or None

    def _having(self, features: Iterable[str]) -> set[str]:
        """Return the NDCs that have all of those features that tell NDCs apart."""
        everything = set(self._products.ndcs)
        left = everything
        for feature in features:
            having = {ndc for ndc, own in self._products.features.items() if feature in own}
            if having and having != everything:
                left = left & having
        return left if left != everything else set()


_named_here = _Named()


def _heading_reader(products: Products) -> _Side:
    return _Headings(products)


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


def _by_side(events: Sequence[Event], side: _Side) -> list[_Answer]:
    """Return for each lot the NDCs named before it; after it, where the first lot comes first."""
    relevant = [event for event in events if isinstance(event, Lot) or side.ndcs(event) is not None]
    forward = (
        side.forward_only
        or not relevant
        or not isinstance(relevant[0], Lot)
        or isinstance(relevant[-1], Lot)
    )
    if not forward:
        relevant.reverse()
    answers: list[_Answer] = []
    current: dict[str, None] | None = None
    after_lot = False
    for event in relevant:
        ndcs = side.ndcs(event)
        if ndcs is None:
            answers.append(None if current is None else tuple(current))
            after_lot = True
            continue
        if current is None or after_lot:
            current = {}
        current.update(dict.fromkeys(ndcs))
        after_lot = False
    if not forward:
        answers.reverse()
    return answers
