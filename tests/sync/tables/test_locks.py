"""What a sync does inside its locks, in one go and in steps: nothing is made, filled, undone or committed without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from airflow_provider_sync.config import ClientConfig, table_from_options
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError, SyncFailed, TableBusyError
from airflow_provider_sync.sync import Opener, plan_run, run, run_steps
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from airflow_provider_sync.sync.tables.version2.source import Version2Source
from tests.databases.test_locks import lose_locks
from tests.sync.link import Link

CREATE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9))"
OPTIONS = {"create_table": True}


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_a_lost_lock_stops_the_commit(into: Link, protocol: str) -> None:
    """A sync whose lock connection ends commits nothing, and the error is transient."""
    into.protocol = protocol
    into.create(CREATE)
    into.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    into.target.execute("INSERT INTO t VALUES (1, 'old')")

    with losing_locks(into, "UPDATE"), pytest.raises(SyncFailed, match="lock of table 't' was lost") as failed:
        into.sync_one("t")

    assert failed.value.retryable
    assert into.target.rows("t") == [(1, "old")]
    into.sync_one("t")
    into.assert_equal("t")


def test_a_lost_lock_stops_the_commit_of_steps(two_into: Link) -> None:
    """The merge of the steps commits nothing without its lock; staged rows stay for the next try."""
    two_into.create(CREATE)
    two_into.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    two_into.target.execute("INSERT INTO t VALUES (1, 'old')")
    options = table_from_options("t", {})
    with two_into.client("t") as client:
        slices = compare_table(client, options, two_into.target.database, run_id="r").slices
        assert slices
        staged = [stage_slice(client, options, two_into.target.database, table_slice) for table_slice in slices]
        with losing_locks(two_into, "UPDATE"), pytest.raises(SyncFailed, match="lock of table 't' was lost"):
            merge_slices(client, {"t": (options, staged)}, two_into.target.database)
        assert two_into.target.rows("t") == [(1, "old")]
        merge_slices(client, {"t": (options, staged)}, two_into.target.database)
    two_into.assert_equal("t")


def test_what_failed_is_undone_inside_the_lock(two_into: Link) -> None:
    """A table created by a failed sync is dropped before a waiting sync can fill it."""
    two_into.source.execute(CREATE, "INSERT INTO t VALUES (1, 'a')")
    with drops(two_into, lambda: assert_locked(two_into)) as seen, pytest.raises(SyncFailed, match="InterruptedError"):
        two_into.sync_one("t", OPTIONS, progress=interrupt)

    assert seen
    with pytest.raises(MissingTableError):
        two_into.target.describe("t")
    two_into.sync_one("t", OPTIONS)
    two_into.assert_equal("t")


def test_what_failed_is_undone_inside_the_lock_in_steps(two_into: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds if the first step fails after it has created the table."""
    two_into.source.execute(CREATE, "INSERT INTO t VALUES (1, 'a')")
    options = table_from_options("t", OPTIONS)
    monkeypatch.setattr(Version2Source, "compare", interrupt)
    with two_into.client("t") as client:
        with drops(two_into, lambda: assert_locked(two_into)) as seen, pytest.raises(InterruptedError):
            compare_table(client, options, two_into.target.database, run_id="r")
        assert seen
        with pytest.raises(MissingTableError):
            two_into.target.describe("t")


def test_what_cannot_be_undone_without_the_lock_is_told(two_into: Link) -> None:
    """If the lock is lost, a created table stays, and the error says so."""
    two_into.source.execute(CREATE, "INSERT INTO t VALUES (1, 'a')")
    with pytest.raises(SyncFailed, match="lock of table 't' was lost") as failed:
        two_into.sync_one("t", OPTIONS, progress=lambda *_: lose_locks(two_into.target))

    assert two_into.target.rows("t") == []
    assert "Nothing was changed" not in str(failed.value)
    assert "Table 't' was made, and stays" in str(failed.value)
    two_into.sync_one("t", OPTIONS)
    two_into.assert_equal("t")


def test_a_table_that_another_sync_dropped_again(two_into: Link) -> None:
    """A waiting sync creates the table itself if the first sync created, failed and dropped it."""
    two_into.source.execute(CREATE, "INSERT INTO t VALUES (1, 'a')")
    two_into.target.execute(CREATE)
    database = two_into.target.database
    exclusive = database.exclusive

    @contextmanager
    def wait_for_the_other(*arguments: Any, **options: Any) -> Iterator[Any]:
        two_into.target.execute("DROP TABLE IF EXISTS t")
        with exclusive(*arguments, **options) as lock:
            yield lock

    database.exclusive = wait_for_the_other  # type: ignore[method-assign]  # the moment at which the other ends
    assert two_into.sync_one("t", OPTIONS).rows_inserted == 1
    two_into.assert_equal("t")


