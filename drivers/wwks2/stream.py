"""Cuts a byte stream of WWKS2 documents into documents; pure, bounded, fed any cut of the stream.

Source: WWKS 2 Reference Manual V6.0 §2 (UTF-8 XML messages over TCP, no length prefix) and §5.2
(each message is one `WWKS` element). A label travels as CDATA (§6.8.1) and an UnprocessedMessage
carries a whole message inside CDATA, so `</WWKS>` alone does not end a document: only its tag in
markup does.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

MESSAGE_MAX_BYTES = 4 * 1024 * 1024
"""Longest document accepted; a full stock list of 10,000 packs is about 2 MiB."""
GARBAGE_MAX_BYTES = 4096
"""How much of one burst of garbage is kept, and the longest comment allowed between documents."""

_ROOT = re.compile(rb"<WWKS[\s/>]")
_END = re.compile(rb"</WWKS\s*>")
_PROLOG = re.compile(rb"(?:\xef\xbb\xbf|\s|<\?xml[^>]*\?>)*")
_IN_TAG = re.compile(rb"[\"'<>]")
_IN_QUOTES = {b'"': re.compile(rb'["<]'), b"'": re.compile(rb"['<]")}
_WHOLE_TAG = re.compile(rb"""<[^"'<>]*+(?:"[^"<]*+"[^"'<>]*+|'[^'<]*+'[^"'<>]*+)*+>""")
"""A tag that is there to its end; the states below take one that is not."""
_OPENERS = (b"<!--", b"<![CDATA[", b"<WWKS?")
_LONGEST_OPENER = max(map(len, _OPENERS))


@dataclass(frozen=True, slots=True)
class Frame:
    """One document (`fault` empty), or bytes that are none, cut short, with the reason."""

    raw: bytes
    fault: str = ""


class _State(Enum):
    OUTSIDE = auto()
    TEXT = auto()
    TAG = auto()
    QUOTED = auto()
    COMMENT = auto()
    CDATA = auto()
    INSTRUCTION = auto()


_SECTIONS = (
    (b"<!--", _State.COMMENT),
    (b"<![CDATA[", _State.CDATA),
    (b"<?", _State.INSTRUCTION),
)
_ENDS = {_State.COMMENT: b"-->", _State.CDATA: b"]]>", _State.INSTRUCTION: b"?>"}


class DocumentSplitter:
    """Splits the stream. Knows quotes, comments, CDATA sections and processing instructions.

    Holds at most `limit` bytes plus one `feed`. A document longer than `limit` yields a fault frame
    and leaves the splitter `broken`: what follows cannot be told apart any more, so the link must
    be given up.
    """

    def __init__(self, limit: int = MESSAGE_MAX_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._frames: list[Frame] = []
        self.broken = False
        self._restart()

    def _restart(self) -> None:
        """Stand outside of any document, at the start of the buffer."""
        self._state = _State.OUTSIDE
        self._scan = 0
        self._tag = 0
        self._quote = b'"'

    @property
    def pending(self) -> int:
        """Bytes held of what is not complete."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forget a partial document; the next byte starts a new stream."""
        self._buffer.clear()
        self._frames.clear()
        self.broken = False
        self._restart()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames completed by `data`, in order; nothing once `broken`."""
        if self.broken:
            return []
        self._buffer += data
        while self._advance():
            pass
        if self._state is not _State.OUTSIDE and len(self._buffer) > self._limit:
            self._overflow()
        frames, self._frames = self._frames, []
        return frames

    def flush(self) -> list[Frame]:
        """Return what is left as a fault frame (the link ended), and start anew."""
        left = bytes(self._buffer)
        fault = "" if self.broken or _PROLOG.fullmatch(left) else "the stream ended inside"
        self.reset()
        return [Frame(left[:GARBAGE_MAX_BYTES], fault)] if fault else []

    def _advance(self) -> bool:
        """Do one step; False when more bytes are needed."""
        match self._state:
            case _State.OUTSIDE:
                return self._outside()
            case _State.TEXT:
                return self._text()
            case _State.TAG:
                return self._in_tag()
            case _State.QUOTED:
                return self._in_quotes()
            case section:
                return self._skip_to(_ENDS[section])

    def _outside(self) -> bool:
        start = self._buffer.find(b"<", self._scan)
        if start < 0:
            self._scan = len(self._buffer)
            self._shed()
            return False
        self._scan = start
        self._shed()
        start = self._scan
        if self._undecided(start):
            return False
        if self._buffer.startswith(b"<!--", start):
            return self._comment_outside(start)
        if _ROOT.match(self._buffer, start) is None:
            self._scan = start + 1
            return True
        self._reject(start, "bytes outside of a document")
        self._state = _State.TAG
        self._scan = 1
        return True

    def _comment_outside(self, start: int) -> bool:
        """Skip a comment between documents, unless it does not end in time: then it is garbage."""
        end = self._buffer.find(b"-->", start, start + GARBAGE_MAX_BYTES)
        if end >= 0:
            del self._buffer[start : end + 3]
            return True
        if len(self._buffer) < start + GARBAGE_MAX_BYTES:
            return False
        self._scan = start + 4
        return True

    def _shed(self) -> None:
        """Keep no more than the bound of what is outside: the rest of a burst is dropped."""
        surplus = self._scan - GARBAGE_MAX_BYTES
        if surplus > 0:
            del self._buffer[GARBAGE_MAX_BYTES : self._scan]
            self._scan = GARBAGE_MAX_BYTES

    def _text(self) -> bool:
        start = self._buffer.find(b"<", self._scan)
        if start < 0:
            self._scan = len(self._buffer)
            return False
        self._scan = start
        if self._undecided(start):
            return False
        if self._buffer[start + 1] in b"!?":
            return self._section(start)
        if _ROOT.match(self._buffer, start) is not None:
            return self._reject(start, "a document began inside of another")
        self._tag = start
        whole = _WHOLE_TAG.match(self._buffer, start)
        if whole is not None:
            self._end_tag(whole.end())
            return True
        self._state = _State.TAG
        self._scan = start + 1
        return True

    def _section(self, start: int) -> bool:
        """Begin what is no tag: a comment, a CDATA section, an instruction."""
        for opener, state in _SECTIONS:
            if self._buffer.startswith(opener, start):
                self._state = state
                self._scan = start + len(opener)
                return True
        return self._reject(start + 2, "a declaration inside of a document")

    def _end_tag(self, end: int) -> None:
        """Go on after a tag; it may have been the last one."""
        self._state = _State.TEXT
        self._scan = end
        empty_root = self._tag == 0 and self._buffer[end - 2] == ord("/")
        if empty_root or _END.match(self._buffer, self._tag):
            self._complete(end)

    def _undecided(self, start: int) -> bool:
        """Whether what begins at `start` may still become one of the openers."""
        if len(self._buffer) - start >= _LONGEST_OPENER:
            return False
        head = bytes(self._buffer[start:])
        return any(
            len(head) < len(opener) and opener.rstrip(b"?").startswith(head) for opener in _OPENERS
        )

    def _in_tag(self) -> bool:
        found = _IN_TAG.search(self._buffer, self._scan)
        if found is None:
            self._scan = len(self._buffer)
            return False
        match found.group():
            case b">":
                self._end_tag(found.end())
            case b"<":
                return self._reject(found.start(), "a tag began inside of a tag")
            case quote:
                self._scan = found.end()
                self._quote = bytes(quote)
                self._state = _State.QUOTED
        return True

    def _in_quotes(self) -> bool:
        found = _IN_QUOTES[self._quote].search(self._buffer, self._scan)
        if found is None:
            self._scan = len(self._buffer)
            return False
        if found.group() == b"<":
            return self._reject(found.start(), "a tag began inside of an attribute")
        self._scan = found.end()
        self._state = _State.TAG
        return True

    def _skip_to(self, mark: bytes) -> bool:
        end = self._buffer.find(mark, self._scan)
        if end < 0:
            self._scan = max(self._scan, len(self._buffer) - len(mark) + 1)
            return False
        self._scan = end + len(mark)
        self._state = _State.TEXT
        return True

    def _complete(self, end: int) -> None:
        if end > self._limit:
            self._overflow()
            return
        self._frames.append(Frame(bytes(self._buffer[:end])))
        del self._buffer[:end]
        self._restart()

    def _reject(self, end: int, fault: str) -> bool:
        """Give up the first `end` bytes; what is only white space or a declaration is no fault."""
        refused = bytes(self._buffer[:end])
        if not _PROLOG.fullmatch(refused):
            self._frames.append(Frame(refused[:GARBAGE_MAX_BYTES], fault))
        del self._buffer[:end]
        self._restart()
        return True

    def _overflow(self) -> None:
        fault = f"a document longer than {self._limit} bytes"
        kept = min(self._limit, GARBAGE_MAX_BYTES)  # the same, however the stream was cut
        self._frames.append(Frame(bytes(self._buffer[:kept]), fault))
        self._buffer.clear()
        self._restart()
        self.broken = True
