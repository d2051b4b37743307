"""The history of syncs, on every engine."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.history import History, Origin, SyncChoice, SyncKey, SyncOrder, open_history, record_or_warn, store
from airflow_provider_sync.history.record_tables import records, versions
from airflow_provider_sync.history.records import MAX_MESSAGE, MAX_NAME, MAX_WARNINGS
from airflow_provider_sync.history.store import PRUNE_EVERY
from airflow_provider_sync.report import DirectoryReport, Report, TableReport

NOW = datetime(2026, 1, 23, 12, 30, 15, 123456, tzinfo=UTC)
TASK = Origin(source="task", dag_id="shop", run_id="manual__1", task_id="tables", map_index=-1, try_number=2)
COMMAND = Origin(source="command")


def table(name: str = "orders", **numbers: object) -> TableReport:
    """Return a report of a table that changed, unless told otherwise."""
    return TableReport(**{"name": name, "status": "changed", **numbers})  # type: ignore[arg-type]


@pytest.fixture
def database_url(database_url: str) -> str:
    """Give the URL of a database that may hold a history."""
    if database_url.startswith("duckdb"):
        pytest.skip("several processes write a history")
    return database_url


def test_a_duckdb_file_is_refused(duckdb_url: str) -> None:
    """A DuckDB file, which only one process can open, is refused with the list of allowed databases."""
    with pytest.raises(ConfigurationError, match=r"DuckDB.*PostgreSQL, MySQL, MariaDB or SQLite"):
        open_history(duckdb_url).record([table()], COMMAND)


@pytest.fixture
def history(database_url: str) -> History:
    """Give an empty history, once for each engine."""
    return open_history(database_url)


def names(history: History, **choice: object) -> list[str]:
    """Return the names of the series, as a page shows them."""
    return [sync.key.name for sync in history.syncs(SyncChoice(**choice))]  # type: ignore[arg-type]


def test_a_record_comes_back(history: History) -> None:
    """A record has the whole report, its origin, and its time to the microsecond."""
    reports: list[Report] = [
        table(rows_total=28_000, rows_inserted=2**40, seconds=1.25, warnings=("w",), orphans={"a.b": 2}, verified="digest"),
        DirectoryReport(name="images", status="failed", error="disk full", files_total=3),
    ]
    history.record(reports, TASK, finished=NOW)
    images, orders = history.syncs()
    assert [images.latest.report, orders.latest.report] == [reports[1], reports[0]]
    assert orders.latest.finished == NOW
    assert orders.key == SyncKey("orders", "table", "shop/tables")
    assert orders.latest.origin == Origin(
        source="task", dag_id="shop", run_id="manual__1", task_id="tables", map_index=-1, try_number=2, job="shop/tables"
    )
    assert orders.last_failure is None
    assert images.last_failure == images.latest


def test_an_empty_history(history: History) -> None:
    """A history without records is empty, and not an error."""
    assert history.syncs() == []
    assert history.count() == (0, 0)
    assert history.sync(SyncKey("orders", "table", "any")) is None
    history.record([], COMMAND)
    assert history.prune() == 0


def test_series(history: History) -> None:
    """Runs of one name are a series for each job, newest first, with the last failure however old."""
    for number in range(5):
        status = {"status": "failed", "error": "gone"} if number == 1 else {}
        history.record([table(rows_inserted=number, **status)], TASK)
    history.record([table(), table("Orders")], COMMAND)
    syncs = history.syncs(runs=2)
    assert {sync.key for sync in syncs} == {
        SyncKey("Orders", "table", "airflow-sync"),
        SyncKey("orders", "table", "airflow-sync"),
        SyncKey("orders", "table", "shop/tables"),
    }
    (shop,) = history.syncs(SyncChoice(jobs=["shop/tables"]), runs=2)
    assert [record.report.rows_inserted for record in shop.runs if isinstance(record.report, TableReport)] == [4, 3]
    assert shop.last_failure is not None
    assert shop.last_failure.report.error == "gone"
    assert history.count() == (3, 0)


def test_failed_only(history: History) -> None:
    """A filter finds series whose last run failed, without those that succeeded since."""
    bad, good = {"status": "failed", "error": "e"}, {"status": "unchanged"}
    for report in (table("mended", **bad), table("mended", **good), table("broken", **good), table("broken", **bad)):
        history.record([report], TASK)
    assert names(history, status="failed") == ["broken"]
    assert history.count() == (2, 1)


def test_what_a_task_syncs_no_longer(history: History) -> None:
    """A failed name counts until its job succeeds without it, in another run or at the next try; a command's name stays."""

    def record(name: str, status: str, run: str = "1", number: int = 1, *, place: int = -1, job: str = "tables") -> None:
        task = Origin(source="task", dag_id="shop", run_id=run, task_id=job, map_index=place, try_number=number)
        history.record([table(name, status=status)], task)

    record("odrers", "failed")
    record("prices", "changed")  # by the same try
    record("other", "changed", "2", job="beside")
    record("prices", "changed", "2", place=2)  # by a mapped task
    assert (names(history, status="failed"), history.count()) == (["odrers"], (3, 1))
    record("orders", "changed", number=2)
    assert (names(history, status="failed"), history.count()) == ([], (4, 0))
    record("customers", "failed", "2")
    assert names(history, status="failed") == ["customers"]
    record("orders", "unchanged", "3")
    assert (names(history, status="failed"), history.count()) == ([], (5, 0))
    assert [sync.key.name for sync in history.syncs() if sync.left_out] == ["customers", "odrers"]
    record("odrers", "failed", "4")
    assert (names(history, status="failed"), history.count()) == (["odrers"], (5, 1))
    history.record([table("prices", status="failed")], COMMAND)
    history.record([table("orders")], COMMAND)
    assert history.count() == (7, 2)


