"""Commands that read the ledger, also while the daemon is down: stock, lots, movements, verify."""

import asyncio

import click

from dispensed.cli.base import json_option, settings_of, told, write_json, write_table
from dispensed.cli.offline import opened_site
from dispensed.model.quantity import format_milli
from dispensed.services import stock as services
from dispensed.web.schemas import LotOut, MovementOut, Page, StockOut

NUMBERS = frozenset({"on hand", "held", "blocked", "available", "quantity", "id", "dispense"})
LIMIT_MAX = 100_000


@click.command()
@click.option("--item", help="Only this item.")
@click.option("--lot", help="Only this lot.")
@click.option("--location", help="Only this place.")
@json_option
@click.pass_context
@told
def stock(
    ctx: click.Context, item: str | None, lot: str | None, location: str | None, *, as_json: bool
) -> None:
    """Show what is on hand, held, blocked and available, by item, lot and place."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.stock(site, item_id=item, lot=lot, location=location))
    if as_json:
        page: Page[StockOut] = Page(rows=[StockOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    heads = ("item", "name", "lot", "expiry", "state", "place")
    amounts = ("on hand", "held", "blocked", "available", "unit")
    write_table(
        (*heads, *amounts),
        [
            (
                row.item_id,
                f"{row.name} {row.strength}",
                row.lot,
                str(row.expiry or "unknown"),
                row.lot_state,
                row.location_id,
                format_milli(row.on_hand),
                format_milli(row.held),
                format_milli(row.blocked),
                format_milli(row.available),
                row.unit,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@click.command()
@click.option("--item", help="Only lots of this item.")
@click.option(
    "--expiring-days", type=click.IntRange(0, 36_500), help="Only lots that expire so soon."
)
@json_option
@click.pass_context
@told
def lots(ctx: click.Context, item: str | None, expiring_days: int | None, *, as_json: bool) -> None:
    """Show lots with stock, the earliest expiry first."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.lots(site, item_id=item, expiring_days=expiring_days))
    if as_json:
        page: Page[LotOut] = Page(rows=[LotOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("item", "name", "lot", "expiry", "state", "usable", "on hand", "unit"),
        [
            (
                row.item_id,
                row.name,
                row.lot,
                str(row.expiry or "unknown"),
                "expired" if row.expired else row.state,
                "yes" if row.usable else "no",
                format_milli(row.on_hand),
                row.unit,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@click.command()
@click.option("--item", help="Only this item.")
@click.option("--lot", help="Only this lot.")
@click.option("--location", help="Only from or to this place.")
@click.option("--dispense", type=click.IntRange(1), help="Only of this dispense.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
@json_option
@click.pass_context
@told
def movements(  # noqa: PLR0913 - the filters of one query
    ctx: click.Context,
    item: str | None,
    lot: str | None,
    location: str | None,
    dispense: int | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show the journal by ascending id."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(
            services.movements(
                site,
                after=after,
                limit=limit,
                item_id=item,
                lot=lot,
                location=location,
                dispense_id=dispense,
            )
        )
        zone = site.zone
    if as_json:
        following = rows[-1].id if len(rows) == limit else None
        page: Page[MovementOut] = Page(
            rows=[MovementOut.of(row) for row in rows], next_after=following
        )
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        (
            "id",
            "when",
            "kind",
            "item",
            "lot",
            "from",
            "to",
            "quantity",
            "unit",
            "dispense",
            "actor",
        ),
        [
            (
                str(row.id),
                f"{row.occurred_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
                row.kind,
                f"{row.item_id} {row.name}",
                row.lot,
                row.source,
                row.target,
                format_milli(row.milli),
                row.unit,
                str(row.dispense_id or ""),
                row.actor,
            )
            for row in rows
        ],
        right=NUMBERS,
    )
