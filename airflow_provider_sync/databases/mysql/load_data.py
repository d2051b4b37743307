"""Bulk-load into MySQL and MariaDB: LOAD DATA LOCAL through a pipe, or multi-row INSERTs where that is not allowed.

LOAD DATA LOCAL is lenient even in strict mode: every problem with a row is only a warning. Each statement's counts are
therefore checked, and any warning is an error here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.mysql.errors import (
    DRIVER_ERRORS,
    DUPLICATE,
    NO_LOCAL_INFILE,
    UNSAFE_STATEMENT,
    error_number,
    error_text,
    shortened,
    translate,
)
from airflow_provider_sync.databases.mysql.local_file import DESCRIPTORS, file_name
from airflow_provider_sync.databases.mysql.local_infile import can_send, offered
from airflow_provider_sync.databases.mysql.values import refused_null
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import DuplicateKeyError, TableError

LOAD_BYTES = 64 * 1024 * 1024
"""Bytes per LOAD DATA: enough to make the cost per statement negligible, few enough to report a bad row soon."""

INSERT_BYTES = 1024 * 1024
"""Bytes per INSERT, unless the server's `max_allowed_packet` is smaller."""

_NULL_REFUSED = frozenset({1048, 1263})
"""NULL in a column that is NOT NULL: the error of INSERT, and the warning of LOAD DATA."""

_ADVICE: dict[int | None, str] = {
    DUPLICATE: "Two rows of the source are one to the target: compare the keys and collations of both.",
    1526: "Create a partition of the target for it.",
    3819: "Change that constraint of the target, or drop it.",
    4025: "Change that constraint of the target, or drop it.",
}
"""What to do about a row that was not stored as sent, where another type would not help, by the number of the warning."""


def send(
    connection: Connection,
    table: Table,
    qualified: str,
    fields: Sequence[tuple[str, str | None]],
    *,
    ends: tuple[str, str],
    blocks: Iterator[tuple[int, bytes]],
    literals: Iterator[bytes],
) -> int:
    """Load rows by the fastest way that the server allows; iterate only over the rows in that form, in the calling thread.

    :param qualified: the table's quoted name
    :param fields: quoted columns in the order of the text, each with the function to apply to its text, if any: ``UNHEX({})``
    :param ends: for LOAD DATA, the terminators of a field and of a line
    :param blocks: for LOAD DATA, blocks of lines with their numbers of rows
    :param literals: for INSERT, rows such as ``(1, 'a')``
    :return: rows loaded
    :raises TableError: for a value that the table would change or refuse
    """
    cursors = import_module(f"{connection.dialect.loaded_dbapi.__name__}.cursors")
    cursor = cursors.Cursor(connection.connection.driver_connection)
    try:
        if _allows_load_data(cursor, qualified):
            return _load_data(cursor, table, _load_statement(qualified, fields, *ends), blocks)
        return _insert(cursor, table, _insert_statement(qualified, [name for name, _ in fields]), literals)
    except DRIVER_ERRORS as error:
        if error_number(error) in _NULL_REFUSED and (refused := _refused_null(table, error_text(error))):
            raise refused from error
        translated = translate(error)
        if type(translated) is TableError:
            raise translated.with_subject(f"Table {table.label!r}") from error
        raise translated.without_subject() from error
    finally:
        cursor.close()


def _allows_load_data(cursor: Any, qualified: str) -> bool:
    """Whether LOAD DATA LOCAL works; try it without rows, since server, client library, driver and any proxy must allow it."""
    if not (DESCRIPTORS.is_dir() and can_send(cursor.connection)):
        return False
    cursor.execute("SELECT @@local_infile")
    if not int(cursor.fetchone()[0]):
        return False
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        with offered(cursor.connection, nothing):
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file_name(nothing)}' INTO TABLE {qualified}", ())
    except DRIVER_ERRORS as error:
        if error_number(error) not in NO_LOCAL_INFILE:
            raise
        return False
    finally:
        os.close(nothing)
    return True


# -- LOAD DATA -------------------------------------------------------------------------------------------------------


def _load_statement(qualified: str, fields: Sequence[tuple[str, str | None]], field: str, line: str) -> str:
    """Return the LOAD DATA statement, with ``{}`` for the file name."""
    places = [name if function is None else f"@v{number}" for number, (name, function) in enumerate(fields)]
    assignments = [
        f"{name} = {function.replace('{}', f'@v{number}')}" for number, (name, function) in enumerate(fields) if function
    ]
    # A hexadecimal ESCAPED BY means a backslash in every SQL mode.
    return (
        f"LOAD DATA LOCAL INFILE '{{}}' INTO TABLE {qualified} CHARACTER SET utf8mb4"
        f" FIELDS TERMINATED BY x'{ord(field):02x}' ESCAPED BY x'5c' LINES TERMINATED BY x'{ord(line):02x}'"
        f" ({', '.join(places)})" + (f" SET {', '.join(assignments)}" if assignments else "")
    )


