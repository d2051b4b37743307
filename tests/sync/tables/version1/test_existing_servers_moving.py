"""Existing servers read page after page while others write: what stays at the source stays at the target."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.exceptions import SyncError, SyncFailed
from tests.scenario import Scenario
from tests.sync.tables.version1.moving_source import (
    BOTH,
    ROWS,
    Source,
    delete_once,
    insert_once,
    kept,
    sync,
    sync_in_steps,
)


def test_rows_that_pages_skip_are_kept(source: Source, target: Scenario) -> None:
    """Rows that stay at the source are kept, and gone ones deleted, in the same run, on every engine."""
    delete_once(source)
    report = sync(source, target)
    assert kept(target) == source.rows() == ROWS[8:]
    assert (report.status, report.rows_deleted, report.warnings) == ("changed", 9, ())
    assert source.server.asked("/getTable") == 2


def test_rows_that_pages_skip_are_kept_in_steps(source: Source, sqlite_target: Scenario) -> None:
    """The steps keep rows that an answer lacked, too."""
    delete_once(source)
    report = sync_in_steps(source, sqlite_target)
    assert kept(sqlite_target) == source.rows() == ROWS[8:]
    assert (report.status, report.rows_deleted, report.warnings) == ("changed", 9, ())


def test_rows_that_pages_repeat_are_no_error(source: Source, target: Scenario) -> None:
    """If inserts make a row come twice, the table is requested again, on every engine."""
    insert_once(source)
    report = sync(source, target)
    assert kept(target) == source.rows()
    assert (report.rows_inserted, report.rows_deleted) == (2, 1)


def test_rows_that_pages_repeat_are_no_error_in_steps(source: Source, sqlite_target: Scenario) -> None:
    """The steps ask again, too."""
    insert_once(source)
    report = sync_in_steps(source, sqlite_target)
    assert kept(sqlite_target) == source.rows()
    assert (report.rows_inserted, report.rows_deleted) == (2, 1)


def test_a_source_that_moved_is_not_called_other_types(source: Source, sqlite_target: Scenario) -> None:
    """If rows changed on pages that were already read, the report names that as a reason for different hashes."""
    sqlite_target.execute("DELETE FROM t WHERE id > 50")

    def update(number: int) -> None:
        if number == 2:
            source.execute("UPDATE t SET name = 'later' WHERE id = 1")

    source.server.before_page = update
    report = sync(source, sqlite_target)
    (warning,) = report.warnings
    assert report.verified == "rows"
    assert "since the source changed while they were sent, or as with other types" in warning


def test_a_quiet_source_is_asked_no_more_than_before(source: Source, sqlite_target: Scenario) -> None:
    """One hash after the rows proves that they are one snapshot; an equal table takes one request."""
    report = sync(source, sqlite_target)
    assert (report.rows_deleted, report.verified) == (1, "hash")
    assert (source.server.asked("/getTable"), source.server.asked("/getTableHash")) == (1, 1)
    assert sync(source, sqlite_target).status == "unchanged"
    assert (source.server.asked("/getTable"), source.server.asked("/getTableHash")) == (2, 1)


def test_no_hash_is_asked_for_where_nothing_needs_it(source: Source, sqlite_target: Scenario) -> None:
    """Without verification, the hash is requested only if rows would be deleted."""
    sqlite_target.execute("DELETE FROM t WHERE id > 50")
    sync(source, sqlite_target, verify=False)
    assert source.server.asked("/getTableHash") == 0
    source.execute("DELETE FROM t WHERE id = 7")
    sync(source, sqlite_target, verify=False)
    assert source.server.asked("/getTableHash") == 1
    assert kept(sqlite_target) == source.rows()


def test_rows_whose_hash_cannot_be_compared_are_asked_for_again(source: Source, sqlite_target: Scenario) -> None:
    """If received rows cannot have the server's hash, two equal hashes around a second, equal answer are the proof."""
    source.execute("ALTER TABLE t ADD COLUMN twice GENERATED ALWAYS AS (id * 2)", "DELETE FROM t WHERE id = 3")
    source.server._hash = lambda name: "0" * 40  # type: ignore[method-assign]  # of columns that are not sent
    source.execute("ALTER TABLE t DROP COLUMN twice")
    report = sync(source, sqlite_target)
    assert kept(sqlite_target) == source.rows()
    assert (report.rows_deleted, report.verified) == (2, "rows")
    assert (source.server.asked("/getTable"), source.server.asked("/getTableHash")) == (2, 2)


