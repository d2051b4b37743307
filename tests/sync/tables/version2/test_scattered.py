"""Changes all over a table: a look at a few segments, and finer segments, so that few digests travel and few scans are made."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.table_streams import DescribedAnswer
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.protocol.v2.messages import DescribeTable
from airflow_provider_sync.sync import table_differs
from airflow_provider_sync.sync.tables.version2 import follow_plan, plan
from airflow_provider_sync.sync.tables.version2.facts import SampleFacts
from tests.sync.link import Link
from tests.sync.tables.version2.cost_model import cost
from tests.sync.tables.version2.test_source import fill

ROWS = 60_000

Cut = tuple[str, int, int]
"""How a table was cut and compared: scheme, parts, and segments of a sample or 0 for all."""


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[Cut]:
    """List how the source's table was cut, time after time."""
    found: list[Cut] = []
    describe = SyncClient.describe_table

    def describe_table(self: SyncClient, request: DescribeTable) -> DescribedAnswer:
        answer = describe(self, request)
        if request.digests:
            found.append(
                (answer.described.partitioning.scheme, answer.described.partitioning.segment_count, answer.described.sample)
            )
        return answer

    monkeypatch.setattr(SyncClient, "describe_table", describe_table)
    return found


@pytest.fixture
def scattered(same: Link) -> Link:
    """Give equal tables of many rows, of which the source then changes one in every sixty."""
    return scatter(same, "PRIMARY KEY")


def scatter(link: Link, key: str) -> Link:
    """Make such tables on SQLite; ``key`` is what is declared of their key."""
    link.protocol = "2"
    link.create(f"CREATE TABLE t (id BIGINT {key}, a VARCHAR(64), n INTEGER)")
    fill(link, "t", "i, hex(randomblob(32)), 0", ROWS)
    # A first sync would take longer than what is tested.
    link.target.execute(f"ATTACH '{link.source.database.engine.url.database}' AS source", "INSERT INTO t SELECT * FROM source.t")
    link.source.execute("UPDATE t SET n = 1 WHERE id % 60 = 7")
    return link


