"""Measures a back-dated fact in a long journal; compares `as_of` with a replay at many instants.

The replay is Python's own over the rows as they are stored. Prints a line a figure.
"""

import hashlib
import random
import statistics
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from dispensed.ledger import as_of, audit, post
from dispensed.ledger.as_of import TimeSense
from dispensed.ledger.database import Access, make_engine, store_url
from dispensed.ledger.engine import Store, Tx, upgrade
from dispensed.ledger.journal import Cell
from dispensed.ledger.post import Move
from dispensed.ledger.stamp import Stamp
from dispensed.model.movement import MovementKind
from tests.benchmarks import bulk
from tests.pg import running_server

FACTS = 100


def digest(tx: Tx, last: int) -> str:
    """Return a fingerprint of every stored column of the movements up to one."""
    seen = hashlib.sha256()
    rows = text("SELECT * FROM movement WHERE id <= :last ORDER BY id")
    for row in tx.execute(rows.execution_options(yield_per=10_000), {"last": last}):
        seen.update(repr(tuple(row)).encode())
    return seen.hexdigest()


def measure(url: str, movements: int, instants: int) -> None:
    """Fill a ledger, record facts of the past, compare; prints what it took."""
    upgrade(url)
    engine = make_engine(store_url(url), Access.WRITE)
    began = time.monotonic()
    with engine.begin() as tx:
        bulk.fill(tx, movements)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as settling:
        settling.execute(text("ANALYZE"))
    engine.dispose()
    with Store.open(url) as store:
        _say(store, "movements written", f"{movements / (time.monotonic() - began):8.0f} /s")
        _facts(store, movements)
        _compare(store, TimeSense.OCCURRED, instants)
        _compare(store, TimeSense.RECORDED, instants)
        report = store.read_sync(audit.verify)
        _say(store, "verify", "clean" if report.ok else f"NOT CLEAN: {report.findings[:3]}")


def _facts(store: Store, movements: int) -> None:
    chance = random.Random(2)
    before = store.read_sync(lambda tx: digest(tx, movements))
    took = []
    for number in range(FACTS):
        item_id, lot = f"item-{chance.randrange(bulk.ITEMS):03}", "L0"
        found = Move(
            kind=MovementKind.FOUND,
            item_id=item_id,
            lot=lot,
            source="ext:found",
            target=f"bin/{number % bulk.BINS:02}",
            milli=1000,
            request_id=f"late:{number}",
            occurred_at=bulk.BEGAN + bulk.YEAR * chance.random(),
        )
        stamp = Stamp("bench", bulk.BEGAN + bulk.YEAR + timedelta(seconds=number), "told late")
        began = time.monotonic()
        store.write_sync(lambda tx, found=found, stamp=stamp: post.post_fact(tx, found, stamp))  # type: ignore[misc] # bound now
        took.append(time.monotonic() - began)
    after = store.read_sync(lambda tx: digest(tx, movements))
    _say(store, "back-dated fact, median", f"{1000 * statistics.median(took):8.1f} ms")
    _say(store, "back-dated fact, longest", f"{1000 * max(took):8.1f} ms")
    _say(store, "past rows", "unchanged" if before == after else "CHANGED")


def _compare(store: Store, by: TimeSense, instants: int) -> None:
    chance = random.Random(3)
    span = bulk.YEAR + timedelta(days=6)
    begin = bulk.BEGAN - timedelta(days=3)
    wanted = sorted(begin + span * chance.random() for _ in range(instants))
    took: list[float] = []
    differing = 0

    def check(tx: Tx) -> None:
        nonlocal differing
        # `by` is the name of a column's beginning, never text from outside.
        order = text(
            "SELECT item_id, lot, source, target, milli,"  # noqa: S608
            f" {by.value}_at AS at FROM movement ORDER BY {by.value}_at"
        ).columns(at=as_of.TIMES[by].type)
        rows = iter(tx.execute(order.execution_options(yield_per=10_000)))
        cells: Counter[Cell] = Counter()
        row = next(rows, None)
        for at in wanted:
            while row is not None and row.at <= at:
                cells[Cell(row.item_id, row.lot, row.target)] += row.milli
                cells[Cell(row.item_id, row.lot, row.source)] -= row.milli
                row = next(rows, None)
            expected = {cell: milli for cell, milli in cells.items() if milli}
            began = time.monotonic()
            found = store.read_sync(lambda other, at=at: as_of.balances_as_of(other, at, by=by))  # type: ignore[misc] # bound now
            took.append(time.monotonic() - began)
            differing += found != expected

    store.read_sync(check)
    name = f"as of, {by}"
    _say(store, f"{name}, median", f"{1000 * statistics.median(took):8.0f} ms")
    _say(store, f"{name}, longest", f"{1000 * max(took):8.0f} ms")
    _say(store, f"{name}, {instants} instants", f"{differing:8} differ from the replay")


def _say(store: Store, name: str, value: str) -> None:
    print(f"{store.dialect:10}  {name:34}  {value}", flush=True)


def both(movements: int, instants: int) -> None:
    """Measure on SQLite, then on PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        measure(f"sqlite:///{Path(folder) / 'bench.db'}", movements, instants)
    with running_server(fsync=True) as server:
        measure(server.create(), movements, instants)
