"""Commands for repack runs, their log, and returns to stock."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import click

from dispensed.cli.base import json_option, settings_of, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option
from dispensed.exchange import repack_log
from dispensed.services import repack_labels, repacking
from dispensed.web.schemas import Page
from dispensed.web.schemas_repack import LogEntryOut, RunDetailOut, RunOut

LIMIT_MAX = 100_000
NUMBERS = frozenset({"run", "units", "quantity"})
run_argument = click.argument("run_id", type=click.IntRange(1), metavar="RUN")
request_option = click.option("--request-id", help="Repeat an earlier request under its id.")
reason_option = click.option("--reason", default="", help="Why, or what was seen.")
after_option = click.option("--after", type=click.IntRange(0), default=0, help="Only after this.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True
)


@click.group()
def repack() -> None:
    """Pack bulk into unit doses or units of use, with a log."""


# ---------------------------------------------------------------- read


@repack.command("list")
@click.option("--state", help="planned, started, packed, checked, released or cancelled.")
@after_option
@limit_option
@json_option
@click.pass_context
@told
def list_runs(
    ctx: click.Context, state: str | None, after: int, limit: int, *, as_json: bool
) -> None:
    """Show repack runs."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(repacking.runs(site, state=state, after=after, limit=limit))
    page = Page(rows=[RunOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    write_table(
        ("run", "state", "bulk item", "bulk lot", "unit lot", "use by", "units", "a unit"),
        [
            (
                text(row, "id"),
                text(row, "state"),
                text(row, "item_id"),
                text(row, "lot"),
                text(row, "child_lot"),
                text(row, "use_by"),
                text(row, "units") or text(row, "planned_units"),
                amount(row, "per_unit"),
            )
            for row in rows_of(page)
        ],
        right=NUMBERS,
    )


@repack.command()
@run_argument
@json_option
@click.pass_context
@told
def show(ctx: click.Context, run_id: int, *, as_json: bool) -> None:
    """Show one run with its steps and movements."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(repacking.run(site, run_id))
    answer = RunDetailOut.of(found)
    if as_json:
        write_json(answer.model_dump(mode="json"))
        return
    _write_run(answer.run.model_dump(mode="json"))
    for step in answer.steps:
        reason = f": {step.reason}" if step.reason else ""
        click.echo(f"{step.step} by {step.actor} at {step.at.isoformat()}{reason}")
    write_table(
        ("id", "kind", "lot", "from", "to", "quantity"),
        [
            (
                str(move.id),
                move.kind,
                move.lot,
                move.source,
                move.target,
                f"{move.amount.quantity} {move.amount.unit}",
            )
            for move in answer.movements
        ],
        right=NUMBERS,
    )


@repack.command()
@click.option("--run", "run_id", type=click.IntRange(1), help="Only this run.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@after_option
@limit_option
@json_option
@click.pass_context
@told
def log(
    ctx: click.Context,
    run_id: int | None,
    after: int,
    limit: int,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Print the log that boards of pharmacy ask for."""
    with opened_site(settings_of(ctx)) as site:
        if run_id is not None:
            entries = [asyncio.run(repack_labels.log_entry(site, run_id))]
        else:
            found = asyncio.run(repack_labels.log_entries(site, after=after, limit=limit))
            entries = list(found)
    if as_csv:
        click.echo(repack_log.as_csv(entries), nl=False)
        return
    rows = [LogEntryOut.of(entry).model_dump(mode="json") for entry in entries]
    if as_json:
        write_json({"rows": rows})
        return
    for row in rows:
        write_fields({name: text(row, name) for name in repack_log.COLUMNS})
        click.echo()


# ---------------------------------------------------------------- work


@repack.command()
@click.argument("item_id", metavar="ITEM")
@click.argument("lot")
@click.argument("location", metavar="PLACE")
@click.option("--units", type=click.IntRange(1), required=True, help="How many units.")
@click.option("--unit-quantity", required=True, help="What one unit holds, in the item's unit.")
@click.option("--container", required=True, help="What the units are packed in.")
@click.option("--child-item", "child_item_id", help="Item of the units, when it is another one.")
@click.option("--child-lot", help="Lot number of the units; else by the site's scheme.")
@click.option("--target", help="Where the units are put; else where the bulk is.")
@click.option("--rule", help="Rule of the beyond-use date; else that of the site.")
@click.option("--latest", help="A shorter beyond-use date, as YYYY-MM-DD.")
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def plan(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | int | None
) -> None:
    """Plan a run from LOT of ITEM at PLACE; nothing moves."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/repacks", {**body, "request_id": request_id}, request_id=request_id)
    _tell(answer, as_json=as_json)


@repack.command()
@run_argument
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def start(
    ctx: click.Context,
    run_id: int,
    reason: str,
    request_id: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Say that the bulk is opened and the line is clear."""
    _tell(_step(ctx, token, f"{run_id}/start", {"reason": reason}, request_id), as_json=as_json)


@repack.command()
@run_argument
@click.option("--bulk", required=True, help="What was taken from the bulk.")
@click.option("--units", type=click.IntRange(1), required=True, help="How many units it gave.")
@click.option("--waste", default="0", show_default=True, help="What was wasted.")
@click.option("--samples", default="0", show_default=True, help="What was kept as samples.")
@click.option("--waste-movement", "waste_movement_id", type=click.IntRange(1), help="Booked waste.")
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def pack(
    ctx: click.Context,
    /,
    run_id: int,
    token: str | None,
    request_id: str | None,
    *,
    as_json: bool,
    **asked: str | int | None,
) -> None:
    """Book what a run gave; bulk = units + waste + samples."""
    body: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    _tell(_step(ctx, token, f"{run_id}/pack", body, request_id), as_json=as_json)


@repack.command()
@run_argument
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def check(
    ctx: click.Context,
    run_id: int,
    reason: str,
    request_id: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Say, as a pharmacist who did not pack it, that a run is right."""
    _tell(_step(ctx, token, f"{run_id}/check", {"reason": reason}, request_id), as_json=as_json)


@repack.command()
@run_argument
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def release(
    ctx: click.Context,
    run_id: int,
    reason: str,
    request_id: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Take the units of a checked run out of quarantine."""
    _tell(_step(ctx, token, f"{run_id}/release", {"reason": reason}, request_id), as_json=as_json)


@repack.command()
@run_argument
@click.option("--reason", required=True, help="Why.")
@click.option("--undo", is_flag=True, help="Reverse what was booked: it was not packed so.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def cancel(  # noqa: PLR0913 - the options of one step
    ctx: click.Context,
    run_id: int,
    reason: str,
    request_id: str | None,
    token: str | None,
    *,
    undo: bool,
    as_json: bool,
) -> None:
    """Give a run up; units that are packed stay as damaged stock."""
    body: dict[str, object] = {"reason": reason, "undo": undo}
    _tell(_step(ctx, token, f"{run_id}/cancel", body, request_id), as_json=as_json)


@repack.command()
@run_argument
@click.option("--copies", type=click.IntRange(1), help="How many; else those that are missing.")
@reason_option
@request_option
@token_option
@json_option
@click.pass_context
@told
def labels(  # noqa: PLR0913 - the options of one step
    ctx: click.Context,
    run_id: int,
    copies: int | None,
    reason: str,
    request_id: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Print the labels of the units, and one for the log."""
    body: dict[str, object] = {"reason": reason, "copies": copies}
    answer = _step(ctx, token, f"{run_id}/labels", body, request_id)
    if as_json:
        write_json(answer)
        return
    click.echo(f"{text(answer, 'printed')} of {text(answer, 'copies')} labels printed")


@click.command("return-to-stock")
@click.argument("dispense_id", type=click.IntRange(1), metavar="DISPENSE")
@click.argument("target", metavar="PLACE")
@click.option("--reason", required=True, help="Why it comes back.")
@click.option("--lot", help="Which lot, when the dispense has several.")
@click.option("--quantity", help="How much; else all of it.")
@click.option("--use-by", help="The date on the vial, as YYYY-MM-DD.")
@click.option("--sealed", is_flag=True, help="It is the manufacturer's unopened package.")
@request_option
@token_option
@json_option
@click.pass_context
@told
def return_to_stock(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | int | None
) -> None:
    """Take back into PLACE what nobody picked up of a DISPENSE."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(
            "/returns-to-stock", {**body, "request_id": request_id}, request_id=request_id
        )
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "return": text(answer, "id"),
            "item": f"{text(answer, 'item_id')} {text(answer, 'name')}",
            "came back": f"{amount(answer, 'amount')} of lot {text(answer, 'lot')}",
            "now": f"lot {text(answer, 'to_lot')} at {text(answer, 'target')}",
            "use by": text(answer, "use_by") or "unknown",
        }
    )


def _step(
    ctx: click.Context,
    token: str | None,
    path: str,
    body: Mapping[str, object],
    request_id: str | None,
) -> Json:
    known = request_id or str(uuid4())
    with daemon_of(ctx, token) as daemon:
        return daemon.post(f"/repacks/{path}", {**body, "request_id": known}, request_id=known)


def _tell(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
    else:
        _write_run(answer)


def _write_run(row: Mapping[str, object]) -> None:
    write_fields(
        {
            "run": f"{text(row, 'id')}, {text(row, 'state')}",
            "bulk": f"lot {text(row, 'lot')} of {text(row, 'item_id')} at"
            f" {text(row, 'location_id')}",
            "units": f"lot {text(row, 'child_lot')} of {text(row, 'child_item_id')} at"
            f" {text(row, 'target')}",
            "a unit": f"{amount(row, 'per_unit')} in {text(row, 'container')}",
            "planned": text(row, "planned_units"),
            "packed": text(row, "units"),
            "bulk out": amount(row, "bulk"),
            "waste": amount(row, "waste"),
            "samples": amount(row, "samples"),
            "use by": text(row, "use_by"),
            "rule": f"{text(row, 'rule')} ({text(row, 'rule_source')})",
        }
    )
