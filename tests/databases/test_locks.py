"""Two syncs of one table wait for each other, or fail clearly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import event

from airflow_provider_sync.databases.mysql.locks import lock_name
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError, TableBusyError
from tests.scenario import Scenario


@pytest.fixture
def item(on: Scenario) -> Scenario:
    """Give a database with two tables."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9))",
        "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY)",
    )
    return on


def test_a_second_sync_is_kept_out(item: Scenario) -> None:
    """While one sync holds a table's lock, another one ends after its time with a transient error that names the table."""
    with item.database.exclusive(["item"], timeout=5):
        with pytest.raises(TableBusyError, match="item") as raised, item.database.exclusive(["item"], timeout=0):
            pytest.fail("two syncs hold one lock")
        assert raised.value.retryable

    with item.database.exclusive(["item"], timeout=0):
        pass


def test_other_tables_are_not_kept_out(item: Scenario) -> None:
    """A lock applies to one table."""
    with (
        item.database.exclusive(["item"], timeout=0),
        item.database.exclusive(["other"], timeout=0),
    ):
        pass


def test_a_failed_sync_gives_its_lock_back(item: Scenario) -> None:
    """An error inside the lock frees it."""
    with pytest.raises(KeyError), item.database.exclusive(["item"], timeout=5):
        raise KeyError

    with item.database.exclusive(["item"], timeout=0):
        pass


def test_two_syncs_at_once(item: Scenario) -> None:
    """Two syncs that start together run one after the other, and the table has the result of one of them."""
    start = Barrier(2)
    errors: list[BaseException] = []

    def sync(value: str) -> None:
        try:
            start.wait()
            with item.database.exclusive(["item"], timeout=30):
                item.sync("item", [(number, value) for number in range(200)])
        except BaseException as error:  # noqa: BLE001  # told to the test, in its own thread
            errors.append(error)

    threads = [Thread(target=sync, args=(value,)) for value in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len({value for _, value in item.rows("item")}) == 1
    assert len(item.rows("item")) == 200
    assert item.names() == ["item", "other"]


def test_one_connection_holds_all_locks(item: Scenario) -> None:
    """One connection holds the locks of all tables of a sync."""
    names = ["item", *(f"missing_{number}" for number in range(120))]
    with connections(item) as opened, item.database.exclusive(names, timeout=5) as lock:
        assert len(opened) <= 1
        for name in ("item", "missing_0", "missing_119"):
            with pytest.raises(TableBusyError, match=name), item.database.exclusive([name], timeout=0):
                pytest.fail("two syncs hold one lock")
        lock.check()

    with item.database.exclusive(names, timeout=0):
        pass


def test_one_of_several_is_busy(item: Scenario) -> None:
    """A sync that cannot get one of its locks names it, holds no others, and gets all when it is free."""
    with item.database.exclusive(["other"], timeout=0):
        with pytest.raises(TableBusyError, match="'other'"), item.database.exclusive(["item", "other", "third"], timeout=0):
            pytest.fail("two syncs hold one lock")
        with item.database.exclusive(["item", "third"], timeout=0):
            pass
    with item.database.exclusive(["item", "other", "third"], timeout=0) as lock:
        lock.check()
        with pytest.raises(TableBusyError, match="'third'"), item.database.exclusive(["third"], timeout=0):
            pytest.fail("two syncs hold one lock")


def test_the_lock_of_a_table_to_be_made(item: Scenario) -> None:
    """A table that is created inside its lock has that lock, so another sync waits until it is filled."""
    with item.database.exclusive(["made"], timeout=0):
        item.execute("CREATE TABLE made (id INTEGER NOT NULL PRIMARY KEY)")
        with pytest.raises(TableBusyError), item.database.exclusive(["made"], timeout=0):
            pytest.fail("two syncs hold one lock")


def test_one_table_twice(item: Scenario) -> None:
    """A sync into one table from two sources, which would wait for itself, is refused."""
    schema = {"mysql": item.database.engine.url.database, "postgresql": "public", "sqlite": "main", "duckdb": "main"}[
        item.dialect
    ]
    for second in ("item", f"{schema}.item" if item.dialect != "sqlite" else "ITEM"):
        with (
            pytest.raises(ConfigurationError, match="are one table of the target"),
            item.database.exclusive(["item", "other", second], timeout=0),
        ):
            pytest.fail("the same table twice")


def test_a_lost_lock_is_noticed(item: Scenario) -> None:
    """If the lock connection is lost, the check before the commit raises a transient error."""
    with item.database.exclusive(["item", "other"], timeout=0) as lock:
        lock.check()
        lose_locks(item)
        with pytest.raises(TableBusyError, match="lost during the sync") as raised:
            lock.check()
        assert raised.value.retryable


def test_an_empty_table_is_dropped_again(item: Scenario) -> None:
    """A table created by a failed sync is dropped while it is empty."""
    with item.database.connect() as connection:
        item.database.ddl.drop_if_empty(connection, item.describe("item"))
    with pytest.raises(MissingTableError):
        item.describe("item")


def test_rows_of_others_are_not_dropped(item: Scenario) -> None:
    """A table that has rows by then, or was replaced by another one, stays."""
    made = item.describe("item")
    item.execute("INSERT INTO item VALUES (1, 'a')")
    with item.database.connect() as connection:
        item.database.ddl.drop_if_empty(connection, made)
    assert item.rows("item") == [(1, "a")]

    item.execute("DROP TABLE item", "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9), w INTEGER)")
    with item.database.connect() as connection:
        item.database.ddl.drop_if_empty(connection, made)
    assert item.rows("item") == []


@contextmanager
def connections(on: Scenario) -> Iterator[list[object]]:
    """Collect the connections that are opened meanwhile."""
    opened: list[object] = []

    def connected(connection: object, _record: object) -> None:
        opened.append(connection)

    event.listen(on.database.engine, "connect", connected)
    try:
        yield opened
    finally:
        event.remove(on.database.engine, "connect", connected)


def lose_locks(on: Scenario) -> None:
    """End the connections that hold locks, or remove the lock files, as an administrator might."""
    if on.dialect == "duckdb":
        pytest.skip("a lock of the process itself cannot be lost")
    if on.dialect == "sqlite":
        path = Path(str(on.database.engine.url.database))
        for lock in path.parent.glob(f"{path.name}-sync-*.lock"):
            lock.unlink()
    elif on.dialect == "postgresql":
        on.scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    else:
        with on.database.connect() as connection:
            key = f"{on.database.engine.url.database}\0"
            holders = {
                connection.exec_driver_sql(f"SELECT IS_USED_LOCK('{lock_name(key + table)}')").scalar() for table in ("item", "t")
            }
            for number in holders - {None}:
                connection.exec_driver_sql(f"KILL {number}")
