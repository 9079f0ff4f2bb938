"""Commands for thefts and losses, and for the order forms of schedule II."""

import asyncio

import click

from dispensed.cli.base import (
    BadUsage,
    json_option,
    settings_of,
    told,
    write_fields,
    write_json,
    write_table,
)
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import text
from dispensed.cli.work import token_option
from dispensed.ledger.losses import NOT_A_LOSS, REPORTED
from dispensed.model.controlled import LossCause
from dispensed.model.quantity import format_milli
from dispensed.services import controlled as services
from dispensed.services import losses as cases
from dispensed.web.schemas import Page
from dispensed.web.schemas_controlled import LossOut, OrderFormOut

LIST_MAX = 1000
LOST_PARTS, LINE_PARTS = 3, 4


@click.group()
def losses() -> None:
    """Keep the cases of theft and loss, with their clocks."""


@losses.command("list")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@click.pass_context
@told
def list_losses(ctx: click.Context, *, everything: bool, as_json: bool) -> None:
    """Show the open cases, and by when the DEA is to be told."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(cases.loss_list(site, only_open=not everything, limit=LIST_MAX))
    if as_json:
        page: Page[LossOut] = Page(rows=[LossOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("id", "state", "cause", "missing", "notice due", "form 106 due", "detail"),
        [
            (
                str(row.id),
                row.state,
                row.cause,
                "; ".join(
                    f"{format_milli(line.milli)} {line.unit} {line.name} lot {line.lot}"
                    for line in row.lines
                ),
                str(row.notice_due),
                str(row.form_due),
                row.detail,
            )
            for row in rows
        ],
    )


@losses.command("form-106")
@click.argument("number", type=click.IntRange(1))
@json_option
@click.pass_context
@told
def form_106(ctx: click.Context, number: int, *, as_json: bool) -> None:
    """Show what the ledger knows for Form 106 of case NUMBER, always as JSON."""
    del as_json
    with opened_site(settings_of(ctx)) as site:
        write_json(asyncio.run(cases.form_106(site, number)))


@losses.command("open")
@click.argument("detail")
@click.option("--cause", type=click.Choice([each.value for each in LossCause]), required=True)
@click.option("--discrepancy", "discrepancy_id", type=click.IntRange(1))
@click.option("--lost", multiple=True, help="ITEM,LOT,QUANTITY that is missing.")
@click.option("--discovered-at", help="Instant with its zone; else now.")
@token_option
@json_option
@click.pass_context
@told
def open_loss(
    ctx: click.Context,
    /,
    token: str | None,
    lost: tuple[str, ...],
    *,
    as_json: bool,
    **asked: str | int | None,
) -> None:
    """Open a case: DETAIL says what happened."""
    body: Json = {key: value for key, value in asked.items() if value is not None}
    names = ("item_id", "lot", "quantity")
    body["lost"] = [
        dict(zip(names, _parts(each, LOST_PARTS, "--lost"), strict=True)) for each in lost
    ]
    _post(ctx, token, "/controlled/losses", body, as_json=as_json)


@losses.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("reference")
@token_option
@json_option
@click.pass_context
@told
def notified(
    ctx: click.Context, number: int, reference: str, token: str | None, *, as_json: bool
) -> None:
    """Record the written notice to the field office, under REFERENCE."""
    path = f"/controlled/losses/{number}/notified"
    _post(ctx, token, path, {"reference": reference}, as_json=as_json)


@losses.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("reference")
@token_option
@json_option
@click.pass_context
@told
def reported(
    ctx: click.Context, number: int, reference: str, token: str | None, *, as_json: bool
) -> None:
    """Record that Form 106 was sent, under REFERENCE."""
    path = f"/controlled/losses/{number}/reported"
    _post(ctx, token, path, {"reference": reference}, as_json=as_json)


@losses.command()
@click.argument("number", type=click.IntRange(1))
@click.argument("outcome", type=click.Choice([REPORTED, NOT_A_LOSS]))
@click.option("--reason", required=True)
@token_option
@json_option
@click.pass_context
@told
def close(
    ctx: click.Context,
    number: int,
    outcome: str,
    reason: str,
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Close case NUMBER as reported, or as no loss."""
    path = f"/controlled/losses/{number}/close"
    _post(ctx, token, path, {"outcome": outcome, "reason": reason}, as_json=as_json)


def _post(ctx: click.Context, token: str | None, path: str, body: Json, *, as_json: bool) -> None:
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body)
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "loss": f"{text(answer, 'id')} ({text(answer, 'state')})",
            "cause": text(answer, "cause"),
            "notice due": text(answer, "notice_due"),
            "form 106 due": text(answer, "form_due"),
        }
    )


# ---------------------------------------------------------------- order forms


@click.group()
def forms() -> None:
    """Record the order forms on which schedule II was ordered."""


@forms.command("list")
@json_option
@click.pass_context
@told
def list_forms(ctx: click.Context, *, as_json: bool) -> None:
    """Show order forms, and what came on each line."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.order_form_list(site, limit=LIST_MAX))
    if as_json:
        page: Page[OrderFormOut] = Page(rows=[OrderFormOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("number", "supplier", "ordered on", "line", "item", "ordered", "received", "unit"),
        [
            (
                row.number,
                row.supplier,
                str(row.ordered_on),
                str(line.line),
                f"{line.item_id} {line.name}",
                format_milli(line.ordered_milli),
                format_milli(line.received_milli),
                line.unit,
            )
            for row in rows
            for line in row.lines
        ],
        right=frozenset({"line", "ordered", "received"}),
    )


@forms.command()
@click.argument("number")
@click.option("--supplier", required=True)
@click.option("--on", "ordered_on", required=True, help="Date of the form, as YYYY-MM-DD.")
@click.option("--line", multiple=True, required=True, help="LINE,ITEM,PACKAGES,PACKAGE-CONTENT.")
@token_option
@json_option
@click.pass_context
@told
def add(  # noqa: PLR0913 - what stands on the form
    ctx: click.Context,
    number: str,
    supplier: str,
    ordered_on: str,
    line: tuple[str, ...],
    token: str | None,
    *,
    as_json: bool,
) -> None:
    """Record order form NUMBER (Form 222 or electronic order) with its lines."""
    names = ("line", "item_id", "packages", "package")
    lines = [dict(zip(names, _parts(each, LINE_PARTS, "--line"), strict=True)) for each in line]
    head: Json = {"number": number, "supplier": supplier, "ordered_on": ordered_on}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/controlled/order-forms", {**head, "lines": lines})
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "order form": f"{text(answer, 'number')} ({text(answer, 'kind')})",
            "supplier": text(answer, "supplier"),
            "valid until": text(answer, "valid_until"),
        }
    )


def _parts(given: str, count: int, option: str) -> list[str]:
    parts = [each.strip() for each in given.split(",")]
    if len(parts) != count:
        raise BadUsage(f"{option} {given!r} has {len(parts)} parts, not {count}", "see --help")
    return parts
