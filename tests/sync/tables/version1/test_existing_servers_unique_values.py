"""A value of a unique key moves to another row while an existing server sends its pages: both rows bring it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from tests.scenario import Scenario
from tests.sync.tables.version1.moving_source import (
    Source,
    kept,
    sync,
    sync_in_steps,
)

UNIQUE = "CREATE UNIQUE INDEX one_name ON t (name)"


def move_name_once(source: Source) -> None:
    """Have a name move from the first row to the last during the first answer, so that both come with it."""
    source.execute("UPDATE t SET name = 'new' WHERE id = 30")
    done: list[int] = []

    def move(number: int) -> None:
        if number == 2 and not done:
            done.append(number)
            source.execute("UPDATE t SET name = 'other' WHERE id = 1", "UPDATE t SET name = 'row 1' WHERE id = 60")

    source.server.before_page = move


def test_a_unique_value_that_two_rows_bring_is_asked_for_again(source: Source, target: Scenario) -> None:
    """A value that moves between two pages violates a unique key of the target: the rows are requested again, on every engine."""
    target.execute(UNIQUE, "DELETE FROM t WHERE id = 99")
    move_name_once(source)
    report = sync(source, target)
    assert kept(target) == source.rows()
    assert (report.status, report.rows_updated, report.verified) == ("changed", 3, "hash")


def test_a_unique_value_that_two_rows_bring_to_an_empty_target(source: Source, sqlite_target: Scenario) -> None:
    """The same holds if the target has no rows yet."""
    sqlite_target.execute(UNIQUE, "DELETE FROM t")
    move_name_once(source)
    assert sync(source, sqlite_target).rows_inserted == 60
    assert kept(sqlite_target) == source.rows()


def test_a_unique_value_that_two_rows_bring_in_steps(source: Source, sqlite_target: Scenario) -> None:
    """In steps, it is a transient error that names its cause; nothing is changed."""
    sqlite_target.execute(UNIQUE, "DELETE FROM t WHERE id = 99")
    before = sqlite_target.rows("t")
    move_name_once(source)
    with pytest.raises(SyncFailed, match="The source changed while its rows were read, which may be the reason") as failed:
        sync_in_steps(source, sqlite_target)
    assert failed.value.retryable
    assert sqlite_target.rows("t") == before


def test_a_unique_value_that_moves_each_time(source: Source, sqlite_target: Scenario) -> None:
    """If values move during each answer, the error is transient, and nothing is changed."""
    sqlite_target.execute(UNIQUE)
    before = sqlite_target.rows("t")

    def move(number: int) -> None:
        if number == 2:
            source.execute("UPDATE t SET id = id + 1000 WHERE id = (SELECT min(id) FROM t)")

    source.server.before_page = move
    with pytest.raises(SyncFailed, match=r"UNIQUE constraint failed.*The source changed while its rows were read") as failed:
        sync(source, sqlite_target)
    assert failed.value.retryable
    assert sqlite_target.rows("t") == before


@pytest.mark.parametrize("comparable", [True, False])
@pytest.mark.parametrize("way", [sync, sync_in_steps])
def test_a_unique_value_that_another_row_has(source: Source, sqlite_target: Scenario, way: Any, comparable: bool) -> None:
    """A conflict with a row that is not synced is a permanent error, not a change of the source."""
    sqlite_target.execute(UNIQUE)
    source.execute("INSERT INTO t VALUES (100, 'gone')")
    if not comparable:
        source.server._hash = lambda name: "0" * 40  # type: ignore[method-assign]  # as of columns that are not sent
    with pytest.raises(SyncFailed, match="rows that the source lacks keep their values of unique keys") as failed:
        way(source, sqlite_target, mode="upsert")
    assert not failed.value.retryable
    assert "changed while" not in str(failed.value)
