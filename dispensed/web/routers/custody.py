"""Controlled substances in persons' hands: removals and wastes with a witness."""

from typing import Annotated

from fastapi import APIRouter, Path

from dispensed.services import custody
from dispensed.services.custody import Discard, Take
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_controlled import (
    GivenIn,
    RemovalDetailOut,
    RemovalIn,
    RemovalOut,
    ReturnedIn,
    WasteIn,
    WasteOut,
)

router = APIRouter(prefix="/controlled", tags=["controlled"])
Number = Annotated[int, Path(ge=1, le=ID_MAX)]


@router.post("/removals", status_code=201)
async def remove(
    web: WebContext, caller: Caller, body: RemovalIn, idempotency_key: IdempotencyKey = None
) -> RemovalOut:
    """Take stock into the hand for one patient; it stays open until it adds up."""
    values = body.model_dump(exclude={"request_id"})
    asked = Take(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return RemovalOut.of(await custody.take(web.site, asked, caller.name), web.site.now())


@router.get("/removals")
async def removals(
    web: WebContext,
    *,
    everything: bool = False,
    actor: Filter = None,
    after: After = 0,
    limit: Limit = 100,
) -> Page[RemovalOut]:
    """The open list, oldest first; `everything` lists closed ones too."""
    rows = await custody.removal_list(
        web.site, only_open=not everything, actor=actor, after=after, limit=limit
    )
    following = rows[-1].id if len(rows) == limit else None
    now = web.site.now()
    return Page(rows=[RemovalOut.of(row, now) for row in rows], next_after=following)


@router.get("/removals/{number}")
async def removal(web: WebContext, number: Number) -> RemovalDetailOut:
    """One removal, its steps and the wastes stated of it."""
    detail = await custody.removal(web.site, number)
    return RemovalDetailOut.of(detail, web.site.now(), web.site.controlled.witness_timeout_s)


@router.post("/removals/{number}/given")
async def given(
    web: WebContext,
    caller: Caller,
    number: Number,
    body: GivenIn,
    idempotency_key: IdempotencyKey = None,
) -> RemovalOut:
    """Record what the patient was given."""
    request_id = one_request_id(body.request_id, idempotency_key)
    row = await custody.give(web.site, number, body.quantity, request_id, caller.name)
    return RemovalOut.of(row, web.site.now())


@router.post("/removals/{number}/returned")
async def returned(
    web: WebContext,
    caller: Caller,
    number: Number,
    body: ReturnedIn,
    idempotency_key: IdempotencyKey = None,
) -> RemovalOut:
    """Return a part to a bin, receiving, the outdates or a device."""
    request_id = one_request_id(body.request_id, idempotency_key)
    row = await custody.bring_back(
        web.site, number, body.quantity, body.location, request_id, caller.name
    )
    return RemovalOut.of(row, web.site.now())


@router.post("/wastes", status_code=201)
async def state_waste(
    web: WebContext, caller: Caller, body: WasteIn, idempotency_key: IdempotencyKey = None
) -> WasteOut:
    """State a waste; of a controlled item it is posted only when another person confirms it."""
    values = body.model_dump(exclude={"request_id"})
    asked = Discard(**values, request_id=one_request_id(body.request_id, idempotency_key))
    row = await custody.state_waste(web.site, asked, caller.name)
    return WasteOut.of(row, web.site.now(), web.site.controlled.witness_timeout_s)


@router.get("/wastes")
async def wastes(web: WebContext, after: After = 0, limit: Limit = 100) -> Page[WasteOut]:
    """Stated wastes by ascending number."""
    rows = await custody.waste_list(web.site, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    now, limit_s = web.site.now(), web.site.controlled.witness_timeout_s
    return Page(rows=[WasteOut.of(row, now, limit_s) for row in rows], next_after=following)


@router.post("/wastes/{number}/witness")
async def witness(web: WebContext, caller: Caller, number: Number) -> WasteOut:
    """Confirm a waste as another person, in time."""
    row = await custody.witness(web.site, number, caller.name)
    return WasteOut.of(row, web.site.now(), web.site.controlled.witness_timeout_s)
