"""How the session of a connection to PostgreSQL is set, whatever role, database or server have as defaults.

One form of every value, all rows or an error, and time for back-pressure. Behind a pooler that hands a server on after each
transaction, settings belong to transactions, or they would be lost, and somebody else would have them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event

from airflow_provider_sync.databases.session_rules import SessionRules

_SETTINGS = {
    "client_encoding": "UTF8",
    # The form of values.
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "extra_float_digits": "1",
    # How statements and values are read.
    "array_nulls": "on",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    # A limit has the scan of a GIN index leave out rows, by chance.
    "gin_fuzzy_search_limit": "0",
    # What statements may do.
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "exit_on_error": "off",
    # Cursors are read to their end, and compiling a plain scan costs more than it saves.
    "cursor_tuple_fraction": "1",
    "jit": "off",
}

_WITHOUT_TIME_LIMITS = {
    # Back-pressure may hold a statement up for as long as the other side needs.
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}

_LOCK_MILLISECONDS = 60_000
"""Longest wait for another session's transaction, unless the role's is shorter; then a retryable error is raised."""


def set_session(connection: Connection, rules: SessionRules, *, local: bool = False) -> None:
    """Set everything that a sync relies on; the search path stays as it is.

    :param local: for the open transaction only
    """
    lock = min(_LOCK_MILLISECONDS, (rules.lock_seconds or _LOCK_MILLISECONDS) * 1000)
    settings = {
        **_SETTINGS,
        "row_security": "on" if rules.allow_row_security else "off",
        "lock_timeout": str(lock),
    }
    if not rules.keep_time_limits:
        settings |= _WITHOUT_TIME_LIMITS
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    # It has a unit, as in 5s; pg_settings has none, but takes a millisecond for each connection.
    present = "current_setting('lock_timeout')"
    stricter = f"name = 'lock_timeout' AND extract(epoch FROM {present}::interval) * 1000 BETWEEN 1 AND {lock}"
    connection.exec_driver_sql(
        f"SELECT set_config(name, CASE WHEN {stricter} THEN {present} ELSE value END, {local})"
        # Settings of newer servers are left alone on older ones.
        f" FROM (VALUES {values}) AS v(name, value) WHERE current_setting(name, true) IS NOT NULL"
    ).all()


def set_for_pooler(connection: Connection) -> None:
    """Prepare a connection whose settings belong to its transactions."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "prepare_threshold"):
        # What one server has prepared, the next does not know.
        driver.prepare_threshold = None


def read_as_utf8(engine: Engine) -> None:
    """Have the engine's connections decode text as UTF-8 from their first statement on.

    A database in SQL_ASCII, or a role or an environment that names another encoding, would have the driver give other text, or
    bytes; what is no UTF-8 in such a database is then an error.
    """
    if not event.contains(engine, "connect", _set_encoding):
        # Before SQLAlchemy's own first questions to the server.
        event.listen(engine, "connect", _set_encoding, insert=True)


def _set_encoding(driver: Any, _record: object) -> None:
    if hasattr(driver, "set_client_encoding"):
        # psycopg2 decodes by the encoding that it was given, not by the one that the server reports.
        if driver.encoding != "UTF8":
            driver.set_client_encoding("UTF8")
    elif driver.info.encoding != "utf-8":
        autocommit, driver.autocommit = driver.autocommit, True
        driver.execute("SET client_encoding TO 'UTF8'")
        driver.autocommit = autocommit


def driver_of(connection: Connection) -> Any:
    """Return the connection of psycopg or psycopg2 below SQLAlchemy's."""
    return connection.connection.driver_connection


def undoubled(statement: str) -> str:
    """Take back the doubling of percent signs, for statements that go to a cursor, or as a parameter."""
    return statement.replace("%%", "%")


def doubled(statement: str) -> str:
    """Double percent signs, as the driver expects them; names that the server quotes come without."""
    return statement.replace("%", "%%")


def run(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement by a cursor of the driver, percent signs not doubled, and return its rows."""
    with driver_of(connection).cursor() as cursor:
        cursor.execute(statement)
        return [] if cursor.description is None else list(cursor.fetchall())


def stores_utf8(connection: Connection) -> bool:
    """Whether the database stores text as UTF-8."""
    return bool(driver_of(connection).info.parameter_status("server_encoding") == "UTF8")
