"""Commands for special stock: protocols, rules of places, temperature excursions."""

import asyncio
from typing import cast

import click

from dispensed.cli.base import json_option, settings_of, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, rows_of, text
from dispensed.cli.work import token_option
from dispensed.services import excursions as excursion_services
from dispensed.services import trials
from dispensed.web.schemas import Page
from dispensed.web.schemas_special import (
    ExcursionDetailOut,
    ExcursionOut,
    OwnRuleOut,
    PlaceRulesOut,
    ProtocolOut,
    RecordLineOut,
)

NUMBERS = frozenset({"id", "quantity", "change", "balance"})
STATES = {"yes": True, "no": False}
reason_option = click.option("--reason", required=True, help="Why.")
protocol_argument = click.argument("protocol_id", metavar="PROTOCOL")
excursion_argument = click.argument("number", type=click.IntRange(1), metavar="EXCURSION")
said_choice = click.Choice(list(STATES))


@click.group()
def protocols() -> None:
    """Keep investigational protocols and show their accountability records."""


@protocols.command("list")
@json_option
@click.pass_context
@told
def list_protocols(ctx: click.Context, *, as_json: bool) -> None:
    """Show every protocol."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(trials.protocols(site))
    page = Page(rows=[ProtocolOut.of(row) for row in found]).model_dump(mode="json")
    columns = ("protocol_id", "title", "sponsor", "investigator", "state")
    _show_page(page, columns, as_json=as_json)


@protocols.command("open")
@protocol_argument
@click.option("--title", required=True, help="Title of the trial.")
@click.option("--sponsor", required=True, help="Who sponsors it.")
@click.option("--investigator", required=True, help="Who is responsible for the record.")
@click.option("--reason", default="", help="A remark.")
@token_option
@json_option
@click.pass_context
@told
def open_protocol(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str) -> None:
    """Add PROTOCOL."""
    _post(ctx, token, "/protocols", {**asked}, as_json=as_json)


@protocols.command("close")
@protocol_argument
@reason_option
@token_option
@json_option
@click.pass_context
@told
def close_protocol(
    ctx: click.Context, protocol_id: str, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Close PROTOCOL: nothing more is dispensed for it."""
    path = f"/protocols/{protocol_id}/close"
    _post(ctx, token, path, {"reason": reason}, as_json=as_json)


