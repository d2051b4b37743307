"""Set the session of a connection to MySQL and MariaDB, whatever the defaults of user, server and ``init_connect``."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Engine, event

from airflow_provider_sync.databases.session_rules import SessionRules
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable

_NO_LIMIT = "18446744073709551615"

_LOCK_WAITS = ("lock_wait_timeout", "innodb_lock_wait_timeout")
"""Limits for waiting for another session's ALTER TABLE (by default a year), and for its row locks."""

_SESSION = {
    # The driver sends this only if it believes that autocommit is off, which it does not notice if off is MySQL's default.
    "autocommit": "1",
    "time_zone": "'+00:00'",
    # Without ANSI_QUOTES, NO_BACKSLASH_ESCAPES and PAD_CHAR_TO_FULL_LENGTH, and so that zero dates can be read and copied.
    "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'",
    # Count notes as warnings: a truncated decimal causes only a note.
    "sql_notes": "1",
    # Truncate no result, and refuse no statement for the number of rows that it might read or write. DEFAULT is not enough,
    # since the server's default may be a limit.
    "sql_select_limit": _NO_LIMIT,
    "max_join_size": _NO_LIMIT,
    "sql_big_selects": "1",
    "sql_safe_updates": "0",
    "sql_auto_is_null": "0",
    # The longest possible key: sorting ignores bytes beyond this length.
    "max_sort_length": "4096",
    "completion_type": "'NO_CHAIN'",
    # Tables that are created here must be able to roll back.
    "default_storage_engine": "InnoDB",
    "foreign_key_checks": "1",
    "unique_checks": "1",
    # The other end of a stream may pause for a long time.
    "net_read_timeout": "86400",
    "net_write_timeout": "86400",
    # Keep a shorter setting of the user.
    **dict.fromkeys(_LOCK_WAITS, "CAST(LEAST(@@SESSION.{name}, {lock_seconds}) AS SIGNED)"),
    # Long keys and wide rows need at least this much.
    "sort_buffer_size": "CAST(GREATEST(@@SESSION.sort_buffer_size, 262144) AS SIGNED)",
}

_SINCE_MYSQL_8_0_30 = " /*!80030 , show_gipk_in_create_table_and_information_schema = 1 */"
"""Shows generated invisible primary keys on MySQL; a comment on MariaDB and other servers."""

_LOCK_SECONDS = 300

_MARIADB = {
    "tx_read_only": "0",
    "check_constraint_checks": "1",
    # At the default of 1000, a recursive view or query ends early with only a warning; MySQL raises an error.
    "max_recursive_iterations": "4294967295",
    # Read the current rows of system-versioned tables, not former versions.
    "system_versioning_asof": "DEFAULT",
}
_MYSQL = {"transaction_read_only": "0"}

# The connection that holds the locks is idle during the whole sync.
_WITHOUT_TIME_LIMITS = {"wait_timeout": "604800"}
_MARIADB_WITHOUT_TIME_LIMITS = {
    "max_statement_time": "0",
    "idle_transaction_timeout": "0",
    "idle_readonly_transaction_timeout": "0",
    "idle_write_transaction_timeout": "0",
}
_MYSQL_WITHOUT_TIME_LIMITS = {"max_execution_time": "0"}


def set_session(rules: SessionRules, *, mariadb: bool) -> str:
    """Return the statement that sets a session.

    :param mariadb: whether the server is MariaDB
    """
    settings = _SESSION | (_MARIADB if mariadb else _MYSQL)
    if not rules.keep_time_limits:
        settings |= _WITHOUT_TIME_LIMITS | (_MARIADB_WITHOUT_TIME_LIMITS if mariadb else _MYSQL_WITHOUT_TIME_LIMITS)
    seconds = min(_LOCK_SECONDS, rules.lock_seconds or _LOCK_SECONDS)
    settings |= {name: settings[name].format(name=name, lock_seconds=seconds) for name in _LOCK_WAITS}
    return f"SET SESSION {', '.join(f'{name} = {value}' for name, value in settings.items())}{_SINCE_MYSQL_8_0_30}"


def quote_by_backticks(engine: Engine) -> None:
    """Make SQLAlchemy quote by backticks, which work in every session of :func:`set_session`.

    Otherwise it uses double quotes if they work in the first connection, by the server's default.
    """
    event.listen(engine, "connect", _set_plain_mode, insert=True, once=True)


def _set_plain_mode(driver: Any, _record: object) -> None:
    version = driver.get_server_info().removeprefix("5.5.5-")  # MariaDB's, for clients of that time
    if [int(part) for part in re.split("[.+-]", version) if part.isdecimal()] < [5]:
        # SQLAlchemy would continue without a version, and fail with a TypeError.
        raise ConfigurationError(
            f"The server reports version {printable(version)!r}, which is no supported version of MySQL or MariaDB."
        )
    cursor = driver.cursor()
    # SQLAlchemy ends its first queries with a ROLLBACK, which begins a new transaction if `completion_type` is CHAIN; and a low
    # `sql_select_limit` would truncate their results.
    cursor.execute(f"SET SESSION sql_mode = '', completion_type = 'NO_CHAIN', sql_select_limit = {_NO_LIMIT}")
    cursor.close()
