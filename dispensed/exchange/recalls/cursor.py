"""A place among the tokens of a text, and what can be said by looking around it."""

import re
from bisect import bisect_right

from dispensed.exchange.recalls.tokens import Token, tokenise
from dispensed.exchange.recalls.words import SENSES, UNITS, USE_WORDS, Sense

_GLUED = re.compile(r"([0-9]+(?:\.[0-9]+)?)-?([A-Za-z]+)(?:-[A-Za-z]+)?\Z")
_PLURAL = re.compile(r"[1-9][0-9]{1,3}s\Z")
"""How many a pack holds, written as `30s` or `1000s`."""
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:x[0-9]+)?\Z", re.IGNORECASE)
_SHORT_UNITS_UPPER = frozenset({"G", "L", "KG", "CS", "CC", "CT", "PK", "BX"})
"""Units that are the end of a lot just as well, when they are in capitals."""
_LONG_NUMBER_MIN = 5
_GROUP_LENGTH = 3
_GROUPS_MAX = 4
_LOOK_MAX = 6


class Cursor:
    """Stands on one token of a text; `index` may be moved."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenise(source)
        self.index = 0
        self._count = len(self.tokens)
        self._starts = [token.start for token in self.tokens]

    def index_at(self, place: int) -> int:
        """Return the number of the first token that begins at or after a place of the text."""
        return bisect_right(self._starts, place - 1)

    def peek(self, step: int) -> Token | None:
        """Return the token some steps away, None beyond the ends."""
        index = self.index + step
        return self.tokens[index] if 0 <= index < self._count else None

    def words(self, direction: int) -> tuple[str, str]:
        """Return the next two tokens in a direction in lower case, marks left out."""
        found: list[str] = []
        for step in range(1, _LOOK_MAX):
            token = self.peek(step * direction)
            if token is None or len(found) > 1:
                break
            if not token.is_mark:
                found.append(token.lower)
        return ([*found, "", ""])[0], ([*found, "", ""])[1]

    def ends_item(self, step: int) -> bool:
        """Return whether an item of a list ends before the token some steps away."""
        token = self.peek(step)
        return (
            token is None
            or token.text in ",;.)*"
            or SENSES.get(token.lower) in {Sense.EXPIRY, Sense.AND}
            or token.lower in USE_WORDS
        )

    def touches(self, step: int) -> bool:
        """Return whether the token some steps away follows the one before without a blank."""
        token, before = self.peek(step), self.peek(step - 1)
        return token is not None and before is not None and token.start == before.end

    def in_brackets(self) -> bool:
        """Return whether this token stands alone in brackets."""
        before, after = self.peek(-1), self.peek(1)
        return before is not None and after is not None and before.text + after.text == "()"

    def quantity(self, *, trusted: bool) -> tuple[str, int] | None:
        """Read `30 count`, `50mg` or `1,000 bottles`: a feature, and the index of its last token.

        Where a lot may stand (`trusted`), long numbers and short units are no quantity.
        """
        token = self.tokens[self.index]
        long = trusted and len(token.text) >= _LONG_NUMBER_MIN and token.text.isdigit()
        if long or not token.text[0].isdigit():
            return None
        if _PLURAL.match(token.text):
            return f"{token.text[:-1]} count", self.index
        glued = _GLUED.match(token.text)
        if glued is not None and glued.group(2).lower() in UNITS:
            if trusted and self._may_be_lot(glued.group(1), glued.group(2), token.text):
                return None
            return f"{glued.group(1)} {UNITS[glued.group(2).lower()]}", self.index
        if _NUMBER.match(token.text) is None:
            return None
        amount, last = self._amount()
        index = last + 1
        if index < len(self.tokens) and self.tokens[index].text in {"-", "'"}:
            index += 1
        unit = "count" if self._is_plural(index) else self._unit(index)
        return (f"{amount} {unit}", index) if unit else None

    @staticmethod
    def _may_be_lot(amount: str, unit: str, text: str) -> bool:
        """Return whether a number with a unit may as well be a lot: `379L`, `20261105-G`."""
        if "-" in text:
            return len(amount) >= _LONG_NUMBER_MIN or len(unit) == 1
        return len(amount) >= _LONG_NUMBER_MIN - 1 or (unit in _SHORT_UNITS_UPPER)

    def _amount(self) -> tuple[str, int]:
        """Return a number with its groups of three after commas, and the index of its end."""
        digits = self.tokens[self.index].text
        last = self.index
        for _ in range(_GROUPS_MAX):
            if last + 2 >= len(self.tokens) or self.tokens[last + 1].text != ",":
                break
            comma, group = self.tokens[last + 1], self.tokens[last + 2]
            joined = comma.start == self.tokens[last].end and group.start == comma.end
            three = len(group.text) == _GROUP_LENGTH and group.text.isdigit()
            if not (joined and three):
                break
            digits += group.text
            last += 2
        return digits, last

    def thousands(self) -> int | None:
        """Return where a number such as 70,200 ends, None where there is none."""
        token = self.tokens[self.index]
        if not token.text.isdigit() or len(token.text) > _GROUP_LENGTH or token.text[0] == "0":
            return None
        _, last = self._amount()
        return self.tokens[last].end if last > self.index else None

    def _is_plural(self, index: int) -> bool:
        """Return whether `'s` stands here, as in 100's; the mark may be lost, 100 s."""
        if index >= len(self.tokens) or self.tokens[index].lower != "s":
            return False
        before = self.tokens[index - 1].text
        return before == "'" or (before.isdigit() and self.tokens[index].text == "s")

    def _unit(self, index: int) -> str:
        if index >= len(self.tokens):
            return ""
        lower = self.tokens[index].lower
        return UNITS.get(lower, "") or UNITS.get(lower.partition("-")[0], "")
