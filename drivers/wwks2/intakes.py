"""Inputs that the pharmacy starts: packs that lie at a transfer point of the machine.

Source: WWKS 2 Reference Manual V6.0 §6.5. The machine asks about each pack as in any other input
before it stores it, and may answer the start itself only after that.
"""

import asyncio

from drivers.errors import (
    DeviceRefused,
    DeviceTimeout,
    DriverError,
    Moved,
)
from drivers.wwks2 import messages as wire
from drivers.wwks2 import requests
from drivers.wwks2.link import Reply
from drivers.wwks2.ordering import left
from drivers.wwks2.session import Session
from drivers.wwks2.wanted import Intake, IntakeEnd, intake_end

INTAKES_MAX = 16
"""Started inputs that may run at once; one more is refused."""

_Outcome = IntakeEnd | DriverError


class Intakes:
    """The started inputs of one device; none outlives its connection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: dict[str, asyncio.Future[_Outcome]] = {}

    def note(self, message: wire.InitiateInputMessage) -> None:
        """Note the end of an input; those of others change nothing."""
        ended = self._running.get(message.id)
        if ended is not None and not ended.done():
            ended.set_result(intake_end(message))

    def interrupt(self, reason: str) -> None:
        """Note that the connection is gone; whoever waits gets LinkLost."""
        for message_id, ended in self._running.items():
            if not ended.done():
                text = f"input {message_id} had not ended: {reason}"
                ended.set_result(self._session.link.lost(text))

    async def run(self, intake: Intake, timeout_s: float) -> IntakeEnd:
        """Start an input and wait for its end; see `Wwks2Driver.start_input`."""
        session = self._session
        session.need("InitiateInput")
        if len(self._running) >= INTAKES_MAX:
            raise DeviceRefused(f"{session.name}: {INTAKES_MAX} inputs are running", reason="busy")
        request = requests.initiate_input(session.address(), intake)
        ended: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        reply = session.link.expect(request)
        self._running[request.id] = ended
        try:
            return await self._follow(request, reply, ended, timeout_s)
        finally:
            del self._running[request.id]
            session.link.forget(request)

    async def _follow(
        self,
        request: wire.InitiateInputRequest,
        reply: asyncio.Future[Reply],
        ended: asyncio.Future[_Outcome],
        timeout_s: float,
    ) -> IntakeEnd:
        until = asyncio.get_running_loop().time() + timeout_s
        about = f"{self._session.name}: input {request.id}"
        await self._session.link.send(request)
        either: set[asyncio.Future[Reply] | asyncio.Future[_Outcome]] = {reply, ended}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if reply.done() and not ended.done():
            _check(reply.result(), about)
            await asyncio.wait({ended}, timeout=left(until))
        if not ended.done():
            text = f"{about} was started and not finished in time"
            raise DeviceTimeout(text, moved=Moved.UNKNOWN)
        outcome = ended.result()
        if isinstance(outcome, DriverError):
            raise outcome
        return outcome


def _check(reply: Reply, about: str) -> None:
    """Raise what stands in the way of an input; `Accepted` does not."""
    if isinstance(reply, DriverError):
        raise reply
    status = reply.details.status if isinstance(reply, wire.InitiateInputResponse) else ""
    if status != "Accepted":
        raise DeviceRefused(f"{about} was refused: {status or 'no status'}", reason=status)
