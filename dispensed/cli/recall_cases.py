"""Commands for recall cases: list and show them, take in notices, answer, decide, sign, close."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import click

from dispensed.cli.base import (
    Failure,
    json_option,
    settings_of,
    told,
    write_fields,
    write_json,
    write_table,
)
from dispensed.cli.client import Json, daemon_of
from dispensed.cli.offline import opened_site
from dispensed.cli.shapes import amount, text
from dispensed.cli.work import token_option
from dispensed.model.quantity import format_milli
from dispensed.services import recall_detail, recall_export
from dispensed.services.recall_detail import CaseDetail
from dispensed.web.schemas import Page
from dispensed.web.schemas_recalls import CaseDetailOut, CaseOut, UnresolvedOut

BATCH_BYTES = 4_000_000
"""Bytes of notices that go to the daemon in one request."""
SHOWN_MAX = 1000
"""Rows that one list shows."""
STATES = ("open", "review", "not_stocked", "closed", "all")


@click.command("list")
@click.option("--state", type=click.Choice(STATES), default="open", show_default=True)
@json_option
@click.pass_context
@told
def list_cases(ctx: click.Context, state: str, *, as_json: bool) -> None:
    """Show recall cases, when their answers are due and whether they are late."""
    wanted = None if state == "all" else state
    with opened_site(settings_of(ctx)) as site:
        now = site.now()
        rows = asyncio.run(recall_detail.cases(site, state=wanted, limit=SHOWN_MAX))
    if as_json:
        page: Page[CaseOut] = Page(rows=[CaseOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("case", "recall", "class", "state", "due", "late", "product"),
        [
            (
                str(row.id),
                row.reference,
                row.recall_class or "not yet",
                row.state,
                row.due_at.isoformat(" ", "minutes"),
                "late" if row.state == "open" and row.due_at < now else "",
                row.product[:60],
            )
            for row in rows
        ],
        right=frozenset({"case"}),
    )


@click.command("show")
@click.argument("case_id", type=int)
@json_option
@click.pass_context
@told
def show(ctx: click.Context, case_id: int, *, as_json: bool) -> None:
    """Show one case: its lots, places with their answers, dispenses, sums, what is missing."""
    with opened_site(settings_of(ctx)) as site:
        detail = asyncio.run(recall_detail.case(site, case_id))
    if as_json:
        write_json(CaseDetailOut.of(detail).model_dump(mode="json"))
        return
    _show(detail)


def _show(detail: CaseDetail) -> None:
    row = detail.row
    signed = [each.actor for each in detail.signatures if each.round == row.round]
    write_fields(
        {
            "case": f"{row.id}  {row.reference}  class {row.recall_class or 'not yet given'}",
            "state": f"{row.state}{', late' if detail.overdue else ''}",
            "due": row.due_at.isoformat(" ", "minutes"),
            "product": row.product,
            "reason": row.reason,
            "signed by": ", ".join(signed),
        }
    )
    click.echo("\nLots")
    write_table(
        ("code or item", "lot", "expiry", "items here"),
        [
            (
                line.ndc or line.item_id or "",
                line.lot or "all",
                line.expiry or "",
                " ".join(line.items) or "none",
            )
            for line in detail.lines
        ],
    )
    click.echo("Places")
    write_table(
        ("place", "item", "lot", "state", "found", "moved", "to", "by"),
        [
            (
                task.location_id,
                task.item_id,
                task.lot,
                task.state,
                "" if task.found is None else f"{format_milli(task.found)} {task.unit}",
                "" if task.moved is None else format_milli(task.moved),
                task.target or "",
                task.actor or "",
            )
            for task in detail.tasks
        ],
        right=frozenset({"found", "moved"}),
    )
    click.echo(f"Dispensed: {len(detail.issues)} times; `recalls export` lists the opaque keys")
    for blocker in detail.blockers:
        click.echo(f"Not ready: {blocker}")


@click.command("unresolved")
@click.option("--likely", is_flag=True, help="Only what lots here may be meant by.")
@json_option
@click.pass_context
@told
def unresolved(ctx: click.Context, *, likely: bool, as_json: bool) -> None:
    """Show the parts of notices that wait for a person; `recalls decide` settles one."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(recall_detail.unresolved(site, likely=likely, limit=SHOWN_MAX))
    if as_json:
        page: Page[UnresolvedOut] = Page(rows=[UnresolvedOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("part", "recall", "field", "text", "why", "may mean"),
        [
            (
                str(row.id),
                row.recall_number,
                row.field,
                row.text[:60],
                row.reason,
                " ".join(f"{key.item_id}/{key.lot}" for key in row.candidates),
            )
            for row in rows
        ],
        right=frozenset({"part"}),
    )


@click.command("export")
@click.argument("case_id", type=int)
@click.option(
    "--zip",
    "archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a zip of CSV, JSON and notices there.",
)
@json_option
@click.pass_context
@told
def export(ctx: click.Context, case_id: int, archive: Path | None, *, as_json: bool) -> None:
    """Write the documents of a case: one JSON document, or with --zip an archive."""
    with opened_site(settings_of(ctx)) as site:
        detail = asyncio.run(recall_detail.case(site, case_id))
    if archive is None:
        write_json(recall_export.document(detail))
        return
    try:
        archive.write_bytes(recall_export.archive(detail))
    except OSError as error:
        raise Failure(f"{archive}: {error.strerror}", "name a file that can be written") from error
    if as_json:
        write_json({"written": str(archive)})
    else:
        click.echo(f"written to {archive}")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@token_option
@json_option
@click.pass_context
@told
def import_file(ctx: click.Context, file: Path, token: str | None, *, as_json: bool) -> None:
    """Take in the FDA enforcement records of FILE: an openFDA document, or JSON lines."""
    total: dict[str, int] = {"stored": 0, "known": 0, "read": 0, "parts": 0}
    unreadable: list[object] = []
    opened: list[object] = []
    with daemon_of(ctx, token) as daemon:
        for content in _batches(_read(file)):
            answer = daemon.post("/recalls/notices", {"content": content, "source": file.name})
            for name in total:
                total[name] += int(text(answer, name))
            unreadable += _listed(answer, "unreadable")
            opened += _listed(answer, "opened")
    if as_json:
        write_json({**total, "opened": opened, "unreadable": unreadable})
    else:
        write_fields(
            {
                "new notices": str(total["stored"]),
                "known before": str(total["known"]),
                "cases that hold lots": ", ".join(map(str, opened)) or "none",
                "parts for a person": str(total["parts"]),
            }
        )
    if unreadable:
        raise Failure(
            f"{len(unreadable)} not readable: {unreadable[0]}", "they are kept; look at the file"
        )


def _listed(answer: Json, key: str) -> list[object]:
    value = answer[key]
    return value if isinstance(value, list) else []


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file} cannot be read: {error}", "name a file in UTF-8") from error


