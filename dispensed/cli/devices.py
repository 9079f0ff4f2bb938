"""Commands for machines: how they are, their drawers."""

from pathlib import Path
from uuid import uuid4

import click

from dispensed.cli.base import json_option, told, write_fields, write_json, write_table
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.shapes import rows_of, text
from dispensed.cli.work import token_option

_OPEN = {True: "open", False: "shut", None: "unknown"}


@click.group(invoke_without_command=True)
@token_option
@json_option
@click.pass_context
@told
def devices(ctx: click.Context, token: str | None, *, as_json: bool) -> None:
    """Show every device with its state, the reason and since when."""
    if ctx.invoked_subcommand is not None:
        return
    with daemon_of(ctx, token) as daemon:
        answer = daemon.get("/devices")
    if as_json:
        write_json(answer)
        return
    columns = ("name", "capability", "protocol", "state", "since", "link", "reason")
    write_table(columns, [[text(row, key) for key in columns] for row in rows_of(answer)])


@devices.command()
@click.argument("name")
@token_option
@json_option
@click.pass_context
@told
def drawers(ctx: click.Context, name: str, token: str | None, *, as_json: bool) -> None:
    """Show every drawer of the cabinet NAME, read now."""
    with daemon_of(ctx, token) as daemon:
        answer = daemon.get(f"/devices/{name}/drawers")
    if as_json:
        write_json(answer)
        return
    write_table(
        ("drawer", "state"), [[text(row, "drawer"), _state(row)] for row in rows_of(answer)]
    )


@devices.command("open")
@click.argument("name")
@click.argument("drawer")
@click.option("--reason", required=True, help="Why; it is kept in the audit trail.")
@click.option("--request-id", help="Repeat an earlier request; it never opens twice.")
@token_option
@json_option
@click.pass_context
@told
def open_drawer(
    ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | None
) -> None:
    """Open DRAWER of the cabinet NAME and wait until it shows that it is open."""
    request_id = asked["request_id"] or str(uuid4())
    path = f"/devices/{asked['name']}/drawers/{asked['drawer']}/open"
    body: Json = {"reason": asked["reason"], "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(path, body, request_id=request_id)
    if as_json:
        write_json(answer)
        return
    write_fields({"drawer": text(answer, "drawer"), "state": _state(answer)})


@devices.command()
@click.argument("name")
@click.option("--item", required=True, help="The item that lies on the scale.")
@click.option("--pieces", required=True, type=click.IntRange(1, 1000), help="Counted by hand.")
@click.option("--lot", default="", help="Only for this lot.")
@token_option
@json_option
@click.pass_context
@told
def sample(ctx: click.Context, /, token: str | None, *, as_json: bool, **asked: str | int) -> None:
    """Tell the counter NAME, which counts by weight, what one piece weighs.

    Tare the scale, put the counted pieces on it, then run this.
    """
    body: Json = {"item_id": asked["item"], "pieces": asked["pieces"], "lot": asked["lot"]}
    with daemon_of(ctx, token) as daemon:
        answer = daemon.post(f"/devices/{asked['name']}/sample", body)
    if as_json:
        write_json(answer)
        return
    fields = ("mean_ug", "u_ug", "pieces")
    write_fields({key: text(answer, key) for key in fields})


@devices.command()
@click.argument("name")
@json_option
@click.pass_context
@told
def probe(ctx: click.Context, name: str, *, as_json: bool) -> None:
    """Ask the machine NAME who it is; reads only, and needs no daemon.

    Refused when option `serial` of the configuration names another serial number. A line that the
    daemon holds must be freed first: stop the daemon.
    """
    from dispensed.cli import trial  # noqa: PLC0415 - loads the drivers

    trial.probe(ctx, name, as_json=as_json)


@devices.command()
@click.argument("name")
@click.option("--by", required=True, help="Name of the technician, for the report.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the report is written; else acceptance-NAME-TIME.json here.",
)
@json_option
@click.pass_context
@told
def test(ctx: click.Context, name: str, by: str, report: Path | None, *, as_json: bool) -> None:
    """Lead a technician through every ability of the machine NAME and write a report.

    Needs no daemon and books nothing: put back what came out, or book it by hand.
    """
    from dispensed.cli import trial  # noqa: PLC0415 - loads the drivers

    trial.test(ctx, name, by, report, as_json=as_json)


def _state(row: Json) -> str:
    is_open = row.get("is_open")
    return _OPEN[is_open if isinstance(is_open, bool) else None]
