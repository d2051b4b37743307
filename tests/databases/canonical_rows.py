"""Rows as version 2 sees them: the few steps that its tests repeat, and the digests that they must have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn, SegmentDigest, TableSlice
from airflow_provider_sync.protocol.v2.messages import Partitioning, Window
from airflow_provider_sync.protocol.v2.row_text import key_hash, row_digest, row_text
from airflow_provider_sync.protocol.v2.tsv import decode_rows, encode_rows
from airflow_provider_sync.protocol.v2.types import LogicalType
from tests.scenario import Scenario, layout_of

Text = tuple[bytes | None, ...]
"""The canonical texts of a row."""

EVERYTHING = Partitioning(scheme="row_hash", segment_count=1)
"""A partitioning of one segment, for the digests of all rows."""


def slice_of(
    database: Database,
    table: Table,
    *,
    columns: Sequence[str] = (),
    key: Sequence[str] = (),
    window: Window | None = None,
    types: Mapping[str, LogicalType] | None = None,
) -> TableSlice:
    """Choose columns and key of a table; all columns, the table's own key, and the types of its own database unless told.

    :param types: by column, where values are to be rendered as a source's type says
    """

    def pair(name: str) -> CanonicalColumn:
        column = table.column(name)
        logical = (types or {}).get(name) or database.catalog.logical_type(column)
        assert logical is not None, f"{column} has no logical type"
        return CanonicalColumn(column=column, type=logical)

    chosen = tuple(map(pair, columns or [column.name for column in table.visible]))
    return TableSlice(table=table, columns=chosen, key=tuple(map(pair, key or table.primary_key)), window=window)


def insert(database: Database, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows by the driver's own means."""
    names = [column.name for column in table.columns]
    marks = ", ".join(f":p{number}" for number in range(len(names)))
    statement = text(f"INSERT INTO {database.qualified(table)} VALUES ({marks})")
    parameters = [{f"p{number}": value for number, value in enumerate(row)} for row in rows]
    with database.connect(loading=True) as connection:
        connection.exec_driver_sql("BEGIN")
        if database.engine.dialect.name == "duckdb":
            _insert_many_at_once(connection, database.qualified(table), [tuple(row.values()) for row in parameters])
        elif parameters:
            connection.execute(statement, parameters)
        connection.exec_driver_sql("COMMIT")


def _insert_many_at_once(connection: Connection, qualified: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert a hundred rows by each statement, since DuckDB takes a millisecond for one."""
    for start in range(0, len(rows), 100):
        chunk = rows[start : start + 100]
        marks = ", ".join([f"({', '.join('?' * len(chunk[0]))})"] * len(chunk))
        connection.exec_driver_sql(f"INSERT INTO {qualified} VALUES {marks}", tuple(value for row in chunk for value in row))


def create_keyed(on: Scenario, keys: list[int]) -> None:
    """Make a table with integer keys."""
    on.execute("CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(50))")
    insert(on.database, on.describe("item"), [(key, f"v{key}" if key % 5 else None) for key in keys])


def read(
    database: Database, connection: Connection, table_slice: TableSlice, keys: Sequence[tuple[str, ...]] | None = None
) -> list[Text]:
    """Read the canonical texts of rows."""
    rows: list[Text] = []
    for count, block in database.reader.read_text(connection, table_slice, keys):
        batch = decode_rows(block, len(table_slice.columns))
        assert len(batch) == count
        rows += batch
    return rows


def load(
    database: Database, connection: Connection, target: Table, rows: Iterable[Text], types: Sequence[LogicalType], name: str
) -> tuple[Table, int]:
    """Load canonical texts into a staging table of all columns of ``target``, a few rows at a time."""
    staging = database.ddl.create_staging(connection, layout_of(target), name=name)
    columns = [CanonicalColumn(column=column, type=logical) for column, logical in zip(target.columns, types, strict=True)]
    listed = list(rows)
    blocks = (encode_rows(listed[start : start + 100]) for start in range(0, len(listed), 100))
    return staging, database.loader.load_text(connection, staging, columns, blocks)


def expected_digests(table_slice: TableSlice, rows: Iterable[Text]) -> dict[tuple[str, ...], int]:
    """Compute the digests of rows in Python, by their keys."""
    names = [column.column.name for column in table_slice.columns]
    places = [names.index(column.column.name) for column in table_slice.key]
    kinds = [column.type.kind for column in table_slice.columns]
    return {tuple((row[place] or b"").decode() for place in places): row_digest(row_text(row, kinds)) for row in rows}


def all_digests(
    database: Database,
    connection: Connection,
    table_slice: TableSlice,
    partitioning: Partitioning = EVERYTHING,
    segment_ranges: Sequence[tuple[int, int]] = ((0, 0),),
) -> dict[tuple[str, ...], int]:
    """Collect the digests of rows from the database."""
    found = [
        row for batch in database.digests.digest_rows(connection, table_slice, partitioning, segment_ranges) for row in batch
    ]
    assert len({key for key, _ in found}) == len(found)
    return dict(found)


def segment_of(partitioning: Partitioning, key: tuple[str, ...], digest: int) -> int:
    """Return the number of a row's segment."""
    if partitioning.scheme == "row_hash":
        return digest >> partitioning.shift
    if partitioning.scheme == "key_hash":
        return key_hash([text.encode() for text in key]) >> partitioning.shift
    number = int(key[0])
    if number < partitioning.low:
        return -1
    return partitioning.segment_count if number > partitioning.high else (number - partitioning.low) // partitioning.width


def expected_segments(partitioning: Partitioning, digests: Mapping[tuple[str, ...], int]) -> dict[int, SegmentDigest]:
    """Add up digests by segments."""
    segments: dict[int, SegmentDigest] = {}
    for key, digest in digests.items():
        number = segment_of(partitioning, key, digest)
        before = segments.get(number, SegmentDigest(rows=0, sum=0))
        segments[number] = SegmentDigest(rows=before.rows + 1, sum=(before.sum + digest) % 2**64)
    return segments
