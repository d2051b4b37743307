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
from dataclasses import dataclass

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.duckdb.errors import message, translated
from airflow_provider_sync.databases.duckdb.session import driver_of
from airflow_provider_sync.databases.duckdb.text import canonical_text, canonical_time, literal, parsed
from airflow_provider_sync.databases.schema import TEXTUAL, Kind, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED, LogicalKind

_STATEMENT_BYTES = 64 * 1024 * 1024
_LINE_BYTES = 2 * 1024 * 1024
"""Longest line that a statement reads unless a block shows that there are longer ones: DuckDB allocates buffers by it."""

_LINE_END_BYTES = 16
"""Room for what is added to a line."""

_BUFFER_LINES = 4
"""Size of DuckDB's buffer, in longest lines; it insists on more than one, and would take 16."""

_PIPE_BYTES = 1024 * 1024
_SET_PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", None)
"""Linux only; other systems keep their pipes as they are."""

_HEADER = b"-\n"
"""A first line that is skipped, so that nothing in a row is taken for the mark of an encoding."""

_SECONDS = frozenset({LogicalKind.TIME, LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
_SHOWN_CHARACTERS = 40
_REFUSED = " is not a value that this column keeps as it is"


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT that reads lines from a file.

    :ivar before: the statement up to the file
    :ivar fields: the columns of the file
    :ivar after: what stands behind the file
    """

    before: str
    fields: str
    after: str

    def reading(self, path: str, longest: int) -> str:
        """Return the statement for a file.

        :param longest: bytes of its longest line
        """
        return (
            f"{self.before} read_csv('{path}', columns = {{{self.fields}}}, auto_detect = false, header = false, skip = 1,"
            f" delim = '\t', quote = '', escape = '', nullstr = '\\N', new_line = '\\n', max_line_size = {longest},"
            f" buffer_size = {longest * _BUFFER_LINES}){self.after}"
        )


def insert_lines(database: Database, table: Table, columns: Sequence[CanonicalColumn]) -> Insert:
    """Return the INSERT that reads lines of canonical texts.

    :param columns: columns in the order of the fields
    """
    places = range(len(columns))
    # A line of a single empty field would be skipped as empty.
    names = [f"r{place}" for place in places] + (["filler"] if len(columns) == 1 else [])
    texts = ", ".join(f"{_unescaped(column, f'r{place}')} AS r{place}" for place, column in enumerate(columns))
    values = ", ".join(f"r{place}, {parsed(column.column, f'r{place}')} AS v{place}" for place, column in enumerate(columns))
    checked = ", ".join(_checked(table, column, place) for place, column in enumerate(columns))
    targets = database.columns(column.column.name for column in columns)
    return Insert(
        before=f"INSERT INTO {database.qualified(table)} ({targets})"
        f" SELECT {checked} FROM (SELECT {values} FROM (SELECT {texts} FROM",
        fields=", ".join(f"'{name}': 'VARCHAR'" for name in names),
        after="))",
    )


def load_blocks(connection: Connection, table: Table, insert: Insert, columns: int, blocks: Iterable[bytes]) -> int:
    """Insert blocks of whole lines.

    :param insert: of :func:`insert_lines`
    :param columns: number of fields in a line
    :return: rows loaded
    :raises TableError: naming the table, and the column where it is known, for a value that its column would change
    """
    waiting = filter(None, blocks)
    driver, loaded, block = driver_of(connection), 0, next(waiting, b"")
    with translated(), _naming(table, columns):
        while block:
            rows, block = _load(driver, insert, columns, block, waiting)
            loaded += rows
    return loaded


@contextmanager
def _naming(table: Table, columns: int) -> Iterator[None]:
    """Say what is the matter with lines that could not be read; DuckDB's message quotes them."""
    try:
        yield
    except duckdb.InvalidInputException as error:
        text = message(error)
        if text.endswith(_REFUSED.strip()):
            raise TableError(f"{text}. Correct it at the source, or leave the column out with `columns`.") from error
        if "CSV Error" not in text:
            raise
        reason = "a text is not UTF-8" if "unicode" in str(error) else f"rows do not have the {columns} values of its columns"
        raise TableError(f"Table {table.label!r}: {reason}. Correct it at the source.") from error


def _load(
    driver: duckdb.DuckDBPyConnection, insert: Insert, columns: int, first: bytes, blocks: Iterator[bytes]
) -> tuple[int, bytes]:
    """Run one statement over the next blocks. If the source fails, it ends with the rows that have come.

    :return: rows loaded, and the block that the next statement begins with; empty at the end
    """
    longest = max(_LINE_BYTES, len(first) + _LINE_END_BYTES)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sync-duckdb-load") as thread:
        reader, writer = os.pipe()
        if _SET_PIPE_SIZE is not None:
            with suppress(OSError):
                fcntl.fcntl(writer, _SET_PIPE_SIZE, _PIPE_BYTES)
        inserted = thread.submit(_insert, driver, insert.reading(f"/dev/fd/{reader}", longest), reader)
        try:
            block = _write(writer, columns, first, blocks, longest - _LINE_END_BYTES)
        finally:
            os.close(writer)
        return inserted.result(), block


def _insert(driver: duckdb.DuckDBPyConnection, statement: str, reader: int) -> int:
    try:
        row = driver.execute(statement).fetchone()
        return int(row[0]) if row else 0
    finally:
        os.close(reader)


def _write(writer: int, columns: int, block: bytes, blocks: Iterator[bytes], largest: int) -> bytes:
    """Write blocks until there are enough for one statement, or until it reads no more because it failed.

    :param largest: bytes of a block; a larger one may have a line that is too long
    :return: the first block that was not written
    """
    size = 0
    reading = _write_all(writer, _HEADER)
    while reading and block and size < _STATEMENT_BYTES and len(block) <= largest:
        reading = _write_all(writer, block.replace(b"\n", b"\t-\n") if columns == 1 else block)
        size += len(block)
        block = next(blocks, b"")
    return block


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
    same = f"{written} = {text}"
    if column.type.kind in _SECONDS and not column.type.enforced:
        # Most texts are canonical, and of those the second half is not computed.
        same = f"({same} OR {written} = {canonical_time(text, column.type)})"
    return f"CASE WHEN {text} IS NULL THEN NULL WHEN {value} IS NOT NULL AND {same} THEN {value} ELSE error({shown}) END"
