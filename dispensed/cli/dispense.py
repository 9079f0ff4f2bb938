"""Commands for dispenses: order, follow, weigh, count, verify, release, void."""

from typing import cast
from uuid import uuid4

import click

from dispensed.cli.base import json_option, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option

LIMIT_MAX = 1000
NUMBERS = frozenset({"id", "ordered", "counted"})
number_argument = click.argument("dispense_id", type=click.IntRange(1), metavar="ID")


@click.group()
def dispense() -> None:
    """Order, follow and finish dispenses."""


@dispense.command()
@click.argument("item_id", metavar="ITEM")
@click.argument("quantity")
@click.option("--order", "order_ref", required=True, help="Reference of the order.")
@click.option("--patient", "patient_key", required=True, help="Opaque key, never a name.")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), default="normal")
@click.option("--route", help="cabinet, counter or hand; else what fits best.")
@click.option("--protocol", help="Trial whose stock is used, and no other.")
@click.option("--request-id", help="Repeat an earlier request under its id.")
@token_option
@json_option
@click.pass_context
@told
def create(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | None) -> None:
    """Order QUANTITY of ITEM; the machines begin at once."""
    request_id = asked.pop("request_id") or str(uuid4())
    body: Json = {**asked, "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/dispenses", body, request_id=request_id)
    _show(answer, as_json=as_json)


@dispense.command("list")
@click.option("--state", help="Only of this state.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
@token_option
@json_option
@click.pass_context
@told
def list_dispenses(
    ctx: click.Context,
    token: str | None,
    state: str | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show dispenses by ascending id."""
    params: dict[str, str | int] = {"after": after, "limit": limit}
    if state is not None:
        params["state"] = state
    with daemon_of(ctx, token) as daemon:
        answer = daemon.get("/dispenses", params)
    if as_json:
        write_json(answer)
        return
    heads = ("id", "state", "order", "item", "name", "ordered", "counted", "device", "note")
    write_table(
        heads,
        [
            (
                text(row, "id"),
                text(row, "state"),
                text(row, "order_ref"),
                text(row, "item_id"),
                text(row, "name"),
                amount(row, "ordered"),
                amount(row, "counted"),
                text(row, "device_id"),
                text(row, "note"),
            )
            for row in rows_of(answer)
        ],
        right=NUMBERS,
    )


@dispense.command()
@number_argument
@token_option
@json_option
@click.pass_context
@told
def show(ctx: click.Context, dispense_id: int, token: str | None, *, as_json: bool) -> None:
    """Show one dispense with its holds and movements."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.get(f"/dispenses/{dispense_id}")
    if as_json:
        write_json(answer)
        return
    _show(cast("Json", answer["dispense"]), as_json=False)
    for hold in cast("list[Json]", answer["holds"]):
        place = f"lot {text(hold, 'lot')} at {text(hold, 'location_id')}"
        click.echo(f"hold       {amount(hold, 'remaining')} of {place}, {text(hold, 'state')}")
    for move in cast("list[Json]", answer["movements"]):
        way = f"{text(move, 'source')} to {text(move, 'target')}"
        lot = f"lot {text(move, 'lot')}"
        click.echo(f"movement   {text(move, 'kind')} {amount(move, 'amount')} {lot}, {way}")


@dispense.command()
@number_argument
@token_option
@json_option
@click.pass_context
@told
def verify(ctx: click.Context, dispense_id: int, token: str | None, *, as_json: bool) -> None:
    """Say that drug, count, weight and lots are right."""
    _act(ctx, token, f"/dispenses/{dispense_id}/verify", None, as_json=as_json)


@dispense.command()
@number_argument
@click.option("--reprint", help="Print another label, for this reason.")
@token_option
@json_option
@click.pass_context
@told
def release(
    ctx: click.Context, dispense_id: int, reprint: str | None, token: str | None, *, as_json: bool
) -> None:
    """Print the label and give the fill to the patient's side."""
    body: Json = {"reprint": reprint}
    _act(ctx, token, f"/dispenses/{dispense_id}/release", body, as_json=as_json)


@dispense.command()
@number_argument
@click.option("--reason", required=True, help="Why.")
@token_option
@json_option
@click.pass_context
@told
def void(
    ctx: click.Context, dispense_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Cancel a fill; what was taken goes back to its place."""
    _act(ctx, token, f"/dispenses/{dispense_id}/void", {"reason": reason}, as_json=as_json)


@dispense.command()
@number_argument
@click.argument("counted")
@click.option("--reason", required=True, help="Why it was counted by hand.")
@token_option
@json_option
@click.pass_context
@told
def count(
    ctx: click.Context,
    dispense_id: int,
    counted: str,
    reason: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Say that a person COUNTED so much in the tray."""
    body: Json = {"counted": counted, "reason": reason}
    _act(ctx, token, f"/dispenses/{dispense_id}/count", body, as_json=as_json)


@dispense.command()
@number_argument
@click.option("--scale", help="Which scale; else the default one.")
@token_option
@json_option
@click.pass_context
@told
def weigh(
    ctx: click.Context, dispense_id: int, scale: str | None, token: str | None, *, as_json: bool
) -> None:
    """Compare the count with the weight on a scale."""
    _act(ctx, token, f"/dispenses/{dispense_id}/weigh", {"scale": scale}, as_json=as_json)


@dispense.command("top-up")
@number_argument
@token_option
@json_option
@click.pass_context
@told
def top_up(ctx: click.Context, dispense_id: int, token: str | None, *, as_json: bool) -> None:
    """Let a machine count the missing part of a short fill."""
    _act(ctx, token, f"/dispenses/{dispense_id}/top-up", None, as_json=as_json)


@dispense.command()
@number_argument
@token_option
@json_option
@click.pass_context
@told
def resolve(ctx: click.Context, dispense_id: int, token: str | None, *, as_json: bool) -> None:
    """Ask the machine again about a dispense in doubt."""
    _act(ctx, token, f"/dispenses/{dispense_id}/resolve", None, as_json=as_json)


def _act(
    ctx: click.Context, token: str | None, path: str, body: Json | None, *, as_json: bool
) -> None:
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body)
    _show(answer, as_json=as_json)


def _show(row: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(row)
        return
    write_fields(
        {
            "dispense": text(row, "id"),
            "state": text(row, "state"),
            "order": text(row, "order_ref"),
            "item": f"{text(row, 'item_id')} {text(row, 'name')}",
            "ordered": amount(row, "ordered"),
            "counted": amount(row, "counted"),
            "device": text(row, "device_id"),
            "weighed": text(row, "weigh_result"),
            "verified": text(row, "verified_by"),
            "note": text(row, "note"),
        }
    )
