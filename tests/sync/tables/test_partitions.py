"""A partitioned table of PostgreSQL and one of its partitions share their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.sync.link import linked


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_table_and_its_partition(postgresql_url: str, tmp_path: Path, protocol: str) -> None:
    """Syncing both in one transaction is refused with that reason, and nothing is written."""
    with linked(f"sqlite:///{tmp_path / 'source.db'}", postgresql_url) as link:
        link.protocol = protocol
        link.source.execute(
            *(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v INTEGER)" for name in ("whole", "part")),
            *(f"INSERT INTO {name} VALUES (1, 1)" for name in ("whole", "part")),
        )
        link.target.execute(
            "CREATE TABLE whole (id integer PRIMARY KEY, v integer) PARTITION BY RANGE (id)",
            "CREATE TABLE half PARTITION OF whole FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id)",
            "CREATE TABLE part PARTITION OF half FOR VALUES FROM (0) TO (50)",
        )
        with pytest.raises(SyncFailed, match="'part' is a partition of 'whole' at the target") as raised:
            link.sync("whole", "part")
        assert not raised.value.retryable
        assert link.target.rows("whole") == []
        assert [report.rows_inserted for report in link.sync("whole")] == [1]
