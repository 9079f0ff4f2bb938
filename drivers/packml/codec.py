"""PackML over OPC UA, the pure part: states, counts and the records that are stored.

Source: OPC 30050 "OPC UA for PackML" 1.01 (state machines in 6.2, counts in 6.3.4 and 6.5.3) and
its nodeset of 2020-10-08 for node and state numbers. Not verified on hardware.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from drivers.base import CountJob, CountResult, RawMessage
from drivers.counting import Fields, dump, load, reported, whole
from drivers.errors import Disagreement, Moved, ProtocolError
from drivers.facts import Fact
from drivers.opcua_binary import PIECE_UNIT_ID
from drivers.packml.binary import CountElement, Descriptor

PACKML_URI = "http://opcfoundation.org/UA/PackML/"
DI_URI = "http://opcfoundation.org/UA/DI/"
MACHINERY_URI = "http://opcfoundation.org/UA/Machinery/"
PIECES_MAX = 1 << 24
"""The target travels as a 32-bit float, which holds every whole number up to here."""
INT32_MAX = (1 << 31) - 1
JOB_ID_MAX = 64

# ---------------------------------------------------------------- states


class State(IntEnum):
    """The states of a PackML machine, with the numbers of ISA-TR88.00.02."""

    CLEARING = 1
    STOPPED = 2
    STARTING = 3
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTING = 8
    ABORTED = 9
    HOLDING = 10
    HELD = 11
    UNHOLDING = 12
    SUSPENDING = 13
    UNSUSPENDING = 14
    RESETTING = 15
    COMPLETING = 16
    COMPLETE = 17


class UnitMode(IntEnum):
    """The modes that every PackML machine knows; a machine may have more (6.5.2)."""

    INVALID = 0
    PRODUCE = 1
    MAINTENANCE = 2
    MANUAL = 3


RUNNING = 18
"""Number of the wrapper state of the machine level whose inside is the execute level."""
CLEARED = 19
"""Number of the wrapper state of the base level whose inside is the machine level."""
BASE_LEVEL = frozenset({State.ABORTING, State.ABORTED})
MACHINE_LEVEL = frozenset({State.CLEARING, State.STOPPED, State.STOPPING})
EXECUTE_LEVEL = frozenset(State) - BASE_LEVEL - MACHINE_LEVEL

STATE_IDS: Mapping[int, int] = {
    27: State.RESETTING,
    28: State.IDLE,
    29: State.STARTING,
    30: State.SUSPENDING,
    31: State.SUSPENDED,
    32: State.UNSUSPENDING,
    33: State.HOLDING,
    34: State.HELD,
    35: State.UNHOLDING,
    36: State.EXECUTE,
    37: State.COMPLETING,
    38: State.COMPLETE,
    53: State.STOPPED,
    54: State.STOPPING,
    55: State.CLEARING,
    61: State.ABORTING,
    62: State.ABORTED,
    71: CLEARED,
    75: RUNNING,
}
"""Numeric id of each state object in the PackML namespace -> state number."""
_NAMES: Mapping[str, int] = {
    **{state.name.capitalize(): int(state) for state in State},
    "Running": RUNNING,
    "Cleared": CLEARED,
}


@dataclass(frozen=True, slots=True)
class LevelState:
    """What one of the three nested state machines shows; None where it shows nothing.

    `node_id` is the numeric id of CurrentState/Id when that lies in the PackML namespace, `number`
    is CurrentState/Number (optional in OPC UA), `text` the text of CurrentState.
    """

    node_id: int | None = None
    number: int | None = None
    text: str | None = None

    def value(self) -> int | None:
        """Return the state number, from the first of id, number and text that is known."""
        if self.node_id is not None and self.node_id in STATE_IDS:
            return STATE_IDS[self.node_id]
        if self.number is not None and self.number in _NAMES.values():
            return self.number
        if self.text is not None:
            return _NAMES.get(self.text)
        return None


def fold(base: LevelState, machine: LevelState, execute: LevelState) -> State:
    """Fold three nested state machines into one state: the innermost that is entered.

    Raises ProtocolError when they show no state together (unknown, or read while changing).
    """
    outer = base.value()
    if outer in BASE_LEVEL:
        return State(outer)
    middle = machine.value()
    if outer == CLEARED and middle in MACHINE_LEVEL:
        return State(middle)
    inner = execute.value()
    if outer == CLEARED and middle == RUNNING and inner in EXECUTE_LEVEL:
        return State(inner)
    raise ProtocolError(f"the state machines show no PackML state: {base}, {machine}, {execute}")


# ---------------------------------------------------------------- counts


@dataclass(frozen=True, slots=True)
class Tally:
    """One running count. `count` may be reset at any time, `acc` (AccCount) never goes back."""

    id: int
    count: int
    acc: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of good and of defective pieces; `defective` None where the machine has none."""

    processed: Tally
    defective: Tally | None


