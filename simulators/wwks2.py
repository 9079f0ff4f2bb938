"""A simulated picking robot that speaks WWKS2: the server, for several clients at once.

The machine itself is `simulators.wwks2_store`. Its own messages go to every client that said hello,
answers only to who asked. Like the machines, it outputs an order again when it is sent again, uses
id 1 for manual outputs and stock messages, and closes a connection that does not say hello.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from drivers.errors import ProtocolError
from drivers.wwks2 import messages as wire
from drivers.wwks2.codec import MANUAL_OUTPUT_ID, decode, encode
from drivers.wwks2.stream import DocumentSplitter
from drivers.wwks2.writing import kind_of
from simulators.base import FaultPlan, Json, Outgoing
from simulators.wwks2_data import (
    FAULTS,
    SETTINGS,
    articles_of,
    belt_pack,
    configuration_of,
    day,
    pack_data,
    pack_of,
    parse_list,
    parse_object,
    result_of,
    switched,
    text,
    whole,
)
from simulators.wwks2_inputs import Belt
from simulators.wwks2_store import Job, Robot, StoredPack

ROBOT_ID = 999
STARTED_AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
"""What its clock shows when the model is made; simulated seconds are added."""
MAIN_STORE = wire.StockLocation("1", "Main store")
CLASSIC = ("TaskInfo", "TaskCancel")
MODERN = ("OutputInfo", "TaskCancelOutput")
_BASE = (
    "KeepAlive",
    "Status",
    "Input",
    "InitiateInput",
    "ArticleMaster",
    "StockDelivery",
    "StockInfo",
    "Output",
    "Configuration",
    "StockLocationInfo",
)
_DIALECTS = {"classic": CLASSIC, "modern": MODERN, "none": ()}
HEARD_MAX = 10_000
LEFT_MAX = 100_000


@dataclass(slots=True)
class _Client:
    splitter: DocumentSplitter = field(default_factory=DocumentSplitter)
    subscriber: int = 0
    tenant: str = ""
    silent_s: float = 0.0


class RobotModel:
    """A `simulators.base.StreamModel`."""

    def __init__(self, seed: int) -> None:
        self._faults = FaultPlan(FAULTS)
        self.robot = Robot(self._faults, seed * 1_000_000 + 5001, self._pack_left, self._job_ended)
        self._clients: dict[int, _Client] = {}
        self._out: list[Outgoing] = []
        self._now_s = 0.0
        self.belt = Belt(ROBOT_ID, self.robot, self._faults, self._broadcast)
        self.belt.today = STARTED_AT.date()
        self._locations: tuple[wire.StockLocation, ...] = (MAIN_STORE,)
        self._hello_s = 5.0
        self._dialect = "classic"
        self.heard: deque[wire.Message] = deque(maxlen=HEARD_MAX)
        """What clients said, in order: for tests."""
        self.left: deque[tuple[str, StoredPack]] = deque(maxlen=LEFT_MAX)
        """Every pack that physically left, with the id of its order: the truth."""

    # ------------------------------------------------------------ control

    @property
    def faults(self) -> FaultPlan:
        """See FAULTS."""
        return self._faults

    @property
    def settings(self) -> tuple[str, ...]:
        """See SETTINGS."""
        return SETTINGS

    def set(self, name: str, value: str) -> None:
        """Change something from outside. Raises ValueError on bad input."""
        seconds = {"output_s", "hello_s", "input_s"}
        actions: dict[str, Callable[[str], object]] = {
            "stock": self._load,
            "input": self._put_on_belt,
            "manual_output": self._output_manually,
            "update": self._update,
            "vanish": self.robot.vanish,
            "dialect": self._speak,
            "locations": self._divide,
            "autonomous": self._store_alone,
            "boxes": self._fill_boxes,
        }
        if name in seconds:
            self._set_seconds(name, float(value))
        elif name in actions:
            actions[name](value)
        else:
            raise ValueError(f"setting {name!r} is not one of {', '.join(SETTINGS)}")

    def _set_seconds(self, name: str, seconds: float) -> None:
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"setting {name!r}: {seconds} is not a time")
        match name:
            case "output_s":
                self.robot.output_s = seconds
            case "hello_s":
                self._hello_s = seconds
            case _:
                self.belt.patience_s = seconds

    def _speak(self, dialect: str) -> None:
        if dialect not in _DIALECTS:
            raise ValueError(f"dialect {dialect!r} is not one of {', '.join(_DIALECTS)}")
        self._dialect = dialect

    def state(self) -> dict[str, Json]:
        """Stock by article and batch, readiness, queue, packs that left, faults."""
        stock: dict[str, dict[str, int]] = {}
        for pack in self.robot.packs.values():
            batches = stock.setdefault(pack.article, {})
            batches[pack.batch] = batches.get(pack.batch, 0) + 1
        return {
            "ready": self._ready(),
            "packs": len(self.robot.packs),
            "stock": stock,
            "orders": self.robot.waiting,
            "inputs": self.belt.waiting,
            "left": len(self.left),
            "clients": sum(client.subscriber > 0 for client in self._clients.values()),
            "faults": self._faults.state(),
        }

    def _load(self, value: str) -> None:
        packs = [(pack_of(item), whole(item, "packs", 1)) for item in parse_list(value)]
        for item in parse_list(value):
            self.robot.learn(text(item, "article"), whole(item, "full_units", 0))
        for pack, number in packs:
            for _ in range(number):
                self.robot.store(pack)

    def _put_on_belt(self, value: str) -> None:
        item = parse_object(value)
        self.belt.put(belt_pack(item), text(item, "typed_batch"), day(item, "typed_expiry"))

    def _divide(self, value: str) -> None:
        self._locations = tuple(
            wire.StockLocation(text(item, "id"), text(item, "description"))
            for item in parse_list(value)
        )

    def _store_alone(self, value: str) -> None:
        self.belt.autonomous = switched("autonomous", value)

    def _fill_boxes(self, value: str) -> None:
        self.robot.fills_boxes = switched("boxes", value)

    def _output_manually(self, value: str) -> None:
        item = parse_object(value)
        criteria = wire.Criteria(
            article=text(item, "article"),
            batch=text(item, "batch"),
            quantity=whole(item, "packs", 1),
        )
        details = wire.OutputDetails("Normal", 1)
        self.robot.order(Job(MANUAL_OUTPUT_ID, (criteria,), details, manual=True))
        self.robot.step(0.0)

    def _update(self, value: str) -> None:
        item = parse_object(value)
        number = whole(item, "pack", 0)
        if number not in self.robot.packs:
            raise ValueError(f"pack {number} is not there")
        batch = text(item, "batch") if "batch" in item else None
        pack = self.robot.change(number, batch=batch, expiry=day(item, "expiry"))
        self._tell_stock(pack, pack_data(pack))

    # ------------------------------------------------------------ wire

    def connected(self, session: int) -> None:
        """Note a client."""
        self._clients[session] = _Client()

    def disconnected(self, session: int) -> None:
        """Forget a client; orders go on."""
        self._clients.pop(session, None)

    def received(self, session: int, data: bytes) -> None:
        """Take bytes of a client, cut anywhere."""
        client = self._clients.get(session)
        if client is None:
            return
        for frame in client.splitter.feed(data):
            try:
                if frame.fault:
                    raise ProtocolError(frame.fault)  # noqa: TRY301 - one way to refuse
                message = decode(frame.raw)
            except ProtocolError as error:
                self._unprocessed(session, "0", "SyntaxError", str(error), frame.raw)
                continue
            self.heard.append(message)
            self._answer(session, client, message, frame.raw)
        if client.splitter.broken:
            self._hang_up(session)
        self.robot.step(0.0)

    def step(self, dt: float) -> None:
        """Let simulated time pass."""
        self._now_s += dt
        for session, client in list(self._clients.items()):
            client.silent_s += 0.0 if client.subscriber else dt
            if client.silent_s > self._hello_s:
                self._hang_up(session)
        self.belt.today = self._clock().date()
        self.belt.step(dt)
        self.robot.step(dt)

    def outgoing(self) -> list[Outgoing]:
        """Return what is to be sent."""
        out, self._out = self._out, []
        return out

    def _hang_up(self, session: int) -> None:
        self._clients.pop(session, None)
        self._out.append(Outgoing(session, b"", close=True))

    def _send(self, session: int, message: wire.Message) -> None:
        self._out.append(Outgoing(session, encode(message, self._clock())))

    def _clock(self) -> datetime:
        return STARTED_AT + timedelta(seconds=int(self._now_s))

    def _broadcast(self, make: Callable[[int], wire.Message]) -> None:
        for session, client in self._clients.items():
            if client.subscriber:
                self._send(session, make(client.subscriber))

    def _unprocessed(self, session: int, about: str, reason: str, text: str, raw: bytes) -> None:
        subscriber = self._clients[session].subscriber
        quoted = raw.decode("utf-8", "replace").replace("\ufffe", "").replace("\uffff", "")
        message = wire.UnprocessedMessage(about, ROBOT_ID, subscriber, reason, text, quoted)
        self._send(session, message)

    # ------------------------------------------------------------ answers

    def _answer(self, session: int, client: _Client, message: wire.Message, raw: bytes) -> None:
        if isinstance(message, wire.HelloRequest):
            client.subscriber = message.subscriber.id
            client.tenant = message.subscriber.tenant
            self._send(session, wire.HelloResponse(message.id, self._introduction()))
            return
        if isinstance(message, wire.Hello) or not client.subscriber:
            return
        if isinstance(message, wire.InputResponse):
            self.belt.answer(message)
            return
        if not kind_of(message).endswith("Request"):
            return
        if self._faults.take("too_many"):
            self._unprocessed(session, message.id, "TooManyRequests", "busy", raw)
            return
        before = len(self._out)
        answer = self._answer_to(message, client.tenant)
        caused, self._out = self._out[before:], self._out[:before]
        if answer is None:
            self._unprocessed(session, message.id, "NotSupported", kind_of(message), raw)
        else:
            self._send(session, answer)
        self._out += caused  # what the request sets off comes after its answer

    def _introduction(self) -> wire.Subscriber:
        return wire.Subscriber(
            id=ROBOT_ID,
            type="Robot",
            manufacturer="dispensed",
            product="simulated robot",
            version="1.0",
            capabilities=(*_BASE, *_DIALECTS[self._dialect]),
        )

    def _answer_to(self, message: wire.Addressed, tenant: str) -> wire.Message | None:
        """Return the answer to a request, None when it is not supported."""
        back = (message.id, ROBOT_ID, message.source)
        match message:
            case wire.KeepAliveRequest():
                return wire.KeepAliveResponse(*back)
            case wire.StatusRequest():
                return self._status(back, details=message.include_details)
            case wire.StockInfoRequest():
                return wire.StockInfoResponse(*back, self._stock(message))
            case wire.OutputRequest():
                return self._queue(back, message)
            case wire.TaskMessage():
                return self._about_tasks(back, message, tenant)
            case _:
                return self._about_the_rest(back, message, tenant)

    def _about_the_rest(
        self, back: tuple[str, int, int], message: wire.Addressed, tenant: str
    ) -> wire.Message | None:
        match message:
            case wire.InitiateInputRequest():
                return self._start_input(back, message)
            case wire.ArticleMasterSetRequest():
                text = self.belt.set_articles(tenant, message.articles)
                return wire.ArticleMasterSetResponse(*back, *result_of(text))
            case wire.StockDeliverySetRequest():
                text = self.belt.add_deliveries(tenant, message.deliveries)
                return wire.StockDeliverySetResponse(*back, *result_of(text))
            case wire.StockLocationInfoRequest():
                return wire.StockLocationInfoResponse(*back, self._locations)
            case wire.ConfigurationGetRequest():
                values = {"dialect": self._dialect, "output_s": f"{self.robot.output_s:g}"}
                return wire.ConfigurationGetResponse(*back, configuration_of(values))
            case _:
                return None

    def _start_input(
        self, back: tuple[str, int, int], request: wire.InitiateInputRequest
    ) -> wire.InitiateInputResponse:
        details = self.belt.start(request, ready=self._ready())
        articles = tuple(  # a response does not tell the machine (§6.5.2)
            replace(each, packs=tuple(replace(pack, machine_location="") for pack in each.packs))
            for each in request.articles
        )
        return wire.InitiateInputResponse(
            *back,
            new_delivery=request.new_delivery,
            articles=articles,
            details=details or replace(request.details, status="Rejected"),
            set_picking_indicator=request.set_picking_indicator,
        )

    def _about_tasks(
        self, back: tuple[str, int, int], message: wire.TaskMessage, tenant: str
    ) -> wire.Message | None:
        """Answer in the dialect that this robot speaks."""
        if kind_of(message).removesuffix("Request") not in _DIALECTS[self._dialect]:
            return None
        match message:
            case wire.TaskInfoRequest():
                infos = (self._info(each, message, tenant) for each in message.tasks)
                return wire.TaskInfoResponse(*back, tuple(infos))
            case wire.OutputInfoRequest():
                infos = (self._info(each, message, tenant) for each in message.tasks)
                return wire.OutputInfoResponse(*back, tuple(infos))
            case wire.TaskCancelRequest():
                return wire.TaskCancelResponse(*back, self._cancelled(message))
            case _:
                return wire.TaskCancelOutputResponse(*back, self._cancelled(message))

    def _ready(self) -> bool:
        return not (self._faults.active("not_ready") or self._faults.active("door_open"))

    def _status(self, back: tuple[str, int, int], *, details: bool) -> wire.StatusResponse:
        state = "Ready" if self._ready() else "NotReady"
        text = ""
        if self._faults.active("door_open"):
            text = "A door is open."
        elif state == "NotReady":
            text = "The robot is being serviced."
        part = wire.Component("StorageSystem", "simulated robot", state, text)
        return wire.StatusResponse(*back, state, text, (part,) if details else ())

    def _stock(self, request: wire.StockInfoRequest) -> tuple[wire.Article, ...]:
        by_article: dict[str, list[StoredPack]] = {}
        for pack in self.robot.packs.values():
            if not request.criteria or any(pack.matches(each) for each in request.criteria):
                by_article.setdefault(pack.article, []).append(pack)
        return tuple(
            wire.Article(
                id=article,
                name=f"article {article}" if request.include_article_details else "",
                quantity=len(packs),
                packs=tuple(map(pack_data, packs)) if request.include_packs else (),
            )
            for article, packs in by_article.items()
        )

    def _queue(self, back: tuple[str, int, int], request: wire.OutputRequest) -> wire.Message:
        accepted = (
            self._ready()
            and not self._faults.take("reject")
            and all(self.robot.can_count(each) for each in request.criteria)
            and self.robot.order(
                Job(request.id, request.criteria, request.details, box=request.box)
            )
        )
        details = replace(request.details, status="Queued" if accepted else "Rejected")
        return wire.OutputResponse(*back, details, request.criteria, request.box)

    def _info(
        self,
        task: wire.Task,
        request: wire.TaskInfoRequest | wire.OutputInfoRequest,
        tenant: str,
    ) -> wire.Task:
        if task.type == "StockDelivery":
            return self.belt.delivery(tenant, task, details=request.include_details)
        job = None if self._faults.active("forgetful") else self.robot.find(task.id)
        if job is None or task.type not in {"", "Output"}:
            return wire.Task(task.id, task.type, "Unknown")
        if not request.include_details:
            return wire.Task(task.id, task.type, job.status)
        return wire.Task(task.id, task.type, job.status, articles_of(job), tuple(job.boxes))

    def _cancelled(self, request: wire.TaskMessage) -> tuple[wire.Task, ...]:
        """Only outputs can be cancelled (§6.10.1)."""
        return tuple(
            wire.Task(
                task.id,
                task.type,
                self.robot.cancel(task.id) if task.type in {"", "Output"} else "CancelError",
            )
            for task in request.tasks
        )

    # ------------------------------------------------------------ what the machine does

    def _pack_left(self, job: Job, pack: StoredPack) -> None:
        self.left.append((job.order_id, pack))
        self._tell_stock(pack, replace(pack_data(pack), state="NotAvailable"))
        if len(job.left) == 1 and self._faults.take("box_released"):
            self._tell_output(job, "BoxReleased")

    def _job_ended(self, job: Job) -> None:
        if not job.manual and self._faults.take("cut_output"):
            for session in list(self._clients):
                self._hang_up(session)
            return
        if not job.manual and self._faults.take("lost_message"):
            return
        self._tell_output(job, job.status)

    def _tell_output(self, job: Job, status: str) -> None:
        articles, boxes = articles_of(job), tuple(job.boxes)
        details = replace(job.details, status=status)
        self._broadcast(
            lambda to: wire.OutputMessage(job.order_id, ROBOT_ID, to, details, articles, boxes)
        )
        if not job.manual and status != "BoxReleased" and self._faults.take("damaged_message"):
            self._out = [
                replace(out, data=out.data.replace(b' ExpiryDate="', b' ExpiryDate="99'))
                if b"<OutputMessage " in out.data
                else out
                for out in self._out
            ]

    def _tell_stock(self, pack: StoredPack, data: wire.PackData) -> None:
        """Tell every client about one pack; the id is always 1, as on the machines."""
        article = wire.Article(
            id=pack.article, quantity=self.robot.count(pack.article), packs=(data,)
        )
        self._broadcast(lambda to: wire.StockInfoMessage("1", ROBOT_ID, to, (article,)))


def make(seed: int) -> RobotModel:
    """Return an empty robot for a demonstration.

    The times in which a client must react are long in simulated seconds, so that a demonstration
    may run a hundred times faster than the clock.
    """
    model = RobotModel(seed)
    model.set("hello_s", "500")
    model.set("input_s", "3000")
    return model
