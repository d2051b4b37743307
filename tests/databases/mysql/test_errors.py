"""Errors of MySQL and MariaDB: what they become, and what they advise."""

from __future__ import annotations

import pymysql
import pytest

from airflow_provider_sync.databases.mysql.errors import translate
from airflow_provider_sync.exceptions import (
    ConnectionLimitError,
    ReadOnlyError,
    SessionTimeoutError,
    SyncError,
    TableError,
    TransportError,
)


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (2003, TransportError, "are host and port right? A password in a URL is percent-encoded."),
        (2005, TransportError, "are host and port right? A password in a URL is percent-encoded."),
        (2013, TransportError, "see wait_timeout, and idle_transaction_timeout on MariaDB; if not, its log."),
        (4031, SessionTimeoutError, "Raise wait_timeout of the user or the server."),
        (1969, SessionTimeoutError, "Raise max_statement_time of the user or the server."),
        (3024, SessionTimeoutError, "Raise max_execution_time of the user or the server."),
        (1317, SessionTimeoutError, "Another session or an administrator cancelled it: try again."),
        (1045, TableError, "and whether it must use TLS (REQUIRE SSL)."),
        (1049, TableError, "Create it, or correct its name in the connection or the table."),
        (3032, TransportError, "Try again when SET GLOBAL offline_mode = OFF was run."),
        (3989, ReadOnlyError, "or let it be written to: ALTER SCHEMA … READ ONLY = 0."),
        (1142, TableError, "Grant it to the user, or connect as another one."),
    ],
)
def test_what_does_not_answer_and_what_refuses(number: int, kind: type[SyncError], advice: str) -> None:
    """An unreachable server, a refused login and a missing privilege have different advice."""
    error = translate(pymysql.err.OperationalError(number, "No"))
    assert type(error) is kind
    assert str(error).endswith(advice)


@pytest.mark.parametrize(
    ("option", "advice"),
    [
        ("--super-read-only option", "connect to the primary, or switch read_only off."),
        ("read_only=NO_LOCK", "connect to the primary, or switch read_only off."),
        ("NO_ENGINE_SUBSTITUTION option", "set it to InnoDB, or to NULL."),
        ("--secure-file-priv option", "(error 1290)"),
    ],
)
def test_an_option_of_the_server_forbids_it(option: str, advice: str) -> None:
    """Error 1290 has the advice for the option that forbids the statement."""
    text = f"The server is running with the {option} so it cannot execute this statement"
    error = translate(pymysql.err.OperationalError(1290, text))
    assert isinstance(error, TableError)
    assert str(error).endswith(advice)


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("User 'u' has exceeded the 'max_user_connections' resource (current value: 1)", "max_user_connections"),
        ("User 'u' has exceeded the 'max_queries_per_hour' resource (current value: 5)", "max_queries_per_hour"),
        ("User 'u' has exceeded the 'max_questions' resource (current value: 5)", "max_queries_per_hour"),
        ("User 'u' has exceeded the 'max_updates_per_hour' resource (current value: 1)", "max_updates_per_hour"),
        ("User 'u' has exceeded the 'max_updates' resource (current value: 1)", "max_updates_per_hour"),
        ("User 'u' has exceeded the 'max_connections_per_hour' resource (current value: 9)", "max_connections_per_hour"),
    ],
)
def test_a_limit_of_the_user_is_named(said: str, limit: str) -> None:
    """Error 1226 names the exceeded limit."""
    error = translate(pymysql.err.OperationalError(1226, said))
    assert type(error) is ConnectionLimitError
    assert str(error).endswith(f"raise the limit of its user, {limit}.")


def test_a_certificate_that_is_not_trusted() -> None:
    """An untrusted certificate is a permanent error, and not reported as a server that does not answer."""
    error = translate(pymysql.err.OperationalError(2003, "Can't connect ([SSL: CERTIFICATE_VERIFY_FAILED] self-signed)"))
    assert type(error) is TableError
    assert str(error).endswith("Check the options of the URL that begin with ssl, and the server's certificate.")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "'binlog_error_action' is set to 'ABORT_SERVER'. Server is being stopped.",
            "free some space on it, and start the server",
        ),
        ("Statement cannot be written atomically", "The database refused"),
    ],
)
def test_a_binary_log_that_cannot_be_written(said: str, advice: str) -> None:
    """If MySQL ends because its binary log cannot be written, the error names the disk; other reasons have no such advice."""
    error = translate(pymysql.err.OperationalError(1598, f"Binary logging not possible. Message: {said}"))
    assert type(error) is TableError
    assert advice in str(error)
