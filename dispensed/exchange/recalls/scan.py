"""One text of a notice read from left to right into lots, dates, NDCs, labels and headings.

A code is taken for a lot because of where it stands: after a word such as lot or batch, in a list
that goes on, or straight before its expiry. What looks like a lot and stands anywhere else is
noted as not understood; no code with digits is passed over in silence.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dispensed.exchange.recalls.cursor import Cursor
from dispensed.exchange.recalls.dates import (
    DateForm,
    DateMatch,
    DateProblem,
    is_like_a_date,
    is_slashed_date,
    match_date,
)
from dispensed.exchange.recalls.events import (
    Doubt,
    Expiry,
    Heading,
    Labelled,
    Lot,
    NdcNamed,
    Reading,
    Reason,
)
from dispensed.exchange.recalls.labels import Label
from dispensed.exchange.recalls.ndcs import Claim, ClaimKind
from dispensed.exchange.recalls.tokens import Token, shape
from dispensed.exchange.recalls.words import (
    NOTHING,
    OTHER_MAKER,
    SENSES,
    UNITS,
    USE_WORDS,
    Sense,
)

LOT_LENGTH_MAX = 40
"""No lot is longer; a longer code is flagged."""

LIKE_A_LOT_MIN = 4
"""A code with a digit that is at least this long must not be passed over in silence."""

_KNOWN = frozenset(SENSES) | frozenset(UNITS)
_BEFORE_LOT = frozenset({"lot", "lots", "batch", "batches", "no", "number", "numbers", "code"})
_LISTED_LENGTH_MIN = 3
_TAIL_TOKENS_MAX = 8
_LETTERS_LOT = re.compile(r"[A-Z]{2,6}\Z")
_TAIL = re.compile(r"[A-Z]{1,3}\Z")
_HEAD = re.compile(r"[A-Z]{1,4}\Z")
_BOTH_ENDS = re.compile(r"([0-9A-Za-z]{4,})-([0-9A-Za-z]{4,})\Z")


class _Role(StrEnum):
    LOT = "lot"
    EXPIRY = "expiry"
    OTHER_DATE = "other date"


@dataclass(slots=True)
class _State:
    """What the words before the next code have said about it."""

    role: _Role = _Role.LOT
    trusted: bool = True
    """A code here is a lot."""
    fresh: bool = False
    """A lot word was read and no lot since."""
    separated: bool = True
    keyworded: bool = False
    other_maker: bool = False
    block: Reason | None = None
    """Codes are not lots but these, until the next lot word."""
    date_range: bool = False
    """The next date ends a range of dates."""
    other_range: bool = False
    """That range is not of expiries."""
    between: bool = False
    """`between` or `from` was read."""


def read_text(
    source: str, claims: tuple[Claim, ...], labels: tuple[Label, ...], *, needs_word: bool
) -> Reading:
    """Read a folded text; with `needs_word` nothing is a lot before a word such as lot."""
    return _Reader(source, claims, labels, needs_word=needs_word).read()


class _Reader:
    """Walks the tokens once; `read` may be called once."""

    def __init__(
        self,
        source: str,
        claims: tuple[Claim, ...],
        labels: tuple[Label, ...],
        *,
        needs_word: bool,
    ) -> None:
        self._source = source
        self._cursor = Cursor(source)
        self._claims = {claim.start: claim for claim in claims}
        self._labels = {label.start: label for label in labels}
        self._needs_word = needs_word
        self._state = _State(trusted=not needs_word)
        self._stack: list[tuple[bool, Reason | None]] = []
        self._out = Reading()
        self._saved_trust = True
        self._last_shape = ""
        self._shapes: set[str] = set()
        self._dated_lots = False
        self._features: set[str] = set()
        self._head_start = self._head_end = -1
        self._by_sense: Mapping[Sense, Callable[[Token], None]] = {
            Sense.LOT: self._lot_word,
            Sense.EXPIRY: self._expiry_word,
            Sense.OTHER_DATE: self._other_date_word,
            Sense.AND: self._and_word,
            Sense.RANGE: self._range_word,
            Sense.PART: self._blocker(Reason.PART),
            Sense.NOT: self._blocker(Reason.EXCLUDED),
            Sense.SUFFIX: self._suffix_word,
            Sense.SERIAL: self._blocker(Reason.SERIAL),
            Sense.FILLER: lambda _: None,
        }

    def read(self) -> Reading:
        """Return the events and doubts, in the order of the text."""
        cursor = self._cursor
        while (token := cursor.peek(0)) is not None:
            before = cursor.index
            if not (self._read_label(token) or self._read_claim(token) or self._read_date(token)):
                if token.is_mark:
                    self._mark(token)
                elif token.has_digit:
                    self._code(token)
                else:
                    self._word(token)
            cursor.index = max(cursor.index, before + 1)
        self._end_heading()
        return self._out

    def _go_to(self, end: int) -> None:
        """Go on with the first token that begins at or after `end`."""
        self._cursor.index = self._cursor.index_at(end)

    def _read_label(self, token: Token) -> bool:
        label = self._labels.get(token.start)
        if label is None:
            return False
        self._end_heading()
        self._out.events.append(Labelled(label.start, label.end, label.ordinal))
        state = self._state
        state.trusted = state.keyworded or not self._needs_word
        state.separated = True
        state.block = None
        self._go_to(label.end)
        return True

    def _read_claim(self, token: Token) -> bool:
        claim = self._claims.get(token.start)
        if claim is None:
            return False
        if claim.kind is ClaimKind.NDC:
            self._end_heading()
            self._out.events.append(NdcNamed(claim.start, claim.end, claim.value))
        self._state.separated = True
        self._state.trusted = self._state.trusted or not self._needs_word
        self._go_to(claim.end)
        return True

    def _read_date(self, token: Token) -> bool:
        state = self._state
        found = match_date(self._source, token.start, expected=state.role is not _Role.LOT)
        if found is None or not self._is_date_here(found):
            return False
        if state.role is _Role.OTHER_DATE or state.other_range:
            state.trusted = self._saved_trust
            state.other_range = True
        else:
            self._add_date(token, found)
            state.fresh = False
        state.separated = False
        self._go_to(found.end)
        state.date_range = self._range_follows() or (state.between and not state.date_range)
        if not state.date_range:
            state.between = state.other_range = False
            state.role = _Role.LOT
        return True

    def _is_date_here(self, found: DateMatch) -> bool:
        """Return whether a date may stand here; some forms are lots as well."""
        state = self._state
        if state.role is not _Role.LOT or state.other_range:
            return True
        if state.fresh:
            return found.form is DateForm.NAMED
        if self._dated_lots and self._joined(found):
            return False
        after_lot = self._last(Lot)
        match found.form:
            case DateForm.GLUED:
                text = self._source[self._cursor.tokens[self._cursor.index].start : found.end]
                return after_lot and shape(text) != self._last_shape
            case DateForm.DASHED:
                return after_lot or self._last(Expiry)
            case _:
                return True

    def _joined(self, found: DateMatch) -> bool:
        """Return whether a code with digits follows a date with only a blank between."""
        index = self._cursor.index_at(found.end)
        tokens = self._cursor.tokens
        return index < len(tokens) and tokens[index].has_digit

    def _last(self, kind: type[Lot | Expiry]) -> bool:
        return bool(self._out.events) and isinstance(self._out.events[-1], kind)

    def _add_date(self, token: Token, found: DateMatch) -> None:
        self._end_heading()
        state = self._state
        problem = "" if found.problem is None else found.problem.value
        if state.date_range and self._last(Expiry):
            before = self._out.events.pop()
            self._out.events.append(Expiry(before.start, found.end, None, "a range of dates"))
        else:
            self._out.events.append(Expiry(token.start, found.end, found.expiry, problem))
        state.trusted = state.trusted or any(
            isinstance(event, Lot) for event in self._out.events[-2:]
        )

    def _range_follows(self) -> bool:
        """Return whether the next token says that the date before it begins a range."""
        following = self._cursor.peek(0)
        if following is None:
            return False
        after = self._cursor.peek(1)
        dash = following.text == "-" and after is not None
        if dash and after is not None:
            return match_date(self._source, after.start, expected=False) is not None
        return SENSES.get(following.lower) is Sense.RANGE and following.lower != "from"

    def _mark(self, token: Token) -> None:
        state = self._state
        mark = token.text
        if mark in "([":
            self._stack.append((state.trusted, state.block))
        elif mark in ")]":
            if self._stack:
                state.trusted, state.block = self._stack.pop()
        elif mark in ",;/&+|.-:":
            state.separated = state.separated or mark != ":"
            if mark in ":-" and self._features and not self._needs_word:
                state.trusted = state.separated = True
            if mark in ";." and state.block in {Reason.EXCLUDED, Reason.SUFFIX}:
                state.block = None

    def _word(self, token: Token) -> None:
        lower = token.lower
        sense = SENSES.get(lower)
        if lower in USE_WORDS and self._cursor.words(1)[0] in {"by", "before", "thru", "if"}:
            sense = Sense.EXPIRY
        if self._is_letters_lot(token, sense):
            self._add_lot(token.start, token.end)
        elif sense is None:
            if not (self._spaced_lot(token) or self._colon_lot(token)):
                self._head_word(token)
        else:
            self._by_sense[sense](token)

    def _lot_word(self, token: Token) -> None:
        del token
        self._end_heading()
        state = self._state
        state.role = _Role.LOT
        state.trusted = state.fresh = state.separated = state.keyworded = True
        state.date_range = state.other_range = state.between = False
        state.block = None
        state.other_maker = self._cursor.words(-1)[0] in OTHER_MAKER

    def _expiry_word(self, token: Token) -> None:
        state = self._state
        state.role = _Role.EXPIRY
        state.fresh = state.date_range = state.other_range = state.between = False
        after, second = self._cursor.words(1)
        without = self._cursor.words(-1)[0] in {"no", "unknown", "without"}
        if without or after in NOTHING or (after == "date" and second in NOTHING):
            self._end_heading()
            self._out.events.append(Expiry(token.start, token.end, None))
            state.role = _Role.LOT

    def _other_date_word(self, token: Token) -> None:
        del token
        state = self._state
        if state.role is not _Role.OTHER_DATE:
            self._saved_trust = state.trusted
        state.role = _Role.OTHER_DATE
        state.trusted = state.fresh = False

    def _and_word(self, token: Token) -> None:
        del token
        self._state.separated = True

    def _range_word(self, token: Token) -> None:
        self._state.between = self._state.between or token.lower in {"between", "from"}

    def _blocker(self, reason: Reason) -> Callable[[Token], None]:
        def block(token: Token) -> None:
            del token
            self._state.block = reason

        return block

    def _suffix_word(self, token: Token) -> None:
        self._state.block = Reason.SUFFIX
        self._out.doubts.append(Doubt(token.start, token.end, Reason.SUFFIX))

    def _head_word(self, token: Token) -> None:
        """A word of a heading or of prose."""
        if self._head_start < 0:
            self._head_start = token.start
        self._head_end = token.end
        self._features.add(UNITS.get(token.lower, token.lower))
        if not (self._state.fresh and token.lower in UNITS):
            self._state.trusted = self._state.fresh = False

    def _end_heading(self) -> None:
        if self._features:
            features = frozenset(self._features)
            self._out.events.append(Heading(self._head_start, self._head_end, features))
        self._features = set()
        self._head_start = self._head_end = -1

    def _is_letters_lot(self, token: Token, sense: Sense | None) -> bool:
        """Return whether a word is a lot such as SAC: in capitals, alone in its place."""
        state = self._state
        if sense is not None or not _LETTERS_LOT.match(token.text) or token.lower in UNITS:
            return False
        if not state.trusted or state.role is not _Role.LOT or state.block is not None:
            return False
        if not (state.fresh or (state.separated and self._last_shape.startswith("AAA"))):
            return False
        following = self._cursor.peek(1)
        return self._cursor.ends_item(1) or (
            following is not None
            and _LETTERS_LOT.match(following.text) is not None
            and following.lower not in _KNOWN
            and len(following.text) == len(token.text)
        )

    def _spaced_lot(self, token: Token) -> bool:
        """Read a lot such as `UJE 040`: capitals, a blank, and digits, alone in their place."""
        state = self._state
        following = self._cursor.peek(1)
        listed = self._last_shape.startswith(shape(token.text) + " ")
        if (
            not (state.fresh or (state.trusted and listed))
            or state.block is not None
            or not _HEAD.match(token.text)
            or token.lower in UNITS
            or following is None
            or not following.text[:1].isdigit()
            or following.start in self._claims
            or not (self._cursor.ends_item(2) or listed)
        ):
            return False
        self._add_lot(token.start, following.end)
        self._go_to(following.end)
        return True

    def _colon_lot(self, token: Token) -> bool:
        """Read a lot such as `CABCAIBA:36`, letters and digits with a colon between."""
        cursor = self._cursor
        colon, digits = cursor.peek(1), cursor.peek(2)
        if (
            not self._state.fresh
            or colon is None
            or digits is None
            or colon.text != ":"
            or not (token.text.isupper() and digits.text.isdigit())
            or not (cursor.touches(1) and cursor.touches(2))
        ):
            return False
        self._add_lot(token.start, digits.end)
        self._go_to(digits.end)
        return True

    def _code(self, token: Token) -> None:
        """A token with a digit: a quantity, a lot, or something not understood."""
        state = self._state
        quantity = self._cursor.quantity(trusted=state.trusted)
        if quantity is not None:
            feature, last = quantity
            if self._head_start < 0:
                self._head_start = token.start
            self._head_end = self._cursor.tokens[last].end
            self._features.add(feature)
            state.trusted = False
            self._cursor.index = last + 1
            return
        if state.role is _Role.EXPIRY and is_like_a_date(token.text):
            self._add_date(
                token, DateMatch(token.end, None, DateForm.DIGITS, DateProblem.UNREADABLE)
            )
            state.role = _Role.LOT
            self._cursor.index += 1
            return
        following = self._cursor.peek(1)
        if following is not None and following.text == "%" and self._cursor.touches(1):
            self._head_word(token)
            self._cursor.index += 2
            return
        start, end = token.start, self._extent(token)
        many = self._cursor.thousands()
        if many is not None and "999" not in self._shapes:
            self._doubt(start, many, Reason.NOT_READ)
            end = many
        elif state.block is not None:
            self._doubt(start, end, state.block)
        elif end - start <= LOT_LENGTH_MAX and self._is_lot(token):
            self._lot_or_range(start, end)
        else:
            self._doubt(start, end, Reason.NOT_READ)
        self._go_to(end)

    def _doubt(self, start: int, end: int, reason: Reason) -> None:
        """Note a code that is no lot; short ones only where it matters."""
        if end - start >= LIKE_A_LOT_MIN or reason is Reason.PART:
            self._out.doubts.append(Doubt(start, end, reason))
        self._state.separated = False

    def _extent(self, token: Token) -> int:
        """Return where the code ends: `13-405 DK`, `5/10/18 1451 89561S`, `02-11-15 14:44 Y`."""
        state, cursor = self._state, self._cursor
        following = cursor.peek(1)
        if state.role is not _Role.LOT or not state.trusted or following is None:
            return token.end
        if _TAIL.match(following.text) and following.lower not in _KNOWN:
            return following.end if cursor.ends_item(2) else token.end
        if match_date(self._source, token.start, expected=False) is not None:
            return self._dated_extent(token)
        return self._spaced_extent(token)

    def _dated_extent(self, token: Token) -> int:
        """Return where a lot that begins with a date and goes on with a time or number ends."""
        cursor = self._cursor
        end = token.end
        for step in range(1, _TAIL_TOKENS_MAX):
            part = cursor.peek(step)
            if part is None or part.lower in _KNOWN:
                break
            if not (part.has_digit or _TAIL.match(part.text)) and not (
                part.text == ":" and cursor.touches(step)
            ):
                break
            end = part.end
            self._dated_lots = True
        return end

    def _spaced_extent(self, token: Token) -> int:
        """Return where `641:07`, `04052016: 39@6`, `21 P0322` and `14RIF1(A)` end."""
        cursor = self._cursor
        mark, part = cursor.peek(1), cursor.peek(2)
        if mark is None:
            return token.end
        digits = token.text.isdigit()
        if part is not None and mark.text == ":" and digits and cursor.touches(1):
            alone = part.text.isdigit() and cursor.touches(2) and cursor.ends_item(3)
            return part.end if alone or "@" in part.text else token.end
        if mark.text == "(" and part is not None and len(part.text) == 1 and part.text.isalnum():
            close = cursor.peek(3)
            if cursor.touches(1) and close is not None and close.text == ")":
                return close.end
        short = digits and len(token.text) < _LISTED_LENGTH_MIN and mark.has_digit
        if short and self._state.fresh and cursor.ends_item(2) and not cursor.touches(1):
            return mark.end
        return token.end

    def _is_lot(self, token: Token) -> bool:
        """Return whether the place of a code makes it a lot."""
        state = self._state
        text = token.text
        if state.fresh:
            before = self._cursor.peek(-1)
            named = before is None or before.is_mark or before.lower in _BEFORE_LOT
            return len(text) > 1 or named
        if is_slashed_date(text) and not self._dated_lots:
            return False
        if state.role is _Role.OTHER_DATE or (self._needs_word and not state.keyworded):
            return False
        if state.trusted:
            listed = state.separated or state.role is _Role.EXPIRY
            least = _LISTED_LENGTH_MIN if listed else LIKE_A_LOT_MIN
            if not listed and self._last(Expiry) and shape(text) not in self._shapes:
                return len(text) >= least and self._date_follows()
            return len(text) >= least or shape(text) in self._shapes
        return len(text) >= LIKE_A_LOT_MIN and not self._needs_word and self._date_follows()

    def _date_follows(self) -> bool:
        """Return whether an expiry stands right after this code."""
        for step in (1, 2):
            following = self._cursor.peek(step)
            if following is None:
                return False
            if following.text in {",", ";", ":", "-", "(", "/"}:
                continue
            if SENSES.get(following.lower) is Sense.EXPIRY:
                return True
            return match_date(self._source, following.start, expected=False) is not None
        return False

    def _lot_or_range(self, start: int, end: int) -> None:
        """Add a lot; or note a range when this is its second end, or holds both."""
        both = _BOTH_ENDS.match(self._source[start:end])
        if both is not None and _rises(both.group(1), both.group(2)):
            self._out.doubts.append(Doubt(start, end, Reason.RANGE))
            self._after_lot("")
        elif self._ends_range(start, end):
            before = self._out.events.pop()
            self._out.doubts.append(Doubt(before.start, end, Reason.RANGE))
            self._state.between = False
            self._after_lot("")
        else:
            self._add_lot(start, end)

    def _ends_range(self, start: int, end: int) -> bool:
        """Return whether this code ends a range that the lot before it begins."""
        if not self._last(Lot):
            return False
        last = self._out.events[-1]
        words = self._source[last.end : start].lower().split()
        if self._state.between and words in (["and"], ["&"], ["to"], ["-"]):
            return True
        if words in (["-"], ["--"]):
            return shape(self._source[last.start : last.end]) == shape(self._source[start:end])
        return bool(words) and words[0] in {"to", "through", "thru", "until"}

    def _add_lot(self, start: int, end: int) -> None:
        self._end_heading()
        text = " ".join(self._source[start:end].split())
        lot = Lot(start, end, text)
        if self._state.other_maker:
            self._out.other_lots.append(lot)
        else:
            self._out.events.append(lot)
        self._after_lot(shape(text))

    def _after_lot(self, lot_shape: str) -> None:
        state = self._state
        state.role = _Role.LOT
        state.fresh = state.separated = False
        state.trusted = True
        if lot_shape:
            self._last_shape = lot_shape
            self._shapes.add(lot_shape)


def _rises(first: str, second: str) -> bool:
    """Return whether two codes of one form differ in digits only, the second the higher one."""
    alike = shape(first) == shape(second) and first[:1] == second[:1]
    letters = re.sub("[0-9]", "", first) == re.sub("[0-9]", "", second)
    return alike and letters and first < second
