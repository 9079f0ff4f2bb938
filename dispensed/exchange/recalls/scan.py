"""One text of a notice read from left to right into lots, dates, NDCs, labels and headings.

A code is taken for a lot because of where it stands: after a word such as lot or batch, in a list
that goes on, or straight before its expiry. What looks like a lot and stands anywhere else is
noted as not understood; no code with digits is passed over in silence.
"""

import re
from collections.abc import Callable, Mapping

from dispensed.exchange.recalls.around import (
    LETTERS_LOT,
    colon_end,
    date_ahead,
    date_follows,
    ends_letters,
    extent,
    is_end_of_dates,
    range_follows,
    spaced_end,
    time_end,
)
from dispensed.exchange.recalls.cursor import Cursor
from dispensed.exchange.recalls.dates import (
    DateForm,
    DateMatch,
    DateProblem,
    days_end,
    is_like_a_date,
    is_slashed_date,
    match_date,
)
from dispensed.exchange.recalls.events import (
    Expiry,
    Labelled,
    Lot,
    NdcNamed,
    Reading,
    Reason,
)
from dispensed.exchange.recalls.labels import Label
from dispensed.exchange.recalls.lots import LONG_CODE_MIN, LotList
from dispensed.exchange.recalls.ndcs import Claim, ClaimKind
from dispensed.exchange.recalls.state import Role, State
from dispensed.exchange.recalls.tokens import MONTHS, Token, shape
from dispensed.exchange.recalls.words import (
    NOTHING,
    OF_NOTICE,
    OTHER_MAKER,
    PACKS,
    SENSES,
    UNITS,
    USE_WORDS,
    Sense,
)

LOT_LENGTH_MAX = 40
"""No lot is longer; a longer code is flagged."""

LIKE_A_LOT_MIN = 4
"""A code with a digit that is at least this long must not be passed over in silence."""

_BEFORE_LOT = frozenset({"lot", "lots", "batch", "batches", "no", "number", "numbers", "code"})
_LISTED_LENGTH_MIN = 3
_LABELLED_MAX = 4
"""How many tokens of a heading may stand between a label and its first lot."""
_OF_WHICH = frozenset({"both", "all", "these", "the", "above"})
_PLURALS = frozenset({"lots", "batches"})
_BLOCKS_OF_CLAUSE = frozenset({Reason.EXCLUDED, Reason.SUFFIX, Reason.OTHER_ID})
_CONSONANTS = re.compile(r"[B-DF-HJ-NP-TV-Z]{4,6}\Z")
_PLACEHOLDER = re.compile(r"XX[./-]|[./-]XX|[0-9]XX\Z")


