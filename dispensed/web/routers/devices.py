"""Devices and scheduled jobs: how they are, and what a person may start."""

from fastapi import APIRouter

from dispensed.services import reconciling
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.schemas import Page
from dispensed.web.schemas_work import DeviceOut, JobOut, JobRunOut, ReconcileOut

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
