"""Errors of PostgreSQL: what they become, and what they advise."""

from __future__ import annotations

import psycopg
import pytest

from airflow_provider_sync.databases.postgresql.errors import translate
from airflow_provider_sync.exceptions import ReadOnlyError, SessionTimeoutError, TableBusyError, TableError


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("25006", "cannot execute CREATE TABLE in a read-only transaction"),
        ("0A000", "cannot set transaction read-write mode during recovery"),
        ("55000", "cannot assign TransactionIds during recovery"),
    ],
)
def test_a_standby(state: str, said: str) -> None:
    """For any refusal of a standby, the advice is to connect to the primary."""
    kind = psycopg.errors.lookup(state)
    error = translate(kind(said))
    assert type(error) is ReadOnlyError
    assert f"{said}. It is a standby" in str(error)
    assert "connect to the primary" in str(error)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("canceling statement due to statement timeout", "ALTER ROLE … SET statement_timeout."),
        ("canceling statement due to user request", "Another session or an administrator cancelled it: try again."),
    ],
)
def test_a_statement_that_was_ended(said: str, advice: str) -> None:
    """A statement that a limit or a person ended is a transient error that names the limit."""
    error = translate(psycopg.errors.lookup("57014")(said))
    assert type(error) is SessionTimeoutError
    assert str(error).endswith(advice)


@pytest.mark.parametrize(
    "said", ["canceling statement due to conflict with recovery", "terminating connection due to conflict with recovery"]
)
def test_a_standby_that_replays(said: str) -> None:
    """A read that a standby ended for its primary is a transient error that names the settings."""
    error = translate(psycopg.errors.lookup("40001")(said))
    assert isinstance(error, TableBusyError)
    assert "hot_standby_feedback" in str(error)
    assert "other transaction" not in str(error)


@pytest.mark.parametrize(
    ("state", "said"),
    [("22023", 'invalid snapshot identifier: "00000002-00000017-1"'), ("42704", 'snapshot "00000002-00000017-1" does not exist')],
)
def test_a_snapshot_that_is_gone(state: str, said: str) -> None:
    """A snapshot whose session was ended is a transient error, not one of the table."""
    error = translate(psycopg.errors.lookup(state)(said))
    assert isinstance(error, TableBusyError)
    assert "has ended" in str(error)


def test_what_is_missing_is_no_snapshot() -> None:
    """Other errors with the same SQLSTATE do not change."""
    assert not translate(psycopg.errors.lookup("42704")('type "snapshot" does not exist')).retryable


def test_too_many_locks() -> None:
    """If a transaction needs more locks than the server has, the error names the setting."""
    assert "max_locks_per_transaction" in str(translate(psycopg.errors.lookup("53200")("out of shared memory")))
    assert "max_locks" not in str(translate(psycopg.errors.lookup("53200")("out of memory")))


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('password authentication failed for user "u"', "Check user, password and name of the database."),
        ('permission denied for database "d"', "GRANT CONNECT ON DATABASE …."),
        ('role "u" is not permitted to log in', "ALTER ROLE … LOGIN."),
        ('database "d" is not currently accepting connections', "ALLOW_CONNECTIONS true."),
        ('no pg_hba.conf entry for host "192.0.2.1", user "u", database "d", no encryption', "connect with TLS (sslmode)."),
    ],
)
def test_a_login_that_is_refused(said: str, advice: str) -> None:
    """The advice for a refused login is about its cause, which may be neither the user's name nor the password."""
    error = translate(psycopg.OperationalError(f"connection failed: FATAL:  {said}"))
    assert type(error) is TableError
    assert str(error).endswith(advice)
