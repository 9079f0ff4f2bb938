"""Runs the migrations on the connection that `upgrade` hands over (or a revision command's URL)."""

from alembic import context
from sqlalchemy import Connection

from dispensed.ledger.tables import METADATA


def _run() -> None:
    connection = context.config.attributes["connection"]
    if not isinstance(connection, Connection):
        raise TypeError("the migrations need an open connection; run `dispensed db upgrade`")
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=True,
        user_module_prefix="tables.",
    )
    context.run_migrations()


_run()
