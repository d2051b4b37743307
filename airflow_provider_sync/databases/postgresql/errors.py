"""Translate the errors of psycopg 3 and psycopg2 to errors of this package, by their SQLSTATE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

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
from airflow_provider_sync.printable import printable, reason

DEPENDENT_OBJECTS = "2BP01"
EXCLUSION_VIOLATION = "23P01"
FOREIGN_KEY_VIOLATION = "23503"
INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
NOT_NULL_VIOLATION = "23502"
QUERY_CANCELED = "57014"
UNIQUE_VIOLATION = "23505"

_NONE_FREE = "53300"
_NONE_LEFT = re.compile(r"too many clients already|too many connections for |connection slots are reserved")
"""The server's messages when no connection slot is free; the drivers then have no SQLSTATE."""

_POOLER_LIMITS = {
    "no more connections allowed": "max_client_conn of its pooler",
    "query_wait_timeout": "default_pool_size of its pooler, since a sync needs several connections at once",
}
"""Messages of pgbouncer when it refuses a client, with the setting to raise."""

_BUSY = frozenset({"40001", "40P01", LOCK_NOT_AVAILABLE})

_REPLAY = "due to conflict with recovery"
_SNAPSHOT_GONE = re.compile('invalid snapshot identifier|snapshot ".*" does not exist')
"""Before PostgreSQL 17, and since."""
_CUT = "server closed the connection unexpectedly"
"""Message of libpq for a session that the server ended; psycopg2 loses the server's own message."""

_SESSION_LIMITS = {
    "terminating connection due to idle-in-transaction timeout": "idle_in_transaction_session_timeout",
    "terminating connection due to transaction timeout": "transaction_timeout",
    "terminating connection due to idle-session timeout": "idle_session_timeout",
}
"""The server's messages when a time limit ends a session, with the setting of that limit."""

ADVICE: Mapping[str | None, str] = {
    "22P05": "Make the target's database in UTF8, leave the column out, or change the values at the source.",
    "3F000": "Create the schema, or correct the name of the table, or the search_path of the role.",
    "53100": "Free some space on the disk of the database, or choose another tablespace.",
}
_ROWS_HIDDEN = "query would be affected by row-level security policy"
"""The server's message for a view or query that reads a table from which a policy hides rows."""

_LOGIN_ADVICE = (
    ("permission denied for database", "Grant it to the role: GRANT CONNECT ON DATABASE …."),
    ("is not permitted to log in", "Let the role log in: ALTER ROLE … LOGIN."),
    ("not currently accepting connections", "Let the database take them: ALTER DATABASE … ALLOW_CONNECTIONS true."),
    (
        "no pg_hba.conf entry",
        "Add one for this user, database and address; if it ends with 'no encryption', connect with TLS (sslmode).",
    ),
)
"""The server's messages about logins that another user name or password would not help, with what does."""

_ROW_REFUSED = "new row violates row-level security policy"
_PRIVILEGES = {
    "table": "SELECT at the source, and SELECT, INSERT, UPDATE and DELETE at the target",
    "view": "SELECT",
    "schema": "USAGE, and at the target CREATE for staging tables and new ones",
    "sequence": "USAGE and SELECT, and UPDATE where a sync sets it",
    "function": "EXECUTE",
    "type": "USAGE",
}
_DENIED = re.compile("permission denied for ([a-z]+)")

_READ_ONLY = "25006"
_IN_RECOVERY = re.compile("during recovery|recovery is in progress")
"""A standby's messages for statements that it refuses with SQLSTATEs other than 25006."""

_PUBLISHED = re.compile('cannot (?:update|delete from|merge into) table ".*"(?: because it does not have a replica identity|$)')
"""Messages about a table in a publication whose replica identity does not suffice; the detail names no row."""

_PROTOCOL_VIOLATION = "08P01"
"""Among others, the error of pgbouncer in statement mode, which does not allow transactions."""

_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|FATAL:  (role|database) \".*\" does not exist|not permitted to log in"
    r"|not currently accepting connections|permission denied for database"
)

_NO_TLS = re.compile(r"server does not support SSL|certificate verify failed|root certificate file|server certificate for")
"""Messages of libpq when the server does not offer the TLS that the URL requires."""

