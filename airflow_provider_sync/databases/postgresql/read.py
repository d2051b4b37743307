"""Read rows from PostgreSQL: values by a server-side cursor, canonical texts by COPY; through psycopg 3 or psycopg2."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from importlib import import_module
from itertools import count as numbers
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.read import BATCH_ROWS, Reader
from airflow_provider_sync.databases.postgresql.constraints import counts_changes, touched
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.session import driver_of, undoubled
from airflow_provider_sync.databases.postgresql.slice_sql import slice_sql
from airflow_provider_sync.databases.postgresql.text import COMPARED_AS_TEXT
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table, Value
from airflow_provider_sync.databases.table_slice import Keys, TableSlice
from airflow_provider_sync.exceptions import TableBusyError
from airflow_provider_sync.protocol.v2.tsv import encode_rows, from_copy

# Checks all tables that the transaction has locked, also below views and partitioned tables; the subquery takes the locks before
# this is executed. Compares the current files with `pg_class` as of the snapshot, in which a table created later has no row.
# Filters out other sessions' locks first, since the functions would wait for them.
_REWRITTEN = """
WITH locked AS MATERIALIZED (SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND relation >= 16384)
SELECT 1 FROM locked l LEFT JOIN pg_class c ON c.oid = l.relation
WHERE pg_get_indexdef(l.relation) IS NULL AND (c.oid IS NULL OR c.relfilenode <> pg_relation_filenode(l.relation))
  AND NOT EXISTS (SELECT FROM {} AS t LIMIT 0)
LIMIT 1
"""

IDLE, FAILED = 0, 3
"""libpq's transaction states: outside of a transaction, and in a failed transaction."""

_BATCH_BYTES = 8 * 1024 * 1024
_FIRST_ROWS = 100

_ORDERED_AS_THEY_ARE = re.compile(
    r"(inet|cidr|macaddr8?|interval|time|xid8|pg_lsn|bit varying|bit|int[48]range|numrange|tsrange|tstzrange|daterange)"
    r"( ?\(\d+\))?( with time zone)?"
)
"""Types that only PostgreSQL has, and whose sort order does not depend on a collation."""
_ORDERED_BY_BYTES = frozenset({'pg_catalog."C"', 'pg_catalog."POSIX"', "pg_catalog.ucs_basic"})
MAX_KEYS = 100_000
"""Number of keys per statement."""

Convert = Callable[[Sequence[Any]], Sequence[Value]]
"""Converts the driver's values of one column to those of :meth:`.Reader.read`."""

_PLAIN = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.DOUBLE, Kind.BINARY})
"""Kinds that both drivers read correctly; others are selected as text."""

_CLOCK = {Kind.TIME: 8, Kind.DATETIME: 19, Kind.TIMESTAMP: 19}
"""Kinds with fractions of a second, with the length of their text up to the seconds."""

_numbers = numbers(1)


def fetch(driver: Any, statement: str) -> Generator[list[tuple[Any, ...]], None, None]:
    """Stream the result of a SELECT in batches of at most ``BATCH_ROWS`` rows, fewer if rows are wide.

    Outside of a transaction, the read opens a new one.

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
    """Return the arguments for a cursor that returns tuples, whatever the connection's settings."""
    if type(driver).__module__.startswith("psycopg2"):
        return {"cursor_factory": import_module("psycopg2.extensions").cursor}
    return {"row_factory": import_module("psycopg.rows").tuple_row}


