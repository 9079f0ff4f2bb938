"""After every scenario, every ledger that it used must be true."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.truth import check_ledger_at

DATABASES = ("ledger_url", "sqlite_url", "pg_url")


@pytest.fixture(autouse=True)
def _every_ledger_is_true(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check the ledgers when everything that writes to them has ended.

    It asks for the databases first, so that they are there until it is done.
    """
    names = [name for name in (*DATABASES, "tmp_path") if name in request.fixturenames]
    values = {name: request.getfixturevalue(name) for name in names}
    yield
    urls = {str(value) for name, value in values.items() if name != "tmp_path"}
    folder: Path | None = values.get("tmp_path")
    if folder is not None:
        urls |= {f"sqlite:///{file}" for file in folder.rglob("*.db") if file.stat().st_size}
    for url in sorted(urls):
        check_ledger_at(url)
