"""Table hashers as users plug them in."""

from __future__ import annotations

from threading import Event

from sqlalchemy import Engine

from airflow_provider_sync.config import TableConfig


class NamingHasher:
    """Calls a table by its name."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Return the name of the engine and of the table."""
        return f"{engine.dialect.name}/{table.table_name}"


class HangingHasher:
    """Says that it begins, and never ends."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Wait for what does not come."""
        print("hanging", flush=True)  # noqa: T201  # whoever started the server waits for it
        Event().wait()
        return ""


class FailingHasher:
    """Has a fault that nobody foresaw."""

    def hash(self, engine: Engine, table: TableConfig) -> str:
        """Fail with a secret in the message."""
        raise RuntimeError("the password is hunter2")