_MAX_MESSAGE = 300
_COPY_CONTEXT = re.compile(r"^COPY .*?, line \d+, column (.*)$", re.MULTILINE)


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return the base classes of the installed drivers' errors."""
    errors: list[type[Exception]] = []
    for name in ("psycopg", "psycopg2"):
        try:
            errors.append(import_module(name).Error)
        except ImportError:
            continue
    return tuple(errors)


DRIVER_ERRORS = _driver_errors()


def driver_error(error: BaseException | None) -> Any | None:
    """Return the driver's error that ``error`` is, wraps or was caused by; ``None`` if there is none."""
    while error is not None:
        if isinstance(error, DRIVER_ERRORS):
            return error
        error = error.orig if isinstance(error, sqlalchemy_errors.DBAPIError) else error.__cause__
    return None


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of the driver's error behind ``error``; ``None`` for a failed connection and for other errors."""
    found = driver_error(error)
    # psycopg2 calls it pgcode.
    return None if found is None else getattr(found, "sqlstate", None) or getattr(found, "pgcode", None)


@contextmanager
def translated() -> Iterator[None]:
    """Convert the driver's errors to :class:`TransportError`, :class:`TableBusyError` or :class:`TableError`."""
    try:
        yield
    except sqlalchemy_errors.TimeoutError as error:
        raise TransportError(f"No connection to PostgreSQL became free: {_first_line(error)}") from error
    except sqlalchemy_errors.PendingRollbackError as error:
        raise TransportError(f"The connection to PostgreSQL was lost: {_first_line(error)}") from error
    except sqlalchemy_errors.DBAPIError as error:
        raise translate(error).without_subject() from error
    except DRIVER_ERRORS as error:
        raise translate(error).without_subject() from error


def translate(error: Exception) -> SyncError:
    """Convert a driver's error to an error of this package.

    The message is the server's primary message, which names constraint, column or table. The detail, which quotes rows, is
    left out, except for a refused DROP: there it names the dependent objects.
    """
    state = sqlstate(error)
    message = error_message(error)
    limit = next((limit for said, limit in _POOLER_LIMITS.items() if said in message), None)
    if state == _NONE_FREE or (state is None and _NONE_LEFT.search(message)):
        if " for " in message and "reserved" not in message:
            limit = "the limit of its role or database: a sync needs four connections at a target, and one or more at a source"
        else:
            limit = "max_connections"
    session_limit = next((limit for said, limit in _SESSION_LIMITS.items() if said in message), None)
    if session_limit is not None:
        return SessionTimeoutError(
            f"PostgreSQL ended the session: {message}. Give the role more time: ALTER ROLE … SET {session_limit}."
        )
    if limit is not None:
        return ConnectionLimitError(f"PostgreSQL has no connection left. Try again when others have ended, or raise {limit}.")
    if state is None:
        # No SQLSTATE means that the server did not answer: the connection failed or was lost; or the driver was misused.
        lost = isinstance(error, sqlalchemy_errors.OperationalError | sqlalchemy_errors.InterfaceError) or type(
            driver_error(error)
        ).__name__ in ("OperationalError", "InterfaceError")
        if not lost:
            return TableError(f"PostgreSQL: {message}")
        if _NO_TLS.search(str(driver_error(error))):
            advice = "Check sslmode and sslrootcert in the URL, and the server's certificate."
            return TableError(f"No TLS to PostgreSQL: {message}. {advice}")
        # For a refused connection, neither driver has a SQLSTATE, only the server's message.
        if _REFUSED.search(str(driver_error(error))):
            advice = next(
                (advice for said, advice in _LOGIN_ADVICE if said in message), "Check user, password and name of the database."
            )
            return TableError(f"PostgreSQL refused the connection: {message}. {advice}")
        advice = (
            "Its log has the reason: it was restarted, or the session was idle in a transaction for longer than the role may."
            if _CUT in message
            else "Is it running, and are host, port, user and password right?"
        )
        return TransportError(f"No answer from PostgreSQL: {message}. {advice}")
    if state == _PROTOCOL_VIOLATION and "pooling mode" in message:
        return TableError(
            f"The pooler before PostgreSQL: {message}. Connect to a pool in session mode; a source may be in transaction mode."
        )
    if state[:2] == "08" or state[:3] == "57P":
        return TransportError(f"PostgreSQL ended the connection: {message}")
    if state in _BUSY and _REPLAY in message:
        advice = "Try again, or set hot_standby_feedback, or raise max_standby_streaming_delay."
        return TableBusyError(f"PostgreSQL: {message}: the standby replayed a change of rows that were being read. {advice}")
    if state in ("22023", "42704") and _SNAPSHOT_GONE.match(message):
        return TableBusyError("PostgreSQL: the session that held the snapshot has ended. Try again.")
    if state in _BUSY:
        kind = LockTimeoutError if state == LOCK_NOT_AVAILABLE else TableBusyError
        return kind(f"PostgreSQL: {message}. Try again when the other transaction is done.")
    if state == QUERY_CANCELED:
        advice = (
            "Its statement_timeout is too short for it: give the role more, ALTER ROLE … SET statement_timeout."
            if "statement timeout" in message
            else "Another session or an administrator cancelled it: try again."
        )
        return SessionTimeoutError(f"PostgreSQL ended a statement: {message}. {advice}")
    if state == _READ_ONLY or _IN_RECOVERY.search(message):
        advice = "It is a standby, or read-only by default: connect to the primary, as a role that may write."
        return ReadOnlyError(f"PostgreSQL: {message}.", advice)
    if state == "53200" and "shared memory" in message:
        advice = "Raise max_locks_per_transaction, or sync fewer tables in one transaction (single_transaction: false)."
        return TableError(f"PostgreSQL: {message}. {advice}")
    if state in ("55000", "42P10") and _PUBLISHED.match(message):
        return TableError(f"PostgreSQL: {message}{_publication(error)}")
    if state in ADVICE:
        return TableError(f"PostgreSQL: {message}. {ADVICE[state]}")
    if state == DEPENDENT_OBJECTS:
        return TableError(f"PostgreSQL: {message}{_dependents(error)}. Drop what needs it first.")
    if state == INSUFFICIENT_PRIVILEGE:
        return TableError(f"PostgreSQL: {message}. {_advice_to_denied(message)}")
    return TableError(f"PostgreSQL: {message}")


