"""Targets whose columns change, or that are gone, while they are synced, in one go and in steps, on each engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.merge.trigger_watch import TriggerWatch
from airflow_provider_sync.protocol.v2.messages import GetRows
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from tests.engines import on_engines
from tests.sync.link import Link
from tests.sync.tables.interrupted import Interrupted, interrupted
from tests.sync.tables.test_steps import Steps
from tests.sync.tables.test_triggers import TRIGGERS


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


def with_change_in_a(link: Link) -> None:
    """Create two tables, of which ``a`` differs."""
    rows = ", ".join(f"({number}, 1)" for number in range(1, 301))
    link.protocol = "2"
    link.create(
        "CREATE TABLE a (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)",
        "CREATE TABLE b (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)",
        "INSERT INTO a VALUES (1, 1)",
        f"INSERT INTO b VALUES {rows}",
    )
    link.target.execute("CREATE TABLE note (n INTEGER)")
    link.source.execute("UPDATE a SET v = 2")


def sync_while(link: Link, *statements: str, single_transaction: bool = True) -> list[TableReport]:
    """Sync ``b`` and ``a``, and alter the target before the rows of ``a`` are requested."""
    tables = [table_from_options("b", {}), table_from_options("a", {})]
    with link.client("a", "b") as client, Interrupted(client.url, protocol="2", retries=0) as other:
        other.interrupt(GetRows, 1, lambda _: link.target.execute(*statements))
        try:
            return sync_tables(other, tables, link.target.database, single_transaction=single_transaction)
        finally:
            assert not other.left


@pytest.mark.parametrize("single_transaction", [True, False])
def test_a_trigger_that_comes_meanwhile(into: Link, single_transaction: bool) -> None:
    """A trigger that is created during a sync cannot change a table that was already compared."""
    with_change_in_a(into)
    trigger = [statement.format(action="UPDATE b SET v = 7 WHERE id = 5") for statement in into.target.pick(TRIGGERS)]
    with pytest.raises(SyncFailed, match=r"'b' was compared with the source already.*a trigger \(act\)") as failure:
        sync_while(into, *trigger, single_transaction=single_transaction)
    assert not failure.value.retryable
    into.assert_equal("b")
    assert into.target.rows("a") == [(1, 1)]


def test_a_trigger_that_comes_meanwhile_and_writes_elsewhere(into: Link) -> None:
    """A trigger that is created during a sync and writes an audit log is allowed, and the report warns of it."""
    with_change_in_a(into)
    trigger = [statement.format(action="INSERT INTO note VALUES (1)") for statement in into.target.pick(TRIGGERS)]
    report = sync_while(into, *trigger)[1]
    assert report.warnings == ("Table 'a' has triggers (act), which fire for rows that a sync changes.",)
    into.assert_equal("a")
    assert into.target.rows("note") == [(1,)]


@on_engines("postgresql")
def test_a_trigger_that_comes_during_the_merge(into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that is created right before the first write is noticed before the commit."""
    with_change_in_a(into)
    trigger = [statement.format(action="UPDATE b SET v = 7 WHERE id = 5") for statement in into.target.pick(TRIGGERS)]
    begin = TriggerWatch.begin

    def begin_late(watch: TriggerWatch) -> None:
        begin(watch)
        while trigger:
            into.target.execute(trigger.pop(0))

    monkeypatch.setattr(TriggerWatch, "begin", begin_late)
    with pytest.raises(SyncFailed, match=r"'b' was compared with the source already.*a trigger \(act\)"):
        into.sync("b", "a")
    into.assert_equal("b")
    assert into.target.rows("a") == [(1, 1)]


@on_engines("mariadb")
def test_a_storage_engine_that_changes_meanwhile(into: Link) -> None:
    """A target that cannot roll back any more is refused before a row is written."""
    with_change_in_a(into)
    with pytest.raises(SyncFailed, match=r"stored by MyISAM, which cannot roll back.*Nothing was changed"):
        sync_while(into, "ALTER TABLE a ENGINE = MyISAM")
    assert into.target.rows("a") == [(1, 1)]
