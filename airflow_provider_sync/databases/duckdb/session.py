"""Functions for every use of a DuckDB connection: access the driver, run transactions, stream results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.read import BATCH_ROWS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.printable import printable

# Qualify the function with the catalog `system`, since a macro in the file could replace this function, too.
_MACROS = "SELECT DISTINCT function_name FROM system.main.duckdb_functions() WHERE NOT internal"
_REPLACED = "SELECT DISTINCT function_name FROM system.main.duckdb_functions() WHERE internal AND function_name IN ({}) LIMIT 5"

_FIRST_ROWS = 100
_BATCH_BYTES = 1024 * 1024


def driver_of(connection: Connection) -> duckdb.DuckDBPyConnection:
    """Return the driver's own connection."""
    return cast("duckdb.DuckDBPyConnection", connection.connection.driver_connection)


def file_state(path: str | None) -> tuple[tuple[int, int, int], ...] | None:
    """Return a value that changes when a file or its write-ahead log changes; ``None`` if there is no file."""
    found = []
    for name in (path or "", f"{path}.wal"):
        with suppress(OSError):
            status = Path(name).stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found) or None


def refuse_replaced_functions(connection: Connection) -> None:
    """Refuse a file with macros named like DuckDB's own functions, since statements of this package would call them.

    A macro runs in this process and may read every file that the process can read, so the file's creator could steal tokens and
    keys. A harmless one would make equal rows differ.

    :raises ConfigurationError: naming some of them
    """
    macros = [name for (name,) in connection.exec_driver_sql(_MACROS)]
    if not macros:
        return
    replaced = [
        name for (name,) in driver_of(connection).execute(_REPLACED.format(", ".join("?" * len(macros))), macros).fetchall()
    ]
    if replaced:
        raise ConfigurationError(
            f"The DuckDB file has macros in the place of DuckDB's own functions: {printable(', '.join(sorted(replaced)))}. Drop"
            " them, or give them other names. Do not use the file if you do not know who has made them."
        )


@contextmanager
def write_transaction(connection: Connection) -> Iterator[None]:
    """Begin a transaction, and commit it at the end.

    After a failed statement, DuckDB rolls back on COMMIT but reports success. So another statement runs before the COMMIT,
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
    """Roll back the transaction, if one is still open."""
    with suppress(duckdb.Error):
        driver.execute("ROLLBACK")


def stream(connection: Connection, statement: str, values: Sequence[Any] = ()) -> Iterator[list[tuple[Any, ...]]]:
    """Run a SELECT and stream its rows in batches, smaller if rows are wide; the next statement ends the result."""
    result = driver_of(connection).execute(statement, values)
    size = _FIRST_ROWS
    while rows := result.fetchmany(size):
        size = _next_size(rows)
        yield rows


def _next_size(rows: Sequence[tuple[Any, ...]]) -> int:
    """Return how many rows to fetch next, by the width of a sample of rows; limited to a multiple of the last batch."""
    sample = rows[:: max(1, len(rows) // 32)]
    width = sum(len(value) if isinstance(value, str | bytes) else 8 for row in sample for value in row) / len(sample)
    return max(1, min(BATCH_ROWS, len(rows) * 10, int(_BATCH_BYTES / max(width, 1))))
