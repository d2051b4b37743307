"""A streamed read through a cursor of the server, by psycopg 3 or psycopg2."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib import import_module
from itertools import count
from typing import Any

from airflow_provider_sync.databases.base import BATCH_ROWS

IDLE, FAILED = 0, 3
"""Transaction states of libpq: outside of any, and inside one that can only be rolled back."""

_BATCH_BYTES = 8 * 1024 * 1024
_FIRST_ROWS = 100

_numbers = count(1)


def fetch(driver: Any, statement: str) -> Generator[list[tuple[Any, ...]], None, None]:
    """Stream the result of a SELECT in batches of at most ``BATCH_ROWS`` rows, fewer where rows are wide.

    Outside of a transaction, the read opens one of its own.

    :param driver: a connection of psycopg or psycopg2
    :param statement: the SELECT, percent signs not doubled
    """
    name = f"_sync_{next(_numbers)}"
    own = driver.info.transaction_status == IDLE
    with driver.cursor(**_plain_rows(driver)) as cursor:
        if own:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {statement}")
            size = _FIRST_ROWS
            while True:
                cursor.execute(f"FETCH {size} FROM {name}")
                rows = cursor.fetchall()
                if not rows:
                    break
                size = _next_size(rows)
                yield rows
        finally:
            if not driver.closed and (own or driver.info.transaction_status != FAILED):
                cursor.execute("ROLLBACK" if own else f"CLOSE {name}")


def _plain_rows(driver: Any) -> dict[str, Any]:
    """Return the arguments for a cursor that gives tuples, whatever the connection was told."""
    if type(driver).__module__.startswith("psycopg2"):
        return {"cursor_factory": import_module("psycopg2.extensions").cursor}
    return {"row_factory": import_module("psycopg.rows").tuple_row}


def _next_size(rows: Sequence[tuple[Any, ...]]) -> int:
    """Return how many rows to fetch next, from a sample of those that came."""
    sample = rows[:: max(1, len(rows) // 32)]
    width = sum(len(value) if isinstance(value, str | bytes | memoryview) else 8 for row in sample for value in row) / len(sample)
    # Never many times as many as before: the sample may mislead.
    return max(1, min(BATCH_ROWS, len(rows) * 10, int(_BATCH_BYTES / max(width, 1))))
