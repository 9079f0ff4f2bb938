"""The top of the command line: knows every command by name, imports only the one that is run."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click

CONFIG_VARIABLE = "DISPENSED_CONFIG"
CONFIG_PLACES = (Path("dispensed.toml"), Path("/etc/dispensed/dispensed.toml"))


class _Entry(NamedTuple):
    module: str
    attribute: str
    help: str


COMMANDS: Mapping[str, _Entry] = {
    "batches": _Entry("outdates", "batches", "Pack, seal and send off returns and destructions."),
    "config": _Entry("setup", "config", "Check the configuration, or print an example."),
    "containers": _Entry("containers", "containers", "Opened vials and bottles, and their dates."),
    "controlled": _Entry("controlled", "controlled", "Record, custody and inventories of CII-CV."),
    "counts": _Entry("counts", "counts", "Plan counts, and say what was counted."),
    "db": _Entry("setup", "db", "Bring the database to the present schema."),
    "devices": _Entry("devices", "devices", "Show how devices and drawers are; open one."),
    "discrepancies": _Entry("discrepancies", "discrepancies", "Show what differs, and resolve it."),
    "dispense": _Entry("dispense", "dispense", "Order, follow and finish dispenses."),
    "excursions": _Entry("special", "excursions", "Record temperature excursions; release lots."),
    "items": _Entry("setup", "items", "Import the items of a formulary file."),
    "jobs": _Entry("work", "jobs", "Show the scheduled jobs, or run one now."),
    "lots": _Entry("book", "lots", "Show lots with stock, by expiry."),
    "movements": _Entry("book", "movements", "Show the journal of stock movements."),
    "outdates": _Entry("outdates", "outdates", "Work the pull list; show what will expire unused."),
    "places": _Entry("special", "places", "Add places, and say what may be kept where."),
    "protocols": _Entry("special", "protocols", "Keep protocols and their accountability records."),
    "recalls": _Entry("recalls", "recalls", "Read recall notices; work on recall cases."),
    "receive": _Entry("work", "receive", "Book what arrived."),
    "repack": _Entry("repack", "repack", "Pack bulk into units, with a log."),
    "reports": _Entry("reports", "reports", "List the reports, or make one."),
    "return-to-stock": _Entry(
        "repack", "return_to_stock", "Take back a fill that nobody picked up."
    ),
    "run": _Entry("setup", "run", "Run the daemon."),
    "stock": _Entry("book", "stock", "Show what is on hand, held, blocked and available."),
    "token": _Entry("setup", "token", "Create access tokens."),
    "trace": _Entry("trace", "trace", "Follow a lot or a dispense, forward and backward."),
    "verify": _Entry("book", "verify", "Recompute the journal's chain and all balances."),
}


class _Commands(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"dispensed.cli.{entry.module}")
        found = vars(module)[entry.attribute]
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar=CONFIG_VARIABLE,
    help="Configuration file; else ./dispensed.toml, else /etc/dispensed/dispensed.toml.",
)
@click.pass_context
def cli(ctx: click.Context, path: Path | None) -> None:
    """Run a pharmacy's machines and keep its inventory true.

    Exit status: 0 done, 1 refused or failed, 2 wrong usage or configuration, 3 the daemon does not
    answer.
    """
    ctx.obj = path
