"""What is special about a DuckDB file: one process at a time, its options, and transactions that a failed statement ends."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import make_url

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, TableBusyError, TableError
from tests.scenario import Scenario, opened

HOLDER = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def test_a_second_process_is_told_who_has_the_file(duckdb_url: str) -> None:
    """While another process has the file open, every attempt fails with a transient error that names it."""
    path = str(make_url(duckdb_url).database)
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        database = database_for(open_engine(duckdb_url))
        with pytest.raises(TableBusyError, match=r"Only one process at a time.*read_only") as raised, database.connect():
            pass
        assert str(holder.pid) in str(raised.value)
        # Clients of a server are told it, too, and need not know where its files are.
        assert Path(path).name in str(raised.value)
        assert "/" not in str(raised.value)
        holder.communicate()
    with database.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_locked_tables_keep_other_processes_out(duckdb_url: str) -> None:
    """While a sync holds its lock, no other process can open the file, also between two statements."""
    database = database_for(open_engine(duckdb_url))
    program = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    with database.exclusive(["item"], timeout=1):
        opening = subprocess.run(
            [sys.executable, "-c", program, str(make_url(duckdb_url).database)], capture_output=True, text=True, check=False
        )
    assert "Could not set lock" in opening.stderr


def test_read_only(duckdb_url: str) -> None:
    """Several processes can open a file for reading only; writes are refused."""
    with opened(duckdb_url) as on:
        on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)", "INSERT INTO item VALUES (1)")
    with opened(f"{duckdb_url}?read_only=true") as reader:
        assert reader.rows("item") == [(1,)]
        with pytest.raises(TableError, match=r"read-only mode.*Remove read_only"):
            reader.execute("INSERT INTO item VALUES (2)")
        assert reader.rows("item") == [(1,)]


def test_nothing_is_printed(duckdb_on: Scenario) -> None:
    """DuckDB's progress bar is off, because standard output is for reports."""
    assert duckdb_on.scalar("SELECT current_setting('enable_progress_bar')") is False


def test_other_options_are_refused(duckdb_url: str) -> None:
    """An option that DuckDB does not have, or not in a URL, is an error that names it."""
    with pytest.raises(ConfigurationError, match=r"'memory'.*memory_limit"):
        open_engine(f"{duckdb_url}?memory=1GB")
    with opened(f"{duckdb_url}?memory_limit=100MB&threads=1") as on:
        assert on.scalar("SELECT current_setting('threads')") == 1


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A file that is not a DuckDB database, and a missing folder, are errors that say what to check."""
    (tmp_path / "x.duckdb").write_text("no database " * 1000)
    for path, advice in ((tmp_path / "x.duckdb", "Check its path"), (tmp_path / "none" / "x.duckdb", "relative")):
        with pytest.raises(TableError, match=advice), database_for(open_engine(f"duckdb:///{path}")).connect():
            pass
    assert (tmp_path / "x.duckdb").read_text() == "no database " * 1000


def test_a_failed_statement_is_not_committed_over(duckdb_on: Scenario) -> None:
    """After a failed statement, its transaction cannot be committed, even if the error was caught."""
    duckdb_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY)", "INSERT INTO item VALUES (1)")

    def catch_and_commit() -> None:
        with duckdb_on.database.connect() as connection, duckdb_on.database.transaction(connection):
            connection.exec_driver_sql("INSERT INTO item VALUES (2)")
            with suppress(TableError), duckdb_on.database.savepoint(connection):
                connection.exec_driver_sql("INSERT INTO item VALUES (1)")

    with pytest.raises(TableError, match="aborted"):
        catch_and_commit()
    assert duckdb_on.rows("item") == [(1,)]


def test_writers_of_one_row_are_told_to_try_again(duckdb_on: Scenario) -> None:
    """A row that another transaction changes is a transient error, and nothing is written."""
    duckdb_on.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO item VALUES (1, 1)")

    def write_both() -> None:
        with duckdb_on.database.connect() as mine, duckdb_on.database.connect() as other, duckdb_on.database.transaction(mine):
            mine.exec_driver_sql("UPDATE item SET n = 2")
            other.exec_driver_sql("UPDATE item SET n = 3")

    with pytest.raises(TableBusyError, match="try again"):
        write_both()
    assert duckdb_on.rows("item") == [(1, 1)]


def test_values_move_between_far_rows(duckdb_on: Scenario) -> None:
    """Although DuckDB checks unique keys every 2,048 rows, distant rows can swap values."""
    duckdb_on.execute(
        "CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, code INTEGER NOT NULL UNIQUE)",
        "INSERT INTO item SELECT i, i FROM range(5000) AS r(i)",
    )
    after = {number: number for number in range(5000)} | {1: 4500, 4500: 3000, 3000: 1}

    duckdb_on.sync("item", list(after.items()))

    assert duckdb_on.scalar("SELECT list(code ORDER BY id) FROM item WHERE id IN (1, 3000, 4500)") == [4500, 1, 3000]


def test_a_placeholder_that_is_not_allowed(duckdb_on: Scenario) -> None:
    """If a CHECK allows no placeholder, a swap of unique values is refused with what to do."""
    duckdb_on.execute(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, email VARCHAR NOT NULL UNIQUE CHECK (email LIKE '_@x'))",
        "INSERT INTO item VALUES (1, 'a@x'), (2, 'b@x')",
    )
    with pytest.raises(TableError, match=r"'item'.*Drop the key or that constraint for one sync, or allow NULL"):
        duckdb_on.sync("item", [(1, "b@x"), (2, "a@x")])
    assert duckdb_on.rows("item") == [(1, "a@x"), (2, "b@x")]


def test_collations_rule_no_keys(duckdb_on: Scenario) -> None:
    """Keys that a collation considers equal are two rows, as in DuckDB's unique indexes."""
    duckdb_on.execute("CREATE TABLE word (code VARCHAR COLLATE NOCASE PRIMARY KEY, n INTEGER)")
    rows = [("AB", 1), ("ab", 2), ("é", 3)]
    duckdb_on.sync("word", rows)
    result = duckdb_on.sync("word", [("AB", 1), ("ab", 9), ("É", 3)])
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (1, 1, 1)
    assert duckdb_on.rows("word") == [("AB", 1), ("ab", 9), ("É", 3)]


@pytest.mark.parametrize("more", ["", "CREATE MACRO duckdb_functions() AS TABLE SELECT 1 AS function_name WHERE false"])
def test_macros_in_the_place_of_functions(duckdb_url: str, tmp_path: Path, more: str) -> None:
    """Macros of a file never replace functions in our statements, also if they are added later."""
    (tmp_path / "secret").write_text("the key of everything")
    database = database_for(open_engine(duckdb_url))
    with database.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY, v VARCHAR)")
        connection.exec_driver_sql("INSERT INTO item VALUES (1, 'a')")
        connection.exec_driver_sql("CREATE MACRO mine(x) AS x + 1")
    with database.snapshot() as connection:
        assert database.catalog.describe(connection, "item").name == "item"
    with closing(duckdb.connect(str(make_url(duckdb_url).database))) as rogue:
        for name in ("sum", "lower", "sha256"):
            rogue.execute(f"CREATE MACRO {name}(x) AS (SELECT content FROM read_text('{tmp_path / 'secret'}'))")
        rogue.execute(more)
    named = r"macros in the place of DuckDB's own functions: .*lower, sha256, sum\."
    with pytest.raises(ConfigurationError, match=named), database.snapshot():
        pass