def test_text(history: History) -> None:
    """A part of a name or a job finds a series, in any case, without wildcards."""
    history.record([table("Orders"), table("100%")], TASK)
    history.record([table("prices")], COMMAND)
    assert names(history, text="ORD") == ["Orders"]
    assert names(history, text="sync") == ["prices"]
    assert names(history, text="%") == ["100%"]
    assert names(history, text="_") == []
    assert names(history, text="shop/", dags=set()) == []


def test_staleness(history: History) -> None:
    """Series without a success since some time, or without any, are found and sorted, the stalest first."""
    for name, hours, status in (("b", 5, "changed"), ("b", 1, "failed"), ("a", 2, "unchanged"), ("c", 3, "failed")):
        history.record([table(name, status=status)], TASK, finished=NOW - timedelta(hours=hours))
    assert names(history, stale_since=NOW - timedelta(hours=4)) == ["b", "c"]
    by_success = history.syncs(order=SyncOrder(sort="success"))
    assert [sync.key.name for sync in by_success] == ["c", "b", "a"]
    assert [sync.last_success and sync.last_success.finished for sync in by_success] == [
        None,
        NOW - timedelta(hours=5),
        NOW - timedelta(hours=2),
    ]
    assert [sync.key.name for sync in history.syncs(order=SyncOrder(sort="success", descending=True))] == ["a", "b", "c"]
    last = history.last_success("b", "table")
    assert last is not None
    assert last.finished == NOW - timedelta(hours=5)
    assert history.last_success("b", "directory") is None
    assert history.last_success("b", "table", job="other") is None


@pytest.mark.parametrize(("sort", "expected"), [("name", "abc"), ("job", "acb"), ("status", "bac"), ("run", "cab")])
def test_order(history: History, sort: str, expected: str) -> None:
    """Series are sorted by each column, in both directions."""
    for name, status, job in (("c", "unchanged", "2"), ("a", "failed", "1"), ("b", "changed", "3")):
        history.record([table(name, status=status)], Origin(source="command", job=job))
    for descending, names_ in ((False, expected), (True, expected[::-1])):
        found = history.syncs(order=SyncOrder(sort=sort, descending=descending))  # type: ignore[arg-type]
        assert "".join(sync.key.name for sync in found) == names_


def test_a_run(history: History) -> None:
    """The records of one run of a DAG are found, in their order."""
    history.record([table("b"), table("a")], TASK, finished=NOW)
    history.record([table("other")], Origin(source="task", dag_id="shop", run_id="manual__2", task_id="tables"), finished=NOW)
    for since in (None, NOW, NOW - timedelta(days=1)):
        assert [record.report.name for record in history.of_run("shop", "manual__1", since=since)] == ["b", "a"]
    assert history.of_run("shop", "manual__1", since=NOW + timedelta(seconds=1)) == []


def test_pages_of_series(history: History) -> None:
    """Pages have no gaps and no repetitions for all users who see the same series."""
    history.record([table(f"t{number:02}") for number in range(10)], TASK)
    first = history.syncs(limit=4)
    second = history.syncs(offset=4, limit=4)
    third = history.syncs(offset=8, limit=4)
    assert [sync.key.name for sync in [*first, *second, *third]] == [f"t{number:02}" for number in range(10)]


