"""Expiry: the pull list, stock at risk, and batches that leave the pharmacy."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response

from dispensed.services import batching, expiring
from dispensed.services.batching import NewBatch, Pack
from dispensed.services.expiring import DAYS_MAX, Pulled
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, Filter, IdempotencyKey, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_outdates import (
    BatchDetailOut,
    BatchIn,
    BatchOut,
    CreditIn,
    LeaveIn,
    OutdateTaskOut,
    PackIn,
    PlanIn,
    PlannedOut,
    PulledIn,
    RiskOut,
    SealIn,
    UnpackIn,
)
from dispensed.web.schemas_work import ReasonIn

router = APIRouter()
TaskId = Annotated[int, Path(ge=1, le=ID_MAX)]
BatchId = Annotated[int, Path(ge=1, le=ID_MAX)]
LineId = Annotated[int, Path(ge=1, le=ID_MAX)]
ALL = "all"


@router.get("/outdates", tags=["outdates"])
async def list_tasks(
    web: WebContext, state: Annotated[str, Query(max_length=16)] = "open"
) -> Page[OutdateTaskOut]:
    """The pull list; `state` open, done, cancelled or all."""
    rows = await expiring.tasks(web.site, state=None if state == ALL else state)
    return Page(rows=[OutdateTaskOut.of(row) for row in rows])


@router.post("/outdates/plan", tags=["outdates"], status_code=201)
async def plan(web: WebContext, caller: Caller, body: PlanIn) -> PlannedOut:
    """Put on the pull list what expires soon; what is on it already is left out."""
    made = await expiring.plan_pulls(web.site, body.days, body.reason, caller.name)
    return PlannedOut(tasks=list(made))


@router.get("/outdates/risk", tags=["outdates"])
async def risk(
    web: WebContext,
    item: Filter = None,
    days: Annotated[int | None, Query(ge=1, le=DAYS_MAX)] = None,
) -> Page[RiskOut]:
    """Lots of which something will be left at their expiry, by the demand of the last `days`."""
    rows = await expiring.risk(web.site, item_id=item, days=days)
    return Page(rows=[RiskOut.of(row) for row in rows])


@router.post("/outdates/{task_id}/pull", tags=["outdates"])
async def pull(
    web: WebContext,
    caller: Caller,
    task_id: TaskId,
    body: PulledIn,
    idempotency_key: IdempotencyKey = None,
) -> OutdateTaskOut:
    """Say what was pulled; it moves to the place for outdates."""
    values = body.model_dump(exclude={"request_id"})
    request_id = one_request_id(body.request_id, idempotency_key)
    pulled = Pulled(task_id=task_id, request_id=request_id, **values)
    return OutdateTaskOut.of(await expiring.pull(web.site, pulled, caller.name))


@router.post("/outdates/{task_id}/cancel", tags=["outdates"])
async def cancel(
    web: WebContext, caller: Caller, task_id: TaskId, body: ReasonIn
) -> OutdateTaskOut:
    """Take a task off the pull list."""
    row = await expiring.cancel_pull(web.site, task_id, body.reason, caller.name)
    return OutdateTaskOut.of(row)


# ---------------------------------------------------------------- batches


@router.get("/batches", tags=["batches"])
async def list_batches(web: WebContext, state: Filter = None) -> Page[BatchOut]:
    """Batches of a state, or all."""
    rows = await batching.batches_of(web.site, state=state)
    return Page(rows=[BatchOut.of(row) for row in rows])


@router.post("/batches", tags=["batches"], status_code=201)
async def open_batch(web: WebContext, caller: Caller, body: BatchIn) -> BatchDetailOut:
    """Open a batch: a return, one for a reverse distributor, or one for destruction."""
    asked = NewBatch(**body.model_dump(mode="json"))
    return BatchDetailOut.of(await batching.open_batch(web.site, asked, caller.name))


@router.get("/batches/{batch_id}", tags=["batches"])
async def one_batch(web: WebContext, batch_id: BatchId) -> BatchDetailOut:
    """One batch with its lines."""
    return BatchDetailOut.of(await batching.batch(web.site, batch_id))


@router.post("/batches/{batch_id}/lines", tags=["batches"], status_code=201)
async def pack(
    web: WebContext,
    caller: Caller,
    batch_id: BatchId,
    body: PackIn,
    idempotency_key: IdempotencyKey = None,
) -> BatchDetailOut:
    """Put stock into an open batch."""
    values = body.model_dump(exclude={"request_id"})
    request_id = one_request_id(body.request_id, idempotency_key)
    asked = Pack(batch_id=batch_id, request_id=request_id, **values)
    return BatchDetailOut.of(await batching.pack(web.site, asked, caller.name))


@router.post("/batches/{batch_id}/lines/{line_id}/remove", tags=["batches"])
async def unpack(
    web: WebContext, caller: Caller, batch_id: BatchId, line_id: LineId, body: UnpackIn
) -> BatchDetailOut:
    """Take a line out of an open batch."""
    done = await batching.unpack(web.site, batch_id, line_id, body.reason, caller.name)
    return BatchDetailOut.of(done)


@router.post("/batches/{batch_id}/seal", tags=["batches"])
async def seal(web: WebContext, caller: Caller, batch_id: BatchId, body: SealIn) -> BatchDetailOut:
    """Fix the lines of a batch; they are proved equal to their movements."""
    done = await batching.seal(web.site, batch_id, body.dea_reference, caller.name)
    return BatchDetailOut.of(done)


@router.post("/batches/{batch_id}/reopen", tags=["batches"])
async def reopen(
    web: WebContext, caller: Caller, batch_id: BatchId, body: ReasonIn
) -> BatchDetailOut:
    """Open a sealed batch again."""
    done = await batching.reopen(web.site, batch_id, body.reason, caller.name)
    return BatchDetailOut.of(done)


@router.post("/batches/{batch_id}/leave", tags=["batches"])
async def leave(
    web: WebContext, caller: Caller, batch_id: BatchId, body: LeaveIn
) -> BatchDetailOut:
    """Say that a batch was shipped or destroyed; where two persons are needed, both say it."""
    done = await batching.leave(web.site, batch_id, caller.name, method=body.method)
    return BatchDetailOut.of(done)


@router.post("/batches/{batch_id}/credit", tags=["batches"])
async def credit(
    web: WebContext, caller: Caller, batch_id: BatchId, body: CreditIn
) -> BatchDetailOut:
    """Note the credit that came for a shipped batch."""
    done = await batching.credit(web.site, batch_id, body.cents, body.reference, caller.name)
    return BatchDetailOut.of(done)


@router.post("/batches/{batch_id}/close", tags=["batches"])
async def close(
    web: WebContext, caller: Caller, batch_id: BatchId, body: ReasonIn
) -> BatchDetailOut:
    """Close a batch that left, or cancel an empty one."""
    done = await batching.close(web.site, batch_id, body.reason, caller.name)
    return BatchDetailOut.of(done)


@router.get(
    "/batches/{batch_id}/document",
    tags=["batches"],
    response_class=Response,
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
)
async def document(
    web: WebContext,
    batch_id: BatchId,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """The document of a sealed batch, or of one that left, as JSON or CSV."""
    made = await batching.document(web.site, batch_id)
    if form == "csv":
        return Response(batching.as_csv(made), media_type="text/csv; charset=utf-8")
    return JSONResponse(made)
