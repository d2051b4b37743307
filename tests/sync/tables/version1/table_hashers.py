"""Table hashers as users plug them in at the target, and some that misbehave."""

from __future__ import annotations

from sqlalchemy import Engine

from airflow_provider_sync.config import TableConfig


class NamesHasher:
    """Joins the names of the rows."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Return the names, in the order of the key."""
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT name FROM {table.table_name} ORDER BY id").fetchall()
        return ",".join(name for (name,) in rows) or "--EMPTY--"


class NothingHasher:
    """Has no hash."""

    def hash(self, engine: Engine, table: TableConfig) -> None:
        """Return none."""


class EmptyHasher:
    """Has an empty hash."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Return no text."""
        return ""


class FailingHasher:
    """Has a fault."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Look for a place that is not there."""
        return {}["place"]  # type: ignore[no-any-return]


class BrokenStatementHasher:
    """Has a fault in its SQL."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Read a table that is not there."""
        with engine.connect() as connection:
            return str(connection.exec_driver_sql("SELECT a FROM missing_table").scalar())
