"""Runs that are killed while they make targets: each table has all that it gets at once, and the next run adds foreign keys."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import MissingTableError, SyncFailed
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.new_target.foreign_keys import UNFINISHED
from airflow_provider_sync.sync.tables.steps import compare_table, with_foreign_keys
from tests.database_servers import MARIADB, MYSQL, POSTGRESQL
from tests.engines import on_engines
from tests.sync.link import Link
from tests.sync.tables.killing import MAKING_POINTS, run_killed
from tests.sync.tables.test_create_indexes import MAKE, details, family
from tests.sync.tables.test_killed import TARGETS

NAMES = ("child", "parent")
OPTIONS: dict[str, dict[str, Any]] = dict.fromkeys(NAMES, MAKE)
MARKING = (MARIADB, MYSQL, POSTGRESQL)
"""Engines that add foreign keys to tables that are there."""


def has_all_but_foreign_keys(link: Link, name: str) -> bool:
    """Whether a table of the family has its indexes and defaults; ``False`` where it is missing.

    A table that has some of them only is an error.
    """
    try:
        found = details(link.target, name)
    except MissingTableError:
        return False
    indexes = {"child": {("name", "n"), ("owner",)}, "parent": {("code",)}}[name]
    assert {index.columns for index in found.indexes} == indexes
    assert set(found.defaults) == ({"name", "n", "at"} if name == "child" else set())
    return True


def assert_finished(link: Link) -> None:
    """Check that the family is complete and equal, and that nothing tells of an earlier run any more."""
    for name in NAMES:
        link.assert_equal(name)
        assert has_all_but_foreign_keys(link, name)
        assert details(link.target, name).comment is None
    keys = details(link.target, "child").foreign_keys
    assert [key.parent for key in keys] == ([] if link.target.dialect == "duckdb" else ["parent"])
    link.assert_clean()


def mark(link: Link, name: str) -> None:
    """Give a target the comment of one whose foreign keys are still to be added."""
    if link.target.dialect == "mysql":
        link.target.execute(f"ALTER TABLE {name} COMMENT = '{UNFINISHED}'")
    else:
        link.target.execute(f"COMMENT ON TABLE {name} IS '{UNFINISHED}'")


def without_foreign_keys(link: Link) -> None:
    """Bring about what a run leaves that is killed after its rows are there, and before its foreign keys."""
    family(link)
    link.sync("child", options={"child": MAKE})
    assert details(link.target, "child").foreign_keys == ()
    mark(link, "child")


@on_engines(*TARGETS)
@pytest.mark.slow
@pytest.mark.parametrize("point", MAKING_POINTS.values(), ids=MAKING_POINTS)
def test_a_run_that_is_killed_while_it_makes_tables(two_into: Link, point: str) -> None:
    """Each table is missing or has its indexes and defaults, and the next run completes them."""
    family(two_into)
    url = two_into.target.database.engine.url.render_as_string(hide_password=False)
    two_into.target.let_go()
    with two_into.client(*NAMES) as client:
        code = run_killed("table", client.url, url, ",".join(NAMES), json.dumps(MAKE), point)
    # MySQL and MariaDB have no such statements, and SQLite adds no foreign keys.
    assert code in (-signal.SIGKILL, 0)
    if point in (MAKING_POINTS["table made"], MAKING_POINTS["rows committed"]):
        assert code == -signal.SIGKILL
    for name in NAMES:
        has_all_but_foreign_keys(two_into, name)
    two_into.sync(*NAMES, options=OPTIONS)
    assert_finished(two_into)
    again = two_into.sync(*NAMES, options=OPTIONS)
    assert [(report.status, report.schema_changes, report.warnings) for report in again] == [("unchanged", (), ())] * 2


@on_engines(*MARKING)
def test_foreign_keys_that_an_earlier_run_did_not_add(two_into: Link) -> None:
    """They are added, with or without different rows; the report says so, and the comment becomes the source's."""
    without_foreign_keys(two_into)
    child, parent = two_into.sync(*NAMES, options=OPTIONS)
    assert (child.status, child.rows_inserted, child.warnings) == ("changed", 0, ())
    assert [change for change in child.schema_changes if "foreign key" in change] == list(child.schema_changes) != []
    assert parent.status == "changed"
    assert_finished(two_into)


