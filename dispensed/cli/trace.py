"""Commands that follow a lot forward and backward, also while the daemon is down."""

import asyncio
from collections.abc import Mapping
from typing import cast

import click

from dispensed.cli.base import json_option, settings_of, told, write_json
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, text
from dispensed.services import tracing
from dispensed.web.schemas import Page
from dispensed.web.schemas_trace import DispenseTraceOut, LotTraceOut

Rows = list[Mapping[str, object]]


@click.group()
def trace() -> None:
    """Follow a lot to every child and dispense, or a dispense back to its receipts."""


@trace.command("lot")
@click.argument("item_id", metavar="ITEM")
@click.argument("lot")
@click.option("--backward", is_flag=True, help="To the lots it came from, with their receipts.")
@json_option
@click.pass_context
@told
def trace_lot(ctx: click.Context, item_id: str, lot: str, *, backward: bool, as_json: bool) -> None:
    """Follow LOT of ITEM to every lot made from it, where it lies and who got it."""
    walk = tracing.backward if backward else tracing.forward
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(walk(site, item_id, lot))
    page = Page(rows=[LotTraceOut.of(row) for row in found]).model_dump(mode="json")
    if as_json:
        write_json(page)
        return
    for row in cast("Rows", page["rows"]):
        _write_lot(row)


@trace.command("dispense")
@click.argument("dispense_id", type=click.IntRange(1), metavar="DISPENSE")
@json_option
@click.pass_context
@told
def trace_dispense(ctx: click.Context, dispense_id: int, *, as_json: bool) -> None:
    """Follow a DISPENSE back to the lots it gave, what they came from, and the receipts."""
    with opened_site(settings_of(ctx)) as site:
        found = asyncio.run(tracing.dispense(site, dispense_id))
    answer = DispenseTraceOut.of(found).model_dump(mode="json")
    if as_json:
        write_json(answer)
        return
    click.echo(
        f"dispense {dispense_id}, order {answer['order_ref']}, patient {answer['patient_key']}"
    )
    for part in cast("Rows", answer["parts"]):
        click.echo(f"gave {amount(part, 'amount')} of lot {text(part, 'lot')}")
        for row in cast("Rows", part["lots"]):
            _write_lot(row)


def _write_lot(row: Mapping[str, object]) -> None:
    click.echo(
        f"lot {text(row, 'lot')} of {text(row, 'item_id')} {text(row, 'name')},"
        f" use through {text(row, 'expiry') or 'unknown'}, {text(row, 'state')}"
    )
    for each in cast("Rows", row["origins"]):
        click.echo(f"  made from lot {text(each, 'lot')} ({text(each, 'ref')})")
    for each in cast("Rows", row["arrivals"]):
        receipt = f", receipt {text(each, 'receipt_id')}" if each["receipt_id"] else ""
        click.echo(f"  came by {text(each, 'kind')}: {amount(each, 'amount')}{receipt}")
    for each in cast("Rows", row["places"]):
        click.echo(f"  at {text(each, 'location_id')}: {amount(each, 'amount')}")
    for each in cast("Rows", row["accounts"]):
        click.echo(f"  {text(each, 'location_id')}: {amount(each, 'amount')}")
    for each in cast("Rows", row["given"]):
        what = "dispense" if each["dispense_id"] is not None else "removal"
        number = text(each, f"{what}_id") or "not known"
        click.echo(
            f"  {what} {number}, patient {text(each, 'patient_key')}: {amount(each, 'amount')}"
        )
