"""The input of a simulated picking robot: packs that ask, started inputs, articles, deliveries.

Pure and deterministic. Source: WWKS 2 Reference Manual V6.0 §6.4 to §6.6. What the manual leaves
open is chosen here: a started input asks about all its packs in one InputRequest; the scan code of
a pack is taken for its article id where the machine stores without asking; each tenant has its own
articles and deliveries.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from drivers.wwks2 import messages as wire
from simulators.base import FaultPlan
from simulators.wwks2_data import pack_data
from simulators.wwks2_store import Robot, StoredPack

WAITING_MAX = 1000
"""How many packs may wait at the input; one more start is rejected."""
_ERRORS = frozenset(
    {
        "Rejected",
        "RejectedNoExpiryDate",
        "RejectedNoPickingIndicator",
        "RejectedNoBatchNumber",
        "RejectedNoStockLocation",
        "RejectedInvalidStockLocation",
        "InputBroken",
        "NoSpaceInMachine",
    }
)
"""Errors of a started input that this robot knows. Source: §6.5.3."""
_ALLOWED = frozenset({wire.Handling.ALLOWED, wire.Handling.ALLOWED_FOR_FRIDGE})

Broadcast = Callable[[Callable[[int], wire.Message]], None]


@dataclass(slots=True)
class Waiting:
    """Packs on the belt; `typed_*` is what a person at the robot enters when asked."""

    id: str
    packs: tuple[wire.PackData, ...]
    new_delivery: bool
    typed_batch: str = ""
    typed_expiry: date | None = None
    started: wire.InitiateInputRequest | None = None
    waited_s: float = 0.0


class Belt:
    """Where packs come in. `broadcast` tells every client."""

    def __init__(self, own_id: int, robot: Robot, faults: FaultPlan, broadcast: Broadcast) -> None:
        self._own_id = own_id
        self._robot = robot
        self._faults = faults
        self._broadcast = broadcast
        self._numbers = itertools.count(9001)
        self._waiting: dict[str, Waiting] = {}
        self._articles: dict[str, dict[str, wire.Article]] = {}
        self._deliveries: dict[tuple[str, str], wire.Delivery] = {}
        self._came: dict[str, list[StoredPack]] = {}
        self.today = date.min
        self.patience_s = 30.0
        self.autonomous = False
        """Store by articles and deliveries, without asking."""

    @property
    def waiting(self) -> int:
        """How many inputs are under way."""
        return len(self._waiting)

    # ------------------------------------------------------------ packs

    def put(self, pack: wire.PackData, typed_batch: str, typed_expiry: date | None) -> None:
        """Put one pack on the belt."""
        number = str(next(self._numbers))
        waiting = Waiting(number, (pack,), bool(pack.delivery), typed_batch, typed_expiry)
        self._begin(waiting)

    def start(self, request: wire.InitiateInputRequest, *, ready: bool) -> wire.InputDetails | None:
        """Begin a started input; returns its details as answered, None when rejected."""
        packs = tuple(pack for article in request.articles for pack in article.packs)
        if not ready or not packs or len(self._waiting) + len(packs) > WAITING_MAX:
            return None
        number = str(next(self._numbers))
        self._begin(Waiting(number, packs, request.new_delivery, started=request))
        return replace(request.details, point=request.details.point or 1, status="Accepted")

    def _begin(self, waiting: Waiting) -> None:
        self._waiting[waiting.id] = waiting
        if self.autonomous:
            known = [self._known(pack) for pack in waiting.packs]
            self._finish(waiting, known, "not among the articles")
        else:
            self._ask(waiting)

    def _ask(self, waiting: Waiting) -> None:
        waiting.waited_s = 0.0
        asked = (wire.Article(packs=tuple(_asked(pack) for pack in waiting.packs)),)
        new = waiting.new_delivery
        self._broadcast(lambda to: wire.InputRequest(waiting.id, self._own_id, to, new, asked))

    def answer(self, response: wire.InputResponse) -> None:
        """Take the decision about the packs of one input; one that leaves packs out is ignored."""
        waiting = self._waiting.get(response.id)
        answers = {
            pack.index: replace(article, packs=(pack,))
            for article in response.articles
            for pack in article.packs
        }
        if waiting is None or not all(pack.index in answers for pack in waiting.packs):
            return
        decided = [answers[pack.index] for pack in waiting.packs]
        if not self._typed(waiting, {article.packs[0].handling for article in decided}):
            self._finish(waiting, decided, "")

    def _typed(self, waiting: Waiting, handlings: set[str]) -> bool:
        """Let somebody enter what is missing, and ask again under the same id."""
        if wire.Handling.NO_EXPIRY_DATE in handlings and waiting.typed_expiry is not None:
            expiry, waiting.typed_expiry = waiting.typed_expiry, None
            waiting.packs = tuple(replace(pack, expiry=expiry) for pack in waiting.packs)
        elif wire.Handling.NO_BATCH_NUMBER in handlings and waiting.typed_batch:
            batch, waiting.typed_batch = waiting.typed_batch, ""
            waiting.packs = tuple(replace(pack, batch=batch) for pack in waiting.packs)
        else:
            return False
        self._ask(waiting)
        return True

    def step(self, dt: float) -> None:
        """Let time pass: an input that nobody answers is aborted."""
        for waiting in list(self._waiting.values()):
            waiting.waited_s += dt
            if waiting.waited_s > self.patience_s:
                self._finish(waiting, [None] * len(waiting.packs), "no answer")

    # ------------------------------------------------------------ outcomes

    def _finish(self, waiting: Waiting, decided: Sequence[wire.Article | None], text: str) -> None:
        """Store what was allowed, as the answer says: what it leaves out is blank."""
        del self._waiting[waiting.id]
        outcomes = tuple(
            self._outcome(pack, article, text)
            for pack, article in zip(waiting.packs, decided, strict=True)
        )
        new, told = waiting.new_delivery, tuple(_without_error(each) for each in outcomes)
        self._broadcast(lambda to: wire.InputMessage(waiting.id, self._own_id, to, new, told))
        started = waiting.started
        if started is not None:
            self._broadcast(lambda to: self._ended(started, to, outcomes))

    def _outcome(
        self, pack: wire.PackData, article: wire.Article | None, text: str
    ) -> wire.Article:
        answer = article.packs[0] if article is not None else None
        if article is None or answer is None or answer.handling not in _ALLOWED:
            reason = answer.handling if answer is not None else ""
            said = answer.handling_text if answer is not None else text
            return _aborted(wire.Article(), pack, reason, said)
        for fault, error in (("input_broken", "InputBroken"), ("no_space", "NoSpaceInMachine")):
            if self._faults.take(fault):
                return _aborted(article, pack, error, "the robot is at fault")
        stored = self._robot.store(
            StoredPack(
                0,
                article.id,
                answer.batch,
                answer.expiry,
                answer.sub_items,
                scan_code=pack.scan_code,
                serial=answer.serial,
                external_id=answer.external_id,
                delivery=pack.delivery,
                stock_in=self.today,
                in_fridge=answer.handling == wire.Handling.ALLOWED_FOR_FRIDGE,
                stock_location=answer.stock_location,
                machine_location=pack.machine_location,
            )
        )
        self._robot.learn(article.id, article.max_sub_items)
        if pack.delivery:
            self._came.setdefault(pack.delivery, []).append(stored)
        data = replace(pack_data(stored), index=pack.index, in_fridge=False)
        done = replace(data, handling="Completed", handling_text="stored")
        return replace(article, packs=(done,))

    def _ended(
        self, started: wire.InitiateInputRequest, to: int, outcomes: tuple[wire.Article, ...]
    ) -> wire.InitiateInputMessage:
        complete = all(each.packs[0].handling == "Completed" for each in outcomes)
        status = "Completed" if complete else "Incomplete"
        articles = tuple(
            replace(article, packs=(replace(article.packs[0], handling="", handling_text=""),))
            if article.packs[0].handling == "Completed"
            else _with_error(article)
            for article in outcomes
        )
        details = replace(started.details, point=started.details.point or 1, status=status)
        return wire.InitiateInputMessage(
            started.id, self._own_id, to, articles=articles, details=details
        )

    # ------------------------------------------------------------ master data

    def set_articles(self, tenant: str, articles: tuple[wire.Article, ...]) -> str:
        """Replace the articles of a tenant; returns the reason for a rejection, "" for none."""
        self._articles[tenant] = {article.id: article for article in articles}
        for article in articles:
            self._robot.learn(article.id, article.max_sub_items)
        return ""

    def add_deliveries(self, tenant: str, deliveries: tuple[wire.Delivery, ...]) -> str:
        """Add deliveries of a tenant; returns the reason for a rejection, "" for none."""
        for each in deliveries:
            if (tenant, each.number) in self._deliveries:
                return f"Delivery {each.number} is known."
        for each in deliveries:
            self._deliveries[tenant, each.number] = each
            for article in each.articles:
                self._robot.learn(article.id, article.max_sub_items)
        return ""

    def delivery(self, tenant: str, task: wire.Task, *, details: bool) -> wire.Task:
        """Return what became of a delivery."""
        delivery = self._deliveries.get((tenant, task.id))
        if delivery is None:
            return wire.Task(task.id, task.type, "Unknown")
        came = self._came.get(task.id, [])
        articles = tuple(
            wire.Article(
                id=article.id,
                quantity=article.quantity,
                packs=tuple(
                    replace(pack_data(pack), state="Available")
                    for pack in came
                    if pack.article == article.id
                ),
            )
            for article in delivery.articles
        )
        full = all(0 < each.quantity <= len(each.packs) for each in articles)
        status = "Completed" if full else "InProcess" if came else "Queued"
        return wire.Task(task.id, task.type, status, articles if details else ())

    def _known(self, pack: wire.PackData) -> wire.Article | None:
        """Return a pack's article with what master data assign to it, None when unknown."""
        if pack.delivery:
            lists = [
                {article.id: article for article in delivery.articles}
                for (_, number), delivery in self._deliveries.items()
                if number == pack.delivery
            ]
        else:
            lists = list(self._articles.values())
        article = next((each[pack.scan_code] for each in lists if pack.scan_code in each), None)
        if article is None or self._is_full(article, pack.delivery):
            return None
        cool = article.requires_fridge
        stored = wire.PackData(
            index=pack.index,
            batch=article.batch or pack.batch,
            expiry=article.expiry or pack.expiry,
            sub_items=pack.sub_items,
            external_id=article.external_id or pack.external_id,
            serial=pack.serial,
            stock_location=article.stock_location,
            handling=wire.Handling.ALLOWED_FOR_FRIDGE if cool else wire.Handling.ALLOWED,
        )
        return wire.Article(
            article.id,
            article.name,
            article.dosage_form,
            article.packaging_unit,
            article.max_sub_items,
            packs=(stored,),
        )

    def _is_full(self, article: wire.Article, number: str) -> bool:
        """Whether a delivery has brought as many packs of an article as it may."""
        came = sum(pack.article == article.id for pack in self._came.get(number, []))
        return bool(number) and 0 < article.quantity <= came


def _asked(pack: wire.PackData) -> wire.PackData:
    """Return what an InputRequest says of a pack: its size is not among it (§6.4.1)."""
    return replace(pack, depth=0, width=0, height=0, shape="Cuboid")


def _aborted(article: wire.Article, pack: wire.PackData, error: str, text: str) -> wire.Article:
    said = wire.PackData(
        index=pack.index,
        scan_code=pack.scan_code,
        handling="Aborted",
        handling_text=text,
        error=error if error in _ERRORS else "Rejected",
    )
    return replace(article, packs=(said,))


def _without_error(article: wire.Article) -> wire.Article:
    """Return an outcome as an InputMessage tells it: only started inputs name the error."""
    return replace(article, packs=(replace(article.packs[0], error=""),))


def _with_error(article: wire.Article) -> wire.Article:
    pack = article.packs[0]
    said = replace(pack, handling="", handling_text="", error_text=pack.handling_text)
    return replace(article, packs=(said,))
