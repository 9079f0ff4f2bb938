"""A cabinet of drawers that are covers with a motor lock: states, times and faults."""

import random
from dataclasses import dataclass

from drivers.opcua_cabinet.codec import CoverState
from simulators.base import FaultPlan, Json

MOVE_S = 0.2
"""Simulated seconds that locking, unlocking, opening and closing take."""
LOCK_S = 10.0
"""Simulated seconds after which a lock of the unit ends that nobody renews."""
NAMES = ("Drawer 1", "Drawer 2", "Drawer 3", "Drawer 4")
_FAULTS = (
    "solenoid_stuck",  # a command to unlock is taken, and the lock does not move
    "hook_stuck",  # the states are shown as they were when the fault began
    "locked_by_other",  # another client holds the lock of the unit
    "error",  # every cover shows Error
)
_AFTER = {
    CoverState.UNLOCKING: CoverState.CLOSED,
    CoverState.OPENING: CoverState.OPENED,
    CoverState.CLOSING: CoverState.CLOSED,
    CoverState.LOCKING: CoverState.LOCKED,
}


@dataclass(slots=True)
class _Cover:
    state: CoverState = CoverState.LOCKED
    shown: CoverState = CoverState.LOCKED
    left_s: float = 0.0
    pulses: int = 0


class CabinetModel:
    """Some drawers; a person shuts one, and it locks by itself."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._faults = FaultPlan(_FAULTS)
        self._covers = {name: _Cover() for name in NAMES}
        self._lock_left_s = 0.0
        self.lock_calls = 0

    @property
    def lock_held(self) -> bool:
        """Whether a client holds the lock of the unit."""
        return self._lock_left_s > 0

    @property
    def faults(self) -> FaultPlan:
        """See the list above."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """`open`, `shut` and `unlock`: a person with a key at a drawer; `all` for every one."""
        return ("open", "shut", "unlock")

    def set(self, name: str, value: str) -> None:
        """Put a drawer into another state by hand."""
        states = {
            "open": CoverState.OPENED,
            "shut": CoverState.LOCKED,
            "unlock": CoverState.CLOSED,
        }
        if name not in states:
            raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")
        if value != "all" and value not in self._covers:
            raise ValueError(f"there is no drawer {value!r}")
        for each in self._covers if value == "all" else (value,):
            self._covers[each].state = states[name]
        self.step(0.0)

    def state(self) -> dict[str, Json]:
        """Each drawer, who was unlocked how often, and whether the lock of the unit is held."""
        return {
            "drawers": {name: cover.state.value for name, cover in self._covers.items()},
            "pulses": {name: cover.pulses for name, cover in self._covers.items() if cover.pulses},
            "lock_held": self.lock_held,
            "lock_calls": self.lock_calls,
            "faults": self._faults.state(),
        }

    @property
    def busy(self) -> bool:
        """Whether a drawer is on its way."""
        return self.lock_held or any(cover.state in _AFTER for cover in self._covers.values())

    def is_open(self, name: str) -> bool:
        """Whether a drawer is open in truth."""
        return self._covers[name].state is CoverState.OPENED

    def pulses(self, name: str) -> int:
        """How often a drawer was commanded to unlock, or to open when it was not locked."""
        return self._covers[name].pulses

    def shown(self, name: str) -> CoverState:
        """Return the state that the machine tells."""
        return CoverState.ERROR if self._faults.active("error") else self._covers[name].shown

    def step(self, dt: float) -> None:
        """Let locks and drawers move on; the lock of the unit ends when it is not renewed."""
        self._lock_left_s = max(0.0, self._lock_left_s - dt)
        for cover in self._covers.values():
            if cover.state in _AFTER:
                cover.left_s -= dt
                if cover.left_s <= 0:
                    cover.state = _AFTER[cover.state]
            if not self._faults.active("hook_stuck"):
                cover.shown = cover.state

    def command(self, name: str, method: str) -> bool:
        """Do Open, Close, Lock or Unlock; False when the state forbids it."""
        cover = self._covers[name]
        wanted = {
            ("Unlock", CoverState.LOCKED): CoverState.UNLOCKING,
            ("Open", CoverState.CLOSED): CoverState.OPENING,
            ("Close", CoverState.OPENED): CoverState.CLOSING,
            ("Lock", CoverState.CLOSED): CoverState.LOCKING,
        }.get((method, cover.state))
        if wanted is None:
            return False
        cover.pulses += method == "Unlock"
        if self._faults.take("solenoid_stuck"):
            return True
        cover.state, cover.left_s = wanted, MOVE_S * self._random.uniform(0.8, 1.2)
        self.step(0.0)
        return True

    def init_lock(self) -> int:
        """Take the unit's lock; return InitLockStatus."""
        self.lock_calls += 1
        if self.lock_held or self._faults.active("locked_by_other"):
            return -1
        self._lock_left_s = LOCK_S
        return 0

    def renew_lock(self) -> int:
        """Renew the lock; return RenewLockStatus."""
        if not self.lock_held:
            return -1
        self._lock_left_s = LOCK_S
        return 0

    def exit_lock(self) -> int:
        """Give the lock back; return ExitLockStatus."""
        held, self._lock_left_s = self.lock_held, 0.0
        return 0 if held else -1
