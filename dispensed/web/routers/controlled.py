"""Controlled substances: record, inventories, order forms, losses, vault and persons."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime

from dispensed.ledger.controlled import RECORD_MAX
from dispensed.services import controlled, inventories, losses
from dispensed.services.controlled import Ordered
from dispensed.services.inventories import Counted
from dispensed.services.losses import Lost, Report
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Limit
from dispensed.web.schemas import Page
from dispensed.web.schemas_controlled import (
    CountedIn,
    DueOut,
    InventoryIn,
    InventoryOut,
    LossCloseIn,
    LossIn,
    LossOut,
    OrderFormIn,
    OrderFormOut,
    ReferenceIn,
)
from dispensed.web.schemas_oversight import ComparisonOut, RecordOut, StandingOut

router = APIRouter(prefix="/controlled", tags=["controlled"])
Number = Annotated[int, Path(ge=1, le=ID_MAX)]
Instant = Annotated[AwareDatetime | None, Query(description="an instant with its zone")]
FormNumber = Annotated[str, Path(max_length=40)]


@router.get("/record")
async def record(
    web: WebContext,
    item: Annotated[str, Query(min_length=1, max_length=64)],
    since: Instant = None,
    until: Instant = None,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=RECORD_MAX)] = 1000,
) -> RecordOut:
    """Every movement of one controlled item with running balances, in the order of the journal."""
    found = await controlled.record(web.site, item, since, until, after=after, limit=limit)
    return RecordOut.of(found)


@router.get("/compare")
async def compare(
    web: WebContext,
    since: Instant = None,
    until: Instant = None,
    vault: Annotated[list[str] | None, Query(max_length=20)] = None,
) -> ComparisonOut:
    """What left the vault and did not arrive, and what was loaded without leaving it."""
    found = await controlled.compare(web.site, since, until, vaults=tuple(vault or ()))
    return ComparisonOut.of(found)


@router.get("/indicators")
async def indicators(
    web: WebContext, since: Instant = None, until: Instant = None
) -> Page[StandingOut]:
    """Persons by how far they differ from their peers, the most unusual first."""
    rows = await controlled.indicators(web.site, since, until)
    return Page(rows=[StandingOut.of(row) for row in rows])


# ---------------------------------------------------------------- inventories


@router.post("/inventories", status_code=201)
async def begin_inventory(web: WebContext, caller: Caller, body: InventoryIn) -> InventoryOut:
    """Begin an inventory as of the opening or close of business on a date."""
    row = await inventories.begin(web.site, body.kind, body.on_date, body.moment, caller.name)
    return InventoryOut.of(row)


@router.get("/inventories")
async def list_inventories(
    web: WebContext, after: After = 0, limit: Limit = 100
) -> Page[InventoryOut]:
    """Inventories by ascending number."""
    rows = await inventories.inventory_list(web.site, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[InventoryOut.of(row) for row in rows], next_after=following)


@router.get("/inventories/due")
async def inventory_due(web: WebContext) -> DueOut:
    """The last day for the next inventory."""
    return DueOut(next_due=await inventories.next_due(web.site))


@router.get("/inventories/{number}")
async def inventory(web: WebContext, number: Number) -> InventoryOut:
    """One inventory with its lines."""
    return InventoryOut.of(await inventories.inventory(web.site, number))


@router.post("/inventories/{number}/lines")
async def count(web: WebContext, caller: Caller, number: Number, body: CountedIn) -> InventoryOut:
    """Record what was found; a later count of the same lot and place replaces it."""
    found = Counted(**body.model_dump())
    return InventoryOut.of(await inventories.count(web.site, number, found, caller.name))


@router.post("/inventories/{number}/sign")
async def sign(web: WebContext, caller: Caller, number: Number) -> InventoryOut:
    """Sign; the last signature shows the book beside what was counted."""
    return InventoryOut.of(await inventories.sign(web.site, number, caller.name))


# ---------------------------------------------------------------- order forms


@router.post("/order-forms", status_code=201)
async def put_order_form(web: WebContext, caller: Caller, body: OrderFormIn) -> OrderFormOut:
    """Record an order form of schedule II; receipts name its number and line."""
    lines = tuple(Ordered(**line.model_dump()) for line in body.lines)
    row = await controlled.put_order_form(
        web.site, body.number, body.supplier, body.ordered_on, lines, caller.name
    )
    return OrderFormOut.of(row)


@router.get("/order-forms")
async def order_forms(
    web: WebContext, after: Annotated[str, Query(max_length=40)] = "", limit: Limit = 100
) -> Page[OrderFormOut]:
    """Order forms by ascending number."""
    rows = await controlled.order_form_list(web.site, after=after, limit=limit)
    following = rows[-1].number if len(rows) == limit else None
    return Page(rows=[OrderFormOut.of(row) for row in rows], next_after=following)


@router.get("/order-forms/{number}")
async def order_form(web: WebContext, number: FormNumber) -> OrderFormOut:
    """One order form with what came on it."""
    return OrderFormOut.of(await controlled.order_form(web.site, number))


# ---------------------------------------------------------------- thefts and losses


@router.post("/losses", status_code=201)
async def open_loss(web: WebContext, caller: Caller, body: LossIn) -> LossOut:
    """Open a case of theft or loss; its clocks start at the discovery."""
    told = Report(
        cause=body.cause,
        detail=body.detail,
        lost=tuple(Lost(**each.model_dump()) for each in body.lost),
        discrepancy_id=body.discrepancy_id,
        discovered_at=body.discovered_at,
    )
    return LossOut.of(await losses.open_case(web.site, told, caller.name))


@router.get("/losses")
async def list_losses(
    web: WebContext, *, everything: bool = False, after: After = 0, limit: Limit = 100
) -> Page[LossOut]:
    """Open cases by ascending number; `everything` lists closed ones too."""
    rows = await losses.loss_list(web.site, only_open=not everything, after=after, limit=limit)
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[LossOut.of(row) for row in rows], next_after=following)


@router.get("/losses/{number}")
async def loss(web: WebContext, number: Number) -> LossOut:
    """One case."""
    return LossOut.of(await losses.loss(web.site, number))


@router.get("/losses/{number}/form-106")
async def form_106(web: WebContext, number: Number) -> dict[str, object]:
    """What the ledger knows for Form 106, under the numbers of its items."""
    return await losses.form_106(web.site, number)


@router.post("/losses/{number}/notified")
async def notified(web: WebContext, caller: Caller, number: Number, body: ReferenceIn) -> LossOut:
    """Record the written notice to the field office."""
    return LossOut.of(await losses.notified(web.site, number, body.reference, caller.name))


@router.post("/losses/{number}/reported")
async def reported(web: WebContext, caller: Caller, number: Number, body: ReferenceIn) -> LossOut:
    """Record that Form 106 was sent."""
    return LossOut.of(await losses.reported(web.site, number, body.reference, caller.name))


@router.post("/losses/{number}/close")
async def close_loss(web: WebContext, caller: Caller, number: Number, body: LossCloseIn) -> LossOut:
    """Close a case as reported, or as no loss."""
    row = await losses.close(web.site, number, body.outcome, body.reason, caller.name)
    return LossOut.of(row)
