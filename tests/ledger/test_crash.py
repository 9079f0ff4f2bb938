"""Killed at any point, the ledger has lost nothing that it acknowledged and doubled nothing."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import make_url, select

from dispensed.ledger import audit, read
from dispensed.ledger import tables as t
from dispensed.ledger.engine import Store
from tests.ledger.book import ITEM, LOT, SHELF, SHELF2, stocked

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def _start(url: str, run: str, bytes_max: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ledger.writer", url, run, str(bytes_max)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def _acknowledged(process: subprocess.Popen[bytes], wanted: int) -> list[str]:
    """Read so many acknowledgements, kill the process, and read those that were under way."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(wanted)]
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate(timeout=60)
    complete = [line for line in (*lines, *rest.splitlines(keepends=True)) if line.endswith(b"\n")]
    return [line.split()[1].decode() for line in complete]


def test_no_acknowledged_write_is_lost_and_none_is_doubled_when_the_writer_is_killed(
    ledger_url: str,
) -> None:
    with Store.open(ledger_url) as store:
        store.write_sync(lambda tx: stocked(tx, 100_000))
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    known: set[str] = set()
    for number in range(ROUNDS):
        process = _start(ledger_url, f"run{number}")
        known.update(_acknowledged(process, chance.randrange(1, 80)))
        with Store.open(ledger_url) as store:
            booked = store.read_sync(lambda tx: tx.scalars(select(t.movement.c.request_id)).all())
            report = store.read_sync(audit.verify)
            book = store.read_sync(lambda tx: read.book_of(tx, SHELF2))
        assert known <= set(booked), f"seed {seed}"
        assert len(booked) == len(set(booked))
        assert report.findings == (), f"seed {seed}"
        assert book == {(ITEM, LOT): (len(booked) - 1) * 1000}


def test_a_disk_that_fills_up_stops_the_store_and_loses_nothing_acknowledged(
    sqlite_url: str,
) -> None:
    with Store.open(sqlite_url) as store:
        store.write_sync(lambda tx: stocked(tx, 100_000))
    size = Path(make_url(sqlite_url).database or "").stat().st_size
    process = _start(sqlite_url, "full", size + 300_000)
    said, _ = process.communicate(timeout=100)
    lines = said.decode().splitlines()
    known = {line.split()[1] for line in lines if line.startswith("ack ")}
    stopped = [line for line in lines if line.startswith("read-only ")]
    assert len(stopped) == 4
    assert all("a commit failed" in line or "the storage failed" in line for line in stopped)
    with Store.open(sqlite_url) as store:
        booked = store.read_sync(lambda tx: tx.scalars(select(t.movement.c.request_id)).all())
        assert store.read_sync(audit.verify).findings == ()
        assert store.read_sync(lambda tx: read.book_of(tx, SHELF))
    assert known
    assert known <= set(booked)
