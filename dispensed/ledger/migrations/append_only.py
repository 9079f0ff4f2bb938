"""Triggers that let rows of a table be added and never changed, for both databases."""

from collections.abc import Iterable

from alembic import op


def append_only(tables: Iterable[str]) -> None:
    """Refuse UPDATE and DELETE on some tables; PostgreSQL has its function from revision 0001."""
    for table in tables:
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN"
                    f" SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        else:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON"
                f" {table} FOR EACH STATEMENT EXECUTE FUNCTION dispensed_append_only()"
            )
