"""Items: list, look up, add, and import a formulary."""

from typing import Annotated

from fastapi import APIRouter, Body, Query

from dispensed.services import catalog
from dispensed.web.auth import Caller
from dispensed.web.context import WebContext
from dispensed.web.guard import IMPORT_MAX
from dispensed.web.requests import Limit
from dispensed.web.schemas import ImportedOut, ItemIn, ItemOut, Page

router = APIRouter(prefix="/items", tags=["items"])


@router.get("")
async def items(
    web: WebContext,
    query: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Limit = 100,
) -> Page[ItemOut]:
    """Items by id whose id, NDC, GTIN or name contains `query`."""
    rows = await catalog.items(web.site, query=query, after=after, limit=limit)
    following = rows[-1].item_id if len(rows) == limit else None
    return Page(rows=[ItemOut.of(row) for row in rows], next_after=following)


@router.post("", status_code=201)
async def add(web: WebContext, caller: Caller, body: ItemIn) -> ItemOut:
    """Add an item, or change what may change of a known one."""
    policy = body.reorder_policy()
    return ItemOut.of(await catalog.add_item(web.site, body.item(), policy, caller.name))


@router.post("/import")
async def import_formulary(
    web: WebContext,
    caller: Caller,
    text: Annotated[str, Body(media_type="text/csv", max_length=IMPORT_MAX)],
) -> ImportedOut:
    """Take every item of a formulary file, or none of it."""
    return ImportedOut(items=await catalog.import_formulary(web.site, text, caller.name))


@router.get("/{item_id}")
async def item(web: WebContext, item_id: str) -> ItemOut:
    """One item."""
    return ItemOut.of(await catalog.item(web.site, item_id))
