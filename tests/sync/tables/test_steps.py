"""Tables in three steps that share nothing but the databases, between every two engines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable, table_from_options
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError, ServerError, SyncFailed, TransportError
from airflow_provider_sync.merge.staging_names import find_staging
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice, with_foreign_keys
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from tests.sync.link import Link
from tests.sync.tables.version1.existing_server import existing_server
from tests.sync.tables.version2.test_source import fill

TABLE = "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40))"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts of a few rows be worth a task."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)


class Steps:
    """The steps of one table, each with a client of its own, with only JSON between them."""

    def __init__(self, link: Link, options: dict[str, Any] | None = None, *, slices: int = 4, run_id: str = "run 1") -> None:
        self.link = link
        self.options: TargetTable = table_from_options("t", options or {})
        self.number = slices
        self.run_id = run_id

    def compare(self, **arguments: Any) -> list[PlannedSlice]:
        """Compare, and cut into parts."""
        with self.link.client("t") as client:
            database = self.link.target.database
            compared = compare_table(client, self.options, database, run_id=self.run_id, slices=self.number, **arguments)
        assert compared.report.status == ("planned" if compared.slices else "unchanged")
        if not compared.slices:
            assert compared.report.rows_total == len(self.link.source.rows("t"))
        return [PlannedSlice.from_dict(through_json(table_slice.to_dict())) for table_slice in compared.slices]

    def download(self, table_slice: PlannedSlice, **arguments: Any) -> StagedSlice:
        """Download one part."""
        with self.link.client("t") as client:
            staged = stage_slice(client, self.options, self.link.target.database, table_slice, **arguments)
        return StagedSlice.from_dict(through_json(staged.to_dict()))

    def merge(self, slices: Sequence[StagedSlice], **arguments: Any) -> TableReport:
        """Merge all parts."""
        with self.link.client("t") as client:
            (report,) = merge_slices(client, {"t": (self.options, slices)}, self.link.target.database, **arguments)
        return report

    def all(self, **arguments: Any) -> TableReport:
        """Run all steps."""
        return self.merge([self.download(table_slice) for table_slice in self.compare()], **arguments)


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    """Write a value as an XCom is written, and read it again."""
    text = json.dumps(value)
    assert len(text) < 1_000
    plain: dict[str, Any] = json.loads(text)
    return plain


@pytest.mark.quick_on("sqlite-to-mariadb", "mysql-to-postgresql", "postgresql-to-sqlite")
def test_a_table_arrives_in_parts(two: Link) -> None:
    """A first sync, scattered changes, and no changes have the same result as in one task, on every pair of engines."""
    two.create(TABLE)
    fill(two, "t", "i * 3, 'some text'", 2_000)
    steps = Steps(two)
    slices = steps.compare()
    assert len(slices) == 4
    report = steps.merge([steps.download(table_slice) for table_slice in reversed(slices)])
    assert (report.status, report.protocol, report.rows_inserted, report.rows_received) == ("changed", 2, 2_000, 2_000)
    assert (report.rows_total, report.verified, report.requests) == (2_000, "digest", 2 + 4 * 3 + 1)
    two.assert_equal("t")
    two.source.execute(
        "UPDATE t SET v = 'changed' WHERE id IN (3, 2100, 6000)",
        "DELETE FROM t WHERE id IN (9, 4200)",
        "INSERT INTO t VALUES (-5, 'low'), (4, 'between'), (99999, 'high')",
    )
    two.target.execute("INSERT INTO t VALUES (-99, 'goes'), (777777, 'goes')")
    report = Steps(two, run_id="run 2").all()
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.verified) == (3, 3, 4, "digest")
    assert (report.rows_received, report.rows_total) == (6, 2_001)
    two.assert_equal("t")
    assert Steps(two, run_id="run 3").compare() == []
    two.assert_clean()


@pytest.mark.quick_on("sqlite-changes", "mysql-changes", "postgresql-first")
@pytest.mark.parametrize("first", [True, False], ids=["first", "changes"])
def test_downloads_at_once(two_into: Link, first: bool) -> None:
    """Downloads of one table may run at the same time, on any engine."""
    two_into.create(TABLE)
    fill(two_into, "t", "i * 3, 'some text'", 8_000)
    if not first:
        Steps(two_into, run_id="run 0").all()
        two_into.source.execute("UPDATE t SET v = 'changed' WHERE id % 4 = 0", "DELETE FROM t WHERE id % 9 = 0")
    steps = Steps(two_into)
    with ThreadPoolExecutor(4) as pool:
        staged = list(pool.map(steps.download, steps.compare()))
    assert len(staged) == 4
    report = steps.merge(staged)
    assert report.rows_received == report.rows_inserted + report.rows_updated > 0
    two_into.assert_equal("t")


def test_most_rows_differ(two_into: Link) -> None:
    """If most rows differ, all are staged in slices, and surplus rows are deleted with any keys."""
    two_into.create(TABLE)
    fill(two_into, "t", "i * 3, 'new'", 2_000)
    two_into.target.execute(
        "INSERT INTO t VALUES (-7, 'goes'), (4, 'goes'), (3000, 'old'), (3001, 'goes'), (6000, 'old'), (70000, 'goes')"
    )
    slices = Steps(two_into).compare()
    assert ({table_slice.whole for table_slice in slices}, len(slices)) == ({True}, 4)
    report = Steps(two_into).all()
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1_998, 2, 4)
    two_into.assert_equal("t")


@pytest.mark.parametrize("rows", [0, 300])
def test_other_keys_are_one_part(two_into: Link, rows: int) -> None:
    """A table whose key is not a single integer is one slice, from its first sync on."""
    two_into.create("CREATE TABLE t (code VARCHAR(20), part INTEGER, v VARCHAR(20), PRIMARY KEY (code, part))")
    fill(two_into, "t", "'key ' || i, i % 7, 'same'", 600)
    if rows:
        Steps(two_into, run_id="run 0").all()
        two_into.source.execute("UPDATE t SET v = 'other' WHERE part = 3", "DELETE FROM t WHERE code = 'key 8'")
    assert len(Steps(two_into).compare()) == 1
    report = Steps(two_into).all()
    assert (report.rows_deleted, report.verified) == (1 if rows else 0, "digest")
    two_into.assert_equal("t")


def test_options_hold_in_all_steps(two_into: Link) -> None:
    """Columns, renames, the target's name and a window work as in one task; a missing target is created."""
    two_into.source.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(20), day DATE, secret VARCHAR(9))")
    fill(two_into, "t", "i, 'name', CASE WHEN i % 2 = 0 THEN '2026-01-01' ELSE '2026-02-01' END, 'x'", 600)
    two_into.offered["t"] = {"windows": ["day"]}
    options = {
        "table": "copies",
        "columns": ["id", "name", "day"],
        "renames": {"name": "label"},
        "create_table": True,
        "window": ["day", "2026-01-01", "2026-01-02"],
    }
    steps = Steps(two_into, options)
    with pytest.raises(MissingTableError, match="'copies'"):
        steps.compare(dry_run=True)
    assert two_into.target.names() == []
    assert steps.all().rows_inserted == 300
    two_into.target.execute("INSERT INTO copies VALUES (7001, 'goes', '2026-01-01'), (7002, 'stays', '2026-05-01')")
    two_into.source.execute("UPDATE t SET day = '2026-03-01' WHERE id = 4", "UPDATE t SET name = 'other' WHERE id = 500")
    report = Steps(two_into, options).all()
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.rows_total) == (0, 2, 1, 299)
    rows = {row[0]: row[1] for row in two_into.target.rows("copies")}
    assert (len(rows), rows[500], rows[7002]) == (301, "other", "stays")
    two_into.assert_clean()