@on_engines(*MARKING)
def test_a_foreign_key_that_is_there_is_not_added_twice(two_into: Link) -> None:
    """After a kill between foreign key and comment, only the comment is set."""
    family(two_into)
    two_into.sync(*NAMES, options=OPTIONS)
    mark(two_into, "child")
    two_into.sync(*NAMES, options=OPTIONS)
    assert_finished(two_into)


@on_engines(*MARKING)
def test_a_parent_that_fails(two_into: Link) -> None:
    """The foreign key is added by a run in which the parent arrives."""
    family(two_into)
    two_into.target.execute("CREATE VIEW parent AS SELECT 1 AS id")
    with pytest.raises(SyncFailed) as failed:
        two_into.sync(*NAMES, options=OPTIONS, single_transaction=False)
    child = next(report for report in failed.value.reports if report.name == "child")
    assert "to 'parent', which failed; the next run adds it" in child.warnings[0]
    two_into.target.execute("DROP VIEW parent")
    two_into.sync(*NAMES, options=OPTIONS)
    assert_finished(two_into)


@on_engines(*MARKING)
def test_a_dry_run_finishes_nothing(two_into: Link) -> None:
    """A dry run, also in steps, and ``diff`` change nothing, and name what the next run adds."""
    without_foreign_keys(two_into)
    two_into.sync("parent", options=OPTIONS)
    tables = {name: table_from_options(name, MAKE) for name in NAMES}
    child, database = tables["child"], two_into.target.database
    with two_into.client(*NAMES) as client:
        planned = [
            *sync_tables(client, list(tables.values()), database, dry_run=True),
            *sync_tables(client, list(tables.values()), database, dry_run=True, single_transaction=False),
            *(diff_table(client, child, database, run_tables=tables, equal_rows=rows).report for rows in (None, 2)),
        ]
        compared = compare_table(client, child, database, run_id="run", tables=tables, dry_run=True)
        planned += [entry.report for entry in with_foreign_keys(database, [compared], waits=LockWaits(), dry_run=True)]
    found = details(two_into.target, "child")
    assert (found.foreign_keys, found.comment) == ((), UNFINISHED)
    made = two_into.sync(*NAMES, options=OPTIONS)[0]
    assert "foreign key" in made.schema_changes[0]
    for report in planned:
        if report.name == "child":
            assert (report.status, report.schema_changes, report.warnings) == ("planned", made.schema_changes, ())
    assert len(planned) == 7


@on_engines(*MARKING)
def test_foreign_keys_that_the_source_has_no_longer(two_into: Link) -> None:
    """If the source has dropped the missing foreign keys, the table is complete, and its comment is reset."""
    without_foreign_keys(two_into)
    two_into.source.execute("DROP TABLE child", "CREATE TABLE child (id INTEGER PRIMARY KEY, name VARCHAR(20), n INTEGER)")
    options = {**MAKE, "allow_empty_source": True}
    assert two_into.sync_one("child", options).rows_deleted == 2
    assert details(two_into.target, "child").comment is None


@on_engines(*MARKING)
def test_a_run_without_the_parent_leaves_the_foreign_key_to_be_added(two_into: Link) -> None:
    """A run of only the child leaves the table waiting for its parent."""
    without_foreign_keys(two_into)
    two_into.offered["parent"] = {}
    two_into.sync_one("child", MAKE)
    assert details(two_into.target, "child").comment == UNFINISHED
    two_into.sync(*NAMES, options=OPTIONS)
    assert_finished(two_into)


@on_engines(*MARKING)
def test_without_the_option_nothing_is_finished(two_into: Link) -> None:
    """A run without ``create_indexes`` does not change an existing table."""
    without_foreign_keys(two_into)
    two_into.sync(*NAMES, options={name: {"create_table": True} for name in NAMES})
    found = details(two_into.target, "child")
    assert (found.foreign_keys, found.comment) == ((), UNFINISHED)


@on_engines(*MARKING)
def test_steps_finish_the_same(two_into: Link) -> None:
    """The comparison of a later run adds what a killed one did not."""
    without_foreign_keys(two_into)
    two_into.sync("parent", options=OPTIONS)
    tables = {name: table_from_options(name, MAKE) for name in NAMES}
    with two_into.client(*tables) as client:
        compared = [
            compare_table(client, table, two_into.target.database, run_id="run", tables=tables) for table in tables.values()
        ]
    child, parent = with_foreign_keys(two_into.target.database, compared, waits=LockWaits())
    assert (child.report.status, parent.report.status) == ("changed", "unchanged")
    assert "foreign key" in child.report.schema_changes[0]
    assert_finished(two_into)
