"""What every use of a DuckDB connection needs: its driver, transactions, and streamed results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.read import BATCH_ROWS

_FIRST_ROWS = 100
_BATCH_BYTES = 1024 * 1024


def driver_of(connection: Connection) -> duckdb.DuckDBPyConnection:
    """Return the driver's own connection."""
    return cast("duckdb.DuckDBPyConnection", connection.connection.driver_connection)


@contextmanager
def write_transaction(connection: Connection) -> Iterator[None]:
    """Begin a transaction, and commit it at the end.

    After a failed statement, DuckDB answers a COMMIT by a rollback, and reports success. So another statement comes first,
    which fails in such a transaction.
    """
    driver = driver_of(connection)
    driver.execute("BEGIN")
    try:
        yield
        driver.execute("SELECT 1").fetchall()
        driver.execute("COMMIT")
    except BaseException:
        roll_back(driver)
        raise


def roll_back(driver: duckdb.DuckDBPyConnection) -> None:
    """End the transaction, if one is still open."""
    with suppress(duckdb.Error):
        driver.execute("ROLLBACK")


def stream(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Iterator[list[tuple[Any, ...]]]:
    """Run a SELECT and stream batches of its rows, fewer where rows are wide; the next statement ends the result."""
    result = driver_of(connection).execute(statement, values)
    size = _FIRST_ROWS
    while rows := result.fetchmany(size):
        size = _next_size(rows)
        yield rows


def _next_size(rows: Sequence[tuple[Any, ...]]) -> int:
    """Return how many rows to fetch next, by the widths of some that came; never many times as many as before."""
    sample = rows[:: max(1, len(rows) // 32)]
    width = sum(len(value) if isinstance(value, str | bytes) else 8 for row in sample for value in row) / len(sample)
    return max(1, min(BATCH_ROWS, len(rows) * 10, int(_BATCH_BYTES / max(width, 1))))
