"""Special stock: investigational protocols, rules of places, temperature excursions."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from dispensed.services import excursions, trials
from dispensed.services.excursions import NewExcursion
from dispensed.services.trials import NewProtocol, NewRule
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Limit
from dispensed.web.schemas import LocationOut, Page
from dispensed.web.schemas_special import (
    ExcursionDetailOut,
    ExcursionEndIn,
    ExcursionIn,
    ExcursionOut,
    LotReleaseIn,
    OwnRuleOut,
    PlaceIn,
    PlaceRulesOut,
    ProtocolIn,
    ProtocolOut,
    RecordLineOut,
    RuleIn,
)
from dispensed.web.schemas_work import ReasonIn

router = APIRouter()
ProtocolId = Annotated[str, Path(min_length=1, max_length=64)]
PlaceId = Annotated[str, Path(min_length=1, max_length=64)]
ExcursionId = Annotated[int, Path(ge=1, le=ID_MAX)]


@router.get("/protocols", tags=["protocols"])
async def list_protocols(web: WebContext) -> Page[ProtocolOut]:
    """Every protocol."""
    return Page(rows=[ProtocolOut.of(row) for row in await trials.protocols(web.site)])


@router.post("/protocols", tags=["protocols"], status_code=201)
async def open_protocol(web: WebContext, caller: Caller, body: ProtocolIn) -> ProtocolOut:
    """Add a protocol; the same one again changes nothing."""
    asked = NewProtocol(**body.model_dump())
    return ProtocolOut.of(await trials.open_protocol(web.site, asked, caller.name))


@router.post("/protocols/{protocol_id}/close", tags=["protocols"])
async def close_protocol(
    web: WebContext, caller: Caller, protocol_id: ProtocolId, body: ReasonIn
) -> ProtocolOut:
    """Close a protocol: nothing more is dispensed for it."""
    row = await trials.close_protocol(web.site, protocol_id, body.reason, caller.name)
    return ProtocolOut.of(row)


@router.get("/protocols/{protocol_id}/record", tags=["protocols"], response_model=None)
async def record(
    web: WebContext,
    protocol_id: ProtocolId,
    after: After = 0,
    limit: Limit = 1000,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Page[RecordLineOut] | Response:
    """The accountability record of a protocol, as JSON page by page, or whole as CSV."""
    if form == "csv":
        text = trials.as_csv(web.site, await trials.record(web.site, protocol_id))
        return Response(text, media_type="text/csv; charset=utf-8")
    rows = await trials.record(web.site, protocol_id, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[RecordLineOut.of(row) for row in rows], next_after=following)


# ---------------------------------------------------------------- places


@router.post("/places", tags=["places"], status_code=201)
async def add_place(web: WebContext, caller: Caller, body: PlaceIn) -> LocationOut:
    """Add an area, bin, receiving place or place for outdates, or put a known one elsewhere."""
    made = await trials.add_place(web.site, body.location_id, body.kind, body.parent, caller.name)
    return LocationOut.of(made)


@router.get("/places/rules", tags=["places"])
async def list_rules(web: WebContext) -> Page[OwnRuleOut]:
    """What each place itself says."""
    return Page(rows=[OwnRuleOut.of(row) for row in await trials.rules(web.site)])


@router.get("/places/{location_id:path}/rules", tags=["places"])
async def rules_at(web: WebContext, location_id: PlaceId) -> PlaceRulesOut:
    """What a place says, and what holds there."""
    return PlaceRulesOut.of(await trials.rules_at(web.site, location_id))


@router.post("/places/{location_id:path}/rules", tags=["places"])
async def set_rule(
    web: WebContext, caller: Caller, location_id: PlaceId, body: RuleIn
) -> PlaceRulesOut:
    """Set what a place says, in place of what it said."""
    values = body.model_dump(exclude={"items"})
    items = None if body.items is None else tuple(body.items)
    asked = NewRule(location_id=location_id, items=items, **values)
    return PlaceRulesOut.of(await trials.set_rule(web.site, asked, caller.name))


# ---------------------------------------------------------------- excursions


@router.get("/excursions", tags=["excursions"])
async def list_excursions(web: WebContext) -> Page[ExcursionOut]:
    """Temperature excursions, oldest first."""
    rows = await excursions.excursions_of(web.site)
    return Page(rows=[ExcursionOut.of(row) for row in rows])


@router.post("/excursions", tags=["excursions"], status_code=201)
async def record_excursion(
    web: WebContext, caller: Caller, body: ExcursionIn
) -> ExcursionDetailOut:
    """Record an excursion: every lot that lay there is held."""
    asked = NewExcursion(**body.model_dump())
    return ExcursionDetailOut.of(await excursions.record(web.site, asked, caller.name))


@router.get("/excursions/{number}", tags=["excursions"])
async def one_excursion(web: WebContext, number: ExcursionId) -> ExcursionDetailOut:
    """One excursion with its lots."""
    return ExcursionDetailOut.of(await excursions.excursion(web.site, number))


@router.post("/excursions/{number}/end", tags=["excursions"])
async def end_excursion(
    web: WebContext, caller: Caller, number: ExcursionId, body: ExcursionEndIn
) -> ExcursionDetailOut:
    """Say when an excursion ended; lots that came only after it are released."""
    done = await excursions.end(web.site, number, body.ended_at, body.reason, caller.name)
    return ExcursionDetailOut.of(done)


@router.post("/excursions/{number}/release", tags=["excursions"])
async def release_lot(
    web: WebContext, caller: Caller, number: ExcursionId, body: LotReleaseIn
) -> ExcursionDetailOut:
    """Release a lot from an excursion by a person's word."""
    done = await excursions.release(
        web.site, number, body.item_id, body.lot, body.reason, caller.name
    )
    return ExcursionDetailOut.of(done)
