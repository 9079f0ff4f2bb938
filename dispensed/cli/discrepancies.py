"""Commands for discrepancies: list, look into one, give it to somebody, resolve it.

The reading ones work on the database itself, also while the daemon is down.
"""

import asyncio
from typing import cast

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
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, text
from dispensed.cli.work import token_option
from dispensed.model.quantity import format_milli
from dispensed.services import discrepancies as services
from dispensed.web.schemas import Page
from dispensed.web.schemas_counts import DiscrepancyDetailOut, DiscrepancyOut, ReasonOut

NUMBERS = frozenset({"id", "difference"})
ALL = "all"
number_argument = click.argument("case_id", type=click.IntRange(1), metavar="ID")


@click.group()
def discrepancies() -> None:
    """Show what differs between the book and what was found, and resolve it."""


@discrepancies.command("list")
@click.option("--state", default="open", show_default=True, help="open, closed or all.")
@click.option("--item", help="Only of this item.")
@click.option("--location", help="Only at this place.")
@json_option
@click.pass_context
@told
def list_discrepancies(
    ctx: click.Context, state: str, item: str | None, location: str | None, *, as_json: bool
) -> None:
    """Show discrepancies, oldest first; one line for each lot and place."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(
            services.discrepancies(
                site,
                state=None if state == ALL else state,
                item_id=item,
                location_id=location,
            )
        )
    if as_json:
        page: Page[DiscrepancyOut] = Page(rows=[DiscrepancyOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    heads = (
        "id",
        "state",
        "schedule",
        "item",
        "name",
        "lot",
        "place",
        "difference",
        "owner",
        "due",
    )
    write_table(
        (*heads, "what"),
        [
            (
                str(row.id),
                row.state,
                row.schedule,
                row.item_id,
                row.name,
                row.lot,
                row.location_id,
                f"{format_milli(row.size)} {row.unit}",
                row.owner,
                row.due_at.isoformat(),
                row.detail,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@discrepancies.command()
@json_option
@click.pass_context
@told
def reasons(ctx: click.Context, *, as_json: bool) -> None:
    """Show the reason codes that a person may give."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.reasons(site))
    if as_json:
        page: Page[ReasonOut] = Page(rows=[ReasonOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(("code", "meaning"), [(row.code, row.text) for row in rows])


@discrepancies.command()
@number_argument
@json_option
@click.pass_context
@told
def show(ctx: click.Context, case_id: int, *, as_json: bool) -> None:
    """Show one discrepancy with every access since it was last right."""
    with opened_site(settings_of(ctx)) as site:
        detail = asyncio.run(services.discrepancy(site, case_id))
    _show(DiscrepancyDetailOut.of(detail).model_dump(mode="json"), as_json=as_json)


@discrepancies.command()
@number_argument
@click.argument("owner")
@click.option("--due", "due_at", help="By when (ISO 8601 with zone); else as it is.")
@token_option
@json_option
@click.pass_context
@told
def assign(
    ctx: click.Context,
    case_id: int,
    owner: str,
    due_at: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Give a discrepancy to OWNER."""
    body: Json = {"owner": owner, "due_at": due_at}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/discrepancies/{case_id}/assign", body)
    _show(answer, as_json=as_json)


@discrepancies.command()
@number_argument
@click.option("--code", "reason_code", default="", help="Reason code; see `reasons`.")
@click.option("--reason", required=True, help="What was found out.")
@click.option("--correct", is_flag=True, help="Post the difference as found or lost.")
@click.option("--reverses", type=click.IntRange(1), help="Undo this movement.")
@click.option("--movement", "movement_id", type=click.IntRange(1), help="This one resolved it.")
@token_option
@json_option
@click.pass_context
@told
def resolve(
    ctx: click.Context,
    /,
    case_id: int,
    token: str | None,
    *,
    as_json: bool,
    **how: str | int | None,
) -> None:
    """Resolve a discrepancy, by a movement where one is needed."""
    body: Json = {**how}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/discrepancies/{case_id}/resolve", body)
    _show(answer, as_json=as_json)


def _show(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    row = cast("Json", answer["discrepancy"])
    write_fields(
        {
            "discrepancy": text(row, "id"),
            "state": text(row, "state"),
            "item": f"{text(row, 'item_id')} {text(row, 'name')}",
            "schedule": text(row, "schedule"),
            "lot": text(row, "lot"),
            "place": text(row, "location_id"),
            "difference": amount(row, "difference"),
            "unexplained": amount(row, "unexplained"),
            "owner": text(row, "owner"),
            "due": text(row, "due_at"),
            "what": text(row, "detail"),
            "closed": text(row, "closed_by"),
            "reason": f"{text(row, 'reason_code')} {text(row, 'reason')}".strip(),
        }
    )
    agreed = answer["agreed"]
    if isinstance(agreed, dict):
        click.echo(f"agreed       {agreed['at']} by {agreed['how']} {agreed['ref']}")
    for each in cast("list[Json]", answer["accesses"]):
        what = f"{text(each, 'kind')} {text(each, 'ref')}: {text(each, 'text')}"
        click.echo(f"access       {text(each, 'at')} {text(each, 'actor')}, {what}")
    for each in cast("list[Json]", answer["movements"]):
        click.echo(f"resolved by  movement {text(each, 'id')}, {amount(each, 'amount')}")
