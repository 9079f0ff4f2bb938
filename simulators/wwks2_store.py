"""The inside of a simulated picking robot: packs in slots, one picking arm, a queue of orders.

Pure and deterministic; the wire in front of it is `simulators.wwks2`. Behaviour seen in the manual
(WWKS 2 Reference Manual V6.0 §6.8) and in public captures: orders for more than there is are queued
and end `Incomplete`, with no pack at all after about a second; an output takes about 25 s.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from drivers.wwks2 import messages as wire
from simulators.base import FaultPlan

PRIORITIES = ("Highest", "High", "Normal", "Low", "Lowest")
EMPTY_S = 1.0
"""How long the robot needs to find out that there is nothing to output (capture)."""
HISTORY_MAX = 10_000
"""How many finished orders it remembers."""
QUEUE_MAX = 1000
_NO_EXPIRY = date.max


@dataclass(frozen=True, slots=True)
class StoredPack:
    """One pack in a slot. `units` 0 is a full pack."""

    id: int
    article: str
    batch: str = ""
    expiry: date | None = None
    units: int = 0
    slot: str = ""
    scan_code: str = ""
    serial: str = ""
    external_id: str = ""
    delivery: str = ""
    stock_in: date | None = None
    in_fridge: bool = False
    stock_location: str = ""
    machine_location: str = ""

    def matches(self, criteria: wire.Criteria) -> bool:
        """Whether an output or stock filter covers this pack."""
        return (
            criteria.article in {"", self.article}
            and criteria.batch in {"", self.batch}
            and criteria.serial in {"", self.serial}
            and criteria.external_id in {"", self.external_id}
            and criteria.stock_location in {"", self.stock_location}
            and criteria.machine_location in {"", self.machine_location}
            and criteria.pack_id in {0, self.id}
            and (
                criteria.minimum_expiry is None
                or (self.expiry is not None and self.expiry >= criteria.minimum_expiry)
            )
        )


@dataclass(slots=True)
class Job:
    """One output. `status` is that of a WWKS2 task; `left` are the packs that are out.

    An order without criteria puts out nothing but the box it names, or the next one.
    """

    order_id: str
    criteria: tuple[wire.Criteria, ...]
    details: wire.OutputDetails
    manual: bool = False
    box: str = ""
    status: str = "Queued"
    plan: list[StoredPack] = field(default_factory=list)
    left: list[StoredPack] = field(default_factory=list)
    to_label: set[int] = field(default_factory=set)
    labels: dict[int, str] = field(default_factory=dict)
    strayed: set[int] = field(default_factory=set)
    boxes: list[str] = field(default_factory=list)
    asked: int = 0
    elapsed_s: float = 0.0
    duration_s: float = 0.0
    jams: bool = False

    @property
    def ended(self) -> bool:
        """Whether no more packs will come."""
        return self.status in {"Completed", "Incomplete", "Aborted"}


class Robot:
    """The machine. `on_left` and `on_ended` are called at the moment it happens."""

    def __init__(
        self,
        faults: FaultPlan,
        first_pack_id: int,
        on_left: Callable[[Job, StoredPack], None],
        on_ended: Callable[[Job], None],
    ) -> None:
        self._faults = faults
        self._next_pack_id = first_pack_id
        self._on_left = on_left
        self._on_ended = on_ended
        self._queue: list[Job] = []
        self._running: Job | None = None
        self._history: OrderedDict[str, Job] = OrderedDict()
        self._full_units: dict[str, int] = {}
        self._next_box = 1
        self.packs: dict[int, StoredPack] = {}
        self.output_s = 25.0
        self.fills_boxes = False
        """Whether an automatic box filler stands behind the output."""

    # ------------------------------------------------------------ stock

    def store(self, pack: StoredPack) -> StoredPack:
        """Put a pack into the next slot; its id and slot are given here."""
        number = self._next_pack_id
        self._next_pack_id += 1
        slot = f"{chr(ord('A') + number % 8)}{number // 8 % 1000:03d}"
        stored = replace(pack, id=number, slot=slot)
        self.packs[number] = stored
        return stored

    def learn(self, article: str, units: int) -> None:
        """Note how many units a full pack of an article holds; 0 says nothing."""
        if units:
            self._full_units[article] = units

    def units_of(self, pack: StoredPack) -> int:
        """How many units a pack holds, 0 when it is full and nobody said."""
        return pack.units or self._full_units.get(pack.article, 0)

    def change(self, pack_id: int, *, batch: str | None, expiry: date | None) -> StoredPack:
        """Correct the data of a pack, as the robot's own reading of the print does."""
        pack = self.packs[pack_id]
        pack = replace(
            pack,
            batch=pack.batch if batch is None else batch,
            expiry=pack.expiry if expiry is None else expiry,
        )
        self.packs[pack_id] = pack
        return pack

    def vanish(self, article: str) -> StoredPack:
        """Let somebody take a pack by hand: the robot's records lose it without a word."""
        found = self._candidates(wire.Criteria(article=article), set())
        if not found:
            raise ValueError(f"no pack of {article!r} is there")
        return self.packs.pop(found[0].id)

    def count(self, article: str) -> int:
        """How many packs of an article are there."""
        return sum(pack.article == article for pack in self.packs.values())

    # ------------------------------------------------------------ orders

    @property
    def waiting(self) -> int:
        """How many orders are queued or running."""
        return len(self._queue) + (self._running is not None)

    def order(self, job: Job) -> bool:
        """Queue an output; False when the queue is full. The same id again is another output."""
        if len(self._queue) >= QUEUE_MAX:
            return False
        rank = _rank(job)
        at = next((i for i, each in enumerate(self._queue) if _rank(each) > rank), None)
        self._queue.insert(len(self._queue) if at is None else at, job)
        self._remember(job)
        return True

    def find(self, order_id: str) -> Job | None:
        """The last output of this id."""
        return self._history.get(order_id)

    def cancel(self, order_id: str) -> str:
        """Cancel an output; returns the status of the cancellation."""
        job = self._history.get(order_id)
        if job is None:
            return "Unknown"
        if job.ended or job.status == "Aborting":
            return "CancelError"
        if job in self._queue:
            self._queue.remove(job)
            self._end(job, "Aborted")
        else:
            job.status = "Aborting"
        return "Cancelled"

    def step(self, dt: float) -> None:
        """Let time pass; with `output_s` 0 everything queued ends at once."""
        while not self._faults.active("door_open"):
            if self._running is None:
                if not self._queue:
                    return
                self._running = self._start(self._queue.pop(0))
            job = self._running
            job.elapsed_s += dt
            self._advance(job)
            if not job.ended:
                return
            self._running = None
            dt = max(0.0, job.elapsed_s - job.duration_s)

    def _start(self, job: Job) -> Job:
        job.status = "InProcess"
        taken: set[int] = set()
        for criteria in job.criteria:
            found, asked = self._choose(criteria, taken)
            job.asked += asked
            job.plan += found
            taken |= {pack.id for pack in found}
            if criteria.labels:
                job.to_label |= {pack.id for pack in found}
        job.duration_s = self.output_s if job.plan else min(EMPTY_S, self.output_s)
        job.jams = self._faults.take("jam")
        if job.box or self.fills_boxes or not job.criteria:
            job.boxes.append(job.box or self._new_box())
        return job

    def _new_box(self) -> str:
        number = str(self._next_box)
        self._next_box += 1
        return number

    def _choose(self, criteria: wire.Criteria, taken: set[int]) -> tuple[list[StoredPack], int]:
        """Return the packs for one filter, and how many would be needed for all of it."""
        found = self._candidates(criteria, taken)
        if criteria.single_batch:
            found = self._of_one_batch(found, criteria)
        if not criteria.sub_items:
            return found[: criteria.quantity], criteria.quantity
        units, chosen = 0, []
        for pack in found:
            if units >= criteria.sub_items:
                break
            units += self.units_of(pack)
            chosen.append(pack)
        return chosen, len(chosen) + (units < criteria.sub_items)

    def _of_one_batch(self, found: list[StoredPack], criteria: wire.Criteria) -> list[StoredPack]:
        """Return the packs of the first batch that suffices, else of the one that has most."""
        batches: dict[str, list[StoredPack]] = {}
        for pack in found:
            batches.setdefault(pack.batch, []).append(pack)
        wanted = criteria.sub_items or criteria.quantity

        def worth(packs: list[StoredPack]) -> int:
            return sum(map(self.units_of, packs)) if criteria.sub_items else len(packs)

        enough = [packs for packs in batches.values() if worth(packs) >= wanted]
        return enough[0] if enough else max(batches.values(), key=worth, default=[])

    def can_count(self, criteria: wire.Criteria) -> bool:
        """Whether units can be output: those of every pack in question are known."""
        packs = self._candidates(criteria, set())
        return not criteria.sub_items or all(self.units_of(pack) for pack in packs)

    def _candidates(self, criteria: wire.Criteria, taken: set[int]) -> list[StoredPack]:
        """Matching packs, the earliest expiring first."""
        found = [
            pack for pack in self.packs.values() if pack.id not in taken and pack.matches(criteria)
        ]
        return sorted(found, key=lambda pack: (pack.expiry or _NO_EXPIRY, pack.id))

    def _advance(self, job: Job) -> None:
        if job.status == "Aborting":
            self._end(job, "Aborted")
            return
        last = len(job.plan) // 2 if job.jams else len(job.plan)
        while len(job.left) < last and self._due(job):
            pack = job.plan[len(job.left)]
            if self.packs.pop(pack.id, None) is None:  # somebody took it by hand
                job.plan.remove(pack)
                last -= 1
                continue
            job.left.append(pack)
            if pack.id in job.to_label:
                failed = self._faults.take("label_error")
                job.labels[pack.id] = "LabelError" if failed else "Labelled"
            if self._faults.take("wrong_exit"):
                job.strayed.add(pack.id)
            self._on_left(job, pack)
        if len(job.left) == last and job.elapsed_s >= job.duration_s:
            complete = len(job.left) == job.asked and not job.jams
            self._end(job, "Completed" if complete else "Incomplete")

    def _due(self, job: Job) -> bool:
        """Packs leave evenly over the duration, the last one at its end."""
        share = (len(job.left) + 1) / len(job.plan)
        return job.elapsed_s >= job.duration_s * share

    def _end(self, job: Job, status: str) -> None:
        job.status = status
        job.duration_s = min(job.duration_s, job.elapsed_s)
        self._on_ended(job)

    def _remember(self, job: Job) -> None:
        if job.manual:
            return
        self._history.pop(job.order_id, None)
        self._history[job.order_id] = job
        if len(self._history) > HISTORY_MAX:
            self._history.popitem(last=False)


def _rank(job: Job) -> int:
    if job.manual:  # somebody stands there and waits
        return -1
    priority = job.details.priority
    return PRIORITIES.index(priority if priority in PRIORITIES else "Normal")