@protocols.command()
@protocol_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@click.pass_context
@told
def record(ctx: click.Context, protocol_id: str, *, as_csv: bool, as_json: bool) -> None:
    """Show the accountability record of PROTOCOL."""
    with opened_site(settings_of(ctx)) as site:
        lines = asyncio.run(trials.record(site, protocol_id))
        table = trials.as_csv(site, lines)
    page = Page(rows=[RecordLineOut.of(line) for line in lines]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    if as_csv:
        click.echo(table, nl=False)
        return
    write_table(
        ("id", "at", "lot", "entry", "subject", "quantity", "change", "balance", "by"),
        [
            (
                text(row, "id"),
                text(row, "occurred_at"),
                text(row, "lot"),
                text(row, "entry"),
                text(row, "subject"),
                amount(row, "quantity"),
                amount(row, "change"),
                amount(row, "balance"),
                text(row, "recorder"),
            )
            for row in rows_of(page)
        ],
        right=NUMBERS,
    )


# ---------------------------------------------------------------- places


@click.group()
def places() -> None:
    """Add places, and say what may be kept where."""


@places.command()
@click.argument("location_id", metavar="PLACE")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in trials.PLACE_KINDS]),
    default="bin",
    show_default=True,
)
@click.option("--in", "parent", help="The place around it; else the site.")
@token_option
@json_option
@click.pass_context
@told
def add(
    ctx: click.Context,
    location_id: str,
    kind: str,
    parent: str | None,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Add PLACE, or put a known one into another."""
    body: Json = {"location_id": location_id, "kind": kind, "parent": parent}
    _post(ctx, token, "/places", body, as_json=as_json)


@places.command()
@click.argument("location_id", metavar="PLACE", required=False)
@json_option
@click.pass_context
@told
def rules(ctx: click.Context, location_id: str | None, *, as_json: bool) -> None:
    """Show what each place says, or what holds at PLACE."""
    with opened_site(settings_of(ctx)) as site:
        if location_id is not None:
            found = asyncio.run(trials.rules_at(site, location_id))
            _show_rules(PlaceRulesOut.of(found).model_dump(mode="json"), as_json=as_json)
            return
        said = asyncio.run(trials.rules(site))
    page = Page(rows=[OwnRuleOut.of(row) for row in said]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    heads = ("place", "protocol", "storage", "hazardous", "high alert", "capacity", "items")
    write_table(
        heads,
        [(text(row, "location_id"), *_cells(cast("Json", row["rule"]))) for row in rows_of(page)],
    )


@places.command("rule")
@click.argument("location_id", metavar="PLACE")
@reason_option
@click.option("--protocol", help="The trial whose stock lies there, and no other.")
@click.option("--storage", help="room, refrigerated or frozen.")
@click.option("--hazardous", type=said_choice, help="Whether hazardous drugs may lie there.")
@click.option("--high-alert", type=said_choice, help="Whether high-alert drugs may lie there.")
@click.option("--capacity", type=click.IntRange(1), help="Most of one item, in its unit.")
@click.option("--only", "items", multiple=True, help="Only this item; may be given again.")
@token_option
@json_option
@click.pass_context
@told
def set_rule(
    ctx: click.Context, /, location_id: str, token: str | None, *, as_json: bool, **said: object
) -> None:
    """Say what may be kept at PLACE, in place of what it said; what is not given it inherits."""
    for name in ("hazardous", "high_alert"):
        said[name] = STATES.get(str(said[name]))
    said["items"] = list(cast("tuple[str, ...]", said["items"])) or None
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/places/{location_id}/rules", {**said})
    _show_rules(answer, as_json=as_json)


def _show_rules(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    heads = ("protocol", "storage", "hazardous", "high alert", "capacity", "items")
    holds = dict(zip(heads, _cells(cast("Json", answer["holds"])), strict=True))
    write_fields({"place": text(answer, "location_id"), **holds})


def _cells(rule: Json) -> tuple[str, ...]:
    items = cast("list[str] | None", rule["items"])
    return (
        text(rule, "protocol"),
        text(rule, "storage"),
        _word(rule["hazardous"]),
        _word(rule["high_alert"]),
        text(rule, "capacity"),
        "" if items is None else " ".join(items),
    )


def _word(value: object) -> str:
    return "" if value is None else "yes" if value else "no"


# ---------------------------------------------------------------- excursions


@click.group()
def excursions() -> None:
    """Record temperature excursions and release the lots they hold."""


@excursions.command("list")
@json_option
@click.pass_context
@told
def list_excursions(ctx: click.Context, *, as_json: bool) -> None:
    """Show excursions."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(excursion_services.excursions_of(site))
    page = Page(rows=[ExcursionOut.of(row) for row in found]).model_dump(mode="json")
    columns = ("id", "location_id", "began_at", "ended_at", "observed_min", "observed_max")
    _show_page(page, columns, as_json=as_json)


@excursions.command("show")
@excursion_argument
@json_option
@click.pass_context
@told
def show_excursion(ctx: click.Context, number: int, *, as_json: bool) -> None:
    """Show one excursion with its lots."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(excursion_services.excursion(site, number))
    _show_excursion(ExcursionDetailOut.of(found).model_dump(mode="json"), as_json=as_json)


@excursions.command("record")
@click.argument("location_id", metavar="PLACE")
@click.option("--from", "began_at", required=True, help="When, such as 2026-11-22T06:00-05:00.")
@click.option("--until", "ended_at", help="When it ended; not given while it goes on.")
@click.option("--min", "observed_min", required=True, help="Coldest, in Celsius.")
@click.option("--max", "observed_max", required=True, help="Warmest, in Celsius.")
@click.option("--source", required=True, help="The logger, or who saw it.")
@reason_option
@token_option
@json_option
@click.pass_context
@told
def record_excursion(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | None
) -> None:
    """Record an excursion at PLACE: every lot that lay there is held."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/excursions", {**asked})
    _show_excursion(answer, as_json=as_json)


@excursions.command("end")
@excursion_argument
@click.argument("ended_at", metavar="TIME")
@reason_option
@token_option
@json_option
@click.pass_context
@told
def end_excursion(
    ctx: click.Context, number: int, ended_at: str, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Say that EXCURSION ended at TIME."""
    body: Json = {"ended_at": ended_at, "reason": reason}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/excursions/{number}/end", body)
    _show_excursion(answer, as_json=as_json)


@excursions.command("release")
@excursion_argument
@click.argument("item_id", metavar="ITEM")
@click.argument("lot")
@reason_option
@token_option
@json_option
@click.pass_context
@told
def release_lot(
    ctx: click.Context, /, number: int, token: str | None, *, as_json: bool, **asked: str
) -> None:
    """Release LOT of ITEM from EXCURSION."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/excursions/{number}/release", {**asked})
    _show_excursion(answer, as_json=as_json)


def _show_excursion(answer: Json, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    row = cast("Json", answer["excursion"])
    write_fields(
        {
            "excursion": text(row, "id"),
            "place": text(row, "location_id"),
            "from": text(row, "began_at"),
            "until": text(row, "ended_at") or "it goes on",
            "Celsius": f"{text(row, 'observed_min')} to {text(row, 'observed_max')}",
            "source": text(row, "source"),
        }
    )
    for lot in cast("list[Json]", answer["lots"]):
        done = f", released by {text(lot, 'released_by')}" if lot["released_by"] else ""
        click.echo(f"lot {text(lot, 'item_id')} {text(lot, 'lot')}: {text(lot, 'state')}{done}")


# ---------------------------------------------------------------- shared


def _show_page(page: Json, columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        write_json(page)
    else:
        write_table(columns, [[text(row, key) for key in columns] for row in rows_of(page)])


def _post(ctx: click.Context, token: str | None, path: str, body: Json, *, as_json: bool) -> None:
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body)
    if as_json:
        write_json(answer)
    else:
        write_fields({key: text(answer, key) for key in answer})
