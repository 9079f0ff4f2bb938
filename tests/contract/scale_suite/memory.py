"""A line without time or I/O, so that thousands of readings over a bad one take seconds."""

from collections.abc import Callable

from drivers.base import DeviceSpec, Scale
from drivers.mtsics.driver import MtsicsDriver
from simulators.base import StreamModel
from simulators.mtsics import MtSicsModel
from simulators.wire import Wire
from tests.contract.scale_suite.benches import DIALECTS, Carrier
from tests.contract.transports import Inbox


class MemoryLine:
    """A transport straight into a model through a wire. Silence is a timeout at once.

    Each command costs `step_s` simulated seconds, before its answer is read.
    """

    def __init__(
        self, model: StreamModel, wire: Wire, *, parity: bool, step_s: float = 0.0
    ) -> None:
        self.parity = parity
        self._model = model
        self._wire = wire
        self._step_s = step_s
        self._buffer = bytearray()
        self._session = 0
        self.before_answer: Callable[[bytes], None] = lambda _command: None

    async def open(self) -> None:
        self._session += 1
        self._buffer.clear()
        self._model.connected(self._session)

    async def read(self) -> bytes:
        if not self._buffer:
            raise TimeoutError
        return self.discard()

    async def write(self, data: bytes) -> None:
        self.before_answer(data)
        heard, echo = self._wire.to_machine(data)
        self._buffer += echo
        if heard:
            self._model.received(self._session, heard)
        if self._step_s:
            self._model.step(self._step_s)
        for out in self._model.outgoing():
            for piece in self._wire.to_host(out.data):
                self._buffer += piece.data

    def discard(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def close(self) -> None:
        self._buffer.clear()


def at_rest(model: StreamModel, load: str) -> None:
    """Put a load on a balance and let it come to rest."""
    model.set("load_g", load)
    for _ in range(50):
        model.step(0.1)


def settled(grams: str, *, seed: int = 1) -> MtSicsModel:
    """A balance on which the load has come to rest."""
    model = MtSicsModel(seed)
    at_rest(model, grams)
    return model


async def connected_driver(
    line: MemoryLine, options: dict[str, str | int | float | bool] | None = None
) -> MtsicsDriver:
    """A driver that found its scale over a line that is still clean."""
    spec = DeviceSpec("scale1", "tcp://127.0.0.1:1", options or {})
    driver = MtsicsDriver(spec, Inbox().put, transport=line)
    await driver.connect()
    return driver


async def connected_scale(
    carrier: Carrier, load: str, wire: Wire, *, parity: bool, seed: int
) -> tuple[Scale, MemoryLine]:
    """A driver of MT-SICS (any carrier but the dialects) or of a dialect, with a load at rest."""
    case = DIALECTS.get(carrier)
    if case is None:
        line = MemoryLine(settled(load, seed=seed), wire, parity=parity)
        return await connected_driver(line), line
    model = case.model(seed)
    at_rest(model, load)
    line = MemoryLine(model, wire, parity=parity)
    scale = case.build("tcp://127.0.0.1:1", Inbox().put, {"gap_s": 1e-9}, line)
    await scale.connect()
    return scale, line
