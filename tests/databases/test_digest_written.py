"""What a transaction has written is digested before it is committed, by however many connections the engine takes."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.protocol.v2.messages import Partitioning
from tests.databases.canonical_rows import slice_of
from tests.scenario import Scenario

PARTITIONINGS = [
    Partitioning(scheme="key_range", segment_count=7, low=0, high=99),
    Partitioning(scheme="key_range", segment_count=1, low=0, high=99),
    Partitioning(scheme="key_range", segment_count=128, low=-20, high=107),
    Partitioning(scheme="row_hash", segment_count=8),
]


@pytest.mark.parametrize(
    "partitioning", PARTITIONINGS, ids=lambda partitioning: f"{partitioning.scheme}-{partitioning.segment_count}"
)
@pytest.mark.parametrize("key", ["PRIMARY KEY", "NOT NULL"])
def test_rows_that_are_not_committed(on: Scenario, key: str, partitioning: Partitioning) -> None:
    """Uncommitted inserts, updates and deletes are included, also with keys outside of the partitioning."""
    before = ", ".join(f"({n}, 'row')" for n in range(-5, 110))
    on.execute(f"CREATE TABLE item (id INTEGER {key}, name VARCHAR(20))", f"INSERT INTO item VALUES {before}")
    with on.database.connect() as connection:
        table_slice = slice_of(on.database, on.database.catalog.describe(connection, "item"), key=["id"])
        narrow = msgspec.structs.replace(table_slice, key_range=(20, 80))
        with on.database.transaction(connection):
            for statement in ("DELETE FROM item WHERE id < 10", "UPDATE item SET name = 'other' WHERE id > 90"):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("INSERT INTO item VALUES (3, 'new'), (200, 'new')")
            written = on.database.digests.digest_written(connection, table_slice, partitioning)
            assert written == on.database.digests.digest_segments(connection, table_slice, partitioning)
            assert sum(segment.rows for segment in written.values()) == 102
            some = on.database.digests.digest_written(connection, narrow, partitioning)
            assert some == on.database.digests.digest_segments(connection, narrow, partitioning)
        assert on.database.digests.digest_segments(connection, table_slice, partitioning) == written
