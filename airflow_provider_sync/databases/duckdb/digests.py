"""Digest rows on DuckDB for version 2, by its SHA-256.

A first load is verified by DuckDB's own ``hash`` function, which hashes the received lines in an in-memory database, and then the
stored rows. It takes a sixth of the time of SHA-256, and runs in another thread.
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
"""Reads each line as one field: no line contains a carriage return, which is escaped, and none is ``\\0``."""


class DuckDBDigests(Digests):
    """Digests rows inside the database, on all of its threads."""

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Select both ends, which DuckDB has in its statistics."""
        ((low, high),) = self._rows(connection, SliceSQL(self.database, table_slice).bounds())
        return None if low is None else (int(low), int(high))

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Count the rows, which takes no time."""
        ((rows,),) = self._rows(connection, SliceSQL(self.database, table_slice).count())
        return int(rows)

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Group by segment."""
        rows = self._rows(connection, SliceSQL(self.database, table_slice).segments(partitioning))
        return {int(number): SegmentDigest.of(count, total) for number, count, total in sorted(rows)}

    def line_digest(self, table_slice: TableSlice) -> DuckDBLineDigest:
        """Return an object that hashes lines by DuckDB's own function."""
        return DuckDBLineDigest([column.type.kind for column in table_slice.columns])

    def digest_loaded(self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning) -> SegmentDigest:
        """Write the stored rows as lines again, and hash these."""
        ((rows, total),) = self._rows(connection, SliceSQL(self.database, table_slice).hashed_lines())
        return SegmentDigest.of(rows, total)

    def digest_rows(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, segment_ranges: SegmentRanges
    ) -> Iterator[list[KeyDigest]]:
        """Select the rows by the number of their segment."""
        if segment_ranges:
            statement = SliceSQL(self.database, table_slice).digests(partitioning, segment_ranges)
            yield from self._digests(connection, table_slice, statement)

    def digest_keys(self, connection: Connection, table_slice: TableSlice, keys: Keys) -> Iterator[list[KeyDigest]]:
        """Join the rows with the keys."""
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
    """Sums the hashes of all lines that pass through; see :meth:`.SliceSQL.hashed_lines`."""

    def passing(self, blocks: Iterable[bytes]) -> Generator[bytes]:
        """See :meth:`.LineDigest.passing`."""
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
