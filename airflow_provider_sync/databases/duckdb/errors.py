"""Translate DuckDB's errors to errors of this package. DuckDB has no error codes, only classes and messages.

Messages quote values, names and expressions, so an error is recognized by its class and by whole phrases at their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.exceptions import ReadOnlyError, TableBusyError, TableError

_LOCKED = "Could not set lock on file"
_DUPLICATE = re.compile(r"(?:[A-Za-z ]+: )*(?:Duplicate key|PRIMARY KEY or UNIQUE constraint)")
_ORPHAN = re.compile(r"(?:[A-Za-z ]+: )*Violates foreign key constraint")
_NOT_UTF8 = re.compile(r"^Invalid unicode \(", re.MULTILINE)
_CONFLICTS = ("conflict", "Conflict")
_BROKEN = (duckdb.ConstraintException, duckdb.TransactionException)
"""Classes of errors about a constraint that is checked at a statement or at the commit."""

_WRITES = (
    (
        duckdb.InvalidInputException,
        re.compile(r'Cannot execute statement of type "[A-Z_]+" on database ".*" which is attached in read-only mode'),
    ),
    (duckdb.TransactionException, re.compile(r'Cannot write to database ".*" - transaction is launched in read-only mode')),
)
"""Classes and messages of errors about a write to a database, or in a transaction, that only allows reading."""

REMOVE_READ_ONLY = "Remove read_only from its URL, if this database is a target."
"""Advice for a database that was opened for reading only."""

_FOLDERS = re.compile(r'(?<=")[^"]*/(?=[^"/]*")|(?<=held in )\S*/')

_OTHER_OPTIONS = "different configuration"

_ADVICE = (
    ("No space left", ". Free some space on the disk of the database."),
    ("not a valid DuckDB database file", ". Check its path."),
    ("No such file or directory", ". Does its folder exist? duckdb:///x.db is relative, duckdb:////srv/x.db is not."),
    (
        "Permission denied",
        ". Give the user of this process write permission on the file and its folder. With ?read_only=true in the URL of a"
        " source, read permission is enough.",
    ),
)
_NO_SCHEMA = re.compile(r"Schema with name .+ does not exist")


@contextmanager
def translated() -> Iterator[None]:
    """Convert DuckDB's errors to errors of this package."""
    try:
        yield
    except (DBAPIError, duckdb.Error) as error:
        raise translate(original(error)).without_subject() from error


def original(error: BaseException) -> BaseException:
    """Return the driver's error that an error of SQLAlchemy wraps."""
    found: Any = getattr(error, "orig", None)
    return found or error


def translate(error: BaseException) -> TableError:
    """Return the error of this package; it is retryable if another process or transaction uses the file."""
    text = message(error)
    if isinstance(error, duckdb.IOException) and _LOCKED in text:
        return TableBusyError(
            f"DuckDB: {text.partition('. See also')[0]}. Only one process at a time can open a DuckDB file for writing. Try again"
            " when the other one has closed it; if all of them only read it, add ?read_only=true to each URL."
        )
    if is_duplicate(error) or is_constraint(error):
        advice = (
            ". DuckDB checks foreign keys at each statement, and cannot switch them off. It also counts rows that refer to a row"
            " at the transaction's start, though they were deleted or changed in it. Sync the tables that refer to others in"
            " a transaction of their own (single_transaction: false), or create the target without foreign keys."
        )
        return TableError(f"DuckDB: {text}{advice if is_orphan(error) else ''}")
    if isinstance(error, duckdb.TransactionException) and any(word in text for word in _CONFLICTS):
        return TableBusyError(f"DuckDB: {text}. Another transaction changed the same rows; try again.")
    if any(isinstance(error, kind) and sentence.fullmatch(text) for kind, sentence in _WRITES):
        return ReadOnlyError(f"DuckDB: {text}.", REMOVE_READ_ONLY)
    if isinstance(error, duckdb.ConnectionException) and _OTHER_OPTIONS in text:
        return TableError(f"DuckDB: {text}. Give all URLs of this file the same options.")
    # Errors of other classes quote values and expressions.
    is_of_the_file = isinstance(error, duckdb.OperationalError | duckdb.FatalException)
    advice = next((advice for part, advice in _ADVICE if part in text), "") if is_of_the_file else ""
    if isinstance(error, duckdb.CatalogException) and _NO_SCHEMA.match(text):
        advice = ". Create the schema, or correct the name of the table."
    return TableError(f"DuckDB: {text}{advice}")


def message(error: BaseException) -> str:
    """Return the first line of an error, without its class; later lines quote the statement or a row.

    It has file names without directories, since clients of a server see it; the driver's error has the full paths, for the log.
    """
    first = _FOLDERS.sub("", str(error).strip().partition("\n")[0])
    kind, separator, rest = first.partition(" Error: ")
    return (rest if separator and len(kind.split()) <= 2 else first).rstrip(". !")


def is_duplicate(error: BaseException) -> bool:
    """Whether an error reports a duplicate value of a unique key."""
    found = original(error)
    return isinstance(found, _BROKEN) and _DUPLICATE.match(str(found)) is not None


def is_constraint(error: BaseException) -> bool:
    """Whether an error reports a violated constraint."""
    return isinstance(original(error), duckdb.ConstraintException) or is_duplicate(error)


def is_orphan(error: BaseException) -> bool:
    """Whether an error reports a violated foreign key."""
    found = original(error)
    return isinstance(found, _BROKEN) and _ORPHAN.match(str(found)) is not None


def is_not_utf8(error: BaseException) -> bool:
    """Whether an error reports a text that is not UTF-8."""
    return _NOT_UTF8.search(str(original(error))) is not None
