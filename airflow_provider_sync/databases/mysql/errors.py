"""Translate the errors of mysqlclient and pymysql to errors of this package, by the server's error numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc as sqlalchemy_errors

from airflow_provider_sync.exceptions import (
    ConnectionLimitError,
    LockTimeoutError,
    ReadOnlyError,
    SessionTimeoutError,
    SyncError,
    TableBusyError,
    TableError,
    TransportError,
)
from airflow_provider_sync.printable import reason

NO_LOCAL_INFILE = frozenset({1148, 2068, 3948, 3950, 4166})
"""The server, the client or a proxy does not allow LOAD DATA LOCAL."""

NO_FUNCTION = frozenset({1046, 1305, 1370})
"""The function does not exist, or the user has no database or privilege to look it up."""

NO_TABLE_PRIVILEGE = frozenset({1142})
"""The user lacks the privilege on the table, but may have it on columns."""

NO_COLUMN_PRIVILEGE = frozenset({1142, 1143})
"""The user may not read the table, or not all of its columns."""

DUPLICATE = 1062
UNSAFE_STATEMENT = 1592
"""A warning about the binary log, not about rows."""

BROKEN_CONSTRAINTS = frozenset({DUPLICATE, 1048, 1216, 1217, 1451, 1452, 1761, 3819, 4025})
MIXED_COLLATIONS = frozenset({1267, 1270, 1271})

_LOCK_TIMEOUT = frozenset({1205, 3572})
"""Lock wait timeout; NOWAIT."""

_BUSY = frozenset({1020, 1213, 1412, 3058}) | _LOCK_TIMEOUT
"""Row changed since the read, deadlock, table changed after the snapshot, deadlock of user locks; or a lock timeout."""

_LOST = frozenset({0, 1040, 1053, 1077, 1158, 1159, 1160, 1161, 1203, 1226, 1927, 2002, 2003, 2005, 2006, 2013, 2055})
"""Connection failed, none free, lost or timed out; server shutting down; query or connection killed."""

_FILE_ASKED = frozenset({2000, 2068})
"""The client library's errors for a server that requests a file; not all libraries have a specific number."""

_ALL_IN_USE = 1040
_NONE_FREE = frozenset({_ALL_IN_USE, 1203, 1226})
"""All connections of the server, or all that a user may have, are in use."""

_HOURLY_LIMIT = re.compile(r"'max_(questions|queries|updates|connections)(?:_per_hour)?'")
"""Other limits of a user with the same error number, which are not about open connections. MySQL shortens their names."""

_IDLE = 4031
_CUT = frozenset({2006, 2013, 2055})
"""The connection was closed; only the server's log has the reason."""

_NOT_REACHED = frozenset({2002, 2003, 2005})
_NO_TLS = 2026
_BAD_LOGIN = 1045
_NO_DATABASE = 1049
DENIED = frozenset({1044, 1142, 1143, 1227, 1370})

_FULL = frozenset({3, 1021, 1026, 1041, 1114})
"""Write error, disk full, out of memory, table full."""

_NO_BINARY_LOG = 1598
"""MySQL cannot write its binary log at the commit: by default it stops, see ``binlog_error_action``."""

_READ_ONLY = frozenset({1036, 1792, 1836})

_NOT_WITH_GTIDS = 1785

_PREVENTED_BY_OPTION = 1290
"""A server option forbids the statement; only the message names the option."""

_OFFLINE = 3032
_SCHEMA_READ_ONLY = 3989

_STATEMENT_LIMITS = {1969: "max_statement_time", 3024: "max_execution_time"}
"""Errors of statements that exceeded a time limit, with the setting of MariaDB or MySQL that limits them."""

_INTERRUPTED = 1317

_MAX_MESSAGE = 300


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return the base classes of the installed drivers' errors."""
    errors: list[type[Exception]] = []
    try:
        import MySQLdb
    except ImportError:
        pass
    else:
        errors.append(MySQLdb.Error)
    try:
        import pymysql
    except ImportError:
        pass
    else:
        errors.append(pymysql.err.Error)
    return tuple(errors)


DRIVER_ERRORS: tuple[type[Exception], ...] = _driver_errors()

DATABASE_ERRORS: tuple[type[Exception], ...] = (
    sqlalchemy_errors.DBAPIError,
    sqlalchemy_errors.TimeoutError,  # no connection of the pool became free
    sqlalchemy_errors.PendingRollbackError,  # the connection was lost earlier, and the error was ignored
    *DRIVER_ERRORS,
)


@contextmanager
def translated() -> Iterator[None]:
    """Convert the driver's errors to :class:`TransportError`, :class:`TableBusyError` or :class:`TableError`."""
    try:
        yield
    except SyncError:
        raise
    except DATABASE_ERRORS as error:
        raise translate(error).without_subject() from error


