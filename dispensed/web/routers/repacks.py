"""Repack runs and their log, traces, returns to stock, opened containers."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from dispensed.exchange import repack_log
from dispensed.services import opening, repack_labels, repacking, returning, tracing
from dispensed.services.opening import Open
from dispensed.services.repack_labels import PrintLabels
from dispensed.services.repacking import Packed, Plan, Step
from dispensed.services.returning import Return
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_opened import (
    ContainerOut,
    DiscardIn,
    LeftIn,
    OpenContainerIn,
    ReturnIn,
    ReturnOut,
)
from dispensed.web.schemas_repack import (
    CancelIn,
    LabelJobOut,
    LabelsIn,
    LogEntryOut,
    PackedIn,
    PlanRunIn,
    RunDetailOut,
    RunOut,
    StepIn,
)
from dispensed.web.schemas_trace import DispenseTraceOut, LotTraceOut
from dispensed.web.schemas_work import ReasonIn

router = APIRouter()
RunId = Annotated[int, Path(ge=1, le=ID_MAX)]
ContainerId = Annotated[int, Path(ge=1, le=ID_MAX)]
ReturnId = Annotated[int, Path(ge=1, le=ID_MAX)]
DispenseId = Annotated[int, Path(ge=1, le=ID_MAX)]


# ---------------------------------------------------------------- runs


@router.get("/repacks", tags=["repacks"])
async def list_runs(
    web: WebContext, state: Filter = None, after: After = 0, limit: Limit = 100
) -> Page[RunOut]:
    """Repack runs by ascending id, of one state or all."""
    rows = await repacking.runs(web.site, state=state, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[RunOut.of(row) for row in rows], next_after=following)


@router.post("/repacks", tags=["repacks"], status_code=201)
async def plan_run(
    web: WebContext, caller: Caller, body: PlanRunIn, idempotency_key: IdempotencyKey = None
) -> RunOut:
    """Plan a run; nothing moves."""
    values = body.model_dump(exclude={"request_id"})
    asked = Plan(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return RunOut.of(await repacking.plan(web.site, asked, caller.name))


@router.get("/repacks/log", tags=["repacks"])
async def log(
    web: WebContext,
    after: After = 0,
    limit: Limit = 100,
    form: Annotated[Literal["json", "csv"], Query()] = "json",
) -> Response:
    """The log that boards of pharmacy ask for, as JSON rows or as CSV."""
    entries = await repack_labels.log_entries(web.site, after=after, limit=limit)
    if form == "csv":
        return Response(repack_log.as_csv(entries), media_type="text/csv; charset=utf-8")
    following = entries[-1].run if len(entries) == limit else None
    rows = [LogEntryOut.of(entry) for entry in entries]
    page: Page[LogEntryOut] = Page(rows=rows, next_after=following)
    return Response(page.model_dump_json(), media_type="application/json")


@router.get("/repacks/{run_id}", tags=["repacks"])
async def run(web: WebContext, run_id: RunId) -> RunDetailOut:
    """One run with its steps, movements and print jobs."""
    return RunDetailOut.of(await repacking.run(web.site, run_id))


@router.get("/repacks/{run_id}/log", tags=["repacks"])
async def log_of_run(web: WebContext, run_id: RunId) -> LogEntryOut:
    """The log of one run."""
    return LogEntryOut.of(await repack_labels.log_entry(web.site, run_id))


@router.post("/repacks/{run_id}/start", tags=["repacks"])
async def start_run(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: StepIn,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Say that the bulk is opened."""
    step = Step(one_request_id(body.request_id, idempotency_key), body.reason)
    return RunOut.of(await repacking.start(web.site, run_id, step, caller.name))


