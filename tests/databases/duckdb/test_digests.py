"""How DuckDB finds the rows of segments."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.duckdb.slice_sql import SliceSQL
from airflow_provider_sync.protocol.v2.messages import Partitioning, Scheme
from tests.databases.canonical_rows import create_keyed, slice_of
from tests.scenario import opened


@pytest.mark.parametrize("scheme", ["key_range", "row_hash"])
def test_many_segments_are_hashed(duckdb_url: str, scheme: Scheme) -> None:
    """The time for rows does not grow with the number of requested segments."""
    partitioning = Partitioning(scheme=scheme, segment_count=4096, low=0, high=4095 if scheme == "key_range" else -1)
    with opened(duckdb_url) as on:
        create_keyed(on, list(range(4096)))
        sql = SliceSQL(on.database, slice_of(on.database, on.describe("item")))
        statement = sql.digests(partitioning, [(number, number) for number in range(0, 4096, 2)])
        with on.database.connect() as connection:
            ((_, plan),) = connection.exec_driver_sql(f"EXPLAIN (FORMAT json) {statement}").all()
    assert "HASH_JOIN" in plan