def test_two_sources_of_one_table_are_refused(two_same: Link) -> None:
    """Two entries for one table in one transaction are refused, and nothing is written."""
    two_same.create(CREATE)
    two_same.source.execute("INSERT INTO t VALUES (1, 'a')", "CREATE TABLE u (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9))")
    with pytest.raises(SyncFailed, match=r"'main\.t' and 't' are one table") as failed:
        two_same.sync("t", "u", options={"u": {"table": "main.t"}})
    assert isinstance(failed.value.__cause__, ConfigurationError)
    assert two_same.target.rows("t") == []


@pytest.mark.parametrize("mode", ["mirror", "upsert", "append"])
def test_two_sources_of_one_table_undo_each_other(two_into: Link, mode: str) -> None:
    """They are refused with separate transactions or steps, too, if one would delete rows of the other."""
    two_into.create(CREATE)
    two_into.source.execute("INSERT INTO t VALUES (1, 'a')", CREATE.replace(" t ", " u "), "INSERT INTO u VALUES (2, 'b')")
    target = two_into.target.database.engine.url.render_as_string(hide_password=False)
    config: dict[str, Any] = {"retries": 0, "protocol": "2", "single_transaction": False, "default_connection": target}
    with two_into.client("t", "u") as client:
        config |= {"url": client.url, "tables": {"t": {}, "u": {"table": "t", "mode": mode}}}
        for step in (run, partial(run_steps.compare_tables, run_id="r")):
            configured = ClientConfig.from_dict(config)
            with pytest.raises(SyncFailed, match="'t' and 'u' of the source would be one table of the target, 't'") as failed:
                step(configured, plan_run(configured), opener=Opener())
            assert not failed.value.retryable
            assert two_into.target.rows("t") == []
        config["tables"]["t"]["mode"] = "upsert"
        configured = ClientConfig.from_dict(config)
        if mode != "mirror":
            together = configured.model_copy(update={"single_transaction": True})
            for step in (run, partial(run_steps.compare_tables, run_id="r")):
                with pytest.raises(SyncFailed, match=r"'t' and 'u' of the source would be .*Set single_transaction to"):
                    step(together, plan_run(together), opener=Opener())
            assert two_into.target.rows("t") == []
            run(configured, plan_run(configured))
            assert two_into.target.rows("t") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("protocol", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_many_tables_hold_few_connections(into: Link, protocol: str) -> None:
    """A sync of many tables in one transaction holds no more connections than one of few."""
    into.protocol = protocol
    names = [f"t{number}" for number in range(8)]
    into.create(*(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY)" for name in names))
    into.source.execute(*(f"INSERT INTO {name} VALUES (1)" for name in names))
    into.target.execute(*(f"INSERT INTO {name} VALUES (2)" for name in names))
    engine = into.target.database.engine
    opened, most = [0], [0]

    def count(change: int) -> Callable[..., None]:
        def changed(*_: object) -> None:
            opened[0] += change
            most[0] = max(most[0], opened[0])

        return changed

    event.listen(engine, "connect", count(1))
    event.listen(engine, "close", count(-1))
    reports = into.sync(*names)

    assert {report.status for report in reports} == {"changed"}
    assert most[0] <= 5


def interrupt(*_: object, **__: object) -> None:
    """Fail."""
    raise InterruptedError


def assert_locked(link: Link) -> None:
    """Check that nobody else can have the lock now."""
    with pytest.raises(TableBusyError), link.target.database.exclusive(["t"], timeout=0):
        pytest.fail("the lock is free")


@contextmanager
def losing_locks(link: Link, statement: str) -> Iterator[None]:
    """Take the lock away, once, when the target gets a statement that begins like this."""
    done: list[str] = []

    def lose(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith(statement) and not done:
            done.append(text)
            lose_locks(link.target)

    event.listen(link.target.database.engine, "before_cursor_execute", lose)
    try:
        yield
    finally:
        event.remove(link.target.database.engine, "before_cursor_execute", lose)


@contextmanager
def drops(link: Link, check: Callable[[], None]) -> Iterator[list[str]]:
    """Call ``check`` whenever the table is dropped; collect the statements."""
    seen: list[str] = []

    def look(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        if text.startswith("DROP TABLE") and "_sync" not in text:
            seen.append(text)
            check()

    event.listen(link.target.database.engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(link.target.database.engine, "before_cursor_execute", look)
