"""Brings a database to the newest schema, and says whether it is there."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import Connection, inspect, text

from dispensed.errors import DispensedError
from dispensed.ledger.tables import SCHEMA_REVISION

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x64697370
"""Key of PostgreSQL's advisory lock that lets one upgrade run at a time (`disp`)."""


class SchemaOutdated(DispensedError):
    """The database is not at the schema of this program; nothing was opened."""

    code: ClassVar[str] = "schema_outdated"


def alembic_config(tx: Connection) -> "Config":
    """Return a configuration for alembic commands that run on `tx`."""
    from alembic.config import Config  # noqa: PLC0415 - only an upgrade pays for it

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    return config


def upgrade_schema(tx: Connection) -> None:
    """Run every missing migration inside the transaction of `tx`; may be called twice."""
    from alembic import command  # noqa: PLC0415 - only an upgrade pays for it

    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    command.upgrade(alembic_config(tx), "head")


def check_schema(tx: Connection) -> None:
    """Raise SchemaOutdated unless the database is at SCHEMA_REVISION, saying what to do."""
    found = None
    if inspect(tx).has_table("alembic_version"):
        found = tx.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found == SCHEMA_REVISION:
        return
    if found is None:
        raise SchemaOutdated("the database holds no ledger; run `dispensed db upgrade`")
    if str(found) > SCHEMA_REVISION:
        raise SchemaOutdated(
            f"the database is at schema {found}, newer than this program ({SCHEMA_REVISION});"
            " install the newer dispensed (`dispensed db upgrade` does not go back)"
        )
    raise SchemaOutdated(
        f"the database is at schema {found}, this program needs {SCHEMA_REVISION};"
        " run `dispensed db upgrade`"
    )
