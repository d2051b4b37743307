"""Digest rows on PostgreSQL for version 2: SQL computes the digests, on parallel workers, and COPY streams them.

Digests are computed inside the database. Streaming row texts and hashing them in Python takes the same processor time in total
(SHA-256 costs half as much, but COPY uses up the difference), moves every row, and cannot use parallel workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.digests import Digests, KeyDigest
from airflow_provider_sync.databases.partitioning import SegmentRanges
from airflow_provider_sync.databases.postgresql.errors import translated
from airflow_provider_sync.databases.postgresql.read import FAILED, IDLE, MAX_KEYS, copied
from airflow_provider_sync.databases.postgresql.session import driver_of, run, stores_utf8
from airflow_provider_sync.databases.postgresql.slice_sql import hash_of_texts, slice_sql
from airflow_provider_sync.databases.postgresql.text import literal
from airflow_provider_sync.databases.table_slice import Keys, SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import PGHASH, Partitioning
from airflow_provider_sync.protocol.v2.tsv import decode_rows

_PROBE = ("", *("sync: Übergröße 😀"[:length] for length in range(1, 18)), "0123456789ab" * 4)
"""Texts of every length that the hash function treats differently, and characters of every length in bytes."""

_FOR_ONE_SCAN = {
    # The planner expects one segment per row, and would therefore sort all rows instead of hashing them into groups.
    "enable_sort": "off",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
    "work_mem": "64MB",
}


_FOR_KEY_RANGES = {
    # The planner expects a join on key ranges to return thousands of times as many rows as it does.
    "work_mem": "64MB",
    "max_parallel_workers_per_gather": "0",
}


class PostgreSQLDigests(Digests):
    """Digests rows by SQL, on parallel workers."""

    def probes(self, connection: Connection) -> Mapping[str, str]:
        """Hash fixed texts, since the hash function may change between versions, and depends on the machine's byte order.

        Empty unless the database stores text as UTF-8, since the function hashes the stored bytes.
        """
        if not stores_utf8(connection):
            return {}
        with translated():
            ((found,),) = run(connection, f"SELECT {hash_of_texts([literal(text) for text in _PROBE])}")
        return {PGHASH: f"{found:x}"}

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Read both ends of the index."""
        with translated():
            ((low, high),) = run(connection, slice_sql(self.database, connection, table_slice).bounds())
        return None if low is None else (int(low), int(high))

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Ask the planner, which takes windows and partitions into account; count what it must not be asked about.

        Its statistics are of all rows of a table. Of a window that a client chooses, they would tell which values are frequent
        among rows that the client may not see.
        """
        table, sql = table_slice.table, slice_sql(self.database, connection, table_slice)
        hides_rows = table.query is not None or table.is_view or table.row_filter is not None
        with translated():
            if hides_rows and not (table_slice.window is None and table_slice.key_range is None):
                ((rows,),) = run(connection, sql.count())
                return int(rows)
            ((plans,),) = run(connection, f"EXPLAIN (FORMAT JSON) {sql.rows()}")
        return int(plans[0]["Plan"]["Plan Rows"])

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment in one scan, with as many parallel workers as the server allows."""
        # Without groups there is nothing to sort; let the planner decide about parallel workers.
        grouping = nullcontext() if partitioning.is_whole else settings(connection, _FOR_ONE_SCAN)
        with translated(), grouping:
            found = run(connection, slice_sql(self.database, connection, table_slice).segments(partitioning))
        return {int(number): SegmentDigest.of(rows, total) for number, rows, total in sorted(found)}

    def digest_rows(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, segment_ranges: SegmentRanges
    ) -> Iterator[list[KeyDigest]]:
        """Find key ranges by the index; segments by hash need a scan."""
        sql = slice_sql(self.database, connection, table_slice)
        with settings(connection, _FOR_KEY_RANGES):
            yield from self._digests(connection, table_slice, sql.digests(partitioning, segment_ranges))

    def digest_keys(self, connection: Connection, table_slice: TableSlice, keys: Keys) -> Iterator[list[KeyDigest]]:
        """Look the rows up by their keys."""
        sql = slice_sql(self.database, connection, table_slice)
        for start in range(0, len(keys), MAX_KEYS):
            yield from self._digests(connection, table_slice, sql.digests_by_key(keys[start : start + MAX_KEYS]))

    def _digests(self, connection: Connection, table_slice: TableSlice, statement: str) -> Iterator[list[KeyDigest]]:
        width = len(table_slice.key)
        for _, block in copied(connection, statement):
            if b"\\" not in block:
                # Split the whole block at once: a million rows one by one take a second.
                fields = block.decode().replace("\n", "\t").split("\t")
                columns = [fields[place :: width + 1] for place in range(width + 1)]
                yield list(zip(zip(*columns[:width], strict=False), map(int, columns[width]), strict=False))
                continue
            rows = decode_rows(block, width + 1)
            try:
                yield [(tuple([text.decode() for text in row[:width]]), int(row[width])) for row in rows]  # type: ignore[union-attr, arg-type]
            except AttributeError as error:
                raise TableError(
                    f"Table {table_slice.table.label!r} has a row with NULL in its key, which names no row."
                    " Declare the key NOT NULL."
                ) from error


@contextmanager
def settings(connection: Connection, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings inside the block, and restore them; inside a transaction, they last at most until its end."""
    driver = driver_of(connection)
    local = "false" if driver.info.transaction_status == IDLE else "true"

    def change(settings: Mapping[str, str]) -> None:
        run(connection, "SELECT " + ", ".join(f"set_config('{name}', '{value}', {local})" for name, value in settings.items()))

    (before,) = run(connection, "SELECT " + ", ".join(f"current_setting('{name}')" for name in values))
    change(values)
    try:
        yield
    finally:
        # A failed transaction restores its settings when it is rolled back.
        if not driver.closed and driver.info.transaction_status != FAILED:
            change(dict(zip(values, before, strict=True)))
