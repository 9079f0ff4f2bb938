"""Commands for reports; they read the ledger, also while the daemon is down."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

import click

from dispensed.cli.base import json_option, settings_of, told, write_json, write_table
from dispensed.cli.offline import opened_site
from dispensed.model.report import ROWS_MAX, ROWS_USUAL, Period, Report
from dispensed.services import reports as services
from dispensed.services.reports import DAYS_MAX, REPORTS, Format, Wanted
from dispensed.services.site import Site
from dispensed.web.schemas import Page
from dispensed.web.schemas_reports import ReportKindOut

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def reports() -> None:
    """List the reports, or make one."""


@reports.command("list")
@json_option
def list_reports(*, as_json: bool) -> None:
    """Show every report with what it takes."""
    shown = [ReportKindOut.of(name, kind) for name, kind in REPORTS.items()]
    if as_json:
        page: Page[ReportKindOut] = Page(rows=shown)
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("report", "what", "needs", "takes"),
        [(each.name, each.help, ", ".join(each.needs), ", ".join(each.takes)) for each in shown],
    )


@reports.command("run")
@click.argument("name", type=click.Choice(list(REPORTS)))
@click.option("--item", help="Only this item.")
@click.option("--lot", help="Only this lot.")
@click.option("--location", help="Only this place.")
@click.option("--since", type=_DAY, help="First day of the period; 30 days unless told.")
@click.option("--until", type=_DAY, help="Last day of the period; today unless told.")
@click.option("--period", type=click.Choice([each.value for each in Period]))
@click.option("--days", type=click.IntRange(0, DAYS_MAX), help="How many days ahead or back.")
@click.option("--number", type=click.IntRange(1), help="Number of the case or inventory.")
@click.option(
    "--limit", type=click.IntRange(1, ROWS_MAX), help=f"Rows to show; {ROWS_USUAL} unless told."
)
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in Format]),
    default=Format.CSV.value,
    show_default=True,
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="File to write; standard output unless told.",
)
@json_option
@click.pass_context
@told
def run(  # noqa: PLR0913 - the parameters of all reports
    ctx: click.Context,
    /,
    name: str,
    since: datetime | None,
    until: datetime | None,
    period: str | None,
    form: str,
    out: Path | None,
    *,
    as_json: bool,
    **more: str | int | None,
) -> None:
    """Make the report NAME; totals and how many rows there are come after the rows."""
    wanted = Wanted(
        since=since.date() if since else None,
        until=until.date() if until else None,
        period=Period(period) if period else None,
        **more,  # type: ignore[arg-type] # each as its option says
    )
    chosen = Format.JSON if as_json else Format(form)
    with opened_site(settings_of(ctx)) as site:
        report, content = asyncio.run(_made(site, name, wanted, chosen))
    if out is None:
        sys.stdout.buffer.write(content)
    else:
        out.write_bytes(content)
        click.echo(f"{out}: {report.extent}", err=True)


async def _made(site: Site, name: str, wanted: Wanted, form: Format) -> tuple[Report, bytes]:
    report = await services.make(site, name, wanted)
    return report, await services.write(report, form)