@router.post("/repacks/{run_id}/pack", tags=["repacks"])
async def pack_run(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: PackedIn,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Book what a run gave; the units lie in quarantine until another person has checked them."""
    values = body.model_dump(exclude={"request_id"})
    asked = Packed(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return RunOut.of(await repacking.pack(web.site, run_id, asked, caller.name))


@router.post("/repacks/{run_id}/check", tags=["repacks"])
async def check_run(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: StepIn,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Say, as a pharmacist who did not pack it, that a run is right."""
    step = Step(one_request_id(body.request_id, idempotency_key), body.reason)
    return RunOut.of(await repacking.check(web.site, run_id, step, caller.name))


@router.post("/repacks/{run_id}/release", tags=["repacks"])
async def release_run(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: StepIn,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Take the units of a checked run out of quarantine."""
    step = Step(one_request_id(body.request_id, idempotency_key), body.reason)
    return RunOut.of(await repacking.release(web.site, run_id, step, caller.name))


@router.post("/repacks/{run_id}/cancel", tags=["repacks"])
async def cancel_run(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: CancelIn,
    idempotency_key: IdempotencyKey = None,
) -> RunOut:
    """Give a run up."""
    step = Step(one_request_id(body.request_id, idempotency_key), body.reason)
    row = await repacking.cancel(web.site, run_id, step, caller.name, undo=body.undo)
    return RunOut.of(row)


@router.post("/repacks/{run_id}/labels", tags=["repacks"])
async def print_labels(
    web: WebContext,
    caller: Caller,
    run_id: RunId,
    body: LabelsIn,
    idempotency_key: IdempotencyKey = None,
) -> LabelJobOut:
    """Print the labels of a run's units and one for the log."""
    request_id = one_request_id(body.request_id, idempotency_key)
    asked = PrintLabels(request_id, body.copies, body.reason)
    return LabelJobOut.of(await repack_labels.print_units(web.site, run_id, asked, caller.name))


# ---------------------------------------------------------------- traces


@router.get("/trace/lots/{item_id}/{lot:path}", tags=["traces"])
async def trace_lot(
    web: WebContext,
    item_id: str,
    lot: str,
    direction: Annotated[Literal["forward", "backward"], Query()] = "forward",
) -> Page[LotTraceOut]:
    """A lot and every lot that came from it, or that it came from, with where all of it went."""
    walk = tracing.forward if direction == "forward" else tracing.backward
    return Page(rows=[LotTraceOut.of(row) for row in await walk(web.site, item_id, lot)])


@router.get("/trace/dispenses/{dispense_id}", tags=["traces"])
async def trace_dispense(web: WebContext, dispense_id: DispenseId) -> DispenseTraceOut:
    """The lots of a dispense, every lot they came from, and the receipts of each."""
    return DispenseTraceOut.of(await tracing.dispense(web.site, dispense_id))


# ---------------------------------------------------------------- returns to stock


@router.get("/returns-to-stock", tags=["returns"])
async def list_returns(web: WebContext, after: After = 0, limit: Limit = 100) -> Page[ReturnOut]:
    """Returns to stock by ascending id."""
    rows = await returning.returns(web.site, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[ReturnOut.of(row) for row in rows], next_after=following)


@router.post("/returns-to-stock", tags=["returns"], status_code=201)
async def return_to_stock(
    web: WebContext, caller: Caller, body: ReturnIn, idempotency_key: IdempotencyKey = None
) -> ReturnOut:
    """Take a fill back that nobody picked up."""
    values = body.model_dump(exclude={"request_id"})
    asked = Return(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return ReturnOut.of(await returning.return_to_stock(web.site, asked, caller.name))


@router.post("/returns-to-stock/{return_id}/label", tags=["returns"])
async def print_return_label(
    web: WebContext, caller: Caller, return_id: ReturnId, body: ReasonIn
) -> ReturnOut:
    """Print a label for a returned vial with its lot and date."""
    row = await repack_labels.print_return(web.site, return_id, caller.name, reason=body.reason)
    return ReturnOut.of(row)


# ---------------------------------------------------------------- opened containers


@router.get("/containers", tags=["containers"])
async def list_containers(
    web: WebContext,
    state: Filter = None,
    *,
    expired: bool = False,
    after: After = 0,
    limit: Limit = 100,
) -> Page[ContainerOut]:
    """Opened containers; `expired` keeps open ones whose date has passed."""
    rows = await opening.opened(web.site, state=state, expired=expired, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[ContainerOut.of(row) for row in rows], next_after=following)


@router.post("/containers", tags=["containers"], status_code=201)
async def open_container(
    web: WebContext, caller: Caller, body: OpenContainerIn, idempotency_key: IdempotencyKey = None
) -> ContainerOut:
    """Record that a container is opened."""
    values = body.model_dump(exclude={"request_id"})
    asked = Open(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return ContainerOut.of(await opening.open_container(web.site, asked, caller.name))


@router.post("/containers/{container_id}/left", tags=["containers"])
async def state_left(
    web: WebContext, caller: Caller, container_id: ContainerId, body: LeftIn
) -> ContainerOut:
    """Say how much is left in a container."""
    row = await opening.state_left(web.site, container_id, body.left, caller.name)
    return ContainerOut.of(row)


@router.post("/containers/{container_id}/empty", tags=["containers"])
async def close_empty(web: WebContext, caller: Caller, container_id: ContainerId) -> ContainerOut:
    """Say that a container is used up."""
    return ContainerOut.of(await opening.close_empty(web.site, container_id, caller.name))


@router.post("/containers/{container_id}/discard", tags=["containers"])
async def discard(
    web: WebContext, caller: Caller, container_id: ContainerId, body: DiscardIn
) -> ContainerOut:
    """Throw a container away; what was in it is waste."""
    row = await opening.discard(web.site, container_id, body.wasted, body.reason, caller.name)
    return ContainerOut.of(row)
