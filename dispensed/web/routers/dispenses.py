"""Dispenses: order, watch, weigh, count, verify, release, void."""

from typing import Annotated

from fastapi import APIRouter, Path

from dispensed.services import dispensing, releasing
from dispensed.services.dispensing import Order
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import Page
from dispensed.web.schemas_work import (
    CountIn,
    DispenseDetailOut,
    DispenseOut,
    OrderIn,
    ReasonIn,
    ReleaseIn,
    WeighIn,
)

router = APIRouter(prefix="/dispenses", tags=["dispenses"])
DispenseId = Annotated[int, Path(ge=1, le=ID_MAX)]


@router.get("")
async def dispenses(
    web: WebContext, state: Filter = None, after: After = 0, limit: Limit = 100
) -> Page[DispenseOut]:
    """Dispenses by ascending id, of one state or all."""
    rows = await dispensing.dispenses_of(web.site, state=state, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[DispenseOut.of(row) for row in rows], next_after=following)


@router.post("", status_code=201)
async def order(
    web: WebContext, caller: Caller, body: OrderIn, idempotency_key: IdempotencyKey = None
) -> DispenseOut:
    """Order a fill; a repeat of the same request returns the first answer."""
    values = body.model_dump(exclude={"request_id"})
    asked = Order(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return DispenseOut.of(await dispensing.request(web.site, asked, caller.name))


@router.get("/{dispense_id}")
async def dispense(web: WebContext, dispense_id: DispenseId) -> DispenseDetailOut:
    """One dispense with its holds and movements."""
    return DispenseDetailOut.of(await dispensing.dispense(web.site, dispense_id))


@router.post("/{dispense_id}/verify")
async def verify(web: WebContext, caller: Caller, dispense_id: DispenseId) -> DispenseOut:
    """Say that drug, count, weight and lots are right."""
    return DispenseOut.of(await dispensing.verify(web.site, dispense_id, caller.name))


@router.post("/{dispense_id}/release")
async def release(
    web: WebContext, caller: Caller, dispense_id: DispenseId, body: ReleaseIn | None = None
) -> DispenseOut:
    """Print the label and give the fill to the patient's side."""
    reprint = body.reprint if body else None
    row = await releasing.release(web.site, dispense_id, caller.name, reprint=reprint)
    return DispenseOut.of(row)


@router.post("/{dispense_id}/void")
async def void(
    web: WebContext, caller: Caller, dispense_id: DispenseId, body: ReasonIn
) -> DispenseOut:
    """Cancel a fill; what was taken goes back to its place."""
    return DispenseOut.of(await dispensing.void(web.site, dispense_id, body.reason, caller.name))


@router.post("/{dispense_id}/count")
async def count(
    web: WebContext, caller: Caller, dispense_id: DispenseId, body: CountIn
) -> DispenseOut:
    """Say what a person counted in the tray."""
    row = await dispensing.count_by_hand(
        web.site, dispense_id, body.counted, caller.name, body.reason
    )
    return DispenseOut.of(row)


@router.post("/{dispense_id}/weigh")
async def weigh(
    web: WebContext, caller: Caller, dispense_id: DispenseId, body: WeighIn | None = None
) -> DispenseOut:
    """Compare the count with the weight."""
    scale = body.scale if body else None
    return DispenseOut.of(await dispensing.weigh(web.site, dispense_id, caller.name, scale=scale))


@router.post("/{dispense_id}/top-up")
async def top_up(web: WebContext, caller: Caller, dispense_id: DispenseId) -> DispenseOut:
    """Let a machine count the missing part of a short fill."""
    return DispenseOut.of(await dispensing.top_up(web.site, dispense_id, caller.name))


@router.post("/{dispense_id}/resolve")
async def resolve(web: WebContext, caller: Caller, dispense_id: DispenseId) -> DispenseOut:
    """Ask the machine again about a dispense in doubt."""
    return DispenseOut.of(await dispensing.resolve(web.site, dispense_id, caller.name))
