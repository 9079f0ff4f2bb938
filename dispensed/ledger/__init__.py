"""The ledger: the only SQL in the system. Synchronous SQLAlchemy Core on SQLite and PostgreSQL."""
