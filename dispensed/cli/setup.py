"""Commands that prepare and run: config, db, items, token, run."""

import asyncio
import os
import sys
from pathlib import Path

import click

from dispensed.cli.base import (
    BadUsage,
    Failure,
    config_path,
    fail_config,
    json_option,
    settings_of,
    told,
    write_json,
)
from dispensed.cli.offline import ACTOR, database_folder, opened_site
from dispensed.settings import ConfigError, Settings, example_toml

PRIVATE = 0o600


@click.command()
@json_option
@click.pass_context
@told
def run(ctx: click.Context, *, as_json: bool) -> None:
    """Run the daemon until it is told to stop; its log goes to standard output."""
    from dispensed import daemon, log  # noqa: PLC0415 - loads the whole daemon

    settings = _checked(ctx)
    log.configure(settings.log.level, settings.log.format)

    def ready(url: str) -> None:
        if as_json:
            write_json({"ready": url})
        else:
            click.echo(f"dispensed is ready at {url}", err=True)

    path = str(config_path(ctx).absolute())
    program = (sys.executable, "-m", "dispensed", "--config", path)
    asyncio.run(daemon.run(settings, program=program, ready=ready))


def _checked(ctx: click.Context) -> Settings:
    """Load the configuration and let every driver judge its device; opens no device."""
    from dispensed.devices import registry  # noqa: PLC0415

    return settings_of(ctx, check_device=registry.check)


@click.group()
def config() -> None:
    """Check the configuration, or print an example."""


@config.command()
@json_option
@click.pass_context
def check(ctx: click.Context, *, as_json: bool) -> None:
    """Name every fault of the configuration; status 2 when there is one."""
    path = config_path(ctx)
    try:
        settings = _checked(ctx)
    except ConfigError as error:
        if not as_json:
            fail_config(error)
        write_json(
            {
                "faults": [
                    {"file": f.file, "line": f.line, "key": f.key, "message": f.message}
                    for f in error.faults
                ]
            }
        )
        ctx.exit(BadUsage.exit_code)
    if as_json:
        write_json({"faults": []})
        return
    enabled = [name for name, device in settings.devices.items() if device.enabled]
    click.echo(f"{path}: no fault; {len(enabled)} devices: {', '.join(enabled) or 'none'}")


@config.command()
@json_option
def example(*, as_json: bool) -> None:
    """Print a configuration with every key, its unit and its default."""
    text = example_toml()
    if as_json:
        write_json({"toml": text})
    else:
        click.echo(text, nl=False)


@click.group()
def db() -> None:
    """Bring the database to the present schema."""


@db.command()
@json_option
@click.pass_context
@told
def upgrade(ctx: click.Context, *, as_json: bool) -> None:
    """Make or upgrade the tables; the daemon must not run. Does nothing when all is up to date."""
    from dispensed.ledger import engine  # noqa: PLC0415

    settings = settings_of(ctx)
    folder = database_folder(settings)
    if folder is not None:
        _make_folder(folder)
    engine.upgrade(settings.database.url)
    if as_json:
        write_json({"upgraded": True})
    else:
        click.echo("the database is up to date")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Failure(
            f"folder {folder} cannot be made: {error.strerror}",
            "make it, owned by the user that runs dispensed, or correct database.url",
        ) from error


@click.group()
def items() -> None:
    """Import the items of a formulary file."""


@items.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
@told
def import_items(ctx: click.Context, file: Path, *, as_json: bool) -> None:
    """Take every item of the formulary FILE (CSV), or none of it."""
    from dispensed.services import catalog, places  # noqa: PLC0415

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "save it as UTF-8 text") from error
    with opened_site(settings_of(ctx)) as site:
        asyncio.run(places.ensure_places(site))
        count = asyncio.run(catalog.import_formulary(site, text, ACTOR))
    if as_json:
        write_json({"items": count})
    else:
        click.echo(f"{count} items imported")


@click.group()
def token() -> None:
    """Create access tokens."""


@token.command()
@click.argument("name")
@click.option("--role", default="technician", show_default=True, help="What the holder is.")
@click.option("--for-cli", is_flag=True, help="Keep it for this command line, in state_dir.")
@json_option
@click.pass_context
@told
def create(ctx: click.Context, name: str, role: str, *, for_cli: bool, as_json: bool) -> None:
    """Create a token for NAME and print it; it is shown this one time."""
    from dispensed.cli.client import TOKEN_FILE  # noqa: PLC0415
    from dispensed.services import tokens  # noqa: PLC0415

    settings = settings_of(ctx)
    with opened_site(settings) as site:
        plain = asyncio.run(tokens.create_token(site, name, role, ACTOR))
    if for_cli:
        _keep(settings.state_dir / TOKEN_FILE, plain)
    if as_json:
        write_json({"name": name, "role": role, "token": plain})
    else:
        click.echo(plain)


def _keep(path: Path, plain: str) -> None:
    """Write a secret so that only its owner can read it, also while it is being written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".new")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as file:
            file.write(plain + "\n")
        part.replace(path)
    except OSError as error:
        raise Failure(
            f"the token is made, but {path} cannot be written: {error.strerror}",
            f"keep it yourself and give it with --token: {plain}",
        ) from error
