"""Commands for what is in a person's hand: removals, wastes, witnesses."""

import asyncio
from uuid import uuid4

import click

from dispensed.cli.base import json_option, settings_of, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, text
from dispensed.cli.work import token_option
from dispensed.model.quantity import format_milli
from dispensed.services import custody
from dispensed.web.schemas import Page
from dispensed.web.schemas_controlled import RemovalDetailOut, RemovalOut

LIST_MAX = 1000
again_option = click.option("--request-id", help="Repeat an earlier request under its id.")


@click.group()
def removals() -> None:
    """Take stock for a patient, and say what became of it."""


@removals.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--actor", help="Only of this person.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this number.")
@click.option("--limit", type=click.IntRange(1, LIST_MAX), default=100, show_default=True)
@json_option
@click.pass_context
@told
def list_removals(
    ctx: click.Context,
    actor: str | None,
    after: int,
    limit: int,
    *,
    everything: bool,
    as_json: bool,
) -> None:
    """Show the removals that are open, oldest first."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(
            custody.removal_list(
                site, only_open=not everything, actor=actor, after=after, limit=limit
            )
        )
        shown = [RemovalOut.of(row, site.now()) for row in rows]
    if as_json:
        page: Page[RemovalOut] = Page(rows=shown)
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("id", "age min", "item", "lot", "from", "issued", "open", "order", "patient", "who"),
        [
            (
                str(row.id),
                str(out.age_minutes if out.age_minutes is not None else "closed"),
                f"{row.item_id} {row.name}",
                row.lot,
                row.location_id,
                format_milli(row.milli),
                format_milli(row.remaining),
                row.order_ref or f"override: {row.override_reason}",
                row.patient_key,
                row.actor,
            )
            for row, out in zip(rows, shown, strict=True)
        ],
        right=frozenset({"id", "age min", "issued", "open"}),
    )


@removals.command()
@click.argument("number", type=click.IntRange(1))
@json_option
@click.pass_context
@told
def show(ctx: click.Context, number: int, *, as_json: bool) -> None:
    """Show removal NUMBER with what became of it."""
    with opened_site(settings_of(ctx)) as site:
        detail = asyncio.run(custody.removal(site, number))
        limit_s = site.controlled.witness_timeout_s
        out = RemovalDetailOut.of(detail, site.now(), limit_s).model_dump(mode="json")
    if as_json:
        write_json(out)
        return
    _show_removal(out["removal"], as_json=False)
    for step in out["steps"]:
        click.echo(f"{step['kind']} {amount(step, 'amount')} by {step['actor']}")


@removals.command()
@click.argument("quantity")
@click.option("--item", "item_id", required=True)
@click.option("--lot", required=True)
@click.option("--location", required=True, help="Bin or device from which it is taken.")
@click.option("--patient-key", required=True, help="Opaque key, never a name.")
@click.option("--order-ref", help="The order; without it the removal is an override.")
@click.option("--reason", default="", help="Why there is no order.")
@again_option
@token_option
@json_option
@click.pass_context
@told
def take(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | None) -> None:
    """Take QUANTITY into the hand for one patient."""
    _post(ctx, token, "/controlled/removals", asked, as_json=as_json)


@removals.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("quantity")
@again_option
@token_option
@json_option
@click.pass_context
@told
def given(
    ctx: click.Context, /, token: str | None, number: int, *, as_json: bool, **asked: str | None
) -> None:
    """Record that QUANTITY of removal NUMBER was given."""
    _post(ctx, token, f"/controlled/removals/{number}/given", asked, as_json=as_json)


@removals.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("quantity")
@click.option("--location", required=True, help="Bin, device, receiving or outdate.")
@again_option
@token_option
@json_option
@click.pass_context
@told
def returned(
    ctx: click.Context, /, token: str | None, number: int, *, as_json: bool, **asked: str | None
) -> None:
    """Return QUANTITY of removal NUMBER."""
    _post(ctx, token, f"/controlled/removals/{number}/returned", asked, as_json=as_json)


@click.command()
@click.argument("quantity")
@click.option("--reason", required=True, help="Why it is wasted.")
@click.option("--removal", "removal_id", type=click.IntRange(1), help="What is in the hand.")
@click.option("--item", "item_id", help="Without a removal: the item.")
@click.option("--lot", help="Without a removal: the lot.")
@click.option("--location", help="Without a removal: the place.")
@again_option
@token_option
@json_option
@click.pass_context
@told
def waste(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | int | None
) -> None:
    """State that QUANTITY is wasted; of a controlled item it waits for a witness."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: Json = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(
            "/controlled/wastes", {**body, "request_id": request_id}, request_id=request_id
        )
    show_waste(answer, as_json=as_json)


@click.command()
@click.argument("number", type=click.IntRange(1))
@token_option
@json_option
@click.pass_context
@told
def witness(ctx: click.Context, number: int, token: str | None, *, as_json: bool) -> None:
    """Confirm waste NUMBER as another person than stated it, with an own token."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/controlled/wastes/{number}/witness")
    show_waste(answer, as_json=as_json)


def show_waste(answer: Json, *, as_json: bool) -> None:
    """Print one waste."""
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "waste": f"{text(answer, 'id')} ({text(answer, 'state')})",
            "amount": f"{amount(answer, 'amount')} of {text(answer, 'name')}",
            "lot": f"{text(answer, 'lot')} at {text(answer, 'location_id')}",
            "stated by": text(answer, "stated_by"),
            "witness": text(answer, "witness"),
        }
    )


def _post(
    ctx: click.Context,
    token: str | None,
    path: str,
    asked: dict[str, str | None],
    *,
    as_json: bool,
) -> None:
    request_id = asked.pop("request_id") or str(uuid4())
    body: Json = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, {**body, "request_id": request_id}, request_id=request_id)
    _show_removal(answer, as_json=as_json)


def _show_removal(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "removal": text(answer, "id"),
            "item": f"{text(answer, 'item_id')} {text(answer, 'name')}, lot {text(answer, 'lot')}",
            "issued": amount(answer, "issued"),
            "given": amount(answer, "given"),
            "returned": amount(answer, "returned"),
            "wasted": amount(answer, "wasted"),
            "open": amount(answer, "remaining"),
            "closed": text(answer, "closed_at"),
        }
    )