def test_scattered_changes_cost_one_fine_scan(scattered: Link, cuts: list[Cut]) -> None:
    """If nearly all segments of a sample differ in few rows, the tables are compared by finer ones at once."""
    report = scattered.sync_one("t")
    assert (report.rows_updated, report.rows_received, report.verified) == (ROWS // 60, ROWS // 60, "digest")
    assert cuts == [("key_range", 512, 16), ("key_range", 4096, 0)]
    expected = cost(ROWS, ROWS // 60, "key_range")
    assert report.requests == expected.requests == 6
    assert report.bytes_received < 1.5 * expected.bytes
    scattered.assert_equal("t")


@pytest.mark.quick_on("mariadb-to-mysql", "postgresql-to-sqlite", "sqlite-to-sqlite")
def test_on_every_pair_of_engines(two: Link, cuts: list[Cut], monkeypatch: pytest.MonkeyPatch) -> None:
    """On every pair of engines, both sides take the same sample and find scattered changes."""
    monkeypatch.setattr(plan, "MIN_PROBED_ROWS", 1_000)
    two.create("CREATE TABLE t (id BIGINT PRIMARY KEY, n INTEGER)")
    fill(two, "t", "i * 2, 0", 4_000)
    two.sync_one("t")
    cuts.clear()
    two.source.execute(
        "UPDATE t SET n = 1 WHERE id % 80 = 2",
        "DELETE FROM t WHERE id % 800 = 4",
        "INSERT INTO t VALUES (1, 1), (9001, 1)",
    )
    two.target.execute("INSERT INTO t VALUES (-5, 1), (3, 1), (9500, 1)")
    report = two.sync_one("t")
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.verified) == (2, 100, 13, "digest")
    sample, whole = cuts
    assert (sample[2], whole[2]) == (16, 0)
    assert whole[1] > sample[1]
    assert two.sync_one("t").status == "unchanged"
    two.assert_equal("t")


@pytest.mark.slow  # each segment is a scan of the table
def test_without_an_index_all_segments_come_first(same: Link, cuts: list[Cut]) -> None:
    """If segments cannot be looked up, all are compared, then some of their rows, then finer segments."""
    same.offered["t"] = {"primary": "id"}
    options = {"primary": ["id"]}
    link = scatter(same, "NOT NULL")
    cuts.clear()
    report = link.sync_one("t", options)
    assert (report.rows_updated, report.verified) == (ROWS // 60, "digest")
    assert cuts == [("key_range", 512, 0), ("key_range", 4096, 0)]
    link.assert_equal("t")


def test_an_index_at_the_target_only(same: Link, cuts: list[Cut]) -> None:
    """A source that cannot look up segments sends all, and does not scan its table again."""
    same.protocol = "2"
    same.offered["t"] = {"primary": "id"}
    same.source.execute("CREATE TABLE t (id BIGINT NOT NULL, n INTEGER)")
    same.target.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, n INTEGER)")
    fill(same, "t", "i, 0", ROWS)
    same.sync_one("t")
    cuts.clear()
    assert same.sync_one("t").status == "unchanged"
    assert cuts == [("key_range", 512, 0)]


def test_rows_that_come_meanwhile_wait_for_the_next_sync(
    scattered: Link, cuts: list[Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New rows outside the first bounds neither stop a sync nor are lost."""
    sample_rows = follow_plan._sample_rows

    def sample_and_insert(*arguments: Any) -> SampleFacts:
        found = sample_rows(*arguments)
        scattered.source.execute(f"INSERT INTO t VALUES (0, 'low', 0), ({ROWS + 1}, 'high', 0)")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(follow_plan, "_sample_rows", sample_and_insert)
        report = scattered.sync_one("t")
    assert (report.rows_updated, report.rows_inserted, report.rows_deleted) == (ROWS // 60, 0, 0)
    assert len(cuts) == 2
    assert scattered.sync_one("t").rows_inserted == 2
    scattered.assert_equal("t")


def test_many_changes_need_no_finer_grid(scattered: Link, cuts: list[Cut]) -> None:
    """If a third of the rows differ, finer segments are not requested, because they would all differ."""
    scattered.source.execute("UPDATE t SET n = 2 WHERE id % 3 = 0")
    report = scattered.sync_one("t")
    assert report.rows_updated > ROWS // 3
    assert cuts == [("key_range", 512, 16), ("key_range", 512, 0)]
    scattered.assert_equal("t")


def test_new_rows_at_the_end_are_within_the_bounds(scattered: Link, cuts: list[Cut], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a probe without differences, the source cuts its table again, so new rows are included."""
    scattered.sync_one("t")
    compare_segments = follow_plan.compare_segments

    def compare_and_insert(*arguments: Any, **options: Any) -> object:
        found = compare_segments(*arguments, **options)
        if options.get("sample"):
            scattered.source.execute(f"INSERT INTO t VALUES ({ROWS + 1}, 'high', 0)")
        return found

    monkeypatch.setattr(follow_plan, "compare_segments", compare_and_insert)
    assert scattered.sync_one("t").rows_inserted == 1
    scattered.assert_equal("t")


def test_a_look_is_enough_to_see_that_tables_differ(scattered: Link, cuts: list[Cut]) -> None:
    """A different sample shows that tables differ; an equal one leads to all segments."""
    table = table_from_options("t", {})
    with scattered.client("t") as client:
        assert table_differs(client, table, scattered.target.database)
        assert cuts == [("key_range", 512, 16)]
    scattered.sync_one("t")
    cuts.clear()
    with scattered.client("t") as client:
        assert not table_differs(client, table, scattered.target.database)
    assert cuts == [("key_range", 512, 16), ("key_range", 512, 0)]