@pytest.mark.parametrize("rows", [0, 2])
def test_a_table_that_is_made_is_a_change(two_into: Link, rows: int) -> None:
    """A comparison that creates its target reports it, also without rows to stage."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", *(f"INSERT INTO t VALUES ({row})" for row in range(rows)))
    options, database = table_from_options("t", {"create_table": True}), two_into.target.database
    with two_into.client("t") as client:
        compared = compare_table(client, options, database, run_id="run 1")
        (compared,) = with_foreign_keys(database, [compared], waits=LockWaits())
    assert (compared.report.status, compared.report.schema_changes) == ("planned" if rows else "changed", ("make table 't'",))
    assert [entry.schema_changes for entry in compared.slices] == [("make table 't'",)] * (rows > 0)


def test_a_dry_run(two_into: Link) -> None:
    """A dry run reports what would change, and leaves the target as it was, without staging tables."""
    two_into.create(TABLE)
    fill(two_into, "t", "i, 'x'", 300)
    two_into.target.execute("INSERT INTO t VALUES (1, 'old'), (1000, 'goes')")
    before = two_into.target.rows("t")
    report = Steps(two_into).all(dry_run=True)
    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("planned", 299, 1, 1)
    assert two_into.target.rows("t") == before
    two_into.assert_clean()


def test_guards_stop_the_merge(two_into: Link) -> None:
    """A merge that would delete too much fails, writes nothing, and can be run again with the option."""
    two_into.create(TABLE)
    two_into.source.execute("INSERT INTO t VALUES (1, 'x')")
    fill_target = "INSERT INTO t VALUES " + ", ".join(f"({key}, 'x')" for key in range(1, 301))
    two_into.target.execute(fill_target)
    staged = [Steps(two_into).download(table_slice) for table_slice in Steps(two_into).compare()]
    with pytest.raises(SyncFailed, match="max_deletes is 50%") as failure:
        Steps(two_into).merge(staged)
    assert not failure.value.retryable
    assert len(two_into.target.rows("t")) == 300
    assert Steps(two_into, {"max_deletes": "100%"}).merge(staged).rows_deleted == 299
    two_into.assert_equal("t")


def test_a_server_of_version_1_between_the_steps(into: Link) -> None:
    """If version 2 is gone between two steps, the error names the cause and the remedy, and nothing is written."""
    into.protocol = "auto"
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    into.source.execute("INSERT INTO t VALUES (1, 'a')")
    [planned] = Steps(into).compare()
    with (
        existing_server() as server,
        SyncClient(server.url, retries=0) as client,
        pytest.raises(ServerError, match=r"replaced by one that knows only version 1.*clear the first of its steps") as failure,
    ):
        stage_slice(client, table_from_options("t", {}), into.target.database, planned)
    assert "Check the URL" not in str(failure.value)
    assert not failure.value.retryable
    assert into.target.rows("t") == []


def test_version_1(into: Link) -> None:
    """With version 1, the table is one slice, and the report equals that of one task."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    into.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    into.target.execute("INSERT INTO t VALUES (2, 'old'), (3, 'goes')")
    slices = Steps(into).compare()
    assert [(table_slice.protocol, table_slice.whole) for table_slice in slices] == [(1, True)]
    Steps(into).download(slices[0])  # and again: a retry begins anew
    report = Steps(into).merge([Steps(into).download(slices[0])])
    assert (report.protocol, report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1, 1)
    assert report.verified == "hash"
    into.assert_equal("t")
    assert Steps(into, run_id="run 2").compare() == []