def _next_size(rows: Sequence[tuple[Any, ...]]) -> int:
    """Return how many rows to fetch next, by the width of a sample of rows."""
    sample = rows[:: max(1, len(rows) // 32)]
    width = sum(len(value) if isinstance(value, str | bytes | memoryview) else 8 for row in sample for value in row) / len(sample)
    # At most ten times as many as before: the sample may be misleading.
    return max(1, min(BATCH_ROWS, len(rows) * 10, int(_BATCH_BYTES / max(width, 1))))


def copied(connection: Connection, statement: str) -> Iterator[tuple[int, bytes]]:
    """Stream the result of a SELECT as blocks of whole lines in COPY format, each with its number of lines."""
    driver = driver_of(connection)
    with translated():
        if type(driver).__module__.startswith("psycopg2"):
            # psycopg2's COPY calls back for all rows, and could only be stopped from another thread.
            with closing(fetch(driver, f"SELECT * FROM ({statement}) AS q")) as batches:
                for batch in batches:
                    yield len(batch), encode_rows([[_encoded(value) for value in row] for row in batch])
            return
        copy_out = import_module("airflow_provider_sync.databases.postgresql.copy_out").copy_out
        with closing(copy_out(driver, statement)) as blocks:
            for rows, block in blocks:
                yield rows, from_copy(block)


def selected(column: Column, name: str) -> str:
    """Return the expression that reads ``column`` so that psycopg 3 and psycopg2 return the same value.

    :param name: the quoted name
    """
    match column.kind:
        case Kind.INTEGER if column.unsigned:
            return f"{name}::bigint"
        case Kind.BOOLEAN:
            return f"{name}::integer"
        case Kind.BIT:
            # Cast to the built-in type first, since a domain has no cast to bigint.
            return f"{name}::bit({column.length})::bigint"
        case Kind.TIMESTAMP:
            return f"({name} AT TIME ZONE 'UTC')::text"
        case Kind.DECIMAL:
            # Money would include its currency; numerics are unchanged.
            return f"{name}::numeric::text"
        case kind if kind in _PLAIN:
            return name
        case _:
            return f"{name}::text"


def converter(column: Column) -> Convert | None:
    """Return the function that converts the driver's values of ``column`` to the contract's; ``None`` if they need none."""
    match column.kind:
        case Kind.FLOAT:
            return _six_digits
        case Kind.BINARY:
            return _bytes
        case Kind.BIT if column.length == 64:
            return _unsigned
        case Kind.TIME | Kind.DATETIME | Kind.TIMESTAMP if column.scale:
            return _padded(_CLOCK[column.kind], column.scale)
    return None


def _six_digits(values: Sequence[Any]) -> Sequence[Value]:
    return [None if value is None else float(f"{value:.6g}") for value in values]


def _bytes(values: Sequence[Any]) -> Sequence[Value]:
    # psycopg2 returns a memoryview.
    return [None if value is None else bytes(value) for value in values]


def _unsigned(values: Sequence[Any]) -> Sequence[Value]:
    return [None if value is None else value & 0xFFFF_FFFF_FFFF_FFFF for value in values]


def _padded(seconds: int, scale: int) -> Convert:
    """Return the function that pads values to the column's digits of a second; PostgreSQL drops trailing zeros."""
    full = seconds + 1 + scale

    def pad(values: Sequence[Any]) -> Sequence[Value]:
        return [value if value is None or len(value) == full else _pad(value, scale) for value in values]

    return pad


def _pad(value: str, scale: int) -> str:
    clock, blank, era = value.partition(" BC")
    if not clock[-1].isdigit():
        return value  # infinity
    whole, _, fraction = clock.partition(".")
    return f"{whole}.{fraction:0<{scale}}{blank}{era}"


def _converted(rows: Sequence[tuple[Any, ...]], converters: Sequence[tuple[int, Convert]]) -> list[Row]:
    """Apply each converter to the column at its position."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, convert in converters:
        columns[place] = convert(columns[place])
    return list(zip(*columns, strict=True))


def _encoded(value: Any) -> bytes | None:
    if value is None:
        return None
    # Without an exponent, which `str` writes for small decimals.
    return (f"{value:f}" if isinstance(value, Decimal) else str(value)).encode()


class PostgreSQLReader(Reader):
    """Streams rows by server-side cursors, canonical texts by COPY."""

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """See :meth:`.Reader.read`.

        Text keys are sorted by bytes (``COLLATE "C"``), whatever their collation: see :class:`.PostgreSQLDatabase`. A batch has
        fewer rows if rows are wide, so that it stays near 8 MB. Outside of a transaction, the read opens a new one.
        """
        expressions = ", ".join(selected(column, self.quote(column.name)) for column in columns)
        statement = f"SELECT {expressions} FROM {self.database.current_rows(table)}"
        with translated():
            if order_by:
                by_bytes = self._sorts_by_bytes(connection)
                statement += " ORDER BY " + ", ".join(self._sorted(table.column(name), by_bytes) for name in order_by)
            converters = [(place, convert) for place, column in enumerate(columns) if (convert := converter(column)) is not None]
            with closing(fetch(driver_of(connection), undoubled(statement))) as batches:
                for rows in batches:
                    yield _converted(rows, converters) if converters else rows

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        with translated():
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {self.database.current_rows(table)}").scalar_one())

    def check_snapshot(self, connection: Connection, table: Table) -> None:
        """Detect tables that were truncated, rewritten or created after the snapshot, in which PostgreSQL shows them as empty.

        Waits for a lock on them, which prevents such changes until the transaction ends.
        """
        with translated():
            rewritten = connection.exec_driver_sql(_REWRITTEN.format(self.relation(table))).first()
        if rewritten:
            raise TableBusyError(
                f"Table {table.label!r}, or one below it, was truncated, rewritten or replaced while it was read, so that some of"
                " its rows cannot be seen. Try again."
            )

    def fingerprint(self, connection: Connection, table: Table) -> object:
        """See :func:`.constraints.touched`; if the server does not count changes, see :meth:`.Reader.fingerprint`."""
        if not counts_changes(connection):
            return super().fingerprint(connection, table)
        return touched(connection, undoubled(self.qualified(table)))

    def fingerprints_commits(self, connection: Connection) -> bool:
        """Return false if the server counts the changes of each transaction."""
        return not counts_changes(connection)

    def _sorts_by_bytes(self, connection: Connection) -> bool:
        """Whether this database, and so its indexes, sort text without an explicit collation by bytes."""
        return bool(
            connection.exec_driver_sql(
                "SELECT CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')"
                " WHEN 'c' THEN datcollate IN ('C', 'POSIX') WHEN 'b' THEN true ELSE false END"
                " FROM pg_database d WHERE datname = current_database()"
            ).scalar_one()
        )

    def _sorted(self, column: Column, by_bytes: bool) -> str:
        # Use the table's alias: the plain name would refer to the selected text.
        name = f"t.{self.quote(column.name)}"
        if column.kind in COMPARED_AS_TEXT:
            ordered = column.kind is Kind.OTHER and _ORDERED_AS_THEY_ARE.fullmatch(column.sql_type)
            return name if ordered else self.database.statements.as_bytes(name)
        if column.kind not in (Kind.TEXT, Kind.CHAR):
            return name
        already = by_bytes if column.collation is None else column.collation in _ORDERED_BY_BYTES
        return name if already else f'{name} COLLATE "C"'

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows by COPY."""
        sql = slice_sql(self.database, connection, table_slice)
        if keys is None:
            yield from copied(connection, sql.texts())
            return
        for start in range(0, len(keys), MAX_KEYS):
            yield from copied(connection, sql.texts_by_key(keys[start : start + MAX_KEYS]))
