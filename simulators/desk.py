"""The people of the demonstration pharmacy at their keyboard.

The HTTP API of the running daemon.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import httpx

from simulators.base import Json

Body = Mapping[str, Json]
TIMEOUT_S = 30.0


class Refused(Exception):
    """The daemon refused a request; `code` is its stable error code."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Desk:
    """One signed-in user of the API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str, **query: str | int) -> dict[str, Json]:
        """Return the body of a GET under /api/v1."""
        return _body(await self._client.get(f"/api/v1{path}", params=query))

    async def rows(self, path: str, **query: str | int) -> list[dict[str, Json]]:
        """Return the rows of a list under /api/v1."""
        return cast("list[dict[str, Json]]", (await self.get(path, **query))["rows"])

    async def post(self, path: str, body: Body | None = None) -> dict[str, Json]:
        """Send a POST under /api/v1; raises Refused with the daemon's own text."""
        return _body(await self._client.post(f"/api/v1{path}", json=body or {}))

    async def upload(self, path: str, text: str) -> dict[str, Json]:
        """Send a CSV file under /api/v1."""
        headers = {"Content-Type": "text/csv; charset=utf-8"}
        answer = await self._client.post(f"/api/v1{path}", content=text.encode(), headers=headers)
        return _body(answer)

    async def until_ready(self, timeout_s: float) -> None:
        """Wait until the daemon is healthy; raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    if (await self._client.get("/healthz")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass  # not listening yet; the timeout above ends the wait
                await asyncio.sleep(0.1)


def _body(answer: httpx.Response) -> dict[str, Json]:
    body = cast("dict[str, Json]", answer.json())
    if answer.is_error:
        raise Refused(str(body.get("code", answer.status_code)), str(body.get("detail", body)))
    return body


@asynccontextmanager
async def desk(url: str, token: str) -> AsyncIterator[Desk]:
    """Sign in at a daemon."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_S) as client:
        yield Desk(client)
