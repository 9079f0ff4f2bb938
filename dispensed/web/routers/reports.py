"""Reports: which there are, and one of them as CSV, JSON or PDF."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dispensed.services import reports
from dispensed.services.reports import MEDIA_TYPES, REPORTS, Format, UnknownReport
from dispensed.web.context import WebContext
from dispensed.web.schemas import Page
from dispensed.web.schemas_reports import ReportKindOut, ReportQuery

router = APIRouter(tags=["reports"])
_CONTENT: dict[int | str, dict[str, object]] = {
    200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "The report"}
}


@router.get("/reports")
async def list_reports() -> Page[ReportKindOut]:
    """Every report with what it takes."""
    return Page(rows=[ReportKindOut.of(name, kind) for name, kind in REPORTS.items()])


@router.get("/reports/{name}", response_class=Response, responses=_CONTENT)
async def report(web: WebContext, name: str, asked: Annotated[ReportQuery, Query()]) -> Response:
    """One report; it says how many rows there are and whether all of them are shown."""
    if name not in REPORTS:
        raise UnknownReport(f"there is no report {name!r}; there are {', '.join(REPORTS)}")
    made = await reports.make(web.site, name, asked.wanted())
    content = await reports.write(made, asked.format)
    heads = {"Content-Disposition": f'attachment; filename="{name}.{asked.format}"'}
    shown = heads if asked.format is not Format.JSON else None
    return Response(content, media_type=MEDIA_TYPES[asked.format], headers=shown)
