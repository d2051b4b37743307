"""The merge is one transaction: guards, rollback, several tables at once, and nobody waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pytest
from sqlalchemy import event

from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import GuardError, TableBusyError, TableError
from airflow_provider_sync.merge.merge_result import MergeCounts
from tests.scenario import Scenario


def test_guard_stops_everything(fruit: Scenario) -> None:
    """A guard that raises leaves the target as it was; it gets the counts of the changes."""
    told: list[MergeCounts] = []

    def refuse(_: Table, counts: MergeCounts) -> NoReturn:
        told.append(counts)
        raise GuardError("too much")

    with pytest.raises(GuardError, match="too much"):
        fruit.sync("fruit", [(1, "apple")], check=refuse)

    assert told == [MergeCounts(target_rows=3, inserted=0, updated=0, deleted=2)]
    assert fruit.rows("fruit") == [(1, "apple"), (2, "pear"), (3, "plum")]


def test_dry_run_counts_and_writes_nothing(fruit: Scenario) -> None:
    """A dry run gives the counts of a run and leaves the target as it was."""
    result = fruit.sync("fruit", [(1, "x"), (9, "y")], dry_run=True)

    assert result.counts == MergeCounts(target_rows=3, inserted=1, updated=1, deleted=2)
    assert not result.verified_rows
    assert fruit.rows("fruit") == [(1, "apple"), (2, "pear"), (3, "plum")]


def test_target_that_changes_meanwhile_is_found(fruit: Scenario) -> None:
    """A row that another session writes after the changes were listed fails the verification, and all is rolled back."""

    def interfere(_: Table, __: MergeCounts) -> None:
        connection.exec_driver_sql("INSERT INTO fruit VALUES (8, 'intruder')")

    with (
        fruit.database.connect() as connection,
        pytest.raises(TableBusyError, match=r"fruit.*another session wrote to the target"),
    ):
        fruit.sync("fruit", [(1, "x")], check=interfere, connection=connection)

    assert fruit.rows("fruit") == [(1, "apple"), (2, "pear"), (3, "plum")]


def test_verification_can_be_left_out(fruit: Scenario) -> None:
    """Without verification, the merge is the same, and its result says that it was not verified."""
    result = fruit.sync("fruit", [(1, "x")], verify_rows=False)

    assert not result.verified_rows
    assert fruit.rows("fruit") == [(1, "x")]


def test_callers_verification_rolls_back(fruit: Scenario) -> None:
    """An error of the caller's verification rolls the merge back."""

    def refuse(_: Table, __: Sequence[str]) -> NoReturn:
        raise TableError("hashes differ")

    with pytest.raises(TableError, match="hashes differ"):
        fruit.sync("fruit", [(1, "x")], verify=refuse)

    assert fruit.rows("fruit") == [(1, "apple"), (2, "pear"), (3, "plum")]


def test_several_tables_arrive_together(fruit: Scenario) -> None:
    """Tables that are merged together arrive in one transaction, in any given order."""
    fruit.execute("CREATE TABLE seed (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)")

    first, second = fruit.sync_all([("seed", [(1, 1)], (), ()), ("fruit", [(1, "x")], (), ())])

    assert fruit.rows("seed") == [(1, 1)]
    assert fruit.rows("fruit") == [(1, "x")]
    assert (first.counts.inserted, second.counts.deleted) == (1, 2)


def test_several_tables_fail_together(fruit: Scenario) -> None:
    """If one of several tables fails, no row of the others is written."""
    fruit.execute("CREATE TABLE seed (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)", "INSERT INTO seed VALUES (1, 1)")

    def refuse(target: Table, _: Sequence[str]) -> None:
        if target.name == "seed":
            raise TableError("no")

    with pytest.raises(TableError, match="no"):
        fruit.sync_all([("fruit", [(1, "x")], (), ()), ("seed", [(2, 2)], (), ())], verify=refuse)

    assert fruit.rows("fruit") == [(1, "apple"), (2, "pear"), (3, "plum")]
    assert fruit.rows("seed") == [(1, 1)]


