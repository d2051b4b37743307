"""Load rows into a staging table of SQLite, unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.schema import Row, Table, Value
from airflow_provider_sync.databases.sqlite.affinities import Affinity, affinity_of, check_key, refusal, storable
from airflow_provider_sync.databases.sqlite.catalog import is_strict
from airflow_provider_sync.databases.sqlite.session import driver_of, write_transaction

_TRANSACTION_BYTES = 24 * 1024 * 1024
"""Bytes to collect in memory and insert in one transaction."""

_VALUE_BYTES = 64
"""Memory of a value besides its text, in bytes."""


def load_rows(connection: Connection, staging: Table, insert: str, batches: Iterable[Sequence[Row]]) -> int:
    """Insert in transactions of some ten thousand rows, which begin only when their rows have arrived.

    A slow source thus never keeps the database's write lock, and few commits wait for the disk.

    :param insert: the statement that inserts one row
    :return: rows loaded
    :raises TableError: naming table and column, for a value that the column would change
    """
    strict = is_strict(connection, staging)
    affinities = [affinity_of(column.sql_type, strict=strict) for column in staging.columns]
    loaded = 0
    pending: list[Row] = []
    size = 0
    for rows in filter(None, batches):
        columns, text = _convert(staging, affinities, rows)
        pending += zip(*columns, strict=True)
        size += text + len(rows) * len(columns) * _VALUE_BYTES
        if size >= _TRANSACTION_BYTES:
            loaded += _insert(connection, insert, pending)
            pending, size = [], 0
    return loaded + _insert(connection, insert, pending)


def _insert(connection: Connection, statement: str, rows: Sequence[Row]) -> int:
    if rows:
        with write_transaction(connection):
            driver_of(connection).executemany(statement, rows)
    return len(rows)


def _convert(staging: Table, affinities: Sequence[Affinity], rows: Sequence[Row]) -> tuple[list[Sequence[Value]], int]:
    """Return the columns of a batch as SQLite stores them, and the bytes of their text."""
    columns = []
    size = 0
    for column, affinity, values in zip(staging.columns, affinities, zip(*rows, strict=True), strict=True):
        try:
            size += len("".join([value for value in values if isinstance(value, str)]).encode())
            size += sum(len(value) for value in values if isinstance(value, bytes))
            check_key(staging, column, values)
            columns.append(storable(values, column, affinity))
        except UnicodeEncodeError as error:
            raise refusal(staging.label, column, "half of a surrogate pair is not text") from error
        except ValueError as error:
            raise refusal(staging.label, column, error) from error
    return columns, size
