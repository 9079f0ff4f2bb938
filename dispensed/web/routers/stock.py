"""Stock, lots, movements, receipts and transfers."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from dispensed.ledger import receipts
from dispensed.ledger.as_of import TimeSense
from dispensed.services import places, receiving, stock
from dispensed.services.receiving import Receive
from dispensed.services.stock import Transfer
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.requests import ID_MAX, After, Filter, IdempotencyKey, Limit, one_request_id
from dispensed.web.schemas import (
    LocationIn,
    LocationOut,
    LotOut,
    LotStateIn,
    MovedOut,
    MovementOut,
    Page,
    ReceiptIn,
    ReceiptOut,
    StockAsOfOut,
    StockOut,
    TransferIn,
)

router = APIRouter(tags=["stock"])
DAYS_MAX = 36_500
OCCURRED = TimeSense.OCCURRED


@router.get("/stock")
async def stock_of(
    web: WebContext,
    item: Filter = None,
    lot: Filter = None,
    location: Filter = None,
    as_of: Annotated[AwareDatetime | None, Query(description="an instant with its zone")] = None,
    by: Annotated[TimeSense, Query(description="which time of a movement counts")] = OCCURRED,
) -> Page[StockOut] | Page[StockAsOfOut]:
    """What is on hand, held, blocked and available, or what lay there at an instant.

    As of an instant by `occurred`: as it is known now; by `recorded`: as the book said then.
    """
    if as_of is None:
        rows = await stock.stock(web.site, item_id=item, lot=lot, location=location)
        return Page[StockOut](rows=[StockOut.of(row) for row in rows])
    then = await stock.stock_as_of(web.site, as_of, by=by, item_id=item, lot=lot, location=location)
    return Page[StockAsOfOut](rows=[StockAsOfOut.of(row) for row in then])


@router.get("/lots")
async def lots(
    web: WebContext,
    item: Filter = None,
    expiring_days: Annotated[int | None, Query(ge=0, le=DAYS_MAX)] = None,
) -> Page[LotOut]:
    """Lots with stock, by expiry; only those that expire within so many days when given."""
    rows = await stock.lots(web.site, item_id=item, expiring_days=expiring_days)
    return Page(rows=[LotOut.of(row) for row in rows])


@router.post("/lots/{item_id}/{lot:path}/state")
async def set_lot_state(
    web: WebContext, caller: Caller, item_id: str, lot: str, body: LotStateIn
) -> LotOut:
    """Quarantine, hold, release or mark a lot as damaged."""
    row = await stock.set_lot_state(web.site, item_id, lot, body.state, body.reason, caller.name)
    return LotOut.of(row)


@router.get("/movements")
async def movements(  # noqa: PLR0913 - the filters of one query
    web: WebContext,
    after: After = 0,
    limit: Limit = 100,
    item: Filter = None,
    lot: Filter = None,
    location: Filter = None,
    dispense: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
) -> Page[MovementOut]:
    """The journal by ascending id."""
    rows = await stock.movements(
        web.site,
        after=after,
        limit=limit,
        item_id=item,
        lot=lot,
        location=location,
        dispense_id=dispense,
    )
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[MovementOut.of(row) for row in rows], next_after=following)


@router.get("/locations")
async def list_locations(web: WebContext) -> Page[LocationOut]:
    """Every place of the pharmacy and every external account."""
    rows = await places.places(web.site)
    return Page(rows=[LocationOut.of(row) for row in rows])


@router.post("/locations", status_code=201)
async def add_bin(web: WebContext, caller: Caller, body: LocationIn) -> LocationOut:
    """Add a shelf or bin; adding a known one changes nothing."""
    return LocationOut.of(await places.add_bin(web.site, body.location_id, caller.name))


@router.post("/transfers", status_code=201)
async def transfer(
    web: WebContext, caller: Caller, body: TransferIn, idempotency_key: IdempotencyKey = None
) -> MovedOut:
    """Move stock from one place to another."""
    values = body.model_dump(exclude={"request_id"})
    asked = Transfer(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return MovedOut(movement_id=await stock.transfer(web.site, asked, caller.name))


@router.post("/receipts", status_code=201)
async def receive(
    web: WebContext, caller: Caller, body: ReceiptIn, idempotency_key: IdempotencyKey = None
) -> ReceiptOut:
    """Book what arrived; a repeat of the same request returns the first receipt."""
    values = body.model_dump(exclude={"request_id"})
    asked = Receive(**values, request_id=one_request_id(body.request_id, idempotency_key))
    return ReceiptOut.of(await receiving.receive(web.site, asked, caller.name))


@router.get("/receipts")
async def list_receipts(web: WebContext, after: After = 0, limit: Limit = 100) -> Page[ReceiptOut]:
    """Receipts by ascending id."""
    rows = await web.site.store.read(lambda tx: receipts.page(tx, after=after, limit=limit))
    following = rows[-1].id if len(rows) == limit else None
    return Page(rows=[ReceiptOut.of(row) for row in rows], next_after=following)
