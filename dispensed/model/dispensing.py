"""The life of one dispense as a state machine.

requested -> reserved -> commanded -> counted -> verified -> settled; or voided; in_doubt when a
device cannot say what it did.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from dispensed.errors import Conflict, Invalid
from dispensed.model.quantity import format_milli


class AlreadySettled(Conflict):
    """The dispense is settled or voided: nothing changes it any more."""

    code: ClassVar[str] = "already_settled"


class IllegalTransition(Conflict):
    """The dispense does not go from its present state to the asked one."""

    code: ClassVar[str] = "illegal_transition"


class CountDiffers(Conflict):
    """What was counted is not what was ordered; such a count is never verified."""

    code: ClassVar[str] = "count_differs"


class DispenseState(StrEnum):
    """State of one dispense."""

    REQUESTED = "requested"
    RESERVED = "reserved"
    COMMANDED = "commanded"
    COUNTED = "counted"
    VERIFIED = "verified"
    SETTLED = "settled"
    VOIDED = "voided"
    IN_DOUBT = "in_doubt"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows this state."""
        return not TRANSITIONS[self]


_S = DispenseState

TRANSITIONS: Mapping[DispenseState, frozenset[DispenseState]] = MappingProxyType(
    {
        _S.REQUESTED: frozenset({_S.RESERVED, _S.VOIDED}),
        _S.RESERVED: frozenset({_S.COMMANDED, _S.REQUESTED, _S.VOIDED}),
        _S.COMMANDED: frozenset({_S.COUNTED, _S.REQUESTED, _S.IN_DOUBT, _S.VOIDED}),
        _S.COUNTED: frozenset({_S.VERIFIED, _S.COMMANDED, _S.VOIDED}),
        _S.VERIFIED: frozenset({_S.SETTLED, _S.VOIDED}),
        _S.IN_DOUBT: frozenset({_S.COUNTED, _S.REQUESTED, _S.VOIDED}),
        _S.SETTLED: frozenset(),
        _S.VOIDED: frozenset(),
    }
)
"""What may follow each state.

reserved, commanded -> requested: the plan is withdrawn, the device is known to have done nothing.
counted -> commanded: a short count is topped up. in_doubt -> counted, requested or voided: only
after the machine or a person said what happened.
"""


def advance(state: DispenseState, to: DispenseState) -> DispenseState:
    """Return `to` when it may follow `state`; raises AlreadySettled or IllegalTransition."""
    if state.is_terminal:
        raise AlreadySettled(f"the dispense is {state}, it cannot become {to}")
    if to not in TRANSITIONS[state]:
        raise IllegalTransition(f"a dispense that is {state} cannot become {to}")
    return to


def check_count(
    *, ordered_item: str, ordered_milli: int, counted_item: str, counted_milli: int
) -> None:
    """Raise CountDiffers unless item and quantity counted are those ordered."""
    if ordered_item != counted_item:
        raise CountDiffers(f"item {counted_item} was counted, {ordered_item} is ordered")
    if ordered_milli != counted_milli:
        raise CountDiffers(
            f"{format_milli(counted_milli)} counted, {format_milli(ordered_milli)} ordered"
        )


_KEY = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def check_opaque(name: str, value: str) -> None:
    """Raise Invalid unless `value` is a key that cannot be read as a person's name."""
    if not _KEY.fullmatch(value):
        raise Invalid(
            f"{name} {value[:80]!r}: 1 to 64 letters, digits or . _ : - are allowed;"
            " it must be an opaque key, never a name"
        )
