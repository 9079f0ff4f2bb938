"""A tablet counter that speaks PackML over OPC UA: the machine, from the inside.

Source: OPC 30050 "OPC UA for PackML" 1.01 for states, commands and what the counts mean; how a
counter falls short, jams and miscounts is made up. Its nodes are in `simulators.packml_nodes`.
"""

import random
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drivers.packml.binary import Descriptor
from drivers.packml.codec import State, UnitMode
from simulators.base import FaultPlan, Json

JOB_FAULTS = (
    "jam",  # goes Held at a random piece; stays until unheld or stopped
    "short_count",  # the hopper runs empty at a random piece: goes Suspended, starved
    "miscount",  # reports one piece that never fell
    "counter_reset",  # Count starts again from 0 at a random piece; AccCount goes on
    "acc_reset",  # Count and AccCount both start again from 0 at a random piece
    "abort",  # goes Aborted at a random piece; stays until cleared
)
"""Faults that happen once in a job, at a piece chosen when the job starts."""
CONDITIONS = (
    "slow_feed",  # pieces fall at a tenth of the speed
    "no_start",  # answers Good to Start and does nothing
    "mode_stuck",  # answers Good to SetUnitMode and stays in its mode
)
TARGET = "TargetCount"
"""The name of the parameter that takes the number of pieces."""
ENDLESS = -1
JOBS_REMEMBERED = 10_000
SLOW_FACTOR = 10
_SECONDS: Mapping[State, float] = {
    State.RESETTING: 0.5,
    State.STARTING: 0.5,
    State.COMPLETING: 0.3,
    State.HOLDING: 0.3,
    State.UNHOLDING: 0.3,
    State.SUSPENDING: 0.3,
    State.UNSUSPENDING: 0.3,
    State.STOPPING: 0.3,
    State.ABORTING: 0.2,
    State.CLEARING: 0.5,
}
"""How long the acting states last, in simulated seconds."""
_NEXT: Mapping[State, State] = {
    State.RESETTING: State.IDLE,
    State.STARTING: State.EXECUTE,
    State.COMPLETING: State.COMPLETE,
    State.HOLDING: State.HELD,
    State.UNHOLDING: State.EXECUTE,
    State.SUSPENDING: State.SUSPENDED,
    State.UNSUSPENDING: State.EXECUTE,
    State.STOPPING: State.STOPPED,
    State.ABORTING: State.ABORTED,
    State.CLEARING: State.STOPPED,
}
_ABORTED = frozenset({State.ABORTING, State.ABORTED})
_STOPPED = _ABORTED | {State.STOPPING, State.STOPPED, State.CLEARING}
_COMMANDS: Mapping[str, tuple[frozenset[State], State]] = {
    "Reset": (frozenset({State.STOPPED, State.COMPLETE}), State.RESETTING),
    "Start": (frozenset({State.IDLE}), State.STARTING),
    "Stop": (frozenset(State) - _STOPPED, State.STOPPING),
    "Hold": (
        frozenset(
            {State.EXECUTE, State.STARTING, State.SUSPENDED, State.SUSPENDING, State.UNSUSPENDING}
        ),
        State.HOLDING,
    ),
    "Unhold": (frozenset({State.HELD}), State.UNHOLDING),
    "Suspend": (frozenset({State.EXECUTE}), State.SUSPENDING),
    "Unsuspend": (frozenset({State.SUSPENDED}), State.UNSUSPENDING),
    "ToComplete": (frozenset({State.EXECUTE}), State.COMPLETING),
    "Abort": (frozenset(State) - _ABORTED, State.ABORTING),
    "Clear": (frozenset({State.ABORTED}), State.CLEARING),
}
"""Command -> the states it is accepted in, and where it leads."""
COMMANDS = tuple(_COMMANDS)
_RESTING = frozenset({State.STOPPED, State.IDLE, State.ABORTED, State.COMPLETE})
"""States in which the mode may be changed."""


