"""Commands that read the ledger, also while the daemon is down: stock, lots, movements, verify."""

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from dispensed.cli.base import (
    INSTANT,
    Failure,
    json_option,
    settings_of,
    told,
    write_json,
    write_table,
)
from dispensed.cli.offline import opened_site
from dispensed.ledger import audit
from dispensed.ledger.as_of import AsOfRow, TimeSense
from dispensed.model.quantity import format_milli
from dispensed.services import stock as services
from dispensed.web.schemas import LotOut, MovementOut, Page, StockAsOfOut, StockOut

NUMBERS = frozenset({"on hand", "held", "blocked", "available", "quantity", "id", "dispense"})
LIMIT_MAX = 100_000
ANCHORS_FILE = "anchors.jsonl"


@click.command()
@click.option("--item", help="Only this item.")
@click.option("--lot", help="Only this lot.")
@click.option("--location", help="Only this place.")
@click.option(
    "--as-of",
    "at",
    type=INSTANT,
    help="What lay there at a time such as 2026-11-01T08:00, in the site's zone or in its own.",
)
@click.option(
    "--by",
    type=click.Choice([each.value for each in TimeSense]),
    default=TimeSense.OCCURRED.value,
    show_default=True,
    help="With --as-of: as it is known now (occurred), or as the book said then (recorded).",
)
@json_option
@click.pass_context
@told
def stock(  # noqa: PLR0913 - the filters of one query
    ctx: click.Context,
    item: str | None,
    lot: str | None,
    location: str | None,
    at: datetime | None,
    by: str,
    *,
    as_json: bool,
) -> None:
    """Show what is on hand, held, blocked and available, by item, lot and place."""
    with opened_site(settings_of(ctx)) as site:
        if at is not None:
            instant = at if at.utcoffset() is not None else at.replace(tzinfo=site.zone)
            then = asyncio.run(
                services.stock_as_of(
                    site, instant, by=TimeSense(by), item_id=item, lot=lot, location=location
                )
            )
            _write_then(then, as_json=as_json)
            return
        rows = asyncio.run(services.stock(site, item_id=item, lot=lot, location=location))
    if as_json:
        page: Page[StockOut] = Page(rows=[StockOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    heads = ("item", "name", "lot", "expiry", "state", "place")
    amounts = ("on hand", "held", "blocked", "available", "unit")
    write_table(
        (*heads, *amounts),
        [
            (
                row.item_id,
                f"{row.name} {row.strength}",
                row.lot,
                str(row.expiry or "unknown"),
                row.lot_state,
                row.location_id,
                format_milli(row.on_hand),
                format_milli(row.held),
                format_milli(row.blocked),
                format_milli(row.available),
                row.unit,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


def _write_then(rows: Sequence[AsOfRow], *, as_json: bool) -> None:
    if as_json:
        page: Page[StockAsOfOut] = Page(rows=[StockAsOfOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("item", "name", "lot", "expiry", "place", "on hand", "unit"),
        [
            (
                row.item_id,
                f"{row.name} {row.strength}",
                row.lot,
                str(row.expiry or "unknown"),
                row.location_id,
                format_milli(row.milli),
                row.unit,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@click.command()
@click.option("--item", help="Only lots of this item.")
@click.option(
    "--expiring-days", type=click.IntRange(0, 36_500), help="Only lots that expire so soon."
)
@json_option
@click.pass_context
@told
def lots(ctx: click.Context, item: str | None, expiring_days: int | None, *, as_json: bool) -> None:
    """Show lots with stock, the earliest expiry first."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(services.lots(site, item_id=item, expiring_days=expiring_days))
    if as_json:
        page: Page[LotOut] = Page(rows=[LotOut.of(row) for row in rows])
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        ("item", "name", "lot", "expiry", "state", "usable", "on hand", "unit"),
        [
            (
                row.item_id,
                row.name,
                row.lot,
                str(row.expiry or "unknown"),
                "expired" if row.expired else row.state,
                "yes" if row.usable else "no",
                format_milli(row.on_hand),
                row.unit,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@click.command()
@click.option("--item", help="Only this item.")
@click.option("--lot", help="Only this lot.")
@click.option("--location", help="Only from or to this place.")
@click.option("--dispense", type=click.IntRange(1), help="Only of this dispense.")
@click.option("--after", type=click.IntRange(0), default=0, help="Only after this id.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=100, show_default=True)
@json_option
@click.pass_context
@told
def movements(  # noqa: PLR0913 - the filters of one query
    ctx: click.Context,
    item: str | None,
    lot: str | None,
    location: str | None,
    dispense: int | None,
    after: int,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show the journal by ascending id."""
    with opened_site(settings_of(ctx)) as site:
        rows = asyncio.run(
            services.movements(
                site,
                after=after,
                limit=limit,
                item_id=item,
                lot=lot,
                location=location,
                dispense_id=dispense,
            )
        )
        zone = site.zone
    if as_json:
        following = rows[-1].id if len(rows) == limit else None
        shown = [MovementOut.of(row) for row in rows]
        page: Page[MovementOut] = Page(rows=shown, next_after=following)
        write_json(page.model_dump(mode="json"))
        return
    write_table(
        (
            "id",
            "when",
            "kind",
            "item",
            "lot",
            "from",
            "to",
            "quantity",
            "unit",
            "dispense",
            "actor",
        ),
        [
            (
                str(row.id),
                f"{row.occurred_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
                row.kind,
                f"{row.item_id} {row.name}",
                row.lot,
                row.source,
                row.target,
                format_milli(row.milli),
                row.unit,
                str(row.dispense_id or ""),
                row.actor,
            )
            for row in rows
        ],
        right=NUMBERS,
    )


@click.command()
@click.option(
    "--findings",
    "file",
    type=click.File("w", encoding="utf-8", lazy=False),
    help="Write every finding there, a JSON object a line; only the first 100 are printed.",
)
@json_option
@click.pass_context
@told
def verify(ctx: click.Context, file: TextIO | None, *, as_json: bool) -> None:
    """Recompute the journal's chain, all balances and holds; status 1 when anything is wrong.

    The end of a sound journal is kept as an anchor in state_dir, outside the database, and compared
    the next time. Nothing is ever repaired.
    """

    def tell(finding: audit.Finding) -> None:
        if file is not None:
            file.write(json.dumps(dataclasses.asdict(finding)) + "\n")

    settings = settings_of(ctx)
    anchors = settings.state_dir / ANCHORS_FILE
    with opened_site(settings) as site:
        known = anchors if anchors.exists() else None
        report = site.store.read_sync(lambda tx: audit.verify(tx, anchors=known, tell=tell))
        if report.ok:
            _anchor(anchors, report, site.now())
    if as_json:
        write_json({**dataclasses.asdict(report), "ok": report.ok})
    else:
        verdict = "clean" if report.ok else "NOT CLEAN"
        click.echo(
            f"{verdict}: {report.movements} movements, {report.balances} balances,"
            f" {report.reservations} holds and {report.anchors} anchors compared;"
            f" head {report.head_id} {report.head_hash}"
        )
    if not report.ok:
        lines = "\n".join(f"{each.subject}: {each.text}" for each in report.findings)
        raise Failure(
            f"{report.findings_total} findings; the first row that fails comes first\n{lines}",
            "stop the daemon, keep a copy of the database, compare it with a backup",
        )


def _anchor(file: Path, report: audit.VerifyReport, at: datetime) -> None:
    """Keep the ends of journal and audit trail; a reader who may not write there is told so."""
    end = audit.Head(report.head_id, report.head_hash)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        audit.write_anchor(file, end, at, report.events)
    except OSError as error:
        click.echo(f"Warning: no anchor was kept in {file}: {error.strerror}", err=True)
