"""Recalls and order proposals: what waits for a person's decision."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from dispensed.services import recalls, reordering
from dispensed.services.recalls import Recall
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, Filter
from dispensed.web.schemas import Page
from dispensed.web.schemas_work import (
    ProposalOut,
    ReasonIn,
    RecallIn,
    RecallOut,
)

router = APIRouter()
CaseId = Annotated[int, Path(ge=1, le=ID_MAX)]
ALL = "all"


@router.get("/recalls", tags=["recalls"])
async def list_recalls(web: WebContext, state: Filter = None) -> Page[RecallOut]:
    """Recalls, newest first."""
    rows = await recalls.recalls(web.site, state=state)
    return Page(rows=[RecallOut.of(row) for row in rows])


@router.post("/recalls", tags=["recalls"], status_code=201)
async def open_recall(web: WebContext, caller: Caller, body: RecallIn) -> RecallOut:
    """Open a recall: the lot is blocked everywhere at once."""
    asked = Recall(**body.model_dump())
    return RecallOut.of(await recalls.open_recall(web.site, asked, caller.name))


@router.post("/recalls/{case_id}/close", tags=["recalls"])
async def close_recall(
    web: WebContext, caller: Caller, case_id: CaseId, body: ReasonIn
) -> RecallOut:
    """Close a recall; its lots stay blocked until a person releases them."""
    return RecallOut.of(await recalls.close_recall(web.site, case_id, body.reason, caller.name))


@router.get("/proposals", tags=["proposals"])
async def list_proposals(
    web: WebContext, state: Annotated[str, Query(max_length=16)] = "open"
) -> Page[ProposalOut]:
    """Proposed orders; `state` open, approved, received, cancelled or all."""
    rows = await reordering.proposals(web.site, state=None if state == ALL else state)
    return Page(rows=[ProposalOut.of(row) for row in rows])


@router.post("/proposals/{case_id}/approve", tags=["proposals"])
async def approve(web: WebContext, caller: Caller, case_id: CaseId) -> ProposalOut:
    """Approve a proposed order."""
    return ProposalOut.of(await reordering.approve(web.site, case_id, caller.name))


@router.post("/proposals/{case_id}/reject", tags=["proposals"])
async def reject(web: WebContext, caller: Caller, case_id: CaseId, body: ReasonIn) -> ProposalOut:
    """Reject a proposed order."""
    return ProposalOut.of(await reordering.reject(web.site, case_id, body.reason, caller.name))
