"""What every command shares: settings, failures with a next step, output as table or as JSON."""

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import click

from dispensed.cli.main import CONFIG_PLACES, CONFIG_VARIABLE
from dispensed.errors import DispensedError
from dispensed.settings import ConfigError, DeviceCheck, Settings, load

PIPED_WIDTH = 240
"""Columns of a table that goes into a pipe or file."""

P = ParamSpec("P")
R = TypeVar("R")

NEXT_STEPS: Mapping[str, str] = {
    "schema_outdated": "run `dispensed db upgrade`",
    "store_unavailable": "check database.url and its folder, then run the command again",
    "store_read_only": "free or repair the storage, then run the command again",
    "bad_store_url": "correct database.url",
    "cannot_listen": "stop the other program, or choose another http.port",
    "token_exists": "choose another name",
    "bad_formulary": "correct the named lines; nothing of the file was taken",
}


class Instant(click.ParamType[datetime]):
    """A time in ISO form, such as `2026-11-01T08:00`; a date alone is the beginning of that day."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read it; one without a zone stays without."""
        try:
            return datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-01T08:00", param, ctx)


INSTANT = Instant()


class Failure(click.ClickException):
    """A command that did not do what was asked: what happened, and what to do next."""

    exit_code = 1

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice

    def show(self, file: object = None) -> None:
        """Write both to standard error."""
        del file
        click.echo(f"Error: {self.message}", err=True)
        if self.advice:
            click.echo(f"Next: {self.advice}", err=True)


class BadUsage(Failure):
    """The command or the configuration is wrong; nothing was tried."""

    exit_code = 2


class Unreachable(Failure):
    """The daemon did not answer."""

    exit_code = 3


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--json`, passed to it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def told(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors of dispensed into a Failure with a next step."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            fail_config(error)
        except DispensedError as error:
            advice = NEXT_STEPS.get(error.code, "correct what is named and run the command again")
            raise Failure(str(error), advice) from error

    return wrapped


def fail_config(error: ConfigError) -> NoReturn:
    """End with every fault of the configuration."""
    count = len(error.faults)
    word = "fault" if count == 1 else "faults"
    raise BadUsage(
        f"{count} {word} in the configuration\n{error}",
        "correct them, then run `dispensed config check`",
    ) from error


def config_path(ctx: click.Context) -> Path:
    """Return which configuration file is meant."""
    root = ctx.find_root()
    if isinstance(root.obj, Path):
        return root.obj
    for place in CONFIG_PLACES:
        if place.is_file():
            return place
    places = " and ".join(str(place) for place in CONFIG_PLACES)
    raise BadUsage(
        f"no configuration: neither {places} exists",
        f"name the file with --config or {CONFIG_VARIABLE}; `dispensed config example` prints one",
    )


def settings_of(ctx: click.Context, *, check_device: DeviceCheck | None = None) -> Settings:
    """Load the configuration; raises ConfigError."""
    return load(config_path(ctx), os.environ, check_device=check_device)


def write_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """End without a traceback when the reader of a pipe goes away."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str] = frozenset()
) -> None:
    """Print a table for people; columns in `right` are aligned to the right."""
    if not rows:
        click.echo("none")
        return
    from rich import box  # noqa: PLC0415 - loaded only when a table is printed
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    with quiet_pipe():
        console.print(table)


def write_fields(fields: Mapping[str, str]) -> None:
    """Print one thing, a line for each field that is not empty."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        if value:
            click.echo(f"{name:<{width}}  {value}")
