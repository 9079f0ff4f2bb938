"""The stored records of a counting job, as every counter writes them: JSON that stands alone. Pure.

A `start` record is stored before pieces can fall, a `count` record holds the result; what a counter
adds of its own lies beside the job. Anything unreadable is a ProtocolError.
"""

import json
from collections.abc import Mapping

from drivers.base import CountJob, CountResult
from drivers.errors import ProtocolError
from drivers.facts import CountReported

TEXT_MAX = 4096
"""Longest text of a record in bytes."""
RECORD_MAX = 65536
INTEGER_MAX = (1 << 63) - 1
_VERSION = 1


def dump(kind: str, job: CountJob, fields: Mapping[str, object]) -> bytes:
    """Return the record of a job."""
    body = {
        "kind": kind,
        "v": _VERSION,
        "job_id": job.job_id,
        "article": job.article,
        "lot": job.lot,
        "source": job.source,
        "pieces": job.pieces,
        **fields,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def load(raw: bytes, kind: str = "", *, text_max: int = TEXT_MAX) -> "Fields":
    """Return the fields of a record (of one kind), whose texts have at most `text_max` bytes."""
    if len(raw) > RECORD_MAX:
        raise ProtocolError(f"record of {len(raw)} bytes")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not a record: {error}") from error
    fields = Fields(body, text_max)
    if fields.number("v") != _VERSION:
        raise ProtocolError(f"record of another version than {_VERSION}")
    if kind and fields.text("kind") != kind:
        raise ProtocolError(f"a {kind} record was expected")
    return fields


def reported(job: CountJob, result: CountResult) -> CountReported:
    """Return the fact of a result."""
    return CountReported(
        job.job_id,
        job.article,
        job.lot,
        job.source,
        counted=result.counted,
        defective=result.defective,
        complete=result.complete,
    )


class Fields:
    """Typed access to a parsed record; every wrong thing raises ProtocolError."""

    def __init__(self, body: object, text_max: int = TEXT_MAX) -> None:
        if not isinstance(body, dict):
            raise ProtocolError("a JSON object was expected")
        self._body: dict[str, object] = body
        self._text_max = text_max

    def value(self, name: str) -> object:
        """Return what stands there."""
        if name not in self._body:
            raise ProtocolError(f"{name} is missing")
        return self._body[name]

    def text(self, name: str) -> str:
        """Return a text that is not overlong."""
        value = self.value(name)
        if not isinstance(value, str) or not _storable(value, self._text_max):
            raise ProtocolError(f"{name}: {value!r} is not a text")
        return value

    def number(self, name: str, least: int = 0, most: int = INTEGER_MAX) -> int:
        """Return a whole number within bounds."""
        return whole(name, self.value(name), least, most)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise ProtocolError(f"{name}: {value!r} is not true or false")
        return value

    def job(self, most: int = INTEGER_MAX) -> CountJob:
        """Return the job, of at most `most` pieces."""
        return CountJob(
            self.text("job_id"),
            self.text("article"),
            self.text("lot"),
            self.text("source"),
            self.number("pieces", 0, most),
        )


def whole(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number within bounds; raises ProtocolError that names it."""
    if type(value) is not int or not least <= value <= most:
        raise ProtocolError(f"{name}: {value!r} is not a number from {least} to {most}")
    return value


def _storable(value: str, most: int) -> bool:
    """Whether a text is UTF-8 (JSON can carry half a surrogate pair) and not overlong."""
    try:
        return len(value.encode()) <= most
    except UnicodeEncodeError:
        return False
