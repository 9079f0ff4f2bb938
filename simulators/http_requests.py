"""The server's half of HTTP/1.1 as far as a simulated machine needs it: requests out of bytes.

Source: RFC 9112 (message syntax, chunked bodies) and RFC 9110, 10.1.1 (Expect). Pure and bounded.
"""

import re
from dataclasses import dataclass

HEAD_MAX = 16384
BODY_MAX = 4 << 20
_CHUNK_LINE_MAX = 64
_END = b"\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(Exception):
    """Bytes that are no request, or one that is too long; the connection is of no use any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def keeps_open(self) -> bool:
        """Whether the client goes on with this connection."""
        return self.headers.get("connection", "").lower() != "close"


def response(status: int, content_type: str, body: bytes, *, close: bool) -> bytes:
    """Return an answer with its length."""
    words = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
    head = (
        f"HTTP/1.1 {status} {words.get(status, 'Status')}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode("ascii") + body


class RequestParser:
    """Takes the bytes of one connection, cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._chunks = bytearray()
        self._wants_continue = False

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes. Raises BadRequest."""
        self._buffer += data
        done: list[Request] = []
        while (request := self._next()) is not None:
            done.append(request)
        return done

    def wants_continue(self) -> bool:
        """Whether the client waits, once, for leave to send its body."""
        wants, self._wants_continue = self._wants_continue, False
        return wants

    def _next(self) -> Request | None:
        if self._head is None and not self._take_head():
            return None
        if self._head is None:
            return None
        body = self._take_body(self._head[2])
        if body is None:
            return None
        (method, path, headers), self._head = self._head, None
        self._wants_continue = False
        return Request(method, path, headers, body)

    def _take_head(self) -> bool:
        end = self._buffer.find(_END)
        if end < 0 or end > HEAD_MAX:
            if len(self._buffer) > HEAD_MAX:
                raise BadRequest(f"head longer than {HEAD_MAX} bytes")
            return False
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + len(_END)]
        match = re.fullmatch(r"([A-Z]+) (\S+) HTTP/1\.[01]", first)
        if match is None:
            raise BadRequest(f"no request line: {first[:80]!r}")
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequest(f"no header: {line[:80]!r}")
            headers[name.strip().lower()] = value.strip()
        self._head = (match[1], match[2], headers)
        self._wants_continue = headers.get("expect", "").lower() == "100-continue"
        return True

    def _take_body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._take_chunks()
        given = headers.get("content-length", "0")
        if not (given.isascii() and given.isdecimal()) or int(given) > BODY_MAX:
            raise BadRequest(f"content-length {given[:20]!r}")
        return self._cut(int(given))

    def _take_chunks(self) -> bytes | None:
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0 or end > _CHUNK_LINE_MAX:
                if len(self._buffer) > _CHUNK_LINE_MAX:
                    raise BadRequest("a chunk without a length")
                return None
            size = _chunk_size(bytes(self._buffer[:end]))
            if len(self._chunks) + size > BODY_MAX:
                raise BadRequest(f"body longer than {BODY_MAX} bytes")
            if len(self._buffer) < end + 2 + size + 2:
                return None
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 2 + size + 2]
            if size == 0:
                body = bytes(self._chunks)
                self._chunks.clear()
                return body

    def _cut(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
        raise BadRequest(f"chunk of {line[:20]!r} bytes")
    return int(digits, 16)
