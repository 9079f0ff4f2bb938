"""Builds the HTTP application: API under `/api/v1`, page at `/`, health and metrics."""

import asyncio
from collections.abc import Callable, Collection

from fastapi import APIRouter, Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware

from dispensed.devices.supervisor import LinkState
from dispensed.services.site import Site
from dispensed.web import pages, problems
from dispensed.web.auth import Sessions, principal
from dispensed.web.context import Jobs, Web, WebOptions
from dispensed.web.guard import Guard
from dispensed.web.routers import (
    cases,
    catalog,
    controlled,
    counts,
    custody,
    devices,
    discrepancies,
    dispenses,
    events,
    health,
    outdates,
    recalls,
    repacks,
    reports,
    special,
    stock,
)
from dispensed.web.schemas import Problem

API = "/api/v1"
API_VERSION = "1"
_REFUSALS: dict[int | str, dict[str, object]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (401, "No token, or one that is not known"),
        (404, "No such thing"),
        (409, "The present state forbids it; nothing changed"),
        (422, "The request is wrong; nothing changed"),
        (503, "A device or the storage is not available"),
    )
}


def create_app(
    site: Site,
    *,
    links: Callable[[], tuple[LinkState, ...]],
    jobs: Jobs,
    job_names: Collection[str],
    options: WebOptions | None = None,
    closing: asyncio.Event | None = None,
) -> FastAPI:
    """Build the application; live streams end soon after `closing` is set."""
    app = routes()
    wire(
        app,
        site,
        links=links,
        jobs=jobs,
        job_names=job_names,
        options=options,
        closing=closing,
    )
    return app


def wire(  # noqa: PLR0913 - all that handlers work on
    app: FastAPI,
    site: Site,
    *,
    links: Callable[[], tuple[LinkState, ...]],
    jobs: Jobs,
    job_names: Collection[str],
    options: WebOptions | None = None,
    closing: asyncio.Event | None = None,
) -> None:
    """Give the handlers of an application what they work on, in place of what they had."""
    chosen = options or WebOptions()
    app.state.web = Web(
        site=site,
        links=links,
        jobs=jobs,
        job_names=tuple(job_names),
        options=chosen,
        closing=closing or asyncio.Event(),
    )
    app.state.sessions = Sessions(chosen.session_hours)


def routes() -> FastAPI:
    """Build the application without what its handlers work on."""
    app = FastAPI(
        title="dispensed",
        version=API_VERSION,
        summary="Pharmacy devices and the perpetual inventory behind them",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        middleware=[Middleware(Guard)],
    )
    problems.install(app)
    app.include_router(health.router)
    app.include_router(_api(app))
    app.include_router(pages.router, include_in_schema=False)
    app.mount("/static", StaticFiles(packages=[("dispensed.web", "static")]), name="static")
    return app


def _api(app: FastAPI) -> APIRouter:
    api = APIRouter(prefix=API, dependencies=[Depends(principal)], responses=_REFUSALS)
    for module in (
        catalog,
        stock,
        counts,
        discrepancies,
        dispenses,
        devices,
        cases,
        recalls,
        events,
        outdates,
        repacks,
        controlled,
        custody,
        reports,
        special,
    ):
        api.include_router(module.router)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, object]:
        """Describe this interface."""
        return app.openapi()

    return api
