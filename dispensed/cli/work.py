"""Commands for the running daemon: receive, jobs."""

from uuid import uuid4

import click

from dispensed.cli.base import (
    Failure,
    json_option,
    told,
    write_fields,
    write_json,
    write_table,
)
from dispensed.cli.client import daemon_of
from dispensed.cli.shapes import amount, rows_of, text

token_option = click.option("--token", help="Access token; else DISPENSED_TOKEN or the kept one.")


@click.command()
@click.argument("quantity")
@click.option("--scan", help="The GS1 code of the package, as the scanner sends it.")
@click.option("--item", "item_id", help="Item id, without a scan.")
@click.option("--ndc", help="NDC with its dashes, without a scan.")
@click.option("--lot", help="Lot number printed on the package.")
@click.option("--expiry", help="Last day of use, as YYYY-MM-DD.")
@click.option("--location", default="receiving", show_default=True, help="Where it is put.")
@click.option("--reference", default="", help="Order or delivery note.")
@click.option("--opening", is_flag=True, help="Book opening stock instead of a delivery.")
@click.option("--order-form", help="Order form of schedule II on which it was ordered.")
@click.option("--order-line", type=click.IntRange(1), help="Line of the order form.")
@click.option("--request-id", help="Repeat an earlier request under its id.")
@token_option
@json_option
@click.pass_context
@told
def receive(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | bool | int | None
) -> None:
    """Book QUANTITY (in the item's unit, such as 90 or 12.5) of a package as received."""
    request_id = str(asked.pop("request_id") or uuid4())
    body: dict[str, object] = {key: value for key, value in asked.items() if value is not None}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post("/receipts", {**body, "request_id": request_id}, request_id=request_id)
    if as_json:
        write_json(answer)
        return
    write_fields(
        {
            "receipt": text(answer, "id"),
            "item": f"{text(answer, 'item_id')} {text(answer, 'name')}",
            "lot": f"{text(answer, 'lot')}, use through {text(answer, 'expiry')}",
            "received": f"{amount(answer, 'amount')} at {text(answer, 'location_id')}",
            "movement": text(answer, "movement_id"),
            "repeated": "yes, it was booked before" if answer.get("repeated") else "",
        }
    )


@click.group()
def jobs() -> None:
    """Show the scheduled jobs, or run one now."""


@jobs.command("list")
@token_option
@json_option
@click.pass_context
@told
def list_jobs(ctx: click.Context, token: str | None, *, as_json: bool) -> None:
    """Show when each job is due next, and which fail."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.get("/jobs")
    if as_json:
        write_json(answer)
        return
    columns = ("name", "next_due", "failing")
    write_table(columns, [[text(row, key) for key in columns] for row in rows_of(answer)])


@jobs.command("run")
@click.argument("name")
@token_option
@json_option
@click.pass_context
@told
def run_job(ctx: click.Context, name: str, token: str | None, *, as_json: bool) -> None:
    """Run the job NAME now and wait for its end; status 1 when it failed."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/jobs/{name}/run")
    if as_json:
        write_json(answer)
    else:
        write_fields({"job": text(answer, "job"), "result": text(answer, "result")})
    if answer.get("failed"):
        raise Failure(f"job {name} failed", "see its result")
