"""Columns of a new target that its database would take for one are refused before anything is made."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.exceptions import SyncFailed
from tests.scenario import Scenario
from tests.sync.link import Link

RENAMED = [("Name", "name"), ("Á", "á"), ("é", "e"), ("Straße", "STRASSE"), ("b", "b")]


@pytest.mark.parametrize(("first", "second"), RENAMED, ids=["case", "beyond ASCII", "accent", "sharp s", "same"])
def test_columns_that_are_one_to_the_database(two_into: Link, first: str, second: str) -> None:
    """Column names that the database considers equal are an error before the table is created; others are created."""
    two_into.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)", "INSERT INTO t VALUES (1, 2, 3)")
    options = {"create_table": True, "renames": {"a": first} if second == "b" else {"a": first, "b": second}}
    if told_apart(two_into.target.dialect, first, second):
        assert two_into.sync_one("t", options).rows_inserted == 1
        assert two_into.target.rows("t") == [(1, 2, 3)]
        return
    for dry_run in (True, False):
        with pytest.raises(SyncFailed, match=r"Table 't'.*(are one to the target's database|two columns go into)"):
            two_into.sync("t", options={"t": options}, dry_run=dry_run)
    assert two_into.target.names() == []


@pytest.mark.parametrize(("first", "second"), RENAMED[:-1])
def test_the_database_agrees(on: Scenario, first: str, second: str) -> None:
    """The check refuses exactly what the database refuses."""
    statement = f"CREATE TABLE t ({on.database.quote(first)} INTEGER, {on.database.quote(second)} INTEGER)"
    with on.database.connect() as connection:
        if on.database.ddl.alike(first) == on.database.ddl.alike(second):
            with pytest.raises(SQLAlchemyError):
                connection.exec_driver_sql(statement)
        else:
            connection.exec_driver_sql(statement)


def told_apart(dialect: str, first: str, second: str) -> bool:
    """Whether a database makes a table with both columns."""
    if first == second:
        return False
    if dialect == "postgresql" or len(first) != len(second):
        return True
    return first.lower() != second.lower() or not (first.isascii() or dialect == "mysql")
