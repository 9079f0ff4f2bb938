"""Drawers as LADS cover functions, the pure part: states, and what they say of a drawer.

Source: OPC 30500-1 "LADS" 1.00, CoverFunctionType and CoverStateMachineType, node numbers from its
nodeset of 2023-11-30; OPC 10000-100 "DI" 1.04, Lock (LockingServicesType). There is no companion
specification for dispensing cabinets: a set of covers is the closest model. Not verified on
hardware.
"""

from enum import StrEnum

from drivers.base import DrawerState

LADS_URI = "http://opcfoundation.org/UA/LADS/"
DI_URI = "http://opcfoundation.org/UA/DI/"
LOCK_DONE = 0
"""InitLockStatus and RenewLockStatus of success. Source: OPC 10000-100, Lock."""
LOCK_TAKEN = -1
"""InitLockStatus when another client holds the lock. Source: the same."""


class CoverState(StrEnum):
    """The states of a cover."""

    OPENED = "Opened"
    CLOSED = "Closed"
    LOCKED = "Locked"
    OPENING = "Opening"
    CLOSING = "Closing"
    LOCKING = "Locking"
    UNLOCKING = "Unlocking"
    ERROR = "Error"


STATE_IDS = {
    5025: CoverState.OPENED,
    5028: CoverState.CLOSED,
    5049: CoverState.LOCKED,
    5050: CoverState.ERROR,
    5107: CoverState.UNLOCKING,
    5108: CoverState.LOCKING,
    5109: CoverState.OPENING,
    5110: CoverState.CLOSING,
}
"""Numbers of the state objects of CoverStateMachineType in the namespace of LADS."""
_SHUT: frozenset[CoverState | None] = frozenset(
    {CoverState.CLOSED, CoverState.LOCKED, CoverState.LOCKING, CoverState.UNLOCKING}
)
"""Locking leads from closed to locked and unlocking back: the cover is shut all the while."""


def state_of(number: int | None) -> CoverState | None:
    """Return the state with a number, None for none and for one that is not of LADS."""
    return None if number is None else STATE_IDS.get(number)


def drawer_of(name: str, state: CoverState | None) -> DrawerState:
    """Return a drawer as its cover says; a moving or faulty cover is neither open nor shut."""
    if state is CoverState.OPENED:
        return DrawerState(name, is_open=True, locked=False)
    if state not in _SHUT:
        return DrawerState(name, None)
    certain: dict[CoverState | None, bool] = {CoverState.LOCKED: True, CoverState.CLOSED: False}
    return DrawerState(name, is_open=False, locked=certain.get(state))
