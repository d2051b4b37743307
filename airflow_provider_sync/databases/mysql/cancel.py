"""Cancel a statement of another connection (KILL QUERY)."""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Engine

from airflow_provider_sync import escalation
from airflow_provider_sync.databases.mysql.errors import DATABASE_ERRORS
from airflow_provider_sync.databases.opening_limit import limited_answers
from airflow_provider_sync.exceptions import TransportError


def kill_query(engine: Engine, thread: int) -> bool:
    """Cancel the statement of a connection over another one; return whether the server did so within :data:`.PATIENCE_SECONDS`.

    :param thread: the server's number of the connection
    """
    with (
        suppress(*DATABASE_ERRORS, TransportError),
        limited_answers(engine, escalation.PATIENCE_SECONDS),
        engine.connect() as other,
    ):
        other.exec_driver_sql(f"KILL QUERY {thread}")
        return True
    return False