def test_rows_that_go_and_come_back_meanwhile(source: Source, sqlite_target: Scenario) -> None:
    """Equal hashes around one answer are no proof: deleted and reinserted rows made it skip others."""
    source.execute("UPDATE t SET name = 'new' WHERE id = 59")
    delete_once(source)

    def insert_again() -> None:
        source.execute(*(f"INSERT OR IGNORE INTO t VALUES ({number}, '{name}')" for number, name in ROWS[:8]))

    source.server.before_hash = insert_again
    report = sync_in_steps(source, sqlite_target)
    assert kept(sqlite_target) == source.rows()
    assert (report.rows_updated, report.rows_deleted, report.verified) == (1, 1, "hash")


def test_an_empty_answer_of_a_source_with_rows(source: Source, sqlite_target: Scenario) -> None:
    """A source that is empty only while it answers does not count as empty, even with ``allow_empty_source``."""
    source.execute("UPDATE t SET name = 'new' WHERE id = 59")
    source.server.before_page = lambda page: source.execute("DELETE FROM t")
    refilled = [f"INSERT OR IGNORE INTO t VALUES ({number}, '{name}')" for number, name in ROWS]
    source.server.before_hash = lambda: source.execute(*refilled)
    with pytest.raises(SyncFailed, match="was empty at last") as failure:
        sync(source, sqlite_target, allow_empty_source=True)
    assert failure.value.retryable
    assert set(ROWS) <= set(kept(sqlite_target))


@BOTH
def test_a_source_that_never_stands_still_loses_no_row(source: Source, sqlite_target: Scenario, way: Any) -> None:
    """If the source changes each time, new rows arrive, nothing is deleted, and the report says so."""
    numbers = iter(range(1, 100))

    def delete(page: int) -> None:
        if page == 2:
            number = next(numbers)
            source.execute(f"DELETE FROM t WHERE id = {number}", f"INSERT INTO t VALUES ({1000 + number}, 'new')")

    source.server.before_page = delete
    report = way(source, sqlite_target)
    assert report.rows_deleted == 0
    assert report.rows_inserted > 0
    assert any("no row was deleted" in warning for warning in report.warnings)
    assert set(ROWS) <= set(kept(sqlite_target))
    source.server.before_page = lambda page: None
    assert sync(source, sqlite_target).rows_deleted == 4
    assert kept(sqlite_target) == source.rows()


def test_without_a_hash_only_what_two_answers_lack_is_deleted(source: Source, target: Scenario) -> None:
    """A source that cannot hash is read twice before a row is deleted, and the report says that this is not certain."""
    _sync_without_hash(source, target, sync)


def test_without_a_hash_only_what_two_answers_lack_is_deleted_in_steps(source: Source, sqlite_target: Scenario) -> None:
    """The steps read such a source twice, too."""
    _sync_without_hash(source, sqlite_target, sync_in_steps)


def _sync_without_hash(source: Source, target: Scenario, way: Any) -> None:
    source.server.can_hash = False
    delete_once(source)
    report = way(source, target)
    # Of the rows that went between the two, the first answer had some.
    assert kept(target) == ROWS
    assert any("cannot hash" in warning and "two answers" in warning for warning in report.warnings)
    assert source.server.asked("/getTable") == 3  # the first with the hash, which fails
    assert way(source, target).rows_deleted == 8
    assert kept(target) == source.rows() == ROWS[8:]


