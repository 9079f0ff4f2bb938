"""The store: one writer, shared commits, bounded waits, and what happens when storage fails."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, make_url, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from dispensed.errors import Conflict
from dispensed.ledger import checkpoint, database, engine, read
from dispensed.ledger import tables as t
from dispensed.ledger.checkpoint import Checkpointer
from dispensed.ledger.database import is_broken, store_url
from dispensed.ledger.engine import (
    OutcomeUnknown,
    Store,
    StoreClosed,
    StoreReadOnly,
    StoreUnavailable,
    Tx,
)
from dispensed.ledger.stamp import audit
from tests.ledger.book import STAMP, stocked


def note(text_: str) -> Callable[[Tx], str]:
    """Return a write that leaves one audit event."""

    def write(tx: Tx) -> str:
        audit(tx, STAMP, "noted", text_, {})
        return text_

    return write


def notes(store: Store) -> list[str]:
    query = select(t.audit_event.c.subject).order_by(t.audit_event.c.id)
    return list(store.read_sync(lambda tx: tx.scalars(query).all()))


@contextmanager
def held_up(store: Store) -> Iterator[None]:
    """Keep the writer busy for the time of a `with` block, so that writes queue up behind it."""
    started, go_on = threading.Event(), threading.Event()

    def wait(_: Tx) -> None:
        started.set()
        go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(store.write_sync, wait)
        started.wait(30)
        try:
            yield
        finally:
            go_on.set()
            busy.result()


def together(store: Store, *writes: Callable[[Tx], object]) -> list[object]:
    """Run writes in one batch; returns their results or errors."""
    with ThreadPoolExecutor(len(writes)) as pool:
        futures: list[Future[object]] = []
        with held_up(store):
            for number, write in enumerate(writes, start=1):
                futures.append(pool.submit(store.write_sync, write))
                _until_queued(store, number)
        return [future.exception() or future.result() for future in futures]


def _until_queued(store: Store, number: int) -> None:
    ticks = threading.Event()
    while store._requests.qsize() < number:
        ticks.wait(0.001)


# ---------------------------------------------------------------- writes


def test_writes_that_wait_together_share_one_commit(store: Store) -> None:
    commits: list[int] = []
    event.listen(store._writer_engine, "commit", lambda _: commits.append(1))
    results = together(store, *(note(f"n{number}") for number in range(20)))
    assert results == [f"n{number}" for number in range(20)]
    assert notes(store) == results
    assert len(commits) == 2  # that of the write that held the others up, and theirs


def test_an_error_undoes_its_own_write_only(store: Store) -> None:
    def fail(tx: Tx) -> None:
        note("undone")(tx)
        raise Conflict("no")

    first, refused, last = together(store, note("a"), fail, note("b"))
    assert (first, str(refused), last) == ("a", "no", "b")
    assert notes(store) == ["a", "b"]


def test_a_refusal_by_the_database_undoes_its_own_write_only(store: Store) -> None:
    def clash(tx: Tx) -> None:
        row = {"id": 1, "last_id": 0, "hash": "", "recorded_at": STAMP.at}
        tx.execute(insert(t.chain_head), row)

    first, refused, last = together(store, note("a"), clash, note("b"))
    assert (first, type(refused).__name__, last) == ("a", "IntegrityError", "b")
    assert notes(store) == ["a", "b"]


def test_a_batch_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_MAX", 4)
    commits: list[int] = []
    event.listen(store._writer_engine, "commit", lambda _: commits.append(1))
    together(store, *(note(f"n{number}") for number in range(8)))
    assert len(commits) == 3


async def test_writes_and_reads_are_awaited(store: Store) -> None:
    results = await asyncio.gather(*(store.write(note(f"n{n}")) for n in range(40)))
    assert results == [f"n{n}" for n in range(40)]
    count = select(func.count()).select_from(t.audit_event)
    assert await store.read(lambda tx: tx.execute(count).scalar_one()) == 40


async def test_a_cancelled_write_that_has_not_begun_is_not_done(store: Store) -> None:
    with held_up(store):
        waiting = asyncio.ensure_future(store.write(note("never")))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await store.write(note("after"))
    assert notes(store) == ["after"]


async def test_a_caller_waits_for_a_place_in_a_full_queue(store: Store) -> None:
    store._places = threading.Semaphore(0)
    waiting = asyncio.ensure_future(store.write(note("late")))
    await asyncio.sleep(0)
    assert not waiting.done()
    store._places.release()
    assert await waiting == "late"


def test_a_queue_that_stays_full_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT_MAX_S", 0.01)
    store._places = threading.Semaphore(0)
    with pytest.raises(StoreUnavailable, match="1024 writes have waited"):
        store.write_sync(note("x"))


def test_a_write_without_an_answer_in_time_is_of_unknown_outcome(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_up(store):
        monkeypatch.setattr(engine, "WAIT_MAX_S", 0.01)
        with pytest.raises(OutcomeUnknown, match="no answer from the ledger"):
            store.write_sync(note("x"))
        monkeypatch.undo()


def test_a_timeout_of_the_write_itself_is_its_own_error(store: Store) -> None:
    def late(_: Tx) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        store.write_sync(late)


def test_closing_finishes_what_waits_and_refuses_what_comes(store: Store) -> None:
    with ThreadPoolExecutor(2) as pool:
        with held_up(store):
            waiting = pool.submit(store.write_sync, note("kept"))
            _until_queued(store, 1)
            closing_ = pool.submit(store.close)
        closing_.result()
        assert waiting.result() == "kept"
    store.close()
    with pytest.raises(StoreClosed, match="the ledger is closed"):
        store.write_sync(note("x"))


def test_closing_while_a_full_batch_waits_finishes_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH_MAX", 2)
    with ThreadPoolExecutor(4) as pool:
        with held_up(store):
            waiting = [pool.submit(store.write_sync, note(f"n{n}")) for n in range(3)]
            _until_queued(store, 3)
            closed = pool.submit(store.close)
            _until_queued(store, 4)
        closed.result()
        assert {future.result() for future in waiting} == {"n0", "n1", "n2"}


# ---------------------------------------------------------------- reads


def test_a_read_sees_one_snapshot(store: Store) -> None:
    store.write_sync(note("before"))
    count = select(func.count()).select_from(t.audit_event)

    def twice(tx: Tx) -> tuple[int, int]:
        first = tx.execute(count).scalar_one()
        store.write_sync(note("meanwhile"))
        return first, tx.execute(count).scalar_one()

    assert store.read_sync(twice) == (1, 1)
    assert store.read_sync(lambda tx: tx.execute(count).scalar_one()) == 2


def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises((StoreUnavailable, DBAPIError)):
        store.read_sync(note("x"))
    assert notes(store) == []


def test_a_read_that_fails_on_the_way_is_unavailable(store: Store) -> None:
    def lost(_: Tx) -> None:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    with pytest.raises(StoreUnavailable, match="could not be read"):
        store.read_sync(lost)


# ---------------------------------------------------------------- lost transactions


def _end_transaction(tx: Tx) -> None:
    """Lose the transaction the way this database can."""
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("ROLLBACK")
    else:
        tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    raise Conflict("after the loss")


def test_one_write_that_loses_the_transaction_does_not_take_the_others_with_it(
    store: Store,
) -> None:
    first, lost, last = together(store, note("a"), _end_transaction, note("b"))
    assert (first, last) == ("a", "b")
    assert isinstance(lost, StoreUnavailable)
    assert sorted(notes(store)) == ["a", "b"]
    assert store.read_only_reason is None


def test_a_write_that_closes_the_connection_harms_only_itself(store: Store) -> None:
    def close(tx: Tx) -> None:
        tx.close()

    with pytest.raises(StoreUnavailable, match="did not take the write"):
        store.write_sync(close)
    assert store.write_sync(note("b")) == "b"


def test_a_lost_connection_is_opened_again_for_the_next_write(store: Store) -> None:
    if store.dialect == "sqlite":
        return  # a file has no connection to lose
    store.write_sync(note("a"))
    with make_engine_of(store).connect() as other:
        other.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                " datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert store.write_sync(note("b")) == "b"


def make_engine_of(store: Store) -> Engine:
    """Return an engine of its own on the store's database."""
    url = store._writer_engine.url
    return database.make_engine(url, database.Access.WRITE)


