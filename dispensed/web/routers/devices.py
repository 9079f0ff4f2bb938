"""Devices and scheduled jobs: how they are, and what a person may start."""

from fastapi import APIRouter

from dispensed.services import drawers, reconciling, sampling
from dispensed.services.drawers import Asked
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import IdempotencyKey, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_work import (
    DeviceOut,
    DrawerOut,
    JobOut,
    JobRunOut,
    OpenDrawerIn,
    PieceWeightOut,
    ReconcileOut,
    SampleIn,
)

router = APIRouter()


@router.get("/devices", tags=["devices"])
async def devices(web: WebContext) -> Page[DeviceOut]:
    """Every configured device with its state, the reason and since when."""
    return Page(rows=[DeviceOut.of(link) for link in web.links()])


@router.post("/devices/{name}/reconcile", tags=["devices"])
async def reconcile(web: WebContext, caller: Caller, name: str) -> Page[ReconcileOut]:
    """Compare what a cabinet holds with the book."""
    reports = await reconciling.reconcile(web.site, name, caller.name)
    return Page(rows=[ReconcileOut.of(report) for report in reports])


@router.get("/devices/{name}/drawers", tags=["devices"])
async def list_drawers(web: WebContext, name: str) -> Page[DrawerOut]:
    """Every drawer of a cabinet, read now."""
    states = await drawers.drawers(web.site, name)
    return Page(rows=[DrawerOut.of(state) for state in states])


@router.post("/devices/{name}/drawers/{drawer}/open", tags=["devices"])
async def open_drawer(
    web: WebContext,
    caller: Caller,
    name: str,
    drawer: str,
    body: OpenDrawerIn,
    idempotency_key: IdempotencyKey = None,
) -> DrawerOut:
    """Open a drawer; a repeat of the same request never opens it again."""
    request_id = one_request_id(body.request_id, idempotency_key)
    asked = Asked(name, drawer, request_id, caller.name, body.reason)
    return DrawerOut.of(await drawers.open_drawer(web.site, asked))


@router.post("/devices/{name}/sample", tags=["devices"])
async def sample(web: WebContext, caller: Caller, name: str, body: SampleIn) -> PieceWeightOut:
    """Take what lies on a counter's scale, counted by hand, as the weight of one piece."""
    piece = await sampling.sample(
        web.site, name, body.item_id, body.pieces, lot=body.lot, actor=caller.name
    )
    return PieceWeightOut.of(piece)


@router.get("/jobs", tags=["jobs"])
async def jobs(web: WebContext) -> Page[JobOut]:
    """The scheduled jobs."""
    failing = web.jobs.failing
    return Page(
        rows=[
            JobOut(name=name, next_due=web.jobs.next_due(name), failing=failing.get(name, ""))
            for name in web.job_names
        ]
    )


@router.post("/jobs/{name}/run", tags=["jobs"])
async def run_job(web: WebContext, name: str) -> JobRunOut:
    """Run a job at once and wait for its end."""
    return JobRunOut.of(await web.jobs.run_now(name))