class Reader:
    """Walks the tokens of a folded text once; `read` may be called once.

    `names` are codes in lower case that belong to the products and are no lots; with `needs_word`
    nothing is a lot before a word such as lot.
    """

    def __init__(
        self,
        source: str,
        claims: tuple[Claim, ...],
        labels: tuple[Label, ...],
        names: frozenset[str],
        *,
        needs_word: bool,
    ) -> None:
        self._names = names
        self._source = source
        self._cursor = Cursor(source)
        self._claims = {claim.start: claim for claim in claims}
        self._has_lot_word = any(
            SENSES.get(token.lower) is Sense.LOT for token in self._cursor.tokens
        )
        self._labels = {label.start: label for label in labels}
        self._needs_word = needs_word
        self._state = State(trusted=not needs_word)
        self._stack: list[tuple[bool, Reason | None]] = []
        self._out = Reading()
        self._saved_trust = True
        self._lots = LotList(source, self._out, self._state)
        self._dated_lots = False
        self._by_sense: Mapping[Sense, Callable[[Token], None]] = {
            Sense.LOT: self._lot_word,
            Sense.EXPIRY: self._expiry_word,
            Sense.OTHER_DATE: self._other_date_word,
            Sense.AND: self._and_word,
            Sense.RANGE: self._range_word,
            Sense.PART: self._blocker(Reason.PART),
            Sense.NOT: self._blocker(Reason.EXCLUDED),
            Sense.SUFFIX: self._suffix_word,
            Sense.OTHER_ID: self._blocker(Reason.OTHER_ID),
            Sense.SERIAL: self._blocker(Reason.SERIAL),
            Sense.FILLER: lambda _: None,
        }

    def read(self) -> Reading:
        """Return the events and doubts, in the order of the text."""
        cursor = self._cursor
        while (token := cursor.peek(0)) is not None:
            before = cursor.index
            if (label := self._labels.get(token.start)) is not None:
                self._read_label(label)
            elif (claim := self._claims.get(token.start)) is not None:
                self._read_claim(claim)
            elif token.is_mark:
                self._mark(token)
            elif not self._read_date(token):
                if not token.has_digit:
                    self._word(token)
                elif not self._skips_time(token):
                    self._code(token)
            cursor.index = max(cursor.index, before + 1)
        self._out.end_heading()
        return self._out

    def _go_to(self, end: int) -> None:
        """Go on with the first token that begins at or after `end`."""
        self._cursor.index = self._cursor.index_at(end)

    def _read_label(self, label: Label) -> None:
        self._out.end_heading()
        self._out.events.append(Labelled(label.start, label.end, label.ordinal))
        state = self._state
        state.trusted = state.keyworded or not self._needs_word
        state.separated = True
        if state.block is not Reason.OTHER_ID:
            state.block = None
        self._go_to(label.end)
        state.labelled_at = self._cursor.index

    def _read_claim(self, claim: Claim) -> None:
        if claim.kind is ClaimKind.NO_NDC:
            self._out.doubt(claim.start, claim.end, Reason.NO_NDC)
        if claim.kind is ClaimKind.NDC:
            self._out.end_heading()
            self._out.events.append(NdcNamed(claim.start, claim.end, claim.value))
        state = self._state
        state.separated = True
        state.trusted = state.trusted or not self._needs_word
        if state.block is Reason.OTHER_ID and not state.many_ids:
            state.block = None
        self._go_to(claim.end)

    def _read_date(self, token: Token) -> bool:
        state = self._state
        if token.is_word and token.lower[:3] not in MONTHS:
            return False
        days = days_end(self._source, token.start) if token.is_word else None
        if days is not None:
            if state.role is Role.OTHER_DATE:
                state.trusted = self._saved_trust
            else:
                self._add_date(token, DateMatch(days, None, DateForm.NAMED, DateProblem.DAYS))
            state.fresh = state.separated = False
            state.role = Role.LOT
            self._go_to(days)
            return True
        found = match_date(self._source, token.start, expected=state.role is not Role.LOT)
        if found is None or not self._is_date_here(found):
            return False
        if state.role is Role.OTHER_DATE or state.other_range:
            state.trusted = self._saved_trust
            state.other_range = True
        elif state.role is Role.LOT and not state.trusted and not self._is_typo():
            if self._out.last_is(Lot):
                self._out.doubt(token.start, found.end, Reason.EXPIRY)
            state.between = False
        else:
            self._add_date(token, found)
            state.fresh = False
        state.separated = False
        self._go_to(found.end)
        state.date_range = range_follows(self._cursor) or (state.between and not state.date_range)
        if not state.date_range:
            state.between = state.other_range = False
            state.role = Role.LOT
        return True

    def _is_typo(self) -> bool:
        """Return whether a misspelt `exp` stands between a lot and a date: `Ep`, `Ex p`, `BBE`."""
        short = all(len(word) < LIKE_A_LOT_MIN for word in self._out.heading)
        return self._out.last_is(Lot) and short and bool(self._out.heading)

    def _is_date_here(self, found: DateMatch) -> bool:
        """Return whether a date may stand here; some forms are lots as well."""
        state = self._state
        if state.role is not Role.LOT or state.other_range:
            digits = found.form is DateForm.DIGITS and not self._lots.shapes
            return not (digits and state.keyworded and date_follows(self._cursor))
        if state.fresh:
            return found.form is DateForm.NAMED or self._source[found.end : found.end + 1] == ":"
        if self._dated_lots and self._joined(found):
            return False
        after_lot = self._out.last_is(Lot)
        match found.form:
            case DateForm.GLUED:
                text = self._source[self._cursor.tokens[self._cursor.index].start : found.end]
                return after_lot and shape(text) != self._lots.last_shape
            case DateForm.DASHED:
                return after_lot or self._out.last_is(Expiry)
            case _:
                return True

    def _joined(self, found: DateMatch) -> bool:
        """Return whether a code with digits follows a date with only a blank between."""
        index = self._cursor.index_at(found.end)
        tokens = self._cursor.tokens
        return index < len(tokens) and tokens[index].has_digit

    def _add_date(self, token: Token, found: DateMatch) -> None:
        self._out.end_heading()
        state = self._state
        problem = "" if found.problem is None else found.problem.value
        if state.date_range and self._out.last_is(Expiry):
            before = self._out.events.pop()
            self._out.events.append(Expiry(before.start, found.end, None, "a range of dates"))
        else:
            self._out.events.append(Expiry(token.start, found.end, found.expiry, problem))
        state.trusted = state.trusted or any(
            isinstance(event, Lot) for event in self._out.events[-2:]
        )

    def _mark(self, token: Token) -> None:
        state = self._state
        mark = token.text
        if mark in "([":
            self._stack.append((state.trusted, state.block))
        elif mark in ")]":
            if self._stack:
                state.trusted, state.block = self._stack.pop()
        elif mark in ",;/&+|.-:":
            state.separated = state.separated or mark != ":" or self._out.last_is(Expiry)
            if mark in ":-" and self._out.heading and not self._needs_word:
                state.trusted = state.separated = True
            if mark == ";" and self._out.is_sized() and not self._needs_word:
                state.trusted = state.separated = True
            goes_on = state.block is Reason.OTHER_ID and state.many_ids and mark == ";"
            if mark in ";." and state.block in _BLOCKS_OF_CLAUSE and not goes_on:
                state.block = None

    def _word(self, token: Token) -> None:
        state, lower = self._state, token.lower
        sense = SENSES.get(lower)
        if lower in USE_WORDS and self._cursor.words(1)[0] in {"by", "before", "thru", "if"}:
            sense = Sense.EXPIRY
        if lower in {"code", "codes"} and not state.fresh:
            self._code_word(token)
        elif self._is_letters_lot(token, sense):
            self._lots.add(token.start, token.end)
        elif sense is None or (lower in PACKS and self._cursor.in_brackets()):
            if not (self._spaced_lot(token) or self._colon_lot(token)):
                self._head_word(token)
        elif len(token.text) > 1 or state.fresh or not self._spaced_lot(token):
            self._by_sense[sense](token)

    def _lot_word(self, token: Token) -> None:
        state = self._state
        before = self._cursor.words(-1)[0]
        if state.role is Role.EXPIRY and before in _OF_WHICH and token.lower in _PLURALS:
            return
        self._out.end_heading()
        state.role = Role.LOT
        state.trusted = state.fresh = state.separated = state.keyworded = True
        state.date_range = state.other_range = state.between = False
        state.block = None
        state.other_maker = before in OTHER_MAKER

    def _code_word(self, token: Token) -> None:
        """`Code:` alone means the lot only where the notice has no other word for it."""
        made = SENSES.get(self._cursor.words(-1)[0]) is Sense.OTHER_DATE
        if self._has_lot_word or made or self._needs_word:
            self._out.end_heading()
            self._state.trusted = False
            self._state.block = Reason.OTHER_ID
            self._state.many_ids = token.lower == "codes"
        else:
            self._lot_word(token)

    def _expiry_word(self, token: Token) -> None:
        state = self._state
        state.role = Role.EXPIRY
        state.fresh = state.date_range = state.other_range = state.between = False
        after, second = self._cursor.words(1)
        without = self._cursor.words(-1)[0] in {"no", "unknown", "without"}
        if without or after in NOTHING or (after == "date" and second in NOTHING):
            self._out.end_heading()
            self._out.events.append(Expiry(token.start, token.end, None))
            state.role = Role.LOT

    def _other_date_word(self, token: Token) -> None:
        state = self._state
        if not date_ahead(self._cursor):
            if token.lower not in OF_NOTICE:
                self._out.end_heading()
                state.trusted = state.fresh = False
            return
        if state.role is not Role.OTHER_DATE:
            self._saved_trust = state.trusted
        state.role = Role.OTHER_DATE
        state.trusted = state.fresh = False

    def _and_word(self, token: Token) -> None:
        del token
        self._state.separated = True

    def _range_word(self, token: Token) -> None:
        self._state.between = self._state.between or token.lower in {"between", "from"}

    def _blocker(self, reason: Reason) -> Callable[[Token], None]:
        def block(token: Token) -> None:
            self._state.block = reason
            self._state.many_ids = token.lower.endswith("s")

        return block

    def _suffix_word(self, token: Token) -> None:
        self._state.block = Reason.SUFFIX
        self._out.doubt(token.start, token.end, Reason.SUFFIX)

    def _head_word(self, token: Token) -> None:
        """A word of a heading or of prose."""
        self._out.head(token.start, token.end, UNITS.get(token.lower, token.lower))
        if not (self._state.fresh and token.lower in UNITS):
            self._state.trusted = self._state.fresh = False

    def _is_letters_lot(self, token: Token, sense: Sense | None) -> bool:
        """Return whether a word is a lot such as SAC: in capitals, alone in its place."""
        state = self._state
        if sense is not None or not LETTERS_LOT.match(token.text) or token.lower in UNITS:
            return False
        if not state.trusted or state.role is not Role.LOT or state.block is not None:
            return False
        goes_on = state.separated or self._lots.last_shape == shape(token.text)
        alike = self._lots.last_shape.startswith("AAA") or _CONSONANTS.match(token.text) is not None
        if not (state.fresh or (goes_on and self._lots.shapes and alike)):
            return False
        return ends_letters(self._cursor, token)

    def _spaced_lot(self, token: Token) -> bool:
        """Read a lot such as `UJE 040`: capitals, a blank, and digits, alone in their place."""
        state = self._state
        following = self._cursor.peek(1)
        if state.block is not None or not (state.fresh or (state.trusted and state.separated)):
            return False
        if following is None or following.start in self._claims:
            return False
        end = spaced_end(self._cursor, token, self._lots.last_shape, fresh=state.fresh)
        if end is None:
            return False
        self._lots.add(token.start, end)
        self._go_to(end)
        return True

    def _colon_lot(self, token: Token) -> bool:
        """Read a lot such as `CABCAIBA:36` right after a lot word."""
        end = colon_end(self._cursor, token) if self._state.fresh else None
        if end is None:
            return False
        self._lots.add(token.start, end)
        self._go_to(end)
        return True

    def _skips_time(self, token: Token) -> bool:
        """Pass over a time of day."""
        end = None if self._state.fresh else time_end(self._cursor, token)
        if end is not None:
            self._go_to(end)
        return end is not None

    def _code(self, token: Token) -> None:
        """A token with a digit: a quantity, a lot, or something not understood."""
        state = self._state
        quantity = self._cursor.quantity(trusted=state.trusted)
        if quantity is not None:
            feature, last = quantity
            self._out.head(token.start, self._cursor.tokens[last].end, feature)
            state.trusted = state.trusted and state.fresh
            self._cursor.index = last + 1
            return
        if state.role is Role.EXPIRY and is_like_a_date(token.text):
            self._add_date(
                token, DateMatch(token.end, None, DateForm.DIGITS, DateProblem.UNREADABLE)
            )
            state.role = Role.LOT
            self._cursor.index += 1
            return
        following = self._cursor.peek(1)
        if following is not None and following.text == "%" and self._cursor.touches(1):
            self._head_word(token)
            self._cursor.index += 2
            return
        start, end, first = token.start, token.end, self._cursor.index
        known = following is not None and (
            following.start in self._labels or following.start in self._claims
        )
        if state.role is Role.LOT and state.trusted and not known:
            end, dated = extent(self._cursor, token, fresh=state.fresh)
            self._dated_lots = self._dated_lots or dated
        many = self._cursor.thousands()
        if many is not None and not state.fresh and "999" not in self._lots.shapes:
            self._doubt(start, many, Reason.NOT_READ)
            end = many
        elif state.block is not None:
            self._doubt(start, end, state.block)
        elif self._is_product():
            self._doubt(start, end, Reason.OTHER_ID)
        elif end - start <= LOT_LENGTH_MAX and self._is_lot(token):
            if not self._lots.add_or_range(start, end):
                self._doubt(start, end, Reason.NOT_READ)
        else:
            self._doubt(start, end, Reason.NOT_READ)
        self._go_to(end)
        self._skip_repeats(start, end, self._cursor.index - first)

    def _skip_repeats(self, start: int, end: int, count: int) -> None:
        """Pass over the same code, `count` tokens, again with only blanks between.

        Tables list the lots by unit or by product.
        """
        source, cursor = self._source, self._cursor
        text = source[start:end]
        while (token := cursor.peek(0)) is not None and token.start > end:
            stop = token.start + len(text)
            if not source.startswith(text, token.start) or source[stop : stop + 1].strip():
                return
            end = stop
            cursor.index += count

    def _doubt(self, start: int, end: int, reason: Reason) -> None:
        """Note a code that is no lot; short ones only where it matters."""
        if end - start >= LIKE_A_LOT_MIN or reason is Reason.PART:
            self._out.doubt(start, end, reason)
        self._state.separated = False

    def _is_product(self) -> bool:
        """Return whether the word before calls this code a product, where lots have a word."""
        if self._state.fresh or not self._has_lot_word:
            return False
        before = self._cursor.peek(-1)
        return before is not None and before.lower == "product"

    def _is_lot(self, token: Token) -> bool:
        """Return whether the place of a code makes it a lot."""
        state = self._state
        text = token.text
        if token.lower in self._names or ("XX" in text and _PLACEHOLDER.search(text)):
            return False
        if state.fresh:
            before = self._cursor.peek(-1)
            named = before is None or before.is_mark or before.lower in _BEFORE_LOT
            return (len(text) > 1 or named) and not is_end_of_dates(self._cursor, text)
        unnamed = self._needs_word and not state.keyworded
        dated = is_slashed_date(text) and not self._dated_lots
        if unnamed or dated or state.role is Role.OTHER_DATE:
            return False
        if state.trusted:
            return self._is_listed(text)
        near = self._cursor.index - state.labelled_at <= _LABELLED_MAX
        known = self._lots.is_known(text, heads_list=near) or date_follows(self._cursor)
        return known and len(text) >= LIKE_A_LOT_MIN and not self._needs_word

    def _is_listed(self, text: str) -> bool:
        """Return whether a code goes on with the list of lots it stands in."""
        listed = self._state.separated or self._state.role is Role.EXPIRY
        least = _LISTED_LENGTH_MIN if listed else LIKE_A_LOT_MIN
        known = shape(text) in self._lots.shapes
        if not listed and self._out.last_is(Expiry) and self._lots.shapes and not known:
            begins = text.isupper() and self._cursor.ends_item(1) and len(text) >= LONG_CODE_MIN
            return len(text) >= least and (begins or date_follows(self._cursor))
        return len(text) >= least or known