def test_pages_of_runs(history: History) -> None:
    """The runs of a series come page by page, without those of other series."""
    for number in range(7):
        history.record([table(rows_total=number), table("other")], TASK)
    key = SyncKey("orders", "table", "shop/tables")
    first = history.sync(key, limit=4)
    assert first is not None
    second = history.sync(key, before=first.runs[-1].id, limit=4)
    assert second is not None
    totals = [record.report.rows_total for record in (*first.runs, *second.runs) if isinstance(record.report, TableReport)]
    assert totals == [6, 5, 4, 3, 2, 1, 0]
    assert history.sync(key, before=second.runs[-1].id) is None


def test_only_some_dags(history: History) -> None:
    """A user sees and counts only records of permitted DAGs and of commands."""
    history.record([table("secret", status="failed", error="e")], Origin(source="task", dag_id="private", task_id="t"))
    history.record([table("known")], TASK)
    history.record([table("command")], COMMAND)
    assert names(history, dags={"shop"}) == ["command", "known"]
    assert names(history, dags=set()) == ["command"]
    assert history.count(dags={"shop"}) == (2, 0)
    assert history.sync(SyncKey("secret", "table", "private/t"), dags={"shop"}) is None


def test_strange_text(history: History) -> None:
    """Names and errors may have any characters: those that a database cannot store are replaced or cut."""
    strange = "né\0\udcff\U0001f600" + "x" * 5000
    report = table(strange, status="failed", error=strange, warnings=(strange,) * 100)
    history.record([report], TASK)
    (sync,) = history.syncs()
    assert len(sync.key.name) == MAX_NAME
    assert sync.key.name.startswith("né??\U0001f600x")
    # Reports have escapes for what is not printable.
    assert sync.latest.report.error == str(report.error)[:MAX_MESSAGE]
    assert "\U0001f600x" in str(sync.latest.report.error)
    assert len(sync.latest.report.warnings) == MAX_WARNINGS
    assert history.sync(sync.key) is not None


def test_old_records_go(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records older than the limit are deleted from time to time, by any writer."""
    monkeypatch.setattr(store, "PRUNE_AT_ONCE", 2)
    history = open_history(database_url, days=2)
    history.record([table("old")] * 5, TASK, finished=NOW - timedelta(days=3))
    history.record([table("young")], TASK, finished=NOW - timedelta(days=1))
    assert history.prune(now=NOW) == 5
    assert names(history) == ["young"]
    history.record([table("new")] * PRUNE_EVERY, TASK)
    assert names(history) == ["new"]


def test_many_writers(database_url: str) -> None:
    """Processes that start with an empty database at the same time all write all their records."""
    command = [sys.executable, "-m", "tests.history.writer", database_url, "10"]
    folder = Path(__file__).parents[2]
    writers = [subprocess.Popen([*command, str(number)], cwd=folder, stderr=subprocess.PIPE, text=True) for number in range(4)]
    for writer in writers:
        errors = writer.communicate(timeout=100)[1]
        assert writer.returncode == 0, errors
    assert [len(sync.runs) for sync in open_history(database_url).syncs()] == [10] * 4


def test_a_later_version(database_url: str) -> None:
    """A history from a later release is not changed, and the error says what to do."""
    open_history(database_url).record([table()], TASK)
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.execute(versions.insert().values(version=2))
    with pytest.raises(ConfigurationError, match="version 2, and this release knows 1"):
        open_history(database_url).record([table()], TASK)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(records)) == 1


def test_a_history_out_of_reach(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A history that cannot be written is one warning without a password."""
    for url in (f"sqlite:///{tmp_path}/no/such/folder/h.db", "postgresql://me:secret@127.0.0.1:1/none", "nonsense"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            record_or_warn(partial(open_history, url), [table()], TASK)
        (message,) = caplog.messages
        assert message.startswith("The history of this sync could not be written: ")
        assert "secret" not in message


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Only the owner can read the file of a history on SQLite, and SQLite's files beside it."""
    history = open_history(f"sqlite:///{tmp_path / 'history.db'}")
    with history._engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("DELETE FROM " + records.name)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"history.db": 0o600, "history.db-shm": 0o600, "history.db-wal": 0o600}


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    """The permissions of an existing file, for several users, do not change."""
    file = tmp_path / "history.db"
    file.touch(0o660)
    file.chmod(0o660)
    open_history(f"sqlite:///{file}").record([table()], COMMAND)
    assert file.stat().st_mode & 0o777 == 0o660
