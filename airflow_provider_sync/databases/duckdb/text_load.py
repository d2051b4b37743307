r"""Load lines of canonical texts into a table of DuckDB; refuse a text that its column would change.

Each statement reads up to :data:`_STATEMENT_BYTES`, so that received rows stay in a staging table when the source fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.duckdb.errors import is_not_utf8, message, translated
from airflow_provider_sync.databases.duckdb.piped_lines import LinesStatement, PipedLines, filled
from airflow_provider_sync.databases.duckdb.session import driver_of
from airflow_provider_sync.databases.duckdb.text import canonical_text, canonical_time, literal, logical_type, parsed
from airflow_provider_sync.databases.null_refusals import DROP_NOT_NULL, null_column, null_refusal
from airflow_provider_sync.databases.schema import TEXTUAL, Kind, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED, LogicalKind

_STATEMENT_BYTES = 256 * 1024 * 1024

_SECONDS = frozenset({LogicalKind.TIME, LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
_SHOWN_CHARACTERS = 40
_REFUSED = " is not a value that this column keeps as it is"


def insert_lines(
    database: Database, table: Table, columns: Sequence[CanonicalColumn], *, is_digested: bool = False
) -> LinesStatement:
    """Return the INSERT that reads lines of canonical texts.

    :param columns: columns in the order of the fields
    :param is_digested: see :meth:`.Loader.load_text`
    """
    places = range(len(columns))
    # Without a filler, DuckDB would skip a line with a single empty field.
    names = [f"r{place}" for place in places] + (["filler"] if len(columns) == 1 else [])
    texts = ", ".join(f"{_unescaped(column, f'r{place}')} AS r{place}" for place, column in enumerate(columns))
    values = ", ".join(f"r{place}, {parsed(column.column, f'r{place}')} AS v{place}" for place, column in enumerate(columns))
    checked = ", ".join(_checked(table, column, place, is_digested=is_digested) for place, column in enumerate(columns))
    targets = database.columns(column.column.name for column in columns)
    return LinesStatement(
        before=f"INSERT INTO {database.qualified(table)} ({targets})"
        f" SELECT {checked} FROM (SELECT {values} FROM (SELECT {texts} FROM",
        fields=", ".join(f"'{name}': 'VARCHAR'" for name in names),
        after="))",
    )


def load_blocks(connection: Connection, table: Table, insert: LinesStatement, columns: int, blocks: Iterable[bytes]) -> int:
    """Insert blocks of whole lines.

    :param insert: the statement from :func:`insert_lines`
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
    """Convert errors about lines that DuckDB cannot read, whose messages quote the lines, and about NULL."""
    try:
        yield
    except duckdb.ConstraintException as error:
        if (column := null_column(message(error), table)) is None:
            raise
        raise null_refusal(table, column, DROP_NOT_NULL) from error
    except duckdb.InvalidInputException as error:
        text = message(error)
        if text.endswith(_REFUSED.strip()):
            raise TableError(f"{text}. Correct it at the source, or leave the column out with `columns`.") from error
        if "CSV Error" not in text:
            raise
        reason = "a text is not UTF-8" if is_not_utf8(error) else f"rows do not have the {columns} values of its columns"
        raise TableError(f"Table {table.label!r}: {reason}. Correct it at the source.") from error


def _load(
    driver: duckdb.DuckDBPyConnection, insert: LinesStatement, columns: int, block: bytes, blocks: Iterator[bytes]
) -> tuple[int, bytes]:
    """Run one statement over the next blocks. If the source fails, the statement stores the rows that have arrived.

    :return: rows loaded, and the first block of the next statement; empty at the end
    """
    size, reading = 0, True
    with PipedLines(driver, insert, block) as lines:
        while reading and block and size < _STATEMENT_BYTES and lines.takes(block):
            reading = lines.write(filled(block, columns))
            size += len(block)
            block = next(blocks, b"")
    return int(lines.row()[0]), block


def _unescaped(column: CanonicalColumn, text: str) -> str:
    if column.type.kind not in LENGTH_PREFIXED and column.column.kind not in TEXTUAL:
        return text
    # Split at escaped backslashes first: any backslash left then begins an escape.
    parts = f"string_split({text}, '\\\\')"
    plain = "replace(replace(replace(part, '\\t', chr(9)), '\\n', chr(10)), '\\r', chr(13))"
    return f"CASE WHEN contains({text}, '\\') THEN array_to_string([{plain} FOR part IN {parts}], '\\') ELSE {text} END"


def _checked(table: Table, column: CanonicalColumn, place: int, *, is_digested: bool) -> str:
    """Return the expression that reads the value of a field, and raises an error if the column would change it."""
    text, value = f"r{place}", f"v{place}"
    if column.column.kind is Kind.TEXT:
        return text
    # The value is NULL if the text is invalid for the column.
    same = f"{value} IS NOT NULL"
    if not is_digested or column.type != logical_type(column.column):
        same += f" AND {_unchanged(column, text, value)}"
    label = f"Table {table.label!r}, column {column.column.name!r} ({column.column.sql_type}): "
    shown = f"{literal(label)} || left({text}, {_SHOWN_CHARACTERS}) || '{_REFUSED}'"
    return f"CASE WHEN {text} IS NULL THEN NULL WHEN {same} THEN {value} ELSE error({shown}) END"


def _unchanged(column: CanonicalColumn, text: str, value: str) -> str:
    """Return the condition that a column stores exactly the value of a text."""
    # Binary values need no comparison: only hexadecimal text was read.
    written = text if column.column.kind is Kind.BINARY else canonical_text(column.column, column.type, value)
    same = f"{written} = {text}"
    if column.type.kind in _SECONDS and not column.type.enforced:
        # Most texts are canonical, for which the second condition is not evaluated.
        return f"({same} OR {written} = {canonical_time(text, column.type)})"
    return same
