"""How far a sync is, as notes in the history."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from airflow_provider_sync.history import History, Origin, open_history
from airflow_provider_sync.sync.noted_progress import NotedProgress, noted_while_running

COMMAND = Origin(source="command", job="airflow-sync run /etc/client.yaml")


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Give an empty history."""
    return open_history(f"sqlite:///{tmp_path / 'history.db'}")


def test_progress(history: History) -> None:
    """Progress is recorded at once, and then every few seconds, with shares if the total is known."""
    now = [0.0]
    note = history.running_note(COMMAND).begin()
    progress = NotedProgress(note, ["orders", "customers"], clock=lambda: now[0])

    def noted() -> list[tuple[str, str, float | None]]:
        return [(work.name, work.text, work.share) for work in history.running()[0].work]

    progress("orders", 5, "rows", 10)
    assert noted() == [("orders", "", None), ("customers", "", None)]
    now[0] = 6
    progress("orders", 2, "rows")
    assert noted()[0][2] == 0.7
    now[0] = 12
    progress("images", 3, "files")
    assert noted()[2] == ("images", "3 files so far", None)
    progress.end()
    progress("orders", 1, "rows")
    assert history.running() == []


def test_a_history_that_stays_locked(history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After a record that cannot be written, there are no more, so progress does not wait."""
    now = [0.0]
    note = history.running_note(COMMAND).begin()
    assert note._connection is not None
    note._connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    note._connection.rollback()
    progress = NotedProgress(note, ["orders"], clock=lambda: now[0])
    holder = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.DEBUG, "airflow_provider_sync"):
        for _ in range(3):
            now[0] += 6
            progress("orders", 1, "rows")
    assert caplog.text.count("database is locked") == 1
    holder.execute("COMMIT")
    holder.close()
    progress.end()
    assert history.running() == []


def test_no_history(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """If the history cannot be opened, the sync runs without it."""
    with (
        caplog.at_level(logging.DEBUG, "airflow_provider_sync"),
        noted_while_running(lambda: open_history(f"sqlite:///{tmp_path}/no/h.db"), COMMAND, ["orders"]) as progress,
    ):
        progress("orders", 1, "rows")
    assert "What runs cannot be noted" in caplog.text
