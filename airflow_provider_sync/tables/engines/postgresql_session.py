"""How the session of a connection to PostgreSQL is set: one form of every value, and time for back-pressure."""

from __future__ import annotations

from sqlalchemy import Connection

_SETTINGS = {
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    # Back-pressure may hold a statement up for as long as the other side needs.
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    # Waiting for somebody else's transaction ends as a retryable error.
    "lock_timeout": "60s",
    # Cursors are read to their end, and compiling a plain scan costs more than it saves.
    "cursor_tuple_fraction": "1",
    "jit": "off",
}


def prepare_session(connection: Connection) -> None:
    """Set UTC, UTF-8, the forms that values are read in, and time limits; the search path stays as it is."""
    if connection.dialect.driver == "psycopg2":
        # It decodes by what it was told, not by what the server reports.
        connection.connection.driver_connection.set_client_encoding("UTF8")  # type: ignore[union-attr]
    # Through pg_settings, so that settings of newer servers are left alone on older ones.
    values = ", ".join(f"('{name}', '{value}')" for name, value in _SETTINGS.items())
    connection.exec_driver_sql(
        f"SELECT set_config(s.name, v.value, false) FROM pg_settings s JOIN (VALUES {values}) AS v(name, value) USING (name)"
    ).all()
