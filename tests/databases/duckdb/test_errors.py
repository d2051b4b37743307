"""Errors of DuckDB are told apart by class and wording, whatever values, names and expressions their messages quote."""

from __future__ import annotations

import duckdb
import pytest

from airflow_provider_sync.databases.duckdb import errors
from airflow_provider_sync.exceptions import ReadOnlyError, TableError
from tests.scenario import Scenario, opened

TABLES = (
    "CREATE TABLE parent (id VARCHAR PRIMARY KEY)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, p VARCHAR REFERENCES parent, v VARCHAR CHECK (v <> 'Duplicate key'))",
    "INSERT INTO parent VALUES ('Violates foreign key constraint'), ('a')",
)


def failure(statement: str, on: Scenario) -> duckdb.Error:
    """Run a statement that fails, and return the driver's error."""
    with pytest.raises(TableError) as raised:
        on.execute(statement)
    found = errors.original(raised.value.__cause__ or raised.value)
    assert isinstance(found, duckdb.Error)
    return found


@pytest.mark.parametrize(
    ("statement", "duplicate", "orphan"),
    [
        ("INSERT INTO parent VALUES ('a')", True, False),
        ("INSERT INTO parent VALUES ('Violates foreign key constraint')", True, False),
        ("INSERT INTO child VALUES (1, 'b', 'x')", False, True),
        ("INSERT INTO child VALUES (1, 'Duplicate key', 'x')", False, True),
        ("INSERT INTO child VALUES (1, 'a', 'Duplicate key')", False, False),
    ],
)
def test_constraints(duckdb_on: Scenario, statement: str, duplicate: bool, orphan: bool) -> None:
    """Duplicates and orphans are told apart, whatever values the messages quote."""
    duckdb_on.execute(*TABLES)
    found = failure(statement, duckdb_on)
    assert (errors.is_duplicate(found), errors.is_orphan(found), errors.is_constraint(found)) == (duplicate, orphan, True)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT error('a disk in read-only mode')",
        "SELECT CAST('read-only mode' AS INTEGER)",
        "SELECT CAST('No space left' AS INTEGER)",
        'SELECT * FROM "is attached in read-only mode"',
    ],
)
def test_words_in_other_messages(duckdb_on: Scenario, statement: str) -> None:
    """A message that only contains words about writing or the disk gets no advice about them."""
    found = errors.translate(failure(statement, duckdb_on))
    assert type(found) is TableError
    assert "URL" not in str(found)
    assert "Free some space" not in str(found)


def test_writes_in_a_transaction_that_only_reads(duckdb_on: Scenario) -> None:
    """A write in a read-only transaction, or to a read-only file, is a :class:`ReadOnlyError`."""
    duckdb_on.execute(*TABLES)
    with pytest.raises(ReadOnlyError), duckdb_on.database.snapshot() as connection, duckdb_on.database.translate_errors():
        connection.exec_driver_sql("DELETE FROM child")


def test_a_file_that_is_only_read(duckdb_url: str) -> None:
    """A write to a read-only file is a :class:`ReadOnlyError`."""
    with opened(duckdb_url) as on:
        on.execute(*TABLES)
    with opened(f"{duckdb_url}?read_only=true") as on, pytest.raises(ReadOnlyError, match="Remove read_only"):
        on.execute("DELETE FROM child")


def test_text_that_is_not_utf8() -> None:
    """A line that quotes the word is not text in a wrong encoding."""
    assert errors.is_not_utf8(duckdb.InvalidInputException("CSV Error on Line: 1\nInvalid unicode (byte sequence mismatch)"))
    assert not errors.is_not_utf8(duckdb.InvalidInputException("CSV Error on Line: 1\nOriginal Line: 1\tunicode\nExpected 2"))
