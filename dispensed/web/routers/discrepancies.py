"""Discrepancies: what differs between the book and what was found, and what a person does of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dispensed.services import discrepancies
from dispensed.services.discrepancies import Resolution
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter
from dispensed.web.schemas import Page
from dispensed.web.schemas_counts import (
    CloseIn,
    DiscrepancyDetailOut,
    DiscrepancyOut,
    OwnerIn,
    ReasonOut,
    ResolveIn,
)

router = APIRouter(tags=["discrepancies"])
CaseId = Annotated[int, Path(ge=1, le=ID_MAX)]
LIMIT_MAX = 1000
ALL = "all"


@router.get("/discrepancies")
async def list_discrepancies(
    web: WebContext,
    state: Annotated[str, Query(max_length=16)] = "open",
    item: Filter = None,
    location: Filter = None,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_MAX,
) -> Page[DiscrepancyOut]:
    """Differences between the book and what was found; `state` open, closed or all."""
    rows = await discrepancies.discrepancies(
        web.site,
        state=None if state == ALL else state,
        item_id=item,
        location_id=location,
        after=after,
        limit=limit,
    )
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[DiscrepancyOut.of(row) for row in rows], next_after=following)


@router.get("/discrepancies/reasons")
async def reasons(web: WebContext) -> Page[ReasonOut]:
    """The reason codes that a person may give."""
    rows = await discrepancies.reasons(web.site)
    return Page(rows=[ReasonOut.of(row) for row in rows])


@router.get("/discrepancies/{case_id}")
async def show_discrepancy(web: WebContext, case_id: CaseId) -> DiscrepancyDetailOut:
    """One discrepancy with every access since it was last right."""
    return DiscrepancyDetailOut.of(await discrepancies.discrepancy(web.site, case_id))


@router.post("/discrepancies/{case_id}/assign")
async def assign(
    web: WebContext, caller: Caller, case_id: CaseId, body: OwnerIn
) -> DiscrepancyDetailOut:
    """Give a discrepancy to a person."""
    return DiscrepancyDetailOut.of(
        await discrepancies.assign(web.site, case_id, body.owner, caller.name, due_at=body.due_at)
    )


@router.post("/discrepancies/{case_id}/close")
async def close_discrepancy(
    web: WebContext, caller: Caller, case_id: CaseId, body: CloseIn
) -> DiscrepancyOut:
    """Close a discrepancy by a person's word."""
    row = await discrepancies.close(
        web.site, case_id, body.reason, caller.name, reason_code=body.reason_code
    )
    return DiscrepancyOut.of(row)


@router.post("/discrepancies/{case_id}/resolve")
async def resolve(
    web: WebContext, caller: Caller, case_id: CaseId, body: ResolveIn
) -> DiscrepancyDetailOut:
    """Resolve a discrepancy, by a movement where one is needed."""
    how = Resolution(**body.model_dump())
    return DiscrepancyDetailOut.of(await discrepancies.resolve(web.site, case_id, how, caller.name))