@dataclass(frozen=True, slots=True)
class Total:
    """Count and AccCount of one kind of piece."""

    count: int = 0
    acc: int = 0

    def one_more(self) -> "Total":
        """Count one piece."""
        return Total(self.count + 1, self.acc + 1)


class CounterModel:
    """The machine. Exact for any `dt`: pieces and state changes happen at their own instants.

    `rate_per_s` pieces fall in a simulated second. `state()` also tells what no machine could:
    `physically_dispensed`, the pieces that are really in the vial.
    """

    def __init__(self, seed: int = 0, *, rate_per_s: float = 15.0) -> None:
        self._random = random.Random(seed)
        self._faults = FaultPlan((*JOB_FAULTS, *CONDITIONS))
        self._rate = rate_per_s
        self._defective_rate = 0.0
        self._hopper = ENDLESS
        self._count_per_job = True
        self._timer: float | None = None
        self._planned: dict[str, int] = {}
        self._target = 0
        self._done = 0
        self._dispensed = 0
        self._rejected = 0
        self.current = State.STOPPED
        self.mode = UnitMode.PRODUCE
        self.processed = Total()
        self.defective = Total()
        self.parameters: tuple[Descriptor, ...] = ()
        self.fallen: OrderedDict[str, int] = OrderedDict()
        """Pieces that really fell, by the names of the job's parameters: the truth, for tests."""
        self.starved = False

    # ------------------------------------------------------------ control

    @property
    def faults(self) -> FaultPlan:
        """The faults of the machine."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """The names that `set` takes."""
        return (
            "hopper",
            "defective_rate",
            "rate_per_s",
            "count_per_job",
            "mode",
            "operator",
            "panel",
        )

    def set(self, name: str, value: str) -> None:
        """Change something at the machine.

        `hopper`: pieces in it (-1 endless). `defective_rate`: 0 to 1. `rate_per_s`: pieces.
        `count_per_job`: 1 when Reset clears Count. `mode`: PRODUCE, MAINTENANCE or MANUAL, switched
        at the panel. `operator`: a command given at the panel, such
        as Clear. `panel`: pieces to be counted by a job that nobody ordered.
        """
        match name:
            case "hopper":
                self._hopper = _whole(name, value, least=ENDLESS)
                self.starved = self.starved and self._hopper == 0
            case "defective_rate":
                self._defective_rate = _number(name, value, 0.0, 0.99)
            case "rate_per_s":
                self._rate = _number(name, value, 0.1, 1000.0)
            case "count_per_job":
                self._count_per_job = bool(_whole(name, value, least=0))
            case "mode" | "operator" | "panel":
                self._by_hand(name, value)
            case _:
                raise ValueError(f"setting {name!r} is not one of {', '.join(self.settings)}")

    def _by_hand(self, name: str, value: str) -> None:
        """Do what a person at the panel does."""
        if name == "mode":
            done = value in UnitMode.__members__ and self.set_mode(UnitMode[value])
        elif name == "operator":
            done = value in COMMANDS and self.command(value)
        else:
            wanted = Descriptor(1, TARGET, 0, "", float(_whole(name, value, least=1)))
            done = self.command("Start", (wanted,))
        if not done:
            raise ValueError(f"{name}: {value!r} is not possible in {self.current.name}")

    def state(self) -> dict[str, Json]:
        """Everything there is to know, the truth included."""
        return {
            "state": self.current.name,
            "mode": self.mode.name,
            "target": self._target,
            "processed_count": self.processed.count,
            "processed_acc": self.processed.acc,
            "defective_count": self.defective.count,
            "defective_acc": self.defective.acc,
            "physically_dispensed": self._dispensed,
            "physically_rejected": self._rejected,
            "hopper": self._hopper,
            "starved": self.starved,
            "job": [item.name for item in self.parameters],
            "faults": self._faults.state(),
        }

    @property
    def busy(self) -> bool:
        """Whether the passing of time will change anything."""
        return self._timer is not None

    # ------------------------------------------------------------ commands

    def command(self, name: str, parameters: Sequence[Descriptor] = ()) -> bool:
        """Carry out a command; False when the state (or for Start the parameters) forbids it."""
        allowed, leads_to = _COMMANDS[name]
        if self.current not in allowed:
            return False
        if name == "Start" and self.mode is not UnitMode.PRODUCE:
            return False
        if name == "Start":
            wanted = [item.value for item in parameters if item.name == TARGET]
            if len(wanted) != 1 or wanted[0] < 1 or wanted[0] != int(wanted[0]):
                return False
            if self._faults.take("no_start"):
                return True
            self._begin(int(wanted[0]), tuple(parameters))
        if name in {"Stop", "Unsuspend"}:
            self.starved = False
        self._enter(leads_to)
        return True

    def set_mode(self, mode: UnitMode) -> bool:
        """Change the mode; False when it cannot be changed now or is none."""
        if mode is UnitMode.INVALID or self.current not in _RESTING:
            return False
        if not self._faults.take("mode_stuck"):
            self.mode = mode
        return True

    def _begin(self, target: int, parameters: tuple[Descriptor, ...]) -> None:
        self._target, self._done = target, 0
        self.parameters = parameters
        self._planned = {
            name: self._random.randrange(target) for name in JOB_FAULTS if self._faults.take(name)
        }

    # ------------------------------------------------------------ time

    def step(self, dt: float) -> None:
        """Let `dt` simulated seconds pass."""
        while self._timer is not None and dt >= self._timer:
            dt -= self._timer
            if self.current is State.EXECUTE:
                self._piece()
            else:
                self._enter(_NEXT[self.current])
        if self._timer is not None:
            self._timer -= dt

    def _enter(self, state: State) -> None:
        if self.current is State.RESETTING and state is State.IDLE and self._count_per_job:
            self.processed = replace(self.processed, count=0)
            self.defective = replace(self.defective, count=0)
        self.current = state
        self._timer = self._piece_time() if state is State.EXECUTE else _SECONDS.get(state)

    def _piece_time(self) -> float:
        return (SLOW_FACTOR if self._faults.active("slow_feed") else 1) / self._rate

    def _due(self, fault: str) -> bool:
        """Whether a fault planned for this job happens at this piece; it happens once."""
        if self._planned.get(fault) != self._done:
            return False
        del self._planned[fault]
        return True

    def _piece(self) -> None:
        """One piece is due; the troubles come first."""
        self._timer = self._piece_time()
        if self._due("short_count") or self._hopper == 0:
            self.starved = True
            self._enter(State.SUSPENDING)
        elif self._due("jam"):
            self._enter(State.HOLDING)
        elif self._due("abort"):
            self._enter(State.ABORTING)
        else:
            self._fall()
            if self._done >= self._target:
                self._enter(State.COMPLETING)

    def _fall(self) -> None:
        if self._due("acc_reset"):
            self.processed, self.defective = Total(), Total()
        if self._due("counter_reset"):
            self.processed = replace(self.processed, count=0)
            self.defective = replace(self.defective, count=0)
        ghost = self._due("miscount")
        if self._hopper > 0 and not ghost:
            self._hopper -= 1
        if not ghost and self._random.random() < self._defective_rate:
            self.defective = self.defective.one_more()
            self._rejected += 1
            return
        self.processed = self.processed.one_more()
        self._done += 1
        if not ghost:
            self._dispensed += 1
            job = " ".join(item.name for item in self.parameters)
            self.fallen[job] = self.fallen.get(job, 0) + 1
            if len(self.fallen) > JOBS_REMEMBERED:
                self.fallen.popitem(last=False)


def _whole(name: str, value: str, *, least: int) -> int:
    number = int(value)
    if number < least:
        raise ValueError(f"{name}: {value} is below {least}")
    return number


def _number(name: str, value: str, least: float, most: float) -> float:
    number = float(value)
    if not least <= number <= most:
        raise ValueError(f"{name}: {value} is not between {least} and {most}")
    return number
