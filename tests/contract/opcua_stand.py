"""A simulated machine on an OPC UA endpoint, in a thread and event loop of its own.

Building an OPC UA server takes seconds, so one serves many tests: `reset` makes it a new machine.
"""

import asyncio
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from simulators import opcua40200, opcua_cabinet
from simulators.base import Model
from simulators.opcua import Keys
from simulators.opcua40200_model import ScaleModel
from simulators.opcua40200_nodes import FULL, PLAIN, SINGLE
from simulators.opcua_cabinet_model import CabinetModel
from simulators.packml import serve
from simulators.packml_model import CounterModel
from simulators.serve import Served
from simulators.wire import Wire
from tests.contract.transports import CLEAN, SPEED, Line

T = TypeVar("T")
M = TypeVar("M", bound=Model)
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


class OpcUaStand(Generic[M]):
    """The machine, its wire and its address."""

    def __init__(
        self,
        model: M,
        renew: Callable[[M, int], None],
        serving: Callable[[M, Wire, str], AbstractAsyncContextManager[Served]],
    ) -> None:
        self.model = model
        self._renew = renew
        self._serving = serving
        self.wire = Wire()
        self.address = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        assert self.address

    def stop(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive()

    def do(self, work: Callable[[], T]) -> T:
        """Do something to the machine between two of its steps."""
        assert self._loop is not None
        done: Future[T] = Future()

        def carry_out() -> None:
            try:
                done.set_result(work())
            except ValueError as error:
                done.set_exception(error)

        self._loop.call_soon_threadsafe(carry_out)
        return done.result(STOP_TIMEOUT_S)

    def reset(self, *, seed: int = 1, speed: float = SPEED, line: Line = CLEAN) -> None:
        """Make it a new machine on a new wire."""

        def renew() -> None:
            self._renew(self.model, seed)
            Wire.__init__(self.wire, seed=seed, speed=speed)
            line.switch(self.wire, on=True)

        self.do(renew)
        self._await_line()

    def _await_line(self) -> None:
        """Wait until the port is open again after a cut."""
        parts = urlsplit(self.address)
        end = time.monotonic() + STOP_TIMEOUT_S
        while True:
            try:
                socket.create_connection((parts.hostname or "", parts.port or 0)).close()
            except ConnectionRefusedError:
                assert time.monotonic() < end
                threading.Event().wait(0.01)
            else:
                return

    def fault(self, name: str, *, on: bool = True, times: int | None = None) -> None:
        owner = self.wire if name in self.wire.faults.names else self.model
        self.do(lambda: owner.faults.switch(name, on=on, times=times))

    def set(self, name: str, value: str) -> None:
        self.do(lambda: self.model.set(name, value))

    def number(self, name: str) -> int:
        value = self.do(self.model.state)[name]
        assert isinstance(value, int)
        return value

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with self._serving(self.model, self.wire, "opc.tcp://127.0.0.1:0") as served:
                self.address = served.address
                self._ready.set()
                await self._stop.wait()
                served.check()
        finally:
            self._ready.set()


class Stand(OpcUaStand[CounterModel]):
    """A counter."""

    def __init__(self, keys: Keys | None = None) -> None:
        def renew(model: CounterModel, seed: int) -> None:
            CounterModel.__init__(model, seed)

        super().__init__(CounterModel(), renew, functools.partial(serve, keys=keys))

    @property
    def dispensed(self) -> int:
        """The pieces that are really in the vial."""
        return self.number("physically_dispensed")


class ScaleStand(OpcUaStand[ScaleModel]):
    """A scale in three views: with everything, with Net and ValuePrecision, with nothing more."""

    def __init__(self, keys: Keys | None = None) -> None:
        def renew(model: ScaleModel, seed: int) -> None:
            ScaleModel.__init__(model, seed)

        views = functools.partial(opcua40200.serve, views=(FULL, SINGLE, PLAIN), keys=keys)
        super().__init__(ScaleModel(), renew, views)


class CabinetStand(OpcUaStand[CabinetModel]):
    """A cabinet of drawers; what the suite of drawers needs to know of it."""

    def __init__(self, keys: Keys | None = None) -> None:
        def renew(model: CabinetModel, seed: int) -> None:
            CabinetModel.__init__(model, seed)

        super().__init__(CabinetModel(), renew, functools.partial(opcua_cabinet.serve, keys=keys))

    def is_open(self, name: str) -> bool:
        return self.do(lambda: self.model.is_open(name))

    def pulses(self, name: str) -> int:
        return self.do(lambda: self.model.pulses(name))


def a_stand(keys: Keys | None = None) -> Iterator[Stand]:
    """The body of a fixture."""
    stand = Stand(keys)
    stand.start()
    yield stand
    stand.stop()


def a_scale_stand(keys: Keys | None = None) -> Iterator[ScaleStand]:
    """The body of a fixture."""
    stand = ScaleStand(keys)
    stand.start()
    yield stand
    stand.stop()


def a_cabinet_stand(keys: Keys | None = None) -> Iterator[CabinetStand]:
    """The body of a fixture."""
    stand = CabinetStand(keys)
    stand.start()
    yield stand
    stand.stop()