def test_staging_of_others_is_not_seen(two_same: Link) -> None:
    """Two runs do not use each other's staging tables; a retried comparison drops those of its failed try."""
    two_same.create(TABLE)
    fill(two_same, "t", "i, 'x'", 300)
    (first, *_), (second, *_) = Steps(two_same, slices=1).compare(), Steps(two_same, slices=1, run_id="run 2").compare()
    staged = Steps(two_same).download(first)
    Steps(two_same).download(second)
    Steps(two_same, slices=1, run_id="run 2").compare()
    assert Steps(two_same).merge([staged]).rows_inserted == 300
    with two_same.target.database.connect() as connection:
        assert len(find_staging(connection)) == 2
    assert len([name for name in two_same.target.names() if name.startswith("_sync")]) == 2


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("mode", ["upsert", "append"])
def test_a_conflict_with_a_row_that_is_kept(two_into: Link, mode: str, moved: bool) -> None:
    """A conflict with a kept row is not reported as a change of the source."""
    two_into.create("CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40), UNIQUE (v))")
    rows = ", ".join(f"({number}, '{number}')" for number in range(1, 301))
    two_into.create(f"INSERT INTO t VALUES {rows}")
    two_into.target.execute("INSERT INTO t VALUES (900, 'kept')")
    two_into.source.execute("INSERT INTO t VALUES (901, 'kept')")
    steps = Steps(two_into, {"mode": mode})
    staged = [steps.download(table_slice) for table_slice in steps.compare()]
    if moved:
        two_into.source.execute("UPDATE t SET v = 'other' WHERE id = 901")

    with pytest.raises(SyncFailed, match="source changed" if moved else "keep their values of unique keys") as raised:
        steps.merge(staged)

    assert raised.value.retryable == moved
    assert ("source changed" in str(raised.value)) == moved
    assert (900, "kept") in two_into.target.rows("t")


