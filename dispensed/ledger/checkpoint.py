"""Copies SQLite's write-ahead log into the database file, away from the writer thread."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

from dispensed.ledger.database import WAL_LIMIT_BYTES, is_broken

INTERVAL_S = 1
"""Shortest time between two checkpoints."""
TRUNCATE_WAIT_S = 1
"""How long the writer waits for readers when it cuts the log itself."""


class Checkpointer:
    """Runs a passive checkpoint at most once a second while something is written.

    A passive checkpoint never waits for anyone. Under a load that never pauses the log can still
    grow: `written`, called by the writer between transactions, cuts it back beyond WAL_LIMIT_BYTES,
    and if readers prevent that tries again each time it has grown as much again. `broken` is told
    when the storage fails. On PostgreSQL this does nothing.
    """

    def __init__(self, url: URL, broken: Callable[[str], None]) -> None:
        file = url.database if url.get_backend_name() == "sqlite" else None
        self._file = file or ""
        self._wal = Path(f"{file}-wal") if file else None
        self._limit_bytes = WAL_LIMIT_BYTES
        self._broken = broken
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ledger-checkpoint", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        if self._wal is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it; the log is left to the last connection that closes."""
        self._stop.set()
        self._dirty.set()
        if self._thread.ident is not None:
            self._thread.join()

    def written(self) -> None:
        """Note that there is something to copy; cuts the log when it has grown too long."""
        if self._wal is None:
            return
        self._dirty.set()
        if self._wal_bytes() > self._limit_bytes:
            self._checkpoint("TRUNCATE")
            self._limit_bytes = self._wal_bytes() + WAL_LIMIT_BYTES

    def _wal_bytes(self) -> int:
        return self._wal.stat().st_size if self._wal is not None and self._wal.exists() else 0

    def _loop(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._dirty.wait()
            self._dirty.clear()
            self._checkpoint("PASSIVE")

    def _checkpoint(self, mode: str) -> None:
        """Run one checkpoint; one that finds the database locked is made up for by the next."""
        try:
            with closing(sqlite3.connect(self._file, timeout=TRUNCATE_WAIT_S)) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        except sqlite3.Error as error:
            if is_broken(error):
                self._broken(f"a checkpoint failed: {error}")
