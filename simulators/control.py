"""The control channel of a simulator: JSON lines on a TCP port of its own, never on the wire.

Requests, each answered with one line `{"ok": true, ...}` or `{"ok": false, "error": "..."}`:

    {"fault": "jam", "on": true, "times": 1}     switch a fault of the model or of the wire
    {"set": "load_g", "value": "12.5"}           change something from outside
    {"get": "state"}                             -> {"ok": true, "model": {...}, "wire": {...}}
    {"list": true}                               -> {"ok": true, "faults": [...], "settings": [...]}
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Self

from simulators.base import Controlled, Json

LINE_MAX = 4096
"""Longest request in bytes; a longer one ends the connection after an error line."""
ANSWER_MAX = 1 << 20
"""Longest answer in bytes (the state of a full cabinet)."""
TIMEOUT_S = 5.0
"""How long a client waits for an answer."""


class ControlError(Exception):
    """The simulator refused a request, or does not answer."""


def answer(targets: Mapping[str, Controlled], line: bytes) -> dict[str, Json]:
    """Carry out one request line; never raises on bad input."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            return _error("a JSON object was expected")
        return {"ok": True, **_carry_out(targets, request)}
    except (ValueError, RecursionError) as error:
        return _error(str(error))


def _error(text: str) -> dict[str, Json]:
    return {"ok": False, "error": text}


def _carry_out(targets: Mapping[str, Controlled], request: dict[str, object]) -> dict[str, Json]:
    match request:
        case {"fault": str(name), **rest}:
            on, times = rest.get("on", True), rest.get("times")
            if not isinstance(on, bool) or not (times is None or type(times) is int):
                raise ValueError("'on' must be true or false, 'times' a whole number")
            owner_of_fault(targets, name).faults.switch(name, on=on, times=times)
            return {}
        case {"set": str(name), "value": str() | int() | float() as value}:
            owner_of_setting(targets, name).set(name, str(value))
            return {}
        case {"get": "state"}:
            return {key: target.state() for key, target in targets.items()}
        case {"list": True}:
            return {
                "faults": [name for each in targets.values() for name in each.faults.names],
                "settings": [name for each in targets.values() for name in each.settings],
            }
        case _:
            raise ValueError("a request has 'fault', 'set' with 'value', 'get': 'state' or 'list'")


def owner_of_fault(targets: Mapping[str, Controlled], name: str) -> Controlled:
    """Return the target that has the fault; raises ValueError naming all that there are."""
    for target in targets.values():
        if name in target.faults.names:
            return target
    known = ", ".join(fault for each in targets.values() for fault in each.faults.names)
    raise ValueError(f"fault {name!r} is not one of {known}")


def owner_of_setting(targets: Mapping[str, Controlled], name: str) -> Controlled:
    """Return the target that has the setting; raises ValueError naming all that there are."""
    for target in targets.values():
        if name in target.settings:
            return target
    known = ", ".join(setting for each in targets.values() for setting in each.settings)
    raise ValueError(f"setting {name!r} is not one of {known}")


class _ControlLine(asyncio.Protocol):
    """One control connection; holds at most LINE_MAX bytes of an unfinished line."""

    def __init__(self, targets: Mapping[str, Controlled], open_lines: set["_ControlLine"]) -> None:
        self._targets = targets
        self._open_lines = open_lines
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"a stream transport was expected, not {transport!r}")
        self._transport = transport
        self._open_lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - named by asyncio
        self._open_lines.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if len(line) > LINE_MAX:
                self._refuse()
                return
            if line.strip():
                self._reply(answer(self._targets, line))
        if len(self._buffer) > LINE_MAX:
            self._refuse()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _refuse(self) -> None:
        self._buffer.clear()
        self._reply(_error(f"line longer than {LINE_MAX} bytes"))
        self.close()

    def _reply(self, reply: dict[str, Json]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(json.dumps(reply).encode() + b"\n")
        if self._transport.get_write_buffer_size() > ANSWER_MAX:
            self._transport.abort()


@contextlib.asynccontextmanager
async def serve_control(
    model: Controlled,
    wire: Controlled | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[tuple[str, int]]:
    """Serve the control channel of a model and its wire; yields the host and port it listens on."""
    targets = {"model": model} if wire is None else {"model": model, "wire": wire}
    open_lines: set[_ControlLine] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _ControlLine(targets, open_lines), host, port)
    try:
        bound = server.sockets[0].getsockname()
        yield str(bound[0]), int(bound[1])
    finally:
        server.close()
        for line in list(open_lines):
            line.close()
        await asyncio.sleep(0)


class Control:
    """A client of the control channel; an async context manager. One request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = asyncio.Lock()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, limit=ANSWER_MAX
                )
        except (OSError, TimeoutError) as error:
            raise ControlError(f"control {self._host}:{self._port}: {error!r}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(TIMEOUT_S):
                    await writer.wait_closed()

    async def fault(self, name: str, *, on: bool = True, times: int | None = None) -> None:
        """Switch a fault of the model or the wire."""
        await self.request({"fault": name, "on": on, "times": times})

    async def set(self, name: str, value: str | float) -> None:
        """Change a setting of the model or the wire."""
        await self.request({"set": name, "value": str(value)})

    async def state(self) -> dict[str, Json]:
        """Return the state of the model."""
        model = (await self.request({"get": "state"}))["model"]
        if not isinstance(model, dict):
            raise ControlError(f"a state object was expected, not {model!r}")
        return model

    async def request(self, request: Mapping[str, Json]) -> dict[str, Json]:
        """Send one request, return its answer; raises ControlError when refused or not answered."""
        if self._reader is None or self._writer is None:
            raise ControlError("the control channel is not open")
        async with self._lock:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    self._writer.write(json.dumps(request).encode() + b"\n")
                    await self._writer.drain()
                    line = await self._reader.readline()
            except (OSError, TimeoutError, ValueError) as error:
                raise ControlError(f"control {self._host}:{self._port}: {error!r}") from error
        reply = json.loads(line) if line else {"error": "closed by the simulator"}
        if not reply.get("ok"):
            raise ControlError(str(reply.get("error")))
        return dict(reply)
