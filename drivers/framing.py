"""Pure bounded splitters: bytes in, frames out, fed any cut of the stream."""

from drivers.errors import ProtocolError

_ENDS = b"\r\n"


class LineSplitter:
    """Splits a byte stream at CR LF, CR or LF; empty lines are dropped.

    A line longer than `limit` is dropped up to its end. Holds at most `limit` bytes of an
    unfinished line between calls. How the stream is cut changes neither the lines nor their order.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False
        self._ready: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines completed by `data`, without their ends.

        Raises ProtocolError, after all of `data` was taken, when a line in it grew too long. Lines
        that were complete in the same `data` are kept: `feed(b"")` returns them.
        """
        overlong = False
        for byte in data:
            if byte in _ENDS:
                if self._buffer and not self._skipping:
                    self._ready.append(bytes(self._buffer))
                self._buffer.clear()
                self._skipping = False
            elif not self._skipping:
                self._buffer.append(byte)
                if len(self._buffer) > self._limit:
                    overlong = self._skipping = True
                    self._buffer.clear()
        if overlong:
            raise ProtocolError(f"line longer than {self._limit} bytes")
        lines, self._ready = self._ready, []
        return lines

    def reset(self) -> None:
        """Forget a partial line, and lines not yet returned."""
        self._buffer.clear()
        self._ready.clear()
        self._skipping = False

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished line."""
        return len(self._buffer)
