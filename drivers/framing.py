"""Pure bounded splitters: bytes in, frames out, fed any cut of the stream."""

from drivers.base import ProtocolError


class LineSplitter:
    """Splits a byte stream at CR LF, CR or LF; empty lines are dropped.

    A line longer than `limit` raises ProtocolError once and the splitter resynchronises at the next line
    end. Holds at most `limit` bytes between calls.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines completed by `data`, without their ends."""
        lines: list[bytes] = []
        overlong = 0
        for byte in data:
            if byte in b"\r\n":
                if self._buffer and not self._skipping:
                    lines.append(bytes(self._buffer))
                self._buffer.clear()
                self._skipping = False
            elif not self._skipping:
                self._buffer.append(byte)
                if len(self._buffer) > self._limit:
                    overlong = len(self._buffer)
                    self._buffer.clear()
                    self._skipping = True
        if overlong and not lines:
            raise ProtocolError(f"line longer than {self._limit} bytes")
        return lines

    def reset(self) -> None:
        """Forget a partial line."""
        self._buffer.clear()
        self._skipping = False

    @property
    def pending(self) -> int:
        """Bytes held of an unfinished line."""
        return len(self._buffer)
