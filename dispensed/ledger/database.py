"""Engines: how connections to SQLite and PostgreSQL are opened, and what their failures mean."""

import sqlite3
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from dispensed.errors import Invalid

BUSY_TIMEOUT_S = 30
"""How long a writer waits for another process (SQLite lock, PostgreSQL row lock)."""

CONNECT_TIMEOUT_S = 10
WAL_LIMIT_BYTES = 64 * 1024 * 1024
"""Length to which the write-ahead log is cut; beyond it the writer itself checkpoints."""

_PG_BROKEN = frozenset({"53100", "58030", "XX001", "XX002"})
"""disk_full, io_error, data_corrupted, index_corrupted. Source: PostgreSQL manual, appendix A."""

_SQLITE_BROKEN = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_PRIMARY_CODE = 0xFF
"""Mask of SQLite's primary result code inside an extended one. Source: sqlite.org/rescode.html."""


class BadStoreUrl(Invalid):
    """The database URL names nothing that the ledger can live in."""

    code: ClassVar[str] = "bad_store_url"


class Access(StrEnum):
    """What the connections of an engine are for."""

    WRITE = "write"
    READ = "read"


def store_url(text: str) -> URL:
    """Read a URL `sqlite:///file` or `postgresql://user@host/name`; raises BadStoreUrl."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise BadStoreUrl("the database URL cannot be read") from error
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or ":memory:" in url.database or url.database.startswith("file:"):
            raise BadStoreUrl("the ledger needs a file: sqlite:////path/to/ledger.db")
        return url.set(drivername="sqlite+pysqlite")
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise BadStoreUrl(f"databases are sqlite or postgresql, not {backend}")


def make_engine(url: URL, access: Access, *, readers: int = 1) -> Engine:
    """Return an engine whose transactions cannot oversell.

    Writers begin with BEGIN IMMEDIATE on SQLite; on PostgreSQL they lock `chain_head`. Readers
    cannot write. Nothing is opened before the first connection.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, access, readers)
    return _postgres_engine(url, access, readers)


def is_broken(error: BaseException) -> bool:
    """Whether the storage itself failed (disk full, I/O error, damage).

    Looks through the errors that led to this one: the first failure may be hidden behind a rollback
    that failed too.
    """
    seen: BaseException | None = error
    while seen is not None:
        cause = seen.orig if isinstance(seen, DBAPIError) else seen
        if isinstance(cause, sqlite3.Error):
            # Errors made by the binding itself (a closed database) carry no result code.
            if vars(cause).get("sqlite_errorcode", 0) & _PRIMARY_CODE in _SQLITE_BROKEN:
                return True
        elif cause is not None and sqlstate(cause) in _PG_BROKEN:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def sqlstate(cause: BaseException) -> str:
    """Return the five-letter SQLSTATE of a psycopg error, empty when there is none."""
    return str(vars(type(cause)).get("sqlstate") or vars(cause).get("sqlstate") or "")


def in_transaction(tx: Connection) -> bool:
    """Whether the database still has the transaction that SQLAlchemy believes to be open."""
    raw: object = tx.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        return raw.in_transaction
    return True


def _sqlite_engine(url: URL, access: Access, readers: int) -> Engine:
    writes = access is Access.WRITE
    connect_args = {"timeout": BUSY_TIMEOUT_S, "isolation_level": None, "check_same_thread": False}
    engine = (
        create_engine(url, connect_args=connect_args, poolclass=NullPool)
        if writes
        else create_engine(url, connect_args=connect_args, pool_size=readers, max_overflow=0)
    )

    @event.listens_for(engine, "connect")
    def _prepare(raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = raw.cursor()
        pragmas = ["foreign_keys=ON", "synchronous=FULL", "cache_size=-16384"]
        if writes:
            pragmas += ["journal_mode=WAL", "wal_autocheckpoint=0"]
            pragmas += [f"journal_size_limit={WAL_LIMIT_BYTES}", "trusted_schema=OFF"]
        else:
            pragmas += ["query_only=ON"]
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(tx: Connection) -> None:
        tx.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL, access: Access, readers: int) -> Engine:
    settings = (
        "-c plan_cache_mode=force_custom_plan -c timezone=UTC"
        f" -c lock_timeout={BUSY_TIMEOUT_S}s -c idle_in_transaction_session_timeout=60s"
    )
    connect_args = {
        "prepare_threshold": None,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": settings
        + (
            " -c synchronous_commit=on"
            if access is Access.WRITE
            else " -c default_transaction_read_only=on"
        ),
    }
    if access is Access.WRITE:
        return create_engine(
            url, connect_args=connect_args, poolclass=NullPool, isolation_level="READ COMMITTED"
        )
    return create_engine(
        url,
        connect_args=connect_args,
        pool_size=readers,
        max_overflow=0,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
    )
