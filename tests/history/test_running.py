"""What runs now, on every engine that may hold a history."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from airflow_provider_sync.history import History, Origin, Work, open_history
from airflow_provider_sync.history.record_tables import running
from airflow_provider_sync.history.running import FORGET_AFTER, MAX_WORK

TASK = Origin(source="task", dag_id="shop", run_id="r", task_id="tables", map_index=-1, try_number=1)
RETRY = Origin(source="task", dag_id="shop", run_id="r", task_id="tables", map_index=-1, try_number=2)


@pytest.fixture
def history(database_url: str) -> History:
    """Give an empty history, once for each engine."""
    if database_url.startswith("duckdb"):
        pytest.skip("several processes write a history")
    return open_history(database_url)


def test_from_begin_to_end(history: History) -> None:
    """A sync is listed from its start to its end, with its progress."""
    note = history.running_note(TASK).begin()
    (found,) = history.running()
    assert (found.origin.job_name, found.origin.try_number, found.work) == ("shop/tables", 1, ())
    assert (datetime.now(UTC) - found.started).total_seconds() < 60
    work = (Work(name="Ärger", text="5 of 10 rows", share=0.5), Work(name="customers"))
    note.write(work)
    (found,) = history.running()
    assert found.work == work
    assert found.updated >= found.started
    note.end()
    note.end()
    note.write(work)
    assert history.running() == []


def test_who_was_killed(history: History) -> None:
    """The next try removes the row of a killed one; rows of other runs stay, but not forever."""
    history.running_note(TASK).begin()
    history.running_note(RETRY).begin()
    other = Origin(source="task", dag_id="other", run_id="r2", task_id="tables", map_index=-1, try_number=1)
    history.running_note(other).begin()
    assert [sync.origin.try_number for sync in history.running(dags={"shop"})] == [2]
    assert len(history.running()) == 2
    with history._engine.begin() as connection:
        connection.execute(update(running).values(updated=datetime.now(UTC).replace(tzinfo=None) - FORGET_AFTER * 2))
    assert history.running() == []
    note = history.running_note(Origin(source="command")).begin()
    with history._engine.connect() as connection:
        assert len(connection.execute(running.select()).all()) == 1
    note.end()


def test_two_runs_of_one_command(history: History) -> None:
    """Two simultaneous runs of a command are both listed, although the second removes the row of the first at its start."""
    notes = [history.running_note(Origin(source="command", job="airflow-sync run a.yaml")).begin() for _ in range(2)]
    assert len(history.running()) == 1
    notes[0].write([Work(name="orders")])
    assert [[work.name for work in sync.work] for sync in history.running()] == [[], ["orders"]]
    for note in notes:
        note.end()
    assert history.running() == []


def test_many_tables(history: History) -> None:
    """For a task with very many tables, the first ones are listed."""
    note = history.running_note(TASK).begin()
    note.write([Work(name=str(number)) for number in range(MAX_WORK + 5)])
    assert len(history.running()[0].work) == MAX_WORK
    note.end()
