"""Version 2 of the protocol on PostgreSQL: canonical texts and digests by SQL, streamed by COPY, on parallel workers.

Digests are computed inside the database. Streaming row texts out and hashing them here takes as much processor time in all
(SHA-256 costs half as much, and COPY eats up the difference), moves every row, and does not spread over workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from importlib import import_module
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.canonical import CanonicalColumn, Keys, SegmentDigest, TableSlice
from airflow_provider_sync.databases.postgresql.load import load_blocks
from airflow_provider_sync.databases.postgresql.read import FAILED, IDLE, fetch
from airflow_provider_sync.databases.postgresql.row_text import SliceSQL, hash_of_texts
from airflow_provider_sync.databases.postgresql.text import literal, logical_type
from airflow_provider_sync.databases.postgresql.text_load import copy_blocks
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import PGHASH, Partitioning
from airflow_provider_sync.protocol.v2.tsv import decode_rows, encode_rows, from_copy
from airflow_provider_sync.protocol.v2.types import LogicalType

_KEYS = 100_000
"""Keys looked up by one statement."""

_ANALYZE_ROWS = 1_000
_SUM_MODULUS = 2**64

_PROBE = ("", *("sync: Übergröße 😀"[:length] for length in range(1, 18)), "0123456789ab" * 4)
"""Texts of every length that the hash function treats in its own way, and of every length of a character."""

_FOR_ONE_SCAN = {
    # The planner takes every segment for a row of its own, and would rather sort all rows than group them.
    "enable_sort": "off",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
    "work_mem": "64MB",
}


_FOR_STRETCHES = {
    # The planner expects thousands of times the rows that a join on a range of keys brings.
    "work_mem": "64MB",
    "max_parallel_workers_per_gather": "0",
}


class PostgreSQLCanonical(Database):
    """The part of :class:`~.postgresql.database.PostgreSQLDatabase` that version 2 needs."""

    def logical_type(self, column: Column) -> LogicalType:
        """See :func:`.text.logical_type`; every type of PostgreSQL has a text that it reads again."""
        return logical_type(column)

    def probes(self, connection: Connection) -> Mapping[str, str]:
        """Hash fixed texts: the function may change between versions, and is another on machines of the other byte order.

        Only where text is stored as UTF-8, since it is hashed as it is stored.
        """
        if not _is_utf8(connection):
            return {}
        with self.translate_errors():
            ((found,),) = _run(connection, f"SELECT {hash_of_texts([literal(text) for text in _PROBE])}")
        return {PGHASH: f"{found:x}"}

    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Ask the index from both ends."""
        with self.translate_errors():
            ((low, high),) = _run(connection, self._sql(connection, table_slice).bounds())
        return None if low is None else (int(low), int(high))

    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Ask the planner, who knows about windows and partitions."""
        with self.translate_errors():
            ((plans,),) = _run(connection, f"EXPLAIN (FORMAT JSON) {self._sql(connection, table_slice).rows()}")
        return int(plans[0]["Plan"]["Plan Rows"])

    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment in one scan, by as many workers as the server gives."""
        with self.translate_errors(), _settings(connection, _FOR_ONE_SCAN):
            found = _run(connection, self._sql(connection, table_slice).segments(partitioning))
        return {
            int(number): SegmentDigest(rows=int(rows), sum=int(total) % _SUM_MODULUS) for number, rows, total in sorted(found)
        }

    def digest_rows(
        self,
        connection: Connection,
        table_slice: TableSlice,
        partitioning: Partitioning,
        segment_ranges: Sequence[tuple[int, int]],
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Look stretches of keys up by the index; buckets need a scan."""
        sql = self._sql(connection, table_slice)
        with _settings(connection, _FOR_STRETCHES):
            yield from self._digests(connection, table_slice, sql.digests(partitioning, segment_ranges))

    def digest_keys(
        self, connection: Connection, table_slice: TableSlice, keys: Keys
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Look the rows up by their keys."""
        sql = self._sql(connection, table_slice)
        for start in range(0, len(keys), _KEYS):
            yield from self._digests(connection, table_slice, sql.digests_by_key(keys[start : start + _KEYS]))

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream what COPY writes."""
        sql = self._sql(connection, table_slice)
        if keys is None:
            yield from self._copied(connection, sql.texts())
            return
        for start in range(0, len(keys), _KEYS):
            yield from self._copied(connection, sql.texts_by_key(keys[start : start + _KEYS]))

    def load_text(
        self, connection: Connection, staging: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]
    ) -> int:
        """Load by one COPY, of which all rows stay or none; the planner then learns what has arrived.

        Not inside a transaction: there the table is the target itself, and what is still to be done with it is one scan.
        """
        names = ", ".join(self._identifier(column.column.name) for column in columns)
        statement = f"COPY {_undoubled(self.qualified(staging))} ({names}) FROM STDIN"
        with self.translate_errors():
            rows = load_blocks(_driver(connection), staging, statement, copy_blocks(staging, columns, blocks))
            if rows >= _ANALYZE_ROWS and _driver(connection).info.transaction_status == IDLE:
                _run(connection, f"ANALYZE {_undoubled(self.qualified(staging))}")
        return rows

    # -- parts -------------------------------------------------------------------------------------------------------

    def _identifier(self, name: str) -> str:
        return _undoubled(self.quote(name))

    def _sql(self, connection: Connection, table_slice: TableSlice) -> SliceSQL:
        relation = _undoubled(self.qualified(table_slice.table))
        return SliceSQL(table_slice, quote=self._identifier, relation=relation, utf8=_is_utf8(connection))

    def _digests(
        self, connection: Connection, table_slice: TableSlice, statement: str
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        width = len(table_slice.key)
        for _, block in self._copied(connection, statement):
            if b"\\" not in block:
                # Column by column, since a million rows one by one cost a second.
                fields = block.decode().replace("\n", "\t").split("\t")
                columns = [fields[place :: width + 1] for place in range(width + 1)]
                yield list(zip(zip(*columns[:width], strict=False), map(int, columns[width]), strict=False))
                continue
            rows = decode_rows(block, width + 1)
            try:
                yield [(tuple([text.decode() for text in row[:width]]), int(row[width])) for row in rows]  # type: ignore[union-attr, arg-type]
            except AttributeError as error:
                raise TableError(
                    f"Table {str(table_slice.table)!r} has a row with NULL in its key, which names no row."
                    " Declare the key NOT NULL."
                ) from error

    def _copied(self, connection: Connection, statement: str) -> Iterator[tuple[int, bytes]]:
        """Stream the result of a SELECT as blocks of whole lines, with their number."""
        driver = _driver(connection)
        with self.translate_errors():
            if type(driver).__module__.startswith("psycopg2"):
                # Its COPY pushes what it has, which could only be stopped from another thread.
                with closing(fetch(driver, f"SELECT * FROM ({statement}) AS q")) as batches:
                    for batch in batches:
                        yield len(batch), encode_rows([[_encoded(value) for value in row] for row in batch])
                return
            copy_out = import_module("airflow_provider_sync.databases.postgresql.copy_out").copy_out
            with closing(copy_out(driver, statement)) as blocks:
                for rows, block in blocks:
                    yield rows, from_copy(block)


def _is_utf8(connection: Connection) -> bool:
    return bool(_driver(connection).info.parameter_status("server_encoding") == "UTF8")


def _driver(connection: Connection) -> Any:
    """Return the connection of psycopg or psycopg2 below SQLAlchemy's."""
    return connection.connection.driver_connection


def _undoubled(name: str) -> str:
    """Take back the doubling of percent signs: statements go to a cursor without parameters."""
    return name.replace("%%", "%")


def _encoded(value: Any) -> bytes | None:
    if value is None:
        return None
    # Never with an exponent, as small decimals would have.
    return (f"{value:f}" if isinstance(value, Decimal) else str(value)).encode()


def _run(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with _driver(connection).cursor() as cursor:
        cursor.execute(statement)
        return [] if cursor.description is None else list(cursor.fetchall())


@contextmanager
def _settings(connection: Connection, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings, and put them back; inside a transaction, for the rest of it at most."""
    driver = _driver(connection)
    local = "false" if driver.info.transaction_status == IDLE else "true"

    def change(settings: Mapping[str, str]) -> None:
        _run(connection, "SELECT " + ", ".join(f"set_config('{name}', '{value}', {local})" for name, value in settings.items()))

    (before,) = _run(connection, "SELECT " + ", ".join(f"current_setting('{name}')" for name in values))
    change(values)
    try:
        yield
    finally:
        # A transaction that failed takes its settings with it.
        if not driver.closed and driver.info.transaction_status != FAILED:
            change(dict(zip(values, before, strict=True)))