def tally_of(element: CountElement) -> Tally:
    """Return the numbers of a count structure; raises ProtocolError when one is negative."""
    if element.count < 0 or element.acc < 0:
        raise ProtocolError(f"negative count: {element}")
    return Tally(element.id, element.count, element.acc)


def pieces_between(before: Tally, after: Tally, *, reset_seen: bool) -> int:
    """Return the pieces counted between two readings, from AccCount and checked with Count.

    `reset_seen` says that Count was seen going back in between; a Count of 0 after the job says it
    too. Raises Disagreement (moved UNKNOWN) when the two do not tell the same story; there is never
    a guess.
    """
    story = f"{before} before, {after} after"
    if after.id != before.id:
        raise Disagreement(f"the count is of another material: {story}", moved=Moved.UNKNOWN)
    pieces = after.acc - before.acc
    if pieces < 0:
        raise Disagreement(f"AccCount went back: {story}", moved=Moved.UNKNOWN)
    if reset_seen or after.count == 0 or after.count < before.count:
        if after.count > pieces:
            raise Disagreement(
                f"Count was reset and still exceeds AccCount's step: {story}", moved=Moved.UNKNOWN
            )
    elif after.count - before.count != pieces:
        raise Disagreement(f"Count and AccCount disagree: {story}", moved=Moved.UNKNOWN)
    return pieces


@dataclass(frozen=True, slots=True)
class Resets:
    """Of which count it was seen that it went back; a machine may reset each by itself."""

    processed: bool = False
    defective: bool = False


def result_of(
    job: CountJob, before: Counts, after: Counts, *, resets: Resets, inclusive: bool
) -> CountResult:
    """Return what a job counted between two readings; raises Disagreement (`pieces_between`).

    `inclusive` says that this machine counts a defective piece as processed too.
    """
    counted = pieces_between(before.processed, after.processed, reset_seen=resets.processed)
    defective = 0
    if before.defective is not None and after.defective is not None:
        defective = pieces_between(before.defective, after.defective, reset_seen=resets.defective)
    elif before.defective != after.defective:
        raise Disagreement(
            "the defective count appeared or vanished during the job", moved=Moved.UNKNOWN
        )
    if inclusive:
        counted -= defective
    if counted < 0:
        raise Disagreement(f"{defective} defective of fewer processed pieces", moved=Moved.UNKNOWN)
    return CountResult(job.job_id, counted, defective, complete=counted >= job.pieces)


# ---------------------------------------------------------------- parameters


def job_token(job: CountJob, before: Counts) -> str:
    """Return what marks this start of a job at the machine: its id and AccCount before it.

    AccCount makes the token of a second start of the same id another one, so that a stored start
    message is never taken for a start that it does not describe.
    """
    return f"{job.job_id}@{before.processed.acc}"


