"""Commands for counts: what is due, tasks, and what was counted.

The reading ones work on the database itself, also while the daemon is down.
"""

import asyncio
from typing import cast
from uuid import uuid4

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
from dispensed.model.counting import CountKind
from dispensed.model.quantity import format_milli
from dispensed.services import count_planning, counting
from dispensed.web.schemas import Page
from dispensed.web.schemas_counts import CountOut, CountTaskOut, DueOut

LIMIT_MAX = 1000
number_argument = click.argument("count_id", type=click.IntRange(1), metavar="ID")
request_option = click.option("--request-id", help="Repeat an earlier request under its id.")


@click.group()
def counts() -> None:
    """Plan counts, and say what was counted."""


@counts.command()
@json_option
@click.pass_context
@told
def plan(ctx: click.Context, *, as_json: bool) -> None:
    """Show what is due by plan; the job cycle-count opens it."""
    settings = settings_of(ctx)
    with opened_site(settings) as site:
        rows = asyncio.run(count_planning.due(site))
    if as_json:
        page: Page[DueOut] = Page(rows=[DueOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("item", "place", "class", "controlled", "last counted", "due"),
        [
            (
                row.cell.item_id,
                row.cell.location_id,
                row.cell.abc,
                "yes" if row.cell.controlled else "",
                "never" if row.cell.last is None else row.cell.last.isoformat(),
                row.due_at.isoformat(),
            )
            for row in rows
        ],
    )


@counts.command("list")
@click.option("--state", help="waiting, open, recount, closed or cancelled.")
@click.option("--location", help="Only at this place.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
@json_option
@click.pass_context
@told
def list_counts(
    ctx: click.Context,
    state: str | None,
    location: str | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show count tasks by ascending id."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(
            counting.counts(site, state=state, location=location, after=after, limit=limit)
        )
    if as_json:
        page: Page[CountTaskOut] = Page(rows=[CountTaskOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("id", "kind", "state", "place", "item", "lot", "owner", "due", "outcome"),
        [
            (
                str(row.id),
                f"{row.kind}{', blind' if row.blind and row.kind != CountKind.BLIND else ''}",
                row.state,
                row.location_id,
                row.item_id or "all",
                row.lot or "all",
                row.owner,
                row.due_at.isoformat(),
                row.outcome,
            )
            for row in rows
        ],
    )


@counts.command()
@number_argument
@json_option
@click.pass_context
@told
def show(ctx: click.Context, count_id: int, *, as_json: bool) -> None:
    """Show one count with all that may be known of it now."""
    with opened_site(settings_of(ctx)) as site:
        detail = asyncio.run(counting.count(site, count_id))
    _show(CountOut.of(detail).model_dump(mode="json"), as_json=as_json)


@counts.command("open")
@click.argument("location_id", metavar="PLACE")
@click.option("--kind", type=click.Choice([kind.value for kind in CountKind]), default="cycle")
@click.option("--item", "item_id", help="Only this item; else everything at the place.")
@click.option("--lot", help="Only this lot of the item.")
@click.option("--blind", is_flag=True, help="Tell the counter nothing of the book.")
@click.option("--owner", default="", help="Who is to count.")
@click.option("--reason", default="", help="Why.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def open_count(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | bool | None
) -> None:
    """Open a count of what lies at PLACE."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: Json = {**asked, "kind": str(asked["kind"]), "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/counts", body, request_id=request_id)
    _show(answer, as_json=as_json)


@counts.command()
@number_argument
@click.argument("counted", nargs=-1)
@click.option("--source", type=click.Choice(["hand", "counter"]), default="hand")
@click.option("--at", "counted_at", help="When it was counted (ISO 8601 with zone); else now.")
@click.option("--reason", default="", help="What there is to say about it.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def submit(
    ctx: click.Context,
    /,
    count_id: int,
    counted: tuple[str, ...],
    token: str | None,
    *,
    as_json: bool,
    **asked: str | None,
) -> None:
    """Say what was COUNTED: `30`, `LOT=30` or `ITEM/LOT=30`; what is not named was not there."""
    _submit(ctx, count_id, counted, token, as_json=as_json, asked=asked)


@counts.command()
@number_argument
@click.argument("counted", nargs=-1)
@click.option("--source", type=click.Choice(["hand", "counter"]), default="hand")
@click.option("--at", "counted_at", help="When it was counted (ISO 8601 with zone); else now.")
@click.option("--reason", default="", help="What there is to say about it.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def recount(
    ctx: click.Context,
    /,
    count_id: int,
    counted: tuple[str, ...],
    token: str | None,
    *,
    as_json: bool,
    **asked: str | None,
) -> None:
    """Say what another person COUNTED again, as with submit."""
    _submit(ctx, count_id, counted, token, as_json=as_json, asked=asked)


@counts.command()
@number_argument
@click.option("--item", "item_id", help="The item on the scale, where the count names none.")
@click.option("--lot", help="The lot on the scale, where the count names none.")
@click.option("--scale", help="Which scale; else the default one.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def weigh(
    ctx: click.Context, /, count_id: int, token: str | None, *, as_json: bool, **asked: str | None
) -> None:
    """Count one lot by the weight that lies on a scale."""
    _machine(ctx, f"/counts/{count_id}/weigh", token, as_json=as_json, asked=asked)


@counts.command()
@number_argument
@request_option
@token_option
@json_option
@click.pass_context
@told
def snapshot(
    ctx: click.Context, /, count_id: int, token: str | None, *, as_json: bool, **asked: str | None
) -> None:
    """Take what the device of the place says it holds as the count."""
    _machine(ctx, f"/counts/{count_id}/snapshot", token, as_json=as_json, asked=asked)


@counts.command()
@number_argument
@click.option("--reason", required=True, help="Why.")
@token_option
@json_option
@click.pass_context
@told
def cancel(
    ctx: click.Context, count_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Give a count up."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/counts/{count_id}/cancel", {"reason": reason})
    _show(answer, as_json=as_json)


def _machine(
    ctx: click.Context, path: str, token: str | None, *, as_json: bool, asked: dict[str, str | None]
) -> None:
    request_id = asked.pop("request_id") or str(uuid4())
    body: Json = {**asked, "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body, request_id=request_id)
    _show(answer, as_json=as_json)


def _submit(
    ctx: click.Context,
    count_id: int,
    counted: tuple[str, ...],
    token: str | None,
    *,
    as_json: bool,
    asked: dict[str, str | None],
) -> None:
    request_id = asked.pop("request_id") or str(uuid4())
    body: Json = {
        "lines": [_line(each) for each in counted],
        "request_id": request_id,
        **{key: value for key, value in asked.items() if value is not None},
    }
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/counts/{count_id}/results", body, request_id=request_id)
    _show(answer, as_json=as_json)


def _line(given: str) -> Json:
    """Read `30`, `LOT=30` or `ITEM/LOT=30`; a lot number may hold a slash after that."""
    name, known, quantity = given.rpartition("=")
    if not known:
        return {"quantity": quantity}
    item_id, slash, lot = name.partition("/")
    if not slash:
        return {"quantity": quantity, "lot": name}
    return {"quantity": quantity, "lot": lot, "item_id": item_id}


def _show(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    task = cast("Json", answer["task"])
    write_fields(
        {
            "count": text(task, "id"),
            "kind": text(task, "kind"),
            "state": text(task, "state"),
            "place": text(task, "location_id"),
            "item": text(task, "item_id"),
            "lot": text(task, "lot"),
            "owner": text(task, "owner"),
            "due": text(task, "due_at"),
            "outcome": text(task, "outcome"),
        }
    )
    for row in cast("list[Json]", answer["expected"] or []):
        milli = cast("int", row["milli"])
        click.echo(f"book       {format_milli(milli)} of lot {text(row, 'lot')} {row['item_id']}")
    for each in cast("list[Json]", answer["rounds"]):
        click.echo(f"counted    by {text(each, 'actor')}, {text(each, 'source')}")
        for row in cast("list[Json]", each["results"]):
            click.echo(
                f"  lot {text(row, 'lot')} {text(row, 'item_id')}: {amount(row, 'counted')},"
                f" book {amount(row, 'book')}, variance {amount(row, 'variance')}"
            )
    if answer["late_movements"]:
        numbers = ", ".join(str(each) for each in cast("list[int]", answer["late_movements"]))
        click.echo(f"late       movements {numbers} came after it; it will be counted again")