def _publication(error: Exception) -> str:
    """Say why a publication keeps rows of a table from being updated or deleted, and what to do."""
    found = driver_error(error)
    detail = str(getattr(getattr(found, "diag", None), "message_detail", None) or "").rstrip(".")
    if "WHERE" in detail:
        advice = "Set REPLICA IDENTITY FULL for the table, or name only columns of its key in the publication's WHERE"
    elif detail:
        advice = "Add the columns of its replica identity to the publication's column list"
    else:
        advice = "Give the table a primary key, or run ALTER TABLE … REPLICA IDENTITY FULL"
    said = f", which a publication contains: {detail[:1].lower()}{detail[1:]}" if detail else ""
    return f"{said}. {advice}; or take the table out of the publication (pg_publication_tables), or publish inserts only."


def _advice_to_denied(message: str) -> str:
    if message.startswith(_ROWS_HIDDEN):
        return (
            "Connect as a role that sees all rows (BYPASSRLS; of a view its owner counts, unless it is security_invoker), or set"
            " allow_row_security to sync only the rows that the role sees."
        )
    if message.startswith(_ROW_REFUSED):
        return "The role may not write a row of the source: connect as one with BYPASSRLS, or change the policy."
    denied = _DENIED.search(message)
    needed = _PRIVILEGES.get(denied[1], "") if denied else ""
    advice = f"It takes {needed}: grant it to the role" if needed else "Grant it to the role"
    return f"{advice}, or connect as another one."


def error_message(error: BaseException) -> str:
    """Return the server's primary message, or the first line of the driver's message, shortened to a readable length."""
    found = driver_error(error)
    primary = getattr(getattr(found, "diag", None), "message_primary", None)
    message = str(primary) if primary else _first_line(found if found is not None else error)
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"


def _dependents(error: BaseException) -> str:
    """Return the server's list of dependent objects, one per line, as the end of a sentence."""
    detail = getattr(getattr(driver_error(error), "diag", None), "message_detail", None)
    return f": {printable('; '.join(str(detail).splitlines()))}" if detail else ""


def copied_column(error: BaseException, names: Sequence[str]) -> str | None:
    """Return which of the columns ``names`` a failed COPY was reading; ``None`` if the server does not say."""
    context = getattr(getattr(driver_error(error), "diag", None), "context", None)
    match = _COPY_CONTEXT.search(context or "")
    if match is None:
        return None
    # The value follows after a colon, and names may contain colons, too: take the longest matching name.
    return max((name for name in names if match[1].startswith((f"{name}:", name))), key=len, default=None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or reason(error)).splitlines()[0]
