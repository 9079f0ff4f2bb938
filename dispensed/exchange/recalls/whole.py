"""Whether a notice recalls all lots of its products, in so many words."""

import re
from dataclasses import dataclass

_ADJECTIVE = (
    r"(?:(?!following\b|above\b|below\b|listed\b|of\b|with\b|exp|these\b|those\b|have\b|presentations)"
    r"[A-Za-z-]+(?:/[A-Za-z]+)?\s+){0,3}?"
)
_THINGS = r"(?:lots?|batch(?:es)?|codes?|products?|units|bottles|serials?)"
_ALL = re.compile(
    rf"\b(?:all|any|every|entire)\s+(?:of\s+the\s+)?{_ADJECTIVE}{_THINGS}\b"
    r"(?:\s*/\s*[A-Za-z]+)*(?:\s+(?:numbers?|codes?|nos?\.?|\#s?))?",
    re.IGNORECASE,
)
_ALL_WITHIN = re.compile(
    r"\ball\s+(?:within|unexpired|remaining)\b|\ball\b[^;]{0,80}\b(?:subject\s+to\s+recall|recalled)"
    r"|\b(?:lots?|batch(?:es)?)\b[\s#:'s(numbers)]{0,12}\ball\b(?=\s*(?:[.;,]|[a-z]\)|\Z))",
    re.IGNORECASE,
)
_ANY_OF_ALL = ("all", "any", "every", "entire")
"""One of these is in all such words; a quick first look."""
_ONLY_ALL = re.compile(r"\W*all\W*", re.IGNORECASE)
_NOT_BEFORE = re.compile(r"\bnot\s+\Z", re.IGNORECASE)
_PART_AFTER = re.compile(
    r"\s*(?:numbers?\s*)?(?:that\s+|which\s+|are\s+)?(?:beginning|begin|starting|start|ending|end|"
    r"containing|prefix|(?:listed|shown|given)?\s*(?:above|below)|listed\b|with\s+(?:the\s+)?"
    r"(?:prefix|suffix|lot\s+number))",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"\b(?:between|compounded|distributed|manufactured|shipped|sold|labell?ed|prior|before|after|"
    r"through|until|from|expiry\s+date|bear|stamped|except\w*|exclud\w*|purchased|made|with\s+use|"
    r"on\s+or)\b|[0-9]/[0-9]|\b20[0-9]{2}\b",
    re.IGNORECASE,
)
_AFTER_LENGTH = 120
_NOT_LENGTH = 8


@dataclass(frozen=True, slots=True)
class AllLots:
    """The words that say so; `limited` when more words narrow them."""

    start: int
    end: int
    limited: bool
    part: bool = False
    """Only the lots with some part of their number in common; not all lots."""


def find_all_lots(source: str) -> tuple[AllLots, ...]:
    """Return every place of a folded text that speaks of all lots."""
    whole = _ONLY_ALL.fullmatch(source)
    if whole is not None:
        return (AllLots(0, len(source), limited=False),)
    lower = source.lower()
    if not any(word in lower for word in _ANY_OF_ALL):
        return ()
    matches = [*_ALL.finditer(source), *_ALL_WITHIN.finditer(source)]
    found: list[AllLots] = []
    end = 0
    for match in sorted(matches, key=lambda match: (match.start(), -match.end())):
        before = max(0, match.start() - _NOT_LENGTH)
        if match.start() < end or _NOT_BEFORE.search(source, before, match.start()):
            continue
        end = match.end()
        part = _PART_AFTER.match(source, end) is not None
        limited = _LIMIT.search(source, end, end + _AFTER_LENGTH) is not None
        found.append(AllLots(match.start(), end, limited, part))
    return tuple(found)
