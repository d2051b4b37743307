"""Digests for version 2, computed by DuckDB's own SHA-256.

A first load is proven by its own hash function, which also hashes the lines that come, in a DuckDB in memory: a sixth of the
time of SHA-256, and another thread's.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.digests import Digests, KeyDigest
from airflow_provider_sync.databases.duckdb.errors import is_not_utf8, translated
from airflow_provider_sync.databases.duckdb.piped_lines import LinesStatement, PipedLines, filled
from airflow_provider_sync.databases.duckdb.session import driver_of, stream
from airflow_provider_sync.databases.duckdb.slice_sql import SliceSQL
from airflow_provider_sync.databases.line_digest import LineDigest
from airflow_provider_sync.databases.partitioning import SegmentRanges
from airflow_provider_sync.databases.table_slice import Keys, SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning

_HASHED_LINES = LinesStatement(
    before="SELECT count(*), coalesce(sum(hash(line)), 0) FROM", fields="'line': 'VARCHAR'", separator="\r", null="\\0"
)
"""No line has a carriage return, which is written as an escape, and none is a backslash and a zero."""


class DuckDBDigests(Digests):
    """Digests rows inside the database, on all of its threads."""

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Ask for both ends; DuckDB has them in its statistics."""
        ((low, high),) = self._rows(connection, SliceSQL(self.database, table_slice).bounds())
        return None if low is None else (int(low), int(high))

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Count them, which takes no time."""
        ((rows,),) = self._rows(connection, SliceSQL(self.database, table_slice).count())
        return int(rows)

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Group by segment."""
        rows = self._rows(connection, SliceSQL(self.database, table_slice).segments(partitioning))
        return {int(number): SegmentDigest.of(count, total) for number, count, total in sorted(rows)}

    def line_digest(self, table_slice: TableSlice) -> DuckDBLineDigest:
        """Hash lines by DuckDB's own function."""
        return DuckDBLineDigest([column.type.kind for column in table_slice.columns])

    def digest_loaded(self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning) -> SegmentDigest:
        """Write the rows as lines again, and hash them."""
        ((rows, total),) = self._rows(connection, SliceSQL(self.database, table_slice).hashed_lines())
        return SegmentDigest.of(rows, total)

    def digest_rows(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, segment_ranges: SegmentRanges
    ) -> Iterator[list[KeyDigest]]:
        """Choose the rows by the number of their segment."""
        if segment_ranges:
            statement = SliceSQL(self.database, table_slice).digests(partitioning, segment_ranges)
            yield from self._digests(connection, table_slice, statement)

    def digest_keys(self, connection: Connection, table_slice: TableSlice, keys: Keys) -> Iterator[list[KeyDigest]]:
        """Join the rows to the keys."""
        sql = SliceSQL(self.database, table_slice)
        yield from self._digests(connection, table_slice, sql.digests_by_key(), sql.bound_keys(keys))

    def _digests(
        self, connection: Connection, table_slice: TableSlice, statement: str, values: Sequence[Any] = ()
    ) -> Iterator[list[KeyDigest]]:
        width = len(table_slice.key)
        nullable = any(column.column.nullable for column in table_slice.key)
        with translated():
            for rows in stream(connection, statement, values):
                if nullable and any(None in row for row in rows):
                    raise TableError(
                        f"Table {table_slice.table.label!r} has a row with NULL in its key, which names no row."
                        " Declare the key NOT NULL."
                    )
                yield [(row[:width], row[width]) for row in rows]

    def _rows(self, connection: Connection, statement: str) -> list[Any]:
        with translated():
            rows: list[Any] = driver_of(connection).execute(statement).fetchall()
            return rows


class DuckDBLineDigest(LineDigest):
    """The sum of the hashes of all lines that have passed; see :meth:`.SliceSQL.hashed_lines`."""

    def passing(self, blocks: Iterable[bytes]) -> Generator[bytes]:
        """Pass blocks of whole lines on; all of them are digested when the iteration has ended."""
        waiting = filter(None, blocks)
        block = next(waiting, b"")
        with duckdb.connect(":memory:", config={"threads": 1}) as driver:
            driver.execute("SET enable_progress_bar = false")
            while block:
                with PipedLines(driver, _HASHED_LINES, block) as lines:
                    while block and lines.takes(block):
                        lines.write(filled(block, len(self._kinds)))
                        yield block
                        block = next(waiting, b"")
                with translated():
                    self.add(*_read(lines))


def _read(lines: PipedLines) -> tuple[int, int]:
    try:
        rows, total = lines.row()
    except duckdb.InvalidInputException as error:
        if is_not_utf8(error):
            raise TableError("a text is not UTF-8. Correct it at the source.").without_subject() from error
        raise
    return int(rows), int(total)
