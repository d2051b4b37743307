"""Few changes in nearly every segment, and text keys: what finds them with few scans and few bytes, over version 2."""

from __future__ import annotations

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.table_streams import TableDigests
from airflow_provider_sync.protocol.v2.messages import DescribeTable, Grid
from airflow_provider_sync.sync import differences
from tests.sync.cost_model import cost
from tests.sync.link import Link
from tests.sync.test_version2 import fill

ROWS = 60_000


@pytest.fixture
def grids(monkeypatch: pytest.MonkeyPatch) -> list[Grid]:
    """List how the source's table was cut, time after time."""
    cut: list[Grid] = []
    describe = SyncClient.describe_table

    def describe_table(self: SyncClient, request: DescribeTable) -> TableDigests:
        answer = describe(self, request)
        if request.digests:
            cut.append(answer.described.grid)
        return answer

    monkeypatch.setattr(SyncClient, "describe_table", describe_table)
    return cut


@pytest.fixture
def scattered(same: Link) -> Link:
    """Give equal tables of many rows, of which the source then changes one in every sixty."""
    same.protocol = "2"
    same.create("CREATE TABLE t (id BIGINT PRIMARY KEY, a VARCHAR(64), n INTEGER)")
    fill(same, "t", "i, hex(randomblob(32)), 0", ROWS)
    same.sync_one("t")
    same.source.execute("UPDATE t SET n = 1 WHERE id % 60 = 7")
    return same


def test_scattered_changes_cost_a_finer_grid(scattered: Link, grids: list[Grid]) -> None:
    """Where nearly all segments differ in few rows, finer segments are compared before rows are, and few digests travel."""
    report = scattered.sync_one("t")
    assert (report.rows_updated, report.rows_received, report.verified) == (ROWS // 60, ROWS // 60, "digest")
    assert [(grid.scheme, grid.parts) for grid in grids] == [("range", 512), ("range", 4096)]
    expected = cost(ROWS, ROWS // 60, "range")
    assert report.requests == expected.requests == 6
    assert report.bytes_received < 1.5 * expected.bytes
    scattered.assert_equal("t")


def test_rows_that_come_meanwhile_wait_for_the_next_sync(
    scattered: Link, grids: list[Grid], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows outside the first bounds, which come before the finer segments are digested, neither stop a sync nor are lost."""
    sample = differences.sample_changes

    def sample_and_insert(*arguments: object) -> object:
        found = sample(*arguments)  # type: ignore[arg-type]
        scattered.source.execute(f"INSERT INTO t VALUES (0, 'low', 0), ({ROWS + 1}, 'high', 0)")
        return found

    with monkeypatch.context() as patched:
        patched.setattr("airflow_provider_sync.sync.version2.sample_changes", sample_and_insert)
        report = scattered.sync_one("t")
    assert (report.rows_updated, report.rows_inserted, report.rows_deleted) == (ROWS // 60, 0, 0)
    assert len(grids) == 2
    assert scattered.sync_one("t").rows_inserted == 2
    scattered.assert_equal("t")


def test_many_changes_need_no_finer_grid(scattered: Link, grids: list[Grid]) -> None:
    """Where a third of the rows differ, finer segments would all differ, too, and are not asked for."""
    scattered.source.execute("UPDATE t SET n = 2 WHERE id % 3 = 0")
    report = scattered.sync_one("t")
    assert report.rows_updated > ROWS // 3
    assert len(grids) == 1
    scattered.assert_equal("t")
