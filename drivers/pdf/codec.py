"""Names and notes of label files: which file belongs to which request, and how far it came.

Source: RFC 3986, 2.1 (percent-encoding of names); POSIX.1-2017 rename() and O_EXCL, on which the
driver counts. The files themselves are PDF 1.x, see `drivers.labelpdf`.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from drivers.errors import ProtocolError

NOTES = ".requests"
"""Folder inside the folder of labels: one small note for every request."""
PART = ".part"
"""Ending of a file that is being written."""
NOTE_MAX = 256
_NAME_MAX = 150
_NOTE = re.compile(r"(begun|written) ([0-9a-f]{64})\n", re.ASCII)


@dataclass(frozen=True, slots=True)
class Note:
    """How far a label came: begun, or written too; and the fingerprint of what it says."""

    written: bool
    digest: str


def file_stem(request_id: str) -> str:
    """Return a file name without ending, another one for every request; it names no folder."""
    name = (
        quote(request_id, safe="", errors="backslashreplace")
        .replace(".", "%2E")
        .replace("~", "%7E")
    )
    if name and len(name) <= _NAME_MAX:
        return f"label-{name}"
    digest = hashlib.sha256(request_id.encode("utf-8", "backslashreplace")).hexdigest()
    return f"label-{name[: _NAME_MAX - 70]}~{digest}"


def encode_note(note: Note) -> bytes:
    """Return the text of a note."""
    return f"{'written' if note.written else 'begun'} {note.digest}\n".encode("ascii")


def decode_note(data: bytes) -> Note:
    """Read a note. Raises ProtocolError."""
    match = _NOTE.fullmatch(data.decode("latin-1"))
    if match is None:
        raise ProtocolError(f"no note of a label: {data[:80]!r}")
    return Note(match[1] == "written", match[2])


def folder_of(address: str) -> str:
    """Return the folder of a `file:///path` address; raises ValueError."""
    parts = urlsplit(address)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"address {address!r}: file:///absolute/folder expected")
    if parts.query or parts.fragment or "%" in parts.path:
        raise ValueError(f"address {address!r}: a plain path expected, without ? # %")
    return parts.path
