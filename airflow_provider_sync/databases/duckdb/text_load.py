r"""Load lines of canonical texts into a table of DuckDB; a text that its column would change is an error.

::

    blocks ── this thread ── pipe ── INSERT … SELECT … FROM read_csv('/dev/fd/N'), in a thread of its own

Each statement reads up to :data:`_STATEMENT_BYTES`, so that what has come stays in a staging table when the source fails.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.duckdb.errors import message, translated
from airflow_provider_sync.databases.duckdb.session import driver_of
from airflow_provider_sync.databases.duckdb.text import canonical_text, literal, parsed
from airflow_provider_sync.databases.schema import TEXTUAL, Kind, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED

_STATEMENT_BYTES = 64 * 1024 * 1024
_MAX_LINE_BYTES = 1024**3
_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)
"""Linux only; other systems keep their pipes as they are."""

_HEADER = b"-\n"
"""A first line that is skipped, so that nothing in a row is taken for the mark of an encoding."""

_PATH = "{path}"
_SHOWN_CHARACTERS = 40
_REFUSED = " is not a value that this column keeps as it is"


def insert_statement(database: Database, table: Table, columns: Sequence[CanonicalColumn]) -> str:
    """Return the INSERT that reads lines from a file; ``{path}`` stands for its path.

    :param columns: columns in the order of the fields
    """
    places = range(len(columns))
    # A line of a single empty field would be skipped as empty.
    names = [f"r{place}" for place in places] + (["filler"] if len(columns) == 1 else [])
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    lines = (
        f"read_csv('{_PATH}', columns = {{{types}}}, auto_detect = false, header = false, skip = 1, delim = '\\t', quote = '',"
        f" escape = '', nullstr = '\\N', new_line = '\\n', max_line_size = {_MAX_LINE_BYTES})"
    ).replace("'\\t'", "'\t'")
    texts = ", ".join(f"{_unescaped(column, f'r{place}')} AS r{place}" for place, column in enumerate(columns))
    values = ", ".join(f"r{place}, {parsed(column.column, f'r{place}')} AS v{place}" for place, column in enumerate(columns))
    checked = ", ".join(_checked(table, column, place) for place, column in enumerate(columns))
    targets = database.columns(column.column.name for column in columns)
    return (
        f"INSERT INTO {database.qualified(table)} ({targets})"
        f" SELECT {checked} FROM (SELECT {values} FROM (SELECT {texts} FROM {lines}))"
    )


def load_blocks(connection: Connection, table: Table, statement: str, columns: int, blocks: Iterable[bytes]) -> int:
    """Insert blocks of whole lines.

    :param statement: of :func:`insert_statement`
    :param columns: number of fields in a line
    :return: rows loaded
    :raises TableError: naming the table, and the column where it is known, for a value that its column would change
    """
    waiting = filter(None, blocks)
    driver = driver_of(connection)
    with translated(), _naming(table, columns):
        return sum(_load(driver, statement, columns, chain([first], waiting)) for first in waiting)


@contextmanager
def _naming(table: Table, columns: int) -> Iterator[None]:
    """Say what is the matter with lines that could not be read; DuckDB's message quotes them."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        text = message(error)
        if text.endswith(_REFUSED.strip()):
            raise TableError(f"{text}.") from error
        if "CSV Error" not in text:
            raise
        reason = "a text is not UTF-8" if "unicode" in str(error) else f"rows do not have the {columns} values of its columns"
        raise TableError(f"Table {table.label!r}: {reason}. Correct it at the source.") from error


def _load(driver: duckdb.DuckDBPyConnection, statement: str, columns: int, blocks: Iterator[bytes]) -> int:
    """Run one statement over the next blocks. If the source fails, it ends with the rows that have come."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync-duckdb-load") as thread:
        reader, writer = os.pipe()
        if _SET_PIPE_SIZE is not None:
            with suppress(OSError):
                fcntl.fcntl(writer, _SET_PIPE_SIZE, _PIPE_BYTES)
        inserted = thread.submit(_insert, driver, statement, reader)
        try:
            _write(writer, columns, blocks)
        finally:
            os.close(writer)
        return inserted.result()


def _insert(driver: duckdb.DuckDBPyConnection, statement: str, reader: int) -> int:
    try:
        row = driver.execute(statement.replace(_PATH, f"/dev/fd/{reader}", 1)).fetchone()
        return int(row[0]) if row else 0
    finally:
        os.close(reader)


def _write(writer: int, columns: int, blocks: Iterator[bytes]) -> None:
    """Write blocks until there are enough for one statement, or until it reads no more because it failed."""
    size = 0
    reading = _write_all(writer, _HEADER)
    while reading and size < _STATEMENT_BYTES and (block := next(blocks, b"")):
        reading = _write_all(writer, block.replace(b"\n", b"\t-\n") if columns == 1 else block)
        size += len(block)


def _write_all(writer: int, block: bytes) -> bool:
    rest = memoryview(block)
    try:
        while rest:
            rest = rest[os.write(writer, rest) :]
    except BrokenPipeError:
        return False
    return True


def _unescaped(column: CanonicalColumn, text: str) -> str:
    if column.type.kind not in LENGTH_PREFIXED and column.column.kind not in TEXTUAL:
        return text
    # A pair of backslashes is split off first: what is left of them begins an escape.
    parts = f"string_split({text}, '\\\\')"
    plain = "replace(replace(replace(part, '\\t', chr(9)), '\\n', chr(10)), '\\r', chr(13))"
    return f"CASE WHEN contains({text}, '\\') THEN array_to_string([{plain} FOR part IN {parts}], '\\') ELSE {text} END"


def _checked(table: Table, column: CanonicalColumn, place: int) -> str:
    """Return the value of a field, or an error where its column would change it."""
    text, value = f"r{place}", f"v{place}"
    if column.column.kind is Kind.TEXT:
        return text
    label = f"Table {table.label!r}, column {column.column.name!r} ({column.column.sql_type}): "
    shown = f"{literal(label)} || left({text}, {_SHOWN_CHARACTERS}) || '{_REFUSED}'"
    # Only what is hexadecimal was read, so that its bytes need no comparison.
    written = text if column.column.kind is Kind.BINARY else canonical_text(column.column, column.type, value)
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN {value} IS NOT NULL AND {written} = {text} THEN {value} ELSE error({shown}) END"
    )
