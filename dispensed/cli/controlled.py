"""Commands for controlled substances.

Record, inventories, order forms, losses, vault and persons read the database; changes go through
the daemon, whose token says who acts.
"""

import asyncio
from datetime import datetime

import click

from dispensed.cli.base import (
    json_option,
    settings_of,
    told,
    write_fields,
    write_json,
    write_table,
)
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.custody import removals, waste, witness
from dispensed.cli.losses import forms, losses
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option
from dispensed.model.quantity import format_milli
from dispensed.services import controlled as services
from dispensed.services import inventories
from dispensed.web.schemas import Page
from dispensed.web.schemas_controlled import InventoryOut
from dispensed.web.schemas_oversight import ComparisonOut, RecordOut, StandingOut

INSTANT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"])
LIST_MAX = 1000


@click.group()
def controlled() -> None:
    """Keep the record of controlled substances."""


for _each in (removals, waste, witness, losses, forms):
    controlled.add_command(_each)


def _zoned(ctx: click.Context, at: datetime | None) -> datetime | None:
    """Return an instant; a bare date begins at midnight of the site."""
    if at is None or at.tzinfo is not None:
        return at
    return at.replace(tzinfo=settings_of(ctx).zone)


@controlled.command()
@click.argument("item")
@click.option("--since", type=INSTANT, help="Only what was recorded from then on.")
@click.option("--until", type=INSTANT, help="Only what was recorded before then.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this movement.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True)
@json_option
@click.pass_context
@told
def record(  # noqa: PLR0913 - the bounds of one query
    ctx: click.Context,
    item: str,
    since: datetime | None,
    until: datetime | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show every movement of ITEM with its running balance."""
    begin, end = _zoned(ctx, since), _zoned(ctx, until)
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(services.record(site, item, begin, end, after=after, limit=limit))
    if as_json:
        write_json(RecordOut.of(found).model_dump(mode="json"))
        return
    write_table(
        ("id", "time", "kind", "lot", "from", "to", "quantity", "balance", "who", "reference"),
        [
            (
                str(line.id),
                f"{line.occurred_at:%Y-%m-%d %H:%M}",
                line.kind,
                line.lot,
                line.source,
                line.target,
                format_milli(line.milli),
                format_milli(line.balance),
                line.actor if line.witness is None else f"{line.actor}, {line.witness}",
                line.reference,
            )
            for line in found.lines
        ],
        right=frozenset({"id", "quantity", "balance"}),
    )


@controlled.command()
@click.option("--since", type=INSTANT, help="From then on; else 90 days back.")
@click.option("--until", type=INSTANT, help="Before then; else now.")
@click.option("--vault", multiple=True, help="A place that supplies cabinets; else the setting.")
@json_option
@click.pass_context
@told
def compare(
    ctx: click.Context,
    since: datetime | None,
    until: datetime | None,
    vault: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Show what left the vault without arriving, and what was loaded without leaving it."""
    begin, end = _zoned(ctx, since), _zoned(ctx, until)
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(services.compare(site, begin, end, vaults=vault))
    if as_json:
        write_json(ComparisonOut.of(found).model_dump(mode="json"))
        return
    sides = (("left the vault", found.issues), ("was loaded", found.loads))
    write_table(
        ("what", "movement", "time", "item", "lot", "to", "unmatched", "who"),
        [
            (
                side,
                str(each.passage.movement_id),
                f"{each.passage.at:%Y-%m-%d %H:%M}",
                each.passage.item_id,
                each.passage.lot,
                each.passage.location_id,
                format_milli(each.milli),
                each.passage.actor,
            )
            for side, rows in sides
            for each in rows
        ],
        right=frozenset({"movement", "unmatched"}),
    )


@controlled.command()
@click.option("--since", type=INSTANT, help="From then on; else 90 days back.")
@click.option("--until", type=INSTANT, help="Before then; else now.")
@click.option("--first", type=click.IntRange(1, 10_000), default=10, show_default=True)
@json_option
@click.pass_context
@told
def indicators(
    ctx: click.Context,
    since: datetime | None,
    until: datetime | None,
    first: int,
    *,
    as_json: bool,
) -> None:
    """Rank persons by how far they differ from their peers: a reason to look, never a proof."""
    begin, end = _zoned(ctx, since), _zoned(ctx, until)
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.indicators(site, begin, end))[:first]
    if as_json:
        page: Page[StandingOut] = Page(rows=[StandingOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("rank", "person", "removals", "score", "why"),
        [
            (
                str(row.rank or "-"),
                row.person,
                str(row.removals),
                format_milli(row.score_milli),
                "; ".join(str(each) for each in row.findings),
            )
            for row in rows
        ],
        right=frozenset({"rank", "removals", "score"}),
    )


# ---------------------------------------------------------------- inventories


@controlled.group()
def inventory() -> None:
    """Take the initial and biennial inventories."""


@inventory.command("list")
@json_option
@click.pass_context
@told
def list_inventories(ctx: click.Context, *, as_json: bool) -> None:
    """Show the inventories, and when the next is due."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(inventories.inventory_list(site, limit=LIST_MAX))
        due = asyncio.run(inventories.next_due(site))
    if as_json:
        shown = [InventoryOut.of(row).model_dump(mode="json") for row in rows]
        write_json({"next_due": None if due is None else due.isoformat(), "rows": shown})
        return
    write_table(
        ("id", "kind", "as of", "state", "lines", "signed by"),
        [
            (
                str(row.id),
                row.kind,
                f"{row.moment} of {row.on_date}",
                row.state,
                str(len(row.lines)),
                ", ".join(each.person for each in row.signatures),
            )
            for row in rows
        ],
    )
    click.echo(f"next due: {due or 'now, none is complete'}")


@inventory.command()
@click.argument("kind", type=click.Choice(["initial", "biennial", "newly_scheduled"]))
@click.option("--on", "on_date", required=True, help="Date of the inventory, as YYYY-MM-DD.")
@click.option("--moment", type=click.Choice(["opening", "closing"]), required=True)
@token_option
@json_option
@click.pass_context
@told
def begin(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str) -> None:
    """Begin an inventory as of the opening or closing of business."""
    with daemon_of(ctx, token) as daemon:
        _show_inventory(daemon.post("/controlled/inventories", dict(asked)), as_json=as_json)


@inventory.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("quantity")
@click.option("--item", "item_id", required=True)
@click.option("--lot", required=True)
@click.option("--location", required=True)
@click.option("--estimated", is_flag=True, help="Estimated, where the schedule allows it.")
@click.option("--container", help="What the opened container holds when full, for an estimate.")
@token_option
@json_option
@click.pass_context
@told
def count(
    ctx: click.Context, /, token: str | None, number: int, *, as_json: bool, **asked: str | bool
) -> None:
    """Record QUANTITY found of one lot at one place for inventory NUMBER."""
    estimated = asked.pop("estimated")
    body: Json = {**asked, "method": "estimated" if estimated else "exact"}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/controlled/inventories/{number}/lines", body)
    _show_inventory(answer, as_json=as_json)


@inventory.command()
@click.argument("number", type=click.IntRange(1))
@token_option
@json_option
@click.pass_context
@told
def sign(ctx: click.Context, number: int, token: str | None, *, as_json: bool) -> None:
    """Sign inventory NUMBER."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/controlled/inventories/{number}/sign")
    _show_inventory(answer, as_json=as_json)


@inventory.command()
@click.argument("number", type=click.IntRange(1))
@json_option
@click.pass_context
@told
def show(ctx: click.Context, number: int, *, as_json: bool) -> None:
    """Show inventory NUMBER with its lines."""
    with opened_site(settings_of(ctx)) as site:
        row = asyncio.run(inventories.inventory(site, number))
    _show_inventory(InventoryOut.of(row).model_dump(mode="json"), as_json=as_json)


def _show_inventory(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "inventory": f"{text(answer, 'id')} ({text(answer, 'kind')})",
            "as of": f"{text(answer, 'moment')} of business on {text(answer, 'on_date')}",
            "state": text(answer, "state"),
        }
    )
    write_table(
        ("schedule", "item", "name", "lot", "place", "counted", "how", "book", "variance"),
        [
            (
                text(line, "schedule"),
                text(line, "item_id"),
                text(line, "name"),
                text(line, "lot"),
                text(line, "location_id"),
                amount(line, "counted"),
                text(line, "method"),
                amount(line, "book"),
                amount(line, "variance"),
            )
            for line in rows_of({"rows": answer["lines"]})
        ],
    )
