"""A simulated counter on an OPC UA endpoint, in a thread and event loop of its own.

Building an OPC UA server takes seconds, so one serves many tests: `reset` makes it a new machine.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar
from urllib.parse import urlsplit

from simulators.opcua import Keys
from simulators.packml import serve
from simulators.packml_model import CounterModel
from simulators.wire import Wire
from tests.contract.transports import CLEAN, SPEED, Line

T = TypeVar("T")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


class Stand:
    """The machine, its wire and its address."""

    def __init__(self, keys: Keys | None = None) -> None:
        self._keys = keys
        self.model = CounterModel()
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
            CounterModel.__init__(self.model, seed)
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

    @property
    def dispensed(self) -> int:
        """The pieces that are really in the vial."""
        return self.number("physically_dispensed")

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
            async with serve(
                self.model, self.wire, "opc.tcp://127.0.0.1:0", keys=self._keys
            ) as served:
                self.address = served.address
                self._ready.set()
                await self._stop.wait()
                served.check()
        finally:
            self._ready.set()


def a_stand(keys: Keys | None = None) -> Iterator[Stand]:
    """The body of a fixture."""
    stand = Stand(keys)
    stand.start()
    yield stand
    stand.stop()
