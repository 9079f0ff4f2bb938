"""NDCs as recall notices write them, and the numbers beside them that are none.

Sources: 21 CFR 207.33 (labeler, product and package code: ten digits in 4-4-2, 5-3-2 or 5-4-1);
45 CFR 162.1002 and NCPDP billing use eleven digits in 5-4-2. Notices also give product-level codes
without the package, and undashed digits. An NDC stays as the notice has it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class ClaimKind(StrEnum):
    """What a stretch of text is, other than a lot or a date."""

    NDC = "ndc"
    OTHER_ID = "other id"
    PHONE = "phone"
    NO_NDC = "written as an ndc and none"


@dataclass(frozen=True, slots=True)
class Claim:
    """A stretch of text with its meaning; `value` is the NDC, or what kind of number it is."""

    start: int
    end: int
    kind: ClaimKind
    value: str


_DASHED = re.compile(
    r"(?=[0-9])(?:(?<![0-9A-Za-z])|(?<=NDC))(?<![0-9]-)([0-9]{4,6})\s{0,2}-\s{0,2}([0-9]{3,4})\s{0,2}-\s{0,2}"
    r"([0-9]{1,2}|XX?|\*\*?)(?!(?!(?-i:[A-Z][a-z]{3}))[0-9A-Za-z]|-[0-9A-Za-z])",
    re.IGNORECASE,
)
_LOOSE = re.compile(
    r"(?<![0-9A-Za-z])(?:([0-9]{4,5})[- ]([0-9]{3,4})[- ]([0-9]{1,2})|([0-9]{9,11})|"
    r"([0-9]{3})-([0-9]{3,4})-([0-9]{2})|"
    r"([0-9]{4,5})-([0-9]{3,4}))(?![0-9A-Za-z]|-[0-9])"
)
_MALFORMED = re.compile(r"[0-9]{2,}(?:-[0-9]{2,}){1,3}(?![0-9A-Za-z]|-[0-9])")
_SUFFIX = re.compile(r"\s{0,3}(?:,|/|&|and|or)?\s{0,3}-\s{0,2}([0-9]{1,2})(?![0-9A-Za-z]|-[0-9])")
_SLASHED = re.compile(r"/([0-9]{2})(?![0-9A-Za-z]|[-/][0-9])")
_NDC_WORD = re.compile(
    r"(?=N)\bN\.?D\.?C\.?(?:\s{0,2}(?:numbers?|nos?\b|codes?|'s|s\b|[#:.,(]|-(?=\s))){0,4}\s{0,3}"
    r"(?:\(?[a-z]\)\s{0,2})?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s{0,3}(?:,|;|&|/|and|or)?\s{0,3}(?:and|or|&)?\s{0,3}", re.IGNORECASE)
_OTHER_WORD = re.compile(
    r"(?=[A-Za-z])(?<![0-9A-Za-z])(?<!lot/)(?<!batch/)(upc|gtin|ean|bar\s?code|udi|item|sku|catalog(?:ue)?|cat|ref|part|model|"
    r"style|product\s(?:code|number|no|id|\#)|prod(?:uct)?\s?(?:\#|code)|service\scode|order|"
    r"material|pack\snumber|package\scode|list|rx|cas|anda|nda|din|npn|reorder|stock|formula|"
    r"label|insert|id|id\scode|reference|event|customer|article|preparation)s?"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:\s{0,4}(?:numbers?|nos?\b\.?|codes?|'s|s\b|id\b|is\b|on\s[a-z]{1,12}|[\#:.=]|-(?=\s)|\(s\))){0,5}\s{0,4}",
    re.IGNORECASE,
)
_BARCODE = re.compile(r"\(?[0-9][0-9() -]{6,24}[0-9](?![0-9A-Za-z])")
_IDENTIFIER = re.compile(r"[0-9A-Za-z]+(?:[-/.][0-9A-Za-z]+){0,6}")
_LIST_MARK = re.compile(r"\s*(?:,|&|and\b|/)\s*(?:and\b\s*)?|\s+", re.IGNORECASE)
_PHONE = re.compile(
    r"(?=[0-9(])(?<![0-9A-Za-z-])(?:1-?\s?)?(?:\([0-9]{3}\)\s{0,2}|[0-9]{3}[-. ])"
    r"[0-9]{3}[-.][0-9]{4}(?![0-9A-Za-z-])"
)
_BARCODE_WORDS = ("upc", "gtin", "ean", "bar")
_NUMBERED_ONLY = frozenset({"label", "insert", "order", "id", "formula", "event", "preparation"})
"""Words that announce an identifier only with a number sign or the word number after them."""

_LIST_MAX = 200


def find_claims(text: str) -> tuple[Claim, ...]:
    """Return the NDCs, other identifiers and phone numbers of a folded text, in order."""
    claims: list[Claim] = []
    if "-" in text or "." in text:
        _claim_phones(text, claims)
    _claim_other_ids(text, claims)
    if "-" in text or "nd" in text.lower() or "n.d" in text.lower():
        _claim_ndcs(text, claims)
    claims.sort(key=lambda claim: (claim.start, claim.end))
    return tuple(claims)


def ndcs_of(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Return only the NDCs."""
    return tuple(claim for claim in claims if claim.kind is ClaimKind.NDC)