def _load_data(cursor: Any, table: Table, statement: str, blocks: Iterator[tuple[int, bytes]]) -> int:
    total = 0
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="load-data") as executor:
        for first in blocks:
            total += _load_blocks(executor, cursor, table, statement, chain([first], blocks))
    return total


def _load_blocks(
    executor: ThreadPoolExecutor, cursor: Any, table: Table, statement: str, blocks: Iterator[tuple[int, bytes]]
) -> int:
    """Run one LOAD DATA for as many blocks as its size allows."""
    reading, writing = os.pipe()
    loading = executor.submit(_execute, cursor, statement.replace("{}", file_name(reading), 1), reading)
    rows = size = 0
    try:
        for count, block in blocks:
            if not _write(writing, block):
                break
            rows += count
            size += len(block)
            if size >= LOAD_BYTES:
                break
    finally:
        # Closing the pipe ends the statement, even after an error in the rows; the executor waits for it.
        os.close(writing)
    _verify(cursor, table, rows, *loading.result())
    return rows


def _execute(cursor: Any, statement: str, reading: int) -> tuple[int, int]:
    try:
        with offered(cursor.connection, reading):
            cursor.execute(statement, ())
        return cursor.rowcount, _warning_count(cursor)
    finally:
        # Close the reading end, so that the writer does not wait for a statement that has ended.
        os.close(reading)


def _write(descriptor: int, block: bytes) -> bool:
    """Write to the pipe; return false if its reading end is closed."""
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except BrokenPipeError:
        return False
    return True


# -- INSERT ----------------------------------------------------------------------------------------------------------


def _insert_statement(qualified: str, names: Iterable[str]) -> bytes:
    """Return the start of an INSERT, to which rows are appended as ``(1, 'a'),(2, 'b')``."""
    # Undo the doubling of percent signs by `quote`, since the statement has no parameters.
    return f"INSERT INTO {qualified} ({', '.join(names)}) VALUES ".replace("%%", "%").encode()


def _insert(cursor: Any, table: Table, statement: bytes, rows: Iterator[bytes]) -> int:
    cursor.execute("SELECT @@max_allowed_packet")
    packet = int(cursor.fetchone()[0])
    limit = min(INSERT_BYTES, packet // 2)
    total = 0
    pending: list[bytes] = []
    size = 0
    for row in rows:
        if len(statement) + len(row) >= packet:
            raise TableError(
                f"Table {table.label!r}: a row of {len(row)} bytes does not fit into a statement of at most {packet} bytes."
                " Raise the server's max_allowed_packet, or switch local_infile on."
            )
        if size + len(row) > limit and pending:
            total += _insert_rows(cursor, table, statement, pending)
            pending, size = [], 0
        pending.append(row)
        size += len(row) + 1
    return total + _insert_rows(cursor, table, statement, pending) if pending else total


def _insert_rows(cursor: Any, table: Table, statement: bytes, rows: Sequence[bytes]) -> int:
    cursor.execute(statement + b",".join(rows))
    _verify(cursor, table, len(rows), cursor.rowcount, _warning_count(cursor))
    return len(rows)


def _warning_count(cursor: Any) -> int:
    """Return the number of warnings of the last statement."""
    if hasattr(cursor, "warning_count"):
        return int(cursor.warning_count)
    # mysqlclient before 2.3 has it only on the connection.
    return int(cursor.connection.warning_count())


def _verify(cursor: Any, table: Table, sent: int, loaded: int, warnings: int) -> None:
    """Raise an error unless the statement stored every row exactly as sent."""
    if loaded == sent and not warnings:
        return
    cursor.execute("SHOW WARNINGS")
    found: Sequence[tuple[str, int, str]] = cursor.fetchall()
    if loaded == sent and len(found) == warnings and all(number == UNSAFE_STATEMENT for _, number, _ in found):
        return
    # Put notes last: if there is also a warning, that is the cause.
    found = sorted(found, key=lambda warning: bool(warning[0] == "Note"))
    number, reason = (found[0][1], shortened(found[0][2])) if found else (None, f"{sent} rows were sent and {loaded} arrived")
    advice = _ADVICE.get(number, "Change the type of the target's column, or leave it out with `columns`.")
    if number in _NULL_REFUSED and (refused := _refused_null(table, reason)):
        raise refused
    kind = DuplicateKeyError if number == DUPLICATE else TableError
    raise kind(f"Table {table.label!r} cannot hold what was sent: {reason}. {advice}")


def _refused_null(table: Table, message: str) -> TableError | None:
    """Return the error for NULL in the column that a message of the server quotes, in whatever language it is."""
    names = re.findall("'([^']*)'", message)
    column = next((column for column in table.columns if column.name in names), None)
    return None if column is None else refused_null(table, column)
