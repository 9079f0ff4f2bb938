"""The schema: made by migrations on both databases, equal to the tables in the code."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Dialect, create_engine, select, text
from sqlalchemy.dialects import postgresql, sqlite

from dispensed.ledger import tables as t
from dispensed.ledger.database import Access, BadStoreUrl, make_engine, store_url
from dispensed.ledger.engine import Store, StoreUnavailable, upgrade
from dispensed.ledger.schema import SchemaOutdated, alembic_config
from dispensed.ledger.types import UtcDateTime, to_microseconds
from dispensed.model.catalog import EXTERNAL


def test_upgrade_makes_every_table_of_the_metadata_and_may_run_again(empty_url: str) -> None:
    upgrade(empty_url)
    upgrade(empty_url)
    engine = make_engine(store_url(empty_url), Access.WRITE)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, t.METADATA) == []
        command.check(alembic_config(connection))
    engine.dispose()


def test_the_newest_migration_is_the_one_the_program_asks_for(sqlite_url: str) -> None:
    engine = make_engine(store_url(sqlite_url), Access.WRITE)
    with engine.connect() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))
    engine.dispose()
    assert script.get_current_head() == t.SCHEMA_REVISION


def test_every_table_says_when_a_row_was_recorded() -> None:
    assert [n for n, table in t.METADATA.tables.items() if "recorded_at" not in table.columns] == []


def test_the_external_accounts_and_the_head_of_the_chain_are_there_from_the_start(
    store: Store,
) -> None:
    rows = store.read_sync(lambda tx: tx.execute(select(t.location)).all())
    assert {row.location_id: row.kind for row in rows} == dict(EXTERNAL)
    head = store.read_sync(lambda tx: tx.execute(select(t.chain_head)).one())
    assert (head.id, head.last_id, head.hash) == (1, 0, "0" * 64)


def test_an_empty_database_is_not_opened_and_the_remedy_is_named(empty_url: str) -> None:
    with pytest.raises(SchemaOutdated, match="holds no ledger; run `dispensed db upgrade`"):
        Store.open(empty_url)


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("0000", "at schema 0000, this program needs 0008; run `dispensed db upgrade`"),
        ("9999", "at schema 9999, newer than this program"),
    ],
)
def test_another_schema_is_not_opened(ledger_url: str, revision: str, said: str) -> None:
    engine = make_engine(store_url(ledger_url), Access.WRITE)
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    engine.dispose()
    with pytest.raises(SchemaOutdated, match=said):
        Store.open(ledger_url)


def test_a_broken_migration_leaves_nothing_behind(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alembic.command.upgrade", _upgrade_and_fail)
    with pytest.raises(CommandError, match="on purpose"):
        upgrade(empty_url)
    monkeypatch.undo()
    with pytest.raises(SchemaOutdated):
        Store.open(empty_url)
    upgrade(empty_url)
    Store.open(empty_url).close()


_real_upgrade = command.upgrade


def _upgrade_and_fail(config: object, revision: str) -> None:
    _real_upgrade(config, revision)  # type: ignore[arg-type] # passed through
    raise CommandError("on purpose")


def test_migrations_without_a_connection_name_the_command(tmp_path: Path) -> None:
    del tmp_path
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        config = alembic_config(connection)
    engine.dispose()
    config.attributes["connection"] = "no"
    with pytest.raises(TypeError, match="dispensed db upgrade"):
        command.upgrade(config, "head")


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "the ledger needs a file"),
        ("sqlite:///:memory:", "the ledger needs a file"),
        ("sqlite:///file:x?mode=memory", "the ledger needs a file"),
        ("mysql://localhost/x", "sqlite or postgresql, not mysql"),
        ("://", "cannot be read"),
    ],
)
def test_a_url_that_names_no_ledger_is_refused(url: str, said: str) -> None:
    with pytest.raises(BadStoreUrl, match=said):
        store_url(url)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:////var/lib/dispensed/ledger.db", "sqlite+pysqlite"),
        ("postgresql://dispensed@localhost/ledger", "postgresql+psycopg"),
        ("postgresql+psycopg://localhost/ledger", "postgresql+psycopg"),
    ],
)
def test_a_url_gets_the_driver_that_is_installed(url: str, driver: str) -> None:
    assert store_url(url).drivername == driver


def test_a_ledger_in_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none' / 'ledger.db'}"
    with pytest.raises(StoreUnavailable, match="unable to open"):
        Store.open(url)
    with pytest.raises(StoreUnavailable, match="unable to open"):
        upgrade(url)


# ---------------------------------------------------------------- time


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
def test_an_instant_survives_the_way_through_sqlite(at: datetime) -> None:
    kind, dialect = UtcDateTime(), sqlite.dialect()
    back = kind.process_result_value(kind.process_bind_param(at, dialect), dialect)
    assert back == at.astimezone(UTC)
    assert back is not None
    assert back.utcoffset() == timedelta(0)


def test_an_instant_keeps_its_microseconds_and_its_zone(store: Store) -> None:
    at = datetime(2026, 3, 8, 2, 30, 0, 123457, tzinfo=timezone(timedelta(hours=-5)))
    values = {"job": "j", "slot": "s", "state": "done", "started_at": at, "result": ""}
    store.write_sync(lambda tx: tx.execute(t.job_run.insert(), {**values, "recorded_at": at}))
    row = store.read_sync(lambda tx: tx.execute(select(t.job_run)).one())
    assert row.started_at == datetime(2026, 3, 8, 7, 30, 0, 123457, tzinfo=UTC)
    assert row.started_at.tzinfo is UTC
    assert row.finished_at is None


def test_a_time_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - naive on purpose
    dialects: tuple[Dialect, ...] = (sqlite.dialect(), postgresql.dialect())  # type: ignore[no-untyped-call] # untyped there
    for dialect in dialects:
        with pytest.raises(ValueError, match="has no time zone"):
            UtcDateTime().process_bind_param(naive, dialect)
    assert to_microseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == 1_000_000


def test_nothing_stays_nothing_and_a_text_is_no_time() -> None:
    dialect = sqlite.dialect()
    assert UtcDateTime().process_bind_param(None, dialect) is None
    assert UtcDateTime().process_result_value("yesterday", dialect) is None