def start_parameters(
    job: CountJob, before: Counts, target: str, marker: str
) -> tuple[Descriptor, ...]:
    """Return the parameters that Start is given for a job.

    OPC 30050 leaves the names to the machine: `target` is the name of the parameter that takes the
    number of pieces; `marker` the prefix of one whose name carries the job token ("": left out).
    """
    wanted = Descriptor(1, target, PIECE_UNIT_ID, "pcs", float(job.pieces))
    if not marker:
        return (wanted,)
    return (wanted, Descriptor(2, f"{marker}{job_token(job, before)}", 0, "", 0.0))


def token_shown(parameters: Sequence[Descriptor], marker: str) -> str | None:
    """Return the job token that a machine's parameters show; None for none, or more than one."""
    found = [item.name[len(marker) :] for item in parameters if item.name.startswith(marker)]
    return found[0] if marker and len(found) == 1 else None


# ---------------------------------------------------------------- records


@dataclass(frozen=True, slots=True)
class StartRecord:
    """What is stored before a job is started: the job and the counts before it."""

    job: CountJob
    before: Counts


@dataclass(frozen=True, slots=True)
class CountRecord:
    """What is stored after a job: its result, how it ended, and the counts it comes from."""

    job: CountJob
    result: CountResult
    state: State
    before: Counts
    after: Counts


def start_message(record: StartRecord) -> RawMessage:
    """Return the message that says a job is about to be started."""
    raw = dump("start", record.job, {"before": _counts_fields(record.before)})
    return RawMessage(f"start:{record.job.job_id}", "start", raw)


def count_message(record: CountRecord) -> RawMessage:
    """Return the message that carries the result of a job."""
    body = {
        "counted": record.result.counted,
        "defective": record.result.defective,
        "complete": record.result.complete,
        "state": record.state.name,
        "before": _counts_fields(record.before),
        "after": _counts_fields(record.after),
    }
    return RawMessage(f"count:{record.job.job_id}", "count", dump("count", record.job, body))


def read_start(raw: bytes) -> StartRecord:
    """Return a stored `start:` message; raises ProtocolError."""
    body = load(raw, "start")
    return StartRecord(body.job(INT32_MAX), _counts(body, "before"))


def read_count(raw: bytes) -> CountRecord:
    """Return a stored `count:` message; raises ProtocolError."""
    body = load(raw, "count")
    job = body.job(INT32_MAX)
    counted = body.number("counted", 0, INT32_MAX)
    defective = body.number("defective", 0, INT32_MAX)
    result = CountResult(job.job_id, counted, defective, body.flag("complete"))
    name = body.text("state")
    if name not in State.__members__:
        raise ProtocolError(f"state {name!r} is not one of PackML")
    return CountRecord(job, result, State[name], _counts(body, "before"), _counts(body, "after"))


def interpret(raw: bytes) -> tuple[Fact, ...]:
    """Return the facts of a stored message: one for a result, none for a start.

    Raises ProtocolError.
    """
    if load(raw).text("kind") == "start":
        read_start(raw)
        return ()
    record = read_count(raw)
    return (reported(record.job, record.result),)


def _counts_fields(counts: Counts) -> dict[str, list[int] | None]:
    tallies = {"processed": counts.processed, "defective": counts.defective}
    return {
        name: None if tally is None else [tally.id, tally.count, tally.acc]
        for name, tally in tallies.items()
    }


def _counts(body: Fields, name: str) -> Counts:
    inner = Fields(body.value(name))
    processed = _tally(inner, "processed")
    if processed is None:
        raise ProtocolError(f"{name}: processed is missing")
    return Counts(processed, _tally(inner, "defective"))


def _tally(body: Fields, name: str) -> Tally | None:
    match body.value(name):
        case None:
            return None
        case [number, count, acc]:
            if type(number) is not int or abs(number) > INT32_MAX + 1:
                raise ProtocolError(f"{name}: {number!r} is not an ID")
            pieces = whole(name, count, 0, INT32_MAX)
            return Tally(number, pieces, whole(name, acc, 0, INT32_MAX))
        case other:
            raise ProtocolError(f"{name}: {other!r} is not a count")
