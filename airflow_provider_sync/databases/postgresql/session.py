"""Set the session of a connection to PostgreSQL, whatever the defaults of role, database and server.

The settings fix the form of values, make the server return all rows or an error, and leave time for back-pressure. Behind a
pooler in transaction mode they are set per transaction: otherwise they would be lost, and affect another client.
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
    # With a limit, a scan of a GIN index leaves out random rows.
    "gin_fuzzy_search_limit": "0",
    # Which statements are allowed.
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
"""Longest wait for a lock of another session, unless the role's limit is shorter; after it, a retryable error is raised."""

CLIENT_CHECK = "client_connection_check_interval"
"""Setting: how often the server checks during a statement whether the client is still there; PostgreSQL 14 and newer."""

_CLIENT_CHECK_MILLISECONDS = 2_000
"""The interval, unless the role's is shorter.

Otherwise the statement of a client that was killed runs to its end, and its locks stay.
"""


def set_session(connection: Connection, rules: SessionRules, *, local: bool = False) -> None:
    """Apply all settings that a sync relies on; leave the search path unchanged.

    :param local: set them for the open transaction only
    """
    lock = min(_LOCK_MILLISECONDS, (rules.lock_seconds or _LOCK_MILLISECONDS) * 1000)
    settings = {
        **_SETTINGS,
        "row_security": "on" if rules.allow_row_security else "off",
        "lock_timeout": str(lock),
        CLIENT_CHECK: str(_CLIENT_CHECK_MILLISECONDS),
    }
    if not rules.keep_time_limits:
        settings |= _WITHOUT_TIME_LIMITS
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    stricter = f"{_keep_stricter('lock_timeout', lock)} {_keep_stricter(CLIENT_CHECK, _CLIENT_CHECK_MILLISECONDS)}"
    connection.exec_driver_sql(
        f"SELECT set_config(name, CASE {stricter} ELSE value END, {local})"
        # Skip settings that an older server does not have, or that its system cannot have.
        f" FROM (VALUES {values}) AS v(name, value) WHERE current_setting(name, true) IS NOT NULL"
        f" AND (name <> '{CLIENT_CHECK}' OR strpos(version(), 'linux') > 0)"
    ).all()


def _keep_stricter(name: str, milliseconds: int) -> str:
    """Return the branch of a CASE that keeps the present limit ``name`` if it is stricter; 0 is no limit."""
    # The value has a unit, as in 5s; pg_settings has it without one, but takes a millisecond for each connection.
    present = f"current_setting('{name}', true)"
    return f"WHEN name = '{name}' AND extract(epoch FROM {present}::interval) * 1000 BETWEEN 1 AND {milliseconds} THEN {present}"


def set_for_pooler(connection: Connection) -> None:
    """Prepare a connection whose settings are made for each transaction."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "prepare_threshold"):
        # A statement that is prepared in one server process does not exist in the next.
        driver.prepare_threshold = None


def read_as_utf8(engine: Engine) -> None:
    """Make the engine's connections decode text as UTF-8 from their first statement on.

    With an SQL_ASCII database, or another encoding set for role or environment, the driver would return other text, or bytes.
    Text in such a database that is not UTF-8 becomes an error.
    """
    if not event.contains(engine, "connect", _set_encoding):
        # Run before SQLAlchemy's own first queries.
        event.listen(engine, "connect", _set_encoding, insert=True)


def _set_encoding(driver: Any, _record: object) -> None:
    if hasattr(driver, "set_client_encoding"):
        # psycopg2 decodes by the encoding that was set on the connection, not by the one that the server reports.
        if driver.encoding != "UTF8":
            driver.set_client_encoding("UTF8")
    elif driver.info.encoding != "utf-8":
        autocommit, driver.autocommit = driver.autocommit, True
        driver.execute("SET client_encoding TO 'UTF8'")
        driver.autocommit = autocommit


def driver_of(connection: Connection) -> Any:
    """Return the connection of psycopg or psycopg2 that SQLAlchemy's connection wraps."""
    return connection.connection.driver_connection


def undoubled(statement: str) -> str:
    """Undo the doubling of percent signs, for statements that go to a driver's cursor or are passed as a parameter."""
    return statement.replace("%%", "%")


def doubled(statement: str) -> str:
    """Double percent signs, as the driver expects, in names that the server has quoted."""
    return statement.replace("%", "%%")


def run(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement, percent signs not doubled, with a cursor of the driver, and return its rows."""
    with driver_of(connection).cursor() as cursor:
        cursor.execute(statement)
        return [] if cursor.description is None else list(cursor.fetchall())


def stores_utf8(connection: Connection) -> bool:
    """Whether the database stores text as UTF-8."""
    return bool(driver_of(connection).info.parameter_status("server_encoding") == "UTF8")