def test_writes_after_the_database_went_away_are_refused_and_not_tried_one_by_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    real = store._begin_once

    def flaky() -> Connection:
        tries.append(1)
        if len(tries) > 2:
            raise OperationalError("BEGIN", {}, Exception("gone"))
        return real()

    store.write_sync(note("z"))
    monkeypatch.setattr(store, "_begin_once", flaky)
    first, lost, last = together(store, note("a"), _end_transaction, note("b"))
    assert [type(each) for each in (first, lost, last)] == [StoreUnavailable] * 3
    assert len(tries) == 4  # one that holds up, the batch, and two for its first alone
    monkeypatch.undo()
    assert store.write_sync(note("c")) == "c"
    assert notes(store) == ["z", "c"]


def test_a_connection_lost_during_the_commit_has_an_unknown_outcome(store: Store) -> None:
    if store.dialect == "sqlite":
        return  # only a server can be lost
    with make_engine_of(store).connect() as other:

        def cut(tx: Connection) -> None:
            pid = tx.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            other.execute(text(f"SELECT pg_terminate_backend({pid}, 10000)"))

        event.listen(store._writer_engine, "commit", cut)
        with pytest.raises(OutcomeUnknown, match="lost during the commit"):
            store.write_sync(note("perhaps"))
        event.remove(store._writer_engine, "commit", cut)
    assert store.read_only_reason is None
    assert store.write_sync(note("again")) == "again"


