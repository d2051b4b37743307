"""The examples of a sync by data interval, backfilled by a scheduler."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.airflow_stack import AirflowStack
from tests.example_dags.test_example_dags import EXAMPLES
from tests.server.wire import config, run_sqlite

TABLE, FILES = "example_table_window", "example_file_window"
FROM, TO = "2026-01-02", "2026-01-04"
# The first and the last are of days that are not asked for.
EVENTS = """
    CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created_at TIMESTAMP NOT NULL);
    INSERT INTO events VALUES
        (1, 'before', '2026-01-01 23:59:59'), (2, 'a', '2026-01-02 00:00:00'), (3, 'b', '2026-01-02 23:59:59.999'),
        (4, 'c', '2026-01-03 00:00:00'), (5, 'd', '2026-01-03 12:00:00'), (6, 'e', '2026-01-04 12:00:00'),
        (7, 'behind', '2026-01-05 00:00:00');
"""
# A row each that changes, goes, comes, moves to another day, and moves out of the three days; none is left of the third.
CHANGES = """
    UPDATE events SET name = 'changed' WHERE id = 2;
    DELETE FROM events WHERE id = 5;
    INSERT INTO events VALUES (8, 'new', '2026-01-03 08:00:00');
    UPDATE events SET created_at = '2026-01-03 09:00:00' WHERE id = 3;
    UPDATE events SET created_at = '2026-01-09 09:00:00' WHERE id = 6;
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Days:
    """A source whose rows and files belong to days, and what arrives of it."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "source.db"
        self.exports = folder / "exports"
        self.target = folder / "target.db"
        self.target_files = folder / "target"
        run_sqlite(self.database, EVENTS)
        for day in range(1, 6):
            self.write(day, "report.csv", f"of the {day}.")

    def write(self, day: int, name: str, content: str) -> None:
        """Write a file of the source."""
        (self.exports / f"2026-01-0{day}").mkdir(parents=True, exist_ok=True)
        (self.exports / f"2026-01-0{day}" / name).write_text(content)

    def files(self) -> dict[str, str]:
        """Return the target's files."""
        found = (path for path in self.target_files.rglob("*") if path.is_file())
        return {str(path.relative_to(self.target_files)): path.read_text() for path in found}

    def rows(self) -> list[tuple[int, str, str]]:
        """Return the target's rows: key, name and day of the month."""
        with closing(sqlite3.connect(self.target)) as connection:
            return connection.execute("SELECT id, name, substr(created_at, 9, 2) FROM events ORDER BY id").fetchall()


@pytest.fixture
def days(tmp_path: Path, airflow_stack: AirflowStack) -> Iterator[Days]:
    """Give a source that answers under the connection ``sync_default``, and the examples in Airflow."""
    days = Days(tmp_path)
    offered = {"events": {"windows": ["created_at"]}}, {"exports": {"path": str(days.exports)}}
    with RunningServer(config(f"sqlite:///{days.database}", tables=offered[0], directories=offered[1])) as server:
        airflow_stack.set_connection("sync_default", conn_type="sync", host=server.url)
        airflow_stack.set_connection("warehouse", conn_type="sqlite", host=str(days.target))
        for name in (TABLE, FILES):
            airflow_stack.add_dags(f"{name}.py", EXAMPLES / f"{name}.py", name)
        yield days
        for name in (TABLE, FILES):
            airflow_stack.api("PATCH", f"/dags/{name}", {"is_paused": True})


def ended(stack: AirflowStack, dag_id: str) -> bool:
    """Whether all backfills of a DAG have ended."""
    return all(entry["completed_at"] for entry in stack.api("GET", f"/backfills?dag_id={dag_id}")["backfills"])


def backfill(stack: AirflowStack, days: Days, **options: object) -> list[str]:
    """Backfill three days of both examples, and return the days in the order in which the table's runs began.

    :param options: further fields of a backfill, as Airflow's API calls them
    """
    conf = {"folder": str(days.target_files)}
    asked = {"from_date": f"{FROM}T00:00:00Z", "to_date": f"{TO}T00:00:00Z", "max_active_runs": 1, "dag_run_conf": conf}
    for name in (TABLE, FILES):
        stack.api("POST", "/backfills", {"dag_id": name, **asked, **options})
    return days_of_runs(stack)


def days_of_runs(stack: AirflowStack) -> list[str]:
    """Wait for the backfills of both examples, and return the days in the order in which the table's runs began."""
    for name in (TABLE, FILES):
        runs = [run for run in stack.runs(name) if run["run_type"] == "backfill"]
        assert len(runs) == 3
        assert [stack.wait_for_run(name, run["dag_run_id"], seconds=300) for run in runs] == ["success"] * 3
        # Only later the scheduler sees that a backfill has ended, and until then it refuses another.
        stack.wait_until(partial(ended, stack, name), f"backfills of {name} ended")
    begun = sorted((run["start_date"], run["logical_date"][:10]) for run in stack.runs(TABLE) if run["run_type"] == "backfill")
    return [day for _, day in begun]


def test_backfill(airflow_stack: AirflowStack, days: Days) -> None:
    """A backfill syncs only the rows and files of its days; in any order and repeatedly, it brings the changes."""
    expected = ["2026-01-02", "2026-01-03", "2026-01-04"]
    # As the guide has it. A command takes as long as the tasks, so those that follow are asked for over the API.
    arguments = ["--from-date", FROM, "--to-date", TO, "--max-active-runs", "1"]
    conf = json.dumps({"folder": str(days.target_files)})
    for name in (TABLE, FILES):
        airflow_stack.cli("backfill", "create", "--dag-id", name, *arguments, "--dag-run-conf", conf)
    assert days_of_runs(airflow_stack) == expected
    assert days.rows() == [(2, "a", "02"), (3, "b", "02"), (4, "c", "03"), (5, "d", "03"), (6, "e", "04")]
    assert days.files() == {f"2026-01-0{day}/report.csv": f"of the {day}." for day in (2, 3, 4)}

    run_sqlite(days.database, CHANGES)
    days.write(2, "report.csv", "corrected")
    days.write(3, "more.csv", "new")
    days.write(5, "more.csv", "not asked for")
    (days.exports / "2026-01-03" / "report.csv").unlink()
    rows = [(2, "changed", "02"), (3, "b", "03"), (4, "c", "03"), (6, "e", "09"), (8, "new", "03")]
    files = {"2026-01-02/report.csv": "corrected", "2026-01-03/more.csv": "new", "2026-01-04/report.csv": "of the 4."}
    assert backfill(airflow_stack, days, reprocess_behavior="completed", run_backwards=True) == expected[::-1]
    assert (days.rows(), days.files()) == (rows, files)

    # Once more, with nothing new.
    assert backfill(airflow_stack, days, reprocess_behavior="completed") == expected
    assert (days.rows(), days.files()) == (rows, files)
    for name in (TABLE, FILES):
        for run in airflow_stack.runs(name):
            if run["run_type"] == "backfill":
                (report,) = airflow_stack.result_of(name, run["dag_run_id"], "sync_day")
                assert report["status"] == "unchanged"


def test_a_run_without_a_logical_date(airflow_stack: AirflowStack, days: Days) -> None:
    """A manual run without a data interval fails at once, with a line that names the option and what to do."""
    run_id = airflow_stack.trigger(TABLE)
    assert airflow_stack.wait_for_run(TABLE, run_id) == "failed"
    log = airflow_stack.log_of(TABLE, run_id, "sync_day")
    assert "'window' uses what this run does not have: 'data_interval_start' is undefined. A run without a logical date" in log
    assert "Template" not in log
