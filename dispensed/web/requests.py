"""What several addresses take: page bounds and the caller's request id."""

from typing import Annotated

from fastapi import Header, Query

from dispensed.errors import Invalid
from dispensed.web.schemas import REQUEST_ID_MAX

LIMIT_MAX = 1000
ID_MAX = 2**63 - 1

After = Annotated[int, Query(ge=0, le=ID_MAX, description="return rows after this id")]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="return at most so many rows")]
Filter = Annotated[str | None, Query(max_length=64)]
IdempotencyKey = Annotated[str | None, Header(max_length=REQUEST_ID_MAX)]


def one_request_id(body: str | None, header: str | None) -> str:
    """Return the request id of body or `Idempotency-Key`; raises Invalid for none or for two."""
    if body is None and header is None:
        raise Invalid("give a request_id in the body or an Idempotency-Key header")
    if body is not None and header is not None and body != header:
        raise Invalid(f"request_id {body!r} and Idempotency-Key {header!r} differ")
    return (body or header or "")[:REQUEST_ID_MAX]