def translate(error: BaseException) -> SyncError:
    """Convert a driver's error to an error of this package, with the server's message in one short line."""
    number = error_number(error)
    message = f"{error_text(error)} (error {number})" if number else error_text(error)
    if number in _FILE_ASKED and "infile" in message.lower():
        return TableError(
            f"The database asked for a file of this machine, and got none: {message}. Is it the right server, and still yours?"
        )
    if number in _BUSY:
        kind = LockTimeoutError if number in _LOCK_TIMEOUT else TableBusyError
        return kind(f"The database is busy: {message}. Try again when the other transaction is done.")
    if number in _NONE_FREE:
        if limit := _HOURLY_LIMIT.search(message):
            counted = limit[1].replace("questions", "queries")
            return ConnectionLimitError(
                f"The user of the database may do no more this hour (error {number}). Try again in the next one, or raise the"
                f" limit of its user, max_{counted}_per_hour."
            )
        return ConnectionLimitError(
            f"The database has no connection left (error {number}). Try again when others have ended, or raise"
            f" {'max_connections' if number == _ALL_IN_USE else 'the limit of its user, max_user_connections'}."
        )
    if number == _NO_TLS or "CERTIFICATE_VERIFY_FAILED" in message:
        # pymysql uses the number of a server that does not answer.
        return TableError(
            f"No TLS to the database: {message}. Check the options of the URL that begin with ssl, and the server's certificate."
        )
    if number in _NOT_REACHED:
        place = "is unix_socket" if "No such file" in message else "are host and port"
        advice = f"Is it running, and {place} right? A password in a URL is percent-encoded."
        return TransportError(f"No answer from the database: {message}. {advice}")
    if number == _IDLE:
        return SessionTimeoutError(f"The database ended the session: {message}. Raise wait_timeout of the user or the server.")
    if number in _CUT:
        advice = "If the session was idle, see wait_timeout, and idle_transaction_timeout on MariaDB; if not, its log."
        return TransportError(f"No answer from the database: {message}. {advice}")
    if number is None or number in _LOST:
        # An error without a number is the driver's own, mostly about a closed connection.
        return TransportError(f"No answer from the database: {message}")
    if number == _OFFLINE:
        return TransportError(f"The database lets nobody in: {message}. Try again when SET GLOBAL offline_mode = OFF was run.")
    if number == _SCHEMA_READ_ONLY:
        advice = "Connect to the primary, or let it be written to: ALTER SCHEMA … READ ONLY = 0."
        return ReadOnlyError(f"The database refused: {message}.", advice)
    if number == _BAD_LOGIN:
        advice = "Check user and password, from where the user may connect, and whether it must use TLS (REQUIRE SSL)."
        return TableError(f"The database refused: {message}. {advice}")
    if number == _NO_DATABASE:
        return TableError(f"The database refused: {message}. Create it, or correct its name in the connection or the table.")
    if setting := _STATEMENT_LIMITS.get(number):
        return SessionTimeoutError(f"The database ended a statement: {message}. Raise {setting} of the user or the server.")
    if number == _INTERRUPTED:
        return SessionTimeoutError(
            f"The database ended a statement: {message}. Another session or an administrator cancelled it: try again."
        )
    if number in _FULL or (number == 1030 and "28" in message):
        return TableError(
            f"The database has no room: {message}. Free some space on its disk, and on that of its temporary files."
        )
    if number == _NO_BINARY_LOG and "binlog_error_action" in message:
        return TableError(
            f"The database could not write its binary log and ends: {message}. Mostly the disk of the binary log is full: free"
            " some space on it, and start the server again."
        )
    if number == _PREVENTED_BY_OPTION and "NO_ENGINE_SUBSTITUTION" in message:
        return TableError(
            f"The database refused: {message}. Its enforce_storage_engine names another engine, and tables that a sync makes"
            " need InnoDB: set it to InnoDB, or to NULL."
        )
    if number in _READ_ONLY or (number == _PREVENTED_BY_OPTION and re.search("read[-_]only", message)):
        advice = "It is read-only: connect to the primary, or switch read_only off."
        return ReadOnlyError(f"The database refused: {message}.", advice)
    if number == _NOT_WITH_GTIDS:
        advice = (
            "Convert the table that cannot roll back, which may be one that a trigger writes to (ENGINE=InnoDB); or sync it in a"
            " transaction of its own (single_transaction: false)."
        )
        return TableError(f"The database refused: {message} {advice}")
    if number in DENIED:
        return TableError(f"The database refused: {message}. Grant it to the user, or connect as another one.")
    return TableError(f"The database refused: {message}")


def error_number(error: BaseException) -> int | None:
    """Return the error number of the server or the client library; ``None`` if there is none."""
    if isinstance(error, sqlalchemy_errors.DBAPIError):
        return None if error.orig is None else error_number(error.orig)
    return error.args[0] if error.args and isinstance(error.args[0], int) else None


def error_text(error: BaseException) -> str:
    """Return the server's message, shortened to a readable length; it never contains the statement or its parameters."""
    if isinstance(error, sqlalchemy_errors.DBAPIError) and error.orig is not None:
        return error_text(error.orig)
    text = str(error.args[1] if len(error.args) > 1 else error).strip()
    return shortened(text.splitlines()[0] if text else reason(error))


def shortened(text: str) -> str:
    """Shorten a text to a readable length: the server quotes values, which can be long."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[:_MAX_MESSAGE]}…"
