"""Fixtures for all tests: migrated databases on SQLite and PostgreSQL, and a store on them."""

import asyncio
import gc
import inspect
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import make_url

from dispensed.ledger.engine import Store, upgrade
from tests.pg import Copies, PostgresServer, remember_seed, running_server

settings.register_profile("dispensed", deadline=None)
settings.register_profile("nightly", deadline=None, max_examples=10_000)
settings.load_profile(os.environ.get("DISPENSED_HYPOTHESIS", "dispensed"))

GARBAGE_EVERY = 20_000
"""Objects made between two searches for garbage; searching every 700 took a fifth of the time."""

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def pytest_configure(config: pytest.Config) -> None:
    """Spare this process and those that it starts what is done again and again.

    Where the environment forbids compiled modules beside the sources they are kept in pytest's own
    folder: a simulator or a daemon would compile its imports for seconds at each start.
    """
    gc.set_threshold(GARBAGE_EVERY, 20, 50)
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(config.rootpath / ".pytest_cache" / "compiled")
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def pg_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test process."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def pg_copies(pg_server: PostgresServer) -> Iterator[Copies]:
    """Migrated databases to use."""
    url = pg_server.create()
    upgrade(url)
    remember_seed(url)
    copies = Copies(pg_server, str(make_url(url).database))
    yield copies
    copies.drop()
    pg_server.drop(url)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("ledger") / "template.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh migrated SQLite ledger."""
    file = tmp_path / "ledger.db"
    shutil.copyfile(sqlite_template, file)
    return f"sqlite:///{file}"


@pytest.fixture
def pg_url(pg_copies: Copies) -> Iterator[str]:
    """The URL of a fresh migrated PostgreSQL ledger."""
    url = pg_copies.take()
    yield url
    pg_copies.give_back(url)


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated ledger, on each kind of database in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "pg_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    """An open store on a fresh ledger, on each kind of database in turn."""
    with Store.open(ledger_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _tasks_end(request: pytest.FixtureRequest) -> None:
    """Fail an asynchronous test that leaves a task behind."""
    if isinstance(request.node, pytest.Function) and inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("no_task_is_left")


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    """Compare the tasks before and after an asynchronous test."""
    before = asyncio.all_tasks()
    yield
    mine = {asyncio.current_task()}
    left = [task.get_name() for task in asyncio.all_tasks() - before - mine if not task.done()]
    assert not left, f"left behind: {left}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let every worker begin with one of the slow tests, so that none is begun last.

    Workers start with equal parts of the list, in its order, and take from each other at the end.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if not slow or workers < 2:
        return
    slow.sort(key=lambda item: ("test_day" not in item.nodeid, "postgres" in item.nodeid))
    others = [item for item in items if not item.get_closest_marker("slow")]
    share = -(-len(items) // workers)
    items.clear()
    for number in range(workers):
        mine = slow[number::workers]
        rest = share - len(mine)
        items.extend([*mine, *others[:rest]])
        del others[:rest]
    items.extend(others)
