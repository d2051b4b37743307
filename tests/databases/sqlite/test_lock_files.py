"""Lock files beside a database: who waits for whom, and what is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.sqlite.locks import hold_locks
from airflow_provider_sync.exceptions import TableBusyError, TableError
from tests.scenario import Scenario


def test_lock_files_are_removed(sqlite_on: Scenario) -> None:
    """The lock file beside the database exists as long as the lock."""
    sqlite_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")
    directory = Path(str(sqlite_on.database.engine.url.database)).parent
    before = set(directory.iterdir())

    with sqlite_on.database.exclusive(["item"], timeout=0):
        assert len(set(directory.iterdir()) - before) == 1

    assert set(directory.iterdir()) == before


def test_databases_in_memory_need_no_lock() -> None:
    """A database in memory needs no lock file."""
    engine = open_engine("sqlite://")
    on = Scenario(database_for(engine))
    on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)")

    with on.database.exclusive(["item"], timeout=0):
        assert on.sync("item", [(1,)]).verified_rows
    engine.dispose()


def test_lock_of_a_dead_process(tmp_path: Path) -> None:
    """The lock of a killed process is free, although its file still exists."""
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from airflow_provider_sync.databases.sqlite.locks import hold_locks\n"
            "with hold_locks({sys.argv[1]: 'x'}, timeout=0):\n"
            "    print('held', flush=True)\n"
            "    sys.stdin.read()\n",
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(TableBusyError, match="x"), hold_locks({str(path): "x"}, timeout=0):
            pytest.fail("two hold one lock")
        holder.kill()

    assert path.exists()
    with hold_locks({str(path): "x"}, timeout=0):
        pass
    assert not path.exists()


def test_lock_that_many_wait_for(tmp_path: Path) -> None:
    """Only one process holds the lock at a time, however often the file is removed and created."""
    path = tmp_path / "lock"
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with hold_locks({str(path): "x"}, timeout=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 80


def test_lock_in_a_directory_that_is_missing(tmp_path: Path) -> None:
    """A lock file that cannot be created is an error that says what to do."""
    with pytest.raises(TableError, match="Let this user write"), hold_locks({str(tmp_path / "no" / "lock"): "x"}, timeout=0):
        pytest.fail("locked")