def _batches(content: str) -> Iterator[str]:
    """Divide a file into requests of a bounded size: whole records each, in JSON lines."""
    try:
        whole: object = json.loads(content)
    except ValueError:
        lines = content.splitlines()
    else:
        records = whole.get("results") if isinstance(whole, dict) else whole
        listed = records if isinstance(records, list) else [whole]
        lines = [json.dumps(record, ensure_ascii=False) for record in listed]
    batch: list[str] = []
    size = 0
    for line in filter(str.strip, lines):
        if batch and size + len(line.encode()) > BATCH_BYTES:
            yield "\n".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line.encode())
    if batch:
        yield "\n".join(batch)


@click.command("open")
@click.argument("reference")
@click.option("--item", "items", multiple=True, help="Item id; may be given several times.")
@click.option("--ndc", "codes", multiple=True, help="NDC with dashes, of a package or a product.")
@click.option("--lot", "lots", multiple=True, help="Lot number; may be given several times.")
@click.option("--all-lots", is_flag=True, help="Recall every lot.")
@click.option("--class", "recall_class", type=click.Choice(["I", "II", "III"]), help="Class.")
@click.option("--reason", required=True, help="Why it is recalled.")
@token_option
@json_option
@click.pass_context
@told
def open_case(ctx: click.Context, /, token: str | None, *, as_json: bool, **given: object) -> None:
    """Open the recall REFERENCE by hand; its lots are held everywhere at once."""
    lots: list[str | None] = [*_texts(given, "lots")]
    if bool(lots) == bool(given["all_lots"]):
        raise Failure("which lots are recalled?", "give --lot, or --all-lots")
    wanted = lots or [None]
    lines = [
        {name: value, "lot": lot}
        for name, key in (("item_id", "items"), ("ndc", "codes"))
        for value in _texts(given, key)
        for lot in wanted
    ]
    if not lines:
        raise Failure("what is recalled?", "give --item or --ndc")
    body: Json = {
        "reference": given["reference"],
        "recall_class": given["recall_class"] or "",
        "reason": given["reason"],
        "lines": lines,
    }
    _post(ctx, token, "/recalls/cases", body, as_json=as_json)


