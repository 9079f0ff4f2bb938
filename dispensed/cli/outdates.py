"""Commands for expiry: the pull list, stock at risk, and batches that leave."""

import asyncio
from typing import cast
from uuid import uuid4

import click

from dispensed.cli.base import json_option, settings_of, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option
from dispensed.model.outdating import BatchKind
from dispensed.services import batching, expiring
from dispensed.web.schemas import Page
from dispensed.web.schemas_outdates import (
    BatchDetailOut,
    BatchOut,
    OutdateTaskOut,
    RiskOut,
)

NUMBERS = frozenset({"id", "book", "counted", "on hand", "at risk"})
task_argument = click.argument("task_id", type=click.IntRange(1), metavar="TASK")
batch_argument = click.argument("batch_id", type=click.IntRange(1), metavar="BATCH")
request_option = click.option("--request-id", help="Repeat an earlier request under its id.")
reason_option = click.option("--reason", required=True, help="Why.")


@click.group()
def outdates() -> None:
    """Show and work the pull list; show what will expire before it is used."""


@outdates.command("list")
@click.option("--state", default="open", show_default=True, help="open, done, cancelled or all.")
@json_option
@click.pass_context
@told
def list_tasks(ctx: click.Context, state: str, *, as_json: bool) -> None:
    """Show the pull list."""
    with opened_site(settings_of(ctx)) as site:
        wanted = None if state == "all" else state
        found = asyncio.run(expiring.tasks(site, state=wanted))
    page = Page(rows=[OutdateTaskOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    columns = ("id", "item", "name", "lot", "expiry", "place", "book", "counted", "state")
    write_table(
        columns,
        [
            (
                text(row, "id"),
                text(row, "item_id"),
                text(row, "name"),
                text(row, "lot"),
                text(row, "expiry"),
                text(row, "location_id"),
                amount(row, "book"),
                amount(row, "counted"),
                text(row, "state"),
            )
            for row in rows_of(page)
        ],
        right=NUMBERS,
    )


@outdates.command()
@click.option("--item", help="Only this item.")
@click.option("--days", type=click.IntRange(1, 3650), help="Past days that tell the demand.")
@json_option
@click.pass_context
@told
def risk(ctx: click.Context, item: str | None, days: int | None, *, as_json: bool) -> None:
    """Show lots of which something will be left when they expire."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(expiring.risk(site, item_id=item, days=days))
    page = Page(rows=[RiskOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    write_table(
        ("item", "name", "lot", "expiry", "on hand", "at risk", "a day"),
        [
            (
                text(row, "item_id"),
                text(row, "name"),
                text(row, "lot"),
                text(row, "expiry"),
                amount(row, "on_hand"),
                amount(row, "at_risk"),
                text(row, "daily"),
            )
            for row in rows_of(page)
        ],
        right=NUMBERS,
    )


@outdates.command()
@click.option("--days", type=click.IntRange(0, 3650), help="Fewer days left than this.")
@click.option("--reason", default="", help="Why.")
@token_option
@json_option
@click.pass_context
@told
def plan(
    ctx: click.Context, days: int | None, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Put on the pull list what expires soon."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/outdates/plan", {"days": days, "reason": reason})
    if as_json:
        write_json(answer)
        return
    made = cast("list[int]", answer["tasks"])
    click.echo(f"{len(made)} new pull tasks")


@outdates.command()
@task_argument
@click.argument("counted")
@click.option("--reason", default="", help="A remark.")
@click.option("--to", "target", default="outdate", show_default=True, help="Where it is put.")
@click.option("--from-tray", is_flag=True, help="A machine put it out into the tray.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def pull(
    ctx: click.Context, /, task_id: int, token: str | None, *, as_json: bool, **said: str | bool
) -> None:
    """Say that COUNTED was pulled for TASK; a difference to the book stays open."""
    request_id = str(said.pop("request_id") or uuid4())
    body: Json = {**said, "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/outdates/{task_id}/pull", body, request_id=request_id)
    _show_task(answer, as_json=as_json)


@outdates.command()
@task_argument
@reason_option
@token_option
@json_option
@click.pass_context
@told
def cancel(
    ctx: click.Context, task_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Take TASK off the pull list."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/outdates/{task_id}/cancel", {"reason": reason})
    _show_task(answer, as_json=as_json)


def _show_task(row: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(row)
        return
    write_fields(
        {
            "task": text(row, "id"),
            "state": text(row, "state"),
            "item": f"{text(row, 'item_id')} {text(row, 'name')}",
            "lot": text(row, "lot"),
            "place": text(row, "location_id"),
            "book": amount(row, "book"),
            "counted": amount(row, "counted"),
        }
    )


# ---------------------------------------------------------------- batches


@click.group()
def batches() -> None:
    """Pack, seal and send off batches: returns, reverse distributor, destruction."""


@batches.command("list")
@click.option("--state", help="Only of this state.")
@json_option
@click.pass_context
@told
def list_batches(ctx: click.Context, state: str | None, *, as_json: bool) -> None:
    """Show batches."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(batching.batches_of(site, state=state))
    page = Page(rows=[BatchOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    columns = ("id", "kind", "partner", "reference", "state", "dea_reference", "opened_at")
    write_table(columns, [[text(row, key) for key in columns] for row in rows_of(page)])


@batches.command()
@batch_argument
@json_option
@click.pass_context
@told
def show(ctx: click.Context, batch_id: int, *, as_json: bool) -> None:
    """Show one batch with its lines."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(batching.batch(site, batch_id))
    _show_batch(BatchDetailOut.of(found).model_dump(mode="json"), as_json=as_json)


@batches.command()
@batch_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print the lines as CSV.")
@json_option
@click.pass_context
@told
def document(ctx: click.Context, batch_id: int, *, as_csv: bool, as_json: bool) -> None:
    """Print the document of a sealed batch, as JSON unless --csv is given."""
    with opened_site(settings_of(ctx)) as site:
        made = asyncio.run(batching.document(site, batch_id))
    if as_csv and not as_json:
        click.echo(batching.as_csv(made), nl=False)
    else:
        write_json(made)


@batches.command("open")
@click.argument("kind", type=click.Choice([kind.value for kind in BatchKind]))
@click.argument("partner")
@click.option("--reference", default="", help="Their number, such as an RA number.")
@click.option("--reason", default="", help="Why.")
@token_option
@json_option
@click.pass_context
@told
def open_batch(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str) -> None:
    """Open a batch of KIND for PARTNER."""
    _post(ctx, token, "/batches", {**asked}, as_json=as_json)


@batches.command()
@batch_argument
@click.argument("item_id", metavar="ITEM")
@click.argument("lot")
@click.argument("quantity")
@click.option("--from", "source", default="outdate", show_default=True, help="Where it lies.")
@click.option("--reason", default="", help="Why.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def pack(
    ctx: click.Context, /, batch_id: int, token: str | None, *, as_json: bool, **asked: str | None
) -> None:
    """Put QUANTITY of a LOT into BATCH."""
    body: Json = {**asked, "request_id": asked["request_id"] or str(uuid4())}
    _post(ctx, token, f"/batches/{batch_id}/lines", body, as_json=as_json)


@batches.command()
@batch_argument
@click.argument("line_id", type=click.IntRange(1), metavar="LINE")
@reason_option
@token_option
@json_option
@click.pass_context
@told
def unpack(
    ctx: click.Context,
    batch_id: int,
    line_id: int,
    reason: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Take LINE out of BATCH again."""
    path = f"/batches/{batch_id}/lines/{line_id}/remove"
    _post(ctx, token, path, {"reason": reason}, as_json=as_json)


@batches.command()
@batch_argument
@click.option("--dea", "dea_reference", default="", help="Number of the DEA Form 222 or 41.")
@token_option
@json_option
@click.pass_context
@told
def seal(
    ctx: click.Context, batch_id: int, dea_reference: str, token: str | None, *, as_json: bool
) -> None:
    """Fix the lines of BATCH."""
    body: Json = {"dea_reference": dea_reference}
    _post(ctx, token, f"/batches/{batch_id}/seal", body, as_json=as_json)


@batches.command()
@batch_argument
@reason_option
@token_option
@json_option
@click.pass_context
@told
def reopen(
    ctx: click.Context, batch_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Open the sealed BATCH again."""
    _post(ctx, token, f"/batches/{batch_id}/reopen", {"reason": reason}, as_json=as_json)


@batches.command()
@batch_argument
@click.option("--method", default="", help="How it was destroyed.")
@token_option
@json_option
@click.pass_context
@told
def leave(
    ctx: click.Context, batch_id: int, method: str, token: str | None, *, as_json: bool
) -> None:
    """Say that BATCH was shipped or destroyed; some need two persons, each with a token."""
    _post(ctx, token, f"/batches/{batch_id}/leave", {"method": method}, as_json=as_json)


@batches.command()
@batch_argument
@click.argument("cents", type=click.IntRange(0))
@click.option("--reference", default="", help="Number of the credit memo.")
@token_option
@json_option
@click.pass_context
@told
def credit(
    ctx: click.Context,
    batch_id: int,
    cents: int,
    reference: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Note a credit of CENTS for BATCH."""
    body: Json = {"cents": cents, "reference": reference}
    _post(ctx, token, f"/batches/{batch_id}/credit", body, as_json=as_json)


@batches.command()
@batch_argument
@reason_option
@token_option
@json_option
@click.pass_context
@told
def close(
    ctx: click.Context, batch_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Close BATCH after it left, or cancel it while it is empty."""
    _post(ctx, token, f"/batches/{batch_id}/close", {"reason": reason}, as_json=as_json)


def _post(ctx: click.Context, token: str | None, path: str, body: Json, *, as_json: bool) -> None:
    request_id = str(body.get("request_id") or "")
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body, request_id=request_id)
    _show_batch(answer, as_json=as_json)


def _show_batch(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    row = cast("Json", answer["batch"])
    first = text(row, "first_person")
    waits = first and row["state"] == "sealed"
    write_fields(
        {
            "batch": text(row, "id"),
            "kind": text(row, "kind"),
            "partner": f"{text(row, 'partner')} {text(row, 'reference')}".strip(),
            "state": text(row, "state"),
            "place": text(row, "location_id"),
            "DEA form": f"{text(row, 'dea_form')} {text(row, 'dea_reference')}".strip(),
            "waits": f"{first} said that it left; another person must say it too" if waits else "",
        }
    )
    for line in cast("list[Json]", answer["lines"]):
        lot = f"{text(line, 'item_id')} {text(line, 'name')} lot {text(line, 'lot')}"
        click.echo(f"line {text(line, 'id')}  {amount(line, 'amount')} of {lot}")
