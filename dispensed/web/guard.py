"""Around every request: security headers, and a bound on the size of its body."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispensed.web.problems import TooLarge, problem

BODY_MAX = 64 * 1024
"""Bytes of an ordinary request body."""
IMPORT_MAX = 8 * 1024 * 1024
"""Bytes of a formulary file, or of recall notices."""
IMPORT_PATHS = frozenset({"/api/v1/items/import", "/api/v1/recalls/notices"})

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware; the outermost of the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = IMPORT_MAX if scope["path"] in IMPORT_PATHS else BODY_MAX
        declared = Headers(scope=scope).get("content-length", "0")
        too_large = f"{scope['path']} takes at most {limit} bytes, {declared} were announced"
        if not declared.isdecimal() or int(declared) > limit:
            await problem(TooLarge.code, too_large)(scope, receive, _protected(scope, send))
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise TooLarge(f"{scope['path']} takes at most {limit} bytes, more were sent")
            return message

        await self._app(scope, bounded, _protected(scope, send))


def _protected(scope: Scope, send: Send) -> Send:
    async def send_protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            if not scope["path"].startswith("/static/"):
                headers["Cache-Control"] = "no-store"
        await send(message)

    return send_protected