def test_leaves_no_tables_behind(fruit: Scenario) -> None:
    """After a merge, also a failed or a second one over the same connection, only the user's tables exist."""

    def refuse(_: Table, __: MergeCounts) -> NoReturn:
        raise GuardError("stop")

    with pytest.raises(GuardError):
        fruit.sync("fruit", [(1, "x")], check=refuse)
    fruit.sync("fruit", [(1, "x")])

    assert fruit.names() == ["fruit"]


def test_work_tables_are_gone_from_the_connection(fruit: Scenario) -> None:
    """The same connection can merge twice, also after a failure."""

    def refuse(_: Table, __: MergeCounts) -> NoReturn:
        raise GuardError("stop")

    with fruit.database.connect() as connection:
        with pytest.raises(GuardError):
            fruit.sync("fruit", [(1, "x")], check=refuse, connection=connection)
        fruit.sync("fruit", [(1, "x")], connection=connection)
        fruit.sync("fruit", [(1, "y")], connection=connection)

    assert fruit.rows("fruit") == [(1, "y")]


def test_temporary_staging(fruit: Scenario) -> None:
    """A staging table may be temporary."""
    fruit.execute("CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(5) NOT NULL UNIQUE)")
    fruit.execute("INSERT INTO other VALUES (1, 'a'), (2, 'b')")

    fruit.sync("fruit", [(1, "x"), (5, "y")], staging="temporary")
    fruit.sync("other", [(1, "b"), (2, "a")], staging="temporary")

    assert fruit.rows("fruit") == [(1, "x"), (5, "y")]
    assert fruit.rows("other") == [(1, "b"), (2, "a")]
    assert fruit.names() == ["fruit", "other"]


LOCK_TIMEOUTS = {
    "duckdb": "SELECT 1",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    "postgresql": "SET lock_timeout = '1s'",
}


def test_others_are_not_kept_waiting(fruit: Scenario) -> None:
    """During a merge, other sessions read the old rows, and write rows that the merge does not change."""
    seen = []

    def meanwhile(_: Table, __: Sequence[str]) -> None:
        seen.append(fruit.rows("fruit"))
        if fruit.dialect in LOCK_TIMEOUTS:  # SQLite has one writer at a time
            with fruit.database.connect() as other:
                other.exec_driver_sql(LOCK_TIMEOUTS[fruit.dialect])
                other.exec_driver_sql("UPDATE fruit SET name = 'mine' WHERE id = 1")

    fruit.sync("fruit", [(1, "apple"), (2, "fig"), (4, "kiwi")], verify=meanwhile)

    assert seen == [[(1, "apple"), (2, "pear"), (3, "plum")]]
    mine = "apple" if fruit.dialect == "sqlite" else "mine"
    assert fruit.rows("fruit") == [(1, mine), (2, "fig"), (4, "kiwi")]


def test_statements_inside_the_transaction(fruit: Scenario) -> None:
    """Between BEGIN and COMMIT there is no DDL, which would commit, and no REPLACE; deletes come first."""
    statements: list[str] = []
    inside: list[bool] = []

    def record(_: object, __: object, statement: str, *___: object) -> None:
        if inside:
            statements.append(statement.split()[0].upper())

    fruit.execute("CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(5) NOT NULL UNIQUE)")
    fruit.execute("INSERT INTO other VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    event.listen(fruit.database.engine, "before_cursor_execute", record)

    fruit.sync(
        "other",
        [(1, "b"), (2, "a"), (4, "d")],
        check=lambda _, __: inside.append(True),
        verify=lambda *_: inside.clear(),
    )

    changing = [verb for verb in statements if verb not in ("SELECT", "WITH", "PRAGMA", "SAVEPOINT", "RELEASE", "SET", "SHOW")]
    # Another DELETE empties the work table of parked rows.
    assert changing == ["DELETE", "INSERT", "UPDATE", "UPDATE", "DELETE", "UPDATE", "INSERT"]
    assert fruit.rows("other") == [(1, "b"), (2, "a"), (4, "d")]
