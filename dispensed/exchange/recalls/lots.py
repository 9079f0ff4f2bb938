"""The lots read from a text so far: single ones, and ranges that are written out or flagged."""

import re

from dispensed.exchange.recalls.events import Lot, Reading, Reason
from dispensed.exchange.recalls.ranges import is_both_ends, joins_range, lots_between
from dispensed.exchange.recalls.state import NEVER, Role, State
from dispensed.exchange.recalls.tokens import shape

LONG_CODE_MIN = 6
"""A code of letters and digits that is at least this long is hardly a word or quantity."""

_BOTH_ENDS = re.compile(r"([0-9A-Za-z]{4,})-([0-9A-Za-z]{4,})\Z")


class LotList:
    """Adds lots of `source` to `out`, and notes in `state` that one was read."""

    def __init__(self, source: str, out: Reading, state: State) -> None:
        self._source = source
        self._out = out
        self._state = state
        self.last_shape = ""
        """The form of the last lot, as tokens.shape gives it; empty before the first."""
        self.shapes: set[str] = set()
        """The forms of all lots."""

    def is_known(self, text: str, *, heads_list: bool) -> bool:
        """Return whether a long code has the form of a lot before it, or is first in a sub-list."""
        if len(text) < LONG_CODE_MIN + text.isdigit():
            return False
        return shape(text) in self.shapes or (heads_list and text == text.upper())

    def add_or_range(self, start: int, end: int) -> bool:
        """Add a lot, or a range when this is its second end or holds both; False when neither."""
        text = self._source[start:end]
        both = _BOTH_ENDS.match(text) if "-" in text else None
        if both is not None and is_both_ends(both.group(1), both.group(2)):
            known = shape(both.group(1)) in self.shapes
            lots = lots_between(both.group(1), both.group(2)) if known else ()
            self._add_range(start, end, lots)
        elif not self._out.last_is(Lot):
            self.add(start, end)
        else:
            return self._add_after_lot(start, end, text)
        return True

    def _add_after_lot(self, start: int, end: int, text: str) -> bool:
        """Add what follows a lot; not a number of another kind after a lot and a dash."""
        last = self._out.events[-1]
        first = self._source[last.start : last.end]
        between = self._state.between
        if joins_range(self._source, last.end, start, (first, text), between=between):
            self._out.events.pop()
            self._add_range(last.start, end, lots_between(first, text))
            return True
        number = text.isdigit() and not first.isdigit() and shape(text) not in self.shapes
        if number and self._source[last.end : start].strip() == "-":
            return False
        self.add(start, end)
        return True

    def _add_range(self, start: int, end: int, lots: tuple[str, ...]) -> None:
        self._out.end_heading()
        reason = Reason.WRITTEN_OUT if lots else Reason.RANGE
        self._out.doubt(start, end, reason)
        self._out.events.extend(Lot(start, end, text) for text in lots)
        self._state.between = False
        self._after(shape(lots[0]) if lots else "")

    def add(self, start: int, end: int) -> None:
        """Add `source[start:end]` as a lot, its blanks made single ones."""
        self._out.end_heading()
        text = self._source[start:end]
        if not text.isalnum():
            text = " ".join(text.split())
        lot = Lot(start, end, text)
        if self._state.other_maker:
            self._out.other_lots.append(lot)
        else:
            self._out.events.append(lot)
        self._after(shape(text))

    def _after(self, lot_shape: str) -> None:
        state = self._state
        state.role = Role.LOT
        state.fresh = state.separated = False
        state.trusted = True
        state.labelled_at = NEVER
        if lot_shape:
            self.last_shape = lot_shape
            self.shapes.add(lot_shape)
