"""Answers the machine's questions whether packs may enter, one after the other."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from drivers.base import InputDecision, InputHandler
from drivers.wwks2 import messages as wire
from drivers.wwks2.inputs import answered, asked, asked_packs
from drivers.wwks2.options import Options

INPUTS_MAX = 32
"""Input requests that may wait for a decision; one more is refused at once."""


class InputDesk:
    """A bounded queue of input requests in front of one handler."""

    def __init__(self, options: Options, send: Callable[[wire.Message], Awaitable[None]]) -> None:
        self._options = options
        self._send = send
        self._waiting: deque[wire.InputRequest] = deque()
        self._came = asyncio.Event()
        self.handler: InputHandler | None = None

    def put(self, request: wire.InputRequest) -> bool:
        """Queue a request; False when too many wait."""
        if len(self._waiting) >= INPUTS_MAX:
            return False
        self._waiting.append(request)
        self._came.set()
        return True

    def clear(self) -> None:
        """Forget what waits: the connection is lost and the machine aborts its inputs."""
        self._waiting.clear()

    async def serve(self) -> None:
        """Answer for as long as the connection lasts."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                await self._answer(self._waiting.popleft())

    async def _answer(self, request: wire.InputRequest) -> None:
        articles = []
        for article, pack in asked_packs(request):
            decision = await self._decide(article, pack)
            articles.append(answered(article, pack, decision))
        await self._send(
            wire.InputResponse(
                request.id,
                self._options.subscriber_id,
                request.source,
                request.new_delivery,
                tuple(articles),
            )
        )

    async def _decide(self, article: wire.Article, pack: wire.PackData) -> InputDecision:
        if self.handler is None:
            return InputDecision(allowed=False, reason="no inputs are accepted")
        try:
            async with asyncio.timeout(self._options.input_timeout_s):
                return await self.handler(asked(article, pack))
        except TimeoutError:
            return InputDecision(allowed=False, reason="no decision in time")