# ---------------------------------------------------------------- failed storage


def test_a_failed_commit_makes_the_store_read_only_and_nothing_is_acknowledged(
    store: Store,
) -> None:
    commits: list[int] = []

    def fail(_: Connection) -> None:
        commits.append(1)
        if len(commits) > 1:  # the first is that of the write that holds the others up
            raise _failure(store)

    event.listen(store._writer_engine, "commit", fail)
    results = together(store, note("a"), note("b"))
    assert [type(each) for each in results] == [StoreReadOnly, StoreReadOnly]
    event.remove(store._writer_engine, "commit", fail)
    assert "a commit failed" in (store.read_only_reason or "")
    with pytest.raises(StoreReadOnly, match="a commit failed"):
        store.write_sync(note("c"))
    assert notes(store) == []
    assert store.read_sync(read.movements) == ()


def _failure(store: Store) -> OperationalError:
    if store.dialect == "sqlite":
        return OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))
    from psycopg.errors import IoError  # noqa: PLC0415 - as the program does

    return OperationalError("COMMIT", {}, IoError("could not fsync"))


def test_writes_that_wait_behind_a_failed_commit_are_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH_MAX", 1)

    def fail(_: Connection) -> None:
        raise _failure(store)

    event.listen(store._writer_engine, "commit", fail)
    with ThreadPoolExecutor(1) as pool:
        busy = held_up(store)
        busy.__enter__()
        waiting = pool.submit(store.write_sync, note("a"))
        _until_queued(store, 1)
        with pytest.raises(StoreReadOnly):
            busy.__exit__(None, None, None)
        assert isinstance(waiting.exception(), StoreReadOnly)
    event.remove(store._writer_engine, "commit", fail)


def test_a_full_disk_makes_the_store_read_only_and_keeps_what_was_written(store: Store) -> None:
    store.write_sync(stocked)
    with pytest.raises(StoreReadOnly, match="the storage failed"):
        store.write_sync(_fill_up)
    with pytest.raises(StoreReadOnly):
        store.write_sync(note("x"))
    assert store.read_only_reason is not None
    assert len(store.read_sync(read.movements)) == 1


def _fill_up(tx: Tx) -> None:
    """Meet a full disk: a page limit on SQLite, the error that PostgreSQL gives otherwise."""
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql("DO $$BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END$$")
    pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
    tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    for number in range(1000):
        note(f"{number} {'x' * 4000}")(tx)


