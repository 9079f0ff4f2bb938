"""Recall notices: read their text into products, lots and expiries."""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import click

from dispensed.cli.base import Failure, json_option, quiet_pipe, told
from dispensed.cli.recall_cases import COMMANDS
from dispensed.exchange.recalls.notice import Notice, read_notices
from dispensed.exchange.recalls.parse import ParsedRecall, Unresolved, parse

_GZIP = b"\x1f\x8b"
_AROUND = 60
"""How many characters are shown on each side of a text that was not resolved."""


@click.group()
def recalls() -> None:
    """Read recall notices; work on recall cases."""


for _command in COMMANDS:
    recalls.add_command(_command)


@recalls.command("parse")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@json_option
@told
def parse_command(file: Path, *, as_json: bool) -> None:
    """Read the notices of FILE: openFDA JSON or JSON lines, also gzipped; `-` is standard input.

    With --json one object a line: recall_number, all_lots, pairs, unresolved. Works without a
    daemon and without a configuration.
    """
    notices = read_notices(_text_of(file))
    with quiet_pipe():
        for notice in notices:
            parsed = parse(notice)
            if as_json:
                click.echo(json.dumps(_out(parsed), ensure_ascii=False))
            else:
                for line in _shown(notice, parsed):
                    click.echo(line)


def _text_of(file: Path) -> str:
    """Return the text of a file or of standard input, unpacked."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        if data.startswith(_GZIP):
            data = gzip.decompress(data)
        return data.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise Failure(
            f"{file} cannot be read: {error}", "name a file of recall notices in UTF-8"
        ) from error


def _out(parsed: ParsedRecall) -> dict[str, object]:
    return {
        "recall_number": parsed.recall_number,
        "all_lots": parsed.all_lots,
        "pairs": [
            {"ndc": pair.ndc, "lot": pair.lot, "expiry": pair.expiry} for pair in parsed.pairs
        ],
        "unresolved": [
            {
                "field": place.field,
                "start": place.start,
                "end": place.end,
                "text": place.text,
                "reason": place.reason,
            }
            for place in parsed.unresolved
        ],
    }


def _shown(notice: Notice, parsed: ParsedRecall) -> Iterator[str]:
    """Yield the lines that show one notice to a person."""
    yield f"{parsed.recall_number}  {notice.classification}".rstrip()
    if parsed.all_lots:
        yield "  all lots"
    for pair in parsed.pairs:
        yield f"  NDC {pair.ndc or '-'}  lot {pair.lot}  expiry {pair.expiry or '-'}"
    for place in parsed.unresolved:
        yield f"  not resolved, {place.field} {place.start}-{place.end}: {place.reason}"
        yield f"    {_highlighted(notice.text_of(place.field), place)}"


def _highlighted(text: str, place: Unresolved) -> str:
    """Return the place in its surroundings, marked; in colour on a terminal."""
    before = text[max(0, place.start - _AROUND) : place.start]
    after = text[place.end : place.end + _AROUND]
    middle = click.style(f">>{place.text}<<", fg="red", bold=True)
    return "".join(" ".join(part.splitlines()) for part in (before, middle, after))