def test_without_a_hash_and_deletions_one_answer_is_enough(source: Source, sqlite_target: Scenario) -> None:
    """Such a source is read once if no row would be deleted."""
    source.server.can_hash = False
    sqlite_target.execute("DELETE FROM t WHERE id > 50")
    assert sync(source, sqlite_target).rows_inserted == 10
    assert source.server.asked("/getTable") == 2  # the first with the hash, which fails


def test_rows_that_are_one_key_in_the_target_are_an_error_that_stays(source: Source, sqlite_target: Scenario) -> None:
    """Rows with one key by the target's rules are a permanent error, not a change of the source."""
    source.execute(
        "DROP TABLE t", "CREATE TABLE t (code TEXT PRIMARY KEY, name TEXT)", "INSERT INTO t VALUES ('a', '1'), ('A', '2')"
    )
    sqlite_target.execute("DROP TABLE t", "CREATE TABLE t (code TEXT COLLATE NOCASE PRIMARY KEY, name TEXT)")
    sqlite_target.execute("INSERT INTO t VALUES ('x', 'old')")
    with pytest.raises(SyncFailed, match="one key") as failure:
        sync(source, sqlite_target)
    assert not failure.value.retryable
    assert kept(sqlite_target) == [("x", "old")]


@pytest.mark.parametrize("can_hash", [True, False])
def test_a_source_that_repeats_rows_each_time_may_pass(source: Source, sqlite_target: Scenario, can_hash: bool) -> None:
    """A source with inserts during each answer is a transient error, and nothing is written."""
    source.server.can_hash = can_hash
    numbers = iter(range(1, 100))

    def insert(page: int) -> None:
        if page == 2:
            source.execute(f"INSERT INTO t VALUES ({-next(numbers)}, 'new')")

    source.server.before_page = insert
    before = kept(sqlite_target)
    with pytest.raises(SyncFailed, match="sent rows twice") as failure:
        sync(source, sqlite_target)
    assert failure.value.retryable
    assert kept(sqlite_target) == before
    assert source.server.asked("/getTable") == (3 if can_hash else 4)  # the first with the hash, which fails


@pytest.mark.parametrize("times", [2, 3])
@BOTH
def test_rows_that_are_there_only_while_pages_are_sent(source: Source, sqlite_target: Scenario, way: Any, times: int) -> None:
    """A row that comes and goes during an answer makes another come twice: that is no wrong key, though the hashes are equal."""
    answers = iter(range(times))

    def come_and_go(page: int) -> None:
        if page == 1 and next(answers, None) is not None:
            source.execute("INSERT INTO t VALUES (-1, 'passing')")
        elif page == 7:
            source.execute("DELETE FROM t WHERE id < 0")

    source.server.before_page = come_and_go
    before = kept(sqlite_target)
    if times == 2:
        way(source, sqlite_target)
        assert kept(sqlite_target) == source.rows() == ROWS
        return
    with pytest.raises(SyncError, match="changed each of 3 times that it was read, and sent rows twice") as failure:
        way(source, sqlite_target)
    assert failure.value.retryable
    assert sorted(sqlite_target.rows("t")) == before


def test_guards_hold_for_what_two_answers_lack(source: Source, sqlite_target: Scenario) -> None:
    """``max_deletes`` stops a sync without hashes, too, before it writes."""
    source.server.can_hash = False
    source.execute("DELETE FROM t WHERE id > 20")
    before = kept(sqlite_target)
    with pytest.raises(SyncFailed, match="max_deletes"):
        sync(source, sqlite_target, max_deletes=10)
    assert kept(sqlite_target) == before


def test_warnings_of_php_in_front_of_an_answer(source: Source, sqlite_target: Scenario) -> None:
    """PHP's text before the rows is reported as such, and nothing is changed."""
    source.server.warning = b"<br />\n<b>Warning</b>:  Undefined variable $x in <b>/srv/app.php</b> on line <b>3</b><br />\n"
    before = kept(sqlite_target)
    with pytest.raises(SyncFailed, match="display_errors"):
        sync(source, sqlite_target)
    assert kept(sqlite_target) == before
