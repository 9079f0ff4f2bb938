"""Live notices as server-sent events: the topic that changed, never the data."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from dispensed.web.context import Web, WebContext
from dispensed.web.problems import TooManyStreams

router = APIRouter(tags=["events"])
TICK_S = 1.0
"""How soon a stream notices that the server stops."""
KEEP_ALIVE_TICKS = 15
RETRY_MS = 2000
"""How long a browser waits before it connects again."""


@router.get("/events", response_class=StreamingResponse)
async def events(web: WebContext) -> StreamingResponse:
    """Follow changes: one `change` event per changed topic; a slow reader loses no topic."""
    if web.streams >= web.options.streams_max:
        raise TooManyStreams(f"{web.streams} programs follow live events, no more are allowed")
    return StreamingResponse(_notices(web), media_type="text/event-stream")


async def _notices(web: Web) -> AsyncIterator[str]:
    web.streams += 1
    try:
        with web.site.changes.subscribe() as listener:
            yield f"retry: {RETRY_MS}\n\n"
            quiet = 0
            while not web.closing.is_set():
                try:
                    async with asyncio.timeout(TICK_S):
                        topic = await listener.next()
                except TimeoutError:
                    quiet += 1
                    if quiet % KEEP_ALIVE_TICKS == 0:
                        yield ": still here\n\n"
                    continue
                yield f"event: change\ndata: {topic}\n\n"
    finally:
        web.streams -= 1
