"""Rows that a merge leaves alone, and that a trigger of the target changes: it is told, and not tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from tests.engines import on_engines
from tests.every_pair import every_pair
from tests.scenario import Scenario
from tests.sync.link import Link
from tests.sync.tables.mode_tables import create_targets
from tests.sync.tables.test_triggers import TRIGGERS, in_steps, prepare

ENDED = {"soft_delete": "deleted_at IS NOT NULL", "history": "valid_to IS NOT NULL"}


def ended_rows(link: Link, mode: str) -> None:
    """Make a target of a mode with rows that ended, and changes to come in it and in another table."""
    link.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    )
    create_targets(link)
    link.create("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO a VALUES (1, 1)")
    link.target.execute("CREATE TABLE note (n INTEGER)")
    sync(link, mode)
    link.source.execute("DELETE FROM t WHERE id = 3", "UPDATE t SET v = 'x' WHERE id = 2")
    sync(link, mode)
    link.source.execute("UPDATE t SET v = 'y' WHERE id = 2", "UPDATE a SET v = 2")


def sync(link: Link, mode: str) -> list[TableReport]:
    """Sync the target of a mode, and the other table."""
    return link.sync("a", "t", options={"t": {"table": mode, "mode": mode}})


def add_trigger(target: Scenario, action: str) -> None:
    """Let an update of the other table do something else, too."""
    target.execute(*(statement.format(action=action) for statement in target.pick(TRIGGERS)))


@every_pair(
    mode=["soft_delete", "history"],
    protocol=["1", "2"],
    action=["DELETE FROM {table} WHERE {ended}", "UPDATE {table} SET v = 'z' WHERE {ended}"],
)
def test_rows_that_ended(into: Link, mode: str, protocol: str, action: str) -> None:
    """Ended rows are never fetched again, so a trigger that deletes or changes them is refused."""
    into.protocol = protocol
    ended_rows(into, mode)
    add_trigger(into.target, action.format(table=mode, ended=ENDED[mode]))
    before = into.target.rows(mode)

    with pytest.raises(SyncFailed, match=rf"'{mode}' was compared.*trigger \(act\).*rows that the merge leaves alone") as raised:
        sync(into, mode)

    assert not raised.value.retryable
    assert into.target.rows(mode) == before
    assert into.target.rows("a") == [(1, 1)]
    into.assert_clean()


@pytest.mark.parametrize("mode", ["soft_delete", "history"])
@pytest.mark.parametrize("action", ["DELETE FROM {mode} WHERE id = 1", "UPDATE {mode} SET v = 'z' WHERE id = 1"])
def test_rows_that_end_in_this_merge(two_into: Link, mode: str, action: str) -> None:
    """A trigger that deletes or changes rows that the same merge ends is refused, too."""
    ended_rows(two_into, mode)
    two_into.source.execute("DELETE FROM t WHERE id = 1")
    add_trigger(two_into.target, action.format(mode=mode))
    before = two_into.target.rows(mode)

    with pytest.raises(SyncFailed, match=r"trigger \(act\)"):
        sync(two_into, mode)

    assert two_into.target.rows(mode) == before


@pytest.mark.parametrize("mode", ["soft_delete", "history"])
@pytest.mark.parametrize("action", ["DELETE FROM {mode}", "UPDATE {mode} SET {column} = NULL"], ids=["gone", "revived"])
def test_rows_that_ended_in_a_table_found_equal(two_into: Link, mode: str, action: str) -> None:
    """A trigger of another table that changes ended rows, or only mode columns, of an equal table is refused, too."""
    ended_rows(two_into, mode)
    two_into.source.execute("UPDATE t SET v = 'x' WHERE id = 2")
    column = ENDED[mode].split()[0]
    add_trigger(two_into.target, f"{action.format(mode=mode, column=column)} WHERE {column} IS NOT NULL AND id = 3")
    before = two_into.target.rows(mode)

    with pytest.raises(SyncFailed, match=r"trigger \(act\)"):
        sync(two_into, mode)

    assert two_into.target.rows(mode) == before


@pytest.mark.parametrize("mode", ["soft_delete", "history", "append", "upsert"])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_trigger_that_writes_elsewhere(into: Link, mode: str, protocol: str) -> None:
    """A trigger that writes an audit log is allowed in every mode."""
    into.protocol = protocol
    ended_rows(into, mode)
    add_trigger(into.target, "INSERT INTO note VALUES (1)")

    report, _ = sync(into, mode)

    assert report.warnings == ("Table 'a' has triggers (act), which fire for rows that a sync changes.",)
    assert into.target.rows("note") == [(1,)]
    assert into.target.rows("a") == [(1, 2)]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_rows_that_append_leaves_alone(into: Link, protocol: str) -> None:
    """A trigger that changes old rows is noticed, although ``append`` compares only new ones."""
    into.protocol = protocol
    ended_rows(into, "append")
    into.source.execute("INSERT INTO t VALUES (9, 'i')")
    add_trigger(into.target, "UPDATE append SET v = 'z' WHERE id = 1")

    with pytest.raises(SyncFailed, match=r"trigger \(act\)"):
        sync(into, "append")

    assert into.target.rows("append") == [(1, "a"), (2, "b"), (3, "c")]


@every_pair(
    protocol=["1", "2"],
    action=["DELETE FROM b WHERE id = 5", "INSERT INTO b VALUES (999, 1)", "UPDATE b SET id = 999 WHERE id = 5"],
    steps=[False, True],
)
def test_nobody_else_is_blamed(into: Link, protocol: str, action: str, steps: bool) -> None:
    """A trigger's change is reported as such, and is a permanent error."""
    into.protocol = protocol
    prepare(into, "INTEGER", action)
    before = into.target.rows("b")

    with pytest.raises(SyncFailed, match=r"'b' was compared.*trigger \(act\).*Drop the trigger") as raised:
        in_steps(into, "b", "a") if steps else into.sync("b", "a")

    assert not raised.value.retryable
    assert into.target.rows("b") == before
    assert into.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_written_rows_that_a_trigger_of_another_table_changes(into: Link, protocol: str) -> None:
    """A trigger of one table that changes written rows of another is reported, too."""
    into.protocol = protocol
    prepare(into, "INTEGER", "UPDATE b SET v = 3 WHERE id = 200")
    # The trigger of a table that is written last finds the rows of the others.
    with pytest.raises(
        SyncFailed, match=r"trigger \(act\), of a table that was merged with it, changes what is written"
    ) as raised:
        into.sync("b", "a")

    assert not raised.value.retryable
    assert into.target.rows("a") == [(1, 1)]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=" ".join)
