"""Digest rows on MySQL and MariaDB for version 2: SQL computes texts and digests, with one scan of the table per request.

Digests are summed as DECIMALs, hence exactly. SHA2 is the only suitable hash function that every server has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
from sqlalchemy import Connection
from sqlalchemy import text as sql_text

from airflow_provider_sync.databases.contract.digests import Digests, KeyDigest
from airflow_provider_sync.databases.mysql import lookup, row_text
from airflow_provider_sync.databases.mysql.read import no_text, stream_texts, too_large
from airflow_provider_sync.databases.mysql.row_text import TOO_LARGE, always_fits, key_hash, key_number, row_digest, segment
from airflow_provider_sync.databases.mysql.server_facts import MySQLComponent, packet_bytes
from airflow_provider_sync.databases.partitioning import SegmentRanges, intersect_key_ranges, key_range_of
from airflow_provider_sync.databases.table_slice import Keys, SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning

_SMALL = 20_000
"""Estimated rows up to which rows are counted instead, since statistics of small or new tables are far off."""

_SHARED_SEGMENTS = 128
"""Minimum segments, of about a hundred rows each, for which a second connection saves time."""

_UNLIMITED = 2**64 - 1
_STATISTICS = sql_text(
    "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND TABLE_NAME = :name"
)


class MySQLDigests(MySQLComponent, Digests):
    """Digests rows by SQL, with one scan per call."""

    schemes = ("key_range", "row_hash", "key_hash")

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Read both ends of the index."""
        key = table_slice.key[0].column
        number = key_number(key, self.quote(key.name))
        low, high = connection.exec_driver_sql(
            f"SELECT MIN({number}), MAX({number}) FROM {self.relation(table_slice.table)} AS t"
            f" WHERE {lookup.in_window(table_slice, self.quote)}"
        ).one()
        return None if low is None else (int(low), int(high))

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Use the statistics; count the rows of small tables, windows and key ranges."""
        table = table_slice.table
        if table.query is None and table_slice.window is None and table_slice.key_range is None:
            estimate = connection.execute(_STATISTICS, {"schema": table.schema, "name": table.name}).scalar()
            if estimate is not None and estimate >= _SMALL:
                return int(estimate)
        counted = f"SELECT COUNT(*) FROM {self.relation(table)} AS t WHERE {lookup.in_window(table_slice, self.quote)}"
        return int(connection.exec_driver_sql(counted).scalar_one())

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment of the partitioning in one scan."""
        digest = self._digest(connection, table_slice)
        has_digests = not table_slice.table.is_derived and always_fits(table_slice.columns, packet_bytes(connection))
        source = f"{self.relation(table_slice.table)} AS t WHERE {lookup.in_window(table_slice, self.quote)}"
        group = " GROUP BY 1 ORDER BY NULL"
        if partitioning.is_whole:
            # No GROUP BY: the lookup of a single group for each row would add a third to the time of the digests.
            number, group = "0", ""
        elif partitioning.scheme == "key_range":
            key = table_slice.key[0].column
            number = segment(key, self.quote(key.name), partitioning)
        elif partitioning.scheme == "key_hash":
            number = f"{key_hash(table_slice.key, self.quote)} >> {partitioning.shift}"
        else:
            # Without a LIMIT, the derived table is merged into the outer query, which then computes the digest twice.
            number = f"d.digest >> {partitioning.shift}"
            source, digest = f"(SELECT {digest} AS digest FROM {source} LIMIT {_UNLIMITED}) AS d", "d.digest"
        # IFNULL takes a twentieth of the time, so leave it out if no digest can be NULL.
        summed = digest if has_digests else f"IFNULL({digest}, {TOO_LARGE})"
        found = connection.exec_driver_sql(f"SELECT {number}, COUNT(*), SUM({summed}) FROM {source}{group}")
        segments = {}
        for segment_number, rows, total in found:
            if total is None:
                break  # no rows, and no groups
            if total >= TOO_LARGE:
                raise too_large(table_slice.table, "digested")
            segments[int(segment_number)] = SegmentDigest.of(rows, total)
        return segments

    def digest_written(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest one half of the keys over this connection, the other half over a second one, which reads uncommitted rows.

        The second one also reads uncommitted rows of other sessions: they count as a difference, like any unexpected row.
        """
        if (
            partitioning.scheme != "key_range"
            or partitioning.segment_count < _SHARED_SEGMENTS
            or not table_slice.has_indexed_ranges
        ):
            return self.digest_segments(connection, table_slice, partitioning)
        middle = partitioning.segment_count // 2
        lower, upper = (
            msgspec.structs.replace(
                table_slice, key_range=intersect_key_ranges(key_range_of(partitioning, segment_range), table_slice.key_range)
            )
            for segment_range in ((-1, middle - 1), (middle, partitioning.segment_count))
        )

        def digest_upper() -> Mapping[int, SegmentDigest]:
            with self.database.connect() as other:
                other.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
                other.exec_driver_sql("START TRANSACTION READ ONLY")
                found = self.digest_segments(other, upper, partitioning)
                other.exec_driver_sql("ROLLBACK")
                return found

        with ThreadPoolExecutor(1, thread_name_prefix="upper-half") as pool:
            waiting = pool.submit(digest_upper)
            return {**self.digest_segments(connection, lower, partitioning), **waiting.result()}

    def digest_rows(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, segment_ranges: SegmentRanges
    ) -> Iterator[list[KeyDigest]]:
        """Stream keys and digests of the rows in these segments: key ranges by the index, others by a scan.

        For segments by key hash, only the rows inside of them are digested.
        """
        digest = self._digest(connection, table_slice)
        if partitioning.scheme != "key_range":
            hashed = digest if partitioning.scheme == "row_hash" else key_hash(table_slice.key, self.quote)
            yield from self._stream_digests(
                connection, table_slice, digest, lookup.in_hash_segments(hashed, partitioning, segment_ranges)
            )
            return
        key = table_slice.key[0].column
        number = key_number(key, self.quote(key.name))
        for condition in lookup.in_segment_ranges(key, self.quote(key.name), partitioning, segment_ranges):
            yield from self._stream_digests(connection, table_slice, digest, f"{condition} ORDER BY {number}")

    def digest_keys(self, connection: Connection, table_slice: TableSlice, keys: Keys) -> Iterator[list[KeyDigest]]:
        """Stream keys and digests of the rows with these keys, with some hundred keys per statement."""
        digest = self._digest(connection, table_slice)
        for condition, some in lookup.by_keys(
            table_slice.key, self.quote, keys, room=self.server.characters_for_keys(connection)
        ):
            wanted = set(some)
            for batch in self._stream_digests(connection, table_slice, digest, condition):
                if found := [row for row in batch if row[0] in wanted]:
                    yield found

    def _stream_digests(
        self, connection: Connection, table_slice: TableSlice, digest: str, condition: str
    ) -> Iterator[list[KeyDigest]]:
        """Stream keys and digests of the rows that satisfy a condition, which may end with an ORDER BY clause."""
        statement = (
            f"SELECT {row_text.texts(table_slice.key, self.quote)}, {digest} FROM {self.relation(table_slice.table)} AS t"
            f" WHERE {lookup.in_window(table_slice, self.quote)} AND {condition}"
        )
        for batch in stream_texts(connection, statement):
            try:
                if len(table_slice.key) == 1:
                    yield [((key.decode(),), int(number)) for key, number in batch]  # type: ignore[union-attr, arg-type]  # see below
                else:
                    yield [(tuple([key.decode() for key in row[:-1]]), int(row[-1])) for row in batch]  # type: ignore[union-attr, arg-type]
            except UnicodeDecodeError as error:
                raise no_text(table_slice.table, table_slice.key, error) from error
            except (TypeError, AttributeError) as error:
                # A key is NULL; check for it only after an error, since the check takes time.
                if any(None in row[:-1] for row in batch):
                    raise TableError(
                        f"Table {table_slice.table.label!r} has rows without a key (NULL). Choose a key that all have."
                    ) from error
                raise too_large(table_slice.table, "digested") from error

    def _digest(self, connection: Connection, table_slice: TableSlice) -> str:
        return row_digest(table_slice.columns, self.quote, packet_bytes(connection))
