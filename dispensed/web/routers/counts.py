"""Counts: what is due, tasks, and what was counted."""

from typing import Annotated

from fastapi import APIRouter, Path

from dispensed.model.counting import CountSource
from dispensed.services import count_machines, count_planning, counting
from dispensed.services.count_machines import Weighing
from dispensed.services.counting import Answer, Ask, Counted
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_counts import (
    CostIn,
    CostOut,
    CountOut,
    CountTaskIn,
    CountTaskOut,
    DueOut,
    OwnerIn,
    SnapshotIn,
    SubmitIn,
    WeighLotIn,
)
from dispensed.web.schemas_work import ReasonIn

router = APIRouter(tags=["counts"])
CountId = Annotated[int, Path(ge=1, le=ID_MAX)]


@router.get("/counts/plan")
async def plan(web: WebContext) -> Page[DueOut]:
    """What the cycle plan asks to be counted now; opens nothing."""
    rows = await count_planning.due(web.site)
    return Page(rows=[DueOut.of(row) for row in rows])


@router.get("/counts")
async def list_counts(
    web: WebContext,
    state: Filter = None,
    location: Filter = None,
    after: After = 0,
    limit: Limit = 100,
) -> Page[CountTaskOut]:
    """Count tasks by ascending id; `state` waiting, open, recount, closed or cancelled."""
    rows = await counting.counts(web.site, state=state, location=location, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[CountTaskOut.of(row) for row in rows], next_after=following)


@router.post("/counts", status_code=201)
async def open_count(
    web: WebContext, caller: Caller, body: CountTaskIn, idempotency_key: IdempotencyKey = None
) -> CountOut:
    """Open a count task; a repeat of the same request returns the first one."""
    values = body.model_dump(exclude={"request_id"})
    asked = Ask(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return CountOut.of(await counting.open_count(web.site, asked, caller.name))


@router.get("/counts/{count_id}")
async def show_count(web: WebContext, count_id: CountId) -> CountOut:
    """One count; a blind one tells nothing of the book before it is counted."""
    return CountOut.of(await counting.count(web.site, count_id))


@router.post("/counts/{count_id}/results")
async def submit(
    web: WebContext,
    caller: Caller,
    count_id: CountId,
    body: SubmitIn,
    idempotency_key: IdempotencyKey = None,
) -> CountOut:
    """Say what was counted, or counted again by another person."""
    answer = Answer(
        lines=tuple(Counted(line.quantity, line.item_id, line.lot) for line in body.lines),
        request_id=one_request_id(body.request_id, idempotency_key),
        source=CountSource(body.source),
        device=body.device,
        counted_at=body.counted_at,
        position=body.position,
        reason=body.reason,
    )
    return CountOut.of(await counting.submit(web.site, count_id, answer, caller.name))


@router.post("/counts/{count_id}/weigh")
async def weigh(
    web: WebContext,
    caller: Caller,
    count_id: CountId,
    body: WeighLotIn,
    idempotency_key: IdempotencyKey = None,
) -> CountOut:
    """Count one lot by the weight that lies on a scale."""
    values = body.model_dump(exclude={"request_id"})
    asked = Weighing(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return CountOut.of(await count_machines.submit_weight(web.site, count_id, asked, caller.name))


@router.post("/counts/{count_id}/snapshot")
async def snapshot(
    web: WebContext,
    caller: Caller,
    count_id: CountId,
    body: SnapshotIn,
    idempotency_key: IdempotencyKey = None,
) -> CountOut:
    """Take what the device of the place says it holds as the count."""
    request_id = one_request_id(body.request_id, idempotency_key)
    return CountOut.of(
        await count_machines.submit_snapshot(
            web.site, count_id, request_id, caller.name, reason=body.reason
        )
    )


@router.post("/counts/{count_id}/assign")
async def assign(web: WebContext, caller: Caller, count_id: CountId, body: OwnerIn) -> CountOut:
    """Give a task to a person."""
    return CountOut.of(await counting.assign(web.site, count_id, body.owner, caller.name))


@router.post("/counts/{count_id}/cancel")
async def cancel(web: WebContext, caller: Caller, count_id: CountId, body: ReasonIn) -> CountOut:
    """Give a task up."""
    return CountOut.of(await counting.cancel(web.site, count_id, body.reason, caller.name))


@router.put("/items/{item_id}/cost")
async def set_cost(web: WebContext, caller: Caller, item_id: str, body: CostIn) -> CostOut:
    """Say what a pack of an item costs; the cycle plan ranks by it."""
    await count_planning.set_cost(web.site, item_id, body.pack_minor, caller.name)
    return CostOut(item_id=item_id, pack_minor=body.pack_minor)