@pytest.mark.parametrize("mode", ["mirror", "upsert"])
def test_a_row_that_a_trigger_inserts_as_well(two_into: Link, names: tuple[str, ...], mode: str) -> None:
    """If a trigger inserts a row of the merge, before or after it, the error names the trigger, too."""
    prepare(two_into, "INTEGER", "INSERT INTO b VALUES (999, 1)")
    two_into.source.execute("INSERT INTO b VALUES (999, 1)")
    before = two_into.target.rows("b")

    with pytest.raises(SyncFailed, match=r"a trigger \(act\) has written such a row.*change that, or leave one") as raised:
        two_into.sync(*names, options={"b": {"mode": mode}})

    assert not raised.value.retryable
    assert two_into.target.rows("b") == before


@on_engines("mariadb", "mysql", "postgresql")
@pytest.mark.parametrize("table", ["b", "c"], ids=["merged", "found equal"])
def test_somebody_else_is_told_from_a_trigger(two_into: Link, table: str) -> None:
    """With triggers, a change by another session is still retried, and only that."""
    two_into.create("CREATE TABLE c (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO c VALUES (5, 1), (6, 1)")
    prepare(two_into, "INTEGER", "INSERT INTO note VALUES (1)")

    if (two_into.target.dialect, table) == ("postgresql", "c"):
        pytest.skip("PostgreSQL counts what its own transaction changes")

    with once_written(two_into.target, f"UPDATE {table} SET v = 3 WHERE id = 5") as executed:
        reports = two_into.sync("b", "c", "a")

    assert executed.count("ROLLBACK TO SAVEPOINT sync_before_writes") == 1
    assert [report.verified for report in reports] == ["digest", "digest", "digest"]
    for name in ("a", "b", "c"):
        assert two_into.target.rows(name) == two_into.source.rows(name)
    assert two_into.target.rows("note") == [(1,)]


@contextmanager
def once_written(target: Scenario, statement: str) -> Iterator[list[str]]:
    """Have another session commit a statement after the first deletion of a merge, and give the statements of all sessions."""
    left = [statement]
    all_executed: list[str] = []

    def interfere(_: object, __: object, executed: str, *___: object) -> None:
        all_executed.append(executed)
        if left and "SAVEPOINT sync_before_writes" in all_executed and executed.startswith("DELETE"):
            target.execute(left.pop())

    event.listen(target.database.engine, "before_cursor_execute", interfere)
    try:
        yield all_executed
    finally:
        event.remove(target.database.engine, "before_cursor_execute", interfere)


def test_a_source_that_moves_is_no_excuse_for_a_trigger(two_same: Link) -> None:
    """A trigger's change does not count as a change of the source, however often that changes."""
    prepare(two_same, "INTEGER", "DELETE FROM b WHERE id = 5")
    wanted: list[int] = []

    def move(_: object, __: object, executed: str, *___: object) -> None:
        if executed.startswith("DELETE FROM") and len(wanted) < 9:
            wanted.append(1)
            two_same.source.execute("UPDATE b SET v = v + 1 WHERE id = 7")

    event.listen(two_same.target.database.engine, "before_cursor_execute", move)

    with pytest.raises(SyncFailed, match=r"trigger \(act\)") as raised:
        two_same.sync("b", "a")

    assert not raised.value.retryable


@pytest.mark.parametrize("mode", ["soft_delete", "history", "append", "upsert"])
@on_engines("sqlite", "mariadb")
def test_rows_of_tables_that_come_later(two_into: Link, mode: str) -> None:
    """A trigger that changes rows of a table in a later transaction, which would not compare them, is reported, too."""
    ended_rows(two_into, mode)
    add_trigger(two_into.target, f"DELETE FROM {mode} WHERE {ENDED.get(mode, 'id = 3')}")
    before = two_into.target.rows(mode)

    with pytest.raises(SyncFailed, match=rf"'{mode}' was compared.*trigger \(act\)"):
        two_into.sync("a", "t", options={"t": {"table": mode, "mode": mode}}, single_transaction=False)

    assert set(before) - set(two_into.target.rows(mode)) <= {row for row in before if row[:2] == (2, "x")}
    assert two_into.target.rows("a") == [(1, 1)]
