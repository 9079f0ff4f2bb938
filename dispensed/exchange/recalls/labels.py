"""Labels of sub-lists, `a) ... b) ...`, that tie lots of one field to the NDCs of another."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A label at its place; `ordinal` 1 stands for a) as well as for 1)."""

    start: int
    end: int
    ordinal: int


_CLOSED = re.compile(r"(?<![0-9A-Za-z-])(?:\(\s?)?(?:([A-Za-z])|([0-9]{1,2}))\.?\s?\)")
_DOTTED = re.compile(r"(?=[0-9A-Z])(?<![0-9A-Za-z.])(?:([A-Z])|([0-9]{1,2}))[.:](?=\s)")
_BARE = re.compile(r"(?<![0-9A-Za-z/.'#-])([a-z])()(?=\s+[0-9A-Z][0-9A-Z-]{3})")
_JOINED = re.compile(
    r"(?<![0-9A-Za-z/.'#-])([a-z])()\s{0,2}(?:&|,|/|and\b)\s{0,2}(?=(?:and\s)?(?:[a-z]\s{0,2}"
    r"(?:&|,|/|and\b)\s{0,2}){0,4}[a-z]\s?\))"
)
_ORDINAL_MAX = 40


def find_labels(text: str) -> tuple[Label, ...]:
    """Return the labels of a text; a single one without its neighbours is none."""
    for pattern in (_CLOSED, _DOTTED):
        if pattern is _CLOSED and ")" not in text:
            continue
        for labels in _both_kinds(text, pattern):
            ordinals = {label.ordinal for label in labels}
            if {1, 2} <= ordinals:
                return tuple(label for label in labels if _is_chained(label.ordinal, ordinals))
    return ()


def find_known_labels(text: str, known: frozenset[int]) -> tuple[Label, ...]:
    """Return the labels of a text, also a single one when it is known from another text."""
    labels = find_labels(text)
    if not known:
        return labels
    if labels:
        return _with_joined(text, _with_bare(text, labels, known), known)
    for labels in _both_kinds(text, _CLOSED) if ")" in text else ():
        if labels and {label.ordinal for label in labels} <= known:
            return _with_joined(text, _with_bare(text, labels, known), known)
    return ()


def _with_joined(text: str, labels: tuple[Label, ...], known: frozenset[int]) -> tuple[Label, ...]:
    """Add the labels that share the parenthesis of the next: `(a & b)`, `a, b and c)`."""
    starts = {label.start for label in labels}
    joined = tuple(
        label
        for label in _both_kinds(text, _JOINED)[0]
        if label.ordinal in known and label.start not in starts
    )
    return tuple(sorted((*labels, *joined), key=lambda label: label.start))


def _with_bare(text: str, labels: tuple[Label, ...], known: frozenset[int]) -> tuple[Label, ...]:
    """Add a label that has lost its parenthesis, `b 0005412`, where just that one is missing."""
    missing = known - {label.ordinal for label in labels}
    bare = tuple(
        label
        for label in _both_kinds(text, _BARE)[0]
        if label.ordinal in missing and label.start > labels[0].start
    )
    return tuple(sorted((*labels, *bare), key=lambda label: label.start))


def _is_chained(ordinal: int, ordinals: set[int]) -> bool:
    return ordinal == 1 or ordinal - 1 in ordinals


def _both_kinds(text: str, pattern: re.Pattern[str]) -> tuple[tuple[Label, ...], ...]:
    """Return the labels that are letters, and those that are numbers."""
    letters: list[Label] = []
    numbers: list[Label] = []
    for match in pattern.finditer(text):
        letter, number = match.groups()
        ordinal = ord(letter.lower()) - ord("a") + 1 if letter else int(number)
        if 0 < ordinal <= _ORDINAL_MAX:
            (letters if letter else numbers).append(Label(match.start(), match.end(), ordinal))
    return tuple(letters), tuple(numbers)
