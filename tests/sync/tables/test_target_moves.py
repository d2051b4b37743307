"""Targets whose columns change, or that are gone, while they are synced, in one go and in steps, on each engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.protocol.v2.messages import GetRows
from tests.sync.link import Link
from tests.sync.tables.interrupted import interrupted
from tests.sync.tables.test_steps import Steps


@pytest.fixture
def changed(into: Link) -> Link:
    """Give a target on each engine, in which one row of two differs from the source."""
    into.create("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, v VARCHAR(9))")
    into.source.execute("INSERT INTO t VALUES (1, 10, 'new'), (2, 20, 'same')")
    into.target.execute("INSERT INTO t VALUES (1, 10, 'old'), (2, 20, 'same')")
    return into


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_column_that_goes_between_the_steps_is_noticed(changed: Link, protocol: str) -> None:
    """A staged column that the target lost ends the merge with an error that names it."""
    changed.protocol = protocol
    steps = Steps(changed)
    staged = [steps.download(table_slice) for table_slice in steps.compare()]
    changed.target.execute("ALTER TABLE t DROP COLUMN v")
    with pytest.raises(SyncFailed, match=r"the target's columns changed since they were compared \('v' is gone") as failure:
        steps.merge(staged)
    assert not failure.value.retryable
    assert changed.target.rows("t") == [(1, 10), (2, 20)]


@pytest.mark.parametrize("alteration", ["ALTER TABLE t RENAME COLUMN v TO w", "DROP TABLE t"])
def test_a_target_that_is_altered_meanwhile(changed: Link, alteration: str) -> None:
    """An error after the target was altered is transient and says so; nothing is written or left behind."""
    with pytest.raises(SyncFailed, match="Table 't' was altered meanwhile, which may be the reason") as failure:
        interrupted(changed, GetRows, 1, lambda _: changed.target.execute(alteration))
    assert failure.value.retryable
    dropped = alteration.startswith("DROP")
    assert changed.target.names() == ([] if dropped else ["t"])
    assert dropped or changed.target.rows("t", "id", "w") == [(1, "old"), (2, "same")]


def test_a_target_that_nobody_altered(changed: Link) -> None:
    """An error with another reason stays permanent."""
    changed.target.execute("DELETE FROM t", "CREATE UNIQUE INDEX u ON t (n)", "INSERT INTO t VALUES (1, 10, 'old')")
    changed.source.execute("UPDATE t SET n = 10")
    with pytest.raises(SyncFailed, match="unique key") as failure:
        Steps(changed).all()
    assert not failure.value.retryable


def test_a_file_that_is_replaced_meanwhile(two_same: Link, tmp_path: Path) -> None:
    """A replaced SQLite file is a transient error that says so, and the next run succeeds."""
    two_same.create("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)")
    two_same.source.execute("INSERT INTO t VALUES (1, 10)")
    two_same.target.execute("INSERT INTO t VALUES (1, 5)")
    file = Path(str(two_same.target.database.engine.url.database))
    restored = tmp_path / "restored.db"
    shutil.copy(file, restored)
    with pytest.raises(SyncFailed, match="the file was replaced") as failure:
        interrupted(two_same, GetRows, 1, lambda _: restored.replace(file))
    assert failure.value.retryable
    assert two_same.target.rows("t") == [(1, 5)]
    two_same.sync_one("t")
    two_same.assert_equal("t")


def test_an_order_of_columns_that_changes_between_the_steps(two_same: Link) -> None:
    """Another column order ends the merge with an error that blames no side, and the next run succeeds."""
    columns = ["n INTEGER", "v VARCHAR(9)"]
    for order in (columns, columns[::-1]):
        two_same.source.execute("DROP TABLE IF EXISTS t", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(order)})")
        two_same.source.execute("INSERT INTO t (id, n, v) VALUES (1, 10, 'new'), (2, 20, 'same')")
        if order is columns:
            two_same.target.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(order)})")
            steps = Steps(two_same)
            staged = [steps.download(table_slice) for table_slice in steps.compare()]
    with pytest.raises(SyncError, match="one of them changed since they were compared") as failure:
        steps.merge(staged)
    assert failure.value.retryable
    assert two_same.target.rows("t") == []
    Steps(two_same, run_id="run 2").all()
    assert two_same.target.rows("t") == [(1, 10, "new"), (2, 20, "same")]
