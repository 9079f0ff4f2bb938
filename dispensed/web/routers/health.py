"""Health for supervisors and metrics for Prometheus."""

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dispensed.devices.supervisor import USABLE, Link
from dispensed.web import metrics
from dispensed.web.auth import metrics_reader
from dispensed.web.context import Web, WebContext

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=PlainTextResponse)
async def alive() -> str:
    """Say that the process serves requests."""
    return "ok\n"


@router.get("/readyz")
async def ready(web: WebContext) -> JSONResponse:
    """Name every part that does not work; 503 when there is one."""
    failing = failing_parts(web)
    body = {"ready": not failing, "failing": [{"part": p, "reason": r} for p, r in failing]}
    return JSONResponse(body, status_code=503 if failing else 200)


@router.get("/metrics", dependencies=[Depends(metrics_reader)])
async def scrape(web: WebContext) -> Response:
    """Numbers for Prometheus."""
    return Response(await metrics.render(web), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def failing_parts(web: Web) -> list[tuple[str, str]]:
    """Return each part that does not work, with the reason."""
    failing = []
    if web.site.store.read_only_reason is not None:
        failing.append(("store", f"read-only: {web.site.store.read_only_reason}"))
    failing += [
        (
            f"device {link.device}",
            f"{link.state} since {link.since:%Y-%m-%dT%H:%M:%SZ}: {link.reason}",
        )
        for link in web.links()
        if link.state not in USABLE and link.state is not Link.STOPPED
    ]
    failing += [(f"job {name}", reason) for name, reason in web.jobs.failing.items()]
    return failing
