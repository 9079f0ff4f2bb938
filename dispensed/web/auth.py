"""Who asks: bearer tokens for programs, a session cookie for the page.

A token is 32 random bytes, kept as SHA-256 only. The page's cookie holds another random value that
is known to this process alone, for a bounded time; it is HttpOnly and SameSite=Strict, and a
request that changes something must come from the page's own origin.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, cast

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from dispensed.services import tokens
from dispensed.web.context import Web, WebContext, web_of
from dispensed.web.problems import CrossSite, Unauthenticated

COOKIE = "dispensed_session"
SESSION_BYTES = 32
SESSIONS_MAX = 1024
"""Sign-ins that are remembered at once; the oldest is forgotten first."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is behind a request: the name and role that the token was given."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class _Session:
    token: str
    until: datetime


class Sessions:
    """Sign-ins of the page, by the SHA-256 of their cookie."""

    def __init__(self, hours: int) -> None:
        self.lifetime = timedelta(hours=hours)
        self._by_hash: dict[str, _Session] = {}

    def open(self, token: str, now: datetime) -> str:
        """Remember a sign-in; returns the cookie's value."""
        value = secrets.token_urlsafe(SESSION_BYTES)
        live = [(key, kept) for key, kept in self._by_hash.items() if kept.until > now]
        self._by_hash = dict(live[-(SESSIONS_MAX - 1) :])
        self._by_hash[_hash(value)] = _Session(token, now + self.lifetime)
        return value

    def token(self, value: str, now: datetime) -> str | None:
        """Return the token behind a cookie; None when it is unknown or over."""
        session = self._by_hash.get(_hash(value))
        return None if session is None or session.until <= now else session.token

    def close(self, value: str) -> None:
        """Forget a sign-in."""
        self._by_hash.pop(_hash(value), None)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def sessions_of(request: Request) -> Sessions:
    """Return the application's sign-ins."""
    return cast("Sessions", request.app.state.sessions)


async def principal(request: Request, web: WebContext) -> Principal:
    """Return who asks; raises Unauthenticated or CrossSite."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return await _known(web, token.strip())
    cookie = request.cookies.get(COOKIE)
    if cookie:
        kept = sessions_of(request).token(cookie, web.site.now())
        if kept is not None:
            check_same_origin(request)
            return await _known(web, kept)
    raise Unauthenticated(f"{request.method} {request.url.path} needs a token; none was given")


async def _known(web: Web, token: str) -> Principal:
    row = await tokens.check_token(web.site, token)
    if row is None:
        raise Unauthenticated("the token is not known, or was revoked")
    return Principal(row.name, row.role)


def check_same_origin(request: Request) -> None:
    """Raise CrossSite for a change that another site's page sends with our cookie.

    `Sec-Fetch-Site` is the browser's own word and holds behind a proxy too; others send `Origin`.
    Source: Fetch Metadata Request Headers, W3C; Fetch, WHATWG.
    """
    if request.method in SAFE_METHODS:
        return
    relation = request.headers.get("sec-fetch-site")
    if relation is not None:
        if relation != "same-origin":
            raise CrossSite(f"the request came from a page that is {relation} to this one")
        return
    origin = request.headers.get("origin", "nowhere")
    here = f"{request.url.scheme}://{request.headers.get('host', '')}"
    if origin != here:
        raise CrossSite(f"the request came from {origin}, this is {here}")


async def metrics_reader(request: Request) -> None:
    """Let metrics be read with a token, or by anybody where the settings say so."""
    web = web_of(request)
    if not web.options.metrics_open:
        await principal(request, web)


async def sign_in(request: Request, token: str) -> Response | None:
    """Open a session for a token and send the browser to the page; None when it is not known."""
    web = web_of(request)
    if await tokens.check_token(web.site, token) is None:
        return None
    sessions = sessions_of(request)
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        COOKIE,
        sessions.open(token, web.site.now()),
        max_age=int(sessions.lifetime.total_seconds()),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def sign_out(request: Request) -> Response:
    """Forget the session of the request and send the browser to the sign-in form."""
    cookie = request.cookies.get(COOKIE)
    if cookie:
        sessions_of(request).close(cookie)
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


Caller = Annotated[Principal, Depends(principal)]
