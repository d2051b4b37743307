"""Two syncs of one table wait for each other, or fail clearly."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from airflow_provider_sync.exceptions import TableBusyError
from tests.tables.scenario import Scenario


@pytest.fixture
def item(on: Scenario) -> Scenario:
    """Give a database with two tables."""
    on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(9))",
        "CREATE TABLE other (id INTEGER NOT NULL PRIMARY KEY)",
    )
    return on


def test_a_second_sync_is_kept_out(item: Scenario) -> None:
    """While one sync holds the lock of a table, another gives up after its time with a retryable error that names the table."""
    table = item.describe("item")
    with item.database.exclusive(table, timeout=5):
        with pytest.raises(TableBusyError, match="item") as raised, item.database.exclusive(table, timeout=0):
            pytest.fail("two syncs hold one lock")
        assert raised.value.retryable

    with item.database.exclusive(table, timeout=0):
        pass


def test_other_tables_are_not_kept_out(item: Scenario) -> None:
    """A lock is for one table."""
    with (
        item.database.exclusive(item.describe("item"), timeout=0),
        item.database.exclusive(item.describe("other"), timeout=0),
    ):
        pass


def test_a_failed_sync_gives_its_lock_back(item: Scenario) -> None:
    """An error inside the lock frees it."""
    table = item.describe("item")
    with pytest.raises(KeyError), item.database.exclusive(table, timeout=5):
        raise KeyError

    with item.database.exclusive(table, timeout=0):
        pass


def test_two_syncs_at_once(item: Scenario) -> None:
    """Two syncs that start together both end, one after the other, and the table is as one of them wanted it."""
    table = item.describe("item")
    start = Barrier(2)
    errors: list[BaseException] = []

    def sync(value: str) -> None:
        try:
            start.wait()
            with item.database.exclusive(table, timeout=30):
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