def _claim_phones(text: str, claims: list[Claim]) -> None:
    claims.extend(
        Claim(match.start(), match.end(), ClaimKind.PHONE, "phone")
        for match in _PHONE.finditer(text)
    )


def _claim_other_ids(text: str, claims: list[Claim]) -> None:
    """Claim what follows words such as UPC or item number, with the rest of its list."""
    for word in _OTHER_WORD.finditer(text):
        name = " ".join(word.group(1).lower().split())
        filler = _FILLER.match(text, word.end())
        start = filler.end() if filler is not None else word.end()
        if name in _NUMBERED_ONLY and not text[word.end() : start].strip():
            continue
        if name.startswith(_BARCODE_WORDS):
            _claim_list(text, start, _BARCODE, name, claims)
        else:
            _claim_list(text, start, _IDENTIFIER, name, claims)


def _claim_list(
    text: str, start: int, pattern: re.Pattern[str], name: str, claims: list[Claim]
) -> None:
    """Claim an identifier and those of the same form that follow it in a list."""
    first = ""
    for _ in range(_LIST_MAX):
        match = pattern.match(text, start)
        if match is None or not any(char.isdigit() for char in match.group()):
            return
        found = match.group()
        if first and not _same_form(first, found):
            return
        first = first or found
        claims.append(Claim(start, match.end(), ClaimKind.OTHER_ID, name))
        mark = _LIST_MARK.match(text, match.end())
        if mark is None:
            return
        start = mark.end()


def _same_form(first: str, other: str) -> bool:
    return len(first) == len(other) and [c.isdigit() for c in first] == [c.isdigit() for c in other]


def _claim_ndcs(text: str, claims: list[Claim]) -> None:
    """Claim dashed NDCs anywhere, and other forms where the word NDC stands before."""
    taken = {position for claim in claims for position in range(claim.start, claim.end)}
    found: dict[int, Claim] = {}
    for match in _DASHED.finditer(text):
        if match.start() not in taken:
            _add(text, match, found, taken)
    for word in _NDC_WORD.finditer(text):
        start = word.end()
        for _ in range(_LIST_MAX):
            loose = _LOOSE.match(text, start)
            if loose is not None and start not in taken:
                end = _add(text, loose, found, taken)
            elif start in found:
                end = found[start].end
            else:
                malformed = _MALFORMED.match(text, start)
                if malformed is not None and start not in taken:
                    found[start] = Claim(start, malformed.end(), ClaimKind.NO_NDC, "")
                break
            between = _BETWEEN.match(text, end)
            start = end if between is None else between.end()
    claims.extend(found.values())


def _add(text: str, match: re.Match[str], found: dict[int, Claim], taken: set[int]) -> int:
    """Claim one NDC and the package codes that follow it as `, -02` or `/02`; return the end."""
    value = re.sub(r"\s*-\s*", "-", match.group())
    value = "-".join(value.split())
    found[match.start()] = Claim(match.start(), match.end(), ClaimKind.NDC, value)
    taken.update(range(match.start(), match.end()))
    end = match.end()
    stem, dash, package = value.rpartition("-")
    while dash and stem.count("-") == 1:
        suffix = _SUFFIX.match(text, end) or _SLASHED.match(text, end)
        if suffix is None or len(suffix.group(1)) != len(package):
            break
        known = f"{stem}-{suffix.group(1)}"
        found[suffix.start()] = Claim(suffix.start(), suffix.end(), ClaimKind.NDC, known)
        taken.update(range(suffix.start(), suffix.end()))
        end = suffix.end()
    return end
