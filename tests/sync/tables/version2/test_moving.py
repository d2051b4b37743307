"""Sources and targets that do not stand still while they are compared, over version 2."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.messages import DigestRows, GetRows
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from tests.scenario import Scenario
from tests.sync.link import Link
from tests.sync.tables.interrupted import interrupted

CREATE = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, v VARCHAR(20))"
FILL = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, i, 'x' FROM n"


@pytest.fixture
def filled(into: Link) -> Link:
    """Give equal tables of 3,000 rows on both sides."""
    into.protocol = "2"
    into.create(CREATE)
    into.source.execute(FILL)
    into.sync_one("t")
    return into


@contextmanager
def writing(source: Scenario) -> Iterator[Callable[[], None]]:
    """Write to the source all the while, from another thread; yield a function that waits for a write that begins now."""
    stopped, written, failures = threading.Event(), threading.Event(), []

    def write() -> None:
        number = 0
        try:
            while not stopped.is_set():
                number += 1
                source.execute(
                    f"UPDATE t SET n = n + 1 WHERE id % 500 = {number % 500}",
                    f"DELETE FROM t WHERE id = {number % 3000}",
                    f"INSERT INTO t VALUES ({10_000 + number}, 1, 'new')",
                )
                written.set()
        except BaseException as error:
            failures.append(error)
            raise

    def wait_for_a_write() -> None:
        for _ in range(2):  # the first one may have begun before
            written.clear()
            assert written.wait(60)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield wait_for_a_write
    finally:
        stopped.set()
        thread.join()
    assert not failures


@pytest.mark.quick_on("sqlite", "postgresql")
def test_a_source_that_is_written_to_all_the_while(filled: Link) -> None:
    """A sync beside a busy writer ends with rows that the source had; afterwards, both sides become equal."""
    with writing(filled.source) as wait_for_a_write:
        for _ in range(3):
            wait_for_a_write()
            assert filled.sync_one("t", {"max_deletes": "100%"}).status == "changed"
            filled.assert_clean()
    filled.sync_one("t", {"max_deletes": "100%"})
    filled.assert_equal("t")


@pytest.mark.parametrize("before", [DigestRows, GetRows])
def test_a_source_that_changed_once_is_asked_again(filled: Link, before: type) -> None:
    """After one change of the source during a sync, the target has the current rows."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE id IN (5, 6)")
    interrupted(filled, before, 1, lambda _: filled.source.execute("UPDATE t SET v = 'second' WHERE id = 5"))
    filled.assert_equal("t")


def test_a_row_that_comes_back_is_fetched(filled: Link) -> None:
    """A row that was missing during the comparison, and returns before another one is fetched again, is kept."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE id IN (5, 6)", "DELETE FROM t WHERE id IN (7, 8)")
    back = ("INSERT INTO t VALUES (7, 7, 'x'), (8, 8, 'other')", "UPDATE t SET v = 'second' WHERE id = 5")
    interrupted(filled, GetRows, 1, lambda _: filled.source.execute(*back))
    filled.assert_equal("t")
    filled.assert_clean()


@pytest.mark.parametrize("fill", ["INSERT INTO t SELECT * FROM kept", "INSERT INTO t SELECT * FROM kept WHERE id <> 5"])
def test_a_source_that_is_emptied_and_filled_again(filled: Link, fill: str) -> None:
    """Rows that are missing while a job refills the source arrive in the same run, including new ones."""
    empty_and_fill(filled, 0, fill)


@pytest.mark.parametrize("kind", ["INTEGER", "VARCHAR(20)"])
@pytest.mark.parametrize("request_number", [0, 2])
def test_a_source_that_is_emptied_while_slices_are_compared(
    same: Link, monkeypatch: pytest.MonkeyPatch, kind: str, request_number: int
) -> None:
    """The same holds for any request at the empty source, and for any partitioning."""
    monkeypatch.setattr(plan, "MAX_LISTED", 300)
    monkeypatch.setattr(batch_sizes, "SLICE_ROWS", 500)
    same.protocol = "2"
    same.create(CREATE.replace("INTEGER PRIMARY KEY", f"{kind} PRIMARY KEY"))
    same.source.execute(FILL)
    same.sync_one("t")
    same.source.execute("UPDATE t SET v = 'cold' WHERE n % 7 = 0")
    empty_and_fill(same, request_number, "INSERT INTO t SELECT * FROM kept")


def empty_and_fill(link: Link, request_number: int, fill: str) -> None:
    """Empty the source before one request for digests of rows, and fill it before the next; check that all is equal."""
    link.source.execute("INSERT INTO t VALUES (4000, 1, 'new')", "UPDATE t SET v = 'other' WHERE id IN (5, 2900)")
    link.source.execute("DELETE FROM t WHERE id = 77", "CREATE TABLE kept AS SELECT * FROM t")
    actions = {request_number: "DELETE FROM t", request_number + 1: fill}
    count = request_number + 2

    def act(left: int) -> None:
        if (statement := actions.pop(count - 1 - left, None)) is not None:
            link.source.execute(statement)

    report, _ = interrupted(link, DigestRows, count, act, {"max_deletes": "100%"})
    assert not actions
    assert report.verified == "digest"
    link.assert_equal("t")


def test_a_row_that_never_stands_still_is_named(filled: Link) -> None:
    """A row that changes before each answer arrives in its last version, and the report names it as unverified."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE id IN (5, 6)")
    report, _ = interrupted(
        filled, (DigestRows, GetRows), 100, lambda left: filled.source.execute(f"UPDATE t SET v = 'at {left}' WHERE id = 5")
    )
    assert (report.status, report.rows_updated, report.verified) == ("changed", 2, "rows")
    assert "1 row changed at the source each time that the sync asked for them (id: 5)" in report.warnings[0]
    filled.assert_equal("t")


@pytest.mark.parametrize("change", ["DROP COLUMN v", "RENAME COLUMN v TO w"])
def test_a_source_whose_columns_change_is_an_error(filled: Link, change: str) -> None:
    """A column that disappears between two answers is an error; nothing is changed."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE id IN (5, 6)")
    rows = filled.target.rows("t")
    with pytest.raises(SyncFailed):
        interrupted(filled, GetRows, 1, lambda _: filled.source.execute(f"ALTER TABLE t {change}"))
    assert filled.target.rows("t") == rows
    filled.assert_clean()


def test_a_target_whose_columns_change_is_an_error(filled: Link) -> None:
    """A target column that disappears before the merge is an error; nothing is changed."""
    filled.source.execute("UPDATE t SET v = 'first' WHERE id IN (5, 6)")
    rows = filled.target.rows("t", "id", "n")
    with pytest.raises(SyncFailed):
        interrupted(filled, GetRows, 1, lambda _: filled.target.execute("ALTER TABLE t DROP COLUMN v"))
    assert filled.target.rows("t", "id", "n") == rows
    filled.assert_clean()
