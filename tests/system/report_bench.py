"""A small pharmacy with three weeks behind it; short ways to make reports and to ask by hand."""

import asyncio
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from dispensed.ledger import catalog, dispenses, post
from dispensed.ledger.dispenses import NewDispense
from dispensed.ledger.engine import Tx
from dispensed.ledger.post import Move, Stamp
from dispensed.model.catalog import Location, LocationKind
from dispensed.model.dispensing import DispenseState
from dispensed.model.report import Report
from dispensed.services import reports
from dispensed.services.reports import Wanted
from dispensed.services.site import Site
from tests.ledger.book import (
    CONTROLLED,
    DISPENSED,
    FILL,
    ITEM,
    LATE_LOT,
    LOT,
    OPENING,
    ROBOT,
    SHELF,
    SHELF2,
    TODAY,
    K,
    furnish,
)

BEGIN = datetime(2026, 11, 2, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SINCE, UNTIL = date(2026, 11, 4), date(2026, 11, 20)
"""Whole days in New York: from 05:00 UTC to 05:00 UTC, the clocks having gone back on the 1st."""
FROM, TO = "2026-11-04T05:00:00+00:00", "2026-11-21T05:00:00+00:00"
HAND = "in-hand"

STEPS = (
    # hours after BEGIN, kind, item, lot, from, to, units
    (0, K.OPENING, ITEM, LOT, OPENING, SHELF, 100),
    (0, K.OPENING, ITEM, LATE_LOT, OPENING, SHELF2, 40),
    (0, K.OPENING, CONTROLLED, LOT, OPENING, SHELF, 80),
    (30, K.LOAD, ITEM, LATE_LOT, SHELF2, ROBOT, 40),
    (50, K.PICK, ITEM, LOT, SHELF, FILL, 60),
    (51, K.DISPENSE, ITEM, LOT, FILL, DISPENSED, 60),
    (60, K.OUTPUT, ITEM, LATE_LOT, ROBOT, FILL, 40),
    (61, K.PUTBACK, ITEM, LATE_LOT, FILL, SHELF2, 10),
    (61, K.DISPENSE, ITEM, LATE_LOT, FILL, DISPENSED, 30),
    (100, K.LOAD, CONTROLLED, LOT, SHELF, ROBOT, 50),
    (110, K.REMOVE, CONTROLLED, LOT, ROBOT, HAND, 2),
    (111, K.GIVE, CONTROLLED, LOT, HAND, DISPENSED, 2),
    (120, K.PICK, ITEM, LOT, SHELF, FILL, 40),
    (121, K.DISPENSE, ITEM, LOT, FILL, DISPENSED, 40),
    (200, K.OPENING, ITEM, LOT, OPENING, SHELF, 25),
    (300, K.RETURN_TO_STOCK, ITEM, LATE_LOT, DISPENSED, SHELF2, 5),
    (480, K.WASTE, ITEM, LATE_LOT, SHELF2, "ext:waste", 1),
)


def fill(tx: Tx) -> None:
    furnish(tx)
    stamp = Stamp("tess", BEGIN)
    catalog.put_location(tx, Location(HAND, LocationKind.IN_HAND), stamp)
    asked = ((50, 60), (60, 30), (121, 40), (130, 30))
    ordered = [_order(tx, n, hours, units) for n, (hours, units) in enumerate(asked, start=1)]
    by_hour = dict(
        zip((50, 51, 60, 61, 120, 121), (n for n in ordered for _ in "io"), strict=False)
    )
    for number, (hours, kind, item, lot, source, target, units) in enumerate(STEPS):
        move = Move(
            kind=kind,
            item_id=item,
            lot=lot,
            source=source,
            target=target,
            milli=units * 1000,
            request_id=f"step:{number}",
            occurred_at=BEGIN + hours * HOUR,
            dispense_id=by_hour.get(hours),
        )
        if kind is K.DISPENSE and hours in (51, 61):
            _settle(tx, by_hour[hours], move.milli)
        # Every fact is told a day late, but for the first.
        at = move.occurred_at + (DAY if hours else 0 * DAY)
        post.post(tx, move, Stamp("tess", at, "=1+1"), on_date=TODAY)
    undone = BEGIN + 122 * HOUR
    post.reverse(tx, 14, request_id="undo", occurred_at=undone, stamp=Stamp("pat", undone + DAY))


def _settle(tx: Tx, number: int, milli: int) -> None:
    stamp = Stamp("pat", BEGIN)
    for state in (DispenseState.RESERVED, DispenseState.COMMANDED):
        dispenses.set_state(tx, number, state, stamp)
    dispenses.set_state(tx, number, DispenseState.COUNTED, stamp, counted_milli=milli)
    dispenses.set_state(tx, number, DispenseState.VERIFIED, stamp, verified_by="pat")
    dispenses.set_state(tx, number, DispenseState.SETTLED, stamp)


def _order(tx: Tx, number: int, hours: int, units: int) -> int:
    milli, patient = units * 1000, f"p-{number}"
    new = NewDispense(f"rx{number}", f"ask:{number}", ITEM, milli, patient, 5, "hand")
    return dispenses.create(tx, new, Stamp("tess", BEGIN + hours * HOUR)).id


def of(site: Site, name: str, **wanted: object) -> Report:
    return asyncio.run(reports.make(site, name, Wanted(**wanted)))  # type: ignore[arg-type] # as named


def totals(report: Report) -> dict[str, int]:
    return {total.label: total.value for total in report.totals}


def cells(report: Report, *keys: str) -> list[tuple[object, ...]]:
    places = [next(n for n, c in enumerate(report.columns) if c.key == key) for key in keys]
    return [tuple(row[place] for place in places) for row in report.rows]


def sql(site: Site, query: str, **values: object) -> int:
    """Ask the journal by hand; `:begin` and `:end` are the period as the database keeps times."""
    begin, end = datetime.fromisoformat(FROM), datetime.fromisoformat(TO)
    times: dict[str, object] = {"begin": begin, "end": end}
    if site.store.dialect == "sqlite":
        times = {"begin": int(begin.timestamp()) * 10**6, "end": int(end.timestamp()) * 10**6}
    values = {name: value for name, value in (times | values).items() if f":{name}" in query}
    return int(site.store.read_sync(lambda tx: tx.execute(text(query), values).scalar()) or 0)


IN_PERIOD = " AND occurred_at >= :begin AND occurred_at < :end"
PERIOD = {"since": SINCE, "until": UNTIL}


def stored(site: Site, at: datetime) -> object:
    """Return an instant as the database keeps it."""
    return int(at.timestamp()) * 10**6 if site.store.dialect == "sqlite" else at
