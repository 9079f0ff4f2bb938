"""Recall cases: notices, what a person must read, places and answers, signatures, documents."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from dispensed.services import recall_cases, recall_detail, recall_export, recall_feed
from dispensed.services.recall_cases import Answer, CaseAsked, Decision, LineAsked
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_recalls import (
    AnswerIn,
    CaseDetailOut,
    CaseIn,
    CaseOut,
    DecisionIn,
    ImportOut,
    NoticeOut,
    NoticesIn,
    SignIn,
    TaskOut,
    UnresolvedOut,
)
from dispensed.web.schemas_work import ReasonIn

router = APIRouter(prefix="/recalls", tags=["recalls"])
CaseId = Annotated[int, Path(ge=1, le=ID_MAX)]
ALL = "all"
ZIP = "application/zip"


@router.get("/cases")
async def list_cases(
    web: WebContext,
    state: Annotated[str, Query(max_length=16)] = "open",
    after: After = 0,
    limit: Limit = 100,
) -> Page[CaseOut]:
    """Recall cases; `state` open, review, not_stocked, closed or all."""
    wanted = None if state == ALL else state
    rows = await recall_detail.cases(web.site, state=wanted, after=after, limit=limit)
    more = rows[-1].id if len(rows) == limit else None
    return Page(rows=[CaseOut.of(row) for row in rows], next_after=more)


@router.post("/cases", status_code=201)
async def open_case(web: WebContext, caller: Caller, body: CaseIn) -> CaseOut:
    """Open a case by hand: its lots are held everywhere at once."""
    lines = tuple(LineAsked(**line.model_dump()) for line in body.lines)
    asked = CaseAsked(**{**body.model_dump(), "lines": lines})
    return CaseOut.of(await recall_cases.open_case(web.site, asked, caller.name))


@router.get("/cases/{case_id}")
async def show_case(web: WebContext, case_id: CaseId) -> CaseDetailOut:
    """Tell all of one case, and what stands against closing it."""
    return CaseDetailOut.of(await recall_detail.case(web.site, case_id))


@router.post("/cases/{case_id}/answers", status_code=201)
async def answer(
    web: WebContext,
    caller: Caller,
    case_id: CaseId,
    body: AnswerIn,
    idempotency_key: IdempotencyKey = None,
) -> TaskOut:
    """Tell what was found of a lot at a place; it is pulled to quarantine."""
    request_id = one_request_id(body.request_id, idempotency_key)
    given = Answer(**{**body.model_dump(), "request_id": request_id})
    return TaskOut.of(await recall_cases.answer(web.site, case_id, given, caller.name))


@router.post("/cases/{case_id}/signatures", status_code=201)
async def sign(web: WebContext, caller: Caller, case_id: CaseId, body: SignIn) -> CaseDetailOut:
    """Sign a case that is ready to close."""
    detail = await recall_cases.sign(web.site, case_id, body.statement, caller.name)
    return CaseDetailOut.of(detail)


@router.post("/cases/{case_id}/close")
async def close(web: WebContext, caller: Caller, case_id: CaseId, body: ReasonIn) -> CaseOut:
    """Close a signed case whose quantities add up; its lots stay blocked."""
    return CaseOut.of(await recall_cases.close(web.site, case_id, body.reason, caller.name))


@router.get("/cases/{case_id}/export")
async def export(web: WebContext, case_id: CaseId) -> dict[str, object]:
    """Return the documents of a whole case as one JSON document."""
    detail = await recall_detail.case(web.site, case_id)
    return dict(recall_export.document(detail))


@router.get("/cases/{case_id}/export.zip", response_class=Response)
async def export_zip(web: WebContext, case_id: CaseId) -> Response:
    """Return the documents of a whole case as a zip of CSV, JSON and notices."""
    detail = await recall_detail.case(web.site, case_id)
    name = f'attachment; filename="recall-{case_id}.zip"'
    headers = {"Content-Disposition": name}
    return Response(recall_export.archive(detail), media_type=ZIP, headers=headers)


@router.get("/unresolved")
async def list_unresolved(
    web: WebContext, *, likely: bool = False, after: After = 0, limit: Limit = 100
) -> Page[UnresolvedOut]:
    """Parts of notices that wait for a person; `likely` only what lots here may be meant by."""
    rows = await recall_detail.unresolved(web.site, likely=likely, after=after, limit=limit)
    more = rows[-1].id if len(rows) == limit else None
    return Page(rows=[UnresolvedOut.of(row) for row in rows], next_after=more)


@router.post("/unresolved/{part_id}/decision")
async def decide(
    web: WebContext, caller: Caller, part_id: CaseId, body: DecisionIn
) -> UnresolvedOut:
    """Decide what part of a notice means; a match holds its lots at once."""
    targets = tuple((each.item_id, each.lot) for each in body.targets)
    decision = Decision(body.match, body.reason, targets)
    return UnresolvedOut.of(await recall_cases.decide(web.site, part_id, decision, caller.name))


@router.post("/notices", status_code=201)
async def import_notices(web: WebContext, caller: Caller, body: NoticesIn) -> ImportOut:
    """Take in FDA enforcement records; what is known already changes nothing."""
    raw = body.content.encode("utf-8", "replace")
    report = await recall_feed.import_notices(web.site, raw, body.source, caller.name)
    return ImportOut.of(report)


@router.get("/notices/unreadable")
async def list_unreadable(web: WebContext) -> Page[NoticeOut]:
    """Notices that were kept and could not be read."""
    rows = await recall_detail.unreadable(web.site)
    return Page(rows=[NoticeOut.of(row) for row in rows])
