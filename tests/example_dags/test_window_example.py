"""The example of a sync by data interval, run for one day after the other."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.airflow_runs import run_dag, task_states
from tests.example_dags.test_example_dags import load
from tests.server.wire import config, run_sqlite

SCRIPT = """
    CREATE TABLE events (id INTEGER PRIMARY KEY, name TEXT NOT NULL, created_at TIMESTAMP NOT NULL);
    INSERT INTO events VALUES
        (1, 'before', '2026-01-01 23:59:59'), (2, 'first', '2026-01-02 00:00:00'), (3, 'last', '2026-01-02 23:59:59'),
        (4, 'behind', '2026-01-03 00:00:00');
"""


def test_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run makes the rows of its own day equal, and changes no other; the first run creates the table."""
    source, target = tmp_path / "source.db", tmp_path / "target.db"
    run_sqlite(source, SCRIPT)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(target)}))
    dag = load("example_table_window")
    with RunningServer(config(f"sqlite:///{source}", tables={"events": {"windows": ["created_at"]}})) as server:
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps({"conn_type": "sync", "host": server.url}))
        for day, expected in ((3, [2, 3]), (2, [1, 2, 3])):
            # A run by hand gets the interval that ended last.
            run = run_dag(dag, logical_date=datetime(2026, 1, day, tzinfo=UTC))
            assert task_states(run) == {"sync_day": "success"}
            with closing(sqlite3.connect(target)) as connection:
                assert [key for (key,) in connection.execute("SELECT id FROM events ORDER BY id")] == expected
