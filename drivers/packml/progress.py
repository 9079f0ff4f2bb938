"""What was seen of one counting job so far: its counts, and whether they went back."""

from dataclasses import dataclass, field

from drivers.base import CountJob
from drivers.errors import Disagreement, Moved
from drivers.packml.codec import Counts, Resets, State, Tally, job_token, token_shown
from drivers.packml.session import Snapshot

RESET = frozenset({State.RESETTING, State.IDLE})
"""States in which a job has not begun, or is over and forgotten."""


@dataclass(frozen=True, slots=True)
class _Back:
    """Whether Count and AccCount went back from one reading to the next."""

    count: bool = False
    acc: bool = False


def _went_back(earlier: Tally | None, later: Tally | None) -> _Back:
    if earlier is None or later is None:
        return _Back()
    return _Back(later.count < earlier.count, later.acc < earlier.acc)


@dataclass(slots=True)
class Progress:
    """What was seen of one job so far."""

    job: CountJob
    before: Counts
    last: Counts = field(init=False)
    resets: Resets = field(default_factory=Resets)
    acc_reset_seen: bool = False
    echoed: bool = False
    ran: bool = False

    def __post_init__(self) -> None:
        self.last = self.before

    def see(self, now: Snapshot, marker: str) -> None:
        """Note a reading; raises Disagreement (moved UNKNOWN) when another job runs."""
        processed = _went_back(self.last.processed, now.counts.processed)
        defective = _went_back(self.last.defective, now.counts.defective)
        self.resets = Resets(
            self.resets.processed or processed.count, self.resets.defective or defective.count
        )
        self.acc_reset_seen |= processed.acc or defective.acc
        self.last = now.counts
        self.ran |= now.state not in RESET
        shown = token_of(now, marker)
        if shown == job_token(self.job, self.before):
            self.echoed = True
        elif self.echoed and shown is not None:
            raise Disagreement(
                f"job {self.job.job_id}: the machine was given another job", moved=Moved.UNKNOWN
            )


def token_of(now: Snapshot, marker: str) -> str | None:
    """Return the job token that the machine shows, None when it shows none."""
    return None if now.parameters is None else token_shown(now.parameters, marker)