def test_a_commit_that_the_server_refuses_for_lack_of_storage_makes_the_store_read_only(
    store: Store,
) -> None:
    if store.dialect == "sqlite":
        return  # the page limit above is met by statements only

    def trap(tx: Tx) -> None:
        tx.exec_driver_sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END$$"
        )
        tx.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER full_disk AFTER INSERT ON api_token DEFERRABLE INITIALLY"
            " DEFERRED FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )

    store.write_sync(trap)
    row = {"name": "n", "sha256": "s", "role": "r", "created_at": STAMP.at}
    with pytest.raises(StoreReadOnly, match="a commit failed"):
        store.write_sync(
            lambda tx: tx.execute(insert(t.api_token), {**row, "recorded_at": STAMP.at})
        )


def test_a_store_that_breaks_while_it_begins_is_read_only(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise OperationalError("BEGIN", {}, error)

    monkeypatch.setattr(store, "_begin_once", broken)
    with pytest.raises(StoreReadOnly, match="the storage failed"):
        store.write_sync(note("x"))


def test_the_first_reason_for_being_read_only_stays(store: Store) -> None:
    store._break("first")
    store._break("second")
    assert store.read_only_reason == "first"


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_CONSTRAINT, False),
    ],
)
def test_only_failures_of_the_storage_itself_are_for_ever(code: int, broken: bool) -> None:  # noqa: FBT001
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    assert is_broken(OperationalError("SELECT", {}, error)) is broken
    hidden = ValueError("later")
    hidden.__context__ = error
    assert is_broken(hidden) is broken


# ---------------------------------------------------------------- SQLite's lock and log


def test_a_database_locked_by_another_program_is_unavailable_for_that_time(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    file = make_url(sqlite_url).database or ""
    with Store.open(sqlite_url) as store, closing(sqlite3.connect(file)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="database is locked"):
            store.write_sync(note("x"))
        other.execute("ROLLBACK")
        assert store.write_sync(note("y")) == "y"


def test_sqlite_syncs_every_commit_and_checks_references(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        pragmas = store.write_sync(
            lambda tx: [
                tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint")
            ]
        )
    assert pragmas == ["wal", 2, 1, 0]  # 2 is FULL


def test_the_log_is_copied_into_the_file_while_the_store_is_open(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL_S", 0.01)
    file = Path(make_url(sqlite_url).database or "")
    before = file.read_bytes()
    ticks = threading.Event()
    with Store.open(sqlite_url) as store:
        store.write_sync(note("x" * 10_000))
        while file.read_bytes() == before:
            store.write_sync(note("y"))
            ticks.wait(0.01)


def test_a_log_that_grew_too_long_is_cut_by_the_writer(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WAL_LIMIT_BYTES", 100_000)
    wal = Path(f"{make_url(sqlite_url).database}-wal")
    sizes: list[int] = []
    with Store.open(sqlite_url) as store:
        for _ in range(60):
            store.write_sync(note("x" * 4000))
            sizes.append(wal.stat().st_size)
    assert max(sizes) < 250_000
    assert min(sizes[20:]) < 50_000


def test_a_reader_that_stays_lets_the_log_grow_and_stops_nobody(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "WAL_LIMIT_BYTES", 50_000)
    monkeypatch.setattr(checkpoint, "TRUNCATE_WAIT_S", 0.01)
    with Store.open(sqlite_url) as store:

        def stay(tx: Tx) -> None:
            tx.execute(select(t.chain_head)).all()
            for number in range(40):
                store.write_sync(note(f"{number} {'x' * 4000}"))

        store.read_sync(stay)
        assert len(notes(store)) == 40
        assert store.read_only_reason is None


def test_a_checkpoint_that_finds_broken_storage_makes_the_store_read_only(tmp_path: Path) -> None:
    told: list[str] = []
    url = store_url(f"sqlite:///{tmp_path / 'none' / 'ledger.db'}")
    Checkpointer(url, told.append)._checkpoint("PASSIVE")
    assert told == ["a checkpoint failed: unable to open database file"]


def test_a_checkpoint_that_finds_the_database_locked_leaves_it_to_the_next(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "TRUNCATE_WAIT_S", 0.01)
    told: list[str] = []
    file = make_url(sqlite_url).database or ""
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("CREATE TABLE x (y)")
        Checkpointer(store_url(sqlite_url), told.append)._checkpoint("PASSIVE")
    assert told == []
