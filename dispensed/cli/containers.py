"""Commands for opened containers."""

import asyncio
from uuid import uuid4

import click

from dispensed.cli.base import json_option, settings_of, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option
from dispensed.services import opening
from dispensed.web.schemas import Page
from dispensed.web.schemas_opened import ContainerOut

LIMIT_MAX = 100_000
container_argument = click.argument("container_id", type=click.IntRange(1), metavar="CONTAINER")


@click.group()
def containers() -> None:
    """Opened vials and bottles: what may still be used, and until when."""


@containers.command("list")
@click.option("--state", help="open, empty or discarded.")
@click.option("--expired", is_flag=True, help="Only open ones whose date has passed.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
@json_option
@click.pass_context
@told
def list_containers(
    ctx: click.Context,
    state: str | None,
    after: int,
    limit: int,
    *,
    expired: bool,
    as_json: bool,
) -> None:
    """Show opened containers."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(
            opening.opened(site, state=state, expired=expired, after=after, limit=limit)
        )
    page = Page(rows=[ContainerOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    write_table(
        ("id", "item", "name", "lot", "place", "opened", "use by", "left", "state"),
        [
            (
                text(row, "id"),
                text(row, "item_id"),
                text(row, "name"),
                text(row, "lot"),
                text(row, "location_id"),
                text(row, "opened_on"),
                text(row, "use_by"),
                amount(row, "left") or "not counted",
                text(row, "state"),
            )
            for row in rows_of(page)
        ],
        right=frozenset({"id"}),
    )


@containers.command("open")
@click.argument("item_id", metavar="ITEM")
@click.argument("lot")
@click.argument("location", metavar="PLACE")
@click.option("--rule", help="multiple-dose-28-days, insulin-28-days or manufacturer.")
@click.option("--days", type=click.IntRange(1), help="Days after opening by the label instead.")
@click.option("--opened-on", help="The day of opening, as YYYY-MM-DD; else today.")
@click.option("--left", help="What is in it, when somebody keeps count.")
@click.option("--reason", default="", help="Why.")
@click.option("--request-id", help="Repeat an earlier request under its id.")
@token_option
@json_option
@click.pass_context
@told
def open_container(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | int | None
) -> None:
    """Record that a container of LOT of ITEM at PLACE is opened."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(
            "/containers", {**body, "request_id": request_id}, request_id=request_id
        )
    _tell(answer, as_json=as_json)


@containers.command()
@container_argument
@click.argument("left")
@token_option
@json_option
@click.pass_context
@told
def left(
    ctx: click.Context, container_id: int, left: str, token: str | None, *, as_json: bool
) -> None:
    """Say how much is LEFT in a CONTAINER."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/containers/{container_id}/left", {"left": left})
    _tell(answer, as_json=as_json)


@containers.command()
@container_argument
@token_option
@json_option
@click.pass_context
@told
def empty(ctx: click.Context, container_id: int, token: str | None, *, as_json: bool) -> None:
    """Say that a CONTAINER is used up."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/containers/{container_id}/empty")
    _tell(answer, as_json=as_json)


@containers.command()
@container_argument
@click.option("--wasted", required=True, help="How much was in it; 0 for nothing.")
@click.option("--reason", required=True, help="Why.")
@token_option
@json_option
@click.pass_context
@told
def discard(
    ctx: click.Context,
    container_id: int,
    wasted: str,
    reason: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Throw a CONTAINER away; what was in it is booked as waste."""
    body: Json = {"wasted": wasted, "reason": reason}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/containers/{container_id}/discard", body)
    _tell(answer, as_json=as_json)


def _tell(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "container": f"{text(answer, 'id')}, {text(answer, 'state')}",
            "item": f"{text(answer, 'item_id')} {text(answer, 'name')}",
            "lot": f"{text(answer, 'lot')} at {text(answer, 'location_id')}",
            "opened": text(answer, "opened_on"),
            "use by": f"{text(answer, 'use_by')} ({text(answer, 'rule')})",
            "left": amount(answer, "left") or "not counted",
        }
    )
