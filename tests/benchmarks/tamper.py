"""Flips bytes of stored movements, through SQL and in the file, and asks `verify` to name each row.

A batch changes many rows of one SQLite ledger at once, each in one byte and none beside another, so
that every row has to be named for itself. A flip that leaves the row as it reads is not counted.
"""

import contextlib
import random
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dispensed.ledger import audit
from dispensed.ledger import tables as t
from dispensed.ledger.audit import Finding
from dispensed.ledger.database import Access, make_engine, store_url
from dispensed.ledger.engine import upgrade
from tests.benchmarks import bulk

MOVEMENTS = 1500
BATCH = 250
COLUMNS = tuple(column.name for column in t.movement.columns)
INT_BITS = 63
_NAMED = re.compile(r"movements? (\d+)(?: to (\d+))?")
Stored = tuple[object, ...]


class Victim:
    """A sound ledger in a file, damaged and mended batch by batch."""

    def __init__(self, file: Path, movements: int = MOVEMENTS) -> None:
        """Fill an empty ledger with so many movements."""
        self.file = file
        self._movements = movements
        engine = make_engine(store_url(f"sqlite:///{file}"), Access.WRITE)
        with engine.begin() as tx:
            bulk.fill(tx, movements)
        engine.dispose()
        with contextlib.closing(sqlite3.connect(self.file)) as plain:
            plain.execute("PRAGMA journal_mode=DELETE")
            for verb in ("update", "delete"):
                plain.execute(f"DROP TRIGGER movement_no_{verb}")
        self._sound = self.file.read_bytes()
        self._was = self._rows()

    def batch(self, chance: random.Random, count: int) -> tuple[dict[int, str], set[int]]:
        """Damage `count` rows; returns what was done to each changed row, and who was named."""
        self.file.write_bytes(self._sound)
        ids = chance.sample(range(1, self._movements + 1, 2), count)
        done = self._in_file(chance, ids) if chance.randrange(2) else self._by_sql(chance, ids)
        is_now = self._rows()
        changed = {i: how for i, how in done.items() if is_now.get(i) != self._was[i]}
        return changed, self.named()

    def named(self) -> set[int]:
        """Return the movements that `verify` names."""
        findings: list[Finding] = []
        engine = make_engine(store_url(f"sqlite:///{self.file}"), Access.READ)
        with engine.begin() as tx:
            audit.verify(tx, tell=findings.append)
        engine.dispose()
        named: set[int] = set()
        for finding in findings:
            match = _NAMED.fullmatch(finding.subject)
            if match:
                last = min(int(match[2] or match[1]), self._movements)
                named.update(range(int(match[1]), last + 1))
        return named

    def _rows(self) -> dict[int, Stored]:
        """Return every row byte by byte: text as its bytes, everything with its type."""
        shown = ", ".join(f"typeof({name}), CAST({name} AS BLOB)" for name in COLUMNS)
        with contextlib.closing(sqlite3.connect(self.file)) as plain:
            rows = plain.execute(f"SELECT id, {shown} FROM movement NOT INDEXED")  # noqa: S608
            return {row[0]: tuple(row[1:]) for row in rows}

    def _by_sql(self, chance: random.Random, ids: list[int]) -> dict[int, str]:
        done: dict[int, str] = {}
        with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as plain:
            plain.execute("PRAGMA ignore_check_constraints=ON")
            plain.execute("BEGIN")
            for number in ids:
                column = chance.choice(COLUMNS)
                query = f"SELECT typeof({column}), {column} FROM movement WHERE id = ?"  # noqa: S608
                kind, value = plain.execute(query, (number,)).fetchone()
                expression, bound = _changed(chance, kind, value)
                with contextlib.suppress(sqlite3.IntegrityError):  # NOT NULL, UNIQUE
                    plain.execute(
                        f"UPDATE movement SET {column} = {expression} WHERE id = ?",  # noqa: S608
                        (bound, number),
                    )
                    done[number] = f"{column}: {value!r} became {bound!r} by {expression}"
            plain.execute("COMMIT")
        return done

    def _in_file(self, chance: random.Random, ids: list[int]) -> dict[int, str]:
        damaged = bytearray(self._sound)
        done: dict[int, str] = {}
        for number in ids:
            begin, end = self._content(number)
            offset, bit = chance.randrange(begin, end), chance.randrange(8)
            damaged[offset] ^= 1 << bit
            done[number] = f"byte {offset - end} before the end of its cell, bit {bit}"
        self.file.write_bytes(damaged)
        return done

    def _content(self, number: int) -> tuple[int, int]:
        """Return where the columns of a row lie in the file; the two hashes end its cell."""
        row = dict(zip(COLUMNS, self._was[number][1::2], strict=True))
        tail = bytes(row["prev_hash"]) + bytes(row["hash"])  # type: ignore[call-overload] # bytes
        at = self._sound.index(tail)
        texts = ("kind", "item_id", "lot", "source", "target", "actor", "reason", "request_id")
        before = sum(len(row[name]) for name in texts)  # type: ignore[arg-type,misc] # bytes
        return at - before - 16, at + len(tail)


def _changed(chance: random.Random, kind: str, value: object) -> tuple[str, object]:
    """Return an SQL expression with its value: one bit of what is stored, or its type."""
    if isinstance(value, str):
        raw = bytearray(value.encode() or b" ")
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        return ("CAST(? AS TEXT)", bytes(raw)) if chance.randrange(8) else ("?", value.encode())
    if isinstance(value, int):
        whole = chance.randrange(8)
        return ("?", value ^ 1 << chance.randrange(INT_BITS)) if whole else ("?", f"{value} ")
    return "?", chance.choice((0, 1, 2**40, "", b"")) if kind == "null" else None


def missed(victim: Victim, flips: int, *, seed: int = 4) -> Iterator[tuple[int, list[str]]]:
    """Flip until so many rows were changed; yields after each batch how many, and the missed."""
    chance = random.Random(seed)
    total = 0
    while total < flips:
        changed, named = victim.batch(chance, BATCH)
        total += len(changed)
        yield total, [f"movement {i}: {how}" for i, how in changed.items() if i not in named]


def measure(flips: int) -> None:
    """Print how many changed rows `verify` named."""
    total, unnamed = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "victim.db"
        upgrade(f"sqlite:///{file}")
        for total, batch in missed(Victim(file), flips):  # noqa: B007 - the last counts
            unnamed.update(batch)
    print(f"sqlite      bytes flipped                       {total:8}", flush=True)
    print(f"sqlite      not named by verify                 {unnamed.total():8}", flush=True)
    for text in list(unnamed)[:20]:
        print(f"            {text}", flush=True)