def test_lost_rows_are_noticed(two_into: Link) -> None:
    """Rows missing in a staging table before the merge are an error, and nothing is written."""
    two_into.create(TABLE)
    fill(two_into, "t", "i, 'x'", 300)
    staged = [Steps(two_into).download(table_slice) for table_slice in Steps(two_into).compare()]
    for name in two_into.target.names():
        if name.startswith("_sync"):
            two_into.target.execute(f"DELETE FROM {name}")
    with pytest.raises(SyncFailed, match="Run the steps again from the first"):
        Steps(two_into).merge(staged)
    assert two_into.target.rows("t") == []


def test_an_error_names_its_table(two_same: Link) -> None:
    """The error of a task names its table, also if network and database errors do not."""
    two_same.create(TABLE)
    fill(two_same, "t", "i, 'some text'", 500)
    planned = Steps(two_same).compare()[0]
    with (
        SyncClient("http://127.0.0.1:1", retries=0) as client,
        pytest.raises(TransportError, match="Table 't': No answer") as failed,
    ):
        stage_slice(client, table_from_options("t", {}), two_same.target.database, planned)
    assert failed.value.retryable


def test_a_target_that_moves_is_noticed(two_into: Link) -> None:
    """A row that another session writes to the target between download and merge is noticed before the commit."""
    two_into.create(TABLE)
    fill(two_into, "t", "i, 'x'", 300)
    Steps(two_into).all()
    two_into.source.execute("UPDATE t SET v = 'y' WHERE id IN (10, 200)")
    staged = [Steps(two_into).download(table_slice) for table_slice in Steps(two_into).compare()]
    two_into.target.execute("UPDATE t SET v = 'z' WHERE id = 11")
    with pytest.raises(SyncFailed, match="one of them changed") as failure:
        Steps(two_into).merge(staged)
    assert failure.value.retryable
    assert ("y",) not in {row[1:] for row in two_into.target.rows("t")}


@pytest.mark.parametrize("staging", ["temporary", "tests.sync.tables.staging_class.NamedStaging"])
def test_only_permanent_staging(two_same: Link, staging: str) -> None:
    """Staging tables that other tasks could not find are refused, and no table is created."""
    two_same.create(TABLE)
    two_same.source.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(ConfigurationError, match="other tasks cannot find"):
        Steps(two_same, {"staging": staging}).compare()
    two_same.assert_clean()


def test_only_what_a_step_returned_is_taken() -> None:
    """A value that is not a step's result is an error that says so."""
    with pytest.raises(ConfigurationError, match="step before"):
        PlannedSlice.from_dict({"table": "t"})


def test_version_1_syncs_a_table_without_primary_key(same: Link) -> None:
    """If there is no primary key, rows are hashed and sent by the configured key."""
    same.source.execute("CREATE TABLE t (code VARCHAR(9) NOT NULL, n INTEGER)", "INSERT INTO t VALUES ('a', 1), ('b', 2)")
    same.target.execute("CREATE TABLE t (code VARCHAR(9) NOT NULL, n INTEGER)")
    same.offered["t"] = {"primary": "code"}

    assert Steps(same, {"primary": "code"}).all().rows_inserted == 2
    same.assert_equal("t")
