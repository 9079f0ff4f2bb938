"""Fixtures of the ledger's own tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DATABASES
from tests.pg import Copies, PostgresServer


@pytest.fixture
def empty_pg_url(pg_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    url = pg_server.create()
    yield url
    pg_server.drop(url)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, on each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_pg_url"))


@pytest.fixture(params=DATABASES)
def new_ledger(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> Iterator[Callable[[], str]]:
    """Make as many fresh migrated ledgers as wanted, on each kind of database in turn."""
    made: list[str] = []
    if request.param == "sqlite":

        def copy() -> str:
            file = tmp_path / f"{len(made)}.db"
            shutil.copyfile(sqlite_template, file)
            made.append(f"sqlite:///{file}")
            return made[-1]

        yield copy
        return
    copies: Copies = request.getfixturevalue("pg_copies")

    def take() -> str:
        made.append(copies.take())
        return made[-1]

    yield take
    for url in made:
        copies.give_back(url)