def _texts(given: dict[str, object], key: str) -> list[str]:
    value = given[key]
    return [str(each) for each in value] if isinstance(value, tuple) else []


@click.command("answer")
@click.argument("case_id", type=int)
@click.argument("item_id")
@click.argument("lot")
@click.argument("location_id")
@click.argument("found")
@click.option("--to", "target", default="outdate", show_default=True, help="Where it was put.")
@click.option("--note", default="", help="What else is to be said.")
@click.option("--request-id", help="Repeat an earlier request under its id.")
@token_option
@json_option
@click.pass_context
@told
def answer(
    ctx: click.Context, /, case_id: int, token: str | None, *, as_json: bool, **given: str | None
) -> None:
    """Tell that FOUND of LOT was found at LOCATION_ID and pulled; 0 is an answer too."""
    request_id = given.pop("request_id") or str(uuid4())
    body: Json = {**given, "request_id": request_id}
    with daemon_of(ctx, token) as daemon:
        path = f"/recalls/cases/{case_id}/answers"
        done = daemon.post(path, body, request_id=request_id)
    if as_json:
        write_json(done)
        return
    fields = {"place": text(done, "location_id"), "found": amount(done, "found")}
    write_fields({**fields, "moved": f"{amount(done, 'moved')} to {text(done, 'target') or '-'}"})


@click.command("decide")
@click.argument("part_id", type=int)
@click.option("--match", "matches", multiple=True, help="ITEM or ITEM/LOT that is meant.")
@click.option("--no-match", is_flag=True, help="Nothing of it is here.")
@click.option("--reason", required=True, help="How it was found out.")
@token_option
@json_option
@click.pass_context
@told
def decide(ctx: click.Context, /, part_id: int, token: str | None, **given: object) -> None:
    """Decide what part PART_ID of a notice means (see `recalls unresolved`)."""
    matches = _texts(given, "matches")
    if bool(matches) == bool(given["no_match"]):
        raise Failure("match or no match?", "give --match ITEM/LOT, or --no-match")
    targets = [
        {"item_id": item, "lot": lot or None}
        for item, _, lot in (each.partition("/") for each in matches)
    ]
    body: Json = {"match": bool(matches), "reason": given["reason"], "targets": targets}
    path = f"/recalls/unresolved/{part_id}/decision"
    _post(ctx, token, path, body, as_json=bool(given["as_json"]))


@click.command("sign")
@click.argument("case_id", type=int)
@click.option("--statement", required=True, help="What you vouch for.")
@token_option
@json_option
@click.pass_context
@told
def sign(
    ctx: click.Context, case_id: int, statement: str, token: str | None, *, as_json: bool
) -> None:
    """Sign a case that is ready to close; each person with a token of their own."""
    with daemon_of(ctx, token) as daemon:
        signed = daemon.post(f"/recalls/cases/{case_id}/signatures", {"statement": statement})
    if as_json:
        write_json(signed)
    else:
        click.echo(f"case {case_id} is signed")


@click.command("close")
@click.argument("case_id", type=int)
@click.option("--reason", required=True, help="What became of the lots.")
@token_option
@json_option
@click.pass_context
@told
def close(
    ctx: click.Context, case_id: int, reason: str, token: str | None, *, as_json: bool
) -> None:
    """Close a signed case whose quantities add up; its lots stay blocked."""
    _post(ctx, token, f"/recalls/cases/{case_id}/close", {"reason": reason}, as_json=as_json)


def _post(ctx: click.Context, token: str | None, path: str, body: Json, *, as_json: bool) -> None:
    """Send a change and show what it answers."""
    with daemon_of(ctx, token) as daemon:
        done = daemon.post(path, body)
    if as_json:
        write_json(done)
        return
    names = ("id", "reference", "state", "due_at", "decided_by")
    write_fields({name: text(done, name) for name in names})


COMMANDS = (
    list_cases,
    show,
    unresolved,
    export,
    import_file,
    open_case,
    answer,
    decide,
    sign,
    close,
)
"""What joins `recalls parse` in one group."""
